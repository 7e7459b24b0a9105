//! Pure. The reports of a live link, and its end.

use std::time::{Duration, Instant};

use super::{AFTER_MAX, AFTER_MIN, Machine};
use crate::gateway::model::event::Generation;
use crate::gateway::model::failure::{AdapterError, Degraded, Retry};
use crate::gateway::supervisor::types::{Action, Note, State};

impl Machine {
    /// Notes the last proof of the live link: it shows how long it held, should it be lost.
    pub fn proven(&mut self, at: Instant) {
        self.proven_at = Some(at);
    }

    pub(super) fn limited(&mut self, now: Instant, of: Generation, wait: Duration) {
        let wait = wait.clamp(AFTER_MIN, AFTER_MAX);
        if self.state.live() != Some(of) {
            return;
        }
        if let State::Connected { limited_until, .. } = &mut self.state {
            *limited_until = Some(limited_until.map_or(now + wait, |until| until.max(now + wait)));
        }
        self.tell(|teller| teller.limited(now, wait));
    }

    pub(super) fn degraded(&mut self, now: Instant, of: Generation, told: Option<Degraded>) {
        if self.state.live() != Some(of) {
            return;
        }
        if let State::Connected { degraded, .. } = &mut self.state {
            degraded.clone_from(&told);
        }
        match told {
            Some(degraded) => self.tell(|teller| teller.degraded(now, degraded)),
            None if self.flaps.flapping().is_none() => self.tell(|teller| teller.connected()),
            None => {}
        }
    }

    /// Handles the end of a live link.
    pub(super) fn lose(&mut self, now: Instant, error: AdapterError) {
        let held = self.held(now);
        if held >= self.policy.ladder.first {
            self.at_once_used = false;
            (self.failures, self.strikes) = (0, 0);
        }
        let error = match error.retry {
            Retry::Backoff if held < self.policy.stable_after => self.flaps.lost(now, error),
            Retry::Backoff | Retry::Never | Retry::After(_) | Retry::Rest => error,
        };
        if error.retry == Retry::Backoff && !self.at_once_used {
            self.at_once_used = true;
            self.actions.push_back(Action::Note(Note::Failed(error.code)));
            self.retry(now, Duration::ZERO, error);
        } else {
            self.fail(now, error);
        }
    }

    /// The time for which the live link was proven to work.
    fn held(&self, now: Instant) -> Duration {
        let State::Connected { since, .. } = self.state else { return Duration::ZERO };
        self.proven_at.unwrap_or(now).min(now).saturating_duration_since(since)
    }
}
