//! Pure. How fast a platform may be spoken to: what we keep to by ourselves, and what it asks for.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::gateway::model::message::ChatId;
use crate::platforms::{Rate, Rates};

/// Chats that are remembered; whoever is at rest is forgotten first.
const CHATS_MAX: usize = 4096;

/// So many at once, then one after the other.
#[derive(Debug, Clone, Copy, Default)]
struct Bucket {
    /// When it is full again; `None`: it is.
    full_at: Option<Instant>,
}

impl Bucket {
    /// How long until one may be taken, with these left for others.
    fn wait(self, now: Instant, rate: Rate, left: u32) -> Duration {
        let debt = self.debt(now);
        let room = rate.pause() * (rate.count - 1).saturating_sub(left);
        debt.saturating_sub(room)
    }

    fn take(&mut self, now: Instant, rate: Rate) {
        self.full_at = Some(now + self.debt(now) + rate.pause());
    }

    fn give_back(&mut self, rate: Rate) {
        self.full_at = self.full_at.and_then(|at| at.checked_sub(rate.pause()));
    }

    fn debt(self, now: Instant) -> Duration {
        self.full_at.map_or(Duration::ZERO, |at| at.saturating_duration_since(now))
    }
}

#[derive(Debug, Default)]
struct Chat {
    bucket: Bucket,
    not_before: Option<Instant>,
}

impl Chat {
    fn is_at_rest(&self, now: Instant) -> bool {
        self.bucket.debt(now).is_zero() && self.not_before.is_none_or(|at| at <= now)
    }
}

/// What may be sent to one platform now.
#[derive(Debug)]
pub struct Pace {
    rates: &'static Rates,
    /// We keep to them by ourselves.
    is_on: bool,
    all: Bucket,
    not_before: Option<Instant>,
    /// By the name of the whole.
    chats: BTreeMap<String, Chat>,
}

impl Pace {
    /// With everything full.
    pub fn new(rates: &'static Rates) -> Self {
        Self { rates, is_on: true, all: Bucket::default(), not_before: None, chats: BTreeMap::new() }
    }

    /// From now on the rates are kept to, or not. What the platform has asked for stays.
    pub fn keep(&mut self, is_on: bool) {
        self.is_on = is_on;
    }

    /// Takes the right to send one message to this chat now, or says how long to wait before asking again.
    ///
    /// # Errors
    /// The wait; nothing was taken.
    pub fn take(&mut self, now: Instant, chat: &ChatId) -> Result<(), Duration> {
        self.take_leaving(now, chat, |_| 0)
    }

    /// The same for what may as well be left out: half of what may be said at once is kept for others.
    ///
    /// # Errors
    /// The wait; nothing was taken.
    pub fn take_spare(&mut self, now: Instant, chat: &ChatId) -> Result<(), Duration> {
        self.take_leaving(now, chat, |rate| rate.count / 2)
    }

    fn take_leaving(
        &mut self,
        now: Instant,
        chat: &ChatId,
        left: impl Fn(Rate) -> u32,
    ) -> Result<(), Duration> {
        let (of_all, of_chat) = (self.rate_of_all(), self.rate_of(chat));
        let held = self.held(now, chat);
        let known = self.known(chat);
        let chat_wait = of_chat
            .zip(known)
            .map_or(Duration::ZERO, |(rate, known)| known.bucket.wait(now, rate, left(rate)));
        let all_wait = of_all.map_or(Duration::ZERO, |rate| self.all.wait(now, rate, left(rate)));
        let wait = held.max(chat_wait).max(all_wait);
        if !wait.is_zero() {
            return Err(wait);
        }
        if let Some(rate) = of_all {
            self.all.take(now, rate);
        }
        if let Some(rate) = of_chat {
            self.chat(now, chat).bucket.take(now, rate);
        }
        Ok(())
    }

    /// Gives back what was taken and not used.
    pub fn give_back(&mut self, chat: &ChatId) {
        if let Some(rate) = self.rate_of_all() {
            self.all.give_back(rate);
        }
        let whole = (self.rates.whole)(&chat.0);
        if let (Some(rate), Some(known)) = (self.rate_of(chat), self.chats.get_mut(whole)) {
            known.bucket.give_back(rate);
        }
    }

    /// The platform asks for nothing to this chat for so long, whatever connection there is.
    pub fn hold_chat(&mut self, now: Instant, chat: &ChatId, wait: Duration) {
        let known = self.chat(now, chat);
        known.not_before = known.not_before.max(Some(now + wait));
    }

    /// The platform asks for nothing at all for so long.
    pub fn hold_all(&mut self, now: Instant, wait: Duration) {
        self.not_before = self.not_before.max(Some(now + wait));
    }

    /// What the platform has asked for until now is over.
    pub fn release(&mut self) {
        self.not_before = None;
        self.chats.values_mut().for_each(|chat| chat.not_before = None);
    }

    /// True when the platform has asked for silence in this chat, or everywhere.
    pub fn is_held(&self, now: Instant, chat: &ChatId) -> bool {
        !self.held(now, chat).is_zero()
    }

    fn held(&self, now: Instant, chat: &ChatId) -> Duration {
        let of_chat = self.known(chat).and_then(|known| known.not_before);
        let held = [self.not_before, of_chat].into_iter().flatten();
        held.map(|at| at.saturating_duration_since(now)).max().unwrap_or_default()
    }

    fn rate_of_all(&self) -> Option<Rate> {
        self.rates.all.filter(|_| self.is_on)
    }

    fn rate_of(&self, chat: &ChatId) -> Option<Rate> {
        let rate = if (self.rates.is_group)(&chat.0) { self.rates.group } else { self.rates.chat };
        rate.filter(|_| self.is_on)
    }

    fn known(&self, chat: &ChatId) -> Option<&Chat> {
        self.chats.get((self.rates.whole)(&chat.0))
    }

    fn chat(&mut self, now: Instant, chat: &ChatId) -> &mut Chat {
        if self.chats.len() >= CHATS_MAX {
            self.chats.retain(|_, known| !known.is_at_rest(now));
        }
        let whole = (self.rates.whole)(&chat.0);
        if self.chats.len() >= CHATS_MAX && !self.chats.contains_key(whole) {
            // All are busy, so the platform's own limit is near: forgetting one costs it a little patience.
            self.chats.pop_first();
        }
        self.chats.entry(whole.to_owned()).or_default()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::clock::Now;

    static RATES: Rates = Rates {
        all: Some(Rate { count: 10, per: Duration::from_secs(1) }),
        chat: Some(Rate { count: 2, per: Duration::from_secs(2) }),
        group: Some(Rate { count: 1, per: Duration::from_secs(3) }),
        is_group: |chat| chat.starts_with('-'),
        whole: |chat| chat.split_once(':').map_or(chat, |(whole, _)| whole),
    };

    fn chat(n: u32) -> ChatId {
        ChatId(n.to_string())
    }

    #[test]
    fn a_burst_goes_and_then_one_after_the_other() {
        let now = Now::read().mono;
        let mut pace = Pace::new(&RATES);
        let (one, group) = (chat(1), ChatId("-1".to_owned()));
        assert_eq!(pace.take(now, &one), Ok(()));
        assert_eq!(pace.take(now, &one), Ok(()));
        assert_eq!(pace.take(now, &one), Err(Duration::from_secs(1)));
        assert_eq!(pace.take(now, &group), Ok(()), "another chat does not wait for it");
        assert_eq!(pace.take(now, &group), Err(Duration::from_secs(3)));
        assert_eq!(pace.take(now + Duration::from_secs(1), &one), Ok(()));
        pace.give_back(&one);
        assert_eq!(pace.take(now + Duration::from_secs(1), &one), Ok(()));
    }

    #[test]
    fn what_can_be_left_out_leaves_half_to_others_and_waits_where_it_is_alone() {
        let now = Now::read().mono;
        let mut pace = Pace::new(&RATES);
        let (one, group) = (chat(1), ChatId("-1".to_owned()));
        assert_eq!(pace.take_spare(now, &one), Ok(()));
        assert_eq!(pace.take_spare(now, &one), Err(Duration::from_secs(1)));
        assert_eq!(pace.take(now, &one), Ok(()), "the answer itself");
        assert_eq!(pace.take_spare(now, &group), Ok(()));
        for n in 2..4 {
            assert_eq!(pace.take_spare(now, &chat(n)), Ok(()));
        }
        assert!(pace.take_spare(now, &chat(6)).is_err(), "five of ten are left on the whole platform");
        assert_eq!(pace.take(now, &chat(6)), Ok(()));
    }

    #[test]
    fn without_rates_only_what_the_platform_asks_for_holds() {
        let now = Now::read().mono;
        let mut pace = Pace::new(&RATES);
        pace.hold_chat(now, &chat(2), Duration::from_secs(9));
        while pace.take(now, &chat(1)).is_ok() {}
        pace.keep(false);
        assert!((0..100).all(|_| pace.take(now, &chat(1)).is_ok()));
        assert_eq!(pace.take(now, &chat(2)), Err(Duration::from_secs(9)));
    }

    #[test]
    fn the_parts_of_a_chat_share_its_limits() {
        let now = Now::read().mono;
        let mut pace = Pace::new(&RATES);
        let [one, two, other] = ["-1:7", "-1:8", "-2:7"].map(|name| ChatId(name.to_owned()));
        assert_eq!(pace.take(now, &one), Ok(()));
        assert_eq!((pace.take(now, &two), pace.take(now, &other)), (Err(Duration::from_secs(3)), Ok(())));
        pace.give_back(&two);
        assert_eq!(pace.take(now, &one), Ok(()));
        pace.hold_chat(now, &two, Duration::from_secs(9));
        assert!(pace.is_held(now, &one) && !pace.is_held(now, &other));
    }

    #[test]
    fn the_whole_platform_has_a_limit_too() {
        let now = Now::read().mono;
        let mut pace = Pace::new(&RATES);
        for n in 0..10 {
            assert_eq!(pace.take(now, &chat(n)), Ok(()));
        }
        assert_eq!(pace.take(now, &chat(10)), Err(Duration::from_millis(100)));
    }

    #[test]
    fn what_the_platform_asks_for_is_kept_exactly() {
        let now = Now::read().mono;
        let mut pace = Pace::new(&RATES);
        let wait = Duration::from_millis(4321);
        pace.hold_chat(now, &chat(1), wait);
        pace.hold_chat(now, &chat(1), wait / 2);
        assert_eq!((pace.take(now, &chat(1)), pace.take(now, &chat(2))), (Err(wait), Ok(())));
        assert_eq!(pace.take(now + wait, &chat(1)), Ok(()));
        pace.hold_all(now, 2 * wait);
        assert_eq!(pace.take(now + wait, &chat(3)), Err(wait));
        assert_eq!(pace.take(now + 2 * wait, &chat(3)), Ok(()));
    }

    proptest! {
        /// Whoever waits as long as it is told sends, and no window holds more than its burst and its flow.
        #[test]
        fn no_window_holds_too_many(steps in proptest::collection::vec((0_u32..4, 0_u64..400), 1..200)) {
            let begin = Now::read().mono;
            let mut now = begin;
            let mut pace = Pace::new(&RATES);
            let mut sent: Vec<Instant> = Vec::new();
            for (n, pause_ms) in steps {
                now += Duration::from_millis(pause_ms);
                if let Err(wait) = pace.take(now, &chat(n)) {
                    now += wait;
                    prop_assert_eq!(pace.take(now, &chat(n)), Ok(()));
                }
                sent.push(now);
            }
            let window = Duration::from_secs(1);
            for from in &sent {
                let within = sent.iter().filter(|at| *at >= from && at.duration_since(*from) < window).count();
                prop_assert!(within <= 20, "{within} within a second");
            }
        }
    }

    #[test]
    fn memory_has_a_bound() {
        let now = Now::read().mono;
        let mut pace = Pace::new(&RATES);
        for n in 0..5000 {
            pace.hold_chat(now, &chat(n), Duration::from_secs(60));
        }
        assert_eq!(pace.chats.len(), CHATS_MAX);
    }
}
