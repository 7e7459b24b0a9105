//! Pure. Translation of Telegram's messages into those of the gateway.

use super::address::{Address, message_id};
use crate::gateway::model::message::{Attachment, FORWARDED, InboundMessage, UserId};
use crate::platforms::telegram::wire::{Contact, Entity, Kind, Message, Origin, User};
use crate::sensitive::Private;

/// Most answers of a poll that are named; more are counted.
const OPTIONS_NAMED_MAX: usize = 10;

/// Most addresses behind a text that are shown; the service allows as many entities in a message.
const LINKS_MAX: usize = 100;

/// The longest such address, in bytes.
const LINK_LEN_MAX: usize = 2048;

/// The age beyond which a change is ignored, in seconds: texts are kept for a week, and it is not known whether it changes
/// any.
const EDITED_WITHIN_S: i64 = 7 * 24 * 3600;

/// A file to fetch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// The id by which it is fetched.
    pub file_id: String,
    /// Its size in bytes, as the service says.
    pub size: Option<u64>,
}

/// A translated message.
#[derive(Debug, Clone, PartialEq)]
pub struct Translated {
    /// The message; its attachments are not fetched yet.
    pub message: InboundMessage,
    /// The file to fetch for each attachment.
    pub wanted: Vec<Wanted>,
}

/// Translates one message. `None`: it holds no text of a person (a member joined, a title was changed), or a bot wrote it.
pub fn message(raw: &Message, kind: Kind, me: &User) -> Option<Translated> {
    if raw.from.as_ref().is_some_and(|from| from.is_bot) && raw.sender_chat.is_none() {
        return None;
    }
    let is_group = raw.chat.kind != "private";
    // A command for another bot is not for us, also where everything else is.
    if is_group && named_command(raw).is_some_and(|(_, name)| !is_our_name(name, me)) {
        return None;
    }
    let (attachments, wanted) = attachment(raw).unzip();
    let described = described(raw);
    let written = written(raw, me);
    let is_bare = attachments.is_none() && written.is_empty();
    // A live location moves, and each step is a change.
    let is_step = kind.is_edit() && raw.location.is_some() && raw.venue.is_none();
    if is_bare && (described.is_none() || is_step) {
        return None;
    }
    if kind.is_edit() && raw.edit_date.is_some_and(|date| date.saturating_sub(raw.date) > EDITED_WITHIN_S) {
        return None;
    }
    let parts: Vec<&str> = [described.as_deref(), Some(&written)]
        .into_iter()
        .flatten()
        .filter(|part| !part.is_empty())
        .collect();
    let (sender, sender_name) = sender(raw)?;
    let mut message = InboundMessage {
        id: message_id(me.id, raw, kind.is_edit().then_some(written.as_str())),
        chat: Address::of(raw).chat_id(),
        chat_alt: None,
        sender,
        sender_alt: None,
        sender_name,
        from_me: false,
        self_chat: false,
        is_group,
        addressed: !is_group || is_addressed(raw, me),
        reaction: false,
        forwarded: false,
        text: Private(parts.join("\n")),
        cut_from: None,
        attachments: attachments.into_iter().collect(),
        quoted: quoted(raw),
        sent_at_s: raw.edit_date.filter(|_| kind.is_edit()).unwrap_or(raw.date),
        album: raw.media_group_id.clone().filter(|_| !kind.is_edit()),
    };
    if let Some(source) = source(raw) {
        message.mark_forwarded(&source);
    }
    if kind.is_edit() {
        message.mark_edited();
    }
    Some(Translated { message, wanted: wanted.into_iter().collect() })
}

/// Returns the sender. A message in the name of a chat has that chat as its sender: the person behind it is not known.
fn sender(raw: &Message) -> Option<(UserId, Option<Private>)> {
    if let Some(chat) = &raw.sender_chat {
        return Some((UserId(chat.id.to_string()), chat.title.clone()));
    }
    match &raw.from {
        Some(from) => Some((UserId(from.id.to_string()), Some(name(from)))),
        None if raw.chat.kind == "channel" => Some((UserId(raw.chat.id.to_string()), raw.chat.title.clone())),
        None => None,
    }
}

fn name(user: &User) -> Private {
    full_name(&user.first_name, user.last_name.as_ref())
}

fn full_name(first: &Private, last: Option<&Private>) -> Private {
    Private(last.map_or_else(|| first.0.clone(), |last| format!("{} {}", first.0, last.0)))
}

/// Returns the text or the caption, with its entities.
fn said(raw: &Message) -> Option<(&str, &[Entity])> {
    match (&raw.text, &raw.caption) {
        (Some(text), _) => Some((&text.0, &raw.entities)),
        (None, Some(caption)) => Some((&caption.0, &raw.caption_entities)),
        (None, None) => None,
    }
}

/// Returns the written text. In `/new@our_bot` the name only addresses us in a group, and is not part of the command.
fn written(raw: &Message, me: &User) -> String {
    let text = linked(raw);
    let ours = named_command(raw).filter(|(_, name)| is_our_name(name, me)).and_then(|(command, name)| {
        Some((command, text.strip_prefix(command)?.strip_prefix('@')?.strip_prefix(name)?))
    });
    match ours {
        Some((command, rest)) => format!("{command}{rest}"),
        None => text,
    }
}

/// Returns the command at the beginning, as the sender wrote it: not in a forwarded message, nor in a quotation.
fn command(raw: &Message) -> Option<&str> {
    let (text, entities) = said(raw)?;
    let starts = |entity: &&Entity| entity.offset == 0;
    if source(raw).is_some() || entities.iter().filter(starts).any(is_quotation) {
        return None;
    }
    entities
        .iter()
        .filter(starts)
        .find(|entity| entity.kind == "bot_command")
        .and_then(|entity| slice(text, entity))
}

/// Returns a command that names a bot, and that name: `/new` and `our_bot` in `/new@our_bot now`.
fn named_command(raw: &Message) -> Option<(&str, &str)> {
    command(raw)?.split_once('@')
}

fn is_quotation(entity: &Entity) -> bool {
    matches!(entity.kind.as_str(), "blockquote" | "expandable_blockquote")
}

/// Returns the text or the caption. Behind a piece with a hidden address stands the address; the lines of a quotation begin
/// with `>`.
fn linked(raw: &Message) -> String {
    let Some((text, entities)) = said(raw) else { return String::new() };
    let links =
        entities.iter().filter(|entity| entity.kind == "text_link").take(LINKS_MAX).filter_map(|entity| {
            let url = entity.url.as_ref().map(|url| url.0.as_str())?;
            let is_told = slice(text, entity)? != url && url.len() <= LINK_LEN_MAX;
            is_told.then_some((byte_at(text, entity.offset + entity.length)?, format!(" ({url})")))
        });
    let quotations = entities.iter().filter(|entity| is_quotation(entity)).flat_map(|entity| {
        let start = byte_at(text, entity.offset).unwrap_or(text.len());
        let quoted = slice(text, entity).unwrap_or_default();
        let lines = quoted.trim_end_matches('\n').match_indices('\n').map(move |(at, _)| start + at + 1);
        let first = (!quoted.is_empty()).then_some(start);
        first.into_iter().chain(lines).map(|at| (at, "> ".to_owned()))
    });
    let mut added: Vec<(usize, String)> = links.chain(quotations).collect();
    added.sort();
    let mut whole = String::with_capacity(text.len());
    let mut told = 0;
    for (at, more) in added {
        whole.push_str(&text[told..at]);
        whole.push_str(&more);
        told = at;
    }
    whole.push_str(&text[told..]);
    whole
}

/// True when a group message is addressed to us: by a mention, by an answer to our message, or by a command that is not
/// another bot's.
fn is_addressed(raw: &Message, me: &User) -> bool {
    let answers_us = raw
        .reply_to_message
        .as_ref()
        // Everything in a topic seems to answer the message that opened it.
        .filter(|answered| answered.forum_topic_created.is_none())
        .and_then(|answered| answered.from.as_ref())
        .is_some_and(|author| author.id == me.id);
    let Some((text, entities)) = said(raw) else { return answers_us };
    answers_us
        || command(raw)
            .is_some_and(|command| command.split_once('@').is_none_or(|(_, name)| is_our_name(name, me)))
        || entities.iter().any(|entity| match entity.kind.as_str() {
            "mention" => slice(text, entity)
                .and_then(|mention| mention.strip_prefix('@'))
                .is_some_and(|name| is_our_name(name, me)),
            "text_mention" => entity.user.as_ref().is_some_and(|user| user.id == me.id),
            _ => false,
        })
}

fn is_our_name(name: &str, me: &User) -> bool {
    me.username.as_ref().is_some_and(|ours| ours.eq_ignore_ascii_case(name))
}

/// Returns the part of a text that an entity is about: Telegram counts in UTF-16.
fn slice<'a>(text: &'a str, entity: &Entity) -> Option<&'a str> {
    let start = byte_at(text, entity.offset)?;
    let end = byte_at(text, entity.offset.checked_add(entity.length)?)?;
    text.get(start..end)
}

fn byte_at(text: &str, units: usize) -> Option<usize> {
    let mut seen = 0;
    for (at, sign) in text.char_indices() {
        if seen >= units {
            return (seen == units).then_some(at);
        }
        seen += sign.len_utf16();
    }
    (seen == units).then_some(text.len())
}

/// Describes, in brackets, content that is neither text nor a file.
fn described(raw: &Message) -> Option<String> {
    if let Some(venue) = &raw.venue {
        let place = raw.location.map(|place| format!("{},{}, ", place.latitude, place.longitude));
        return Some(format!(
            "[location {}{}, {}]",
            place.unwrap_or_default(),
            venue.title.0,
            venue.address.0
        ));
    }
    if let Some(place) = raw.location {
        return Some(format!("[location {},{}]", place.latitude, place.longitude));
    }
    if let Some(Contact { phone_number, first_name, last_name }) = &raw.contact {
        return Some(format!(
            "[contact {}: {}]",
            full_name(first_name, last_name.as_ref()).0,
            phone_number.0
        ));
    }
    if let Some(poll) = &raw.poll {
        let mut text = format!("[poll {}", poll.question.0);
        for option in poll.options.iter().take(OPTIONS_NAMED_MAX) {
            text.push_str(" / ");
            text.push_str(&option.text.0);
        }
        if poll.options.len() > OPTIONS_NAMED_MAX {
            text.push_str(&format!(" / and {} more", poll.options.len() - OPTIONS_NAMED_MAX));
        }
        text.push(']');
        return Some(text);
    }
    if let Some(dice) = &raw.dice {
        return Some(format!("[{} shows {}]", dice.emoji, dice.value));
    }
    if let Some(emoji) = raw.sticker.as_ref().and_then(|sticker| sticker.emoji.as_ref()) {
        return Some(format!("[sticker {emoji}]"));
    }
    raw.unshown.map(|_| "[a message of an unsupported kind]".to_owned())
}

/// Returns the source of the text, when the sender did not write it.
fn source(raw: &Message) -> Option<String> {
    if let Some(origin) = &raw.forward_origin {
        return Some(forwarded(origin));
    }
    if raw.forward_date.is_some() || raw.is_automatic_forward.is_some() || raw.sender_business_bot.is_some() {
        return Some(FORWARDED.to_owned());
    }
    let bot = raw.via_bot.as_ref()?.username.as_ref();
    Some(bot.map_or_else(|| "via a bot".to_owned(), |bot| format!("via @{bot}")))
}

fn forwarded(origin: &Origin) -> String {
    let from = origin
        .sender_user
        .as_ref()
        .map(name)
        .or_else(|| origin.sender_user_name.clone())
        .or_else(|| origin.sender_chat.as_ref().or(origin.chat.as_ref())?.title.clone());
    from.map_or_else(|| FORWARDED.to_owned(), |from| format!("{FORWARDED} from {}", from.0))
}

/// Returns the answered text: the selected part, or all of it. Its file is not fetched once more.
fn quoted(raw: &Message) -> Option<Private> {
    let answered = raw.reply_to_message.as_ref().filter(|answered| answered.forum_topic_created.is_none());
    let whole = |answered: &Message| {
        let file = || attachment(answered).map(|(attachment, _)| format!("[{}]", attachment.label()));
        let parts = [described(answered).or_else(file).unwrap_or_default(), linked(answered)];
        Private(parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join("\n"))
    };
    let quote = raw.quote.as_ref().map(|quote| quote.text.clone());
    quote.or_else(|| answered.map(|answered| whole(answered))).filter(|text| !text.0.is_empty())
}

/// Returns the file of a message, which has one at most.
fn attachment(raw: &Message) -> Option<(Attachment, Wanted)> {
    // The largest size comes last by custom, not by promise.
    if let Some(photo) = raw.photo.iter().max_by_key(|size| u64::from(size.width) * u64::from(size.height)) {
        return Some((
            plain("image", Some("image/jpeg".to_owned()), None),
            Wanted { file_id: photo.file_id.clone(), size: photo.file_size },
        ));
    }
    if let Some(sticker) = &raw.sticker {
        let mime = match (sticker.is_animated, sticker.is_video) {
            (true, _) => "application/x-tgsticker",
            (false, true) => "video/webm",
            (false, false) => "image/webp",
        };
        return Some((
            plain("sticker", Some(mime.to_owned()), None),
            Wanted { file_id: sticker.file_id.clone(), size: sticker.file_size },
        ));
    }
    let (kind, file) = [
        ("voice", &raw.voice),
        ("audio", &raw.audio),
        ("video", &raw.video),
        ("video", &raw.video_note),
        // A document stands beside an animation for programs that do not know animations.
        ("video", &raw.animation),
        ("document", &raw.document),
    ]
    .into_iter()
    .find_map(|(kind, file)| file.as_ref().map(|file| (kind, file)))?;
    Some((
        plain(kind, file.mime_type.clone(), file.file_name.clone()),
        Wanted { file_id: file.file_id.clone(), size: file.file_size },
    ))
}

fn plain(kind: &str, mime: Option<String>, file_name: Option<Private>) -> Attachment {
    Attachment { kind: kind.to_owned(), path: None, mime, file_name, error: None }
}

#[cfg(test)]
#[path = "translate_tests.rs"]
mod tests;
