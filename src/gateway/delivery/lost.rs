//! Pure. What people are told about answers that never reached them.

use jiff::Timestamp;

/// Said in a chat before the next answer there.
pub fn notice(count: u64, oldest: Timestamp) -> String {
    let at = oldest.strftime("%Y-%m-%d %H:%M UTC");
    match count {
        1 => format!("An answer of {at} could not be delivered to you."),
        _ => format!("{count} messages to you could not be delivered, the first of {at}."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_loss_is_told_with_its_date() {
        let at = "2026-02-03T04:05:06Z".parse().unwrap();
        assert_eq!(notice(1, at), "An answer of 2026-02-03 04:05 UTC could not be delivered to you.");
        assert!(notice(3, at).starts_with("3 messages to you could not be delivered"));
    }
}
