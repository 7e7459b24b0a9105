//! `gateway start`, `stop` and `restart`: they return when the request is fulfilled, and report when it will not be.

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::support::home::{Answer, TestHome};
use crate::support::house::House;
use crate::support::process::Gateway;
use crate::support::screen::Terminal;
use crate::support::wait;

/// Makes a home in which WhatsApp is enabled and no phone is paired: enough for a gateway to run.
fn home() -> TestHome {
    let home = TestHome::empty();
    home.write(".env", "WHATSAPP_ENABLED=true\n");
    home
}

/// Makes the same under a service manager, which gets the gateway's state and starts it again.
fn managed() -> TestHome {
    let mut home = home();
    home.env.push(("NOTIFY_SOCKET".to_owned(), home.root().join("notify").display().to_string()));
    home
}

fn running(home: &TestHome) -> Gateway {
    let gateway = Gateway::start(home);
    gateway.wait_for_state("fatal");
    gateway
}

fn document(answer: &Answer) -> Value {
    serde_json::from_str(&answer.stdout).unwrap_or_else(|_| panic!("no document: {answer:?}"))
}

/// Waits until this is true.
fn until(is_so: impl Fn() -> bool) {
    assert!(wait::until(wait::LIMIT, || is_so().then_some(())).is_some(), "it never was so");
}

#[test]
fn a_restart_returns_when_the_next_gateway_is_ready_and_a_stop_when_it_has_ended() {
    let home = managed();
    let first = running(&home);
    let first_pid = first.pid();
    std::thread::scope(|scope| {
        // The work of a service manager: start again, a moment later, a process that ended with 75.
        let keeper = scope.spawn(|| {
            let (mut gateway, mut exits) = (first, Vec::new());
            loop {
                exits.push(gateway.exit_code());
                if exits.last() != Some(&Some(75)) {
                    return exits;
                }
                gateway = Gateway::start(&home);
            }
        });
        let answer = home.run(["gateway", "restart", "--json"]);
        assert_eq!(answer.code, Some(0), "{answer:?}");
        let restarted = document(&answer);
        assert_eq!(restarted["state"], "running");
        assert_eq!(restarted["previous_pid"], first_pid);
        let pid = restarted["pid"].clone();
        assert_ne!(pid, first_pid);
        // The gateway is ready at this very moment: asked at once, it answers.
        let status = home.run(["gateway", "status", "--json"]);
        assert_eq!((status.code, &document(&status)["pid"]), (Some(0), &pid), "{status:?}");

        let again = home.run(["gateway", "restart"]);
        assert_eq!(again.code, Some(0), "{again:?}");
        assert!(again.stdout.starts_with("The gateway has restarted (process "), "{again:?}");
        let started = home.run(["gateway", "start"]);
        assert_eq!(started.code, Some(0), "{started:?}");
        assert!(started.stdout.contains("is already running"), "{started:?}");

        let stopped = home.run(["gateway", "stop"]);
        assert_eq!((stopped.code, stopped.stdout.as_str()), (Some(0), "The gateway stopped.\n"));
        assert_eq!(home.run(["gateway", "status"]).code, Some(3), "it is so when it is said");
        assert_eq!(keeper.join().unwrap(), [Some(75), Some(75), Some(0)]);
    });
}

#[test]
fn a_restart_after_which_nobody_comes_is_told_with_the_command_that_mends_it() {
    let home = managed();
    let mut gateway = running(&home);
    let mut terminal = Terminal::start(&home, &["gateway", "restart", "--timeout", "6s"], 24, 100);
    terminal.wait_for("Stopped. Waiting for it to start again … ");
    terminal.wait_for("error: ");
    assert_eq!(terminal.exit_code(), 1);
    let said = terminal.text();
    assert!(said.starts_with("error: the gateway stopped but was not restarted within"), "{said}");
    assert!(said.contains("Start it with `hermes gateway run`."), "{said}");
    assert_eq!(gateway.exit_code(), Some(75));
    assert_eq!(home.run(["gateway", "restart"]).code, Some(3), "there is none to restart");
}

#[test]
fn without_a_service_manager_the_gateway_starts_itself_again_and_keeps_its_process() {
    let home = home();
    let mut gateway = running(&home);
    let instance = |gateway: &Gateway| gateway.state()["instance_id"].clone();
    let first = instance(&gateway);
    let answer = home.run(["gateway", "restart", "--json"]);
    assert_eq!(answer.code, Some(0), "{answer:?}");
    let restarted = document(&answer);
    assert_eq!(
        (&restarted["pid"], &restarted["previous_pid"]),
        (&json!(gateway.pid()), &json!(gateway.pid()))
    );
    until(|| instance(&gateway).is_string() && instance(&gateway) != first);
    let second = instance(&gateway);
    // The signal does the same, and the log goes on where it was.
    gateway.wait_for_state("fatal");
    gateway.signal(Signal::USR1);
    until(|| instance(&gateway).is_string() && instance(&gateway) != second);
    gateway.wait_for_state("fatal");
    assert_eq!(gateway.log().iter().filter(|line| line.contains("code=\"started\"")).count(), 3);
    assert_eq!(gateway.stop(), Some(0));
}

#[test]
fn a_gateway_in_a_terminal_restarts_in_it() {
    let home = home();
    let mut terminal = Terminal::start(&home, &["gateway", "run"], 40, 200);
    let pid = || home.run(["gateway", "status", "--json"]).stdout;
    until(|| pid().contains("\"gateway_state\":\"degraded\""));
    let answer = home.run(["gateway", "restart"]);
    assert_eq!(answer.code, Some(0), "{answer:?}");
    terminal.wait_for("The gateway is restarting");
    terminal.send("\u{3}");
    assert_eq!(terminal.exit_code(), 0);
}

#[test]
fn a_gateway_that_could_not_start_again_is_not_ended_by_any_way_of_asking() {
    let home = home();
    let program = home.root().with_file_name("hermes-program");
    std::fs::copy(env!("CARGO_BIN_EXE_hermes"), &program).unwrap();
    let mut command = std::process::Command::new(&program);
    command.args(["gateway", "run", "-v"]).stdin(std::process::Stdio::null());
    command.env_clear().envs(home.variables());
    let mut gateway = Gateway::of(&home, command);
    gateway.wait_for_state("fatal");
    std::fs::remove_file(&program).unwrap();
    let answer = home.run(["gateway", "restart"]);
    assert_eq!(answer.code, Some(1), "{answer:?}");
    assert!(answer.stderr.contains("was not restarted and keeps running"), "{answer:?}");
    assert!(answer.stderr.contains("hermes-program cannot be started again"), "{answer:?}");
    gateway.signal(Signal::USR1);
    gateway.wait_for_log("not_restarted");
    assert!(gateway.is_running());
    // By a signal, settings that cannot be read end it no more than by the command.
    std::fs::copy(env!("CARGO_BIN_EXE_hermes"), &program).unwrap();
    home.write("gateway.toml", "[gateway\n");
    until(|| gateway.state()["config_stale"].is_string());
    gateway.signal(Signal::USR1);
    gateway.wait_for_log("The changed settings could not be read");
    assert!(gateway.is_running());
    assert_eq!(gateway.stop(), Some(0));
}

#[test]
fn settings_that_would_not_start_again_end_no_gateway() {
    let home = home();
    let mut gateway = running(&home);
    home.write("gateway.toml", "[gateway\n");
    let answer = home.run(["gateway", "restart"]);
    assert_eq!(answer.code, Some(78), "{answer:?}");
    assert!(answer.stderr.contains("keeps its previous settings"), "{answer:?}");
    assert!(gateway.is_running());
    assert_eq!(home.run(["gateway", "stop"]).code, Some(0), "it can be stopped all the same");
    assert_eq!(gateway.exit_code(), Some(0));
}

#[test]
fn who_does_not_wait_for_the_end_is_told_and_who_stops_what_restarts_is_heard() {
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let agent = silent.local_addr().unwrap();
    let toml = format!(
        "[agent]\nkind = \"openai\"\nmodel = \"m\"\nbase_url = \"http://{agent}/v1\"\n\
         [gateway]\ndrain_timeout = \"3m\"\n"
    );
    let mut house = House::furnish(1, &toml, |_| {});
    house.well.write("1", "friend", "a question that is never answered");
    until(|| house.gateway.state()["active_agents"] == 1);
    let restart = house.home.run(["gateway", "restart", "--timeout", "1s"]);
    assert_eq!(restart.code, Some(1), "{restart:?}");
    assert!(restart.stderr.contains("still finishing current work"), "{restart:?}");
    // It restarts already, so another one may wait for the same.
    let restart = house.home.run(["gateway", "restart", "--timeout", "1s"]);
    assert!(restart.stderr.contains("still finishing current work"), "{restart:?}");
    until(|| house.gateway.state()["restart_requested"] == true);
    let stop = house.home.run(["gateway", "stop", "--timeout", "1s"]);
    assert!(stop.stderr.contains("still finishing current work"), "{stop:?}");
    until(|| house.gateway.state()["restart_requested"] == false);
    let restart = house.home.run(["gateway", "restart"]);
    assert_eq!(restart.code, Some(1), "{restart:?}");
    assert!(restart.stderr.contains("is stopping"), "{restart:?}");
    house.gateway.signal(Signal::INT);
    assert_eq!(house.gateway.exit_code(), Some(130));
}

#[test]
fn a_stop_ends_with_that_gateway_whoever_takes_its_place() {
    let home = home();
    let mut first = running(&home);
    let mut second = Gateway::start(&home);
    second.wait_for_log("gateway_lock");
    let stopped = home.run(["gateway", "stop"]);
    assert_eq!(stopped.code, Some(0), "{stopped:?}");
    assert!(stopped.stdout.starts_with("The gateway stopped"), "{stopped:?}");
    assert_eq!(first.exit_code(), Some(0));
    second.wait_for_state("fatal");
    assert_eq!(second.stop(), Some(0));
}

/// A `systemctl` and a `launchctl` with the test's answers, and a record of their arguments.
struct Systemctl {
    home: TestHome,
}

impl Systemctl {
    fn new() -> Self {
        let mut home = managed();
        let systemd = "#!/bin/sh\ncd \"$(dirname \"$0\")\"\necho \"$*\" >> asked\ncase \"$*\" in\n\
                      '--user --no-ask-password show hermes.service '*) cat user;;\n\
                      '--no-ask-password show hermes.service '*) cat machine;;\n\
                      *' start hermes.service') [ ! -e refusal ] || { cat refusal >&2; exit 1; }; exec sleep 1000;;\n\
                      *) exit 1;;\nesac\n";
        let launchd = "#!/bin/sh\ncd \"$(dirname \"$0\")\"\n[ -e mac ] || exit 113\necho \"$*\" >> asked\n\
                       case $1 in kickstart) exec sleep 1000;; esac\n";
        for (name, script) in [("systemctl", systemd), ("launchctl", launchd)] {
            let program = home.write(&format!("manager/{name}"), script);
            std::fs::set_permissions(&program, PermissionsExt::from_mode(0o755)).unwrap();
        }
        let rest = std::env::var("PATH").unwrap();
        home.env.push(("PATH".to_owned(), format!("{}:{rest}", home.root().join("manager").display())));
        let systemctl = Self { home };
        systemctl.says("user", "LoadState=not-found\nActiveState=inactive\n");
        systemctl.says("machine", "LoadState=not-found\nActiveState=inactive\n");
        systemctl
    }

    /// Sets an answer. Renamed into place: a reader must not see half of it.
    fn says(&self, name: &str, text: &str) {
        let half = self.home.write("manager/half", text);
        std::fs::rename(half, self.path(name)).unwrap();
    }

    fn path(&self, name: &str) -> PathBuf {
        self.home.root().join("manager").join(name)
    }

    fn was_asked(&self, what: &str) -> bool {
        std::fs::read_to_string(self.path("asked")).is_ok_and(|asked| asked.lines().any(|line| line == what))
    }

    /// Returns the report on a unit.
    fn unit(&self, state: &str, pid: u32, home: &str) -> String {
        format!(
            "LoadState=loaded\nActiveState={state}\nResult=exit-code\nExecMainStatus=78\nMainPID={pid}\n\
             Environment=RUST_BACKTRACE=1 HERMES_HOME={home}\n"
        )
    }
}

#[test]
fn a_start_asks_the_manager_that_has_a_service_and_returns_when_the_gateway_is_ready() {
    let systemctl = Systemctl::new();
    let home = &systemctl.home;
    let answer = home.run(["gateway", "start"]);
    assert_eq!(answer.code, Some(1), "{answer:?}");
    assert!(answer.stderr.contains("hermes is not installed as a service"), "{answer:?}");
    assert!(answer.stderr.contains("hermes gateway run"), "{answer:?}");

    let root = home.root().display().to_string();
    let label = format!("kickstart gui/{}/hermes", rustix::process::geteuid().as_raw());
    for (name, arguments) in [
        ("mac", label.as_str()),
        ("machine", "--no-ask-password start hermes.service"),
        ("user", "--user --no-ask-password start hermes.service"),
    ] {
        systemctl.says(name, &systemctl.unit("inactive", 0, &root));
        std::thread::scope(|scope| {
            let asking = scope.spawn(|| home.run(["gateway", "start", "--json"]));
            until(|| systemctl.was_asked(arguments));
            assert!(!asking.is_finished(), "nobody is ready yet");
            let mut gateway = Gateway::start(home);
            let answer = asking.join().unwrap();
            assert_eq!(answer.code, Some(0), "{answer:?}");
            let started = document(&answer);
            assert_eq!((&started["state"], &started["pid"]), (&json!("running"), &json!(gateway.pid())));
            gateway.wait_for_state("fatal");
            assert_eq!(gateway.stop(), Some(0));
        });
    }
}

#[test]
fn a_start_that_fails_or_would_start_something_else_says_why() {
    let systemctl = Systemctl::new();
    let home = &systemctl.home;
    systemctl.says("refusal", "Job for hermes.service failed.\nSee \"journalctl -xe\".\n");
    systemctl.says("user", &systemctl.unit("inactive", 0, &home.root().display().to_string()));
    let refused = home.run(["gateway", "start"]);
    assert_eq!(refused.code, Some(1), "{refused:?}");
    assert!(refused.stderr.contains("Job for hermes.service failed. See"), "{refused:?}");
    assert!(refused.stderr.contains("systemctl --user start hermes"), "{refused:?}");
    assert!(refused.stderr.contains("journalctl --user -u hermes"), "{refused:?}");

    std::fs::remove_file(systemctl.path("refusal")).unwrap();
    let late = home.run(["gateway", "start", "--timeout", "1s"]);
    assert_eq!(late.code, Some(1), "{late:?}");
    assert!(late.stderr.contains("did not become ready"), "{late:?}");

    std::fs::remove_file(systemctl.path("asked")).unwrap();
    systemctl.says("user", &systemctl.unit("inactive", 0, "/elsewhere"));
    let other = home.run(["gateway", "start"]);
    assert_eq!(other.code, Some(1), "{other:?}");
    assert!(other.stderr.contains("/elsewhere"), "{other:?}");
    assert!(
        !systemctl.was_asked("--user --no-ask-password start hermes.service"),
        "another one is left alone"
    );
}

#[test]
fn a_manager_that_gives_the_gateway_up_is_believed_at_once() {
    let systemctl = Systemctl::new();
    let home = &systemctl.home;
    let root = home.root().display().to_string();
    let mut gateway = running(home);
    systemctl.says("user", &systemctl.unit("active", gateway.pid(), &root));
    let answer = std::thread::scope(|scope| {
        let asking = scope.spawn(|| home.run(["gateway", "restart"]));
        assert_eq!(gateway.exit_code(), Some(75));
        systemctl.says("user", &systemctl.unit("failed", 0, &root));
        asking.join().unwrap()
    });
    assert_eq!(answer.code, Some(1), "{answer:?}");
    let why = "stopped and the service manager does not start it again (result exit-code, exit status 78)";
    assert!(answer.stderr.contains(why), "{answer:?}");
    assert!(answer.stderr.contains("systemctl --user start hermes"), "{answer:?}");
}
