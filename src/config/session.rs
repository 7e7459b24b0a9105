//! Pure. The end of conversations.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::time::Duration;

use jiff::civil::Time;
use serde::Deserialize;
use toml::Spanned;

use super::Settings;
use super::file::{HOUR, MINUTE, Place, SECOND};
use crate::error::CliError;
use crate::platforms::Platform;

/// The end of conversations, and the time for which old ones are kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionConfig {
    /// On platforms that have no setting of their own.
    pub reset: ResetConfig,
    /// On these platforms.
    pub platforms: BTreeMap<Platform, ResetConfig>,
    /// True when the next answer mentions, once, that a new conversation has begun by itself.
    pub notify: bool,
    /// The time for which an ended conversation is kept.
    pub keep: Duration,
    /// True when each person in a group has a separate conversation.
    pub per_user_in_groups: bool,
    /// The agent gets the age of a message that was sent longer ago than this. `None`: never.
    pub late_after: Option<Duration>,
}

/// When a conversation ends by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ResetConfig {
    /// By which rule.
    pub reset: Reset,
    /// [`Reset::Idle`]: after this silence.
    pub idle_after: Duration,
    /// [`Reset::Daily`]: at this time of the day, as the clock on the wall shows it.
    pub daily_at: Time,
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

impl SessionConfig {
    /// The rule on this platform.
    pub fn of(&self, platform: Platform) -> ResetConfig {
        self.platforms.get(&platform).copied().unwrap_or(self.reset)
    }
}

impl Default for SessionConfig {
    fn default() -> Self {
        Self {
            reset: ResetConfig::default(),
            platforms: BTreeMap::new(),
            notify: true,
            keep: Duration::from_hours(90 * 24),
            per_user_in_groups: false,
            late_after: Some(HOUR),
        }
    }
}

impl Default for ResetConfig {
    fn default() -> Self {
        Self {
            reset: Reset::None,
            idle_after: Duration::from_hours(24),
            daily_at: Time::constant(4, 0, 0, 0),
        }
    }
}

#[derive(Deserialize, Default)]
#[serde(default)]
pub(super) struct RawSession {
    reset: Option<Spanned<String>>,
    idle_after: Option<Spanned<String>>,
    daily_at: Option<Spanned<String>>,
    notify: Option<bool>,
    keep: Option<Spanned<String>>,
    per_user_in_groups: Option<bool>,
    late_after: Option<Spanned<String>>,
}

/// The same rule for one platform; what it leaves out is as everywhere.
#[derive(Deserialize, Default)]
#[serde(default)]
pub(super) struct RawReset {
    reset: Option<Spanned<String>>,
    idle_after: Option<Spanned<String>>,
    daily_at: Option<Spanned<String>>,
}

/// hermes-agent's names for the silence and the hour of a reset. Whether there is one says `gateway.toml`.
pub(super) fn by_name(session: &mut SessionConfig, settings: &Settings<'_>, warnings: &mut Vec<String>) {
    let mut number = |name: &str, range: RangeInclusive<u32>| {
        let value = settings.value(name)?;
        let number = value.parse().ok().filter(|number| range.contains(number));
        if number.is_none() {
            let (min, max) = (range.start(), range.end());
            warnings.push(format!("{name} must be a number from {min} to {max}; ignored"));
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

impl Place<'_> {
    pub(super) fn session(
        &self,
        raw: RawSession,
        own: impl IntoIterator<Item = (Platform, Option<RawReset>)>,
    ) -> Result<SessionConfig, CliError> {
        let default = SessionConfig::default();
        let everywhere = RawReset { reset: raw.reset, idle_after: raw.idle_after, daily_at: raw.daily_at };
        let reset = self.reset(everywhere, default.reset)?;
        let mut platforms = BTreeMap::new();
        for (platform, own) in own {
            if let Some(own) = own {
                platforms.insert(platform, self.reset(own, reset)?);
            }
        }
        Ok(SessionConfig {
            reset,
            platforms,
            notify: raw.notify.unwrap_or(default.notify),
            keep: self.duration(raw.keep, default.keep, &(HOUR..=3650 * 24 * HOUR), "keep")?,
            per_user_in_groups: raw.per_user_in_groups.unwrap_or(default.per_user_in_groups),
            late_after: match raw.late_after {
                Some(text) if text.get_ref().trim() == "off" => None,
                after => Some(self.duration(after, HOUR, &(SECOND..=3650 * 24 * HOUR), "late_after")?),
            },
        })
    }

    fn reset(&self, raw: RawReset, default: ResetConfig) -> Result<ResetConfig, CliError> {
        let reset = match raw.reset {
            Some(word) => match word.get_ref().as_str() {
                "none" => Reset::None,
                "idle" => Reset::Idle,
                "daily" => Reset::Daily,
                _ => return Err(self.error(word.span(), "reset must be none, idle or daily")),
            },
            None => default.reset,
        };
        let daily_at = match raw.daily_at {
            Some(text) => Time::strptime("%H:%M", text.get_ref().trim())
                .map_err(|_| self.error(text.span(), "daily_at must be a time such as \"04:00\""))?,
            None => default.daily_at,
        };
        // Seconds are for trying it out.
        let range = SECOND..=365 * 24 * 60 * MINUTE;
        let idle_after = self.duration(raw.idle_after, default.idle_after, &range, "idle_after")?;
        Ok(ResetConfig { reset, idle_after, daily_at })
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
            let (mut session, mut warnings) = (read(text, &mut Vec::new()).unwrap().session, Vec::new());
            by_name(&mut session, &Settings::new(&world, &env), &mut warnings);
            (session, warnings.len())
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
            let error = read(text, &mut Vec::new()).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
    }
}
