//! The fault table: the effect of each fault on its platform, and that the others are not affected. Here are the faults that
//! come through a connection; `host_faults` has those of the machine and of the WhatsApp bridge's process. The numbers are
//! those of the table in the reliability notes.
//!
//! `rows.md` has the test of each row.

use serde_json::{Value, json};

use crate::support::house::House;
use crate::support::wait;

/// The effect of a row on `scripted2`.
struct Row {
    name: &'static str,
    /// The cue for its live connection.
    blow: Value,
    /// The cue for each later attempt; null: none, it hangs.
    again: Value,
    state: &'static str,
    code: &'static str,
    /// True when the failures are counted.
    counted: bool,
}

fn row(name: &'static str, blow: Value, again: Value, code: &'static str) -> Row {
    Row { name, blow, again, state: "retrying", code, counted: true }
}

fn lost(code: &str) -> Value {
    json!({ "do": "drop", "code": code })
}

fn failed(code: &str) -> Value {
    json!({ "do": "fail", "code": code })
}

/// Returns the faults of a connection after which it is tried again.
fn retried() -> Vec<Row> {
    vec![
        row("01 no such name", lost("net_dns"), failed("net_dns"), "net_dns"),
        row("02 refused", lost("net_refused"), failed("net_refused"), "net_refused"),
        row("03 a connect that never returns", lost("net_timeout"), Value::Null, "net_timeout"),
        row(
            "04 a certificate that is not trusted",
            lost("tls_untrusted"),
            failed("tls_untrusted"),
            "tls_untrusted",
        ),
        row("05 a handshake that is cut", lost("net_tls"), failed("net_tls"), "net_tls"),
        row("06 a peer that is gone without a word", json!({ "do": "silence" }), Value::Null, "net_timeout"),
        row("08 a proxy that lets nobody through", lost("net_proxy"), failed("net_proxy"), "net_proxy"),
        row("10 an answer that trickles", lost("net_slow"), failed("net_slow"), "net_slow"),
        row(
            "86 a panic in the platform's code",
            json!({ "do": "panic" }),
            json!({ "do": "panic" }),
            "adapter_panicked",
        ),
        Row {
            counted: false,
            ..row(
                "17 a limit with its time",
                json!({ "do": "drop", "code": "qq_rate_limited", "retry": { "after_ms": 1000 } }),
                json!({ "do": "fail", "code": "qq_rate_limited", "retry": { "after_ms": 1000 } }),
                "qq_rate_limited",
            )
        },
    ]
}

#[test]
fn a_fault_of_a_connection_is_told_once_tried_again_and_nothing_to_the_others() {
    let mut house = House::open(2);
    let mut player = house.stage.connect("scripted2");
    house.wait_for("scripted2", "connected");
    for row in retried() {
        let Row { name, blow, again, state, code, counted } = row;
        let from = house.gateway.log().len();
        player.cue(blow);
        for _ in 0..2 {
            let attempt = house.stage.attempt("scripted2");
            if !again.is_null() {
                attempt.cue(again.clone());
            }
        }
        let entry = house.wait_until("scripted2", name, |entry| {
            entry["state"] == state && entry["error_code"] == code && entry["next_retry_at"].is_string()
        });
        assert_eq!(entry["attempts"].as_u64() > Some(0), counted, "{name}: {entry:#}");
        house.assert_others_unaffected();
        player = house.heal("scripted2");
        player.write(name, "friend", "and you");
        player.take_message("and you");
        let back = wait::until(wait::LIMIT, || {
            let lines = house.lines(from, "scripted2");
            lines.iter().any(|line| line.contains("is connected")).then_some(lines)
        });
        let lines = back.unwrap_or_else(|| panic!("{name}: its return was not told"));
        let told = lines.iter().filter(|line| line.contains(&format!("code=\"{code}\""))).count();
        assert_eq!(told, 1, "{name}: a line for the turn, none for an attempt:\n{}", lines.join("\n"));
        assert!(lines.len() <= 2, "{name}:\n{}", lines.join("\n"));
    }
    assert_eq!(house.gateway.stop(), Some(0));
}

#[test]
fn row_07_a_connection_that_does_not_close_holds_up_nothing() {
    let mut house = House::open(2);
    let old = house.stage.connect("scripted2");
    house.wait_for("scripted2", "connected");
    old.cue(json!({ "do": "hang_close" }));
    old.cue(lost("net_refused"));
    let new = house.heal("scripted2");
    assert!(house.lines(0, "close_timeout").is_empty(), "it came back before the old one was given up");
    house.assert_others_unaffected();
    // Late reports of the old connection change nothing.
    old.cue(lost("net_tls"));
    new.write("m", "friend", "still there");
    new.take_message("still there");
    assert_eq!(house.entry("scripted2")["state"], "connected");
}

#[test]
fn rows_8_12_and_14_what_a_person_must_mend_is_told_once_with_the_remedy_and_comes_back_when_mended() {
    let mut house = House::open(2);
    for (name, code, at_login) in [
        ("12 a token that is refused", "telegram_bad_token", false),
        ("14 a login that is forbidden", "scripted_blocked", true),
        ("08 a proxy that refuses our credentials", "proxy_auth", true),
    ] {
        let player = if at_login {
            house.stage.attempt("scripted2")
        } else {
            let player = house.stage.connect("scripted2");
            house.wait_for("scripted2", "connected");
            player
        };
        let from = house.gateway.log().len();
        let cause = json!({ "code": code, "message": "the service says no", "user_action": "Mend it." });
        house.stage.block("scripted2", &cause);
        let mut blow = cause.clone();
        blow["do"] = json!(if at_login { "fail" } else { "drop" });
        blow["retry"] = json!("never");
        player.cue(blow);
        let entry = house.wait_until("scripted2", name, |entry| entry["error_code"] == code);
        assert_eq!((&entry["state"], &entry["user_action"]), (&json!("fatal"), &json!("Mend it.")), "{name}");
        assert_eq!(entry["next_retry_at"], Value::Null, "{name}");
        house.assert_others_unaffected();
        let lines = house.lines(from, code);
        let is_whole = |line: &String| line.contains("ERROR") && line.contains("Mend it.");
        assert!(lines.len() == 1 && lines.iter().all(is_whole), "{name}: {lines:?}");
        assert!(house.stage.take("scripted2").is_none(), "{name}: it is not tried");
        house.stage.unblock("scripted2");
        let back = house.heal("scripted2");
        assert_eq!(house.lines(from, code).len(), 1, "{name}");
        back.cut();
    }
    assert_eq!(house.gateway.stop(), Some(0));
}

#[test]
fn rows_11_13_and_15_a_message_that_is_refused_for_good_is_given_up_alone() {
    let mut house = House::open(2);
    let player = house.stage.connect("scripted2");
    let since = house.wait_for("scripted2", "connected")["since"].clone();
    for (number, (name, code)) in (1_u64..).zip([
        ("11 a text that the service does not take", "bad_request"),
        ("13 a chat that has thrown us out", "forbidden"),
        ("15 a chat that is gone", "not_found"),
    ]) {
        player.write(&format!("bad {number}"), &format!("gone {number}"), "to the one");
        let send = take(&player, &format!("bad {number}"), "to the one", number);
        player.cue(json!({ "do": "unsent", "handle": send["handle"], "code": code, "certainty": "not_sent", "retry": "never" }));
        player.write(&format!("good {number}"), "friend", &format!("to the other {number}"));
        player.take_message(&format!("to the other {number}"));
        assert_eq!(
            house.lines(0, &format!("code={code}")).len(),
            1,
            "{name}: {}",
            house.gateway.log().join("\n")
        );
    }
    let entry = house.entry("scripted2");
    assert_eq!(
        (entry["state"].as_str(), &entry["since"]),
        (Some("connected"), &since),
        "the platform is well"
    );
    house.assert_others_unaffected();
    assert_eq!(house.gateway.stop(), Some(0));
    let db = rusqlite::Connection::open(house.home.paths().database()).unwrap();
    let kept = "SELECT COUNT(*) FROM outbox WHERE state = 'dead' AND body IS NOT NULL";
    let kept: i64 = db.query_row(kept, [], |row| row.get(0)).unwrap();
    assert_eq!(kept, 3, "they are kept to be looked at");
}

/// Returns the nth message that holds this text, without taking it.
fn take(player: &crate::support::stage::Player, what: &str, text: &str, nth: u64) -> Value {
    let found = wait::until(wait::LIMIT, || {
        let holds = |said: &Value| {
            said["say"] == "send" && said["text"].as_str().is_some_and(|sent| sent.contains(text))
        };
        player.said().into_iter().filter(holds).nth(usize::try_from(nth).unwrap() - 1)
    });
    found.unwrap_or_else(|| panic!("{what}: {:?}", player.said()))
}

#[test]
fn rows_17_and_19_what_may_be_sent_later_is_sent_later_and_nothing_overtakes_it() {
    let mut house = House::open(2);
    let player = house.stage.connect("scripted2");
    let since = house.wait_for("scripted2", "connected")["since"].clone();
    for (name, unsent, marked) in [
        (
            "17 a limit on sending",
            json!({ "code": "limited", "certainty": "not_sent", "retry": { "after_ms": 300 } }),
            false,
        ),
        (
            "19 a server that failed, perhaps after it sent",
            json!({ "code": "server_error", "certainty": "maybe_sent" }),
            true,
        ),
    ] {
        let text = if marked { "uncertain" } else { "limited" };
        player.write(&format!("{text} 1"), "friend", &format!("{text} one"));
        let first = take(&player, name, &format!("{text} one"), 1);
        player.write(&format!("{text} 2"), "friend", &format!("{text} two"));
        house.assert_others_unaffected();
        let mut cue = unsent;
        cue["do"] = json!("unsent");
        cue["handle"] = first["handle"].clone();
        player.cue(cue);
        let again = take(&player, name, &format!("{text} one"), 2);
        assert_eq!(again["handle"], first["handle"], "{name}: the same message, not a second one");
        assert!(
            !player
                .said()
                .iter()
                .any(|said| said["text"].as_str().is_some_and(|sent| sent.contains(&format!("{text} two")))),
            "{name}: the next waits"
        );
        player.cue(json!({ "do": "sent", "handle": again["handle"] }));
        player.take_message(&format!("{text} two"));
    }
    let entry = house.entry("scripted2");
    assert_eq!((entry["state"].as_str(), &entry["since"]), (Some("connected"), &since));
    assert_eq!(house.gateway.state()["queues"]["dead"], 0);
    assert_eq!(house.gateway.stop(), Some(0));
}

#[test]
fn row_24_a_message_that_comes_again_is_answered_once_also_after_a_restart() {
    let mut house = House::open(2);
    let player = house.stage.connect("scripted2");
    house.wait_for("scripted2", "connected");
    player.write("same", "friend", "say it once");
    player.take_message("say it once");
    player.write("same", "friend", "say it once");
    player.cut();
    let player = house.heal("scripted2");
    player.write("same", "friend", "say it once");
    player.write("next", "friend", "the next");
    player.take_message("the next");
    let acknowledged = |player: &crate::support::stage::Player| {
        player.said().iter().filter(|said| said["say"] == "accepted").count()
    };
    assert_eq!(acknowledged(&player), 2, "a repeat is acknowledged again: {:?}", player.said());
    assert!(
        !player.said().iter().any(|said| said["text"].as_str().is_some_and(|text| text.contains("once")))
    );
    house.assert_others_unaffected();
    assert_eq!(house.gateway.stop(), Some(0));
}
