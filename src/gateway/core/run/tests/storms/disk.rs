//! A store on a disk that fails when a test asks for it. Virtual time stands still while the real disk works.

use std::collections::BTreeMap;
use std::sync::{Mutex, mpsc};

use async_trait::async_trait;
use jiff::Timestamp;

use super::*;
use crate::config::Reset;
use crate::gateway::inbound::join::Join;
use crate::gateway::model::message::InboxId;
use crate::gateway::model::message::{ChatKey, InboundMessage, MessageId, OutboundMessage};
use crate::gateway::store::api::sessions::{Retried, Session, SessionId, SessionKey, SessionStore};
use crate::gateway::store::api::{
    Accepted, Claimed, Depths, Ended, Exchange, Fate, Finish, GivenUp, InboxRow, Letter, OutboxId, OutboxRow,
    PauseRow, Pick, StoreError,
};

/// The fault of the disk.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Trouble {
    /// Nothing new is taken; begun work can be ended.
    Full,
    /// Nothing can be written.
    Fails,
    /// The next write happens, and is reported as failed.
    Late,
}

/// The disk space that an operation needs.
#[derive(Clone, Copy, PartialEq)]
enum Need {
    Look,
    Room,
    Reserve,
}

pub(super) struct Disk {
    store: SqliteStore,
    pub(super) trouble: Mutex<Option<Trouble>>,
}

impl Disk {
    pub(super) fn open(path: &std::path::Path) -> Arc<Self> {
        Arc::new(Self { store: SqliteStore::open(path).unwrap(), trouble: Mutex::new(None) })
    }

    async fn work<T>(
        &self,
        need: Need,
        operation: impl Future<Output = Result<T, StoreError>> + Send,
    ) -> Result<T, StoreError> {
        let trouble = {
            let mut trouble = self.trouble.lock().unwrap();
            match *trouble {
                Some(Trouble::Late) if need != Need::Look => trouble.take(),
                standing => standing,
            }
        };
        match (trouble, need) {
            (Some(Trouble::Full), Need::Room) => return Err(StoreError::Full),
            (Some(Trouble::Fails), Need::Room | Need::Reserve) => return Err(failed()),
            (_, _) => {}
        }
        let _still = stand_still();
        let done = operation.await;
        if trouble == Some(Trouble::Late) && need != Need::Look { Err(failed()) } else { done }
    }
}

fn failed() -> StoreError {
    StoreError::Failed("as told".to_owned())
}

/// Stops the paused clock from advancing while a task of this kind runs.
fn stand_still() -> mpsc::Sender<()> {
    let (done, waits) = mpsc::channel();
    tokio::task::spawn_blocking(move || waits.recv());
    done
}

macro_rules! on_disk {
    ($store:ident: $($need:ident $name:ident($($arg:ident: $kind:ty),*) -> $out:ty;)*) => {
        #[async_trait]
        impl $store for Disk {
            $(async fn $name(&self, $($arg: $kind),*) -> Result<$out, StoreError> {
                self.work(Need::$need, self.store.$name($($arg),*)).await
            })*
        }
    };
}

on_disk! { Store:
    Room accept(platform: Platform, message: InboundMessage) -> Accepted;
    Look knows(platform: Platform, message: &InboundMessage) -> bool;
    Look next_in(key: &ChatKey) -> Option<InboxRow>;
    Look chats_in(count: u32) -> Vec<ChatKey>;
    Room begin_new(platform: Platform, message: InboundMessage) -> Accepted;
    Room claim(key: &ChatKey, join: Join) -> Claimed;
    Look waiting(key: &ChatKey, count_max: u32) -> u32;
    Look ended_by(id: InboxId) -> Ended;
    Reserve release(ids: Vec<InboxId>) -> ();
    Reserve release_chat(key: &ChatKey) -> ();
    Reserve begin_order(id: InboxId, attempts: u32) -> bool;
    Reserve previewed(id: InboxId, preview: MessageId) -> ();
    Reserve finish(id: InboxId, finish: Finish) -> Option<OutboxRow>;
    Look next_out(key: &ChatKey) -> Option<OutboxRow>;
    Look chats_out(platform: Platform, count: u32) -> Vec<ChatKey>;
    Reserve sending(id: OutboxId) -> ();
    Reserve sent(id: OutboxId, remote: MessageId) -> bool;
    Reserve detach(id: OutboxId, error: String) -> ();
    Reserve unsent(id: OutboxId, maybe_sent: bool, error: String) -> ();
    Reserve bury(id: OutboxId, reason: String, what: GivenUp) -> ();
    Reserve expire(before: Timestamp) -> BTreeMap<Platform, u64>;
    Look letters(pick: Pick, with_text: bool) -> Vec<Letter>;
    Reserve retry_letters(pick: Pick) -> Vec<ChatKey>;
    Reserve drop_letters(pick: Pick) -> u64;
    Look fate(platform: Platform, handle: &str) -> Option<Fate>;
    Room queue(key: &ChatKey, parts: Vec<OutboundMessage>) -> ();
    Look is_ours(platform: Platform, id: &MessageId) -> bool;
    Look depths() -> Depths;
    Look oldest_waiting() -> Option<Timestamp>;
    Look pauses() -> Vec<PauseRow>;
    Reserve set_pause(platform: &str, paused: bool) -> ();
    Reserve prune() -> bool;
}

on_disk! { SessionStore:
    Look session(key: &SessionKey) -> Option<Session>;
    Look conversation(key: &SessionKey, count: u32) -> Option<(Session, Vec<Exchange>)>;
    Look idle_sessions(platform: Platform, bound: Timestamp, after: SessionId, count: u32) -> Vec<(SessionId, ChatKey)>;
    Reserve end_session(id: SessionId, bound: Timestamp, rule: Reset) -> bool;
    Reserve forget_sessions(before: Timestamp) -> bool;
    Reserve retry(order: InboxId, key: &SessionKey) -> Retried;
}
