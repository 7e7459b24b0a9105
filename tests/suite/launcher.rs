//! `hermes bridge-exec`: the session's lock lives exactly as long as the bridge, and the bridge no longer than hermes.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use hermes::durable::{Holder, Lock};

use crate::support::process::is_alive;
use crate::support::wait;

const HERMES: &str = env!("CARGO_BIN_EXE_hermes");

/// Makes the launcher with this parent; it becomes a shell with this script.
fn launcher(lock: &Path, parent: u32, script: &str) -> Command {
    let mut command = Command::new(HERMES);
    command.arg("bridge-exec").arg("--lock").arg(lock).args(["--parent", &parent.to_string()]);
    command.args(["--", "/bin/sh", "-c", script]).env_clear();
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn first_line(child: &mut Child) -> String {
    let mut line = String::new();
    BufReader::new(child.stdout.take().expect("a pipe")).read_line(&mut line).expect("a line");
    line.trim().to_owned()
}

#[test]
fn the_lock_lives_as_long_as_the_program_and_a_second_one_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let lock = dir.path().join("whatsapp/session.lock");
    let mut first = launcher(&lock, std::process::id(), "umask; read -r line").spawn().unwrap();
    let umask = first_line(&mut first);
    assert!(umask.ends_with("077"), "its files are private: {umask}");
    assert_eq!(
        Lock::holder(&lock).unwrap(),
        Some(Holder { pid: Some(first.id()) }),
        "the pid stays the same"
    );

    let second = launcher(&lock, std::process::id(), "echo started").output().unwrap();
    assert_eq!(second.status.code(), Some(15));
    assert!(second.stdout.is_empty());
    let stderr = String::from_utf8(second.stderr).unwrap();
    assert_eq!(stderr.lines().count(), 1);
    assert!(stderr.contains(&format!("(process {})", first.id())), "{stderr}");

    drop(first.stdin.take());
    first.wait().unwrap();
    assert_eq!(Lock::holder(&lock).unwrap(), None);
}

#[test]
fn without_its_parent_or_its_program_it_does_not_begin() {
    let dir = tempfile::tempdir().unwrap();
    let lock = dir.path().join("session.lock");
    let orphan = launcher(&lock, 1, "echo started").output().unwrap();
    assert_eq!((orphan.status.code(), orphan.stdout.len()), (Some(70), 0));
    assert!(!lock.exists(), "nothing was taken");

    let plain = dir.path().join("plain");
    std::fs::write(&plain, "no program").unwrap();
    for (program, code, errno) in [(Path::new("/nowhere/node"), 127, 2), (&plain, 126, 13)] {
        let mut command = Command::new(HERMES);
        command
            .arg("bridge-exec")
            .arg("--lock")
            .arg(&lock)
            .args(["--parent", &std::process::id().to_string()]);
        let failed = command.arg("--").arg(program).env_clear().output().unwrap();
        assert_eq!(failed.status.code(), Some(code));
        assert!(String::from_utf8_lossy(&failed.stderr).contains(&*program.to_string_lossy()));
        // The gateway reads it as it reads the bridge.
        let event: serde_json::Value = serde_json::from_slice(&failed.stdout).unwrap();
        assert_eq!(
            (&event["v"], &event["event"], &event["code"]),
            (&1.into(), &"error".into(), &"exec".into())
        );
        let message = event["message"].as_str().unwrap();
        assert!(message.contains(&*program.to_string_lossy()), "{message}");
        assert!(message.contains(&format!("os error {errno}")), "{message}");
        assert_eq!(Lock::holder(&lock).unwrap(), None);
    }
}

#[cfg(target_os = "linux")]
#[test]
fn it_ends_when_its_parent_is_killed() {
    let dir = tempfile::tempdir().unwrap();
    let lock = dir.path().join("session.lock");
    // The parent is a shell; what it starts ignores everything that can be ignored, and its own stdin.
    let script = r#""$0" bridge-exec --lock "$1" --parent $$ -- /bin/sh -c 'trap "" HUP INT TERM; echo $$; while :; do sleep 1; done'; :"#;
    let mut parent = Command::new("/bin/sh");
    parent.args(["-c", script, HERMES]).arg(&lock).stdin(Stdio::null()).stdout(Stdio::piped());
    let mut parent = parent.spawn().unwrap();
    let pid: u32 = first_line(&mut parent).parse().expect("a pid");
    assert_ne!(pid, parent.id());
    assert!(is_alive(pid));
    parent.kill().unwrap();
    parent.wait().unwrap();
    assert!(wait::until(wait::LIMIT, || (!is_alive(pid)).then_some(())).is_some(), "it outlived its parent");
}
