//! What the parts of one connection know of each other: whether it has ended, and when it was last proven.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{Notify, watch};

use crate::clock::Now;
use crate::gateway::model::failure::{AdapterError, Degraded};

/// A question waits for 30 s at most, and 45 s after a proof the connection counts as lost.
const PROOF_FRESH: Duration = Duration::from_secs(10);

/// Longer than the longest that a step of taking what came may last: fetching what came with one message.
const STILL_MAX: Duration = Duration::from_secs(400);

/// One connection.
#[derive(Debug)]
pub(super) struct Shared {
    end: watch::Sender<Option<AdapterError>>,
    proof: Mutex<Instant>,
    /// Nothing more is asked for at the moment, because what came is still being taken: when that last got on.
    busy: Mutex<Option<Instant>>,
    /// The last wait for the whole bot that nobody has heard of.
    limit: watch::Sender<Option<Duration>>,
    /// What fails at the moment, and is tried again.
    health: watch::Sender<Option<Degraded>>,
    /// Wakes a task that waits before it tries something again.
    hurry: Notify,
    /// Wakes the look at the service.
    doubt: Notify,
}

impl Shared {
    /// Just proven.
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

    /// It is over; the first reason stands.
    pub(super) fn end(&self, error: AdapterError) {
        self.end.send_if_modified(|end| {
            let first = end.is_none();
            if first {
                *end = Some(error);
            }
            first
        });
    }

    /// Returns when it is over.
    pub(super) async fn ended(&self) -> AdapterError {
        let mut end = self.end.subscribe();
        let end = end.wait_for(Option::is_some).await.expect("the sender lives in self");
        end.clone().expect("it is some")
    }

    /// The service has answered.
    pub(super) fn prove(&self) {
        *self.proof.lock().unwrap_or_else(PoisonError::into_inner) = Now::read().mono;
    }

    /// When the service last answered.
    pub(super) fn proof(&self) -> Instant {
        *self.proof.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A look on a connection of its own was answered. That is a proof only while nothing is asked for on the one by which
    /// messages come, and taking what came gets on: a disk that hangs is no connection.
    pub(super) fn seen(&self) {
        let now = Now::read().mono;
        if self.busy_since().is_some_and(|got_on| now.saturating_duration_since(got_on) < STILL_MAX) {
            self.prove();
        }
    }

    /// True when what came is being taken, as long as that lasts.
    pub(super) fn busy(&self, is_busy: bool) {
        *self.busy_since() = is_busy.then(|| Now::read().mono);
    }

    /// What is being taken got on by a step.
    pub(super) fn step(&self) {
        self.busy(true);
    }

    fn busy_since(&self) -> MutexGuard<'_, Option<Instant>> {
        self.busy.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The last proof is so young that the next one may wait as long as a question can.
    pub(super) fn may_wait(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.proof()) < PROOF_FRESH
    }

    /// Something fails and is tried again, or nothing does any more.
    pub(super) fn degrade(&self, degraded: Option<Degraded>) {
        self.health.send_if_modified(|health| {
            let is_new = *health != degraded;
            *health = degraded;
            is_new
        });
    }

    /// What fails at the moment.
    pub(super) fn health(&self) -> watch::Receiver<Option<Degraded>> {
        self.health.subscribe()
    }

    /// Waits so long before something is tried again, or until an operator wants it tried now.
    pub(super) async fn pause(&self, wait: Duration) {
        // In time or hurried: either way it is tried now.
        drop(tokio::time::timeout(wait, self.hurry.notified()).await);
    }

    /// Whatever waits is tried now.
    pub(super) fn hurry(&self) {
        self.hurry.notify_waiters();
    }

    /// A request was refused as if the token were worth nothing: the service is asked.
    pub(super) fn doubt(&self) {
        self.doubt.notify_one();
    }

    /// Returns when that has happened.
    pub(super) async fn doubted(&self) {
        self.doubt.notified().await;
    }

    /// The service asks the whole bot to wait.
    pub(super) fn limit(&self, wait: Duration) {
        self.limit.send_replace(Some(wait));
    }

    /// Returns when the service asks for it; nothing is lost when this is dropped.
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
