//! What the gateway says about itself, and how it is read.
//!
//! - [`snapshot`]: the document `gateway_state.json` (pure).
//! - [`file`]: its one writer.

pub mod file;
pub mod snapshot;
