//! Pure. The names of Telegram's chats and messages inside hermes.
//!
//! A chat is its number, and each topic of a forum is a separate chat: `-1001234567890:42`. Each bot counts the messages of a
//! chat separately, so that a message is its number and the bot's, `17@7000001`; a changed message is one more:
//! `17@7000001.e1700000000.2cf24d`.

use crate::gateway::model::message::{ChatId, MessageId};
use crate::platforms::telegram::wire::Message;

/// The destination of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Address {
    /// The chat.
    pub chat: i64,
    /// The topic in it.
    pub topic: Option<i64>,
}

impl Address {
    /// Returns the place where this message was written.
    pub fn of(message: &Message) -> Self {
        // Answers in an ordinary group have a thread as well, which is not a separate place.
        let topic = message.message_thread_id.filter(|_| message.is_topic_message);
        Self { chat: message.chat.id, topic }
    }

    /// Reads a name. `None`: it is not the name of a Telegram chat.
    pub fn parse(chat: &ChatId) -> Option<Self> {
        let (chat, topic) = match chat.0.split_once(':') {
            Some((chat, topic)) => (chat, Some(topic.parse().ok().filter(|topic| *topic > 0)?)),
            None => (chat.0.as_str(), None),
        };
        Some(Self { chat: chat.parse().ok().filter(|chat| *chat != 0)?, topic })
    }

    /// Returns its name.
    pub fn chat_id(self) -> ChatId {
        ChatId(match self.topic {
            Some(topic) => format!("{}:{topic}", self.chat),
            None => self.chat.to_string(),
        })
    }
}

/// Returns the name of a message, as it is now, among those of this bot. `edited`: its text since it was changed.
pub fn message_id(bot: i64, message: &Message, edited: Option<&str>) -> MessageId {
    let id = sent_id(bot, message.message_id);
    match edited.zip(message.edit_date) {
        Some((text, date)) => id.changed(date, text),
        None => id,
    }
}

/// Returns the name of a message that this bot has sent.
pub fn sent_id(bot: i64, number: i64) -> MessageId {
    MessageId(format!("{number}@{bot}"))
}

/// Returns the number of a message, whatever became of it later. `None`: it is not a message of this bot.
pub fn number(bot: i64, id: &MessageId) -> Option<i64> {
    let original = id.original();
    let id = original.as_ref().unwrap_or(id);
    // Names of an earlier program do not say whose they are, and say of a change before they do.
    let (name, of) = id.0.split_once('@').map_or((id.0.as_str(), None), |(name, of)| (name, Some(of)));
    let number = name.split_once('.').map_or(name, |(number, _)| number);
    let is_ours = of.is_none_or(|of| of.parse() == Ok(bot));
    number.parse().ok().filter(|number| is_ours && *number > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_back_and_other_names_are_none() {
        for (name, chat, topic) in
            [("42", 42, None), ("-1001234567890", -1_001_234_567_890, None), ("-100:7", -100, Some(7))]
        {
            let address = Address { chat, topic };
            assert_eq!(Address::parse(&ChatId(name.into())), Some(address));
            assert_eq!(address.chat_id().0, name);
        }
        for name in
            ["", "0", ":", "1:", ":1", "1:0", "1:-2", "1:2:3", "friend", "@name", "99999999999999999999"]
        {
            assert_eq!(Address::parse(&ChatId(name.into())), None, "{name:?}");
        }
        for (id, expected) in [
            ("17@7", Some(17)),
            ("17@7.e1700000000.2cf24d", Some(17)),
            ("17.e1700000000.2cf24d@7", Some(17)),
            ("17@8.e1700000000.2cf24d", None),
            ("17@7.e1700000000.2cf24", None),
            ("17", Some(17)),
            ("17@8", None),
            ("17@", None),
            ("17@7@7", None),
            ("", None),
            ("@7", None),
            ("x@7", None),
            ("-1@7", None),
            (".e1@7", None),
        ] {
            assert_eq!(number(7, &MessageId(id.into())), expected, "{id:?}");
        }
    }
}
