//! Pure. The types of the Bot API, as far as hermes needs them: <https://core.telegram.org/bots/api>.
//!
//! Unknown fields are ignored, every field that the service may leave out is optional, and so is every ornament of a message:
//! a new version of the service must not make old messages unreadable.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::lenient;
pub use super::update::{RawUpdate, updates};
use crate::sensitive::Private;

/// The envelope of every answer. It need only be one object of the Bot API; each part is read separately.
#[derive(Debug, Deserialize)]
pub struct Envelope<'a> {
    /// True when there is a `result`.
    pub ok: bool,
    /// The result.
    #[serde(borrow)]
    pub result: Option<&'a RawValue>,
    /// The number of the error; its own documentation calls it subject to change.
    #[serde(default, deserialize_with = "lenient::optional")]
    pub error_code: Option<u16>,
    /// The error as a text for people.
    #[serde(default, deserialize_with = "lenient::optional")]
    pub description: Option<String>,
    /// The parameters of an error.
    #[serde(default, deserialize_with = "lenient::optional")]
    pub parameters: Option<Parameters>,
}

/// The parameters of an error.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
pub struct Parameters {
    /// Seconds until the request may be repeated.
    #[serde(default, deserialize_with = "lenient::seconds")]
    pub retry_after: Option<u64>,
    /// The group has become a supergroup with this id.
    #[serde(default, deserialize_with = "lenient::optional")]
    pub migrate_to_chat_id: Option<i64>,
}

/// The bounds of a wait: "at once" would be asked for without end, and a number without a meaning could be too large for a
/// point in time.
const WAIT: [Duration; 2] = [Duration::from_secs(1), Duration::from_hours(24)];

impl Parameters {
    /// Returns the wait that the service asks for.
    pub fn wait(&self) -> Option<Duration> {
        let [least, most] = WAIT;
        self.retry_after.map(|seconds| Duration::from_secs(seconds).clamp(least, most))
    }
}

/// A refusal by the service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The status of the answer, or the number in it.
    pub status: u16,
    /// The description in the service's words; it never holds the token.
    pub description: String,
    /// The parameters.
    pub parameters: Parameters,
    /// True when it has the form of the Bot API. In any other it comes from something before the service: a proxy, or a
    /// firewall.
    pub by_service: bool,
}

impl Refusal {
    /// Returns the text for people.
    pub fn said(&self) -> String {
        let Self { status, description, .. } = self;
        if self.by_service {
            format!("Telegram answered {status}: {description}")
        } else {
            format!("Telegram, or something in front of it, answered {status}: {description}")
        }
    }
}

/// A kind of update that hermes asks for; in each there is a [`Message`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A new message.
    Message,
    /// An edited message.
    EditedMessage,
    /// A new post in a channel.
    ChannelPost,
    /// An edited post in a channel.
    EditedChannelPost,
}

impl Kind {
    /// All that are asked for.
    pub const ALL: [Self; 4] =
        [Self::Message, Self::EditedMessage, Self::ChannelPost, Self::EditedChannelPost];

    /// Returns its name on the wire.
    pub fn name(self) -> &'static str {
        match self {
            Self::Message => "message",
            Self::EditedMessage => "edited_message",
            Self::ChannelPost => "channel_post",
            Self::EditedChannelPost => "edited_channel_post",
        }
    }

    /// True when the message was there before, with another text.
    pub fn is_edit(self) -> bool {
        match self {
            Self::EditedMessage | Self::EditedChannelPost => true,
            Self::Message | Self::ChannelPost => false,
        }
    }
}

/// The deepest nesting in a message.
const DEPTH_MAX: usize = 128;

/// Returns the message in an update, where it has one of a [`Kind`]. `Err`: it has one that cannot be read.
pub fn message(update: &RawUpdate) -> Result<Option<(Kind, Message)>, Unreadable> {
    if depth(update.body.get()) > DEPTH_MAX {
        return Err(Unreadable);
    }
    let fields: BTreeMap<String, &RawValue> = read(&update.body)?;
    for kind in Kind::ALL {
        if let Some(inner) = fields.get(kind.name()) {
            return Ok(Some((kind, read(inner)?)));
        }
    }
    Ok(None)
}

/// Returns the depth of nesting of a JSON text.
fn depth(text: &str) -> usize {
    let (mut depth, mut deepest, mut is_text, mut is_escaped) = (0_usize, 0, false, false);
    for byte in text.bytes() {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' => is_escaped = is_text,
            b'"' => is_text = !is_text,
            b'[' | b'{' if !is_text => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b']' | b'}' if !is_text => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}

/// Reads a value. The reason of a failure is not kept: it could repeat chat content.
pub fn read<'a, T: Deserialize<'a>>(value: &'a RawValue) -> Result<T, Unreadable> {
    serde_json::from_str(value.get()).map_err(|_| Unreadable)
}

/// The error that a value does not have the documented form.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("it does not have the documented form")]
pub struct Unreadable;

/// A person or a bot.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct User {
    /// The id, which never changes.
    pub id: i64,
    /// True when it is a bot.
    #[serde(default)]
    pub is_bot: bool,
    /// First name, chosen by the user.
    #[serde(default, deserialize_with = "lenient::defaulted")]
    pub first_name: Private,
    /// Last name, chosen by the user.
    #[serde(default, deserialize_with = "lenient::optional")]
    pub last_name: Option<Private>,
    /// User name without the `@`.
    #[serde(default, deserialize_with = "lenient::optional")]
    pub username: Option<String>,
    /// Set only for ourselves: true when we get group messages that are not addressed to us.
    #[serde(default, deserialize_with = "lenient::defaulted")]
    pub can_read_all_group_messages: bool,
}

/// The chat of a message.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Chat {
    /// The id; negative for groups and channels.
    pub id: i64,
    /// `private`, `group`, `supergroup` or `channel`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The title of a group or channel.
    #[serde(default, deserialize_with = "lenient::optional")]
    pub title: Option<Private>,
}

/// A message.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Message {
    /// The id, unique within its chat.
    pub message_id: i64,
    /// The topic, or the thread of answers.
    #[serde(default, deserialize_with = "lenient::optional")]
    pub message_thread_id: Option<i64>,
    /// True when the thread is a topic of a forum.
    #[serde(default, deserialize_with = "lenient::defaulted")]
    pub is_topic_message: bool,
    /// The sender; none in channels.
    pub from: Option<User>,
    /// The chat in whose name it was written.
    pub sender_chat: Option<Chat>,
    /// The chat.
    pub chat: Chat,
    /// Time of sending, in seconds since 1970.
    pub date: i64,
    /// Time of the last edit, in seconds since 1970.
    #[serde(default, deserialize_with = "lenient::optional")]
    pub edit_date: Option<i64>,
    /// The album that it is a part of.
    #[serde(default, deserialize_with = "lenient::optional")]
    pub media_group_id: Option<String>,
    /// The text.
    pub text: Option<Private>,
    /// The text below an attachment.
    pub caption: Option<Private>,
    /// The entities of `text`.
    #[serde(default, deserialize_with = "lenient::list")]
    pub entities: Vec<Entity>,
    /// The entities of `caption`.
    #[serde(default, deserialize_with = "lenient::list")]
    pub caption_entities: Vec<Entity>,
    /// The answered message.
    #[serde(default, deserialize_with = "lenient::optional")]
    pub reply_to_message: Option<Box<Self>>,
    /// The part of it that is quoted.
    #[serde(default, deserialize_with = "lenient::optional")]
    pub quote: Option<Quote>,
    /// The origin, when it was forwarded.
    #[serde(default, deserialize_with = "lenient::emptied")]
    pub forward_origin: Option<Origin>,
    /// Time of writing, in the form of older servers, which have no `forward_origin`.
    pub forward_date: Option<IgnoredAny>,
    /// A channel's post that was forwarded to its discussion group.
    pub is_automatic_forward: Option<IgnoredAny>,
    /// The bot that wrote it in the name of a business account.
    pub sender_business_bot: Option<IgnoredAny>,
    /// The bot that made it; the sender only picked it.
    #[serde(default, deserialize_with = "lenient::emptied")]
    pub via_bot: Option<Via>,
    /// The sizes of a picture.
    #[serde(default, deserialize_with = "lenient::list")]
    pub photo: Vec<PhotoSize>,
    /// A file.
    pub document: Option<File>,
    /// A video without sound; the same is also in `document`.
    pub animation: Option<File>,
    /// A music file.
    pub audio: Option<File>,
    /// A voice message.
    pub voice: Option<File>,
    /// A video.
    pub video: Option<File>,
    /// A round video.
    pub video_note: Option<File>,
    /// A sticker.
    pub sticker: Option<Sticker>,
    /// A place.
    pub location: Option<Location>,
    /// A place with a name; the place is also in `location`.
    pub venue: Option<Venue>,
    /// A contact.
    pub contact: Option<Contact>,
    /// A poll.
    pub poll: Option<Poll>,
    /// A thrown die.
    pub dice: Option<Dice>,
    /// Content that hermes cannot show.
    #[serde(
        alias = "checklist",
        alias = "game",
        alias = "giveaway",
        alias = "giveaway_winners",
        alias = "invoice",
        alias = "paid_media",
        alias = "story"
    )]
    pub unshown: Option<IgnoredAny>,
    /// The group becomes a supergroup, which has this id.
    pub migrate_to_chat_id: Option<i64>,
    /// The message that opened a topic, which every message in it seems to answer.
    pub forum_topic_created: Option<IgnoredAny>,
}

/// An entity: a part of a text with a meaning.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Entity {
    /// `mention`, `text_mention`, `bot_command`, `text_link`, and many that do not matter here.
    #[serde(rename = "type")]
    pub kind: String,
    /// Its start, in UTF-16 units.
    pub offset: usize,
    /// Its length, in UTF-16 units.
    pub length: usize,
    /// The user, for `text_mention`.
    pub user: Option<User>,
    /// The address, for `text_link`.
    pub url: Option<Private>,
}

/// A part of another message.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Quote {
    /// The quoted text.
    pub text: Private,
}

/// The origin of a forwarded message.
#[derive(Debug, Default, Clone, PartialEq, Eq, Deserialize)]
pub struct Origin {
    /// A user who may be named.
    pub sender_user: Option<User>,
    /// A user without a public account, by name.
    pub sender_user_name: Option<Private>,
    /// A group.
    pub sender_chat: Option<Chat>,
    /// A channel.
    pub chat: Option<Chat>,
}

/// The bot that made a message.
#[derive(Debug, Default, Clone, PartialEq, Eq, Deserialize)]
pub struct Via {
    /// User name without the `@`.
    pub username: Option<String>,
}

/// One size of a picture.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct PhotoSize {
    /// The id by which it is fetched.
    pub file_id: String,
    /// The width in pixels.
    #[serde(default, deserialize_with = "lenient::defaulted")]
    pub width: u32,
    /// The height in pixels.
    #[serde(default, deserialize_with = "lenient::defaulted")]
    pub height: u32,
    /// The size in bytes.
    #[serde(default, deserialize_with = "lenient::optional")]
    pub file_size: Option<u64>,
}

/// A file of any kind.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct File {
    /// The id by which it is fetched.
    pub file_id: String,
    /// The name, as its sender says.
    #[serde(default, deserialize_with = "lenient::optional")]
    pub file_name: Option<Private>,
    /// The MIME type, as its sender says.
    #[serde(default, deserialize_with = "lenient::optional")]
    pub mime_type: Option<String>,
    /// The size in bytes.
    #[serde(default, deserialize_with = "lenient::optional")]
    pub file_size: Option<u64>,
}

/// A sticker.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Sticker {
    /// The id by which it is fetched.
    pub file_id: String,
    /// The emoji that it stands for.
    #[serde(default, deserialize_with = "lenient::optional")]
    pub emoji: Option<String>,
    /// True when it is animated.
    #[serde(default, deserialize_with = "lenient::defaulted")]
    pub is_animated: bool,
    /// True when it is a video.
    #[serde(default, deserialize_with = "lenient::defaulted")]
    pub is_video: bool,
    /// The size in bytes.
    #[serde(default, deserialize_with = "lenient::optional")]
    pub file_size: Option<u64>,
}

/// A place.
#[derive(Clone, Copy, PartialEq, Deserialize)]
pub struct Location {
    /// Degrees north.
    pub latitude: f64,
    /// Degrees east.
    pub longitude: f64,
}

impl fmt::Debug for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<private>")
    }
}

/// A place with a name.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Venue {
    /// Its name.
    pub title: Private,
    /// Its address.
    pub address: Private,
}

/// A contact.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Contact {
    /// Their number.
    pub phone_number: Private,
    /// Their name.
    pub first_name: Private,
    /// Their name.
    pub last_name: Option<Private>,
}

/// A poll.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Poll {
    /// The question.
    pub question: Private,
    /// The options.
    #[serde(default, deserialize_with = "lenient::list")]
    pub options: Vec<PollOption>,
}

/// An option of a poll.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct PollOption {
    /// Its text.
    pub text: Private,
}

/// A thrown die.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Dice {
    /// The kind of die.
    pub emoji: String,
    /// The number that it shows.
    pub value: u32,
}

/// The answer to `getFile`.
#[derive(Debug, Deserialize)]
pub struct FilePath {
    /// The path below the address for files; the service keeps it for an hour.
    pub file_path: Option<String>,
    /// The size in bytes.
    #[serde(default, deserialize_with = "lenient::optional")]
    pub file_size: Option<u64>,
}

/// The answer to `getWebhookInfo`.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct WebhookInfo {
    /// The address; empty where none is set.
    #[serde(default, deserialize_with = "lenient::defaulted")]
    pub url: String,
    /// The number of updates that wait.
    #[serde(default, deserialize_with = "lenient::defaulted")]
    pub pending_update_count: u64,
    /// Time of the last failed delivery, in seconds since 1970.
    #[serde(default, deserialize_with = "lenient::optional")]
    pub last_error_date: Option<i64>,
    /// Its cause.
    #[serde(default, deserialize_with = "lenient::optional")]
    pub last_error_message: Option<String>,
}

/// A sent message.
#[derive(Debug, Default, Deserialize)]
pub struct Sent {
    /// Its id; 0 where it cannot be read. It was sent all the same.
    #[serde(default)]
    pub message_id: i64,
}

/// `getUpdates`.
#[derive(Debug, Serialize)]
pub struct GetUpdates<'a> {
    /// The first update wanted; confirms everything below. Without it: from the oldest that is not confirmed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub offset: Option<i64>,
    /// Most updates, 1 to 100.
    pub limit: u8,
    /// Time for which the service waits for updates, in seconds.
    pub timeout: u64,
    /// The kinds of updates.
    pub allowed_updates: &'a [&'a str],
}

/// `sendMessage`.
#[derive(Debug, Serialize)]
pub struct SendMessage<'a> {
    /// The chat.
    pub chat_id: i64,
    /// The topic.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message_thread_id: Option<i64>,
    /// The text.
    pub text: &'a str,
    /// `HTML`, or nothing for plain text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parse_mode: Option<&'static str>,
    /// The answered message.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reply_parameters: Option<ReplyParameters>,
}

/// `editMessageText`.
#[derive(Debug, Serialize)]
pub struct EditMessageText<'a> {
    /// The chat of the message.
    pub chat_id: i64,
    /// Its id.
    pub message_id: i64,
    /// The new text.
    pub text: &'a str,
    /// `HTML`, or nothing for plain text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parse_mode: Option<&'static str>,
}

/// The answered message.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct ReplyParameters {
    /// Its id, in the same chat.
    pub message_id: i64,
    /// True to send it also when that message is gone.
    pub allow_sending_without_reply: bool,
}

/// `sendChatAction`.
#[derive(Debug, Serialize)]
pub struct SendChatAction {
    /// The chat.
    pub chat_id: i64,
    /// The topic.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message_thread_id: Option<i64>,
    /// `typing`; shown for 5 s at most.
    pub action: &'static str,
}

/// `setWebhook`.
#[derive(Serialize)]
pub struct SetWebhook<'a> {
    /// The address to which updates are brought.
    pub url: &'a str,
    /// The secret that comes with each.
    pub secret_token: &'a str,
    /// The kinds of updates.
    pub allowed_updates: &'a [&'a str],
    /// Always false: people's messages wait there.
    pub drop_pending_updates: bool,
}

/// `deleteWebhook`.
#[derive(Debug, Serialize)]
pub struct DeleteWebhook {
    /// Always false: people's messages wait there.
    pub drop_pending_updates: bool,
}
