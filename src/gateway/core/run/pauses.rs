//! An operator's pauses, which outlive the process.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::{Mutex, mpsc, oneshot};

use crate::gateway::model::command::Answer;
use crate::gateway::store::api::{Store, StoreError};

/// The storage of an operator's pauses, so that they outlive the process.
#[async_trait]
pub trait PauseRecord: Send + Sync {
    /// Stores that this platform is paused or is not. Returns when that is on disk.
    ///
    /// # Errors
    /// The reason why it could not be stored, for people.
    async fn record(&self, platform: &str, paused: bool) -> Result<(), String>;
}

/// Pauses that end with the process.
#[derive(Debug, Default)]
pub struct Forgetful;

#[async_trait]
impl PauseRecord for Forgetful {
    async fn record(&self, _platform: &str, _paused: bool) -> Result<(), String> {
        Ok(())
    }
}

/// Pauses that outlive the process.
pub struct StoredPauses {
    store: Arc<dyn Store>,
}

impl StoredPauses {
    /// Stores them here.
    pub fn new(store: Arc<dyn Store>) -> Self {
        Self { store }
    }

    /// The names of the platforms that are paused.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn names(&self) -> Result<BTreeSet<String>, StoreError> {
        Ok(self.store.pauses().await?.into_iter().map(|row| row.platform).collect())
    }
}

#[async_trait]
impl PauseRecord for StoredPauses {
    async fn record(&self, platform: &str, paused: bool) -> Result<(), String> {
        self.store.set_pause(platform, paused).await.map_err(|error| error.to_string())
    }
}

/// A change of a pause that is to be stored, and the answer that follows.
pub(crate) struct Change {
    pub(crate) platform: String,
    pub(crate) paused: bool,
    pub(crate) sentence: String,
    pub(crate) reply: oneshot::Sender<Answer>,
}

/// Limit for the changes that wait to be stored.
pub(crate) const CHANGES_MAX: usize = 64;

/// Limit for storing one. Shorter than the time that a caller waits.
const RECORD_LIMIT: Duration = Duration::from_secs(4);

/// Stores changes one after another, so that a resume cannot overtake the pause before it, and answers.
pub(crate) async fn keep(record: Arc<dyn PauseRecord>, changes: Arc<Mutex<mpsc::Receiver<Change>>>) {
    // No other task takes it; it outlives this task, should that fail.
    let mut changes = changes.lock().await;
    while let Some(Change { platform, paused, mut sentence, reply }) = changes.recv().await {
        let kept = tokio::time::timeout(RECORD_LIMIT, record.record(&platform, paused));
        let why = match kept.await {
            Ok(Ok(())) => None,
            Ok(Err(why)) => Some(why),
            Err(_) => Some(format!("it took longer than {} s", RECORD_LIMIT.as_secs())),
        };
        if let Some(why) = why {
            tracing::warn!(code = "pause_not_kept", platform, "a pause or resume could not be stored: {why}");
            sentence.push_str(&format!(" This could not be stored ({why}), so it may be lost at a restart."));
        }
        // The caller may be gone.
        drop(reply.send(Ok(sentence)));
    }
}
