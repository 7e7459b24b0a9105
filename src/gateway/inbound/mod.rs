//! What comes in, read and judged (pure).
//!
//! - [`gate`]: who may speak, and who may give commands; [`rules`]: which of them are in force. [`slash`]: which commands
//!   there are. [`join`]: which messages are answered together. [`refusals`]: what of a message is not taken.

pub mod gate;
pub mod join;
pub mod refusals;
pub mod rules;
pub mod slash;
