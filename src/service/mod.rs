//! Starting, stopping and restarting the gateway from outside, and staying until that has come about.
//!
//! - [`command`]: `gateway start`, `stop` and `restart`. [`wait`]: what they wait for (pure).
//! - [`manager`]: the service manager of this machine, where it knows hermes. The line of a long wait is [`progress`](crate::progress).

pub mod command;
pub mod manager;
pub mod wait;
