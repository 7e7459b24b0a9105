//! Pure. Whether the host itself has lost its network: then no platform is to blame, and all come back together.
//!
//! Two platforms that fail with `net_*` within a minute, or the only one while the host has no route, mean that the host is
//! offline. Their breakers stop counting; when the first platform is reached again, all the others are tried within 5 s.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use crate::backoff::Dice;
use crate::gateway::supervisor::types::Note;

/// Failures this close together have one cause.
const TOGETHER: Duration = Duration::from_secs(60);

/// Without a failure of the network for this long, it is no longer taken to be down: the longest wait of the ladder, and some.
const FORGET_AFTER: Duration = Duration::from_secs(900);

/// Platforms that come back are tried within this time, so that they do not all knock at once.
pub const STAGGER: Duration = Duration::from_secs(5);

/// True when a failure of this code says something about the network between here and everywhere. Some platforms have a code
/// of their own for that.
pub fn is_of_the_network(code: &str) -> bool {
    code.starts_with("net_") || code.ends_with("_network_error")
}

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Input {
    /// Which platform.
    pub seat: usize,
    /// What became of it.
    pub note: Note,
    /// It is the only one that is tried, and the host has no route to anywhere.
    pub alone_without_route: bool,
}

/// What is to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Every machine is to be told that the host is offline, and people once.
    GoOffline,
    /// This machine is to be told that the network is back.
    Wake {
        /// Which.
        seat: usize,
        /// To be tried after this wait.
        after: Duration,
    },
    /// People are to be told that the network is back.
    TellBack,
}

/// The host's decider.
#[derive(Debug)]
pub struct Host {
    seats: usize,
    dice: Dice,
    /// The last failure of the network of each platform.
    failed: BTreeMap<usize, Instant>,
    is_offline: bool,
    actions: VecDeque<Action>,
}

impl Host {
    /// A host with so many platforms at first, online.
    pub fn new(seats: usize, seed: u64) -> Self {
        Self {
            seats,
            dice: Dice::new(seed),
            failed: BTreeMap::new(),
            is_offline: false,
            actions: VecDeque::new(),
        }
    }

    /// True when it is taken to be offline.
    pub fn is_offline(&self) -> bool {
        self.is_offline
    }

    /// Takes one input.
    pub fn handle(&mut self, now: Instant, input: Input) {
        self.handle_timeout(now);
        // A platform may be enabled later.
        self.seats = self.seats.max(input.seat + 1);
        match input.note {
            Note::Reached => {
                self.failed.remove(&input.seat);
                if self.is_offline {
                    self.come_back();
                }
            }
            Note::Failed(code) if is_of_the_network(code) => {
                self.failed.insert(input.seat, now);
                let together = self.failed.values().filter(|at| now.duration_since(**at) <= TOGETHER).count();
                if !self.is_offline && (together >= 2 || input.alone_without_route) {
                    self.is_offline = true;
                    self.actions.push_back(Action::GoOffline);
                }
            }
            // A service that answers, whatever it says, says nothing about the others' way there.
            Note::Failed(_) => {
                self.failed.remove(&input.seat);
            }
        }
    }

    /// Does what has become due.
    pub fn handle_timeout(&mut self, now: Instant) {
        if self.poll_timeout().is_some_and(|at| at <= now) {
            self.failed.clear();
            self.come_back();
        }
    }

    /// When [`Host::handle_timeout`] has something to do.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let newest = self.failed.values().max()?;
        self.is_offline.then(|| *newest + FORGET_AFTER)
    }

    /// The next thing to do, in order.
    pub fn poll_action(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    fn come_back(&mut self) {
        self.is_offline = false;
        self.failed.clear();
        self.actions.push_back(Action::TellBack);
        for seat in 0..self.seats {
            let after = STAGGER.mul_f64(self.dice.roll());
            self.actions.push_back(Action::Wake { seat, after });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failed(seat: usize) -> Input {
        Input { seat, note: Note::Failed("net_dns"), alone_without_route: false }
    }

    fn actions(host: &mut Host) -> Vec<Action> {
        std::iter::from_fn(|| host.poll_action()).collect()
    }

    fn start() -> (Host, Instant) {
        (Host::new(3, 1), crate::clock::Now::read().mono)
    }

    #[test]
    fn two_platforms_within_a_minute_are_the_network_and_one_alone_is_not() {
        let (mut host, now) = start();
        host.handle(now, failed(0));
        host.handle(now + TOGETHER, failed(0));
        assert_eq!(actions(&mut host), []);
        host.handle(now + TOGETHER * 3, failed(1));
        assert_eq!(actions(&mut host), [], "too far apart");
        host.handle(now + TOGETHER * 4, failed(2));
        assert_eq!(actions(&mut host), [Action::GoOffline]);
        host.handle(now + TOGETHER * 4, failed(0));
        assert_eq!(actions(&mut host), [], "said once");
    }

    #[test]
    fn the_only_platform_is_believed_when_there_is_no_route() {
        let (mut host, now) = start();
        host.handle(now, Input { alone_without_route: true, ..failed(0) });
        assert!(host.is_offline());
    }

    #[test]
    fn failures_that_are_no_fault_of_the_network_say_nothing() {
        let (mut host, now) = start();
        for seat in 0..3 {
            let note = Note::Failed("adapter_panicked");
            host.handle(now, Input { seat, note, alone_without_route: true });
        }
        assert!(!host.is_offline());
    }

    #[test]
    fn the_first_that_is_reached_wakes_all_within_five_seconds() {
        let (mut host, now) = start();
        host.handle(now, failed(0));
        host.handle(now, failed(1));
        actions(&mut host);
        host.handle(now, Input { seat: 1, note: Note::Reached, alone_without_route: false });
        let wakes = actions(&mut host);
        assert_eq!(wakes.len(), 4, "{wakes:?}");
        for action in wakes {
            assert!(!matches!(action, Action::Wake { after, .. } if after > STAGGER), "{action:?}");
        }
        assert!(!host.is_offline());
    }

    #[test]
    fn a_platform_that_is_enabled_later_is_woken_too() {
        let (mut host, now) = start();
        host.handle(now, failed(0));
        host.handle(now, failed(7));
        host.handle(now, Input { seat: 0, note: Note::Reached, alone_without_route: false });
        let woken =
            actions(&mut host).iter().filter(|action| matches!(action, Action::Wake { seat: 7, .. })).count();
        assert_eq!(woken, 1);
    }

    #[test]
    fn without_further_failures_it_does_not_stay_offline() {
        let (mut host, now) = start();
        host.handle(now, failed(0));
        host.handle(now, failed(1));
        assert_eq!(host.poll_timeout(), Some(now + FORGET_AFTER));
        host.handle_timeout(now + FORGET_AFTER);
        assert!(!host.is_offline());
        assert_eq!(host.poll_timeout(), None);
    }
}
