//! What a conversation is, and what the store promises about it.

use async_trait::async_trait;
use jiff::Timestamp;

use crate::config::Reset;
use crate::gateway::model::message::ChatKey;
use crate::gateway::model::message::InboxId;
use crate::gateway::store::api::{Exchange, StoreError};
use crate::platforms::Platform;

/// A conversation's number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionId(pub i64);

/// Whose conversation it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionKey {
    /// The chat.
    pub chat: ChatKey,
    /// One person in a group; `None`: whoever writes there.
    pub person: Option<String>,
}

/// A conversation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    /// Its number.
    pub id: SessionId,
    /// Its name: the same from its first turn on, also when that is begun again.
    pub name: String,
    /// When it began.
    pub started_at: Timestamp,
    /// When something was last answered in it.
    pub last_at: Timestamp,
    /// How many exchanges it has.
    pub exchanges: u64,
    /// `Some`: it has ended.
    pub ended: Option<End>,
}

/// The name of the conversation that begins with this message.
pub fn name(origin: InboxId) -> String {
    format!("m{}", origin.0)
}

/// Why a conversation ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// Somebody said `/new`.
    Said,
    /// By this rule.
    Rule(Reset),
}

/// The conversation that a turn belongs to. A new one begins with the end of the turn.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Belongs {
    /// It goes on.
    To(SessionId),
    /// It is the first of a new one.
    New {
        /// Whose.
        key: SessionKey,
        /// Its first message.
        origin: InboxId,
        /// The rule that ends the one that is open, where there is one.
        rule: Reset,
    },
}

/// What becomes of `/retry`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retried {
    /// The command's row is the last message now, and its exchange is taken out of the conversation.
    Queued,
    /// The last message is not answered yet.
    Open,
    /// There is no last message any more.
    Nothing,
}

/// What the store keeps of conversations.
#[async_trait]
pub trait SessionStore: Send + Sync {
    /// The newest conversation of this key, open or ended.
    async fn session(&self, key: &SessionKey) -> Result<Option<Session>, StoreError>;

    /// The same conversation, with its newest exchanges: oldest first, at most `count`.
    async fn conversation(
        &self,
        key: &SessionKey,
        count: u32,
    ) -> Result<Option<(Session, Vec<Exchange>)>, StoreError>;

    /// Open conversations of this platform in which nothing was said since `bound`, at most `count`, from this number on.
    async fn idle_sessions(
        &self,
        platform: Platform,
        bound: Timestamp,
        after: SessionId,
        count: u32,
    ) -> Result<Vec<(SessionId, ChatKey)>, StoreError>;

    /// Ends this conversation, if still nothing was said in it since `bound`. Returns whether it did.
    async fn end_session(&self, id: SessionId, bound: Timestamp, rule: Reset) -> Result<bool, StoreError>;

    /// Forgets a few conversations that ended before this moment. Returns whether there are more.
    async fn forget_sessions(&self, before: Timestamp) -> Result<bool, StoreError>;

    /// Turns this `/retry` into the last message of its conversation that was no command, in one transaction.
    async fn retry(&self, order: InboxId, key: &SessionKey) -> Result<Retried, StoreError>;
}
