//! WhatsApp's settings: its table in `gateway.toml`, and those by the names that hermes-agent gives them.

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::setting::value::{number, url};
use crate::setting::{Entry, Fault, Keys, Rule, Settings, Unset, table};

/// A JavaScript timer beyond this fires at once; a day is plenty.
const MILLISECONDS_MAX: u64 = 24 * 3600 * 1000;

/// Numbers beyond this are not exact in JavaScript.
const BYTES_MAX: u64 = 1 << 53;

/// The bridge's limits that can be set, with the largest value of each. `assets/bridge/README.md` explains them.
pub(crate) const BRIDGE_LIMITS: [(&str, u64); 13] = [
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

table! {
    /// WhatsApp.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct WhatsAppConfig {
        /// `WHATSAPP_ENABLED=true`, and `gateway.toml` does not say `enabled = false`.
        pub enabled: bool = false, Unset;
        /// `WHATSAPP_MODE`; `None` when it was never chosen.
        pub mode: Option<WhatsAppMode> = None, Unset;
        /// WhatsApp's address, if not its usual one.
        pub web_socket_url: Option<String> = None, url(["ws://", "wss://"]);
        /// `WHATSAPP_WA_VERSION`: the protocol version to speak, if not the library's.
        pub version: Option<[u32; 3]> = None, Unset;
        /// `HERMES_NODE`: the Node to use.
        pub node: Option<PathBuf> = None, Unset;
        /// Limits handed to the bridge (`[platforms.whatsapp.bridge]`), by name.
        pub bridge_limits: BTreeMap<String, u64> = BTreeMap::new(), BridgeLimits;
    }
}

/// The role of hermes on WhatsApp.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WhatsAppMode {
    /// A separate number; the listed people write to it.
    Bot,
    /// The owner's own number; the owner writes to themself.
    SelfChat,
}

/// The table `bridge`: a number for each limit.
struct BridgeLimits;

impl Rule<BTreeMap<String, u64>> for BridgeLimits {
    fn keys(&self, _: &'static str, path: &str, keys: &mut Keys) {
        keys.entry(path.to_owned()).or_default().push("bridge");
        keys.insert(format!("{path}.bridge"), BRIDGE_LIMITS.map(|(name, _)| name).to_vec());
    }

    fn take(
        &self,
        limits: &mut BTreeMap<String, u64>,
        _: &'static str,
        entry: &mut Entry<'_, '_>,
    ) -> Result<bool, Fault> {
        if entry.key != "bridge" {
            return Ok(false);
        }
        entry.below(|entry| {
            let known = BRIDGE_LIMITS.iter().find(|(known, _)| *known == entry.key);
            let Some((known, max)) = known else { return Ok(false) };
            let limit = limits.entry((*known).to_owned()).or_default();
            number(1..=*max).take(limit, known, entry)
        })?;
        Ok(true)
    }
}

impl WhatsAppConfig {
    /// Adds the settings by name. `enabled` is what `gateway.toml` says.
    pub(crate) fn by_name(&mut self, enabled: Option<bool>, settings: &Settings<'_>) {
        let switch = settings.switch("WHATSAPP_ENABLED");
        if enabled == Some(true) && switch.is_none() {
            settings.warn(
                "gateway.toml: `platforms.whatsapp.enabled` can only turn WhatsApp off; `hermes whatsapp` turns it on",
            );
        }
        self.enabled = switch == Some(true) && enabled != Some(false);
        self.mode = settings.parsed("WHATSAPP_MODE", mode, "must be bot or self-chat");
        self.version =
            settings.parsed("WHATSAPP_WA_VERSION", version, "expected a form like 2.3000.1234567890");
        self.node = settings.value("HERMES_NODE").map(|path| settings.world.expand(path));
    }
}

fn mode(text: &str) -> Option<WhatsAppMode> {
    match text.to_ascii_lowercase().as_str() {
        "bot" => Some(WhatsAppMode::Bot),
        "self-chat" => Some(WhatsAppMode::SelfChat),
        _ => None,
    }
}

fn version(text: &str) -> Option<[u32; 3]> {
    let parts: Option<Vec<u32>> = text.split('.').map(|part| part.trim().parse().ok()).collect();
    parts?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::env_file::EnvFile;
    use crate::world::World;

    fn of(env: &str) -> (WhatsAppConfig, Vec<String>) {
        with(None, env)
    }

    fn with(enabled: Option<bool>, env: &str) -> (WhatsAppConfig, Vec<String>) {
        let (world, env) = (World::of_env([("A", "b")]), EnvFile::parse(env));
        let settings = Settings::new(&world, &env);
        let mut config = WhatsAppConfig::default();
        config.by_name(enabled, &settings);
        (config, settings.warnings.take())
    }

    #[test]
    fn only_the_named_setting_enables_and_the_file_can_only_disable() {
        for (enabled, env, expected, told) in [
            (None, "", false, 0),
            (None, "WHATSAPP_ENABLED=true", true, 0),
            (None, "WHATSAPP_ENABLED=YES", true, 0),
            (None, "WHATSAPP_ENABLED=false", false, 0),
            (None, "WHATSAPP_ENABLED=perhaps", false, 1),
            (Some(false), "WHATSAPP_ENABLED=true", false, 0),
            (Some(true), "WHATSAPP_ENABLED=true", true, 0),
            (Some(true), "", false, 1),
        ] {
            let (config, warnings) = with(enabled, env);
            assert_eq!((config.enabled, warnings.len()), (expected, told), "{enabled:?} {env}");
        }
    }

    #[test]
    fn mode_version_and_node_are_read_and_nonsense_is_told() {
        let (config, warnings) =
            of("WHATSAPP_MODE=Self-Chat\nWHATSAPP_WA_VERSION=2.3000.1043857760\nHERMES_NODE=/opt/node");
        assert_eq!(config.mode, Some(WhatsAppMode::SelfChat));
        assert_eq!(config.version, Some([2, 3000, 1_043_857_760]));
        assert_eq!(config.node.as_deref(), Some(std::path::Path::new("/opt/node")));
        assert!(warnings.is_empty());
        let (config, warnings) = of("WHATSAPP_MODE=both\nWHATSAPP_WA_VERSION=2.3000");
        assert_eq!((config.mode, config.version, warnings.len()), (None, None, 2));
    }
}
