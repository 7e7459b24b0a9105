//! Pure. Counts wrong keys, for each address and for all together; after too many, further ones are for a while answered
//! late and unchecked, so that guessing is slow. The right key is never counted and always accepted: else a person who
//! guesses could lock its owner out. No header has an influence.

use core::net::IpAddr;
use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

/// Limit for wrong keys within [`WINDOW`] from one address.
const WRONG_MAX: usize = 10;

/// Limit for wrong keys within [`WINDOW`] from all addresses.
const WRONG_ALL_MAX: usize = 50;

/// The time for which a wrong key counts.
const WINDOW: Duration = Duration::from_secs(60);

/// The time for which guesses are delayed then.
const LOCKED: Duration = Duration::from_secs(60);

/// Limit for addresses remembered at once; beyond that only the count of all decides.
const ADDRESSES_MAX: usize = 1024;

/// The counts.
#[derive(Debug, Default)]
pub struct Lockout {
    all: Bucket,
    addresses: BTreeMap<IpAddr, Bucket>,
}

#[derive(Debug, Default)]
struct Bucket {
    wrong: VecDeque<Instant>,
    locked_until: Option<Instant>,
}

/// The treatment of a wrong key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wrong {
    /// It is refused normally.
    Counted,
    /// It is the last one that is refused normally; those after it are delayed.
    Last,
    /// There were too many; the delay lasts for this time.
    Held(Duration),
}

impl Lockout {
    /// Counts a wrong key from this address.
    pub fn wrong(&mut self, address: IpAddr, now: Instant) -> Wrong {
        let address = address.to_canonical();
        if let Some(wait) = self.held(address, now) {
            return Wrong::Held(wait);
        }
        self.addresses.retain(|_, bucket| bucket.is_live(now));
        let mut is_last = self.all.count(now, WRONG_ALL_MAX);
        if self.addresses.len() < ADDRESSES_MAX || self.addresses.contains_key(&address) {
            is_last |= self.addresses.entry(address).or_default().count(now, WRONG_MAX);
        }
        if is_last { Wrong::Last } else { Wrong::Counted }
    }

    fn held(&self, address: IpAddr, now: Instant) -> Option<Duration> {
        let of = |bucket: &Bucket| bucket.locked_until.filter(|until| *until > now);
        let own = self.addresses.get(&address).and_then(of);
        own.max(of(&self.all)).map(|until| until - now)
    }
}

impl Bucket {
    fn is_live(&self, now: Instant) -> bool {
        self.locked_until.is_some_and(|until| until > now)
            || self.wrong.back().is_some_and(|at| now.duration_since(*at) < WINDOW)
    }

    fn count(&mut self, now: Instant, max: usize) -> bool {
        self.wrong.retain(|at| now.duration_since(*at) < WINDOW);
        self.wrong.push_back(now);
        if self.wrong.len() < max {
            return false;
        }
        self.wrong.clear();
        self.locked_until = Some(now + LOCKED);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(last: u8) -> IpAddr {
        IpAddr::from([10, 0, 0, last])
    }

    #[test]
    fn one_address_is_held_up_after_ten_wrong_keys_and_others_are_not() {
        let now = crate::clock::Now::read().mono;
        let mut lockout = Lockout::default();
        for n in 1..=10 {
            let expected = if n == 10 { Wrong::Last } else { Wrong::Counted };
            assert_eq!(lockout.wrong(address(1), now), expected, "{n}");
        }
        assert_eq!(lockout.wrong(address(1), now), Wrong::Held(LOCKED));
        let mapped = "::ffff:10.0.0.1".parse().unwrap();
        let later = now + Duration::from_secs(1);
        let rest = LOCKED - Duration::from_secs(1);
        assert_eq!(lockout.wrong(mapped, later), Wrong::Held(rest), "no other address, and no longer wait");
        assert_eq!(lockout.wrong(address(2), now), Wrong::Counted);
        assert_eq!(lockout.wrong(address(1), now + LOCKED), Wrong::Counted, "and again ten");
    }

    #[test]
    fn wrong_keys_that_are_far_apart_hold_nobody_up() {
        let mut now = crate::clock::Now::read().mono;
        let mut lockout = Lockout::default();
        for _ in 0..100 {
            assert_eq!(lockout.wrong(address(1), now), Wrong::Counted);
            now += Duration::from_secs(7);
        }
    }

    #[test]
    fn many_addresses_together_hold_every_guess_up_and_take_no_memory() {
        let now = crate::clock::Now::read().mono;
        let mut lockout = Lockout::default();
        let answers: Vec<Wrong> = (0..50).map(|n| lockout.wrong(address(n), now)).collect();
        assert_eq!(answers.iter().filter(|answer| **answer == Wrong::Last).count(), 1);
        assert_eq!(lockout.wrong(address(200), now), Wrong::Held(LOCKED));
        for n in 0..100_000_u32 {
            let later = now + LOCKED * (n / 40);
            lockout.wrong(IpAddr::from(n.to_be_bytes()), later.min(now + LOCKED));
        }
        assert!(lockout.addresses.len() <= ADDRESSES_MAX);
    }
}
