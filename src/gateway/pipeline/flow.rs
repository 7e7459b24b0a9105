//! The interface between the loop and the message path: only what the loop needs.
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
use crate::gateway::settings::Settings;
use crate::gateway::store::api::Depths;
use crate::platforms::Platform;

/// Messages on their way in and out, whatever is connected at the moment. None of the plain functions blocks.
#[async_trait]
pub trait MessageFlow: Inbox {
    /// Takes a live link: its platform's outbox may send. It replaces the one before.
    fn link_up(&self, platform: Platform, link: Arc<dyn Link>);

    /// Notes that the platform's link is gone: its outbox waits.
    fn link_down(&self, platform: Platform);

    /// Notes that the platform asks for no sends for this long.
    fn limited(&self, platform: Platform, wait: Duration);

    /// Sends what waits there now, at an operator's request, although the platform has asked for a pause.
    fn hurry(&self, platform: Platform);

    /// Notes that these chats have work that did not arrive by itself: it was put back into the store.
    fn wake(&self, chats: &[ChatKey]);

    /// Applies settings that were read again: from now on they decide who may speak.
    fn configure(&self, config: &Config);

    /// Accepts a message that answers nothing, in its parts, and sends it when its platform is connected. Returns when all
    /// of it is on disk, or none.
    async fn say(&self, key: &ChatKey, parts: Vec<OutboundMessage>) -> Result<(), InboxError>;

    /// Rows that are not in a final state, as last counted.
    fn depths(&self) -> Depths;

    /// The time since which the oldest waiting row has waited, as last counted.
    fn oldest_waiting(&self) -> Option<Timestamp>;

    /// The agent and its state, as last checked.
    fn agent(&self) -> About;

    /// Turns that an agent works on at the moment.
    fn active_turns(&self) -> u64;

    /// The time when a message of this platform was last accepted in this run.
    fn last_inbound(&self, platform: Platform) -> Option<Timestamp>;

    /// The time when a message to this platform was last acknowledged in this run.
    fn last_outbound(&self, platform: Platform) -> Option<Timestamp>;

    /// Changes when a value of this trait (the depths, the times, the agent) has changed, a few times a second at most.
    fn counted(&self) -> watch::Receiver<()>;

    /// Begins no new turn, and returns when the running ones are answered and sent, or at the deadline. The rest stays in
    /// the store for the next run.
    async fn drain(&self, deadline: Instant);
}

/// Hands each change of the settings to the pipeline.
pub fn follow_settings(settings: &Settings, flow: &Arc<dyn MessageFlow>) {
    let configuring = Arc::downgrade(flow);
    settings.on_change(move |config| {
        if let Some(flow) = configuring.upgrade() {
            flow.configure(config);
        }
    });
}
