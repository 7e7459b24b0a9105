//! The Node bridge to WhatsApp, shared by the wizard (which pairs through it) and the gateway (which runs it).
//!
//! - [`protocol`]: the lines exchanged with it, and [`exit`]: the cause of its end (both pure).
//! - [`toolchain`]: finds Node and npm.
//! - [`install`]: puts the bridge on disk. [`session_lock`]: the process that uses the session.
//! - [`process`]: owns one running bridge, which [`exec`](crate::process::exec) starts.

pub mod exit;
pub mod install;
pub mod process;
pub mod protocol;
mod session;
pub mod toolchain;

pub use session::session_lock;
