//! The way of an answer to the platform.
//!
//! - [`outbox`]: sends the waiting messages, in order; [`rates`]: the rate limits. [`target`]: the address of a message
//!   sent by hand.

pub mod outbox;
pub mod rates;
pub mod target;
