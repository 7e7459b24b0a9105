//! Unique secrets in the place of every token and key, and every fault that could leak one: each is found only where it
//! belongs.

use std::collections::BTreeMap;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use serde_json::{Value, json};

use crate::support::fake::FakeWhatsApp;
use crate::support::home::{TestHome, tree};
use crate::support::house::QUICK;
use crate::support::http::{ask, ask_unix};
use crate::support::ledger::AskedAgent;
use crate::support::pairing::{FRIEND as PHONE, paired};
use crate::support::process::Gateway;
use crate::support::stage::Stage;
use crate::support::telegram::{Fault, TelegramService};
use crate::support::wait;

/// The person who may write on Telegram.
const FRIEND: i64 = 4_200_001;

/// Returns 32 random bytes in the letters of a token.
fn canary() -> String {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).unwrap();
    URL_SAFE_NO_PAD.encode(bytes)
}

/// The texts that must be found nowhere, by name, and the places that were searched.
struct Hunt {
    forms: BTreeMap<String, String>,
    looked: usize,
    found: Vec<String>,
}

impl Hunt {
    /// Adds the secret, and the spellings in which it could leak: JSON, percent signs, base64 and hexadecimal digits.
    fn add(&mut self, name: &str, secret: &str) {
        let json = serde_json::to_string(secret).unwrap();
        let encode = |byte: u8| {
            if byte.is_ascii_alphanumeric() { char::from(byte).to_string() } else { format!("%{byte:02X}") }
        };
        let mut forms = vec![
            ("as it is".to_owned(), secret.to_owned()),
            ("as JSON".to_owned(), json.trim_matches('"').to_owned()),
            ("with percent signs".to_owned(), secret.bytes().map(encode).collect()),
            ("in hexadecimal digits".to_owned(), secret.bytes().map(|byte| format!("{byte:02x}")).collect()),
        ];
        // Behind other bytes base64 looks different; without its first and last letters it is the secret's alone.
        for before in 0..3 {
            let text = format!("{}{secret}", "x".repeat(before));
            let inner = |text: String| text[4..text.len() - 4].to_owned();
            forms.push((format!("in base64, behind {before}"), inner(STANDARD_NO_PAD.encode(&text))));
            forms
                .push((format!("in base64 for URLs, behind {before}"), inner(URL_SAFE_NO_PAD.encode(&text))));
        }
        self.forms.extend(forms.into_iter().map(|(form, text)| (format!("{name} {form}"), text)));
    }

    fn look(&mut self, place: &str, bytes: &[u8]) {
        self.looked += 1;
        let text = String::from_utf8_lossy(bytes);
        for (name, form) in self.forms.iter().filter(|(_, form)| text.contains(form.as_str())) {
            let line = text.lines().find(|line| line.contains(form.as_str())).unwrap_or_default();
            self.found.push(format!("{place} holds {name}: {line}"));
        }
    }

    /// Searches every file below the home but the one that holds the secrets and the phone's session.
    fn look_at_home(&mut self, home: &TestHome) {
        let root = home.root();
        for name in tree(&root) {
            let is_theirs = name == Path::new(".env") || name.starts_with("whatsapp/session");
            let is_ours = name.starts_with("whatsapp/bridge");
            if let (false, Ok(bytes)) = (is_theirs || is_ours, std::fs::read(root.join(&name))) {
                self.look(&name.display().to_string(), &bytes);
            }
        }
    }

    /// Searches what others see of the process and its children.
    fn look_at_processes(&mut self, gateway: &Gateway) {
        for (pid, word) in
            gateway.children().into_iter().map(|pid| (pid, "a child")).chain([(gateway.pid(), "it")])
        {
            for file in ["cmdline", "environ"] {
                let bytes = std::fs::read(format!("/proc/{pid}/{file}")).unwrap_or_default();
                self.look(&format!("{file} of {word}"), &bytes);
            }
        }
    }

    fn look_at_answers(&mut self, home: &TestHome) {
        for args in [
            &["doctor"][..],
            &["doctor", "--json"],
            &["platform", "status"],
            &["platform", "status", "--json"],
            &["platform", "list"],
            &["platform", "pause", "nothing"],
            &["pairing", "list"],
            &["whatsapp", "status"],
        ] {
            let answer = home.run(args);
            self.look(&args.join(" "), format!("{}{}", answer.stdout, answer.stderr).as_bytes());
        }
    }
}

/// All holders of secrets, and the gateway between them.
struct Scene {
    telegram: TelegramService,
    agent: AskedAgent,
    stage: Stage,
    fake: FakeWhatsApp,
    home: TestHome,
    hunt: Hunt,
    token: String,
    api_key: String,
    agent_key: String,
}

impl Scene {
    fn set() -> Self {
        let (mut home, fake) = paired();
        let (telegram, agent, stage) = (TelegramService::start(), AskedAgent::start(), Stage::new(1));
        let token = format!("7123456789:{}", &canary()[..35]);
        // Letters that each spelling writes in a different way.
        let (api_key, agent_key) = (canary(), format!("{}\\+/\"=%", canary()));
        let mut hunt = Hunt { forms: BTreeMap::new(), looked: 0, found: Vec::new() };
        for (name, secret) in [
            ("the bot's token", &*token),
            ("the bot's token without its number", token.split_once(':').unwrap().1),
            ("API_SERVER_KEY", &api_key),
            ("OPENAI_API_KEY", &agent_key),
        ] {
            hunt.add(name, secret);
        }
        let creds: Value =
            serde_json::from_slice(&std::fs::read(home.paths().whatsapp().creds()).unwrap()).unwrap();
        for name in ["/noiseKey/private/data", "/signedIdentityKey/private/data", "/advSecretKey"] {
            let key =
                creds.pointer(name).and_then(Value::as_str).unwrap_or_else(|| panic!("no {name}: {creds:#}"));
            hunt.add(name, key);
        }
        telegram.set_token(&token);
        let wizard = String::from_utf8(home.dot_env().unwrap()).unwrap();
        home.write(
            ".env",
            format!(
                "{wizard}\nTELEGRAM_BOT_TOKEN={token}\nTELEGRAM_ALLOWED_USERS={FRIEND}\nAPI_SERVER_KEY={api_key}\n\
                 OPENAI_API_KEY='{agent_key}'\nthis line is broken {agent_key}\n"
            ),
        );
        home.env.push(stage.variable());
        let locks = home.root().join("locks").display().to_string();
        home.env.push(("HERMES_GATEWAY_LOCK_DIR".to_owned(), locks));
        home.write(
            "gateway.toml",
            format!(
                "{}{}http = {{ bind = \"127.0.0.1:0\" }}\n{}[platforms.whatsapp]\nweb_socket_url = \"{}\"\n",
                agent.table(),
                QUICK.replace("\"2s\"", "\"20s\""),
                telegram.table(),
                fake.url
            ),
        );
        Self { telegram, agent, stage, fake, home, hunt, token, api_key, agent_key }
    }

    fn start(&self, more: &[&str]) -> Gateway {
        let mut args = vec!["gateway", "run", "-v", "-v"];
        args.extend(more);
        Gateway::of(&self.home, self.home.command(args))
    }

    fn answered(&self, text: &str) {
        self.telegram.write(FRIEND, FRIEND, text);
        self.telegram.wait_sent(FRIEND, text);
    }

    /// Makes the bot's service fail in every way, with the token in its answers.
    fn fail_telegram(&self) {
        let said = |code| Fault::refuse(code, &format!("no: /bot{0}/getUpdates, {0}", self.token));
        self.telegram.fail(
            "getUpdates",
            [
                said(409),
                said(500),
                Fault::limit(1),
                Fault::Garbage(self.token.clone().into_bytes()),
                Fault::CutBefore,
            ],
        );
        self.answered("first");
        self.answered("through all of that");
        for fault in [said(403), said(400)] {
            let count = self.telegram.asked("sendMessage").len();
            self.telegram.fail("sendMessage", [fault]);
            self.telegram.write(FRIEND, FRIEND, "refused");
            let asked = || (self.telegram.asked("sendMessage").len() > count).then_some(());
            assert!(wait::until(wait::LIMIT, asked).is_some());
        }
        self.telegram.close();
        wait::until(wait::LIMIT, || (self.telegram_state() == "retrying").then_some(())).unwrap();
        self.telegram.reopen();
        self.answered("back");
    }

    fn telegram_state(&self) -> String {
        let state = std::fs::read(self.home.paths().state_file()).unwrap_or_default();
        let state: Value = serde_json::from_slice(&state).unwrap_or_default();
        state["platforms"]["telegram"]["state"].as_str().unwrap_or_default().to_owned()
    }

    /// Makes the agent's service fail in every way, with the key in its answers.
    fn fail_agent(&self) {
        let body = r#"{"error":{"code":"{key}","message":"wrong key {key}","type":"Bearer {key}"}}"#;
        for status in
            ["401 Unauthorized", "404 Not Found", "400 Bad Request", "302 Found\r\nlocation: /{key}"]
        {
            let count = self.telegram.sent().len();
            self.agent.trouble(status, body);
            self.telegram.write(FRIEND, FRIEND, "a question");
            assert!(self.telegram.wait_count(count + 1, wait::LIMIT), "{status} was not told");
        }
        for garbage in ["not json {key}", "data: {key}\n\n", "data: {\"error\":\"{key}\"}\n\n"] {
            let count = self.telegram.sent().len();
            self.agent.trouble("200 OK\r\ncontent-type: text/event-stream", garbage);
            self.telegram.write(FRIEND, FRIEND, "a question");
            assert!(self.telegram.wait_count(count + 1, wait::LIMIT), "{garbage} was not told");
        }
        self.agent.trouble("503 Busy", body);
        self.answered("after a moment");
    }

    /// Ends a platform with a token in its error; our own code fails.
    fn fail_scripted(&self) {
        let said = format!("https://{0}@host/bot{0}/x failed with Bearer {1}", self.token, self.agent_key);
        let player = self.stage.connect("scripted1");
        player.cue(json!({ "do": "drop", "code": "net_timeout", "message": said }));
        self.stage
            .attempt("scripted1")
            .cue(json!({ "do": "fail", "code": "net_dns", "message": said, "user_action": said }));
        self.stage.attempt("scripted1").cue(json!({ "do": "panic" }));
        let player = self.stage.connect("scripted1");
        player.cue(json!({ "do": format!("no cue {said}") }));
        self.stage.connect("scripted1");
    }

    fn ask_wrongly(&mut self, gateway: &Gateway) {
        let address =
            wait::until(wait::LIMIT, || gateway.state()["http"]["address"].as_str().map(str::to_owned))
                .unwrap();
        let key = format!("Authorization: Bearer {}", self.api_key);
        for (request, header) in [
            ("GET /metrics".to_owned(), &*key),
            ("GET /health/detailed".to_owned(), &key),
            ("GET /v1/platforms".to_owned(), &key),
            (format!("GET /v1/{}", self.api_key), &key),
            (format!("GET /metrics?key={}", self.api_key), "x: y"),
            ("GET /metrics".to_owned(), &key[..key.len() - 1]),
            (format!("POST /v1/platforms/{}/pause", self.api_key), &key),
            (format!("{} /", self.api_key), "x: y"),
        ] {
            let reply = ask(&address, &request, &[header, "Content-Type: application/json"]);
            // A caller may get the key that it sent.
            let told = format!("{}{}", reply.head, reply.body).replace(&format!("`{}`", self.api_key), "");
            self.hunt.look(&request.replace(&self.api_key, "KEY"), told.as_bytes());
        }
        let socket = self.home.paths().control_socket();
        for request in ["GET /v1/platforms", "POST /v1/platforms/{}/pause", "{} /", "GET /{}"] {
            let reply = ask_unix(&socket, &request.replace("{}", &self.token));
            let told = format!("{}{}", reply.head, reply.body).replace(&format!("`{}`", self.token), "");
            self.hunt.look(request, told.as_bytes());
        }
    }
}

#[test]
fn secrets_are_found_nowhere_but_where_they_belong_whatever_fails() {
    let mut scene = Scene::set();
    let mut gateway = scene.start(&[]);
    gateway.wait_for_state("connected");
    scene.fail_scripted();
    scene.fail_telegram();
    scene.fail_agent();
    scene.fake.tell(json!({ "cmd": "message", "from": PHONE, "text": "hello phone" }));
    let answered =
        || scene.fake.received().iter().any(|(_, text)| text.contains("hello phone")).then_some(());
    assert!(wait::until(wait::LIMIT, answered).is_some(), "{}", gateway.log().join("\n"));
    scene.hunt.look_at_processes(&gateway);
    scene.ask_wrongly(&gateway);
    scene.hunt.look_at_answers(&scene.home);
    scene.hunt.look_at_home(&scene.home);
    assert_eq!(gateway.stop(), Some(0));
    scene.hunt.look("the log", gateway.log().join("\n").as_bytes());

    // Another token is the bot's now, and the log is JSON.
    scene.telegram.set_token("7123456789:another-one-of-nobody-at-all-at-all");
    let mut gateway = scene.start(&["--log-format", "json"]);
    let refused = wait::until(wait::LIMIT, || (scene.telegram_state() == "fatal").then_some(()));
    assert!(refused.is_some(), "{}", gateway.log().join("\n"));
    scene.fail_scripted();
    scene.hunt.look_at_answers(&scene.home);
    scene.hunt.look_at_home(&scene.home);
    gateway.kill();
    scene.hunt.look("the log in JSON", gateway.log().join("\n").as_bytes());
    scene.hunt.look_at_answers(&scene.home);

    let mut hunt = scene.hunt;
    assert!(hunt.looked > 40 && gateway.log().len() > 10, "nothing was looked through");
    hunt.look(".env", &scene.home.dot_env().unwrap());
    let (there, found): (Vec<_>, Vec<_>) = hunt.found.iter().partition(|found| found.starts_with(".env "));
    assert!(there.len() >= 4, "it would find nothing anywhere: {there:?}");
    assert!(
        found.is_empty(),
        "{} places:\n{}",
        found.len(),
        found.into_iter().cloned().collect::<Vec<_>>().join("\n")
    );
}
