//! WhatsApp end to end, with unusual messages: forwarded, for another person, or without its keys.

use serde_json::json;

use crate::support::fake::FakeWhatsApp;
use crate::support::pairing::{FRIEND, paired, paired_in_self_chat};
use crate::support::process::Gateway;

fn wait_for_answer(fake: &FakeWhatsApp, text: &str) -> String {
    let is_it = |answer: &str| answer.contains(text);
    let event = fake.wait_for("received", |event| event["text"].as_str().is_some_and(is_it));
    event["text"].as_str().unwrap_or_default().to_owned()
}

#[test]
fn a_forwarded_command_is_text_for_the_agent() {
    let (home, mut fake) = paired();
    let mut gateway = Gateway::start(&home);
    gateway.wait_for_state("connected");
    fake.tell(
        json!({ "cmd": "message", "from": FRIEND, "text": "/platform pause whatsapp", "forwarded": true }),
    );
    let answer = wait_for_answer(&fake, "/platform pause whatsapp");
    assert!(answer.contains("[forwarded]"), "{answer}");
    fake.tell(json!({ "cmd": "message", "from": FRIEND, "text": "still there?" }));
    wait_for_answer(&fake, "still there?");
    assert_eq!(gateway.state()["platforms"]["whatsapp"]["state"], "connected");
    assert_eq!(gateway.stop(), Some(0));
}

#[test]
fn a_correction_that_says_the_same_is_not_answered_again_and_another_is() {
    let (home, mut fake) = paired();
    let mut gateway = Gateway::start(&home);
    gateway.wait_for_state("connected");
    let written = fake.tell(json!({ "cmd": "message", "from": FRIEND, "text": "see you at 5" }));
    wait_for_answer(&fake, "see you at 5");
    let mut correct = |text: &str| {
        let message = json!({ "protocolMessage": { "type": 14, "key": { "id": written["message_id"], "fromMe": false },
            "editedMessage": { "conversation": text } } });
        fake.tell(json!({ "cmd": "message", "from": FRIEND, "kind": "proto", "message": message }));
    };
    for text in ["see you at 5", "see you at 6", "see you at 6", "/new"] {
        correct(text);
    }
    fake.tell(json!({ "cmd": "message", "from": FRIEND, "text": "the last word" }));
    wait_for_answer(&fake, "the last word");
    let told: Vec<_> = fake.received().into_iter().map(|(_, text)| text).collect();
    let of = |text: &str| told.iter().map(|told| told.matches(text).count()).sum::<usize>();
    assert_eq!((of("see you at 5"), of("[edited]\nsee you at 6")), (1, 1), "{told:#?}");
    assert_eq!(
        (of("[edited]\n/new"), of("new conversation")),
        (1, 0),
        "what was changed to a command is text: {told:#?}"
    );
    assert_eq!(gateway.stop(), Some(0));
}

#[test]
fn a_command_in_a_text_that_somebody_else_composed_is_not_obeyed() {
    let (home, mut fake) = paired();
    let mut gateway = Gateway::start(&home);
    gateway.wait_for_state("connected");
    let composed = [
        json!({ "templateMessage": { "hydratedTemplate": { "hydratedContentText": "/platform pause whatsapp" } } }),
        json!({ "listMessage": { "title": "/stop", "sections": [] } }),
        json!({ "buttonsMessage": { "contentText": "/new", "buttons": [] } }),
        json!({ "interactiveMessage": { "body": { "text": "/retry" } } }),
    ];
    for (message, command) in
        composed.into_iter().zip(["/platform pause whatsapp", "/stop", "/new", "/retry"])
    {
        fake.tell(json!({ "cmd": "message", "from": FRIEND, "kind": "proto", "message": message }));
        // The echo repeats what it was given.
        let answer = wait_for_answer(&fake, command);
        assert!(answer.contains(&format!("[forwarded]\n{command}")), "{answer}");
    }
    assert_eq!(gateway.state()["platforms"]["whatsapp"]["state"], "connected");
    assert_eq!(gateway.stop(), Some(0));
}

#[test]
fn a_picture_that_cannot_be_fetched_is_one_message_that_says_so_and_its_sender_is_told_once() {
    let (home, mut fake) = paired();
    let mut gateway = Gateway::start(&home);
    gateway.wait_for_state("connected");
    for (fault, caption, expected) in [
        (json!({ "status": 404 }), "", "[image, not fetched: WhatsApp no longer stores it]"),
        (json!({ "status": 500 }), "look", "look\n[image, not fetched: it could not be downloaded]"),
        (json!({ "truncate": 9 }), "see", "see\n[image, not fetched: it could not be downloaded]"),
    ] {
        let mut command = json!({ "cmd": "fault", "name": "media", "times": 1 });
        command.as_object_mut().unwrap().extend(fault.as_object().unwrap().clone());
        fake.tell(command);
        let before = fake.received().len();
        fake.tell(
            json!({ "cmd": "message", "from": FRIEND, "kind": "image", "text": caption, "bytes": 900 }),
        );
        let answer = wait_for_answer(&fake, expected);
        assert!(!answer.contains("[image]"), "{answer}");
        fake.tell(json!({ "cmd": "message", "from": FRIEND, "text": format!("after {fault}") }));
        wait_for_answer(&fake, &format!("after {fault}"));
        let told: Vec<_> = fake.received().into_iter().skip(before).map(|(_, text)| text).collect();
        let notices = told.iter().filter(|text| text.starts_with("I did not get your image: ")).count();
        assert_eq!(
            (told.len(), notices),
            (3, 1),
            "a notice, one answer, and one to the text behind it: {told:#?}"
        );
    }
    assert_eq!(gateway.stop(), Some(0));
}

#[test]
fn what_the_owner_writes_to_a_bot_is_no_note_to_self() {
    let (home, mut fake) = paired_in_self_chat();
    let mut gateway = Gateway::start(&home);
    gateway.wait_for_state("connected");
    for text in ["/platform pause whatsapp", "a question for the bot"] {
        let bot = "867051314767696@bot";
        let told = fake.tell(json!({ "cmd": "own_message", "recipient": bot, "text": text }));
        let receipt = fake.wait_for("receipt", |event| event["message_id"] == told["message_id"]);
        assert_eq!((&receipt["recipient"], &receipt["type"]), (&json!(bot), &json!("sender")));
    }
    fake.tell(json!({ "cmd": "own_message", "self": true, "text": "a note" }));
    wait_for_answer(&fake, "a note");
    assert_eq!(fake.received().len(), 1, "{:?}", fake.received());
    assert_eq!(gateway.state()["platforms"]["whatsapp"]["state"], "connected");
    assert_eq!(gateway.stop(), Some(0));
}

#[test]
fn a_key_that_cannot_be_read_is_named_and_the_message_is_answered_once_it_can() {
    let (home, mut fake) = paired();
    let mut gateway = Gateway::start(&home);
    gateway.wait_for_state("connected");
    let name = format!("lid-mapping-{FRIEND}.json");
    let key = home.paths().whatsapp().session_dir().join(&name);
    std::fs::create_dir(&key).unwrap();
    fake.tell(json!({ "cmd": "message", "from": FRIEND, "text": "do not lose me" }));
    let told = gateway.wait_for_state("fatal");
    assert_eq!(told["error_code"], "whatsapp_creds_corrupt");
    let message = told["error_message"].as_str().unwrap();
    assert!(message.ends_with(&format!("{name} is a directory")), "{message}");
    assert!(told["user_action"].as_str().unwrap().starts_with("Run `mv /"), "{told}");
    let log = gateway.log().join("\n");
    assert!(log.contains(&format!("{name} cannot be read: it is a directory (EISDIR)")), "{log}");

    std::fs::rename(&key, key.with_extension("json.moved")).unwrap();
    let resumed = home.run(["platform", "resume", "whatsapp"]);
    assert_eq!(resumed.code, Some(0), "{resumed:?}");
    wait_for_answer(&fake, "do not lose me");
    assert_eq!(gateway.stop(), Some(0));
}
