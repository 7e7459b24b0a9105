//! The platforms: the contract ([`api`]), how an attempt runs ([`driver`]), the list of accounts ([`build`]), and a folder
//! for each platform. [`patience`]: retries inside a
//! connection; [`near`]: services that are watched for their return; [`media`]: what comes with messages; [`aside`] and
//! [`nonsense`]: what cannot be read. [`played`] are platforms that tests of the real program play.

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
