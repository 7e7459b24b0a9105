//! Pure. `gateway.toml`: its keys, their ranges, and where something stands that is wrong.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::{Range, RangeInclusive};
use std::time::Duration;

use serde::Deserialize;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::agent::RawAgent;
use super::gateway::{RawGateway, RawHttp, RawNotify, RawReconnect};
use super::names::{keys, meant_key};
use super::session::{RawReset, RawSession};
use super::telegram::{RawWebhook, WebhookTable};
use super::{AgentConfig, GatewayConfig, SessionConfig, TelegramConfig};
use crate::error::CliError;
use crate::platforms::Platform;

/// The file, validated.
#[derive(Debug)]
pub(super) struct File {
    pub(super) agent: AgentConfig,
    pub(super) session: SessionConfig,
    pub(super) gateway: GatewayConfig,
    pub(super) whatsapp: WhatsAppTable,
    pub(super) telegram: TelegramTable,
    /// Platforms that are written to as fast as they take it.
    pub(super) unpaced: BTreeSet<Platform>,
    /// The interval at which a growing answer is shown, where it is.
    pub(super) streams: BTreeMap<Platform, Duration>,
}

/// `[platforms.telegram]`, validated.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct TelegramTable {
    pub(super) enabled: Option<bool>,
    pub(super) api_base: Option<String>,
    pub(super) file_base: Option<String>,
    pub(super) poll_timeout: Option<Duration>,
    pub(super) media_timeout: Option<Duration>,
    pub(super) media_file_bytes: Option<u64>,
    pub(super) media_total_bytes: Option<u64>,
    pub(super) webhook: WebhookTable,
}

/// `[platforms.whatsapp]`, validated.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct WhatsAppTable {
    pub(super) enabled: Option<bool>,
    pub(super) web_socket_url: Option<String>,
    pub(super) bridge_limits: BTreeMap<String, u64>,
}

/// The bridge's limits that can be set, with the largest value of each. `assets/bridge/README.md` explains them.
pub(super) const BRIDGE_LIMITS: [(&str, u64); 13] = [
    ("connect_ms", MILLISECONDS_MAX),
    ("drain_ms", MILLISECONDS_MAX),
    ("media_file_bytes", BYTES_MAX),
    ("media_total_bytes", BYTES_MAX),
    ("passkey_handoff_ms", MILLISECONDS_MAX),
    ("passkey_ms", MILLISECONDS_MAX),
    ("passkey_step_ms", MILLISECONDS_MAX),
    ("probe_every_ms", MILLISECONDS_MAX),
    ("probe_ms", MILLISECONDS_MAX),
    ("qr_first_ms", MILLISECONDS_MAX),
    ("qr_next_ms", MILLISECONDS_MAX),
    ("send_ms", MILLISECONDS_MAX),
    ("version_fetch_ms", MILLISECONDS_MAX),
];

/// A JavaScript timer beyond this fires at once; a day is plenty.
const MILLISECONDS_MAX: u64 = 24 * 3600 * 1000;

/// Numbers beyond this are not exact in JavaScript.
const BYTES_MAX: u64 = 1 << 53;

/// Keys that have a meaning elsewhere in the plan and none in this version.
const NOT_USED_YET: [&str; 3] = ["platforms.discord", "platforms.qqbot", "platforms.slack"];

#[derive(Deserialize, Default)]
#[serde(default)]
struct RawFile {
    agent: RawAgent,
    session: RawSession,
    gateway: RawGateway,
    platforms: RawPlatforms,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct RawPlatforms {
    whatsapp: RawWhatsApp,
    telegram: RawTelegram,
    /// All that tests play.
    scripted: RawScripted,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct RawScripted {
    rates: Option<Spanned<String>>,
    stream_every: Option<Spanned<String>>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct RawTelegram {
    enabled: Option<bool>,
    session: Option<RawReset>,
    rates: Option<Spanned<String>>,
    stream_every: Option<Spanned<String>>,
    api_base: Option<Spanned<String>>,
    file_base: Option<Spanned<String>>,
    poll_timeout: Option<Spanned<String>>,
    media_timeout: Option<Spanned<String>>,
    media_file_bytes: Option<Spanned<i64>>,
    media_total_bytes: Option<Spanned<i64>>,
    webhook: RawWebhook,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct RawWhatsApp {
    enabled: Option<bool>,
    session: Option<RawReset>,
    rates: Option<Spanned<String>>,
    web_socket_url: Option<Spanned<String>>,
    bridge: BTreeMap<String, Spanned<i64>>,
}

/// Reads and validates the text; unknown keys become warnings.
pub(super) fn read(text: &str, warnings: &mut Vec<String>) -> Result<File, CliError> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let place = Place { text };
    let broken = |error: &toml::de::Error| place.error(error.span().unwrap_or(0..0), error.message());
    let mut unknown = Vec::new();
    let parser = toml::Deserializer::parse(text).map_err(|error| broken(&error))?;
    let mut raw: RawFile = serde_ignored::deserialize(parser, |path| unknown.push(path.to_string()))
        .map_err(|error| broken(&error))?;
    for path in unknown {
        let line = place.line_of_key(&path).map_or(String::new(), |line| format!(" line {line}:"));
        let what = if NOT_USED_YET.contains(&path.as_str()) {
            "it is not supported yet".to_owned()
        } else {
            unknown_key(&path)
        };
        warnings.push(format!("gateway.toml:{line} ignored `{path}`: {what}"));
    }
    let own_sessions = [
        (Platform::Whatsapp, raw.platforms.whatsapp.session.take()),
        (Platform::Telegram, raw.platforms.telegram.session.take()),
    ];
    let unpaced = place.unpaced(&raw.platforms)?;
    let streams = place.streams(&mut raw.platforms)?;
    Ok(File {
        agent: place.agent(raw.agent)?,
        session: place.session(raw.session, own_sessions)?,
        gateway: place.gateway(raw.gateway)?,
        whatsapp: place.whatsapp(raw.platforms.whatsapp, warnings)?,
        telegram: place.telegram(raw.platforms.telegram)?,
        unpaced,
        streams,
    })
}

/// The keys of every table.
pub(super) fn tables() -> Vec<(&'static str, &'static [&'static str])> {
    static BRIDGE: [&str; BRIDGE_LIMITS.len()] = {
        let mut names = [""; BRIDGE_LIMITS.len()];
        let mut at = 0;
        while at < names.len() {
            names[at] = BRIDGE_LIMITS[at].0;
            at += 1;
        }
        names
    };
    vec![
        ("", keys::<RawFile>()),
        ("agent", keys::<RawAgent>()),
        ("session", keys::<RawSession>()),
        ("gateway", keys::<RawGateway>()),
        ("gateway.http", keys::<RawHttp>()),
        ("gateway.notify", keys::<RawNotify>()),
        ("gateway.reconnect", keys::<RawReconnect>()),
        ("platforms", &["whatsapp", "telegram"]),
        ("platforms.whatsapp", keys::<RawWhatsApp>()),
        ("platforms.whatsapp.bridge", &BRIDGE),
        ("platforms.whatsapp.session", keys::<RawReset>()),
        ("platforms.telegram", keys::<RawTelegram>()),
        ("platforms.telegram.session", keys::<RawReset>()),
        ("platforms.telegram.webhook", keys::<RawWebhook>()),
    ]
}

/// The fault of an unknown key, as a clause.
fn unknown_key(path: &str) -> String {
    let meant = meant_key(path, &tables());
    meant.map_or("it is not known".to_owned(), |meant| format!("it is not known; did you mean `{meant}`?"))
}

/// Knows where in the text something stands.
pub(super) struct Place<'a> {
    text: &'a str,
}

impl Place<'_> {
    /// Line and column, from 1.
    fn position(&self, at: usize) -> (usize, usize) {
        let before = self.text.get(..at).unwrap_or(self.text);
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        (before.matches('\n').count() + 1, before[line_start..].chars().count() + 1)
    }

    pub(super) fn error(&self, span: Range<usize>, message: &str) -> CliError {
        let (line, column) = self.position(span.start);
        CliError::config(format!("gateway.toml: line {line}, column {column}: {}", message.trim_end()))
    }

    fn line_of_key(&self, path: &str) -> Option<usize> {
        let root = DeTable::parse(self.text).ok()?;
        let mut table = root.get_ref();
        let mut keys = path.split('.').peekable();
        loop {
            let (key, value) = table.get_key_value(keys.next()?)?;
            match (value.get_ref(), keys.peek()) {
                (DeValue::Table(below), Some(_)) => table = below,
                (_, None) => return Some(self.position(key.span().start).0),
                (_, Some(_)) => return None,
            }
        }
    }

    /// A whole number.
    pub(super) fn count(
        &self,
        raw: Option<Spanned<i64>>,
        default: u32,
        range: &RangeInclusive<u32>,
        name: &str,
    ) -> Result<u32, CliError> {
        let Some(raw) = raw else { return Ok(default) };
        match u32::try_from(*raw.get_ref()) {
            Ok(value) if range.contains(&value) => Ok(value),
            Ok(_) | Err(_) => {
                let (min, max) = (range.start(), range.end());
                Err(self.error(raw.span(), &format!("{name} must be from {min} to {max}")))
            }
        }
    }

    fn whatsapp(&self, raw: RawWhatsApp, warnings: &mut Vec<String>) -> Result<WhatsAppTable, CliError> {
        let mut bridge_limits = BTreeMap::new();
        for (name, value) in raw.bridge {
            let Some((_, max)) = BRIDGE_LIMITS.iter().find(|(known, _)| *known == name) else {
                let (line, _) = self.position(value.span().start);
                let path = format!("platforms.whatsapp.bridge.{name}");
                warnings.push(format!("gateway.toml: line {line}: ignored `{path}`: {}", unknown_key(&path)));
                continue;
            };
            match u64::try_from(*value.get_ref()) {
                Ok(limit) if (1..=*max).contains(&limit) => bridge_limits.insert(name, limit),
                Ok(_) | Err(_) => {
                    return Err(self.error(value.span(), &format!("{name} must be from 1 to {max}")));
                }
            };
        }
        Ok(WhatsAppTable {
            enabled: raw.enabled,
            web_socket_url: self.url(raw.web_socket_url, "web_socket_url", ["ws://", "wss://"])?,
            bridge_limits,
        })
    }

    fn unpaced(&self, raw: &RawPlatforms) -> Result<BTreeSet<Platform>, CliError> {
        let mut unpaced = BTreeSet::new();
        for platform in Platform::every() {
            let rates = match platform {
                Platform::Whatsapp => &raw.whatsapp.rates,
                Platform::Telegram => &raw.telegram.rates,
                Platform::Scripted(_) => &raw.scripted.rates,
            };
            match rates.as_ref().map(|word| (word.get_ref().as_str(), word.span())) {
                Some(("off", _)) => drop(unpaced.insert(platform)),
                Some(("on", _)) | None => {}
                Some((_, span)) => return Err(self.error(span, "rates must be on or off")),
            }
        }
        Ok(unpaced)
    }

    fn streams(&self, raw: &mut RawPlatforms) -> Result<BTreeMap<Platform, Duration>, CliError> {
        let telegram = raw.telegram.stream_every.take();
        let scripted = raw.scripted.stream_every.take();
        let mut streams = BTreeMap::new();
        for platform in Platform::every() {
            let Some(default) = platform.spec().stream_every else { continue };
            let every = match platform {
                Platform::Whatsapp => None,
                Platform::Telegram => telegram.clone(),
                Platform::Scripted(_) => scripted.clone(),
            };
            if every.as_ref().is_some_and(|text| text.get_ref().trim() == "off") {
                continue;
            }
            let range = Duration::from_millis(100)..=Duration::from_secs(60);
            streams.insert(platform, self.duration(every, default, &range, "stream_every")?);
        }
        Ok(streams)
    }

    fn telegram(&self, raw: RawTelegram) -> Result<TelegramTable, CliError> {
        let bytes = |raw: Option<Spanned<i64>>, name: &str| {
            let Some(raw) = raw else { return Ok(None) };
            let bytes = u64::try_from(*raw.get_ref()).ok().filter(|bytes| (1..=BYTES_MAX).contains(bytes));
            bytes
                .map(Some)
                .ok_or_else(|| self.error(raw.span(), &format!("{name} must be from 1 to {BYTES_MAX}")))
        };
        let poll_timeout = self.duration(
            raw.poll_timeout,
            TelegramConfig::default().poll_timeout,
            &(SECOND..=Duration::from_secs(30)),
            "poll_timeout",
        )?;
        let media_timeout = self.duration(
            raw.media_timeout,
            TelegramConfig::default().media_timeout,
            &(SECOND..=Duration::from_secs(300)),
            "media_timeout",
        )?;
        Ok(TelegramTable {
            enabled: raw.enabled,
            api_base: self.url(raw.api_base, "api_base", ["http://", "https://"])?,
            file_base: self.url(raw.file_base, "file_base", ["http://", "https://"])?,
            poll_timeout: Some(poll_timeout),
            media_timeout: Some(media_timeout),
            media_file_bytes: bytes(raw.media_file_bytes, "media_file_bytes")?,
            media_total_bytes: bytes(raw.media_total_bytes, "media_total_bytes")?,
            webhook: self.webhook(raw.webhook)?,
        })
    }

    pub(super) fn url(
        &self,
        raw: Option<Spanned<String>>,
        name: &str,
        schemes: [&str; 2],
    ) -> Result<Option<String>, CliError> {
        let Some(url) = raw else { return Ok(None) };
        let rest = schemes.iter().find_map(|scheme| url.get_ref().strip_prefix(scheme));
        if rest.is_none_or(|rest| rest.is_empty() || rest.contains(char::is_whitespace)) {
            let [first, second] = schemes;
            return Err(self.error(url.span(), &format!("{name} must begin with {first} or {second}")));
        }
        Ok(Some(url.into_inner()))
    }

    pub(super) fn duration(
        &self,
        raw: Option<Spanned<String>>,
        default: Duration,
        range: &RangeInclusive<Duration>,
        name: &str,
    ) -> Result<Duration, CliError> {
        let Some(raw) = raw else { return Ok(default) };
        match duration(raw.get_ref()) {
            Some(value) if range.contains(&value) => Ok(value),
            Some(_) => {
                let (min, max) = (range.start(), range.end());
                Err(self.error(raw.span(), &format!("{name} must be from {min:?} to {max:?}")))
            }
            None => Err(self.error(
                raw.span(),
                &format!("{name} must be a duration such as \"500ms\", \"30s\", \"5m\", \"1h\" or \"7d\""),
            )),
        }
    }
}

pub(super) const MOMENT: Duration = Duration::from_millis(10);
pub(super) const SECOND: Duration = Duration::from_secs(1);
pub(super) const MINUTE: Duration = Duration::from_secs(60);
pub(super) const HOUR: Duration = Duration::from_secs(3600);

/// A whole number and its unit.
pub(crate) fn duration(text: &str) -> Option<Duration> {
    let text = text.trim();
    let (number, unit) = text.split_at(text.find(|sign: char| !sign.is_ascii_digit())?);
    let number: u32 = number.parse().ok()?;
    let unit = match unit.trim_start() {
        "ms" => Duration::from_millis(1),
        "s" => SECOND,
        "m" => MINUTE,
        "h" => HOUR,
        "d" => 24 * HOUR,
        _ => return None,
    };
    unit.checked_mul(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(text: &str) -> String {
        read(text, &mut Vec::new()).unwrap_err().to_string()
    }

    #[test]
    fn what_is_wrong_is_told_with_line_and_column() {
        for (text, expected) in [
            ("[gateway\n", "gateway.toml: line 1, column 9: "),
            ("[gateway]\nconnect_timeout = 5\n", "gateway.toml: line 2, column 19: invalid type"),
            (
                "[gateway]\nconnect_timeout = \"5\"",
                "line 2, column 19: connect_timeout must be a duration such as",
            ),
            ("[gateway]\nconnect_timeout = \"2h\"", "connect_timeout must be from 10ms to 600s"),
            ("[gateway]\n\n drain_timeout = \"1d\"", "line 3, column 18: drain_timeout"),
            ("[gateway.reconnect]\njitter = 0.6", "line 2, column 10: jitter must be from 0.0 to 0.5"),
            ("[gateway.reconnect]\njitter = nan", "line 2, column 10: jitter"),
            ("[gateway.reconnect]\nfirst = '10m'", "line 2, column 9: cap (the longest wait)"),
            ("agent.kind = 'oracle'", "line 1, column 14: kind must be echo, openai or command"),
            ("agent.kind = 'acp'", "line 1, column 14: the kind acp is not available"),
            (
                "agent.base_url = 'localhost'",
                "line 1, column 18: base_url must begin with http:// or https://",
            ),
            ("agent.model = ' '", "line 1, column 15: model is empty"),
            ("agent.api_key_env = 'sk-canary'", "line 1, column 21: api_key_env is the name of a variable"),
            (
                "[platforms.whatsapp]\nweb_socket_url='https://x'",
                "line 2, column 16: web_socket_url must begin",
            ),
            (
                "[platforms.whatsapp.bridge]\nprobe_ms = 0",
                "line 2, column 12: probe_ms must be from 1 to 86400000",
            ),
            ("[platforms.whatsapp.bridge]\nprobe_ms = 86400001", "probe_ms must be"),
            (
                "[gateway]\nexit_when_all_blocked = 'no'",
                "line 2, column 25: exit_when_all_blocked must be auto, never or always",
            ),
            ("[gateway]\nturns_max = 0", "line 2, column 13: turns_max must be from 1 to 256"),
            ("[gateway]\nbusy = 'wait'", "line 2, column 8: busy must be queue, interrupt or steer"),
            ("[gateway]\njoin_window = '1m'", "join_window must be from 0ns to 30s"),
            ("# ü\nagent.kind = 'ü'", "line 2, column 14"),
            ("gateway.http.bind = '8642'", "line 1, column 21: bind must be an address and a port"),
            ("gateway.http.bind = 'localhost:8642'", "bind must be an address and a port"),
            ("gateway.http.hosts = ['http://x/']", "line 1, column 23: hosts are names"),
        ] {
            let error = error(text);
            assert!(error.contains(expected), "{text:?}: {error}");
            assert!(!error.contains("canary"), "{error}");
        }
    }

    #[test]
    fn rates_are_kept_to_unless_they_are_off() {
        let unpaced = |text: &str| read(text, &mut Vec::new()).map(|file| file.unpaced);
        assert_eq!(unpaced("[platforms.whatsapp]\nrates = \"on\"\n").unwrap(), BTreeSet::new());
        let off = unpaced("[platforms.telegram]\nrates = \"off\"\n").unwrap();
        assert_eq!(off, BTreeSet::from([Platform::Telegram]));
        assert_eq!(unpaced("[platforms.scripted]\nrates = \"off\"\n").unwrap().len(), 9);
        assert!(unpaced("[platforms.telegram]\nrates = \"fast\"\n").is_err());
        let streams = |text: &str| read(text, &mut Vec::new()).map(|file| file.streams);
        let every = |text: &str| {
            let streams = streams(&format!("[platforms.telegram]\nstream_every = \"{text}\"\n"))?;
            Ok::<_, CliError>(streams.get(&Platform::Telegram).copied())
        };
        assert_eq!(streams("").unwrap()[&Platform::Telegram], Duration::from_secs(2));
        assert_eq!(every("500ms").unwrap(), Some(Duration::from_millis(500)));
        assert_eq!(every("off").unwrap(), None);
        let error = every("1ms").unwrap_err().to_string();
        assert!(error.contains("line 2, column 16: stream_every must be from"), "{error}");
    }

    #[test]
    fn unknown_keys_are_named_with_their_line_and_planned_ones_are_told_apart() {
        let text = "\u{feff}colour = 1\n[gateway]\nhttp = { bind = 'off' }\nreconect = 1\n[gateway.reconnect]\nprobe_every = '15m'\n\
                    [platforms.whatsapp.bridge]\nprobes_ms = 5\n[platforms.discord]\nenabled = true\n";
        let mut warnings = Vec::new();
        read(text, &mut warnings).unwrap();
        warnings.sort();
        assert_eq!(
            warnings,
            [
                "gateway.toml: line 1: ignored `colour`: it is not known",
                "gateway.toml: line 4: ignored `gateway.reconect`: it is not known; did you mean `gateway.reconnect`?",
                "gateway.toml: line 8: ignored `platforms.whatsapp.bridge.probes_ms`: it is not known; did you mean \
                 `platforms.whatsapp.bridge.probe_ms`?",
                "gateway.toml: line 9: ignored `platforms.discord`: it is not supported yet",
            ]
        );
    }

    #[test]
    fn durations_have_a_unit() {
        assert_eq!(duration("30s"), Some(Duration::from_secs(30)));
        assert_eq!(duration(" 5 m "), Some(Duration::from_secs(300)));
        assert_eq!(duration("250ms"), Some(Duration::from_millis(250)));
        assert_eq!(duration("2d"), Some(48 * HOUR));
        for text in ["", "s", "5", "-5s", "1.5s", "5 s m", "99999999999s"] {
            assert_eq!(duration(text), None, "{text}");
        }
    }
}
