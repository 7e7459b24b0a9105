//! The wizard without a terminal: answers as flags, events as JSON lines.

use std::io::{BufRead, BufReader};
use std::process::{Child, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use serde_json::{Value, json};

use super::fake::FakeWhatsApp;
use super::home::TestHome;
use super::wait;

/// The number of the fake phone's owner.
pub(crate) const OWNER: &str = "15550001111";
/// A contact that may write.
pub(crate) const FRIEND: &str = "15550002222";

/// Limit for the lines of an ended process; a process that it started may hold its output a little longer.
const LAST_LINES_LIMIT: Duration = Duration::from_secs(5);

/// A running `hermes whatsapp --json`.
pub(crate) struct Wizard {
    child: Child,
    events: Arc<Mutex<Vec<Value>>>,
    /// The task that reads its events; it ends with its output.
    reader: JoinHandle<()>,
}

impl Wizard {
    /// Starts it in bot mode for one friend, with these further arguments.
    pub(crate) fn start(home: &TestHome, more: &[&str]) -> Self {
        let mut args = vec!["whatsapp", "--mode", "bot", "--allow", FRIEND, "--yes", "--json"];
        args.extend(more);
        Self::start_with(home, &args)
    }

    /// Starts it with these arguments.
    pub(crate) fn start_with(home: &TestHome, args: &[&str]) -> Self {
        let mut child =
            home.command(args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("hermes starts");
        let events = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&events);
        let output = child.stdout.take().expect("it is piped");
        let reader = std::thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                let event = serde_json::from_str(&line).unwrap_or_else(|_| json!({ "not_json": line }));
                seen.lock().expect("not poisoned").push(event);
            }
        });
        Self { child, events, reader }
    }

    /// Returns its events.
    pub(crate) fn events(&self) -> Vec<Value> {
        self.events.lock().expect("not poisoned").clone()
    }

    /// Returns the names of its events.
    pub(crate) fn names(&self) -> Vec<String> {
        self.events().iter().map(|event| event["event"].as_str().unwrap_or("?").to_owned()).collect()
    }

    /// Waits for an event of this name.
    pub(crate) fn wait_for(&mut self, name: &str) -> Value {
        let seen = wait::until(wait::LIMIT, || {
            let found = self.events().into_iter().find(|event| event["event"] == name);
            let ended = found.is_none() && self.reader.is_finished();
            assert!(
                !ended || self.events().iter().any(|event| event["event"] == name),
                "it ended: {:#?}",
                self.events()
            );
            found
        });
        match seen {
            Some(event) => event,
            None => panic!("it never said `{name}`: {:#?}", self.events()),
        }
    }

    /// Sends it a signal.
    pub(crate) fn signal(&self, signal: rustix::process::Signal) {
        let pid = rustix::process::Pid::from_raw(self.child.id().cast_signed()).expect("a pid");
        rustix::process::kill_process(pid, signal).expect("it is there");
    }

    /// Waits for its end: the exit code, or `None` when a signal ended it.
    pub(crate) fn exit_code(&mut self) -> Option<i32> {
        match wait::until(wait::LIMIT, || self.child.try_wait().expect("a child of ours")) {
            Some(status) => {
                // Its last lines may still be on their way through the pipe.
                wait::until(LAST_LINES_LIMIT, || self.reader.is_finished().then_some(()));
                status.code()
            }
            None => panic!("it does not end: {:#?}", self.events()),
        }
    }

    /// Returns its pid.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Wizard {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// Pairs this home with the fake's phone, from the first code to `enabled`.
pub(crate) fn pair(home: &TestHome, fake: &mut FakeWhatsApp) {
    let mut wizard = Wizard::start(home, &[]);
    let code = wizard.wait_for("qr");
    fake.tell(json!({ "cmd": "scan", "payload": code["payload"] }));
    wizard.wait_for("enabled");
    assert_eq!(wizard.exit_code(), Some(0), "{:#?}", wizard.events());
}

/// Makes a home with an installed bridge that is paired with a separate fake.
pub(crate) fn paired() -> (TestHome, FakeWhatsApp) {
    let mut home = TestHome::with_bridge();
    let mut fake = FakeWhatsApp::start();
    fake.serve(&mut home);
    pair(&home, &mut fake);
    (home, fake)
}

/// Makes the same with the owner's own number: only their notes to themselves are answered.
pub(crate) fn paired_in_self_chat() -> (TestHome, FakeWhatsApp) {
    let mut home = TestHome::with_bridge();
    let mut fake = FakeWhatsApp::start();
    fake.serve(&mut home);
    let mut wizard =
        Wizard::start_with(&home, &["whatsapp", "--mode", "self-chat", "--allow", OWNER, "--yes", "--json"]);
    let code = wizard.wait_for("qr");
    fake.tell(json!({ "cmd": "scan", "payload": code["payload"] }));
    wizard.wait_for("enabled");
    assert_eq!(wizard.exit_code(), Some(0));
    (home, fake)
}
