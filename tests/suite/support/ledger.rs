//! Both ends of the message path, each with a separate ledger that does not know the gateway, and the judge over them.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener};
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;

use super::home::TestHome;
use super::telegram::service::TOKEN;
use super::telegram::{Fault, TelegramService};
use super::wait::{self, hush};

/// Pause between the two parts of a slow agent's answer.
const PAUSE: Duration = Duration::from_millis(250);

/// The beginning of a repeat where people see it.
pub(crate) const MARK: &str = "(maybe a repeat)";

/// The end of an answer as long as it is shown growing.
const GOES_ON: &str = "\u{2589}";

/// The notice to the sender of a message that is given up. It names the message by replying to it.
const GIVEN_UP: &str = "I could not process";

/// The notice of answers that never reached their people; the number stands before it.
const UNDELIVERED: &str = "could not be delivered";

/// The notice where the fate is unknown.
const UNSURE: &str = "may not have reached you";

/// Messages of this chat are commands; they are not judged.
pub(crate) const ORDERS: u32 = 999;

/// Returns the text of a chat's message of this number, from 1 on.
pub(crate) fn text(chat: u32, number: u32) -> String {
    format!("c{chat} m{number}.")
}

/// Returns the message that a text repeats.
pub(crate) fn number(text: &str) -> Option<(u32, u32)> {
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
    /// The handle: the same one is the same message to people.
    pub(crate) handle: Option<String>,
    /// The message that it replies to, where it says so.
    pub(crate) replies_to: Option<(u32, u32)>,
}

/// The fate of a message that is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Trouble {
    /// It arrives, and that is not reported.
    Unknown,
    /// It is refused for good.
    Never,
    /// An edit is refused: its message is gone.
    Gone,
}

/// A service with people behind it.
pub(crate) trait FarEnd {
    /// The platform's name.
    const NAME: &'static str;
    /// The place where it acknowledges: a part of that failpoint's name.
    const ACKNOWLEDGES: &'static str;
    /// Starts it.
    fn start() -> Self;
    /// Makes a home know it. Returns its part of `gateway.toml`.
    fn furnish(&self, home: &mut TestHome) -> String;
    /// Writes these messages, in each chat in this order.
    fn write(&self, messages: &[(u32, String)]);
    /// Returns the number of messages that the gateway has not acknowledged.
    fn offered(&self) -> usize;
    /// Returns the messages that reached people.
    fn delivered(&self) -> Vec<Entry>;
    /// Waits until so many arrived, or this long.
    fn wait(&self, count: usize, limit: Duration);
    /// Returns when all output of a dead gateway was read.
    fn hush(&self);
    /// Returns the chats and texts of messages that were refused for good.
    fn refused(&self) -> Vec<(u32, String)>;
    /// Limits the messages that the gateway gets at once to so many from now on, where it gets several.
    fn portion(&self, _count: usize) {}
    /// Gives these fates to the next messages that are sent.
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

    /// Returns a number from `low` up to and with `high`.
    pub(crate) fn range(&mut self, low: u32, high: u32) -> u32 {
        low + u32::try_from(self.next() % u64::from(high - low + 1)).expect("it is below")
    }
}

/// The deviations that are allowed from "each message once and in order".
#[derive(Debug, Clone, Default)]
pub(crate) struct Excuses {
    /// The times at which the gateway had been killed, and all its output was read.
    pub(crate) deaths: Vec<Instant>,
    /// Number of outcomes that were unknown, or had to be tried again, without a death.
    pub(crate) unknown: usize,
    /// True when a repeat must be marked as one.
    pub(crate) is_marked: bool,
    /// Messages, by chat and number, that the service has refused for good.
    pub(crate) refused: BTreeSet<(u32, u32)>,
    /// Messages whose senders got a notice, on the other side, that they were given up.
    pub(crate) given_up: BTreeSet<(u32, u32)>,
}

/// The judge's findings.
#[derive(Debug, Default)]
pub(crate) struct Verdict {
    /// Lost, unexpected, duplicated or reordered.
    pub(crate) wrongs: Vec<String>,
    /// Messages that were there, each counted once.
    pub(crate) seen: usize,
    /// Messages that came again, with an excuse.
    pub(crate) repeats: usize,
    /// Messages that show only the beginning of an answer for ever.
    pub(crate) unfinished: usize,
    /// Messages whose senders got a notice that they were given up.
    pub(crate) given_up: BTreeSet<(u32, u32)>,
}

/// Pure. Judges one side: each message of each chat once and in order. A repeat must be of the last message of its chat, and
/// have an excuse. A message may be missing only when its sender got a notice of that very message, when the service is known
/// to have refused it, or when so many notices were about unknown fates.
pub(crate) fn judge(written: &BTreeMap<u32, u32>, entries: &[Entry], excuses: &Excuses) -> Verdict {
    let mut verdict = Verdict::default();
    let mut unexcused = Vec::new();
    for (&chat, &count) in written {
        let mut last: Option<(u32, &Entry)> = None;
        let (mut seen, mut given_up) = (BTreeSet::new(), BTreeSet::new());
        let (mut undelivered, mut unsure) = (0, 0);
        for entry in entries.iter().filter(|entry| entry.chat == chat) {
            let wrong = |what: &str| format!("{what}: {:?} in chat {chat}", entry.text);
            match number(&entry.text) {
                // The gateway that showed it died before the id of that message was stored.
                Some(_) if entry.text.ends_with(GOES_ON) => {
                    verdict.unfinished += 1;
                    if !excuses.deaths.iter().any(|death| entry.at <= *death) {
                        unexcused.push(wrong("unfinished"));
                    }
                }
                None if entry.text.contains(GIVEN_UP) => match entry.replies_to {
                    Some((of, number)) if of == chat => drop(given_up.insert(number)),
                    Some(_) | None => verdict.wrongs.push(wrong("about no message")),
                },
                // A notice about anything else, the agent or the conversation, does not excuse it.
                None => {
                    undelivered += how_many(&entry.text, UNDELIVERED);
                    unsure += how_many(&entry.text, UNSURE);
                }
                Some((of, number)) if of != chat || number == 0 || number > count => {
                    verdict.wrongs.push(wrong("unexpected"));
                }
                Some((_, number)) => match last {
                    Some((before, first)) if before == number => {
                        verdict.repeats += 1;
                        let has_died = |death: &Instant| first.at <= *death && *death <= entry.at;
                        if !excuses.deaths.iter().any(has_died) {
                            unexcused.push(wrong("duplicated"));
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
        let refused = excuses.refused.iter().filter(|(of, _)| *of == chat).count();
        if undelivered > refused {
            verdict.wrongs.push(format!("told of {undelivered} losses in chat {chat}, which had {refused}"));
        }
        let is_excused = |number: &u32| {
            let message = (chat, *number);
            given_up.contains(number)
                || [&excuses.refused, &excuses.given_up].iter().any(|set| set.contains(&message))
        };
        let lost: Vec<u32> =
            (1..=count).filter(|number| !seen.contains(number) && !is_excused(number)).collect();
        // The notice does not name these; they are few.
        if lost.len() > unsure {
            verdict
                .wrongs
                .push(format!("lost: {lost:?} in chat {chat}, of which {unsure} were told of as unsure"));
        }
        let both: Vec<_> = seen.intersection(&given_up).collect();
        if !both.is_empty() {
            verdict.wrongs.push(format!("answered and given up: {both:?} in chat {chat}"));
        }
        verdict.seen += seen.len();
        verdict.given_up.extend(given_up.into_iter().map(|number| (chat, number)));
    }
    if unexcused.len() > excuses.unknown {
        verdict.wrongs.append(&mut unexcused);
    }
    let known = |entry: &&Entry| !written.contains_key(&entry.chat) && entry.chat != ORDERS;
    verdict.wrongs.extend(entries.iter().filter(known).map(|entry| format!("unexpected: {entry:?}")));
    verdict
}

/// Returns the number of answers that a text reports in this way.
fn how_many(text: &str, what: &str) -> usize {
    let said = text.split(" and ").find(|said| said.contains(what));
    said.map_or(0, |said| said.split(' ').next().and_then(|word| word.parse().ok()).unwrap_or(1))
}

/// An agent's service that speaks OpenAI's protocol, answers each message with its own text, and notes the requests.
pub(crate) struct AskedAgent {
    socket: SocketAddr,
    shared: Arc<Mutex<AgentShared>>,
}

#[derive(Default)]
struct AgentShared {
    entries: Vec<Entry>,
    /// Connections that have not ended.
    connections: usize,
    /// The answers to the next requests, with their status line.
    troubles: VecDeque<String>,
    /// True when its answers are longer than the message, and come in parts.
    is_slow: bool,
}

impl AskedAgent {
    /// Listens.
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let socket = listener.local_addr().expect("it has one");
        let shared: Arc<Mutex<AgentShared>> = Arc::default();
        let asked = Arc::clone(&shared);
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let asked = Arc::clone(&asked);
                locked(&asked).connections += 1;
                std::thread::spawn(move || {
                    answer(stream, &asked);
                    locked(&asked).connections -= 1;
                });
            }
        });
        Self { socket, shared }
    }

    /// Returns the table of `gateway.toml`.
    pub(crate) fn table(&self) -> String {
        format!("[agent]\nkind = \"openai\"\nbase_url = \"http://{}/v1\"\nmodel = \"test\"\n", self.socket)
    }

    /// Gives this answer to the next request: the status line without its version, and the body. `{key}` in it becomes the
    /// key that came with the request.
    pub(crate) fn trouble(&self, status: &str, body: &str) {
        let answer = format!("HTTP/1.1 {status}\r\nconnection: close\r\n\r\n{body}");
        locked(&self.shared).troubles.push_back(answer);
    }

    /// Makes its answers longer than the message, and in parts, from now on.
    pub(crate) fn dawdle(&self) {
        locked(&self.shared).is_slow = true;
    }

    /// Returns the requests.
    pub(crate) fn asked(&self) -> Vec<Entry> {
        locked(&self.shared).entries.clone()
    }

    /// Returns when all requests of a dead gateway were read.
    pub(crate) fn hush(&self) {
        let last = std::net::TcpStream::connect(self.socket).expect("it listens");
        last.shutdown(Shutdown::Write).expect("it is open");
        hush(last, || locked(&self.shared).connections == 0);
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().expect("not poisoned")
}

/// Answers one request. A gateway that dies within it does not matter here.
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
    let is_slow = {
        let mut shared = locked(shared);
        if let Some(trouble) = shared.troubles.pop_front() {
            drop(shared);
            return stream.write_all(trouble.replace("{key}", &key).as_bytes()).ok();
        }
        let chat = number(&text).map_or(ORDERS, |(chat, _)| chat);
        shared.entries.push(Entry {
            at: Instant::now(),
            chat,
            text: text.clone(),
            handle: None,
            replies_to: None,
        });
        shared.is_slow
    };
    let event = |text: &str| {
        let event = json!({ "choices": [{ "delta": { "content": text } }] });
        format!("data: {event}\n\n")
    };
    let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n";
    let first = if is_slow { format!("{text} And this is not yet all") } else { text };
    stream.write_all(format!("{head}{}", event(&first)).as_bytes()).ok()?;
    if is_slow {
        wait::until(PAUSE, || None::<()>);
        stream.write_all(event(" that is to be said.").as_bytes()).ok()?;
    }
    stream.write_all(b"data: [DONE]\n\n").ok()
}

/// The service of `scripted1`. It answers everything at once, and knows one connection at a time: the bytes that a dead
/// gateway left in its socket are read before those of the next one.
pub(crate) struct ScriptedEnd {
    dir: TempDir,
    shared: Arc<(Mutex<Played>, Condvar)>,
}

#[derive(Default)]
struct Played {
    stream: Option<UnixStream>,
    /// The unacknowledged messages: id, chat, text.
    offers: VecDeque<(String, u32, String)>,
    /// All messages, in order: ids are places here, from 1 on.
    written: Vec<String>,
    delivered: Vec<Entry>,
    refused: Vec<(u32, String)>,
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
        let chat = word("chat").parse().expect("a chat of ours");
        if matches!(trouble, Some(Trouble::Never | Trouble::Gone)) {
            self.refused.push((chat, text));
        } else {
            let place = said["reply_to"].as_str().and_then(|id| id.strip_prefix('m')?.parse::<usize>().ok());
            let replies_to = place.and_then(|place| number(&self.written[place - 1]));
            let handle = Some(handle.clone());
            self.delivered.push(Entry { at: Instant::now(), chat, text, handle, replies_to });
        }
        let unsent = |certainty: &str, retry: Value| {
            json!({ "do": "unsent", "handle": handle, "code": "net_timeout",
                                                             "certainty": certainty, "retry": retry })
        };
        self.cue(&match trouble {
            None => json!({ "do": "sent", "handle": handle }),
            Some(Trouble::Unknown) => unsent("maybe_sent", json!({ "after_ms": 10 })),
            Some(Trouble::Never | Trouble::Gone) => unsent("not_sent", json!("never")),
        });
    }
}

impl FarEnd for ScriptedEnd {
    const NAME: &'static str = "scripted1";
    const ACKNOWLEDGES: &'static str = "scripted";

    fn start() -> Self {
        let dir = tempfile::tempdir().expect("a temp folder");
        let listener = UnixListener::bind(dir.path().join("stage")).expect("a socket");
        let shared: Arc<(Mutex<Played>, Condvar)> = Arc::default();
        let played = Arc::clone(&shared);
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                locked(&played.0).stream = stream.try_clone().ok();
                for line in BufReader::new(stream).lines().map_while(Result::ok) {
                    // A line that was cut by a death is ignored.
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
            played.written.push(text.clone());
            let offer = (format!("m{}", played.written.len()), *chat, text.clone());
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

    fn hush(&self) {
        // It reads one connection at a time, so with the last of them it has read all.
        let last = UnixStream::connect(self.dir.path().join("stage")).expect("it listens");
        last.shutdown(Shutdown::Write).expect("it is open");
        hush(last, || true);
    }

    fn refused(&self) -> Vec<(u32, String)> {
        locked(&self.shared.0).refused.clone()
    }

    fn trouble(&self, troubles: &[Trouble]) {
        locked(&self.shared.0).troubles.extend(troubles);
    }
}

/// The Bot API.
pub(crate) struct TelegramEnd {
    service: TelegramService,
    /// The messages, by their numbers.
    written: Mutex<BTreeMap<i64, (u32, u32)>>,
}

/// The first number of the people: each chat of the ledger is one.
const PEOPLE: i64 = 4_000_000;

fn person(chat: i64) -> u32 {
    u32::try_from(chat - PEOPLE).expect("a chat of ours")
}

impl FarEnd for TelegramEnd {
    const NAME: &'static str = "telegram";
    const ACKNOWLEDGES: &'static str = "telegram";

    fn start() -> Self {
        let service = TelegramService::start();
        service.forget_requests();
        Self { service, written: Mutex::default() }
    }

    fn furnish(&self, home: &mut TestHome) -> String {
        let locks = home.root().join("locks").display().to_string();
        home.env.push(("HERMES_GATEWAY_LOCK_DIR".to_owned(), locks));
        let allowed: Vec<String> = (0..=ORDERS).map(|chat| (PEOPLE + i64::from(chat)).to_string()).collect();
        home.write(
            ".env",
            format!("TELEGRAM_BOT_TOKEN={TOKEN}\nTELEGRAM_ALLOWED_USERS={}\n", allowed.join(",")),
        );
        self.service.table()
    }

    fn write(&self, messages: &[(u32, String)]) {
        // A lookup of the answered message waits until it stands here.
        let mut written = locked(&self.written);
        let texts = messages.iter().map(|(chat, text)| (PEOPLE + i64::from(*chat), text.clone()));
        let ids = self.service.write_all(texts);
        written.extend(ids.into_iter().zip(messages).filter_map(|(id, (_, text))| Some((id, number(text)?))));
    }

    fn offered(&self) -> usize {
        self.service.waiting()
    }

    fn delivered(&self) -> Vec<Entry> {
        let written = locked(&self.written);
        let entry = |sent: super::telegram::bot::SentMessage| Entry {
            at: sent.at,
            chat: person(sent.chat),
            text: sent.text,
            handle: None,
            replies_to: sent.reply_to.and_then(|id| written.get(&id).copied()),
        };
        self.service.sent().into_iter().map(entry).collect()
    }

    fn wait(&self, count: usize, limit: Duration) {
        self.service.wait_count(count, limit);
    }

    fn hush(&self) {
        self.service.hush();
    }

    fn refused(&self) -> Vec<(u32, String)> {
        self.service.untaken().into_iter().map(|(chat, text)| (person(chat), text)).collect()
    }

    fn portion(&self, count: usize) {
        self.service.portion(count);
    }

    fn trouble(&self, troubles: &[Trouble]) {
        for trouble in troubles {
            let (method, fault) = match trouble {
                Trouble::Unknown => ("sendMessage", Fault::CutAfter),
                Trouble::Never => ("sendMessage", Fault::refuse(400, "Bad Request: no")),
                Trouble::Gone => {
                    ("editMessageText", Fault::refuse(400, "Bad Request: message to edit not found"))
                }
            };
            self.service.fail(method, [fault]);
        }
    }
}
