//! Pure. The rules by which a conversation ends.

use jiff::{SignedDuration, Timestamp, Zoned};

use crate::config::{Reset, ResetConfig};

/// The time bound: a conversation without a message since then has ended. `None`: none ends by a rule.
pub fn bound(config: &ResetConfig, now: &Zoned) -> Option<Timestamp> {
    match config.reset {
        Reset::None => None,
        Reset::Idle => {
            let idle = SignedDuration::try_from(config.idle_after).unwrap_or(SignedDuration::MAX);
            now.timestamp().checked_sub(idle).ok()
        }
        Reset::Daily => {
            // On a day without this time it is an hour later; on one that has it twice the first counts.
            let on =
                |date: jiff::civil::Date| date.to_datetime(config.daily_at).to_zoned(now.time_zone().clone());
            let today = on(now.date()).ok()?.timestamp();
            if today <= now.timestamp() {
                return Some(today);
            }
            on(now.date().yesterday().ok()?).ok().map(|at| at.timestamp())
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use jiff::civil::Time;

    use super::*;

    fn at(text: &str) -> Zoned {
        text.parse().unwrap()
    }

    fn daily(hour: i8, minute: i8) -> ResetConfig {
        let daily_at = Time::new(hour, minute, 0, 0).unwrap();
        ResetConfig { reset: Reset::Daily, daily_at, ..ResetConfig::default() }
    }

    #[test]
    fn nothing_ends_by_itself_unless_a_rule_says_so() {
        let now = at("2026-05-01T12:00[Europe/Berlin]");
        assert_eq!(bound(&ResetConfig::default(), &now), None);
        let idle = ResetConfig { reset: Reset::Idle, idle_after: Duration::from_hours(2), ..daily(4, 0) };
        assert_eq!(bound(&idle, &now), Some(at("2026-05-01T10:00[Europe/Berlin]").timestamp()));
    }

    #[test]
    fn a_day_ends_at_its_time_on_the_wall_also_when_clocks_change() {
        for (config, now, expected) in [
            (daily(4, 0), "2026-05-01T04:00[Europe/Berlin]", "2026-05-01T04:00[Europe/Berlin]"),
            (daily(4, 0), "2026-05-01T03:59[Europe/Berlin]", "2026-04-30T04:00[Europe/Berlin]"),
            (daily(4, 0), "2026-01-01T00:30[Europe/Berlin]", "2025-12-31T04:00[Europe/Berlin]"),
            // The clock goes from 02:00 to 03:00: a day that has no 02:30 ends at 03:30.
            (daily(2, 30), "2026-03-29T03:29[Europe/Berlin]", "2026-03-28T02:30[Europe/Berlin]"),
            (daily(2, 30), "2026-03-29T03:30[Europe/Berlin]", "2026-03-29T03:30[Europe/Berlin]"),
            // The clock goes from 03:00 back to 02:00: the second 02:30 is not another end.
            (
                daily(2, 30),
                "2026-10-25T02:45:00+02:00[Europe/Berlin]",
                "2026-10-25T02:30:00+02:00[Europe/Berlin]",
            ),
            (
                daily(2, 30),
                "2026-10-25T02:45:00+01:00[Europe/Berlin]",
                "2026-10-25T02:30:00+02:00[Europe/Berlin]",
            ),
            // 24 h are not always a day.
            (daily(4, 0), "2026-03-29T05:00[Europe/Berlin]", "2026-03-29T04:00[Europe/Berlin]"),
        ] {
            assert_eq!(bound(&config, &at(now)), Some(at(expected).timestamp()), "{now}");
        }
    }
}
