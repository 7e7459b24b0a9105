//! Runs a [`Schedule`].

use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use futures_util::FutureExt;
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::schedule::{Outcome, Schedule};
use crate::clock::Now;
use crate::gateway::log_throttle::LogThrottle;
use crate::gateway::model::message::ChatKey;
use crate::gateway::store::api::StoreError;

/// Limit for the chats that are held in memory: some hundred kilobytes.
const LANES_MAX: usize = 4096;

/// The wait after work that panicked, or a look on disk that failed.
const FAULT_WAIT: Duration = Duration::from_secs(1);

/// The pause between two searches of the disk for chats with work that are in no lane. There should be none.
const CHECK_EVERY: Duration = Duration::from_secs(15);

/// The work that is done in the lanes.
#[async_trait]
pub trait Work: Send + Sync + 'static {
    /// Does the oldest piece of this chat's work.
    async fn run(&self, key: &ChatKey) -> Outcome;

    /// Chats that have work, at most `count`, the one that waits longest first.
    ///
    /// # Errors
    /// When the disk cannot be read; the call is repeated.
    async fn chats(&self, count: u32) -> Result<Vec<ChatKey>, StoreError>;
}

/// A running schedule. Dropping it drops the work that runs.
pub struct Lanes {
    shared: Arc<Shared>,
    _stop: DropGuard,
}

/// A chat that is reserved; see [`Lanes::reserve`].
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
    /// Chats that [`check`] found in no lane.
    forgotten: AtomicU64,
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
            forgotten: AtomicU64::new(0),
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

    /// Takes a chat without work out of the line, so that nothing runs for it until the value is dropped; then it is the
    /// next to run. `None` when it has work, or none may be begun now.
    pub fn reserve(&self, key: &ChatKey) -> Option<Reserved> {
        let reserved = self.shared.schedule().reserve(key);
        reserved.then(|| Reserved { key: key.clone(), shared: Arc::clone(&self.shared) })
    }

    /// The number of chats that had work in no lane, until the check found them.
    #[cfg(test)]
    pub fn forgotten(&self) -> u64 {
        self.shared.forgotten.load(Ordering::Relaxed)
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
    let mut check = std::pin::pin!(check(&shared, work.as_ref()));
    let repeats = Arc::new(LogThrottle::default());
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
                            "Processing a message crashed; trying it again{more}"
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
            () = &mut check => {}
            () = tokio::time::sleep(FAULT_WAIT), if looked_in_vain => looked_in_vain = false,
        }
    }
}

/// Wakes chats with work that are in no lane, periodically. A chat whose message was accepted a moment ago may not be in
/// its lane yet, so it counts only when two looks in a row find it.
async fn check(shared: &Shared, work: &dyn Work) {
    let mut suspects = Vec::new();
    loop {
        tokio::time::sleep(CHECK_EVERY).await;
        let chats = work.chats(u32::try_from(LANES_MAX).unwrap_or(u32::MAX)).await.unwrap_or_default();
        let mut schedule = shared.schedule();
        let strays = schedule.strays(chats);
        for key in strays.iter().filter(|key| suspects.contains(*key)) {
            tracing::error!(
                code = "chat_forgotten", platform = %key.platform,
                "A chat had waiting messages and was not scheduled; scheduled it now. This is a bug: please report it"
            );
            shared.forgotten.fetch_add(1, Ordering::Relaxed);
            schedule.wake(key.clone());
            shared.changed.notify_one();
        }
        suspects = strays;
    }
}

async fn sleep_until(due: Option<std::time::Instant>) {
    match due {
        Some(due) => tokio::time::sleep_until(due.into()).await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gateway::model::message::ChatId;
    use crate::platforms::Platform;

    /// Reports that a chat has work until it has run.
    #[derive(Default)]
    struct Forgotten {
        runs: AtomicU64,
        looks: AtomicU64,
    }

    #[async_trait]
    impl Work for Forgotten {
        async fn run(&self, _key: &ChatKey) -> Outcome {
            self.runs.fetch_add(1, Ordering::SeqCst);
            Outcome::Idle
        }

        async fn chats(&self, _count: u32) -> Result<Vec<ChatKey>, StoreError> {
            // Not at the first look of the start, which would wake it.
            let has_work =
                self.looks.fetch_add(1, Ordering::SeqCst) > 0 && self.runs.load(Ordering::SeqCst) == 0;
            let key = ChatKey { platform: Platform::Telegram, chat: ChatId("1".into()) };
            Ok(if has_work { vec![key] } else { Vec::new() })
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_chat_that_no_lane_knows_of_is_found_and_runs() {
        let work = Arc::new(Forgotten::default());
        let lanes = Lanes::start(Arc::<Forgotten>::clone(&work), 2);
        lanes.open();
        tokio::time::sleep(CHECK_EVERY * 3 / 2).await;
        assert_eq!((work.runs.load(Ordering::SeqCst), lanes.forgotten()), (0, 0), "one look is not enough");
        tokio::time::sleep(CHECK_EVERY).await;
        assert_eq!((work.runs.load(Ordering::SeqCst), lanes.forgotten()), (1, 1));
        tokio::time::sleep(CHECK_EVERY * 4).await;
        assert_eq!((work.runs.load(Ordering::SeqCst), lanes.forgotten()), (1, 1));
    }
}
