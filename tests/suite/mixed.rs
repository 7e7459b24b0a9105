//! Three platforms of one gateway: Telegram's service refuses for a while and returns, WhatsApp waits for a phone, the third
//! works. None affects another.

use std::time::{Duration, Instant};

use jiff::Timestamp;
use serde_json::Value;

use crate::support::house::House;
use crate::support::http::{ask, ask_unix};
use crate::support::telegram::TelegramService;
use crate::support::telegram::service::TOKEN;
use crate::support::wait;

/// Time for which Telegram refuses, in seconds, unless `HERMES_AWAY_S` says otherwise. The default ladder tries at once and
/// then not before 24 s, so an earlier connection shows that the return was noticed.
const AWAY_S: u64 = 10;

/// Interval between two rounds of questions.
const PACE: Duration = Duration::from_millis(500);

/// Limit for noticing a return: it is probed twice a second, and a connection takes some milliseconds; the rest is for a busy
/// machine.
const NOTICED_WITHIN: Duration = Duration::from_secs(5);

/// The additional time of an answer during the outage: a busy machine, not a limit of a platform.
const SLACK: Duration = Duration::from_millis(250);

const FRIEND: i64 = 4_200_001;

struct Scene {
    house: House,
    telegram: TelegramService,
    rounds: u32,
    /// True to print the statuses as people see them.
    is_shown: bool,
}

impl Scene {
    fn set(is_shown: bool) -> Self {
        let telegram = TelegramService::start();
        let toml = format!("[gateway]\nhttp = {{ bind = \"127.0.0.1:0\" }}\n{}", telegram.table());
        let house = House::furnish(1, &toml, |home| {
            home.env.push(("API_SERVER_PORT".to_owned(), String::new()));
            let locks = home.root().join("locks").display().to_string();
            home.env.push(("HERMES_GATEWAY_LOCK_DIR".to_owned(), locks));
            home.write(
                ".env",
                format!(
                    "WHATSAPP_ENABLED=true\nTELEGRAM_BOT_TOKEN={TOKEN}\nTELEGRAM_ALLOWED_USERS={FRIEND}\n"
                ),
            );
        });
        Self { house, telegram, rounds: 0, is_shown }
    }

    /// Sends one question to the healthy platform, and one to the process. Returns the duration of the answer by the
    /// gateway's own clock: from the message's arrival until it was sent.
    fn round(&mut self) -> Duration {
        self.rounds += 1;
        self.house.assert_others_unaffected();
        let state = self.house.gateway.state();
        assert_eq!(state["pid"], self.house.gateway.pid(), "it is another process");
        let address = state["http"]["address"].as_str().expect("it listens");
        assert_eq!(ask(address, "GET /livez", &[]).status, 200);
        let whatsapp = &state["platforms"]["whatsapp"];
        assert_eq!(
            (whatsapp["state"].as_str(), whatsapp["error_code"].as_str()),
            (Some("fatal"), Some("whatsapp_not_paired")),
            "{whatsapp:#}"
        );
        let asked = whatsapp["user_action"].as_str().unwrap_or_default();
        assert!(asked.contains("`hermes whatsapp`"), "{asked}");
        let well = ask_unix(&self.house.home.paths().control_socket(), "GET /v1/platforms").json();
        let at = |what: &str| time(&well["platforms"]["scripted1"][what]);
        at("last_outbound_at").duration_since(at("last_inbound_at")).try_into().expect("first in, then out")
    }

    /// Repeats rounds until it is over. Returns the median duration of the answers.
    fn rounds(&mut self, mut is_over: impl FnMut(&Self) -> bool) -> Duration {
        let mut took = Vec::new();
        while !is_over(self) {
            took.push(self.round());
            wait::until(PACE, || None::<()>);
        }
        took.sort();
        took[took.len() / 2]
    }

    #[expect(clippy::print_stdout, reason = "whoever asks for a long outage wants to see it")]
    fn show(&self, when: &str) {
        if self.is_shown {
            let status = self.house.home.run(["platform", "status"]);
            println!("== {when} (exit {:?})\n{}", status.code, status.stdout);
        }
    }
}

fn time(value: &Value) -> Timestamp {
    value.as_str().and_then(|text| text.parse().ok()).unwrap_or_else(|| panic!("no time: {value}"))
}

#[test]
fn telegram_is_refused_whatsapp_is_unpaired_and_the_third_platform_feels_nothing() {
    let asked = std::env::var("HERMES_AWAY_S").ok().and_then(|seconds| seconds.parse().ok());
    let away = Duration::from_secs(asked.unwrap_or(AWAY_S));
    let mut scene = Scene::set(asked.is_some());
    scene.house.wait_for("whatsapp", "fatal");
    scene.house.wait_for("telegram", "connected");
    scene.telegram.write(FRIEND, FRIEND, "before");
    scene.telegram.wait_sent(FRIEND, "before");
    let usual = scene.rounds(|scene| scene.rounds == 6);
    scene.show("before");

    scene.telegram.close();
    let retrying = scene.house.wait_until("telegram", "refused", |entry| {
        entry["state"] == "retrying" && entry["attempts"] == 1 && entry["next_retry_at"].is_string()
    });
    assert_eq!(retrying["error_code"], "telegram_network_error");
    let told = retrying["error_message"].as_str().unwrap_or_default();
    assert!(told.contains("; attempt 2/10 after "), "{told}");
    // Before that the link has tried by itself, as long as its lease held.
    let closed = Instant::now();
    let mut is_shown = false;
    let meanwhile = scene.rounds(|scene| {
        if !is_shown && closed.elapsed() > away / 2 {
            scene.show("while Telegram refuses");
            is_shown = true;
        }
        let state = scene.house.entry("telegram")["state"].clone();
        assert!(state == "retrying" || state == "connecting", "{state}");
        closed.elapsed() >= away
    });
    assert!(meanwhile < usual * 2 + SLACK, "an answer takes {meanwhile:?}, and took {usual:?} before");

    scene.telegram.write(FRIEND, FRIEND, "while you were away");
    let returned = Timestamp::now();
    scene.telegram.reopen();
    let back = scene.house.wait_for("telegram", "connected");
    let took: Duration = time(&back["since"]).duration_since(returned).try_into().expect("afterwards");
    assert!(took < NOTICED_WITHIN, "it was noticed after {took:?}");
    scene.telegram.wait_sent(FRIEND, "while you were away");
    scene.round();
    scene.show(&format!("after Telegram's return, noticed within {took:?}"));
    assert!(scene.house.gateway.is_running());
    assert_eq!(scene.house.gateway.stop(), Some(0));
}
