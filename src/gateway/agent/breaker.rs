//! Pure. Whether anything is asked of a service that was not there the last time.
//!
//! A service that cannot be reached is away for all at once. A failure that it reports may be one message's own: that message waits
//! alone, longer each time, and the others are asked. Only when several messages fail, and none succeeds between, the
//! service is away for all; then one message after another looks, never the one that failed last. A message that failed
//! before another succeeded says nothing about the service.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use jiff::Timestamp;

use crate::backoff::{Dice, Ladder};
use crate::clock::Now;

/// The waits between two looks, and between two tries of one message.
const LADDER: Ladder = Ladder { first: Duration::from_secs(2), cap: Duration::from_secs(60), jitter: 0.2 };

/// The longest that a service may ask us to wait.
const AFTER_MAX: Duration = Duration::from_secs(600);

/// How soon to ask again while another message looks.
const LOOK_WAIT: Duration = Duration::from_secs(2);

/// So long after a look was due, also the message that failed last may look: no other came.
const TURN_WAIT: Duration = Duration::from_secs(5);

/// A message that fails so often, while nothing else is asked, shows that the service is away as well.
const ALONE_MAX: u32 = 3;

/// So many messages that fail, with no success between, show that the service is away for all.
const MESSAGES_MIN: usize = 3;

/// A message that fails so often, while others succeed, has had its tries.
const TRIES_MAX: u32 = 8;

/// The same while nothing else is asked, so that the service may be what fails: about an hour.
const ALONE_TRIES_MAX: u32 = 60;

/// Failing messages that are remembered.
const MESSAGES_MAX: usize = 1024;

/// How an attempt ended, as far as it matters here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// It was answered, or refused for good.
    Heard,
    /// The service was not reached.
    Away,
    /// The service failed, or asked for a wait.
    Failed(Option<Duration>),
    /// It tells nothing: we broke it off, or the connection broke.
    Dropped,
}

/// The service as it last was.
#[derive(Debug, Clone)]
pub struct Breaker {
    dice: Dice,
    failures: u32,
    open: Option<Open>,
    failing: BTreeMap<String, Failing>,
}

#[derive(Debug, Clone)]
struct Open {
    since: Timestamp,
    next: Instant,
    looking: bool,
    /// The message that failed last.
    last: Option<String>,
    /// For this one message alone; the others are asked.
    is_alone: bool,
}

#[derive(Debug, Clone, Copy)]
struct Failing {
    tries: u32,
    next: Instant,
    /// Another message succeeded after it failed: the failure is not the service's.
    is_own: bool,
}

impl Breaker {
    /// For a service that is there until it is not.
    pub fn new(seed: u64) -> Self {
        Self { dice: Dice::new(seed), failures: 0, open: None, failing: BTreeMap::new() }
    }

    /// How long nothing is to be asked; `None`: ask.
    pub fn wait(&self, now: Instant) -> Option<Duration> {
        let open = self.open.as_ref().filter(|open| !open.is_alone)?;
        if open.looking {
            return Some(LOOK_WAIT);
        }
        (now < open.next).then(|| open.next - now)
    }

    /// The same for a message that is about to be asked: of those that wait, one is let through.
    pub fn begin(&mut self, now: Instant, message: &str) -> Option<Duration> {
        if let Some(wait) = self.wait(now) {
            return Some(wait);
        }
        match &mut self.open {
            Some(open) if !open.is_alone => {
                let turn = open.next + TURN_WAIT;
                if open.last.as_deref() == Some(message) && now < turn {
                    return Some(turn - now);
                }
                open.looking = true;
                None
            }
            Some(_) | None => {
                let own = self.failing.get(message)?;
                (now < own.next).then(|| own.next - now)
            }
        }
    }

    /// An attempt of this message has ended.
    pub fn end(&mut self, now: Now, message: &str, ending: Ending) {
        match ending {
            Ending::Heard => {
                self.failures = 0;
                self.open = None;
                self.failing.remove(message);
                self.failing.values_mut().for_each(|failing| failing.is_own = true);
            }
            Ending::Dropped => {
                if let Some(open) = &mut self.open {
                    open.looking = false;
                }
            }
            Ending::Away => self.open(now, message, None, false),
            Ending::Failed(after) => {
                let after = after.map(|after| after.min(AFTER_MAX));
                let own = self.fail(now, message, after);
                if self.is_away() || (!own.is_own && self.doubtful() >= MESSAGES_MIN) {
                    self.open(now, message, after, false);
                } else if !own.is_own && own.tries >= ALONE_MAX {
                    self.open(now, message, after, true);
                }
            }
        }
    }

    fn fail(&mut self, now: Now, message: &str, after: Option<Duration>) -> Failing {
        if self.failing.len() >= MESSAGES_MAX && !self.failing.contains_key(message) {
            // The one that may be asked again first is forgotten: its wait is nearly over.
            let first =
                self.failing.iter().min_by_key(|(_, failing)| failing.next).map(|(key, _)| key.clone());
            first.map(|key| self.failing.remove(&key));
        }
        let own = self.failing.entry(message.to_owned()).or_insert(Failing {
            tries: 0,
            next: now.mono,
            is_own: false,
        });
        own.tries = own.tries.saturating_add(1);
        own.next = now.mono + after.unwrap_or_else(|| LADDER.wait(own.tries, &mut self.dice));
        *own
    }

    fn open(&mut self, now: Now, message: &str, after: Option<Duration>, is_alone: bool) {
        let last = Some(message.to_owned());
        match &mut self.open {
            // Those that were under way when it opened tell nothing new.
            Some(open) if !open.is_alone && !open.looking => return,
            Some(_) | None => self.failures = self.failures.saturating_add(1),
        }
        let wait = after.unwrap_or_else(|| LADDER.wait(self.failures, &mut self.dice));
        let since = self.open.as_ref().map_or(now.wall, |open| open.since);
        self.open = Some(Open { since, next: now.mono + wait, looking: false, last, is_alone });
    }

    /// How long this message waits for its next try, after it failed.
    pub fn own_wait(&self, now: Instant, message: &str) -> Duration {
        let own = self.failing.get(message).map(|failing| failing.next.saturating_duration_since(now));
        self.wait(now).or(own).unwrap_or_default()
    }

    /// How often this message was tried, once it has had its tries: it failed each time, and nothing says that others fail too.
    pub fn spent(&self, message: &str) -> Option<u32> {
        let own = self.failing.get(message).filter(|_| !self.is_away())?;
        let is_spent =
            own.is_own && own.tries >= TRIES_MAX || self.doubtful() == 1 && own.tries >= ALONE_TRIES_MAX;
        is_spent.then_some(own.tries)
    }

    /// True when it is away for all.
    fn is_away(&self) -> bool {
        self.open.as_ref().is_some_and(|open| !open.is_alone)
    }

    /// How many messages failed since the last success.
    fn doubtful(&self) -> usize {
        self.failing.values().filter(|failing| !failing.is_own).count()
    }

    /// This message is not tried any more.
    pub fn forget(&mut self, message: &str) {
        self.failing.remove(message);
        if self.open.as_ref().is_some_and(|open| open.is_alone && open.last.as_deref() == Some(message)) {
            self.open = None;
            self.failures = 0;
        }
    }

    /// Since when it is not there.
    pub fn open_since(&self) -> Option<Timestamp> {
        self.open.as_ref().map(|open| open.since)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FAIL: Ending = Ending::Failed(None);

    fn seconds(count: u64) -> Duration {
        Duration::from_secs(count)
    }

    fn after(now: Now, wait: Duration) -> Now {
        Now { mono: now.mono + wait, wall: now.wall + wait }
    }

    #[test]
    fn a_service_that_is_not_reached_is_away_at_once_one_looks_and_an_answer_closes_it() {
        let now = Now::read();
        let mut breaker = Breaker::new(7);
        assert_eq!(
            (breaker.begin(now.mono, "a"), breaker.begin(now.mono, "b")),
            (None, None),
            "closed, all go"
        );
        breaker.end(now, "a", Ending::Away);
        let first = breaker.begin(now.mono, "b").unwrap();
        assert!(first >= seconds(1) && first <= seconds(3), "{first:?}");
        breaker.end(now, "b", Ending::Away);
        assert_eq!(breaker.wait(now.mono), Some(first), "what was under way tells nothing new");
        let later = after(now, first);
        assert_eq!(breaker.begin(later.mono, "b"), None, "one looks");
        assert_eq!(breaker.begin(later.mono, "c"), Some(LOOK_WAIT), "the others wait");
        breaker.end(later, "b", Ending::Away);
        assert!(breaker.wait(later.mono).unwrap() > first, "waits grow");
        assert_eq!(breaker.open_since(), Some(now.wall), "looks in vain are one story");
        let again = after(later, seconds(5));
        assert!(breaker.begin(again.mono, "b").is_some(), "another looks first");
        assert_eq!(breaker.begin(again.mono, "c"), None);
        breaker.end(again, "c", Ending::Heard);
        assert!(breaker.open_since().is_none() && breaker.begin(later.mono, "a").is_none());
    }

    #[test]
    fn one_message_that_fails_waits_alone_and_several_in_a_row_are_the_service() {
        let mut now = Now::read();
        let mut breaker = Breaker::new(7);
        let mut tries = 0;
        while breaker.spent("poison").is_none() {
            assert_eq!(breaker.begin(now.mono, "poison"), None);
            breaker.end(now, "poison", FAIL);
            tries += 1;
            assert!(breaker.begin(now.mono, "poison").is_some(), "it waits");
            assert!(breaker.wait(now.mono).is_none() && breaker.begin(now.mono, "other").is_none());
            if tries == ALONE_MAX {
                assert!(breaker.open_since().is_some(), "nothing else is known of the service");
                breaker.end(now, "other", Ending::Heard);
            }
            assert!(
                tries < ALONE_MAX || breaker.open_since().is_none(),
                "another was answered, after {tries} tries"
            );
            now = after(now, breaker.own_wait(now.mono, "poison"));
        }
        assert_eq!(tries, TRIES_MAX);
        breaker.forget("poison");
        for message in ["a", "b"] {
            breaker.end(now, message, FAIL);
            assert!(breaker.wait(now.mono).is_none(), "it may be two messages");
        }
        breaker.end(now, "c", FAIL);
        assert!(breaker.wait(now.mono).is_some() && breaker.open_since().is_some(), "three in a row");
    }

    #[test]
    fn a_message_that_fails_while_nothing_else_is_asked_has_more_tries() {
        let now = Now::read();
        let mut breaker = Breaker::new(7);
        for tries in 1..ALONE_TRIES_MAX {
            breaker.end(now, "a", FAIL);
            assert_eq!(breaker.spent("a"), None, "after {tries}");
        }
        breaker.end(now, "a", FAIL);
        assert_eq!(breaker.spent("a"), Some(ALONE_TRIES_MAX));
    }

    #[test]
    fn any_number_of_messages_that_failed_before_another_succeeded_say_nothing_about_the_service() {
        let mut now = Now::read();
        let mut breaker = Breaker::new(7);
        for n in 0..50 {
            breaker.end(now, &n.to_string(), FAIL);
            breaker.end(now, "other", Ending::Heard);
        }
        for round in 1..TRIES_MAX {
            now = after(now, seconds(100));
            for n in 0..50 {
                assert_eq!(breaker.begin(now.mono, &n.to_string()), None);
                breaker.end(now, &n.to_string(), FAIL);
                assert!(breaker.wait(now.mono).is_none() && breaker.open_since().is_none(), "{round}: {n}");
            }
        }
        assert!((0..50).all(|n| breaker.spent(&n.to_string()).is_some()));
    }

    #[test]
    fn two_messages_that_both_fail_while_nothing_succeeds_are_not_given_up() {
        let now = Now::read();
        let mut breaker = Breaker::new(7);
        for _ in 0..ALONE_TRIES_MAX {
            breaker.end(now, "a", FAIL);
            breaker.end(now, "b", FAIL);
        }
        assert!(breaker.wait(now.mono).is_none(), "others may try");
        assert!(breaker.spent("a").is_none() && breaker.spent("b").is_none());
        breaker.end(now, "c", Ending::Heard);
        assert!(breaker.spent("a").is_some() && breaker.spent("b").is_some());
    }

    #[test]
    fn waits_are_bounded_and_the_services_own_word_wins() {
        let mut now = Now::read();
        let mut breaker = Breaker::new(7);
        for _ in 0..20 {
            breaker.end(now, "a", Ending::Away);
            let wait = breaker.wait(now.mono).unwrap();
            assert!(wait <= seconds(60));
            now = after(now, wait + TURN_WAIT);
            assert_eq!(breaker.begin(now.mono, "a"), None);
        }
        for (asked, expected) in [(seconds(17), seconds(17)), (seconds(86_400), AFTER_MAX)] {
            breaker.end(now, "a", Ending::Failed(Some(asked)));
            assert_eq!(breaker.wait(now.mono), Some(expected));
            now = after(now, expected + TURN_WAIT);
            assert_eq!(breaker.begin(now.mono, "a"), None);
        }
        for n in 0..2 * MESSAGES_MAX {
            breaker.end(now, &n.to_string(), FAIL);
        }
        assert!(breaker.failing.len() <= MESSAGES_MAX);
    }

    #[test]
    fn a_look_that_is_broken_off_is_made_by_the_next() {
        let now = Now::read();
        let mut breaker = Breaker::new(7);
        breaker.end(now, "a", Ending::Away);
        let later = after(now, seconds(5));
        assert_eq!(breaker.begin(later.mono, "b"), None);
        breaker.end(later, "b", Ending::Dropped);
        assert!(breaker.open_since().is_some());
        assert_eq!(breaker.begin(later.mono, "c"), None);
    }
}
