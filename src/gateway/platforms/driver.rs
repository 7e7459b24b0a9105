//! Runs one attempt of one platform as its own task: check, connect, then watch the link.
//!
//! The loop gets a report of every end of an adapter: a panic becomes `adapter_panicked`, a link that can no longer prove
//! itself is down. The attempt's deadline is the supervisor's; at it the task is dropped, not waited for.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use futures_util::FutureExt as _;
use tokio::sync::{mpsc, watch};
use tokio::task::AbortHandle;

use crate::clock::Now;
use crate::gateway::model::adapter::{Adapter, Inbox, Link};
use crate::gateway::model::event::Generation;
use crate::gateway::model::event::{Event, Report, SupervisedId};
use crate::gateway::model::failure::{AdapterError, Degraded};
use crate::platforms::Platform;

/// The address of a task's reports.
#[derive(Debug, Clone)]
pub struct Reporter {
    /// The platform's place in the loop.
    pub seat: SupervisedId,
    /// The attempt or look that is reported on.
    pub generation: Generation,
    /// The loop.
    pub events: mpsc::Sender<Event>,
}

impl Reporter {
    async fn tell(&self, report: Report) {
        let event = Event::Supervised { seat: self.seat, generation: self.generation, report };
        // A loop that is gone needs no reports.
        drop(self.events.send(event).await);
    }
}

/// Starts an attempt. Reports `Refused`, or `Down`, or `Up` and later `Down`.
pub fn attempt(reporter: Reporter, adapter: Arc<dyn Adapter>, inbox: Arc<dyn Inbox>) -> AbortHandle {
    tokio::spawn(async move {
        let life = live(&reporter, adapter, inbox);
        let report = AssertUnwindSafe(life)
            .catch_unwind()
            .await
            .unwrap_or_else(|_| Report::Down(AdapterError::panicked()));
        reporter.tell(report).await;
    })
    .abort_handle()
}

/// Looks once at what blocks a platform, and reports `Checked`.
pub fn look(reporter: Reporter, adapter: Arc<dyn Adapter>) {
    tokio::spawn(async move { reporter.tell(Report::Checked(check(adapter).await)).await });
}

async fn live(reporter: &Reporter, adapter: Arc<dyn Adapter>, inbox: Arc<dyn Inbox>) -> Report {
    let platform = adapter.platform();
    if let Err(error) = check(Arc::clone(&adapter)).await {
        return Report::Refused(error);
    }
    match adapter.connect(inbox).await {
        Err(error) => Report::Down(error),
        Ok(link) => {
            let mut health = link.health();
            reporter.tell(Report::Up(Arc::clone(&link))).await;
            if let Some(degraded) = health.as_mut().and_then(|health| health.borrow_and_update().clone()) {
                reporter.tell(Report::Degraded(Some(degraded))).await;
            }
            Report::Down(watch(reporter, link.as_ref(), health, platform).await)
        }
    }
}

/// The check reads files; a slow disk must not hold up the others.
async fn check(adapter: Arc<dyn Adapter>) -> Result<(), AdapterError> {
    tokio::task::spawn_blocking(move || adapter.check())
        .await
        .unwrap_or_else(|_| Err(AdapterError::panicked()))
}

/// Watches a link until it has ended or its lease has run out; reports its health meanwhile.
async fn watch(
    reporter: &Reporter,
    link: &dyn Link,
    mut health: Option<Health>,
    platform: Platform,
) -> AdapterError {
    let spec = platform.spec();
    let closed = link.closed();
    tokio::pin!(closed);
    loop {
        let expiry = link.proof() + spec.lease;
        if Now::read().mono >= expiry {
            let lease = spec.lease.as_secs();
            return AdapterError::retryable(
                spec.lease_code,
                format!("no proof for {lease} s that the connection works"),
            );
        }
        tokio::select! {
            error = &mut closed => return error,
            wait = link.limited() => reporter.tell(Report::Limited(wait)).await,
            degraded = changed(&mut health) => reporter.tell(Report::Degraded(degraded)).await,
            () = tokio::time::sleep_until(expiry.into()) => {}
        }
    }
}

type Health = watch::Receiver<Option<Degraded>>;

/// Returns when the health of a link has changed.
async fn changed(health: &mut Option<Health>) -> Option<Degraded> {
    if let Some(health) = health
        && health.changed().await.is_ok()
    {
        return health.borrow_and_update().clone();
    }
    std::future::pending().await
}
