//! Endurance: a minute of real processes, each with something that stays broken beside something that works. The same hour,
//! and much more, passes in virtual time in the loop's own tests and in the simulator.

use std::net::TcpListener;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use serde_json::json;

use crate::support::home::TestHome;
use crate::support::house::{House, QUICK};
use crate::support::http::{ask, ask_unix};
use crate::support::telegram::TelegramService;
use crate::support::wait;

/// Duration of each case.
const LASTS: Duration = Duration::from_secs(60);

/// Interval between two rounds of questions.
const PACE: Duration = Duration::from_millis(250);

/// The age of a standstill: the state is written and the loop turns every 10 s at least; twice that.
const STANDSTILL: Duration = Duration::from_secs(20);

/// Limit for a question at any time; usually it takes some ten milliseconds.
const ANSWERED_WITHIN: Duration = Duration::from_secs(10);

/// Most log lines about a fault: it is logged, and not again with each attempt.
const LINES_MAX: usize = 4;

const KEY: &str = "endurance-key-0123456789";

/// A fault that stays.
struct Case {
    name: &'static str,
    house: House,
    /// The code that it shows, and the fault.
    code: &'static str,
    platform: Option<&'static str>,
    /// The program that has the port instead.
    taken: Option<TcpListener>,
    /// The service that refuses the token.
    service: Option<TelegramService>,
}

/// Makes a gateway with so many scripted platforms, and an HTTP API at this address.
fn house(count: u8, bind: &str, dot_env: &str, table: &str) -> House {
    let toml = QUICK.replace("[gateway]\n", &format!("[gateway]\nhttp = {{ bind = \"{bind}\" }}\n")) + table;
    // However often it fails: this is not about the breaker.
    House::furnish(count, &toml.replace("first", "breaker_after = 0, first"), |home: &mut TestHome| {
        home.env.push(("API_SERVER_PORT".to_owned(), String::new()));
        let locks = home.root().join("locks").display().to_string();
        home.env.push(("HERMES_GATEWAY_LOCK_DIR".to_owned(), locks));
        home.write(".env", format!("API_SERVER_KEY={KEY}\n{dot_env}"));
    })
}

fn cases() -> Vec<Case> {
    let free = "127.0.0.1:0";
    let unpaired = house(1, free, "WHATSAPP_ENABLED=true\n", "");
    let service = TelegramService::start();
    let refused = "TELEGRAM_BOT_TOKEN=7000001:a-token-that-was-revoked\nTELEGRAM_ALLOWED_USERS=1\n";
    let token = house(1, free, refused, &service.table());
    let dns = house(2, free, "", "");
    let port = TcpListener::bind(free).unwrap();
    let taken = house(1, &port.local_addr().unwrap().to_string(), "", "");
    vec![
        Case {
            name: "an unpaired phone",
            house: unpaired,
            code: "whatsapp_not_paired",
            platform: Some("whatsapp"),
            taken: None,
            service: None,
        },
        Case {
            name: "a bad token",
            house: token,
            code: "telegram_bad_token",
            platform: Some("telegram"),
            taken: None,
            service: Some(service),
        },
        Case {
            name: "no names",
            house: dns,
            code: "net_dns",
            platform: Some("scripted2"),
            taken: None,
            service: None,
        },
        Case {
            name: "a taken port",
            house: taken,
            code: "api_server_port_in_use",
            platform: None,
            taken: Some(port),
            service: None,
        },
    ]
}

/// A number that must get larger again and again.
struct Clock {
    what: &'static str,
    seen: f64,
    at: Instant,
    turns: u32,
}

impl Clock {
    fn new(what: &'static str) -> Self {
        Self { what, seen: 0.0, at: Instant::now(), turns: 0 }
    }

    fn read(&mut self, name: &str, value: f64) {
        if value > self.seen {
            (self.seen, self.at, self.turns) = (value, Instant::now(), self.turns + 1);
        }
        assert!(self.at.elapsed() < STANDSTILL, "{name}: {} stands still", self.what);
    }
}

impl Case {
    fn is_broken(&self) -> bool {
        let state = self.house.gateway.state();
        let entry = self.platform.map_or(&state["http"], |platform| &state["platforms"][platform]);
        entry["error_code"] == self.code
    }

    /// Returns the loop's last turn, as the probes and the metrics have it.
    fn last_turn(&self, address: &str) -> f64 {
        assert_eq!(ask(address, "GET /livez", &[]).status, 200, "{}", self.name);
        let page = ask(address, "GET /metrics", &[&format!("Authorization: Bearer {KEY}")]);
        let gauge = page
            .body
            .lines()
            .find_map(|line| line.strip_prefix("hermes_loop_last_tick_timestamp_seconds ")?.parse().ok());
        gauge.unwrap_or_else(|| panic!("{}: no such gauge: {page:?}", self.name))
    }

    fn hold_out(mut self) {
        let name = self.name;
        let shown = wait::until(wait::LIMIT, || {
            self.refuse_all();
            self.is_broken().then_some(())
        });
        assert!(shown.is_some(), "{name}: {:#}", self.house.gateway.state());
        let socket = self.house.home.paths().control_socket();
        let (mut written, mut turned) = (Clock::new("the state"), Clock::new("the loop"));
        let mut attempts = 0;
        let end = Instant::now() + LASTS;
        while Instant::now() < end {
            wait::until(PACE, || {
                attempts += self.refuse_all();
                None::<()>
            });
            assert!(self.house.gateway.is_running(), "{name}:\n{}", self.house.gateway.log().join("\n"));
            let state = self.house.gateway.state();
            assert_eq!(state["pid"], self.house.gateway.pid(), "{name}: it is another process");
            let at: Timestamp = state["updated_at"].as_str().expect("a time").parse().expect("a time");
            written.read(name, at.duration_since(Timestamp::UNIX_EPOCH).as_secs_f64());
            // A port of another program cannot be asked; the socket always can.
            assert_eq!(ask_unix(&socket, "GET /v1/platforms").status, 200, "{name}");
            if self.taken.is_none() {
                let address = state["http"]["address"].as_str().expect("it listens");
                turned.read(name, self.last_turn(address));
            }
            let asked = Instant::now();
            self.house.assert_others_unaffected();
            let took = asked.elapsed();
            assert!(took < ANSWERED_WITHIN, "{name}: an answer took {took:?}");
        }
        assert!(written.turns >= 5, "{name}: the state was written {} times", written.turns);
        assert!(self.taken.is_some() || turned.turns >= 5, "{name}: the loop turned {} times", turned.turns);
        assert!(self.is_broken() || attempts > 0, "{name}: {:#}", self.house.gateway.state());
        let lines = self.house.lines(0, self.code);
        assert!((1..=LINES_MAX).contains(&lines.len()), "{name}:\n{}", lines.join("\n"));
        match self.code {
            "net_dns" => assert!(attempts > 30, "only {attempts} attempts, told in {} lines", lines.len()),
            _ => assert_eq!(attempts, 0, "{name}: what only a person can mend is not tried"),
        }
        if let Some(service) = &self.service {
            // Both requests of one attempt, before the refusal was known.
            assert!((1..=2).contains(&service.refused()), "{name}: {} questions", service.refused());
        }
        if let Some(port) = self.taken.take() {
            let address = port.local_addr().unwrap().to_string();
            drop(port);
            let livez = || (self.house.gateway.state()["http"]["state"] == "listening").then_some(());
            assert!(wait::until(wait::LIMIT, livez).is_some(), "{name}");
            assert!(self.last_turn(&address) > 0.0);
        }
        assert_eq!(self.house.gateway.stop(), Some(0), "{name}");
    }

    /// Makes every attempt of the broken platform fail, and counts them.
    fn refuse_all(&self) -> u32 {
        let Some(platform) = self.platform else { return 0 };
        let attempts = std::iter::from_fn(|| self.house.stage.take(platform));
        attempts
            .map(|attempt| attempt.cue(json!({ "do": "fail", "code": self.code })))
            .count()
            .try_into()
            .unwrap()
    }
}

#[test]
fn whatever_stays_broken_the_same_process_goes_on_for_a_minute_and_the_others_answer() {
    std::thread::scope(|scope| {
        for case in cases() {
            scope.spawn(|| case.hold_out());
        }
    });
}
