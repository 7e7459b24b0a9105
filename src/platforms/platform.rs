//! Pure. The platforms: a variant each; the compiler lists the places that need more.

use std::fmt;
use std::str::FromStr;

use super::spec::PlatformSpec;
use super::{scripted, telegram, whatsapp};

/// A messaging platform.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Platform {
    /// WhatsApp, through the Node bridge.
    Whatsapp,
    /// Telegram, by its Bot API.
    Telegram,
    /// A platform that a test plays; see `gateway::platforms::scripted`. Never offered to people.
    Scripted(Part),
}

/// The number of a scripted platform, 1 to 9.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Part(u8);

impl Platform {
    /// All platforms that people can use, in the order shown.
    pub const ALL: [Self; 2] = [Self::Whatsapp, Self::Telegram];

    /// Returns the scripted platform of this number.
    pub fn scripted(number: u8) -> Option<Self> {
        (1..=scripted::SPECS.len()).contains(&usize::from(number)).then_some(Self::Scripted(Part(number)))
    }

    /// Returns every platform, also those that only tests play.
    pub fn every() -> impl Iterator<Item = Self> {
        Self::ALL.into_iter().chain((1..=u8::MAX).map_while(Self::scripted))
    }

    /// Returns the variable of `.env` for a setting of this platform, such as `TELEGRAM_ALLOWED_USERS`.
    pub fn variable(self, setting: &str) -> String {
        format!("{}_{setting}", self.spec().name.to_ascii_uppercase())
    }

    /// Returns this platform's row.
    pub fn spec(self) -> &'static PlatformSpec {
        match self {
            Self::Whatsapp => &whatsapp::SPEC,
            Self::Telegram => &telegram::SPEC,
            Self::Scripted(Part(number)) => &scripted::SPECS[usize::from(number) - 1],
        }
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.spec().name)
    }
}

/// The error that no platform has this name.
#[derive(Debug, Clone, thiserror::Error, PartialEq, Eq)]
#[error("unknown platform `{name}` (known: {})", Platform::ALL.map(|platform| platform.spec().name).join(", "))]
pub struct UnknownPlatform {
    name: String,
}

impl FromStr for Platform {
    type Err = UnknownPlatform;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        Self::every()
            .find(|platform| platform.spec().name.eq_ignore_ascii_case(name.trim()))
            .ok_or_else(|| UnknownPlatform { name: name.trim().to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_round_trip_in_any_case_and_unknown_ones_list_the_known() {
        for platform in Platform::every() {
            assert_eq!(platform.to_string().to_uppercase().parse(), Ok(platform));
        }
        assert_eq!(Platform::every().count(), Platform::ALL.len() + 9);
        assert_eq!(Platform::scripted(0), None);
        let error = "fax".parse::<Platform>().unwrap_err();
        assert_eq!(error.to_string(), "unknown platform `fax` (known: whatsapp, telegram)");
    }
}
