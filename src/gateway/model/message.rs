//! Pure. Messages in the form that is common to all platforms and agents.

use std::fmt;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::platforms::Platform;
use crate::sensitive::Private;

/// The number of an accepted message: its row of the inbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct InboxId(pub i64);

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub String);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

id! {
    /// The platform's id of a chat.
    ChatId
}
id! {
    /// The platform's id of a person.
    UserId
}
id! {
    /// The platform's id of a message.
    MessageId
}

/// An incoming message. `Debug` does not show what people wrote.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct InboundMessage {
    /// The platform's id of the message.
    pub id: MessageId,
    /// The chat where it was written and where the answer goes.
    pub chat: ChatId,
    /// The same chat by its other identity, where the platform has two (WhatsApp: LID and phone number).
    pub chat_alt: Option<ChatId>,
    /// Its writer.
    pub sender: UserId,
    /// The same person by their other identity.
    pub sender_alt: Option<UserId>,
    /// The name the sender chose.
    pub sender_name: Option<Private>,
    /// True when the account's owner wrote it on another device.
    pub from_me: bool,
    /// True when the chat is the account's own: notes to oneself.
    pub self_chat: bool,
    /// True when more than two people are in the chat.
    pub is_group: bool,
    /// True when it is addressed to us: a mention, or an answer to one of our messages. Always true outside groups.
    pub addressed: bool,
    /// True when it adds a reaction to another message, or removes one: described in `text`, and not answered.
    #[serde(default)]
    pub reaction: bool,
    /// True when another person wrote the text: forwarded, or made by another bot. Set by [`Self::mark_forwarded`].
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub forwarded: bool,
    /// Body or caption; content other than text is described (`[location 52.1,4.3]`).
    pub text: Private,
    /// The length of the whole text in bytes, where `text` is only its beginning.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cut_from: Option<usize>,
    /// The files that came with it, on disk.
    pub attachments: Vec<Attachment>,
    /// The text of the message that it answers.
    pub quoted: Option<Private>,
    /// The time when it was sent, seconds since 1970.
    pub sent_at_s: i64,
    /// The id of the album that it is a part of: the sender sent the parts as one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub album: Option<String>,
}

impl MessageId {
    /// The id of this message with another text. Times are in seconds, and one second may have two edits.
    #[must_use]
    pub fn changed(&self, at_s: i64, text: &str) -> Self {
        let [first, second, third, ..] = <[u8; 32]>::from(Sha256::digest(text.as_bytes()));
        Self(format!("{self}.e{at_s}.{first:02x}{second:02x}{third:02x}"))
    }

    /// The id of the message that this one is an edit of.
    pub fn original(&self) -> Option<Self> {
        let (original, change) = self.0.rsplit_once(".e")?;
        let (at, hash) = change.split_once('.')?;
        let is_change =
            at.parse::<i64>().is_ok() && hash.len() == 6 && hash.bytes().all(|byte| byte.is_ascii_hexdigit());
        is_change.then(|| Self(original.to_owned()))
    }
}

/// The first line of an edited message.
const EDITED: &str = "[edited]";

/// The source of a forwarded message whose first writer is not known; see [`InboundMessage::mark_forwarded`].
pub const FORWARDED: &str = "forwarded";

impl InboundMessage {
    /// Marks the text as another person's, for the agent with a first line in brackets: `[forwarded from Ada]`. A command
    /// in such a text is not carried out. `source`: the text's origin, [`FORWARDED`] where only that is known.
    pub fn mark_forwarded(&mut self, source: &str) {
        self.forwarded = true;
        // The source may hold a name that a person chose: it stays on its line.
        let source: String = source.chars().filter(|sign| !sign.is_control()).collect();
        let text = &mut self.text.0;
        let gap = if text.is_empty() { "" } else { "\n" };
        text.insert_str(0, &format!("[{source}]{gap}"));
    }

    /// Marks it as another text of an earlier message, for the agent with a first line for this.
    pub fn mark_edited(&mut self) {
        let gap = if self.text.0.is_empty() { "" } else { "\n" };
        self.text.0.insert_str(0, &format!("{EDITED}{gap}"));
    }

    /// True when its content equals an earlier form's: platforms report invisible edits, as of the preview of a link.
    pub fn says_the_same(&self, earlier: &Self) -> bool {
        let words = |message: &Self| {
            let text = message.text.0.as_str();
            text.strip_prefix(EDITED).unwrap_or(text).trim().to_owned()
        };
        // A file that is not sent again has not changed.
        let brings_nothing =
            self.attachments.is_empty() || self.attachments.len() == earlier.attachments.len();
        words(self) == words(earlier) && brings_nothing
    }

    /// True when the sender wrote a command, to the gateway or to the agent.
    pub fn is_command(&self) -> bool {
        !self.forwarded && self.text.0.trim_start().starts_with('/')
    }
}

/// A file that came with a message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attachment {
    /// `image`, `audio`, `voice`, `video`, `document`, `sticker`.
    pub kind: String,
    /// Its path; `None` when it was not fetched.
    pub path: Option<PathBuf>,
    /// Its MIME type.
    pub mime: Option<String>,
    /// Its name, given by the sender.
    pub file_name: Option<Private>,
    /// The reason why it was not fetched.
    pub error: Option<String>,
}

impl Attachment {
    /// Its description.
    pub fn label(&self) -> String {
        let mut label = self.kind.clone();
        if let Some(name) = &self.file_name {
            label.push(' ');
            // A name is chosen by its sender: it stays on its line.
            label.extend(name.0.chars().filter(|c| !c.is_control()).take(100));
        }
        label
    }
}

/// An outgoing text: one part of an answer, within the platform's limit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutboundMessage {
    /// The chat that it goes to.
    pub chat: ChatId,
    /// Our own id of it, stable over restarts: where the platform takes it, a repeat is the same message.
    pub handle: String,
    /// The text.
    pub text: Private,
    /// True when the text is in the platform's markup. Else it is Markdown: a notice, or a part that an earlier program stored.
    #[serde(default)]
    pub is_markup: bool,
    /// The message that it answers.
    pub reply_to: Option<MessageId>,
    /// True when it is useful only now, such as a sign of progress: it is never sent twice, and its loss is not reported.
    #[serde(default)]
    pub fleeting: bool,
    /// The message of ours that it replaces; where that cannot be done, it is sent like any other.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replaces: Option<MessageId>,
}

/// A chat on a platform.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ChatKey {
    /// The platform.
    pub platform: Platform,
    /// The chat.
    pub chat: ChatId,
}

/// Messages for tests.
#[cfg(test)]
pub(crate) mod testing {
    use super::*;

    /// A text in a direct chat, written by the person that the chat is with.
    pub(crate) fn message(id: &str, chat: &str, text: &str) -> InboundMessage {
        InboundMessage {
            id: MessageId(id.into()),
            chat: ChatId(chat.into()),
            chat_alt: None,
            sender: UserId(chat.into()),
            sender_alt: None,
            sender_name: None,
            from_me: false,
            self_chat: false,
            is_group: false,
            addressed: true,
            reaction: false,
            forwarded: false,
            text: Private(text.into()),
            cut_from: None,
            attachments: Vec::new(),
            quoted: None,
            sent_at_s: 0,
            album: None,
        }
    }
}
