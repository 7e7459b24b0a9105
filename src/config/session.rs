//! Pure. The end of conversations.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::time::Duration;

use jiff::civil::Time;

use crate::platforms::Platform;
use crate::setting::value::{DAY, HOUR, MINUTE, SECOND, any, of, time, time_or_off, word};
use crate::setting::{Flat, Settings, Unset, table};

table! {
    /// The end of conversations, and the time for which old ones are kept.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct SessionConfig {
        /// On platforms that have no setting of their own.
        pub reset: ResetConfig = ResetConfig::default(), Flat;
        /// On these platforms.
        pub platforms: BTreeMap<Platform, ResetConfig> = BTreeMap::new(), Unset;
        /// True when the next answer mentions, once, that a new conversation has begun by itself.
        pub notify: bool = true, any::<bool>();
        /// The time for which an ended conversation is kept.
        pub keep: Duration = 90 * DAY, time(HOUR..=3650 * DAY);
        /// True when each person in a group has a separate conversation.
        pub per_user_in_groups: bool = false, any::<bool>();
        /// The agent gets the age of a message that was sent longer ago than this. `None`: never.
        pub late_after: Option<Duration> = Some(HOUR), time_or_off(SECOND..=3650 * DAY);
    }
}

table! {
    /// When a conversation ends by itself.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub struct ResetConfig {
        /// By which rule.
        pub reset: Reset = Reset::None, word(&RESETS);
        /// [`Reset::Idle`]: after this silence. Seconds are for trying it out.
        pub idle_after: Duration = DAY, time(SECOND..=365 * DAY);
        /// [`Reset::Daily`]: at this time of the day, as the clock on the wall shows it.
        pub daily_at: Time = Time::constant(4, 0, 0, 0), of(time_of_day);
    }
}

/// By which rule a conversation ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Reset {
    /// Only when somebody says so.
    #[default]
    None,
    /// After a silence.
    Idle,
    /// Once a day.
    Daily,
}

const RESETS: [(&str, Reset); 3] = [("none", Reset::None), ("idle", Reset::Idle), ("daily", Reset::Daily)];

impl SessionConfig {
    /// The rule on this platform.
    pub fn of(&self, platform: Platform) -> ResetConfig {
        self.platforms.get(&platform).copied().unwrap_or(self.reset)
    }
}

fn time_of_day(text: String) -> Result<Time, String> {
    Time::strptime("%H:%M", text.trim()).map_err(|_| "must be a time such as \"04:00\"".to_owned())
}

/// hermes-agent's names for the silence and the hour of a reset. Whether there is one says `gateway.toml`.
pub(super) fn by_name(session: &mut SessionConfig, settings: &Settings<'_>) {
    let number = |name: &str, range: RangeInclusive<u32>| {
        let number = settings.value(name)?.parse().ok().filter(|number| range.contains(number));
        if number.is_none() {
            let (min, max) = (range.start(), range.end());
            settings.warn(format!("{name} must be a number from {min} to {max}; ignored"));
        }
        number
    };
    let idle = number("SESSION_IDLE_MINUTES", 1..=365 * 24 * 60);
    let hour = number("SESSION_RESET_HOUR", 0..=23).and_then(|hour| i8::try_from(hour).ok());
    for reset in core::iter::once(&mut session.reset).chain(session.platforms.values_mut()) {
        if let Some(minutes) = idle {
            reset.idle_after = minutes * MINUTE;
        }
        if let Some(hour) = hour {
            reset.daily_at = Time::constant(hour, 0, 0, 0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::file::read;
    use super::*;

    #[test]
    fn hermes_agents_names_change_the_numbers_and_begin_no_rule() {
        let of = |env: &str| {
            let world = crate::world::World::of_env([("A", "b")]);
            let env = crate::env_file::EnvFile::parse(env);
            let text = "[session]\nidle_after = '2h'\n[platforms.telegram.session]\nreset = 'idle'\n";
            let mut session = read(text, &mut Vec::new()).unwrap().session;
            let settings = Settings::new(&world, &env);
            by_name(&mut session, &settings);
            (session, settings.warnings.take().len())
        };
        let (session, told) = of("SESSION_IDLE_MINUTES=30\nSESSION_RESET_HOUR=6");
        let expected =
            ResetConfig { reset: Reset::None, idle_after: 30 * MINUTE, daily_at: Time::constant(6, 0, 0, 0) };
        assert_eq!((session.reset, told), (expected, 0));
        assert_eq!(session.of(Platform::Telegram), ResetConfig { reset: Reset::Idle, ..expected });
        for env in [
            "SESSION_IDLE_MINUTES=0",
            "SESSION_IDLE_MINUTES=x",
            "SESSION_RESET_HOUR=24",
            "SESSION_RESET_HOUR=-1",
        ] {
            let (session, told) = of(env);
            assert_eq!(
                (session.reset.idle_after, session.reset.daily_at.hour(), told),
                (2 * HOUR, 4, 1),
                "{env}"
            );
        }
    }

    #[test]
    fn a_platform_may_have_its_own_rule_and_inherits_what_it_leaves_out() {
        let text = "[session]\nreset = 'daily'\ndaily_at = '23:30'\nnotify = false\nkeep = '7d'\n\
                    [platforms.whatsapp.session]\nreset = 'idle'\nidle_after = '2h'\n\
                    [platforms.telegram.session]\nreset = 'none'\n";
        let session = read(text, &mut Vec::new()).unwrap().session;
        assert!(!session.notify && session.keep == 7 * 24 * HOUR);
        let late = |text| read(text, &mut Vec::new()).unwrap().session.late_after;
        assert_eq!(late("[session]\nlate_after = '26h'"), Some(26 * HOUR));
        assert_eq!(late("[session]\nlate_after = 'off'"), None);
        let at = Time::constant(23, 30, 0, 0);
        let everywhere = ResetConfig { reset: Reset::Daily, daily_at: at, ..ResetConfig::default() };
        assert_eq!(session.of(Platform::scripted(1).unwrap()), everywhere);
        let own = ResetConfig { reset: Reset::Idle, idle_after: 2 * HOUR, daily_at: at };
        assert_eq!(session.of(Platform::Whatsapp), own);
        let own = ResetConfig { reset: Reset::None, ..everywhere };
        assert_eq!(session.of(Platform::Telegram), own);
        for (text, expected) in [
            ("[session]\nreset = 'weekly'", "line 2, column 9: reset must be none, idle or daily"),
            ("[session]\ndaily_at = '25:00'", "line 2, column 12: daily_at must be a time"),
            ("[session]\nidle_after = '0s'", "line 2, column 14: idle_after must be from"),
        ] {
            let error = read(text, &mut Vec::new()).err().unwrap().to_string();
            assert!(error.contains(expected), "{error}");
        }
    }
}
