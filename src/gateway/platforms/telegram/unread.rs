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
use crate::gateway::platforms::quarantine::{Quarantine, blocking};
use crate::platforms::Platform;
use crate::platforms::telegram::wire::RawUpdate;

/// Tries for one update; while the quarantine fails, there is one.
const TRIES: u32 = 4;

/// The first wait between two tries; it doubles.
const WAIT: Duration = Duration::from_millis(250);

/// The longest such wait.
const WAIT_MAX: Duration = Duration::from_secs(1);

/// The place for them, and what was said of them.
pub(super) struct Unread {
    quarantine: Quarantine,
    repeats: LogThrottle,
}

impl Unread {
    /// Keeps them there.
    pub(super) fn new(quarantine: Quarantine) -> Self {
        Self { quarantine, repeats: LogThrottle::default() }
    }

    /// Returns when it is kept, or when that has failed often enough.
    pub(super) async fn set_aside(&self, update: &RawUpdate) {
        let mut failures = 0;
        while let Err(error) = self.keep(update).await {
            failures += 1;
            if failures >= TRIES || self.quarantine.is_failing() {
                return self.leave_out(update, &error);
            }
            tokio::time::sleep(doubled(WAIT, failures - 1, WAIT_MAX)).await;
        }
    }

    async fn keep(&self, update: &RawUpdate) -> io::Result<()> {
        let unnumbered = || format!("unnumbered-{:016x}", numbers::digest(update));
        let name = update.update_id.map_or_else(unnumbered, |number| number.to_string());
        let (aside, body) = (self.quarantine.aside.clone(), update.body.get().to_owned());
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
        self.quarantine.report(error);
        if let Some(more) = self.repeats.say(Now::read().mono, "update_left_out") {
            let dir = self.quarantine.aside.dir.display();
            let number =
                update.update_id.map_or_else(|| "without a number".to_owned(), |number| number.to_string());
            tracing::warn!(
                code = "update_left_out", platform = %Platform::Telegram,
                "The update {number} could be neither read nor kept in {dir}, and was left out: {error}{more}"
            );
        }
    }
}
