//! Background tasks that never end. One that panics all the same is a defect; it is started again, and counted.

use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures_util::FutureExt as _;
use tokio::task::JoinHandle;

/// The pause before a dead task is started again: one that dies at once must not become a busy loop.
const PAUSE: Duration = Duration::from_secs(1);

static BEGUN_AGAIN: AtomicU64 = AtomicU64::new(0);

/// Returns the number of background tasks of this process that died and were started again.
pub fn begun_again() -> u64 {
    BEGUN_AGAIN.load(Ordering::Relaxed)
}

/// Runs the future that `begin` makes until it returns; after a panic it is made and run again. `name` is for the log.
pub fn keep<F>(name: &'static str, mut begin: impl FnMut() -> F + Send + 'static) -> JoinHandle<()>
where
    F: Future<Output = ()> + Send + 'static,
{
    tokio::spawn(async move {
        // The panic's message is on standard error.
        while AssertUnwindSafe(begin()).catch_unwind().await.is_err() {
            BEGUN_AGAIN.fetch_add(1, Ordering::Relaxed);
            tracing::error!(
                code = "task_died",
                task = name,
                "A background task crashed and was restarted; this is a bug"
            );
            tokio::time::sleep(PAUSE).await;
        }
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::AtomicU32;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_task_that_panics_is_begun_again_and_one_that_returns_is_not() {
        let begun = Arc::new(AtomicU32::new(0));
        let before = begun_again();
        let counted = Arc::clone(&begun);
        let task = keep("test", move || {
            let run = counted.fetch_add(1, Ordering::SeqCst);
            async move { assert!(run >= 3, "run {run}") }
        });
        tokio::time::timeout(Duration::from_secs(60), task).await.unwrap().unwrap();
        assert_eq!(begun.load(Ordering::SeqCst), 4);
        assert!(begun_again() >= before + 3);
    }
}
