//! Telegram by webhook: the service calls us, over real HTTP.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::process::Stdio;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::support::home::TestHome;
use crate::support::house::QUICK;
use crate::support::process::Gateway;
use crate::support::telegram::TelegramService;
use crate::support::telegram::scene::{FRIEND, entry, home, wait_until};
use crate::support::telegram::service::{TOKEN, now, own_address};
use crate::support::wait;

/// The webhook's secret; it is not a real one.
const SECRET: &str = "canary-secret_of-nobody-0123";

/// A home with a bot that gets its messages by webhook.
struct Scene {
    service: TelegramService,
    home: TestHome,
    address: SocketAddr,
}

impl Scene {
    fn set() -> Self {
        let (service, address, home) = (TelegramService::start(), own_address(), home());
        let scene = Self { service, home, address };
        scene.dot_env(Some(SECRET));
        scene.by_webhook();
        scene
    }

    fn dot_env(&self, secret: Option<&str>) {
        let secret = secret.map_or(String::new(), |secret| format!("TELEGRAM_WEBHOOK_SECRET={secret}\n"));
        let env = format!("TELEGRAM_BOT_TOKEN={TOKEN}\nTELEGRAM_ALLOWED_USERS={FRIEND}\n{secret}");
        self.home.write(".env", env);
    }

    fn by_webhook(&self) {
        let hook = format!("webhook = {{ url = \"{}\", bind = \"{}\" }}\n", self.url(), self.address);
        self.settings(&hook);
    }

    fn settings(&self, more: &str) {
        let toml = format!("{QUICK}{}poll_timeout = \"1s\"\n{more}", self.service.table());
        self.home.write("gateway.toml", toml);
    }

    fn url(&self) -> String {
        format!("http://{}/telegram", self.address)
    }

    fn connected(&self) -> Gateway {
        let gateway = Gateway::start(&self.home);
        wait_until(&gateway, "connected", |entry| entry["state"] == "connected");
        gateway
    }

    fn write(&self, text: &str) {
        self.service.write(FRIEND, FRIEND, text);
    }

    fn answered(&self, text: &str) {
        self.service.wait_sent(FRIEND, text);
    }

    fn times(&self, text: &str) -> usize {
        self.service.sent().iter().filter(|sent| sent.text.contains(text)).count()
    }

    /// Sends this on a separate connection, and returns the status of the answer.
    fn call(&self, head: &str, body: &[u8]) -> Option<u16> {
        let mut stream = TcpStream::connect(self.address).expect("it listens");
        stream.set_read_timeout(Some(wait::LIMIT)).expect("a limit");
        let head =
            format!("POST /telegram HTTP/1.1\r\nHost: bot\r\nContent-Type: application/json\r\n{head}\r\n");
        stream.write_all(head.as_bytes()).expect("the head is taken");
        // The request may be refused before it is read.
        drop(stream.write_all(body));
        let mut answer = [0; 12];
        stream.read_exact(&mut answer).ok()?;
        std::str::from_utf8(&answer[9..]).ok()?.parse().ok()
    }

    /// Makes an update as the service would bring it.
    fn update(text: &str) -> Vec<u8> {
        let message = json!({ "message_id": 5, "date": now(), "chat": { "id": FRIEND, "type": "private" },
            "from": { "id": FRIEND, "is_bot": false, "first_name": "Ada" }, "text": text });
        json!({ "update_id": 99, "message": message }).to_string().into_bytes()
    }
}

#[test]
fn what_the_service_brings_is_answered_once_also_over_a_restart() {
    let scene = Scene::set();
    scene.write("early");
    let mut gateway = scene.connected();
    scene.answered("early");
    let asked = scene.service.asked("setWebhook");
    let kinds = json!(["message", "edited_message", "channel_post", "edited_channel_post"]);
    assert_eq!(asked[0].parameters["allowed_updates"], kinds);
    assert_eq!(asked[0].parameters["drop_pending_updates"], false);
    assert_eq!(asked[0].parameters["secret_token"], SECRET);
    assert_eq!(gateway.stop(), Some(0));
    scene.write("while you were away");
    let mut second = scene.connected();
    scene.answered("while you were away");
    // The same once more, as after an answer that was lost.
    let (head, body) = (format!("X-Telegram-Bot-Api-Secret-Token: {SECRET}\r\n"), Scene::update("again"));
    let head = format!("{head}Content-Length: {}\r\n", body.len());
    assert_eq!([scene.call(&head, &body), scene.call(&head, &body)], [Some(200), Some(200)]);
    scene.answered("again");
    scene.write("last");
    scene.answered("last");
    assert_eq!((scene.times("early"), scene.times("again")), (1, 1));
    assert_eq!((scene.service.dropped(), scene.service.asked("getUpdates").len()), (0, 0));
    assert_eq!(scene.service.brought(), 3, "the rest was said on a connection of our own");
    assert_eq!(second.stop(), Some(0));
    for gateway in [gateway, second] {
        assert!(!gateway.log().join("\n").contains("canary"), "the secret is in the log");
    }
}

#[test]
fn whoever_does_not_know_the_secret_is_not_listened_to() {
    let scene = Scene::set();
    let mut gateway = scene.connected();
    let body = Scene::update("let me in");
    let with = |secrets: &[&str], length: usize| {
        let mut head = format!("Content-Length: {length}\r\n");
        for secret in secrets {
            head.push_str(&format!("X-Telegram-Bot-Api-Secret-Token: {secret}\r\n"));
        }
        head
    };
    for secrets in [&[][..], &[""], &["wrong"], &[SECRET, SECRET], &[&SECRET[1..]]] {
        assert_eq!(scene.call(&with(secrets, body.len()), &body), Some(401), "{secrets:?}");
    }
    // No part of the body was sent yet, and it is not waited for.
    assert_eq!(scene.call(&with(&["wrong"], 1 << 30), &[]), Some(401));
    for (body, expected) in
        [(vec![b' '; (1 << 20) + 1], 413), (b"no JSON".to_vec(), 400), (b"{}".to_vec(), 200)]
    {
        assert_eq!(scene.call(&with(&[SECRET], body.len()), &body), Some(expected));
    }
    scene.write("still there?");
    scene.answered("still there?");
    assert_eq!(scene.times("let me in"), 0);
    let said = scene.home.run(["platform", "status", "--json"]).stdout;
    assert!(said.contains("\"inbox\":0"), "{said}");
    assert_eq!(gateway.stop(), Some(0));
}

#[test]
fn a_crowd_of_silent_connections_to_the_webhook_keeps_no_update_waiting() {
    const CROWD: usize = 1000;
    const SHARE: usize = 500;
    let scene = Scene::set();
    let mut gateway = scene.connected();
    let place = scene.address.to_string().replace(':', "/");
    let script = format!(
        "ulimit -n 4096 2>/dev/null || ulimit -n 1024; i=0; while [ $i -lt {SHARE} ]; do \
         exec {{fd}}<>/dev/tcp/{place} || exit 1; i=$((i+1)); [ $((i % 3)) = 0 ] && printf 'P' >&$fd; \
         done 2>/dev/null; echo ready; read -r _"
    );
    let mut crowd: Vec<_> = (0..CROWD / SHARE)
        .map(|_| {
            let mut command = std::process::Command::new("bash");
            command.args(["-c", &script]).stdin(Stdio::piped()).stdout(Stdio::piped());
            command.spawn().expect("bash")
        })
        .collect();
    for (number, part) in crowd.iter_mut().enumerate() {
        let mut line = String::new();
        BufReader::new(part.stdout.as_mut().expect("it is piped")).read_line(&mut line).unwrap();
        assert_eq!(line, "ready\n");
        let text = format!("through the crowd {number}");
        let asked = Instant::now();
        scene.write(&text);
        scene.answered(&text);
        // An answer takes milliseconds. Without room each silent connection would be waited for.
        assert!(asked.elapsed() < Duration::from_secs(5), "{:?}", asked.elapsed());
    }
    assert_eq!(entry(&gateway)["state"], "connected");
    for mut part in crowd {
        part.kill().ok();
        part.wait().unwrap();
    }
    assert_eq!(gateway.stop(), Some(0));
}

#[test]
fn without_a_good_secret_nothing_is_opened_and_with_one_it_connects_by_itself() {
    let scene = Scene::set();
    scene.dot_env(None);
    let mut gateway = Gateway::start(&scene.home);
    let blocked = wait_until(&gateway, "fatal", |entry| entry["state"] == "fatal");
    assert_eq!(blocked["error_code"], "telegram_webhook_secret");
    assert!(
        blocked["user_action"].as_str().is_some_and(|action| action.contains("openssl rand")),
        "{blocked:#}"
    );
    assert!(TcpStream::connect(scene.address).is_err(), "nobody listens");
    assert_eq!(scene.service.webhook(), "");
    scene.dot_env(Some(SECRET));
    wait_until(&gateway, "connected", |entry| entry["state"] == "connected");
    scene.write("now");
    scene.answered("now");
    assert_eq!(gateway.stop(), Some(0));
}

#[test]
fn what_cannot_be_stored_is_brought_again_and_the_connection_lasts() {
    let scene = Scene::set();
    let mut gateway = scene.connected();
    scene.write("before");
    scene.answered("before");
    let db = rusqlite::Connection::open(scene.home.paths().database()).expect("it is there");
    // Another program holds the file: nothing can be written.
    db.execute_batch("BEGIN EXCLUSIVE").expect("it is free");
    scene.service.file("f", "documents/file_1.pdf", b"%PDF-1.4 content");
    scene.service.push(json!({ "message": {
        "message_id": 7, "date": now(), "chat": { "id": FRIEND, "type": "private" },
        "from": { "id": FRIEND, "is_bot": false, "first_name": "Ada" }, "caption": "kept for us",
        "document": { "file_id": "f", "file_size": 16 } } }));
    let refused =
        wait::until(Duration::from_secs(60), || scene.service.turned_away().contains(&503).then_some(()));
    assert!(refused.is_some(), "{:?}\n{}", scene.service.turned_away(), gateway.log().join("\n"));
    assert_eq!(scene.service.waiting(), 1);
    db.execute_batch("ROLLBACK").expect("it is ours");
    scene.answered("kept for us");
    assert_eq!(scene.times("kept for us"), 1);
    let files = std::fs::read_dir(scene.home.paths().telegram().media_dir()).expect("it is there").count();
    assert_eq!(files, 1, "what was fetched for nothing is gone");
    assert_eq!(gateway.stop(), Some(0));
}

#[test]
fn from_one_way_to_the_other_and_back_nothing_is_lost() {
    let scene = Scene::set();
    let mut gateway = scene.connected();
    for (round, more) in ["", "webhook", ""].into_iter().enumerate() {
        match more {
            "webhook" => scene.by_webhook(),
            more => scene.settings(more),
        }
        let (early, late) = (format!("early {round}"), format!("late {round}"));
        scene.write(&early);
        let url = if more.is_empty() { String::new() } else { scene.url() };
        let switched = wait::until(wait::LIMIT, || (scene.service.webhook() == url).then_some(()));
        assert!(switched.is_some(), "{round}\n{}", gateway.log().join("\n"));
        scene.write(&late);
        scene.answered(&early);
        scene.answered(&late);
        assert_eq!((scene.times(&early), scene.times(&late)), (1, 1));
    }
    assert_eq!(scene.service.dropped(), 0);
    assert_eq!(gateway.stop(), Some(0));
}

#[test]
fn a_webhook_that_somebody_takes_away_or_that_nobody_reaches_says_so_and_goes_on_sending() {
    let scene = Scene::set();
    let mut gateway = scene.connected();
    scene.service.set_webhook("https://example.org/hook");
    gateway.wait_for_log("telegram_webhook_lost");
    let is_set = |url: &str| {
        let set = wait::until(wait::LIMIT, || (scene.service.webhook() == url).then_some(()));
        assert!(set.is_some(), "{url}\n{}", gateway.log().join("\n"));
    };
    is_set(&scene.url());
    // The address that the service calls leads nowhere.
    let nowhere = format!("webhook = {{ url = \"http://127.0.0.1:9/x\", bind = \"{}\" }}\n", scene.address);
    scene.settings(&nowhere);
    is_set("http://127.0.0.1:9/x");
    scene.write("anybody?");
    let lost = gateway.wait_for_log("telegram_webhook_unreachable");
    assert!(lost.contains("Connection refused"), "{lost}");
    // The service is asked again and again to try, over the same connection, and the state does not improve before an update
    // comes.
    let count = |method: &str| scene.service.asked(method).len();
    let is_unreached = |entry: &serde_json::Value| {
        entry["state"] == "retrying" && entry["error_code"] == "telegram_webhook_unreachable"
    };
    wait_until(&gateway, "unreached", is_unreached);
    let (begun, asked) = (count("getMe"), count("setWebhook"));
    let tried = wait::until(wait::LIMIT, || {
        let told = entry(&gateway);
        assert!(is_unreached(&told), "{told:#}");
        (count("setWebhook") >= asked + 3).then_some(())
    });
    assert!(tried.is_some(), "{}", gateway.log().join("\n"));
    let sent = scene.home.run(["send", &format!("telegram:{FRIEND}"), "sent all the same", "--wait"]);
    assert_eq!(sent.code, Some(0), "{sent:?}");
    scene.answered("sent all the same");
    assert_eq!(count("getMe"), begun, "no connection was begun");
    scene.by_webhook();
    scene.answered("anybody?");
    assert_eq!(gateway.stop(), Some(0));
}

/// Forwards each connection, when it may.
fn forward(from: SocketAddr, to: SocketAddr) {
    let listener = std::net::TcpListener::bind(from).expect("it is ours");
    std::thread::spawn(move || {
        for taken in listener.incoming().map_while(Result::ok) {
            let Ok(beyond) = TcpStream::connect(to) else { return };
            for (mut one, mut other) in
                [(taken.try_clone(), beyond.try_clone()), (beyond.try_clone(), taken.try_clone())]
                    .map(|(one, other)| (one.expect("a handle"), other.expect("a handle")))
            {
                std::thread::spawn(move || std::io::copy(&mut one, &mut other));
            }
        }
    });
}

#[test]
fn a_way_to_the_webhook_that_opens_later_is_taken_without_another_connection() {
    let scene = Scene::set();
    let door = own_address();
    scene.settings(&format!(
        "webhook = {{ url = \"http://{door}/telegram\", bind = \"{}\" }}\n",
        scene.address
    ));
    scene.write("on the way");
    let mut gateway = Gateway::start(&scene.home);
    wait_until(&gateway, "unreached", |entry| {
        entry["state"] == "retrying" && entry["error_code"] == "telegram_webhook_unreachable"
    });
    let begun = scene.service.asked("getMe").len();
    forward(door, scene.address);
    scene.answered("on the way");
    wait_until(&gateway, "connected", |entry| entry["state"] == "connected" && entry["attempts"] == 0);
    assert_eq!(scene.service.asked("getMe").len(), begun, "no connection was begun");
    assert_eq!(gateway.stop(), Some(0));
}
