//! The store for commands while no gateway runs. A command that opens it to write holds the gateway's lock; one that only
//! reads does not, so that a gateway can start meanwhile.

use std::path::PathBuf;

use crate::error::CliError;
use crate::gateway::store::api::admissions::AdmittedRow;
use crate::gateway::store::api::{Letter, Pick, StoreError};
use crate::gateway::store::sqlite::SqliteStore;
use crate::gateway::store::{admissions, letters, schema, unopened};
use crate::home::HermesHome;

/// Opens the database of this home.
///
/// # Errors
/// When it cannot be used.
pub async fn open(home: &HermesHome) -> Result<SqliteStore, CliError> {
    let path = home.database();
    tokio::task::spawn_blocking(move || SqliteStore::open(&path))
        .await
        .map_err(|_| CliError::failed("opening the store failed unexpectedly"))?
        .map_err(|error| unopened::failure(home, error))
}

/// Dead letters, as they are at this moment. `None`: they can be read only once the database was opened to write.
///
/// # Errors
/// When the work is cancelled.
pub async fn letters(path: PathBuf, pick: Pick, with_text: bool) -> Result<Option<Vec<Letter>>, CliError> {
    let read = move || letters::letters(&schema::open_to_read(&path)?, &pick, with_text).ok();
    tokio::task::spawn_blocking(read)
        .await
        .map_err(|_| CliError::failed("reading the store failed in an unforeseen way"))
}

/// The people who were approved by a code, as far as the database can be read at this moment.
pub fn admitted(home: &HermesHome) -> Vec<AdmittedRow> {
    let read = || admissions::load(&schema::open_to_read(&home.database())?).ok();
    read().map_or_else(Vec::new, |kept| kept.admitted)
}

/// The error of the open store as a command's error.
pub fn unusable(error: StoreError) -> CliError {
    CliError::failed("the store cannot be used").code("store_unusable").because(error)
}
