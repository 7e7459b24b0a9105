//! Telling the operator: a platform that does not come back by itself is told of once, where it is seen, and once more
//! when it works again.
//!
//! - [`decider`]: whether, when and by which way (pure); [`text`]: in which words (pure).
//! - [`absence`]: whether messages may be missing, because a platform was away for too long (pure); [`absences`] watches for
//!   it.
//! - [`driver`]: watches the published states and sends; [`command`]: runs the operator's own command.
//!
//! Nothing waits for a notice, and a notice that fails is one line in the log.

pub mod absence;
pub mod absences;
pub mod command;
pub mod decider;
pub mod driver;
pub mod text;
