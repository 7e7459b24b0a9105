//! Telling the operator: a platform that does not come back by itself is told of once, where it is seen, and once more
//! when it works again.
//!
//! - [`decider`]: whether, when and by which way (pure); [`text`]: in which words (pure).
//! - [`driver`]: watches the published states and sends; [`command`]: runs the operator's own command.
//!
//! Nothing waits for a notice, and a notice that fails is one line in the log.

pub mod command;
pub mod decider;
pub mod driver;
pub mod text;
