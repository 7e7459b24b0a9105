//! Pure. Whether anything is asked of a service that was not there the last time.
//!
//! The first failure opens it: a message that finds nobody waits, and is not worked on in vain. After a wait one message is
//! let through to see; the waits grow until somebody answers.

use std::time::{Duration, Instant};

use jiff::Timestamp;

use crate::clock::Now;
use crate::gateway::supervisor::backoff::{Dice, Ladder};

/// The waits between two looks.
const LADDER: Ladder = Ladder { first: Duration::from_secs(2), cap: Duration::from_secs(60), jitter: 0.2 };

/// The longest that a service may ask us to wait.
const AFTER_MAX: Duration = Duration::from_secs(600);

/// How soon to ask again while another message looks.
const LOOK_WAIT: Duration = Duration::from_secs(2);

/// How an attempt ended, as far as it matters here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// Somebody answered, whatever it was.
    Heard,
    /// Nobody did, or they asked for a wait.
    Unavailable(Option<Duration>),
    /// We broke it off.
    Dropped,
}

/// The service as it last was.
#[derive(Debug, Clone)]
pub struct Breaker {
    dice: Dice,
    failures: u32,
    open: Option<Open>,
}

#[derive(Debug, Clone, Copy)]
struct Open {
    since: Timestamp,
    next: Instant,
    looking: bool,
}

impl Breaker {
    /// For a service that is there until it is not.
    pub fn new(seed: u64) -> Self {
        Self { dice: Dice::new(seed), failures: 0, open: None }
    }

    /// How long nothing is to be asked; `None`: ask.
    pub fn wait(&self, now: Instant) -> Option<Duration> {
        let open = self.open?;
        if open.looking {
            return Some(LOOK_WAIT);
        }
        (now < open.next).then(|| open.next - now)
    }

    /// The same for whoever is about to ask: of those that wait, one is let through.
    pub fn begin(&mut self, now: Instant) -> Option<Duration> {
        let wait = self.wait(now);
        if let (None, Some(open)) = (wait, &mut self.open) {
            open.looking = true;
        }
        wait
    }

    /// An attempt has ended.
    pub fn end(&mut self, now: Now, ending: Ending) {
        match ending {
            Ending::Heard => {
                self.failures = 0;
                self.open = None;
            }
            Ending::Dropped => {
                if let Some(open) = &mut self.open {
                    open.looking = false;
                }
            }
            Ending::Unavailable(after) => {
                // Those that were under way when it opened tell nothing new.
                if self.open.is_none_or(|open| open.looking) {
                    self.failures = self.failures.saturating_add(1);
                    let ladder = LADDER.wait(self.failures, &mut self.dice);
                    let wait = after.map_or(ladder, |after| after.min(AFTER_MAX));
                    let since = self.open.map_or(now.wall, |open| open.since);
                    self.open = Some(Open { since, next: now.mono + wait, looking: false });
                }
            }
        }
    }

    /// Since when it is not there.
    pub fn open_since(&self) -> Option<Timestamp> {
        self.open.map(|open| open.since)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FAIL: Ending = Ending::Unavailable(None);

    fn seconds(count: u64) -> Duration {
        Duration::from_secs(count)
    }

    fn after(now: Now, wait: Duration) -> Now {
        Now { mono: now.mono + wait, wall: now.wall + wait }
    }

    #[test]
    fn the_first_failure_opens_it_one_looks_and_an_answer_closes_it() {
        let now = Now::read();
        let mut breaker = Breaker::new(7);
        assert_eq!((breaker.begin(now.mono), breaker.begin(now.mono)), (None, None), "closed, all go");
        assert_eq!(breaker.open_since(), None);
        breaker.end(now, FAIL);
        let first = breaker.begin(now.mono).unwrap();
        assert!(first >= seconds(1) && first <= seconds(3), "{first:?}");
        breaker.end(now, FAIL);
        assert_eq!(breaker.wait(now.mono), Some(first), "what was under way tells nothing new");
        let later = after(now, first);
        assert_eq!(breaker.begin(later.mono), None, "one looks");
        assert_eq!(breaker.begin(later.mono), Some(LOOK_WAIT), "the others wait");
        breaker.end(later, FAIL);
        assert!(breaker.wait(later.mono).unwrap() > first, "waits grow");
        assert_eq!(breaker.open_since(), Some(now.wall), "looks in vain are one story");
        breaker.end(later, Ending::Heard);
        assert!(breaker.open_since().is_none() && breaker.begin(later.mono).is_none());
    }

    #[test]
    fn waits_are_bounded_and_the_services_own_word_wins() {
        let mut now = Now::read();
        let mut breaker = Breaker::new(7);
        for _ in 0..20 {
            breaker.end(now, FAIL);
            let wait = breaker.wait(now.mono).unwrap();
            assert!(wait <= seconds(60));
            now = after(now, wait);
            assert_eq!(breaker.begin(now.mono), None);
        }
        for (asked, expected) in [(seconds(17), seconds(17)), (seconds(86_400), AFTER_MAX)] {
            breaker.end(now, Ending::Unavailable(Some(asked)));
            assert_eq!(breaker.wait(now.mono), Some(expected));
            now = after(now, expected);
            assert_eq!(breaker.begin(now.mono), None);
        }
    }

    #[test]
    fn a_look_that_is_broken_off_is_made_by_the_next() {
        let now = Now::read();
        let mut breaker = Breaker::new(7);
        breaker.end(now, FAIL);
        let later = after(now, seconds(5));
        assert_eq!(breaker.begin(later.mono), None);
        breaker.end(later, Ending::Dropped);
        assert!(breaker.open_since().is_some());
        assert_eq!(breaker.begin(later.mono), None);
    }
}
