//! Pure. `gateway.toml`: its tables, and where something stands that is wrong.

use std::time::Duration;

use toml::de::DeTable;

use super::agent::AgentTable;
use super::names::meant_key;
use super::{GatewayConfig, PlatformConfig, ResetConfig, SessionConfig, TelegramConfig, WhatsAppConfig};
use crate::error::CliError;
use crate::platforms::Platform;
use crate::setting::value::{MINUTE, MOMENT, time_or_off};
use crate::setting::{Fault, Flat, Keys, Table, below, checked, read as read_table, table};

/// Keys that have a meaning elsewhere in the plan and none in this version.
const NOT_USED_YET: [&str; 3] = ["platforms.discord", "platforms.qqbot", "platforms.slack"];

table! {
    /// The file.
    pub(super) struct File {
        pub(super) agent: AgentTable = AgentTable::default(), checked(AgentTable::clash);
        pub(super) session: SessionConfig = SessionConfig::default(), below();
        pub(super) gateway: GatewayConfig = GatewayConfig::default(), below();
        pub(super) platforms: Platforms = Platforms::default(), below();
    }
}

table! {
    /// `[platforms]`.
    pub(super) struct Platforms {
        pub(super) whatsapp: (PlatformTable, WhatsAppConfig) = Default::default(), below();
        pub(super) telegram: (PlatformTable, (Growing, TelegramConfig)) = Default::default(), below();
        /// All that tests play.
        pub(super) scripted: (PlatformTable, Growing) = Default::default(), below();
    }
}

table! {
    /// The keys that every platform has.
    pub(super) struct PlatformTable {
        pub(super) common: PlatformConfig = PlatformConfig::default(), Flat;
        /// What it leaves out is as everywhere.
        pub(super) session: ResetConfig = ResetConfig::default(), below();
    }
}

table! {
    /// The key of a platform that can show a growing answer.
    pub(super) struct Growing {
        pub(super) stream_every: Option<Option<Duration>> = None, time_or_off(10 * MOMENT..=MINUTE);
    }
}

/// Reads and validates the text; unknown keys become warnings.
pub(super) fn read(text: &str, warnings: &mut Vec<String>) -> Result<File, CliError> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let broken = |fault: Fault| {
        let (line, column) = position(text, fault.span.start);
        CliError::config(format!("gateway.toml: line {line}, column {column}: {}", fault.message.trim_end()))
    };
    let root = DeTable::parse(text).map_err(|error| {
        broken(Fault { span: error.span().unwrap_or(0..0), message: error.message().to_owned() })
    })?;
    let mut file = File::default();
    // First for `[session]`: it is what the platforms' own tables begin with.
    read_table(&mut file, root.get_ref()).map_err(broken)?;
    for table in [&mut file.platforms.whatsapp.0, &mut file.platforms.telegram.0] {
        table.session = file.session.reset;
    }
    let unknown = read_table(&mut file, root.get_ref()).map_err(broken)?;
    let (whatsapp, telegram) = (&file.platforms.whatsapp.0, &file.platforms.telegram.0);
    file.session.platforms =
        [(Platform::Whatsapp, whatsapp.session), (Platform::Telegram, telegram.session)].into();
    for (path, span) in unknown {
        let (line, _) = position(text, span.start);
        let what = match meant_key(&path, &tables()) {
            _ if NOT_USED_YET.contains(&path.as_str()) => "it is not supported yet".to_owned(),
            Some(meant) => format!("it is not known; did you mean `{meant}`?"),
            None => "it is not known".to_owned(),
        };
        warnings.push(format!("gateway.toml: line {line}: ignored `{path}`: {what}"));
    }
    Ok(file)
}

/// The keys of every table that people can write.
pub(super) fn tables() -> Keys {
    let mut keys = Keys::new();
    File::keys("", &mut keys);
    keys.retain(|path, keys| {
        keys.retain(|key| *key != "scripted");
        !path.starts_with("platforms.scripted")
    });
    keys
}

/// Line and column, from 1.
fn position(text: &str, at: usize) -> (usize, usize) {
    let before = text.get(..at).unwrap_or(text);
    let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
    (before.matches('\n').count() + 1, before[line_start..].chars().count() + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(text: &str) -> String {
        read(text, &mut Vec::new()).err().unwrap().to_string()
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
            ("gateway = 5", "line 1, column 11: gateway must be a table"),
            (
                "[platforms.telegram]\nstream_every = \"1ms\"\n",
                "line 2, column 16: stream_every must be from 100ms to 60s",
            ),
            ("[platforms.telegram]\nrates = \"fast\"\n", "line 2, column 9: rates must be on or off"),
            (
                "[platforms.telegram]\nwebhook = { url = 'a.test' }",
                "line 2, column 19: url must begin with https://",
            ),
            (
                "[platforms.telegram]\nwebhook = { bind = ':1' }",
                "line 2, column 20: bind must be an address and",
            ),
        ] {
            let error = error(text);
            assert!(error.contains(expected), "{text:?}: {error}");
            assert!(!error.contains("canary"), "{error}");
        }
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
}
