//! Pure. Detects that the machine slept, or that its clock was set ahead.
//!
//! The monotonic clock stands still while the machine sleeps, and the wall clock does not. So when the wall clock has gone
//! ahead by more than 30 s, no earlier proof is valid. A wall clock that is set back has no effect: every deadline and
//! every proof uses the monotonic clock.

use std::time::Duration;

use jiff::SignedDuration;

use crate::clock::Now;

/// A smaller difference is a correction of the clock.
const JUMP_MIN: SignedDuration = SignedDuration::from_secs(30);

/// Compares the two clocks from turn to turn.
#[derive(Debug, Clone, Copy)]
pub struct JumpWatch {
    last: Now,
}

impl JumpWatch {
    /// Starts now.
    pub fn new(now: Now) -> Self {
        Self { last: now }
    }

    /// Returns the time by which the wall clock has gone ahead of the monotonic one since the last look, when that is a jump.
    pub fn look(&mut self, now: Now) -> Option<Duration> {
        let wall = now.wall.duration_since(self.last.wall);
        let mono = SignedDuration::try_from(now.mono.saturating_duration_since(self.last.mono)).ok()?;
        self.last = now;
        let ahead = wall.checked_sub(mono)?;
        (ahead > JUMP_MIN).then(|| ahead.unsigned_abs())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sleep_is_noticed_and_time_that_passes_is_not() {
        let begin = Now::read();
        let at = |wall: i64, mono: u64| Now {
            wall: begin.wall + SignedDuration::from_secs(wall),
            mono: begin.mono + Duration::from_secs(mono),
        };
        let mut watch = JumpWatch::new(begin);
        assert_eq!(watch.look(at(1000, 1000)), None);
        assert_eq!(watch.look(at(1030, 1001)), None, "a correction");
        assert_eq!(watch.look(at(1030 + 28_801, 1002)), Some(Duration::from_secs(28_800)));
        assert_eq!(watch.look(at(1030 + 28_802, 1003)), None, "noticed once");
        assert_eq!(watch.look(at(0, 1004)), None, "set back: every deadline is monotonic");
    }
}
