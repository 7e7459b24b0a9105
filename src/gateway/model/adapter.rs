//! The contract between the gateway and a platform.
//!
//! An [`Adapter`] is one configured account; a [`Link`] is one live connection of it. Sending before connecting is
//! thus unrepresentable, and nothing of a lost connection can leak into the next.
//!
//! **Whose retry is it?** A request: its caller. A poll or a heartbeat: the link, shortly and until its lease is over
//! ([`patience`](crate::gateway::platforms::patience)); it says so by [`Link::health`], and goes on sending. A connection: the supervisor.
//!
//! An adapter must not: retry a connection, sleep to back off, write the status file, read settings by name, decide
//! who may speak, end the process, or print. It says what happened; the supervisor decides.

use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use tokio::sync::watch;

use crate::gateway::model::failure::{AdapterError, Degraded, SendError};
use crate::gateway::model::message::{ChatId, InboundMessage, MessageId, OutboundMessage};
use crate::local_endpoint::LocalEndpoint;
use crate::platforms::Platform;

/// One configured account of a platform.
#[async_trait]
pub trait Adapter: Send + Sync {
    /// Which platform.
    fn platform(&self) -> Platform;

    /// What stands in the way of connecting, found without network and without starting a child. Takes under 50 ms.
    ///
    /// # Errors
    /// Blocked, with the command that mends it.
    fn check(&self) -> Result<(), AdapterError>;

    /// Connects, and returns only when the platform itself has said that it is ready. May be cancelled by dropping the
    /// future, which leaves nothing behind.
    ///
    /// # Errors
    /// Why not, and when to try again.
    async fn connect(&self, inbox: Arc<dyn Inbox>) -> Result<Arc<dyn Link>, AdapterError>;

    /// Where its service takes connections, when that is so near that looking again and again harms nobody: its return is
    /// then noticed at once. Called while it cannot be reached; takes no time.
    fn local_endpoint(&self) -> Option<LocalEndpoint> {
        None
    }

    /// Whose account it is, for the log: the name by which its owner knows it. Known at the latest when it is connected.
    fn account(&self) -> Option<String> {
        None
    }

    /// Nobody wants this account for now: it was paused or disabled, or the gateway ends. What only one process of this
    /// machine may hold is let go; the next [`Adapter::connect`] takes it again. Called again and again; takes no time.
    fn release(&self) {}

    /// Somebody wants it tried now, or has changed its settings: what was held against it until now (a refused token, a
    /// pairing that was taken away) is asked of the platform once more. Takes no time.
    fn clear_refusals(&self) {}
}

/// One live connection.
#[async_trait]
pub trait Link: Send + Sync {
    /// Sends one message, and returns when the platform has acknowledged it.
    ///
    /// # Errors
    /// Whether it may have been delivered, and when to try again.
    async fn send(&self, message: &OutboundMessage) -> Result<MessageId, SendError>;

    /// Puts this message in the place of one that was sent, and returns when the platform has acknowledged it. Asked only of a
    /// platform that has [`stream_every`](crate::platforms::PlatformSpec::stream_every). To say again what stands there is no
    /// failure: a change of unknown fate may be repeated.
    ///
    /// # Errors
    /// As [`Self::send`]; refused for good, the message is sent as a new one.
    async fn edit(&self, _id: &MessageId, _message: &OutboundMessage) -> Result<(), SendError> {
        Err(SendError::refused("edit_unsupported", "this platform cannot edit sent messages"))
    }

    /// Shows or clears "typing…". Best effort.
    async fn typing(&self, chat: &ChatId, on: bool);

    /// Returns when the connection has ended, with the reason; at once when it already has.
    async fn closed(&self) -> AdapterError;

    /// Returns when the platform asks for less on the whole connection, with the wait. Called again after each return;
    /// nothing is lost when it is dropped in between.
    async fn limited(&self) -> Duration {
        std::future::pending().await
    }

    /// How the connection is in its own words: what is wrong while it helps itself, and nothing while it is well. `None`: it does
    /// not say. What it returns is asked for once.
    fn health(&self) -> Option<watch::Receiver<Option<Degraded>>> {
        None
    }

    /// An operator wants it tried now: whatever it waits for before it tries something again is over. Takes no time.
    fn hurry(&self) {}

    /// When the platform last proved that the connection works, by a round trip. Silence is no proof.
    fn proof(&self) -> Instant;

    /// Ends the connection. May be called at any time and more than once; takes at most 5 s.
    async fn close(&self);
}

/// Where an adapter puts what came in.
#[async_trait]
pub trait Inbox: Send + Sync {
    /// True when this message is worth fetching attachments for: the sender may speak. Pure, no I/O.
    fn admits(&self, platform: Platform, message: &InboundMessage) -> bool;

    /// True when this message was accepted before, so that nothing has to be fetched for it once more: it is only acknowledged.
    /// `false` also where that cannot be known.
    async fn knows(&self, _platform: Platform, _message: &InboundMessage) -> bool {
        false
    }

    /// Takes one message over. When this returns `Ok`, it is on disk, or it was refused by policy, or it was here
    /// before; in each case the adapter acknowledges it to the platform. On `Err` the adapter does not acknowledge
    /// and offers it again later.
    ///
    /// # Errors
    /// When it cannot be made durable (disk full).
    async fn accept(&self, platform: Platform, message: InboundMessage) -> Result<(), InboxError>;
}

/// The message could not be made durable.
#[derive(Debug, Clone, thiserror::Error)]
#[error("the message could not be stored: {0}")]
pub struct InboxError(pub String);
