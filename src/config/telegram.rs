//! Pure. Telegram's settings, by the names that hermes-agent gives them.

use super::file::TelegramTable;
use super::{Secret, Settings, TelegramConfig};

/// The settings by name, and what `gateway.toml` adds.
pub(super) fn merge(table: TelegramTable, settings: &Settings<'_>) -> TelegramConfig {
    let token = settings.value("TELEGRAM_BOT_TOKEN").map(|token| Secret(token.to_owned()));
    let default = TelegramConfig::default();
    let api_base = table.api_base.unwrap_or(default.api_base);
    TelegramConfig {
        enabled: token.is_some() && table.enabled != Some(false),
        token,
        // Files stand below the same service, unless it is said where.
        file_base: table.file_base.unwrap_or_else(|| format!("{}/file", api_base.trim_end_matches('/'))),
        api_base,
        poll_timeout: table.poll_timeout.unwrap_or(default.poll_timeout),
        media_file_bytes: table.media_file_bytes.unwrap_or(default.media_file_bytes),
        media_total_bytes: table.media_total_bytes.unwrap_or(default.media_total_bytes),
    }
}
