//! Owns one bridge process: starts it, exchanges lines, ends it.
//!
//! The child is started through this program's own hidden `bridge-exec` command, which takes the session lock, asks the
//! kernel to end the child when we die, and then becomes Node. So the lock is held for exactly as long as the bridge
//! lives, and no bridge outlives its owner.

use std::path::PathBuf;
use std::time::Duration;

use tokio::sync::mpsc;

use crate::bridge::protocol::{Command, Event, Exit, Start};
use crate::world::World;

/// How the bridge is started.
#[derive(Debug, Clone)]
pub struct Launch {
    /// Node.
    pub node: PathBuf,
    /// The installed bridge.
    pub bridge_dir: PathBuf,
    /// The lock that the process holds while it lives.
    pub session_lock: PathBuf,
    /// Pair, or run.
    pub mode: Mode,
    /// The first line.
    pub start: Start,
}

/// What a bridge process is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Pair and exit.
    Pair,
    /// Receive and send until stopped.
    Run,
}

/// What comes from the process. After `Exited` nothing comes.
#[derive(Debug)]
pub enum Output {
    /// A line of the protocol.
    Event(Event),
    /// It printed something unusable to stdout; it is being ended.
    Garbage(String),
    /// It ended. The last lines of its stderr, redacted, at most 20.
    Exited {
        /// How.
        exit: Exit,
        /// Its last words.
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
}

impl BridgeProcess {
    /// Starts the process and sends the first line.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn spawn(world: &World, launch: &Launch) -> std::io::Result<Self> {
        let _ = (world, launch);
        Err(std::io::Error::other("not built"))
    }

    /// A handle for sending commands; bounded, so a bridge that does not read holds up its senders.
    pub fn commands(&self) -> mpsc::Sender<Command> {
        self.commands.clone()
    }

    /// What comes next; `None` after `Exited` was returned.
    pub async fn next(&mut self) -> Option<Output> {
        self.outputs.recv().await
    }

    /// Asks it to stop, waits `grace`, then ends its group. Returns how it ended.
    pub async fn stop(self, grace: Duration) -> Exit {
        let _ = grace;
        Exit::Done
    }
}
