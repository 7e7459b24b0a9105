//! The far end of a scripted platform: it answers by itself, as a service does.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::{Value, json};

use super::{Blow, Expected, FarEnd};
use crate::support::home::TestHome;
use crate::support::house::QUICK;
use crate::support::stage::{Player, Stage};

/// The fate of an attempt.
enum Mood {
    Ready,
    Silent,
    Fails(Value),
}

/// The far end.
pub(crate) struct ScriptedEnd {
    stage: Stage,
    mood: Mood,
    /// The connections, the newest last.
    players: Vec<Player>,
    /// The messages, with their acknowledgement.
    written: Vec<(u32, String)>,
    blocked: bool,
    /// The wait with which the next message is refused, and that message.
    limit: Option<Duration>,
    limited: Option<String>,
    /// Messages that were accepted.
    taken: BTreeSet<String>,
}

const NAME: &str = "scripted1";

impl ScriptedEnd {
    fn cue(&self, cue: &Value) {
        for player in &self.players {
            player.cue(cue.clone());
        }
    }

    fn said(&self, what: &str) -> Vec<Value> {
        self.players.iter().flat_map(Player::said).filter(|said| said["say"] == what).collect()
    }
}

impl FarEnd for ScriptedEnd {
    const PLATFORM: &'static str = NAME;
    const RECONNECTS: usize = 1000;

    fn open() -> (Self, TestHome) {
        let stage = Stage::new(1);
        let mut home = TestHome::empty();
        home.env.push(stage.variable());
        home.write("gateway.toml", QUICK);
        let (players, written, taken) = Default::default();
        let far = Self {
            stage,
            mood: Mood::Ready,
            players,
            written,
            blocked: false,
            limit: None,
            limited: None,
            taken,
        };
        (far, home)
    }

    fn turn(&mut self) {
        while let Some(player) = self.stage.take(NAME) {
            match &self.mood {
                Mood::Ready => {
                    player.cue(json!({ "do": "ready" }));
                    // An unacknowledged message comes again, as from any service that keeps it.
                    let accepted = self.said("accepted");
                    for (number, text) in &self.written {
                        if !accepted.iter().any(|said| said["id"] == format!("m{number}")) {
                            player.write(&format!("m{number}"), "friend", text);
                        }
                    }
                }
                Mood::Silent => {}
                Mood::Fails(cue) => player.cue(cue.clone()),
            }
            // One connection after the other: only the newest matters, and the lines of the others.
            self.players.push(player);
        }
        for player in &self.players {
            let sends: Vec<_> = player.said().into_iter().filter(|said| said["say"] == "send").collect();
            for send in &sends {
                let handle = send["handle"].as_str().unwrap_or_default().to_owned();
                if let Some(wait) = self.limit.take_if(|_| !self.taken.contains(&handle)) {
                    player.cue(json!({ "do": "unsent", "handle": handle, "code": "qq_rate_limited",
                                       "certainty": "not_sent", "retry": { "after_ms": wait.as_millis() } }));
                    self.limited = Some(handle);
                    continue;
                }
                let offers = sends.iter().filter(|other| other["handle"] == send["handle"]).count();
                if self.limited.as_ref() == Some(&handle) && offers < 2 {
                    continue;
                }
                self.taken.insert(handle);
                player.cue(json!({ "do": "sent", "handle": send["handle"] }));
            }
        }
    }

    fn expected(&self, blow: Blow) -> Expected {
        match blow {
            Blow::Drop => Expected::Over,
            Blow::Away => Expected::Retrying(&["net_refused"]),
            Blow::Silence => Expected::Retrying(&["net_timeout"]),
            Blow::Unwelcome => Expected::Fatal(&["telegram_bad_token"]),
            Blow::Failing => Expected::Retrying(&["qq_rate_limited"]),
            Blow::Garbage | Blow::Endless => Expected::Retrying(&["net_refused"]),
        }
    }

    fn strike(&mut self, blow: Blow) {
        match blow {
            Blow::Drop => self.cue(&json!({ "do": "drop", "code": "net_refused" })),
            Blow::Away => {
                self.mood = Mood::Fails(json!({ "do": "fail", "code": "net_refused" }));
                self.cue(&json!({ "do": "drop", "code": "net_refused" }));
            }
            Blow::Silence => {
                self.mood = Mood::Silent;
                self.cue(&json!({ "do": "silence" }));
            }
            Blow::Unwelcome => {
                let cause =
                    json!({ "code": "telegram_bad_token", "message": "no", "user_action": "Mend it." });
                self.stage.block(NAME, &cause);
                self.blocked = true;
                let mut fail = cause;
                fail["retry"] = json!("never");
                fail["do"] = json!("fail");
                self.mood = Mood::Fails(fail.clone());
                fail["do"] = json!("drop");
                self.cue(&fail);
            }
            Blow::Failing => {
                let code = json!({ "do": "fail", "code": "qq_rate_limited", "retry": { "after_ms": 1000 } });
                self.mood = Mood::Fails(code.clone());
                let mut drop = code;
                drop["do"] = json!("drop");
                self.cue(&drop);
            }
            Blow::Garbage => {
                self.mood = Mood::Fails(json!({ "no": "cue" }));
                self.cue(&json!({ "no": "cue" }));
            }
            Blow::Endless => {
                let endless = json!({ "do": "message", "id": "x", "chat": "c", "from": "u", "text": "x".repeat(2 << 20) });
                self.mood = Mood::Fails(endless.clone());
                self.cue(&endless);
            }
        }
    }

    fn heal(&mut self, _home: &TestHome) {
        self.mood = Mood::Ready;
        if std::mem::take(&mut self.blocked) {
            self.stage.unblock(NAME);
        }
        // Attempts that are still being kept waiting.
        self.cue(&json!({ "do": "ready" }));
        self.cue(&json!({ "do": "prove" }));
    }

    fn connections(&mut self) -> usize {
        self.players.len()
    }

    fn write(&mut self, number: u32, text: &str) {
        if !self.written.iter().any(|(known, _)| *known == number) {
            self.written.push((number, text.to_owned()));
        }
        if let Some(player) = self.players.last() {
            player.write(&format!("m{number}"), "friend", text);
        }
    }

    fn arrived(&mut self, text: &str) -> usize {
        self.turn();
        let handles: BTreeSet<String> = self
            .said("send")
            .iter()
            .filter(|said| said["text"].as_str().is_some_and(|sent| sent.contains(text)))
            .filter_map(|said| said["handle"].as_str().map(str::to_owned))
            .collect();
        handles.intersection(&self.taken).count()
    }

    fn limit(&mut self, wait: Duration) -> bool {
        self.turn();
        self.limit = Some(wait);
        true
    }

    fn offered(&mut self, text: &str) -> usize {
        let holds = |said: &Value| said["text"].as_str().is_some_and(|sent| sent.contains(text));
        self.said("send").iter().filter(|said| holds(said)).count()
    }

    fn unacknowledged(&mut self) -> usize {
        let accepted = self.said("accepted");
        let is_open = |number: &u32| !accepted.iter().any(|said| said["id"] == format!("m{number}"));
        self.written.iter().filter(|(number, _)| is_open(number)).count()
    }
}
