//! The service's state of its one bot.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::markup;

/// Longest text, in UTF-16 units of what is shown.
const LENGTH_MAX: usize = 4096;

/// A fault of a request.
#[derive(Debug, Clone)]
pub(crate) enum Fault {
    /// The service gives this answer; the body is complete.
    Answer(u16, Value),
    /// It accepts the request and never answers.
    Hang,
    /// It carries the request out, and the connection breaks before the answer.
    CutAfter,
    /// The connection breaks before anything is done.
    CutBefore,
    /// It answers this instead of JSON.
    Garbage(Vec<u8>),
    /// It answers without end.
    Endless,
}

impl Fault {
    /// Makes a refusal in the service's own form.
    pub(crate) fn refuse(code: u16, description: &str) -> Self {
        Self::Answer(code, json!({ "ok": false, "error_code": code, "description": description }))
    }

    /// Makes the refusal that the group has become a supergroup of this number.
    pub(crate) fn moved(chat: i64) -> Self {
        Self::Answer(
            400,
            json!({ "ok": false, "error_code": 400,
                    "description": "Bad Request: group chat was upgraded to a supergroup chat",
                    "parameters": { "migrate_to_chat_id": chat } }),
        )
    }

    /// Makes a limit of so many seconds.
    pub(crate) fn limit(seconds: u64) -> Self {
        Self::Answer(
            429,
            json!({ "ok": false, "error_code": 429, "description": format!("Too Many Requests: retry after {seconds}"),
                    "parameters": { "retry_after": seconds } }),
        )
    }
}

/// A message that the bot sent.
#[derive(Debug, Clone)]
pub(crate) struct SentMessage {
    pub(crate) message_id: i64,
    pub(crate) chat: i64,
    pub(crate) topic: Option<i64>,
    /// The text that people see.
    pub(crate) text: String,
    /// The text as it came, with its markup.
    pub(crate) raw: String,
    pub(crate) reply_to: Option<i64>,
    pub(crate) at: Instant,
}

/// One request that came in.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    pub(crate) method: String,
    pub(crate) parameters: Value,
}

/// The fate of a request.
pub(super) enum Verdict {
    Answer(u16, Value),
    /// The poll waits, under this number, until there is an update, or so long.
    Wait(u64, Duration),
    Fault(Fault),
}

/// The whole state.
#[derive(Default)]
pub(super) struct State {
    pub(super) token: String,
    pub(super) waiting: VecDeque<(i64, Value)>,
    pub(super) next_update: i64,
    pub(super) next_message: i64,
    /// Updates that spoil each answer in which they are: behind their number it is not JSON.
    pub(super) spoiled: BTreeSet<i64>,
    /// The highest number that was confirmed.
    pub(super) confirmed: i64,
    pub(super) sent: Vec<SentMessage>,
    /// Texts that a fault has refused for good, with their chats.
    pub(super) untaken: Vec<(i64, String)>,
    pub(super) asked: Vec<Asked>,
    pub(super) faults: HashMap<String, VecDeque<Fault>>,
    /// Faults that hold until they are lifted.
    pub(super) standing: HashMap<String, Fault>,
    pub(super) webhook: String,
    /// The secret of the webhook.
    pub(super) secret: String,
    /// Time and cause of the last failure to bring an update.
    pub(super) webhook_error: Option<(i64, String)>,
    /// Number of updates that were brought and taken.
    pub(super) brought: usize,
    /// Statuses with which others were refused.
    pub(super) turned_away: Vec<u16>,
    pub(super) dropped: u64,
    /// Number of requests with a token that is not the bot's.
    pub(super) refused: usize,
    pub(super) files: BTreeMap<String, (String, Vec<u8>)>,
    /// Files that come slowly, by their paths.
    pub(super) trickling: BTreeSet<String>,
    /// The poll that may answer: the newest one.
    pub(super) poller: u64,
    /// The most updates that an answer brings.
    pub(super) batch_max: usize,
    /// True to keep a ledger of requests, which costs memory; benchmarks do without.
    pub(super) keeps_asked: bool,
}

impl State {
    /// Returns the bot of the token.
    fn me(&self) -> Value {
        let id: i64 = self.token.split(':').next().and_then(|id| id.parse().ok()).expect("a token");
        json!({ "id": id, "is_bot": true, "first_name": "Hermes", "username": "hermes_test_bot",
                "can_join_groups": true, "can_read_all_group_messages": false })
    }

    /// Puts an update into the queue.
    pub(super) fn push(&mut self, mut update: Value) -> i64 {
        self.next_update += 1;
        update["update_id"] = json!(self.next_update);
        self.waiting.push_back((self.next_update, update));
        self.next_update
    }

    /// Puts it in with another number, or with a value that is not a number; null: it is left out.
    pub(super) fn push_as(&mut self, mut update: Value, number: Value) {
        self.next_update += 1;
        let key = number.as_i64().unwrap_or(self.next_update);
        if !number.is_null() {
            update["update_id"] = number;
        }
        self.waiting.push_back((key, update));
    }

    pub(super) fn ask(&mut self, method: &str, parameters: Value) -> Verdict {
        if self.keeps_asked {
            self.asked.push(Asked { method: method.to_owned(), parameters: parameters.clone() });
        }
        if let Some(fault) = self.fault(method) {
            if matches!(fault, Fault::CutAfter) {
                drop(self.carry_out(method, &parameters));
            }
            if matches!(fault, Fault::Answer(400, _)) && method == "sendMessage" {
                let text = parameters["text"].as_str().unwrap_or_default().to_owned();
                self.untaken.push((parameters["chat_id"].as_i64().unwrap_or_default(), text));
            }
            return Verdict::Fault(fault);
        }
        self.carry_out(method, &parameters)
    }

    fn fault(&mut self, method: &str) -> Option<Fault> {
        for name in [method, "*"] {
            if let Some(fault) = self.faults.get_mut(name).and_then(VecDeque::pop_front) {
                return Some(fault);
            }
            if let Some(fault) = self.standing.get(name) {
                return Some(fault.clone());
            }
        }
        None
    }

    fn carry_out(&mut self, method: &str, parameters: &Value) -> Verdict {
        match method {
            "getMe" => ok(self.me()),
            "getWebhookInfo" => {
                let mut info = json!({ "url": self.webhook, "pending_update_count": self.waiting.len() });
                if let Some((date, message)) = &self.webhook_error {
                    info["last_error_date"] = json!(date);
                    info["last_error_message"] = json!(message);
                }
                ok(info)
            }
            "setWebhook" => {
                let text = |name: &str| parameters[name].as_str().unwrap_or_default().to_owned();
                // Only addresses of this machine are called; others are taken as they are.
                if !text("url").contains("://") {
                    return refuse(
                        400,
                        "Bad Request: bad webhook: An HTTPS URL must be provided for webhook",
                    );
                }
                (self.webhook, self.secret, self.webhook_error) = (text("url"), text("secret_token"), None);
                ok(json!(true))
            }
            "deleteWebhook" => {
                self.webhook.clear();
                if parameters["drop_pending_updates"] == true {
                    self.dropped += self.waiting.len() as u64;
                    self.waiting.clear();
                }
                ok(json!(true))
            }
            "getUpdates" => self.updates(parameters),
            "sendMessage" => self.send(parameters),
            "editMessageText" => self.edit(parameters),
            "sendChatAction" => ok(json!(true)),
            "getFile" => match self.files.get(parameters["file_id"].as_str().unwrap_or_default()) {
                Some((path, bytes)) => ok(json!({ "file_id": parameters["file_id"], "file_unique_id": "u",
                                                  "file_size": bytes.len(), "file_path": path })),
                None => refuse(400, "Bad Request: invalid file_id"),
            },
            _ => refuse(404, "Not Found"),
        }
    }

    fn updates(&mut self, parameters: &Value) -> Verdict {
        if !self.webhook.is_empty() {
            return refuse(409, "Conflict: can't use getUpdates method while webhook is active");
        }
        self.poller += 1;
        if let Some(offset) = parameters["offset"].as_i64() {
            self.waiting.retain(|(id, _)| *id >= offset);
            self.confirmed = self.confirmed.max(offset - 1);
        }
        let limit = parameters["limit"].as_u64().unwrap_or(100).clamp(1, 100);
        let seconds = parameters["timeout"].as_u64().unwrap_or(0);
        if self.waiting.is_empty() && seconds > 0 {
            return Verdict::Wait(self.poller, Duration::from_secs(seconds));
        }
        self.batch(usize::try_from(limit).expect("at most 100"))
    }

    /// Returns the waiting updates, at most so many.
    pub(super) fn batch(&self, limit: usize) -> Verdict {
        let batch = || self.waiting.iter().take(limit.min(self.batch_max));
        if !batch().any(|(id, _)| self.spoiled.contains(id)) {
            return ok(batch().map(|(_, update)| update.clone()).collect());
        }
        let written = |(id, update): &(i64, Value)| match self.spoiled.contains(id) {
            true => format!("{{\"update_id\":{id},\"message\":{{\"text\":\"half\u{1}"),
            false => update.to_string(),
        };
        let written: Vec<_> = batch().map(written).collect();
        Verdict::Fault(Fault::Garbage(
            format!("{{\"ok\":true,\"result\":[{}]}}", written.join(",")).into_bytes(),
        ))
    }

    fn send(&mut self, parameters: &Value) -> Verdict {
        let Some(chat) = parameters["chat_id"].as_i64() else {
            return refuse(400, "Bad Request: chat_id is empty");
        };
        let raw = parameters["text"].as_str().unwrap_or_default().to_owned();
        let text = match text(parameters) {
            Ok(text) => text,
            Err(description) => return refuse(400, &format!("Bad Request: {description}")),
        };
        self.next_message += 1;
        let message_id = self.next_message;
        self.sent.push(SentMessage {
            message_id,
            chat,
            topic: parameters["message_thread_id"].as_i64(),
            text: text.clone(),
            raw,
            reply_to: parameters["reply_parameters"]["message_id"].as_i64(),
            at: Instant::now(),
        });
        ok(
            json!({ "message_id": message_id, "date": 1_700_000_000, "chat": { "id": chat, "type": "private" },
                   "from": self.me(), "text": text }),
        )
    }

    fn edit(&mut self, parameters: &Value) -> Verdict {
        let text = match text(parameters) {
            Ok(text) => text,
            Err(description) => return refuse(400, &format!("Bad Request: {description}")),
        };
        let id = parameters["message_id"].as_i64();
        let is_it = |sent: &SentMessage| Some(sent.message_id) == id && parameters["chat_id"] == sent.chat;
        match self.sent.iter_mut().find(|sent| is_it(sent)) {
            None => refuse(400, "Bad Request: message to edit not found"),
            Some(sent) if sent.text == text => refuse(
                400,
                "Bad Request: message is not modified: specified new message content and reply markup are exactly the same",
            ),
            Some(sent) => {
                sent.text = text;
                ok(json!({ "message_id": id }))
            }
        }
    }
}

/// Returns the text that people see, or the cause for which the service refuses it.
fn text(parameters: &Value) -> Result<String, String> {
    let raw = parameters["text"].as_str().unwrap_or_default();
    let text = match parameters["parse_mode"].as_str() {
        None => raw.to_owned(),
        Some("HTML") => markup::parse(raw)?,
        Some(mode) => return Err(format!("unsupported parse_mode {mode}")),
    };
    if text.trim().is_empty() {
        return Err("message text is empty".to_owned());
    }
    if text.encode_utf16().count() > LENGTH_MAX {
        return Err("message is too long".to_owned());
    }
    Ok(text)
}

pub(super) fn ok(result: Value) -> Verdict {
    Verdict::Answer(200, json!({ "ok": true, "result": result }))
}

fn refuse(code: u16, description: &str) -> Verdict {
    Verdict::Fault(Fault::refuse(code, description))
}
