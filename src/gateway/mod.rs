//! The gateway: everything that `hermes gateway run` is.

pub mod drain;
pub mod event;
pub mod failure;
pub mod flow;
pub mod message;
pub mod platforms;
pub mod run;
pub mod state;
pub mod status;
pub mod store;
pub mod supervisor;
