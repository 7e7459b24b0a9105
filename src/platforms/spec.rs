//! Pure. The row of a platform: what is the same for each of its accounts.

use std::time::Duration;

/// What is the same for every account of a platform.
#[derive(Debug)]
pub struct PlatformSpec {
    /// The name on the wire: in settings, the status file, commands and metrics.
    pub name: &'static str,
    /// The name as people write it.
    pub title: &'static str,
    /// The command that sets it up.
    pub setup: &'static str,
    /// Form of the ids that people write in lists.
    pub naming: Naming,
    /// The rules of its ids.
    pub ids: Ids,
    /// Longest text of one message, in [`Self::text_unit`]s; longer replies are split.
    pub text_len_max: usize,
    /// What the platform counts a text in.
    pub text_unit: TextUnit,
    /// What sending a message again means, of which nobody knows whether it arrived.
    pub repeat: Repeat,
    /// How fast it may be spoken to.
    pub rates: Rates,
    /// How often a message is changed that shows an answer as it grows, unless the settings say otherwise. `None`: what was
    /// sent cannot be changed.
    pub stream_every: Option<Duration>,
    /// A link whose last proof of life is older than this is not connected, whatever it says.
    pub lease: Duration,
    /// The error code when the lease has run out.
    pub lease_code: &'static str,
    /// How long the service keeps messages for us while we are away. `None`: nothing is known to be thrown away.
    pub keeps: Option<Duration>,
}

/// How a platform names people: so are the entries of lists read, and compared with whoever writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Naming {
    /// By phone number, in any spelling.
    Phone,
    /// By a whole number.
    Number,
    /// By a text that is what it is, letter for letter.
    Verbatim,
}

impl Naming {
    /// What an entry for a person is.
    pub fn person(self) -> &'static str {
        match self {
            Self::Phone => "phone number",
            Self::Number => "numeric user id",
            Self::Verbatim => "user id",
        }
    }

    /// What an entry for a group is.
    pub fn group(self) -> &'static str {
        match self {
            Self::Phone => "group's id, as in 120363000000000000@g.us",
            Self::Number => "numeric chat id",
            Self::Verbatim => "chat id",
        }
    }
}

/// The rules of a platform's ids. One chat or person may have several ids and spellings; each has one name. Pure.
#[derive(Debug, Clone, Copy)]
pub struct Ids {
    /// The name of a chat or an account under this id, or the other id that the platform gives of it.
    pub name: fn(&str, Option<&str>) -> String,
    /// The name of a person under this id; `None`: no person has such an id.
    pub person: fn(&str) -> Option<String>,
    /// The name by which lists know a person: an entry of a list and the ids in messages give the same.
    pub listed: fn(&str) -> Option<String>,
    /// The name by which lists know a group.
    pub group: fn(&str) -> String,
    /// True for the id of a chat of more than two people.
    pub is_group: fn(&str) -> bool,
}

impl Ids {
    /// True when both ids name the same account or chat.
    pub fn same(&self, one: &str, other: &str) -> bool {
        (self.name)(one, None) == (self.name)(other, None)
    }
}

/// What a platform counts the length of a text in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TextUnit {
    /// Unicode characters.
    Chars,
    /// Units of UTF-16: an emoji is two.
    Utf16,
    /// Bytes of UTF-8.
    Bytes,
}

impl TextUnit {
    /// The length of this text.
    pub fn len(self, text: &str) -> usize {
        match self {
            Self::Chars => text.chars().count(),
            Self::Utf16 => text.encode_utf16().count(),
            Self::Bytes => text.len(),
        }
    }
}

/// A whole number in its one spelling. Digits of other scripts are no digits here.
pub fn number(text: &str) -> Option<String> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| text.parse::<i64>().ok()).flatten().map(|number| number.to_string())
}

/// What sending a message again means, of which nobody knows whether it arrived.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Repeat {
    /// The same handle is the same message to the platform: people see it once.
    Same,
    /// People may see it twice; so the repeat says what it is, and is tried only a few times.
    Marked,
}

/// How fast a platform may be spoken to. Whatever it asks for while it runs comes on top.
#[derive(Debug, Clone, Copy)]
pub struct Rates {
    /// To all chats together.
    pub all: Option<Rate>,
    /// To one person.
    pub chat: Option<Rate>,
    /// To one group.
    pub group: Option<Rate>,
    /// True for a group.
    pub is_group: fn(&str) -> bool,
    /// The chat that the platform counts for, where chats of ours are parts of one.
    pub whole: fn(&str) -> &str,
}

impl Rates {
    /// As fast as it takes it.
    pub const NONE: Self =
        Self { all: None, chat: None, group: None, is_group: |_| false, whole: |chat| chat };
}

/// So many at once, and in the long run so many in this time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// At least one.
    pub count: u32,
    /// The time in which as many come again.
    pub per: Duration,
}

impl Rate {
    /// The time in which one comes again.
    pub fn pause(self) -> Duration {
        self.per / self.count
    }
}

/// The longest id of a person, in bytes.
pub(super) const PERSON_BYTES_MAX: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_has_one_spelling() {
        for (text, expected) in [
            ("12345", Some("12345")),
            ("0012", Some("12")),
            ("-100123", Some("-100123")),
            ("", None),
            ("-", None),
            ("+12", None),
            (" 12", None),
            ("--12", None),
            ("1e3", None),
            ("\u{661}\u{662}", None),
            ("\u{ff11}", None),
            ("99999999999999999999", None),
        ] {
            assert_eq!(number(text).as_deref(), expected, "{text:?}");
        }
    }
}
