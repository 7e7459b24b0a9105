//! The long poll of a live connection.
//!
//! A failed poll is tried again here, for as long as the lease lasts: the service answers some requests with 502 every day,
//! and proxies cut idle connections. Where another program polls too, receiving waits; the connection stays, and sends.

use std::time::Duration;

use super::failure::CONFLICT;
use super::numbers::{Numbers, Sifted};
use super::receiver::meaning;
use super::shared::Shared;
use super::taking::Taking;
use crate::backoff::doubled;
use crate::clock::Now;
use crate::failpoint;
use crate::gateway::model::failure::{AdapterError, Degraded, Retry};
use crate::gateway::platforms::patience::Patience;
use crate::platforms::Platform;
use crate::platforms::telegram::bot::Fault;
use crate::platforms::telegram::wire::RawUpdate;

/// The result of a poll.
pub(super) type Answer = Result<Vec<RawUpdate>, Fault>;

/// A service that is polled.
pub(super) trait Source: Sync {
    /// Asks for the waiting updates. `confirm`: everything up to this number is on disk. `wait`: how long the service may
    /// wait for more.
    fn poll(&self, confirm: Option<i64>, wait: Duration) -> impl Future<Output = Answer> + Send;

    /// Logs that an update has a number that is not confirmed, such as "no update_id".
    fn tell_odd(&self, number: &str);

    /// Begins at once to take what came, after what came before; returns when all of it is on disk.
    fn take(&self, batch: Vec<RawUpdate>) -> impl Future<Output = ()> + Send;

    /// Nothing that comes makes sense any more.
    fn is_nonsense(&self) -> bool;

    /// Returns the error for a conflict, in view of those before it.
    fn conflict(&self, fault: Fault) -> AdapterError;

    /// Removes a webhook that another program has set meanwhile: nothing can be polled beside it.
    fn clear(&self) -> impl Future<Output = ()> + Send;
}

/// Polls until the connection fails; begins with the answer to the first request.
pub(super) async fn run(source: &impl Source, shared: &Shared, poll: Duration, first: Answer) -> Fault {
    let (mut patience, mut pace) = (Patience::default(), Pace::default());
    let (mut numbers, mut taking) = (Numbers::default(), Taking::new(shared));
    let mut rest = Duration::ZERO;
    let mut answer = taking.sift(&mut numbers, first);
    loop {
        match answer {
            Ok(sifted) => {
                patience.forgive();
                shared.degrade(None);
                sifted.odd.iter().for_each(|number| source.tell_odd(number));
                taking.begin(sifted, |batch| source.take(batch));
            }
            Err(fault) => {
                if let Err(fault) = taking.beside(bear(source, shared, &mut patience, fault)).await {
                    return fault;
                }
            }
        }
        taking.settle().await;
        // A sleep lasts until the clock's next millisecond at least, also one of no time.
        if rest > Duration::ZERO {
            taking.beside(tokio::time::sleep(rest)).await;
        }
        let confirm = taking.confirmable();
        if confirm.is_some() {
            failpoint::hit("ack.telegram.before");
        }
        let asked_at = Now::read().mono;
        // Where a confirmed number is odd after all, what has a lower one is skipped as long as this question waits.
        let is_unsure = taking.is_first && confirm.is_some();
        let may_wait = patience.failures() == 0
            && taking.is_done()
            && !source.is_nonsense()
            && !is_unsure
            && shared.may_wait(asked_at);
        let asking = source.poll(confirm, if may_wait { poll } else { Duration::ZERO });
        let asked = taking.beside(asking).await;
        answer = taking.sift(&mut numbers, asked);
        if answer.is_ok() {
            taking.confirmed(confirm);
            // What was taken is confirmed with that; the answer comes again over the next connection.
            if source.is_nonsense() && taking.is_done() && taking.confirm.is_none() {
                return Fault::Garbled("nothing that came could be read");
            }
            if confirm.is_some() {
                failpoint::hit("ack.telegram.after");
            }
            // While something is being taken, it must get on as well.
            if taking.is_done() { shared.prove() } else { shared.seen() }
        }
        let has_brought = answer.as_ref().is_ok_and(|Sifted { new, .. }| !new.is_empty());
        rest = pace.wait(Now::read().mono - asked_at, has_brought);
    }
}

/// Waits after a failure until it is time for the next poll.
///
/// # Errors
/// The same failure, where only another connection or a person can help.
async fn bear(
    source: &impl Source,
    shared: &Shared,
    patience: &mut Patience,
    fault: Fault,
) -> Result<(), Fault> {
    let now = Now::read().mono;
    let mut asked = None;
    if let Fault::Refused(refusal) = &fault {
        match refusal.status {
            CONFLICT if refusal.by_service => {
                let error = source.conflict(fault);
                let Retry::After(wait) = error.retry else { return Ok(()) };
                patience.forgive();
                // The service is there, and so is the way to it: only receiving waits.
                shared.prove();
                let next_at = now + wait;
                shared.degrade(Some(Degraded { error, failures: 1, failures_max: None, next_at }));
                shared.busy(true);
                shared.pause(wait).await;
                shared.busy(false);
                source.clear().await;
                return Ok(());
            }
            // A limit without a time is waited out beyond the lease.
            420 | 429 => match refusal.parameters.wait() {
                Some(wait) => asked = Some(wait),
                None => return Err(fault),
            },
            // It may come from something between us and the service: asked once more before it is believed.
            401 | 403 | 404 if refusal.by_service && patience.failures() > 0 => return Err(fault),
            _ => {}
        }
    }
    if matches!(&fault, Fault::Way(fault) if fault.retry == Retry::Never) {
        return Err(fault);
    }
    let lease_end = shared.proof() + Platform::Telegram.spec().lease;
    let Some(wait) = patience.failed(now, lease_end, asked) else { return Err(fault) };
    if asked.is_some() || patience.failures() > 1 {
        shared.degrade(Some(patience.degraded(of_poll(fault), now + wait)));
    }
    shared.pause(wait).await;
    Ok(())
}

/// Returns the error of a failed poll, as people see it while it is tried again.
pub(super) fn of_poll(fault: Fault) -> AdapterError {
    let is_limit = matches!(&fault, Fault::Refused(refusal) if matches!(refusal.status, 420 | 429));
    let error = meaning(fault, 0);
    let code = if is_limit { error.code } else { Platform::Telegram.spec().lease_code };
    AdapterError { message: error.message, ..AdapterError::retryable(code, "") }
}

/// The time below which an answer is quick.
const QUICK: Duration = Duration::from_secs(1);

/// The longest wait after quick empty answers.
const PACE_MAX: Duration = Duration::from_millis(500);

/// The pace of requests whose answers are quick and empty: some services do not wait.
#[derive(Debug, Default)]
struct Pace {
    quick: u32,
}

impl Pace {
    /// Returns the wait before the next request.
    fn wait(&mut self, took: Duration, has_brought: bool) -> Duration {
        self.quick = if has_brought || took >= QUICK { 0 } else { self.quick.saturating_add(1) };
        match self.quick {
            0 | 1 => Duration::ZERO,
            more => doubled(PACE_MAX / 4, more - 2, PACE_MAX),
        }
    }
}

#[cfg(test)]
#[path = "polling_tests.rs"]
mod tests;
