//! Pure. The decision that the gateway has no reason left to stay up.

use crate::config::ExitWhenAllBlocked;
use crate::gateway::model::snapshot::WireState;

/// The reason why the gateway has nothing left to do by these settings; `None` while it has. `platforms` are the enabled
/// ones, each with its state and, where it has one, the sentence with the reason.
pub fn lost<'a>(
    rule: ExitWhenAllBlocked,
    platforms: impl IntoIterator<Item = (WireState, Option<&'a str>)>,
) -> Option<String> {
    match rule {
        // A blocked platform is checked again when its cause may have changed, so it can always come back by itself.
        ExitWhenAllBlocked::Auto | ExitWhenAllBlocked::Never => return None,
        ExitWhenAllBlocked::Always => {}
    }
    let mut reasons = Vec::new();
    for (state, reason) in platforms {
        match state {
            WireState::Fatal => reasons.push(reason.unwrap_or("blocked")),
            WireState::Connecting
            | WireState::Connected
            | WireState::RateLimited
            | WireState::Retrying
            | WireState::Paused
            | WireState::Disabled
            | WireState::Disconnected => return None,
        }
    }
    (!reasons.is_empty()).then(|| reasons.join("; "))
}

#[cfg(test)]
mod tests {
    use super::*;

    const BLOCKED: (WireState, Option<&str>) = (WireState::Fatal, Some("no phone is paired"));

    #[test]
    fn only_always_ends_and_only_when_every_platform_is_blocked() {
        use ExitWhenAllBlocked::{Always, Auto, Never};
        for rule in [Auto, Never] {
            assert_eq!(lost(rule, [BLOCKED]), None);
        }
        assert_eq!(lost(Always, [BLOCKED]).as_deref(), Some("no phone is paired"));
        assert_eq!(
            lost(Always, [BLOCKED, (WireState::Fatal, None)]).as_deref(),
            Some("no phone is paired; blocked")
        );
        assert_eq!(lost(Always, []), None, "nothing is enabled, so nothing is blocked");
        for state in [
            WireState::Connecting,
            WireState::Connected,
            WireState::RateLimited,
            WireState::Retrying,
            WireState::Paused,
            WireState::Disabled,
            WireState::Disconnected,
        ] {
            assert_eq!(lost(Always, [BLOCKED, (state, None)]), None, "{state}");
        }
    }
}
