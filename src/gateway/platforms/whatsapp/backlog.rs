//! Pure. Messages on their way from the bridge to the pipeline: in order within a chat, side by side between chats, and
//! within limits.
//!
//! A message beyond the limits is not lost: it is unacknowledged, so the bridge offers it again when it is next started. From
//! the first refused one all later ones are refused too, since order must hold.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// The messages that wait to be handed over.
#[derive(Debug)]
pub struct Backlog<T> {
    lanes: BTreeMap<String, VecDeque<(usize, T)>>,
    /// Chats with waiting messages and none being handed over.
    ready: VecDeque<String>,
    active: BTreeSet<String>,
    limits: Limits,
    count: usize,
    bytes: usize,
    overflowed: bool,
}

/// The limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Most chats of which a message is being handed over.
    pub active_max: usize,
    /// Most messages that wait.
    pub count_max: usize,
    /// Most bytes that wait.
    pub bytes_max: usize,
}

impl<T> Backlog<T> {
    /// An empty one.
    pub fn new(limits: Limits) -> Self {
        Self {
            lanes: BTreeMap::new(),
            ready: VecDeque::new(),
            active: BTreeSet::new(),
            limits,
            count: 0,
            bytes: 0,
            overflowed: false,
        }
    }

    /// Takes a message of this chat, if it fits and nothing was refused before it.
    pub fn offer(&mut self, chat: &str, bytes: usize, item: T) {
        if self.overflowed
            || self.count >= self.limits.count_max
            || self.bytes + bytes > self.limits.bytes_max
        {
            self.overflowed = true;
            return;
        }
        self.count += 1;
        self.bytes += bytes;
        let lane = self.lanes.entry(chat.to_owned()).or_default();
        if lane.is_empty() && !self.active.contains(chat) {
            self.ready.push_back(chat.to_owned());
        }
        lane.push_back((bytes, item));
    }

    /// Returns the next message that may be handed over; its chat is busy until [`Backlog::done`].
    pub fn begin(&mut self) -> Option<(String, T)> {
        if self.active.len() >= self.limits.active_max {
            return None;
        }
        let chat = self.ready.pop_front()?;
        let lane = self.lanes.get_mut(&chat).expect("a ready chat has a lane");
        let (bytes, item) = lane.pop_front().expect("a ready chat has a message");
        self.count -= 1;
        self.bytes -= bytes;
        self.active.insert(chat.clone());
        Some((chat, item))
    }

    /// Records that the message of this chat is handed over.
    pub fn done(&mut self, chat: &str) {
        self.active.remove(chat);
        match self.lanes.get(chat) {
            Some(lane) if lane.is_empty() => {
                self.lanes.remove(chat);
            }
            Some(_) => self.ready.push_back(chat.to_owned()),
            None => {}
        }
    }

    /// True when a message was refused, and all that were taken are handed over: the bridge must be asked again.
    pub fn needs_replay(&self) -> bool {
        self.overflowed && self.count == 0 && self.active.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const LIMITS: Limits = Limits { active_max: 2, count_max: 5, bytes_max: 100 };

    #[test]
    fn chats_go_side_by_side_and_each_in_order() {
        let mut backlog = Backlog::new(LIMITS);
        for (chat, item) in [("a", 1), ("a", 2), ("b", 3), ("c", 4)] {
            backlog.offer(chat, 1, item);
        }
        assert_eq!(backlog.begin(), Some(("a".to_owned(), 1)));
        assert_eq!(backlog.begin(), Some(("b".to_owned(), 3)));
        assert_eq!(backlog.begin(), None, "two at once");
        backlog.done("a");
        assert_eq!(backlog.begin(), Some(("c".to_owned(), 4)), "a long chat does not hold up the others");
        backlog.done("b");
        assert_eq!(backlog.begin(), Some(("a".to_owned(), 2)));
    }

    #[test]
    fn after_the_first_that_does_not_fit_nothing_is_taken_until_a_replay() {
        let mut backlog = Backlog::new(LIMITS);
        backlog.offer("a", 90, 1);
        backlog.offer("b", 90, 2);
        backlog.offer("c", 1, 3);
        assert!(!backlog.needs_replay(), "what was taken comes first");
        assert_eq!(backlog.begin(), Some(("a".to_owned(), 1)));
        assert_eq!(backlog.begin(), None);
        backlog.done("a");
        assert!(backlog.needs_replay());
    }

    proptest! {
        #[test]
        fn order_holds_in_every_chat_and_nothing_taken_is_forgotten(
            steps in proptest::collection::vec((0_u8..4, any::<bool>()), 0..200)
        ) {
            let limits = Limits { active_max: 3, count_max: 1000, bytes_max: 1000 };
            let mut backlog = Backlog::new(limits);
            let mut seen: BTreeMap<String, Vec<usize>> = BTreeMap::new();
            let mut running: VecDeque<String> = VecDeque::new();
            for (number, (chat, finish)) in steps.iter().enumerate() {
                backlog.offer(&chat.to_string(), 1, number);
                while let Some((chat, item)) = backlog.begin() {
                    prop_assert!(!running.contains(&chat), "one at a time in a chat");
                    seen.entry(chat.clone()).or_default().push(item);
                    running.push_back(chat);
                }
                if *finish && let Some(chat) = running.pop_front() {
                    backlog.done(&chat);
                }
            }
            loop {
                while let Some((chat, item)) = backlog.begin() {
                    seen.entry(chat.clone()).or_default().push(item);
                    running.push_back(chat);
                }
                let Some(chat) = running.pop_front() else { break };
                backlog.done(&chat);
            }
            prop_assert_eq!(seen.values().map(Vec::len).sum::<usize>(), steps.len());
            prop_assert!(seen.values().all(|items| items.is_sorted()));
        }
    }
}
