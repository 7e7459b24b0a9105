//! Pure. Wrong keys are counted, for each address and for all together; too many, and for a while nobody there is heard,
//! so that guessing is slow. No header has a say in it.

use core::net::IpAddr;
use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

/// Wrong keys within [`WINDOW`] from one address.
const WRONG_MAX: usize = 10;

/// Wrong keys within [`WINDOW`] from everywhere.
const WRONG_ALL_MAX: usize = 50;

/// How long a wrong key is remembered.
const WINDOW: Duration = Duration::from_secs(60);

/// How long nobody is heard.
const LOCKED: Duration = Duration::from_secs(60);

/// Addresses remembered at once; beyond that the count of all alone decides.
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

impl Lockout {
    /// How long this address must still wait before its key is looked at.
    pub fn wait(&self, address: IpAddr, now: Instant) -> Option<Duration> {
        let of = |bucket: &Bucket| bucket.locked_until.filter(|until| *until > now);
        let own = self.addresses.get(&address.to_canonical()).and_then(of);
        own.max(of(&self.all)).map(|until| until - now)
    }

    /// A wrong key came from there. Returns whether that is one too many, for the first time.
    pub fn wrong(&mut self, address: IpAddr, now: Instant) -> bool {
        self.addresses.retain(|_, bucket| bucket.is_live(now));
        let mut locked = self.all.count(now, WRONG_ALL_MAX);
        let address = address.to_canonical();
        if self.addresses.len() < ADDRESSES_MAX || self.addresses.contains_key(&address) {
            locked |= self.addresses.entry(address).or_default().count(now, WRONG_MAX);
        }
        locked
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
    fn one_address_is_locked_after_ten_wrong_keys_and_others_are_not() {
        let now = crate::clock::Now::read().mono;
        let mut lockout = Lockout::default();
        for n in 1..=10 {
            assert_eq!(lockout.wait(address(1), now), None, "{n}");
            assert_eq!(lockout.wrong(address(1), now), n == 10, "{n}");
        }
        assert_eq!(lockout.wait(address(1), now), Some(LOCKED));
        let mapped = "::ffff:10.0.0.1".parse().unwrap();
        assert_eq!(lockout.wait(mapped, now), Some(LOCKED), "another way to write it is no other address");
        assert_eq!(lockout.wait(address(2), now), None);
        assert_eq!(lockout.wait(address(1), now + LOCKED), None);
    }

    #[test]
    fn wrong_keys_that_are_far_apart_lock_nobody() {
        let mut now = crate::clock::Now::read().mono;
        let mut lockout = Lockout::default();
        for _ in 0..100 {
            assert!(!lockout.wrong(address(1), now));
            now += Duration::from_secs(7);
        }
    }

    #[test]
    fn many_addresses_together_lock_everybody_and_take_no_memory() {
        let now = crate::clock::Now::read().mono;
        let mut lockout = Lockout::default();
        for n in 0..50 {
            lockout.wrong(address(n), now);
        }
        assert_eq!(lockout.wait(address(200), now), Some(LOCKED));
        for n in 0..100_000_u32 {
            lockout.wrong(IpAddr::from(n.to_be_bytes()), now);
        }
        assert!(lockout.addresses.len() <= ADDRESSES_MAX);
    }
}
