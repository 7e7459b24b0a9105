//! WhatsApp, over the Node bridge.
//!
//! - [`adapter`]: the account. Checks what is missing, starts a bridge, remembers WhatsApp's refusals.
//! - [`link`]: one live connection: sends, answers matched to their requests, the end and its reason.
//! - [`pump`]: the task behind a link; it owns the bridge process.
//! - [`backlog`]: the order in which messages are handed over (pure).
//! - [`exits`]: the error for each end of a bridge (pure).
//! - [`memory`]: shows that the kernel ended it, for want of memory.
//! - [`translate`]: the bridge's messages as those of the gateway (pure).

pub mod adapter;
pub mod backlog;
pub mod exits;
pub mod link;
pub mod memory;
pub mod pump;
pub mod translate;
