//! Conversations, and the store's guarantees about them.

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

/// The owner of a conversation: a chat, or one person in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionKey {
    /// The chat.
    pub chat: ChatKey,
    /// One person in a group; `None`: all who write there.
    pub person: Option<String>,
}

/// A conversation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    /// Its number.
    pub id: SessionId,
    /// Its name: the same from its first turn on, also when that is begun again.
    pub name: String,
    /// The time when it began.
    pub started_at: Timestamp,
    /// The time of the last answer in it.
    pub last_at: Timestamp,
    /// The number of its exchanges.
    pub exchanges: u64,
    /// `Some`: it has ended.
    pub ended: Option<End>,
}

/// The name of the conversation that begins with this message.
pub fn name(origin: InboxId) -> String {
    format!("m{}", origin.0)
}

/// The reason why a conversation ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// A person wrote `/new`.
    Said,
    /// This rule ended it.
    Rule(Reset),
}

/// The conversation that a turn belongs to. A new one begins with the end of the turn.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Belongs {
    /// An open conversation.
    To(SessionId),
    /// A new conversation, with this turn as its first.
    New {
        /// Its owner.
        key: SessionKey,
        /// Its first message.
        origin: InboxId,
        /// The rule that ends the open one, where there is one.
        rule: Reset,
    },
}

/// The outcome of `/retry`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retried {
    /// The command's row is the last message now, and its exchange is taken out of the conversation.
    Queued,
    /// The last message is not answered yet.
    Open,
    /// There is no last message.
    Nothing,
}

/// The storage of conversations.
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

    /// Open conversations of this platform without a message since `bound`, at most `count`, from this number on.
    async fn idle_sessions(
        &self,
        platform: Platform,
        bound: Timestamp,
        after: SessionId,
        count: u32,
    ) -> Result<Vec<(SessionId, ChatKey)>, StoreError>;

    /// Ends this conversation, if it still has no message since `bound`. Returns true when it did.
    async fn end_session(&self, id: SessionId, bound: Timestamp, rule: Reset) -> Result<bool, StoreError>;

    /// Deletes a few conversations that ended before this moment. Returns true when there are more.
    async fn forget_sessions(&self, before: Timestamp) -> Result<bool, StoreError>;

    /// Turns this `/retry` into the last message of its conversation that is not a command, in one transaction.
    async fn retry(&self, order: InboxId, key: &SessionKey) -> Result<Retried, StoreError>;
}
