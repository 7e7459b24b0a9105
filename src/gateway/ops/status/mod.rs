//! The gateway's word about itself, and its readers.
//!
//! - [`snapshot`]: the document `gateway_state.json` (pure).
//! - [`mod@file`]: its one writer.
//! - [`presence`]: whether a gateway runs, and whether it is believed (pure); [`view`]: the gateway as a reader sees it (pure).
//! - [`table`]: how that looks (pure); [`headline`]: its first lines.
//! - [`report`]: `platform status`, `platform list`, `gateway status`. [`watch`]: the first of them, again and again.
//! - [`brief`]: the same in a few words, for a chat (pure).

pub mod file;
