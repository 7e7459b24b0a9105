//! Pure. Telegram's settings, by the names that hermes-agent gives them.

use core::net::{Ipv4Addr, SocketAddr};

use serde::Deserialize;
use toml::Spanned;

use super::file::{Place, TelegramTable};
use super::{Settings, TelegramConfig};
use crate::error::CliError;
use crate::sensitive::Secret;

/// Where Telegram brings messages to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebhookConfig {
    /// The address that Telegram calls.
    pub url: String,
    /// Where we listen: whatever answers at `url` hands it on to there.
    pub bind: SocketAddr,
    /// `TELEGRAM_WEBHOOK_SECRET`: Telegram says it with each message, and no one else knows it.
    pub secret: Option<Secret>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
pub(super) struct RawWebhook {
    url: Option<Spanned<String>>,
    bind: Option<Spanned<String>>,
}

/// `[platforms.telegram.webhook]`, validated.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct WebhookTable {
    url: Option<String>,
    bind: Option<SocketAddr>,
}

const SCHEMES: [&str; 2] = ["https://", "http://"];

impl Place<'_> {
    pub(super) fn webhook(&self, raw: RawWebhook) -> Result<WebhookTable, CliError> {
        let bind = |text: Spanned<String>| {
            let address = text.get_ref().trim().parse();
            address.map_err(|_| {
                self.error(text.span(), "bind must be an address and a port, such as \"127.0.0.1:8443\"")
            })
        };
        Ok(WebhookTable { url: self.url(raw.url, "url", SCHEMES)?, bind: raw.bind.map(bind).transpose()? })
    }
}

/// The settings by name, and what `gateway.toml` adds.
pub(super) fn merge(
    table: TelegramTable,
    settings: &Settings<'_>,
    warnings: &mut Vec<String>,
) -> TelegramConfig {
    let token = settings.value("TELEGRAM_BOT_TOKEN").map(|token| Secret(token.to_owned()));
    let default = TelegramConfig::default();
    let api_base = table.api_base.map_or(default.api_base, root);
    let switch = settings.switch("TELEGRAM_ENABLED", warnings);
    let is_off_in_agent = settings.telegram_is_off_in_agent && table.enabled.is_none() && switch.is_none();
    TelegramConfig {
        enabled: token.is_some() && table.enabled != Some(false) && switch != Some(false) && !is_off_in_agent,
        is_turned_off: table.enabled == Some(false),
        is_off_in_agent,
        token,
        proxy: settings.value("TELEGRAM_PROXY").map(|proxy| Secret(proxy.to_owned())),
        // Files stand below the same service, unless it is said where.
        file_base: table.file_base.map_or_else(|| format!("{api_base}/file"), root),
        api_base,
        poll_timeout: table.poll_timeout.unwrap_or(default.poll_timeout),
        media_timeout: table.media_timeout.unwrap_or(default.media_timeout),
        media_file_bytes: table.media_file_bytes.unwrap_or(default.media_file_bytes),
        media_total_bytes: table.media_total_bytes.unwrap_or(default.media_total_bytes),
        webhook: webhook(table.webhook, settings, warnings),
    }
}

/// The address without `/bot`, with which hermes-agent has it: what follows is the token.
fn root(address: String) -> String {
    let address = address.trim_end_matches('/');
    address.strip_suffix("/bot").unwrap_or(address).trim_end_matches('/').to_owned()
}

/// There is one where its address is set.
fn webhook(
    table: WebhookTable,
    settings: &Settings<'_>,
    warnings: &mut Vec<String>,
) -> Option<WebhookConfig> {
    let by_name = settings.value("TELEGRAM_WEBHOOK_URL").map(str::to_owned);
    let url = by_name.or(table.url)?;
    if !SCHEMES.iter().any(|scheme| url.starts_with(scheme)) {
        warnings.push("ignored TELEGRAM_WEBHOOK_URL: not an https address; using polling".to_owned());
        return None;
    }
    let mut bind = table.bind.unwrap_or_else(|| SocketAddr::from((Ipv4Addr::LOCALHOST, 8443)));
    if let Some(port) = settings.value("TELEGRAM_WEBHOOK_PORT") {
        match port.parse() {
            Ok(port) => bind.set_port(port),
            Err(_) => warnings.push("ignored TELEGRAM_WEBHOOK_PORT: not a port number".to_owned()),
        }
    }
    let secret = settings.value("TELEGRAM_WEBHOOK_SECRET").map(|secret| Secret(secret.to_owned()));
    Some(WebhookConfig { url, bind, secret })
}

#[cfg(test)]
mod tests {
    use super::super::file::read;
    use super::*;
    use crate::env_file::EnvFile;
    use crate::world::World;

    #[test]
    fn addresses_are_taken_with_and_without_what_stands_before_the_token() {
        let world = World::of_env([("A", "b")]);
        let of = |toml: &str| {
            let env = EnvFile::parse("");
            let settings = Settings::new(&world, &env);
            let table = read(&format!("[platforms.telegram]\n{toml}"), &mut Vec::new()).unwrap().telegram;
            let telegram = merge(table, &settings, &mut Vec::new());
            (telegram.api_base, telegram.file_base)
        };
        let own = ("http://a.test:8081", "http://a.test:8081/file");
        for (toml, (api, file)) in [
            ("", ("https://api.telegram.org", "https://api.telegram.org/file")),
            ("api_base = 'http://a.test:8081'", own),
            ("api_base = 'http://a.test:8081/'", own),
            ("api_base = 'http://a.test:8081/bot'", own),
            ("api_base = 'http://a.test:8081/bot/'\nfile_base = 'http://a.test:8081/file/bot'", own),
            ("file_base = 'http://a.test/robot'", ("https://api.telegram.org", "http://a.test/robot")),
        ] {
            assert_eq!(of(toml), (api.to_owned(), file.to_owned()), "{toml}");
        }
    }

    #[test]
    fn a_webhook_is_there_where_its_address_is_set_by_file_or_by_name() {
        let world = World::of_env([("A", "b")]);
        let of = |toml: &str, env: &str| {
            let mut warnings = Vec::new();
            let env = EnvFile::parse(env);
            let settings = Settings::new(&world, &env);
            let table = read(toml, &mut warnings).unwrap().telegram;
            (merge(table, &settings, &mut warnings).webhook, warnings.len())
        };
        let hook = |url: &str, bind: &str, secret: Option<&str>| WebhookConfig {
            url: url.to_owned(),
            bind: bind.parse().unwrap(),
            secret: secret.map(|secret| Secret(secret.to_owned())),
        };
        let table = "[platforms.telegram.webhook]\nurl = 'https://a.test/x'\nbind = '0.0.0.0:443'\n";
        let env =
            "TELEGRAM_WEBHOOK_URL=https://b.test\nTELEGRAM_WEBHOOK_PORT=9000\nTELEGRAM_WEBHOOK_SECRET=canary";
        for (toml, env, expected, warned) in [
            ("", "TELEGRAM_WEBHOOK_SECRET=canary\nTELEGRAM_WEBHOOK_PORT=9000", None, 0),
            (table, "", Some(hook("https://a.test/x", "0.0.0.0:443", None)), 0),
            (table, env, Some(hook("https://b.test", "0.0.0.0:9000", Some("canary"))), 0),
            ("", env, Some(hook("https://b.test", "127.0.0.1:9000", Some("canary"))), 0),
            ("", "TELEGRAM_WEBHOOK_URL=b.test", None, 1),
            (table, "TELEGRAM_WEBHOOK_PORT=many", Some(hook("https://a.test/x", "0.0.0.0:443", None)), 1),
        ] {
            assert_eq!(of(toml, env), (expected, warned), "{toml} {env}");
        }
        for (toml, expected) in [
            (
                "[platforms.telegram]\nwebhook = { url = 'a.test' }",
                "line 2, column 19: url must begin with https://",
            ),
            (
                "[platforms.telegram]\nwebhook = { bind = ':1' }",
                "line 2, column 20: bind must be an address and",
            ),
        ] {
            let error = read(toml, &mut Vec::new()).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
    }
}
