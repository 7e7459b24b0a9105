//! Requests of people and programs to a running gateway, and the handle for them.
//!
//! A [`Commands`] handle is cloned for each source of requests: the control socket, HTTP, the chat. Each request enters the
//! loop as an event and is answered with the sentence to show.

use std::time::Duration;

use tokio::sync::{mpsc, oneshot, watch};

use crate::gateway::model::event::Event;
use crate::gateway::model::snapshot::Snapshot;
use crate::platforms::Platform;

/// Limit for the answer to a request.
const ANSWER_LIMIT: Duration = Duration::from_secs(5);

/// Limit for the loop's answer to a look.
const LOOK_LIMIT: Duration = Duration::from_secs(1);

/// A request to the gateway.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// Leave this platform alone until it is resumed, also after a restart.
    Pause {
        /// Its name, in any case.
        platform: String,
    },
    /// Try this platform now: ends a pause, checks a block again, cuts a wait short.
    Resume {
        /// Its name, in any case.
        platform: String,
    },
    /// Read the settings again.
    Reload,
    /// Finish running work and end, to be started again.
    Restart,
    /// Finish running work and end (exit 0).
    Stop,
}

/// The sentence to show, or the reason for the failure.
pub type Answer = Result<String, CommandError>;

/// A command on its way through the loop.
#[derive(Debug)]
pub struct Request {
    /// The command.
    pub command: Command,
    /// The receiver of the answer. It may be gone.
    pub reply: oneshot::Sender<Answer>,
}

/// The reason why a command was not carried out; a sentence to show.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CommandError {
    /// Unknown platform.
    #[error("Unknown platform `{name}` (known: {}).", Platform::ALL.map(|platform| platform.spec().name).join(", "))]
    UnknownPlatform {
        /// The name in the request.
        name: String,
    },
    /// The platform is known, and this gateway does not run it.
    #[error("{title} is not enabled. Run `{setup}`; a running gateway then connects by itself.")]
    NotEnabled {
        /// The name for people.
        title: &'static str,
        /// The command that sets it up.
        setup: &'static str,
    },
    /// It could not be started again, so it is not ended.
    #[error("The gateway was not restarted and keeps running: {why}.")]
    NotRestarted {
        /// The reason; a part of a sentence.
        why: String,
    },
    /// The gateway stops, or has stopped.
    #[error("The gateway is stopping and accepts no changes.")]
    Stopping,
    /// The gateway did not answer in time.
    #[error("The gateway did not answer within {} s.", ANSWER_LIMIT.as_secs())]
    Unanswered,
}

impl CommandError {
    /// The stable code, in `snake_case`, for programs.
    pub fn code(&self) -> &'static str {
        match self {
            Self::UnknownPlatform { .. } => "unknown_platform",
            Self::NotEnabled { .. } => "not_enabled",
            Self::NotRestarted { .. } => "not_restarted",
            Self::Stopping => "stopping",
            Self::Unanswered => "unanswered",
        }
    }
}

/// The sender of commands. Cloning it is cheap.
#[derive(Debug, Clone)]
pub struct Commands {
    events: mpsc::Sender<Event>,
}

impl Commands {
    /// Commands for the loop behind this sender.
    pub fn new(events: mpsc::Sender<Event>) -> Self {
        Self { events }
    }

    /// Sends a command and waits at most 5 s for its answer.
    ///
    /// # Errors
    /// When the platform is not known or not enabled, or the gateway stops or does not answer. A command that was not
    /// answered in time may still be carried out.
    pub async fn give(&self, command: Command) -> Answer {
        let (reply, answer) = oneshot::channel();
        let asking = async {
            let request = Request { command, reply };
            self.events.send(Event::Command(request)).await.map_err(|_| CommandError::Stopping)?;
            answer.await.unwrap_or(Err(CommandError::Stopping))
        };
        tokio::time::timeout(ANSWER_LIMIT, asking).await.unwrap_or(Err(CommandError::Unanswered))
    }

    /// The current state; `None` when the loop does not report it within 1 s, or has ended.
    pub async fn look(&self) -> Option<Snapshot> {
        let (reply, answer) = oneshot::channel();
        let asking = async {
            self.events.send(Event::Look(reply)).await.ok()?;
            answer.await.ok()
        };
        tokio::time::timeout(LOOK_LIMIT, asking).await.ok().flatten()
    }
}

/// Access to the running gateway's state and commands: for the control socket, HTTP and the chat.
#[derive(Debug, Clone)]
pub struct Control {
    /// The newest state; `None` before the first turn of the loop.
    pub snapshots: watch::Receiver<Option<Snapshot>>,
    /// The sender of commands.
    pub commands: Commands,
}

impl Control {
    /// The newest published state: each change at once, counts up to 10 s later.
    pub fn snapshot(&self) -> Option<Snapshot> {
        self.snapshots.borrow().clone()
    }

    /// The current state; if the loop does not answer, the last published one, with its date.
    pub async fn look(&self) -> Option<Snapshot> {
        let published = self.snapshot()?;
        Some(self.commands.look().await.unwrap_or(published))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_refusal_is_a_sentence_and_has_a_code() {
        let unknown = CommandError::UnknownPlatform { name: "fax".to_owned() };
        assert_eq!(unknown.to_string(), "Unknown platform `fax` (known: whatsapp, telegram).");
        let spec = Platform::Whatsapp.spec();
        let not_enabled = CommandError::NotEnabled { title: spec.title, setup: spec.setup };
        for error in [unknown, not_enabled, CommandError::Stopping, CommandError::Unanswered] {
            assert!(error.to_string().ends_with('.'), "{error}");
            assert!(!error.code().is_empty());
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_gateway_that_is_gone_or_does_not_answer_is_told_apart() {
        let (events, mut inputs) = mpsc::channel(1);
        let commands = Commands::new(events);
        assert_eq!(commands.give(Command::Reload).await, Err(CommandError::Unanswered));
        assert!(inputs.recv().await.is_some());
        drop(inputs);
        assert_eq!(commands.give(Command::Stop).await, Err(CommandError::Stopping));
    }
}
