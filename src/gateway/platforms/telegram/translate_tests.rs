use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::*;
use crate::gateway::model::message::{ChatId, MessageId};
use crate::platforms::telegram::wire;

fn me() -> User {
    serde_json::from_value(
        json!({ "id": 7, "is_bot": true, "first_name": "Hermes", "username": "Hermes_bot" }),
    )
    .unwrap()
}

/// Reads an update as it comes over the wire.
fn received(update: &Value) -> wire::RawUpdate {
    wire::RawUpdate::of(&update.to_string()).unwrap()
}

/// Makes an update with these fields in its message, over those that every message has.
fn update(kind: Kind, fields: Value) -> Value {
    let mut message = json!({
        "message_id": 17, "date": 1_700_000_000,
        "from": { "id": 42, "is_bot": false, "first_name": "Ada", "last_name": "L" },
        "chat": { "id": 42, "type": "private", "first_name": "Ada" },
    });
    for (name, value) in fields.as_object().unwrap() {
        message[name] = value.clone();
    }
    json!({ "update_id": 1, kind.name(): message })
}

fn translated(kind: Kind, fields: Value) -> Option<Translated> {
    let (found, raw) = wire::message(&received(&update(kind, fields))).unwrap().unwrap();
    assert_eq!(found, kind);
    message(&raw, kind, &me())
}

fn text_of(fields: Value) -> String {
    translated(Kind::Message, fields).unwrap().message.text.0
}

fn group(fields: Value) -> InboundMessage {
    let mut all = json!({ "chat": { "id": -100, "type": "supergroup", "title": "G" } });
    for (name, value) in fields.as_object().unwrap() {
        all[name] = value.clone();
    }
    translated(Kind::Message, all).unwrap().message
}

#[test]
fn a_text_of_a_person_is_theirs() {
    let Translated { message, wanted } = translated(Kind::Message, json!({ "text": "hi" })).unwrap();
    assert_eq!(
        message,
        InboundMessage {
            id: MessageId("17@7".into()),
            chat: ChatId("42".into()),
            chat_alt: None,
            sender: UserId("42".into()),
            sender_alt: None,
            sender_name: Some(Private("Ada L".into())),
            from_me: false,
            self_chat: false,
            is_group: false,
            addressed: true,
            reaction: false,
            forwarded: false,
            text: Private("hi".into()),
            cut_from: None,
            attachments: vec![],
            quoted: None,
            sent_at_s: 1_700_000_000,
            album: None,
        }
    );
    assert_eq!(wanted, []);
}

#[test]
fn what_is_no_text_is_described() {
    for (fields, expected) in [
        (json!({ "location": { "latitude": 52.1, "longitude": 4.3 } }), "[location 52.1,4.3]"),
        (
            json!({ "location": { "latitude": 1.0, "longitude": 2.5 },
                    "venue": { "location": { "latitude": 1.0, "longitude": 2.5 }, "title": "Café", "address": "Way 1" } }),
            "[location 1,2.5, Café, Way 1]",
        ),
        (
            json!({ "contact": { "phone_number": "+15550001111", "first_name": "Bob", "last_name": "B" } }),
            "[contact Bob B: +15550001111]",
        ),
        (
            json!({ "poll": { "question": "Tea?", "options": [{ "text": "yes" }, { "text": "no" }] } }),
            "[poll Tea? / yes / no]",
        ),
        (json!({ "dice": { "emoji": "🎲", "value": 4 } }), "[🎲 shows 4]"),
        (json!({ "sticker": { "file_id": "s", "emoji": "👍" } }), "[sticker 👍]"),
        (
            json!({ "text": "news", "forward_origin": { "type": "channel", "chat": { "id": -1, "type": "channel", "title": "C" } } }),
            "[forwarded from C]\nnews",
        ),
        (
            json!({ "text": "x", "forward_origin": { "type": "hidden_user", "sender_user_name": "Eve" } }),
            "[forwarded from Eve]\nx",
        ),
        (json!({ "text": "x", "forward_origin": { "type": "of_a_later_version" } }), "[forwarded]\nx"),
    ] {
        assert_eq!(text_of(fields.clone()), expected, "{fields}");
    }
}

#[test]
fn every_kind_of_file_is_one_attachment_with_its_caption() {
    let file = json!({ "file_id": "f", "file_name": "a.bin", "mime_type": "x/y", "file_size": 9 });
    for (field, value, kind, mime) in [
        ("document", file.clone(), "document", Some("x/y")),
        ("audio", file.clone(), "audio", Some("x/y")),
        (
            "voice",
            json!({ "file_id": "f", "file_size": 9, "mime_type": "audio/ogg" }),
            "voice",
            Some("audio/ogg"),
        ),
        ("video", file.clone(), "video", Some("x/y")),
        ("video_note", json!({ "file_id": "f", "file_size": 9 }), "video", None),
        ("sticker", json!({ "file_id": "f", "file_size": 9 }), "sticker", Some("image/webp")),
        (
            "sticker",
            json!({ "file_id": "f", "file_size": 9, "is_video": true }),
            "sticker",
            Some("video/webm"),
        ),
        (
            "photo",
            json!([{ "file_id": "f", "width": 90, "height": 90, "file_size": 9 }, { "file_id": "s", "width": 9, "height": 9 }]),
            "image",
            Some("image/jpeg"),
        ),
    ] {
        let Translated { message, wanted } =
            translated(Kind::Message, json!({ field: value, "caption": "see" })).unwrap();
        assert_eq!(message.text.0, "see", "{field}");
        let [attachment] = message.attachments.as_slice() else { panic!("{field}: {message:?}") };
        assert_eq!((attachment.kind.as_str(), attachment.mime.as_deref()), (kind, mime), "{field}");
        assert_eq!(wanted, [Wanted { file_id: "f".into(), size: Some(9) }], "{field}");
    }
    // An animation stands there twice.
    let both = json!({ "animation": file, "document": file });
    let Translated { message, wanted } = translated(Kind::Message, both).unwrap();
    assert_eq!((message.attachments[0].kind.as_str(), wanted.len()), ("video", 1));
}

#[test]
fn what_nobody_said_is_no_message() {
    for fields in [
        json!({ "new_chat_members": [{ "id": 1, "is_bot": false, "first_name": "X" }] }),
        json!({ "pinned_message": { "message_id": 1, "date": 0, "chat": { "id": 42, "type": "private" } } }),
        json!({ "text": "" }),
        json!({ "from": { "id": 8, "is_bot": true, "first_name": "Other" }, "text": "I am a bot" }),
    ] {
        assert_eq!(translated(Kind::Message, fields.clone()), None, "{fields}");
    }
}

#[test]
fn in_a_group_it_must_speak_to_us() {
    let entity = |kind: &str, offset: usize, length: usize| json!([{ "type": kind, "offset": offset, "length": length }]);
    for (fields, addressed, text) in [
        (json!({ "text": "hi all" }), false, "hi all"),
        (json!({ "text": "hi @hermes_BOT", "entities": entity("mention", 3, 11) }), true, "hi @hermes_BOT"),
        (
            json!({ "text": "hi @hermes_bot2", "entities": entity("mention", 3, 12) }),
            false,
            "hi @hermes_bot2",
        ),
        // Counted in UTF-16: the face is two.
        (json!({ "text": "😀 @hermes_bot", "entities": entity("mention", 3, 11) }), true, "😀 @hermes_bot"),
        (
            json!({ "text": "you", "entities": [{ "type": "text_mention", "offset": 0, "length": 3,
            "user": { "id": 7, "is_bot": true, "first_name": "H" } }] }),
            true,
            "you",
        ),
        (
            json!({ "text": "you", "entities": [{ "type": "text_mention", "offset": 0, "length": 3,
            "user": { "id": 8, "is_bot": true, "first_name": "H" } }] }),
            false,
            "you",
        ),
        (json!({ "text": "/new", "entities": entity("bot_command", 0, 4) }), true, "/new"),
        (
            json!({ "text": "/new@Hermes_bot now", "entities": entity("bot_command", 0, 15) }),
            true,
            "/new now",
        ),
        (json!({ "text": "see /new", "entities": entity("bot_command", 4, 4) }), false, "see /new"),
        (
            json!({ "photo": [{ "file_id": "f", "width": 1, "height": 1 }], "caption": "@hermes_bot look",
            "caption_entities": entity("mention", 0, 11) }),
            true,
            "@hermes_bot look",
        ),
        // Entities outside the text are ignored.
        (json!({ "text": "ab", "entities": entity("mention", 1, 90) }), false, "ab"),
        (json!({ "text": "ab", "entities": entity("mention", usize::MAX, 2) }), false, "ab"),
        (json!({ "text": "😀", "entities": entity("bot_command", 0, 1) }), false, "😀"),
    ] {
        let message = group(fields.clone());
        assert_eq!((message.addressed, message.text.0.as_str()), (addressed, text), "{fields}");
        assert!(message.is_group);
    }
}

#[test]
fn an_answer_to_us_speaks_to_us_and_a_topic_s_first_message_is_no_answer() {
    let of = |author: i64, more: Value| {
        let mut answered = json!({ "message_id": 3, "date": 1, "chat": { "id": -100, "type": "supergroup" },
            "from": { "id": author, "is_bot": true, "first_name": "B" }, "text": "before" });
        for (name, value) in more.as_object().unwrap() {
            answered[name] = value.clone();
        }
        group(
            json!({ "text": "and?", "message_thread_id": 3, "is_topic_message": true, "reply_to_message": answered }),
        )
    };
    let ours = of(7, json!({}));
    assert!(ours.addressed);
    assert_eq!(ours.quoted, Some(Private("before".into())));
    assert_eq!(ours.chat, ChatId("-100:3".into()));
    assert!(!of(8, json!({})).addressed);
    let topic = of(7, json!({ "forum_topic_created": { "name": "T", "icon_color": 1 }, "text": null }));
    assert_eq!((topic.addressed, topic.quoted), (false, None));
    // The part that was quoted says more than the whole.
    let quote = translated(
        Kind::Message,
        json!({ "text": "this?", "quote": { "text": "part", "position": 0 },
        "reply_to_message": { "message_id": 3, "date": 1, "chat": { "id": 42, "type": "private" }, "text": "the part of it" } }),
    );
    assert_eq!(quote.unwrap().message.quoted, Some(Private("part".into())));
}

#[test]
fn a_thread_of_answers_is_no_place_of_its_own() {
    assert_eq!(group(json!({ "text": "x", "message_thread_id": 5 })).chat, ChatId("-100".into()));
}

#[test]
fn the_parts_of_an_album_name_it_and_a_changed_one_stands_alone() {
    let of = |kind| translated(kind, json!({ "caption": "x", "media_group_id": "9" })).unwrap().message.album;
    assert_eq!(of(Kind::Message).as_deref(), Some("9"));
    assert_eq!(of(Kind::EditedMessage), None);
}

#[test]
fn a_changed_message_is_one_more_and_says_so() {
    let edited = |text: &str| {
        let fields = json!({ "text": text, "edit_date": 1_700_000_100 });
        translated(Kind::EditedMessage, fields).unwrap().message
    };
    let edit = edited("hello");
    assert_eq!(edit.id, MessageId("17@7.e1700000100.2cf24d".into()));
    assert_eq!((edit.text.0.as_str(), edit.sent_at_s), ("[edited]\nhello", 1_700_000_100));
    assert_eq!(super::super::address::number(7, &edit.id), Some(17));
    assert_eq!(edit.id.original(), Some(MessageId("17@7".into())));
    assert_ne!(edited("Hello").id, edit.id, "twice within a second");
    let late = json!({ "text": "x", "edit_date": 1_700_000_000 + EDITED_WITHIN_S + 1 });
    assert_eq!(
        translated(Kind::EditedMessage, late),
        None,
        "whether it changes anything is not known any more"
    );
}

#[test]
fn whoever_shares_where_they_are_says_it_once() {
    let here = json!({ "latitude": 52.1, "longitude": 4.3, "live_period": 900 });
    let live = json!({ "location": here, "edit_date": 1_700_000_100 });
    assert_eq!(text_of(live.clone()), "[location 52.1,4.3]");
    assert_eq!(translated(Kind::EditedMessage, live), None);
    let venue = json!({ "location": here, "venue": { "title": "Café", "address": "Way 1" } });
    assert!(translated(Kind::EditedMessage, venue).is_some());
}

#[test]
fn a_command_for_another_bot_is_nothing_to_us_unless_we_are_alone_with_whoever_wrote_it() {
    let command = |text: &str, length: usize| json!({ "text": text, "entities": [{ "type": "bot_command", "offset": 0, "length": length }] });
    let in_group = |text: &str, length: usize| {
        let mut fields = command(text, length);
        fields["chat"] = json!({ "id": -100, "type": "supergroup" });
        translated(Kind::Message, fields).map(|translated| translated.message.text.0)
    };
    assert_eq!(in_group("/new@other_bot", 14), None);
    assert_eq!(in_group("/new@other_bot and @hermes_bot", 14), None);
    assert_eq!(in_group("/hermes_bot@hermes_bot x", 22).as_deref(), Some("/hermes_bot x"));
    assert_eq!(text_of(command("/new@other_bot", 14)), "/new@other_bot");
}

#[test]
fn a_command_in_words_of_others_is_text() {
    let entities = |kind: &str| json!([{ "type": kind, "offset": 0, "length": 9 }, { "type": "bot_command", "offset": 0, "length": 9 }]);
    let forward = json!({ "type": "user", "sender_user": { "id": 3, "first_name": "Eve\n/stop" } });
    for (fields, expected) in [
        (json!({ "forward_origin": forward }), "[forwarded from Eve/stop]\n/platform pause telegram"),
        (json!({ "forward_origin": 3 }), "[forwarded]\n/platform pause telegram"),
        (json!({ "forward_date": 1 }), "[forwarded]\n/platform pause telegram"),
        (json!({ "is_automatic_forward": true }), "[forwarded]\n/platform pause telegram"),
        (json!({ "sender_business_bot": { "id": 5 } }), "[forwarded]\n/platform pause telegram"),
        (json!({ "via_bot": { "id": 9, "username": "gif" } }), "[via @gif]\n/platform pause telegram"),
        (json!({ "via_bot": 3 }), "[via a bot]\n/platform pause telegram"),
        (json!({ "entities": entities("blockquote") }), "> /platform pause telegram"),
        (json!({ "entities": entities("expandable_blockquote") }), "> /platform pause telegram"),
    ] {
        for (chat, addressed) in [(42, true), (-100, false)] {
            let mut fields = fields.clone();
            fields["chat"] = json!({ "id": chat, "type": if chat > 0 { "private" } else { "supergroup" } });
            fields["text"] = json!("/platform pause telegram");
            if fields.get("entities").is_none() {
                fields["entities"] = entities("bold");
            }
            let message = translated(Kind::Message, fields.clone()).unwrap().message;
            assert_eq!((message.text.0.as_str(), message.addressed), (expected, addressed), "{fields}");
            assert_eq!(message.forwarded, !expected.starts_with('>'), "{fields}");
            assert_eq!(crate::gateway::inbound::slash::of(&message), None, "{fields}");
        }
    }
    // A command for another bot is text as well where another person wrote it.
    let text =
        group(json!({ "text": "/new@other_bot", "forward_date": 1, "entities": entities("bold") })).text.0;
    assert_eq!(text, "[forwarded]\n/new@other_bot");
}

#[test]
fn every_line_of_a_quotation_is_marked_also_beside_links() {
    let quotation =
        |offset: usize, length: usize| json!({ "type": "blockquote", "offset": offset, "length": length });
    let link = json!({ "type": "text_link", "offset": 4, "length": 3, "url": "u:" });
    for (text, entities, expected) in [
        ("😀 a\nb c\nmine", vec![quotation(0, 8)], "> 😀 a\n> b c\nmine"),
        ("one two\nmine", vec![quotation(0, 8), link], "> one two (u:)\nmine"),
        ("mine\none\n", vec![quotation(5, 4), quotation(99, 1), quotation(usize::MAX, 2)], "mine\n> one\n"),
        ("mine", vec![quotation(2, 0)], "mine"),
    ] {
        assert_eq!(text_of(json!({ "text": text, "entities": entities })), expected);
    }
}

#[test]
fn an_address_behind_a_text_stands_beside_it() {
    let link = |offset: usize, length: usize, url: &str| json!({ "type": "text_link", "offset": offset, "length": length, "url": url });
    for (text, entities, expected) in [
        ("click here now", vec![link(6, 4, "https://a.test/")], "click here (https://a.test/) now"),
        // Counted in UTF-16, and not in order.
        (
            "😀 one two",
            vec![link(7, 3, "https://two.test"), link(3, 3, "https://one.test")],
            "😀 one (https://one.test) two (https://two.test)",
        ),
        ("https://a.test", vec![link(0, 14, "https://a.test")], "https://a.test"),
        // Entities outside the text, over half of a surrogate pair, and without an address.
        ("ab", vec![link(1, 90, "https://a.test"), link(usize::MAX, 2, "https://a.test")], "ab"),
        (
            "😀",
            vec![link(0, 1, "https://a.test"), json!({ "type": "text_link", "offset": 0, "length": 2 })],
            "😀",
        ),
        ("ab", vec![link(0, 2, &"x".repeat(LINK_LEN_MAX + 1))], "ab"),
    ] {
        assert_eq!(text_of(json!({ "text": text, "entities": entities })), expected, "{text}");
        assert_eq!(
            text_of(json!({ "caption": text, "caption_entities": entities, "story": {} })).lines().last(),
            Some(expected)
        );
    }
    let many: Vec<Value> = (0..LINKS_MAX + 1).map(|at| link(at, 1, "u:")).collect();
    let text = text_of(json!({ "text": "x".repeat(LINKS_MAX + 1), "entities": many }));
    assert_eq!(text.matches("(u:)").count(), LINKS_MAX);
    // It stands behind the command, whatever it claims.
    let command = json!({ "type": "bot_command", "offset": 0, "length": 15 });
    let fields = json!({ "text": "/new@Hermes_bot x", "entities": [command, link(0, 3, "u:")] });
    assert_eq!(text_of(fields), "/ne (u:)w@Hermes_bot x");
}

#[test]
fn what_cannot_be_shown_is_said_to_be_there() {
    for kind in ["checklist", "game", "giveaway", "giveaway_winners", "invoice", "paid_media", "story"] {
        let text = text_of(json!({ kind: { "of": "any form" }, "caption": "see" }));
        assert_eq!(text, "[a message of an unsupported kind]\nsee", "{kind}");
    }
}

#[test]
fn an_answer_to_something_that_is_no_text_says_what_it_was() {
    let quoted = |fields: Value| {
        let mut answered = json!({ "message_id": 3, "date": 1, "chat": { "id": 42, "type": "private" } });
        for (name, value) in fields.as_object().unwrap() {
            answered[name] = value.clone();
        }
        let fields = json!({ "text": "and?", "reply_to_message": answered });
        translated(Kind::Message, fields).unwrap().message.quoted.map(|quoted| quoted.0)
    };
    let photo = json!([{ "file_id": "f", "width": 9, "height": 9 }]);
    let document = json!({ "file_id": "f", "file_name": "a.pdf" });
    for (fields, expected) in [
        (json!({ "photo": photo }), Some("[image]")),
        (json!({ "photo": photo, "caption": "see" }), Some("[image]\nsee")),
        (json!({ "voice": { "file_id": "f" } }), Some("[voice]")),
        (json!({ "document": document }), Some("[document a.pdf]")),
        (json!({ "sticker": { "file_id": "s", "emoji": "👍" } }), Some("[sticker 👍]")),
        (json!({ "sticker": { "file_id": "s" } }), Some("[sticker]")),
        (json!({ "location": { "latitude": 52.1, "longitude": 4.3 } }), Some("[location 52.1,4.3]")),
        (json!({ "story": {} }), Some("[a message of an unsupported kind]")),
        (json!({ "new_chat_title": "T" }), None),
    ] {
        assert_eq!(quoted(fields.clone()).as_deref(), expected, "{fields}");
    }
}

#[test]
fn what_only_adorns_a_message_may_have_any_form() {
    for (fields, expected) in [
        (json!({ "reply_to_message": { "of": "another form" } }), "hi"),
        (json!({ "reply_to_message": null, "quote": 3 }), "hi"),
        (json!({ "forward_origin": { "type": "user", "sender_user": 3 } }), "[forwarded]\nhi"),
        (json!({ "forward_origin": null }), "hi"),
        (json!({ "entities": null, "caption_entities": 3, "photo": null }), "hi"),
        (
            json!({ "entities": [{ "type": 3 }, { "type": "text_link", "offset": 0, "length": 2, "url": "u:" }] }),
            "hi (u:)",
        ),
    ] {
        let mut all = json!({ "text": "hi" });
        for (name, value) in fields.as_object().unwrap() {
            all[name] = value.clone();
        }
        assert_eq!(text_of(all), expected, "{fields}");
    }
}

#[test]
fn whoever_hides_behind_a_chat_is_that_chat() {
    let anonymous = group(json!({
        "from": { "id": 1_087_968_824, "is_bot": true, "first_name": "Group", "username": "GroupAnonymousBot" },
        "sender_chat": { "id": -100, "type": "supergroup", "title": "G" }, "text": "x",
    }));
    assert_eq!((anonymous.sender, anonymous.sender_name), (UserId("-100".into()), Some(Private("G".into()))));
    let post = json!({ "update_id": 1, "channel_post": {
        "message_id": 5, "date": 1, "chat": { "id": -200, "type": "channel", "title": "News" }, "text": "new" } });
    let (kind, raw) = wire::message(&received(&post)).unwrap().unwrap();
    let post = message(&raw, kind, &me()).unwrap().message;
    assert_eq!((post.sender.0.as_str(), post.is_group, post.addressed), ("-200", true, false));
}

#[test]
fn what_cannot_be_read_is_said_to_be_so_and_what_is_unknown_is_nothing() {
    assert_eq!(wire::message(&received(&json!({ "update_id": 1, "callback_query": {} }))), Ok(None));
    assert_eq!(
        wire::message(&received(&json!({ "update_id": 1, "message": { "message_id": "x" } }))),
        Err(wire::Unreadable)
    );
    assert_eq!(wire::message(&received(&json!({ "update_id": 1, "message": null }))), Err(wire::Unreadable));
    let split = |answer: &str| {
        let answer: Box<RawValue> = serde_json::from_str(answer).unwrap();
        wire::updates(&answer)
    };
    // Nested deeper than anything that is read, and a text that is half a character: in a name, too.
    let (deep, end) = ("{\"reply_to_message\":".repeat(100_000), "}".repeat(100_000));
    let odd = [
        r#"{"update_id":7,"message":{"message_id":1,"date":1,"chat":{"id":1,"type":"private"},"text":"\ud83d"}}"#.to_owned(),
        r#"{"\udc00":1,"update_id":8,"message":{}}"#.to_owned(),
        r#"{"update_id":9,"message":{"message_id":1,"date":1e999}}"#.to_owned(),
        format!("{{\"update_id\":10,\"message\":{deep}1{end}}}"),
        r#"{"update_id":11,"message":[[],{}]}"#.to_owned(),
        r#"{"update_id":12,"message":{"message_id":99999999999999999999999}}"#.to_owned(),
    ];
    let all = format!(
        r#"[{{"update_id":5}},{{"no":1}},3,null,"x",{{"update_id":"x"}},{{"update_id":1e40}},{},{{"update_id":6}}]"#,
        odd.join(",")
    );
    let updates = split(&all).unwrap();
    let numbers: Vec<_> = updates.iter().filter_map(|update| update.update_id).collect();
    assert_eq!((numbers, updates.len()), (vec![5, 7, 8, 9, 10, 11, 12, 6], 14));
    for update in updates.iter().filter(|update| update.update_id.is_some()) {
        let is_read = [Some(5), Some(6)].contains(&update.update_id);
        assert_eq!(
            wire::message(update),
            if is_read { Ok(None) } else { Err(wire::Unreadable) },
            "{update:?}"
        );
    }
    // An ornament of a message does not hide it.
    let adorned = r#"{"update_id":1,"message":{"message_id":1,"date":1,"chat":{"id":1,"type":"private"},"text":"hi",
        "entities":[{"type":"\ud83d"}],"reply_to_message":{"text":"\ud83d"},"via_bot":{"username":"\ud83d"},"new":"\ud83d",
        "from":{"id":1,"first_name":null,"username":5},"edit_date":"x","media_group_id":7,"is_topic_message":"x","message_thread_id":1.5}}"#;
    let (_, message) = wire::message(&wire::RawUpdate::of(adorned).unwrap()).unwrap().unwrap();
    assert_eq!((message.text, message.via_bot), (Some(Private("hi".into())), Some(wire::Via::default())));
    assert!(split("{\"ok\":1}").is_none());
    let odd = r#"{"url":null,"pending_update_count":-1,"last_error_date":"x"}"#;
    for (written, expected) in
        [("2", Some(2)), ("\"2\"", Some(2)), ("2.5", Some(3)), ("-5", None), ("\"x\"", None), ("null", None)]
    {
        let parameters = format!(r#"{{"retry_after":{written},"migrate_to_chat_id":"x"}}"#);
        let parameters: wire::Parameters = serde_json::from_str(&parameters).unwrap();
        assert_eq!(parameters.retry_after, expected, "{written}");
    }
    let info: wire::WebhookInfo = serde_json::from_str(odd).unwrap();
    assert_eq!((info.url.as_str(), info.pending_update_count, info.last_error_date), ("", 0, None));
}
