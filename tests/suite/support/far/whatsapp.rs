//! The far end of WhatsApp: the fake service, with the real bridge between.

use std::path::PathBuf;

use serde_json::json;

use super::{Blow, Expected, FarEnd};
use crate::support::fake::FakeWhatsApp;
use crate::support::home::TestHome;
use crate::support::house::QUICK;
use crate::support::pairing::{FRIEND, paired};

/// The far end.
pub(crate) struct WhatsAppEnd {
    fake: FakeWhatsApp,
    /// The messages on the bridge's disk that the gateway has not taken over: those are acknowledged to WhatsApp.
    spool: PathBuf,
}

fn id(number: u32) -> String {
    format!("3A{number:030}")
}

impl FarEnd for WhatsAppEnd {
    const PLATFORM: &'static str = "whatsapp";
    /// Few, because each is a Node process.
    const RECONNECTS: usize = 12;
    /// Only a phone can, by pairing again; the wizard's tests show that.
    const FORGIVES: bool = false;

    fn open() -> (Self, TestHome) {
        let (mut home, fake) = paired();
        home.env.push(("HTTPS_PROXY".to_owned(), "http://127.0.0.1:9".to_owned()));
        let table = format!(
            "[platforms.whatsapp]\nweb_socket_url = \"{}\"\n[platforms.whatsapp.bridge]\nprobe_every_ms = 300\n\
             probe_ms = 1000\nconnect_ms = 3000\n",
            fake.url
        );
        home.write("gateway.toml", format!("{}{table}", QUICK.replace("\"2s\"", "\"20s\"")));
        let spool = home.paths().whatsapp().spool_dir();
        (Self { fake, spool }, home)
    }

    fn expected(&self, blow: Blow) -> Expected {
        match blow {
            Blow::Drop => Expected::Over,
            Blow::Away => Expected::Retrying(&["whatsapp_bridge_exited", "net_refused", "net_timeout"]),
            Blow::Silence => Expected::Retrying(&["whatsapp_bridge_hung", "net_timeout"]),
            Blow::Unwelcome => Expected::Fatal(&["whatsapp_logged_out"]),
            Blow::Failing => Expected::Retrying(&["whatsapp_bridge_exited"]),
            // The protocol is encrypted and framed below the bridge: its own tests cover this.
            Blow::Garbage | Blow::Endless => Expected::Impossible,
        }
    }

    fn strike(&mut self, blow: Blow) {
        let fault = match blow {
            Blow::Drop => json!({ "cmd": "fault", "name": "reset" }),
            Blow::Away => json!({ "cmd": "fault", "name": "refuse", "drop": true }),
            Blow::Silence => {
                self.fake.tell(json!({ "cmd": "fault", "name": "mute" }));
                json!({ "cmd": "fault", "name": "silence" })
            }
            Blow::Unwelcome => json!({ "cmd": "drop_device" }),
            Blow::Failing => {
                self.fake.tell(json!({ "cmd": "fault", "name": "failure", "reason": 503 }));
                json!({ "cmd": "fault", "name": "reset" })
            }
            Blow::Garbage | Blow::Endless => unreachable!("it cannot be hit so"),
        };
        self.fake.tell(fault);
    }

    fn heal(&mut self, _home: &TestHome) {
        self.fake.tell(json!({ "cmd": "heal" }));
    }

    fn connections(&mut self) -> usize {
        self.fake.events().iter().filter(|event| event["event"] == "ready").count()
    }

    fn write(&mut self, number: u32, text: &str) {
        self.fake.tell(json!({ "cmd": "message", "from": FRIEND, "message_id": id(number), "text": text }));
    }

    fn arrived(&mut self, text: &str) -> usize {
        self.fake.received().iter().filter(|(_, received)| received.contains(text)).count()
    }

    fn unacknowledged(&mut self) -> usize {
        let state = self.fake.tell(json!({ "cmd": "state" }));
        let devices = state["state"]["devices"].as_array().cloned().unwrap_or_default();
        devices.iter().filter_map(|device| device["queued"].as_array().map(Vec::len)).sum()
    }

    fn keeps(&mut self, text: &str) -> bool {
        let files = std::fs::read_dir(&self.spool).into_iter().flatten().flatten();
        let is_in = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).contains(text);
        files.filter_map(|file| std::fs::read(file.path()).ok()).any(is_in) || self.unacknowledged() > 0
    }
}
