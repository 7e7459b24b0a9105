//! Answers at Telegram that the service refuses at first, and answers that are shown as they grow.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::support::agent::AgentService;
use crate::support::house::QUICK;
use crate::support::telegram::scene::{FRIEND, wait_until};
use crate::support::telegram::service::{TOKEN, now};
use crate::support::telegram::{Fault, bot::SentMessage};
use crate::support::wait;
use crate::telegram::{Scene, lines};

const GROUP: i64 = -100_500;

/// Makes a home in which a group is listed, and these people as friends.
fn group_scene(friends: &str) -> Scene {
    let scene = Scene::set();
    let groups = format!("TELEGRAM_ALLOWED_CHATS={GROUP}\n");
    scene
        .home
        .write(".env", format!("TELEGRAM_BOT_TOKEN={TOKEN}\nTELEGRAM_ALLOWED_USERS={friends}\n{groups}"));
    scene
}

/// Sends a message of the friend to us in a topic of the group.
fn ask_in_topic(scene: &Scene, message: i64, text: &str) {
    scene.service.push(json!({ "message": {
        "message_id": message, "date": now(), "message_thread_id": 42, "is_topic_message": true,
        "chat": { "id": GROUP, "type": "supergroup", "is_forum": true },
        "from": { "id": FRIEND, "is_bot": false, "first_name": "Ada" },
        "text": format!("@hermes_test_bot {text}"),
        "entities": [{ "type": "mention", "offset": 0, "length": 16 }] } }));
}

#[test]
fn what_is_refused_is_sent_in_another_way() {
    const MOVED: i64 = -100_900;
    let scene = group_scene(&FRIEND.to_string());
    let mut gateway = scene.connected();
    let markup = || Fault::refuse(400, "Bad Request: ENTITIES_TOO_LONG");
    let topic = || Fault::refuse(400, "Bad Request: message thread not found");
    let reply = || Fault::refuse(400, "Bad Request: message to be replied not found");
    let cases = [
        (vec![], GROUP, Some(42), Some(71), "b"),
        (vec![markup()], GROUP, Some(42), Some(72), "**b**"),
        (vec![topic()], GROUP, None, Some(73), "b"),
        (vec![reply()], GROUP, Some(42), None, "b"),
        (vec![Fault::moved(MOVED)], MOVED, None, Some(75), "b"),
        (vec![markup(), topic(), reply(), Fault::moved(MOVED)], MOVED, None, None, "**b**"),
    ];
    for (message, (faults, chat, topic, reply_to, text)) in (71..).zip(cases) {
        let asked = scene.service.asked("sendMessage").len() + faults.len();
        scene.service.fail("sendMessage", faults);
        ask_in_topic(&scene, message, &format!("**b** {message}."));
        let sent = scene.service.wait_sent(chat, &format!("{text} {message}."));
        assert_eq!((sent.topic, sent.reply_to), (topic, reply_to), "{message}");
        assert_eq!(scene.service.asked("sendMessage").len(), asked + 1, "{message}");
    }
    assert!(lines(&gateway, "given up").is_empty(), "{}", gateway.log().join("\n"));
    assert_eq!(gateway.stop(), Some(0));
}

#[test]
fn in_a_chat_where_nothing_may_be_said_nothing_more_is_tried() {
    let scene = group_scene(&FRIEND.to_string());
    let mut gateway = scene.connected();
    scene.service.stand("sendMessage", Some(Fault::refuse(400, "Bad Request: CHAT_ADMIN_REQUIRED")));
    ask_in_topic(&scene, 71, "one");
    gateway.wait_for_log("telegram_forbidden");
    let dead = wait::until(wait::LIMIT, || {
        let said = scene.home.run(["dead", "list"]).stdout;
        said.contains("telegram_forbidden").then_some(())
    });
    assert!(dead.is_some(), "{}", gateway.log().join("\n"));
    assert_eq!(scene.service.asked("sendMessage").len(), 1);
    assert_eq!(gateway.stop(), Some(0));
}

#[test]
fn a_limit_without_a_meaning_neither_hurries_nor_ends_anything() {
    const OTHER: i64 = FRIEND + 1;
    const THIRD: i64 = FRIEND + 2;
    let scene = group_scene(&format!("{FRIEND},{OTHER},{THIRD}"));
    let mut gateway = scene.connected();
    scene.service.fail("sendMessage", [Fault::limit(0)]);
    let begun = Instant::now();
    scene.write("at once");
    let sent = scene.service.wait_sent(FRIEND, "at once");
    assert!(sent.at - begun >= Duration::from_secs(1), "{:?}", sent.at - begun);
    scene.service.fail("sendMessage", [Fault::limit(u64::MAX)]);
    scene.write("never");
    let refused = wait::until(wait::LIMIT, || (scene.service.asked("sendMessage").len() == 3).then_some(()));
    assert!(refused.is_some(), "it is tried");
    scene.service.write(OTHER, OTHER, "and I?");
    scene.service.wait_sent(OTHER, "and I?");
    // A second chat with such a limit: no two of them are the whole bot's.
    let before = scene.service.asked("sendMessage").len();
    scene.service.fail("sendMessage", [Fault::limit(u64::MAX)]);
    scene.service.write(OTHER, OTHER, "never, too");
    let refused =
        wait::until(wait::LIMIT, || (scene.service.asked("sendMessage").len() > before).then_some(()));
    assert!(refused.is_some(), "it is tried");
    scene.service.write(THIRD, THIRD, "what about me?");
    scene.service.wait_sent(THIRD, "what about me?");
    assert_eq!(gateway.stop(), Some(0));
}

#[test]
fn a_channel_is_answered_that_is_on_both_lists() {
    let post = |scene: &Scene| {
        scene.service.push(json!({ "channel_post": {
            "message_id": 7, "date": now(), "chat": { "id": GROUP, "type": "channel", "title": "News" },
            "sender_chat": { "id": GROUP, "type": "channel", "title": "News" },
            "text": "@hermes_test_bot hello channel",
            "entities": [{ "type": "mention", "offset": 0, "length": 16 }] } }));
    };
    let scene = group_scene(&FRIEND.to_string());
    let mut gateway = scene.connected();
    post(&scene);
    scene.confirmed();
    scene.write("and I?");
    scene.answered("and I?");
    assert!(scene.service.sent().iter().all(|sent| sent.chat == FRIEND), "its people are unknown");
    assert_eq!(gateway.stop(), Some(0));
    let scene = group_scene(&format!("{FRIEND},{GROUP}"));
    let mut gateway = scene.connected();
    post(&scene);
    scene.service.wait_sent(GROUP, "hello channel");
    assert_eq!(gateway.stop(), Some(0));
}

/// A scene whose agent gives the test's text, and whose answers are shown as they grow.
struct Growing {
    scene: Scene,
    agent: AgentService,
}

const BEGINNING: &str = "Once upon a time there was a gateway";

impl Growing {
    fn set() -> Self {
        let growing = Self::set_with("stream_every = \"100ms\"\n");
        growing.agent.tell(BEGINNING);
        growing
    }

    /// Makes one with more in the platform's table, and no text yet.
    fn set_with(toml: &str) -> Self {
        let (scene, agent) = (Scene::set(), AgentService::start());
        let (service, agents) = (scene.service.table(), agent.table());
        scene.home.write("gateway.toml", format!("{QUICK}{agents}{service}{toml}"));
        Self { scene, agent }
    }

    /// Waits for the one message to show this.
    fn shown(&self, text: &str) -> SentMessage {
        self.scene.service.wait_sent(FRIEND, text)
    }

    /// Waits for the whole text, in one message that holds nothing else.
    fn whole(&self, text: &str) -> SentMessage {
        let found = wait::until(wait::LIMIT, || {
            let sent = self.scene.service.sent();
            sent.iter().find(|sent| sent.text == text).cloned()
        });
        let found = found.unwrap_or_else(|| panic!("{:#?}", self.scene.service.sent()));
        let sent = self.scene.service.sent();
        assert_eq!(sent.len(), 1, "{sent:#?}");
        found
    }

    /// Returns the numbers of requests to send, and to edit.
    fn asked(&self) -> [usize; 2] {
        ["sendMessage", "editMessageText"].map(|method| self.scene.service.asked(method).len())
    }

    /// Gives the rest of the text, and checks that all of it stands in this one message.
    fn grows_in(&self, first: &SentMessage) {
        self.agent.tell(" that **never** slept");
        self.shown("that never slept");
        self.agent.tell(", and woke nobody.");
        self.agent.end();
        let last = self.whole(&format!("{BEGINNING} that never slept, and woke nobody."));
        assert_eq!(last.message_id, first.message_id);
        let [sent, edited] = self.asked();
        assert!(sent == 1 && edited >= 2, "{sent} {edited}");
    }
}

#[test]
fn an_answer_grows_in_one_message_and_is_whole_in_the_end() {
    let growing = Growing::set();
    let mut gateway = growing.scene.connected();
    growing.scene.write("tell me of it");
    let first = growing.shown(BEGINNING);
    growing.grows_in(&first);
    let edits = growing.scene.service.asked("editMessageText");
    assert!(edits.iter().all(|asked| asked.parameters["parse_mode"] == "HTML"), "{edits:#?}");
    assert_eq!(gateway.stop(), Some(0));
}

#[test]
fn an_answer_goes_on_in_the_message_that_a_killed_gateway_began() {
    let mut growing = Growing::set();
    let plain = growing.scene.home.env.clone();
    growing.scene.home.env.push(("HERMES_FAILPOINT".to_owned(), "preview.after".to_owned()));
    let mut gateway = growing.scene.gateway();
    growing.scene.write("tell me of it");
    assert_eq!(gateway.exit_code(), None, "it is killed");
    let first = growing.shown(BEGINNING);
    growing.scene.home.env = plain;
    let mut gateway = growing.scene.connected();
    growing.grows_in(&first);
    assert_eq!(growing.agent.asked.lock().unwrap().len(), 2, "it is asked anew");
    assert_eq!(gateway.stop(), Some(0));
}

#[test]
fn an_answer_whose_message_is_gone_is_sent_as_a_new_one() {
    let growing = Growing::set();
    let mut gateway = growing.scene.connected();
    growing.scene.write("tell me of it");
    let first = growing.shown(BEGINNING);
    growing.scene.service.delete(first.message_id);
    growing.agent.tell(" that never slept.");
    growing.agent.end();
    let last = growing.whole(&format!("{BEGINNING} that never slept."));
    assert_ne!(last.message_id, first.message_id);
    assert_eq!(growing.asked()[0], 2);
    assert!(lines(&gateway, "given up").is_empty(), "{}", gateway.log().join("\n"));
    assert_eq!(gateway.stop(), Some(0));
}

#[test]
fn a_death_while_an_answer_grows_costs_nothing_of_it() {
    for place in ["preview.before", "detach.before", "detach.after"] {
        let mut growing = Growing::set();
        let plain = growing.scene.home.env.clone();
        growing.scene.home.env.push(("HERMES_FAILPOINT".to_owned(), place.to_owned()));
        let mut gateway = growing.scene.gateway();
        growing.scene.write("tell me of it");
        let first = growing.shown(BEGINNING);
        if place != "preview.before" {
            growing.scene.service.delete(first.message_id);
        }
        growing.agent.tell(" that never slept.");
        growing.agent.end();
        assert_eq!(gateway.exit_code(), None, "it is killed at {place}");
        // A message that was shown and not recorded stays behind.
        growing.scene.service.delete(first.message_id);
        growing.scene.home.env = plain;
        let mut gateway = growing.scene.connected();
        let last = growing.shown("that never slept.");
        // It died before it could record that the message to edit was gone: for all it knows the answer was there.
        let again = if place == "detach.before" { "(maybe a repeat)\n" } else { "" };
        assert_eq!(last.text, format!("{again}{BEGINNING} that never slept."), "{place}");
        assert_eq!(gateway.stop(), Some(0));
        assert_eq!(growing.scene.service.sent().len(), 1, "{place}: {:#?}", growing.scene.service.sent());
    }
}

#[test]
fn an_answer_of_which_the_markup_shows_nothing_is_sent_as_it_was_written() {
    for (answer, shown) in [
        ("![](https://example.org/a.png)", "https://example.org/a.png"),
        ("```\n```", "```\n```"),
        ("[a]: https://example.org", "[a]: https://example.org"),
    ] {
        let growing = Growing::set_with("");
        growing.agent.tell(answer);
        growing.agent.end();
        let mut gateway = growing.scene.connected();
        growing.scene.write("show me");
        growing.whole(shown);
        assert_eq!(gateway.stop(), Some(0));
    }
}

#[test]
fn a_gateway_that_must_wait_for_its_connection_says_until_when() {
    let scene = Scene::set();
    scene.service.fail("getMe", [Fault::limit(7200)]);
    let mut gateway = scene.gateway();
    let entry = wait_until(&gateway, "limited", |entry| entry["error_code"] == "telegram_rate_limited");
    let at: jiff::Timestamp = entry["next_retry_at"].as_str().expect("it is said").parse().expect("a time");
    let wait = at.as_second() - now();
    assert!((7100..=7201).contains(&wait), "{wait}: {entry:#}");
    assert_eq!(gateway.stop(), Some(0));
}
