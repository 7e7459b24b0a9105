//! The fake WhatsApp service (`tests/fakes/whatsapp`), driven by lines.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use super::home::TestHome;
use super::truth::{Fact, Witness};
use super::{bridge, wait};

/// A separate WhatsApp service for a test.
pub(crate) struct FakeWhatsApp {
    child: Child,
    input: ChildStdin,
    events: Arc<Mutex<Vec<Value>>>,
    next_id: u64,
    /// The address for clients.
    pub(crate) url: String,
}

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fakes/whatsapp").join(name)
}

/// Keeps its reports, and notes the connected clients for the status file's judge.
fn watch(output: impl Read, seen: &Mutex<Vec<Value>>) {
    let mut witness = None;
    let mut served = BTreeSet::new();
    for line in BufReader::new(output).lines().map_while(Result::ok) {
        let Ok(event) = serde_json::from_str::<Value>(&line) else { continue };
        let number = event["n"].as_u64().unwrap_or_default();
        match (event["event"].as_str(), &witness) {
            (Some("listening"), _) => {
                let url = event["url"].as_str().expect("an address").to_owned();
                witness = Some(Witness::new(url, vec!["whatsapp".to_owned()]));
            }
            (Some("ready"), Some(witness)) => {
                served.insert(number);
                witness.note("whatsapp", number, Fact::Up);
            }
            (Some("disconnected"), Some(witness)) => witness.note("whatsapp", number, Fact::Gone),
            _ => {}
        }
        seen.lock().expect("not poisoned").push(event);
    }
    for (number, witness) in
        witness.iter().flat_map(|witness| served.iter().map(move |number| (*number, witness)))
    {
        witness.note("whatsapp", number, Fact::Gone);
    }
}

impl FakeWhatsApp {
    /// Starts it and waits until it listens.
    pub(crate) fn start() -> Self {
        let mut child = Command::new("node")
            .arg(fixture("main.mjs"))
            .arg("--modules")
            .arg(bridge::installed_dir())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("Node starts");
        let input = child.stdin.take().expect("it is piped");
        let output = child.stdout.take().expect("it is piped");
        let events = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&events);
        std::thread::spawn(move || watch(output, &seen));
        let mut fake = Self { child, input, events, next_id: 0, url: String::new() };
        let listening = fake.wait_for("listening", |_| true);
        fake.url = listening["url"].as_str().expect("an address").to_owned();
        fake
    }

    /// Makes this home's hermes talk to the fake instead of WhatsApp.
    pub(crate) fn serve(&self, home: &mut TestHome) {
        home.write("gateway.toml", format!("[platforms.whatsapp]\nweb_socket_url = \"{}\"\n", self.url));
        self.trust(home);
    }

    /// Makes this home's bridge trust the fake's certificate, and only that.
    pub(crate) fn trust(&self, home: &mut TestHome) {
        home.env
            .push(("HERMES_BRIDGE_PRELOAD".to_owned(), fixture("trust.mjs").to_string_lossy().into_owned()));
    }

    /// Gives a command and waits until it is carried out; returns the answer.
    pub(crate) fn tell(&mut self, mut command: Value) -> Value {
        self.next_id += 1;
        let id = self.next_id;
        command["id"] = json!(id);
        writeln!(self.input, "{command}").expect("the fake reads");
        let answer = self
            .wait_until(|event| event["id"] == id && (event["event"] == "ok" || event["event"] == "failed"));
        assert_eq!(answer["event"], "ok", "{command} was refused: {answer}");
        answer
    }

    /// Returns all its reports.
    pub(crate) fn events(&self) -> Vec<Value> {
        self.events.lock().expect("not poisoned").clone()
    }

    /// Waits for an event of this name that fits.
    pub(crate) fn wait_for(&self, name: &str, fits: impl Fn(&Value) -> bool) -> Value {
        self.wait_until(|event| event["event"] == name && fits(event))
    }

    fn wait_until(&self, fits: impl Fn(&Value) -> bool) -> Value {
        match wait::until(wait::LIMIT, || self.events().into_iter().find(&fits)) {
            Some(event) => event,
            None => panic!("the fake never reported it; it reported:\n{:#?}", self.events()),
        }
    }

    /// Returns the messages that contacts have received, each once: (to, text).
    pub(crate) fn received(&self) -> Vec<(String, String)> {
        let mut ids = Vec::new();
        self.events()
            .into_iter()
            .filter(|event| event["event"] == "received")
            .filter(|event| {
                let id = event["message_id"].clone();
                let new = !ids.contains(&id);
                ids.push(id);
                new
            })
            .map(|event| {
                let field = |name: &str| event[name].as_str().unwrap_or_default().to_owned();
                (field("to"), field("text"))
            })
            .collect()
    }
}

impl Drop for FakeWhatsApp {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
