//! Telegram's settings: its table in `gateway.toml`, and those by the names that hermes-agent gives them.

use core::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use crate::sensitive::Secret;
use crate::setting::value::{HTTP, MINUTE, SECOND, number, of, time, url};
use crate::setting::{Settings, Unset, below, table};

/// Numbers beyond this are not exact in other programs.
const BYTES_MAX: u64 = 1 << 53;

table! {
    /// Telegram.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct TelegramConfig {
        /// There is a token, and neither `TELEGRAM_ENABLED` nor `gateway.toml` says that it is off.
        pub enabled: bool = false, Unset;
        /// `config.yaml` of hermes-agent turns it off, and no setting of ours says otherwise.
        pub is_off_in_agent: bool = false, Unset;
        /// `TELEGRAM_BOT_TOKEN`.
        pub token: Option<Secret> = None, Unset;
        /// `TELEGRAM_PROXY`: the way to the service. Its address may hold a password.
        pub proxy: Option<Secret> = None, Unset;
        /// The address of the Bot API.
        pub api_base: String = "https://api.telegram.org".to_owned(), url(HTTP);
        /// The address of its files; below `api_base` unless it is set.
        pub file_base: String = String::new(), url(HTTP);
        /// The time for which the service may keep a question for messages open.
        pub poll_timeout: Duration = 30 * SECOND, time(SECOND..=30 * SECOND);
        /// The longest that fetching the attachments of one message may take.
        pub media_timeout: Duration = 40 * SECOND, time(SECOND..=5 * MINUTE);
        /// The largest attachment that is fetched, in bytes. The service itself gives bots no more than 20 MB.
        pub media_file_bytes: u64 = 20 << 20, number(1..=BYTES_MAX);
        /// Limit for all attachments together, in bytes; beyond it the oldest are removed.
        pub media_total_bytes: u64 = 1 << 30, number(1..=BYTES_MAX);
        /// The webhook that brings messages; `None`: they are fetched.
        pub webhook: Option<WebhookConfig> = None, below();
    }
}

table! {
    /// Where Telegram brings messages to.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct WebhookConfig {
        /// The address that Telegram calls.
        pub url: String = String::new(), url(SCHEMES);
        /// Where we listen: whatever answers at `url` hands it on to there.
        pub bind: SocketAddr = SocketAddr::from((Ipv4Addr::LOCALHOST, 8443)), of(address);
        /// `TELEGRAM_WEBHOOK_SECRET`: Telegram says it with each message, and no one else knows it.
        pub secret: Option<Secret> = None, Unset;
    }
}

const SCHEMES: [&str; 2] = ["https://", "http://"];

fn address(text: String) -> Result<SocketAddr, String> {
    text.trim().parse().map_err(|_| "must be an address and a port, such as \"127.0.0.1:8443\"".to_owned())
}

impl TelegramConfig {
    /// Adds the settings by name. `enabled` is what `gateway.toml` says.
    pub(crate) fn by_name(&mut self, enabled: Option<bool>, settings: &Settings<'_>) {
        self.token = settings.secret("TELEGRAM_BOT_TOKEN");
        self.proxy = settings.secret("TELEGRAM_PROXY");
        let switch = settings.switch("TELEGRAM_ENABLED");
        self.is_off_in_agent = settings.telegram_is_off_in_agent && enabled.is_none() && switch.is_none();
        let is_off = enabled == Some(false) || switch == Some(false) || self.is_off_in_agent;
        self.enabled = self.token.is_some() && !is_off;
        self.api_base = root(&self.api_base);
        // Files stand below the same service, unless it is said where.
        self.file_base =
            if self.file_base.is_empty() { format!("{}/file", self.api_base) } else { root(&self.file_base) };
        self.webhook = webhook(self.webhook.take().unwrap_or_default(), settings);
    }
}

/// The address without `/bot`, with which hermes-agent has it: what follows is the token.
fn root(address: &str) -> String {
    let address = address.trim_end_matches('/');
    address.strip_suffix("/bot").unwrap_or(address).trim_end_matches('/').to_owned()
}

/// There is one where its address is set.
fn webhook(table: WebhookConfig, settings: &Settings<'_>) -> Option<WebhookConfig> {
    let by_name = settings.value("TELEGRAM_WEBHOOK_URL").map(str::to_owned);
    let url = by_name.unwrap_or(table.url);
    if url.is_empty() {
        return None;
    }
    if !SCHEMES.iter().any(|scheme| url.starts_with(scheme)) {
        settings.warn("ignored TELEGRAM_WEBHOOK_URL: not an https address; using polling");
        return None;
    }
    let mut bind = table.bind;
    let port = settings.parsed("TELEGRAM_WEBHOOK_PORT", |text| text.parse().ok(), "not a port number");
    if let Some(port) = port {
        bind.set_port(port);
    }
    Some(WebhookConfig { url, bind, secret: settings.secret("TELEGRAM_WEBHOOK_SECRET") })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::env_file::EnvFile;
    use crate::setting::table::of_text;
    use crate::world::World;

    #[test]
    fn addresses_are_taken_with_and_without_what_stands_before_the_token() {
        let world = World::of_env([("A", "b")]);
        let of = |toml: &str| {
            let env = EnvFile::parse("");
            let settings = Settings::new(&world, &env);
            let mut telegram: TelegramConfig = of_text(toml);
            telegram.by_name(None, &settings);
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
            let env = EnvFile::parse(env);
            let settings = Settings::new(&world, &env);
            let mut telegram: TelegramConfig = of_text(toml);
            telegram.by_name(None, &settings);
            (telegram.webhook, settings.warnings.take().len())
        };
        let hook = |url: &str, bind: &str, secret: Option<&str>| WebhookConfig {
            url: url.to_owned(),
            bind: bind.parse().unwrap(),
            secret: secret.map(|secret| Secret(secret.to_owned())),
        };
        let table = "[webhook]\nurl = 'https://a.test/x'\nbind = '0.0.0.0:443'\n";
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
    }
}
