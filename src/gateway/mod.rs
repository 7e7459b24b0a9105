//! The gateway: everything that `hermes gateway run` is.

pub mod failure;
pub mod flow;
pub mod message;
pub mod platforms;
pub mod store;
