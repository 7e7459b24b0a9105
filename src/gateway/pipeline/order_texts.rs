//! Pure. Answers to commands in a chat.

use std::time::Duration;

use jiff::Timestamp;

use crate::config::Reset;
use crate::gateway::agent::api::{About, Ailment};
use crate::gateway::store::api::Ended;
use crate::gateway::store::api::sessions::Session;
use crate::span::{age, span};

/// `/help`.
pub(super) const HELP: &str = "\
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

/// The answer to `/stop`.
pub(super) fn stopped(ended: &Ended) -> String {
    let text = match ended.waited {
        Some(waited) => format!("Stopped. Your message of {} ago gets no answer.", span(waited)),
        None => "Nothing to stop.".to_owned(),
    };
    text + &waiting(ended.waiting)
}

/// The answer to `/new`.
pub(super) fn begun(ended: &Ended) -> String {
    let mut text = match ended.exchanges {
        Some(1..) => "This is a new conversation; I have forgotten the last one.".to_owned(),
        Some(0) | None => "This is a new conversation.".to_owned(),
    };
    if let Some(waited) = ended.waited {
        text.push_str(&format!(" Your message of {} ago gets no answer.", span(waited)));
    }
    text + &waiting(ended.waiting)
}

/// The notice, sent once, that a rule has ended a conversation.
pub(super) fn begun_anew(rule: Reset) -> &'static str {
    match rule {
        Reset::None => "This is a new conversation.",
        Reset::Idle => "This is a new conversation: the last one ended after a silence.",
        Reset::Daily => "This is a new conversation: the last one ended with the day.",
    }
}

/// The values that `/status` shows.
#[derive(Debug)]
pub(super) struct Status {
    /// The open conversation.
    pub(super) session: Option<Session>,
    /// The time since the turn of this chat began.
    pub(super) running: Option<Duration>,
    /// Messages of the chat that wait behind it.
    pub(super) waiting: u64,
    /// The agent and its state.
    pub(super) agent: About,
}

/// `/status`.
pub(super) fn status(status: &Status, now: Timestamp) -> String {
    let since = |at: Timestamp| span(age(at, now));
    let mut lines = Vec::new();
    lines.push(match &status.session {
        Some(Session { started_at, last_at, exchanges, .. }) => format!(
            "This conversation began {} ago; {exchanges} of your messages are answered, the last one {} ago.",
            since(*started_at),
            since(*last_at)
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
        lines.push(format!("It has {what} for {}: {}.", since(trouble.since), trouble.briefly()));
    }
    lines.push(match status.running {
        Some(running) => format!("I have been working on a message for {}.", span(running)),
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

/// The usage of `/platform`.
pub(super) const USAGE: &str = "\
I did not understand that. Use one of these:
- `/platform list`
- `/platform pause NAME`
- `/platform resume NAME`";
