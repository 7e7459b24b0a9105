//! Pure. The words of a platform's machine: where it can be, what it hears, what it wants done.

use std::time::{Duration, Instant};

use crate::backoff::Ladder;
use crate::config::GatewayConfig;
use crate::gateway::model::event::Generation;
use crate::gateway::model::failure::{AdapterError, Degraded};

/// The numbers that a machine decides by.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Policy {
    /// The longest one attempt may take.
    pub connect_timeout: Duration,
    /// The waits between attempts.
    pub ladder: Ladder,
    /// A connection that lasts this long resets the ladder.
    pub stable_after: Duration,
    /// So many counted failures in a row pause the platform; 0: never.
    pub breaker_after: u32,
    /// How long the breaker waits before it has the platform tried once; twice as long each time. `None`: only an operator
    /// ends its pause.
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

/// Where a platform is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// Not supervised yet.
    Disabled,
    /// An attempt is under way.
    Connecting {
        /// Which one.
        generation: Generation,
        /// Since when.
        since: Instant,
        /// When it is given up.
        deadline: Instant,
        /// It is the breaker's look whether things have changed; people still see a pause.
        probe: bool,
    },
    /// A link is live.
    Connected {
        /// Of which attempt.
        generation: Generation,
        /// Since when.
        since: Instant,
        /// Until when the platform asks for less.
        limited_until: Option<Instant>,
        /// What fails in it, and is tried again by the link itself.
        degraded: Option<Degraded>,
    },
    /// Waiting for the next attempt.
    Retrying {
        /// When it begins.
        at: Instant,
        /// Why the last one ended.
        error: AdapterError,
    },
    /// Only a human or a file can change it; the cause is looked at again and again.
    Blocked {
        /// Why.
        error: AdapterError,
        /// When to look again.
        recheck_at: Instant,
        /// The look that is under way.
        checking: Option<Generation>,
    },
    /// Left alone.
    Paused {
        /// By whom.
        by: PausedBy,
        /// The last failure, where one led to this.
        error: Option<AdapterError>,
        /// When it is tried once all the same. Never when an operator paused it.
        probe_at: Option<Instant>,
    },
    /// The gateway stops; nothing is begun any more.
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

/// Who paused a platform.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PausedBy {
    /// The breaker, after too many failures in a row.
    Breaker,
    /// A person, who alone can end it.
    Operator,
}

impl PausedBy {
    /// The word of the status file.
    pub fn wire_name(self) -> &'static str {
        match self {
            Self::Breaker => "breaker",
            Self::Operator => "operator",
        }
    }
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Input {
    /// Begin to supervise.
    Start,
    /// The attempt of this generation brought a link.
    Up {
        /// Which one.
        generation: Generation,
    },
    /// The check before an attempt found something in the way; nothing was started.
    Refused {
        /// Which attempt.
        generation: Generation,
        /// What.
        error: AdapterError,
    },
    /// The attempt failed, or its link has ended.
    Down {
        /// Which one.
        generation: Generation,
        /// Why.
        error: AdapterError,
    },
    /// The platform asks for less on this live link. That is no failure.
    Limited {
        /// Of which attempt.
        generation: Generation,
        /// For this long.
        wait: Duration,
    },
    /// Something fails in this live link, which tries it again itself, or no longer.
    Degraded {
        /// Of which attempt.
        generation: Generation,
        /// What.
        degraded: Option<Degraded>,
    },
    /// The answer to [`Action::Check`].
    Checked {
        /// Which look.
        generation: Generation,
        /// What still stands in the way.
        result: Result<(), AdapterError>,
    },
    /// Files or settings that it depends on have changed: a block is looked at again at once.
    Changed,
    /// The host seems to be without a network: failures to reach it are not held against the platform.
    HostOffline,
    /// The network is back: try after this wait, which differs for each platform.
    HostBack {
        /// The wait.
        after: Duration,
    },
    /// The host has another network, or has it again. Whether anything can be reached by it is not known: what could not be
    /// reached is tried after this wait, which differs for each platform.
    NetworkChanged {
        /// The wait.
        after: Duration,
    },
    /// Its own service, which could not be reached, takes connections again.
    Returned,
    /// The machine slept or its clock jumped: no connection is worth believing. Try after this wait.
    Jumped {
        /// The wait.
        after: Duration,
    },
    /// An operator wants it left alone. Wins against everything but the end of the gateway.
    Pause,
    /// An operator wants it tried now.
    Resume,
    /// The gateway stops.
    Stop,
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Start an attempt: check, connect, then watch the link. Exactly one answer: `Refused`, or `Up` and later `Down`.
    Connect {
        /// Under this number.
        generation: Generation,
    },
    /// Drop the attempt of this generation, wherever it is.
    Abandon {
        /// Which one.
        generation: Generation,
    },
    /// Close the link that this generation brought, in the background and within a limit.
    Close {
        /// Which one.
        generation: Generation,
    },
    /// Look whether the cause of a block is gone, and answer `Checked`.
    Check {
        /// Under this number.
        generation: Generation,
    },
    /// Something that says whether the host has a network.
    Note(Note),
    /// Tell people, in one line.
    Tell(News),
}

/// What one platform's fate says about the host; see [`crate::gateway::supervisor::host`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Note {
    /// It connected.
    Reached,
    /// It failed with this code.
    Failed(&'static str),
}

/// A turn worth one line in the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum News {
    /// It is connected.
    Connected,
    /// It is not, and will be tried again.
    Retrying {
        /// Why.
        error: AdapterError,
        /// After this wait.
        wait: Duration,
    },
    /// It still is not, for the same reason as told before.
    StillRetrying {
        /// Why.
        error: AdapterError,
        /// Failures that were not told.
        untold: u32,
    },
    /// It is connected, and something fails that the connection tries again itself.
    Degraded {
        /// Why, and when it is tried next.
        degraded: Degraded,
        /// After this wait.
        wait: Duration,
    },
    /// It is connected and asks for less.
    Limited {
        /// For this long.
        wait: Duration,
    },
    /// It is not, and only a human can change that.
    Blocked {
        /// Why, with what to do.
        error: AdapterError,
    },
    /// The breaker leaves it alone from now on.
    Opened {
        /// The last failure.
        error: AdapterError,
        /// How many there were.
        failures: u32,
        /// When it is tried once; `None`: only an operator ends it.
        probe_in: Option<Duration>,
    },
    /// An operator wants it left alone.
    Paused,
    /// An operator ended its pause.
    Resumed,
}
