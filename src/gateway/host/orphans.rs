//! Orphans: processes that the gateway's children leave behind stay descendants of the gateway, see
//! [`crate::process::child`].

use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};

use crate::gateway::host::kept;
use crate::process::child;

/// Interval between two looks: many may end at once.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// Adopts orphans from now on, and reaps them when they end. To be called before anything is started.
pub fn start() {
    if let Err(error) = child::adopt_orphans() {
        tracing::warn!(
            code = "orphans_not_adopted",
            "processes left behind by the agent are recognized by their environment only ({error})"
        );
    }
    kept::keep("orphans", || async {
        let Ok(mut ended) = signal(SignalKind::child()) else { return };
        while ended.recv().await.is_some() {
            drop(tokio::task::spawn_blocking(child::reap_orphans).await);
            tokio::time::sleep(LOOK_EVERY).await;
        }
    });
}
