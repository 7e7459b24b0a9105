//! Pure. Findings about Telegram's token and webhook.

use std::ops::RangeInclusive;

use super::{Code, Finding};
use crate::config::{Config, TelegramConfig};
use crate::platforms::Platform;
use crate::platforms::telegram::bot::Bot;

/// The token that is set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenFact {
    /// It has the form of one. Only the service knows more.
    Set,
    /// The value is not a token.
    Malformed,
    /// There is no token.
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

/// Returns the findings, in the order of repair.
pub fn findings(config: &Config) -> Vec<Finding> {
    const SETUP: &str = "Run `hermes telegram`.";
    let telegram = &config.telegram;
    match token_fact(telegram) {
        TokenFact::Missing => {
            vec![Finding::blocking(Code::TelegramTokenMissing, "Telegram has no bot token", SETUP)]
        }
        TokenFact::Malformed => vec![Finding::blocking(
            Code::TelegramBadToken,
            "TELEGRAM_BOT_TOKEN is not a bot token",
            "Run `hermes telegram` with a token from @BotFather.",
        )],
        TokenFact::Set if telegram.is_off_in_agent => off_in_agent(telegram).into_iter().collect(),
        TokenFact::Set if !telegram.enabled && !config.platform(Platform::Telegram).is_turned_off() => {
            vec![Finding::warning(
                Code::TelegramNotEnabled,
                "Telegram is set up but disabled (TELEGRAM_ENABLED)",
                "Run `hermes telegram enable`.",
            )]
        }
        TokenFact::Set if !telegram.enabled => vec![Finding::warning(
            Code::TelegramNotEnabled,
            "Telegram is set up but disabled in gateway.toml",
            "Remove `enabled = false` from `[platforms.telegram]`.",
        )],
        TokenFact::Set => webhook_finding(telegram).into_iter().collect(),
    }
}

/// Returns the finding that hermes-agent's `config.yaml` turns off what its token would turn on.
pub fn off_in_agent(telegram: &TelegramConfig) -> Option<Finding> {
    let is_off = telegram.is_off_in_agent && telegram.token.is_some();
    is_off.then(|| {
        Finding::warning(
            Code::TelegramNotEnabled,
            "Telegram is set up but disabled in hermes-agent's config.yaml (`enabled: false`)",
            "Run `hermes telegram enable` to use it here.",
        )
    })
}

/// The length of the secret: a shorter one could be guessed; a longer one is refused by Telegram.
const SECRET_LEN: RangeInclusive<usize> = 16..=256;

/// Returns the finding about the webhook's secret: without one anyone could send messages in another person's name.
pub fn webhook_finding(telegram: &TelegramConfig) -> Option<Finding> {
    let message = match &telegram.webhook.as_ref()?.secret {
        None => "Telegram's webhook has no secret",
        Some(secret) if is_secret(&secret.0) => return None,
        Some(_) => "TELEGRAM_WEBHOOK_SECRET must be 16 to 256 letters, digits, `_` and `-`",
    };
    let fix = "Set TELEGRAM_WEBHOOK_SECRET in .env (`openssl rand -hex 32` makes one), or remove the webhook's address from the settings.";
    Some(Finding::blocking(Code::TelegramWebhookSecret, message, fix))
}

fn is_secret(text: &str) -> bool {
    let is_sign = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
    SECRET_LEN.contains(&text.len()) && text.bytes().all(is_sign)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::WebhookConfig;
    use crate::sensitive::Secret;

    #[test]
    fn a_webhook_without_a_good_secret_is_not_opened() {
        let found = |secret: Option<&str>| {
            let webhook = WebhookConfig {
                url: "https://a.test".to_owned(),
                bind: "127.0.0.1:8443".parse().unwrap(),
                secret: secret.map(|secret| Secret(secret.to_owned())),
            };
            webhook_finding(&TelegramConfig { webhook: Some(webhook), ..TelegramConfig::default() })
        };
        for secret in [None, Some("a-canary"), Some("a canary of more than 16"), Some(&*"x".repeat(257))] {
            let finding = found(secret).unwrap();
            assert!(!format!("{finding:?}").contains("canary") && finding.fix.contains("openssl"));
        }
        assert_eq!(found(Some("0123456789_abc-DEF")), None);
        assert_eq!(webhook_finding(&TelegramConfig::default()), None);
    }

    #[test]
    fn the_token_is_judged_by_its_form_and_never_told() {
        let codes = |token: Option<&str>, enabled| {
            let token = token.map(|token| Secret(token.to_owned()));
            let telegram = TelegramConfig { token, enabled, ..TelegramConfig::default() };
            let found = findings(&Config { telegram, ..Config::default() });
            assert!(!format!("{found:?}").contains("canary"));
            found.into_iter().map(|finding| finding.code.as_str()).collect::<Vec<_>>()
        };
        assert_eq!(codes(None, false), ["telegram_token_missing"]);
        assert_eq!(codes(Some("a-canary"), true), ["telegram_bad_token"]);
        assert_eq!(codes(Some("1:a-canary-of-a-token"), false), ["telegram_not_enabled"]);
        assert!(codes(Some("1:a-canary-of-a-token"), true).is_empty());
    }
}
