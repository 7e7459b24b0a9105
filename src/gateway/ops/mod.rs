//! The gateway's reports to people, and its notices to its owner.
//!
//! - [`status`]: the status file. [`notice`]: alerts to the owner. [`dead_letters`]: messages that were given up.

pub mod dead_letters;
pub mod notice;
pub mod status;
