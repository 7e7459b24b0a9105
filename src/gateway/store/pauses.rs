//! An operator's pauses, kept in the store.

use std::collections::BTreeSet;
use std::sync::Arc;

use async_trait::async_trait;

use super::api::{Store, StoreError};
use crate::gateway::command::PauseRecord;

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
