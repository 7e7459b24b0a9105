//! The store for commands while no gateway runs. Whoever opens it holds the gateway's lock.

use std::path::PathBuf;

use super::api::StoreError;
use super::sqlite::SqliteStore;
use crate::error::CliError;

/// Opens the database of this path.
///
/// # Errors
/// When it cannot be used.
pub async fn open(path: PathBuf) -> Result<SqliteStore, CliError> {
    tokio::task::spawn_blocking(move || SqliteStore::open(&path))
        .await
        .map_err(|_| CliError::failed("opening the store failed in an unforeseen way"))?
        .map_err(unusable)
}

/// What a failure of the store is to whoever typed the command.
pub fn unusable(error: StoreError) -> CliError {
    CliError::failed("the store cannot be used").code("store_unusable").because(error)
}
