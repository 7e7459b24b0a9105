//! Pure. Connections that come and go: when that is called flapping, and from when on one is shown again.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::gateway::model::failure::AdapterError;

/// So many losses within [`WITHIN`], none after a connection that lasted, are called flapping.
pub(super) const FLAPS: usize = 5;

/// See [`FLAPS`].
const WITHIN: Duration = Duration::from_secs(1800);

/// A connection of what flaps is not shown before it has lasted this long: who looks must not see it blink.
const DOUBTED_FOR: Duration = Duration::from_secs(10);

/// The losses of one platform.
#[derive(Debug, Default)]
pub(super) struct FlapDetector {
    /// The newest last, at most [`FLAPS`].
    losses: VecDeque<Instant>,
    /// The last loss by its name, while it flaps.
    flapping: Option<AdapterError>,
    doubted_until: Option<Instant>,
}

impl FlapDetector {
    /// Notes the loss of a connection that had not lasted, and calls many of them by their name.
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

    /// It is connected.
    pub(super) fn up(&mut self, now: Instant) {
        self.doubted_until = self.flapping.is_some().then(|| now + DOUBTED_FOR);
    }

    /// A doubt ends with its time.
    pub(super) fn handle_timeout(&mut self, now: Instant) {
        self.doubted_until = self.doubted_until.filter(|until| *until > now);
    }

    /// Until when the connection of this moment is not shown.
    pub(super) fn doubted_until(&self) -> Option<Instant> {
        self.doubted_until
    }

    /// What it is called, while it flaps.
    pub(super) fn flapping(&self) -> Option<&AdapterError> {
        self.flapping.as_ref()
    }

    /// There was no loss, as far as is remembered.
    pub(super) fn is_empty(&self) -> bool {
        self.losses.is_empty()
    }
}
