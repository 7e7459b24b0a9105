//! The seam between the loop and the message path: what the loop needs of it, and nothing more.
//!
//! The message path survives every change of links. Its own bounded tasks (a turn worker for each chat, an outbox pump for
//! each platform) never call back into the loop: their results re-enter through the store.

use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use jiff::Timestamp;
use tokio::sync::watch;

use crate::config::Config;
use crate::gateway::agent::api::About;
use crate::gateway::model::adapter::{Inbox, InboxError, Link};
use crate::gateway::model::message::{ChatKey, OutboundMessage};
use crate::gateway::store::api::Depths;
use crate::platforms::Platform;

/// Messages on their way in and out, whatever is connected at the moment. None of the plain functions blocks.
#[async_trait]
pub trait MessageFlow: Inbox {
    /// This link is live: its platform's outbox may move. It replaces the one before.
    fn link_up(&self, platform: Platform, link: Arc<dyn Link>);

    /// The platform's link is gone: its outbox waits.
    fn link_down(&self, platform: Platform);

    /// The platform asks for nothing for so long.
    fn limited(&self, platform: Platform, wait: Duration);

    /// An operator wants what waits to be sent there tried now, whatever the platform has asked for.
    fn hurry(&self, platform: Platform);

    /// These chats have work that did not come by itself: it was put back into the store.
    fn wake(&self, chats: &[ChatKey]);

    /// The settings were read again: from now on they decide who may speak.
    fn configure(&self, config: &Config);

    /// Takes over something to say that answers nothing, in its parts, and sends it when its platform is connected. Returns
    /// when all of it is on disk, or none.
    async fn say(&self, key: &ChatKey, parts: Vec<OutboundMessage>) -> Result<(), InboxError>;

    /// Rows that are not in a final state, as last counted.
    fn depths(&self) -> Depths;

    /// Since when the oldest of those that wait has waited, as last counted.
    fn oldest_waiting(&self) -> Option<Timestamp>;

    /// Who answers, and how it is, as last looked.
    fn agent(&self) -> About;

    /// Turns that an agent works on at the moment.
    fn active_turns(&self) -> u64;

    /// When a message of this platform was last accepted in this run.
    fn last_inbound(&self, platform: Platform) -> Option<Timestamp>;

    /// When a message to this platform was last acknowledged in this run.
    fn last_outbound(&self, platform: Platform) -> Option<Timestamp>;

    /// Moves when what is told here (the depths, the times, the agent) has changed, a few times a second at most.
    fn counted(&self) -> watch::Receiver<()>;

    /// Begins no new turn, and returns when what is under way is answered and sent, or at the deadline. What is left stays
    /// in the store for the next run.
    async fn drain(&self, deadline: Instant);
}
