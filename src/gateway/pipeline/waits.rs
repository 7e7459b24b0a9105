//! The messages that wait because the agent is not there, and what their chats were told.
//!
//! One at which the agent fails while it is there for others holds up its chat for a while, so that a failure that passes changes no
//! order. Then those behind it go first, each by itself, and it is tried beside them. Where the agent fails at one of those too, it
//! is perhaps no message's fault: the order holds again for a while.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::gateway::model::message::ChatKey;
use crate::gateway::model::message::InboxId;

/// After this time a chat is told a second time; and a message of which the agent breaks is given back to its writer.
const LONG: Duration = Duration::from_secs(600);

/// After this time a message is given back to its writer, although the agent is still away.
const FORLORN: Duration = Duration::from_secs(24 * 3600);

/// For so long a message at which the agent fails holds up those behind it.
pub(super) const HOLDS: Duration = Duration::from_secs(60);

/// Chats that are remembered; the ids of notices keep the others from being told twice of one message.
const CHATS_MAX: usize = 4096;

const FIRST: &str =
    "The agent is not available right now. Your message is queued and will be answered when it is back.";
const SECOND: &str = "The agent is still not available. Your message is still queued; /stop cancels it.";

/// Who waits since when.
#[derive(Debug, Default)]
pub(super) struct Waits {
    chats: Mutex<BTreeMap<ChatKey, Wait>>,
}

#[derive(Debug, Clone, Copy)]
struct Wait {
    /// The message at the head of the chat, and since when it waits.
    id: InboxId,
    since: Instant,
    told: bool,
    told_again: bool,
    /// Since when the agent fails at it while it is there for others; begun again where it fails at another one of the chat.
    failing: Option<Instant>,
    /// It has held up its chat for long: from now on no message of the chat is joined with another.
    is_apart: bool,
    /// One behind it was answered meanwhile.
    is_passed: bool,
}

/// A message at which the agent fails, and which has held up its chat for long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Held {
    pub(super) id: InboxId,
    /// Those behind it go first.
    pub(super) is_aside: bool,
}

impl Waits {
    /// The chat's next message waits. What the chat is told of it, with the notice's purpose; nothing, unless the agent is away.
    /// `is_own`: the agent is there for the messages of other chats.
    pub(super) fn put_off(
        &self,
        key: &ChatKey,
        id: InboxId,
        now: Instant,
        is_away: bool,
        is_own: bool,
    ) -> Option<(&'static str, &'static str)> {
        let mut chats = self.chats();
        if chats.len() >= CHATS_MAX && !chats.contains_key(key) {
            return is_away.then_some(("unavailable", FIRST));
        }
        let new = Wait {
            id,
            since: now,
            told: false,
            told_again: false,
            failing: None,
            is_apart: false,
            is_passed: false,
        };
        let wait = chats.entry(key.clone()).or_insert(new);
        if wait.id != id {
            // The one before was taken back; its chat knows what it was told.
            *wait = Wait { told: wait.told, told_again: wait.told_again, ..new };
        }
        wait.failing = is_own.then(|| wait.failing.unwrap_or(now));
        wait.is_apart |= wait.failing.is_some_and(|since| now.duration_since(since) >= HOLDS);
        if !is_away {
            return None;
        }
        if !wait.told {
            wait.told = true;
            return Some(("unavailable", FIRST));
        }
        if wait.told_again || now.duration_since(wait.since) < LONG {
            return None;
        }
        wait.told_again = true;
        Some(("unavailable2", SECOND))
    }

    /// This message has waited for long.
    pub(super) fn is_overdue(&self, key: &ChatKey, id: InboxId, now: Instant) -> bool {
        self.chats().get(key).is_some_and(|wait| wait.id == id && now.duration_since(wait.since) >= LONG)
    }

    /// This message has waited for as long as any does.
    pub(super) fn is_forlorn(&self, key: &ChatKey, id: InboxId, now: Instant) -> bool {
        self.chats().get(key).is_some_and(|wait| wait.id == id && now.duration_since(wait.since) >= FORLORN)
    }

    /// The message that has held up this chat for long, if one has.
    pub(super) fn held(&self, key: &ChatKey, now: Instant) -> Option<Held> {
        let wait = self.chats().get(key).copied().filter(|wait| wait.is_apart)?;
        let is_aside = wait.failing.is_some_and(|since| now.duration_since(since) >= HOLDS);
        Some(Held { id: wait.id, is_aside })
    }

    /// The agent has failed at a message that went first, too: the one that waits holds up its chat again.
    pub(super) fn hold_again(&self, key: &ChatKey, now: Instant) {
        if let Some(wait) = self.chats().get_mut(key) {
            wait.failing = Some(now);
        }
    }

    /// A message that went first is done.
    pub(super) fn pass(&self, key: &ChatKey) {
        if let Some(wait) = self.chats().get_mut(key) {
            wait.is_passed = true;
        }
    }

    /// True when another message of this chat was finished while this one waited.
    pub(super) fn is_passed(&self, key: &ChatKey, id: InboxId) -> bool {
        self.chats().get(key).is_some_and(|wait| wait.id == id && wait.is_passed)
    }

    /// The agent has answered in this chat.
    pub(super) fn end(&self, key: &ChatKey) {
        self.chats().remove(key);
    }

    fn chats(&self) -> MutexGuard<'_, BTreeMap<ChatKey, Wait>> {
        self.chats.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Now;
    use crate::gateway::model::message::ChatId;
    use crate::platforms::Platform;

    #[test]
    fn a_chat_is_told_once_and_once_more_after_long() {
        let key = ChatKey { platform: Platform::Whatsapp, chat: ChatId("a".into()) };
        let (waits, now) = (Waits::default(), Now::read().mono);
        let first = InboxId(1);
        assert_eq!(
            waits.put_off(&key, first, now, false, true),
            None,
            "a message that fails alone is nothing to the chat"
        );
        assert_eq!(waits.put_off(&key, first, now, true, false), Some(("unavailable", FIRST)));
        assert_eq!(waits.put_off(&key, first, now + LONG / 2, true, false), None);
        assert!(!waits.is_overdue(&key, first, now + LONG / 2));
        assert_eq!(waits.put_off(&key, first, now + LONG, true, false), Some(("unavailable2", SECOND)));
        assert_eq!(waits.put_off(&key, first, now + LONG * 3, true, false), None);
        assert!(waits.is_overdue(&key, first, now + LONG));
        assert!(!waits.is_forlorn(&key, first, now + LONG) && waits.is_forlorn(&key, first, now + FORLORN));
        assert_eq!(waits.put_off(&key, InboxId(2), now + LONG, true, false), None, "the next in its place");
        assert!(!waits.is_overdue(&key, InboxId(2), now + LONG));
        waits.end(&key);
        assert_eq!(waits.put_off(&key, InboxId(3), now + LONG, true, false), Some(("unavailable", FIRST)));
    }

    #[test]
    fn a_message_that_fails_alone_holds_up_its_chat_for_a_minute_and_each_failure_of_another_for_one_more() {
        let key = ChatKey { platform: Platform::Whatsapp, chat: ChatId("a".into()) };
        let (waits, begin) = (Waits::default(), Now::read().mono);
        let at = |seconds| begin + Duration::from_secs(seconds);
        let fail = |second, is_own| {
            assert_eq!(waits.put_off(&key, InboxId(1), at(second), false, is_own), None);
        };
        let held = |second| waits.held(&key, at(second)).map(|held| (held.id, held.is_aside));
        fail(0, true);
        fail(59, true);
        assert_eq!(held(59), None);
        fail(60, true);
        assert_eq!(held(60), Some((InboxId(1), true)));
        assert!(!waits.is_passed(&key, InboxId(1)));
        waits.pass(&key);
        assert!(waits.is_passed(&key, InboxId(1)) && !waits.is_passed(&key, InboxId(2)));
        waits.hold_again(&key, at(70));
        fail(71, true);
        assert_eq!(
            [held(71), held(129)],
            [Some((InboxId(1), false)); 2],
            "the order holds, and none is joined"
        );
        assert_eq!(held(130), Some((InboxId(1), true)));
        fail(140, false);
        assert_eq!(held(400), Some((InboxId(1), false)), "the agent is away for all");
        assert_eq!(waits.put_off(&key, InboxId(2), at(500), false, true), None);
        assert_eq!(held(600), None, "it is another message now");
    }
}
