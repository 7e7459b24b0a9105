//! Pure. Whether a message is old news by the time the agent hears of it, and how that is said.

use std::time::Duration;

use jiff::Timestamp;

use crate::gateway::model::message::InboundMessage;
use crate::span::span;

/// Says in front of the text how long ago it was sent, when that is longer than `after`. A message that does not say when it
/// was sent, or says that it will be, is taken as new.
pub fn mark(message: &mut InboundMessage, now: Timestamp, after: Duration) {
    let Ok(sent @ 1..) = u64::try_from(message.sent_at_s) else { return };
    let now = u64::try_from(now.as_second()).unwrap_or(0);
    let age = Duration::from_secs(now.saturating_sub(sent));
    if age > after {
        let text = &mut message.text.0;
        let gap = if text.is_empty() { "" } else { "\n" };
        text.insert_str(0, &format!("[sent {} ago]{gap}", span(age)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gateway::model::message::testing;

    #[test]
    fn what_is_old_says_how_old_and_what_is_new_or_of_unknown_age_is_left_alone() {
        const HOUR: u64 = 3600;
        let now = Timestamp::from_second(2_000_000_000).unwrap();
        for (text, sent_at_s, expected) in [
            ("hi", 2_000_000_000 - 26 * 3600, "[sent 26 h ago]\nhi"),
            ("hi", 2_000_000_000 - 3601, "[sent 60 min ago]\nhi"),
            ("", 2_000_000_000 - 400 * 24 * 3600, "[sent 400 days ago]"),
            ("hi", 2_000_000_000 - 3600, "hi"),
            ("hi", 2_000_000_000, "hi"),
            ("hi", 2_000_009_000, "hi"),
            ("hi", 0, "hi"),
            ("hi", -5, "hi"),
        ] {
            let mut message = testing::message("A", "42", text);
            message.sent_at_s = sent_at_s;
            mark(&mut message, now, Duration::from_secs(HOUR));
            assert_eq!(message.text.0, expected, "{sent_at_s}");
        }
    }
}
