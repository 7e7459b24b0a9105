//! Pure. The messages that a text becomes.

use std::borrow::Cow;

use super::dialect::{self, Dialect};
use super::layout::lay_out;
use super::reader::read;
use super::rich::{Rich, is_visible};
use super::split::Parts;
use super::telegram;
use crate::gateway::model::handle::handle;
use crate::gateway::model::message::{ChatKey, MessageId, OutboundMessage};
use crate::platforms::{Platform, PlatformSpec, Repeat};
use crate::sensitive::Private;
use crate::visible;

/// The beginning of such a repeat. Parts leave room for it.
pub const AGAIN: &str = "(maybe a repeat)
";

/// The messages that a text in Markdown becomes in this chat: what is said about the message of this id, and what for.
pub fn messages(key: &ChatKey, about: &MessageId, purpose: &str, markdown: &str) -> Vec<OutboundMessage> {
    let parts = parts(key.platform, markdown).into_iter().enumerate();
    parts
        .map(|(part, text)| OutboundMessage {
            chat: key.chat.clone(),
            handle: handle(key, about, purpose, part),
            text: Private(text),
            is_markup: true,
            reply_to: None,
            fleeting: false,
            replaces: None,
        })
        .collect()
}

/// The text of a message in the platform's markup. `None`: nothing of it can be seen then, or it would not fit.
pub fn markup(platform: Platform, message: &OutboundMessage) -> Option<Cow<'_, str>> {
    let text = &message.text.0;
    if message.is_markup {
        return Some(Cow::Borrowed(text));
    }
    let spec = platform.spec();
    let rich = shown(dialect::of(platform), text);
    let mut parts = Parts::new(dialect::of(platform), &rich, spec.text_len_max, spec.text_unit);
    parts.next().filter(|_| parts.next().is_none()).map(Cow::Owned)
}

/// The text of a message for people who do not see it on its platform: Markdown, where the platform's markup is not to be
/// read.
pub fn readable(platform: Platform, message: &OutboundMessage) -> Cow<'_, str> {
    match platform {
        Platform::Telegram if message.is_markup => Cow::Owned(telegram::plain(&message.text.0)),
        Platform::Telegram | Platform::Whatsapp | Platform::Scripted(_) => Cow::Borrowed(&message.text.0),
    }
}

/// The parts of a text in Markdown as this platform takes them, each with room for saying that it is a repeat where people
/// may see it twice.
pub fn parts(platform: Platform, markdown: &str) -> Vec<String> {
    let spec = platform.spec();
    let reserved = match spec.repeat {
        Repeat::Same => 0,
        Repeat::Marked => spec.text_unit.len(AGAIN),
    };
    split(dialect::of(platform), spec, spec.text_len_max - reserved, markdown, usize::MAX)
}

/// As much of a text as fits into one message, with room for this end. `None`: nothing of it can be seen.
pub fn beginning(platform: Platform, markdown: &str, end: &str) -> Option<String> {
    let spec = platform.spec();
    let room = spec.text_len_max - spec.text_unit.len(end);
    split(dialect::of(platform), spec, room, markdown, 1).pop()
}

fn split(
    dialect: &dyn Dialect,
    spec: &PlatformSpec,
    len_max: usize,
    markdown: &str,
    count: usize,
) -> Vec<String> {
    if visible::is_blank(markdown) {
        return Vec::new();
    }
    let rich = shown(dialect, markdown);
    let parts: Vec<_> = Parts::new(dialect, &rich, len_max, spec.text_unit).take(count).collect();
    if !parts.is_empty() || !is_visible(markdown) {
        return parts;
    }
    // Of some markup nothing is left to be shown: people rather read it as it is.
    Parts::new(dialect, &Rich::plain(markdown.trim()), len_max, spec.text_unit).take(count).collect()
}

/// What people see of it.
pub(super) fn shown(dialect: &dyn Dialect, markdown: &str) -> Rich {
    if dialect.form().is_verbatim || is_plain(markdown) {
        return Rich::plain(markdown);
    }
    let source = if markdown.contains('\r') {
        Cow::Owned(markdown.replace("\r\n", "\n").replace('\r', "\n"))
    } else {
        Cow::Borrowed(markdown)
    };
    lay_out(&read(&source), dialect.form())
}

/// True when it surely is as it would be laid out: most short answers need no reading.
pub(super) fn is_plain(text: &str) -> bool {
    let mut is_space = true;
    let mut breaks = 2;
    for byte in text.bytes() {
        match byte {
            b'*' | b'_' | b'~' | b'`' | b'[' | b']' | b'<' | b'>' | b'&' | b'\\' | b'#' | b'|' | b'\t'
            | b'\r' | b'\0' => return false,
            b'\n' => {
                if is_space && breaks == 0 || breaks > 1 {
                    return false;
                }
                breaks += 1;
                is_space = true;
            }
            b' ' if breaks > 0 => return false,
            b'-' | b'+' | b'=' | b':' | b'0'..=b'9' if breaks > 0 => return false,
            _ => {
                is_space = byte == b' ';
                breaks = 0;
            }
        }
    }
    breaks == 0 && !is_space
}
