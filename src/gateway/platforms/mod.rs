//! The platforms: the contract ([`api`]) and a folder each.

pub mod api;
pub mod driver;
#[cfg(test)]
pub mod scripted;
