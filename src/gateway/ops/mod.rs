//! What people see of the gateway, and what it tells them without being asked.
//!
//! - [`status`]: the status file. [`notice`]: alerts to the owner. [`dead_letters`]: messages that were given up.

pub mod dead_letters;
pub mod notice;
pub mod status;
