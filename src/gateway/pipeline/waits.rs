//! The messages that wait because the agent is away, and the notices that their chats had.
//!
//! A message at which the agent fails, while it answers others, holds up its chat for a while, so that a passing failure
//! changes no order. Then those behind it go first, one turn each, and it is tried in between. Where the agent fails at one
//! of those too, the cause may be no message: the order holds again for a while.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::gateway::model::message::ChatKey;
use crate::gateway::model::message::InboxId;

/// The time after which a chat gets a second notice, and after which a message at which the agent fails is returned to its
/// writer.
const LONG: Duration = Duration::from_secs(600);

/// The time after which a message is returned to its writer, although the agent is still away.
const FORLORN: Duration = Duration::from_secs(24 * 3600);

/// The time for which a message at which the agent fails holds up those behind it.
pub(super) const HOLDS: Duration = Duration::from_secs(60);

/// Limit for the chats in memory; in the others, the ids of the notices prevent a second one for the same message.
const CHATS_MAX: usize = 4096;

const FIRST: &str =
    "The agent is not available right now. Your message is queued and will be answered when it is back.";
const SECOND: &str = "The agent is still not available. Your message is still queued; /stop cancels it.";

/// The waiting messages, one for each chat.
#[derive(Debug, Default)]
pub(super) struct Waits {
    chats: Mutex<BTreeMap<ChatKey, Wait>>,
}

#[derive(Debug, Clone, Copy)]
struct Wait {
    /// The message at the head of the chat.
    id: InboxId,
    since: Instant,
    told: bool,
    told_again: bool,
    /// The time since which the agent fails at it while it answers others; reset where it fails at another message of the chat.
    failing: Option<Instant>,
    /// True when it has held up its chat for long: from now on no message of the chat is joined with another.
    is_apart: bool,
    /// True when a message behind it was answered meanwhile.
    is_passed: bool,
}

/// A message at which the agent fails, and which has held up its chat for long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Held {
    pub(super) id: InboxId,
    /// True when those behind it go first.
    pub(super) is_aside: bool,
}

impl Waits {
    /// Lets the chat's next message wait. Returns the notice for the chat, with its purpose; `None` unless the agent is
    /// away. `is_own`: the agent answers the messages of other chats.
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
            // The earlier message was taken back; its chat had the notices already.
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

    /// True when a message of this chat waits.
    pub(super) fn holds(&self, key: &ChatKey) -> bool {
        self.chats().contains_key(key)
    }

    /// True when this message has waited for long.
    pub(super) fn is_overdue(&self, key: &ChatKey, id: InboxId, now: Instant) -> bool {
        self.chats().get(key).is_some_and(|wait| wait.id == id && now.duration_since(wait.since) >= LONG)
    }

    /// True when this message has waited for as long as any may.
    pub(super) fn is_forlorn(&self, key: &ChatKey, id: InboxId, now: Instant) -> bool {
        self.chats().get(key).is_some_and(|wait| wait.id == id && now.duration_since(wait.since) >= FORLORN)
    }

    /// The message that has held up this chat for long, if one has.
    pub(super) fn held(&self, key: &ChatKey, now: Instant) -> Option<Held> {
        let wait = self.chats().get(key).copied().filter(|wait| wait.is_apart)?;
        let is_aside = wait.failing.is_some_and(|since| now.duration_since(since) >= HOLDS);
        Some(Held { id: wait.id, is_aside })
    }

    /// Notes that the agent has failed at a message that went first, too: the one that waits holds up its chat again.
    pub(super) fn hold_again(&self, key: &ChatKey, now: Instant) {
        if let Some(wait) = self.chats().get_mut(key) {
            wait.failing = Some(now);
        }
    }

    /// Notes that a message that went first is done.
    pub(super) fn pass(&self, key: &ChatKey) {
        if let Some(wait) = self.chats().get_mut(key) {
            wait.is_passed = true;
        }
    }

    /// True when another message of this chat was finished while this one waited.
    pub(super) fn is_passed(&self, key: &ChatKey, id: InboxId) -> bool {
        self.chats().get(key).is_some_and(|wait| wait.id == id && wait.is_passed)
    }

    /// Notes that the agent has answered in this chat.
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
