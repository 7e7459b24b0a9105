//! One message, answered.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::{Notify, Semaphore};
use tokio_util::sync::CancellationToken;

use super::orders::{Order, Orders};
use super::reply;
use super::running::{Cut, Run, Running};
use super::waits::Waits;
use crate::clock::Now;
use crate::config::Reset;
use crate::gateway::agent::api::{Again, Agent, AgentError, HISTORY_BYTES_MAX, Turn, said};
use crate::gateway::delivery::outbox::Outbox;
use crate::gateway::inbound::gate::Decision;
use crate::gateway::inbound::rules::Rules;
use crate::gateway::inbound::slash::{self, Slash};
use crate::gateway::lanes::{Outcome, Work};
use crate::gateway::message::ChatKey;
use crate::gateway::repeats::Repeats;
use crate::gateway::sessions::Keeper;
use crate::gateway::sessions::api::Belongs;
use crate::gateway::store::api::{Exchange, Finish, InboxRow, Store, StoreError};
use crate::platform::Platform;

/// A message whose turn was begun this often without an end is given up: it may be what ends us. Where the ends follow
/// closely, safe mode is quicker ([`crate::gateway::life::boots`]).
const ATTEMPTS_MAX: u32 = 3;

/// An agent ends within a limit of its own; this one holds when it does not.
const TURN_LIMIT: Duration = Duration::from_secs(11 * 60);

/// Quick answers show no "typing…".
const TYPING_AFTER: Duration = Duration::from_millis(300);

/// WhatsApp forgets "typing…" after some 25 s.
const TYPING_EVERY: Duration = Duration::from_secs(10);

/// "typing…" is best effort: it holds up nothing for longer.
const TYPING_LIMIT: Duration = Duration::from_secs(5);

/// How long a command may be put off until its answer is sent.
const ANSWER_LIMIT: Duration = Duration::from_secs(10);

/// The first wait after the store failed; it doubles.
const STORE_WAIT: Duration = Duration::from_secs(1);

/// The longest wait after the store failed.
const STORE_WAIT_MAX: Duration = Duration::from_secs(30);

/// How soon a chat looks again whether the agent is there.
const AGENT_WAIT_MIN: Duration = Duration::from_millis(100);

/// At the latest: it may be back before it was expected.
const AGENT_WAIT_MAX: Duration = Duration::from_secs(10);

pub(super) const GIVEN_UP: &str =
    "I could not work on your last message: it failed three times. Please say it in another way.";

/// Said of a message that was worked on each time when the gateway died.
const QUARANTINED: &str =
    "I stopped retrying a task that kept crashing me: your last message. Please say it in another way.";

/// The work of the inbox.
pub(super) struct Turns {
    pub(super) store: Arc<dyn Store>,
    pub(super) agent: Arc<dyn Agent>,
    pub(super) outboxes: Arc<BTreeMap<Platform, Outbox>>,
    /// Turns that may run at once.
    pub(super) permits: Arc<Semaphore>,
    /// Told when a turn has ended.
    pub(super) changed: Arc<Notify>,
    /// Who may speak.
    pub(super) rules: Arc<Rules>,
    /// Carries out what is meant for the gateway itself.
    pub(super) orders: Orders,
    /// The turns that run.
    pub(super) running: Arc<Running>,
    /// Which conversation a message belongs to.
    pub(super) sessions: Arc<Keeper>,
    /// Ends the turns that run: their messages wait for the next start.
    pub(super) stop: CancellationToken,
    /// The messages that wait for the agent.
    pub(super) waits: Waits,
    /// What was said of failures.
    pub(super) repeats: Repeats,
}

impl Turns {
    async fn answer_next(&self, key: &ChatKey) -> Result<Outcome, StoreError> {
        // The semaphore is closed when we stop: then no turn is begun any more.
        let Ok(permit) = self.permits.acquire().await else { return Ok(Outcome::Idle) };
        let Some(row) = self.store.next_in(key).await? else { return Ok(Outcome::Idle) };
        // It was let in; the settings may have changed since.
        if let Decision::Ignore(reason) = self.rules.gate().decide(key.platform, &row.message) {
            drop(permit);
            return Ok(self.turn_away(key, &row, reason.as_str()).await);
        }
        if let Some(order) = slash::of(&row.message) {
            drop(permit);
            return Ok(self.obey(key, &row, order).await);
        }
        if row.is_suspect {
            drop(permit);
            tracing::error!(
                code = "message_quarantined", platform = %key.platform, message = %row.message.id,
                "a message is not tried again: the gateway died {} times while it worked on it", row.attempts
            );
            let why = format!("the gateway died in its turn {} times", row.attempts);
            return Ok(self.give_up(key, &row, QUARANTINED, why).await);
        }
        if let Some(wait) = self.agent.wait() {
            drop(permit);
            return Ok(self.put_off(key, &row, wait).await);
        }
        let run = self.running.begin(key, Run { id: row.id, since: Now::read().mono });
        // A word in the chat may have ended it since we looked.
        let Some(attempt) = self.store.begin(row.id).await? else { return Ok(Outcome::Again) };
        if attempt > ATTEMPTS_MAX {
            tracing::error!(
                code = "message_given_up", platform = %key.platform, message = %row.message.id,
                "a message is given up after {ATTEMPTS_MAX} attempts"
            );
            let why = format!("begun {ATTEMPTS_MAX} times, never ended");
            return Ok(self.give_up(key, &row, GIVEN_UP, why).await);
        }
        let context = self.sessions.context(self.sessions.key(key, &row.message), row.id).await?;
        let turn = Turn {
            key: key.clone(),
            session: context.name,
            message: row.message.clone(),
            history: within_bytes(context.history),
        };
        let answer = tokio::select! {
            biased;
            answer = self.ask(turn) => answer,
            cut = run.cut() => match cut {
                // With the word that ended it, the message was done.
                Cut::Stopped => return Ok(Outcome::Again),
            },
            () = self.stop.cancelled() => {
                self.store.release(row.id).await?;
                return Ok(Outcome::Idle);
            }
        };
        // What follows waits for the disk alone, and shares its flushes with the ends of other turns.
        drop(permit);
        drop(run);
        if let Err(AgentError { again: again @ (Again::After(wait) | Again::Briefly(wait)), .. }) = &answer
            && !(matches!(again, Again::Briefly(_)) && self.waits.is_overdue(key, row.id, Now::read().mono))
        {
            // What its acceptance ended meanwhile is not put back.
            self.store.release(row.id).await?;
            return Ok(self.put_off(key, &row, *wait).await);
        }
        self.waits.end(key);
        Ok(self.end(key, &row, context.belongs, context.told, answer).await)
    }

    /// Ends the turn with what the agent said, and what a rule did to the conversation before.
    async fn end(
        &self,
        key: &ChatKey,
        row: &InboxRow,
        belongs: Belongs,
        told: Option<Reset>,
        answer: Result<String, AgentError>,
    ) -> Outcome {
        let mut replies = Vec::new();
        if let Some(rule) = told {
            replies = reply::parts(key, &row.message, "session", slash::begun_anew(rule));
        }
        let belongs = Some(belongs);
        let finish = match answer {
            Ok(answer) => {
                replies.extend(reply::parts(key, &row.message, "answer", &answer));
                let exchange = Some(Exchange { said: said(&row.message), answered: answer });
                Finish { belongs, exchange, replies, ..Finish::default() }
            }
            Err(error) => {
                if let Some(more) = self.repeats.say(Now::read().mono, error.code) {
                    tracing::warn!(
                        platform = %key.platform, code = error.code,
                        "the agent gave no answer: {}{more}", error.detail
                    );
                }
                replies.extend(reply::parts(key, &row.message, "answer", &error.told));
                Finish { belongs, replies, ..Finish::default() }
            }
        };
        self.finish(key, row, finish).await
    }

    /// The agent is not there: the message waits, and its chat is told once, and once more when that takes long.
    async fn put_off(&self, key: &ChatKey, row: &InboxRow, wait: Duration) -> Outcome {
        if let Some((purpose, text)) = self.waits.put_off(key, row.id, Now::read().mono) {
            for part in reply::parts(key, &row.message, purpose, text) {
                // It is a courtesy: the message itself is safe.
                drop(self.store.queue(key, part).await);
            }
            if let Some(outbox) = self.outboxes.get(&key.platform) {
                outbox.wake(key.clone());
            }
        }
        self.changed.notify_one();
        Outcome::After(wait.clamp(AGENT_WAIT_MIN, AGENT_WAIT_MAX))
    }

    /// Gives a message up, without a word, whose sender may no longer speak there.
    async fn turn_away(&self, key: &ChatKey, row: &InboxRow, reason: &str) -> Outcome {
        tracing::info!(
            code = "no_longer_allowed", platform = %key.platform, reason,
            "a waiting message is not answered: its sender may no longer speak there"
        );
        let dead = Some(format!("no longer allowed ({reason})"));
        self.finish(key, row, Finish { dead, ..Finish::default() }).await
    }

    /// Keeps the message as a dead letter, and tells its sender.
    async fn give_up(&self, key: &ChatKey, row: &InboxRow, told: &str, why: String) -> Outcome {
        let replies = reply::parts(key, &row.message, "notice", told);
        self.finish(key, row, Finish { replies, dead: Some(why), ..Finish::default() }).await
    }

    /// Carries out a command to the gateway, and answers it.
    pub(super) async fn obey(&self, key: &ChatKey, row: &InboxRow, order: Slash) -> Outcome {
        let Order { answer, then, is_turn } = self.orders.carry_out(key.platform, row, order).await;
        if is_turn {
            return Outcome::Again;
        }
        let replies =
            answer.map_or_else(Vec::new, |answer| reply::parts(key, &row.message, "answer", &answer));
        let outcome = self.finish(key, row, Finish { replies, ..Finish::default() }).await;
        if let (Some(command), Outcome::Again) = (then, outcome) {
            // A pause of this very platform waits for its answer to leave. Whatever else is sent to it may take long.
            if let Some(outbox) = self.outboxes.get(&key.platform) {
                drop(tokio::time::timeout(ANSWER_LIMIT, outbox.done()).await);
            }
            self.orders.finish(command).await;
        }
        outcome
    }

    /// Asks the agent, and shows "typing…" meanwhile.
    async fn ask(&self, turn: Turn) -> Result<String, AgentError> {
        let key = turn.key.clone();
        let chat = turn.message.chat.clone();
        let mut shown = None;
        let answer = {
            let typing = async {
                tokio::time::sleep(TYPING_AFTER).await;
                loop {
                    if let Some(link) = self.outboxes.get(&key.platform).and_then(Outbox::link) {
                        shown = Some(Arc::clone(&link));
                        drop(tokio::time::timeout(TYPING_LIMIT, link.typing(&chat, true)).await);
                    }
                    tokio::time::sleep(TYPING_EVERY).await;
                }
            };
            tokio::select! {
                answer = self.agent.answer(turn) => answer,
                () = tokio::time::sleep(TURN_LIMIT) => Err(AgentError {
                    code: "agent_hung",
                    told: "The agent did not answer in time.".to_owned(),
                    detail: format!("no answer within {} s", TURN_LIMIT.as_secs()),
                    again: Again::Never,
                }),
                () = typing => unreachable!("it shows typing until it is dropped"),
            }
        };
        if let Some(link) = shown {
            drop(tokio::time::timeout(TYPING_LIMIT, link.typing(&chat, false)).await);
        }
        answer
    }

    /// Writes the end of a turn down. While the store cannot, the answer is kept and tried again: asking the agent a
    /// second time may cost money, and give another answer.
    async fn finish(&self, key: &ChatKey, row: &InboxRow, mut finish: Finish) -> Outcome {
        let outbox = self.outboxes.get(&key.platform);
        let mut claim = outbox.filter(|_| !finish.replies.is_empty()).and_then(|outbox| outbox.claim(key));
        finish.direct = claim.is_some();
        let mut wait = STORE_WAIT;
        let first = loop {
            match self.store.finish(row.id, finish.clone()).await {
                Ok(first) => break first,
                Err(error) => {
                    tracing::debug!(platform = %key.platform, %error, "an answer cannot be stored yet");
                }
            }
            // What waits for the disk keeps nobody from sending.
            claim = None;
            finish.direct = false;
            tokio::select! {
                () = tokio::time::sleep(wait) => wait = (wait * 2).min(STORE_WAIT_MAX),
                () = self.stop.cancelled() => return Outcome::Idle,
            }
        };
        match (claim, outbox) {
            (Some(claim), _) => claim.send(first),
            (None, Some(outbox)) => outbox.wake(key.clone()),
            (None, None) => {}
        }
        self.changed.notify_one();
        Outcome::Again
    }
}

#[async_trait]
impl Work for Turns {
    async fn run(&self, key: &ChatKey) -> Outcome {
        self.answer_next(key).await.unwrap_or_else(|error| {
            // Of a full disk the store itself speaks, once.
            if !matches!(error, StoreError::Full)
                && let Some(more) = self.repeats.say(Now::read().mono, "inbox_unusable")
            {
                tracing::warn!(
                    code = "inbox_unusable", platform = %key.platform,
                    "the inbox is not usable at the moment ({error}){more}"
                );
            }
            Outcome::After(STORE_WAIT)
        })
    }

    async fn chats(&self, count: u32) -> Result<Vec<ChatKey>, StoreError> {
        self.store.chats_in(count).await
    }
}

/// The newest exchanges that fit.
fn within_bytes(mut history: Vec<Exchange>) -> Vec<Exchange> {
    let mut bytes = 0;
    let kept = history
        .iter()
        .rev()
        .take_while(|exchange| {
            bytes += exchange.said.len() + exchange.answered.len();
            bytes <= HISTORY_BYTES_MAX
        })
        .count();
    history.split_off(history.len() - kept)
}
