//! The background jobs beside the turns: old rows are deleted, messages that wait for too long are given up, and waiting
//! rows are counted.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;

use super::running::Running;
use crate::clock::Now;
use crate::gateway::agent::api::{About, Agent};
use crate::gateway::host::kept;
use crate::gateway::metrics::{Counter, Metrics};
use crate::gateway::sessions::Keeper;
use crate::gateway::store::api::{Depths, Store};

/// The pause between two prunings of old rows.
const PRUNE_EVERY: Duration = Duration::from_secs(3600);

/// The pause between two searches for messages that wait for too long.
const EXPIRE_EVERY: Duration = Duration::from_secs(60);

/// The pause between two steps of pruning: messages go first.
const PRUNE_PAUSE: Duration = Duration::from_millis(200);

/// The pause between two counts of the waiting rows.
const COUNT_PAUSE: Duration = Duration::from_millis(200);

/// The values of the last count.
#[derive(Debug, Clone, Default)]
pub(super) struct Counted {
    pub(super) depths: Depths,
    pub(super) oldest_at: Option<Timestamp>,
    pub(super) agent: About,
}

/// Everything that the background jobs need.
pub(super) struct Upkeep {
    pub(super) store: Arc<dyn Store>,
    pub(super) agent: Arc<dyn Agent>,
    pub(super) sessions: Arc<Keeper>,
    pub(super) running: Arc<Running>,
    /// Notified when there is something to count.
    pub(super) changed: Arc<Notify>,
    /// Counts the messages that are given up.
    pub(super) tally: Arc<Metrics>,
    /// The time that a message may wait to be sent.
    pub(super) expiry: watch::Receiver<Duration>,
    pub(super) counted: Arc<Mutex<Counted>>,
    /// Changes with each count.
    pub(super) told: watch::Sender<()>,
}

impl Upkeep {
    /// Runs the jobs until `stop`.
    pub(super) fn start(self, stop: &CancellationToken) {
        let this = Arc::new(self);
        this.keep(stop, "prune", |this| async move { this.prune().await });
        this.keep(stop, "expire", |this| async move { this.expire().await });
        this.keep(stop, "count", |this| async move { this.count().await });
        this.keep(stop, "sessions", |this| async move {
            Arc::clone(&this.sessions).watch(|chat| this.running.is_busy(chat)).await;
        });
    }

    fn keep<F>(
        self: &Arc<Self>,
        stop: &CancellationToken,
        name: &'static str,
        work: impl Fn(Arc<Self>) -> F + Send + 'static,
    ) where
        F: Future<Output = ()> + Send + 'static,
    {
        let (this, stop) = (Arc::clone(self), stop.clone());
        kept::keep(name, move || {
            let (work, stop) = (work(Arc::clone(&this)), stop.clone());
            async move {
                stop.run_until_cancelled_owned(work).await;
            }
        });
    }

    /// Deletes old rows.
    async fn prune(&self) {
        loop {
            while self.store.prune().await.unwrap_or_else(|error| {
                tracing::warn!(code = "prune_failed", %error, "old messages could not be deleted");
                false
            }) {
                tokio::time::sleep(PRUNE_PAUSE).await;
            }
            tokio::time::sleep(PRUNE_EVERY).await;
        }
    }

    /// Gives up the messages that could not be sent in time.
    async fn expire(&self) {
        let mut expiry = self.expiry.clone();
        loop {
            let longest = *expiry.borrow_and_update();
            let before = Now::read().wall.checked_sub(longest).unwrap_or(Timestamp::MIN);
            match self.store.expire(before).await {
                Ok(expired) if expired.is_empty() => {
                    drop(tokio::time::timeout(EXPIRE_EVERY, expiry.changed()).await);
                }
                Ok(expired) => {
                    let count: u64 = expired.values().sum();
                    for (platform, count) in expired {
                        self.tally.count_many(platform, Counter::Expired, count);
                    }
                    tracing::warn!(
                        code = "outbox_expired",
                        count,
                        "Gave up on messages that could not be sent in time"
                    );
                    self.changed.notify_one();
                    tokio::time::sleep(PRUNE_PAUSE).await;
                }
                Err(error) => {
                    tracing::debug!(%error, "overdue messages could not be searched");
                    tokio::time::sleep(EXPIRE_EVERY).await;
                }
            }
        }
    }

    /// Counts the rows and checks the agent's state whenever something has changed.
    async fn count(&self) {
        loop {
            self.look().agent = self.agent.about();
            match self.store.depths().await {
                Ok(depths) => self.look().depths = depths,
                Err(error) => tracing::debug!(%error, "the queues could not be counted"),
            }
            match self.store.oldest_waiting().await {
                Ok(oldest_at) => self.look().oldest_at = oldest_at,
                Err(error) => tracing::debug!(%error, "the oldest waiting message could not be found"),
            }
            self.told.send_replace(());
            self.changed.notified().await;
            tokio::time::sleep(COUNT_PAUSE).await;
        }
    }

    fn look(&self) -> MutexGuard<'_, Counted> {
        self.counted.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
