//! Inbound messages, read and judged (pure).
//!
//! - [`gate`]: who may write, and who may give commands; [`rules`]: the gate in force. [`slash`]: the commands. [`join`]:
//!   which messages are answered together. [`refusals`]: the parts of a message that are not taken.

pub mod gate;
pub mod join;
pub mod refusals;
pub mod rules;
pub mod slash;
