//! The message path as the gateway's core sees it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use jiff::Timestamp;
use tokio::sync::{Notify, Semaphore, SetOnce, watch};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::ignored::Told;
use super::orders::Orders;
use super::reply;
use super::running::{Cut, Running};
use super::slots::Slots;
use super::strangers::Strangers;
use super::turns::Turns;
use super::upkeep::{Counted, Upkeep};
use super::waits::Waits;
use crate::clock::Now;
use crate::config::{AT_ONCE_MAX, Config, GatewayConfig, TurnConfig};
use crate::gateway::agent::api::{About, Agent};
use crate::gateway::inbound::gate::{Decision, Gate};
use crate::gateway::inbound::join::WAITING_MAX;
use crate::gateway::inbound::refusals;
use crate::gateway::inbound::rules::Rules;
use crate::gateway::inbound::slash::{self, Slash};
use crate::gateway::log_throttle::LogThrottle;
use crate::gateway::metrics::{Counter, Metrics, Timed};
use crate::gateway::model::adapter::{Inbox, InboxError, Link};
use crate::gateway::model::command::Control;
use crate::gateway::model::identity::chat_key;
use crate::gateway::model::message::{ChatKey, InboundMessage, OutboundMessage};
use crate::gateway::pipeline::admission::service::Desk;
use crate::gateway::pipeline::delivery::outbox::Outbox;
use crate::gateway::pipeline::flow::MessageFlow;
use crate::gateway::pipeline::scheduler::Lanes;
use crate::gateway::sessions::Keeper;
use crate::gateway::store::api::admissions::{Kept, Records};
use crate::gateway::store::api::{Accepted, Depths, InboxRow, Store, StoreError};
use crate::platforms::Platform;

/// Limit for commands that are carried out at the same time.
const ORDERS_MAX: usize = 8;

/// Limit for chats whose next message is being prepared, answered or written to disk at the same time: more than the turns
/// that can run, so that chats that only wait for the disk hold up no turn.
const CHATS_MAX: usize = AT_ONCE_MAX as usize + 64;

/// The pause between two notices to a person who writes faster than they are answered.
const TOLD_EVERY: Duration = Duration::from_secs(600);

/// Limit for chats that had a notice within [`TOLD_EVERY`]; further ones get none.
const TOLD_MAX: usize = 1024;

pub(super) const MANY_WAIT: &str =
    "You write faster than I can answer. Nothing is lost: your messages wait, and I answer them together.";

/// Limit for turns to put their messages back once they are stopped.
const RELEASE_LIMIT: Duration = Duration::from_secs(2);

/// The whole path between the platforms and the agent.
pub struct MessagePath {
    store: Arc<dyn Store>,
    changed: Arc<Notify>,
    tally: Arc<Metrics>,
    outboxes: Arc<BTreeMap<Platform, Outbox>>,
    rules: Arc<Rules>,
    strangers: Strangers,
    work: Arc<Turns>,
    turns: Arc<Lanes>,
    /// Limits the commands that are carried out at once, beside the turns of their chats.
    orders: Arc<Semaphore>,
    stop_turns: CancellationToken,
    seen: Arc<Mutex<Seen>>,
    counted: Arc<Mutex<Counted>>,
    /// Changes with each count.
    told: watch::Sender<()>,
    /// The time that a message may wait to be sent.
    expiry: watch::Sender<Duration>,
    _stop: DropGuard,
}

/// The mutable state; each lock is short.
struct Seen {
    draining: bool,
    last_inbound: BTreeMap<Platform, Timestamp>,
    /// The times when chats had the notice that many of their messages wait.
    told: BTreeMap<ChatKey, Instant>,
}

impl MessagePath {
    /// Starts with everything that the last run left: unsent messages wait for their platform, and unanswered ones for
    /// [`Self::open`]. Needs a tokio runtime.
    pub fn start(store: Arc<dyn Store>, agent: Arc<dyn Agent>, gate: Gate, terms: TurnConfig) -> Arc<Self> {
        let changed = Arc::new(Notify::new());
        let tally = Arc::new(Metrics::default());
        let agent: Arc<dyn Agent> = Arc::new(Timed { agent, tally: Arc::clone(&tally) });
        let outbox =
            |platform| Outbox::start(platform, Arc::clone(&store), Arc::clone(&changed), Arc::clone(&tally));
        let outboxes: BTreeMap<_, _> =
            Platform::every().map(|platform| (platform, outbox(platform))).collect();
        let outboxes = Arc::new(outboxes);
        let stop_turns = CancellationToken::new();
        let rules = Rules::new(gate);
        let sessions = Arc::new(Keeper::new(Arc::clone(&store)));
        let running = Arc::new(Running::default());
        let work = Arc::new(Turns {
            store: Arc::clone(&store),
            agent: Arc::clone(&agent),
            outboxes: Arc::clone(&outboxes),
            terms: Mutex::new(terms),
            slots: Slots::new(terms.at_once_max),
            pace: Mutex::default(),
            handed: Mutex::default(),
            unsure: Mutex::default(),
            changed: Arc::clone(&changed),
            orders: Orders {
                rules: Arc::clone(&rules),
                store: Arc::clone(&store),
                sessions: Arc::clone(&sessions),
                running: Arc::clone(&running),
                agent: Arc::clone(&agent),
                control: SetOnce::new(),
                under_way: Mutex::default(),
            },
            running: Arc::clone(&running),
            sessions: Arc::clone(&sessions),
            rules: Arc::clone(&rules),
            stop: stop_turns.clone(),
            waits: Waits::default(),
            tally: Arc::clone(&tally),
            repeats: LogThrottle::default(),
        });
        let turns = Arc::new(Lanes::start(Arc::<Turns>::clone(&work), CHATS_MAX));
        let seen = Arc::new(Mutex::new(Seen {
            draining: false,
            last_inbound: BTreeMap::new(),
            told: BTreeMap::new(),
        }));
        let stop = CancellationToken::new();
        let expiry = watch::Sender::new(GatewayConfig::default().outbox_expiry);
        let counted = Arc::new(Mutex::new(Counted { agent: agent.about(), ..Counted::default() }));
        let told = watch::Sender::new(());
        let upkeep = Upkeep {
            store: Arc::clone(&store),
            agent,
            sessions,
            running,
            changed: Arc::clone(&changed),
            tally: Arc::clone(&tally),
            expiry: expiry.subscribe(),
            counted: Arc::clone(&counted),
            told: told.clone(),
        };
        upkeep.start(&stop);
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
            stop_turns,
            seen,
            counted,
            told,
            expiry,
            _stop: stop.drop_guard(),
        })
    }

    /// Begins to answer. Comes after the settings: a turn that began before them would show no preview.
    pub fn open(&self) {
        self.turns.open();
    }

    /// The metrics since the start.
    pub fn tally(&self) -> Arc<Metrics> {
        Arc::clone(&self.tally)
    }

    /// Sends the commands that come in by chat to the loop from now on.
    pub fn connect(&self, control: Control) {
        self.work.orders.connect(control);
    }

    /// Gives codes to strangers who may ask for admission from now on. Returns the admission service.
    pub fn admit_by(&self, records: Arc<dyn Records>, kept: Kept) -> Arc<Desk> {
        let desk = Desk::new(records, Arc::clone(&self.rules), kept);
        self.strangers.connect(Arc::clone(&desk));
        desk
    }

    /// The senders and groups that were ignored recently and still would be, the newest first.
    pub fn ignored(&self) -> Vec<Told> {
        self.strangers.ignored()
    }

    /// Carries a command out at once, beside the running turn of its chat. Where too many are under way, or this ends
    /// before it is done, the command takes its turn like any message.
    fn hurry(&self, row: InboxRow, order: Slash) {
        let key = row.key.clone();
        if order.ends_turn() {
            self.work.running.cut(&key, Cut::Stopped);
        }
        let Ok(place) = Arc::clone(&self.orders).try_acquire_owned() else { return self.turns.wake(key) };
        let (work, turns) = (Arc::clone(&self.work), Arc::clone(&self.turns));
        tokio::spawn(async move {
            let _place = place;
            // The lane may be held by a long turn; when it looks, the row is done.
            let _wake = Wake { key: row.key.clone(), turns };
            if let Err(error) = work.obey(&row.key, &row, order).await {
                tracing::debug!(platform = %row.key.platform, %error, "a command waits in line with messages: the store fails");
            }
        });
    }

    fn arrived(&self, platform: Platform) {
        self.tally.count(platform, Counter::Accepted);
        self.seen(|seen| seen.last_inbound.insert(platform, Now::read().wall));
        self.changed.notify_one();
    }

    /// Puts an accepted message behind the turn of its chat, or behind the message that waits for the agent.
    fn line_up(&self, row: InboxRow, is_busy: bool) {
        let key = row.key.clone();
        if is_busy {
            self.turns.wake(key);
            self.work.running.meet(&self.work.terms(), row);
        } else {
            self.work.running.waits(&key);
            self.turns.wake(key);
        }
    }

    /// Sends a notice, once, to a person who writes faster than they are answered. A notice that cannot be stored is not
    /// worth a failure.
    async fn tell_many(&self, key: &ChatKey, message: &InboundMessage) {
        let waiting = self.store.waiting(key, WAITING_MAX + 1).await.unwrap_or(0);
        let now = Now::read().mono;
        let is_new = |seen: &mut Seen| {
            seen.told.retain(|_, told| now.duration_since(*told) < TOLD_EVERY);
            seen.told.len() < TOLD_MAX && seen.told.insert(key.clone(), now).is_none()
        };
        if waiting > WAITING_MAX && self.seen(is_new) {
            drop(self.say(key, reply::parts(key, message, "waiting", MANY_WAIT)).await);
        }
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

    async fn knows(&self, platform: Platform, message: &InboundMessage) -> bool {
        self.store.knows(platform, message).await.unwrap_or(false)
    }

    async fn accept(&self, platform: Platform, mut message: InboundMessage) -> Result<(), InboxError> {
        let count = |stroke| self.tally.count(platform, stroke);
        if self.seen(|seen| seen.draining) {
            count(Counter::Refused);
            return Err(InboxError("the gateway is stopping".to_owned()));
        }
        if let Decision::Ignore(reason) = self.rules.gate().decide(platform, &message) {
            count(Counter::Denied);
            self.strangers.turn_away(platform, &message, &reason);
            return Ok(());
        }
        let failed = |error: StoreError| {
            count(Counter::Refused);
            InboxError(error.to_string())
        };
        // In a chat with oneself, our own messages come back as the owner's.
        if message.self_chat && self.store.is_ours(platform, &message.id).await.map_err(failed)? {
            tracing::debug!(%platform, "our own message came back");
            return Ok(());
        }
        let key = chat_key(platform, &message);
        refusals::cut(&mut message);
        if let Some(told) = refusals::told(&message) {
            // Before it is accepted: should that fail, the message comes again, and there is one notice all the same.
            let notice = reply::parts(&key, &message, "refused", &told);
            self.say(&key, notice).await.inspect_err(|_| count(Counter::Refused))?;
            if let Some(len) = message.cut_from {
                tracing::warn!(
                    code = "message_cut", %platform, message = %message.id, len,
                    "Cut a message that is too long"
                );
            }
        }
        let order = slash::of(&message).map(|order| (order, message.clone()));
        if message.album.is_some() {
            self.work.expect_part(&key);
        }
        if order.is_none()
            && let Some(permit) = self.work.permit(&key)
            && let Some(_lane) = self.turns.reserve(&key)
        {
            let place = self.work.place(&key, permit);
            // Whatever the outcome, the lane runs next: it answers what is handed over, or looks for earlier messages.
            match self.work.begin_new(&key, platform, message).await.map_err(failed)? {
                Accepted::Begun(row) => {
                    self.arrived(platform);
                    self.work.hand(*row, place);
                }
                Accepted::New(_) => self.arrived(platform),
                Accepted::Duplicate => count(Counter::Duplicate),
            }
            return Ok(());
        }
        let is_busy = self.work.running.is_busy(&key);
        let behind = (is_busy || self.work.waits.holds(&key)).then(|| message.clone());
        let id = match self.store.accept(platform, message).await.map_err(failed)? {
            Accepted::New(id) => id,
            Accepted::Begun(row) => row.id,
            Accepted::Duplicate => {
                count(Counter::Duplicate);
                tracing::debug!(%platform, "a message came again");
                // The run that accepted it first may have died before it woke the lane.
                self.turns.wake(key);
                return Ok(());
            }
        };
        let at_ms = Now::read().wall.as_millisecond();
        let row = |message| InboxRow::new(id, key.clone(), at_ms, message);
        match (order, behind) {
            (Some((order, message)), _) => self.hurry(row(message), order),
            (None, Some(message)) => {
                self.line_up(row(message.clone()), is_busy);
                self.tell_many(&key, &message).await;
            }
            (None, None) => {
                self.work.running.waits(&key);
                self.turns.wake(key);
            }
        }
        self.arrived(platform);
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

    fn hurry(&self, platform: Platform) {
        if let Some(outbox) = self.outboxes.get(&platform) {
            outbox.hurry();
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
            let settings = config.platform(*platform);
            outbox.pace(settings.is_paced);
            outbox.stream(settings.stream_every);
        }
        self.expiry.send_replace(expiry);
        self.rules.configure(config);
        self.work.sessions.configure(&config.session);
        self.work.follow(config.gateway.turn);
        // The settings may name another agent.
        self.changed.notify_one();
    }

    async fn say(&self, key: &ChatKey, parts: Vec<OutboundMessage>) -> Result<(), InboxError> {
        self.store.queue(key, parts).await.map_err(|error| InboxError(error.to_string()))?;
        if let Some(outbox) = self.outboxes.get(&key.platform) {
            outbox.wake(key.clone());
        }
        self.changed.notify_one();
        Ok(())
    }

    fn depths(&self) -> Depths {
        lock(&self.counted).depths
    }

    fn oldest_waiting(&self) -> Option<Timestamp> {
        lock(&self.counted).oldest_at
    }

    fn agent(&self) -> About {
        lock(&self.counted).agent.clone()
    }

    fn active_turns(&self) -> u64 {
        u64::try_from(self.work.running.count()).expect("a few turns fit")
    }

    fn last_inbound(&self, platform: Platform) -> Option<Timestamp> {
        self.seen(|seen| seen.last_inbound.get(&platform).copied())
    }

    fn last_outbound(&self, platform: Platform) -> Option<Timestamp> {
        self.outboxes.get(&platform).and_then(Outbox::last_sent)
    }

    fn counted(&self) -> watch::Receiver<()> {
        self.told.subscribe()
    }

    /// A turn that is cut off at the deadline does not count as an attempt. Works best while the links are still up.
    async fn drain(&self, deadline: Instant) {
        self.seen(|seen| seen.draining = true);
        self.turns.close();
        self.work.slots.close();
        let deadline = deadline.into();
        if tokio::time::timeout_at(deadline, self.turns.quiet()).await.is_err() {
            self.stop_turns.cancel();
            drop(tokio::time::timeout(RELEASE_LIMIT, self.turns.quiet()).await);
        }
        drop(tokio::time::timeout(RELEASE_LIMIT, self.work.release_handed()).await);
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

fn lock<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
#[path = "message_path_tests.rs"]
mod tests;
