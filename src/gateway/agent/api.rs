//! The contract between the message path and whoever answers.

use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;

use super::draft::Draft;
use crate::gateway::model::message::{ChatKey, InboundMessage};
use crate::gateway::store::api::Exchange;

/// The most exchanges that a turn brings with it.
pub const HISTORY_MAX: u32 = 20;

/// The longest history of a turn, in bytes; the oldest exchanges are left out.
pub const HISTORY_BYTES_MAX: usize = 32 << 10;

/// One message to answer, with what was said before.
#[derive(Debug, Clone, PartialEq)]
pub struct Turn {
    /// In which chat.
    pub key: ChatKey,
    /// Which conversation: a name that stays the same as long as it goes on.
    pub session: String,
    /// What to answer.
    pub message: InboundMessage,
    /// What was said before, oldest first; within [`HISTORY_MAX`] and [`HISTORY_BYTES_MAX`].
    pub history: Vec<Exchange>,
}

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{code}: {detail}")]
pub struct AgentError {
    /// Stable, snake_case, for the log.
    pub code: &'static str,
    /// What the person in the chat is told: one sentence, no addresses, no secrets.
    pub told: String,
    /// What the log adds: no text of people, no secrets, no query of an address.
    pub detail: String,
    /// Whether the message is put back for another time.
    pub again: Again,
}

impl AgentError {
    /// Writes to the log why an answer is not whole.
    pub(super) fn log_cut(&self) {
        tracing::warn!(code = self.code, "the agent's answer was cut: {}", self.detail);
    }

    /// The name of this kind of failure, for what is logged once for each kind: its code, and its words without numbers.
    pub fn kind(&self) -> String {
        let has_digit = |word: &&str| word.bytes().any(|byte| byte.is_ascii_digit());
        let is_status = |word: &&str| word.len() == 3 && word.bytes().all(|byte| byte.is_ascii_digit());
        let words = self.detail.split_whitespace().filter(|word| !has_digit(word) || is_status(word));
        words.fold(self.code.to_owned(), |kind, word| kind + " " + word)
    }
}

/// Whether a message that got no answer is put back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Again {
    /// It had its turn: the person is told.
    #[default]
    Never,
    /// The agent is away; after this wait, for a day at most. The chat is told.
    After(Duration),
    /// It was asked, and something broke, perhaps by this very message: after this wait, and not for long.
    Briefly(Duration),
    /// It was asked, and fell silent, broke off or made no sense before it said anything: once more, at once. Then it had its
    /// turn.
    Once,
}

/// Before the words of a service in an error's detail and a trouble's cause: those are for the log and the owner alone.
pub const SAID: &str = "; it said: ";

/// The step open to a person whose last message failed.
pub const RETRY: &str = "Send /retry to ask again.";

/// What the person is told when an agent fell silent.
pub const STALLED: &str = "The agent did not answer in time. Send /retry to ask again.";

/// What the person said, in words: the text, and what came with it.
pub fn said(message: &InboundMessage) -> String {
    let mut text = message.text.0.trim().to_owned();
    for attachment in &message.attachments {
        if !text.is_empty() {
            text.push('\n');
        }
        text.push('[');
        text.push_str(&attachment.label());
        if let Some(why) = &attachment.error {
            text.push_str(", not fetched: ");
            text.push_str(why);
        }
        text.push(']');
    }
    text
}

/// Who answers, for people.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct About {
    /// The word of the settings for it.
    pub kind: &'static str,
    /// Which model or program, where there is one.
    pub model: Option<String>,
    /// Nothing was asked of it in this run, so it is not known whether it answers.
    pub is_untried: bool,
    /// Why nothing is asked of it at the moment, or what it is asked is refused.
    pub trouble: Option<Trouble>,
}

/// Why an agent does not answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trouble {
    /// Since when.
    pub since: Timestamp,
    /// The cause in a few words, without secrets; behind [`SAID`] the words of the service.
    pub why: String,
    /// The code of the cause, where it is not that of the ailment.
    pub code: Option<&'static str>,
    /// The form of the failure.
    pub ailment: Ailment,
}

impl Trouble {
    /// The cause without the words of the service.
    pub fn briefly(&self) -> &str {
        self.why.split(SAID).next().unwrap_or_default()
    }
}

/// The form in which an agent fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ailment {
    /// It is not there: nothing is asked of it, and messages wait.
    Away,
    /// It is there, and refuses all that it is asked.
    Refuses,
    /// It fails at all that it is asked.
    Fails,
}

/// Whoever answers.
#[async_trait]
pub trait Agent: Send + Sync {
    /// Answers in Markdown. May be cancelled by dropping the future. Ends within a limit of its own. Whoever knows a part of the
    /// answer before the whole writes it into `draft`.
    ///
    /// # Errors
    /// What the person is told instead.
    async fn answer(&self, turn: Turn, draft: &Draft) -> Result<String, AgentError>;

    /// How long nothing is to be asked of it, because nobody was there the last time. Does not block.
    fn wait(&self) -> Option<Duration> {
        None
    }

    /// Who it is, and how it is. Does not block.
    fn about(&self) -> About;

    /// Hands over what was written while the turn of this chat is being answered. Returns whether that answer takes it into
    /// account; where it does not, the message gets a turn of its own. Does not block.
    fn steer(&self, _key: &ChatKey, _message: &InboundMessage) -> bool {
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_of_one_code_are_of_one_kind_only_with_the_same_words() {
        let kind = |detail: &str| {
            let detail = detail.to_owned();
            AgentError { code: "agent_failed", told: String::new(), detail, again: Again::Never }.kind()
        };
        let first = kind("h:443 answers 400 for the model m; it said: no temperature (request 81ad7)");
        assert_eq!(first, kind("h:443 answers 400 for the model m; it said: no temperature (request 92be8)"));
        for other in [
            "h:443 answers 400 for the model m; it said: no tools (request 81ad7)",
            "h:443 answers 500 for the model m; it said: no temperature (request 81ad7)",
        ] {
            assert_ne!(first, kind(other));
        }
    }
}
