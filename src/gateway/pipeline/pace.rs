//! Pure. The pace of the turns of one chat: a token bucket each, and a chat with an empty one waits; so does a chat in
//! which an album arrives, until its parts are there.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::gateway::model::message::ChatKey;

const MINUTE: Duration = Duration::from_secs(60);

/// Limit for the wait for the next part of an album. Mostly it comes at once: each part is a message, with a file to fetch first.
const PART_WAIT: Duration = Duration::from_secs(1);

/// The buckets that are not full.
#[derive(Debug, Default)]
pub(super) struct Pace {
    /// The time when each is full again.
    full_at: BTreeMap<ChatKey, Instant>,
    /// The number of buckets at which full ones are removed.
    look_at: usize,
    /// Chats in which an album arrives, and the time until which its next part is awaited.
    albums: BTreeMap<ChatKey, Instant>,
}

impl Pace {
    /// Notes that a part of an album came: the next one may follow.
    pub(super) fn expect_part(&mut self, now: Instant, key: &ChatKey) {
        self.albums.retain(|_, until| *until > now);
        self.albums.insert(key.clone(), now + PART_WAIT);
    }

    /// The wait of the chat before its next turn: until its bucket, which holds a minute's worth, is no longer empty, and
    /// the parts of an album are there; zero: none.
    pub(super) fn wait(&self, now: Instant, key: &ChatKey, per_minute_max: u32) -> Duration {
        let album = self.albums.get(key).map_or(Duration::ZERO, |until| until.saturating_duration_since(now));
        if per_minute_max == 0 {
            return album;
        }
        let full_at = self.full_at.get(key).copied().unwrap_or(now).max(now) + MINUTE / per_minute_max;
        full_at.saturating_duration_since(now + MINUTE).max(album)
    }

    /// Takes one turn out of the chat's bucket.
    pub(super) fn take(&mut self, now: Instant, key: &ChatKey, per_minute_max: u32) {
        if per_minute_max == 0 {
            return;
        }
        if self.full_at.len() > self.look_at {
            self.full_at.retain(|_, full_at| *full_at > now);
            self.look_at = 2 * self.full_at.len() + 64;
        }
        let full_at = self.full_at.entry(key.clone()).or_insert(now);
        *full_at = (*full_at).max(now) + MINUTE / per_minute_max;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Now;
    use crate::gateway::model::message::ChatId;
    use crate::platforms::Platform;

    fn key(n: usize) -> ChatKey {
        ChatKey { platform: Platform::Whatsapp, chat: ChatId(n.to_string()) }
    }

    #[test]
    fn a_minutes_worth_goes_at_once_and_then_one_at_a_time_and_nobody_else_waits() {
        let begin = Now::read().mono;
        let mut pace = Pace::default();
        for _ in 0..60 {
            assert_eq!(pace.wait(begin, &key(1), 60), Duration::ZERO);
            pace.take(begin, &key(1), 60);
        }
        let wait = pace.wait(begin, &key(1), 60);
        assert_eq!(wait, Duration::from_secs(1));
        assert_eq!(pace.wait(begin + wait, &key(1), 60), Duration::ZERO);
        pace.take(begin + wait, &key(1), 60);
        assert_eq!(pace.wait(begin + wait, &key(1), 60), wait);
        assert_eq!(pace.wait(begin, &key(2), 60), Duration::ZERO);
        assert_eq!(pace.wait(begin, &key(1), 0), Duration::ZERO, "no limit");
        assert_eq!(pace.wait(begin + 3 * MINUTE, &key(1), 60), Duration::ZERO);
    }

    #[test]
    fn an_album_is_waited_for_from_part_to_part_and_by_nobody_else() {
        let begin = Now::read().mono;
        let mut pace = Pace::default();
        pace.expect_part(begin, &key(1));
        assert_eq!(pace.wait(begin + PART_WAIT / 2, &key(1), 0), PART_WAIT / 2);
        pace.expect_part(begin + PART_WAIT / 2, &key(1));
        assert_eq!(pace.wait(begin + PART_WAIT, &key(1), 60), PART_WAIT / 2);
        assert_eq!(pace.wait(begin + PART_WAIT * 2, &key(1), 60), Duration::ZERO);
        assert_eq!(pace.wait(begin, &key(2), 60), Duration::ZERO);
        pace.expect_part(begin + PART_WAIT * 3, &key(3));
        assert_eq!(pace.albums.len(), 1);
    }

    #[test]
    fn chats_that_are_quiet_take_no_memory() {
        let mut now = Now::read().mono;
        let mut pace = Pace::default();
        for n in 0..100_000 {
            pace.take(now, &key(n), 120);
            now += Duration::from_millis(5);
        }
        assert!(pace.full_at.len() < 1000, "{}", pace.full_at.len());
    }
}
