//! The contract between the gateway and a platform.
//!
//! An [`Adapter`] is one configured account; a [`Link`] is one live connection of it. Sending before connecting is
//! thus unrepresentable, and nothing of a lost connection can leak into the next.
//!
//! **The owner of a retry.** A request: its caller. A poll or a heartbeat: the link, shortly and until its lease is over
//! ([`patience`](crate::gateway::platforms::patience)); it reports this by [`Link::health`], and goes on sending. A
//! connection: the supervisor.
//!
//! An adapter must not: retry a connection, sleep to back off, write the status file, read settings by name, decide who may
//! speak, end the process, or print. It reports events; the supervisor decides.

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
    /// Its platform.
    fn platform(&self) -> Platform;

    /// Checks for obstacles to connecting, without network and without starting a child. Takes under 50 ms.
    ///
    /// # Errors
    /// Blocked, with the command that repairs it.
    fn check(&self) -> Result<(), AdapterError>;

    /// Connects, and returns only when the platform itself has reported that it is ready. May be cancelled by dropping the
    /// future, which leaves nothing behind.
    ///
    /// # Errors
    /// The reason for the failure, and when to try again.
    async fn connect(&self, inbox: Arc<dyn Inbox>) -> Result<Arc<dyn Link>, AdapterError>;

    /// The local endpoint of its service, if it has one that can be checked often: its return is then noticed at once.
    /// Called while the service cannot be reached; takes no time.
    fn local_endpoint(&self) -> Option<LocalEndpoint> {
        None
    }

    /// The name by which the account's owner knows it, for the log. Known at the latest when it is connected.
    fn account(&self) -> Option<String> {
        None
    }

    /// Releases what only one process of this machine may hold, because the account is not wanted for now: it was paused or
    /// disabled, or the gateway ends. The next [`Adapter::connect`] takes it again. Called repeatedly; takes no time.
    fn release(&self) {}

    /// Forgets earlier refusals (a refused token, a pairing that was removed), so that the platform is asked once more.
    /// Called when an operator wants it tried now, or has changed its settings. Takes no time.
    fn clear_refusals(&self) {}
}

/// One live connection.
#[async_trait]
pub trait Link: Send + Sync {
    /// Sends one message, and returns when the platform has acknowledged it.
    ///
    /// # Errors
    /// The certainty that it was not delivered, and when to try again.
    async fn send(&self, message: &OutboundMessage) -> Result<MessageId, SendError>;

    /// Replaces a message that was sent, and returns when the platform has acknowledged it. Called only for a platform that
    /// has [`stream_every`](crate::platforms::PlatformSpec::stream_every). An edit without a change is not a failure: an
    /// edit of unknown fate may be repeated.
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

    /// Returns when the platform asks for a pause on the whole connection, with the wait. Called again after each return;
    /// nothing is lost when it is dropped in between.
    async fn limited(&self) -> Duration {
        std::future::pending().await
    }

    /// The connection's own report of its health: the fault while it retries by itself, and nothing while it works. `None`:
    /// it does not report. The receiver is asked for once.
    fn health(&self) -> Option<watch::Receiver<Option<Degraded>>> {
        None
    }

    /// Ends the waits before its own retries, because an operator wants it tried now. Takes no time.
    fn hurry(&self) {}

    /// The time when the platform last proved that the connection works, by a round trip. Silence is not a proof.
    fn proof(&self) -> Instant;

    /// Ends the connection. May be called at any time and more than once; takes at most 5 s.
    async fn close(&self);
}

/// The receiver of an adapter's incoming messages.
#[async_trait]
pub trait Inbox: Send + Sync {
    /// True when this message is worth fetching attachments for: the sender may speak. Pure, no I/O.
    fn admits(&self, platform: Platform, message: &InboundMessage) -> bool;

    /// True when this message was accepted before, so that nothing has to be fetched for it again: it is only acknowledged.
    /// `false` also where that cannot be known.
    async fn knows(&self, _platform: Platform, _message: &InboundMessage) -> bool {
        false
    }

    /// Accepts one message. When this returns `Ok`, it is on disk, or it was refused by policy, or it was known before; in
    /// each case the adapter acknowledges it to the platform. On `Err` the adapter does not acknowledge and offers it again
    /// later.
    ///
    /// # Errors
    /// When it cannot be made durable (disk full).
    async fn accept(&self, platform: Platform, message: InboundMessage) -> Result<(), InboxError>;
}

/// The error when the message could not be made durable.
#[derive(Debug, Clone, thiserror::Error)]
#[error("the message could not be stored: {0}")]
pub struct InboxError(pub String);
