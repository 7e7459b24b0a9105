//! What other processes ask of us: SIGTERM and SIGINT to stop, SIGUSR1 to restart, SIGHUP to read the settings again.

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;

use crate::error::{CliError, ExitCode};
use crate::gateway::model::event::Event;
use crate::gateway::model::event::StopSignal;
use crate::world::World;

/// What was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Asked {
    Stop(StopSignal),
    Reload,
}

/// The signals that the gateway listens to.
#[derive(Debug)]
pub struct Signals {
    terminate: Signal,
    interrupt: Signal,
    restart: Signal,
    hangup: Signal,
    /// True when somebody started us at a terminal.
    has_terminal: bool,
}

impl Signals {
    /// From now on they are heard instead of ending the process.
    ///
    /// # Errors
    /// When the system has no room for them.
    pub fn new(world: &World) -> Result<Self, CliError> {
        let of = |kind| {
            signal(kind).map_err(|error| CliError::failed("signals cannot be received").because(error))
        };
        Ok(Self {
            terminate: of(SignalKind::terminate())?,
            interrupt: of(SignalKind::interrupt())?,
            restart: of(SignalKind::user_defined1())?,
            hangup: of(SignalKind::hangup())?,
            has_terminal: world.stderr_tty,
        })
    }

    async fn next(&mut self) -> Asked {
        tokio::select! {
            () = heard(&mut self.terminate) => Asked::Stop(StopSignal::Terminate),
            () = heard(&mut self.interrupt) => Asked::Stop(StopSignal::Interrupt),
            () = heard(&mut self.restart) => Asked::Stop(StopSignal::Restart),
            () = heard(&mut self.hangup) => {
                // A terminal that was closed takes its programs with it; any other SIGHUP is a request.
                if self.has_terminal && !terminal_is_there() {
                    Asked::Stop(StopSignal::Terminate)
                } else {
                    Asked::Reload
                }
            }
        }
    }

    /// Waits until somebody asks us to stop, before there is anything to drain.
    pub async fn stop(&mut self) -> ExitCode {
        loop {
            match self.next().await {
                Asked::Stop(StopSignal::Interrupt) => return ExitCode::Interrupted,
                Asked::Stop(StopSignal::Restart) => return ExitCode::Restart,
                Asked::Stop(StopSignal::Terminate | StopSignal::AllBlocked | StopSignal::StoreLost) => {
                    return ExitCode::Ok;
                }
                // The settings were read a moment ago, and are read again when there is a loop.
                Asked::Reload => {}
            }
        }
    }

    /// Hands every signal to the loop, until that is gone.
    pub async fn listen(&mut self, events: &mpsc::Sender<Event>) {
        loop {
            let event = match self.next().await {
                Asked::Stop(signal) => Event::StopAsked(signal),
                Asked::Reload => Event::ReloadAsked,
            };
            if events.send(event).await.is_err() {
                return;
            }
        }
    }
}

/// Waits for this signal. A stream that has ended never comes to an end for its listeners.
async fn heard(signal: &mut Signal) {
    if signal.recv().await.is_none() {
        std::future::pending::<()>().await;
    }
}

fn terminal_is_there() -> bool {
    rustix::termios::tcgetattr(std::io::stderr()).is_ok()
}
