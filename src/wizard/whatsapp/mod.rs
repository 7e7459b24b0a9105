//! WhatsApp's wizard.
//!
//! ```text
//! facts ──► flow (pure) ──► Step ──► setup: asks (ask, texts), installs and pairs (hands, work), moves folders (session) ──► facts …
//!                             └► Finish ──► finish: proof re-read ──► changes (pure) ──► .env, once
//! ```
//!
//! - [`run`]: `hermes whatsapp`; [`options`] its flags. [`manage`]: `status`, `enable`, `disable`, `unpair`.
//! - [`pair`]: one attempt to link a phone; [`display`] shows the code, [`passkey`] answers the account's passkey.
//! - [`numbers`]: phone numbers as people write them. [`failures`]: what went wrong, for people.

mod ask;
mod display;
pub mod failures;
mod finish;
pub mod flow;
pub mod hands;
pub mod manage;
pub mod numbers;
pub mod options;
mod pair;
mod passkey;
#[cfg(test)]
mod passkey_scenarios;
pub mod run;
#[cfg(test)]
mod scenarios;
pub mod session;
mod setup;
#[cfg(test)]
pub mod stage;
mod texts;
mod work;
