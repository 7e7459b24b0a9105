//! WhatsApp, over the Node bridge.
//!
//! - [`adapter`]: the account. Checks what is missing, starts a bridge, remembers why WhatsApp said no.
//! - [`link`]: one live connection: sends, answers matched to their requests, the end and its reason.
//! - [`pump`]: the task behind a link; it owns the bridge process.
//! - [`backlog`]: whose message is handed over next (pure).
//! - [`exits`]: what each end of a bridge means (pure).
//! - [`memory`]: whether it was the kernel that ended it, for want of memory.
//! - [`translate`]: the bridge's messages as everybody else sees them (pure).

pub mod adapter;
pub mod backlog;
pub mod exits;
pub mod link;
pub mod memory;
pub mod pump;
pub mod translate;
