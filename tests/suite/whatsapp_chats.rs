//! WhatsApp end to end, where a message is not what it seems: forwarded, for somebody else, or without its keys.

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
