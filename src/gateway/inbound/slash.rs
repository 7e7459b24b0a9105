//! Pure. Commands in a chat: messages for the gateway and not for the agent.
//!
//! Only the commands here are taken; any other text that begins with `/` goes to the agent, which may know it.

use crate::gateway::model::message::InboundMessage;

/// A command to the gateway.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Slash {
    /// `/help`, or `/start`, which Telegram sends for a person who opens a chat with a bot.
    Help,
    /// `/new`: begins another conversation.
    New,
    /// `/retry`: answers the last message once more.
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
    /// True when its acceptance ends the turn that its chat waits for.
    pub fn ends_turn(&self) -> bool {
        match self {
            Self::New | Self::Stop => true,
            Self::Help | Self::Retry | Self::Status | Self::Whoami | Self::Platform(_) => false,
        }
    }
}

/// An action on platforms.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verb {
    /// Show them.
    List,
    /// Pause this one.
    Pause {
        /// Its name as it was written.
        name: String,
    },
    /// Try this one now.
    Resume {
        /// Its name as it was written.
        name: String,
    },
    /// Not understood: the answer is its usage.
    Unclear,
}

/// Returns the command of a message. `None`: it goes to the agent; so does a command that the sender only forwarded.
pub fn of(message: &InboundMessage) -> Option<Slash> {
    let is_written = message.is_command() && message.attachments.is_empty();
    is_written.then(|| parse(&message.text.0)).flatten()
}

/// Longest command, in bytes; a longer text is not one.
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gateway::model::message::FORWARDED;
    use crate::gateway::model::message::testing::message;
    use crate::sensitive::Private;

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
