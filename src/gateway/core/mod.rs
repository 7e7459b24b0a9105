//! TODO

pub mod drain;
pub mod exit_policy;
pub mod reload;
pub mod run;
pub mod state;
