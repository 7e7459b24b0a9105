//! Pure. Events from outside that shorten a platform's wait: a network that is back or another one, a sleep of the machine.

use std::time::{Duration, Instant};

use super::{Machine, STUCK_AFTER};
use crate::gateway::model::failure::{AdapterError, Retry};
use crate::gateway::supervisor::host;
use crate::gateway::supervisor::types::{Action, PausedBy, State};

impl Machine {
    /// Shortens waits, and begins attempts older than `stuck_after` again. Counters stay.
    pub(super) fn wake(&mut self, now: Instant, after: Duration, stuck_after: Duration) {
        let soon = now + after;
        match &mut self.state {
            State::Retrying { error, .. } if matches!(error.retry, Retry::After(_)) => {}
            State::Retrying { at, .. } => *at = soon.min(*at),
            State::Blocked { recheck_at, checking: None, .. } => *recheck_at = soon.min(*recheck_at),
            State::Paused { probe_at: Some(at), .. } => *at = soon.min(*at),
            State::Connecting { generation, since, probe, .. } if *since + stuck_after <= now => {
                let (generation, probe) = (*generation, *probe);
                self.actions.push_back(Action::Abandon { generation });
                let error = AdapterError::retryable("net_timeout", "the attempt started without a network");
                self.state = match probe {
                    true => State::Paused {
                        by: PausedBy::Breaker,
                        error: Some(error),
                        probe_at: self.policy.probe_every.map(|_| soon),
                    },
                    false => State::Retrying { at: soon, error },
                };
            }
            State::Disabled
            | State::Connecting { .. }
            | State::Connected { .. }
            | State::Blocked { .. }
            | State::Paused { .. }
            | State::Stopping => {}
        }
    }

    /// Tries again after a clock jump: a connection from before may be gone without a sign.
    pub(super) fn jumped(&mut self, now: Instant, after: Duration) {
        if matches!(self.state, State::Connected { .. }) {
            self.let_go();
            let error =
                AdapterError::retryable("clock_jumped", "the computer was asleep, or its clock was set");
            self.state = State::Retrying { at: now + after, error };
        } else {
            self.wake(now, after, Duration::ZERO);
        }
    }

    /// Tries a platform that could not be reached over the changed network; one that waits for another reason goes on
    /// waiting. Such an attempt is added to those of the ladder, so it does not raise the wait.
    pub(super) fn look_for_network(&mut self, now: Instant, after: Duration) {
        let is_stuck = matches!(self.state, State::Connecting { since, .. } if since + STUCK_AFTER <= now);
        if is_stuck || self.is_cut_off() {
            self.is_extra = true;
            self.wake(now, after, STUCK_AFTER);
        }
    }

    /// True when it waits because its service could not be reached, and would be tried sooner if that were known to have changed.
    pub fn is_cut_off(&self) -> bool {
        match &self.state {
            State::Retrying { error, .. } => {
                error.retry == Retry::Backoff && host::is_of_the_network(error.code)
            }
            State::Paused { error: Some(error), probe_at: Some(_), .. } => {
                host::is_of_the_network(error.code)
            }
            State::Disabled
            | State::Connecting { .. }
            | State::Connected { .. }
            | State::Blocked { .. }
            | State::Paused { .. }
            | State::Stopping => false,
        }
    }
}
