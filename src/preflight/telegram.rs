//! Pure. What is missing before Telegram can work, as far as it is about its token.

use super::{Code, Finding};
use crate::config::TelegramConfig;
use crate::telegram::bot::Bot;

/// The token that is set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenFact {
    /// It has the form of one. Only the service knows more.
    Set,
    /// There is something, and it is no token.
    Malformed,
    /// None.
    Missing,
}

/// Looks at the token.
pub fn token_fact(telegram: &TelegramConfig) -> TokenFact {
    match &telegram.token {
        Some(token) if Bot::is_token(&token.0) => TokenFact::Set,
        Some(_) => TokenFact::Malformed,
        None => TokenFact::Missing,
    }
}

/// What is missing, in the order of mending.
pub fn findings(telegram: &TelegramConfig) -> Vec<Finding> {
    const SETUP: &str = "Run `hermes telegram`.";
    match token_fact(telegram) {
        TokenFact::Missing => {
            vec![Finding::blocking(Code::TelegramTokenMissing, "Telegram has no bot token", SETUP)]
        }
        TokenFact::Malformed => vec![Finding::blocking(
            Code::TelegramBadToken,
            "TELEGRAM_BOT_TOKEN is set, and is no bot token",
            "Run `hermes telegram` with a token from @BotFather.",
        )],
        TokenFact::Set if !telegram.enabled => vec![Finding::warning(
            Code::TelegramNotEnabled,
            "Telegram is set up, and gateway.toml turns it off",
            "Take `enabled = false` out of `[platforms.telegram]`.",
        )],
        TokenFact::Set => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Secret;

    #[test]
    fn the_token_is_judged_by_its_form_and_never_told() {
        let codes = |token: Option<&str>, enabled| {
            let token = token.map(|token| Secret(token.to_owned()));
            let found = findings(&TelegramConfig { token, enabled, ..TelegramConfig::default() });
            assert!(!format!("{found:?}").contains("canary"));
            found.into_iter().map(|finding| finding.code.as_str()).collect::<Vec<_>>()
        };
        assert_eq!(codes(None, false), ["telegram_token_missing"]);
        assert_eq!(codes(Some("a-canary"), true), ["telegram_bad_token"]);
        assert_eq!(codes(Some("1:a-canary-of-a-token"), false), ["telegram_not_enabled"]);
        assert!(codes(Some("1:a-canary-of-a-token"), true).is_empty());
    }
}
