//! Pure. The effect of changed settings on each platform: only the platforms that a change concerns are touched.

use crate::config::{Config, GatewayConfig, TelegramConfig, WhatsAppConfig};
use crate::gateway::platforms::build::is_enabled;
use crate::platforms::Platform;

/// The change for one platform.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// It is enabled from now on.
    Enabled,
    /// It is no longer enabled.
    Disabled,
    /// It must connect again to apply its settings.
    Reconnect,
}

/// The effect of a change of the settings.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Changes {
    /// The platforms that it concerns, in the order of display.
    pub platforms: Vec<(Platform, Change)>,
    /// True when the waits and limits of connecting have changed.
    pub policy: bool,
}

/// Compares the settings in force with those that were read.
pub fn changes(old: &Config, new: &Config) -> Changes {
    let platforms = Platform::every()
        .filter_map(|platform| {
            let change = match (is_enabled(platform, old), is_enabled(platform, new)) {
                (false, true) => Change::Enabled,
                (true, false) => Change::Disabled,
                (true, true) if !connects_alike(platform, old, new) => Change::Reconnect,
                (true, true) | (false, false) => return None,
            };
            Some((platform, change))
        })
        .collect();
    Changes { platforms, policy: policy(&old.gateway) != policy(&new.gateway) }
}

fn policy(config: &GatewayConfig) -> impl PartialEq + use<> {
    (config.connect_timeout, config.reconnect)
}

/// True when both settings make the same connection. The allow list does not count: the gate checks it for each message.
fn connects_alike(platform: Platform, old: &Config, new: &Config) -> bool {
    match platform {
        Platform::Whatsapp => {
            let parts = |config: &WhatsAppConfig| {
                // Every field is named, so that a new one cannot be forgotten here.
                let WhatsAppConfig { enabled: _, mode: _, web_socket_url, version, node, bridge_limits } =
                    config.clone();
                (web_socket_url, version, node, bridge_limits)
            };
            parts(&old.whatsapp) == parts(&new.whatsapp)
        }
        Platform::Telegram => {
            let parts = |config: &TelegramConfig| {
                let TelegramConfig {
                    enabled: _,
                    is_off_in_agent: _,
                    token,
                    proxy,
                    api_base,
                    file_base,
                    poll_timeout,
                    media_timeout,
                    media_file_bytes,
                    media_total_bytes,
                    webhook,
                } = config.clone();
                let media = (media_timeout, media_file_bytes, media_total_bytes);
                ((token, proxy), api_base, file_base, poll_timeout, media, webhook)
            };
            parts(&old.telegram) == parts(&new.telegram)
        }
        Platform::Scripted(_) => old.scripted == new.scripted,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::config::{AccessConfig, AgentConfig, AllowList, OpenaiConfig, WhatsAppMode};

    fn enabled() -> Config {
        let mut config = Config::default();
        config.whatsapp.enabled = true;
        config
    }

    fn of(change: impl FnOnce(&mut Config)) -> Changes {
        let mut new = enabled();
        change(&mut new);
        changes(&enabled(), &new)
    }

    #[test]
    fn who_may_speak_and_who_answers_disturb_no_connection() {
        let nothing = Changes::default();
        assert_eq!(of(|_| {}), nothing);
        let everybody = AccessConfig {
            allowed: AllowList::Everybody,
            groups: vec!["1@g.us".to_owned()],
            ..AccessConfig::default()
        };
        assert_eq!(of(|config| config.platform_mut(Platform::Whatsapp).access = everybody), nothing);
        assert_eq!(of(|config| config.whatsapp.mode = Some(WhatsAppMode::Bot)), nothing);
        assert_eq!(of(|config| config.agent = AgentConfig::Openai(OpenaiConfig::default())), nothing);
        assert_eq!(of(|config| config.gateway.drain_timeout = Duration::ZERO), nothing);
        assert_eq!(of(|config| config.warnings.push("odd".to_owned())), nothing);
    }

    #[test]
    fn where_and_how_it_connects_makes_it_connect_anew() {
        let anew = Changes { platforms: vec![(Platform::Whatsapp, Change::Reconnect)], policy: false };
        assert_eq!(of(|config| config.whatsapp.web_socket_url = Some("wss://relay/".to_owned())), anew);
        assert_eq!(of(|config| config.whatsapp.version = Some([1, 2, 3])), anew);
        assert_eq!(of(|config| config.whatsapp.node = Some("/usr/bin/node".into())), anew);
        assert_eq!(of(|config| config.whatsapp.bridge_limits.extend([("probe_ms".to_owned(), 5)])), anew);
    }

    #[test]
    fn being_wanted_comes_before_everything_else() {
        let off = |config: &mut Config| {
            config.whatsapp.enabled = false;
            config.whatsapp.version = Some([1, 2, 3]);
        };
        assert_eq!(of(off).platforms, [(Platform::Whatsapp, Change::Disabled)]);
        let (mut old, mut new) = (Config::default(), enabled());
        assert_eq!(changes(&old, &new).platforms, [(Platform::Whatsapp, Change::Enabled)]);
        old.whatsapp.version = Some([1, 2, 3]);
        new.whatsapp.enabled = false;
        assert_eq!(changes(&old, &new).platforms, [], "nobody connects");
    }

    #[test]
    fn waits_and_limits_are_taken_up_without_a_new_connection() {
        let changes = of(|config| config.gateway.reconnect.first = Duration::from_secs(1));
        assert_eq!(changes, Changes { platforms: Vec::new(), policy: true });
        assert!(of(|config| config.gateway.connect_timeout = Duration::from_secs(1)).policy);
    }
}
