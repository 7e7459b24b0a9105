//! Pure. One name for a chat or a person, whatever the spelling.
//!
//! Most platforms give everybody one id, which is compared as it is, or as a number ([`Naming`]).
//!
//! WhatsApp knows an account by its phone number (`15550100@s.whatsapp.net`) and by a number that says nothing (its LID,
//! `900100@lid`); the same person's messages come under either, often with the other one beside it. Where both are known
//! the LID names the chat, because new messages come under it. A phone and a device of the same account write
//! `15550100:7@…`; the part after the colon (and an agent after `_`) is no part of the identity.

use crate::gateway::model::message::{ChatId, ChatKey, InboundMessage};
use crate::phone;
use crate::platform::{Naming, Platform, number};

/// A person or chat on WhatsApp.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Identity {
    /// By phone number: its digits.
    Phone(String),
    /// By LID: its digits.
    Lid(String),
    /// A group, or anything else: as it is.
    Other(String),
}

impl Identity {
    /// Reads a JID or bare number, in any of the forms in which they are written: people put signs between digits, JIDs
    /// have none.
    pub fn parse(id: &str) -> Self {
        let id = id.trim();
        let (user, server) = match id.rsplit_once('@') {
            Some((user, server)) => (user, server.to_ascii_lowercase()),
            None => (id, String::new()),
        };
        let account = user.split([':', '_']).next().unwrap_or_default();
        let digits: String = account.chars().filter(char::is_ascii_digit).collect();
        let numeric = !digits.is_empty()
            && account.chars().all(|c| {
                c.is_ascii_digit() || server.is_empty() && matches!(c, '+' | ' ' | '-' | '(' | ')' | '.')
            });
        match server.as_str() {
            "lid" | "hosted.lid" if numeric => Self::Lid(digits),
            "" | "s.whatsapp.net" | "c.us" | "hosted" if numeric => Self::Phone(digits),
            _ => Self::Other(id.to_owned()),
        }
    }

    /// The JID without its device.
    pub fn to_jid(&self) -> String {
        match self {
            Self::Phone(digits) => format!("{digits}@s.whatsapp.net"),
            Self::Lid(digits) => format!("{digits}@lid"),
            Self::Other(id) => id.clone(),
        }
    }
}

/// The chat of a message by its one name.
pub fn chat_key(platform: Platform, message: &InboundMessage) -> ChatKey {
    let chat = match platform {
        Platform::Whatsapp => {
            let first = Identity::parse(&message.chat.0);
            let second = message.chat_alt.as_ref().map(|chat| Identity::parse(&chat.0));
            match (first, second) {
                (lid @ Identity::Lid(_), _) | (_, Some(lid @ Identity::Lid(_))) => lid,
                (first, _) => first,
            }
            .to_jid()
        }
        Platform::Telegram | Platform::Scripted(_) => message.chat.0.clone(),
    };
    ChatKey { platform, chat: ChatId(chat) }
}

/// The longest id of a person; what is longer is nobody's.
const PERSON_BYTES_MAX: usize = 256;

/// The name by which lists know a person. An entry of a list and the ids in messages give the same; `None` is nobody.
pub fn listed_name(platform: Platform, id: &str) -> Option<String> {
    match platform.spec().naming {
        Naming::Phone => match Identity::parse(id) {
            Identity::Phone(digits) => Some(phone::canonical(&digits)),
            Identity::Lid(digits) => Some(digits),
            Identity::Other(_) => None,
        },
        Naming::Number | Naming::Verbatim => person(platform, id),
    }
}

/// The one name of a person under one of their ids; `None` is nobody.
pub fn person(platform: Platform, id: &str) -> Option<String> {
    if id.is_empty() || id.len() > PERSON_BYTES_MAX {
        return None;
    }
    match platform.spec().naming {
        Naming::Phone => match Identity::parse(id) {
            known @ (Identity::Phone(_) | Identity::Lid(_)) => Some(known.to_jid()),
            Identity::Other(_) => None,
        },
        Naming::Number => number(id),
        Naming::Verbatim => (!id.chars().any(char::is_control)).then(|| id.to_owned()),
    }
}

/// The one name of a group.
pub fn group_name(platform: Platform, id: &str) -> String {
    match platform.spec().naming {
        Naming::Phone => id.trim().to_ascii_lowercase(),
        // A topic of a group is in the group.
        Naming::Number => number(id.split(':').next().unwrap_or_default()).unwrap_or_default(),
        Naming::Verbatim => id.to_owned(),
    }
}

/// Whether more than two people are in the chat of this message: as it says, or as the chat's id tells.
pub fn is_group(platform: Platform, message: &InboundMessage) -> bool {
    message.is_group
        || match platform.spec().naming {
            Naming::Phone => message.chat.0.trim().to_ascii_lowercase().ends_with("@g.us"),
            Naming::Number => message.chat.0.starts_with('-'),
            Naming::Verbatim => false,
        }
}

/// The writer of a message by their one name.
pub fn writer(platform: Platform, message: &InboundMessage) -> String {
    let names = [Some(&message.sender), message.sender_alt.as_ref()];
    let names: Vec<_> = names.into_iter().flatten().filter_map(|name| person(platform, &name.0)).collect();
    let lid = names.iter().find(|name| name.ends_with("@lid"));
    lid.or(names.first()).cloned().unwrap_or_else(|| message.sender.0.clone())
}

/// The chat that a person named in the settings: by its address there.
pub fn channel_key(platform: Platform, channel: &str) -> ChatKey {
    let chat = match platform {
        Platform::Whatsapp => Identity::parse(channel).to_jid(),
        Platform::Telegram | Platform::Scripted(_) => channel.trim().to_owned(),
    };
    ChatKey { platform, chat: ChatId(chat) }
}

/// Whether two ids name the same account or chat.
pub fn same(one: &str, other: &str) -> bool {
    Identity::parse(one) == Identity::parse(other)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gateway::model::message::testing::message;

    #[test]
    fn devices_and_spellings_are_no_part_of_an_identity() {
        for id in [
            "15550100@s.whatsapp.net",
            "15550100:12@s.whatsapp.net",
            "15550100_1:12@s.whatsapp.net",
            "+1 (555) 0100",
            "15550100@c.us",
            "15550100@hosted",
        ] {
            assert_eq!(Identity::parse(id), Identity::Phone("15550100".into()), "{id}");
        }
        assert_eq!(Identity::parse("900100:3@lid"), Identity::Lid("900100".into()));
        assert_eq!(Identity::parse("1-2@g.us").to_jid(), "1-2@g.us");
        assert_eq!(Identity::parse("status@broadcast").to_jid(), "status@broadcast");
        assert!(!same("900100@lid", "900100@s.whatsapp.net"), "a LID is no phone number");
    }

    #[test]
    fn both_identities_of_a_chat_give_one_key() {
        let mut one = message("A", "15550100@s.whatsapp.net", "hi");
        one.chat_alt = Some(ChatId("900100@lid".into()));
        let mut other = message("B", "900100:2@lid", "hi");
        other.chat_alt = Some(ChatId("15550100@s.whatsapp.net".into()));
        assert_eq!(chat_key(Platform::Whatsapp, &one), chat_key(Platform::Whatsapp, &other));
        assert_eq!(chat_key(Platform::Whatsapp, &one).chat.0, "900100@lid");
    }
}
