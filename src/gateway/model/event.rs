//! Events of the gateway. Every source becomes one of these, and the loop decides on nothing else.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;

use crate::gateway::model::adapter::Link;
use crate::gateway::model::command::Request;
use crate::gateway::model::failure::{AdapterError, Degraded};
use crate::gateway::model::snapshot::Snapshot;
use crate::gateway::settings::Reading;

/// The number of an attempt or a check; an answer carries the number of its request.
pub type Generation = u64;

/// A supervised platform: its index in the loop's list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SupervisedId(pub usize);

/// One event.
#[derive(Debug)]
pub enum Event {
    /// A report of a platform.
    Supervised {
        /// The platform.
        seat: SupervisedId,
        /// Its attempt or check.
        generation: Generation,
        /// The report.
        report: Report,
    },
    /// The service of this platform could not be reached, and takes connections again.
    Returned(SupervisedId),
    /// The process was asked to end.
    StopAsked(StopSignal),
    /// A request, whose sender waits for the answer.
    Command(Request),
    /// A request to read the settings again.
    ReloadAsked,
    /// The host has another network, or has it again.
    NetworkChanged,
    /// The state of the HTTP API has changed.
    HttpChanged,
    /// The problems of the gateway itself have changed.
    ProblemsChanged,
    /// The settings were read, and have changed.
    SettingsRead(Reading),
    /// The settings were read on request.
    Reloaded(Reading),
    /// The message path has finished running work, or its limit ran out.
    Drained,
    /// Every link is closed, or its limit ran out.
    Closed,
    /// The message path has counted again.
    Counted,
    /// A request for the current state. Its sender may be gone.
    Look(oneshot::Sender<Snapshot>),
    /// A timer is due.
    Due,
}

/// The cause of a request to end.
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
    /// The store can no longer be written.
    StoreLost,
}

/// A report of a platform's task.
pub enum Report {
    /// The check found an obstacle; nothing was started.
    Refused(AdapterError),
    /// A link is live.
    Up(Arc<dyn Link>),
    /// The attempt failed, or the link has ended.
    Down(AdapterError),
    /// The platform asks for a pause on the live link.
    Limited(Duration),
    /// The live link reports that something fails in it and is tried again, or that it works again.
    Degraded(Option<Degraded>),
    /// The cause of a block was checked.
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
