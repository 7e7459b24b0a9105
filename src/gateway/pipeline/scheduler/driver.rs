//! Runs a [`Schedule`].

use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use futures_util::FutureExt;
use tokio::runtime::Handle;
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
///
/// Each change of the schedule begins the work that may run then. [`drive`] does only what takes a clock or the disk: so the
/// order of a message costs no wake-up of another thread.
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
        self.shared.change(|schedule| schedule.hand_back(self.key.clone()));
    }
}

struct Shared {
    schedule: Mutex<Schedule>,
    work: Arc<dyn Work>,
    runtime: Handle,
    /// The work that runs, and some that has ended.
    tasks: Mutex<JoinSet<()>>,
    /// Wakes the driver.
    changed: Notify,
    ended: Notify,
    log: LogThrottle,
    /// Chats that [`check`] found in no lane.
    forgotten: AtomicU64,
}

impl Shared {
    fn schedule(&self) -> MutexGuard<'_, Schedule> {
        self.schedule.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tasks(&self) -> MutexGuard<'_, JoinSet<()>> {
        self.tasks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the schedule, and begins what may run then.
    fn change(self: &Arc<Self>, change: impl FnOnce(&mut Schedule)) {
        let (begun, is_driven) = {
            let mut schedule = self.schedule();
            change(&mut schedule);
            let now = Now::read().mono;
            let begun: Vec<_> = std::iter::from_fn(|| schedule.begin(now)).collect();
            (begun, schedule.poll_timeout().is_some() || schedule.is_look_due())
        };
        self.ended.notify_waiters();
        if is_driven {
            self.changed.notify_one();
        }
        for key in begun {
            let mut tasks = self.tasks();
            while tasks.try_join_next().is_some() {}
            tasks.spawn_on(Arc::clone(self).run(key), &self.runtime);
        }
    }

    /// Runs the work of a chat that was begun.
    async fn run(self: Arc<Self>, key: ChatKey) {
        let run = AssertUnwindSafe(self.work.run(&key)).catch_unwind().await;
        let outcome = run.unwrap_or_else(|_| {
            if let Some(more) = self.log.say(Now::read().mono, "work_panicked") {
                tracing::error!(
                    code = "work_panicked", platform = %key.platform,
                    "Processing a message crashed; trying it again{more}"
                );
            }
            Outcome::After(FAULT_WAIT)
        });
        self.change(|schedule| schedule.end(key, outcome, Now::read().mono));
    }
}

impl Lanes {
    /// Starts with everything closed. Needs a tokio runtime.
    pub fn start(work: Arc<dyn Work>, running_max: usize) -> Self {
        let shared = Arc::new(Shared {
            schedule: Mutex::new(Schedule::new(running_max, LANES_MAX)),
            work,
            runtime: Handle::current(),
            tasks: Mutex::default(),
            changed: Notify::new(),
            ended: Notify::new(),
            log: LogThrottle::default(),
            forgotten: AtomicU64::new(0),
        });
        let stop = CancellationToken::new();
        tokio::spawn(drive(Arc::clone(&shared), stop.clone()));
        Self { shared, _stop: stop.drop_guard() }
    }

    /// See [`Schedule::open`].
    pub fn open(&self) {
        self.shared.change(Schedule::open);
    }

    /// See [`Schedule::close`].
    pub fn close(&self) {
        self.shared.change(Schedule::close);
    }

    /// See [`Schedule::wake`].
    pub fn wake(&self, key: ChatKey) {
        self.shared.change(|schedule| schedule.wake(key));
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

impl Drop for Lanes {
    fn drop(&mut self) {
        self.shared.schedule().close();
        self.shared.tasks().abort_all();
    }
}

/// Looks for work on the disk, and lets work run whose wait is over.
async fn drive(shared: Arc<Shared>, stop: CancellationToken) {
    let mut looked_in_vain = false;
    let mut check = std::pin::pin!(check(&shared));
    loop {
        let look = if looked_in_vain { None } else { shared.schedule().look() };
        if let Some(count) = look {
            let found = shared.work.chats(u32::try_from(count).unwrap_or(u32::MAX)).await;
            looked_in_vain = found.is_err();
            shared.change(|schedule| schedule.found(found.ok()));
        }
        let due = shared.schedule().poll_timeout();
        tokio::select! {
            () = stop.cancelled() => return,
            () = shared.changed.notified() => {}
            () = sleep_until(due) => shared.change(|_| {}),
            () = &mut check => {}
            () = tokio::time::sleep(FAULT_WAIT), if looked_in_vain => looked_in_vain = false,
        }
    }
}

/// Wakes chats with work that are in no lane, periodically. A chat whose message was accepted a moment ago may not be in
/// its lane yet, so it counts only when two looks in a row find it.
async fn check(shared: &Arc<Shared>) {
    let mut suspects = Vec::new();
    loop {
        tokio::time::sleep(CHECK_EVERY).await;
        let chats = shared.work.chats(u32::try_from(LANES_MAX).unwrap_or(u32::MAX)).await.unwrap_or_default();
        let strays = shared.schedule().strays(chats);
        for key in strays.iter().filter(|key| suspects.contains(*key)) {
            tracing::error!(
                code = "chat_forgotten", platform = %key.platform,
                "A chat had waiting messages and was not scheduled; scheduled it now. This is a bug: please report it"
            );
            shared.forgotten.fetch_add(1, Ordering::Relaxed);
            shared.change(|schedule| schedule.wake(key.clone()));
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
