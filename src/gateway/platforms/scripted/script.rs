//! Pure. The protocol between a scripted platform and the test that plays its service. See [`super`].

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::gateway::model::failure::{AdapterError, Certainty, Retry, Scope, SendError};
use crate::gateway::model::message::{ChatId, InboundMessage, MessageId, UserId};
use crate::sensitive::Private;

/// The error codes that a test can give; another one becomes the last of these.
pub const CODES: [&str; 18] = [
    "net_dns",
    "net_refused",
    "net_timeout",
    "net_tls",
    "net_slow",
    "net_proxy",
    "tls_untrusted",
    "proxy_auth",
    "telegram_network_error",
    "telegram_polling_conflict",
    "telegram_bad_token",
    "telegram_token_lock",
    "discord_websocket_health_stale",
    "slack_bad_token",
    "qq_reconnect_exhausted",
    "qq_rate_limited",
    "scripted_blocked",
    "scripted_failed",
];

/// A command of the test.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(tag = "do", rename_all = "snake_case")]
pub enum Cue {
    /// The service is ready: the attempt has succeeded.
    Ready,
    /// The attempt fails.
    Fail(Cause),
    /// Our code fails.
    Panic,
    /// A message came in.
    Message(Written),
    /// The service took a message.
    Sent {
        /// Its handle.
        handle: String,
    },
    /// The service did not take a message, or its fate is unknown.
    Unsent(Unsent),
    /// The service asks for fewer messages.
    Limit {
        /// Duration of the limit, in milliseconds.
        wait_ms: u64,
    },
    /// Proofs of the connection stop from now on.
    Silence,
    /// Proofs come again.
    Prove,
    /// The connection ends.
    Drop(Cause),
    /// Closing never returns.
    HangClose,
}

/// The cause of a failure.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Cause {
    /// One of [`CODES`].
    pub code: String,
    /// The text for people.
    #[serde(default)]
    pub message: Option<String>,
    /// The remedy for a person.
    #[serde(default)]
    pub user_action: Option<String>,
    /// The time of another try.
    #[serde(default)]
    pub retry: Again,
}

/// The time of another try.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Again {
    /// After the ladder's wait.
    #[default]
    Backoff,
    /// Not before its cause is gone.
    Never,
    /// After this wait.
    AfterMs(u64),
}

impl From<Again> for Retry {
    fn from(again: Again) -> Self {
        match again {
            Again::Backoff => Self::Backoff,
            Again::Never => Self::Never,
            Again::AfterMs(wait) => Self::After(Duration::from_millis(wait)),
        }
    }
}

/// A message that came in.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Written {
    /// Its id.
    pub id: String,
    /// Its chat.
    pub chat: String,
    /// Its sender.
    pub from: String,
    /// Its text.
    pub text: Private,
}

/// A message that was not taken.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Unsent {
    /// Its handle.
    pub handle: String,
    /// The error code.
    pub code: String,
    /// The certainty that it was not delivered.
    pub certainty: Fate,
    /// The time of another try of this message.
    #[serde(default)]
    pub retry: Again,
    /// The chat takes nothing at all.
    #[serde(default)]
    pub chat_gone: bool,
}

/// The possible fates of a failed message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fate {
    /// Certainly not.
    NotSent,
    /// Perhaps.
    MaybeSent,
}

/// A line from the platform to the test.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "say", rename_all = "snake_case")]
pub enum Said {
    /// An attempt begins. The first line of each connection.
    Connect {
        /// The platform.
        platform: String,
    },
    /// A message is on disk, or refused for good.
    Accepted {
        /// Its id.
        id: String,
    },
    /// A message could not be made durable; offer it again.
    Refused {
        /// Its id.
        id: String,
    },
    /// Take this message, and answer `sent` or `unsent`.
    Send {
        /// Its handle.
        handle: String,
        /// Its chat.
        chat: String,
        /// Its text.
        text: Private,
        /// The message that it replies to.
        #[serde(skip_serializing_if = "Option::is_none")]
        reply_to: Option<MessageId>,
        /// The message in whose place it is put.
        #[serde(skip_serializing_if = "Option::is_none")]
        replaces: Option<MessageId>,
    },
    /// The link is closed in order.
    Close,
}

impl From<Cause> for AdapterError {
    fn from(cause: Cause) -> Self {
        let code = CODES.into_iter().find(|code| *code == cause.code).unwrap_or(CODES[CODES.len() - 1]);
        let message = cause.message.unwrap_or_else(|| format!("the script says {code}"));
        Self { code, message, user_action: cause.user_action, retry: cause.retry.into() }
    }
}

impl From<Unsent> for SendError {
    fn from(unsent: Unsent) -> Self {
        let certainty = match unsent.certainty {
            Fate::NotSent => Certainty::NotSent,
            Fate::MaybeSent => Certainty::MaybeSent,
        };
        let message = "the script says so".to_owned();
        let scope = if unsent.chat_gone { Scope::Chat } else { Scope::Message };
        Self { code: unsent.code, message, certainty, retry: unsent.retry.into(), scope }
    }
}

/// A text in a direct chat.
pub fn inbound(written: Written, sent_at_s: i64) -> InboundMessage {
    InboundMessage {
        id: MessageId(written.id),
        chat: ChatId(written.chat),
        chat_alt: None,
        sender: UserId(written.from),
        sender_alt: None,
        sender_name: None,
        from_me: false,
        self_chat: false,
        is_group: false,
        addressed: true,
        reaction: false,
        forwarded: false,
        text: written.text,
        cut_from: None,
        attachments: Vec::new(),
        quoted: None,
        sent_at_s,
        album: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cue(line: &str) -> Cue {
        serde_json::from_str(line).unwrap()
    }

    #[test]
    fn cues_are_read_as_they_are_documented() {
        assert_eq!(cue(r#"{"do":"ready"}"#), Cue::Ready);
        assert_eq!(cue(r#"{"do":"limit","wait_ms":5}"#), Cue::Limit { wait_ms: 5 });
        assert_eq!(cue(r#"{"do":"hang_close"}"#), Cue::HangClose);
        let Cue::Drop(cause) = cue(r#"{"do":"drop","code":"net_timeout","retry":{"after_ms":500}}"#) else {
            panic!("not a drop")
        };
        let error = AdapterError::from(cause);
        assert_eq!((error.code, error.retry), ("net_timeout", Retry::After(Duration::from_millis(500))));
        let Cue::Fail(cause) = cue(r#"{"do":"fail","code":"what","retry":"never"}"#) else {
            panic!("not a failure")
        };
        let error = AdapterError::from(cause);
        assert_eq!((error.code, error.retry), ("scripted_failed", Retry::Never));
    }
}
