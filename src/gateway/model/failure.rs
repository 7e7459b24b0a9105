//! Pure. What can go wrong with a platform or a send, each with the answer to "what now?" in its type.

use std::time::Instant;

pub use crate::net::{Certainty, Retry};

/// Why a platform is not connected.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct AdapterError {
    /// Stable, snake_case, from the contract's list.
    pub code: &'static str,
    /// What happened, for people; no secrets, no addresses with tokens.
    pub message: String,
    /// What a human should do, when only a human can: the command.
    pub user_action: Option<String>,
    /// When to try again.
    pub retry: Retry,
}

impl AdapterError {
    /// Worth trying again by the ladder.
    pub fn retryable(code: &'static str, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), user_action: None, retry: Retry::Backoff }
    }

    /// Blocked until a human does this.
    pub fn blocked(code: &'static str, message: impl Into<String>, user_action: impl Into<String>) -> Self {
        Self { code, message: message.into(), user_action: Some(user_action.into()), retry: Retry::Never }
    }

    /// The platform's own code failed. What a panic said is on standard error; it is not repeated, since it may quote
    /// anything.
    pub fn panicked() -> Self {
        Self::retryable("adapter_panicked", "hermes's code for it crashed; this is a bug")
    }

    /// With this moment to try again.
    #[must_use]
    pub fn retry(mut self, retry: Retry) -> Self {
        self.retry = retry;
        self
    }
}

/// A live connection whose poll or heartbeat fails, and is tried again by the connection itself. What is sent goes on being sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Degraded {
    /// Why the last try failed.
    pub error: AdapterError,
    /// Failures in a row.
    pub failures: u32,
    /// With so many in a row the connection is given up. `None`: there is no bound.
    pub failures_max: Option<u32>,
    /// When it is tried next.
    pub next_at: Instant,
}

/// What a refusal for good is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Scope {
    /// This message.
    #[default]
    Message,
    /// Every message to its chat: it is gone, or has thrown us out.
    Chat,
}

/// Why a message was not sent.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct SendError {
    /// Stable, snake_case.
    pub code: String,
    /// What happened; never the text that was to be sent.
    pub message: String,
    /// Whether it may have been delivered.
    pub certainty: Certainty,
    /// When to try this message again.
    pub retry: Retry,
    /// With [`Retry::Never`]: what it is about.
    pub scope: Scope,
}

impl SendError {
    /// This message is refused for good; it certainly did not leave.
    pub fn refused(code: impl Into<String>, message: impl Into<String>) -> Self {
        let (code, message) = (code.into(), message.into());
        Self { code, message, certainty: Certainty::NotSent, retry: Retry::Never, scope: Scope::Message }
    }
}
