//! From settings to accounts: the only place that knows every platform's own type.

use std::sync::Arc;

use crate::config::Config;
use crate::gateway::platforms::api::Adapter;
use crate::gateway::platforms::whatsapp::adapter::WhatsAppAdapter;
use crate::gateway::settings::Settings;
use crate::platform::Platform;

/// Whether the settings ask for this platform.
pub fn is_enabled(platform: Platform, config: &Config) -> bool {
    match platform {
        Platform::Whatsapp => config.whatsapp.enabled,
    }
}

/// The account of each enabled platform, under its name.
pub fn adapters(config: &Config, settings: &Arc<Settings>) -> Vec<(String, Arc<dyn Adapter>)> {
    Platform::ALL
        .into_iter()
        .filter(|platform| is_enabled(*platform, config))
        .map(|platform| {
            let adapter: Arc<dyn Adapter> = match platform {
                Platform::Whatsapp => Arc::new(WhatsAppAdapter::new(Arc::clone(settings))),
            };
            (platform.spec().name.to_owned(), adapter)
        })
        .collect()
}
