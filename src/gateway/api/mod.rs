//! Questions and commands for a running gateway: one API behind the command line, the chat and HTTP.
//!
//! Nothing here touches the state of a platform: it reads what the loop publishes, or gives a
//! [`Command`](crate::gateway::model::command::Command).
//!
//! - [`api`]: the routes.
//! - [`messages`]: what only the socket offers: messages that were given up, and sending by hand.
//! - [`reports`]: for the owner only: settings without effect, senders that were ignored.
//! - [`socket`]: the Unix socket in the home folder, for this machine's commands; the kernel names the other end.
//! - [`ancestry`]: programs that the gateway itself started may look, and not steer.
//! - [`client`]: the other end of it.
//!
//! The same routes over TCP, with a key, are in [`crate::gateway::api::http`].

pub mod admissions;
pub mod ancestry;
pub mod http;
pub mod messages;
pub mod reports;
pub mod shared;
pub mod socket;
