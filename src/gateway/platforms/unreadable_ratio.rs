//! Pure. Whether nothing that a service says makes sense any more: then it is not this message or that chat, and taking more helps
//! nobody. As long as anything can be read, the others are merely odd.

use std::time::{Duration, Instant};

/// So long after the last that could be read.
const ALONE: Duration = Duration::from_secs(60);

/// Fewer than this may be something new that one chat sends.
const COUNT_MIN: u32 = 20;

/// The readable and the unreadable of one connection.
#[derive(Debug, Default)]
pub struct UnreadableRatio {
    readable_at: Option<Instant>,
    last: Option<Instant>,
    /// Updates in a row that could not be read.
    unreadable: u32,
}

impl UnreadableRatio {
    /// Counts one more, readable or not.
    pub fn count(&mut self, now: Instant, is_readable: bool) {
        self.last = Some(now);
        if is_readable {
            *self = Self { readable_at: Some(now), ..Self::default() };
        } else {
            self.unreadable = self.unreadable.saturating_add(1);
        }
    }

    /// Many in a row could not be read, and nothing else has come for a while, if ever.
    pub fn prevails(&self) -> bool {
        let alone = self.last.zip(self.readable_at).map(|(last, at)| last.saturating_duration_since(at));
        self.unreadable >= COUNT_MIN && alone.is_none_or(|alone| alone >= ALONE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Now;

    /// True when it prevails after these, one a second from this second on; `x` cannot be read.
    fn after(nonsense: &mut UnreadableRatio, begin: Instant, second: u64, said: &str) -> bool {
        for (at, sign) in (second..).zip(said.chars()) {
            nonsense.count(begin + Duration::from_secs(at), sign != 'x');
        }
        nonsense.prevails()
    }

    #[test]
    fn it_prevails_where_nothing_could_be_read_for_a_minute_and_one_odd_chat_does_not() {
        let begin = Now::read().mono;
        for (said, expected) in [
            (String::new(), false),
            ("xxxx".to_owned(), false),
            ("x".repeat(19), false),
            ("x".repeat(20), true),
            (format!(".{}", "x".repeat(59)), false),
            (format!(".{}", "x".repeat(60)), true),
            (format!("{}.", "x".repeat(60)), false),
            // A word among them every half a minute.
            (format!("{0}.{0}.{0}", "x".repeat(30)), false),
        ] {
            assert_eq!(after(&mut UnreadableRatio::default(), begin, 0, &said), expected, "{said}");
        }
        let mut nonsense = UnreadableRatio::default();
        assert!(!after(&mut nonsense, begin, 0, "."));
        assert!(
            !after(&mut nonsense, begin, 3600, &"x".repeat(19)),
            "few are odd, however long nothing came"
        );
        assert!(after(&mut nonsense, begin, 3620, "x"));
    }
}
