//! Pure. Decides whether a limit is one chat's or the whole bot's: the service does not say.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use crate::backoff::doubled;

/// The longest wait of the whole bot while two chats are limited. It doubles with each further chat: only that is evidence.
const SHARED: Duration = Duration::from_secs(60);

/// The longest such wait, however many chats are limited.
const SHARED_MAX: Duration = Duration::from_secs(900);

/// The limits that chats are under.
#[derive(Debug, Default)]
pub struct Floods {
    until: BTreeMap<i64, Instant>,
    /// The chats that were limited since a message was sent.
    in_a_row: BTreeSet<i64>,
    /// The end of the wait of the whole bot.
    shared: Option<Instant>,
    /// Limits without a duration, in a row.
    open: u32,
}

impl Floods {
    /// This chat has to wait. Returns the wait for the whole bot, when another chat has to wait at the same time and nothing was
    /// sent since: then it may be the bot that sends too much, and every further request would make it worse. It lasts as long
    /// as two chats are limited, no longer than what is asked for now, since a longer wait is that of its chat alone, and no
    /// longer than the bound for so many chats: some chats with absurd waits must not silence the others.
    pub fn limited(&mut self, now: Instant, chat: i64, wait: Duration) -> Option<Duration> {
        self.until.retain(|_, until| *until > now);
        self.until.insert(chat, now + wait);
        self.in_a_row.insert(chat);
        self.in_a_row.retain(|chat| self.until.contains_key(chat));
        let mut ends: Vec<Instant> =
            self.in_a_row.iter().filter_map(|chat| self.until.get(chat).copied()).collect();
        ends.sort();
        let [.., end, _] = ends[..] else { return None };
        let further = u32::try_from(ends.len() - 2).unwrap_or(u32::MAX);
        let shared = end.duration_since(now).min(wait).min(doubled(SHARED, further, SHARED_MAX));
        self.shared = self.shared.max(Some(now + shared));
        Some(shared)
    }

    /// Counts one more limit without a duration. Returns the number in a row before it.
    pub fn count_open(&mut self) -> u32 {
        let before = self.open;
        self.open = before.saturating_add(1);
        before
    }

    /// Records that a message was sent: the limits until now are those of their chats.
    pub fn sent(&mut self) {
        self.open = 0;
        self.in_a_row.clear();
    }

    /// True when the bot or this chat is under a limit: only what matters is sent.
    pub fn is_limited(&self, now: Instant, chat: i64) -> bool {
        self.shared.into_iter().chain(self.until.get(&chat).copied()).any(|until| until > now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Now;

    #[test]
    fn limits_in_a_row_are_counted_until_something_is_sent() {
        let mut floods = Floods::default();
        assert_eq!([floods.count_open(), floods.count_open()], [0, 1]);
        floods.sent();
        assert_eq!(floods.count_open(), 0);
    }

    #[test]
    fn one_chat_waits_alone_and_two_are_the_bot() {
        let (mut floods, now) = (Floods::default(), Now::read().mono);
        let seconds = Duration::from_secs;
        assert_eq!(floods.limited(now, 1, seconds(30)), None);
        assert_eq!(floods.limited(now + seconds(1), 1, seconds(40)), None, "the same chat again");
        assert!(floods.is_limited(now, 1) && !floods.is_limited(now, 2));
        assert_eq!(
            floods.limited(now + seconds(2), 2, seconds(5)),
            Some(seconds(5)),
            "the longer wait is the other's alone"
        );
        assert!(floods.is_limited(now + seconds(3), 3));
        assert_eq!(floods.limited(now + seconds(60), 3, seconds(5)), None, "what is over does not count");
        assert!(!floods.is_limited(now + seconds(66), 3));
    }

    #[test]
    fn an_absurd_wait_of_some_chats_is_not_the_bots() {
        let (mut floods, now) = (Floods::default(), Now::read().mono);
        let (second, day) = (Duration::from_secs(1), Duration::from_hours(24));
        assert_eq!(floods.limited(now, 1, day), None);
        assert_eq!(floods.limited(now, 2, second), Some(second));
        assert_eq!(
            floods.limited(now, 1, day),
            Some(second),
            "the absurd one again, while the other is limited"
        );
        assert_eq!(floods.limited(now + 2 * second, 1, day), None);
        floods.limited(now, 3, day);
        assert_eq!(floods.limited(now, 2, second), Some(second));
    }

    #[test]
    fn absurd_waits_of_several_chats_silence_the_bot_for_a_bounded_time_and_not_at_all_once_one_gets_through()
    {
        let (mut floods, now) = (Floods::default(), Now::read().mono);
        let day = Duration::from_hours(24);
        let waits =
            [1, 2, 3, 4, 5, 6, 7, 8].map(|chat| floods.limited(now, chat, day).map(|wait| wait.as_secs()));
        assert_eq!(waits, [None, Some(60), Some(120), Some(240), Some(480), Some(900), Some(900), Some(900)]);
        let later = now + SHARED_MAX;
        assert!(floods.is_limited(now, 9) && !floods.is_limited(later, 9) && floods.is_limited(later, 8));
        floods.sent();
        assert_eq!(floods.limited(later, 9, day), None, "the others have proven nothing");
        assert_eq!(floods.limited(later, 10, day), Some(SHARED));
    }
}
