//! Both ends of the message path, each with a ledger of its own that does not know the gateway, and the judge over them.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;

use super::home::TestHome;
use super::telegram::service::TOKEN;
use super::telegram::{Fault, TelegramService};

/// What a repeat begins with where people see it.
pub(crate) const MARK: &str = "(maybe a repeat)";

/// What a dead gateway has left in a socket is read a little later.
const GRACE: Duration = Duration::from_millis(250);

/// Messages of this chat are commands; they are not judged.
pub(crate) const ORDERS: u32 = 999;

/// The text of a chat's message of this number, from 1 on.
pub(crate) fn text(chat: u32, number: u32) -> String {
    format!("c{chat} m{number}.")
}

/// The message that a text repeats.
fn number(text: &str) -> Option<(u32, u32)> {
    text.split('c').skip(1).find_map(|rest| {
        let (chat, rest) = rest.split_once(" m")?;
        let (number, _) = rest.split_once('.')?;
        Some((chat.parse().ok()?, number.parse().ok()?))
    })
}

/// One line of a ledger.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub(crate) at: Instant,
    pub(crate) chat: u32,
    pub(crate) text: String,
    /// The same handle is the same message to people.
    pub(crate) handle: Option<String>,
}

/// What becomes of a message that is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Trouble {
    /// It arrives, and that is not said.
    Unknown,
    /// It is refused for good.
    Never,
}

/// A service with people behind it.
pub(crate) trait FarEnd {
    /// The platform's name.
    const NAME: &'static str;
    /// Starts it.
    fn start() -> Self;
    /// Makes a home know it. Returns its part of `gateway.toml`.
    fn furnish(&self, home: &mut TestHome) -> String;
    /// Somebody writes, in each chat in this order.
    fn write(&self, messages: &[(u32, String)]);
    /// How many messages the gateway has not acknowledged.
    fn offered(&self) -> usize;
    /// Everything that reached people.
    fn delivered(&self) -> Vec<Entry>;
    /// Waits until so many did, or this long.
    fn wait(&self, count: usize, limit: Duration);
    /// The next messages that are sent have this trouble.
    fn trouble(&self, troubles: &[Trouble]);
}

/// Random numbers from a seed.
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// From `low` up to and with `high`.
    pub(crate) fn range(&mut self, low: u32, high: u32) -> u32 {
        low + u32::try_from(self.next() % u64::from(high - low + 1)).expect("it is below")
    }
}

/// What is allowed besides each message once and in order.
#[derive(Debug, Default)]
pub(crate) struct Excuses {
    /// When the gateway was killed.
    pub(crate) deaths: Vec<Instant>,
    /// How often an outcome was unknown, or had to be tried again, without a death.
    pub(crate) unknown: usize,
    /// A repeat must say that it is one.
    pub(crate) is_marked: bool,
}

/// What the judge has found.
#[derive(Debug, Default)]
pub(crate) struct Verdict {
    /// Lost, unexpected, duplicated or reordered.
    pub(crate) wrongs: Vec<String>,
    /// Messages that were there, each counted once.
    pub(crate) seen: usize,
    /// Those that came again, with an excuse.
    pub(crate) repeats: usize,
    /// Texts that repeat no message: the gateway told something.
    pub(crate) told: usize,
    /// Messages that were not there.
    pub(crate) missing: usize,
}

/// Pure. Judges one side: each message of each chat once and in order. A repeat must be of the last message of its chat, and
/// have an excuse. A message may be missing only when its sender was told something instead.
pub(crate) fn judge(written: &BTreeMap<u32, u32>, entries: &[Entry], excuses: &Excuses) -> Verdict {
    let mut verdict = Verdict::default();
    let mut unexcused = 0;
    for (&chat, &count) in written {
        let (mut last, mut told): (Option<(u32, &Entry)>, usize) = (None, 0);
        let mut seen = BTreeSet::new();
        for entry in entries.iter().filter(|entry| entry.chat == chat) {
            let wrong = |what: &str| format!("{what}: {:?} in chat {chat}", entry.text);
            match number(&entry.text) {
                None => told += 1,
                Some((of, number)) if of != chat || number == 0 || number > count => {
                    verdict.wrongs.push(wrong("unexpected"));
                }
                Some((_, number)) => match last {
                    Some((before, first)) if before == number => {
                        verdict.repeats += 1;
                        let has_died = |death: &Instant| first.at < *death + GRACE && *death <= entry.at;
                        if !excuses.deaths.iter().any(has_died) {
                            unexcused += 1;
                        }
                        if first.handle != entry.handle {
                            verdict.wrongs.push(wrong("duplicated under another handle"));
                        }
                        if excuses.is_marked && !entry.text.starts_with(MARK) {
                            verdict.wrongs.push(wrong("duplicated without a mark"));
                        }
                    }
                    Some((before, _)) if number < before => {
                        let what = if seen.contains(&number) { "duplicated late" } else { "reordered" };
                        verdict.wrongs.push(wrong(what));
                    }
                    Some(_) | None => {
                        seen.insert(number);
                        last = Some((number, entry));
                    }
                },
            }
        }
        let missing: Vec<u32> = (1..=count).filter(|number| !seen.contains(number)).collect();
        if missing.len() > told {
            verdict.wrongs.push(format!("lost: {missing:?} in chat {chat}, where {told} were told of"));
        }
        verdict.seen += seen.len();
        verdict.told += told;
        verdict.missing += missing.len();
    }
    if unexcused > excuses.unknown {
        verdict.wrongs.push(format!("duplicated: {unexcused} without a death between them"));
    }
    let known = |entry: &&Entry| !written.contains_key(&entry.chat) && entry.chat != ORDERS;
    verdict.wrongs.extend(entries.iter().filter(known).map(|entry| format!("unexpected: {entry:?}")));
    verdict
}

/// An agent's service that speaks OpenAI's protocol, answers each message with its own text, and notes what it was asked.
pub(crate) struct AskedAgent {
    address: String,
    shared: Arc<Mutex<AgentShared>>,
}

#[derive(Default)]
struct AgentShared {
    entries: Vec<Entry>,
    /// What the next questions are answered instead, with their status line.
    troubles: VecDeque<String>,
}

impl AskedAgent {
    /// Listens.
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = format!("http://{}/v1", listener.local_addr().expect("it has one"));
        let shared: Arc<Mutex<AgentShared>> = Arc::default();
        let asked = Arc::clone(&shared);
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let asked = Arc::clone(&asked);
                std::thread::spawn(move || answer(stream, &asked));
            }
        });
        Self { address, shared }
    }

    /// The table of `gateway.toml`.
    pub(crate) fn table(&self) -> String {
        format!("[agent]\nkind = \"openai\"\nbase_url = \"{}\"\nmodel = \"test\"\n", self.address)
    }

    /// The next question is answered so: the status line without its version, and the body. `{key}` in it becomes the key that
    /// came with the question.
    pub(crate) fn trouble(&self, status: &str, body: &str) {
        let answer = format!("HTTP/1.1 {status}\r\nconnection: close\r\n\r\n{body}");
        locked(&self.shared).troubles.push_back(answer);
    }

    /// What it was asked.
    pub(crate) fn asked(&self) -> Vec<Entry> {
        locked(&self.shared).entries.clone()
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().expect("not poisoned")
}

/// One question. A gateway that dies within it is not our concern.
fn answer(mut stream: std::net::TcpStream, shared: &Mutex<AgentShared>) -> Option<()> {
    let mut reader = BufReader::new(stream.try_clone().ok()?);
    let mut length = 0;
    let (mut line, mut key) = (String::new(), String::new());
    while reader.read_line(&mut line).is_ok_and(|count| count > 2) {
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().ok()?;
        }
        if line.to_ascii_lowercase().starts_with("authorization: bearer ") {
            key = line["authorization: bearer ".len()..].trim().to_owned();
        }
        line.clear();
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    let body: Value = serde_json::from_slice(&body).ok()?;
    let text = body["messages"].as_array()?.last()?["content"].as_str()?.to_owned();
    {
        let mut shared = locked(shared);
        if let Some(trouble) = shared.troubles.pop_front() {
            drop(shared);
            return stream.write_all(trouble.replace("{key}", &key).as_bytes()).ok();
        }
        let chat = number(&text).map_or(ORDERS, |(chat, _)| chat);
        shared.entries.push(Entry { at: Instant::now(), chat, text: text.clone(), handle: None });
    }
    let event = json!({ "choices": [{ "delta": { "content": text } }] });
    let answer = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n\
         data: {event}\n\ndata: [DONE]\n\n"
    );
    stream.write_all(answer.as_bytes()).ok()
}

/// The service of `scripted1`. It answers everything at once, and knows one connection at a time: what a dead gateway left
/// in its socket is read before anything of the next one.
pub(crate) struct ScriptedEnd {
    dir: TempDir,
    shared: Arc<(Mutex<Played>, Condvar)>,
}

#[derive(Default)]
struct Played {
    stream: Option<UnixStream>,
    /// What was written and not acknowledged: id, chat, text.
    offers: VecDeque<(String, u32, String)>,
    written: u64,
    delivered: Vec<Entry>,
    troubles: VecDeque<Trouble>,
}

impl Played {
    fn cue(&self, cue: &Value) {
        if let Some(mut stream) = self.stream.as_ref() {
            drop(stream.write_all(format!("{cue}\n").as_bytes()));
        }
    }

    fn offer(&self, (id, chat, text): &(String, u32, String)) {
        let chat = chat.to_string();
        self.cue(&json!({ "do": "message", "id": id, "chat": chat, "from": chat, "text": text }));
    }

    fn hear(&mut self, said: &Value) {
        match said["say"].as_str() {
            Some("connect") => {
                self.cue(&json!({ "do": "ready" }));
                self.offers.iter().for_each(|offer| self.offer(offer));
            }
            Some("accepted") => self.offers.retain(|(id, _, _)| said["id"] != **id),
            Some("send") => self.take(said),
            _ => {}
        }
    }

    fn take(&mut self, said: &Value) {
        let word = |key: &str| said[key].as_str().unwrap_or_default().to_owned();
        let (handle, text) = (word("handle"), word("text"));
        let trouble = self.troubles.pop_front();
        if trouble != Some(Trouble::Never) {
            let chat = word("chat").parse().expect("a chat of ours");
            self.delivered.push(Entry { at: Instant::now(), chat, text, handle: Some(handle.clone()) });
        }
        let unsent = |certainty: &str, retry: Value| {
            json!({ "do": "unsent", "handle": handle, "code": "net_timeout",
                                                             "certainty": certainty, "retry": retry })
        };
        self.cue(&match trouble {
            None => json!({ "do": "sent", "handle": handle }),
            Some(Trouble::Unknown) => unsent("maybe_sent", json!({ "after_ms": 10 })),
            Some(Trouble::Never) => unsent("not_sent", json!("never")),
        });
    }
}

impl FarEnd for ScriptedEnd {
    const NAME: &'static str = "scripted1";

    fn start() -> Self {
        let dir = tempfile::tempdir().expect("a temp folder");
        let listener = UnixListener::bind(dir.path().join("stage")).expect("a socket");
        let shared: Arc<(Mutex<Played>, Condvar)> = Arc::default();
        let played = Arc::clone(&shared);
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                locked(&played.0).stream = stream.try_clone().ok();
                for line in BufReader::new(stream).lines().map_while(Result::ok) {
                    // A line that was cut by a death says nothing.
                    let Ok(said) = serde_json::from_str(&line) else { continue };
                    locked(&played.0).hear(&said);
                    played.1.notify_all();
                }
                locked(&played.0).stream = None;
            }
        });
        Self { dir, shared }
    }

    fn furnish(&self, home: &mut TestHome) -> String {
        let socket = self.dir.path().join("stage");
        home.env.push(("HERMES_SCRIPTED".to_owned(), format!("1@{}", socket.display())));
        String::new()
    }

    fn write(&self, messages: &[(u32, String)]) {
        let mut played = locked(&self.shared.0);
        for (chat, text) in messages {
            played.written += 1;
            let offer = (format!("m{}", played.written), *chat, text.clone());
            played.offer(&offer);
            played.offers.push_back(offer);
        }
    }

    fn offered(&self) -> usize {
        locked(&self.shared.0).offers.len()
    }

    fn delivered(&self) -> Vec<Entry> {
        locked(&self.shared.0).delivered.clone()
    }

    fn wait(&self, count: usize, limit: Duration) {
        let played = locked(&self.shared.0);
        let waited = self.shared.1.wait_timeout_while(played, limit, |played| played.delivered.len() < count);
        drop(waited.expect("not poisoned"));
    }

    fn trouble(&self, troubles: &[Trouble]) {
        locked(&self.shared.0).troubles.extend(troubles);
    }
}

/// The Bot API.
pub(crate) struct TelegramEnd(TelegramService);

/// Chats of the ledger are people of these numbers.
const PEOPLE: i64 = 4_000_000;

impl FarEnd for TelegramEnd {
    const NAME: &'static str = "telegram";

    fn start() -> Self {
        let service = TelegramService::start();
        service.forget_requests();
        Self(service)
    }

    fn furnish(&self, home: &mut TestHome) -> String {
        let locks = home.root().join("locks").display().to_string();
        home.env.push(("HERMES_GATEWAY_LOCK_DIR".to_owned(), locks));
        let allowed: Vec<String> = (0..=ORDERS).map(|chat| (PEOPLE + i64::from(chat)).to_string()).collect();
        home.write(
            ".env",
            format!("TELEGRAM_BOT_TOKEN={TOKEN}\nTELEGRAM_ALLOWED_USERS={}\n", allowed.join(",")),
        );
        self.0.table()
    }

    fn write(&self, messages: &[(u32, String)]) {
        self.0.write_all(messages.iter().map(|(chat, text)| (PEOPLE + i64::from(*chat), text.clone())));
    }

    fn offered(&self) -> usize {
        self.0.waiting()
    }

    fn delivered(&self) -> Vec<Entry> {
        let entry = |sent: super::telegram::bot::SentMessage| Entry {
            at: sent.at,
            chat: u32::try_from(sent.chat - PEOPLE).expect("a chat of ours"),
            text: sent.text,
            handle: None,
        };
        self.0.sent().into_iter().map(entry).collect()
    }

    fn wait(&self, count: usize, limit: Duration) {
        self.0.wait_count(count, limit);
    }

    fn trouble(&self, troubles: &[Trouble]) {
        let faults = troubles.iter().map(|trouble| match trouble {
            Trouble::Unknown => Fault::CutAfter,
            Trouble::Never => Fault::refuse(400, "Bad Request: no"),
        });
        self.0.fail("sendMessage", faults);
    }
}
