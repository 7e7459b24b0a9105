//! Pure. Connections that come and go: the rule for flapping, and the time after which a new one is shown again.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::gateway::model::failure::AdapterError;

/// The number of losses within [`WITHIN`], none after a connection that lasted, that counts as flapping.
pub(super) const FLAPS: usize = 5;

/// See [`FLAPS`].
const WITHIN: Duration = Duration::from_secs(1800);

/// The time that a flapping platform's connection must last before it is shown, so that the state does not change all the time.
const DOUBTED_FOR: Duration = Duration::from_secs(10);

/// The losses of one platform.
#[derive(Debug, Default)]
pub(super) struct FlapDetector {
    /// The newest last, at most [`FLAPS`].
    losses: VecDeque<Instant>,
    /// The last loss, as the flapping error, while it flaps.
    flapping: Option<AdapterError>,
    doubted_until: Option<Instant>,
}

impl FlapDetector {
    /// Notes the loss of a connection that had not lasted, and returns many of them as flapping.
    pub(super) fn lost(&mut self, now: Instant, error: AdapterError) -> AdapterError {
        self.losses.push_back(now);
        while self.losses.len() > FLAPS
            || self.losses.front().is_some_and(|at| now.duration_since(*at) > WITHIN)
        {
            self.losses.pop_front();
        }
        self.flapping = (self.losses.len() == FLAPS).then(|| AdapterError {
            code: "flapping",
            message: format!("the connection keeps dropping; last: {}", error.message),
            ..error.clone()
        });
        self.flapping.clone().unwrap_or(error)
    }

    /// Notes that it is connected.
    pub(super) fn up(&mut self, now: Instant) {
        self.doubted_until = self.flapping.is_some().then(|| now + DOUBTED_FOR);
    }

    /// Ends a doubt that is over.
    pub(super) fn handle_timeout(&mut self, now: Instant) {
        self.doubted_until = self.doubted_until.filter(|until| *until > now);
    }

    /// The time until which the current connection is not shown.
    pub(super) fn doubted_until(&self) -> Option<Instant> {
        self.doubted_until
    }

    /// The flapping error, while it flaps.
    pub(super) fn flapping(&self) -> Option<&AdapterError> {
        self.flapping.as_ref()
    }

    /// True when no loss is remembered.
    pub(super) fn is_empty(&self) -> bool {
        self.losses.is_empty()
    }
}
