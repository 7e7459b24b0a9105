//! The messages that wait because the agent is not there, and what their chats were told.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::gateway::message::ChatKey;
use crate::gateway::store::api::InboxId;

/// After this time a chat is told a second time; and a message of which the agent breaks is given back to its writer.
const LONG: Duration = Duration::from_secs(600);

/// After this time a message is given back to its writer, although the agent is still away.
const FORLORN: Duration = Duration::from_secs(24 * 3600);

/// Chats that are remembered; the ids of notices keep the others from being told twice of one message.
const CHATS_MAX: usize = 4096;

const FIRST: &str =
    "The agent is not available at the moment. Your message is kept, and answered as soon as it is back.";
const SECOND: &str = "The agent is still not available. Your message is still kept; /stop takes it back.";

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
}

impl Waits {
    /// The chat's next message waits. What the chat is told of it, with the notice's purpose; nothing, unless the agent is away.
    pub(super) fn put_off(
        &self,
        key: &ChatKey,
        id: InboxId,
        now: Instant,
        is_away: bool,
    ) -> Option<(&'static str, &'static str)> {
        let mut chats = self.chats();
        if chats.len() >= CHATS_MAX && !chats.contains_key(key) {
            return is_away.then_some(("unavailable", FIRST));
        }
        let new = Wait { id, since: now, told: false, told_again: false };
        let wait = chats.entry(key.clone()).or_insert(new);
        if wait.id != id {
            // The one before was taken back; its chat knows what it was told.
            *wait = Wait { id, since: now, ..*wait };
        }
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
    use crate::gateway::message::ChatId;
    use crate::platform::Platform;

    #[test]
    fn a_chat_is_told_once_and_once_more_after_long() {
        let key = ChatKey { platform: Platform::Whatsapp, chat: ChatId("a".into()) };
        let (waits, now) = (Waits::default(), Now::read().mono);
        let first = InboxId(1);
        assert_eq!(
            waits.put_off(&key, first, now, false),
            None,
            "a message that fails alone is nothing to the chat"
        );
        assert_eq!(waits.put_off(&key, first, now, true), Some(("unavailable", FIRST)));
        assert_eq!(waits.put_off(&key, first, now + LONG / 2, true), None);
        assert!(!waits.is_overdue(&key, first, now + LONG / 2));
        assert_eq!(waits.put_off(&key, first, now + LONG, true), Some(("unavailable2", SECOND)));
        assert_eq!(waits.put_off(&key, first, now + LONG * 3, true), None);
        assert!(waits.is_overdue(&key, first, now + LONG));
        assert!(!waits.is_forlorn(&key, first, now + LONG) && waits.is_forlorn(&key, first, now + FORLORN));
        assert_eq!(waits.put_off(&key, InboxId(2), now + LONG, true), None, "the next in its place");
        assert!(!waits.is_overdue(&key, InboxId(2), now + LONG));
        waits.end(&key);
        assert_eq!(waits.put_off(&key, InboxId(3), now + LONG, true), Some(("unavailable", FIRST)));
    }
}
