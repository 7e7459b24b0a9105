//! Pure. Ids of WhatsApp (JIDs).
//!
//! WhatsApp knows an account by its phone number (`15550100@s.whatsapp.net`) and by a random number (its LID, `900100@lid`);
//! the same person's messages come under either, often with the other one beside it. Where both are known the LID names the
//! chat, because new messages come under it. A phone and a device of the same account write `15550100:7@…`; the part after
//! the colon (and an agent after `_`) is not part of the identity.

use super::phone;
use crate::platforms::spec::{Ids, PERSON_BYTES_MAX};

/// The rules of its ids.
pub(super) const IDS: Ids =
    Ids { name, person, listed, group: |id| id.trim().to_ascii_lowercase(), is_group };

/// A person or chat on WhatsApp.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Identity {
    /// By phone number: its digits.
    Phone(String),
    /// By LID: its digits.
    Lid(String),
    /// A group, or any other id: kept as it is.
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

fn name(id: &str, other: Option<&str>) -> String {
    let first = Identity::parse(id);
    let second = other.map(Identity::parse);
    match (first, second) {
        (lid @ Identity::Lid(_), _) | (_, Some(lid @ Identity::Lid(_))) => lid,
        (first, _) => first,
    }
    .to_jid()
}

fn person(id: &str) -> Option<String> {
    match Identity::parse(id) {
        known @ (Identity::Phone(_) | Identity::Lid(_)) if id.len() <= PERSON_BYTES_MAX => {
            Some(known.to_jid())
        }
        Identity::Phone(_) | Identity::Lid(_) | Identity::Other(_) => None,
    }
}

fn listed(id: &str) -> Option<String> {
    match Identity::parse(id) {
        Identity::Phone(digits) => Some(phone::canonical(&digits)),
        Identity::Lid(digits) => Some(digits),
        Identity::Other(_) => None,
    }
}

/// True for a group.
pub(super) fn is_group(chat: &str) -> bool {
    chat.trim().to_ascii_lowercase().ends_with("@g.us")
}

/// True when both ids name the same account or chat.
pub fn same(one: &str, other: &str) -> bool {
    Identity::parse(one) == Identity::parse(other)
}

#[cfg(test)]
mod tests {
    use super::*;

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
}
