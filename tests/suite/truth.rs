//! The shown state of a running gateway is true now, and the written one is not much older.

use std::io::Write;
use std::time::Duration;

use serde_json::{Value, json};

use crate::support::home::TestHome;
use crate::support::house::{House, QUICK};
use crate::support::http::ask;
use crate::support::telegram::service::TOKEN;
use crate::support::telegram::{Fault, TelegramService};
use crate::support::truth::Fact;
use crate::support::wait;

fn asked(home: &TestHome) -> Value {
    serde_json::from_str(&home.run(["platform", "status", "--json"]).stdout).expect("JSON")
}

#[test]
fn a_message_is_in_the_status_at_once_and_in_the_file_soon() {
    let mut house = House::open(1);
    house.assert_others_unaffected();
    let shown = asked(&house.home);
    let (seen, sent) = ("last_inbound_at", "last_outbound_at");
    let platform = |document: &Value| document["platforms"]["scripted1"].clone();
    assert!(platform(&shown)[seen].is_string() && platform(&shown)[sent].is_string(), "{shown:#}");

    // Less than the heartbeat: by it alone the file could be right only now and then.
    for round in 0..3 {
        let before = platform(&house.gateway.state());
        house.assert_others_unaffected();
        let written = wait::until(Duration::from_secs(5), || {
            let entry = platform(&house.gateway.state());
            (entry[seen] != before[seen] && entry[sent] != before[sent]).then_some(())
        });
        assert!(written.is_some(), "round {round}: {:#}", house.gateway.state());
    }

    // A waiting message is counted too: one that the platform does not take.
    house.well.write("waits", "friend", "who takes this");
    let said = wait::until(wait::LIMIT, || {
        house
            .well
            .said()
            .into_iter()
            .find(|said| said["text"].as_str().is_some_and(|text| text.contains("who takes")))
    });
    let waits = wait::until(wait::LIMIT, || (asked(&house.home)["queues"]["outbox"] == 1).then_some(()));
    assert!(waits.is_some(), "{:#}", asked(&house.home));
    house.well.cue(json!({ "do": "sent", "handle": said.expect("it is sent")["handle"] }));
    let empty = wait::until(wait::LIMIT, || (asked(&house.home)["queues"]["outbox"] == 0).then_some(()));
    assert!(empty.is_some(), "{:#}", asked(&house.home));
    assert_eq!(house.gateway.stop(), Some(0));
}

#[test]
fn the_service_that_judges_telegram_knows_which_polls_it_really_answers() {
    let service = TelegramService::start();
    let address = service.base().replace("http://", "");
    let poll = || ask(&address, &format!("POST /bot{TOKEN}/getUpdates"), &["Connection: close"]);
    let facts = || service.witness().facts();
    assert_eq!(poll().status, 200);
    assert_eq!(facts(), [(1, Fact::Up), (1, Fact::Silent), (0, Fact::Gone)]);
    service.fail("getUpdates", [Fault::refuse(502, "Bad Gateway")]);
    assert_eq!(poll().status, 502);
    assert_eq!(facts()[3..5], [(2, Fact::Gone), (1, Fact::Gone)], "it answered, and not well");
    let known = facts().len();
    service.fail("getUpdates", [Fault::Hang]);
    let stream = std::net::TcpStream::connect(&address).unwrap();
    let body = format!("POST /bot{TOKEN}/getUpdates HTTP/1.1\r\nHost: test\r\nContent-Length: 0\r\n\r\n");
    (&stream).write_all(body.as_bytes()).unwrap();
    let silent = || facts().iter().skip(known).any(|fact| *fact == (3, Fact::Silent));
    assert!(wait::until(wait::LIMIT, || silent().then_some(())).is_some(), "{:?}", facts());
    drop(stream);
    let gone = || facts().last() == Some(&(3, Fact::Gone));
    assert!(wait::until(wait::LIMIT, || gone().then_some(())).is_some(), "{:?}", facts());
    service.set_webhook("https://example.org/here");
    let told = ask(&address, &format!("POST /bot{TOKEN}/getWebhookInfo"), &["Connection: close"]);
    assert_eq!((told.status, facts().contains(&(4, Fact::Up))), (200, true), "nobody polls: {:?}", facts());
}

#[test]
fn what_flaps_is_never_shown_as_connected() {
    let mut house = House::furnish(
        2,
        &QUICK.replace("stable_after = \"10ms\"", "stable_after = \"60s\", breaker_after = 0"),
        |_| {},
    );
    for _ in 0..5 {
        house.heal("scripted2").cut();
    }
    // The log keeps it; the status shows the next attempt's failure a moment later.
    house.gateway.wait_for_log("code=\"flapping\"");
    for _ in 0..4 {
        let player = house.stage.connect("scripted2");
        let id = format!("while it flaps {}", house.gateway.log().len());
        player.write(&id, "friend", &id);
        // It works, and is used; it is not reported as healthy.
        player.take_message(&id);
        let entry = house.entry("scripted2");
        assert_eq!(
            (&entry["state"], &entry["error_code"]),
            (&json!("retrying"), &json!("flapping")),
            "{entry:#}"
        );
        player.cut();
    }
    house.assert_others_unaffected();
    assert_eq!(house.gateway.stop(), Some(0));
}
