//! The platforms while they run: the driver of an attempt ([`driver`]), the list of accounts ([`build`]), and a folder for
//! each platform. The contract is [`adapter`](crate::gateway::model::adapter).
//!
//! [`patience`]: retries inside a connection. [`claim`]: one process for each bot. [`media`]: attachments. [`quarantine`] and
//! [`unreadable_ratio`]: unreadable messages. [`scripted`]: platforms that tests of the real program play.

pub mod build;
pub mod claim;
pub mod driver;
pub mod media;
pub mod patience;
pub mod quarantine;
pub mod scripted;
pub mod telegram;
#[cfg(test)]
pub mod testing;
pub mod unreadable_ratio;
pub mod whatsapp;
