//! Works off the inbox: which chat's turn is next, and the record of how each turn ended.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use tokio::sync::{Notify, OwnedSemaphorePermit};
use tokio_util::sync::CancellationToken;

use super::asking::{Asked, Early, Ended, within_bytes};
use super::busy;
use super::order_texts;
use super::orders::{Order, Orders};
use super::pace::Pace;
use super::preview::UNFINISHED;
use super::reply;
use super::running::{Cut, RunGuard, Running};
use super::slots::Slots;
use super::waits::Waits;
use crate::backoff::doubled;
use crate::clock::Now;
use crate::config::TurnConfig;
use crate::gateway::agent::api::{Again, Agent, RETRY, Turn, said};
use crate::gateway::inbound::gate::Decision;
use crate::gateway::inbound::join::Join;
use crate::gateway::inbound::rules::Rules;
use crate::gateway::inbound::slash::{self, Slash};
use crate::gateway::log_throttle::LogThrottle;
use crate::gateway::metrics::{Counter, Metrics};
use crate::gateway::model::message::InboxId;
use crate::gateway::model::message::{ChatKey, InboundMessage};
use crate::gateway::pipeline::delivery::outbox::Outbox;
use crate::gateway::pipeline::scheduler::{Outcome, Work};
use crate::gateway::sessions::Keeper;
use crate::gateway::sessions::keeper::Context;
use crate::gateway::store::api::{Claimed, Exchange, Finish, InboxRow, Store, StoreError};
use crate::platforms::Platform;

/// Limit for the turns that are begun for a message without an end; then it is given up, because it may be the cause of the
/// crashes. Where crashes follow each other closely, safe mode acts sooner ([`crate::gateway::host::crash_loop`]).
const ATTEMPTS_MAX: u32 = 3;

/// Limit for the time that a command is put off until its answer is sent.
const ANSWER_LIMIT: Duration = Duration::from_secs(10);

/// The first wait after the store failed; it doubles.
const STORE_WAIT: Duration = Duration::from_secs(1);

/// The longest wait after the store failed.
const STORE_WAIT_MAX: Duration = Duration::from_secs(30);

/// The shortest pause before a chat checks again whether the agent is available.
const AGENT_WAIT_MIN: Duration = Duration::from_millis(100);

/// The longest such pause: the agent may be back before it was expected.
const AGENT_WAIT_MAX: Duration = Duration::from_secs(10);

pub(super) const GIVEN_UP: &str =
    "I could not process this message: it failed three times. Please rephrase it.";

/// The notice for a message that was being worked on at each crash of the gateway.
const QUARANTINED: &str = "I stopped retrying this message because it kept crashing me. Please rephrase it.";

/// The text after the failure of a message that has waited for long.
const WAITED: &str = " Your message has waited long enough. Send /retry to ask again.";

/// The text instead of [`RETRY`] where the chat's last message is another one by then.
const AGAIN: &str = "Send it again if you still need an answer.";

/// The worker of the inbox.
pub(super) struct Turns {
    pub(super) store: Arc<dyn Store>,
    pub(super) agent: Arc<dyn Agent>,
    pub(super) outboxes: Arc<BTreeMap<Platform, Outbox>>,
    /// The settings of turns.
    pub(super) terms: Mutex<TurnConfig>,
    /// The places for turns that run at once.
    pub(super) slots: Slots,
    /// The pace of the turns of each chat.
    pub(super) pace: Mutex<Pace>,
    /// Messages whose first attempt was counted when they were accepted, for their lanes; each holds a place, so there are few.
    pub(super) handed: Mutex<BTreeMap<ChatKey, Handed>>,
    /// Chats in which an attempt may be counted for a turn that was never begun.
    pub(super) unsure: Mutex<BTreeSet<ChatKey>>,
    /// Notified when a turn has ended.
    pub(super) changed: Arc<Notify>,
    /// The allow list.
    pub(super) rules: Arc<Rules>,
    /// Carries out the commands to the gateway.
    pub(super) orders: Orders,
    /// The turns that run.
    pub(super) running: Arc<Running>,
    /// Assigns messages to conversations.
    pub(super) sessions: Arc<Keeper>,
    /// Ends the running turns: their messages wait for the next start.
    pub(super) stop: CancellationToken,
    /// The messages that wait for the agent.
    pub(super) waits: Waits,
    /// Counts the messages that are given up.
    pub(super) tally: Arc<Metrics>,
    /// Throttles the log of failures.
    pub(super) repeats: LogThrottle,
}

impl Turns {
    /// The settings in force.
    pub(super) fn terms(&self) -> TurnConfig {
        *self.terms.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Applies these settings; to running turns only the number of places.
    pub(super) fn follow(&self, terms: TurnConfig) {
        *self.terms.lock().unwrap_or_else(PoisonError::into_inner) = terms;
        self.slots.resize(terms.at_once_max);
    }

    /// The wait of this chat before its next turn; zero: none.
    fn pause(&self, key: &ChatKey) -> Duration {
        self.pace(|pace, now, most| pace.wait(now, key, most))
    }

    fn pace<T>(&self, look: impl FnOnce(&mut Pace, Instant, u32) -> T) -> T {
        let most = self.terms().per_minute_max;
        look(&mut self.pace.lock().unwrap_or_else(PoisonError::into_inner), Now::read().mono, most)
    }

    /// Notes that a part of an album is about to be accepted: its chat waits for the others before its next turn.
    pub(super) fn expect_part(&self, key: &ChatKey) {
        self.pace(|pace, now, _| pace.expect_part(now, key));
    }

    /// A permit for the turn of a message that is about to be accepted. `None`: the message waits in line.
    pub(super) fn permit(&self, key: &ChatKey) -> Option<OwnedSemaphorePermit> {
        if self.pause(key) > Duration::ZERO || self.agent.wait().is_some() {
            return None;
        }
        self.slots.try_take()
    }

    /// The place for that turn. Only the holder of the chat's lane may call this.
    pub(super) fn place(&self, key: &ChatKey, permit: OwnedSemaphorePermit) -> Place {
        Place { permit, run: self.running.begin(key) }
    }

    /// Hands a message whose first attempt is counted to the lane of its chat.
    pub(super) fn hand(&self, row: InboxRow, place: Place) {
        self.handed().insert(row.key.clone(), Handed { row, place });
    }

    pub(super) fn handed(&self) -> MutexGuard<'_, BTreeMap<ChatKey, Handed>> {
        self.handed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn answer_next(&self, key: &ChatKey) -> Result<Outcome, StoreError> {
        let (place, claimed, passes) = match self.next(key).await? {
            Next::Begun { place, claimed, passes } => (place, claimed, passes),
            Next::Not(outcome) => return Ok(outcome),
        };
        // A message that is accepted from now on wakes the lane.
        let then = if claimed.more { Outcome::Again } else { Outcome::Idle };
        let Some(first) = claimed.rows.first() else {
            self.running.settled(key);
            return Ok(Outcome::Idle);
        };
        // It was accepted; the settings may have changed since.
        if let Decision::Ignore(reason) = self.rules.gate().decide(key.platform, &first.message) {
            drop(place);
            return self.turn_away(key, &claimed.rows, reason.as_str()).await;
        }
        if first.is_suspect {
            drop(place);
            tracing::error!(
                code = "message_quarantined", platform = %key.platform, message = %first.message.id,
                "Set a message aside: the gateway crashed {} times while processing it", first.attempts
            );
            let why = format!("the gateway crashed {} times while processing it", first.attempts);
            let ended = self.give_up(key, first, QUARANTINED, why).await;
            return Ok(if ended { then } else { Outcome::Idle });
        }
        let order = slash::of(&first.message);
        // The claim did not count a command.
        let is_last = first.attempts + u32::from(order.is_some()) > ATTEMPTS_MAX;
        if let Some(order) = order
            && !is_last
        {
            drop(place);
            // The command may have become a turn.
            return Ok(if self.obey(key, first, order).await? { Outcome::Again } else { Outcome::Idle });
        }
        let ended = if is_last {
            tracing::error!(
                code = "message_given_up", platform = %key.platform, message = %first.message.id,
                "Gave up on a message after {ATTEMPTS_MAX} attempts"
            );
            self.give_up(key, first, GIVEN_UP, format!("started {ATTEMPTS_MAX} times, never finished")).await
        } else {
            match self.turn(key, place, claimed, passes).await? {
                Turned::Ended(ended) => ended,
                Turned::Back(outcome) => return Ok(outcome),
            }
        };
        Ok(if ended { then } else { Outcome::Idle })
    }

    /// The place and the messages of the chat's next turn.
    async fn next(&self, key: &ChatKey) -> Result<Next, StoreError> {
        if let Some(Handed { row, place }) = self.handed().remove(key) {
            let claimed = Claimed { rows: vec![row], more: false };
            return Ok(Next::Begun { place, claimed, passes: false });
        }
        // Nothing is claimed while the agent is away; commands are carried out all the same.
        if let Some(wait) = self.agent.wait()
            && let Some(next) = self.store.next_in(key).await?
            && !next.is_suspect
            && slash::of(&next.message).is_none()
            && !self.waits.is_forlorn(key, next.id, Now::read().mono)
            && self.rules.gate().decide(key.platform, &next.message) == Decision::Admit
        {
            return Ok(Next::Not(self.put_off(key, &next, wait, true).await));
        }
        let pause = self.pause(key);
        if pause > Duration::ZERO {
            return Ok(Next::Not(Outcome::After(pause)));
        }
        // Closed when we stop: then no turn is begun.
        let Some(permit) = self.slots.take().await else { return Ok(Next::Not(Outcome::Idle)) };
        let place = self.place(key, permit);
        let mut held = self.waits.held(key, Now::read().mono);
        if let Some(waiting) = held
            && self.store.next_in(key).await?.is_none_or(|next| next.id != waiting.id)
        {
            // The message was taken back.
            self.waits.end(key);
            held = None;
        }
        let join = held.map_or_else(|| busy::join(&self.terms()), |_| Join::default());
        if let Some(held) = held.filter(|held| held.is_aside) {
            let claimed = self.claim(key, Join { aside: Some(held.id), ..join }).await?;
            if !claimed.rows.is_empty() {
                return Ok(Next::Begun { place, claimed, passes: true });
            }
        }
        let claimed = self.claim(key, join).await?;
        Ok(Next::Begun { place, claimed, passes: false })
    }

    /// Asks the agent, and records how that ended. `passes`: another message of the chat waits, and this one goes first.
    async fn turn(
        &self,
        key: &ChatKey,
        place: Place,
        claimed: Claimed,
        passes: bool,
    ) -> Result<Turned, StoreError> {
        let Place { permit, mut run } = place;
        self.pace(|pace, now, most| pace.take(now, key, most));
        let asked = Asked::of(claimed.rows);
        run.asks(asked.message.clone(), asked.gathering, claimed.more);
        let Asked { ids, message, preview, .. } = asked;
        let mut context = match self.sessions.context(self.sessions.key(key, &message), ids[0]).await {
            Ok(context) => context,
            Err(error) => return self.put_back(key, ids, Early::Failed(error)).await,
        };
        let turn = Turn {
            key: key.clone(),
            session: context.name.clone(),
            message: message.clone(),
            history: within_bytes(std::mem::take(&mut context.history)),
        };
        let end = self.ask(turn, &mut run, self.preview(key, ids[0], &message, preview)).await;
        // The rest only waits for the disk, and shares its flushes with the ends of other turns.
        drop((run, permit));
        let ended = match end {
            Ok(ended) => ended,
            Err(early) => return self.put_back(key, ids, early).await,
        };
        if let Some(wait) = self.later(key, ids[0], &ended) {
            // Messages that a command ended on disk meanwhile are not put back.
            self.release(key, ids).await?;
            let is_away = matches!(&ended.answer, Err(error) if matches!(error.again, Again::After(_)));
            if passes {
                self.waits.hold_again(key, Now::read().mono);
            }
            return Ok(Turned::Back(match self.store.next_in(key).await? {
                Some(next) => self.put_off(key, &next, wait, is_away).await,
                None => Outcome::Again,
            }));
        }
        let was_passed = self.waits.is_passed(key, ids[0]);
        if passes {
            self.waits.pass(key);
        } else {
            self.waits.end(key);
        }
        self.running.settled(key);
        let mut finish = self.end_of(key, &message, context, &ended, was_passed);
        let steered = ended.steered.iter().map(|row| row.id);
        finish.with = ids[1..].iter().copied().chain(steered).collect();
        Ok(Turned::Ended(self.finish(key, ids[0], finish).await))
    }

    /// The wait until the agent is expected back, where the message is to wait for it.
    fn later(&self, key: &ChatKey, id: InboxId, ended: &Ended) -> Option<Duration> {
        match ended.answer.as_ref().err()?.again {
            Again::After(wait) if !self.waits.is_forlorn(key, id, Now::read().mono) => Some(wait),
            Again::Briefly(wait) if !self.waits.is_overdue(key, id, Now::read().mono) => Some(wait),
            // Asked twice, or it has waited for long enough.
            Again::After(_) | Again::Briefly(_) | Again::Never | Again::Once => None,
        }
    }

    /// The record of a turn that ended, without its messages. `was_passed`: another message was answered while it waited.
    fn end_of(
        &self,
        key: &ChatKey,
        message: &InboundMessage,
        context: Context,
        ended: &Ended,
        was_passed: bool,
    ) -> Finish {
        let mut replies = Vec::new();
        if let Some(rule) = context.told {
            replies = reply::parts(key, message, "session", order_texts::begun_anew(rule));
        }
        let exchange = match &ended.answer {
            Ok(answer) => {
                replies.extend(reply::parts(key, message, "answer", answer));
                let steered = ended.steered.iter().map(|row| &row.message);
                let said: Vec<_> = std::iter::once(message).chain(steered).map(said).collect();
                Some(Exchange { said: said.join("\n"), answered: answer.clone() })
            }
            Err(error) => {
                if let Some(more) = self.repeats.say(Now::read().mono, &error.kind()) {
                    tracing::warn!(
                        platform = %key.platform, code = error.code,
                        "the agent gave no answer: {}{more}", error.detail
                    );
                }
                let waited =
                    if matches!(error.again, Again::After(_) | Again::Briefly(_)) { WAITED } else { "" };
                let mut told = format!("{}{waited}", error.told);
                if was_passed {
                    told = told.replace(RETRY, AGAIN);
                }
                replies.extend(reply::parts(key, message, "answer", &told));
                None
            }
        };
        if let Some(first) = replies.first_mut().filter(|_| was_passed) {
            first.reply_to = Some(message.id.clone());
        }
        Finish { belongs: Some(context.belongs), exchange, replies, ..Finish::default() }
    }

    /// Lets the message wait for the agent. Where the agent is away, the chat gets one notice, and a second one when that
    /// takes long.
    async fn put_off(&self, key: &ChatKey, row: &InboxRow, wait: Duration, is_away: bool) -> Outcome {
        let is_own = self.agent.wait().is_none();
        if let Some((purpose, text)) = self.waits.put_off(key, row.id, Now::read().mono, is_away, is_own) {
            // Best effort: the message itself is safe.
            drop(self.store.queue(key, reply::parts(key, &row.message, purpose, text)).await);
            if let Some(outbox) = self.outboxes.get(&key.platform) {
                outbox.wake(key.clone());
            }
        }
        self.changed.notify_one();
        Outcome::After(wait.clamp(AGENT_WAIT_MIN, AGENT_WAIT_MAX))
    }

    /// Gives up the first of these messages, without a notice: its sender may no longer speak there. Each of those behind
    /// it is judged separately.
    async fn turn_away(&self, key: &ChatKey, rows: &[InboxRow], reason: &str) -> Result<Outcome, StoreError> {
        tracing::info!(
            code = "no_longer_allowed", platform = %key.platform, reason,
            "Dropped a waiting message: its sender is no longer allowed there"
        );
        self.release(key, rows[1..].iter().map(|row| row.id).collect()).await?;
        let dead = Some(format!("no longer allowed ({reason})"));
        let done = self.finish(key, rows[0].id, Finish { dead, ..Finish::default() }).await;
        Ok(if done { Outcome::Again } else { Outcome::Idle })
    }

    /// Keeps the message as a dead letter, and notifies its sender. Returns true when that is on disk.
    async fn give_up(&self, key: &ChatKey, row: &InboxRow, told: &str, why: String) -> bool {
        let mut replies = Vec::new();
        if row.preview.is_some() {
            // The notice refers to the message that it is about, and an edited message cannot.
            replies = reply::parts(key, &row.message, "preview", UNFINISHED);
        }
        replies.extend(reply::parts(key, &row.message, reply::NOTICE, told));
        self.finish(key, row.id, Finish { replies, dead: Some(why), ..Finish::default() }).await
    }

    /// Ends a turn early: its messages wait again, and the attempt does not count.
    async fn put_back(&self, key: &ChatKey, ids: Vec<InboxId>, early: Early) -> Result<Turned, StoreError> {
        self.release(key, ids).await?;
        Ok(Turned::Back(match early {
            // The commit of the stop has ended its messages; nothing is left to release.
            Early::Cut(Cut::Stopped) => {
                self.running.settled(key);
                Outcome::Again
            }
            Early::Cut(Cut::Back(pause)) => {
                self.running.taken_back(key);
                match busy::rest(pause, self.terms().join_window) {
                    Duration::ZERO => Outcome::Again,
                    rest => Outcome::After(rest),
                }
            }
            Early::Leaving => Outcome::Idle,
            Early::Failed(error) => return Err(error),
        }))
    }

    /// Carries out a command to the gateway, and answers it. Returns true when that is on disk; false also when another
    /// task carries the command out, which then wakes the lane.
    pub(super) async fn obey(&self, key: &ChatKey, row: &InboxRow, order: Slash) -> Result<bool, StoreError> {
        let Some(_under_way) = self.orders.begin(row).await? else { return Ok(false) };
        let Order { answer, then, is_turn } = self.orders.carry_out(key.platform, row, order).await;
        if is_turn {
            return Ok(true);
        }
        let replies =
            answer.map_or_else(Vec::new, |answer| reply::parts(key, &row.message, "answer", &answer));
        let pause = then.as_ref().map(|_| key.platform.spec().name.to_owned());
        let done = self.finish(key, row.id, Finish { replies, pause, ..Finish::default() }).await;
        if let (Some(command), true) = (then, done) {
            // A pause of this platform waits until its answer has left. Other messages to it may take long.
            if let Some(outbox) = self.outboxes.get(&key.platform) {
                drop(tokio::time::timeout(ANSWER_LIMIT, outbox.done()).await);
            }
            self.orders.finish(command).await;
        }
        Ok(done)
    }

    /// Records the end of a turn. While the store cannot, the answer is kept and the write tried again: asking the agent a
    /// second time may cost money, and give another answer. Returns false when we stopped before the write succeeded.
    pub(super) async fn finish(&self, key: &ChatKey, id: InboxId, mut finish: Finish) -> bool {
        let outbox = self.outboxes.get(&key.platform);
        let mut claim = outbox.filter(|_| !finish.replies.is_empty()).and_then(|outbox| outbox.claim(key));
        finish.direct = claim.is_some();
        let mut wait = STORE_WAIT;
        let first = loop {
            match self.store.finish(id, finish.clone()).await {
                Ok(first) => break first,
                Err(error) => {
                    tracing::debug!(platform = %key.platform, %error, "an answer could not be stored yet");
                }
            }
            // A wait for the disk does not keep others from sending.
            claim = None;
            finish.direct = false;
            tokio::select! {
                () = tokio::time::sleep(wait) => wait = doubled(wait, 1, STORE_WAIT_MAX),
                () = self.stop.cancelled() => return false,
            }
        };
        if finish.dead.is_some() {
            self.tally.count(key.platform, Counter::GivenUp);
        }
        match (claim, outbox) {
            (Some(claim), _) => claim.send(first),
            (None, Some(outbox)) => outbox.wake(key.clone()),
            (None, None) => {}
        }
        self.changed.notify_one();
        true
    }
}

/// The right to a turn: a place among those that run at once, and the chat's entry among the running turns.
pub(super) struct Place {
    permit: OwnedSemaphorePermit,
    run: RunGuard,
}

/// A message whose first attempt was counted when it was accepted.
pub(super) struct Handed {
    pub(super) row: InboxRow,
    place: Place,
}

/// The next step of a chat's lane.
enum Next {
    /// A turn, with the messages that were claimed for it; none: nothing waits.
    Begun {
        place: Place,
        claimed: Claimed,
        /// True when another message of the chat waits, and these go first.
        passes: bool,
    },
    /// No turn now.
    Not(Outcome),
}

/// The outcome of a turn.
enum Turned {
    /// It ended; true when that is on disk.
    Ended(bool),
    /// Its messages wait again.
    Back(Outcome),
}

#[async_trait]
impl Work for Turns {
    async fn run(&self, key: &ChatKey) -> Outcome {
        self.answer_next(key).await.unwrap_or_else(|error| {
            // The store itself logs a full disk, once.
            if !matches!(error, StoreError::Full)
                && let Some(more) = self.repeats.say(Now::read().mono, "inbox_unusable")
            {
                tracing::warn!(
                    code = "inbox_unusable", platform = %key.platform,
                    "the inbox cannot be used at the moment ({error}){more}"
                );
            }
            Outcome::After(STORE_WAIT)
        })
    }

    async fn chats(&self, count: u32) -> Result<Vec<ChatKey>, StoreError> {
        self.store.chats_in(count).await
    }
}
