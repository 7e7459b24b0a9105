//! Queries and commands for a running gateway: one API behind the command line, the chat and HTTP.
//!
//! Nothing here touches the state of a platform: it reads what the loop publishes, or sends a
//! [`Command`](crate::gateway::model::command::Command).
//!
//! - [`shared`]: the routes that socket and HTTP share.
//! - [`messages`]: the routes of the socket alone: messages that were given up, and sending by hand.
//! - [`admissions`], [`reports`]: for the owner only: pairing codes; settings without effect, senders that were ignored.
//! - [`socket`]: the Unix socket in the home folder, for this machine's commands; the kernel names the other end.
//! - [`ancestry`]: programs that the gateway itself started may read, and not control.
//! - [`http`]: the same over TCP, with a key, and probes and metrics.
//!
//! The other end is [`client`](crate::client).

pub mod admissions;
pub mod ancestry;
pub mod http;
pub mod messages;
pub mod reports;
pub mod shared;
pub mod socket;
