//! An operator's pauses, which outlive the process.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::{Mutex, mpsc, oneshot};

use crate::gateway::model::command::Answer;
use crate::gateway::store::api::{Store, StoreError};

/// Where an operator's pauses are kept, so that they outlive the process.
#[async_trait]
pub trait PauseRecord: Send + Sync {
    /// From now on this platform is paused, or is not. Returns when that is on disk.
    ///
    /// # Errors
    /// Why it could not be kept, for people.
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
    /// In this store.
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

/// A change of a pause that is to be kept, and the answer to give once it is.
pub(crate) struct Change {
    pub(crate) platform: String,
    pub(crate) paused: bool,
    pub(crate) sentence: String,
    pub(crate) reply: oneshot::Sender<Answer>,
}

/// Changes that may wait to be kept.
pub(crate) const CHANGES_MAX: usize = 64;

/// The longest that keeping one may take. Shorter than the patience of whoever asked.
const RECORD_LIMIT: Duration = Duration::from_secs(4);

/// Keeps changes one after another, so that a resume cannot overtake the pause before it, and answers.
pub(crate) async fn keep(record: Arc<dyn PauseRecord>, changes: Arc<Mutex<mpsc::Receiver<Change>>>) {
    // Nobody else takes it; it outlives this task should that die.
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
        // Whoever asked may have gone.
        drop(reply.send(Ok(sentence)));
    }
}
