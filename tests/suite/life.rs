//! The process: its end, a second gateway, the messages to its service manager, and its children.

use std::io::Read;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use portable_pty::{CommandBuilder, PtySize, native_pty_system};
use rustix::process::Signal;
use serde_json::{Value, json};

use crate::support::home::TestHome;
use crate::support::http::ask;
use crate::support::pairing::{FRIEND, paired};
use crate::support::process::{Gateway, is_alive};
use crate::support::stage::Stage;
use crate::support::wait;

/// Makes a home in which WhatsApp is enabled and no phone is paired: a gateway that runs, and has nothing that it could do.
fn blocked_home() -> TestHome {
    let home = TestHome::empty();
    home.write(".env", "WHATSAPP_ENABLED=true\n");
    home
}

fn last_words(home: &TestHome) -> Value {
    serde_json::from_slice(&std::fs::read(home.paths().state_file()).unwrap()).unwrap()
}

#[test]
fn each_way_of_asking_has_its_exit_code_and_its_last_words() {
    for (signal, code, reason) in [
        (Signal::TERM, 0, "stopped on request"),
        (Signal::INT, 0, "stopped on request"),
        (Signal::USR1, 75, "restart requested"),
    ] {
        let (home, _manager) = manager();
        let mut gateway = Gateway::start(&home);
        gateway.wait_for_state("fatal");
        gateway.signal(signal);
        assert_eq!(gateway.exit_code(), Some(code), "{signal:?}: {:#?}", gateway.log());
        let last = last_words(&home);
        assert_eq!(last["gateway_state"], "stopped");
        assert_eq!(last["exit_reason"], reason);
        assert_eq!(last["restart_requested"], code == 75);
        assert!(!home.paths().pid_file().exists(), "the pid file is gone");
        assert_eq!(home.run(["gateway", "status"]).code, Some(3));
    }
}

#[test]
fn a_terminal_that_is_gone_ends_what_it_ran() {
    let home = blocked_home();
    let terminal = native_pty_system().openpty(PtySize::default()).unwrap();
    let mut command = CommandBuilder::new(env!("CARGO_BIN_EXE_hermes"));
    command.args(["gateway", "run"]);
    command.env_clear();
    for (key, value) in home.variables() {
        command.env(key, value);
    }
    let mut gateway = terminal.slave.spawn_command(command).unwrap();
    drop(terminal.slave);
    let is_up = || {
        let state = std::fs::read(home.paths().state_file()).unwrap_or_default();
        let state: Value = serde_json::from_slice(&state).unwrap_or_default();
        (state["platforms"]["whatsapp"]["state"] == "fatal").then_some(())
    };
    assert!(wait::until(wait::LIMIT, is_up).is_some());
    drop(terminal.master);
    let ended = wait::until(wait::LIMIT, || gateway.try_wait().unwrap());
    assert_eq!(ended.map(|status| status.exit_code()), Some(0));
    let last = last_words(&home);
    assert_eq!(
        (&last["gateway_state"], &last["exit_reason"]),
        (&"stopped".into(), &"stopped on request".into())
    );
}

#[test]
fn with_nothing_but_blocked_platforms_it_stays_unless_it_is_told_to_end() {
    let home = blocked_home();
    home.write("gateway.toml", "[gateway]\nexit_when_all_blocked = \"always\"\n");
    let mut gateway = Gateway::start(&home);
    assert_eq!(gateway.exit_code(), Some(0), "{:#?}", gateway.log());
    let reason = last_words(&home)["exit_reason"].as_str().unwrap().to_owned();
    assert!(reason.contains("linked"), "{reason}");
    gateway.wait_for_log("all_blocked");
}

#[test]
fn what_only_a_person_can_mend_at_the_start_is_78() {
    let home = blocked_home();
    home.write("gateway.toml", "[gateway\n");
    let answer = home.run(["gateway", "run"]);
    assert_eq!(answer.code, Some(78), "{answer:?}");
    assert!(answer.stderr.contains("line 1, column 9"), "{answer:?}");
    assert_eq!(last_words(&home)["gateway_state"], "startup_failed", "the status tells it");
    assert!(!home.paths().pid_file().exists());
}

/// Makes a service that takes connections and never answers.
fn mute_agent() -> (std::net::TcpListener, String) {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    (listener, format!("http://{address}/v1"))
}

#[test]
fn a_drain_past_its_limit_is_1_and_a_second_interrupt_is_130() {
    let (home, mut fake) = paired();
    let (_listener, url) = mute_agent();
    for (drain_timeout, signals, code) in
        [("100ms", &[Signal::TERM][..], 1), ("10m", &[Signal::INT, Signal::INT][..], 130)]
    {
        home.write(
            "gateway.toml",
            format!(
                "[agent]\nkind = \"openai\"\nbase_url = \"{url}\"\n[gateway]\ndrain_timeout = \"{drain_timeout}\"\n\
                 [platforms.whatsapp]\nweb_socket_url = \"{}\"\n",
                fake.url
            ),
        );
        let mut gateway = Gateway::start(&home);
        gateway.wait_for_state("connected");
        fake.tell(json!({ "cmd": "message", "from": FRIEND, "text": format!("for {code}") }));
        let busy = wait::until(wait::LIMIT, || (gateway.state()["active_agents"] == 1).then_some(()));
        assert!(busy.is_some(), "{:#}", gateway.state());
        for signal in signals {
            gateway.signal(*signal);
            let draining =
                wait::until(wait::LIMIT, || (last_words(&home)["gateway_state"] != "running").then_some(()));
            assert!(draining.is_some(), "{:#}", gateway.state());
        }
        assert_eq!(gateway.exit_code(), Some(code), "{:#?}", gateway.log());
    }
}

#[test]
fn a_second_gateway_takes_over_when_the_first_ends_and_touches_nothing_before() {
    let home = blocked_home();
    let mut first = Gateway::start(&home);
    first.wait_for_state("fatal");
    let mut second = Gateway::start(&home);
    let line = second.wait_for_log("gateway_lock");
    assert!(line.contains(&format!("process {}", first.pid())), "{line}");
    assert_eq!(last_words(&home)["pid"], first.pid());
    let pid_file = std::fs::read_to_string(home.paths().pid_file()).unwrap();
    assert!(pid_file.contains(&first.pid().to_string()), "{pid_file}");
    assert_eq!(first.stop(), Some(0));
    second.wait_for_state("fatal");
    assert_eq!(last_words(&home)["pid"], second.pid());
    // The lock of a killed owner is free at once.
    second.kill();
    let mut third = Gateway::start(&home);
    third.wait_for_state("fatal");
    assert!(!third.log().iter().any(|line| line.contains("gateway_lock")), "{:#?}", third.log());
    assert_eq!(third.stop(), Some(0));
}

#[test]
fn a_second_gateway_gives_up_at_the_limit_and_can_be_stopped_before() {
    let (home, _manager) = manager();
    home.write("gateway.toml", "[gateway]\ndrain_timeout = \"1s\"\n");
    let mut first = Gateway::start(&home);
    first.wait_for_state("fatal");
    for (signal, code) in [(Signal::TERM, 0), (Signal::INT, 130), (Signal::USR1, 75)] {
        let mut waiting = Gateway::start(&home);
        waiting.wait_for_log("gateway_lock");
        waiting.signal(signal);
        assert_eq!(waiting.exit_code(), Some(code), "{signal:?}");
    }
    let answer = home.run(["gateway", "run"]);
    assert_eq!(answer.code, Some(78), "{answer:?}");
    assert!(answer.stderr.contains(&format!("process {}", first.pid())), "{answer:?}");
    assert!(first.is_running(), "the owner is left alone");
    assert_eq!(first.state()["pid"], first.pid());
    assert!(std::fs::read_to_string(home.paths().pid_file()).unwrap().contains(&first.pid().to_string()));
    assert_eq!(first.stop(), Some(0));
}

#[test]
fn a_pid_that_was_left_behind_means_nothing_to_the_next_gateway() {
    let home = blocked_home();
    let mut stranger = Command::new("sleep").arg("1000").spawn().unwrap();
    let pid = stranger.id();
    let left = json!({ "kind": "hermes-gateway", "pid": pid, "start_time": 1 }).to_string();
    home.write("gateway.pid", &left);
    home.write("gateway.lock", format!("{pid}\n"));
    let mut state = json!({ "kind": "hermes-gateway", "pid": pid, "gateway_state": "running" });
    state["updated_at"] = json!("2026-01-01T00:00:00Z");
    home.write("gateway_state.json", state.to_string());
    let mut gateway = Gateway::start(&home);
    gateway.wait_for_state("fatal");
    assert!(!gateway.log().iter().any(|line| line.contains("gateway_lock")), "{:#?}", gateway.log());
    assert_eq!(gateway.stop(), Some(0));
    assert!(is_alive(pid), "nobody is signalled for a pid that somebody wrote down");
    stranger.kill().unwrap();
    stranger.wait().unwrap();
}

/// Waits until the service manager of a test gets a line that begins so, and returns the whole message.
fn told(manager: &UnixDatagram, line: &str) -> String {
    let mut bytes = [0; 4096];
    loop {
        let length = manager.recv(&mut bytes).unwrap_or_else(|_| panic!("`{line}` was never told"));
        let message = String::from_utf8_lossy(&bytes[..length]).into_owned();
        if message.lines().any(|told| told.starts_with(line)) {
            return message;
        }
    }
}

/// Makes a service manager that listens, and a home whose gateways report to it.
fn manager() -> (TestHome, UnixDatagram) {
    let mut home = blocked_home();
    let path = home.write("notify", "");
    std::fs::remove_file(&path).unwrap();
    let manager = UnixDatagram::bind(&path).unwrap();
    manager.set_read_timeout(Some(wait::LIMIT)).unwrap();
    home.env.push(("NOTIFY_SOCKET".to_owned(), path.to_string_lossy().into_owned()));
    (home, manager)
}

#[test]
fn the_service_manager_hears_of_the_start_the_turning_loop_a_reload_and_the_end() {
    let (mut home, manager) = manager();
    home.env.push(("WATCHDOG_USEC".to_owned(), "4000000".to_owned()));
    home.write("gateway.toml", "[gateway]\ndrain_timeout = \"100s\"\n");
    let mut gateway = Gateway::start(&home);
    assert!(told(&manager, "STATUS=opening the store").contains("\nEXTEND_TIMEOUT_USEC="));
    told(&manager, "READY=1");
    told(&manager, "STATUS=degraded: whatsapp fatal (whatsapp_not_paired)");
    told(&manager, "WATCHDOG=1");
    told(&manager, "WATCHDOG=1");
    // Nothing has changed, and the end of the reload is reported all the same.
    gateway.signal(Signal::HUP);
    assert!(told(&manager, "RELOADING=1").contains("\nMONOTONIC_USEC="));
    told(&manager, "READY=1");
    home.write("gateway.toml", "[gateway\n");
    told(
        &manager,
        "STATUS=degraded: whatsapp fatal (whatsapp_not_paired); the changed settings could not be read",
    );
    gateway.signal(Signal::HUP);
    told(&manager, "RELOADING=1");
    told(&manager, "READY=1");
    gateway.signal(Signal::TERM);
    assert_eq!(told(&manager, "STOPPING=1"), "STOPPING=1\nEXTEND_TIMEOUT_USEC=116000000");
    assert_eq!(gateway.exit_code(), Some(0));
}

#[test]
fn the_service_manager_hears_what_a_long_start_waits_for() {
    let (home, manager) = manager();
    let mut first = Gateway::start(&home);
    first.wait_for_state("fatal");
    told(&manager, "READY=1");
    let mut second = Gateway::start(&home);
    let waiting = told(&manager, "STATUS=waiting for another gateway to stop");
    assert!(waiting.ends_with("\nEXTEND_TIMEOUT_USEC=30000000"), "{waiting}");
    assert_eq!(first.stop(), Some(0));
    told(&manager, "READY=1");
    second.wait_for_state("fatal");
    assert_eq!(second.stop(), Some(0));
}

#[test]
fn a_loop_that_stands_still_ends_the_process_with_1() {
    let mut home = blocked_home();
    home.env.push(("WATCHDOG_USEC".to_owned(), "2000000".to_owned()));
    home.env.push(("HERMES_FAILPOINT".to_owned(), "loop.turn:4:hang".to_owned()));
    let mut child = Stalling(
        home.command(["gateway", "run"]).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap(),
    );
    let status = wait::until(wait::LIMIT, || child.0.try_wait().unwrap());
    let mut log = String::new();
    child.0.stderr.take().unwrap().read_to_string(&mut log).unwrap();
    assert_eq!(status.expect("it hangs for ever").code(), Some(1), "{log}");
    assert!(log.contains(r#"code="loop_stalled""#), "{log}");
}

struct Stalling(Child);

impl Drop for Stalling {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

#[test]
fn the_units_of_the_service_are_what_systemd_accepts() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("assets/service");
    for name in ["hermes.service", "hermes-user.service"] {
        let text = std::fs::read_to_string(folder.join(name)).unwrap();
        for line in [
            "Type=notify",
            "WatchdogSec=60",
            "Restart=on-failure",
            "RestartForceExitStatus=75",
            "SuccessExitStatus=75",
            "RestartPreventExitStatus=78",
            "KillMode=mixed",
            // A machine short of memory takes a bridge, and not the gateway; what was in memory is not written to disk.
            "OOMPolicy=continue",
            "MemoryHigh=1G",
            "LimitCORE=0",
            "ExecReload=/bin/kill -HUP $MAINPID",
        ] {
            assert!(text.lines().any(|own| own == line), "{name} lacks {line}");
        }
        let Ok(program) = which::which("systemd-analyze") else { continue };
        // The program of the unit must exist where it is verified.
        let text: Vec<String> = text
            .lines()
            .map(|line| match line.strip_prefix("ExecStart=") {
                Some(_) => "ExecStart=/bin/sh gateway run".to_owned(),
                None => line.to_owned(),
            })
            .collect();
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(name);
        std::fs::write(&path, text.join("\n")).unwrap();
        let output = Command::new(&program).arg("verify").arg(&path).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success() && said.is_empty(), "{name}: {said}");
        if name == "hermes.service" {
            let output = Command::new(program)
                .args(["security", "--offline=true", "--threshold=20", "--no-pager"])
                .arg(&path)
                .output()
                .unwrap();
            assert!(
                output.status.success(),
                "exposure above 2.0:\n{}",
                String::from_utf8_lossy(&output.stdout)
            );
        }
    }
}

/// True when this machine lets us be process 1 of a namespace.
fn namespaces() -> bool {
    let probe = Command::new("unshare").args(["-pf", "--mount-proc", "true"]).stderr(Stdio::null()).status();
    probe.is_ok_and(|status| status.success())
}

/// Returns pid and state letter of every process below this one, in its own namespace or ours.
fn descendants(pid: u32) -> Vec<(u32, char)> {
    let mut found = Vec::new();
    let mut open = vec![pid];
    while let Some(parent) = open.pop() {
        let Ok(text) = std::fs::read_to_string(format!("/proc/{parent}/task/{parent}/children")) else {
            continue;
        };
        for child in text.split_whitespace().filter_map(|pid| pid.parse::<u32>().ok()) {
            let Ok(stat) = std::fs::read_to_string(format!("/proc/{child}/stat")) else { continue };
            let state = stat.rsplit_once(") ").and_then(|(_, rest)| rest.chars().next()).unwrap_or('?');
            found.push((child, state));
            open.push(child);
        }
    }
    found
}

#[test]
fn process_1_of_a_container_reaps_orphans_and_passes_signals_and_exit_codes_on() {
    if !namespaces() {
        // Without the right to make a namespace a test cannot be process 1; the rest of this file still holds.
        return;
    }
    let (mut home, _manager) = manager();
    // A Node whose version check leaves an orphan behind, which ends while no one waits for it.
    let node = home.write("node", "#!/bin/sh\n(sleep 0.2; sleep 0.3) >/dev/null 2>&1 &\necho v22.0.0\n");
    std::fs::set_permissions(&node, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    home.env.push(("HERMES_NODE".to_owned(), node.to_string_lossy().into_owned()));
    for (signal, code) in [(Signal::TERM, 0), (Signal::INT, 0), (Signal::USR1, 75)] {
        drop(std::fs::remove_file(home.paths().whatsapp().node_cache()));
        let mut command = Command::new("unshare");
        command.args(["-pf", "--mount-proc", env!("CARGO_BIN_EXE_hermes"), "gateway", "run"]);
        command.env_clear().envs(home.variables()).stdin(Stdio::null()).stderr(Stdio::piped());
        let mut unshare = Stalling(command.spawn().unwrap());
        let state = wait::until(wait::LIMIT, || {
            let document: Value =
                serde_json::from_slice(&std::fs::read(home.paths().state_file()).ok()?).ok()?;
            (document["platforms"]["whatsapp"]["state"] == "fatal").then_some(document)
        });
        let state = state.expect("the gateway runs");
        assert_ne!(state["pid"], 1, "process 1 only looks after the gateway");
        let below = descendants(unshare.0.id());
        let init = below[0].0;
        let clean = wait::until(wait::LIMIT, || {
            let below = descendants(init);
            (below.len() == 1 && below[0].1 != 'Z').then_some(())
        });
        assert!(clean.is_some(), "orphans are left: {:?}", descendants(init));
        let init = rustix::process::Pid::from_raw(init.cast_signed()).unwrap();
        rustix::process::kill_process(init, signal).unwrap();
        let status = wait::until(wait::LIMIT, || unshare.0.try_wait().unwrap()).expect("it ends");
        assert_eq!(status.code(), Some(code), "{signal:?}");
        drop(std::fs::remove_file(home.paths().state_file()));
    }
}

/// Returns the open files of a process; those that the runtime opens and closes by itself are not among them for long.
fn open_files(pid: u32) -> usize {
    std::fs::read_dir(format!("/proc/{pid}/fd")).unwrap().count()
}

#[test]
fn thirty_bridges_later_nothing_has_been_left_behind() {
    let (mut home, mut fake) = paired();
    home.env.push(("HTTPS_PROXY".to_owned(), "http://127.0.0.1:9".to_owned()));
    home.write(
        "gateway.toml",
        format!(
            "[gateway]\nreconnect = {{ first = \"10ms\", cap = \"10ms\", stable_after = \"10ms\" }}\n\
             [platforms.whatsapp]\nweb_socket_url = \"{}\"\n",
            fake.url
        ),
    );
    let mut gateway = Gateway::start(&home);
    gateway.wait_for_state("connected");
    let files = open_files(gateway.pid());
    for round in 1..=30 {
        fake.tell(json!({ "cmd": "fault", "name": "reset" }));
        let ups = || gateway.log().iter().filter(|line| line.contains("code=\"connected\"")).count();
        let again = wait::until(wait::LIMIT, || (ups() > round).then_some(()));
        assert!(again.is_some(), "it did not come back:\n{}", gateway.log().join("\n"));
    }
    assert_eq!(gateway.children().len(), 1);
    let back = wait::until(Duration::from_secs(20), || (open_files(gateway.pid()) <= files).then_some(()));
    assert!(back.is_some(), "{files} files at first, {} now", open_files(gateway.pid()));
    let zombies: Vec<_> = descendants(gateway.pid()).into_iter().filter(|(_, state)| *state == 'Z').collect();
    assert_eq!(zombies, []);
    assert_eq!(gateway.stop(), Some(0));
}

#[test]
fn platforms_without_hope_neither_end_the_process_nor_disturb_the_one_that_works() {
    let stage = Stage::new(3);
    let mut home = blocked_home();
    home.env.push(stage.variable());
    home.env.push(("API_SERVER_PORT".to_owned(), String::new()));
    home.write(
        "gateway.toml",
        "[gateway]\nhttp = { bind = \"127.0.0.1:0\" }\nreconnect = { first = \"50ms\", cap = \"50ms\" }\n",
    );
    stage.block("scripted2", &json!({ "code": "telegram_bad_token", "user_action": "enter it again" }));
    let mut gateway = Gateway::start(&home);
    let well = stage.connect("scripted1");
    let pid = gateway.pid();
    for round in 0..8 {
        stage.attempt("scripted3").cue(json!({ "do": "fail", "code": "net_dns" }));
        well.write(&format!("m{round}"), "friend", &format!("round {round}"));
        well.take_message(&format!("round {round}"));
    }
    let state = gateway.state();
    assert_eq!(state["gateway_state"], "degraded", "{state:#}");
    for (platform, shown) in [("whatsapp", "fatal"), ("scripted1", "connected"), ("scripted2", "fatal")] {
        assert_eq!(state["platforms"][platform]["state"], shown, "{state:#}");
    }
    let address = state["http"]["address"].as_str().unwrap().to_owned();
    assert_eq!(ask(&address, "GET /livez", &[]).status, 200);
    assert!(gateway.is_running() && gateway.state()["pid"] == pid);
    assert!(stage.take("scripted2").is_none(), "a bad token is not tried");
    assert_eq!(gateway.stop(), Some(0));
}
