//! Work in order within a chat, side by side between chats, never more at once than agreed.
//!
//! The inbox and the outboxes are worked off in the same way: the work itself is on disk, and a lane here is no more than
//! the name of a chat that has some. So the memory has a bound, and a start after a crash begins with one look.
//!
//! - [`schedule`]: whose turn it is. Pure.
//! - [`driver`]: runs it.

pub mod driver;
pub mod schedule;

pub use driver::{Lanes, Reserved, Work};
pub use schedule::Outcome;
