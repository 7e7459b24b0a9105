//! What can happen to the gateway. Every source becomes one of these, and the loop decides on nothing else.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;

use crate::gateway::model::adapter::Link;
use crate::gateway::model::command::Request;
use crate::gateway::model::failure::{AdapterError, Degraded};
use crate::gateway::model::snapshot::Snapshot;
use crate::gateway::settings::Reading;

/// Counts attempts and checks; an answer carries the number it was asked under.
pub type Generation = u64;

/// Which of the supervised platforms: its place in the loop's list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SupervisedId(pub usize);

/// One thing that happened.
#[derive(Debug)]
pub enum Event {
    /// News of a platform.
    Supervised {
        /// Which.
        seat: SupervisedId,
        /// The attempt or look that it is of.
        generation: Generation,
        /// What.
        report: Report,
    },
    /// The service of this platform could not be reached, and takes connections again.
    Returned(SupervisedId),
    /// Somebody asked the process to end.
    StopAsked(StopSignal),
    /// Somebody asked something of us, and waits for the answer.
    Command(Request),
    /// Somebody asked that the settings be read again.
    ReloadAsked,
    /// The host has another network, or has it again.
    NetworkChanged,
    /// The HTTP API has another state.
    HttpChanged,
    /// Something is wrong with the gateway itself, or no longer.
    ProblemsChanged,
    /// The settings were read, and something has changed.
    SettingsRead(Reading),
    /// The settings were read because somebody asked.
    Reloaded(Reading),
    /// The message path has finished what was under way, or its limit ran out.
    Drained,
    /// Every link is closed, or its limit ran out.
    Closed,
    /// The message path has counted anew.
    Counted,
    /// Somebody wants to see the state of this moment. They may have gone.
    Look(oneshot::Sender<Snapshot>),
    /// Something that was waited for is due.
    Due,
}

/// Who or what asked the process to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StopSignal {
    /// SIGTERM, or a stop command.
    Terminate,
    /// SIGINT: Ctrl-C.
    Interrupt,
    /// SIGUSR1, or a restart command: end in order to be started again (see [`crate::gateway::host::restart`]).
    Restart,
    /// Every platform is blocked, and the settings say to end then.
    AllBlocked,
    /// Nothing can be stored any more.
    StoreLost,
}

/// What a platform's task reports.
pub enum Report {
    /// The check found something in the way; nothing was started.
    Refused(AdapterError),
    /// A link is live.
    Up(Arc<dyn Link>),
    /// The attempt failed, or the link has ended.
    Down(AdapterError),
    /// The platform asks for less on the live link.
    Limited(Duration),
    /// The live link says that something fails in it and is tried again, or that all is well again.
    Degraded(Option<Degraded>),
    /// A blocked platform's cause was looked at.
    Checked(Result<(), AdapterError>),
}

impl fmt::Debug for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(error) => write!(f, "Refused({})", error.code),
            Self::Up(_) => f.write_str("Up"),
            Self::Down(error) => write!(f, "Down({})", error.code),
            Self::Limited(wait) => write!(f, "Limited({wait:?})"),
            Self::Degraded(None) => f.write_str("Degraded(no)"),
            Self::Degraded(Some(degraded)) => write!(f, "Degraded({})", degraded.error.code),
            Self::Checked(Ok(())) => f.write_str("Checked(ok)"),
            Self::Checked(Err(error)) => write!(f, "Checked({})", error.code),
        }
    }
}
