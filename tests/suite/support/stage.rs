//! Plays the service of the scripted platforms (`src/gateway/platforms/scripted`) for a real gateway.

use std::io::{BufRead, BufReader, Write};
use std::ops::RangeInclusive;
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use tempfile::TempDir;

use super::truth::{Fact, Witness};
use super::wait;

/// The socket on which attempts to connect arrive.
pub(crate) struct Stage {
    dir: TempDir,
    numbers: RangeInclusive<u8>,
    /// Attempts that were not taken yet, oldest first.
    waiting: Arc<Mutex<Vec<Player>>>,
}

/// One connection, as the service notes its fate.
#[derive(Clone)]
struct Noted {
    witness: Arc<Witness>,
    platform: String,
    connection: u64,
}

impl Noted {
    fn is(&self, fact: Fact) {
        self.witness.note(&self.platform, self.connection, fact);
    }
}

/// The service's side of one attempt, and of the connection that it becomes.
pub(crate) struct Player {
    noted: Noted,
    said: Arc<Mutex<Vec<Value>>>,
    stream: UnixStream,
}

impl Stage {
    /// Makes a stage for `scripted1` up to this number.
    pub(crate) fn new(count: u8) -> Self {
        Self::of(1..=count)
    }

    /// Makes a stage for the scripted platforms of these numbers.
    pub(crate) fn of(numbers: RangeInclusive<u8>) -> Self {
        let dir = tempfile::tempdir().expect("a temp folder");
        let socket = dir.path().join("stage");
        let listener = UnixListener::bind(&socket).expect("a socket");
        let platforms = numbers.clone().map(|number| format!("scripted{number}")).collect();
        let witness = Witness::new(socket.display().to_string(), platforms);
        let waiting = Arc::new(Mutex::new(Vec::new()));
        let arrived = Arc::clone(&waiting);
        std::thread::spawn(move || {
            for (connection, stream) in (1..).zip(listener.incoming().map_while(Result::ok)) {
                let (arrived, witness) = (Arc::clone(&arrived), Arc::clone(&witness));
                std::thread::spawn(move || welcome(&stream, &arrived, witness, connection));
            }
        });
        Self { dir, numbers, waiting }
    }

    /// Returns the variable that makes a gateway use it.
    pub(crate) fn variable(&self) -> (String, String) {
        let socket = self.dir.path().join("stage");
        (
            "HERMES_SCRIPTED".to_owned(),
            format!("{}-{}@{}", self.numbers.start(), self.numbers.end(), socket.display()),
        )
    }

    /// Returns the next attempt of this platform, once there is one.
    pub(crate) fn attempt(&self, platform: &str) -> Player {
        let next = wait::until(wait::LIMIT, || self.take(platform));
        next.unwrap_or_else(|| panic!("{platform} was not tried"))
    }

    /// Returns the next attempt of this platform, if there is one.
    pub(crate) fn take(&self, platform: &str) -> Option<Player> {
        let mut waiting = self.waiting.lock().expect("not poisoned");
        let at = waiting.iter().position(|player| player.noted.platform == platform)?;
        Some(waiting.remove(at))
    }

    /// Takes this platform's next attempt and reports that the service is ready.
    pub(crate) fn connect(&self, platform: &str) -> Player {
        let player = self.attempt(platform);
        player.cue(json!({ "do": "ready" }));
        player
    }

    /// Gives the platform this bot token.
    pub(crate) fn give_token(&self, platform: &str, token: &str) {
        std::fs::write(self.dir.path().join(format!("stage.{platform}.token")), token).expect("a file");
    }

    /// Makes the check before an attempt fail with this cause.
    pub(crate) fn block(&self, platform: &str, cause: &Value) {
        // Renamed into place: the check must not see half of it.
        let path = self.dir.path().join(format!("stage.{platform}.blocked"));
        let half = path.with_extension("half");
        std::fs::write(&half, cause.to_string()).expect("a file");
        std::fs::rename(half, path).expect("a file");
    }

    /// Makes the check pass again.
    pub(crate) fn unblock(&self, platform: &str) {
        std::fs::remove_file(self.dir.path().join(format!("stage.{platform}.blocked")))
            .expect("it was blocked");
    }
}

fn welcome(stream: &UnixStream, arrived: &Mutex<Vec<Player>>, witness: Arc<Witness>, connection: u64) {
    let mut lines = BufReader::new(stream.try_clone().expect("a socket")).lines().map_while(Result::ok);
    let Some(first) = lines.next().and_then(|line| serde_json::from_str::<Value>(&line).ok()) else { return };
    let said = Arc::new(Mutex::new(Vec::new()));
    let platform = first["platform"].as_str().unwrap_or_default().to_owned();
    let noted = Noted { witness, platform, connection };
    arrived.lock().expect("not poisoned").push(Player {
        noted: noted.clone(),
        said: Arc::clone(&said),
        stream: stream.try_clone().expect("a socket"),
    });
    for line in lines {
        said.lock().expect("not poisoned").extend(serde_json::from_str::<Value>(&line));
    }
    noted.is(Fact::Gone);
}

impl Player {
    /// Sends a cue. A gateway that is gone does not get it.
    pub(crate) fn cue(&self, cue: Value) {
        match cue["do"].as_str() {
            Some("ready" | "prove") => self.noted.is(Fact::Up),
            Some("silence") => self.noted.is(Fact::Silent),
            Some("fail" | "drop" | "panic") => self.noted.is(Fact::Gone),
            _ => {}
        }
        drop((&self.stream).write_all(format!("{cue}\n").as_bytes()));
    }

    /// Sends a message of a person.
    pub(crate) fn write(&self, id: &str, chat: &str, text: &str) {
        self.cue(json!({ "do": "message", "id": id, "chat": chat, "from": chat, "text": text }));
    }

    /// Returns the lines of the platform so far, without its first one.
    pub(crate) fn said(&self) -> Vec<Value> {
        self.said.lock().expect("not poisoned").clone()
    }

    /// Waits for a message that holds this text, takes it, and returns it.
    pub(crate) fn take_message(&self, text: &str) -> Value {
        let is_it = |said: &Value| {
            said["say"] == "send" && said["text"].as_str().is_some_and(|sent| sent.contains(text))
        };
        let found = wait::until(wait::LIMIT, || self.said().into_iter().find(is_it));
        let message = found.unwrap_or_else(|| panic!("no message with `{text}`: {:?}", self.said()));
        self.cue(json!({ "do": "sent", "handle": message["handle"] }));
        message
    }

    /// Cuts the connection, as a network does.
    pub(crate) fn cut(self) {
        self.noted.is(Fact::Gone);
        drop(self.stream.shutdown(std::net::Shutdown::Both));
    }
}
