//! Child processes, for the bridge, an agent's program and the notice command.
//!
//! - [`child`]: the one place where a program is started. [`child_env`]: its environment variables.
//! - [`group`]: a child with all that it started. [`exec`]: the steps of a child before it becomes its program; [`guard`]
//!   keeps a program that is not ours.
//! - [`splitter`]: the lines that a child prints. [`proc`]: the system's list of processes.

pub mod child;
pub(crate) mod child_env;
pub mod exec;
pub mod group;
mod guard;
pub mod proc;
pub(crate) mod splitter;
