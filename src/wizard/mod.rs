//! The setup wizards: preflight with hands. This is WhatsApp's; [`mod@telegram`] has the same form.
//!
//! A wizard looks at the same findings as the gateway and repairs one after another until none is left, so a run that was
//! interrupted goes on where it stopped. Answers stay in memory; the settings are written once, at the end, when the
//! pairing is proven on disk. Any other end leaves `.env` as it was.
//!
//! ```text
//! facts ──► flow (pure) ──► Step ──► run: asks (ui), installs and pairs (hands), moves folders ──► facts …
//!                             └► Finish ──► proof re-read ──► changes (pure) ──► .env, once
//! ```
//!
//! All that people see goes through [`ui::Ui`]: a terminal, JSON lines, or a script in tests.
mod ask;
pub mod changes;
mod display;
pub mod event;
pub mod failures;
mod finish;
pub mod flow;
pub mod hands;
pub mod json_ui;
pub mod layout;
pub mod manage;
pub mod numbers;
pub mod options;
mod page;
mod pair;
mod passkey;
#[cfg(test)]
mod passkey_scenarios;
pub mod picture;
pub mod platforms;
pub mod probe;
mod prompt;
pub mod qr;
mod questions;
pub mod run;
mod runner;
mod running;
#[cfg(test)]
mod scenarios;
#[cfg(test)]
mod script_ui;
pub mod session;
mod setup;
pub mod sheet;
#[cfg(test)]
mod stage;
mod switch;
pub mod telegram;
pub mod term_ui;
mod texts;
pub mod ui;
mod work;

pub use manage::{disable, enable, status, unpair};
pub use options::{AnswerFrom, QrStyle, WhatsAppOptions};
pub use run::whatsapp;
pub use runner::Outcome;
pub use telegram::{TelegramOptions, telegram};
