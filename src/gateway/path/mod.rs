//! The message path: what a platform hands over is accepted, answered once, in order, and sent.
//!
//! accept: gate → inbox commit → the platform is told · turn: attempt counted → agent → one commit of transcript, answer
//! and end → outbox → link.
//!
//! - [`message_path`]: the whole, as the gateway's core sees it.
//! - [`orders`]: what is meant for the gateway and not for the agent. [`turns`]: one message, answered. [`running`]: the turns
//!   that run, and how one is ended early. [`reply`]: what the answer becomes. [`strangers`]: what is not let in.
//! - [`waits`]: the messages that wait because the agent is not there.

pub mod message_path;
pub mod orders;
pub mod reply;
pub mod running;
mod strangers;
pub mod turns;
pub mod waits;

pub use message_path::MessagePath;
