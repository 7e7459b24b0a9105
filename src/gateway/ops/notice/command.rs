//! Runs the operator's own command: without a shell, with one line of JSON on its standard input.

use std::io;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::process::Command;

use crate::process::child;
use crate::process::child_env;
use crate::process::group::Group;
use crate::visible;
use crate::world::World;

/// Limit for the command; then it is killed with everything it started.
pub const LIMIT: Duration = Duration::from_secs(30);

/// The reason why the operator was not notified. The command's output is not read.
#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    /// The list is empty.
    #[error("it does not name a program")]
    Empty,
    /// It could not be started.
    #[error("it cannot be started: {0}")]
    Start(#[source] io::Error),
    /// Its exit status was not 0.
    #[error("it failed ({0})")]
    Failed(ExitStatus),
    /// It did not end in time.
    #[error("it did not finish within {} s and was killed", .0.as_secs())]
    Hung(Duration),
}

/// Runs it to its end, at most `limit`.
///
/// # Errors
/// When it could not be started, failed, or took too long.
pub async fn run(world: &World, argv: &[String], line: &str, limit: Duration) -> Result<(), CommandError> {
    let [program, args @ ..] = argv else { return Err(CommandError::Empty) };
    let mut command = Command::from(child::confined(program, child_env::for_notice(world)));
    command.args(args).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true);
    let leader = child::spawn_async(&mut command).map_err(CommandError::Start)?;
    let mut group = Group::new(leader);
    let input = group.leader.stdin.take();
    let life = async {
        if let Some(mut input) = input {
            // A command may choose not to read its input.
            drop(input.write_all(format!("{}\n", visible::page(line)).as_bytes()).await);
        }
        group.leader.wait().await
    };
    match tokio::time::timeout(limit, life).await {
        Ok(Ok(status)) if status.success() => Ok(()),
        Ok(Ok(status)) => Err(CommandError::Failed(status)),
        Ok(Err(error)) => Err(CommandError::Start(error)),
        Err(_) => Err(CommandError::Hung(limit)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Now;

    fn world() -> World {
        World::of_env([("PATH", "/usr/bin:/bin"), ("OPENAI_API_KEY", "canary")])
    }

    fn argv(parts: &[&str]) -> Vec<String> {
        parts.iter().map(ToString::to_string).collect()
    }

    #[tokio::test]
    async fn the_line_arrives_on_its_input_and_no_shell_reads_the_arguments() {
        let dir = tempfile::tempdir().unwrap();
        let target = dir.path().join("$(told)");
        let copy = argv(&["sh", "-c", "cat > \"$1\"; env >> \"$1\"", "sh", target.to_str().unwrap()]);
        run(&world(), &copy, "{\"event\":\"x\"}", LIMIT).await.unwrap();
        let told = std::fs::read_to_string(target).unwrap();
        assert_eq!(told.lines().next(), Some("{\"event\":\"x\"}"));
        assert!(!told.contains("canary"), "{told}");
        assert!(told.contains("HERMES_CHILD=1"), "by this the control socket knows it: {told}");
    }

    #[tokio::test]
    async fn what_fails_or_is_not_there_or_does_not_read_is_an_error_or_nothing() {
        let long = "x".repeat(1 << 20);
        run(&world(), &argv(&["true"]), &long, LIMIT).await.unwrap();
        let failed = run(&world(), &argv(&["false"]), "{}", LIMIT).await.unwrap_err();
        assert!(matches!(failed, CommandError::Failed(_)), "{failed}");
        let missing = run(&world(), &argv(&["/nonexistent/pager"]), "{}", LIMIT).await.unwrap_err();
        assert!(matches!(missing, CommandError::Start(_)), "{missing}");
        assert!(matches!(run(&world(), &[], "{}", LIMIT).await, Err(CommandError::Empty)));
    }

    fn is_alive(pid: u32) -> bool {
        std::fs::read_to_string(format!("/proc/{pid}/stat"))
            .is_ok_and(|stat| stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with(['Z', 'X'])))
    }

    /// Waits for an answer, at most as long as a command may take.
    async fn until<T>(mut ask: impl FnMut() -> Option<T>) -> T {
        let deadline = Now::read().mono + LIMIT;
        loop {
            if let Some(answer) = ask() {
                return answer;
            }
            assert!(Now::read().mono < deadline, "it never came");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    #[tokio::test]
    async fn one_that_hangs_is_killed_with_its_children() {
        let world = world();
        let hung = run(&world, &argv(&["sleep", "1000"]), "{}", Duration::from_millis(50)).await;
        assert!(matches!(hung, Err(CommandError::Hung(_))), "{hung:?}");

        let dir = tempfile::tempdir().unwrap();
        let pids = dir.path().join("pids");
        let script = "trap '' TERM; sleep 1000 & echo $$ $! > \"$1\"; wait";
        let hanging = argv(&["sh", "-c", script, "sh", pids.to_str().unwrap()]);
        let running = tokio::spawn(async move { run(&world, &hanging, "{}", LIMIT).await });
        let started = until(|| {
            let text = std::fs::read_to_string(&pids).unwrap_or_default();
            let pids: Vec<u32> = text.split_whitespace().filter_map(|pid| pid.parse().ok()).collect();
            (pids.len() == 2 && text.ends_with('\n')).then_some(pids)
        })
        .await;
        assert!(started.iter().all(|pid| is_alive(*pid)), "{started:?}");
        running.abort();
        until(|| started.iter().all(|pid| !is_alive(*pid)).then_some(())).await;
    }
}
