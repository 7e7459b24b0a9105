//! Tests with a shell script for a bridge, and another for the launcher.

use super::*;

/// Drops Node's flags and becomes the bridge.
const LAUNCHER: &str = r#"shift 6; while [ "${1#--}" != "$1" ]; do shift; done; exec /bin/sh "$@""#;

struct Fixture {
    dir: tempfile::TempDir,
    world: World,
}

impl Fixture {
    fn new(script: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        crate::durable::write_atomic(&dir.path().join(exec::NAME), LAUNCHER.as_bytes()).unwrap();
        crate::durable::write_atomic(&dir.path().join("bridge.mjs"), script.as_bytes()).unwrap();
        let mut world =
            World::of_env([("PATH", "/usr/bin:/bin"), ("OPENAI_API_KEY", "canary"), ("LC_ALL", "C")]);
        world.exe = "/bin/sh".into();
        Self { dir, world }
    }

    fn spawn(&self) -> BridgeProcess {
        let launch = Launch {
            node: "the-node".into(),
            bridge_dir: self.dir.path().to_owned(),
            session_lock: self.dir.path().join("session.lock"),
            mode: Mode::Run,
            start: Start { session_dir: "/session".into(), ..Start::default() },
        };
        BridgeProcess::spawn(&self.world, &launch).unwrap()
    }
}

/// Reads until the end, within a generous limit.
async fn rest(process: &mut BridgeProcess) -> (Vec<Output>, Exit, Vec<String>) {
    let mut before = Vec::new();
    let collect = async {
        loop {
            match process.next().await.expect("an end") {
                Output::Exited { exit, stderr_tail } => return (exit, stderr_tail),
                output @ (Output::Event(_) | Output::Garbage(_)) => before.push(output),
            }
        }
    };
    let (exit, tail) = timeout(Duration::from_secs(60), collect).await.expect("an end in time");
    (before, exit, tail)
}

/// Waits until no process has this pid. Our runtime reaps it, so it does not stay as a zombie.
async fn gone(pid: u32) {
    let pid = Pid::from_raw(pid.try_into().unwrap()).unwrap();
    let ended = async {
        while rustix::process::test_kill_process(pid).is_ok() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(Duration::from_secs(60), ended).await.expect("it ended in time");
}

#[tokio::test]
async fn lines_go_both_ways_and_the_end_has_its_cause_and_last_words() {
    let fixture = Fixture::new(
        r#"read start; case "$start" in *'"cmd":"start"'*'"/session"'*) echo '{"v":1,"event":"restart"}';; esac
        read next; case "$next" in *'"cmd":"typing"'*) echo '{"v":1,"event":"alive","rtt_ms":7}';; esac
        i=0; while [ $i -lt 30 ]; do echo "line $i" >&2; i=$((i+1)); done
        echo "key sk-canarycanarycanary of 15550001111:2@s.whatsapp.net" >&2
        printf '{"v":1,"event":"synced"}\n{"v":1,"event":"closed","code":428}\n'; exit 18"#,
    );
    let mut process = fixture.spawn();
    assert!(process.pid.is_some());
    process.commands().send(Command::Typing { chat: "1@lid".into(), on: true }).await.unwrap();
    let (before, exit, tail) = rest(&mut process).await;
    assert_eq!(exit, Exit::ConnectionLost);
    assert_eq!(before.len(), 4, "{before:?}");
    assert!(matches!(before[1], Output::Event(Event::Alive { rtt_ms: 7 })));
    assert!(matches!(before[3], Output::Event(Event::Closed { code: Some(428), .. })));
    assert_eq!(tail.len(), 20);
    assert_eq!(tail[18], "line 29");
    assert_eq!(tail[19], "key <redacted> of <redacted>@s.whatsapp.net");
    assert!(process.next().await.is_none(), "nothing comes after the end");
}

#[tokio::test]
async fn the_environment_is_chosen_and_the_arguments_are_ours() {
    let mut fixture = Fixture::new(r#"env >&2; echo "$0 $*" >&2"#);
    let (_, exit, tail) = rest(&mut fixture.spawn()).await;
    assert_eq!(exit, Exit::Done);
    assert!(tail.contains(&"LC_ALL=C".to_owned()), "{tail:?}");
    assert!(!tail.iter().any(|line| line.contains("canary")), "{tail:?}");
    assert!(tail.last().unwrap().ends_with("/bridge.mjs run"), "{tail:?}");
    fixture.world = World::of_env([("HERMES_BRIDGE_PRELOAD", "/preload.mjs")]);
    let args = |fixture: &Fixture| {
        let launch = Launch {
            node: "/node".into(),
            bridge_dir: "/b".into(),
            session_lock: "/l".into(),
            mode: Mode::Pair,
            start: Start::default(),
        };
        let command = command(&fixture.world, &launch);
        command.as_std().get_args().skip(6).map(|arg| arg.to_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let expected = ["/node", NODE_FLAGS[0], "--import", "/preload.mjs", "/b/bridge.mjs", "pair"];
    let without_other_flags: Vec<String> =
        args(&fixture).into_iter().filter(|arg| !NODE_FLAGS[1..].contains(&arg.as_str())).collect();
    assert_eq!(without_other_flags, expected);
}

#[tokio::test]
async fn garbage_ends_it_and_is_not_repeated() {
    for garbage in
        ["echo canary", "echo '{\"v\":9,\"event\":\"canary\"}'", "head -c 1100000 /dev/zero | tr '\\0' c"]
    {
        let fixture = Fixture::new(&format!("{garbage}; cat >/dev/null; sleep 600"));
        let mut process = fixture.spawn();
        let (before, exit, _) = rest(&mut process).await;
        let [Output::Garbage(what)] = &before[..] else { panic!("{before:?}") };
        assert!(!what.contains("canary") && !what.contains("ccc"), "{what}");
        assert_eq!(exit, Exit::Signalled(15));
    }
}

#[tokio::test]
async fn a_stop_is_asked_for_and_then_insisted_on() {
    let fixture = Fixture::new(r#"read start; read stop; case "$stop" in *stop*) exit 0;; esac; exit 70"#);
    assert_eq!(fixture.spawn().stop(Duration::from_secs(60)).await, Exit::Done);
    let deaf = Fixture::new("sleep 600");
    assert_eq!(deaf.spawn().stop(Duration::ZERO).await, Exit::Signalled(15));
    let stubborn =
        Fixture::new("trap '' TERM; echo '{\"v\":1,\"event\":\"restart\"}'; while :; do sleep 1; done");
    let mut process = stubborn.spawn();
    assert!(matches!(process.next().await, Some(Output::Event(Event::Restart))), "the trap is set");
    assert_eq!(process.stop(Duration::ZERO).await, Exit::Signalled(9));
}

#[tokio::test]
async fn a_stop_reaches_a_bridge_that_waits_for_us_to_read() {
    let fixture = Fixture::new(
        r#"read start; i=0; while [ $i -lt 5000 ]; do echo '{"v":1,"event":"restart"}'; i=$((i+1)); done; read stop; exit 0"#,
    );
    assert_eq!(fixture.spawn().stop(Duration::from_secs(60)).await, Exit::Done);
}

#[tokio::test]
async fn a_dropped_bridge_ends_with_its_stdin_or_with_its_group() {
    let polite = Fixture::new("cat >/dev/null");
    let process = polite.spawn();
    let commands = process.commands();
    let pid = process.pid.unwrap();
    drop(process);
    gone(pid).await;
    assert!(commands.send(Command::Stop).await.is_err(), "a sender that is left does not keep it");

    let deaf = Fixture::new(r#"sleep 600 & echo '{"v":1,"event":"ready","pid":'$!'}'; wait"#);
    let mut process = deaf.spawn();
    let Some(Output::Event(Event::Ready { pid: below, .. })) = process.next().await else { panic!() };
    let pid = process.pid.unwrap();
    drop(process);
    gone(pid).await;
    // The child's child is reaped by the process that adopts orphans, which may leave it a zombie; a zombie runs nothing.
    let is_running = |pid: u32| {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        stat.rsplit(')').next().is_some_and(|rest| !rest.is_empty() && !rest.trim_start().starts_with('Z'))
    };
    timeout(Duration::from_secs(60), async {
        while is_running(below) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await
    .expect("the whole group ended");
}

#[tokio::test]
async fn what_cannot_be_started_is_an_error() {
    let mut fixture = Fixture::new("");
    fixture.world.exe = "/nowhere/hermes".into();
    let launch = Launch {
        node: "/node".into(),
        bridge_dir: fixture.dir.path().to_owned(),
        session_lock: "/l".into(),
        mode: Mode::Run,
        start: Start::default(),
    };
    assert!(BridgeProcess::spawn(&fixture.world, &launch).is_err());
}
