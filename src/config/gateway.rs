//! Pure. `[gateway]`: the gateway itself.

use std::time::Duration;

use super::{HttpConfig, TurnConfig};
use crate::backoff::Ladder;
use crate::setting::table::Clash;
use crate::setting::value::{DAY, HOUR, MINUTE, MOMENT, SECOND, number, of, share, time, time_or_off, word};
use crate::setting::{Flat, below, checked, table};

/// A breaker that waits for more never opens in practice; 0 says so.
const BREAKER_AFTER_MAX: u32 = 1000;

table! {
    /// The gateway itself.
    #[derive(Debug, Clone, PartialEq)]
    pub struct GatewayConfig {
        /// The longest a platform may take to connect.
        pub connect_timeout: Duration = MINUTE, time(MOMENT..=10 * MINUTE);
        /// The times of further attempts.
        pub reconnect: ReconnectConfig = ReconnectConfig::default(), checked(ReconnectConfig::clash);
        /// The longest a stop may take to finish what is under way.
        pub drain_timeout: Duration = 30 * SECOND, time(Duration::ZERO..=10 * MINUTE);
        /// The choice to end when every enabled platform is blocked.
        pub exit_when_all_blocked: ExitWhenAllBlocked = ExitWhenAllBlocked::Auto, word(&EXITS);
        /// The longest that a message waits to be sent; then it is a dead letter.
        pub outbox_expiry: Duration = DAY, time(SECOND..=30 * DAY);
        /// The rules by which messages become turns of the agent.
        pub turn: TurnConfig = TurnConfig::default(), Flat;
        /// The program that gets the alerts, and its arguments; `None`: a message goes to a home channel.
        pub notify_command: Option<Vec<String>> = None, of(program);
        /// The alerts.
        pub notify: NotifyConfig = NotifyConfig::default(), below();
        /// The HTTP API.
        pub http: HttpConfig = HttpConfig::default(), below();
    }
}

/// The choice to end when every enabled platform is blocked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ExitWhenAllBlocked {
    /// End only when nothing can come back by itself. Every block is checked again when its cause may have changed, so none
    /// of that kind is known today.
    #[default]
    Auto,
    /// Stay up.
    Never,
    /// End with 0 and the reason in the status file, as the first generation of this gateway did.
    Always,
}

const EXITS: [(&str, ExitWhenAllBlocked); 3] = [
    ("auto", ExitWhenAllBlocked::Auto),
    ("never", ExitWhenAllBlocked::Never),
    ("always", ExitWhenAllBlocked::Always),
];

table! {
    /// The alerts to the operator that a platform does not work.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct NotifyConfig {
        /// The time after which a platform is reported that only a person can bring back.
        pub after: Duration = 3 * MINUTE, time(MOMENT..=DAY);
        /// The time after which a platform is reported that is still being tried.
        pub retrying_after: Duration = 15 * MINUTE, time(MOMENT..=DAY);
        /// The least time between two alerts of a platform.
        pub every: Duration = HOUR, time(MOMENT..=DAY);
    }
}

table! {
    /// The times of further attempts to connect.
    #[derive(Debug, Clone, Copy, PartialEq)]
    pub struct ReconnectConfig {
        /// The first wait; it doubles with each failure.
        pub first: Duration = 30 * SECOND, time(MOMENT..=HOUR);
        /// The longest wait.
        pub cap: Duration = 5 * MINUTE, time(MOMENT..=DAY);
        /// The share around its value from which each wait is drawn.
        pub jitter: f64 = 0.2, share(0.0..=0.5);
        /// Failures in a row that pause a platform; 0: never.
        pub breaker_after: u32 = 10, number(0..=BREAKER_AFTER_MAX);
        /// The length of such a pause before the platform is tried once; doubling. `None`: until a person resumes it.
        pub probe_every: Option<Duration> = Some(15 * MINUTE), time_or_off(MOMENT..=DAY);
        /// Length of a connection that resets the ladder.
        pub stable_after: Duration = 5 * MINUTE, time(MOMENT..=DAY);
    }
}

impl ReconnectConfig {
    fn clash(&self) -> Option<Clash> {
        let message = "cap (the longest wait) must not be shorter than first";
        (self.cap < self.first).then(|| (&["cap", "first"][..], message.to_owned()))
    }
}

impl From<&ReconnectConfig> for Ladder {
    fn from(config: &ReconnectConfig) -> Self {
        Self { first: config.first, cap: config.cap, jitter: config.jitter }
    }
}

/// A command to run; an empty one is none.
fn program(command: Vec<String>) -> Result<Option<Vec<String>>, String> {
    match command.first() {
        Some(program) if program.trim().is_empty() => Err("must start with the name of a program".to_owned()),
        Some(_) => Ok(Some(command)),
        None => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use super::super::file::read;
    use super::*;

    #[test]
    fn the_breaker_and_its_probes_can_be_switched_off() {
        let reconnect = |text: &str| {
            read(&format!("[gateway.reconnect]\n{text}"), &mut Vec::new()).unwrap().gateway.reconnect
        };
        assert_eq!(reconnect("breaker_after = 0").breaker_after, 0);
        assert_eq!(reconnect("probe_every = 'off'").probe_every, None);
        assert_eq!(reconnect("probe_every = '5m'").probe_every, Some(5 * MINUTE));
        let error = |text: &str| read(text, &mut Vec::new()).err().unwrap().to_string();
        assert!(error("[gateway.reconnect]\nbreaker_after = -1").contains("from 0 to 1000"));
        assert!(
            error("[gateway.reconnect]\nprobe_every = 'never'").contains("probe_every must be a duration")
        );
    }
}
