//! The log throttle: a line that would be repeated is logged once, and then in sum: every 15 minutes, with a count.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// The least time between two of the same line.
pub const PERIOD: Duration = Duration::from_secs(900);

/// Most lines that are counted separately; further ones count as one.
const CODES_MAX: usize = 32;

/// The throttle of repeated log lines, by their codes.
#[derive(Debug, Default)]
pub struct LogThrottle {
    told: Mutex<BTreeMap<String, Told>>,
}

#[derive(Debug, Clone, Copy)]
struct Told {
    at: Instant,
    untold: u32,
}

/// The number of repeats since the last line. Displays as nothing the first time, and else as the end of a sentence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct More(u32);

impl fmt::Display for More {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            0 => Ok(()),
            1 => f.write_str("; once more since the last report"),
            count => write!(f, "; {count} more times since the last report"),
        }
    }
}

impl LogThrottle {
    /// Counts one more; returns `Some` when it is to be logged now.
    pub fn say(&self, now: Instant, code: &str) -> Option<More> {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        if told.len() >= CODES_MAX {
            told.retain(|_, last| now.saturating_duration_since(last.at) < PERIOD);
        }
        let code = if told.len() >= CODES_MAX && !told.contains_key(code) { "" } else { code };
        let Some(last) = told.get_mut(code) else {
            told.insert(code.to_owned(), Told { at: now, untold: 0 });
            return Some(More(0));
        };
        if now.saturating_duration_since(last.at) < PERIOD {
            last.untold = last.untold.saturating_add(1);
            return None;
        }
        last.at = now;
        Some(More(std::mem::take(&mut last.untold)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Now;

    #[test]
    fn an_hour_of_the_same_is_four_lines_with_all_of_it_counted() {
        let repeats = LogThrottle::default();
        let begin = Now::read().mono;
        let mut said = Vec::new();
        for second in 0..3600 {
            said.extend(repeats.say(begin + Duration::from_secs(second), "refused"));
        }
        assert_eq!(said, [More(0), More(899), More(899), More(899)]);
        assert_eq!(format!("not sent{}", said[0]), "not sent");
        assert_eq!(format!("not sent{}", said[1]), "not sent; 899 more times since the last report");
    }

    #[test]
    fn each_code_is_said_by_itself_and_no_number_of_codes_fills_the_memory_or_the_log() {
        let repeats = LogThrottle::default();
        let now = Now::read().mono;
        assert!(repeats.say(now, "a").is_some() && repeats.say(now, "b").is_some());
        let said = (0..10_000).filter(|n| repeats.say(now, &n.to_string()).is_some()).count();
        assert!(said <= CODES_MAX, "{said}");
        assert!(repeats.told.lock().unwrap().len() <= CODES_MAX + 1);
        let later = now + PERIOD;
        assert!(
            repeats.say(later, "new").is_some() && repeats.say(later, "newer").is_some(),
            "old ones make room"
        );
    }
}
