//! The gateway: everything that `hermes gateway run` is.

pub mod agent;
pub mod delivery;
pub mod failure;
pub mod flow;
pub mod inbound;
pub mod lanes;
pub mod message;
pub mod path;
pub mod platforms;
pub mod store;
