//! Pure. The row of a platform: the properties common to all its accounts.

use std::time::Duration;

/// The properties common to all accounts of a platform.
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
    /// The unit in which the platform counts a text.
    pub text_unit: TextUnit,
    /// The effect of sending a message again whose fate is unknown.
    pub repeat: Repeat,
    /// The rate limits for sending.
    pub rates: Rates,
    /// Interval at which a message is changed that shows a growing answer, unless the settings say otherwise. `None`: sent
    /// messages cannot be changed.
    pub stream_every: Option<Duration>,
    /// The lease: a link whose last proof of life is older is not connected, whatever it reports.
    pub lease: Duration,
    /// The error code when the lease has run out.
    pub lease_code: &'static str,
    /// Time for which the service keeps messages for us while we are away. `None`: no limit is known.
    pub keeps: Option<Duration>,
}

/// The form in which a platform names people: the entries of lists are read in it, and compared with senders.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Naming {
    /// By phone number, in any spelling.
    Phone,
    /// By a whole number.
    Number,
    /// By a text, compared letter for letter.
    Verbatim,
}

impl Naming {
    /// Describes an entry for a person.
    pub fn person(self) -> &'static str {
        match self {
            Self::Phone => "phone number",
            Self::Number => "numeric user id",
            Self::Verbatim => "user id",
        }
    }

    /// Describes an entry for a group.
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

/// The unit in which a platform counts the length of a text.
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
    /// Returns the length of this text.
    pub fn len(self, text: &str) -> usize {
        match self {
            Self::Chars => text.chars().count(),
            Self::Utf16 => text.encode_utf16().count(),
            Self::Bytes => text.len(),
        }
    }
}

/// Returns a whole number in its one spelling. Digits of other scripts do not count.
pub fn number(text: &str) -> Option<String> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| text.parse::<i64>().ok()).flatten().map(|number| number.to_string())
}

/// The effect of sending a message again whose fate is unknown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Repeat {
    /// The same handle is the same message to the platform: people see it once.
    Same,
    /// People may see it twice; so the repeat is marked as one, and is tried only a few times.
    Marked,
}

/// The rate limits of a platform. Limits that it asks for while it runs come on top.
#[derive(Debug, Clone, Copy)]
pub struct Rates {
    /// The rate for all chats together.
    pub all: Option<Rate>,
    /// The rate for one person.
    pub chat: Option<Rate>,
    /// The rate for one group.
    pub group: Option<Rate>,
    /// True for a group.
    pub is_group: fn(&str) -> bool,
    /// Returns the chat that the platform counts for, where several of our chats are parts of one.
    pub whole: fn(&str) -> &str,
}

impl Rates {
    /// No limits.
    pub const NONE: Self =
        Self { all: None, chat: None, group: None, is_group: |_| false, whole: |chat| chat };
}

/// A rate: this many at once, and in the long run this many in this time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// The count, at least one.
    pub count: u32,
    /// The time in which the count is available again.
    pub per: Duration,
}

impl Rate {
    /// Returns the time in which one more is available.
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
