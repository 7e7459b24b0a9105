//! The fault table, faults that only a service like Telegram's has; `rows.md` has the test of each row.

use std::os::unix::fs::PermissionsExt;

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::support::telegram::Fault;
use crate::support::telegram::scene::{FRIEND, entry, wait_until};
use crate::support::telegram::service::now;
use crate::support::wait;
use crate::telegram::{Scene, lines};

/// Returns the time until the next try, in seconds.
fn due_in(entry: &Value) -> i64 {
    let at: Timestamp = entry["next_retry_at"].as_str().expect("it is said when").parse().expect("a time");
    at.as_second() - hermes::clock::Now::read().wall.as_second()
}

fn open_limit() -> Fault {
    Fault::refuse(429, "Too Many Requests")
}

#[test]
fn row_18_a_limit_on_receiving_without_a_time_is_waited_out_and_is_no_failure() {
    let scene = Scene::set();
    let mut gateway = scene.connected();
    scene.service.fail("getUpdates", [open_limit()]);
    // The next poll comes once there is an update to confirm.
    scene.write("before the limit");
    let entry = wait_until(&gateway, "limited", |entry| entry["error_code"] == "telegram_rate_limited");
    assert_eq!((&entry["state"], &entry["attempts"]), (&json!("retrying"), &json!(0)), "{entry:#}");
    assert!((10..=31).contains(&due_in(&entry)), "{entry:#}");
    assert_eq!(lines(&gateway, "code=\"telegram_rate_limited\"").len(), 1, "{}", gateway.log().join("\n"));
    assert_eq!(gateway.stop(), Some(0));
}

#[test]
fn row_18_a_limit_on_sending_without_a_time_holds_the_bot_when_it_meets_two_chats() {
    const OTHER: i64 = FRIEND + 1;
    let scene = Scene::set();
    scene.home.write(
        ".env",
        format!(
            "TELEGRAM_BOT_TOKEN={}\nTELEGRAM_ALLOWED_USERS={FRIEND},{OTHER}\n",
            crate::support::telegram::service::TOKEN
        ),
    );
    let mut gateway = scene.connected();
    scene.service.fail("sendMessage", [open_limit(), open_limit()]);
    scene.service.write(FRIEND, FRIEND, "one");
    scene.service.write(OTHER, OTHER, "two");
    let entry = wait_until(&gateway, "limited", |entry| entry["state"] == "rate_limited");
    assert!((20..=31).contains(&due_in(&entry)), "{entry:#}");
    // They are counted a moment later.
    let both = wait::until(wait::LIMIT, || (gateway.state()["queues"]["outbox"] == 2).then_some(()));
    assert!(both.is_some(), "both wait: {:#}", gateway.state());
    assert_eq!(scene.service.asked("sendMessage").len(), 2, "nothing more is asked of it");
    assert_eq!(gateway.stop(), Some(0));
}

/// Makes an update that is not a message of any known kind.
fn malformed(number: usize) -> Value {
    json!({ "message": { "message_id": format!("no number {number}") } })
}

#[test]
fn row_20_where_no_update_can_be_read_they_are_kept_and_confirmed_and_the_connection_is_given_up() {
    let scene = Scene::set();
    let mut gateway = scene.connected();
    let ids: Vec<i64> = (0..20).map(|number| scene.service.push(malformed(number))).collect();
    gateway.wait_for_log("code=\"telegram_protocol\"");
    scene.confirmed();
    let aside = scene.home.paths().telegram().unreadable_dir();
    for id in ids {
        let path = aside.join(format!("{id}.json"));
        assert_eq!(path.metadata().expect("it is kept").permissions().mode() & 0o777, 0o600);
        assert!(std::fs::read_to_string(path).unwrap().contains("no number"));
    }
    scene.write("sense again");
    scene.answered("sense again");
    for word in ["update_unreadable", "code=\"telegram_protocol\""] {
        assert_eq!(lines(&gateway, word).len(), 1, "{word}: {}", gateway.log().join("\n"));
    }
    assert_eq!(gateway.stop(), Some(0));
}

#[test]
fn row_20_one_odd_chat_costs_nobody_the_connection() {
    let scene = Scene::set();
    let mut gateway = scene.connected();
    let since = entry(&gateway)["since"].clone();
    scene.write("early");
    scene.answered("early");
    for number in 0..40 {
        scene.service.push(malformed(number));
    }
    scene.confirmed();
    scene.write("behind them");
    scene.answered("behind them");
    let entry = entry(&gateway);
    assert_eq!((&entry["state"], &entry["since"]), (&json!("connected"), &since), "{entry:#}");
    assert_eq!(gateway.stop(), Some(0));
}

#[test]
fn row_20_what_can_neither_be_read_nor_kept_stops_nobody_and_is_told_while_nothing_can_be_kept() {
    let scene = Scene::set();
    let paths = scene.home.paths().telegram();
    let aside = paths.unreadable_dir();
    let name = aside.strip_prefix(scene.home.root()).unwrap().to_owned();
    // A file where the folder should be: nothing can be kept.
    scene.home.write(name.to_str().unwrap(), "in the way");
    let mut gateway = scene.connected();
    let problems = || gateway.state()["problems"].to_string();
    let id = scene.service.push(malformed(0));
    scene.write("behind it");
    scene.answered("behind it");
    scene.confirmed();
    let told = gateway.wait_for_log("update_left_out");
    assert!(told.contains(&format!("The update {id} ")) && told.contains("WARN"), "{told}");
    assert!(problems().contains("unreadable_folder_unwritable"), "{}", problems());
    let doctor = scene.home.run(["doctor"]);
    assert!(doctor.stdout.contains("unreadable_folder_unwritable"), "{doctor:?}");
    std::fs::remove_file(&aside).unwrap();
    let is_over = || (!problems().contains("unreadable_folder_unwritable")).then_some(());
    assert!(wait::until(wait::LIMIT, is_over).is_some(), "{}", problems());
    // Where a folder stands under the name of one alone, it gets another name.
    std::fs::create_dir(aside.join(format!("{}.json", id + 2))).unwrap();
    assert_eq!(scene.service.push(malformed(1)), id + 2);
    scene.confirmed();
    assert!(aside.join(format!("{}-kept.json", id + 2)).exists());
    assert_eq!(lines(&gateway, "update_left_out").len(), 1);
    assert_eq!(gateway.stop(), Some(0));
}

#[test]
fn row_22_of_a_text_that_is_too_large_the_beginning_is_taken_and_its_sender_told() {
    // An absent agent keeps the message where it can be looked at.
    let scene = Scene::set_with(
        "[agent]\nkind = \"openai\"\nmodel = \"none\"\nbase_url = \"http://127.0.0.1:9/v1\"\n",
    );
    let mut gateway = scene.connected();
    scene.write(&"long ".repeat(300_000));
    scene.answered("Your message is too long (1.5 MB). I received only its beginning.");
    scene.write("and the next");
    scene.confirmed();
    let told = lines(&gateway, "message_cut");
    assert!(told.len() == 1 && told[0].contains("len=1500000"), "{told:?}");
    let notices = scene.service.sent().into_iter().filter(|sent| sent.text.contains("too long")).count();
    assert_eq!(notices, 1);
    assert_eq!(gateway.stop(), Some(0));
    let db = rusqlite::Connection::open(scene.home.paths().database()).unwrap();
    let body: String =
        db.query_row("SELECT body FROM inbox ORDER BY id LIMIT 1", [], |row| row.get(0)).unwrap();
    let body: Value = serde_json::from_str(&body).unwrap();
    let text = body["text"].as_str().unwrap();
    assert!(text.starts_with("long long") && text.ends_with("too long]"));
    assert!(text.len() < (1 << 20) + 100);
}

#[test]
fn row_23_whoever_sends_a_file_that_is_too_large_is_told_and_its_text_is_answered() {
    let scene = Scene::set();
    let mut gateway = scene.connected();
    scene.service.push(json!({ "message": {
        "message_id": 1, "date": now(), "chat": { "id": FRIEND, "type": "private" },
        "from": { "id": FRIEND, "is_bot": false, "first_name": "Ada" }, "caption": "see it",
        "document": { "file_id": "big", "file_name": "big.zip", "mime_type": "application/zip", "file_size": 1_u64 << 40 } } }));
    scene.answered("I did not get your document big.zip: it is larger than the limit.");
    let answer = scene.service.wait_sent(FRIEND, "see it");
    assert!(
        answer.text.contains("[document big.zip, not fetched: it is larger than the limit]"),
        "{}",
        answer.text
    );
    assert_eq!(scene.service.asked("getFile").len(), 0, "it is not even asked for");
    assert_eq!(gateway.stop(), Some(0));
}

#[test]
fn a_conflict_stops_receiving_alone_and_a_resume_ends_its_wait() {
    let scene = Scene::set();
    let mut gateway = scene.connected();
    scene
        .service
        .stand("getUpdates", Some(Fault::refuse(409, "Conflict: terminated by other getUpdates request")));
    scene.write("nobody fetches it");
    // Each resume is one more try at once, and each conflict waits longer.
    for count in 1..=6 {
        let asked = || scene.service.asked("getUpdates").len();
        let entry =
            wait_until(&gateway, "in conflict", |entry| entry["error_code"] == "telegram_polling_conflict");
        assert_eq!(entry["state"], "retrying", "{entry:#}");
        let before = asked();
        let resumed = scene.home.run(["platform", "resume", "telegram"]);
        assert!(resumed.stdout.contains("again now"), "{resumed:?}");
        let tried = wait::until(wait::LIMIT, || (asked() > before).then_some(()));
        assert!(tried.is_some(), "{count}: {:#}", gateway.state());
    }
    let sent = scene.home.run(["send", &format!("telegram:{FRIEND}"), "sent all the same", "--wait"]);
    assert_eq!(sent.code, Some(0), "{sent:?}");
    scene.service.stand("getUpdates", None);
    assert_eq!(scene.home.run(["platform", "resume", "telegram"]).code, Some(0));
    scene.answered("nobody fetches it");
    wait_until(&gateway, "connected", |entry| entry["state"] == "connected");
    assert_eq!(gateway.stop(), Some(0));
}

#[test]
fn failing_polls_are_tried_again_inside_the_connection_which_goes_on_sending() {
    let scene = Scene::set();
    let mut gateway = scene.connected();
    let connects = || scene.service.asked("getMe").len();
    let before = connects();
    for fault in
        [Fault::Answer(502, json!("Bad Gateway")), Fault::CutBefore, Fault::Garbage(b"<html>".to_vec())]
    {
        scene.service.stand("getUpdates", Some(fault));
        scene.write("while polls fail");
        let entry = wait_until(&gateway, "retrying", |entry| entry["attempts"].as_u64() >= Some(2));
        assert_eq!(
            (&entry["state"], &entry["error_code"]),
            (&json!("retrying"), &json!("telegram_network_error"))
        );
        assert!(entry["error_message"].as_str().is_some_and(|told| told.contains("/10 ")), "{entry:#}");
        assert!(entry["next_retry_at"].is_string(), "{entry:#}");
        let sent = scene.home.run(["send", &format!("telegram:{FRIEND}"), "sent all the same", "--wait"]);
        assert_eq!(sent.code, Some(0), "{sent:?}");
        scene.service.stand("getUpdates", None);
        wait_until(&gateway, "connected", |entry| entry["state"] == "connected" && entry["attempts"] == 0);
    }
    scene.answered("while polls fail");
    assert!(connects() <= before + 3, "the connection is the same, and is looked at each 30 s");
    assert_eq!(gateway.stop(), Some(0));
}
