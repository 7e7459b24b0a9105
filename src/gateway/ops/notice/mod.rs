//! Notices to the operator: one about a platform that does not come back by itself, where it is seen, and one when it works
//! again.
//!
//! - [`decider`]: the time and the route of a notice (pure); [`text`]: its text (pure).
//! - [`absence`]: messages that may be missing, because a platform was away for too long (pure); [`absences`] watches for it.
//! - [`driver`]: watches the published states and sends; [`command`]: runs the operator's own command.
//!
//! Nothing waits for a notice, and a notice that fails is one line in the log.

pub mod absence;
pub mod absences;
pub mod command;
pub mod decider;
pub mod driver;
pub mod text;
