//! From the answer to the platform.
//!
//! - [`handle`]: the id of a message that we send, before it is sent.
//! - [`markdown`]: Markdown as the platform writes it, in parts that fit.
//! - [`outbox`]: sends what waits, in order; [`rates`]: how fast.
//! - [`target`], [`send`]: what somebody sends by hand.
//! - [`lost`]: what a chat is told of what it never got.

pub mod outbox;
pub mod rates;
pub mod target;
