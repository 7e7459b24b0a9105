//! Pure. Whether what follows the clock on the wall (`daily_at`, times in notices) follows the right one.

use super::{Code, Finding};
use crate::config::{Config, Reset};
use crate::platform::Platform;

/// The time zone, as this process finds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ZoneFact {
    /// It is known.
    Known,
    /// `TZ` names one that does not exist.
    Unknown {
        /// The value of `TZ`.
        name: String,
    },
    /// Neither `TZ` nor the system says which.
    NotSet,
}

/// What a person should look at. Without any zone only rules that need one are worth a word: a container's clock is UTC.
pub fn finding(config: &Config, zone: &ZoneFact) -> Option<Finding> {
    let daily = Platform::every()
        .map(|platform| config.session.of(platform))
        .find(|rule| rule.reset == Reset::Daily)
        .map(|rule| format!("daily_at = \"{}\" under [session]", rule.daily_at.strftime("%H:%M")));
    let (message, fix) = match zone {
        ZoneFact::Known => return None,
        ZoneFact::Unknown { name } => {
            let name: String = name.escape_debug().take(NAME_MAX).collect();
            let what = daily.map_or(String::new(), |daily| format!(", also for {daily}"));
            (
                format!("the time zone `{name}` in TZ is not known, so UTC is used{what}"),
                "Correct TZ where the gateway is started (its unit, container or shell), for example TZ=Europe/Berlin.",
            )
        }
        ZoneFact::NotSet => (
            format!("this machine has no time zone, so UTC is used for {}", daily?),
            "Set TZ where the gateway is started, for example TZ=Europe/Berlin; if UTC is meant, TZ=UTC.",
        ),
    };
    Some(Finding::warning(Code::TimeZoneUnknown, message, fix))
}

/// More of a name is not shown.
const NAME_MAX: usize = 60;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_misspelt_zone_is_always_told_and_a_missing_one_where_something_follows_it() {
        let mut config = Config::default();
        let unknown = ZoneFact::Unknown { name: "Europe/Belin\u{1b}".to_owned() };
        assert_eq!(finding(&config, &ZoneFact::NotSet), None);
        let said = finding(&config, &unknown).unwrap();
        assert!(
            said.message.contains("`Europe/Belin\\u{1b}`") && !said.message.contains("daily_at"),
            "{said:?}"
        );
        config.session.reset.reset = Reset::Daily;
        for zone in [unknown, ZoneFact::NotSet] {
            let said = finding(&config, &zone).unwrap();
            assert!(said.message.contains("daily_at = \"04:00\""), "{said:?}");
        }
        assert_eq!(finding(&config, &ZoneFact::Known), None);
    }
}
