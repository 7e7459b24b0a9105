//! Pure. WhatsApp's settings, by the names that hermes-agent gives them.

use super::file::WhatsAppTable;
use super::{Settings, WhatsAppConfig, WhatsAppMode};

/// The settings by name, and what `gateway.toml` adds.
pub(super) fn merge(
    table: WhatsAppTable,
    settings: &Settings<'_>,
    warnings: &mut Vec<String>,
) -> WhatsAppConfig {
    let enabled = settings.switch("WHATSAPP_ENABLED", warnings);
    if table.enabled == Some(true) && enabled.is_none() {
        warnings.push(
            "gateway.toml: `platforms.whatsapp.enabled` can only turn WhatsApp off; `hermes whatsapp` turns it on"
                .to_owned(),
        );
    }
    WhatsAppConfig {
        enabled: enabled == Some(true) && table.enabled != Some(false),
        mode: mode(settings, warnings),
        web_socket_url: table.web_socket_url,
        version: version(settings, warnings),
        is_turned_off: table.enabled == Some(false),
        node: settings.value("HERMES_NODE").map(|path| settings.world.expand(path)),
        bridge_limits: table.bridge_limits,
    }
}

fn mode(settings: &Settings<'_>, warnings: &mut Vec<String>) -> Option<WhatsAppMode> {
    match settings.value("WHATSAPP_MODE")?.to_ascii_lowercase().as_str() {
        "bot" => Some(WhatsAppMode::Bot),
        "self-chat" => Some(WhatsAppMode::SelfChat),
        _ => {
            warnings.push("ignored WHATSAPP_MODE: must be bot or self-chat".to_owned());
            None
        }
    }
}

fn version(settings: &Settings<'_>, warnings: &mut Vec<String>) -> Option<[u32; 3]> {
    let text = settings.value("WHATSAPP_WA_VERSION")?;
    let parts: Option<Vec<u32>> = text.split('.').map(|part| part.trim().parse().ok()).collect();
    let version = parts.and_then(|parts| parts.try_into().ok());
    if version.is_none() {
        warnings.push("ignored WHATSAPP_WA_VERSION: expected a form like 2.3000.1234567890".to_owned());
    }
    version
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::env_file::EnvFile;
    use crate::world::World;

    fn of(env: &str) -> (WhatsAppConfig, Vec<String>) {
        with(WhatsAppTable::default(), env)
    }

    fn with(table: WhatsAppTable, env: &str) -> (WhatsAppConfig, Vec<String>) {
        let world = World::of_env([("A", "b")]);
        let mut warnings = Vec::new();
        let config = merge(table, &Settings::new(&world, &EnvFile::parse(env)), &mut warnings);
        (config, warnings)
    }

    #[test]
    fn only_the_named_setting_enables_and_the_file_can_only_disable() {
        let table = |enabled| WhatsAppTable { enabled, ..WhatsAppTable::default() };
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
            let (config, warnings) = with(table(enabled), env);
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
