//! The main job: a phone is paired, a message is answered, nothing is lost.

use rustix::process::Signal;
use serde_json::json;

use crate::support::fake::FakeWhatsApp;
use crate::support::pairing::{FRIEND, paired, paired_in_self_chat};
use crate::support::process::{Gateway, is_alive};
use crate::support::wait;

/// Waits until the friend has received an answer that holds this text.
fn wait_for_answer(fake: &FakeWhatsApp, text: &str) {
    let seen = wait::until(wait::LIMIT, || {
        fake.received().iter().any(|(to, answer)| to.contains(FRIEND) && answer.contains(text)).then_some(())
    });
    assert!(seen.is_some(), "no answer with `{text}` came: {:#?}", fake.received());
}

#[test]
fn a_message_is_answered_and_a_stranger_is_not() {
    let (home, mut fake) = paired();
    let mut gateway = Gateway::start(&home);
    gateway.wait_for_state("connected");
    fake.tell(json!({ "cmd": "message", "from": "15550009999", "text": "who are you" }));
    fake.tell(json!({ "cmd": "message", "from": FRIEND, "text": "hello there" }));
    wait_for_answer(&fake, "hello there");
    assert!(
        fake.received().iter().all(|(to, _)| to.contains(FRIEND)),
        "a stranger was answered: {:?}",
        fake.received()
    );
    let status = home.run(["platform", "status", "--json"]);
    assert_eq!(status.code, Some(0), "{status:?}");
    assert!(status.stdout.contains("connected"), "{status:?}");
    assert_eq!(gateway.stop(), Some(0), "{:#?}", gateway.log());
    let after = home.run(["platform", "status"]);
    assert_eq!(after.code, Some(3), "a stopped gateway is told from a running one: {after:?}");
}

#[test]
fn what_was_written_while_the_gateway_was_away_is_answered() {
    let (home, mut fake) = paired();
    fake.tell(json!({ "cmd": "message", "from": FRIEND, "text": "are you asleep" }));
    let mut gateway = Gateway::start(&home);
    wait_for_answer(&fake, "are you asleep");
    assert_eq!(gateway.stop(), Some(0));
}

#[test]
fn a_note_to_oneself_is_answered_once_in_self_chat_mode() {
    let (home, mut fake) = paired_in_self_chat();
    let mut gateway = Gateway::start(&home);
    gateway.wait_for_state("connected");
    fake.tell(json!({ "cmd": "own_message", "self": true, "text": "buy milk" }));
    fake.wait_for("received", |event| event["text"].as_str().is_some_and(|text| text.contains("buy milk")));
    fake.tell(json!({ "cmd": "message", "from": FRIEND, "text": "not for you" }));
    fake.tell(json!({ "cmd": "own_message", "self": true, "text": "second note" }));
    fake.wait_for("received", |event| {
        event["text"].as_str().is_some_and(|text| text.contains("second note"))
    });
    let answers: Vec<_> = fake.received().into_iter().map(|(_, text)| text).collect();
    assert_eq!(answers.len(), 2, "an echo was answered, or somebody else: {answers:?}");
    assert_eq!(gateway.stop(), Some(0));
}

#[test]
fn the_bridge_never_outlives_the_gateway_and_is_retried_when_killed() {
    let (home, _fake) = paired();
    let mut gateway = Gateway::start(&home);
    gateway.wait_for_state("connected");
    let bridge = bridge_of(&gateway);
    kill(bridge, Signal::KILL);
    let back = wait::until(wait::LIMIT, || {
        let now = gateway.children().into_iter().find(|pid| *pid != bridge && is_alive(*pid))?;
        (gateway.state()["platforms"]["whatsapp"]["state"] == "connected").then_some(now)
    });
    let Some(second) = back else { panic!("it did not come back:\n{}", gateway.log().join("\n")) };
    gateway.kill();
    assert!(wait::until(std::time::Duration::from_secs(3), || (!is_alive(second)).then_some(())).is_some());
    let mut next = Gateway::start(&home);
    next.wait_for_state("connected");
    assert_eq!(next.stop(), Some(0));
}

fn bridge_of(gateway: &Gateway) -> u32 {
    let found = wait::until(wait::LIMIT, || gateway.children().into_iter().find(|pid| is_alive(*pid)));
    found.expect("the gateway runs a bridge")
}

fn kill(pid: u32, signal: Signal) {
    let pid = rustix::process::Pid::from_raw(pid.cast_signed()).expect("a pid");
    rustix::process::kill_process(pid, signal).expect("it is there");
}

/// Sends 100 messages over ten chats; the gateway or its bridge dies by kill -9 while they are on their way.
#[test]
fn a_hundred_messages_in_flight_survive_twenty_kills() {
    const KILLS: usize = 20;
    const MESSAGES: usize = 100;
    let friends: Vec<String> = (0..10).map(|n| format!("1555000300{n}")).collect();
    let (home, mut fake) = paired();
    // Two thousand answers at the rate that is fit for people would take minutes.
    home.write(
        "gateway.toml",
        format!("[platforms.whatsapp]\nweb_socket_url = \"{}\"\nrates = \"off\"\n", fake.url),
    );
    let env = String::from_utf8(home.dot_env().expect("it is set up")).expect("text");
    home.write(".env", env.replace(FRIEND, &friends.join(",")));
    // Each by itself, so that the answers can be counted.
    let terms = "gateway = { join_window = \"0s\", chat_turns_per_minute = 0 }\n";
    let url = &fake.url;
    home.write(
        "gateway.toml",
        format!("{terms}[platforms.whatsapp]\nweb_socket_url = \"{url}\"\nrates = \"off\"\n"),
    );
    let mut gateway = Gateway::start(&home);
    gateway.wait_for_state("connected");
    for round in 0..KILLS {
        let prefix = format!("round{round}-");
        fake.tell(json!({ "cmd": "burst", "from": friends, "count": MESSAGES, "prefix": prefix }));
        // The victim dies after a share of the answers, a different one each time.
        let share = (round * 37) % MESSAGES;
        let reached = wait::until(wait::LIMIT, || (answers(&fake, &prefix).len() >= share).then_some(()));
        assert!(
            reached.is_some(),
            "round {round}: only {} of {share} answers",
            answers(&fake, &prefix).len()
        );
        if round % 2 == 0 {
            gateway.kill();
            gateway = Gateway::start(&home);
        } else if let Some(bridge) = gateway.children().into_iter().find(|pid| is_alive(*pid)) {
            kill(bridge, Signal::KILL);
        }
        let all = wait::until(wait::LIMIT * 2, || (answers(&fake, &prefix).len() >= MESSAGES).then_some(()));
        assert!(
            all.is_some(),
            "round {round}: {} of {MESSAGES} answered\n{}",
            answers(&fake, &prefix).len(),
            gateway.log().join("\n")
        );
    }
    for round in 0..KILLS {
        let answers = answers(&fake, &format!("round{round}-"));
        assert_eq!(answers.len(), MESSAGES, "round {round}: answered more than once");
    }
    assert_eq!(gateway.stop(), Some(0));
}

/// Returns the answers to messages of this prefix, each message id once, as a phone shows them.
fn answers(fake: &FakeWhatsApp, prefix: &str) -> Vec<String> {
    fake.received().into_iter().map(|(_, text)| text).filter(|text| text.contains(prefix)).collect()
}
