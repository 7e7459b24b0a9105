//! The platforms: the contract ([`api`]), how an attempt runs ([`driver`]), the list of accounts ([`build`]), and a folder
//! for each platform.

pub mod api;
pub mod build;
pub mod driver;
#[cfg(test)]
pub mod scripted;
pub mod whatsapp;
