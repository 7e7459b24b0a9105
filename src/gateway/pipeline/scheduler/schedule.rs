//! Pure. The choice of the chat whose work runs next.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::{Duration, Instant};

use crate::gateway::model::message::ChatKey;

/// The outcome of one piece of work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Look again: there may be more.
    Again,
    /// There was nothing to do.
    Idle,
    /// It could not be done; the next try is after this wait.
    After(Duration),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Lane {
    Waiting,
    /// As [`Self::Waiting`], with a row in memory that its next run takes without a look on disk.
    Handed {
        /// True when work came since the chat was reserved, which that run does not see.
        again: bool,
    },
    Running {
        /// True when work came while it ran.
        again: bool,
        /// The opening in which it began.
        opening: u64,
    },
    Delayed(Instant),
}

/// The chats with work, in the order of their turns. A chat is in it once, and runs once at a time.
#[derive(Debug)]
pub struct Schedule {
    lanes: BTreeMap<ChatKey, Lane>,
    waiting: VecDeque<ChatKey>,
    delayed: BTreeSet<(Instant, ChatKey)>,
    running: usize,
    running_max: usize,
    lanes_max: usize,
    open: bool,
    /// Counts the calls of [`Self::open`].
    opening: u64,
    /// True when chats with work may be missing in `lanes`.
    incomplete: bool,
}

impl Schedule {
    /// For at most `running_max` pieces of work at once and `lanes_max` chats in memory. It starts closed, and incomplete
    /// until the disk was read.
    pub fn new(running_max: usize, lanes_max: usize) -> Self {
        Self {
            lanes: BTreeMap::new(),
            waiting: VecDeque::new(),
            delayed: BTreeSet::new(),
            running: 0,
            running_max,
            lanes_max,
            open: false,
            opening: 0,
            incomplete: true,
        }
    }

    /// Lets work run. Work that was delayed, or that fails now after having begun earlier, is tried at once: the cause may
    /// be gone.
    pub fn open(&mut self) {
        self.open = true;
        self.opening += 1;
        self.release(|_| true);
    }

    /// Begins no more work; running work goes on.
    pub fn close(&mut self) {
        self.open = false;
    }

    /// Notes that this chat has work.
    pub fn wake(&mut self, key: ChatKey) {
        let full = self.lanes.len() >= self.lanes_max;
        match self.lanes.get_mut(&key) {
            Some(Lane::Running { again, .. } | Lane::Handed { again }) => *again = true,
            Some(Lane::Waiting | Lane::Delayed(_)) => {}
            None if full => self.incomplete = true,
            None => {
                self.lanes.insert(key.clone(), Lane::Waiting);
                self.waiting.push_back(key);
            }
        }
    }

    /// The chat whose work runs now.
    pub fn begin(&mut self, now: Instant) -> Option<ChatKey> {
        self.release(|due| due <= now);
        if !self.open || self.running >= self.running_max {
            return None;
        }
        let key = self.waiting.pop_front()?;
        let again = matches!(self.lanes.get(&key), Some(Lane::Handed { again: true }));
        self.lanes.insert(key.clone(), Lane::Running { again, opening: self.opening });
        self.running += 1;
        Some(key)
    }

    /// Takes a chat that has no work here out of the line before it gets some, as if its work ran. Returns true when that
    /// was possible; then [`Self::hand_back`] must follow.
    pub fn reserve(&mut self, key: &ChatKey) -> bool {
        let free = self.open
            && self.running < self.running_max
            && self.lanes.len() < self.lanes_max
            && !self.lanes.contains_key(key);
        if free {
            let opening = self.opening;
            self.lanes.insert(key.clone(), Lane::Running { again: false, opening });
            self.running += 1;
        }
        free
    }

    /// Makes a reserved chat the next to run: it has its work now. Work that came meanwhile is looked for after that run.
    pub fn hand_back(&mut self, key: ChatKey) {
        let again = matches!(self.lanes.get(&key), Some(Lane::Running { again: true, .. }));
        self.running -= 1;
        self.lanes.insert(key.clone(), Lane::Handed { again });
        self.waiting.push_front(key);
    }

    /// Ends a run that [`Self::begin`] returned.
    pub fn end(&mut self, key: ChatKey, outcome: Outcome, now: Instant) {
        let (again, reopened) = match self.lanes.get(&key) {
            Some(Lane::Running { again, opening }) => (*again, *opening != self.opening),
            Some(Lane::Waiting | Lane::Handed { .. } | Lane::Delayed(_)) | None => return,
        };
        self.running -= 1;
        match outcome {
            Outcome::Idle if !again => {
                self.lanes.remove(&key);
            }
            Outcome::After(wait) if !reopened => {
                self.lanes.insert(key.clone(), Lane::Delayed(now + wait));
                self.delayed.insert((now + wait, key));
            }
            Outcome::Idle | Outcome::Again | Outcome::After(_) => {
                self.lanes.insert(key.clone(), Lane::Waiting);
                self.waiting.push_back(key);
            }
        }
    }

    /// The time when [`Self::begin`] may return a chat without another event.
    pub fn poll_timeout(&self) -> Option<Instant> {
        if !self.open || self.running >= self.running_max {
            return None;
        }
        self.delayed.first().map(|(due, _)| *due)
    }

    /// The number of chats to look for on disk, if a look is due. Work that comes before [`Self::found`] is not missed.
    pub fn look(&mut self) -> Option<usize> {
        let is_due = self.is_look_due();
        self.incomplete &= !is_due;
        is_due.then_some(self.lanes_max)
    }

    /// True when [`Self::look`] asks for one.
    pub fn is_look_due(&self) -> bool {
        self.open && self.incomplete && self.lanes.len() <= self.lanes_max / 2
    }

    /// Takes the chats that were found; `None` when the look failed.
    pub fn found(&mut self, chats: Option<Vec<ChatKey>>) {
        match chats {
            Some(chats) => {
                self.incomplete |= chats.len() >= self.lanes_max;
                chats.into_iter().for_each(|key| self.wake(key));
            }
            None => self.incomplete = true,
        }
    }

    /// The chats among these that are in no lane although every chat with work should be in one.
    pub fn strays(&self, mut chats: Vec<ChatKey>) -> Vec<ChatKey> {
        if self.open && !self.incomplete {
            chats.retain(|key| !self.lanes.contains_key(key));
        } else {
            chats.clear();
        }
        chats
    }

    /// True when nothing runs.
    pub fn is_quiet(&self) -> bool {
        self.running == 0
    }

    /// True when nothing runs, and nothing could be run now.
    pub fn is_done(&self) -> bool {
        self.running == 0 && (!self.open || (self.waiting.is_empty() && !self.incomplete))
    }

    fn release(&mut self, due: impl Fn(Instant) -> bool) {
        while let Some((at, _)) = self.delayed.first()
            && due(*at)
        {
            let (_, key) = self.delayed.pop_first().expect("it was there a line ago");
            self.lanes.insert(key.clone(), Lane::Waiting);
            self.waiting.push_back(key);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::clock::Now;
    use crate::gateway::model::message::ChatId;
    use crate::platforms::Platform;

    fn key(n: u8) -> ChatKey {
        ChatKey { platform: Platform::Whatsapp, chat: ChatId(n.to_string()) }
    }

    fn opened(running_max: usize, lanes_max: usize) -> Schedule {
        let mut schedule = Schedule::new(running_max, lanes_max);
        schedule.open();
        schedule.look();
        schedule.found(Some(Vec::new()));
        schedule
    }

    #[test]
    fn a_chat_runs_once_at_a_time_and_others_beside_it() {
        let now = Now::read().mono;
        let mut schedule = opened(2, 10);
        for n in [1, 1, 2, 3] {
            schedule.wake(key(n));
        }
        assert_eq!(schedule.begin(now), Some(key(1)));
        assert_eq!(schedule.begin(now), Some(key(2)));
        assert_eq!(schedule.begin(now), None, "no more than two");
        schedule.wake(key(1));
        schedule.end(key(1), Outcome::Idle, now);
        assert_eq!(schedule.begin(now), Some(key(3)), "who waits longer goes first");
        schedule.end(key(3), Outcome::Idle, now);
        assert_eq!(schedule.begin(now), Some(key(1)), "what came while it ran is not missed");
        schedule.end(key(1), Outcome::Idle, now);
        schedule.end(key(2), Outcome::Idle, now);
        assert!(schedule.begin(now).is_none() && schedule.is_done());
    }

    #[test]
    fn a_delay_holds_only_its_chat_and_ends_when_the_way_is_open_again() {
        let now = Now::read().mono;
        let wait = Duration::from_secs(60);
        let mut schedule = opened(2, 10);
        schedule.wake(key(1));
        schedule.begin(now);
        schedule.end(key(1), Outcome::After(wait), now);
        schedule.wake(key(1));
        schedule.wake(key(2));
        assert_eq!(schedule.begin(now), Some(key(2)));
        assert_eq!(schedule.begin(now), None);
        assert_eq!(schedule.poll_timeout(), Some(now + wait));
        assert_eq!(schedule.begin(now + wait), Some(key(1)));
        schedule.end(key(1), Outcome::After(wait), now);
        schedule.close();
        assert_eq!((schedule.begin(now + wait * 2), schedule.poll_timeout()), (None, None));
        schedule.open();
        assert_eq!(schedule.begin(now), Some(key(1)));
        schedule.close();
        schedule.open();
        schedule.end(key(1), Outcome::After(wait), now);
        assert_eq!(schedule.begin(now), Some(key(1)), "it failed on what was before");
    }

    #[test]
    fn a_reserved_chat_runs_for_nobody_else_and_then_at_once() {
        let now = Now::read().mono;
        let mut schedule = opened(2, 10);
        for n in [1, 2] {
            schedule.wake(key(n));
        }
        assert!(!schedule.reserve(&key(1)), "it has work that goes first");
        assert!(schedule.reserve(&key(3)) && !schedule.reserve(&key(3)));
        schedule.wake(key(3));
        assert_eq!(schedule.begin(now), Some(key(1)));
        assert!(schedule.begin(now).is_none() && !schedule.reserve(&key(4)), "it counts as running");
        assert!(!schedule.is_quiet());
        schedule.hand_back(key(3));
        assert_eq!(schedule.begin(now), Some(key(3)), "before whoever waits");
        schedule.close();
        assert!(!schedule.reserve(&key(4)));
    }

    /// The handed row's run looks at nothing else: work that came since the chat was reserved wakes it again.
    #[test]
    fn a_wake_between_reserving_and_running_is_kept() {
        let now = Now::read().mono;
        let mut schedule = opened(2, 10);
        for wakes_while_waiting in [false, true] {
            assert!(schedule.reserve(&key(1)));
            if !wakes_while_waiting {
                schedule.wake(key(1));
            }
            schedule.hand_back(key(1));
            if wakes_while_waiting {
                schedule.wake(key(1));
            }
            assert_eq!(schedule.begin(now), Some(key(1)));
            schedule.end(key(1), Outcome::Idle, now);
            assert_eq!(schedule.begin(now), Some(key(1)), "waking while it waits: {wakes_while_waiting}");
            schedule.end(key(1), Outcome::Idle, now);
            assert!(schedule.begin(now).is_none() && schedule.is_done());
        }
    }

    #[test]
    fn a_chat_with_work_in_no_lane_is_a_stray_only_where_all_should_be_known() {
        let now = Now::read().mono;
        let mut schedule = opened(1, 10);
        schedule.wake(key(1));
        schedule.wake(key(2));
        assert_eq!(schedule.begin(now), Some(key(1)));
        let chats = || vec![key(1), key(2), key(3)];
        assert_eq!(schedule.strays(chats()), [key(3)], "one runs, one waits");
        schedule.close();
        assert!(schedule.strays(chats()).is_empty());
        assert!(Schedule::new(1, 10).strays(chats()).is_empty());
    }

    #[test]
    fn what_does_not_fit_is_looked_for_when_there_is_room() {
        let now = Now::read().mono;
        let mut schedule = Schedule::new(1, 4);
        assert_eq!(schedule.look(), None, "closed");
        schedule.open();
        assert_eq!(schedule.look(), Some(4), "at first nothing is known");
        schedule.found(None);
        assert_eq!(schedule.look(), Some(4), "a look that failed is repeated");
        schedule.found(Some((0..4).map(key).collect()));
        schedule.wake(key(9));
        assert!(schedule.look().is_none() && !schedule.is_done());
        for n in 0..2 {
            assert_eq!(schedule.begin(now), Some(key(n)));
            schedule.end(key(n), Outcome::Idle, now);
        }
        assert_eq!(schedule.look(), Some(4));
        schedule.found(Some(vec![key(2), key(3), key(9)]));
        let rest: Vec<_> = std::iter::from_fn(|| {
            let key = schedule.begin(now)?;
            schedule.end(key.clone(), Outcome::Idle, now);
            Some(key)
        })
        .collect();
        assert_eq!(rest, [key(2), key(3), key(9)]);
        assert!(schedule.look().is_none() && schedule.is_done());
    }

    proptest! {
        /// Against a model of the disk: in any order of steps, all work is done, in bounded memory, one at a time in a
        /// chat. A chat without work may be reserved; then its next run does the row that was handed over and looks at no
        /// other.
        #[test]
        fn nothing_is_forgotten(steps in proptest::collection::vec((0_u8..20, 0_u8..8), 1..300)) {
            let mut model = Model::new();
            for (n, what) in steps {
                match what {
                    0..4 => model.accept(n),
                    4 | 5 => model.reserve(n),
                    _ => model.hand_back(),
                }
                model.step(what % 4 > 0, what == 3);
            }
            for _ in 0..3000 {
                model.hand_back();
                model.step(true, false);
            }
            prop_assert_eq!(model.disk, [0; 20]);
        }
    }

    /// A schedule, and the rows on disk that it is about.
    struct Model {
        now: Instant,
        schedule: Schedule,
        disk: [u32; 20],
        running: Vec<(ChatKey, bool)>,
        /// Chats that are reserved, each with true when its row is on disk.
        reserved: Vec<ChatKey>,
        /// Chats whose next run has its row in memory.
        handed: BTreeSet<ChatKey>,
    }

    impl Model {
        fn new() -> Self {
            let mut schedule = Schedule::new(3, 6);
            schedule.open();
            Self {
                now: Now::read().mono,
                schedule,
                disk: [0; 20],
                running: Vec::new(),
                reserved: Vec::new(),
                handed: BTreeSet::new(),
            }
        }

        fn rows(&mut self, key: &ChatKey) -> &mut u32 {
            &mut self.disk[key.chat.0.parse::<usize>().unwrap()]
        }

        fn accept(&mut self, n: u8) {
            self.disk[usize::from(n)] += 1;
            self.schedule.wake(key(n));
        }

        fn reserve(&mut self, n: u8) {
            if self.schedule.reserve(&key(n)) {
                *self.rows(&key(n)) += 1;
                self.reserved.push(key(n));
            }
        }

        fn hand_back(&mut self) {
            if let Some(key) = self.reserved.pop() {
                self.handed.insert(key.clone());
                self.schedule.hand_back(key);
            }
        }

        /// Looks at the disk when due, begins all work that may begin, and ends the oldest run.
        fn step(&mut self, finish: bool, delay: bool) {
            if self.schedule.look().is_some() {
                let found = (0..20_u8).filter(|n| self.disk[usize::from(*n)] > 0).take(6).map(key).collect();
                self.schedule.found(Some(found));
            }
            if let Some(key) = self.schedule.begin(self.now) {
                let busy = self.running.iter().map(|(key, _)| key).chain(&self.reserved);
                assert!(busy.clone().all(|busy| *busy != key) && busy.count() < 3);
                let is_handed = self.handed.remove(&key);
                self.running.push((key, is_handed));
            }
            if finish && !self.running.is_empty() {
                let (key, is_handed) = self.running.remove(0);
                let rows = self.rows(&key);
                let outcome = match (*rows, delay) {
                    (0, _) => Outcome::Idle,
                    (_, true) if !is_handed => Outcome::After(Duration::from_secs(1)),
                    (_, _) => {
                        *rows -= 1;
                        // A run with its row in memory knows only this.
                        if is_handed { Outcome::Idle } else { Outcome::Again }
                    }
                };
                self.schedule.end(key, outcome, self.now);
            }
            self.now += Duration::from_millis(300);
            assert!(self.schedule.lanes.len() <= 6);
        }
    }
}
