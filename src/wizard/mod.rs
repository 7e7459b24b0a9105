//! The setup wizards: preflight with hands. A folder a platform: [`mod@whatsapp`], [`mod@telegram`].
//!
//! A wizard looks at the same findings as the gateway and repairs one after another until none is left, so a run that was
//! interrupted goes on where it stopped. Answers stay in memory; the settings are written once, at the end, when the
//! pairing is proven. Any other end leaves `.env` as it was.
//!
//! - [`ui`]: what people see and type, in a terminal, as JSON lines, or by a script in tests.
//! - [`runner`]: signals, outcome and the words at the end. [`questions`]: what all ask alike. [`changes`]: what is written
//!   (pure); [`switch`]: a platform on or off.
//! - [`running`]: what only the running gateway knows. [`platforms`]: `hermes setup`, which asks for the platforms.

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
pub use runner::{Interrupts, Outcome};
pub use telegram::{TelegramOptions, telegram};
