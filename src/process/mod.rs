//! TODO

pub mod child;
pub(crate) mod child_env;
pub mod exec;
pub mod group;
pub mod guard;
pub mod proc;
pub mod splitter;
