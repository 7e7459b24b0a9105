//! Delivery from the finished turn to the platform, over real processes: repeats, parts, limits, losses, and commands.

use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::process::Stdio;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::home::TestHome;
use crate::support::house::QUICK;
use crate::support::process::Gateway;
use crate::support::stage::{Player, Stage};
use crate::support::wait;

/// A gateway with the scripted platform of this number.
fn start(number: u8, toml: &str, env: &[(&str, &str)]) -> (Stage, TestHome, Gateway) {
    let stage = Stage::of(number..=number);
    let mut home = TestHome::empty();
    home.env.push(stage.variable());
    home.env.extend(env.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
    home.write("gateway.toml", toml);
    std::fs::set_permissions(home.root(), std::fs::Permissions::from_mode(0o700)).expect("it is ours");
    let gateway = Gateway::start(&home);
    (stage, home, gateway)
}

fn sends(player: &Player) -> Vec<Value> {
    player.said().into_iter().filter(|said| said["say"] == "send").collect()
}

/// Returns the nth message (from 0) that reached the service, without taking it.
fn nth(player: &Player, n: usize) -> Value {
    let found = wait::until(wait::LIMIT, || sends(player).get(n).cloned());
    found.unwrap_or_else(|| panic!("message {n} did not come: {:?}", player.said()))
}

fn sent(player: &Player, message: &Value) {
    player.cue(json!({ "do": "sent", "handle": message["handle"] }));
}

fn text(message: &Value) -> &str {
    message["text"].as_str().expect("a text")
}

fn wait_for_queue(gateway: &Gateway, name: &str, count: u64) {
    let seen = wait::until(wait::LIMIT, || (gateway.state()["queues"][name] == count).then_some(()));
    assert!(seen.is_some(), "{name} never was {count}: {:#}", gateway.state()["queues"]);
}

#[test]
fn where_people_see_repeats_a_killed_answer_goes_on_where_it_stopped_and_says_so() {
    let (stage, home, mut gateway) = start(9, QUICK, &[]);
    let player = stage.connect("scripted9");
    let question =
        "one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen";
    player.write("m", "friend", question);
    let first = nth(&player, 0);
    sent(&player, &first);
    let second = nth(&player, 1);
    gateway.kill();
    drop(player);

    let mut gateway = Gateway::start(&home);
    let player = stage.connect("scripted9");
    let again = nth(&player, 0);
    assert_eq!(again["handle"], second["handle"], "the part of unknown fate");
    assert_eq!(text(&again), format!("(maybe a repeat)\n{}", text(&second)));
    assert!(text(&again).encode_utf16().count() <= 64);
    sent(&player, &again);
    let mut rest = Vec::new();
    while !rest.last().is_some_and(|part| text(part).ends_with("sixteen")) {
        let part = nth(&player, 1 + rest.len());
        sent(&player, &part);
        rest.push(part);
    }
    wait_for_queue(&gateway, "outbox", 0);
    assert!(rest.iter().all(|part| part["handle"] != first["handle"]), "the first part is not said again");
    let told: Vec<&str> = [&first, &second].into_iter().chain(&rest).map(text).collect();
    assert!(told.join(" ").contains(question), "{told:?}");
    assert_eq!(gateway.stop(), Some(0));
}

#[test]
fn a_chat_is_not_written_to_faster_than_its_platform_likes() {
    let (stage, _home, mut gateway) = start(8, QUICK, &[]);
    let player = stage.connect("scripted8");
    let begin = Instant::now();
    for n in 0..5 {
        player.write(&format!("m{n}"), "friend", &format!("question {n}"));
        player.take_message(&format!("question {n}"));
    }
    assert!(begin.elapsed() >= Duration::from_millis(850), "two at once, then one every 300 ms");
    assert_eq!(gateway.stop(), Some(0));
}

#[test]
fn rows_13_and_15_a_chat_that_is_gone_is_left_alone_until_it_speaks() {
    let (stage, home, mut gateway) = start(1, QUICK, &[]);
    let player = stage.connect("scripted1");
    player.write("m1", "friend", "a canary");
    let refused = nth(&player, 0);
    player.cue(json!({ "do": "unsent", "handle": refused["handle"], "code": "forbidden",
        "certainty": "not_sent", "retry": "never", "chat_gone": true }));
    wait_for_queue(&gateway, "dead", 1);

    let list = home.run(["dead", "list"]);
    assert!(list.code == Some(0) && list.stdout.contains("out-1"), "{list:?}");
    assert!(list.stdout.contains("forbidden") && !list.stdout.contains("canary"), "{list:?}");
    let show = home.run(["dead", "show", "out-1"]);
    assert!(show.stdout.contains("a canary") && show.stdout.contains("friend"), "{show:?}");
    let send = home.run(["send", "scripted1:friend", "are you there?", "--wait=20s"]);
    assert!(send.code == Some(1) && send.stderr.contains("could not be delivered"), "{send:?}");
    assert_eq!(sends(&player).len(), 1, "nothing more was tried");

    player.write("m2", "friend", "I am back");
    let notice = nth(&player, 1);
    assert!(text(&notice).contains("could not be delivered"), "{notice}");
    sent(&player, &notice);
    player.take_message("I am back");
    let retry = home.run(["dead", "retry", "all", "--json"]);
    assert_eq!(retry.stdout.trim(), r#"{"retried":2}"#, "{retry:?}");
    for (n, said) in [(3, "a canary"), (4, "are you there?")] {
        let again = nth(&player, n);
        assert!(text(&again).contains(said), "{again}");
        sent(&player, &again);
    }
    wait_for_queue(&gateway, "dead", 0);
    assert_eq!(gateway.stop(), Some(0));
}

#[test]
fn what_waits_for_too_long_is_a_dead_letter_and_told_with_the_next_answer() {
    let toml = format!("{QUICK}outbox_expiry = \"1s\"\n");
    let (stage, home, mut gateway) = start(1, &toml, &[]);
    let player = stage.connect("scripted1");
    player.write("m1", "friend", "too late");
    let refused = nth(&player, 0);
    player
        .cue(json!({ "do": "unsent", "handle": refused["handle"], "code": "busy", "certainty": "not_sent" }));
    wait_for_queue(&gateway, "dead", 1);
    player.write("m2", "friend", "and now");
    let notice = nth(&player, 1);
    assert!(text(&notice).contains("could not be delivered"), "{notice}");
    sent(&player, &notice);
    player.take_message("and now");
    assert_eq!(gateway.stop(), Some(0));

    // Without a gateway the command works on the store itself.
    let list = home.run(["dead", "list", "--json"]);
    let letters: Value = serde_json::from_str(&list.stdout).expect("JSON");
    assert_eq!(letters["letters"][0]["reason"], "it could not be sent in time", "{list:?}");
    assert_eq!(home.run(["dead", "drop", "out-1", "out-99"]).code, Some(1), "one of them is not there");
    assert_eq!(home.run(["dead", "list"]).stdout, "No undelivered messages.\n");
}

#[test]
fn a_message_is_sent_by_hand_to_a_chat_and_to_the_home_channel() {
    let home = TestHome::empty();
    let alone = home.run(["send", "whatsapp:15550001111", "hello"]);
    assert_eq!(alone.code, Some(3), "{alone:?}");

    let (stage, home, mut gateway) = start(1, QUICK, &[("SCRIPTED1_HOME_CHANNEL", "owner")]);
    let player = stage.connect("scripted1");
    let accepted = home.run(["send", "scripted1:friend", "hello", "--json"]);
    let document: Value = serde_json::from_str(&accepted.stdout).expect("JSON");
    assert!(accepted.code == Some(0) && document["state"] == "accepted", "{accepted:?}");
    assert_eq!(player.take_message("hello")["chat"], "friend");

    let mut command = home.command(["send", "scripted1", "-", "--wait"]);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("hermes starts");
    child.stdin.take().expect("it is piped").write_all(b"from a pipe").expect("it reads");
    assert_eq!(player.take_message("from a pipe")["chat"], "owner");
    let output = child.wait_with_output().expect("it ends");
    assert!(output.status.success());
    assert!(String::from_utf8_lossy(&output.stdout).contains("Sent."), "{output:?}");

    let nowhere = home.run(["send", "whatsapp", "hello"]);
    assert!(nowhere.code == Some(1) && nowhere.stderr.contains("not enabled"), "{nowhere:?}");

    let paused = home.run(["platform", "pause", "Scripted1", "--json"]);
    let document: Value = serde_json::from_str(&paused.stdout).expect("JSON");
    assert!(paused.code == Some(0) && document["platform"] == "scripted1", "{paused:?}");
    assert!(document["message"].as_str().is_some_and(|said| said.contains("paused")), "{paused:?}");
    let waits = home.run(["send", "scripted1:friend", "later"]);
    assert!(waits.code == Some(0) && waits.stdout.contains("scripted1 was paused by you"), "{waits:?}");
    assert!(waits.stdout.contains("hermes platform resume scripted1"), "{waits:?}");
    let waits = home.run(["send", "scripted1:friend", "later", "--wait=1s"]);
    assert!(waits.code == Some(1) && waits.stderr.contains("[not_sent_yet]"), "{waits:?}");
    assert!(waits.stderr.contains("hermes platform resume scripted1"), "{waits:?}");
    assert_eq!(gateway.stop(), Some(0));
}
