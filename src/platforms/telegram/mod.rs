//! Telegram: its row, its ids, and the Bot API: its types ([`wire`]) and its client ([`bot`]).

use std::time::Duration;

use super::spec::{Naming, PlatformSpec, Rate, Rates, Repeat, TextUnit};

pub mod bot;
mod ids;
mod lenient;
mod settings;
mod update;
pub mod wire;

pub use settings::{TelegramConfig, WebhookConfig};

/// Its row.
pub static SPEC: PlatformSpec = PlatformSpec {
    name: "telegram",
    title: "Telegram",
    setup: "hermes telegram",
    naming: Naming::Number,
    ids: ids::IDS,
    text_len_max: 4096,
    text_unit: TextUnit::Utf16,
    // It has no handle for a message: a repeated request is a new message.
    repeat: Repeat::Marked,
    rates: Rates {
        all: Some(Rate { count: 30, per: Duration::from_secs(1) }),
        chat: Some(Rate { count: 5, per: Duration::from_secs(5) }),
        group: Some(Rate { count: 20, per: Duration::from_secs(60) }),
        is_group: ids::is_group,
        // The topics of a forum are one group.
        whole: |chat| chat.split_once(':').map_or(chat, |(group, _)| group),
    },
    stream_every: Some(Duration::from_secs(2)),
    // A poll of 30 s, and a margin.
    lease: Duration::from_secs(45),
    lease_code: "telegram_network_error",
    keeps: Some(Duration::from_hours(24)),
};
