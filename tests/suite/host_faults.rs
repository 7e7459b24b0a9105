//! The fault table, faults of the machine and of the WhatsApp bridge's process; `rows.md` has the test of each row.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Resource, Rlimit, Signal, prlimit};
use serde_json::{Value, json};

use crate::support::home::TestHome;
use crate::support::house::{House, QUICK};
use crate::support::pairing::FRIEND;
use crate::support::process::Gateway;
use crate::support::stage::Player;
use crate::support::wait;

/// A session that counts as paired.
const CREDS: &str = r#"{"noiseKey":{"private":""},"signedIdentityKey":{"private":""},"signedPreKey":{"keyPair":{"private":""}},"registrationId":7,"advSecretKey":"","registered":false,"me":{"id":"15550001111:1@s.whatsapp.net","lid":"99:1@lid"},"account":{"details":"CgQ=","accountSignatureKey":"AA==","accountSignature":"AA==","deviceSignature":"AA=="}}"#;

/// A "Node" that runs the file beside it.
const NODE: &str = "#!/bin/sh\n[ \"$1\" = --version ] && { echo v22.11.0; exit 0; }\n. \"$0.does\"\n";

fn program(home: &TestHome, does: &str) -> PathBuf {
    let node = home.root().join("node");
    home.write("node", NODE);
    home.write("node.does", does);
    std::fs::set_permissions(&node, PermissionsExt::from_mode(0o755)).unwrap();
    node
}

/// A paired WhatsApp beside a healthy platform; its bridge is run by [`NODE`].
fn with_whatsapp(does: &str) -> House {
    // The breaker is not the subject here.
    with_whatsapp_by(&QUICK.replace("first", "breaker_after = 0, first"), does)
}

/// Makes the same with another `gateway.toml`.
pub(crate) fn with_whatsapp_by(toml: &str, does: &str) -> House {
    House::furnish(1, toml, |home| {
        let mut furnished = TestHome::with_bridge();
        furnished.write(
            ".env",
            format!("WHATSAPP_ENABLED=true\nWHATSAPP_MODE=bot\nWHATSAPP_ALLOWED_USERS={FRIEND}\n"),
        );
        furnished.write("whatsapp/session/creds.json", CREDS);
        for path in [".env", "whatsapp/session/creds.json"] {
            std::fs::set_permissions(furnished.root().join(path), PermissionsExt::from_mode(0o600)).unwrap();
        }
        let node = program(&furnished, does);
        furnished.env.push(("HERMES_NODE".to_owned(), node.to_string_lossy().into_owned()));
        *home = furnished;
    })
}

#[test]
fn rows_31_to_38_however_the_bridge_ends_it_is_tried_again_and_told_in_few_lines() {
    let rows = [
        ("31 an end without a reason", "exit 0", "whatsapp_bridge_exited", "unexpectedly", true),
        ("32 a failure", "echo boom >&2; exit 1", "whatsapp_bridge_exited", "(exit 1)", true),
        ("32 an assertion of Node's", "exit 134", "whatsapp_bridge_exited", "(exit 134)", true),
        ("38 words that are no protocol", "echo hello; sleep 100", "whatsapp_bridge_exited", "", true),
        (
            "38 bytes that are no text",
            "printf '\\377\\376\\n'; sleep 100",
            "whatsapp_bridge_exited",
            "",
            true,
        ),
        ("38 a line without an end", "head -c 64M /dev/zero; sleep 100", "whatsapp_bridge_exited", "", true),
        ("36 a bridge that says nothing", "sleep 100", "net_timeout", "within", true),
        ("33 ended from outside", "kill -TERM $$", "whatsapp_bridge_exited", "(signal 15)", false),
        ("34 killed for its memory", "kill -KILL $$", "whatsapp_bridge_exited", "(signal 9)", false),
        ("35 a crash", "kill -SEGV $$", "whatsapp_bridge_exited", "(exit 11)", true),
    ];
    let mut house = with_whatsapp(rows[0].1);
    for (name, does, code, says, counted) in rows {
        // Renamed into place: the shell must not read half of it.
        house.home.write("node.next", does);
        std::fs::rename(house.home.root().join("node.next"), house.home.root().join("node.does")).unwrap();
        let before = house.entry("whatsapp")["updated_at"].clone();
        let entry = house.wait_until("whatsapp", name, |entry| {
            entry["state"] == "retrying"
                && entry["error_code"] == code
                && entry["updated_at"] != before
                && entry["error_message"].as_str().is_some_and(|message| message.contains(says))
        });
        assert!(entry["next_retry_at"].is_string(), "{name}: {entry:#}");
        if counted {
            assert!(entry["attempts"].as_u64() > Some(0), "{name}: {entry:#}");
        }
        house.assert_others_unaffected();
    }
    // Two codes take turns; no other line is logged, whatever the number of attempts.
    let lines = house.lines(0, "platform=\"whatsapp\"");
    assert!(lines.len() <= 4, "{}", lines.join("\n"));
    assert_eq!(house.gateway.stop(), Some(0));
}

#[test]
fn row_35_a_node_that_cannot_be_executed_is_for_a_person_to_mend_and_comes_back_when_mended() {
    let mut house = with_whatsapp("exit 127");
    let entry = house.wait_for("whatsapp", "fatal");
    assert_eq!(entry["error_code"], "whatsapp_bridge_exec", "{entry:#}");
    assert!(entry["user_action"].as_str().is_some_and(|action| action.contains("HERMES_NODE")), "{entry:#}");
    house.assert_others_unaffected();
    assert!(house.lines(0, "whatsapp_bridge_exec").len() == 1, "{}", house.gateway.log().join("\n"));
    program(&house.home, "exit 1");
    house.wait_for("whatsapp", "retrying");
    assert_eq!(house.gateway.stop(), Some(0));
}

#[test]
fn row_28_without_node_nothing_is_started_and_it_connects_no_worse_when_node_is_there() {
    let mut house = with_whatsapp("exit 1");
    house.wait_for("whatsapp", "retrying");
    let node = house.home.root().join("node");
    std::fs::set_permissions(&node, PermissionsExt::from_mode(0o600)).unwrap();
    let entry = house.wait_for("whatsapp", "fatal");
    assert_eq!(entry["error_code"], "whatsapp_node_missing", "{entry:#}");
    assert!(entry["user_action"].as_str().is_some_and(|action| action.contains("Node")), "{entry:#}");
    house.assert_others_unaffected();
    assert_eq!(house.lines(0, "whatsapp_node_missing").len(), 1);
    std::fs::set_permissions(&node, PermissionsExt::from_mode(0o755)).unwrap();
    house.wait_for("whatsapp", "retrying");
    assert_eq!(house.gateway.stop(), Some(0));
}

/// Limits a running gateway from now on, and returns what was its limit before.
pub(crate) fn limit(gateway: &Gateway, resource: Resource, current: Option<u64>) -> Option<u64> {
    let pid = Pid::from_raw(gateway.pid().cast_signed());
    let maximum = rustix::process::getrlimit(resource).maximum;
    prlimit(pid, resource, Rlimit { current, maximum }).expect("it is ours").current
}

#[test]
fn row_54_with_a_full_disk_nothing_is_acknowledged_and_all_is_answered_when_there_is_room() {
    // A limit on the size of files is a full disk that a test may make.
    let mut house = House::open(2);
    let player = house.stage.connect("scripted2");
    let since = house.wait_for("scripted2", "connected")["since"].clone();
    player.write("before", "friend", "before");
    player.take_message("before");
    house.gateway.wait_for_log("sent platform=scripted2");
    limit(&house.gateway, Resource::Fsize, Some(0));
    let from = house.gateway.log().len();
    for number in 0..20 {
        player.write(&format!("full {number}"), "friend", &format!("while full {number}"));
    }
    let refused = wait::until(wait::LIMIT, || {
        let said = player.said();
        (said.iter().filter(|said| said["say"] == "refused").count() == 20).then_some(())
    });
    assert!(refused.is_some(), "{:?}", player.said());
    assert!(house.gateway.is_running());
    // The state cannot be written either; but it can be queried.
    let status = house.home.run(["platform", "status"]);
    assert!(status.stdout.contains("disk_full") && status.stdout.contains("degraded"), "{status:?}");
    let doctor = house.home.run(["doctor", "--json"]);
    assert!(doctor.stdout.contains("Free space on the disk"), "{doctor:?}");
    let lines = house.lines(from, "code=");
    assert!(lines.len() <= 4, "{}", lines.join("\n"));
    limit(&house.gateway, Resource::Fsize, None);
    for number in 0..20 {
        player.write(&format!("full {number}"), "friend", &format!("while full {number}"));
    }
    for number in 0..20 {
        player.take_message(&format!("while full {number}"));
    }
    let entry = house.wait_for("scripted2", "connected");
    assert_eq!(entry["since"], since, "the platform itself was well");
    house.assert_others_unaffected();
    assert_eq!(house.gateway.stop(), Some(0));
}

#[test]
fn row_55_a_state_that_cannot_be_written_disturbs_nobody() {
    let mut house = House::furnish(2, QUICK, |home| {
        home.write("gateway_state.json/in the way", "");
    });
    let player = house.stage.connect("scripted2");
    for number in 0..5 {
        player.write(&format!("{number}"), "friend", &format!("unseen {number}"));
        player.take_message(&format!("unseen {number}"));
    }
    let status = house.home.run(["gateway", "status"]);
    assert_eq!(status.code, Some(0), "the lock says that it runs: {status:?}");
    assert_eq!(house.lines(0, "state_file_unwritten").len(), 1, "{}", house.gateway.log().join("\n"));
    assert_eq!(house.gateway.stop(), Some(0));
}

#[test]
fn row_56_a_log_that_nobody_reads_disturbs_nobody() {
    // Its streams are a pipe whose reader has gone.
    let shell = "log=$HERMES_HOME/log; mkfifo $log; : < $log & exec > $log 2>&1; exec \"$@\"";
    let mut house = House::under(shell, 1, QUICK);
    house.well.write("m", "friend", "can you hear me");
    house.well.take_message("can you hear me");
    assert!(house.gateway.is_running());
}

#[test]
fn row_57_without_file_descriptors_the_others_go_on_and_it_connects_when_there_are_some() {
    let mut house = House::open(2);
    let player = house.stage.connect("scripted2");
    house.wait_for("scripted2", "connected");
    let open = std::fs::read_dir(format!("/proc/{}/fd", house.gateway.pid())).unwrap().count() as u64;
    // Open files stay open; the lost connection's own number is free again, and the writer of the state needs it.
    let usual = limit(&house.gateway, Resource::Nofile, Some(open.saturating_sub(1)));
    player.cut();
    // A client of the gateway now waits in the queue until it can be accepted.
    let mut control = UnixStream::connect(house.home.paths().control_socket()).unwrap();
    control.write_all(b"GET /v1/platforms HTTP/1.1\r\nHost: hermes\r\n\r\n").unwrap();
    let address = house.gateway.state()["http"]["address"].as_str().unwrap().to_owned();
    let mut http = TcpStream::connect(&address).unwrap();
    http.write_all(format!("GET /livez HTTP/1.1\r\nHost: {address}\r\n\r\n").as_bytes()).unwrap();
    let told = wait::until(wait::LIMIT, || (!house.lines(0, "net_refused").is_empty()).then_some(()));
    assert!(told.is_some(), "{}", house.gateway.log().join("\n"));
    house.well.write("meanwhile", "friend", "meanwhile");
    house.well.take_message("meanwhile");
    limit(&house.gateway, Resource::Nofile, usual);
    let read = |stream: &mut dyn Read| {
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).unwrap();
        String::from_utf8(bytes).unwrap()
    };
    for said in [read(&mut control), read(&mut http)] {
        assert!(said.starts_with("HTTP/1.1 200"), "{said}");
    }
    drop(house.heal("scripted2"));
    house.assert_others_unaffected();
    assert_eq!(house.gateway.stop(), Some(0));
}

#[test]
fn row_63_a_stop_does_not_wait_for_an_attempt_or_a_wait() {
    let mut house = House::furnish(3, "[gateway]\nreconnect = { first = \"1h\", cap = \"1h\" }\n", |_| {});
    drop(house.stage.attempt("scripted2"));
    house.stage.attempt("scripted3").cue(json!({ "do": "fail", "code": "net_dns" }));
    house.wait_for("scripted2", "connecting");
    house.wait_for("scripted3", "retrying");
    house.assert_others_unaffected();
    assert_eq!(house.gateway.stop(), Some(0), "{}", house.gateway.log().join("\n"));
}

#[test]
fn row_75_a_database_that_another_program_holds_delays_and_loses_nothing() {
    let mut house = House::open(1);
    let other = rusqlite::Connection::open(house.home.paths().database()).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    house.well.write("held", "friend", "held up");
    let fate = |house: &House| {
        house.well.said().iter().find(|said| said["id"] == "held").map(|said| said["say"].clone())
    };
    let refused = wait::until(wait::LIMIT, || fate(&house));
    assert_eq!(refused, Some(json!("refused")), "nothing is acknowledged that is not on disk");
    assert_eq!(house.entry("scripted1")["state"], "connected");
    other.execute_batch("ROLLBACK").unwrap();
    house.well.write("held", "friend", "held up");
    house.well.take_message("held up");
    house.assert_others_unaffected();
    assert_eq!(house.gateway.stop(), Some(0));
}

#[test]
fn rows_76_and_77_a_database_that_is_damaged_or_newer_ends_the_start_with_78_and_is_left_alone() {
    for (name, bytes, code) in [
        ("76 a damaged database", "no database, but a long text ".repeat(400).into_bytes(), "store_damaged"),
        ("77 a newer database", newer(), "store_too_new"),
    ] {
        let home = TestHome::empty();
        home.write(".env", "WHATSAPP_ENABLED=true\n");
        std::fs::set_permissions(home.root(), PermissionsExt::from_mode(0o700)).unwrap();
        home.write("gateway.db", &bytes);
        let answer = home.run(["gateway", "run"]);
        assert_eq!(answer.code, Some(78), "{name}: {answer:?}");
        assert!(answer.stderr.contains("gateway.db") || code == "store_too_new", "{name}: {answer:?}");
        assert_eq!(std::fs::read(home.paths().database()).unwrap(), bytes, "{name}");
        let state: Value =
            serde_json::from_slice(&std::fs::read(home.paths().state_file()).unwrap()).unwrap();
        assert_eq!(state["gateway_state"], "startup_failed", "{name}");
    }
}

fn newer() -> Vec<u8> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("gateway.db");
    let db = rusqlite::Connection::open(&path).unwrap();
    db.execute_batch("CREATE TABLE future (x); PRAGMA user_version = 99;").unwrap();
    drop(db);
    std::fs::read(path).unwrap()
}

#[test]
fn row_58_a_flood_that_nobody_answers_takes_little_memory_and_all_of_it_is_kept() {
    const COUNT: u64 = 1000;
    const LEN: usize = 64 << 10;
    // The agent's service is not there: all messages wait.
    let toml = format!(
        "{QUICK}[agent]\nkind = \"openai\"\nmodel = \"none\"\nbase_url = \"http://127.0.0.1:9/v1\"\n"
    );
    let mut house = House::furnish(1, &toml, |_| {});
    house.well.write("first", "friend", "first");
    house.well.take_message("not available right now");
    let before_kb = house.gateway.peak_kb();
    let text = "x".repeat(LEN);
    for number in 0..COUNT {
        house.well.write(&format!("{number}"), "friend", &text);
    }
    let kept = wait::until(wait::LIMIT, || {
        (house.gateway.state()["queues"]["inbox"].as_u64() == Some(COUNT + 1)).then_some(())
    });
    assert!(kept.is_some(), "{:#}", house.gateway.state()["queues"]);
    let grown_kb = house.gateway.peak_kb() - before_kb;
    let written_kb = COUNT * LEN as u64 / 1024;
    assert!(grown_kb < written_kb / 2, "{grown_kb} kB for {written_kb} kB of messages");
    house.well.take_message("You write faster than I can answer");
    assert_eq!(house.gateway.stop(), Some(0), "{}", house.gateway.log().join("\n"));
}

#[test]
fn row_67_a_gateway_that_was_stopped_for_longer_than_its_watchdog_waits_goes_on_as_before() {
    const LIMIT: Duration = Duration::from_secs(4);
    let mut house = House::furnish(1, QUICK, |home| {
        home.env.push(("WATCHDOG_USEC".to_owned(), LIMIT.as_micros().to_string()));
    });
    house.gateway.signal(Signal::STOP);
    let begun = Instant::now();
    house.well.write("stopped", "friend", "wake up");
    let stat = format!("/proc/{}/stat", house.gateway.pid());
    let is_stopped = || std::fs::read_to_string(&stat).is_ok_and(|stat| stat.contains(") T "));
    let stood = wait::until(wait::LIMIT, || (is_stopped() && begun.elapsed() > LIMIT).then_some(()));
    assert!(stood.is_some());
    house.gateway.signal(Signal::CONT);
    house.well.take_message("wake up");
    // The stall that the watchdog would see is over before it looks again.
    house.assert_others_unaffected();
    assert_eq!(house.gateway.stop(), Some(0));
}

#[test]
fn row_68_signals_that_mean_nothing_change_nothing() {
    let mut house = House::open(1);
    for _ in 0..500 {
        for signal in [Signal::PIPE, Signal::CHILD, Signal::WINCH, Signal::URG] {
            house.gateway.signal(signal);
        }
    }
    // A client that does not wait for the answer breaks the gateway's pipe to it.
    let address = house.gateway.state()["http"]["address"].as_str().unwrap().to_owned();
    for _ in 0..50 {
        let mut stream = TcpStream::connect(&address).unwrap();
        stream.write_all(format!("GET /livez HTTP/1.1\r\nHost: {address}\r\n\r\n").as_bytes()).unwrap();
    }
    house.assert_others_unaffected();
    assert_eq!(house.gateway.stop(), Some(0), "{}", house.gateway.log().join("\n"));
}

#[test]
fn row_72_a_token_has_one_gateway_and_the_next_one_has_it_when_that_is_killed() {
    const TOKEN: &str = "123456:not-a-real-token";
    let locks = tempfile::tempdir().unwrap();
    let open = || {
        let house = House::furnish(2, QUICK, |home| {
            let dir = locks.path().join("locks").to_string_lossy().into_owned();
            home.env.push(("HERMES_GATEWAY_LOCK_DIR".to_owned(), dir));
        });
        house.stage.give_token("scripted2", TOKEN);
        house
    };
    let mut first = open();
    // The attempt of the start knew nothing of a token yet.
    cut(&first, first.heal("scripted2"));
    let player = first.heal("scripted2");
    let mut second = open();
    let early = second.stage.attempt("scripted2");
    early.cue(json!({ "do": "fail", "code": "net_refused" }));
    let entry = second.wait_for("scripted2", "fatal");
    assert_eq!(entry["error_code"], "telegram_token_lock", "{entry:#}");
    let message = entry["error_message"].as_str().unwrap();
    let owner = format!("(process {}, home {})", first.gateway.pid(), first.home.root().display());
    assert!(message.contains("another local gateway") && message.contains(&owner), "{message}");
    assert!(entry["user_action"].as_str().unwrap().contains(&*first.home.root().to_string_lossy()));
    second.assert_others_unaffected();
    assert_eq!(second.lines(0, "telegram_token_lock").len(), 1);
    // The owner notices nothing, also while it is looked at again and again.
    for _ in 0..3 {
        assert_eq!(second.home.run(["platform", "resume", "scripted2"]).code, Some(0));
    }
    assert_eq!(second.wait_for("scripted2", "fatal")["error_code"], "telegram_token_lock");
    player.write("still", "friend", "still mine");
    player.take_message("still mine");
    first.assert_others_unaffected();
    // A token that an operator releases is free for the other, and cannot be had back before it is free again.
    assert_eq!(first.home.run(["platform", "pause", "scripted2"]).code, Some(0));
    second.home.run(["platform", "resume", "scripted2"]).code.expect("it ends");
    let taken = second.heal("scripted2");
    assert_eq!(first.home.run(["platform", "resume", "scripted2"]).code, Some(0));
    let entry = first.wait_for("scripted2", "fatal");
    assert!(entry["error_message"].as_str().unwrap().contains(&format!("process {}", second.gateway.pid())));
    // No cleanup follows a killed process, and none is needed.
    second.gateway.kill();
    drop(taken);
    assert_eq!(first.home.run(["platform", "resume", "scripted2"]).code, Some(0));
    let player = first.heal("scripted2");
    player.write("back", "friend", "mine again");
    player.take_message("mine again");
    first.assert_others_unaffected();
    assert_eq!(first.gateway.stop(), Some(0));
    let shown: Vec<_> = first.gateway.log().into_iter().chain(second.gateway.log()).collect();
    assert!(!shown.join("\n").contains("not-a-real-token"));
}

/// Ends this connection at the service, and waits until the gateway has noticed.
fn cut(house: &House, player: Player) {
    player.cut();
    let gone = wait::until(wait::LIMIT, || (house.entry("scripted2")["state"] != "connected").then_some(()));
    assert!(gone.is_some(), "{:#}", house.gateway.state());
}

/// Runs a command in the namespaces of this gateway.
fn in_the_host_of(gateway: &Gateway, command: &[&str]) {
    let status = std::process::Command::new("nsenter")
        .args(["--preserve-credentials", "--user", "--net", "--target", &gateway.pid().to_string()])
        .args(command)
        .status();
    assert!(status.as_ref().is_ok_and(std::process::ExitStatus::success), "{command:?}: {status:?}");
}

#[test]
fn row_61_what_could_not_be_reached_is_tried_when_the_network_is_back() {
    let can = std::process::Command::new("unshare").args(["-rn", "ip", "link", "set", "lo", "up"]).status();
    if !can.is_ok_and(|status| status.success()) {
        println!(
            "no namespaces here: only the units beside `life::netlink` and `run::tests::network` show this"
        );
        return;
    }
    // By the ladder alone it would be tried in five minutes.
    let patient = "[gateway]\nreconnect = { first = \"300s\", cap = \"300s\" }\n";
    let mut house = House::under("exec unshare -rn \"$@\"", 2, patient);
    let attempt = house.stage.attempt("scripted2");
    attempt.cue(json!({ "do": "fail", "code": "net_dns" }));
    let entry = house.wait_for("scripted2", "retrying");
    assert_eq!(entry["error_code"], "net_dns", "{entry:#}");
    assert!(house.stage.take("scripted2").is_none());
    in_the_host_of(&house.gateway, &["ip", "link", "set", "lo", "up"]);
    let begun = Instant::now();
    let attempt = house.stage.attempt("scripted2");
    assert!(begun.elapsed() < Duration::from_secs(60), "not by the ladder");
    attempt.cue(json!({ "do": "ready" }));
    house.wait_for("scripted2", "connected");
    house.assert_others_unaffected();
    assert_eq!(house.gateway.stop(), Some(0));
}
