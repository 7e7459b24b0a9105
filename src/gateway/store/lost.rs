//! Pure. The notice about answers that, as far as is known, never reached their readers.

use jiff::Timestamp;

/// The text in a chat before the next answer there. Of `count` messages that were given up, `unsure` may have arrived.
pub fn notice(count: u64, unsure: u64, oldest: Timestamp) -> String {
    let at = oldest.strftime("%Y-%m-%d %H:%M UTC");
    match (count, count.saturating_sub(unsure)) {
        (1, 0) => format!("An answer of {at} may not have reached you."),
        (1, _) => format!("An answer of {at} could not be delivered to you."),
        (_, 0) => format!("{count} messages to you may not have reached you, the first of {at}."),
        (_, lost) if lost == count => {
            format!("{count} messages to you could not be delivered, the first of {at}.")
        }
        (_, lost) => format!(
            "{lost} messages to you could not be delivered and {unsure} may not have reached you, the first of {at}."
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_loss_is_told_with_its_date_and_as_sure_as_it_is() {
        let at = "2026-02-03T04:05:06Z".parse().unwrap();
        for (count, unsure, expected) in [
            (1, 0, "An answer of 2026-02-03 04:05 UTC could not be delivered to you."),
            (1, 1, "An answer of 2026-02-03 04:05 UTC may not have reached you."),
            (3, 0, "3 messages to you could not be delivered, the first of 2026-02-03 04:05 UTC."),
            (3, 3, "3 messages to you may not have reached you, the first of 2026-02-03 04:05 UTC."),
            (
                3,
                1,
                "2 messages to you could not be delivered and 1 may not have reached you, the first of 2026-02-03 04:05 UTC.",
            ),
        ] {
            assert_eq!(notice(count, unsure, at), expected);
        }
    }
}
