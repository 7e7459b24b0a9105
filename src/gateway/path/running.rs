//! Which chats have a turn that runs, and the way to end one early.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use tokio::sync::SetOnce;

use crate::gateway::message::ChatKey;
use crate::gateway::store::api::InboxId;

/// Why a turn is ended before it is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cut {
    /// Somebody in the chat said so: its message is done.
    Stopped,
}

/// A turn that runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Run {
    /// Its message.
    pub(super) id: InboxId,
    /// When it began.
    pub(super) since: Instant,
}

/// By chat; and where somebody says that one is to end.
type Turns = BTreeMap<ChatKey, (Run, Arc<SetOnce<Cut>>)>;

/// The turns that run; one in a chat at most.
#[derive(Debug, Default)]
pub(super) struct Running {
    turns: Mutex<Turns>,
}

impl Running {
    /// Writes a turn down until the guard is dropped.
    pub(super) fn begin(self: &Arc<Self>, key: &ChatKey, run: Run) -> RunGuard {
        let cut = Arc::new(SetOnce::new());
        self.turns().insert(key.clone(), (run, Arc::clone(&cut)));
        RunGuard { running: Arc::clone(self), key: key.clone(), run, cut }
    }

    /// The turn that runs in this chat.
    pub(super) fn of(&self, key: &ChatKey) -> Option<Run> {
        self.turns().get(key).map(|(run, _)| *run)
    }

    /// Ends the turn that runs in this chat. The first word counts. `None`: none runs.
    pub(super) fn cut(&self, key: &ChatKey, cut: Cut) -> Option<Run> {
        let turns = self.turns();
        let (run, asked) = turns.get(key)?;
        // One that was cut already stays cut for its first reason.
        drop(asked.set(cut));
        Some(*run)
    }

    fn turns(&self) -> MutexGuard<'_, Turns> {
        self.turns.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A turn that is written down as running.
#[derive(Debug)]
pub(super) struct RunGuard {
    running: Arc<Running>,
    key: ChatKey,
    run: Run,
    cut: Arc<SetOnce<Cut>>,
}

impl RunGuard {
    /// Returns when the turn is to end early, and why.
    pub(super) async fn cut(&self) -> Cut {
        *self.cut.wait().await
    }
}

impl Drop for RunGuard {
    fn drop(&mut self) {
        let mut turns = self.running.turns();
        // The chat's next turn may have begun already.
        if turns.get(&self.key).is_some_and(|(run, _)| *run == self.run) {
            turns.remove(&self.key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Now;
    use crate::gateway::message::ChatId;
    use crate::platform::Platform;

    #[tokio::test]
    async fn a_turn_is_known_while_it_runs_and_ends_by_the_first_word() {
        let key = |chat: &str| ChatKey { platform: Platform::Whatsapp, chat: ChatId(chat.into()) };
        let running = Arc::new(Running::default());
        let run = |id| Run { id: InboxId(id), since: Now::read().mono };
        let (first, other) = (run(1), run(2));
        assert_eq!(running.cut(&key("a"), Cut::Stopped), None);
        let guard = running.begin(&key("a"), first);
        let beside = running.begin(&key("b"), other);
        assert_eq!(running.of(&key("a")), Some(first));
        assert_eq!(running.cut(&key("a"), Cut::Stopped), Some(first));
        assert_eq!(running.cut(&key("a"), Cut::Stopped), Some(first), "twice is once");
        assert_eq!(guard.cut().await, Cut::Stopped);
        let uncut = tokio::time::timeout(std::time::Duration::from_millis(1), beside.cut()).await;
        assert!(uncut.is_err(), "the others go on");
        let next = running.begin(&key("a"), run(3));
        drop(guard);
        assert_eq!(running.of(&key("a")).map(|run| run.id), Some(InboxId(3)), "it is the next one's");
        drop(next);
        assert_eq!(running.of(&key("a")), None);
    }
}
