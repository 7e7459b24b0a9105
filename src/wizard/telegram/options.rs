//! Pure. Answers that the command line gives ahead of the questions.

use std::time::Duration;

/// The flags of `hermes telegram`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TelegramOptions {
    /// `--token-stdin`: the token is the first line of standard input.
    pub token_stdin: bool,
    /// `--allow`: ids with commas between them, or `*`.
    pub allow: Option<String>,
    /// `--allow-everyone`: everybody may write.
    pub allow_everyone: bool,
    /// `--home-channel`: the chat to which alerts are sent.
    pub home_channel: Option<String>,
    /// `--no-wait`: the wizard does not wait for a first message.
    pub no_wait: bool,
    /// `--timeout`: the longest wait for the owner's message.
    pub timeout: Duration,
    /// `--yes`: confirmations take their default, and the first who writes is the owner.
    pub yes: bool,
    /// `--start`, `--no-start`: whether the gateway is started at the end.
    pub start: Option<bool>,
    /// `--json`: one event a line on stdout, no questions.
    pub json: bool,
    /// The start of the gateway is offered at the end.
    pub offers_start: bool,
}

impl Default for TelegramOptions {
    fn default() -> Self {
        Self {
            token_stdin: false,
            allow: None,
            allow_everyone: false,
            start: None,
            home_channel: None,
            no_wait: false,
            timeout: Duration::from_mins(5),
            yes: false,
            json: false,
            offers_start: true,
        }
    }
}
