//! Telegram's messages in other forms than a text, over our own Bot API that speaks the real wire protocol.

use serde_json::{Value, json};

use crate::support::house::QUICK;
use crate::support::telegram::Fault;
use crate::support::telegram::scene::{FRIEND, entry};
use crate::support::telegram::service::{TOKEN, now};
use crate::support::wait;
use crate::telegram::{Scene, lines};

/// Another person who may write.
const OTHER: i64 = FRIEND + 1;

/// A group in which they may write.
const GROUP: i64 = -100_500;

/// Makes a scene in which two people may write, alone and in a group.
fn set(toml: &str) -> Scene {
    let scene = Scene::set_with("");
    scene.home.write("gateway.toml", format!("{QUICK}{}{toml}", scene.service.table()));
    scene.home.write(
        ".env",
        format!(
            "TELEGRAM_BOT_TOKEN={TOKEN}\nTELEGRAM_ALLOWED_USERS={FRIEND},{OTHER}\n\
             TELEGRAM_ALLOWED_CHATS={GROUP}\n"
        ),
    );
    scene
}

/// Makes a message of the friend with these fields.
fn said(id: i64, fields: Value) -> Value {
    let mut message = json!({ "message_id": id, "date": now(), "chat": { "id": FRIEND, "type": "private" },
        "from": { "id": FRIEND, "is_bot": false, "first_name": "Ada" } });
    for (name, value) in fields.as_object().expect("fields") {
        message[name] = value.clone();
    }
    json!({ "message": message })
}

fn files(scene: &Scene) -> usize {
    std::fs::read_dir(scene.home.paths().telegram().media_dir()).expect("it is there").count()
}

#[test]
fn each_bot_counts_its_messages_for_itself() {
    let scene = set("");
    scene.service.push(said(1, json!({ "text": "to the first" })));
    let mut gateway = scene.connected();
    scene.answered("to the first");
    assert_eq!(gateway.stop(), Some(0));
    let token = "7000002:not-a-real-token-either";
    scene.service.set_token(token);
    scene.home.write(".env", format!("TELEGRAM_BOT_TOKEN={token}\nTELEGRAM_ALLOWED_USERS={FRIEND}\n"));
    // Its first message in this chat, too.
    scene.service.push(said(1, json!({ "text": "to the second" })));
    let mut gateway = scene.connected();
    scene.answered("to the second");
    assert_eq!(gateway.stop(), Some(0));
}

#[test]
fn an_attachment_that_comes_too_slowly_is_left_out_and_stands_in_nobodys_way() {
    let scene = set("media_timeout = \"2s\"\n");
    scene.service.file("slow", "documents/file_1.pdf", &[b'x'; 5000]);
    scene.service.trickle("documents/file_1.pdf");
    let document = json!({ "file_id": "slow", "file_name": "slow.pdf", "file_size": 5000 });
    // They come in one answer.
    scene.service.push(said(1, json!({ "caption": "see it", "document": document })));
    scene.service.write(OTHER, OTHER, "meanwhile");
    let mut gateway = scene.connected();
    let since = entry(&gateway)["since"].clone();
    let meanwhile = scene.service.wait_sent(OTHER, "meanwhile");
    let told =
        scene.service.wait_sent(FRIEND, "I did not get your document slow.pdf: the download took too long.");
    assert!(meanwhile.at < told.at, "the others did not wait for it");
    scene.answered("see it");
    scene.confirmed();
    scene.write("and on");
    scene.answered("and on");
    let entry = entry(&gateway);
    assert_eq!((&entry["state"], &entry["since"]), (&json!("connected"), &since), "{entry:#}");
    assert_eq!((scene.service.asked("getFile").len(), files(&scene)), (1, 0));
    assert_eq!(gateway.stop(), Some(0));
}

#[test]
fn what_others_write_while_files_of_one_chat_come_is_answered_meanwhile_and_nothing_is_confirmed_early() {
    let scene = set("media_timeout = \"15s\"\n");
    for number in 0..3 {
        let (file, path) = (format!("slow{number}"), format!("documents/slow_{number}.pdf"));
        scene.service.file(&file, &path, &[b'x'; 5000]);
        scene.service.trickle(&path);
        scene.service.push(said(1 + number, json!({ "document": { "file_id": file, "file_name": file } })));
    }
    let mut gateway = scene.connected();
    wait::until(wait::LIMIT, || (!scene.service.asked("getFile").is_empty()).then_some(()))
        .expect("it is fetched");
    scene.write("behind the files");
    for text in ["the first", "the second"] {
        scene.service.write(OTHER, OTHER, text);
        scene.service.wait_sent(OTHER, text);
        assert_eq!(scene.service.sent().iter().filter(|sent| sent.chat == FRIEND).count(), 0);
    }
    assert_eq!(scene.service.waiting(), 6, "nothing is confirmed beyond what is on disk");
    scene.answered("behind the files");
    scene.confirmed();
    let sent = scene.service.sent();
    for text in ["the first", "the second", "behind the files"] {
        assert_eq!(sent.iter().filter(|sent| sent.text.contains(text)).count(), 1, "{text}: {sent:#?}");
    }
    assert_eq!(gateway.stop(), Some(0));
}

#[test]
fn what_comes_again_is_not_fetched_again() {
    let scene = set("");
    scene.service.file("f", "documents/file_1.pdf", b"%PDF-1.4 content");
    let update = said(1, json!({ "caption": "once", "document": { "file_id": "f", "file_size": 16 } }));
    let mut gateway = scene.connected();
    scene.service.push(update.clone());
    scene.answered("once");
    scene.confirmed();
    scene.service.push(update);
    scene.write("and on");
    scene.answered("and on");
    assert_eq!((scene.service.asked("getFile").len(), files(&scene)), (1, 1));
    assert_eq!(gateway.stop(), Some(0));
}

#[test]
fn every_part_of_an_album_is_answered_where_one_of_them_speaks_to_us() {
    let scene = set("");
    let part = |id: i64, album: &str, caption: Option<&str>| {
        let file = format!("f{id}");
        scene.service.file(&file, &format!("photos/{file}.jpg"), b"picture");
        let mut fields = json!({ "chat": { "id": GROUP, "type": "supergroup" }, "media_group_id": album,
            "photo": [{ "file_id": file, "width": 9, "height": 9 }] });
        if let Some(caption) = caption {
            fields["caption"] = json!(caption);
            fields["caption_entities"] = json!([{ "type": "mention", "offset": 0, "length": 16 }]);
        }
        scene.service.push(said(id, fields))
    };
    part(1, "a", None);
    part(2, "a", Some("@hermes_test_bot look"));
    part(3, "b", None);
    let mut gateway = scene.connected();
    scene.service.wait_sent(GROUP, "look");
    scene.confirmed();
    part(4, "a", None);
    scene.confirmed();
    scene.write("and on");
    scene.answered("and on");
    let asked = scene.service.asked("getFile");
    let fetched: Vec<&Value> = asked.iter().map(|asked| &asked.parameters["file_id"]).collect();
    assert_eq!(fetched, ["f1", "f2", "f4"]);
    assert_eq!(gateway.stop(), Some(0));
}

#[test]
fn a_path_that_names_a_file_of_the_server_or_climbs_is_not_fetched_and_its_sender_told() {
    let scene = set("");
    let local = scene.home.root().join("gateway.toml");
    scene.service.file("local", local.to_str().expect("it is text"), b"x");
    scene.service.file("climbing", "%2e%2e/bot/getMe", b"x");
    let document = |name: &str| json!({ "document": { "file_id": name, "file_name": name } });
    scene.service.push(said(1, document("local")));
    scene.service.push(said(2, document("climbing")));
    let mut gateway = scene.connected();
    scene.answered("I did not get your document local: the Bot API server runs with --local, which hermes does not support.");
    scene.answered("I did not get your document climbing: it could not be downloaded.");
    assert_eq!(files(&scene), 0);
    assert_eq!(gateway.stop(), Some(0));
}

#[test]
fn a_group_that_has_another_id_now_is_told_once_with_what_to_change() {
    let scene = set("");
    let mut gateway = scene.connected();
    let group = json!({ "id": GROUP, "type": "group", "title": "Canary" });
    for id in [1, 2] {
        scene.service.push(said(id, json!({ "chat": group, "migrate_to_chat_id": -1_001_234_500_500_i64 })));
    }
    let told = gateway.wait_for_log("telegram_group_migrated");
    assert!(told.contains("-100500") && told.contains("-1001234500500"), "{told}");
    assert!(told.contains("TELEGRAM_ALLOWED_CHATS") && !told.contains("Canary"), "{told}");
    scene.write("and on");
    scene.answered("and on");
    assert_eq!(lines(&gateway, "telegram_group_migrated").len(), 1);
    assert_eq!(gateway.stop(), Some(0));
}

#[test]
fn of_what_a_group_says_to_others_and_of_each_step_of_a_person_nothing_is_answered() {
    let scene = set("");
    let mut gateway = scene.connected();
    let command = json!([{ "type": "bot_command", "offset": 0, "length": 14 }]);
    let group = json!({ "id": GROUP, "type": "supergroup" });
    scene.service.push(said(1, json!({ "chat": group, "text": "/new@other_bot", "entities": command })));
    let place = |latitude: f64| json!({ "latitude": latitude, "longitude": 4.3, "live_period": 900 });
    scene.service.push(said(2, json!({ "location": place(52.1) })));
    scene.answered("[location 52.1,4.3]");
    for step in 1..5 {
        let message = &said(
            2,
            json!({ "location": place(52.1 + f64::from(step)), "edit_date": now() + i64::from(step) }),
        )["message"];
        scene.service.push(json!({ "edited_message": message }));
    }
    scene.service.push(said(
        3,
        json!({ "text": "/start", "entities": [{ "type": "bot_command", "offset": 0, "length": 6 }] }),
    ));
    scene.answered("Everything else goes to the agent");
    scene.service.push(said(4, json!({ "story": { "id": 1, "chat": { "id": FRIEND, "type": "private" } } })));
    scene.answered("[a message of an unsupported kind]");
    assert_eq!(scene.service.sent().len(), 3, "{:#?}", scene.service.sent());
    assert_eq!(gateway.stop(), Some(0));
}

#[test]
fn a_change_that_changes_no_text_is_not_answered_however_often_it_comes() {
    let scene = set("");
    let mut gateway = scene.connected();
    let mut at = now();
    let mut edit = |text: &str| {
        at += 1;
        let message = &said(
            1,
            json!({ "text": text, "edit_date": at, "link_preview_options": { "url": "u" } }),
        )["message"];
        scene.service.push(json!({ "edited_message": message }));
    };
    scene.service.push(said(1, json!({ "text": "the first" })));
    scene.answered("the first");
    for text in ["the first", "the first", "the second", "the second", "the first", "the first"] {
        edit(text);
    }
    scene.write("and on");
    scene.answered("and on");
    let sent = scene.service.sent();
    let texts: Vec<_> = sent.iter().map(|sent| sent.text.as_str()).collect();
    let edited = texts.iter().filter(|text| text.contains("[edited]")).count();
    assert!(edited <= 2 && texts.len() <= 4, "{texts:#?}");
    assert!(texts.iter().any(|text| text.contains("[edited]\nthe second")), "{texts:#?}");
    assert_eq!(gateway.stop(), Some(0));
}

#[test]
fn a_command_that_was_only_passed_on_is_for_the_agent() {
    let scene = set("");
    let mut gateway = scene.connected();
    let origin = json!({ "type": "hidden_user", "sender_user_name": "Eve", "date": 1 });
    for (id, fields, marked) in [
        (1, json!({ "forward_origin": origin }), "[forwarded from Eve]\n/platform pause telegram"),
        (2, json!({ "via_bot": { "id": 9, "username": "gif" } }), "[via @gif]\n/platform pause telegram"),
        (
            3,
            json!({ "entities": [{ "type": "blockquote", "offset": 0, "length": 9 }] }),
            "/platform pause telegram",
        ),
    ] {
        let mut fields = fields;
        fields["text"] = json!("/platform pause telegram");
        scene.service.push(said(id, fields));
        scene.answered(marked);
        assert_eq!(entry(&gateway)["state"], "connected");
    }
    assert_eq!(gateway.stop(), Some(0));
}

#[test]
fn an_update_that_spoils_its_answer_is_found_and_set_aside_and_the_others_are_answered() {
    let scene = set("");
    // Before the gateway runs and while it does: in front of, between and behind others.
    let mut odd = vec![scene.service.push_spoiled()];
    scene.write("early");
    let mut gateway = scene.connected();
    scene.answered("early");
    for round in 1..4 {
        scene.write(&format!("before {round}"));
        odd.push(scene.service.push_spoiled());
        scene.write(&format!("behind {round}"));
        scene.answered(&format!("before {round}"));
        scene.answered(&format!("behind {round}"));
    }
    scene.confirmed();
    for id in odd {
        let kept = scene.home.paths().telegram().unreadable_dir().join(format!("{id}.json"));
        let kept = std::fs::read_to_string(kept).expect("it is kept");
        assert!(kept.contains(&format!("update_id\\\":{id}")), "{kept}");
    }
    gateway.wait_for_log("update_unreadable");
    assert_eq!(entry(&gateway)["state"], "connected");
    assert_eq!(gateway.stop(), Some(0));
}

#[test]
fn an_update_that_is_half_a_character_is_set_aside_and_the_others_are_answered() {
    let scene = set("");
    let mut gateway = scene.connected();
    let good = |id: i64, text: &str| {
        let mut update = said(id, json!({ "text": text }));
        update["update_id"] = json!(id);
        update.to_string()
    };
    let odd = r#"{"update_id":101,"message":{"message_id":1,"date":1,"chat":{"id":1,"type":"private"},"text":"\ud83d"}}"#;
    let batch =
        format!(r#"{{"ok":true,"result":[{},{odd},{}]}}"#, good(100, "before it"), good(102, "behind it"));
    scene.service.fail("getUpdates", [Fault::Garbage(batch.into_bytes())]);
    // The poll that waits ends, and the next one brings them.
    scene.write("first");
    for text in ["first", "before it", "behind it"] {
        scene.answered(text);
    }
    let kept = scene.home.paths().telegram().unreadable_dir().join("101.json");
    assert_eq!(std::fs::read_to_string(kept).expect("it is kept"), odd);
    // A sent message was sent, whatever the answer says.
    for (n, sent) in [
        r#"{"ok":true,"result":{"message_id":"\ud83d"}}"#,
        r#"{"ok":true}"#,
        r#"{"ok":true,"result":null}"#,
        r#"{"ok":true,"result":[]}"#,
    ]
    .into_iter()
    .enumerate()
    {
        scene.service.fail("sendMessage", [Fault::Garbage(sent.as_bytes().to_vec())]);
        let (once, on) = (format!("once {n}"), format!("and on {n}"));
        scene.write(&once);
        scene.write(&on);
        scene.answered(&on);
        let asked = scene.service.asked("sendMessage");
        let is_it = |text: Option<&str>| text.is_some_and(|text| text.contains(&once));
        let times = asked.iter().filter(|asked| is_it(asked.parameters["text"].as_str())).count();
        assert_eq!((times, &entry(&gateway)["state"]), (1, &json!("connected")), "{sent}");
    }
    assert_eq!(gateway.stop(), Some(0));
}

#[test]
fn an_update_with_an_odd_number_is_answered_once_and_skips_none_of_the_others() {
    let scene = set("");
    scene.write("early");
    let mut gateway = scene.connected();
    scene.answered("early");
    for (id, number) in
        [json!(1_i64 << 53), json!(1_000_000_000), Value::Null, json!("x"), json!(1.5)].iter().enumerate()
    {
        let id = i64::try_from(id).expect("it is small");
        scene.service.push_as(said(500 + id, json!({ "text": format!("odd {id}") })), number.clone());
        // The poll that waits for more than the odd one must not drop what comes behind it.
        scene.answered(&format!("odd {id}"));
        for round in 0..3 {
            let text = format!("behind {id} {round}");
            scene.write(&text);
            scene.answered(&text);
        }
    }
    let log = lines(&gateway, "update_number_odd");
    assert!(log.len() == 1 && log[0].contains("9007199254740992"), "{log:#?}");
    let odd = scene.service.sent().into_iter().filter(|sent| sent.text.contains("odd ")).count();
    assert_eq!((odd, &entry(&gateway)["state"]), (5, &json!("connected")));
    assert_eq!(gateway.stop(), Some(0));
}
