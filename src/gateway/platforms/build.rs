//! From settings to accounts: the only place that knows every platform's own type.

use std::sync::Arc;

use crate::config::Config;
use crate::gateway::model::adapter::Adapter;
use crate::gateway::platforms::scripted::adapter::PlayedAdapter;
use crate::gateway::platforms::telegram::adapter::TelegramAdapter;
use crate::gateway::platforms::whatsapp::adapter::WhatsAppAdapter;
use crate::gateway::problems::Problems;
use crate::gateway::settings::Settings;
use crate::platforms::Platform;

/// True when the settings ask for this platform.
pub fn is_enabled(platform: Platform, config: &Config) -> bool {
    match platform {
        Platform::Whatsapp => config.whatsapp.enabled,
        Platform::Telegram => config.telegram.enabled,
        Platform::Scripted(_) => {
            config.scripted.as_ref().is_some_and(|scripted| scripted.platforms().any(|one| one == platform))
        }
    }
}

/// The platforms that the settings ask for, in the order shown.
pub fn enabled(config: &Config) -> impl Iterator<Item = Platform> {
    Platform::every().filter(|platform| is_enabled(*platform, config))
}

/// The account of each enabled platform, under its name.
pub fn adapters(
    config: &Config,
    settings: &Arc<Settings>,
    problems: &Problems,
) -> Vec<(String, Arc<dyn Adapter>)> {
    enabled(config)
        .map(|platform| (platform.spec().name.to_owned(), adapter(platform, config, settings, problems)))
        .collect()
}

/// The account of one platform. It reads what it is told at each attempt to connect.
pub fn adapter(
    platform: Platform,
    config: &Config,
    settings: &Arc<Settings>,
    problems: &Problems,
) -> Arc<dyn Adapter> {
    match platform {
        Platform::Whatsapp => Arc::new(WhatsAppAdapter::new(Arc::clone(settings), problems.clone())),
        Platform::Telegram => Arc::new(TelegramAdapter::new(Arc::clone(settings), problems.clone())),
        Platform::Scripted(_) => {
            let socket = config.scripted.as_ref().map(|scripted| scripted.socket.clone());
            Arc::new(PlayedAdapter::new(platform, socket.unwrap_or_default(), settings))
        }
    }
}
