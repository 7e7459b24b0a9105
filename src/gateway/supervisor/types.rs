//! Pure. The types of a platform's machine: its states, inputs and actions.

use std::time::{Duration, Instant};

use crate::backoff::Ladder;
use crate::config::GatewayConfig;
use crate::gateway::model::event::Generation;
use crate::gateway::model::failure::{AdapterError, Degraded};

/// The settings of a machine.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Policy {
    /// Limit for one attempt.
    pub connect_timeout: Duration,
    /// The waits between attempts.
    pub ladder: Ladder,
    /// A connection that lasts this long resets the ladder.
    pub stable_after: Duration,
    /// The counted failures in a row that pause the platform; 0: never.
    pub breaker_after: u32,
    /// The wait before the breaker's first probe; it doubles each time. `None`: only an operator ends its pause.
    pub probe_every: Option<Duration>,
}

impl From<&GatewayConfig> for Policy {
    fn from(config: &GatewayConfig) -> Self {
        Self {
            connect_timeout: config.connect_timeout,
            ladder: Ladder::from(&config.reconnect),
            stable_after: config.reconnect.stable_after,
            breaker_after: config.reconnect.breaker_after,
            probe_every: config.reconnect.probe_every,
        }
    }
}

impl Default for Policy {
    fn default() -> Self {
        Self::from(&GatewayConfig::default())
    }
}

/// The state of a platform.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// Not supervised yet.
    Disabled,
    /// An attempt is under way.
    Connecting {
        /// Its attempt.
        generation: Generation,
        /// The time when it began.
        since: Instant,
        /// The time when it is given up.
        deadline: Instant,
        /// True for a probe of the breaker; people still see a pause.
        probe: bool,
    },
    /// A link is live.
    Connected {
        /// The attempt that brought it.
        generation: Generation,
        /// The time since which it is live.
        since: Instant,
        /// The end of a pause that the platform asked for.
        limited_until: Option<Instant>,
        /// A failure in it that the link itself retries.
        degraded: Option<Degraded>,
    },
    /// Waiting for the next attempt.
    Retrying {
        /// The time when it begins.
        at: Instant,
        /// The reason for the end of the last one.
        error: AdapterError,
    },
    /// Only a person or a changed file can end this; the cause is checked periodically.
    Blocked {
        /// The reason.
        error: AdapterError,
        /// The time of the next check.
        recheck_at: Instant,
        /// The running check.
        checking: Option<Generation>,
    },
    /// Not tried.
    Paused {
        /// The origin of the pause.
        by: PausedBy,
        /// The last failure, where one led to this.
        error: Option<AdapterError>,
        /// The time of the next probe; `None` when an operator paused it.
        probe_at: Option<Instant>,
    },
    /// The gateway stops; nothing is begun.
    Stopping,
}

impl State {
    /// The attempt that brought the live link; `None` where there is no link.
    pub fn live(&self) -> Option<Generation> {
        match self {
            Self::Connected { generation, .. } => Some(*generation),
            Self::Disabled
            | Self::Connecting { .. }
            | Self::Retrying { .. }
            | Self::Blocked { .. }
            | Self::Paused { .. }
            | Self::Stopping => None,
        }
    }

    /// The failure in the live link.
    pub fn degraded(&self) -> Option<&Degraded> {
        if let Self::Connected { degraded, .. } = self { degraded.as_ref() } else { None }
    }
}

/// The origin of a pause.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PausedBy {
    /// The breaker, after too many failures in a row.
    Breaker,
    /// An operator, who alone can end it.
    Operator,
}

impl PausedBy {
    /// The value in the status file.
    pub fn wire_name(self) -> &'static str {
        match self {
            Self::Breaker => "breaker",
            Self::Operator => "operator",
        }
    }
}

/// An input of the machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Input {
    /// Begin to supervise.
    Start,
    /// The attempt of this generation brought a link.
    Up {
        /// The attempt.
        generation: Generation,
    },
    /// The check before an attempt found an obstacle; nothing was started.
    Refused {
        /// The attempt.
        generation: Generation,
        /// The obstacle.
        error: AdapterError,
    },
    /// The attempt failed, or its link has ended.
    Down {
        /// The attempt.
        generation: Generation,
        /// The reason.
        error: AdapterError,
    },
    /// The platform asks for a pause on this live link. This is not a failure.
    Limited {
        /// The attempt that brought it.
        generation: Generation,
        /// For this long.
        wait: Duration,
    },
    /// A failure in this live link, which the link itself retries; or its end.
    Degraded {
        /// The attempt that brought it.
        generation: Generation,
        /// The failure; `None`: it works again.
        degraded: Option<Degraded>,
    },
    /// The answer to [`Action::Check`].
    Checked {
        /// The check.
        generation: Generation,
        /// The obstacle that is still there.
        result: Result<(), AdapterError>,
    },
    /// Files or settings that it depends on have changed: a block is checked again at once.
    Changed,
    /// The host seems to have no network: failures to reach the platform do not count.
    HostOffline,
    /// The network is back: try after this wait, which differs for each platform.
    HostBack {
        /// The wait.
        after: Duration,
    },
    /// The host has another network, or has it again. Its reach is not known: a platform that could not be reached is tried
    /// after this wait, which differs for each platform.
    NetworkChanged {
        /// The wait.
        after: Duration,
    },
    /// Its service at a local endpoint, which could not be reached, takes connections again.
    Returned,
    /// The machine slept or its clock jumped: no proof of a connection is valid. Try after this wait.
    Jumped {
        /// The wait.
        after: Duration,
    },
    /// An operator pauses it. Wins against everything but the end of the gateway.
    Pause,
    /// An operator resumes it: try now.
    Resume,
    /// The gateway stops.
    Stop,
}

/// An action to perform.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Start an attempt: check, connect, then watch the link. Exactly one answer: `Refused`, or `Up` and later `Down`.
    Connect {
        /// The number of the attempt.
        generation: Generation,
    },
    /// Drop the attempt of this generation, in any phase.
    Abandon {
        /// The attempt.
        generation: Generation,
    },
    /// Close the link that this generation brought, in the background and within a limit.
    Close {
        /// The attempt.
        generation: Generation,
    },
    /// Check whether the cause of a block is gone, and answer `Checked`.
    Check {
        /// The number of the check.
        generation: Generation,
    },
    /// Evidence about the host's network.
    Note(Note),
    /// Log one line.
    Tell(News),
}

/// A platform's result, as evidence about the host; see [`crate::gateway::supervisor::host`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Note {
    /// It connected.
    Reached,
    /// It failed with this code.
    Failed(&'static str),
}

/// A change that is worth one line in the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum News {
    /// It is connected.
    Connected,
    /// It is not connected, and will be tried again.
    Retrying {
        /// The reason.
        error: AdapterError,
        /// After this wait.
        wait: Duration,
    },
    /// It still is not connected, for the reason that was reported before.
    StillRetrying {
        /// The reason.
        error: AdapterError,
        /// Failures that were not reported.
        untold: u32,
    },
    /// It is connected, with a failure that the connection itself retries.
    Degraded {
        /// The failure, and the time of the next try.
        degraded: Degraded,
        /// The wait before it.
        wait: Duration,
    },
    /// It is connected, and the platform asks for a pause.
    Limited {
        /// The wait.
        wait: Duration,
    },
    /// It is not connected, and only a person can change that.
    Blocked {
        /// The reason, with the step to take.
        error: AdapterError,
    },
    /// The breaker pauses it from now on.
    Opened {
        /// The last failure.
        error: AdapterError,
        /// The number of failures.
        failures: u32,
        /// The wait before the next probe; `None`: only an operator ends the pause.
        probe_in: Option<Duration>,
    },
    /// An operator paused it.
    Paused,
    /// An operator ended its pause.
    Resumed,
}
