//! What the parts of one connection know of each other: whether it has ended, and when it was last proven.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::watch;

use crate::clock::Now;
use crate::gateway::failure::AdapterError;

/// One connection.
#[derive(Debug)]
pub(super) struct Shared {
    end: watch::Sender<Option<AdapterError>>,
    proof: Mutex<Instant>,
    /// Nothing more is asked for at the moment: what came cannot be stored.
    holding: AtomicBool,
    /// The last wait for the whole bot that nobody has heard of.
    limit: watch::Sender<Option<Duration>>,
}

impl Shared {
    /// Just proven.
    pub(super) fn new() -> Self {
        Self {
            end: watch::Sender::new(None),
            proof: Mutex::new(Now::read().mono),
            holding: AtomicBool::new(false),
            limit: watch::Sender::new(None),
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

    /// Whether what came can be stored.
    pub(super) fn hold(&self, holds: bool) {
        self.holding.store(holds, Ordering::Relaxed);
    }

    /// Nothing is asked for, so that only a look on another connection can prove anything.
    pub(super) fn is_holding(&self) -> bool {
        self.holding.load(Ordering::Relaxed)
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
