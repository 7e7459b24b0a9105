//! The count of attempts: one for each turn that is begun for a message, also where the store fails or the caller is gone
//! before it answers. Then the attempt may have been counted or not; the chat's next claim takes it back first.

use std::collections::BTreeSet;
use std::sync::{MutexGuard, PoisonError};

use super::turns::Turns;
use crate::gateway::inbound::join::Join;
use crate::gateway::model::message::InboxId;
use crate::gateway::model::message::{ChatKey, InboundMessage};
use crate::gateway::store::api::{Accepted, Claimed, StoreError};
use crate::platforms::Platform;

impl Turns {
    /// Accepts a message; it is begun where nothing waits before it. Only the holder of the chat's lane may call this.
    pub(super) async fn begin_new(
        &self,
        key: &ChatKey,
        platform: Platform,
        message: InboundMessage,
    ) -> Result<Accepted, StoreError> {
        self.surely(key, self.store.begin_new(platform, message)).await
    }

    /// Claims the messages of the chat's next turn, with their attempts counted. Only the holder of the chat's lane may
    /// call this.
    pub(super) async fn claim(&self, key: &ChatKey, join: Join) -> Result<Claimed, StoreError> {
        if self.unsure().contains(key) {
            self.store.release_chat(key).await?;
            self.unsure().remove(key);
        }
        self.surely(key, self.store.claim(key, join)).await
    }

    /// Takes attempts back. Only the holder of the chat's lane may call this.
    pub(super) async fn release(&self, key: &ChatKey, ids: Vec<InboxId>) -> Result<(), StoreError> {
        self.surely(key, self.store.release(ids)).await
    }

    /// Puts back the messages that were handed to a lane and not begun.
    pub(super) async fn release_handed(&self) {
        let ids: Vec<_> =
            std::mem::take(&mut *self.handed()).into_values().map(|handed| handed.row.id).collect();
        if !ids.is_empty()
            && let Err(error) = self.store.release(ids).await
        {
            tracing::debug!(%error, "the attempt count of waiting messages could not be reset");
        }
    }

    /// Runs a count in a chat. The chat is in `unsure` until the count is known to have succeeded; one that was in it before stays.
    async fn surely<T>(
        &self,
        key: &ChatKey,
        count: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        let was_sure = self.unsure().insert(key.clone());
        let counted = count.await?;
        if was_sure {
            self.unsure().remove(key);
        }
        Ok(counted)
    }

    fn unsure(&self) -> MutexGuard<'_, BTreeSet<ChatKey>> {
        self.unsure.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
