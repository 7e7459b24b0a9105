//! Owns one bridge process: starts it, exchanges lines, ends it.
//!
//! The child is started through this program's own hidden `bridge-exec` command ([`crate::process::exec`]), which takes the
//! session lock, asks the kernel to end the child when we die, and then becomes Node. So the lock is held for exactly as
//! long as the bridge lives, and no bridge outlives its owner.
//!
//! The child has its own process group. The group is signalled only while its leader is our unreaped child, so the signal
//! cannot reach another process.

pub(crate) mod spawner;
pub(crate) mod stderr;

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use futures_util::StreamExt;
use rustix::process::{Pid, Signal};
use tokio::io::AsyncWriteExt;
use tokio::process::{Child, ChildStdin, ChildStdout};
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout};
use tokio_util::codec::{FramedRead, LinesCodec, LinesCodecError};
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use crate::bridge::protocol::{self, Command, Event, Exit, LINE_LEN_MAX, Start};
use crate::process::child;
use crate::process::child_env;
use crate::process::exec;
use crate::world::World;

/// Node's flags for a small process: measured, they take the idle bridge from 112 MB to 83 MB and cost it 0.2 s at start.
const NODE_FLAGS: [&str; 4] =
    ["--max-old-space-size=192", "--max-semi-space-size=1", "--optimize-for-size", "--v8-pool-size=1"];

/// A variable for a small process: fewer heaps for glibc's allocator, which hands little back of each.
const ARENAS: (&str, &str) = ("MALLOC_ARENA_MAX", "2");

/// Most commands that wait for the bridge to read them.
const COMMANDS_LEN_MAX: usize = 64;
/// Most outputs that wait for the owner to take them.
const OUTPUTS_LEN_MAX: usize = 256;
/// Limit for the bridge's end once its stdin is closed.
const RELEASE_LIMIT: Duration = Duration::from_secs(2);
/// Limit for the bridge's end after SIGTERM.
const TERM_LIMIT: Duration = Duration::from_secs(1);
/// Limit for reading one of our lines, after which the bridge counts as hung.
const WRITE_LIMIT: Duration = Duration::from_secs(30);
/// Limit for reading its last lines after its end: another process may hold its stdout.
const LAST_WORDS_LIMIT: Duration = Duration::from_secs(1);
/// Most lines read after the end; a pipe holds no more.
const LAST_LINES_MAX: u32 = 100_000;

/// The parameters of a bridge process.
#[derive(Debug, Clone)]
pub struct Launch {
    /// The Node binary.
    pub node: PathBuf,
    /// The folder of the installed bridge.
    pub bridge_dir: PathBuf,
    /// The lock that the process holds while it lives.
    pub session_lock: PathBuf,
    /// Pair or run.
    pub mode: Mode,
    /// The first line to send.
    pub start: Start,
}

/// The task of a bridge process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Pair and exit.
    Pair,
    /// Receive and send until stopped.
    Run,
}

impl Mode {
    fn as_str(self) -> &'static str {
        match self {
            Self::Pair => "pair",
            Self::Run => "run",
        }
    }
}

/// An output of the process. `Exited` is the last one.
#[derive(Debug)]
pub enum Output {
    /// A line of the protocol.
    Event(Event),
    /// An unusable line on stdout (the defect, never the text); the process is being ended.
    Garbage(String),
    /// The process ended.
    Exited {
        /// The cause.
        exit: Exit,
        /// The last lines of its stderr, redacted, at most 20.
        stderr_tail: Vec<String>,
    },
}

/// A running bridge. Dropping it ends the process: its stdin closes, and after a grace it is killed with its group.
#[derive(Debug)]
pub struct BridgeProcess {
    /// Its pid.
    pub pid: Option<u32>,
    commands: mpsc::Sender<Command>,
    outputs: mpsc::Receiver<Output>,
    ending: Ending,
}

/// Tokens by which the owner asks the process's task to end it.
#[derive(Debug, Clone, Default)]
struct Ending {
    /// The owner is gone: close its stdin, and end it if it stays.
    released: CancellationToken,
    /// The grace is over: end it.
    overdue: CancellationToken,
}

impl BridgeProcess {
    /// Starts the process and sends the first line. Must be called within a tokio runtime, from any thread.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn spawn(world: &World, launch: &Launch) -> std::io::Result<Self> {
        let mut child = spawner::spawn(command(world, launch))?;
        let missing = || std::io::Error::other("the child has no pipes");
        let stdin = child.stdin.take().ok_or_else(missing)?;
        let stdout = child.stdout.take().ok_or_else(missing)?;
        let stderr = child.stderr.take().ok_or_else(missing)?;
        let pid = child.id();
        let (commands, commands_taken) = mpsc::channel(COMMANDS_LEN_MAX);
        let (outputs_given, outputs) = mpsc::channel(OUTPUTS_LEN_MAX);
        let ending = Ending::default();
        let first = Command::Start(launch.start.clone());
        tokio::spawn(write(stdin, first, commands_taken, ending.clone()));
        let owner = Owner {
            child,
            lines: Some(FramedRead::new(stdout, LinesCodec::new_with_max_length(LINE_LEN_MAX))),
            stderr: stderr::Tail::follow(stderr, pid, "the WhatsApp bridge"),
            outputs: outputs_given,
            waiting: None,
            ending: ending.clone(),
            escalation: Escalation::None,
        };
        tokio::spawn(owner.run());
        Ok(Self { pid, commands, outputs, ending })
    }

    /// Returns a handle for sending commands; bounded, so a bridge that does not read blocks its senders. Sending fails once
    /// the bridge's stdin is closed.
    pub fn commands(&self) -> mpsc::Sender<Command> {
        self.commands.clone()
    }

    /// Returns the next output; `None` after `Exited` was returned.
    pub async fn next(&mut self) -> Option<Output> {
        self.outputs.recv().await
    }

    /// Asks it to stop, waits `grace`, then ends its group. Returns how it ended.
    pub async fn stop(mut self, grace: Duration) -> Exit {
        // Its outputs are taken meanwhile: a bridge that waits for us to read does not read either. When its stdin is
        // closed already, it is about to end.
        let asked = async { tokio::join!(self.commands.send(Command::Stop), exit_of(&mut self.outputs)).1 };
        if let Ok(exit) = timeout(grace, asked).await {
            return exit;
        }
        self.ending.overdue.cancel();
        let limit = TERM_LIMIT + LAST_WORDS_LIMIT + TERM_LIMIT;
        timeout(limit, exit_of(&mut self.outputs)).await.unwrap_or(Exit::Crashed(None))
    }
}

impl Drop for BridgeProcess {
    fn drop(&mut self) {
        self.ending.released.cancel();
    }
}

async fn exit_of(outputs: &mut mpsc::Receiver<Output>) -> Exit {
    loop {
        match outputs.recv().await {
            Some(Output::Exited { exit, .. }) => return exit,
            Some(Output::Event(_) | Output::Garbage(_)) => {}
            // Its end was taken before, or its task was: either way the cause is not known.
            None => return Exit::Crashed(None),
        }
    }
}

fn command(world: &World, launch: &Launch) -> tokio::process::Command {
    let mut args: Vec<OsString> = NODE_FLAGS.iter().map(Into::into).collect();
    // Tests make the bridge trust their own WhatsApp by this; nothing else sets it.
    if let Some(preload) = world.var_path("HERMES_BRIDGE_PRELOAD") {
        args.extend(["--import".into(), preload.into()]);
    }
    args.extend([launch.bridge_dir.join("bridge.mjs").into(), launch.mode.as_str().into()]);
    let mut command =
        tokio::process::Command::from(child::confined(&world.exe, child_env::for_bridge(world)));
    command
        .args(exec::args(&launch.session_lock, std::process::id(), &launch.node, args))
        .env(ARENAS.0, ARENAS.1)
        .current_dir(&launch.bridge_dir)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        // The last guard, for when the runtime is dropped with its tasks.
        .kill_on_drop(true);
    command
}

/// Writes commands until the owner is gone or the bridge no longer reads. Then its stdin closes.
async fn write(mut stdin: ChildStdin, first: Command, mut commands: mpsc::Receiver<Command>, ending: Ending) {
    let all = async {
        let mut next = Some(first);
        while let Some(command) = next {
            let line = protocol::encode(&command);
            if line.len() > LINE_LEN_MAX {
                warn!(
                    code = "bridge_command_too_long",
                    "a command to the WhatsApp bridge is too long and was dropped"
                );
            } else {
                match timeout(WRITE_LIMIT, stdin.write_all(line.as_bytes())).await {
                    Ok(Ok(())) => {}
                    // The bridge is gone, and its owner is about to see that.
                    Ok(Err(_)) => return,
                    Err(_) => {
                        warn!(
                            code = "whatsapp_bridge_hung",
                            "the WhatsApp bridge does not read its input; stopping it"
                        );
                        ending.overdue.cancel();
                        return;
                    }
                }
            }
            next = commands.recv().await;
        }
    };
    tokio::select! {
        () = all => {}
        () = ending.released.cancelled() => {}
        () = ending.overdue.cancelled() => {}
    }
}

/// The steps taken so far to end the process.
#[derive(Debug, Clone, Copy)]
enum Escalation {
    None,
    /// Its stdin is closed; SIGTERM is next.
    Released {
        until: Instant,
    },
    /// SIGTERM was sent; SIGKILL is next.
    Terminated {
        until: Instant,
    },
    Killed,
}

/// The task that has the child from its start until it is reaped.
struct Owner {
    child: Child,
    lines: Option<FramedRead<ChildStdout, LinesCodec>>,
    stderr: stderr::Tail,
    outputs: mpsc::Sender<Output>,
    /// An output that is read and not yet taken; nothing more is read meanwhile.
    waiting: Option<Output>,
    ending: Ending,
    escalation: Escalation,
}

enum Step {
    Line(Option<Result<String, LinesCodecError>>),
    Taken,
    Exited(std::io::Result<std::process::ExitStatus>),
    Released,
    Overdue,
    TimeIsUp,
}

impl Owner {
    async fn run(mut self) {
        let status = loop {
            match self.step().await {
                Step::Exited(status) => break status,
                Step::Line(line) => self.take_line(line),
                Step::Taken => {}
                Step::Released => {
                    self.escalation = Escalation::Released { until: now() + RELEASE_LIMIT };
                }
                Step::Overdue | Step::TimeIsUp => self.escalate(),
            }
        };
        let exit = status.map_or(Exit::Crashed(None), Exit::from_status);
        debug!(pid = self.child.id(), ?exit, "the WhatsApp bridge stopped");
        self.last_lines().await;
        let stderr_tail = self.stderr.finish(LAST_WORDS_LIMIT).await;
        // The listener may be gone. One that does not read would keep this waiting, and keeps nothing else.
        drop(self.outputs.send(Output::Exited { exit, stderr_tail }).await);
    }

    async fn step(&mut self) -> Step {
        let until = match self.escalation {
            Escalation::Released { until } | Escalation::Terminated { until } => Some(until),
            Escalation::None | Escalation::Killed => None,
        };
        let may_read = self.waiting.is_none() && self.lines.is_some();
        let is_calm = matches!(self.escalation, Escalation::None);
        let may_hurry = matches!(self.escalation, Escalation::None | Escalation::Released { .. });
        tokio::select! {
            status = self.child.wait() => Step::Exited(status),
            () = self.ending.overdue.cancelled(), if may_hurry => Step::Overdue,
            () = self.ending.released.cancelled(), if is_calm => Step::Released,
            () = sleep_until(until), if until.is_some() => Step::TimeIsUp,
            permit = self.outputs.reserve(), if self.waiting.is_some() => {
                if let (Ok(permit), Some(output)) = (permit, self.waiting.take()) {
                    permit.send(output);
                }
                Step::Taken
            }
            line = next_line(&mut self.lines), if may_read => Step::Line(line),
        }
    }

    fn take_line(&mut self, line: Option<Result<String, LinesCodecError>>) {
        let garbage = match line {
            Some(Ok(line)) => match protocol::decode(&line) {
                Ok(event) => {
                    self.waiting = Some(Output::Event(event));
                    return;
                }
                Err(error) => error.to_string(),
            },
            Some(Err(LinesCodecError::MaxLineLengthExceeded)) => {
                format!("a line from the bridge is longer than {LINE_LEN_MAX} bytes")
            }
            Some(Err(LinesCodecError::Io(error))) => {
                format!("the bridge's lines cannot be read: {}", error.kind())
            }
            None => {
                // A bridge without its stdout cannot work; it gets the time to end by itself.
                self.lines = None;
                self.ending.released.cancel();
                return;
            }
        };
        self.lines = None;
        self.waiting = Some(Output::Garbage(garbage));
        self.ending.overdue.cancel();
    }

    /// Sends SIGTERM first, then SIGKILL.
    fn escalate(&mut self) {
        match self.escalation {
            Escalation::None | Escalation::Released { .. } => {
                self.signal(Signal::TERM);
                self.escalation = Escalation::Terminated { until: now() + TERM_LIMIT };
            }
            Escalation::Terminated { .. } => {
                self.signal(Signal::KILL);
                self.escalation = Escalation::Killed;
            }
            Escalation::Killed => {}
        }
    }

    fn signal(&self, signal: Signal) {
        // `id` is `None` once the child is reaped: from then on another process may have the number.
        let group = self.child.id().and_then(|pid| i32::try_from(pid).ok()).and_then(Pid::from_raw);
        let Some(group) = group else { return };
        if let Err(error) = rustix::process::kill_process_group(group, signal) {
            debug!(%error, "the WhatsApp bridge could not be signaled");
        }
    }

    /// Reads the lines that were written before the end and not read yet: the cause of the end is among them.
    async fn last_lines(&mut self) {
        for _ in 0..LAST_LINES_MAX {
            if let Some(output) = self.waiting.take()
                && self.outputs.send(output).await.is_err()
            {
                return;
            }
            if self.lines.is_none() {
                return;
            }
            let Ok(line) = timeout(LAST_WORDS_LIMIT, next_line(&mut self.lines)).await else { return };
            self.take_line(line);
        }
    }
}

async fn next_line(
    lines: &mut Option<FramedRead<ChildStdout, LinesCodec>>,
) -> Option<Result<String, LinesCodecError>> {
    match lines {
        Some(lines) => lines.next().await,
        None => None,
    }
}

async fn sleep_until(until: Option<Instant>) {
    if let Some(until) = until {
        tokio::time::sleep_until(until).await;
    }
}

fn now() -> Instant {
    Instant::from_std(crate::clock::Now::read().mono)
}

#[cfg(test)]
mod tests;
