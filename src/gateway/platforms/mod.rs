//! The platforms: the contract ([`api`]) and a folder each.

pub mod api;
