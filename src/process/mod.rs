//! Child processes, for the bridge, an agent's program and the notice command.
//!
//! - [`child`]: the one place where a program is started. [`child_env`]: the variables that it is given.
//! - [`group`]: a child with everything that it started. [`exec`]: what a child does before it becomes its program; [`guard`]
//!   keeps a program that is not ours.
//! - [`splitter`]: the lines that a child prints. [`proc`]: what the system says of other processes.

pub mod child;
pub(crate) mod child_env;
pub mod exec;
pub mod group;
mod guard;
pub mod proc;
pub(crate) mod splitter;
