//! Sends the waiting messages: in order within a chat, chats side by side, only while the platform is connected.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use jiff::Timestamp;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};

use crate::backoff::doubled;
use crate::clock::Now;
use crate::failpoint;
use crate::gateway::log_throttle::LogThrottle;
use crate::gateway::markdown::parts::AGAIN;
use crate::gateway::metrics::{Counter, Metrics};
use crate::gateway::model::adapter::Link;
use crate::gateway::model::failure::{Certainty, Retry, Scope, SendError};
use crate::gateway::model::message::{ChatId, ChatKey, MessageId, OutboundMessage};
use crate::gateway::pipeline::delivery::rates::Pace;
use crate::gateway::pipeline::scheduler::{Lanes, Outcome, Reserved, Work};
use crate::gateway::store::api::{GivenUp, OutboxRow, Store, StoreError};
use crate::platforms::{Platform, Repeat};
use crate::sensitive::Private;

/// Limit for sends under way at once on one platform. The bridge sends one after the other by itself; more than one is
/// under way so that a slow one holds up only its chat. As many as turns run at once by default: an answer that finds a
/// place is sent right after the commit that stores it, and one that does not costs one more commit.
const SENDS_MAX: usize = 32;

/// Limit for chats whose next message is being sent or recorded at once.
const CHATS_MAX: usize = 64;

/// Attempts for a message of unknown fate, where people may see each repeat.
const MARKED_ATTEMPTS_MAX: u32 = 5;

/// The pause between two looks for other messages while only messages of unknown fate wait in a chat.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// The default time that a message may wait to be sent, until the settings are applied.
const EXPIRY: Duration = Duration::from_hours(24);

/// Limit for a send. A link answers within its own limit; this one holds when it does not.
const SEND_LIMIT: Duration = Duration::from_secs(120);

/// Limit for showing an answer as it grows: the answer itself waits for it.
const SHOW_LIMIT: Duration = Duration::from_secs(10);

/// The first wait after a failed send; it doubles with each attempt.
const RETRY_FIRST: Duration = Duration::from_secs(2);

/// The longest wait after a failed send.
const RETRY_MAX: Duration = Duration::from_secs(60);

/// The wait after the store failed.
const STORE_WAIT: Duration = Duration::from_secs(1);

/// The pause before a chat checks again whether its handed row is put back: the disk takes some milliseconds.
const RETURN_WAIT: Duration = Duration::from_millis(20);

/// The error of a message for which there was no connection.
const NOT_CONNECTED: &str = "not connected";

/// The outgoing messages of one platform.
pub struct Outbox {
    post: Arc<Post>,
    lanes: Lanes,
}

struct Post {
    platform: Platform,
    store: Arc<dyn Store>,
    /// Notified when a message was sent or given up.
    changed: Arc<Notify>,
    tally: Arc<Metrics>,
    permits: Arc<Semaphore>,
    slot: Mutex<Slot>,
    repeats: LogThrottle,
}

struct Slot {
    link: Option<Arc<dyn Link>>,
    last_sent: Option<Timestamp>,
    pace: Pace,
    /// The time after which a waiting message is given up.
    expiry: Duration,
    /// The pause between two previews of an answer; `None`: none is shown.
    stream_every: Option<Duration>,
    /// Rows that entered the store as `sending`, for their lanes; each holds its permit, so there are few.
    handed: BTreeMap<ChatKey, (OutboxRow, OwnedSemaphorePermit)>,
    /// Chats whose handed row is being put back: nothing of theirs is sent meanwhile.
    returning: BTreeSet<ChatKey>,
}

impl Slot {
    /// The rows that were handed over and not begun, to be put back.
    fn take_back(&mut self) -> Vec<OutboxRow> {
        let rows: Vec<_> = std::mem::take(&mut self.handed).into_values().map(|(row, _)| row).collect();
        for row in &rows {
            self.pace.give_back(&row.key.chat);
            self.returning.insert(row.key.clone());
        }
        rows
    }
}

/// The exclusive right to send to a chat, with the place to send one message. Dropping it releases both.
pub struct Claim {
    post: Arc<Post>,
    permit: OwnedSemaphorePermit,
    lane: Reserved,
    key: ChatKey,
}

impl Claim {
    /// Hands over the row that was committed as being sent: it is sent at once. `None`: the chat waits for its normal turn.
    pub fn send(self, row: Option<OutboxRow>) {
        let Self { post, permit, lane, key } = self;
        let is_gone = post.slot(|slot| {
            match row {
                Some(row) => drop(slot.handed.insert(key, (row, permit))),
                None => slot.pace.give_back(&key.chat),
            }
            slot.link.is_none()
        });
        if is_gone {
            post.put_back();
        }
        drop(lane);
    }

    /// Sends a message that is only useful now, or edits the one sent before; nothing is stored.
    ///
    /// # Errors
    /// As [`Link::send`]; the send is not to be tried again at once.
    pub async fn show(self, message: &OutboundMessage) -> Result<MessageId, SendError> {
        let link = self.post.link().ok_or_else(|| SendError::refused("not_connected", NOT_CONNECTED))?;
        let shown = transmit(link.as_ref(), message, SHOW_LIMIT).await;
        if let Err(error) = &shown {
            self.post.heed(&self.key.chat, error);
        }
        shown
    }
}

impl Outbox {
    /// Starts with no connection: everything waits. `changed` is notified of each message that is sent or given up.
    pub fn start(
        platform: Platform,
        store: Arc<dyn Store>,
        changed: Arc<Notify>,
        tally: Arc<Metrics>,
    ) -> Self {
        let post = Arc::new(Post {
            platform,
            store,
            changed,
            tally,
            permits: Arc::new(Semaphore::new(SENDS_MAX)),
            slot: Mutex::new(Slot {
                link: None,
                last_sent: None,
                pace: Pace::new(&platform.spec().rates),
                expiry: EXPIRY,
                stream_every: None,
                handed: BTreeMap::new(),
                returning: BTreeSet::new(),
            }),
            repeats: LogThrottle::default(),
        });
        Self { lanes: Lanes::start(Arc::<Post>::clone(&post), CHATS_MAX), post }
    }

    /// Sends by this connection from now on. Messages that failed before are tried at once.
    pub fn link_up(&self, link: Arc<dyn Link>) {
        self.post.slot(|slot| slot.link = Some(link));
        self.lanes.open();
    }

    /// Begins no more sends. Those under way end by themselves, since their connection has ended. Needs a tokio runtime.
    pub fn link_down(&self) {
        self.lanes.close();
        self.post.slot(|slot| slot.link = None);
        self.post.put_back();
    }

    /// Notes that a message for this chat waits.
    pub fn wake(&self, key: ChatKey) {
        self.lanes.wake(key);
    }

    /// Notes that the platform asks for no sends for this long.
    pub fn limited(&self, wait: Duration) {
        self.post.slot(|slot| slot.pace.hold_all(Now::read().mono, wait));
    }

    /// Tries the waiting messages now, although the platform has asked for a pause.
    pub fn hurry(&self) {
        let is_linked = self.post.slot(|slot| {
            slot.pace.release();
            slot.link.is_some()
        });
        if is_linked {
            self.lanes.open();
        }
    }

    /// Turns our own rate limits on or off; off: only the platform's requests are kept.
    pub fn pace(&self, is_on: bool) {
        self.post.slot(|slot| slot.pace.keep(is_on));
    }

    /// Sets the time after which a waiting message is given up.
    pub fn expire_after(&self, expiry: Duration) {
        self.post.slot(|slot| slot.expiry = expiry);
    }

    /// Sets the pause between two previews of an answer; `None`: none is shown.
    pub fn stream(&self, every: Option<Duration>) {
        self.post.slot(|slot| slot.stream_every = every);
    }

    /// The pause between two previews of an answer; `None`: none is shown.
    pub fn stream_every(&self) -> Option<Duration> {
        self.post.slot(|slot| slot.stream_every)
    }

    /// Claims a chat with nothing to send, for a message that is about to enter the store. `None`: the message waits in
    /// line, because another is before it, the platform is away or no place is free.
    pub fn claim(&self, key: &ChatKey) -> Option<Claim> {
        self.claim_by(key, Pace::take)
    }

    /// The same for a message that can be left out.
    pub fn claim_spare(&self, key: &ChatKey) -> Option<Claim> {
        self.claim_by(key, Pace::take_spare)
    }

    fn claim_by(
        &self,
        key: &ChatKey,
        take: impl FnOnce(&mut Pace, Instant, &ChatId) -> Result<(), Duration>,
    ) -> Option<Claim> {
        self.link()?;
        let permit = Arc::clone(&self.post.permits).try_acquire_owned().ok()?;
        let lane = self.lanes.reserve(key)?;
        self.post.slot(|slot| take(&mut slot.pace, Now::read().mono, &key.chat)).ok()?;
        Some(Claim { post: Arc::clone(&self.post), permit, lane, key: key.clone() })
    }

    /// The connection, where there is one and the platform has not asked for a pause in this chat.
    pub fn free_link(&self, chat: &ChatId) -> Option<Arc<dyn Link>> {
        self.post.slot(|slot| slot.link.clone().filter(|_| !slot.pace.is_held(Now::read().mono, chat)))
    }

    /// The connection, where there is one.
    pub fn link(&self) -> Option<Arc<dyn Link>> {
        self.post.link()
    }

    /// The time when the platform last took a message from us, in this run.
    pub fn last_sent(&self) -> Option<Timestamp> {
        self.post.slot(|slot| slot.last_sent)
    }

    /// Returns when everything that can be sent now is sent.
    pub async fn done(&self) {
        self.lanes.done().await;
    }

    /// Stops for good, and returns when nothing is under way.
    pub async fn stop(&self) {
        self.lanes.close();
        self.post.permits.close();
        self.lanes.quiet().await;
        let rows = self.post.slot(Slot::take_back);
        self.post.unsend(rows).await;
    }
}

impl Post {
    fn slot<T>(&self, look: impl FnOnce(&mut Slot) -> T) -> T {
        look(&mut self.slot.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn link(&self) -> Option<Arc<dyn Link>> {
        self.slot(|slot| slot.link.clone())
    }

    /// Puts back the rows that were handed over and not begun: they certainly did not leave. That is written at once,
    /// because a crash would otherwise leave them as messages of unknown fate.
    fn put_back(self: &Arc<Self>) {
        let rows = self.slot(Slot::take_back);
        if !rows.is_empty() {
            let post = Arc::clone(self);
            tokio::spawn(async move { post.unsend(rows).await });
        }
    }

    async fn unsend(&self, rows: Vec<OutboxRow>) {
        for row in rows {
            if let Err(error) = self.store.unsent(row.id, false, NOT_CONNECTED.to_owned()).await {
                tracing::debug!(platform = %self.platform, %error, "an unsent message counts as maybe sent");
            }
            self.slot(|slot| slot.returning.remove(&row.key));
        }
    }

    async fn send_next(&self, key: &ChatKey) -> Result<Outcome, StoreError> {
        if self.slot(|slot| slot.returning.contains(key)) {
            return Ok(Outcome::After(RETURN_WAIT));
        }
        let handed = self.slot(|slot| slot.handed.remove(key));
        let (row, permit) = match handed {
            Some(handed) => handed,
            None => {
                // The semaphore is closed when we stop: then no send is begun.
                let Ok(permit) = Arc::clone(&self.permits).acquire_owned().await else {
                    return Ok(Outcome::Idle);
                };
                let Some(row) = self.store.next_out(key).await? else { return Ok(Outcome::Idle) };
                if !row.due_in.is_zero() {
                    return Ok(Outcome::After(row.due_in.min(LOOK_EVERY)));
                }
                if let Some((reason, what, stroke)) = self.is_hopeless(&row) {
                    self.store.bury(row.id, reason, what).await?;
                    self.tally.count(self.platform, stroke);
                    self.changed.notify_one();
                    return Ok(Outcome::Again);
                }
                if let Err(wait) = self.slot(|slot| slot.pace.take(Now::read().mono, &key.chat)) {
                    return Ok(Outcome::After(wait));
                }
                self.store.sending(row.id).await?;
                (row, permit)
            }
        };
        let Some(link) = self.link() else {
            // The connection ended a moment ago; the message certainly did not leave.
            self.store.unsent(row.id, false, NOT_CONNECTED.to_owned()).await?;
            return Ok(Outcome::After(STORE_WAIT));
        };
        let sent = transmit(link.as_ref(), &self.as_sent(&row), SEND_LIMIT).await;
        failpoint::hit("send.after");
        drop(permit);
        let outcome = match sent {
            Ok(remote) => {
                // A message that comes from now on wakes the lane.
                Ok(if self.mark_sent(&row, remote).await { Outcome::Again } else { Outcome::Idle })
            }
            Err(error) => self.mark_failed(&row, &error).await,
        };
        self.changed.notify_one();
        outcome
    }

    /// The reason why this message is no longer sent.
    fn is_hopeless(&self, row: &OutboxRow) -> Option<(String, GivenUp, Counter)> {
        let expiry = self.slot(|slot| slot.expiry);
        let age_s = Now::read().wall.as_second().saturating_sub(row.queued_at_s);
        if u64::try_from(age_s).is_ok_and(|age_s| age_s >= expiry.as_secs()) {
            return Some(("it could not be sent in time".to_owned(), GivenUp::Message, Counter::Expired));
        }
        if row.maybe_sent && row.message.fleeting {
            let reason = "it may have been sent and is out of date".to_owned();
            return Some((reason, GivenUp::Quietly, Counter::Dead));
        }
        (self.is_marked(row) && row.attempts >= MARKED_ATTEMPTS_MAX).then(|| {
            let reason = format!("it is not known whether it arrived, after {} attempts", row.attempts);
            (reason, GivenUp::Message, Counter::Dead)
        })
    }

    /// True when people may see it twice. A message that replaces another one is there once, however often it is sent.
    fn is_marked(&self, row: &OutboxRow) -> bool {
        row.maybe_sent
            && row.message.replaces.is_none()
            && match self.platform.spec().repeat {
                Repeat::Marked => true,
                Repeat::Same => false,
            }
    }

    /// The message as the platform gets it, with a mark when people may see it twice.
    fn as_sent<'a>(&self, row: &'a OutboxRow) -> Cow<'a, OutboundMessage> {
        if !self.is_marked(row) {
            return Cow::Borrowed(&row.message);
        }
        let text = Private(format!("{AGAIN}{}", row.message.text.0));
        Cow::Owned(OutboundMessage { text, ..row.message.clone() })
    }

    /// Applies a pause that the platform asks for. It also holds over a new connection: the service asks for it.
    fn heed(&self, chat: &ChatId, error: &SendError) {
        if let Retry::After(wait) = error.retry {
            self.slot(|slot| slot.pace.hold_chat(Now::read().mono, chat, wait));
        }
    }

    /// Records that the message is sent: before anything else is sent to this chat, however long it takes. Returns true
    /// when more messages wait there.
    async fn mark_sent(&self, row: &OutboxRow, remote: MessageId) -> bool {
        self.slot(|slot| slot.last_sent = Some(Now::read().wall));
        self.tally.count(self.platform, Counter::Sent);
        let is_more = loop {
            let error = match self.store.sent(row.id, remote.clone()).await {
                Ok(is_more) => break is_more,
                Err(error) => error,
            };
            if let Some(more) = self.repeats.say(Now::read().mono, "sent_unwritten") {
                tracing::warn!(
                    code = "sent_unwritten", platform = %self.platform,
                    "a message was sent, but that could not be stored yet ({error}){more}"
                );
            }
            tokio::time::sleep(STORE_WAIT * 10).await;
        };
        tracing::debug!(platform = %self.platform, message = %remote, "sent");
        is_more
    }

    async fn mark_failed(&self, row: &OutboxRow, error: &SendError) -> Result<Outcome, StoreError> {
        let why = format!("{}: {}", error.code, error.message);
        self.heed(&row.key.chat, error);
        let wait = match error.retry {
            Retry::Never if row.message.replaces.is_some() && error.scope == Scope::Message => {
                tracing::debug!(platform = %self.platform, code = %error.code, "sent as a new message: {}", error.message);
                self.store.detach(row.id, why).await?;
                return Ok(Outcome::Again);
            }
            Retry::Never => {
                tracing::warn!(platform = %self.platform, code = %error.code, "Gave up on a message: {}", error.message);
                let what = match error.scope {
                    Scope::Message if row.message.fleeting => GivenUp::Quietly,
                    Scope::Message => GivenUp::Message,
                    Scope::Chat => GivenUp::Chat,
                };
                self.store.bury(row.id, why, what).await?;
                self.tally.count(self.platform, Counter::Dead);
                return Ok(Outcome::Again);
            }
            Retry::After(wait) => wait,
            Retry::Backoff | Retry::Rest => doubled(RETRY_FIRST, row.attempts, RETRY_MAX),
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
                Certainty::MaybeSent => Counter::Unknown,
                Certainty::NotSent => Counter::Failed,
            },
        );
        self.store.unsent(row.id, error.certainty == Certainty::MaybeSent, why).await?;
        Ok(Outcome::After(wait))
    }
}

/// Sends the message to the platform, or puts it in the place of another one.
async fn transmit(
    link: &dyn Link,
    message: &OutboundMessage,
    limit: Duration,
) -> Result<MessageId, SendError> {
    let sending = async {
        match &message.replaces {
            Some(id) => link.edit(id, message).await.map(|()| id.clone()),
            None => link.send(message).await,
        }
    };
    tokio::time::timeout(limit, sending).await.unwrap_or_else(|_| {
        Err(SendError {
            code: "send_hung".to_owned(),
            message: format!("no answer within {} s", limit.as_secs()),
            certainty: Certainty::MaybeSent,
            retry: Retry::Backoff,
            scope: Scope::Message,
        })
    })
}

#[async_trait]
impl Work for Post {
    async fn run(&self, key: &ChatKey) -> Outcome {
        self.send_next(key).await.unwrap_or_else(|error| {
            // The store itself logs a full disk, once.
            if !matches!(error, StoreError::Full)
                && let Some(more) = self.repeats.say(Now::read().mono, "outbox_unusable")
            {
                tracing::warn!(
                    code = "outbox_unusable", platform = %self.platform,
                    "the outbox cannot be used at the moment ({error}){more}"
                );
            }
            Outcome::After(STORE_WAIT)
        })
    }

    async fn chats(&self, count: u32) -> Result<Vec<ChatKey>, StoreError> {
        self.store.chats_out(self.platform, count).await
    }
}
