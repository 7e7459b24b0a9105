//! Pure. Commands in a chat: what is meant for the gateway and not for the agent.
//!
//! Only what stands here is taken; any other text that begins with `/` is the agent's, which may know it.

use std::time::Duration;

use jiff::Timestamp;

use crate::config::Reset;
use crate::gateway::agent::api::{About, Ailment};
use crate::gateway::message::InboundMessage;
use crate::gateway::sessions::api::Session;
use crate::gateway::store::api::Ended;

/// What somebody asked of the gateway.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Slash {
    /// `/help`, or `/start`, which Telegram says for whoever opens a chat with a bot.
    Help,
    /// `/new`: what follows is another conversation.
    New,
    /// `/retry`: the last message once more.
    Retry,
    /// `/status`.
    Status,
    /// `/stop`: ends the turn of this chat.
    Stop,
    /// `/whoami`.
    Whoami,
    /// `/platform …`.
    Platform(Verb),
}

impl Slash {
    /// With its acceptance the message that its chat waits for is done.
    pub fn ends_turn(&self) -> bool {
        match self {
            Self::New | Self::Stop => true,
            Self::Help | Self::Retry | Self::Status | Self::Whoami | Self::Platform(_) => false,
        }
    }
}

/// What is to be done with platforms.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verb {
    /// Show them.
    List,
    /// Leave this one alone.
    Pause {
        /// Its name as it was written.
        name: String,
    },
    /// Try this one now.
    Resume {
        /// Its name as it was written.
        name: String,
    },
    /// Not understood: the answer is how it is used.
    Unclear,
}

/// The command of a message. `None`: it is the agent's; so is a command that the sender only passed on.
pub fn of(message: &InboundMessage) -> Option<Slash> {
    let is_written = message.is_command() && message.attachments.is_empty();
    is_written.then(|| parse(&message.text.0)).flatten()
}

/// A longer text is no command.
const LEN_MAX: usize = 200;

/// Reads a text. `None`: it is not for us.
fn parse(text: &str) -> Option<Slash> {
    let text = text.trim();
    if text.len() > LEN_MAX || text.contains('\n') {
        return None;
    }
    let mut words = text.split_whitespace();
    let command = words.next()?.strip_prefix('/')?.to_ascii_lowercase();
    let words: Vec<&str> = words.collect();
    match command.as_str() {
        "help" => Some(Slash::Help),
        "start" if words.is_empty() => Some(Slash::Help),
        "new" | "reset" => Some(Slash::New),
        "retry" => Some(Slash::Retry),
        "status" => Some(Slash::Status),
        "stop" => Some(Slash::Stop),
        "whoami" => Some(Slash::Whoami),
        "platform" | "platforms" => Some(Slash::Platform(verb(&words))),
        _ => None,
    }
}

fn verb(words: &[&str]) -> Verb {
    let verb = words.first().map(|word| word.to_ascii_lowercase());
    match (verb.as_deref(), words.get(1), words.len()) {
        (None | Some("list" | "status"), None, _) => Verb::List,
        (Some("pause"), Some(name), 2) => Verb::Pause { name: (*name).to_owned() },
        (Some("resume"), Some(name), 2) => Verb::Resume { name: (*name).to_owned() },
        _ => Verb::Unclear,
    }
}

/// `/help`.
pub const HELP: &str = "\
Commands for the gateway:
- `/new`: begin a new conversation; I forget this one
- `/stop`: stop working on your last message
- `/retry`: answer your last message again
- `/status`: this conversation, and what I am doing
- `/platform list`: every platform's state
- `/platform pause NAME`: disconnect a platform until it is resumed
- `/platform resume NAME`: try a platform now
- `/whoami`: the name and ID I have for you
- `/help`: this text

Everything else goes to the agent.";

/// What `/stop` has ended.
pub fn stopped(ended: &Ended) -> String {
    let text = match ended.waited {
        Some(waited) => format!("Stopped. Your message of {} ago gets no answer.", brief(waited)),
        None => "Nothing to stop.".to_owned(),
    };
    text + &waiting(ended.waiting)
}

/// What `/new` has ended.
pub fn begun(ended: &Ended) -> String {
    let mut text = match ended.exchanges {
        Some(1..) => "This is a new conversation; I have forgotten the last one.".to_owned(),
        Some(0) | None => "This is a new conversation.".to_owned(),
    };
    if let Some(waited) = ended.waited {
        text.push_str(&format!(" Your message of {} ago gets no answer.", brief(waited)));
    }
    text + &waiting(ended.waiting)
}

/// Told once when a rule has ended a conversation.
pub fn begun_anew(rule: Reset) -> &'static str {
    match rule {
        Reset::None => "This is a new conversation.",
        Reset::Idle => "This is a new conversation: the last one ended after a silence.",
        Reset::Daily => "This is a new conversation: the last one ended with the day.",
    }
}

/// What `/status` shows.
#[derive(Debug)]
pub struct Status {
    /// The conversation that is open.
    pub session: Option<Session>,
    /// How long the turn of this chat has been running.
    pub running: Option<Duration>,
    /// Messages of the chat that wait behind it.
    pub waiting: u64,
    /// Who answers.
    pub agent: About,
}

/// `/status`.
pub fn status(status: &Status, now: Timestamp) -> String {
    let ago = |at: Timestamp| brief(Duration::try_from(now.duration_since(at)).unwrap_or_default());
    let mut lines = Vec::new();
    lines.push(match &status.session {
        Some(Session { started_at, last_at, exchanges, .. }) => format!(
            "This conversation began {} ago; {exchanges} of your messages are answered, the last one {} ago.",
            ago(*started_at),
            ago(*last_at)
        ),
        None => "No conversation is open; your next message begins one.".to_owned(),
    });
    let model = status.agent.model.as_ref().map_or_else(String::new, |model| format!(", {model}"));
    lines.push(format!("Agent: {}{model}.", status.agent.kind));
    if let Some(trouble) = &status.agent.trouble {
        let what = match trouble.ailment {
            Ailment::Away => "not been available",
            Ailment::Refuses => "refused every request",
            Ailment::Fails => "failed at every message",
        };
        lines.push(format!("It has {what} for {}: {}.", ago(trouble.since), trouble.why));
    }
    lines.push(match status.running {
        Some(running) => format!("I have been working on a message for {}.", brief(running)),
        None => "I am not working on a message.".to_owned(),
    });
    if status.waiting > 0 {
        lines.push(waiting(status.waiting).trim().to_owned());
    }
    lines.join("\n")
}

fn waiting(count: u64) -> String {
    match count {
        0 => String::new(),
        1 => " One more message waits and is next.".to_owned(),
        more => format!(" {more} more messages wait and are next."),
    }
}

/// A time as people say it.
pub fn brief(time: Duration) -> String {
    match time.as_secs() {
        seconds @ 0..=119 => format!("{seconds} s"),
        seconds @ 120..=7199 => format!("{} min", seconds / 60),
        seconds @ 7200..=172_799 => format!("{} h", seconds / 3600),
        seconds => format!("{} days", seconds / 86_400),
    }
}

/// How `/platform` is used.
pub const USAGE: &str = "\
I did not understand that. Use one of these:
- `/platform list`
- `/platform pause NAME`
- `/platform resume NAME`";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gateway::message::testing::message;
    use crate::gateway::message::{FORWARDED, Private};

    #[test]
    fn commands_are_read_in_any_case_and_everything_else_is_the_agents() {
        let pause = |name: &str| Some(Slash::Platform(Verb::Pause { name: name.into() }));
        let resume = |name: &str| Some(Slash::Platform(Verb::Resume { name: name.into() }));
        let unclear = Some(Slash::Platform(Verb::Unclear));
        let long = format!("/platform pause {}", "x".repeat(300));
        for (text, expected) in [
            ("/help", Some(Slash::Help)),
            (" /HELP \n", Some(Slash::Help)),
            ("/start", Some(Slash::Help)),
            ("/start the car", None),
            ("/whoami", Some(Slash::Whoami)),
            ("/Stop", Some(Slash::Stop)),
            ("/new", Some(Slash::New)),
            ("/RESET", Some(Slash::New)),
            ("/retry", Some(Slash::Retry)),
            ("/status", Some(Slash::Status)),
            ("/newest", None),
            ("/platform", Some(Slash::Platform(Verb::List))),
            ("/platforms", Some(Slash::Platform(Verb::List))),
            ("/platform LIST", Some(Slash::Platform(Verb::List))),
            ("/platform status", Some(Slash::Platform(Verb::List))),
            ("/platform pause WhatsApp", pause("WhatsApp")),
            ("/Platform  Resume   whatsapp", resume("whatsapp")),
            ("/platform resume fax", resume("fax")),
            ("/platform pause", unclear.clone()),
            ("/platform resume", unclear.clone()),
            ("/platform pause whatsapp telegram", unclear.clone()),
            ("/platform list whatsapp", unclear.clone()),
            ("/platform explode", unclear),
            ("", None),
            ("/", None),
            ("platform list", None),
            ("help", None),
            ("please /platform pause whatsapp", None),
            ("//help", None),
            ("/ help", None),
            ("/helpme", None),
            ("/platform pause\nwhatsapp", None),
            ("/help\nand more that was meant for the agent", None),
            (long.as_str(), None),
        ] {
            let mut message = message("1", "2", text);
            assert_eq!(of(&message), expected, "{text:?}");
            message.mark_forwarded(FORWARDED);
            assert_eq!(of(&message), None, "forwarded: {text:?}");
            message.text = Private(text.into());
            assert_eq!(of(&message), None, "whatever stands before it: {text:?}");
        }
    }
}
