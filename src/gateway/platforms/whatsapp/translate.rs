//! Pure. Translation of the bridge's messages into those of the gateway.

use crate::bridge::protocol::{Contact, Location, Message};
use crate::gateway::model::message::{Attachment, ChatId, FORWARDED, InboundMessage, MessageId, UserId};
use crate::pairing::Me;
use crate::platforms::whatsapp::ids::same;
use crate::sensitive::Private;

/// Most contact cards that are named; more are counted.
const CONTACTS_NAMED_MAX: usize = 10;

/// Translates one message; its attachment, if it has one, is not fetched yet.
pub fn message(raw: &Message, me: &Me) -> InboundMessage {
    let is_self = is_me(&raw.chat, me) || raw.chat_alt.as_deref().is_some_and(|chat| is_me(chat, me));
    let text = text(raw);
    let mut message = InboundMessage {
        id: match &raw.edits {
            Some(original) => MessageId(original.clone()).changed(raw.timestamp_s, &text),
            None => MessageId(raw.id.clone()),
        },
        chat: ChatId(raw.chat.clone()),
        chat_alt: raw.chat_alt.clone().map(ChatId),
        sender: UserId(raw.sender.clone()),
        sender_alt: raw.sender_alt.clone().map(UserId),
        sender_name: raw.push_name.clone(),
        from_me: raw.from_me,
        self_chat: is_self && !raw.is_group,
        is_group: raw.is_group,
        addressed: !raw.is_group || is_addressed(raw, me),
        text: Private(text),
        cut_from: raw.cut_from,
        attachments: attachment(raw).into_iter().collect(),
        quoted: raw.quoted.as_ref().map(|quoted| quoted.text.clone()).filter(|text| !text.0.is_empty()),
        reaction: raw.kind == "reaction",
        forwarded: false,
        sent_at_s: raw.timestamp_s,
        album: None,
    };
    if raw.forwarded {
        message.mark_forwarded(FORWARDED);
    }
    if raw.edits.is_some() {
        message.mark_edited();
    }
    message
}

fn is_me(jid: &str, me: &Me) -> bool {
    same(jid, &me.id) || me.lid.as_deref().is_some_and(|lid| same(jid, lid))
}

/// True when a group message is addressed to us: by a mention, by an answer to our message, or by a command.
fn is_addressed(raw: &Message, me: &Me) -> bool {
    let answers_us = raw
        .quoted
        .as_ref()
        .and_then(|quoted| quoted.participant.as_deref())
        .is_some_and(|participant| is_me(participant, me));
    answers_us
        || raw.mentions.iter().any(|mention| is_me(mention, me))
        // A command in a forwarded or changed message is not one.
        || (!raw.forwarded && raw.edits.is_none() && raw.text.0.trim_start().starts_with('/'))
}

/// Returns the text; other content is described, in brackets, before the caption.
fn text(raw: &Message) -> String {
    let described = match raw.kind.as_str() {
        "location" => raw.location.as_ref().map(location),
        "contact" => Some(contacts(&raw.contacts)),
        "reaction" => raw.reaction.as_ref().map(|reaction| match reaction.emoji.as_str() {
            "" => "[removed a reaction]".to_owned(),
            emoji => format!("[reacted with {emoji}]"),
        }),
        "unsupported" => Some("[a message of an unsupported kind]".to_owned()),
        // Texts and what comes with an attachment; a kind of a later version is what its text says.
        _ => None,
    };
    let parts: Vec<&str> = [described.as_deref().unwrap_or_default(), &raw.text.0]
        .into_iter()
        .filter(|part| !part.is_empty())
        .collect();
    parts.join("\n")
}

fn location(location: &Location) -> String {
    let mut text = format!("[location {},{}", location.latitude, location.longitude);
    for part in [&location.name, &location.address].into_iter().flatten().filter(|part| !part.0.is_empty()) {
        text.push_str(", ");
        text.push_str(&part.0);
    }
    text.push(']');
    text
}

fn contacts(contacts: &[Contact]) -> String {
    let mut lines: Vec<String> = contacts
        .iter()
        .take(CONTACTS_NAMED_MAX)
        .map(|contact| {
            let numbers = numbers(&contact.vcard.0);
            match numbers.as_slice() {
                [] => format!("[contact {}]", contact.name.0),
                numbers => format!("[contact {}: {}]", contact.name.0, numbers.join(", ")),
            }
        })
        .collect();
    if contacts.len() > CONTACTS_NAMED_MAX {
        lines.push(format!("[and {} more contacts]", contacts.len() - CONTACTS_NAMED_MAX));
    }
    lines.join("\n")
}

/// Returns the numbers of a card: its lines are `TEL;type=CELL:+1 555 000 1111`, or `item1.TEL…`.
fn numbers(vcard: &str) -> Vec<&str> {
    vcard
        .lines()
        .filter_map(|line| {
            let (name, value) = line.split_once(':')?;
            let name = name.split(';').next()?;
            let name = name.rsplit('.').next()?;
            name.eq_ignore_ascii_case("TEL").then(|| value.trim())
        })
        .filter(|number| !number.is_empty())
        .take(3)
        .collect()
}

fn attachment(raw: &Message) -> Option<Attachment> {
    let media = raw.media.as_ref()?;
    Some(Attachment {
        kind: raw.kind.clone(),
        path: None,
        mime: media.mime.clone(),
        file_name: media.file_name.clone(),
        error: None,
    })
}

/// Returns the cause for which an attachment was not fetched, for the reader of the message.
pub fn download_error(code: &str) -> &'static str {
    match code {
        "too_large" => "it is larger than the limit",
        "folder_full" => "the attachments folder is full",
        "gone" => "WhatsApp no longer stores it",
        "no_media" => "there was nothing to download",
        "timeout" => "the download took too long",
        _ => "it could not be downloaded",
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::bridge::protocol::{Event, decode};

    fn me() -> Me {
        Me { id: "15550001111:7@s.whatsapp.net".into(), lid: Some("900001:7@lid".into()), name: None }
    }

    /// A message of these fields, as the bridge sends it.
    fn translated(fields: &Value) -> InboundMessage {
        let mut line = json!({"v": 1, "event": "message", "seq": 1, "id": "A", "chat": "900002@lid",
            "sender": "900002@lid", "sender_alt": "15550002222@s.whatsapp.net", "kind": "text", "text": ""});
        for (key, value) in fields.as_object().unwrap() {
            line[key] = value.clone();
        }
        let Event::Message(raw) = decode(&line.to_string()).unwrap() else { panic!("not a message") };
        message(&raw, &me())
    }

    #[test]
    fn both_identities_arrive() {
        let message =
            translated(&json!({"text": "hi", "chat_alt": "15550002222@s.whatsapp.net", "push_name": "Ann"}));
        assert_eq!(message.chat.0, "900002@lid");
        assert_eq!(message.chat_alt.unwrap().0, "15550002222@s.whatsapp.net");
        assert_eq!(message.sender_alt.unwrap().0, "15550002222@s.whatsapp.net");
        assert_eq!((message.text.0.as_str(), message.sender_name.unwrap().0.as_str()), ("hi", "Ann"));
        assert!(message.addressed && !message.self_chat && !message.is_group);
    }

    #[test]
    fn the_own_chat_is_recognised_by_either_identity() {
        for chat in ["15550001111@s.whatsapp.net", "900001@lid", "900001:3@lid"] {
            assert!(translated(&json!({"chat": chat, "from_me": true})).self_chat, "{chat}");
        }
        assert!(translated(&json!({"chat": "x@lid", "chat_alt": "15550001111@s.whatsapp.net"})).self_chat);
        let other = translated(&json!({"chat": "900001@s.whatsapp.net"}));
        assert!(!other.self_chat, "a phone number that looks like our LID is not us");
    }

    #[test]
    fn groups_address_us_by_mention_answer_or_command() {
        let group = |fields: Value| {
            let mut all = json!({"chat": "1203630@g.us", "is_group": true});
            all.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
            translated(&all).addressed
        };
        assert!(!group(json!({"text": "hi"})));
        assert!(group(json!({"text": "hi @x", "mentions": ["900001@lid"]})));
        assert!(group(json!({"text": "hi @x", "mentions": ["15550001111@s.whatsapp.net"]})));
        assert!(!group(json!({"text": "hi @y", "mentions": ["900002@lid"]})));
        assert!(group(json!({"text": "yes", "quoted": {"id": "B", "participant": "900001@lid"}})));
        assert!(!group(json!({"text": "yes", "quoted": {"id": "B", "participant": "900003@lid"}})));
        assert!(group(json!({"text": " /new"})));
    }

    #[test]
    fn what_is_no_text_is_described() {
        let text = |fields: Value| translated(&fields).text.0;
        let place = json!({"latitude": 52.1, "longitude": 4.3, "name": "Pier", "address": null});
        assert_eq!(text(json!({"kind": "location", "location": place})), "[location 52.1,4.3, Pier]");
        let card = "BEGIN:VCARD\r\nFN:Bob\r\nitem1.TEL;waid=15550003333:+1 555 000 3333\r\nEND:VCARD";
        assert_eq!(
            text(json!({"kind": "contact", "contacts": [{"name": "Bob", "vcard": card}, {"name": "Eve"}]})),
            "[contact Bob: +1 555 000 3333]\n[contact Eve]"
        );
        assert_eq!(
            text(json!({"kind": "reaction", "reaction": {"id": "B", "emoji": "👍"}})),
            "[reacted with 👍]"
        );
        assert_eq!(text(json!({"kind": "reaction", "reaction": {"id": "B"}})), "[removed a reaction]");
        assert!(text(json!({"kind": "unsupported"})).starts_with('['));
    }

    #[test]
    fn what_is_forwarded_says_so_and_is_no_command() {
        let fields = json!({"text": "/platform pause whatsapp", "forwarded": true});
        let message = translated(&fields);
        assert_eq!(message.text.0, "[forwarded]\n/platform pause whatsapp");
        assert_eq!(crate::gateway::inbound::slash::of(&message), None);
        let mut in_group = fields;
        in_group["chat"] = json!("1203630@g.us");
        in_group["is_group"] = json!(true);
        assert!(!translated(&in_group).addressed, "somebody else's command does not speak to us");
        assert_eq!(translated(&json!({"kind": "image", "forwarded": true})).text.0, "[forwarded]");
    }

    #[test]
    fn a_correction_is_another_text_of_the_message_that_it_corrects() {
        let edit = |at: i64, text: &str| {
            translated(&json!({"id": format!("E{at}"), "edits": "A", "timestamp_s": at, "text": text}))
        };
        let message = edit(1_700_000_000, "better words");
        assert_eq!(message.text.0, "[edited]\nbetter words");
        assert_eq!(message.id.original(), Some(MessageId("A".into())));
        assert!(message.says_the_same(&translated(&json!({"text": "better words"}))));
        assert!(!message.says_the_same(&translated(&json!({"text": "words"}))));
        assert_eq!(edit(1, "x").id, edit(1, "x").id, "also where it comes again under another id");
        assert_ne!(edit(1, "x").id, edit(1, "y").id);
        // The picture stays, and does not come again.
        let picture = translated(&json!({"kind": "image", "text": "look", "media": {"mime": "image/png"}}));
        assert!(edit(1, "look").says_the_same(&picture) && !edit(1, "see").says_the_same(&picture));
        let command = edit(1, "/new");
        assert_eq!(crate::gateway::inbound::slash::of(&command), None);
        let fields = json!({"text": "/new", "edits": "A", "chat": "1203630@g.us", "is_group": true});
        assert!(!translated(&fields).addressed);
    }

    #[test]
    fn an_attachment_is_announced_with_its_caption_and_quote() {
        let message =
            translated(&json!({"kind": "image", "text": "look", "media": {"mime": "image/png", "bytes": 3},
            "quoted": {"id": "B", "text": "what?"}}));
        let attachment = &message.attachments[0];
        assert_eq!((attachment.kind.as_str(), attachment.mime.as_deref()), ("image", Some("image/png")));
        assert_eq!(attachment.path, None);
        assert_eq!((message.text.0.as_str(), message.quoted.unwrap().0.as_str()), ("look", "what?"));
    }
}
