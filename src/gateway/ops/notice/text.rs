//! Pure. A notice as text for people, and as JSON for programs.

use jiff::Zoned;
use serde_json::{Value, json};

use super::decider::{Notice, Trouble};
use crate::gateway::model::snapshot::WireState;
use crate::redact;
use crate::span::span;

/// Limit for an explanation; longer ones are cut, so that a notice fits every platform.
const DETAIL_LEN_MAX: usize = 600;

/// The text for people.
pub fn text(title: &str, notice: &Notice) -> String {
    match notice {
        Notice::Trouble { lasted, trouble } => {
            let Trouble { state, message, user_action, .. } = trouble;
            let mut text = format!("{title} has not worked for {}", span(*lasted));
            if let Some(message) = message {
                text.push_str(": ");
                text.push_str(&detail(message));
            }
            if !text.ends_with('.') {
                text.push('.');
            }
            text.push(' ');
            match (user_action, state) {
                (Some(action), _) => text.push_str(&detail(action)),
                (None, WireState::Paused) => text.push_str("hermes retries from time to time."),
                (None, _) => text.push_str("hermes keeps retrying."),
            }
            text
        }
        Notice::Recovered { lasted } => format!("{title} works again after {}.", span(*lasted)),
        Notice::Missed { from, until, keeps } => {
            let at = |time: &Zoned| time.strftime("%Y-%m-%d %H:%M %Z").to_string();
            let (from, until, keeps) = (at(from), at(until), span(*keeps));
            format!(
                "Messages between {from} and {until} may be missing on {title}: the service keeps them for {keeps}, and hermes was offline longer."
            )
        }
    }
}

/// One line of JSON for the operator's command.
pub fn json(platform: &str, title: &str, notice: &Notice) -> Value {
    let text = text(title, notice);
    match notice {
        Notice::Trouble { lasted, trouble } => json!({
            "event": "platform_trouble",
            "platform": platform,
            "title": title,
            "state": trouble.state,
            "code": trouble.code,
            "message": trouble.message.as_deref().map(detail),
            "user_action": trouble.user_action.as_deref().map(detail),
            "lasted_s": lasted.as_secs(),
            "text": text,
        }),
        Notice::Recovered { lasted } => json!({
            "event": "platform_recovered",
            "platform": platform,
            "title": title,
            "state": WireState::Connected,
            "lasted_s": lasted.as_secs(),
            "text": text,
        }),
        Notice::Missed { from, until, keeps } => json!({
            "event": "messages_missed",
            "platform": platform,
            "title": title,
            "state": WireState::Connected,
            "from": from.timestamp(),
            "until": until.timestamp(),
            "keeps_s": keeps.as_secs(),
            "text": text,
        }),
    }
}

/// The detail without secrets: errors hold none, but a notice leaves the machine, so they are removed again.
fn detail(text: &str) -> String {
    let text = redact::shapes(text);
    let text = redact::numbers(&text);
    text.chars().take(DETAIL_LEN_MAX).collect()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use jiff::Timestamp;
    use jiff::tz::TimeZone;
    use serde_json::json;

    use super::*;

    fn trouble(state: WireState, message: &str, action: Option<&str>) -> Notice {
        let trouble = Trouble {
            state,
            code: Some("code".into()),
            message: Some(message.into()),
            user_action: action.map(str::to_owned),
        };
        Notice::Trouble { lasted: Duration::from_secs(200), trouble }
    }

    #[test]
    fn a_notice_says_what_happened_and_what_helps() {
        let blocked = trouble(WireState::Fatal, "no phone is paired", Some("Run `hermes whatsapp`."));
        assert_eq!(
            text("WhatsApp", &blocked),
            "WhatsApp has not worked for 3 min: no phone is paired. Run `hermes whatsapp`."
        );
        let retrying = trouble(WireState::Retrying, "the connection was refused", None);
        assert_eq!(
            text("WhatsApp", &retrying),
            "WhatsApp has not worked for 3 min: the connection was refused. hermes keeps retrying."
        );
        let back = Notice::Recovered { lasted: Duration::from_secs(3 * 3600) };
        assert_eq!(text("WhatsApp", &back), "WhatsApp works again after 3 h.");
        let at = |second| Timestamp::from_second(second).unwrap().to_zoned(TimeZone::UTC);
        let (from, until) = (at(1_800_000_000), at(1_800_021_600));
        let missed = Notice::Missed { from, until, keeps: Duration::from_hours(24) };
        assert_eq!(
            text("Telegram", &missed),
            "Messages between 2027-01-15 08:00 UTC and 2027-01-15 14:00 UTC may be missing on Telegram: the service keeps them for 24 h, \
             and hermes was offline longer."
        );
        let value = json("telegram", "Telegram", &missed);
        assert_eq!(
            (&value["event"], &value["from"]),
            (&json!("messages_missed"), &json!("2027-01-15T08:00:00Z"))
        );
    }

    #[test]
    fn programs_read_the_same_and_no_secret_or_number_leaves() {
        let long = format!("15550001111:2@s.whatsapp.net Bearer abcdefghijklmnop {}", "x".repeat(5000));
        let notice = trouble(WireState::Fatal, &long, None);
        let value = json("whatsapp", "WhatsApp", &notice);
        assert_eq!(
            (value["event"].as_str(), value["code"].as_str(), value["state"].as_str()),
            (Some("platform_trouble"), Some("code"), Some("fatal"))
        );
        let line = value.to_string();
        assert!(!line.contains("15550001111") && !line.contains("abcdefghijklmnop"), "{line}");
        assert!(line.len() < 4000 && !line.contains('\n'));
    }
}
