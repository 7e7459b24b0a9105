//! What the gateway says about itself, and how it is read.
//!
//! - [`snapshot`]: the document `gateway_state.json` (pure).
//! - [`mod@file`]: its one writer.
//! - [`view`]: what a reader may believe of it (pure).
//! - [`table`]: how that looks (pure).
//! - [`report`]: `platform status`, `platform list`, `gateway status`. [`watch`]: the first of them, again and again.
//! - [`brief`]: the same in a few words, for a chat (pure).

pub mod brief;
pub mod file;
pub mod report;
pub mod snapshot;
pub mod table;
pub mod view;
pub mod watch;
