//! The store that cannot be opened, as an error for people.

use super::api::StoreError;
use super::presence;
use crate::error::CliError;
use crate::home::HermesHome;

/// Why the next start would fail: what stands where a file of the store belongs. Opens nothing.
pub(crate) fn in_the_way(home: &HermesHome) -> Option<CliError> {
    presence::in_the_way(&home.database()).map(|error| failure(home, error))
}

/// The failure of a start whose store cannot be opened, with what repairs it.
pub(crate) fn failure(home: &HermesHome, error: StoreError) -> CliError {
    let path = home.database();
    match error {
        StoreError::TooNew { .. } => CliError::config("the store was written by a newer version of hermes")
            .code("store_too_new")
            .hint("Install that version again, or move the file away; messages waiting in it will then not be answered.")
            .because(error),
        // A restart repairs nothing, and an empty store would drop messages that are not answered yet: a person decides.
        StoreError::Damaged(_) => CliError::config("the store is damaged")
            .code("store_damaged")
            .hint(format!(
                "`hermes gateway run --accept-loss` starts with the messages that can be read and keeps the damaged {}.",
                path.display()
            ))
            .because(error),
        StoreError::TooLarge(_) => CliError::config("the store is damaged")
            .code("store_damaged")
            .hint(format!(
                "Move {path} away, and {path}-wal where there is one: the gateway then starts with an empty store; messages waiting in the old one will not be answered.",
                path = path.display()
            ))
            .because(error),
        StoreError::InTheWay { path: ref in_the_way, .. } => CliError::config("the store cannot be opened")
            .code("store_in_the_way")
            .hint(format!("Check it, and move it away: `mv {in_the_way} {in_the_way}.aside`."))
            .because(error),
        StoreError::Full => CliError::failed("the store cannot be opened")
            .code("store_unusable")
            .hint(format!("Free space on the disk of {}.", path.display()))
            .because(error),
        StoreError::Fault(_) => CliError::failed("the store cannot be opened: the disk failed")
            .code("disk_failed")
            .hint(format!("Check the disk of {} (`dmesg`), then start the gateway again.", path.display()))
            .because(error),
        StoreError::Failed(_) => CliError::failed("the store cannot be opened")
            .code("store_unusable")
            .hint(format!("Check the owner and mode of {}.", path.display()))
            .because(error),
    }
}
