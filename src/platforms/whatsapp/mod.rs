//! WhatsApp: its row, its ids ([`ids`]) and phone numbers ([`phone`]).

use std::time::Duration;

use super::spec::{Naming, PlatformSpec, Rate, Rates, Repeat, TextUnit};

pub mod ids;
pub mod phone;
mod settings;

#[cfg(test)]
pub(crate) use settings::BRIDGE_LIMITS;
pub use settings::{WhatsAppConfig, WhatsAppMode};

/// Its row.
pub static SPEC: PlatformSpec = PlatformSpec {
    name: "whatsapp",
    title: "WhatsApp",
    setup: "hermes whatsapp",
    naming: Naming::Phone,
    ids: ids::IDS,
    text_len_max: 4096,
    text_unit: TextUnit::Chars,
    repeat: Repeat::Same,
    // WhatsApp names no limits, and bans numbers that write like a machine.
    rates: Rates {
        all: Some(Rate { count: 100, per: Duration::from_secs(20) }),
        chat: Some(Rate { count: 20, per: Duration::from_secs(20) }),
        group: Some(Rate { count: 20, per: Duration::from_secs(60) }),
        is_group: ids::is_group,
        whole: |chat| chat,
    },
    stream_every: None,
    lease: Duration::from_secs(90),
    lease_code: "whatsapp_bridge_hung",
    keeps: None,
};
