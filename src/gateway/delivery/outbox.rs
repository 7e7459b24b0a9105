//! Sends what waits: in order within a chat, chats side by side, only while the platform is connected.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};

use crate::clock::Now;
use crate::failpoint;
use crate::gateway::failure::{Certainty, Retry, SendError};
use crate::gateway::lanes::{Lanes, Outcome, Reserved, Work};
use crate::gateway::message::{ChatKey, MessageId};
use crate::gateway::platforms::api::Link;
use crate::gateway::repeats::Repeats;
use crate::gateway::store::api::{OutboxRow, Store, StoreError};
use crate::gateway::tally::{Stroke, Tally};
use crate::platform::Platform;

/// Sends under way at once on one platform. The bridge sends one after the other by itself; more than one is under way so
/// that a slow one holds up only its chat.
const SENDS_MAX: usize = 16;

/// Chats whose next message is being sent or written down at once.
const CHATS_MAX: usize = 64;

/// A link answers within a limit of its own; this one holds when it does not.
const SEND_LIMIT: Duration = Duration::from_secs(120);

/// The first wait after a failed send; it doubles with each attempt.
const RETRY_FIRST: Duration = Duration::from_secs(2);

/// The longest wait after a failed send.
const RETRY_MAX: Duration = Duration::from_secs(60);

/// The wait after the store failed.
const STORE_WAIT: Duration = Duration::from_secs(1);

/// What goes out on one platform.
pub struct Outbox {
    post: Arc<Post>,
    lanes: Lanes,
}

struct Post {
    platform: Platform,
    store: Arc<dyn Store>,
    /// Told when something was sent or given up.
    changed: Arc<Notify>,
    tally: Arc<Tally>,
    permits: Arc<Semaphore>,
    slot: Mutex<Slot>,
    repeats: Repeats,
}

#[derive(Default)]
struct Slot {
    link: Option<Arc<dyn Link>>,
    last_sent: Option<Timestamp>,
    /// Rows that entered the store as `sending`, for their lanes; each with its permit, so there are few.
    handed: BTreeMap<ChatKey, (OutboxRow, OwnedSemaphorePermit)>,
}

/// A chat to which nobody else sends, and the place to send one message. Dropping it gives both back.
pub struct Claim {
    post: Arc<Post>,
    permit: OwnedSemaphorePermit,
    lane: Reserved,
    key: ChatKey,
}

impl Claim {
    /// Hands over the row that was committed as being sent: it is sent at once. `None`: the chat is looked at in its turn.
    pub fn send(self, row: Option<OutboxRow>) {
        let Self { post, permit, lane, key } = self;
        if let Some(row) = row {
            post.slot(|slot| slot.handed.insert(key, (row, permit)));
        }
        drop(lane);
    }
}

impl Outbox {
    /// Starts with no connection: everything waits. `changed` is told of each message that is sent or given up.
    pub fn start(platform: Platform, store: Arc<dyn Store>, changed: Arc<Notify>, tally: Arc<Tally>) -> Self {
        let post = Arc::new(Post {
            platform,
            store,
            changed,
            tally,
            permits: Arc::new(Semaphore::new(SENDS_MAX)),
            slot: Mutex::default(),
            repeats: Repeats::default(),
        });
        Self { lanes: Lanes::start(Arc::<Post>::clone(&post), CHATS_MAX), post }
    }

    /// Sends by this connection from now on. What failed before is tried at once.
    pub fn link_up(&self, link: Arc<dyn Link>) {
        self.post.slot(|slot| slot.link = Some(link));
        self.lanes.open();
    }

    /// Nothing is begun any more. What is under way ends by itself, since its connection has ended.
    pub fn link_down(&self) {
        self.lanes.close();
        self.post.slot(|slot| slot.link = None);
    }

    /// There is something to send to this chat.
    pub fn wake(&self, key: ChatKey) {
        self.lanes.wake(key);
    }

    /// Claims a chat with nothing to send, for a message that is about to enter the store. `None`: it waits in line like any
    /// other, because something is before it, the platform is away or no place is free.
    pub fn claim(&self, key: &ChatKey) -> Option<Claim> {
        self.link()?;
        let permit = Arc::clone(&self.post.permits).try_acquire_owned().ok()?;
        let lane = self.lanes.reserve(key)?;
        Some(Claim { post: Arc::clone(&self.post), permit, lane, key: key.clone() })
    }

    /// The connection, where there is one.
    pub fn link(&self) -> Option<Arc<dyn Link>> {
        self.post.link()
    }

    /// When the platform last took a message from us, in this run.
    pub fn last_sent(&self) -> Option<Timestamp> {
        self.post.slot(|slot| slot.last_sent)
    }

    /// Returns when everything is sent that can be sent now.
    pub async fn done(&self) {
        self.lanes.done().await;
    }

    /// Begins nothing more, for good, and returns when nothing is under way.
    pub async fn stop(&self) {
        self.lanes.close();
        self.post.permits.close();
        self.lanes.quiet().await;
    }
}

impl Post {
    fn slot<T>(&self, look: impl FnOnce(&mut Slot) -> T) -> T {
        look(&mut self.slot.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn link(&self) -> Option<Arc<dyn Link>> {
        self.slot(|slot| slot.link.clone())
    }

    async fn send_next(&self, key: &ChatKey) -> Result<Outcome, StoreError> {
        let handed = self.slot(|slot| slot.handed.remove(key));
        let (row, permit) = match handed {
            Some(handed) => handed,
            None => {
                // The semaphore is closed when we stop: then no send is begun any more.
                let Ok(permit) = Arc::clone(&self.permits).acquire_owned().await else {
                    return Ok(Outcome::Idle);
                };
                let Some(row) = self.store.next_out(key).await? else { return Ok(Outcome::Idle) };
                self.store.sending(row.id).await?;
                (row, permit)
            }
        };
        let Some(link) = self.link() else {
            // It went away a moment ago; the message certainly did not leave.
            self.store.unsent(row.id, false, "not connected".to_owned()).await?;
            return Ok(Outcome::After(STORE_WAIT));
        };
        let sent = tokio::time::timeout(SEND_LIMIT, link.send(&row.message)).await.unwrap_or_else(|_| {
            Err(SendError {
                code: "send_hung".to_owned(),
                message: format!("no answer within {} s", SEND_LIMIT.as_secs()),
                certainty: Certainty::MaybeSent,
                retry: Retry::Backoff,
            })
        });
        failpoint::hit("send.after");
        drop(permit);
        let outcome = match sent {
            Ok(remote) => {
                self.mark_sent(&row, remote).await;
                Ok(Outcome::Again)
            }
            Err(error) => self.mark_failed(&row, &error).await,
        };
        self.changed.notify_one();
        outcome
    }

    /// It is sent: that must be written down before anything else is sent to this chat, however long it takes.
    async fn mark_sent(&self, row: &OutboxRow, remote: MessageId) {
        self.slot(|slot| slot.last_sent = Some(Now::read().wall));
        self.tally.count(self.platform, Stroke::Sent);
        while let Err(error) = self.store.sent(row.id, remote.clone()).await {
            if let Some(more) = self.repeats.say(Now::read().mono, "sent_unwritten") {
                tracing::warn!(
                    code = "sent_unwritten", platform = %self.platform,
                    "a message was sent, and that cannot be written down yet ({error}){more}"
                );
            }
            tokio::time::sleep(STORE_WAIT * 10).await;
        }
        tracing::debug!(platform = %self.platform, message = %remote, "sent");
    }

    async fn mark_failed(&self, row: &OutboxRow, error: &SendError) -> Result<Outcome, StoreError> {
        let why = format!("{}: {}", error.code, error.message);
        let wait = match error.retry {
            Retry::Never => {
                tracing::warn!(platform = %self.platform, code = %error.code, "a message is given up: {}", error.message);
                self.store.bury(row.id, why).await?;
                self.tally.count(self.platform, Stroke::Dead);
                return Ok(Outcome::Again);
            }
            Retry::After(wait) => wait,
            Retry::Backoff | Retry::Rest => {
                RETRY_FIRST.saturating_mul(1 << row.attempts.min(8)).min(RETRY_MAX)
            }
        };
        if let Some(more) = self.repeats.say(Now::read().mono, &error.code) {
            tracing::info!(
                platform = %self.platform, code = %error.code, certainty = ?error.certainty, attempt = row.attempts + 1,
                "a message could not be sent yet: {}{more}", error.message
            );
        }
        self.tally.count(
            self.platform,
            match error.certainty {
                Certainty::MaybeSent => Stroke::Unknown,
                Certainty::NotSent => Stroke::Failed,
            },
        );
        self.store.unsent(row.id, error.certainty == Certainty::MaybeSent, why).await?;
        Ok(Outcome::After(wait))
    }
}

#[async_trait]
impl Work for Post {
    async fn run(&self, key: &ChatKey) -> Outcome {
        self.send_next(key).await.unwrap_or_else(|error| {
            // Of a full disk the store itself speaks, once.
            if !matches!(error, StoreError::Full)
                && let Some(more) = self.repeats.say(Now::read().mono, "outbox_unusable")
            {
                tracing::warn!(
                    code = "outbox_unusable", platform = %self.platform,
                    "the outbox is not usable at the moment ({error}){more}"
                );
            }
            Outcome::After(STORE_WAIT)
        })
    }

    async fn chats(&self, count: u32) -> Result<Vec<ChatKey>, StoreError> {
        self.store.chats_out(self.platform, count).await
    }
}
