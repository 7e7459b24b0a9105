//! Runs a [`Schedule`].

use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use futures_util::FutureExt;
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::schedule::{Outcome, Schedule};
use crate::clock::Now;
use crate::gateway::message::ChatKey;
use crate::gateway::repeats::Repeats;
use crate::gateway::store::api::StoreError;

/// The chats that are held in memory: some hundred kilobytes.
const LANES_MAX: usize = 4096;

/// The wait after work that panicked, or a look on disk that failed.
const FAULT_WAIT: Duration = Duration::from_secs(1);

/// What is done in the lanes.
#[async_trait]
pub trait Work: Send + Sync + 'static {
    /// Does the oldest piece of this chat's work.
    async fn run(&self, key: &ChatKey) -> Outcome;

    /// Chats that have work, at most `count`, the one that waits longest first.
    ///
    /// # Errors
    /// When it cannot be read; it is asked again.
    async fn chats(&self, count: u32) -> Result<Vec<ChatKey>, StoreError>;
}

/// A running schedule. Dropping it drops the work that runs.
pub struct Lanes {
    shared: Arc<Shared>,
    _stop: DropGuard,
}

/// A chat that is kept free; see [`Lanes::reserve`].
pub struct Reserved {
    key: ChatKey,
    shared: Arc<Shared>,
}

impl Drop for Reserved {
    fn drop(&mut self) {
        self.shared.schedule().hand_back(self.key.clone());
        self.shared.changed.notify_one();
        self.shared.ended.notify_waiters();
    }
}

struct Shared {
    schedule: Mutex<Schedule>,
    changed: Notify,
    ended: Notify,
}

impl Shared {
    fn schedule(&self) -> MutexGuard<'_, Schedule> {
        self.schedule.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Lanes {
    /// Starts with everything closed.
    pub fn start(work: Arc<dyn Work>, running_max: usize) -> Self {
        let shared = Arc::new(Shared {
            schedule: Mutex::new(Schedule::new(running_max, LANES_MAX)),
            changed: Notify::new(),
            ended: Notify::new(),
        });
        let stop = CancellationToken::new();
        tokio::spawn(drive(Arc::clone(&shared), work, stop.clone()));
        Self { shared, _stop: stop.drop_guard() }
    }

    /// See [`Schedule::open`].
    pub fn open(&self) {
        self.shared.schedule().open();
        self.shared.changed.notify_one();
    }

    /// See [`Schedule::close`].
    pub fn close(&self) {
        self.shared.schedule().close();
        self.shared.ended.notify_waiters();
    }

    /// See [`Schedule::wake`].
    pub fn wake(&self, key: ChatKey) {
        self.shared.schedule().wake(key);
        self.shared.changed.notify_one();
    }

    /// Takes a chat without work out of the line, so that nothing runs for it until the value is dropped; then it is the next
    /// to run. `None` when it has work, or none may be begun now.
    pub fn reserve(&self, key: &ChatKey) -> Option<Reserved> {
        let reserved = self.shared.schedule().reserve(key);
        reserved.then(|| Reserved { key: key.clone(), shared: Arc::clone(&self.shared) })
    }

    /// Returns when nothing runs.
    pub async fn quiet(&self) {
        self.until(Schedule::is_quiet).await;
    }

    /// Returns when nothing runs and nothing could be run.
    pub async fn done(&self) {
        self.until(Schedule::is_done).await;
    }

    async fn until(&self, reached: impl Fn(&Schedule) -> bool) {
        loop {
            let mut ended = std::pin::pin!(self.shared.ended.notified());
            ended.as_mut().enable();
            if reached(&self.shared.schedule()) {
                return;
            }
            ended.await;
        }
    }
}

async fn drive(shared: Arc<Shared>, work: Arc<dyn Work>, stop: CancellationToken) {
    let mut tasks = JoinSet::new();
    let mut looked_in_vain = false;
    let repeats = Arc::new(Repeats::default());
    loop {
        let look = if looked_in_vain { None } else { shared.schedule().look() };
        if let Some(count) = look {
            let found = work.chats(u32::try_from(count).unwrap_or(u32::MAX)).await;
            looked_in_vain = found.is_err();
            shared.schedule().found(found.ok());
            shared.ended.notify_waiters();
        }
        loop {
            let Some(key) = shared.schedule().begin(Now::read().mono) else { break };
            let work = Arc::clone(&work);
            let repeats = Arc::clone(&repeats);
            tasks.spawn(async move {
                let run = AssertUnwindSafe(work.run(&key)).catch_unwind().await;
                let outcome = run.unwrap_or_else(|_| {
                    if let Some(more) = repeats.say(Now::read().mono, "work_panicked") {
                        tracing::error!(
                            code = "work_panicked", platform = %key.platform,
                            "work on a message panicked; it is tried again{more}"
                        );
                    }
                    Outcome::After(FAULT_WAIT)
                });
                (key, outcome)
            });
        }
        let due = shared.schedule().poll_timeout();
        tokio::select! {
            () = stop.cancelled() => return,
            () = shared.changed.notified() => {}
            Some(ended) = tasks.join_next() => {
                let (key, outcome) = ended.expect("a task that catches panics and is not aborted ends well");
                shared.schedule().end(key, outcome, Now::read().mono);
                shared.ended.notify_waiters();
            }
            () = sleep_until(due) => {}
            () = tokio::time::sleep(FAULT_WAIT), if looked_in_vain => looked_in_vain = false,
        }
    }
}

async fn sleep_until(due: Option<std::time::Instant>) {
    match due {
        Some(due) => tokio::time::sleep_until(due.into()).await,
        None => std::future::pending().await,
    }
}
