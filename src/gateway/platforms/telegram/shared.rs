//! The common state of the parts of one connection: its end, and its last proof.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{Notify, watch};

use crate::clock::Now;
use crate::gateway::model::failure::{AdapterError, Degraded};

/// Age up to which a proof is fresh: a request waits for 30 s at most, and 45 s after a proof the connection counts as lost.
const PROOF_FRESH: Duration = Duration::from_secs(10);

/// Limit for one step of taking updates; fetching the attachments of one message, the longest step, is shorter.
const STILL_MAX: Duration = Duration::from_secs(400);

/// The state of one connection.
#[derive(Debug)]
pub(super) struct Shared {
    end: watch::Sender<Option<AdapterError>>,
    proof: Mutex<Instant>,
    /// Set while updates are being taken and no more are asked for: the time of the last step.
    busy: Mutex<Option<Instant>>,
    /// The last wait for the whole bot that was not reported yet.
    limit: watch::Sender<Option<Duration>>,
    /// The failure that is being retried at the moment.
    health: watch::Sender<Option<Degraded>>,
    /// Wakes a task that waits before it tries something again.
    hurry: Notify,
    /// Wakes the probe.
    doubt: Notify,
}

impl Shared {
    /// Makes the state of a connection that was just proven.
    pub(super) fn new() -> Self {
        Self {
            end: watch::Sender::new(None),
            proof: Mutex::new(Now::read().mono),
            busy: Mutex::default(),
            limit: watch::Sender::new(None),
            health: watch::Sender::new(None),
            hurry: Notify::new(),
            doubt: Notify::new(),
        }
    }

    /// Ends the connection; the first reason stands.
    pub(super) fn end(&self, error: AdapterError) {
        self.end.send_if_modified(|end| {
            let first = end.is_none();
            if first {
                *end = Some(error);
            }
            first
        });
    }

    /// Returns when the connection is over.
    pub(super) async fn ended(&self) -> AdapterError {
        let mut end = self.end.subscribe();
        let end = end.wait_for(Option::is_some).await.expect("the sender lives in self");
        end.clone().expect("it is some")
    }

    /// Records an answer of the service.
    pub(super) fn prove(&self) {
        *self.proof.lock().unwrap_or_else(PoisonError::into_inner) = Now::read().mono;
    }

    /// Returns the time of the service's last answer.
    pub(super) fn proof(&self) -> Instant {
        *self.proof.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Records a successful probe. It is a proof only while no request is open on the receiving connection, and taking the
    /// updates makes progress: a disk that hangs is not a connection.
    pub(super) fn seen(&self) {
        let now = Now::read().mono;
        if self.busy_since().is_some_and(|got_on| now.saturating_duration_since(got_on) < STILL_MAX) {
            self.prove();
        }
    }

    /// Sets whether updates are being taken.
    pub(super) fn busy(&self, is_busy: bool) {
        *self.busy_since() = is_busy.then(|| Now::read().mono);
    }

    /// Records a step in taking the updates.
    pub(super) fn step(&self) {
        self.busy(true);
    }

    fn busy_since(&self) -> MutexGuard<'_, Option<Instant>> {
        self.busy.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// True when the last proof is so young that the next one may wait as long as a request can.
    pub(super) fn may_wait(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.proof()) < PROOF_FRESH
    }

    /// Sets the failure that is being retried, or clears it.
    pub(super) fn degrade(&self, degraded: Option<Degraded>) {
        self.health.send_if_modified(|health| {
            let is_new = *health != degraded;
            *health = degraded;
            is_new
        });
    }

    /// Returns the failure of the moment, now and later.
    pub(super) fn health(&self) -> watch::Receiver<Option<Degraded>> {
        self.health.subscribe()
    }

    /// Waits before a retry, or until an operator wants it now.
    pub(super) async fn pause(&self, wait: Duration) {
        // In time or hurried: either way it is tried now.
        drop(tokio::time::timeout(wait, self.hurry.notified()).await);
    }

    /// Ends every wait for a retry.
    pub(super) fn hurry(&self) {
        self.hurry.notify_waiters();
    }

    /// Asks for a probe: a request was refused as if the token were invalid.
    pub(super) fn doubt(&self) {
        self.doubt.notify_one();
    }

    /// Returns when a probe is asked for.
    pub(super) async fn doubted(&self) {
        self.doubt.notified().await;
    }

    /// Records that the service asks the whole bot to wait.
    pub(super) fn limit(&self, wait: Duration) {
        self.limit.send_replace(Some(wait));
    }

    /// Returns when the service asks the whole bot to wait; nothing is lost when this is dropped.
    pub(super) async fn limited(&self) -> Duration {
        let mut limit = self.limit.subscribe();
        limit.wait_for(Option::is_some).await.expect("the sender lives in self");
        self.limit.send_replace(None).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::platforms::Platform;

    #[test]
    fn while_what_came_is_taken_a_look_on_another_connection_is_the_proof() {
        let shared = Shared::new();
        let old = shared.proof() - Duration::from_secs(44);
        let age = || *shared.proof.lock().unwrap() = old;
        age();
        shared.seen();
        assert_eq!(shared.proof(), old, "the connection that receives may be wedged");
        shared.busy(true);
        shared.seen();
        assert!(shared.proof() > old);
        age();
        *shared.busy.lock().unwrap() = Some(Now::read().mono - STILL_MAX);
        shared.seen();
        assert_eq!(shared.proof(), old, "it stands still");
        shared.step();
        shared.seen();
        assert!(shared.proof() > old);
        age();
        shared.busy(false);
        shared.seen();
        assert_eq!(shared.proof(), old);
    }

    #[test]
    fn after_a_proof_that_is_old_the_next_question_waits_for_nothing() {
        let shared = Shared::new();
        let proof = shared.proof();
        assert!(shared.may_wait(proof) && shared.may_wait(proof + Duration::from_secs(9)));
        assert!(!shared.may_wait(proof + Duration::from_secs(10)));
    }

    #[test]
    fn a_question_that_may_wait_is_answered_within_the_lease() {
        let longest = crate::config::TelegramConfig::default().poll_timeout;
        assert!(PROOF_FRESH + longest < Platform::Telegram.spec().lease);
    }
}
