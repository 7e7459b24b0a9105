//! The order of each chat: what came later waits until what came before has been taken.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use tokio::sync::oneshot::{self, error::TryRecvError};

/// Chats of which something is being taken, each with the end of the last.
#[derive(Debug, Default)]
pub(super) struct Lanes(Mutex<BTreeMap<String, oneshot::Receiver<()>>>);

/// A place in the order of a chat; dropping it is the turn of the next.
#[derive(Debug)]
pub(super) struct Turn {
    before: Option<oneshot::Receiver<()>>,
    _end: oneshot::Sender<()>,
}

impl Lanes {
    /// The place behind everything of this chat.
    pub(super) fn queue(&self, chat: &str) -> Turn {
        let (end, ended) = oneshot::channel();
        let mut lanes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        lanes.retain(|_, ended| ended.try_recv() == Err(TryRecvError::Empty));
        Turn { before: lanes.insert(chat.to_owned(), ended), _end: end }
    }
}

impl Turn {
    /// Returns when nothing is before it.
    pub(super) async fn comes(&mut self) {
        if let Some(before) = self.before.take() {
            drop(before.await);
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    #[test]
    fn the_next_of_a_chat_waits_for_the_one_before_and_no_other_chat_does() {
        let lanes = Lanes::default();
        let (mut first, mut second, mut other) = (lanes.queue("a"), lanes.queue("a"), lanes.queue("b"));
        let comes = |turn: &mut Turn| turn.comes().now_or_never().is_some();
        assert!(comes(&mut first) && comes(&mut other));
        let mut waiting = Box::pin(second.comes());
        assert!(waiting.as_mut().now_or_never().is_none());
        drop(first);
        assert!(waiting.as_mut().now_or_never().is_some());
        drop(waiting);
        drop((second, other));
        assert!(comes(&mut lanes.queue("c")));
        assert_eq!(lanes.0.lock().unwrap().len(), 1, "what has ended is forgotten");
    }
}
