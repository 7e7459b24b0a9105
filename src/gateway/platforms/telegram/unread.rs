//! Updates that cannot be read: each is kept for people to look at, before it is confirmed.
//!
//! Where it cannot be kept either, it is logged and left out after some tries: it holds no text that hermes can read, and
//! waiting for it would stop every chat.

use std::io;
use std::time::Duration;

use super::numbers;
use crate::backoff::doubled;
use crate::clock::Now;
use crate::gateway::log_throttle::LogThrottle;
use crate::gateway::platforms::quarantine::Aside;
use crate::gateway::problems::Problems;
use crate::platforms::Platform;
use crate::platforms::telegram::wire::RawUpdate;

/// The problem while nothing can be kept.
const UNWRITABLE: &str = "unreadable_folder_unwritable";

/// Tries for one update; while the problem stands, there is one.
const TRIES: u32 = 4;

/// The first wait between two tries; it doubles.
const WAIT: Duration = Duration::from_millis(250);

/// The longest such wait.
const WAIT_MAX: Duration = Duration::from_secs(1);

/// The pause between two tries of the folder while the problem stands.
const TRY_EVERY: Duration = Duration::from_secs(2);

/// The folder for them, and what was said of them.
pub(super) struct Unread {
    aside: Aside,
    problems: Problems,
    repeats: LogThrottle,
}

impl Unread {
    /// Keeps them there; the folder's fault is one of these problems.
    pub(super) fn new(aside: Aside, problems: Problems) -> Self {
        Self { aside, problems, repeats: LogThrottle::default() }
    }

    /// Returns when it is kept, or when that has failed often enough.
    pub(super) async fn set_aside(&self, update: &RawUpdate) {
        let mut failures = 0;
        while let Err(error) = self.keep(update).await {
            failures += 1;
            if failures >= TRIES || self.problems.has(&[UNWRITABLE]) {
                return self.leave_out(update, &error);
            }
            tokio::time::sleep(doubled(WAIT, failures - 1, WAIT_MAX)).await;
        }
    }

    async fn keep(&self, update: &RawUpdate) -> io::Result<()> {
        let unnumbered = || format!("unnumbered-{:016x}", numbers::digest(update));
        let name = update.update_id.map_or_else(unnumbered, |number| number.to_string());
        let (aside, body) = (self.aside.clone(), update.body.get().to_owned());
        let path = blocking(move || aside.keep(&name, body.as_bytes())).await?;
        if let Some(more) = self.repeats.say(Now::read().mono, "update_unreadable") {
            tracing::warn!(
                code = "update_unreadable", platform = %Platform::Telegram,
                "Set aside an update that could not be read, in {}{more}", path.display()
            );
        }
        Ok(())
    }

    fn leave_out(&self, update: &RawUpdate, error: &io::Error) {
        let (dir, is_known) = (self.aside.dir.display(), self.problems.has(&[UNWRITABLE]));
        if !is_known {
            self.problems.set(
                UNWRITABLE,
                &format!("{dir} cannot be written ({error}): an update from Telegram that cannot be read is not kept"),
                "Move away what stands at that path, or correct its owner and mode.",
                false,
            );
            tokio::spawn(follow(self.aside.clone(), self.problems.clone()));
        }
        if let Some(more) = self.repeats.say(Now::read().mono, "update_left_out") {
            let number =
                update.update_id.map_or_else(|| "without a number".to_owned(), |number| number.to_string());
            tracing::warn!(
                code = "update_left_out", platform = %Platform::Telegram,
                "The update {number} could be neither read nor kept in {dir}, and was left out: {error}{more}"
            );
        }
    }
}

/// Tries the folder until the problem is over.
async fn follow(aside: Aside, problems: Problems) {
    loop {
        tokio::time::sleep(TRY_EVERY).await;
        let tried = aside.clone();
        if blocking(move || tried.try_out()).await.is_ok() {
            let told = format!("{} can be written again", aside.dir.display());
            return problems.clear(UNWRITABLE, &told);
        }
    }
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> io::Result<T> + Send + 'static) -> io::Result<T> {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|error| Err(io::Error::other(error)))
}
