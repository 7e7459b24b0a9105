//! Runs npm, or Node for the trial, in its own process group, with limits on time and on the output that is kept.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use rustix::process::{Pid, Signal};
use tokio::io::AsyncReadExt;
use tokio::net::unix::pipe::Receiver;
use tokio::process::{Child, Command};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

use crate::process::child;
use crate::process::child_env;
use crate::process::splitter::Splitter;
use crate::redact;
use crate::world::World;

/// Lines kept of the output.
const TAIL_LEN_MAX: usize = 30;
/// Interval between two progress reports.
const TICK: Duration = Duration::from_millis(200);
/// Limit for the end of a killed group.
const REAP_LIMIT: Duration = Duration::from_secs(5);
/// Limit for reading output after the end; another process may hold the pipe.
const LAST_WORDS_LIMIT: Duration = Duration::from_secs(1);

/// A shell script that becomes the program, beside a watcher that ends the whole group when the shell's stdin does: that is a
/// pipe from us, so no installation goes on when we are killed. The watcher uses only what is built into every shell.
const WITH_LIFELINE: &str =
    r#"exec 3<&0; { read -r _ <&3; kill -KILL 0; } >/dev/null 2>&1 & exec 3<&-; exec "$@" </dev/null"#;

/// `npm ci` with everything pinned that changes what is installed or how the result is reported: a flag goes before every
/// `.npmrc` and every variable. Where packages come from (registry, proxy, certificates, login) stays the person's choice.
///
/// Checked with npm 9, 10 and 11. A `workspace` in an `.npmrc` cannot be taken back by a flag.
pub(super) const CI_ARGS: [&str; 50] = [
    "ci",
    // The packages, and their place.
    "--omit=peer",
    "--omit=dev",
    "--omit=optional",
    "--include=prod",
    "--no-dry-run",
    "--no-global",
    "--location=project",
    "--prefix=.",
    "--no-workspaces",
    "--package-lock",
    "--no-package-lock-only",
    "--install-strategy=hoisted",
    "--no-install-links",
    "--no-legacy-peer-deps",
    "--no-strict-peer-deps",
    "--no-engine-strict",
    "--no-force",
    "--no-bin-links",
    "--before=null",
    "--replace-registry-host=npmjs",
    // Scripts.
    "--ignore-scripts",
    "--no-foreground-scripts",
    "--node-options=",
    "--script-shell=/bin/sh",
    // The network.
    "--no-offline",
    "--no-prefer-offline",
    "--no-prefer-online",
    "--fetch-retries=2",
    "--fetch-retry-factor=10",
    "--fetch-retry-mintimeout=1000",
    "--fetch-retry-maxtimeout=5000",
    "--fetch-timeout=60000",
    // The output: the cause of a failure is read there.
    "--loglevel=warn",
    "--heading=npm",
    "--no-audit",
    "--no-fund",
    "--no-progress",
    "--no-update-notifier",
    "--no-json",
    "--no-parseable",
    "--no-long",
    "--no-usage",
    "--no-version",
    "--no-versions",
    "--no-timing",
    "--no-color",
    "--no-unicode",
    "--no-read-only",
    "--umask=0022",
];

/// A program to run.
pub(super) struct Run<'a> {
    pub(super) world: &'a World,
    pub(super) program: &'a Path,
    pub(super) args: Vec<OsString>,
    pub(super) dir: &'a Path,
    /// The folder of the Node to use: it comes first on its PATH, because npm is a script that asks for `node`.
    pub(super) node_dir: Option<&'a Path>,
    /// Variables besides those that npm always gets.
    pub(super) env: Vec<(String, OsString)>,
    /// Limit for the run.
    pub(super) limit: Duration,
}

/// Outcomes of a run.
pub(super) enum Ended {
    /// Success; with the last lines it printed, as in the other cases.
    Well(Vec<String>),
    Badly(Vec<String>),
    Overdue(Vec<String>),
    Cancelled,
}

impl Run<'_> {
    fn command(&self) -> Command {
        let mut command = Command::from(child::confined("/bin/sh", child_env::for_npm(self.world)));
        command.args(["-c", WITH_LIFELINE, "sh"]).arg(self.program).args(&self.args);
        command.current_dir(self.dir);
        command.envs(self.env.iter().map(|(name, value)| (name, value)));
        let path = self.world.var_path("PATH").unwrap_or_default();
        let path = match self.node_dir {
            Some(node_dir) => {
                let mut first = node_dir.as_os_str().to_owned();
                first.push(":");
                first.push(path);
                first
            }
            None => path.into(),
        };
        command.env("PATH", path).kill_on_drop(true);
        command.stdin(Stdio::piped());
        command
    }

    /// Runs the program; `tick` is called a few times a second meanwhile. Cancelling ends its whole group before this
    /// returns.
    pub(super) async fn run(
        &self,
        cancel: &CancellationToken,
        mut tick: impl FnMut(),
    ) -> std::io::Result<Ended> {
        // One pipe for both, so that lines stay in their order.
        let (output, input) = std::io::pipe()?;
        let mut pipe = Receiver::from_owned_fd(output.into())?;
        let mut command = self.command();
        command.stdout(input.try_clone()?).stderr(input);
        let mut child = child::spawn_async(&mut command)?;
        // Held until the end: waiting for the child would close it otherwise.
        let _lifeline = child.stdin.take();
        // The command holds our ends of the pipe; without them its end is seen when the child's are closed.
        drop(command);
        let mut output = Output::default();
        let mut is_open = true;
        let until = Instant::from_std(crate::clock::Now::read().mono) + self.limit;
        let mut ticks = interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
        let mut chunk = vec![0; 4096];
        let status = loop {
            tokio::select! {
                status = child.wait() => break status,
                len = pipe.read(&mut chunk), if is_open => {
                    let len = len.unwrap_or(0);
                    output.take(&chunk[..len]);
                    is_open = len > 0;
                }
                () = cancel.cancelled() => {
                    end(&mut child).await;
                    return Ok(Ended::Cancelled);
                }
                () = sleep_until(until) => {
                    end(&mut child).await;
                    return Ok(Ended::Overdue(output.finish()));
                }
                _ = ticks.tick() => tick(),
            }
        };
        while let Ok(Ok(len @ 1..)) = timeout(LAST_WORDS_LIMIT, pipe.read(&mut chunk)).await {
            output.take(&chunk[..len]);
        }
        let tail = output.finish();
        Ok(if status?.success() { Ended::Well(tail) } else { Ended::Badly(tail) })
    }
}

/// Kills the whole group: its files are discarded, so there is nothing to finish.
async fn end(child: &mut Child) {
    let group = child.id().and_then(|pid| i32::try_from(pid).ok()).and_then(Pid::from_raw);
    if let Some(group) = group {
        // A group that is gone already needs no signal.
        let _ = rustix::process::kill_process_group(group, Signal::KILL);
    }
    drop(timeout(REAP_LIMIT, child.wait()).await);
}

/// The last lines of the output, redacted.
#[derive(Default)]
struct Output {
    splitter: Splitter,
    tail: VecDeque<String>,
}

impl Output {
    fn take(&mut self, bytes: &[u8]) {
        for line in self.splitter.push(bytes) {
            self.keep(&line);
        }
    }

    fn keep(&mut self, line: &str) {
        if self.tail.len() == TAIL_LEN_MAX {
            self.tail.pop_front();
        }
        self.tail.push_back(redact::shapes(line).into_owned());
    }

    fn finish(mut self) -> Vec<String> {
        if let Some(line) = self.splitter.finish() {
            self.keep(&line);
        }
        self.tail.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn sh(script: &str, limit: Duration, cancel: &CancellationToken) -> Ended {
        let world = World::of_env([("PATH", "/usr/bin:/bin")]);
        let run = Run {
            world: &world,
            program: Path::new("/bin/sh"),
            args: vec!["-c".into(), script.into()],
            dir: Path::new("/"),
            node_dir: Some(Path::new("/node/bin")),
            env: Vec::new(),
            limit,
        };
        run.run(cancel, || {}).await.unwrap()
    }

    const LONG: Duration = Duration::from_secs(600);

    #[tokio::test]
    async fn its_last_lines_are_kept() {
        let script = "for i in $(seq 40); do echo line $i; done; echo $PATH >&2; printf end >&2; exit 1";
        let Ended::Badly(tail) = sh(script, LONG, &CancellationToken::new()).await else { panic!() };
        assert_eq!(tail.len(), TAIL_LEN_MAX);
        assert!(tail.contains(&"/node/bin:/usr/bin:/bin".to_owned()), "{tail:?}");
        assert!(tail.contains(&"line 40".to_owned()), "{tail:?}");
        assert!(matches!(sh("exit 0", LONG, &CancellationToken::new()).await, Ended::Well(_)));
    }

    #[tokio::test]
    async fn it_ends_with_us() {
        let world = World::of_env([("PATH", "/usr/bin:/bin")]);
        let args = vec!["-c".into(), "sleep 600 & sleep 600".into()];
        let (program, dir) = (Path::new("/bin/sh"), Path::new("/"));
        let run = Run { world: &world, program, args, dir, node_dir: None, env: Vec::new(), limit: LONG };
        let mut child = child::spawn_async(&mut run.command()).unwrap();
        // As when we are killed: our end of the pipe is closed, and no signal is sent.
        drop(child.stdin.take());
        let status = timeout(Duration::from_secs(60), child.wait()).await.expect("it ends").unwrap();
        assert_eq!(std::os::unix::process::ExitStatusExt::signal(&status), Some(9));
    }

    #[tokio::test]
    async fn it_ends_when_cancelled_or_out_of_time() {
        let cancel = CancellationToken::new();
        cancel.cancel();
        assert!(matches!(sh("sleep 600 & sleep 600", LONG, &cancel).await, Ended::Cancelled));
        let limit = Duration::from_millis(1);
        assert!(matches!(sh("sleep 600", limit, &CancellationToken::new()).await, Ended::Overdue(_)));
    }
}
