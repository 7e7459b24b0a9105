//! Pure. A short list of the platforms, as an answer in a chat.

use jiff::Timestamp;

use crate::gateway::model::snapshot::{PlatformSnapshot, Snapshot, WireState};
use crate::platforms::Platform;
use crate::span::{age, span};

/// `/platform list`, in markdown.
pub fn platforms(snapshot: &Snapshot, now: Timestamp) -> String {
    let mut text = String::from("**Platforms**");
    if snapshot.platforms.is_empty() {
        text.push_str("\nNo platform is enabled.");
    }
    for (name, platform) in &snapshot.platforms {
        let title = name.parse::<Platform>().map_or(name.as_str(), |known| known.spec().title);
        text.push_str(&format!("\n- {title}: {}", line(name, platform, now)));
    }
    text
}

fn line(name: &str, platform: &PlatformSnapshot, now: Timestamp) -> String {
    let why = platform.cause().map_or(String::new(), |why| format!("; {why}"));
    let next = |word: &str| platform.next_try(now).map_or(String::new(), |next| format!("{word} {next}"));
    match platform.state {
        WireState::Connected => {
            let long = platform.since.map_or(String::new(), |at| format!(" for {}", span(age(at, now))));
            format!("connected{long}")
        }
        WireState::Connecting => format!("connecting{why}"),
        WireState::Retrying => format!("retrying{}{why}", next("")),
        WireState::RateLimited => format!("rate limited by the platform{}", next(", sends")),
        WireState::Paused => {
            let by = platform.paused_by.as_deref().unwrap_or("operator");
            format!("paused by {by}; resume it with `/platform resume {name}`")
        }
        WireState::Fatal => {
            let action = platform.user_action.as_ref().map_or(String::new(), |action| format!(". {action}"));
            format!("needs attention{why}{action}")
        }
        WireState::Disabled | WireState::Disconnected => platform.state.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gateway::model::snapshot::tests::example;

    #[test]
    fn each_state_is_one_line() {
        let mut snapshot = example();
        let now = snapshot.updated_at + jiff::SignedDuration::from_secs(90);
        let mut text = String::new();
        for state in WireState::ALL {
            let platform = snapshot.platforms.get_mut("whatsapp").unwrap();
            platform.state = state;
            (platform.attempts, platform.attempts_max) = (2, Some(10));
            platform.next_attempt = (state == WireState::Retrying).then_some(3);
            platform.next_retry_at =
                (state == WireState::Retrying).then(|| now + jiff::SignedDuration::from_secs(42));
            let page = platforms(&snapshot, now);
            assert_eq!(page.lines().count(), 2, "{page}");
            text += &format!("{}\n", page.lines().nth(1).unwrap());
        }
        snapshot.platforms.clear();
        text += &platforms(&snapshot, now);
        insta::assert_snapshot!(text);
    }
}
