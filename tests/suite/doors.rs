//! Access: programs that try to steer the gateway that started them, crowds, and other kinds of files in the place of files.

use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::support::home::TestHome;
use crate::support::house::{House, QUICK};
use crate::support::http::ask;
use crate::support::process::Gateway;
use crate::support::wait;

/// An agent that leaves a process behind, which acts when the agent itself has ended: once as it is, once with a clean
/// environment, and once as the grandchild of a process that has ended as well.
const PLOTTER: &str = r#"#!/bin/sh
read -r turn
agent=$$
steer() {
    for verb in 'platform pause scripted1' 'pairing approve scripted1 ABCD2345' 'pairing allow telegram 666' 'send scripted1:friend hello' \
        'gateway restart' 'gateway stop' 'gateway run' 'doctor --fix' \
        'telegram --token-stdin --allow 666 --no-wait --yes'; do
        $1 HERMES_HOME=HOME HERMES $verb >> "$0.$2" 2>&1; echo "exit $?" >> "$0.$2"
    done
    env -i HERMES_HOME=HOME HERMES platform status --json > "$0.$2.looked" 2>&1
    mv "$0.$2" "$0.$2.done"
}
wait_for_end() { while kill -0 "$agent" 2>/dev/null; do sleep 0.05; done; }
export agent
(trap '' HUP; wait_for_end; steer env marked) </dev/null >/dev/null 2>&1 &
(trap '' HUP; wait_for_end; steer 'env -i' stripped) </dev/null >/dev/null 2>&1 &
( (trap '' HUP; wait_for_end; steer 'setsid env -i' far) </dev/null >/dev/null 2>&1 & ) &
printf 'left'
"#;

#[test]
fn what_an_agent_leaves_behind_may_look_and_not_steer() {
    let dir = tempfile::tempdir().unwrap();
    let agent = dir.path().join("agent");
    let toml = format!(
        "{QUICK}[agent]\nkind = \"command\"\ncommand = [\"setsid\", \"-w\", \"{}\"]\n",
        agent.display()
    );
    let mut house = House::furnish(1, &toml, |home| {
        let text = PLOTTER.replace("HERMES_HOME=HOME", &format!("HERMES_HOME={}", home.root().display()));
        std::fs::write(&agent, text.replace(" HERMES ", &format!(" {} ", env!("CARGO_BIN_EXE_hermes"))))
            .unwrap();
        std::fs::set_permissions(&agent, PermissionsExt::from_mode(0o700)).unwrap();
    });
    house.well.write("M1", "friend", "hello");
    let sent = || house.well.said().into_iter().find(|said| said["say"] == "send");
    let answer = wait::until(wait::LIMIT, sent).expect("an answer");
    house.well.cue(serde_json::json!({ "do": "sent", "handle": answer["handle"] }));
    for way in ["marked", "stripped", "far"] {
        let done = agent.with_extension(format!("{way}.done"));
        let steered = wait::until(wait::LIMIT, || std::fs::read_to_string(&done).ok());
        let Some(steered) = steered else { panic!("{way}:\n{}", house.gateway.log().join("\n")) };
        assert_eq!(steered.matches("cannot control it").count(), 9, "{way}: {steered}");
        assert_eq!(steered.matches("exit 1").count(), 9, "{way}: {steered}");
        let looked = std::fs::read_to_string(agent.with_extension(format!("{way}.looked"))).unwrap();
        let looked: serde_json::Value = serde_json::from_str(&looked).expect("JSON");
        assert_eq!(looked["running"], true, "{way}: {looked:#}");
    }
    assert!(house.gateway.is_running());
    assert_eq!(house.entry("scripted1")["state"], "connected");
    // Adopted processes are reaped.
    let us = house.gateway.pid().to_string();
    let zombies = || {
        let stats = std::fs::read_dir("/proc").unwrap().flatten();
        let stats = stats.filter_map(|entry| std::fs::read_to_string(entry.path().join("stat")).ok());
        let fields = stats.filter_map(|stat| stat.rsplit_once(") ").map(|(_, rest)| rest.to_owned()));
        fields.filter(|fields| fields.starts_with(&format!("Z {us} "))).count()
    };
    assert!(wait::until(wait::LIMIT, || (zombies() == 0).then_some(())).is_some(), "{} zombies", zombies());
    assert_eq!(house.gateway.stop(), Some(0));
}

#[test]
fn a_crowd_at_the_control_socket_keeps_no_command_waiting() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    const CROWD: usize = 2000;
    let files = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: files.maximum, ..files }).unwrap();
    let mut house = House::open(1);
    let socket = house.home.paths().control_socket();
    let crowd = std::thread::spawn(move || {
        let connect = |_| std::os::unix::net::UnixStream::connect(&socket).expect("a connection");
        (0..CROWD).map(connect).collect::<Vec<_>>()
    });
    let silent = crowd.join().expect("all were taken");
    assert_eq!(silent.len(), CROWD);
    // A machine that is busy with other things may need a second look.
    let status = || house.home.run(["gateway", "status"]);
    let answers = wait::until(wait::LIMIT, || (status().code == Some(0)).then_some(()));
    assert!(answers.is_some(), "{:?}\n{}", status(), house.gateway.log().join("\n"));
    house.assert_others_unaffected();
    assert_eq!(house.gateway.stop(), Some(0));
}

#[test]
fn a_crowd_of_silent_connections_keeps_no_probe_waiting() {
    const CROWD: usize = 2000;
    const SHARE: usize = 500;
    let mut home = TestHome::empty();
    home.env.push(("API_SERVER_PORT".to_owned(), String::new()));
    home.write("gateway.toml", "[gateway]\nhttp = { bind = \"127.0.0.1:0\" }\n");
    home.write(".env", "WHATSAPP_ENABLED=true\nWHATSAPP_MODE=self-chat\n");
    let mut gateway = Gateway::start(&home);
    let address = || gateway.state()["http"]["address"].as_str().map(str::to_owned);
    let address = wait::until(wait::LIMIT, || address().filter(|address| !address.ends_with(":0")))
        .expect("an address");
    // Some send nothing, some a byte now and then; each share in a separate process, for its files.
    let script = format!(
        "i=0; while [ $i -lt {SHARE} ]; do exec {{fd}}<>/dev/tcp/{} || exit 1; i=$((i+1)); \
         [ $((i % 3)) = 0 ] && printf 'G' >&$fd; done 2>/dev/null; echo ready; read -r _",
        address.replace(':', "/")
    );
    let script = format!("ulimit -n 4096 2>/dev/null || ulimit -n 1024; {script}");
    let mut crowd: Vec<_> = (0..CROWD / SHARE)
        .map(|_| {
            let mut command = Command::new("bash");
            command.args(["-c", &script]).stdin(Stdio::piped()).stdout(Stdio::piped());
            command.spawn().expect("bash")
        })
        .collect();
    for part in &mut crowd {
        let mut line = String::new();
        BufReader::new(part.stdout.as_mut().expect("piped")).read_line(&mut line).unwrap();
        assert_eq!(line, "ready\n");
        // While the rest is still coming, too.
        let asked = std::time::Instant::now();
        assert_eq!(ask(&address, "GET /livez", &[]).status, 200);
        // An answer takes milliseconds; without room it took as long as a silent connection may: 5 s for each 64 of them.
        assert!(asked.elapsed() < std::time::Duration::from_secs(4), "{:?}", asked.elapsed());
    }
    gateway.wait_for_log("connections_crowded");
    for mut part in crowd {
        part.kill().ok();
        part.wait().unwrap();
    }
    assert_eq!(gateway.stop(), Some(0));
}

/// Runs a gateway with this in its home, and returns how it ended.
fn refused(home: &TestHome) -> (Option<i32>, String) {
    let answer = home.run(["gateway", "run"]);
    (answer.code, answer.stderr)
}

#[test]
fn settings_that_are_not_files_or_not_ours_are_refused_at_once() {
    let fifo = |path: &Path| {
        let mode = rustix::fs::Mode::from_raw_mode(0o600);
        rustix::fs::mknodat(rustix::fs::CWD, path, rustix::fs::FileType::Fifo, mode, 0).unwrap();
    };
    for name in [".env", "gateway.toml", "gateway.lock", "gateway.db"] {
        for what in ["a pipe", "a device", "a folder", "a huge file", "everybody's"] {
            let home = TestHome::empty();
            home.write(".env", "WHATSAPP_ENABLED=true\nWHATSAPP_MODE=self-chat\n");
            let path = home.root().join(name);
            std::fs::remove_file(&path).ok();
            match what {
                "a pipe" => fifo(&path),
                "a device" => std::os::unix::fs::symlink("/dev/zero", &path).unwrap(),
                "a folder" => std::fs::create_dir(&path).unwrap(),
                "a huge file" if name.starts_with("gateway.l") || name == "gateway.db" => continue,
                "a huge file" => std::fs::File::create(&path).unwrap().set_len(1 << 40).unwrap(),
                _ if name.starts_with("gateway.l") || name == "gateway.db" => continue,
                _ => {
                    home.write(name, "");
                    std::fs::set_permissions(&path, PermissionsExt::from_mode(0o666)).unwrap();
                }
            }
            let (code, told) = refused(&home);
            assert_eq!(code, Some(78), "{name} is {what}: {told}");
            assert!(told.contains(name), "{name} is {what}: {told}");
        }
    }
    // A file that hermes only writes or can do without prevents nothing.
    let mut home = TestHome::empty();
    home.env.push(("WHATSAPP_ENABLED".to_owned(), "true".to_owned()));
    let foreign = home.write("foreign", "precious");
    for name in ["gateway.boots", "gateway_state.json", "gateway.pid"] {
        fifo(&home.root().join(name));
    }
    let status = home.run(["platform", "status"]);
    assert_eq!(status.code, Some(3), "{status:?}");
    // This test reads it itself.
    std::fs::remove_file(home.root().join("gateway_state.json")).unwrap();
    std::os::unix::fs::symlink(&foreign, home.root().join("gateway.db.reserve")).unwrap();
    let mut gateway = Gateway::start(&home);
    gateway.wait_for_state("fatal");
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", gateway.pid())).unwrap();
    let core = limits.lines().find(|line| line.starts_with("Max core file size")).unwrap();
    assert_eq!(core.split_whitespace().filter(|word| *word == "0").count(), 2, "{core}");
    let environment = std::fs::read(format!("/proc/{}/environ", gateway.pid()));
    assert!(environment.is_err() || rustix::process::geteuid().is_root(), "other programs can read it");
    assert_eq!(gateway.stop(), Some(0));
    assert_eq!(std::fs::read_to_string(foreign).unwrap(), "precious");
}

#[test]
fn what_stands_in_the_place_of_a_file_of_the_store_is_named_and_not_taken_for_a_failing_disk() {
    for name in ["gateway.db", "gateway.db-wal", "gateway.db-shm"] {
        let home = TestHome::empty();
        home.write(".env", "WHATSAPP_ENABLED=true\nWHATSAPP_MODE=self-chat\n");
        let path = home.root().join(name);
        std::fs::create_dir(&path).unwrap();
        let (code, told) = refused(&home);
        assert_eq!(code, Some(78), "{name}: {told}");
        assert!(told.contains(&format!("{} is a folder", path.display())), "{told}");
        assert!(told.contains(&format!("mv {0} {0}.aside", path.display())), "{told}");
        assert!(!told.contains("disk"), "{told}");
    }
}

#[test]
fn the_target_of_a_database_that_is_a_link_keeps_its_mode_while_it_is_no_database_or_not_ours() {
    let home = TestHome::empty();
    home.write(".env", "WHATSAPP_ENABLED=true\nWHATSAPP_MODE=self-chat\n");
    let foreign = home.write("foreign", "precious");
    std::fs::set_permissions(&foreign, PermissionsExt::from_mode(0o644)).unwrap();
    std::os::unix::fs::symlink(&foreign, home.root().join("gateway.db")).unwrap();
    let mut gateway = Gateway::start(&home);
    wait::until(wait::LIMIT, || (!gateway.is_running() || gateway.state().is_object()).then_some(()));
    drop(gateway);
    assert_eq!(std::fs::read_to_string(&foreign).unwrap(), "precious");
    assert_eq!(foreign.metadata().unwrap().permissions().mode() & 0o777, 0o644);
}

#[test]
fn a_disk_that_fails_while_the_store_is_opened_is_said_and_the_next_start_goes_on() {
    for place in ["open.before", "open.after"] {
        let mut home = TestHome::empty();
        home.write(".env", "WHATSAPP_ENABLED=true\nWHATSAPP_MODE=self-chat\n");
        home.env.push(("HERMES_FAILPOINT".to_owned(), format!("{place}:error")));
        let (code, told) = refused(&home);
        // A service manager starts it again: the fault may pass.
        assert_eq!(code, Some(1), "{place}: {told}");
        assert!(told.contains("the disk failed") && told.contains("dmesg"), "{place}: {told}");
        assert!(told.contains("gateway.db"), "{place}: {told}");
        home.env.pop();
        let mut gateway = Gateway::start(&home);
        gateway.wait_for_state("fatal");
        assert_eq!(gateway.stop(), Some(0));
    }
}

#[test]
fn a_lock_that_is_a_link_is_refused_and_what_it_points_at_is_left_alone() {
    let home = TestHome::empty();
    home.write(".env", "WHATSAPP_ENABLED=true\n");
    let foreign = home.write("foreign", "precious");
    std::os::unix::fs::symlink(&foreign, home.root().join("gateway.lock")).unwrap();
    let (code, told) = refused(&home);
    assert_eq!(code, Some(78), "{told}");
    assert!(told.contains("symbolic link"), "{told}");
    assert_eq!(std::fs::read_to_string(foreign).unwrap(), "precious");
}

#[test]
fn files_that_are_taken_away_from_a_running_gateway_are_missed_at_once() {
    let mut house = House::open(2);
    let _second = house.heal("scripted2");
    let root = house.home.root();
    let until = |house: &House, what: &str, is_so: &dyn Fn() -> bool| {
        let seen = wait::until(wait::LIMIT, || is_so().then_some(()));
        assert!(seen.is_some(), "{what}: {:#}\n{}", house.gateway.state(), house.gateway.log().join("\n"));
    };
    house.assert_others_unaffected();

    // The socket is made again, and the lock is held at its path again.
    std::fs::remove_file(root.join("gateway.sock")).unwrap();
    std::fs::remove_file(root.join("gateway.lock")).unwrap();
    until(&house, "no socket", &|| house.home.run(["platform", "pause", "scripted2"]).code == Some(0));
    until(&house, "no lock", &|| house.home.run(["gateway", "status"]).code == Some(0));

    // The log beside the database is started again.
    std::fs::remove_file(root.join("gateway.db-wal")).unwrap();
    house.gateway.wait_for_log("store_log_removed");
    house.assert_others_unaffected();

    // Another kind of file in the place of the log or of the lock is named, and forgotten once it is gone.
    for (name, code) in [
        ("gateway.db-wal", "store_in_the_way"),
        ("gateway.db-shm", "store_in_the_way"),
        ("gateway.lock", "lock_replaced"),
    ] {
        let has = |house: &House| house.gateway.state()["problems"].to_string().contains(code);
        std::fs::rename(root.join(name), root.join("aside")).unwrap();
        std::fs::create_dir(root.join(name)).unwrap();
        until(&house, name, &|| has(&house));
        std::fs::remove_dir(root.join(name)).unwrap();
        std::fs::rename(root.join("aside"), root.join(name)).unwrap();
        until(&house, name, &|| !has(&house));
        house.assert_others_unaffected();
    }

    // Messages are not taken into a database that is not there.
    std::fs::rename(root.join("gateway.db"), root.join("aside")).unwrap();
    let is_told = |house: &House| house.gateway.state()["problems"].to_string().contains("store_replaced");
    until(&house, "not told", &|| is_told(&house));
    let status = house.home.run(["platform", "status"]);
    assert!(status.stdout.contains("Put it back"), "{status:?}");
    std::fs::rename(root.join("aside"), root.join("gateway.db")).unwrap();
    until(&house, "not over", &|| !is_told(&house));
    house.assert_others_unaffected();
    assert_eq!(house.gateway.stop(), Some(0));
}

#[test]
fn a_first_start_on_a_full_disk_is_tried_again_and_says_what_to_do() {
    let home = TestHome::empty();
    home.write(".env", "");
    let shell = "exec unshare -rm sh -c 'mount -t tmpfs -o size=64k,mode=700 tmpfs \"$HERMES_HOME\" && \
                 printf WHATSAPP_ENABLED=true > \"$HERMES_HOME/.env\" && \
                 { cat /dev/zero > \"$HERMES_HOME/filler\"; exec \"$@\"; }' sh \"$@\"";
    let plain = home.command(["gateway", "run"]);
    let mut command = Command::new("sh");
    command.args(["-c", shell, "sh"]).arg(plain.get_program()).args(plain.get_args()).stdin(Stdio::null());
    let output = command.env_clear().envs(home.variables()).output().unwrap();
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    // 78 would not be started again by a service manager.
    assert_eq!(output.status.code(), Some(1), "{told}");
    assert!(told.contains("gateway.lock cannot be used") && told.contains("df -h"), "{told}");
}
