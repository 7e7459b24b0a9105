//! The platforms: one enum variant and one [`PlatformSpec`] row each; the compiler lists what else is needed.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// A messaging platform.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Platform {
    /// WhatsApp, through the Node bridge.
    Whatsapp,
    /// One that a test plays; see `gateway::platforms::played`. Never offered to people.
    Scripted(Part),
}

/// Which of the scripted platforms: 1 to 9.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Part(u8);

/// What is the same for every account of a platform.
#[derive(Debug)]
pub struct PlatformSpec {
    /// The name on the wire: in settings, the status file, commands and metrics.
    pub name: &'static str,
    /// The name as people write it.
    pub title: &'static str,
    /// The command that sets it up.
    pub setup: &'static str,
    /// Longest text of one message, in characters; longer replies are split.
    pub text_len_max: usize,
    /// A link whose last proof of life is older than this is not connected, whatever it says.
    pub lease: Duration,
    /// The error code when the lease has run out.
    pub lease_code: &'static str,
}

impl Platform {
    /// All that people can use, in the order shown.
    pub const ALL: [Self; 1] = [Self::Whatsapp];

    /// The scripted platform of this number.
    pub fn scripted(number: u8) -> Option<Self> {
        (1..=SCRIPTED.len()).contains(&usize::from(number)).then_some(Self::Scripted(Part(number)))
    }

    /// Every platform, also those that only tests play.
    pub fn every() -> impl Iterator<Item = Self> {
        Self::ALL.into_iter().chain((1..=u8::MAX).map_while(Self::scripted))
    }

    /// This platform's row.
    pub fn spec(self) -> &'static PlatformSpec {
        match self {
            Self::Whatsapp => &WHATSAPP,
            Self::Scripted(Part(number)) => &SCRIPTED[usize::from(number) - 1],
        }
    }
}

static WHATSAPP: PlatformSpec = PlatformSpec {
    name: "whatsapp",
    title: "WhatsApp",
    setup: "hermes whatsapp",
    text_len_max: 4096,
    lease: Duration::from_secs(90),
    lease_code: "whatsapp_bridge_hung",
};

static SCRIPTED: [PlatformSpec; 9] = [
    scripted("scripted1"),
    scripted("scripted2"),
    scripted("scripted3"),
    scripted("scripted4"),
    scripted("scripted5"),
    scripted("scripted6"),
    scripted("scripted7"),
    scripted("scripted8"),
    scripted("scripted9"),
];

const fn scripted(name: &'static str) -> PlatformSpec {
    PlatformSpec {
        name,
        title: name,
        setup: "HERMES_SCRIPTED=COUNT@SOCKET",
        text_len_max: 4096,
        lease: Duration::from_secs(3),
        lease_code: "net_timeout",
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.spec().name)
    }
}

/// No platform has this name.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
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
        assert_eq!(error.to_string(), "unknown platform `fax` (known: whatsapp)");
    }
}
