//! `hermes doctor` and the status commands beside a faulty gateway.

use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::support::bridge;
use crate::support::home::{Answer, TestHome};
use crate::support::house::{House, QUICK};
use crate::support::process::Gateway;
use crate::support::wait;

fn document(answer: &Answer) -> Value {
    serde_json::from_str(&answer.stdout).unwrap_or_else(|_| panic!("no document: {answer:?}"))
}

/// Waits for the check of this code, and returns it.
fn check(home: &TestHome, code: &str) -> (Value, Answer) {
    let seen = wait::until(wait::LIMIT, || {
        let answer = home.run(["doctor", "--json"]);
        let checks = document(&answer)["checks"].clone();
        let check = checks.as_array()?.iter().find(|check| check["code"] == code)?.clone();
        Some((check, answer))
    });
    seen.unwrap_or_else(|| panic!("no {code}: {:?}", home.run(["doctor"])))
}

#[test]
fn a_store_that_cannot_be_opened_is_a_problem_before_and_after_the_start_that_it_ends() {
    for name in ["gateway.db", "gateway.db-wal", "gateway.db-shm"] {
        let home = TestHome::empty();
        home.write(".env", "TELEGRAM_BOT_TOKEN=1:a-token-of-nobody-at-all\nTELEGRAM_ALLOWED_USERS=1\n");
        let path = home.root().join(name);
        std::fs::create_dir(&path).unwrap();
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o755)).unwrap();
        let (found, answer) = check(&home, "store_in_the_way");
        assert_eq!(
            (found["status"].as_str(), answer.code),
            (Some("blocking"), Some(1)),
            "{name}: {answer:?}"
        );
        assert!(found["fix"].to_string().contains(&format!("mv {}", path.display())), "{found}");
        assert_eq!(home.run(["doctor", "--fix"]).code, Some(1), "{name}");
        assert_eq!(home.run(["gateway", "run"]).code, Some(78), "{name}");
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o755, "{name} is not ours");
        let (failed, answer) = check(&home, "gateway");
        assert_eq!(
            (failed["status"].as_str(), answer.code),
            (Some("blocking"), Some(1)),
            "{name}: {answer:?}"
        );
    }
}

#[test]
fn a_start_that_failed_is_told_by_the_status_with_the_command_until_the_next_one() {
    let mut house = House::open(1);
    assert_eq!(house.gateway.stop(), Some(0));
    house.home.write("gateway.toml", "[gateway\n");
    let failed = house.home.run(["gateway", "run"]);
    assert_eq!(failed.code, Some(78), "{failed:?}");
    let status = house.home.run(["gateway", "status"]);
    assert_eq!(status.code, Some(3), "{status:?}");
    for said in
        ["Its last start failed", "gateway.toml: line 1", "Edit ", "Start it with `hermes gateway run`."]
    {
        assert!(status.stdout.contains(said), "{said}: {status:?}");
    }
    assert!(!status.stdout.contains("on request"), "{status:?}");
    let status = document(&house.home.run(["gateway", "status", "--json"]));
    assert_eq!(status["problems"][0]["code"], "config", "{status:#}");
    assert_eq!(house.home.run(["doctor"]).code, Some(1));
    house.home.write("gateway.toml", QUICK);
    let doctor = house.home.run(["doctor"]);
    assert!(doctor.code == Some(0) && doctor.stdout.contains("its last start failed"), "{doctor:?}");
    // A failure beside a running gateway leaves its status alone.
    let mut gateway = Gateway::start(&house.home);
    let _well = house.stage.connect("scripted1");
    house.home.write("gateway.toml", "[gateway\n");
    assert_eq!(house.home.run(["gateway", "run"]).code, Some(78));
    assert!(house.home.run(["gateway", "status"]).stdout.contains("is running"));
    assert_eq!(gateway.stop(), Some(0));
}

#[test]
fn a_gateway_that_is_stopped_is_told_within_2_s_and_not_believed() {
    let house = House::open(1);
    house.gateway.signal(Signal::STOP);
    let pid = house.gateway.pid();
    for command in [
        &["platform", "status"][..],
        &["gateway", "status"],
        &["doctor"],
        &["gateway", "stop"],
        &["gateway", "restart"],
        &["platform", "pause", "scripted1"],
        &["pairing", "list"],
        &["dead", "list"],
        &["send", "scripted1:friend", "hello"],
    ] {
        let begun = Instant::now();
        let answer = house.home.run(command);
        // The limit is 1.8 s; the rest is for a busy machine.
        assert!(begun.elapsed() < Duration::from_secs(8), "{command:?} took {:?}", begun.elapsed());
        assert_eq!(answer.code, Some(1), "{command:?}: {answer:?}");
        let said = format!("{}{}", answer.stdout, answer.stderr);
        assert!(said.contains(&format!("Process {pid} does not answer")), "{command:?}: {said}");
        assert!(said.contains(&format!("kill -CONT {pid}")), "{command:?}: {said}");
        assert!(!said.contains("just now") && !said.contains("is running"), "{command:?}: {said}");
        assert!(!said.contains("os error") && !said.contains("Resource temporarily"), "{command:?}: {said}");
    }
    let status = document(&house.home.run(["platform", "status", "--json"]));
    assert_eq!((&status["running"], &status["answers"]), (&json!(true), &json!(false)), "{status:#}");
    assert_eq!((&status["gateway_state"], &status["pid"]), (&json!("not_answering"), &json!(pid)));
    assert_eq!(status["platforms"]["scripted1"]["state"], "unknown", "{status:#}");
    let doctor = document(&house.home.run(["doctor", "--json"]));
    assert_eq!(doctor["gateway"]["gateway_state"], "not_answering", "{doctor:#}");
    house.gateway.signal(Signal::CONT);
    let back =
        wait::until(wait::LIMIT, || (house.home.run(["gateway", "status"]).code == Some(0)).then_some(()));
    assert!(back.is_some(), "{:?}", house.home.run(["gateway", "status"]));
}

#[test]
fn without_its_socket_a_gateway_is_believed_by_its_file_and_doctor_says_so() {
    let mut house = House::open(1);
    std::fs::remove_file(house.home.paths().control_socket()).unwrap();
    let (gone, answer) = check(&house.home, "control_unavailable");
    assert_eq!((answer.code, gone["status"].as_str()), (Some(1), Some("blocking")), "{answer:?}");
    let status = document(&house.home.run(["platform", "status", "--json"]));
    assert_eq!((&status["running"], &status["answers"]), (&json!(true), &json!(false)));
    assert_eq!(status["platforms"]["scripted1"]["state"], "connected", "{status:#}");
    assert_eq!(house.gateway.stop(), Some(0));
}

#[test]
fn each_platform_is_one_line_and_what_needs_a_person_is_exit_1() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let toml = QUICK.replace("[gateway]\n", &format!("[gateway]\nhttp = {{ bind = \"{address}\" }}\n"));
    let mut house =
        House::furnish(3, &toml, |home| home.env.push(("API_SERVER_PORT".to_owned(), String::new())));
    house
        .stage
        .block("scripted2", &json!({ "code": "telegram_bad_token", "user_action": "Enter it again." }));
    house.stage.attempt("scripted3").cue(json!({ "do": "fail", "code": "telegram_polling_conflict" }));
    let (port, answer) = check(&house.home, "api_server_port_in_use");
    assert_eq!((answer.code, port["status"].as_str()), (Some(1), Some("blocking")), "{answer:?}");
    let (conflict, _) = check(&house.home, "telegram_polling_conflict");
    assert!(conflict["message"].as_str().unwrap().contains("is not connected"), "{conflict:#}");
    let (well, _) = check(&house.home, "scripted1");
    assert_eq!(well["status"], "good", "{well:#}");
    drop(taken);
    let listens = wait::until(wait::LIMIT, || {
        let answer = house.home.run(["doctor", "--json"]);
        (!answer.stdout.contains("api_server_port_in_use")).then_some(())
    });
    assert!(listens.is_some(), "{:?}", house.home.run(["doctor"]));

    let paused = house.home.run(["platform", "pause", "scripted3"]);
    assert_eq!(paused.code, Some(0), "{paused:?}");
    let (paused, _) = check(&house.home, "paused_by_operator");
    assert_eq!(paused["status"], "warning", "{paused:#}");
    assert!(paused["fix"].as_str().unwrap().contains("hermes platform resume scripted3"), "{paused:#}");
    assert_eq!(house.gateway.stop(), Some(0));
    let after = house.home.run(["doctor"]);
    assert!(after.stdout.contains("the gateway is not running"), "{after:?}");
    assert!(after.stdout.contains("hermes gateway run"), "{after:?}");
}

#[test]
fn fix_repairs_what_needs_no_person_and_a_second_time_there_is_nothing() {
    let home = TestHome::empty();
    let env = home.write(".env", "TELEGRAM_BOT_TOKEN=1:a-token-of-nobody-at-all\nTELEGRAM_ALLOWED_USERS=1\n");
    std::fs::set_permissions(&env, PermissionsExt::from_mode(0o644)).unwrap();
    std::fs::set_permissions(home.root(), PermissionsExt::from_mode(0o755)).unwrap();
    drop(std::os::unix::net::UnixListener::bind(home.paths().control_socket()).unwrap());
    home.write("gateway.pid", "{}");
    let looked = home.run(["doctor"]);
    assert!(looked.stdout.contains("left gateway.sock and gateway.pid behind"), "{looked:?}");
    let fixed = home.run(["doctor", "--fix"]);
    assert!(fixed.stdout.contains("from 644 to 600") && fixed.stdout.contains("gateway.sock"), "{fixed:?}");
    assert_eq!(env.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    assert!(!home.paths().control_socket().exists() && !home.paths().pid_file().exists());
    let again = home.run(["doctor", "--fix"]);
    assert!(again.stdout.contains("Nothing to repair."), "{again:?}");
    let mut child = home.command(["doctor", "--fix"]);
    let refused: Answer = child.env("HERMES_CHILD", "1").output().unwrap().into();
    assert_eq!(refused.code, Some(1), "what the gateway starts repairs nothing: {refused:?}");
}

#[test]
fn fix_installs_the_bridge_or_says_why_it_cannot() {
    let real = |name: &str| which::which(name).expect("Node and npm are installed").display().to_string();
    let copied = format!("cp -a '{}/node_modules' .", bridge::installed_dir().display());
    let refused = "echo 'npm error code ECONNREFUSED' >&2; echo 'npm error connect ECONNREFUSED 127.0.0.1:9' >&2; exit 1";
    for (installs, told) in [(copied.as_str(), None), (refused, Some("registry"))] {
        // A Node with an npm beside it that needs no registry, or reaches none.
        let tools = tempfile::tempdir().unwrap();
        let npm = format!("case \"$1\" in ci) {installs} ;; *) exec '{}' \"$@\" ;; esac", real("npm"));
        for (name, script) in [("node", format!("exec '{}' \"$@\"", real("node"))), ("npm", npm)] {
            let path = tools.path().join(name);
            std::fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
            std::fs::set_permissions(&path, PermissionsExt::from_mode(0o700)).unwrap();
        }
        let mut home = TestHome::empty();
        let paths = std::env::var("PATH").unwrap();
        home.env.push(("PATH".to_owned(), format!("{}:{paths}", tools.path().display())));
        home.write(".env", "WHATSAPP_ENABLED=true\nWHATSAPP_MODE=self-chat\n");
        let fixed = home.run(["doctor", "--fix", "--json"]);
        let repairs = document(&fixed)["repairs"].clone();
        let is_bridge = |repair: &&Value| repair["message"].as_str().unwrap().contains("WhatsApp bridge");
        let repair =
            repairs.as_array().unwrap().iter().find(is_bridge).unwrap_or_else(|| panic!("{fixed:?}"));
        let is_installed = told.is_none();
        assert_eq!(repair["done"], is_installed, "{fixed:?}");
        assert_eq!(fixed.stdout.contains("whatsapp_bridge_not_installed"), !is_installed, "{fixed:?}");
        let found = hermes::bridge::install::check(&home.paths());
        let is_there = matches!(found, hermes::preflight::BridgeFact::Installed { .. });
        assert_eq!(is_there, is_installed, "{found:?}");
        if let Some(told) = told {
            let message = repair["message"].as_str().unwrap();
            assert!(message.contains("cannot be installed") && message.contains(told), "{message}");
            assert!(repair["fix"].as_str().is_some_and(|fix| !fix.is_empty()), "{repair:#}");
            assert_eq!(fixed.code, Some(1), "{fixed:?}");
        }
    }
}

#[test]
fn a_home_that_cannot_be_written_to_is_a_problem_with_its_cause() {
    let home = TestHome::empty();
    home.write(".env", "");
    for (harm, code, fix) in [
        ("true", None, ""),
        ("cat /dev/zero > \"$HERMES_HOME/filler\"", Some("disk_full"), "df -h"),
        ("mount -o remount,ro \"$HERMES_HOME\"", Some("disk_read_only"), "findmnt"),
    ] {
        let shell = format!(
            "exec unshare -rm sh -c 'mount -t tmpfs -o size=64k,mode=700 tmpfs \"$HERMES_HOME\" && \
             (umask 077; printf \"TELEGRAM_BOT_TOKEN=1:a-token-of-nobody-at-all\\nTELEGRAM_ALLOWED_USERS=1\" \
             > \"$HERMES_HOME/.env\") && {{ {harm}; exec \"$@\"; }}' sh \"$@\""
        );
        let plain = home.command(["doctor", "--json"]);
        let mut command = Command::new("sh");
        command.args(["-c", &shell, "sh"]).arg(plain.get_program()).args(plain.get_args());
        let output = command.env_clear().envs(home.variables()).stdin(Stdio::null()).output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert_eq!(output.status.code(), Some(i32::from(code.is_some())), "{harm}: {output:?}");
        let report: Value = serde_json::from_str(&said).unwrap();
        let checks = report["checks"].as_array().unwrap().iter();
        let problems: Vec<_> = checks.filter(|check| check["status"] == "blocking").collect();
        assert_eq!(problems.first().and_then(|check| check["code"].as_str()), code, "{harm}: {said}");
        assert_eq!(problems.len(), usize::from(code.is_some()), "{harm}: {said}");
        assert!(problems.iter().all(|check| check["fix"].as_str().unwrap().contains(fix)), "{harm}: {said}");
    }
}

#[test]
fn a_misspelt_time_zone_is_told_at_the_start_in_the_status_and_by_doctor() {
    let mut home = TestHome::empty();
    home.write(".env", "WHATSAPP_ENABLED=true\n");
    home.write("gateway.toml", "[session]\nreset = \"daily\"\n");
    // Zones are built in: this one is known although no data is there.
    home.env.push(("TZDIR".to_owned(), "/nonexistent".to_owned()));
    home.env.push(("TZ".to_owned(), "Europe/Berlin".to_owned()));
    assert!(!home.run(["doctor"]).stdout.contains("time zone"));
    home.env.push(("TZ".to_owned(), "Europe/Belin".to_owned()));
    let doctor = home.run(["doctor"]);
    assert!(doctor.stdout.contains("the time zone `Europe/Belin` in TZ is not known"), "{doctor:?}");
    assert!(doctor.stdout.contains("daily_at = \"04:00\""), "{doctor:?}");
    let mut gateway = Gateway::start(&home);
    gateway.wait_for_log("time_zone_unknown");
    gateway.wait_for_state("fatal");
    // The caller may have another zone; the gateway's counts.
    home.env.push(("TZ".to_owned(), "UTC".to_owned()));
    let (zone, _) = check(&home, "time_zone_unknown");
    assert!(zone["fix"].as_str().unwrap().contains("TZ=Europe/Berlin"), "{zone:#}");
    assert!(home.run(["platform", "status"]).stdout.contains("Europe/Belin"));
    assert_eq!(gateway.stop(), Some(0));
}

/// Gives a home to another user; only root can.
fn give_away(home: &TestHome, uid: u32, gid: u32, mode: u32) -> bool {
    home.write(".env", "WHATSAPP_ENABLED=true\n");
    let own = std::os::unix::fs::chown(home.root(), Some(uid), Some(gid)).is_ok();
    own && std::fs::set_permissions(home.root(), PermissionsExt::from_mode(mode)).is_ok()
}

#[test]
fn root_is_sent_to_the_owner_of_a_home_and_leaves_it_as_it_is() {
    let home = TestHome::empty();
    if !give_away(&home, 1000, 1000, 0o700) {
        // Without root there is no home of another user; the rule itself has separate tests.
        return;
    }
    for command in [&["gateway", "run"][..], &["doctor"], &["doctor", "--fix"]] {
        let answer = home.run(command);
        let said = format!("{}{}", answer.stdout, answer.stderr);
        assert!(matches!(answer.code, Some(1 | 78)), "{command:?}: {answer:?}");
        assert!(said.contains("1000") && !said.contains("chown"), "{command:?}: {said}");
        let helps =
            ["sudo -u", "docker exec --user 1000", "runAsUser: 1000"].iter().any(|way| said.contains(way));
        assert!(helps, "{command:?}: {said}");
    }
    assert_eq!(std::fs::read_dir(home.root()).unwrap().count(), 1, "nothing was written there");
}

#[test]
fn a_home_that_may_not_be_entered_is_told_and_nothing_is_said_of_a_gateway() {
    let home = TestHome::empty();
    let setpriv = which::which("setpriv");
    let (true, Ok(setpriv)) = (give_away(&home, 0, 0, 0o700), setpriv) else { return };
    let outer = home.root().parent().unwrap().to_path_buf();
    std::fs::set_permissions(&outer, PermissionsExt::from_mode(0o755)).unwrap();
    let program = outer.join("hermes-program");
    std::fs::copy(env!("CARGO_BIN_EXE_hermes"), &program).unwrap();
    std::fs::set_permissions(&program, PermissionsExt::from_mode(0o755)).unwrap();
    for args in [
        &["doctor"][..],
        &["gateway", "status"],
        &["platform", "status"],
        &["pairing", "list"],
        &["dead", "list"],
        &["gateway", "run"],
    ] {
        let mut command = Command::new(&setpriv);
        command.args(["--reuid=1000", "--regid=1000", "--clear-groups"]).arg(&program).args(args);
        let answer: Answer =
            command.stdin(Stdio::null()).env_clear().envs(home.variables()).output().unwrap().into();
        let said = format!("{}{}", answer.stdout, answer.stderr);
        assert!(matches!(answer.code, Some(1 | 78)), "{args:?}: {answer:?}");
        assert!(said.contains("cannot be used") && said.contains("[home_unusable]"), "{args:?}: {said}");
        assert!(!said.contains("respond") && !said.contains("running"), "{args:?}: {said}");
    }
}

#[test]
fn a_home_of_a_group_that_the_process_is_in_works() {
    let home = TestHome::empty();
    let setpriv = which::which("setpriv");
    let (true, Ok(setpriv)) = (give_away(&home, 0, 2000, 0o2770), setpriv) else { return };
    // The user must get to the home and to the program.
    let outer = home.root().parent().unwrap().to_path_buf();
    std::fs::set_permissions(&outer, PermissionsExt::from_mode(0o755)).unwrap();
    let program = outer.join("hermes-program");
    std::fs::copy(env!("CARGO_BIN_EXE_hermes"), &program).unwrap();
    std::fs::set_permissions(&program, PermissionsExt::from_mode(0o755)).unwrap();
    let env = home.root().join(".env");
    std::os::unix::fs::chown(&env, Some(0), Some(2000)).unwrap();
    std::fs::set_permissions(&env, PermissionsExt::from_mode(0o660)).unwrap();
    let mut command = Command::new(setpriv);
    command
        .args(["--reuid=1000", "--regid=1000", "--groups=2000"])
        .arg(&program)
        .args(["gateway", "run", "-v"]);
    command.stdin(Stdio::null()).env_clear().envs(home.variables());
    let mut gateway = Gateway::of(&home, command);
    gateway.wait_for_state("fatal");
    gateway.wait_for_log("home_of_group");
    assert_eq!(
        env.metadata().unwrap().permissions().mode() & 0o777,
        0o660,
        "the group keeps what is its own"
    );
    assert!(!gateway.log().iter().any(|line| line.contains("modes_open")), "{}", gateway.log().join("\n"));
    assert_eq!(gateway.stop(), Some(0));
}

#[test]
fn certificates_that_cannot_be_used_end_the_start_with_78_and_doctor_names_them() {
    let mut home = TestHome::empty();
    let agent = "[agent]\nkind = \"openai\"\nbase_url = \"http://127.0.0.1:9/v1\"\nmodel = \"m\"\n";
    let telegram = "[platforms.telegram]\nenabled = true\napi_base = \"http://127.0.0.1:9\"\n";
    home.write("gateway.toml", format!("{agent}{telegram}"));
    home.write(".env", "TELEGRAM_BOT_TOKEN=1:a-token-of-nobody-at-all\nTELEGRAM_ALLOWED_USERS=1\n");
    home.write("empty.pem", "no certificate");
    let empty = home.root().join("empty.pem").display().to_string();
    let dir = home.root().join("none").display().to_string();
    for (variable, value, why) in [
        ("SSL_CERT_FILE", "/nowhere/ca.pem", "No such file"),
        ("SSL_CERT_FILE", empty.as_str(), "no certificate in PEM"),
        ("SSL_CERT_DIR", dir.as_str(), "No such file"),
        ("SSL_CERT_FILE", "", "No such file"),
    ] {
        home.env.push((variable.to_owned(), value.to_owned()));
        let ended = home.run(["gateway", "run"]);
        assert_eq!(ended.code, Some(78), "{ended:?}");
        let said = ended.stderr.split_whitespace().collect::<Vec<_>>().join(" ");
        for part in
            [format!("{variable} is `{value}`").as_str(), why, "Correct SSL_CERT_FILE", "trust_unusable"]
        {
            assert!(said.contains(part), "{part}: {ended:?}");
        }
        let (found, _) = check(&home, "trust_unusable");
        assert_eq!(found["status"], "blocking", "{found}");
    }
    // The others are trusted.
    let ca =
        std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fakes/tls/ca.pem").display().to_string();
    home.env.push(("SSL_CERT_FILE".to_owned(), ca));
    let (found, _) = check(&home, "trust_unusable");
    assert_eq!(found["status"], "warning", "{found}");
}
