//! The far end of Telegram: our own Bot API.

use std::time::Duration;

use serde_json::{Value, json};

use super::{Blow, Expected, FarEnd};
use crate::support::home::TestHome;
use crate::support::house::QUICK;
use crate::support::telegram::scene::{FRIEND, home};
use crate::support::telegram::service::{TOKEN, now, own_address};
use crate::support::telegram::{Fault, TelegramService};

/// Another token of the same bot.
const NEW_TOKEN: &str = "7000001:another-token-of-nobody";

/// The far end.
pub(crate) struct TelegramEnd {
    service: TelegramService,
    unwelcome: bool,
}

fn dot_env(token: &str) -> String {
    format!("TELEGRAM_BOT_TOKEN={token}\nTELEGRAM_ALLOWED_USERS={FRIEND}\n")
}

impl FarEnd for TelegramEnd {
    const PLATFORM: &'static str = "telegram";
    const RECONNECTS: usize = 1000;

    fn open() -> (Self, TestHome) {
        let service = TelegramService::start();
        let home = home();
        home.write(".env", dot_env(TOKEN));
        home.write("gateway.toml", format!("{QUICK}{}poll_timeout = \"1s\"\n", service.table()));
        (Self { service, unwelcome: false }, home)
    }

    fn expected(&self, blow: Blow) -> Expected {
        match blow {
            Blow::Drop => Expected::Over,
            Blow::Away => Expected::Retrying(&["telegram_network_error"]),
            Blow::Silence => Expected::Retrying(&["telegram_network_error", "net_timeout"]),
            Blow::Unwelcome => Expected::Fatal(&["telegram_bad_token"]),
            Blow::Failing => Expected::Retrying(&["telegram_network_error"]),
            Blow::Garbage | Blow::Endless => {
                Expected::Retrying(&["telegram_network_error", "telegram_protocol"])
            }
        }
    }

    fn strike(&mut self, blow: Blow) {
        match blow {
            Blow::Drop => {
                self.service.close();
                self.service.reopen();
            }
            Blow::Away => self.service.close(),
            Blow::Silence => self.service.stand("*", Some(Fault::Hang)),
            Blow::Unwelcome => {
                self.unwelcome = true;
                self.service.set_token(NEW_TOKEN);
            }
            Blow::Failing => {
                let fault = Fault::Answer(502, json!("Bad Gateway"));
                self.service.stand("getUpdates", Some(fault));
            }
            Blow::Garbage => self.service.stand("getUpdates", Some(Fault::Garbage(b"<html>".to_vec()))),
            Blow::Endless => self.service.stand("getUpdates", Some(Fault::Endless)),
        }
    }

    fn heal(&mut self, home: &TestHome) {
        self.service.stand("*", None);
        self.service.stand("getUpdates", None);
        self.service.reopen();
        if std::mem::take(&mut self.unwelcome) {
            home.write(".env", dot_env(NEW_TOKEN));
        }
    }

    fn connections(&mut self) -> usize {
        // The first request of a connection waits for nothing; the next one is sent by a link that is up.
        self.service.count_asked(|asked| asked.method == "getUpdates" && asked.parameters["timeout"] == 0)
    }

    fn write(&mut self, number: u32, text: &str) {
        // The service gives each delivery a separate number; the message has the same.
        self.service.push(json!({ "message": {
            "message_id": number, "date": now(), "chat": { "id": FRIEND, "type": "private" },
            "from": { "id": FRIEND, "is_bot": false, "first_name": "Test" }, "text": text } }));
    }

    fn arrived(&mut self, text: &str) -> usize {
        self.service.sent().iter().filter(|sent| sent.text.contains(text)).count()
    }

    fn limit(&mut self, wait: Duration) -> bool {
        self.service.fail("sendMessage", [Fault::limit(wait.as_secs())]);
        true
    }

    fn offered(&mut self, text: &str) -> usize {
        let holds = |parameters: &Value| parameters["text"].as_str().is_some_and(|said| said.contains(text));
        self.service.count_asked(|asked| asked.method == "sendMessage" && holds(&asked.parameters))
    }

    fn unacknowledged(&mut self) -> usize {
        self.service.waiting()
    }
}

/// The same service, which brings its updates to a webhook.
pub(crate) struct WebhookEnd(TelegramEnd);

impl FarEnd for WebhookEnd {
    const PLATFORM: &'static str = TelegramEnd::PLATFORM;
    const RECONNECTS: usize = 200;

    fn open() -> (Self, TestHome) {
        let (end, mut home) = TelegramEnd::open();
        let address = own_address();
        let toml = std::fs::read_to_string(home.paths().config_file()).expect("it was written");
        let hook = format!("webhook = {{ url = \"http://{address}/\", bind = \"{address}\" }}\n");
        home.write("gateway.toml", format!("{toml}{hook}"));
        home.env.push(("TELEGRAM_WEBHOOK_SECRET".to_owned(), "a-secret_of-nobody-0123".to_owned()));
        (Self(end), home)
    }

    fn expected(&self, blow: Blow) -> Expected {
        self.0.expected(blow)
    }

    fn strike(&mut self, blow: Blow) {
        let service = &self.0.service;
        // The requests during a connection ask whether the service reaches us.
        match blow {
            Blow::Failing => {
                service.stand("getWebhookInfo", Some(Fault::Answer(502, json!("Bad Gateway"))));
            }
            Blow::Garbage => service.stand("getWebhookInfo", Some(Fault::Garbage(b"<html>".to_vec()))),
            Blow::Endless => service.stand("getWebhookInfo", Some(Fault::Endless)),
            Blow::Drop | Blow::Away | Blow::Silence | Blow::Unwelcome => self.0.strike(blow),
        }
    }

    fn heal(&mut self, home: &TestHome) {
        self.0.service.stand("getWebhookInfo", None);
        self.0.heal(home);
    }

    fn connections(&mut self) -> usize {
        self.0.service.asked("setWebhook").len()
    }

    fn write(&mut self, number: u32, text: &str) {
        self.0.write(number, text);
    }

    fn arrived(&mut self, text: &str) -> usize {
        self.0.arrived(text)
    }

    fn limit(&mut self, wait: Duration) -> bool {
        self.0.limit(wait)
    }

    fn offered(&mut self, text: &str) -> usize {
        self.0.offered(text)
    }

    fn unacknowledged(&mut self) -> usize {
        self.0.unacknowledged()
    }
}
