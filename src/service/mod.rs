//! Starting, stopping and restarting the gateway from outside, and waiting until that is done.
//!
//! - [`command`]: `gateway start`, `stop` and `restart`. [`wait`]: the decider of their wait (pure).
//! - [`manager`]: the service manager of this machine, where it knows hermes. The line of a long wait is
//!   [`progress`](crate::progress).

pub mod command;
pub mod manager;
pub mod wait;
