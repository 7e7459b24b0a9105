//! Pure. Detects that a platform was away for longer than its service keeps messages.

use std::time::Duration;

use jiff::Timestamp;

use crate::gateway::store::api::contacts::Contact;

/// A period of which messages may be lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gap {
    /// The time from which nothing was received.
    pub from: Timestamp,
    /// The time from which the service still keeps messages.
    pub until: Timestamp,
}

impl Contact {
    /// The time since an earlier contact. The wall clock is used only across a start of the machine: while the machine
    /// runs, the clock may have been set.
    pub fn since(&self, earlier: &Self) -> Duration {
        match (&self.uptime, &earlier.uptime) {
            (Some(now), Some(then)) if now.boot_id == then.boot_id => {
                Duration::from_secs(now.seconds.saturating_sub(then.seconds).into())
            }
            _ => Duration::try_from(self.at.duration_since(earlier.at)).unwrap_or_default(),
        }
    }

    /// True when it is later by less than this, by both clocks.
    pub fn is_within(&self, time: Duration, earlier: &Self) -> bool {
        self.since(earlier) < time && self.at.duration_since(earlier.at).unsigned_abs() < time
    }

    /// The period whose messages the service has deleted meanwhile, if it keeps them for this time.
    pub fn gap(&self, earlier: &Self, keeps: Duration) -> Option<Gap> {
        let away = self.since(earlier);
        let before = |time: Duration| self.at.checked_sub(time).unwrap_or(Timestamp::MIN);
        (away > keeps).then(|| Gap { from: before(away), until: before(keeps) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Uptime;

    const HOUR: i64 = 3600;
    const KEEPS: Duration = Duration::from_hours(24);

    fn contact(at_s: i64, uptime: Option<(&str, i64)>) -> Contact {
        let uptime = uptime.map(|(boot_id, seconds)| Uptime {
            boot_id: boot_id.to_owned(),
            seconds: u32::try_from(seconds).unwrap(),
        });
        Contact { at: Timestamp::from_second(at_s).unwrap(), uptime }
    }

    #[test]
    fn what_was_away_for_longer_than_messages_are_kept_has_a_gap_and_a_clock_that_is_set_has_none() {
        let begin = 1_800_000_000;
        // Hours by the wall clock, and by the machine's: the same start, another one, or none that is known.
        for (wall, machine, gap) in [
            (1, Some(("a", 1)), None),
            (24, Some(("a", 24)), None),
            (30, Some(("a", 30)), Some((0, 6))),
            // The clock was set forward, and back.
            (900, Some(("a", 1)), None),
            (-900, Some(("a", 30)), Some((-930, -924))),
            // Started again: only the wall clock shows it.
            (30, Some(("b", 1)), Some((0, 6))),
            (30, None, Some((0, 6))),
            (23, Some(("b", 1)), None),
            (-900, Some(("b", 1)), None),
            (-900, None, None),
        ] {
            let first = contact(begin, Some(("a", 5 * HOUR)));
            let (boot, hours) = machine.map_or((None, 0), |(boot, hours)| (Some(boot), hours));
            let second = contact(begin + wall * HOUR, boot.map(|boot| (boot, (5 + hours) * HOUR)));
            let at = |hours: i64| Timestamp::from_second(begin + hours * HOUR).unwrap();
            let expected = gap.map(|(from, until)| Gap { from: at(from), until: at(until) });
            assert_eq!(second.gap(&first, KEEPS), expected, "{wall} h by the wall, {machine:?}");
        }
    }
}
