//! The running turns, and their control from outside: a turn is ended early or handed more messages.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{SetOnce, mpsc};

use super::busy::{self, Reaction};
use crate::clock::Now;
use crate::config::TurnConfig;
use crate::gateway::inbound::join::{Candidate, Gathering};
use crate::gateway::model::message::{ChatKey, InboundMessage};
use crate::gateway::store::api::InboxRow;

/// Limit for messages that wait to be handed to a turn; further ones wait for their own turn.
const MAIL_MAX: usize = 16;

/// The reason for which a turn is ended before it is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cut {
    /// A command in the chat stopped it: its message is done.
    Stopped,
    /// More was written that belongs to it, this long after the message before: its messages wait again, and are answered
    /// together with the new ones.
    Back(Duration),
}

/// A turn that runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Run {
    /// The time when it began.
    pub(super) since: Instant,
}

type Turns = BTreeMap<ChatKey, Entry>;

/// The turns that run; one in a chat at most.
#[derive(Debug, Default)]
pub(super) struct Running {
    turns: Mutex<Turns>,
    numbers: AtomicU64,
    /// The number of times in a row that the turns of a chat were taken back; only chats where that is not 0.
    backs: Mutex<BTreeMap<ChatKey, u32>>,
}

#[derive(Debug)]
struct Entry {
    number: u64,
    since: Instant,
    cut: Arc<SetOnce<Cut>>,
    /// True when a message waits for the next turn: later ones must not overtake it.
    is_behind: bool,
    /// The messages that are asked, once they are known.
    asked: Option<Asked>,
}

#[derive(Debug)]
struct Asked {
    message: InboundMessage,
    gathering: Gathering,
    mail: mpsc::Sender<InboxRow>,
}

impl Running {
    /// Registers a turn until the guard is dropped; before its message is looked for, so that no cut or message is missed.
    pub(super) fn begin(self: &Arc<Self>, key: &ChatKey) -> RunGuard {
        let number = self.numbers.fetch_add(1, Ordering::Relaxed);
        let cut = Arc::new(SetOnce::new());
        let entry =
            Entry { number, since: Now::read().mono, cut: Arc::clone(&cut), is_behind: false, asked: None };
        self.turns().insert(key.clone(), entry);
        RunGuard { running: Arc::clone(self), key: key.clone(), number, cut, mail: None }
    }

    /// The number of turns that the agent is working on.
    pub(super) fn count(&self) -> usize {
        self.turns().values().filter(|entry| entry.asked.is_some()).count()
    }

    /// The turn that runs in this chat.
    pub(super) fn of(&self, key: &ChatKey) -> Option<Run> {
        self.turns().get(key).map(|entry| Run { since: entry.since })
    }

    /// True when a turn runs in this chat.
    pub(super) fn is_busy(&self, key: &ChatKey) -> bool {
        self.turns().contains_key(key)
    }

    /// Ends the turn that runs in this chat, if one does. The first reason is kept.
    pub(super) fn cut(&self, key: &ChatKey, cut: Cut) {
        if let Some(entry) = self.turns().get(key) {
            // A turn that was cut already keeps its first reason.
            drop(entry.cut.set(cut));
        }
    }

    /// Decides about a message that was accepted while a turn ran in its chat: it takes the turn back, is handed to it, or waits.
    pub(super) fn meet(&self, terms: &TurnConfig, row: InboxRow) {
        let backs = self.backs().get(&row.key).copied().unwrap_or(0);
        let mut turns = self.turns();
        let Some(entry) = turns.get_mut(&row.key) else { return };
        let candidate = Candidate {
            platform: row.key.platform,
            message: &row.message,
            at_ms: row.at_ms,
            attempts: row.attempts,
        };
        let pause = entry.asked.as_ref().map_or(Duration::ZERO, |asked| asked.gathering.pause(row.at_ms));
        let reaction = match &mut entry.asked {
            Some(asked) if !entry.is_behind => {
                busy::react(terms, backs, &asked.message, &mut asked.gathering, candidate)
            }
            Some(_) | None => Reaction::Waits,
        };
        match (reaction, &entry.asked) {
            (Reaction::TakesBack, _) => drop(entry.cut.set(Cut::Back(pause))),
            (Reaction::Steers, Some(asked)) => entry.is_behind = asked.mail.try_send(row).is_err(),
            (Reaction::Waits | Reaction::Steers, _) => entry.is_behind = true,
        }
    }

    /// Notes that a message waits for the chat's next turn.
    pub(super) fn waits(&self, key: &ChatKey) {
        if let Some(entry) = self.turns().get_mut(key) {
            entry.is_behind = true;
        }
    }

    /// Counts that a turn of this chat was taken back.
    pub(super) fn taken_back(&self, key: &ChatKey) {
        *self.backs().entry(key.clone()).or_default() += 1;
    }

    /// Notes that the chat has been answered, or has nothing left to answer.
    pub(super) fn settled(&self, key: &ChatKey) {
        self.backs().remove(key);
    }

    fn turns(&self) -> MutexGuard<'_, Turns> {
        self.turns.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn backs(&self) -> MutexGuard<'_, BTreeMap<ChatKey, u32>> {
        self.backs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A turn that is registered as running.
#[derive(Debug)]
pub(super) struct RunGuard {
    running: Arc<Running>,
    key: ChatKey,
    number: u64,
    cut: Arc<SetOnce<Cut>>,
    mail: Option<mpsc::Receiver<InboxRow>>,
}

/// An event from outside the turn.
#[derive(Debug)]
pub(super) enum News {
    /// The turn is to end early.
    Cut(Cut),
    /// A new message, which may be handed to the agent at work.
    More(Box<InboxRow>),
}

impl RunGuard {
    /// Registers the messages that are asked, gathered so. From now on more may come, unless a message waits behind them.
    pub(super) fn asks(&mut self, message: InboundMessage, gathering: Gathering, is_behind: bool) {
        let (mail, received) = mpsc::channel(MAIL_MAX);
        if let Some(entry) = self.running.turns().get_mut(&self.key) {
            entry.asked = Some(Asked { message, gathering, mail });
            entry.is_behind |= is_behind;
        }
        self.mail = Some(received);
    }

    /// Notes that the agent did not take a message: it waits, and so do all later ones.
    pub(super) fn takes_no_more(&mut self) {
        self.mail = None;
    }

    /// Returns the next event.
    pub(super) async fn news(&mut self) -> News {
        let more = async {
            match &mut self.mail {
                Some(mail) => mail.recv().await,
                None => None,
            }
        };
        tokio::select! {
            biased;
            cut = self.cut.wait() => News::Cut(*cut),
            Some(row) = more => News::More(Box::new(row)),
        }
    }
}

impl Drop for RunGuard {
    fn drop(&mut self) {
        let mut turns = self.running.turns();
        // The chat's next turn may have begun already.
        if turns.get(&self.key).is_some_and(|entry| entry.number == self.number) {
            turns.remove(&self.key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Busy;
    use crate::gateway::model::message::ChatId;
    use crate::gateway::model::message::InboxId;
    use crate::gateway::model::message::testing::message;
    use crate::platforms::Platform;

    fn key(chat: &str) -> ChatKey {
        ChatKey { platform: Platform::Whatsapp, chat: ChatId(chat.into()) }
    }

    fn begin(running: &Arc<Running>, chat: &str) -> RunGuard {
        let message = message("A", chat, "one");
        let gathering = Gathering::of(Candidate {
            platform: Platform::Whatsapp,
            message: &message,
            at_ms: 0,
            attempts: 0,
        });
        let mut guard = running.begin(&key(chat));
        guard.asks(message, gathering, false);
        guard
    }

    fn row(chat: &str, text: &str) -> InboxRow {
        InboxRow::new(InboxId(9), key(chat), 0, message("B", chat, text))
    }

    async fn hears_nothing(guard: &mut RunGuard) -> bool {
        tokio::time::timeout(Duration::from_millis(1), guard.news()).await.is_err()
    }

    #[tokio::test]
    async fn a_turn_is_known_while_it_runs_and_ends_by_the_first_word() {
        let running = Arc::new(Running::default());
        running.cut(&key("a"), Cut::Stopped);
        let mut early = running.begin(&key("c"));
        running.cut(&key("c"), Cut::Stopped);
        let (mut guard, mut beside) = (begin(&running, "a"), begin(&running, "b"));
        assert!(hears_nothing(&mut guard).await, "what was said before it began is not about it");
        assert_eq!(running.count(), 2, "the third does not know yet what it asks");
        assert!(matches!(early.news().await, News::Cut(Cut::Stopped)));
        running.cut(&key("a"), Cut::Stopped);
        running.cut(&key("a"), Cut::Back(Duration::ZERO));
        assert!(matches!(guard.news().await, News::Cut(Cut::Stopped)), "the first word counts");
        assert!(hears_nothing(&mut beside).await, "the others go on");
        let next = begin(&running, "a");
        drop(guard);
        assert!(running.is_busy(&key("a")), "it is the next one's");
        drop(next);
        assert!(!running.is_busy(&key("a")));
    }

    #[tokio::test]
    async fn what_is_written_meanwhile_reaches_the_turn_of_its_chat_alone() {
        let running = Arc::new(Running::default());
        let (mut guard, mut beside) = (begin(&running, "a"), begin(&running, "b"));
        let steer = TurnConfig { busy: Busy::Steer, join_window: Duration::ZERO, ..TurnConfig::default() };
        for _ in 0..MAIL_MAX + 5 {
            running.meet(&steer, row("a", "more"));
        }
        for _ in 0..MAIL_MAX {
            assert!(matches!(guard.news().await, News::More(_)));
        }
        let interrupt = TurnConfig { busy: Busy::Interrupt, ..steer };
        running.meet(&interrupt, row("a", "even more"));
        assert!(hears_nothing(&mut guard).await, "what waits is not overtaken");
        let mut other = begin(&running, "d");
        running.meet(&interrupt, row("d", "more"));
        assert!(matches!(other.news().await, News::Cut(Cut::Back(_))));
        running.meet(&steer, row("c", "nobody at work"));
        assert!(hears_nothing(&mut beside).await);
    }
}
