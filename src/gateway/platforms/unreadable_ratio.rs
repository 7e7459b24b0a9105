//! Pure. Whether most of what a service says makes no sense: then it is not this message or that, and taking more helps nobody.

use std::time::{Duration, Instant};

/// What came within this time is compared.
const WITHIN: Duration = Duration::from_secs(60);

/// Fewer than this may be something new that people send.
const COUNT_MIN: u32 = 4;

/// What came within a minute, over one connection.
#[derive(Debug, Default)]
pub struct Nonsense {
    since: Option<Instant>,
    readable: u32,
    unreadable: u32,
}

impl Nonsense {
    /// One more came, and it could be read, or not.
    pub fn count(&mut self, now: Instant, is_readable: bool) {
        if self.since.is_none_or(|since| now.duration_since(since) >= WITHIN) {
            *self = Self { since: Some(now), ..Self::default() };
        }
        let count = if is_readable { &mut self.readable } else { &mut self.unreadable };
        *count = count.saturating_add(1);
    }

    /// More than half of it could not be read.
    pub fn prevails(&self) -> bool {
        self.unreadable >= COUNT_MIN && self.unreadable > self.readable
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Now;

    /// True when it prevails after these, one a second from this second on; `x` cannot be read.
    fn after(nonsense: &mut Nonsense, begin: Instant, second: u64, said: &str) -> bool {
        for (at, sign) in (second..).zip(said.chars()) {
            nonsense.count(begin + Duration::from_secs(at), sign != 'x');
        }
        nonsense.prevails()
    }

    #[test]
    fn it_prevails_where_more_than_half_of_a_minute_cannot_be_read() {
        let begin = Now::read().mono;
        for (said, expected) in [
            ("", false),
            ("xxx", false),
            ("xxxx", true),
            ("....xxxx", false),
            ("....xxxxx", true),
            ("xxxx....", false),
        ] {
            assert_eq!(after(&mut Nonsense::default(), begin, 0, said), expected, "{said}");
        }
        let mut nonsense = Nonsense::default();
        assert!(!after(&mut nonsense, begin, 0, "xxx"));
        assert!(!after(&mut nonsense, begin, 60, "x"), "the minute before does not count");
        assert!(after(&mut nonsense, begin, 61, "xxx"));
    }
}
