//! Finds the conversation of a message, and ends conversations by the rules: also without a new message, so that what is
//! reported about them is true.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use tokio::sync::Notify;

use super::policy;
use crate::clock::Now;
use crate::config::{Reset, SessionConfig};
use crate::gateway::agent::api::HISTORY_MAX;
use crate::gateway::model::identity;
use crate::gateway::model::message::InboxId;
use crate::gateway::model::message::{ChatKey, InboundMessage};
use crate::gateway::store::api::sessions::{Belongs, End, Session, SessionId, SessionKey, name};
use crate::gateway::store::api::{Exchange, Store, StoreError};
use crate::platforms::Platform;

/// The pause between two searches for conversations that have ended.
const LOOK_EVERY: Duration = Duration::from_secs(30);

/// Limit for the conversations that one query returns.
const LOOK_MAX: u32 = 200;

/// The pause between two steps of deletion: messages go first.
const FORGET_PAUSE: Duration = Duration::from_millis(200);

/// Assigns messages to conversations, and ends these.
pub struct Keeper {
    store: Arc<dyn Store>,
    config: Mutex<Arc<SessionConfig>>,
    /// Notified when the rules have changed.
    changed: Notify,
}

/// The conversation of a turn.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Context {
    /// The conversation, or a new one.
    pub belongs: Belongs,
    /// Its name.
    pub name: String,
    /// Its exchanges.
    pub history: Vec<Exchange>,
    /// The rule that has ended the one before, when the person is to be notified of it.
    pub told: Option<Reset>,
}

impl Keeper {
    /// With the default rules, until it is configured.
    pub fn new(store: Arc<dyn Store>) -> Self {
        Self { store, config: Mutex::default(), changed: Notify::new() }
    }

    /// Applies these settings.
    pub fn configure(&self, config: &SessionConfig) {
        *self.config.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(config.clone());
        self.changed.notify_one();
    }

    fn config(&self) -> Arc<SessionConfig> {
        Arc::clone(&self.config.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The key of the conversation that this message belongs to.
    pub fn key(&self, chat: &ChatKey, message: &InboundMessage) -> SessionKey {
        let own = identity::is_group(chat.platform, message) && self.config().per_user_in_groups;
        SessionKey { chat: chat.clone(), person: own.then(|| identity::writer(chat.platform, message)) }
    }

    /// The open conversation of this chat, if there is one.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn open(&self, key: &SessionKey) -> Result<Option<Session>, StoreError> {
        let bound = self.bound(key.chat.platform);
        let newest = self.store.session(key).await?;
        Ok(newest
            .filter(|session| session.ended.is_none() && bound.is_none_or(|bound| session.last_at >= bound)))
    }

    /// The context of a turn for this message, the row `origin`.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn context(&self, key: SessionKey, origin: InboxId) -> Result<Context, StoreError> {
        let config = self.config();
        let platform = key.chat.platform;
        let rule = config.of(platform).reset;
        let bound = self.bound(platform);
        let (ended, exchanges) = match self.store.conversation(&key, HISTORY_MAX).await? {
            None => (None, 0),
            Some((session, history)) => match session.ended {
                Some(End::Rule(rule)) => (Some(rule), session.exchanges),
                Some(End::Said) => (None, 0),
                None if bound.is_some_and(|bound| session.last_at < bound) => (Some(rule), session.exchanges),
                None => {
                    return Ok(Context {
                        belongs: Belongs::To(session.id),
                        name: session.name,
                        history,
                        told: None,
                    });
                }
            },
        };
        Ok(Context {
            belongs: Belongs::New { key, origin, rule },
            name: name(origin),
            history: Vec::new(),
            told: ended.filter(|_| config.notify && exchanges > 0),
        })
    }

    fn bound(&self, platform: Platform) -> Option<Timestamp> {
        let now = Now::read().wall.to_zoned(TimeZone::system());
        // The store's times are in seconds.
        let bound = policy::bound(&self.config().of(platform), &now)?;
        Timestamp::from_second(bound.as_second()).ok()
    }

    /// Ends and deletes conversations, periodically. Those of chats that `is_busy` are skipped.
    pub async fn watch(self: Arc<Self>, is_busy: impl Fn(&ChatKey) -> bool) {
        loop {
            if let Err(error) = self.look(&is_busy).await {
                tracing::debug!(%error, "the conversations could not be checked");
            }
            // Another rule may end at once a conversation that the last one kept open.
            drop(tokio::time::timeout(LOOK_EVERY, self.changed.notified()).await);
        }
    }

    async fn look(&self, is_busy: &impl Fn(&ChatKey) -> bool) -> Result<(), StoreError> {
        for platform in Platform::every() {
            let rule = self.config().of(platform).reset;
            let Some(bound) = self.bound(platform) else { continue };
            let mut after = SessionId(0);
            loop {
                let idle = self.store.idle_sessions(platform, bound, after, LOOK_MAX).await?;
                let Some((last, _)) = idle.last() else { break };
                after = *last;
                for (id, chat) in idle {
                    if !is_busy(&chat) && self.store.end_session(id, bound, rule).await? {
                        tracing::debug!(%platform, session = id.0, "a conversation ended");
                    }
                }
            }
        }
        let keep = SignedDuration::try_from(self.config().keep).unwrap_or(SignedDuration::MAX);
        if let Ok(before) = Now::read().wall.checked_sub(keep) {
            while self.store.forget_sessions(before).await? {
                tokio::time::sleep(FORGET_PAUSE).await;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
#[path = "keeper_tests.rs"]
mod tests;
