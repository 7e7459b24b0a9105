//! A message path that only counts, for tests.

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use jiff::Timestamp;
use tokio::sync::watch;

use crate::config::Config;
use crate::gateway::agent::api::About;
use crate::gateway::model::adapter::{Inbox, InboxError, Link};
use crate::gateway::model::message::{ChatKey, InboundMessage, OutboundMessage};
use crate::gateway::pipeline::flow::MessageFlow;
use crate::gateway::store::api::Depths;
use crate::platforms::Platform;

/// A message path that only counts.
#[derive(Debug, Default)]
pub struct CountingFlow {
    /// `link_up` minus `link_down`.
    pub ups: AtomicU32,
    /// See `ups`.
    pub downs: AtomicU32,
    /// The messages of [`MessageFlow::say`].
    pub said: Mutex<Vec<OutboundMessage>>,
    /// The time that a drain takes.
    pub drain_takes: Mutex<Duration>,
    /// The depths of the queues to report.
    pub depths: Mutex<Depths>,
    /// Changes when the loop should read the counts again.
    pub counted: watch::Sender<()>,
}

#[async_trait]
impl Inbox for CountingFlow {
    fn admits(&self, _platform: Platform, _message: &InboundMessage) -> bool {
        true
    }

    async fn accept(&self, _platform: Platform, _message: InboundMessage) -> Result<(), InboxError> {
        Ok(())
    }
}

#[async_trait]
impl MessageFlow for CountingFlow {
    fn link_up(&self, _platform: Platform, _link: Arc<dyn Link>) {
        self.ups.fetch_add(1, Ordering::SeqCst);
    }

    fn link_down(&self, _platform: Platform) {
        self.downs.fetch_add(1, Ordering::SeqCst);
    }

    fn limited(&self, _platform: Platform, _wait: Duration) {}

    fn hurry(&self, _platform: Platform) {}

    fn wake(&self, _chats: &[ChatKey]) {}

    fn configure(&self, _config: &Config) {}

    async fn say(&self, _key: &ChatKey, parts: Vec<OutboundMessage>) -> Result<(), InboxError> {
        self.said.lock().unwrap().extend(parts);
        Ok(())
    }

    fn depths(&self) -> Depths {
        *self.depths.lock().unwrap()
    }

    fn oldest_waiting(&self) -> Option<Timestamp> {
        None
    }

    fn agent(&self) -> About {
        About { kind: "echo", ..About::default() }
    }

    fn counted(&self) -> watch::Receiver<()> {
        self.counted.subscribe()
    }

    fn active_turns(&self) -> u64 {
        0
    }

    fn last_inbound(&self, _platform: Platform) -> Option<Timestamp> {
        None
    }

    fn last_outbound(&self, _platform: Platform) -> Option<Timestamp> {
        None
    }

    async fn drain(&self, _deadline: Instant) {
        let takes = *self.drain_takes.lock().unwrap();
        tokio::time::sleep(takes).await;
    }
}
