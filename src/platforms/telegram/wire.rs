//! Pure. What the Bot API says and hears, as far as hermes needs it: <https://core.telegram.org/bots/api>.
//!
//! Fields that hermes does not know are ignored, every field that the service may leave out is optional, and so is whatever only
//! adorns a message: a new version of the service must not make old messages unreadable.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::lenient;
pub use super::update::{RawUpdate, updates};
use crate::sensitive::Private;

/// What every answer is wrapped in. Only that it is one object of the Bot API is asked of it; each part is read for itself.
#[derive(Debug, Deserialize)]
pub struct Envelope<'a> {
    /// True when there is a `result`.
    pub ok: bool,
    /// What was asked for.
    #[serde(borrow)]
    pub result: Option<&'a RawValue>,
    /// The number of the error; its own documentation calls it subject to change.
    #[serde(default, deserialize_with = "lenient::optional")]
    pub error_code: Option<u16>,
    /// The error for people.
    #[serde(default, deserialize_with = "lenient::optional")]
    pub description: Option<String>,
    /// What may help to go on.
    #[serde(default, deserialize_with = "lenient::optional")]
    pub parameters: Option<Parameters>,
}

/// What may help to go on after an error.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
pub struct Parameters {
    /// Seconds until the request may be repeated.
    #[serde(default, deserialize_with = "lenient::seconds")]
    pub retry_after: Option<u64>,
    /// The group has become a supergroup with this id.
    #[serde(default, deserialize_with = "lenient::optional")]
    pub migrate_to_chat_id: Option<i64>,
}

/// A wait is believed within these bounds: "at once" would be asked for without end, and no moment is far enough away for a
/// number without a meaning.
const WAIT: [Duration; 2] = [Duration::from_secs(1), Duration::from_hours(24)];

impl Parameters {
    /// The wait that the service asks for.
    pub fn wait(&self) -> Option<Duration> {
        let [least, most] = WAIT;
        self.retry_after.map(|seconds| Duration::from_secs(seconds).clamp(least, most))
    }
}

/// A refusal: the service answered, and the answer is no.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The status of the answer, or the number in it.
    pub status: u16,
    /// In the service's words; it never holds the token.
    pub description: String,
    /// What may help to go on.
    pub parameters: Parameters,
    /// In the form of the Bot API. In any other it is the word of something before the service: a proxy, or a firewall.
    pub by_service: bool,
}

impl Refusal {
    /// For people.
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
    /// Somebody wrote.
    Message,
    /// Somebody changed what they wrote.
    EditedMessage,
    /// Something appeared in a channel.
    ChannelPost,
    /// Something in a channel was changed.
    EditedChannelPost,
}

impl Kind {
    /// All that are asked for.
    pub const ALL: [Self; 4] =
        [Self::Message, Self::EditedMessage, Self::ChannelPost, Self::EditedChannelPost];

    /// Its name on the wire.
    pub fn name(self) -> &'static str {
        match self {
            Self::Message => "message",
            Self::EditedMessage => "edited_message",
            Self::ChannelPost => "channel_post",
            Self::EditedChannelPost => "edited_channel_post",
        }
    }

    /// The message was there before, with another text.
    pub fn is_edit(self) -> bool {
        match self {
            Self::EditedMessage | Self::EditedChannelPost => true,
            Self::Message | Self::ChannelPost => false,
        }
    }
}

/// Nothing in a message is nested deeper.
const DEPTH_MAX: usize = 128;

/// The message in an update, where it has one of a [`Kind`]. `Err`: it has, and it cannot be read.
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

/// How deep a JSON text is nested.
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

/// Reads a value. The reason is not kept: it could repeat what people wrote.
pub fn read<'a, T: Deserialize<'a>>(value: &'a RawValue) -> Result<T, Unreadable> {
    serde_json::from_str(value.get()).map_err(|_| Unreadable)
}

/// It has not the documented form.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("it does not have the documented form")]
pub struct Unreadable;

/// A person or a bot.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct User {
    /// Never changes.
    pub id: i64,
    /// True when it is a bot.
    #[serde(default)]
    pub is_bot: bool,
    /// Chosen by the user.
    #[serde(default, deserialize_with = "lenient::defaulted")]
    pub first_name: Private,
    /// Chosen by the user.
    #[serde(default, deserialize_with = "lenient::optional")]
    pub last_name: Option<Private>,
    /// Without the `@`.
    #[serde(default, deserialize_with = "lenient::optional")]
    pub username: Option<String>,
    /// Only of ourselves: whether we are shown what is said in groups without being spoken to.
    #[serde(default, deserialize_with = "lenient::defaulted")]
    pub can_read_all_group_messages: bool,
}

/// Where a message was written.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Chat {
    /// Negative for groups and channels.
    pub id: i64,
    /// `private`, `group`, `supergroup` or `channel`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Of groups and channels.
    #[serde(default, deserialize_with = "lenient::optional")]
    pub title: Option<Private>,
}

/// A message.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Message {
    /// Unique within its chat.
    pub message_id: i64,
    /// The topic, or the thread of answers.
    #[serde(default, deserialize_with = "lenient::optional")]
    pub message_thread_id: Option<i64>,
    /// The thread is a topic of a forum.
    #[serde(default, deserialize_with = "lenient::defaulted")]
    pub is_topic_message: bool,
    /// Nobody in channels.
    pub from: Option<User>,
    /// The chat in whose name it was written.
    pub sender_chat: Option<Chat>,
    /// Where.
    pub chat: Chat,
    /// Seconds since 1970.
    pub date: i64,
    /// Seconds since 1970.
    #[serde(default, deserialize_with = "lenient::optional")]
    pub edit_date: Option<i64>,
    /// The album that it is a part of.
    #[serde(default, deserialize_with = "lenient::optional")]
    pub media_group_id: Option<String>,
    /// What was written.
    pub text: Option<Private>,
    /// What was written below something else.
    pub caption: Option<Private>,
    /// Parts of `text` with a meaning.
    #[serde(default, deserialize_with = "lenient::list")]
    pub entities: Vec<Entity>,
    /// Parts of `caption` with a meaning.
    #[serde(default, deserialize_with = "lenient::list")]
    pub caption_entities: Vec<Entity>,
    /// What it answers.
    #[serde(default, deserialize_with = "lenient::optional")]
    pub reply_to_message: Option<Box<Self>>,
    /// The part of it that is answered.
    #[serde(default, deserialize_with = "lenient::optional")]
    pub quote: Option<Quote>,
    /// Where it comes from, when it was not written here.
    #[serde(default, deserialize_with = "lenient::emptied")]
    pub forward_origin: Option<Origin>,
    /// When it was written, in the form of older servers, which have no `forward_origin`.
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
    /// A film without sound; the same is also in `document`.
    pub animation: Option<File>,
    /// Music.
    pub audio: Option<File>,
    /// Speech.
    pub voice: Option<File>,
    /// A film.
    pub video: Option<File>,
    /// A round film.
    pub video_note: Option<File>,
    /// A sticker.
    pub sticker: Option<Sticker>,
    /// A place.
    pub location: Option<Location>,
    /// A place with a name; the place is also in `location`.
    pub venue: Option<Venue>,
    /// Somebody's number.
    pub contact: Option<Contact>,
    /// A question to many.
    pub poll: Option<Poll>,
    /// A thrown die.
    pub dice: Option<Dice>,
    /// Something that hermes cannot show.
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

/// A part of a text with a meaning.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Entity {
    /// `mention`, `text_mention`, `bot_command`, `text_link`, and many that do not matter here.
    #[serde(rename = "type")]
    pub kind: String,
    /// In UTF-16 units.
    pub offset: usize,
    /// In UTF-16 units.
    pub length: usize,
    /// Who is meant, for `text_mention`.
    pub user: Option<User>,
    /// Where it leads, for `text_link`.
    pub url: Option<Private>,
}

/// A part of another message.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Quote {
    /// What is quoted.
    pub text: Private,
}

/// Where a forwarded message comes from.
#[derive(Debug, Default, Clone, PartialEq, Eq, Deserialize)]
pub struct Origin {
    /// Somebody who may be named.
    pub sender_user: Option<User>,
    /// Somebody who may not, by their name.
    pub sender_user_name: Option<Private>,
    /// A group.
    pub sender_chat: Option<Chat>,
    /// A channel.
    pub chat: Option<Chat>,
}

/// The bot that made a message.
#[derive(Debug, Default, Clone, PartialEq, Eq, Deserialize)]
pub struct Via {
    /// Without the `@`.
    pub username: Option<String>,
}

/// One size of a picture.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct PhotoSize {
    /// By which it is fetched.
    pub file_id: String,
    /// In pixels.
    #[serde(default, deserialize_with = "lenient::defaulted")]
    pub width: u32,
    /// In pixels.
    #[serde(default, deserialize_with = "lenient::defaulted")]
    pub height: u32,
    /// In bytes.
    #[serde(default, deserialize_with = "lenient::optional")]
    pub file_size: Option<u64>,
}

/// Whatever comes as a file.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct File {
    /// By which it is fetched.
    pub file_id: String,
    /// As its sender says.
    #[serde(default, deserialize_with = "lenient::optional")]
    pub file_name: Option<Private>,
    /// As its sender says.
    #[serde(default, deserialize_with = "lenient::optional")]
    pub mime_type: Option<String>,
    /// In bytes.
    #[serde(default, deserialize_with = "lenient::optional")]
    pub file_size: Option<u64>,
}

/// A sticker.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Sticker {
    /// By which it is fetched.
    pub file_id: String,
    /// What it stands for.
    #[serde(default, deserialize_with = "lenient::optional")]
    pub emoji: Option<String>,
    /// It moves.
    #[serde(default, deserialize_with = "lenient::defaulted")]
    pub is_animated: bool,
    /// It is a film.
    #[serde(default, deserialize_with = "lenient::defaulted")]
    pub is_video: bool,
    /// In bytes.
    #[serde(default, deserialize_with = "lenient::optional")]
    pub file_size: Option<u64>,
}

/// A place.
#[derive(Clone, Copy, PartialEq, Deserialize)]
pub struct Location {
    /// In degrees.
    pub latitude: f64,
    /// In degrees.
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
    /// Where it is.
    pub address: Private,
}

/// Somebody's number.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Contact {
    /// Their number.
    pub phone_number: Private,
    /// Their name.
    pub first_name: Private,
    /// Their name.
    pub last_name: Option<Private>,
}

/// A question to many.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Poll {
    /// The question.
    pub question: Private,
    /// What can be answered.
    #[serde(default, deserialize_with = "lenient::list")]
    pub options: Vec<PollOption>,
}

/// What can be answered.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct PollOption {
    /// The answer.
    pub text: Private,
}

/// A thrown die.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Dice {
    /// Which die.
    pub emoji: String,
    /// What it shows.
    pub value: u32,
}

/// What `getFile` says.
#[derive(Debug, Deserialize)]
pub struct FilePath {
    /// Below the address for files; the service keeps it for an hour.
    pub file_path: Option<String>,
    /// In bytes.
    #[serde(default, deserialize_with = "lenient::optional")]
    pub file_size: Option<u64>,
}

/// What `getWebhookInfo` says.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct WebhookInfo {
    /// Empty where none is set.
    #[serde(default, deserialize_with = "lenient::defaulted")]
    pub url: String,
    /// How many updates wait.
    #[serde(default, deserialize_with = "lenient::defaulted")]
    pub pending_update_count: u64,
    /// When an update could last not be delivered, in seconds since 1970.
    #[serde(default, deserialize_with = "lenient::optional")]
    pub last_error_date: Option<i64>,
    /// Why.
    #[serde(default, deserialize_with = "lenient::optional")]
    pub last_error_message: Option<String>,
}

/// What was sent.
#[derive(Debug, Default, Deserialize)]
pub struct Sent {
    /// Its id; 0 where it cannot be read. It was sent all the same.
    #[serde(default)]
    pub message_id: i64,
}

/// `getUpdates`.
#[derive(Debug, Serialize)]
pub struct GetUpdates<'a> {
    /// Confirms everything below. Without it: from the oldest that is not confirmed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub offset: Option<i64>,
    /// How many at most, 1 to 100.
    pub limit: u8,
    /// How long the service waits for something to come, in seconds.
    pub timeout: u64,
    /// Of which kinds.
    pub allowed_updates: &'a [&'a str],
}

/// `sendMessage`.
#[derive(Debug, Serialize)]
pub struct SendMessage<'a> {
    /// Where to.
    pub chat_id: i64,
    /// In which topic.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message_thread_id: Option<i64>,
    /// What.
    pub text: &'a str,
    /// `HTML`, or nothing for plain text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parse_mode: Option<&'static str>,
    /// What it answers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reply_parameters: Option<ReplyParameters>,
}

/// `editMessageText`.
#[derive(Debug, Serialize)]
pub struct EditMessageText<'a> {
    /// Where the message stands.
    pub chat_id: i64,
    /// Which.
    pub message_id: i64,
    /// What it says from now on.
    pub text: &'a str,
    /// `HTML`, or nothing for plain text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parse_mode: Option<&'static str>,
}

/// What a message answers.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct ReplyParameters {
    /// That message, in the same chat.
    pub message_id: i64,
    /// When that message is gone, it is sent all the same.
    pub allow_sending_without_reply: bool,
}

/// `sendChatAction`.
#[derive(Debug, Serialize)]
pub struct SendChatAction {
    /// Where.
    pub chat_id: i64,
    /// In which topic.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message_thread_id: Option<i64>,
    /// `typing`; shown for 5 s at most.
    pub action: &'static str,
}

/// `setWebhook`.
#[derive(Serialize)]
pub struct SetWebhook<'a> {
    /// Where updates are to be brought.
    pub url: &'a str,
    /// What is to be said with each.
    pub secret_token: &'a str,
    /// Of which kinds.
    pub allowed_updates: &'a [&'a str],
    /// Never: what waits there are people's messages.
    pub drop_pending_updates: bool,
}

/// `deleteWebhook`.
#[derive(Debug, Serialize)]
pub struct DeleteWebhook {
    /// Never: what waits there are people's messages.
    pub drop_pending_updates: bool,
}
