//! From the answer to the platform.
//!
//! - [`handle`]: the id of a message that we send, before it is sent.
//! - [`markup`]: Markdown as the platform writes it; [`chunk`]: in pieces that fit.
//! - [`outbox`]: sends what waits, in order.

pub mod chunk;
pub mod handle;
pub mod markup;
pub mod outbox;
