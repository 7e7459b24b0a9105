//! Work in order within a chat, side by side between chats, never more at once than the limit.
//!
//! The inbox and the outboxes are worked off in the same way: the work itself is on disk, and a lane here is only the id of
//! a chat that has some. So the memory has a bound, and a start after a crash begins with one look.
//!
//! - [`schedule`]: the order of the turns. Pure.
//! - [`driver`]: runs it.

pub mod driver;
pub mod schedule;

pub use driver::{Lanes, Reserved, Work};
pub use schedule::Outcome;
