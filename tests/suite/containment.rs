//! Containment: one piece fails, and everything beside it goes on as if nothing had happened. Each fault is one row of the
//! table of containment in `src/gateway/mod.rs`; after it, all observers are counted that noticed something. There must be
//! none.

use serde_json::{Value, json};

use crate::support::agent::AgentService;
use crate::support::house::{House, QUICK};
use crate::support::http::ask;
use crate::support::telegram::service::TOKEN;
use crate::support::telegram::{Fault, TelegramService};
use crate::support::wait;

/// The person whose message, chat or picture fails.
const ODD: i64 = 4_200_001;

/// People whose messages the model's service fails at, each in a separate chat: such a message holds up those behind it
/// there.
const POISONED: std::ops::Range<i64> = 4_200_010..4_200_015;

/// Other people who write at the same time.
const OTHERS: std::ops::Range<i64> = 4_200_002..4_200_008;

/// The name of a fault, and the function that causes it.
type Row = (&'static str, fn(&Scene));

struct Scene {
    house: House,
    telegram: TelegramService,
    agent: AgentService,
    /// Questions that were asked of each observer.
    rounds: usize,
}

/// Returns the state of a platform and its cause. Its attempts count down by themselves while it stays connected.
fn standing(entry: &Value) -> Value {
    json!([entry["state"], entry["since"], entry["error_code"]])
}

impl Scene {
    fn set() -> Self {
        let (telegram, agent) = (TelegramService::start(), AgentService::start());
        let toml =
            format!("{}{QUICK}http = {{ bind = \"127.0.0.1:0\" }}\n{}", agent.table(), telegram.table());
        let people: Vec<_> =
            std::iter::once(ODD).chain(POISONED).chain(OTHERS).map(|id| id.to_string()).collect();
        let house = House::furnish(2, &toml, |home| {
            home.env.push(("API_SERVER_PORT".to_owned(), String::new()));
            let locks = home.root().join("locks").display().to_string();
            home.env.push(("HERMES_GATEWAY_LOCK_DIR".to_owned(), locks));
            home.write(
                ".env",
                format!("TELEGRAM_BOT_TOKEN={TOKEN}\nTELEGRAM_ALLOWED_USERS={}\n", people.join(",")),
            );
        });
        house.wait_for("telegram", "connected");
        Self { house, telegram, agent, rounds: 0 }
    }

    fn write_odd(&self, text: &str) {
        self.telegram.write(ODD, ODD, text);
    }

    /// Waits until the service has seen a question with this word.
    fn wait_asked(&self, word: &str) {
        let is_asked =
            || self.agent.asked.lock().unwrap().iter().any(|asked| asked.to_string().contains(word));
        assert!(wait::until(wait::LIMIT, || is_asked().then_some(())).is_some(), "`{word}` was not asked");
    }

    /// Has all others ask something. Returns the observers that noticed the fault, and how.
    fn noticed(&mut self, during: Value) -> Vec<String> {
        self.rounds += 1;
        let question = format!("question {} of all", self.rounds);
        for id in OTHERS {
            self.telegram.write(id, id, &question);
        }
        let mut noticed = Vec::new();
        for id in OTHERS {
            let heard = || self.telegram.sent().into_iter().filter(move |sent| sent.chat == id);
            let is_answered = || heard().any(|sent| sent.text.ends_with(&question)).then_some(());
            if wait::until(wait::LIMIT, is_answered).is_none() {
                noticed.push(format!("{id} had no answer"));
            }
            let more = heard().count().saturating_sub(self.rounds);
            if more > 0 {
                let texts: Vec<_> = heard().map(|sent| sent.text).collect();
                noticed.push(format!("{id} was told {more} things that are no answers: {texts:?}"));
            }
        }
        self.house.assert_others_unaffected();
        let state = self.house.gateway.state();
        let now = standing(&state["platforms"]["telegram"]);
        if now != during {
            noticed.push(format!("telegram went from {during} to {now}"));
        }
        // An answer is delivered a moment before the state says that the agent gave one.
        let agent = || self.house.gateway.state()["agent"].clone();
        if wait::until(wait::LIMIT, || (agent()["state"] == "available").then_some(())).is_none() {
            noticed.push(format!("the agent is {}", agent()));
        }
        let address = state["http"]["address"].as_str().expect("it listens");
        if ask(address, "GET /livez", &[]).status != 200 {
            noticed.push("/livez".to_owned());
        }
        noticed
    }
}

fn http(status: &str, body: &str) -> String {
    format!(
        "HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
        body.len()
    )
}

/// Makes the model's service always give this answer to a message.
fn poison(scene: &Scene, word: &'static str, answer: String) {
    let mut odd = scene.agent.odd.lock().unwrap();
    let id = POISONED.start + i64::try_from(odd.len()).unwrap();
    assert!(POISONED.contains(&id), "one more person is needed");
    odd.push((word, answer));
    drop(odd);
    for n in 0..3 {
        scene.telegram.write(id, id, &format!("{word} {n}"));
    }
    scene.wait_asked(word);
}

const ROWS: [Row; 12] = [
    ("a message at which the model's service fails", |scene| {
        poison(scene, "explosive", http("500 No", "{}"));
    }),
    ("a message that the model's service is always too busy for", |scene| {
        poison(scene, "tiresome", http("503 Busy", "{}"));
    }),
    ("a message that is larger than the limit of its account", |scene| {
        let body = json!({ "error": { "code": "rate_limit_exceeded", "type": "tokens", "message":
            "Request too large for gpt-4o on tokens per min (TPM): Limit 30000, Requested 48211." } });
        poison(scene, "enormous", http("429 Too Many Requests", &body.to_string()));
    }),
    ("a message whose answer breaks off", |scene| {
        poison(
            scene,
            "brittle",
            "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncontent-length: 900\r\n\r\ndata: {".into(),
        );
    }),
    ("a message whose answer is not HTTP", |scene| {
        poison(scene, "garbled", "\u{7f}\u{7f} no protocol".into());
    }),
    ("an update of another form", |scene| {
        for odd in [json!({ "message": 5 }), json!({ "message": { "chat": null } }), json!({ "unknown": [] })]
        {
            scene.telegram.push(odd);
        }
    }),
    ("a chat that takes no messages", |scene| {
        scene.telegram.fail("sendMessage", [Fault::refuse(403, "Forbidden: bot was blocked by the user")]);
        scene.write_odd("are you there?");
        scene.wait_asked("are you there?");
        let refused = || (scene.house.gateway.state()["queues"]["dead"].as_u64() > Some(0)).then_some(());
        assert!(wait::until(wait::LIMIT, refused).is_some(), "the refusal was not seen");
    }),
    ("a command inside words that are forwarded", |scene| {
        scene.telegram.push(json!({ "message": {
            "message_id": 77_001, "date": crate::support::telegram::service::now(),
            "chat": { "id": ODD, "type": "private", "first_name": "Odd" },
            "from": { "id": ODD, "is_bot": false, "first_name": "Odd" },
            "forward_origin": { "type": "hidden_user", "sender_user_name": "Mallory", "date": 1 },
            "text": "/platform pause scripted1" } }));
        scene.wait_asked("/platform pause scripted1");
    }),
    ("one poll of many", |scene| scene.telegram.fail("getUpdates", [Fault::refuse(502, "Bad Gateway")])),
    ("a platform that cannot connect", |scene| {
        // Its service does not answer: each attempt ends at its limit, until the breaker opens.
        let is_failing = |line: &String| line.contains("scripted2") && line.contains("net_timeout");
        let told = || scene.house.gateway.log().iter().any(is_failing).then_some(());
        assert!(wait::until(wait::LIMIT, told).is_some(), "{}", scene.house.gateway.log().join("\n"));
    }),
    ("settings that cannot be read", |scene| {
        let path = scene.house.home.paths().config_file();
        let good = std::fs::read_to_string(&path).unwrap();
        scene.house.home.write("gateway.toml", format!("{good}\n[[["));
        let told = || scene.house.gateway.log().iter().any(|line| line.contains("config")).then_some(());
        assert!(wait::until(wait::LIMIT, told).is_some(), "the broken file was not seen");
        scene.house.home.write("gateway.toml", good);
    }),
    ("connections to the API that say nothing", |scene| {
        let state = scene.house.gateway.state();
        let address = state["http"]["address"].as_str().expect("it listens").to_owned();
        let silent: Vec<_> = (0..200).filter_map(|_| std::net::TcpStream::connect(&address).ok()).collect();
        assert_eq!(ask(&address, "GET /livez", &[]).status, 200, "beside {} silent ones", silent.len());
    }),
];

#[test]
fn nothing_beside_what_fails_notices_it() {
    let mut scene = Scene::set();
    let before = standing(&scene.house.entry("telegram"));
    let mut noticed = scene.noticed(before.clone());
    assert!(noticed.is_empty(), "before anything failed: {noticed:#?}");
    for (what, fault) in ROWS {
        fault(&scene);
        noticed.extend(scene.noticed(before.clone()).into_iter().map(|one| format!("{what}: {one}")));
    }
    assert!(noticed.is_empty(), "{noticed:#?}\n{}", scene.house.gateway.log().join("\n"));
    assert_eq!(scene.house.gateway.stop(), Some(0));
}
