//! Pure. Short retries of a poll or a heartbeat inside a live connection, until its lease is over.
//!
//! The first retry is made at once, the next after 1, 2, 4 and then 5 s. One success resets the count.

use std::time::{Duration, Instant};

use crate::backoff::doubled;
use crate::gateway::model::failure::{AdapterError, Degraded};

/// Failures in a row after which the connection is given up.
const FAILURES_MAX: u32 = 10;

/// The longest wait between two tries.
const WAIT_MAX: Duration = Duration::from_secs(5);

/// The part of the lease that a try needs: one that begins later would be answered too late.
const ANSWERED_WITHIN: Duration = Duration::from_secs(2);

/// The failures in a row of one poll or heartbeat.
#[derive(Debug, Default)]
pub struct Patience {
    failures: u32,
}

impl Patience {
    /// Counts one more failure. `lease_end`: when the connection counts as lost; `asked`: the wait that the service asks for.
    /// Returns the wait before the next try, or `None` where the connection is to be given up.
    pub fn failed(&mut self, now: Instant, lease_end: Instant, asked: Option<Duration>) -> Option<Duration> {
        self.failures = self.failures.saturating_add(1);
        let plain = match self.failures {
            0 | 1 => Duration::ZERO,
            more => doubled(Duration::from_secs(1), more - 2, WAIT_MAX),
        };
        let wait = plain.max(asked.unwrap_or_default());
        let is_in_time = now + wait + ANSWERED_WITHIN <= lease_end;
        (is_in_time && self.failures < FAILURES_MAX).then_some(wait)
    }

    /// Records a success.
    pub fn forgive(&mut self) {
        self.failures = 0;
    }

    /// Failures in a row.
    pub fn failures(&self) -> u32 {
        self.failures
    }

    /// Returns the state that people see while it is tried again for this reason.
    pub fn degraded(&self, error: AdapterError, next_at: Instant) -> Degraded {
        Degraded { error, failures: self.failures, failures_max: Some(FAILURES_MAX), next_at }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Now;

    #[test]
    fn tries_come_at_once_then_after_1_2_4_and_5_s_and_end_with_the_lease() {
        let seconds = Duration::from_secs;
        let begin = Now::read().mono;
        let (mut patience, mut now) = (Patience::default(), begin);
        let mut waits = Vec::new();
        while let Some(wait) = patience.failed(now, begin + seconds(45), None) {
            waits.push(wait.as_secs());
            now += wait;
        }
        assert_eq!(waits, [0, 1, 2, 4, 5, 5, 5, 5, 5]);
        patience.forgive();
        let late = begin + seconds(45) - ANSWERED_WITHIN;
        assert_eq!(patience.failed(late, begin + seconds(45), None), Some(Duration::ZERO));
        assert_eq!(
            patience.failed(late, begin + seconds(45), None),
            None,
            "the next would end after the lease"
        );
        patience.forgive();
        assert_eq!(patience.failed(begin, begin + seconds(45), Some(seconds(7))), Some(seconds(7)));
        assert_eq!(
            patience.failed(begin, begin + seconds(45), Some(seconds(60))),
            None,
            "longer than the lease"
        );
    }
}
