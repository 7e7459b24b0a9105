//! Pure. Decides whether a limit is one chat's or the whole bot's: the service does not say.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// The limits that chats are under.
#[derive(Debug, Default)]
pub struct Floods {
    until: BTreeMap<i64, Instant>,
    /// Limits without a duration, in a row.
    open: u32,
}

impl Floods {
    /// This chat has to wait. Returns the wait for the whole bot, when another chat has to wait at the same time: then it may be
    /// the bot that sends too much, and every further request would make it worse. It lasts as long as two chats are limited, and
    /// no longer than what is asked for now: a longer wait is that of its chat alone.
    pub fn limited(&mut self, now: Instant, chat: i64, wait: Duration) -> Option<Duration> {
        self.until.retain(|_, until| *until > now);
        self.until.insert(chat, now + wait);
        let longest = *self.until.iter().max_by_key(|(_, until)| **until)?.0;
        let shared =
            self.until.iter().filter(|(chat, _)| **chat != longest).map(|(_, until)| *until).max()?;
        Some(shared.duration_since(now).min(wait))
    }

    /// Counts one more limit without a duration. Returns the number in a row before it.
    pub fn count_open(&mut self) -> u32 {
        let before = self.open;
        self.open = before.saturating_add(1);
        before
    }

    /// Records that a message was sent.
    pub fn sent(&mut self) {
        self.open = 0;
    }

    /// True when the bot or this chat is under a limit: only what matters is sent.
    pub fn is_limited(&self, now: Instant, chat: i64) -> bool {
        let under = self.until.values().filter(|until| **until > now).count();
        under > 1 || self.until.get(&chat).is_some_and(|until| *until > now)
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
}
