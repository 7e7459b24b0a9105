//! Pure. Messages as every platform and every agent sees them.

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
    /// A chat, as its platform names it.
    ChatId
}
id! {
    /// A person, as the platform names them.
    UserId
}
id! {
    /// A message, as the platform names it.
    MessageId
}

/// A message that came in. What people wrote is not shown by `Debug`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct InboundMessage {
    /// The platform's id of it.
    pub id: MessageId,
    /// Where it was written and where the answer goes.
    pub chat: ChatId,
    /// The same chat by its other identity, where the platform has two (WhatsApp: LID and phone number).
    pub chat_alt: Option<ChatId>,
    /// Who wrote it.
    pub sender: UserId,
    /// The same person by their other identity.
    pub sender_alt: Option<UserId>,
    /// The name the sender chose.
    pub sender_name: Option<Private>,
    /// The account's owner wrote it on another device.
    pub from_me: bool,
    /// The chat is the account's own: notes to oneself.
    pub self_chat: bool,
    /// More than two people are in the chat.
    pub is_group: bool,
    /// It speaks to us: a mention, or an answer to one of our messages. Always true outside groups.
    pub addressed: bool,
    /// It is a sign on another message, or takes one back: told in `text`, and nothing to answer.
    #[serde(default)]
    pub reaction: bool,
    /// The text is somebody else's: forwarded, or made by another bot. Set by [`Self::mark_forwarded`].
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub forwarded: bool,
    /// Body or caption; what is no text is described (`[location 52.1,4.3]`).
    pub text: Private,
    /// How long the whole text was, in bytes, where `text` is only its beginning.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cut_from: Option<usize>,
    /// What came with it, on disk.
    pub attachments: Vec<Attachment>,
    /// The text of the message that it answers.
    pub quoted: Option<Private>,
    /// When it was sent, seconds since 1970.
    pub sent_at_s: i64,
    /// The album that it is a part of, as the platform names it: whoever sent the parts sent one thing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub album: Option<String>,
}

impl MessageId {
    /// The id of this message with another text. A time has seconds, in which there may be two changes.
    #[must_use]
    pub fn changed(&self, at_s: i64, text: &str) -> Self {
        let [first, second, third, ..] = <[u8; 32]>::from(Sha256::digest(text.as_bytes()));
        Self(format!("{self}.e{at_s}.{first:02x}{second:02x}{third:02x}"))
    }

    /// The id of the message that this one is a change of.
    pub fn original(&self) -> Option<Self> {
        let (original, change) = self.0.rsplit_once(".e")?;
        let (at, hash) = change.split_once('.')?;
        let is_change =
            at.parse::<i64>().is_ok() && hash.len() == 6 && hash.bytes().all(|byte| byte.is_ascii_hexdigit());
        is_change.then(|| Self(original.to_owned()))
    }
}

/// The first line of a changed message.
const EDITED: &str = "[edited]";

/// The source of a forwarded message whose first writer is not known; see [`InboundMessage::mark_forwarded`].
pub const FORWARDED: &str = "forwarded";

impl InboundMessage {
    /// Marks the text as somebody else's, for the agent with a first line in brackets: `[forwarded from Ada]`. A command in
    /// such a text is not obeyed. `source`: where the text comes from, [`FORWARDED`] where only that is known.
    pub fn mark_forwarded(&mut self, source: &str) {
        self.forwarded = true;
        // The source may hold a name that somebody chose: it stays on its line.
        let source: String = source.chars().filter(|sign| !sign.is_control()).collect();
        let text = &mut self.text.0;
        let gap = if text.is_empty() { "" } else { "\n" };
        text.insert_str(0, &format!("[{source}]{gap}"));
    }

    /// Marks it as another text of an earlier message, for the agent with a first line that says so.
    pub fn mark_edited(&mut self) {
        let gap = if self.text.0.is_empty() { "" } else { "\n" };
        self.text.0.insert_str(0, &format!("{EDITED}{gap}"));
    }

    /// True when it says the same as an earlier form of it: platforms report invisible changes, as of the preview of a link.
    pub fn says_the_same(&self, earlier: &Self) -> bool {
        let words = |message: &Self| {
            let text = message.text.0.as_str();
            text.strip_prefix(EDITED).unwrap_or(text).trim().to_owned()
        };
        // A file that does not come along stays what it was.
        let brings_nothing =
            self.attachments.is_empty() || self.attachments.len() == earlier.attachments.len();
        words(self) == words(earlier) && brings_nothing
    }

    /// True when the sender wrote a command, to the gateway or to the agent.
    pub fn is_command(&self) -> bool {
        !self.forwarded && self.text.0.trim_start().starts_with('/')
    }
}

/// Something that came with a message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attachment {
    /// `image`, `audio`, `voice`, `video`, `document`, `sticker`.
    pub kind: String,
    /// Where it is; `None` when it was not fetched.
    pub path: Option<PathBuf>,
    /// Its type.
    pub mime: Option<String>,
    /// Its name, as the sender says.
    pub file_name: Option<Private>,
    /// Why it was not fetched.
    pub error: Option<String>,
}

impl Attachment {
    /// What it is called.
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

/// A text on its way out. One part of an answer: it fits the platform's limit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutboundMessage {
    /// Where to.
    pub chat: ChatId,
    /// Our own id of it, stable over restarts: where the platform takes it, a repeat is the same message.
    pub handle: String,
    /// What to say.
    pub text: Private,
    /// The text is in the platform's markup. Else it is Markdown: a notice, or a part that an earlier program stored.
    #[serde(default)]
    pub is_markup: bool,
    /// The message that it answers.
    pub reply_to: Option<MessageId>,
    /// It only makes sense now, as a sign of progress does: it is never sent twice, and nobody is told of its loss.
    #[serde(default)]
    pub fleeting: bool,
    /// The message of ours in whose place it is put; where that cannot be done, it is sent like any other.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replaces: Option<MessageId>,
}

/// Which chat on which platform.
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
