//! Pure. `[gateway]`: the gateway itself.

use std::time::Duration;

use serde::Deserialize;
use toml::Spanned;

use super::file::{HOUR, MINUTE, MOMENT, Place, SECOND};
use super::{
    AT_ONCE_MAX, Bind, Busy, ExitWhenAllBlocked, GatewayConfig, HttpConfig, NotifyConfig, ReconnectConfig,
    TurnConfig,
};
use crate::error::CliError;

/// A breaker that waits for more never opens in practice; 0 says so.
const BREAKER_AFTER_MAX: u32 = 1000;

/// No person writes that fast; 0 says that there is no limit.
const PER_MINUTE_MAX: u32 = 6000;

#[derive(Deserialize, Default)]
#[serde(default)]
pub(super) struct RawGateway {
    connect_timeout: Option<Spanned<String>>,
    drain_timeout: Option<Spanned<String>>,
    exit_when_all_blocked: Option<Spanned<String>>,
    outbox_expiry: Option<Spanned<String>>,
    turns_max: Option<Spanned<i64>>,
    turn_timeout: Option<Spanned<String>>,
    join_window: Option<Spanned<String>>,
    busy: Option<Spanned<String>>,
    chat_turns_per_minute: Option<Spanned<i64>>,
    notify_command: Option<Spanned<Vec<String>>>,
    notify: RawNotify,
    reconnect: RawReconnect,
    http: RawHttp,
}

#[derive(Deserialize, Default)]
#[serde(default)]
pub(super) struct RawHttp {
    bind: Option<Spanned<String>>,
    hosts: Vec<Spanned<String>>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
pub(super) struct RawNotify {
    after: Option<Spanned<String>>,
    retrying_after: Option<Spanned<String>>,
    every: Option<Spanned<String>>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
pub(super) struct RawReconnect {
    first: Option<Spanned<String>>,
    cap: Option<Spanned<String>>,
    jitter: Option<Spanned<f64>>,
    breaker_after: Option<Spanned<i64>>,
    probe_every: Option<Spanned<String>>,
    stable_after: Option<Spanned<String>>,
}

impl Place<'_> {
    pub(super) fn gateway(&self, raw: RawGateway) -> Result<GatewayConfig, CliError> {
        let default = GatewayConfig::default();
        let connect = default.connect_timeout;
        let drain = default.drain_timeout;
        Ok(GatewayConfig {
            connect_timeout: self.duration(
                raw.connect_timeout,
                connect,
                &(MOMENT..=10 * MINUTE),
                "connect_timeout",
            )?,
            drain_timeout: self.duration(
                raw.drain_timeout,
                drain,
                &(Duration::ZERO..=10 * MINUTE),
                "drain_timeout",
            )?,
            exit_when_all_blocked: self.exit_when_all_blocked(raw.exit_when_all_blocked)?,
            outbox_expiry: self.duration(
                raw.outbox_expiry,
                default.outbox_expiry,
                &(SECOND..=30 * 24 * HOUR),
                "outbox_expiry",
            )?,
            turn: TurnConfig {
                at_once_max: self.count(
                    raw.turns_max,
                    default.turn.at_once_max,
                    &(1..=AT_ONCE_MAX),
                    "turns_max",
                )?,
                timeout: self.duration(
                    raw.turn_timeout,
                    default.turn.timeout,
                    &(SECOND..=HOUR),
                    "turn_timeout",
                )?,
                join_window: self.duration(
                    raw.join_window,
                    default.turn.join_window,
                    &(Duration::ZERO..=30 * SECOND),
                    "join_window",
                )?,
                busy: self.busy(raw.busy)?,
                per_minute_max: self.count(
                    raw.chat_turns_per_minute,
                    default.turn.per_minute_max,
                    &(0..=PER_MINUTE_MAX),
                    "chat_turns_per_minute",
                )?,
            },
            notify: self.notify(raw.notify_command, raw.notify)?,
            reconnect: self.reconnect(raw.reconnect)?,
            http: self.http(raw.http)?,
        })
    }

    fn exit_when_all_blocked(&self, raw: Option<Spanned<String>>) -> Result<ExitWhenAllBlocked, CliError> {
        let Some(word) = raw else { return Ok(ExitWhenAllBlocked::default()) };
        match word.get_ref().as_str() {
            "auto" => Ok(ExitWhenAllBlocked::Auto),
            "never" => Ok(ExitWhenAllBlocked::Never),
            "always" => Ok(ExitWhenAllBlocked::Always),
            _ => Err(self.error(word.span(), "exit_when_all_blocked must be auto, never or always")),
        }
    }

    fn busy(&self, raw: Option<Spanned<String>>) -> Result<Busy, CliError> {
        let Some(word) = raw else { return Ok(Busy::default()) };
        match word.get_ref().as_str() {
            "queue" => Ok(Busy::Queue),
            "interrupt" => Ok(Busy::Interrupt),
            "steer" => Ok(Busy::Steer),
            _ => Err(self.error(word.span(), "busy must be queue, interrupt or steer")),
        }
    }

    fn notify(
        &self,
        command: Option<Spanned<Vec<String>>>,
        raw: RawNotify,
    ) -> Result<NotifyConfig, CliError> {
        let default = NotifyConfig::default();
        let command = match command {
            Some(command) if command.get_ref().first().is_some_and(|program| program.trim().is_empty()) => {
                return Err(
                    self.error(command.span(), "notify_command must start with the name of a program")
                );
            }
            Some(command) => Some(command.into_inner()).filter(|parts| !parts.is_empty()),
            None => None,
        };
        let range = MOMENT..=24 * HOUR;
        Ok(NotifyConfig {
            command,
            after: self.duration(raw.after, default.after, &range, "after")?,
            retrying_after: self.duration(
                raw.retrying_after,
                default.retrying_after,
                &range,
                "retrying_after",
            )?,
            every: self.duration(raw.every, default.every, &range, "every")?,
        })
    }

    fn http(&self, raw: RawHttp) -> Result<HttpConfig, CliError> {
        let default = HttpConfig::default();
        let bind = match raw.bind {
            Some(text) => Bind::parse(text.get_ref()).ok_or_else(|| {
                self.error(
                    text.span(),
                    "bind must be an address and a port, such as \"127.0.0.1:8642\", or \"off\"",
                )
            })?,
            None => default.bind,
        };
        let mut hosts = Vec::new();
        for host in raw.hosts {
            let name = host.get_ref().trim().to_ascii_lowercase();
            let is_host = !name.is_empty()
                && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._:[]".contains(&byte));
            if !is_host {
                return Err(self.error(
                    host.span(),
                    "hosts are names as in a browser's address bar, such as \"hermes.lan:8642\"",
                ));
            }
            hosts.push(name);
        }
        Ok(HttpConfig { bind, hosts, key: None })
    }

    fn reconnect(&self, raw: RawReconnect) -> Result<ReconnectConfig, CliError> {
        let default = ReconnectConfig::default();
        let cap_span = raw.cap.as_ref().or(raw.first.as_ref()).map(Spanned::span);
        let first = self.duration(raw.first, default.first, &(MOMENT..=HOUR), "first")?;
        let cap = self.duration(raw.cap, default.cap, &(MOMENT..=24 * HOUR), "cap")?;
        let stable_after =
            self.duration(raw.stable_after, default.stable_after, &(MOMENT..=24 * HOUR), "stable_after")?;
        if let Some(span) = cap_span.filter(|_| cap < first) {
            return Err(self.error(span, "cap (the longest wait) must not be shorter than first"));
        }
        let jitter = match raw.jitter {
            Some(jitter) if (0.0..=0.5).contains(jitter.get_ref()) => jitter.into_inner(),
            Some(jitter) => return Err(self.error(jitter.span(), "jitter must be from 0.0 to 0.5")),
            None => default.jitter,
        };
        let breaker_after =
            self.count(raw.breaker_after, default.breaker_after, &(0..=BREAKER_AFTER_MAX), "breaker_after")?;
        let probe_every = match raw.probe_every {
            Some(text) if text.get_ref().trim() == "off" => None,
            every => {
                let default = default.probe_every.unwrap_or(HOUR);
                Some(self.duration(every, default, &(MOMENT..=24 * HOUR), "probe_every")?)
            }
        };
        Ok(ReconnectConfig { first, cap, jitter, breaker_after, probe_every, stable_after })
    }
}

#[cfg(test)]
mod tests {
    use super::super::file::read;
    use super::*;

    #[test]
    fn the_breaker_and_its_probes_can_be_switched_off() {
        let reconnect = |text: &str| {
            read(&format!("[gateway.reconnect]\n{text}"), &mut Vec::new()).unwrap().gateway.reconnect
        };
        assert_eq!(reconnect("breaker_after = 0").breaker_after, 0);
        assert_eq!(reconnect("probe_every = 'off'").probe_every, None);
        assert_eq!(reconnect("probe_every = '5m'").probe_every, Some(5 * MINUTE));
        let error = |text: &str| read(text, &mut Vec::new()).unwrap_err().to_string();
        assert!(error("[gateway.reconnect]\nbreaker_after = -1").contains("from 0 to 1000"));
        assert!(
            error("[gateway.reconnect]\nprobe_every = 'never'").contains("probe_every must be a duration")
        );
    }
}
