//! From the answer to the platform.
//!
//! - [`outbox`]: sends what waits, in order; [`rates`]: how fast. [`target`]: the address of what somebody sends by hand.

pub mod outbox;
pub mod rates;
pub mod target;
