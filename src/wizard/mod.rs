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
pub mod changes;
pub mod platforms;
mod questions;
mod runner;
mod running;
mod switch;
pub mod telegram;
pub mod ui;
pub mod whatsapp;

pub use crate::wizard::whatsapp::manage::{disable, enable, status, unpair};
pub use crate::wizard::whatsapp::options::{AnswerFrom, QrStyle, WhatsAppOptions};
pub use crate::wizard::whatsapp::run::whatsapp;
pub use runner::Outcome;
pub use telegram::{TelegramOptions, telegram};
