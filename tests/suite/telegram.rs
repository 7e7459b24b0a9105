//! Telegram, over our own Bot API that speaks the real wire protocol.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::home::TestHome;
use crate::support::house::QUICK;
use crate::support::process::Gateway;
use crate::support::telegram::scene::{FRIEND, entry, home, wait_until};
use crate::support::telegram::service::{TOKEN, now};
use crate::support::telegram::{Fault, TelegramService};
use crate::support::wait;

/// A home with a bot.
pub(crate) struct Scene {
    pub(crate) service: TelegramService,
    pub(crate) home: TestHome,
}

impl Scene {
    pub(crate) fn set() -> Self {
        Self::set_with("")
    }

    /// Makes one with more in `gateway.toml`.
    pub(crate) fn set_with(toml: &str) -> Self {
        let service = TelegramService::start();
        let home = home();
        home.write(".env", format!("TELEGRAM_BOT_TOKEN={TOKEN}\nTELEGRAM_ALLOWED_USERS={FRIEND}\n"));
        home.write("gateway.toml", format!("{QUICK}{toml}{}", service.table()));
        std::fs::set_permissions(home.root(), std::os::unix::fs::PermissionsExt::from_mode(0o700))
            .expect("it is ours");
        Self { service, home }
    }

    pub(crate) fn gateway(&self) -> Gateway {
        Gateway::start(&self.home)
    }

    /// Starts a gateway, and waits until it is connected.
    pub(crate) fn connected(&self) -> Gateway {
        let gateway = self.gateway();
        wait_until(&gateway, "connected", |entry| entry["state"] == "connected");
        gateway
    }

    pub(crate) fn write(&self, text: &str) -> i64 {
        self.service.write(FRIEND, FRIEND, text)
    }

    pub(crate) fn answered(&self, text: &str) {
        self.service.wait_sent(FRIEND, text);
    }

    /// Waits until every received update is confirmed at the service.
    pub(crate) fn confirmed(&self) {
        let done = wait::until(wait::LIMIT, || (self.service.waiting() == 0).then_some(()));
        assert!(done.is_some(), "{} updates are not confirmed", self.service.waiting());
    }
}

pub(crate) fn lines(gateway: &Gateway, word: &str) -> Vec<String> {
    let is_shown = |line: &String| !line.contains("DEBUG") && !line.contains("TRACE") && line.contains(word);
    gateway.log().into_iter().filter(is_shown).collect()
}

#[test]
fn a_message_is_answered_and_confirmed_only_once_it_is_on_disk() {
    let scene = Scene::set();
    // A message before the first start is not dropped.
    scene.write("early");
    let mut gateway = scene.connected();
    scene.answered("early");
    scene.write("**bold** & <tag>");
    let sent = scene.service.wait_sent(FRIEND, "bold & <tag>");
    assert!(sent.raw.contains("<b>bold</b> &amp; &lt;tag&gt;"), "{}", sent.raw);
    scene.confirmed();
    assert_eq!(scene.service.dropped(), 0);
    assert!(scene.service.asked("sendChatAction").is_empty(), "a quick answer shows no typing");
    assert_eq!(gateway.stop(), Some(0));
    assert!(!gateway.log().join("\n").contains("not-a-real-token"), "the token is in the log");
}

#[test]
fn what_was_written_long_ago_is_answered_and_says_so() {
    let scene = Scene::set();
    let write = |message: i64, date: i64, text: &str| {
        scene.service.push(json!({ "message": {
            "message_id": message, "date": date, "chat": { "id": FRIEND, "type": "private" },
            "from": { "id": FRIEND, "is_bot": false, "first_name": "Ada" }, "text": text } }));
    };
    write(1, now() - 26 * 3600 - 60, "see you tomorrow");
    write(2, now(), "hello");
    let mut gateway = scene.connected();
    scene.answered("[sent 26 h ago]\nsee you tomorrow");
    scene.answered("Echo: hello");
    assert_eq!(gateway.stop(), Some(0));
}

#[test]
fn whoever_was_away_for_longer_than_telegram_keeps_messages_is_told_once() {
    let scene = Scene::set();
    let be = |token: &str| {
        let env = format!(
            "TELEGRAM_BOT_TOKEN={token}\nTELEGRAM_ALLOWED_USERS={FRIEND}\nTELEGRAM_HOME_CHANNEL={FRIEND}\n"
        );
        scene.home.write(".env", env);
        scene.service.set_token(token);
        token.split_once(':').expect("a token").0.to_owned()
    };
    let seen_by = |gateway: &mut Gateway, bot: &str| {
        scene.write("there?");
        scene.confirmed();
        let db = rusqlite::Connection::open(scene.home.paths().database()).expect("it is there");
        let sql = "SELECT at_s FROM contact WHERE platform = 'telegram' AND account = ?1";
        let at = || db.query_row(sql, [bot], |row| row.get(0));
        // The time of the connection after the last absence is kept.
        let fresh = wait::until(wait::LIMIT, || at().ok().filter(|at: &i64| now() - at < 600));
        assert!(fresh.is_some(), "{:?}\n{}", at(), gateway.log().join("\n"));
        assert_eq!(gateway.stop(), Some(0));
        db
    };
    let bot = be(TOKEN);
    let mut gateway = scene.connected();
    let db = seen_by(&mut gateway, &bot);
    let set = |hours: i64, boot: &str| {
        let sql = "UPDATE contact SET at_s = at_s - ?1, boot_id = coalesce(nullif(?2, ''), boot_id)";
        assert_eq!(db.execute(sql, (hours * 3600, boot)).expect("it is ours"), 1);
    };
    let missed =
        || scene.service.sent().into_iter().filter(|sent| sent.text.contains("may be missing")).count();
    // The clock was set while the machine ran, or the absence was short.
    for (hours, boot) in [(900, ""), (23, "another start of the machine")] {
        set(hours, boot);
        let mut gateway = scene.connected();
        drop(seen_by(&mut gateway, &bot));
        assert!(lines(&gateway, "messages_missed").is_empty(), "{}", gateway.log().join("\n"));
    }
    set(30, "another start of the machine");
    let mut gateway = scene.connected();
    scene.answered("may be missing on Telegram");
    drop(seen_by(&mut gateway, &bot));
    assert_eq!(lines(&gateway, "messages_missed").len(), 1);
    let mut gateway = scene.connected();
    drop(seen_by(&mut gateway, &bot));
    assert_eq!((missed(), lines(&gateway, "messages_missed").len()), (1, 0));
    // Another bot has missed nothing by that; the first one has, when it is back.
    set(31, "another start of the machine");
    for (token, told) in [("7000002:not-a-real-token-either", 1), (TOKEN, 2)] {
        let bot = be(token);
        let mut gateway = scene.connected();
        drop(seen_by(&mut gateway, &bot));
        assert_eq!(missed(), told, "{}", gateway.log().join("\n"));
    }
}

#[test]
fn whoever_is_not_listed_gets_silence() {
    let scene = Scene::set();
    let mut gateway = scene.connected();
    scene.service.write(666, 666, "let me in");
    scene.service.write(-100_500, FRIEND, "in a group that is not listed");
    // A confirmed message is decided, and an answer to the friend comes after any that would have gone to others.
    scene.confirmed();
    scene.write("still there?");
    scene.answered("still there?");
    assert!(scene.service.sent().iter().all(|sent| sent.chat == FRIEND), "{:#?}", scene.service.sent());
    let said = scene.home.run(["platform", "status", "--json"]).stdout;
    assert!(said.contains("\"inbox\":0"), "{said}");
    assert_eq!(gateway.stop(), Some(0));
}

#[test]
fn in_a_topic_of_a_listed_group_whoever_speaks_to_us_is_answered_there() {
    let scene = Scene::set();
    let more = "TELEGRAM_GROUP_POLICY=allowlist\nTELEGRAM_GROUP_ALLOWED_USERS=-100500\n";
    scene.home.write(".env", format!("TELEGRAM_BOT_TOKEN={TOKEN}\nTELEGRAM_ALLOWED_USERS={FRIEND}\n{more}"));
    let mut gateway = scene.connected();
    let text = "@hermes_test_bot hello topic";
    scene.service.push(json!({ "message": {
        "message_id": 77, "date": now(), "message_thread_id": 42, "is_topic_message": true,
        "chat": { "id": -100_500, "type": "supergroup", "is_forum": true },
        "from": { "id": FRIEND, "is_bot": false, "first_name": "Ada" }, "text": text,
        "entities": [{ "type": "mention", "offset": 0, "length": 16 }] } }));
    let sent = scene.service.wait_sent(-100_500, "hello topic");
    assert_eq!((sent.topic, sent.reply_to), (Some(42), Some(77)));
    assert_eq!(gateway.stop(), Some(0));
}

#[test]
fn a_refused_token_blocks_at_once_and_another_one_connects_by_itself() {
    let scene = Scene::set();
    scene.service.set_token("7000001:another-token-of-nobody");
    let mut gateway = scene.gateway();
    let blocked = wait_until(&gateway, "fatal", |entry| entry["state"] == "fatal");
    assert_eq!(blocked["error_code"], "telegram_bad_token");
    assert!(
        blocked["user_action"].as_str().is_some_and(|action| action.contains("hermes telegram")),
        "{blocked:#}"
    );
    assert_eq!(blocked["next_retry_at"], Value::Null);
    assert_eq!(lines(&gateway, "telegram_bad_token").len(), 1, "{}", gateway.log().join("\n"));
    let asked = scene.service.asked("getMe").len();
    scene.home.write(
        ".env",
        format!("TELEGRAM_BOT_TOKEN=7000001:another-token-of-nobody\nTELEGRAM_ALLOWED_USERS={FRIEND}\n"),
    );
    wait_until(&gateway, "connected", |entry| entry["state"] == "connected");
    assert_eq!(scene.service.asked("getMe").len(), asked + 1, "a refused token is not tried again");
    scene.write("back");
    scene.answered("back");
    assert_eq!(gateway.stop(), Some(0));
}

#[test]
fn a_refused_token_is_asked_again_when_somebody_wants_it_so() {
    let scene = Scene::set();
    scene.service.set_token("7000001:another-token-of-nobody");
    let mut gateway = scene.gateway();
    wait_until(&gateway, "fatal", |entry| entry["state"] == "fatal");
    // The loop's own report; the file may be a moment behind.
    let is_fatal = || {
        let answer = scene.home.run(["platform", "status", "--json"]).stdout;
        let document: Value = serde_json::from_str(&answer).unwrap_or_default();
        (document["platforms"]["telegram"]["state"] == "fatal").then_some(())
    };
    let ways: [(&str, &dyn Fn()); 3] = [
        // The service is called by another name, where the token may be known.
        ("another address", &|| {
            let table = scene.service.table().replace("127.0.0.1", "localhost");
            scene.home.write("gateway.toml", format!("{QUICK}{table}"));
        }),
        ("resume", &|| {
            let answer = scene.home.run(["platform", "resume", "telegram"]);
            assert!(answer.stdout.contains("Checking Telegram again"), "{answer:?}");
        }),
        ("reload", &|| gateway.signal(rustix::process::Signal::HUP)),
    ];
    for (way, ask) in ways {
        assert!(wait::until(wait::LIMIT, is_fatal).is_some(), "before {way}");
        // An attempt is two requests.
        let refused = scene.service.refused();
        ask();
        let asked = wait::until(wait::LIMIT, || (scene.service.refused() >= refused + 2).then_some(()));
        assert!(asked.is_some(), "{way} does not try again:\n{}", gateway.log().join("\n"));
    }
    assert!(wait::until(wait::LIMIT, is_fatal).is_some());
    scene.service.set_token(TOKEN);
    let answer = scene.home.run(["platform", "resume", "telegram"]);
    assert_eq!(answer.code, Some(0), "{answer:?}");
    wait_until(&gateway, "connected", |entry| entry["state"] == "connected");
    assert_eq!(gateway.stop(), Some(0));
}

#[test]
fn a_token_that_is_taken_back_while_connected_blocks_too() {
    let scene = Scene::set();
    let mut gateway = scene.connected();
    scene.service.set_token("7000001:another-token-of-nobody");
    // The poll that waits is answered, and the next one is refused.
    scene.service.stand("getUpdates", Some(Fault::refuse(401, "Unauthorized")));
    scene.write("anybody?");
    let blocked = wait_until(&gateway, "fatal", |entry| entry["state"] == "fatal");
    assert_eq!(blocked["error_code"], "telegram_bad_token");
    assert_eq!(gateway.stop(), Some(0));
}

#[test]
fn a_service_that_is_gone_is_tried_again_and_nothing_is_lost() {
    let scene = Scene::set();
    let mut gateway = scene.connected();
    scene.service.close();
    let retrying = wait_until(&gateway, "retrying", |entry| {
        entry["state"] == "retrying"
            && entry["attempts"].as_u64() >= Some(1)
            && entry["next_retry_at"].is_string()
    });
    assert_eq!(retrying["error_code"], "telegram_network_error");
    let told = retrying["error_message"].as_str().unwrap_or_default();
    assert!(told.contains("/10") && told.contains(" after "), "{told}");
    scene.write("while you were away");
    scene.service.reopen();
    wait_until(&gateway, "connected", |entry| entry["state"] == "connected");
    scene.answered("while you were away");
    assert_eq!(lines(&gateway, "telegram_network_error").len(), 1, "{}", gateway.log().join("\n"));
    assert_eq!(gateway.stop(), Some(0));
}

#[test]
fn another_poller_is_a_conflict_that_is_told_once_and_never_fatal() {
    let scene = Scene::set();
    let mut gateway = scene.connected();
    scene.service.steal_poll();
    let conflict =
        wait_until(&gateway, "retrying", |entry| entry["error_code"] == "telegram_polling_conflict");
    assert_eq!(conflict["state"], "retrying");
    assert!(conflict["next_retry_at"].is_string());
    assert_eq!(lines(&gateway, "telegram_polling_conflict").len(), 1, "{}", gateway.log().join("\n"));
    assert_eq!(gateway.stop(), Some(0));
}

#[test]
fn a_webhook_that_was_left_set_is_removed_and_said() {
    let scene = Scene::set();
    scene.service.set_webhook("https://example.org/hook");
    scene.write("for the webhook");
    let mut gateway = scene.connected();
    assert_eq!(scene.service.webhook(), "");
    scene.answered("for the webhook");
    assert_eq!(scene.service.dropped(), 0);
    assert_eq!(lines(&gateway, "telegram_webhook_removed").len(), 1);
    assert_eq!(gateway.stop(), Some(0));
}

#[test]
fn a_limit_is_kept_to_the_second_and_nothing_is_sent_more_than_once() {
    let scene = Scene::set();
    let mut gateway = scene.connected();
    scene.service.fail("sendMessage", [Fault::limit(2)]);
    let begun = Instant::now();
    scene.write("slowly");
    let sent = scene.service.wait_sent(FRIEND, "slowly");
    assert!(sent.at - begun >= Duration::from_secs(2), "{:?}", sent.at - begun);
    assert_eq!(scene.service.asked("sendMessage").len(), 2);
    assert_eq!(entry(&gateway)["state"], "connected");
    assert_eq!(gateway.stop(), Some(0));
}

#[test]
fn refused_markup_is_sent_once_more_as_plain_text_and_other_refusals_are_not() {
    let scene = Scene::set();
    let mut gateway = scene.connected();
    scene
        .service
        .fail("sendMessage", [Fault::refuse(400, "Bad Request: can't parse entities: no such thing")]);
    scene.write("**plain**");
    let sent = scene.service.wait_sent(FRIEND, "plain");
    assert!(sent.text.contains("**plain**"), "{}", sent.text);
    scene.service.fail("sendMessage", [Fault::refuse(403, "Forbidden: bot was blocked by the user")]);
    scene.write("lost");
    gateway.wait_for_log("telegram_forbidden");
    let tries = scene.service.asked("sendMessage").len();
    assert_eq!(tries, 3);
    assert!(scene.service.sent().iter().all(|sent| !sent.text.contains("lost")));
    assert_eq!(gateway.stop(), Some(0));
}

#[test]
fn an_attachment_is_on_disk_under_a_name_of_ours_and_one_that_is_too_large_is_not() {
    let scene = Scene::set();
    let toml = format!("{QUICK}{}media_file_bytes = 1000\n", scene.service.table());
    scene.home.write("gateway.toml", toml);
    let mut gateway = scene.connected();
    scene.service.file("good", "documents/file_1.pdf", b"%PDF-1.4 content");
    scene.service.file("large", "documents/file_2.pdf", &[0; 2000]);
    let document = |id: &str, size: Option<u64>| {
        json!({ "message": {
            "message_id": 1, "date": now(), "chat": { "id": FRIEND, "type": "private" },
            "from": { "id": FRIEND, "is_bot": false, "first_name": "Ada" }, "caption": format!("see {id}"),
            "document": { "file_id": id, "file_name": "../../etc/passwd", "mime_type": "application/pdf", "file_size": size } } })
    };
    let with_id = |mut update: Value, id: i64| {
        update["message"]["message_id"] = json!(id);
        update
    };
    scene.service.push(with_id(document("good", Some(16)), 1));
    scene.service.push(with_id(document("large", None), 2));
    scene.answered("see good");
    scene.answered("see large");
    let kept: Vec<_> = std::fs::read_dir(scene.home.paths().telegram().media_dir())
        .expect("the folder is there")
        .map(|entry| entry.expect("readable").path())
        .collect();
    assert_eq!(kept.len(), 1, "{kept:?}");
    assert_eq!(std::fs::read(&kept[0]).expect("readable"), b"%PDF-1.4 content");
    assert!(!kept[0].display().to_string().contains("passwd"));
    gateway.wait_for_log("attachment_refused");
    assert_eq!(gateway.stop(), Some(0));
}

#[test]
fn what_cannot_be_read_is_set_aside_and_hides_nothing() {
    let scene = Scene::set();
    let mut gateway = scene.connected();
    let id = scene.service.push(json!({ "message": { "message_id": "no number" } }));
    scene.service.push(json!({ "of_a_later_version": {} }));
    scene.write("after it");
    scene.answered("after it");
    scene.confirmed();
    let aside = scene.home.paths().telegram().unreadable_dir().join(format!("{id}.json"));
    assert!(std::fs::read_to_string(&aside).expect("it is kept").contains("no number"));
    assert_eq!(gateway.stop(), Some(0));
}

#[test]
fn answers_that_make_no_sense_or_have_no_end_are_survived() {
    let scene = Scene::set();
    scene.service.fail("getMe", [Fault::Garbage(b"<html>captive portal</html>".to_vec())]);
    scene
        .service
        .fail("getUpdates", [Fault::Endless, Fault::Garbage(b"{\"ok\":true}".to_vec()), Fault::CutBefore]);
    scene.write("through all that");
    let mut gateway = scene.gateway();
    scene.answered("through all that");
    wait_until(&gateway, "connected", |entry| entry["state"] == "connected");
    assert_eq!(gateway.stop(), Some(0));
}

#[test]
fn two_gateways_do_not_share_a_token() {
    let scene = Scene::set();
    let mut first = scene.connected();
    let mut other = TestHome::empty();
    other.env.clone_from(&scene.home.env);
    for name in [".env", "gateway.toml"] {
        other.write(name, std::fs::read(scene.home.root().join(name)).expect("it is there"));
    }
    let mut second = Gateway::start(&other);
    let blocked = wait_until(&second, "fatal", |entry| entry["state"] == "fatal");
    assert_eq!(blocked["error_code"], "telegram_token_lock");
    let told = blocked["error_message"].as_str().unwrap_or_default();
    assert!(told.contains("another local gateway is already using this Telegram bot token"), "{told}");
    assert!(told.contains(&format!("process {}", first.pid())), "{told}");
    first.kill();
    wait_until(&second, "connected", |entry| entry["state"] == "connected");
    assert_eq!(second.stop(), Some(0));
}

#[test]
fn kills_lose_nothing() {
    let scene = Scene::set();
    let mut expected = Vec::new();
    for round in 0..5 {
        let mut gateway = scene.connected();
        for number in 0..20 {
            let text = format!("m{round}-{number:02}.");
            scene.write(&text);
            expected.push(text);
        }
        // Somewhere in the middle.
        let some =
            wait::until(wait::LIMIT, || (scene.service.sent().len() >= round * 20 + round * 4).then_some(()));
        assert!(some.is_some());
        gateway.kill();
    }
    let mut gateway = scene.connected();
    for text in &expected {
        scene.answered(text);
    }
    scene.confirmed();
    assert_eq!(gateway.stop(), Some(0));
}

#[test]
fn a_changed_message_reaches_the_agent_once_and_says_so() {
    let scene = Scene::set();
    let mut gateway = scene.connected();
    scene.write("first words");
    scene.answered("first words");
    let edit = json!({ "edited_message": {
        "message_id": 1001, "date": now(), "edit_date": now(), "chat": { "id": FRIEND, "type": "private" },
        "from": { "id": FRIEND, "is_bot": false, "first_name": "Ada" }, "text": "better words" } });
    scene.service.push(edit.clone());
    scene.service.push(edit);
    scene.answered("[edited]\nbetter words");
    scene.write("and more");
    scene.answered("and more");
    let times = scene.service.sent().iter().filter(|sent| sent.text.contains("better words")).count();
    assert_eq!(times, 1);
    assert_eq!(gateway.stop(), Some(0));
}

#[test]
fn a_proxy_of_the_environment_is_the_way_to_the_service_unless_it_is_excepted() {
    for (variable, excepted) in [("HTTP_PROXY", ""), ("ALL_PROXY", ""), ("HTTP_PROXY", "telegram.test")] {
        let mut scene = Scene::set();
        // The service takes requests as a proxy does, with the whole address in them.
        let proxy = scene.service.base().replace("http://", "http://user:canary@");
        scene.home.env.extend([(variable.to_owned(), proxy), ("NO_PROXY".to_owned(), excepted.to_owned())]);
        let table = scene.service.table().replace(&scene.service.base(), "http://telegram.test");
        scene.home.write("gateway.toml", format!("{QUICK}{table}").replace("\"2s\"", "\"20s\""));
        let mut gateway = scene.gateway();
        if excepted.is_empty() {
            wait_until(&gateway, "connected", |entry| entry["state"] == "connected");
            scene.write("through the proxy");
            scene.answered("through the proxy");
        } else {
            wait_until(&gateway, "retrying", |entry| entry["error_code"] == "telegram_network_error");
            assert!(scene.service.asked("getMe").is_empty(), "it was asked");
        }
        assert_eq!(gateway.stop(), Some(0));
        assert!(!gateway.log().join("\n").contains("canary"), "the proxy's password is in the log");
    }
}

#[test]
fn a_proxy_that_refuses_us_blocks_and_is_named_by_its_variable() {
    let mut scene = Scene::set();
    let proxy = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = proxy.local_addr().expect("it has one");
    // Ends with the process: it is not waited for.
    std::thread::spawn(move || {
        for mut stream in proxy.incoming().flatten() {
            let mut head = [0; 1024];
            drop(std::io::Read::read(&mut stream, &mut head));
            let answer = b"HTTP/1.1 407 Proxy Authentication Required\r\ncontent-length: 0\r\n\r\n";
            drop(std::io::Write::write_all(&mut stream, answer));
        }
    });
    scene.home.env.push(("HTTPS_PROXY".to_owned(), format!("http://user:canary@{address}")));
    let table = scene.service.table().replace(&scene.service.base(), "https://telegram.test");
    scene.home.write("gateway.toml", format!("{QUICK}{table}").replace("\"2s\"", "\"20s\""));
    let mut gateway = scene.gateway();
    let blocked = wait_until(&gateway, "fatal", |entry| entry["state"] == "fatal");
    assert_eq!(blocked["error_code"], "proxy_auth");
    assert!(
        blocked["user_action"].as_str().is_some_and(|action| action.contains("HTTPS_PROXY")),
        "{blocked:#}"
    );
    assert!(!blocked.to_string().contains("canary"), "{blocked:#}");
    assert_eq!(gateway.stop(), Some(0));
    assert!(!gateway.log().join("\n").contains("canary"), "the proxy's password is in the log");
}
