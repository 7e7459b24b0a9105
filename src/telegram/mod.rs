//! Telegram's Bot API, for the wizard and the gateway: what is said ([`wire`]), and how it is asked ([`bot`]).

pub mod bot;
mod lenient;
mod update;
pub mod wire;
