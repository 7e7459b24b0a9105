//! The message path as the gateway's core sees it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use jiff::Timestamp;
use tokio::sync::{Notify, Semaphore, SetOnce, watch};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::orders::Orders;
use super::running::{Cut, Running};
use super::strangers::Strangers;
use super::turns::Turns;
use super::waits::Waits;
use crate::clock::Now;
use crate::config::{Config, GatewayConfig};
use crate::gateway::admission::desk::Desk;
use crate::gateway::admission::records::{Kept, Records};
use crate::gateway::agent::api::{About, Agent};
use crate::gateway::control::api::Control;
use crate::gateway::delivery::outbox::Outbox;
use crate::gateway::flow::MessageFlow;
use crate::gateway::inbound::gate::{Decision, Gate};
use crate::gateway::inbound::identity::chat_key;
use crate::gateway::inbound::rules::Rules;
use crate::gateway::inbound::slash::{self, Slash};
use crate::gateway::lanes::Lanes;
use crate::gateway::life::kept;
use crate::gateway::message::{ChatKey, InboundMessage, OutboundMessage};
use crate::gateway::platforms::api::{Inbox, InboxError, Link};
use crate::gateway::repeats::Repeats;
use crate::gateway::sessions::Keeper;
use crate::gateway::store::api::{Accepted, Depths, InboxRow, Store, StoreError};
use crate::gateway::tally::{Stroke, Tally, Timed};
use crate::platform::Platform;

/// Turns that an agent works on at once, over all chats.
const TURNS_MAX: usize = 8;

/// Commands that are carried out at once.
const ORDERS_MAX: usize = 8;

/// Chats whose next message is being prepared, answered or written down at once.
const CHATS_MAX: usize = 64;

/// How often old rows are looked for.
const PRUNE_EVERY: Duration = Duration::from_secs(3600);

/// How often messages that wait for too long are looked for.
const EXPIRE_EVERY: Duration = Duration::from_secs(60);

/// Between two steps of pruning: messages go first.
const PRUNE_PAUSE: Duration = Duration::from_millis(200);

/// Between two counts of what waits.
const COUNT_PAUSE: Duration = Duration::from_millis(200);

/// How long turns may take to put their messages back once they are told to stop.
const RELEASE_LIMIT: Duration = Duration::from_secs(2);

/// Everything between the platforms and the agent.
pub struct MessagePath {
    store: Arc<dyn Store>,
    changed: Arc<Notify>,
    tally: Arc<Tally>,
    outboxes: Arc<BTreeMap<Platform, Outbox>>,
    rules: Arc<Rules>,
    strangers: Strangers,
    work: Arc<Turns>,
    turns: Arc<Lanes>,
    /// Commands that are carried out at once, beside the turns of their chats.
    orders: Arc<Semaphore>,
    permits: Arc<Semaphore>,
    stop_turns: CancellationToken,
    seen: Arc<Mutex<Seen>>,
    counted: watch::Sender<()>,
    /// How long a message may wait to be sent.
    expiry: watch::Sender<Duration>,
    _stop: DropGuard,
}

/// What changes; each look is short.
struct Seen {
    draining: bool,
    depths: Depths,
    agent: About,
    last_inbound: BTreeMap<Platform, Timestamp>,
}

impl MessagePath {
    /// Starts, with what the last run left: unanswered messages are answered now, and unsent ones wait for their
    /// platform. Needs a tokio runtime.
    pub fn start(store: Arc<dyn Store>, agent: Arc<dyn Agent>, gate: Gate) -> Arc<Self> {
        let changed = Arc::new(Notify::new());
        let tally = Arc::new(Tally::default());
        let agent: Arc<dyn Agent> = Arc::new(Timed { agent, tally: Arc::clone(&tally) });
        let outbox =
            |platform| Outbox::start(platform, Arc::clone(&store), Arc::clone(&changed), Arc::clone(&tally));
        let outboxes: BTreeMap<_, _> =
            Platform::every().map(|platform| (platform, outbox(platform))).collect();
        let outboxes = Arc::new(outboxes);
        let stop_turns = CancellationToken::new();
        let permits = Arc::new(Semaphore::new(TURNS_MAX));
        let rules = Rules::new(gate);
        let sessions = Arc::new(Keeper::new(Arc::clone(&store)));
        let running = Arc::new(Running::default());
        let work = Arc::new(Turns {
            store: Arc::clone(&store),
            agent: Arc::clone(&agent),
            outboxes: Arc::clone(&outboxes),
            permits: Arc::clone(&permits),
            changed: Arc::clone(&changed),
            orders: Orders {
                rules: Arc::clone(&rules),
                store: Arc::clone(&store),
                sessions: Arc::clone(&sessions),
                running: Arc::clone(&running),
                agent: Arc::clone(&agent),
                control: SetOnce::new(),
            },
            running: Arc::clone(&running),
            sessions: Arc::clone(&sessions),
            rules: Arc::clone(&rules),
            stop: stop_turns.clone(),
            waits: Waits::default(),
            repeats: Repeats::default(),
        });
        let turns = Arc::new(Lanes::start(Arc::<Turns>::clone(&work), CHATS_MAX));
        turns.open();
        let seen = Arc::new(Mutex::new(Seen {
            draining: false,
            depths: Depths::default(),
            agent: agent.about(),
            last_inbound: BTreeMap::new(),
        }));
        let stop = CancellationToken::new();
        let (stopping, old) = (stop.clone(), Arc::clone(&store));
        kept::keep("prune", move || until(stopping.clone(), prune(Arc::clone(&old))));
        let expiry = watch::Sender::new(GatewayConfig::default().outbox_expiry);
        let expiring = (stop.clone(), Arc::clone(&store), Arc::clone(&changed), expiry.subscribe());
        kept::keep("expire", move || {
            let (stop, store, changed, expiry) = expiring.clone();
            until(stop, expire(store, changed, expiry))
        });
        let counted = watch::Sender::new(());
        let told = counted.clone();
        let counting = (stop.clone(), Arc::clone(&store), agent, Arc::clone(&changed), Arc::clone(&seen));
        let ending = (stop.clone(), Arc::clone(&sessions), running);
        kept::keep("sessions", move || {
            let (stop, sessions, running) = ending.clone();
            until(stop, sessions.watch(move |chat| running.of(chat).is_some()))
        });
        kept::keep("count", move || {
            let (stop, store, agent, changed, seen) = counting.clone();
            until(stop, count(store, agent, changed, seen, told.clone()))
        });
        Arc::new(Self {
            strangers: Strangers::new(Arc::clone(&rules), Arc::clone(&outboxes)),
            store,
            changed,
            tally,
            outboxes,
            rules,
            work,
            turns,
            orders: Arc::new(Semaphore::new(ORDERS_MAX)),
            permits,
            stop_turns,
            seen,
            counted,
            expiry,
            _stop: stop.drop_guard(),
        })
    }

    /// What was counted since the start.
    pub fn tally(&self) -> Arc<Tally> {
        Arc::clone(&self.tally)
    }

    /// From now on commands that come in by chat reach the loop.
    pub fn connect(&self, control: Control) {
        self.work.orders.connect(control);
    }

    /// From now on strangers who may ask to be let in are given codes. Returns the desk that gives them.
    pub fn admit_by(&self, records: Arc<dyn Records>, kept: Kept) -> Arc<Desk> {
        let desk = Desk::new(records, Arc::clone(&self.rules), kept);
        self.strangers.connect(Arc::clone(&desk));
        desk
    }

    /// Carries a command out beside whatever its chat is waiting for. Where too many are under way, or this ends before
    /// it is done, it takes its turn like any message.
    fn hurry(&self, row: InboxRow, order: Slash) {
        let key = row.key.clone();
        if order.ends_turn() {
            self.work.running.cut(&key, Cut::Stopped);
        }
        let Ok(place) = Arc::clone(&self.orders).try_acquire_owned() else { return self.turns.wake(key) };
        let (work, turns) = (Arc::clone(&self.work), Arc::clone(&self.turns));
        tokio::spawn(async move {
            let _place = place;
            // The lane may be held by a turn that takes long; when it looks, the row is done.
            let _wake = Wake { key: row.key.clone(), turns };
            work.obey(&row.key, &row, order).await;
        });
    }

    fn seen<T>(&self, look: impl FnOnce(&mut Seen) -> T) -> T {
        look(&mut lock(&self.seen))
    }
}

#[async_trait]
impl Inbox for MessagePath {
    fn admits(&self, platform: Platform, message: &InboundMessage) -> bool {
        self.rules.gate().decide(platform, message) == Decision::Admit
    }

    async fn accept(&self, platform: Platform, message: InboundMessage) -> Result<(), InboxError> {
        let count = |stroke| self.tally.count(platform, stroke);
        if self.seen(|seen| seen.draining) {
            count(Stroke::Refused);
            return Err(InboxError("the gateway is stopping".to_owned()));
        }
        if let Decision::Ignore(reason) = self.rules.gate().decide(platform, &message) {
            count(Stroke::Denied);
            self.strangers.turn_away(platform, &message, &reason);
            return Ok(());
        }
        let failed = |error: StoreError| {
            count(Stroke::Refused);
            InboxError(error.to_string())
        };
        // In the chat with oneself, what we say comes back as something that the owner said.
        if message.self_chat && self.store.is_ours(platform, &message.id).await.map_err(failed)? {
            tracing::debug!(%platform, "our own message came back");
            return Ok(());
        }
        let key = chat_key(platform, &message);
        let order = slash::of(&message).map(|order| (order, message.clone()));
        match self.store.accept(platform, message).await.map_err(failed)? {
            Accepted::New(id) => {
                count(Stroke::Accepted);
                self.seen(|seen| seen.last_inbound.insert(platform, Now::read().wall));
                match order {
                    Some((order, message)) => {
                        let row = InboxRow { id, key, attempts: 0, is_suspect: false, message };
                        self.hurry(row, order);
                    }
                    None => self.turns.wake(key),
                }
                self.changed.notify_one();
            }
            Accepted::Duplicate => {
                count(Stroke::Duplicate);
                tracing::debug!(%platform, "a message came again");
                // Its first copy may have been stored without our knowing, by a disk that said that it failed.
                self.turns.wake(key);
            }
        }
        Ok(())
    }
}

#[async_trait]
impl MessageFlow for MessagePath {
    fn link_up(&self, platform: Platform, link: Arc<dyn Link>) {
        if let Some(outbox) = self.outboxes.get(&platform) {
            outbox.link_up(link);
        }
    }

    fn link_down(&self, platform: Platform) {
        if let Some(outbox) = self.outboxes.get(&platform) {
            outbox.link_down();
        }
    }

    fn limited(&self, platform: Platform, wait: Duration) {
        if let Some(outbox) = self.outboxes.get(&platform) {
            outbox.limited(wait);
        }
    }

    fn wake(&self, chats: &[ChatKey]) {
        for key in chats {
            self.turns.wake(key.clone());
            if let Some(outbox) = self.outboxes.get(&key.platform) {
                outbox.wake(key.clone());
            }
        }
        self.changed.notify_one();
    }

    fn configure(&self, config: &Config) {
        let expiry = config.gateway.outbox_expiry;
        for (platform, outbox) in self.outboxes.iter() {
            outbox.expire_after(expiry);
            outbox.pace(!config.unpaced.contains(platform));
        }
        self.expiry.send_replace(expiry);
        self.rules.configure(config);
        self.work.sessions.configure(&config.session);
        // Another agent may be named.
        self.changed.notify_one();
    }

    async fn say(&self, key: &ChatKey, message: OutboundMessage) -> Result<(), InboxError> {
        self.store.queue(key, message).await.map_err(|error| InboxError(error.to_string()))?;
        if let Some(outbox) = self.outboxes.get(&key.platform) {
            outbox.wake(key.clone());
        }
        self.changed.notify_one();
        Ok(())
    }

    fn depths(&self) -> Depths {
        self.seen(|seen| seen.depths)
    }

    fn agent(&self) -> About {
        self.seen(|seen| seen.agent.clone())
    }

    fn active_turns(&self) -> u64 {
        u64::try_from(TURNS_MAX - self.permits.available_permits()).expect("a few turns fit")
    }

    fn last_inbound(&self, platform: Platform) -> Option<Timestamp> {
        self.seen(|seen| seen.last_inbound.get(&platform).copied())
    }

    fn last_outbound(&self, platform: Platform) -> Option<Timestamp> {
        self.outboxes.get(&platform).and_then(Outbox::last_sent)
    }

    fn counted(&self) -> watch::Receiver<()> {
        self.counted.subscribe()
    }

    /// A turn that is cut off at the deadline does not count as an attempt. Works best while the links are still up.
    async fn drain(&self, deadline: Instant) {
        self.seen(|seen| seen.draining = true);
        self.turns.close();
        self.permits.close();
        let deadline = deadline.into();
        if tokio::time::timeout_at(deadline, self.turns.quiet()).await.is_err() {
            self.stop_turns.cancel();
            drop(tokio::time::timeout(RELEASE_LIMIT, self.turns.quiet()).await);
        }
        for outbox in self.outboxes.values() {
            drop(tokio::time::timeout_at(deadline, outbox.done()).await);
            drop(tokio::time::timeout_at(deadline, outbox.stop()).await);
        }
    }
}

/// Wakes a chat's lane when it is dropped, also by a panic.
struct Wake {
    key: ChatKey,
    turns: Arc<Lanes>,
}

impl Drop for Wake {
    fn drop(&mut self) {
        self.turns.wake(self.key.clone());
    }
}

fn lock(seen: &Mutex<Seen>) -> MutexGuard<'_, Seen> {
    seen.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Does this until it is told to stop.
async fn until(stop: CancellationToken, work: impl Future<Output = ()>) {
    stop.run_until_cancelled_owned(work).await;
}

/// Forgets what is old, for ever.
async fn prune(store: Arc<dyn Store>) {
    loop {
        while store.prune().await.unwrap_or_else(|error| {
            tracing::warn!(code = "prune_failed", %error, "old messages cannot be forgotten");
            false
        }) {
            tokio::time::sleep(PRUNE_PAUSE).await;
        }
        tokio::time::sleep(PRUNE_EVERY).await;
    }
}

/// Gives up what could not be sent in time, for ever.
async fn expire(store: Arc<dyn Store>, changed: Arc<Notify>, mut expiry: watch::Receiver<Duration>) {
    loop {
        let longest = *expiry.borrow_and_update();
        let before = Now::read().wall.checked_sub(longest).unwrap_or(Timestamp::MIN);
        match store.expire(before).await {
            Ok(0) => {
                drop(tokio::time::timeout(EXPIRE_EVERY, expiry.changed()).await);
            }
            Ok(count) => {
                tracing::warn!(
                    code = "outbox_expired",
                    count,
                    "messages that could not be sent in time are given up"
                );
                changed.notify_one();
                tokio::time::sleep(PRUNE_PAUSE).await;
            }
            Err(error) => {
                tracing::debug!(%error, "what waits for too long cannot be looked for");
                tokio::time::sleep(EXPIRE_EVERY).await;
            }
        }
    }
}

/// Counts the rows, and looks how the agent is, whenever something has changed, for ever.
async fn count(
    store: Arc<dyn Store>,
    agent: Arc<dyn Agent>,
    changed: Arc<Notify>,
    seen: Arc<Mutex<Seen>>,
    told: watch::Sender<()>,
) {
    loop {
        let about = agent.about();
        lock(&seen).agent = about;
        match store.depths().await {
            Ok(depths) => lock(&seen).depths = depths,
            Err(error) => tracing::debug!(%error, "the queues cannot be counted"),
        }
        told.send_replace(());
        changed.notified().await;
        tokio::time::sleep(COUNT_PAUSE).await;
    }
}

#[cfg(test)]
#[path = "message_path_tests.rs"]
mod tests;
