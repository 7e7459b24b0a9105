//! The Telegram wizard: a token from @BotFather, asked unseen and checked with the service; the owner, learnt from the first
//! message that is written to the bot; and one write to `.env` at the end.
//!
//! ```text
//! facts ──► flow (pure) ──► Step ──► setup: asks (ui), checks and waits (service) ──► answers …
//!                             └► Finish ──► changes (pure) ──► .env, once
//! ```
//!
//! The first message is looked at and not confirmed: it stays at the service, and the gateway answers it when it starts.
mod failures;
pub mod flow;
pub mod manage;
pub mod options;
mod owner;
pub mod people;
pub mod run;
pub mod service;
mod setup;
mod texts;

pub use manage::{disable, enable, status};
pub use options::TelegramOptions;
pub use run::telegram;
