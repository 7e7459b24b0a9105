//! Batches that are being taken. The next question does not wait for a slow one: it confirms what is on disk, and what comes again
//! because it is not confirmed yet is left out. No more is under way than the service gives in one answer.

use std::collections::BTreeSet;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesOrdered;

use super::numbers::{Key, Numbers, Sifted, key};
use super::polling::Answer;
use super::receiver::BATCH_MAX;
use super::shared::Shared;
use crate::clock::Now;
use crate::platforms::telegram::bot::Fault;
use crate::platforms::telegram::wire::RawUpdate;

/// After so long a batch is slow, and what others write is asked for.
const SLOW: Duration = Duration::from_millis(500);

/// A batch of which all is on disk.
struct Taken {
    confirm: Option<i64>,
    is_first: bool,
    keys: Vec<Key>,
}

/// See the module.
pub(super) struct Taking<'a> {
    shared: &'a Shared,
    /// In the order in which they came: a number is confirmed with everything before it.
    batches: FuturesOrdered<BoxFuture<'a, Taken>>,
    /// The updates that come again until they are confirmed.
    keys: BTreeSet<Key>,
    /// All up to this number is on disk.
    pub(super) confirm: Option<i64>,
    /// Nothing speaks for that number but itself.
    pub(super) is_first: bool,
}

impl<'a> Taking<'a> {
    /// Nothing yet.
    pub(super) fn new(shared: &'a Shared) -> Self {
        let batches = FuturesOrdered::new();
        Self { shared, batches, keys: BTreeSet::new(), confirm: None, is_first: true }
    }

    /// Sifts an answer, without what is under way.
    pub(super) fn sift(&self, numbers: &mut Numbers, answer: Answer) -> Result<Sifted, Fault> {
        let mut batch = answer?;
        batch.retain(|update| !self.keys.contains(&key(update)));
        let sifted = numbers.sift(Now::read().mono, batch, usize::from(BATCH_MAX));
        sifted.ok_or(Fault::Garbled("updates without usable numbers, and nothing else"))
    }

    /// Begins to take what is new.
    pub(super) fn begin<F: Future<Output = ()> + Send + 'a>(
        &mut self,
        sifted: Sifted,
        take: impl FnOnce(Vec<RawUpdate>) -> F,
    ) {
        let Sifted { new, confirm, is_first, .. } = sifted;
        if new.is_empty() {
            // An update that is not confirmed now comes again.
            if self.is_done() {
                (self.confirm, self.is_first) = (self.confirm.max(confirm), is_first);
            }
            return;
        }
        let is_confirmed = |key: &Key| key.0.is_some_and(|number| number > 0 && Some(number) <= confirm);
        let keys: Vec<Key> = new.iter().map(key).filter(is_confirmed).collect();
        self.keys.extend(&keys);
        self.shared.busy(true);
        let taking = take(new);
        self.batches.push_back(Box::pin(async move {
            taking.await;
            Taken { confirm, is_first, keys }
        }));
    }

    /// Nothing is under way.
    pub(super) fn is_done(&self) -> bool {
        self.batches.is_empty()
    }

    /// The number that the next question confirms.
    pub(super) fn confirmable(&self) -> Option<i64> {
        let is_under_way =
            |last: i64| self.keys.iter().any(|(number, _)| number.is_some_and(|number| number <= last));
        self.confirm.filter(|last| !is_under_way(*last))
    }

    /// That question was answered. It is not repeated.
    pub(super) fn confirmed(&mut self, asked: Option<i64>) {
        if self.confirm == asked {
            self.confirm = None;
        }
    }

    /// Waits for this, while what is under way goes on.
    pub(super) async fn beside<T>(&mut self, work: impl Future<Output = T>) -> T {
        tokio::pin!(work);
        loop {
            tokio::select! {
                Some(taken) = self.batches.next() => self.end(taken),
                done = &mut work => return done,
            }
        }
    }

    /// Waits until nothing is under way, and not for what is slow.
    pub(super) async fn settle(&mut self) {
        let slow = tokio::time::sleep(SLOW);
        tokio::pin!(slow);
        loop {
            // With so much under way the service gives nothing else.
            let has_room = self.keys.len() < usize::from(BATCH_MAX);
            tokio::select! {
                biased;
                taken = self.batches.next() => match taken {
                    Some(taken) => self.end(taken),
                    None => return,
                },
                () = &mut slow, if has_room => return,
            }
        }
    }

    fn end(&mut self, taken: Taken) {
        (self.confirm, self.is_first) = (self.confirm.max(taken.confirm), taken.is_first);
        for key in taken.keys {
            self.keys.remove(&key);
        }
        if self.is_done() {
            self.shared.busy(false);
        }
    }
}
