//! Pure. Failures of a platform or a send, each with its retry in its type.

use std::time::Instant;

pub use crate::net::{Certainty, Retry};

/// The reason why a platform is not connected.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct AdapterError {
    /// The stable code, in `snake_case`, from the contract's list.
    pub code: &'static str,
    /// The error for people; no secrets, no addresses with tokens.
    pub message: String,
    /// The command that a person should run, when only a person can help.
    pub user_action: Option<String>,
    /// The time of the next try.
    pub retry: Retry,
}

impl AdapterError {
    /// An error that the ladder tries again.
    pub fn retryable(code: &'static str, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), user_action: None, retry: Retry::Backoff }
    }

    /// An error that blocks the platform until a person does this.
    pub fn blocked(code: &'static str, message: impl Into<String>, user_action: impl Into<String>) -> Self {
        Self { code, message: message.into(), user_action: Some(user_action.into()), retry: Retry::Never }
    }

    /// The platform's own code failed. The panic's message is on standard error; it is not repeated, since it may quote anything.
    pub fn panicked() -> Self {
        Self::retryable("adapter_panicked", "hermes's code for it crashed; this is a bug")
    }

    /// Sets the time of the next try.
    #[must_use]
    pub fn retry(mut self, retry: Retry) -> Self {
        self.retry = retry;
        self
    }
}

/// A live connection whose poll or heartbeat fails, and is tried again by the connection itself. Sending goes on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Degraded {
    /// The reason for the failure of the last try.
    pub error: AdapterError,
    /// Failures in a row.
    pub failures: u32,
    /// The number of failures in a row at which the connection is given up. `None`: no limit.
    pub failures_max: Option<u32>,
    /// The time of the next try.
    pub next_at: Instant,
}

/// The scope of a permanent refusal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Scope {
    /// This message.
    #[default]
    Message,
    /// Every message to its chat: it is gone, or has removed us.
    Chat,
}

/// The reason why a message was not sent.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct SendError {
    /// The stable code, in `snake_case`.
    pub code: String,
    /// The error; never the text that was to be sent.
    pub message: String,
    /// The certainty that it was not delivered.
    pub certainty: Certainty,
    /// The time of this message's next try.
    pub retry: Retry,
    /// With [`Retry::Never`]: the scope of the refusal.
    pub scope: Scope,
}

impl SendError {
    /// A permanent refusal of this message; it certainly did not leave.
    pub fn refused(code: impl Into<String>, message: impl Into<String>) -> Self {
        let (code, message) = (code.into(), message.into());
        Self { code, message, certainty: Certainty::NotSent, retry: Retry::Never, scope: Scope::Message }
    }
}
