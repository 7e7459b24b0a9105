//! Pure. Finding about the time zone, which `daily_at` and the times in notices follow.

use super::{Code, Finding};
use crate::config::{Config, Reset};
use crate::platforms::Platform;

/// The time zone, as this process finds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ZoneFact {
    /// A known zone.
    Known,
    /// `TZ` names an unknown zone.
    Unknown {
        /// The value of `TZ`.
        name: String,
    },
    /// `TZ` is like `UTC+9`, which POSIX reads as 9 hours behind UTC, not ahead of it.
    Reversed {
        /// The value of `TZ`.
        name: String,
        /// Its meaning, in seconds ahead of UTC.
        offset_s: i32,
    },
    /// Neither `TZ` nor the system names a zone.
    NotSet,
}

/// Returns the finding. Without any zone only rules that need one are reported: a container's clock is UTC.
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
                format!("the time zone `{name}` in TZ is not known; using UTC{what}"),
                "Correct TZ where the gateway is started (unit, container or shell), for example TZ=Europe/Berlin.",
            )
        }
        ZoneFact::Reversed { name, offset_s } => return Some(reversed(name, *offset_s)),
        ZoneFact::NotSet => (
            format!("this machine has no time zone set; using UTC for {}", daily?),
            "Set TZ where the gateway is started, for example TZ=Europe/Berlin; or TZ=UTC.",
        ),
    };
    Some(Finding::warning(Code::TimeZoneUnknown, message, fix))
}

/// True for a value of `TZ` in the form that people write for the opposite: `UTC+9`, `GMT-5:30`.
pub fn is_reversed(name: &str) -> bool {
    let offset = ["UTC", "GMT"].into_iter().find_map(|zone| name.strip_prefix(zone));
    offset.is_some_and(|offset| {
        let digits = offset.trim_start_matches(['+', '-']);
        digits.starts_with(|sign: char| sign.is_ascii_digit()) && !digits.trim_matches(['0', ':']).is_empty()
    })
}

fn reversed(name: &str, offset_s: i32) -> Finding {
    let shown = |seconds: i32| match (seconds.abs() / 3600, seconds.abs() % 3600 / 60) {
        (hours, 0) => format!("{hours} h"),
        (hours, minutes) => format!("{hours} h {minutes} min"),
    };
    let (is, is_not) = if offset_s > 0 { ("ahead of", "behind") } else { ("behind", "ahead of") };
    let meant = -offset_s;
    let place =
        PLACES.iter().find(|(offset, _)| offset * 60 == meant).map_or("Europe/Berlin", |(_, place)| place);
    Finding::warning(
        Code::TimeZoneReversed,
        format!(
            "TZ={name} means {} {is} UTC: in this form the sign is the reverse of the usual one",
            shown(offset_s)
        ),
        format!(
            "If {} {is_not} UTC is meant, set TZ to the name of a place where the gateway is started, for example TZ={place}.",
            shown(meant)
        ),
    )
}

/// A place for each usual offset from UTC, in minutes.
const PLACES: [(i32, &str); 24] = [
    (-600, "Pacific/Honolulu"),
    (-540, "America/Anchorage"),
    (-480, "America/Los_Angeles"),
    (-420, "America/Denver"),
    (-360, "America/Chicago"),
    (-300, "America/New_York"),
    (-240, "America/Halifax"),
    (-180, "America/Sao_Paulo"),
    (60, "Europe/Berlin"),
    (120, "Europe/Athens"),
    (180, "Europe/Istanbul"),
    (210, "Asia/Tehran"),
    (240, "Asia/Dubai"),
    (300, "Asia/Karachi"),
    (330, "Asia/Kolkata"),
    (345, "Asia/Kathmandu"),
    (360, "Asia/Dhaka"),
    (420, "Asia/Bangkok"),
    (480, "Asia/Shanghai"),
    (540, "Asia/Tokyo"),
    (570, "Australia/Adelaide"),
    (600, "Australia/Sydney"),
    (660, "Pacific/Noumea"),
    (720, "Pacific/Auckland"),
];

/// Length limit for a name, in characters.
const NAME_MAX: usize = 60;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sign_that_means_the_opposite_is_told_with_the_zone_that_it_means_and_a_place() {
        for (name, is) in [
            ("UTC+9", true),
            ("GMT-5:30", true),
            ("UTC9", true),
            ("UTC", false),
            ("UTC0", false),
            ("UTC+0", false),
            ("GMT+00:00", false),
            ("JST-9", false),
            ("EST5EDT", false),
            ("Etc/GMT-9", false),
            ("Asia/Tokyo", false),
        ] {
            assert_eq!(is_reversed(name), is, "{name}");
        }
        let said = |name: &str, offset_s| {
            let zone = ZoneFact::Reversed { name: name.to_owned(), offset_s };
            let finding = finding(&Config::default(), &zone).unwrap();
            (finding.code.as_str(), finding.message, finding.fix)
        };
        let (code, message, fix) = said("UTC+9", -9 * 3600);
        assert_eq!(code, "time_zone_reversed");
        assert!(message.starts_with("TZ=UTC+9 means 9 h behind UTC"), "{message}");
        assert!(fix.contains("9 h ahead of UTC") && fix.contains("TZ=Asia/Tokyo"), "{fix}");
        let (_, message, fix) = said("GMT-5:30", 19800);
        assert!(
            message.contains("5 h 30 min ahead of UTC") && fix.contains("5 h 30 min behind"),
            "{message} {fix}"
        );
    }

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
