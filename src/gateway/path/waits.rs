//! The messages that wait because the agent is not there, and what their chats were told.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::gateway::message::ChatKey;
use crate::gateway::store::api::InboxId;

/// After this time a chat is told a second time; and a message of which the agent breaks is given back to its writer.
const LONG: Duration = Duration::from_secs(600);

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
    told_again: bool,
}

impl Waits {
    /// The chat's next message waits. What the chat is told of it, with the notice's purpose.
    pub(super) fn put_off(
        &self,
        key: &ChatKey,
        id: InboxId,
        now: Instant,
    ) -> Option<(&'static str, &'static str)> {
        let mut chats = self.chats();
        match chats.get_mut(key) {
            Some(wait) if wait.id != id => {
                // The one before was taken back; its chat knows.
                *wait = Wait { id, since: now, told_again: wait.told_again };
                None
            }
            Some(wait) if !wait.told_again && now.duration_since(wait.since) >= LONG => {
                wait.told_again = true;
                Some(("unavailable2", SECOND))
            }
            Some(_) => None,
            None => {
                if chats.len() < CHATS_MAX {
                    chats.insert(key.clone(), Wait { id, since: now, told_again: false });
                }
                Some(("unavailable", FIRST))
            }
        }
    }

    /// This message has waited for long.
    pub(super) fn is_overdue(&self, key: &ChatKey, id: InboxId, now: Instant) -> bool {
        self.chats().get(key).is_some_and(|wait| wait.id == id && now.duration_since(wait.since) >= LONG)
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
        assert_eq!(waits.put_off(&key, first, now), Some(("unavailable", FIRST)));
        assert_eq!(waits.put_off(&key, first, now + LONG / 2), None);
        assert!(!waits.is_overdue(&key, first, now + LONG / 2));
        assert_eq!(waits.put_off(&key, first, now + LONG), Some(("unavailable2", SECOND)));
        assert_eq!(waits.put_off(&key, first, now + LONG * 3), None);
        assert!(waits.is_overdue(&key, first, now + LONG));
        assert_eq!(waits.put_off(&key, InboxId(2), now + LONG), None, "the next in its place");
        assert!(!waits.is_overdue(&key, InboxId(2), now + LONG));
        waits.end(&key);
        assert_eq!(waits.put_off(&key, InboxId(3), now + LONG), Some(("unavailable", FIRST)));
    }
}
