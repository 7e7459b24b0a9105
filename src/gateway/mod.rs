//! The gateway: everything that `hermes gateway run` is.

pub mod agent;
pub mod delivery;
pub mod drain;
pub mod event;
pub mod failure;
pub mod flow;
pub mod inbound;
pub mod lanes;
pub mod message;
pub mod path;
pub mod platforms;
pub mod run;
pub mod state;
pub mod status;
pub mod store;
pub mod supervisor;
