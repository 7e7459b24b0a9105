//! Pure. Commands in a chat: what is meant for the gateway and not for the agent.
//!
//! Only what stands here is taken; any other text that begins with `/` is the agent's, which may know it.

use crate::gateway::message::InboundMessage;

/// What somebody asked of the gateway.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Slash {
    /// `/help`.
    Help,
    /// `/whoami`.
    Whoami,
    /// `/platform …`.
    Platform(Verb),
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

/// The command of a message. `None`: it is the agent's.
pub fn of(message: &InboundMessage) -> Option<Slash> {
    if message.attachments.is_empty() { parse(&message.text.0) } else { None }
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
- `/platform list`: every platform's state
- `/platform pause NAME`: leave a platform alone until it is resumed
- `/platform resume NAME`: try a platform now
- `/whoami`: how I know you
- `/help`: this text

Everything else goes to the agent.";

/// How `/platform` is used.
pub const USAGE: &str = "\
I did not understand that. Use one of these:
- `/platform list`
- `/platform pause NAME`
- `/platform resume NAME`";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_read_in_any_case_and_everything_else_is_the_agents() {
        let pause = |name: &str| Some(Slash::Platform(Verb::Pause { name: name.into() }));
        let resume = |name: &str| Some(Slash::Platform(Verb::Resume { name: name.into() }));
        let unclear = Some(Slash::Platform(Verb::Unclear));
        let long = format!("/platform pause {}", "x".repeat(300));
        for (text, expected) in [
            ("/help", Some(Slash::Help)),
            (" /HELP \n", Some(Slash::Help)),
            ("/whoami", Some(Slash::Whoami)),
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
            ("/new", None),
            ("/platform pause\nwhatsapp", None),
            ("/help\nand more that was meant for the agent", None),
            (long.as_str(), None),
        ] {
            assert_eq!(parse(text), expected, "{text:?}");
        }
    }
}
