//! The store that cannot be opened, as an error for people.

use std::io::Read as _;
use std::ops::Range;
use std::path::Path;

use super::api::StoreError;
use super::{presence, schema};
use crate::error::CliError;
use crate::file;
use crate::home::HermesHome;

/// The failure of the next start, as far as it can be predicted: something that is not a file is at the path of a file of
/// the store.
pub(crate) fn foreseen(home: &HermesHome) -> Option<CliError> {
    let database = home.database();
    presence::in_the_way(&database).or_else(|| by_head(&database)).map(|error| failure(home, error))
}

/// The fault that the first bytes of the file show (<https://sqlite.org/fileformat.html>). A missing or empty file is new.
fn by_head(path: &Path) -> Option<StoreError> {
    const BEGIN: &[u8] = b"SQLite format 3\0";
    const VERSION: Range<usize> = 60..64;
    let mut head = Vec::new();
    file::open(path).ok()?.take(VERSION.end as u64).read_to_end(&mut head).ok()?;
    if !head.is_empty() && !head.starts_with(BEGIN) {
        return Some(StoreError::Damaged("it is not a database".to_owned()));
    }
    let found = i64::from(i32::from_be_bytes(head.get(VERSION)?.try_into().ok()?));
    let known = schema::newest();
    (found > known).then_some(StoreError::TooNew { found, known })
}

/// The failure of a start whose store cannot be opened, with the step that repairs it.
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
            .hint(format!(
                "Check the owner and mode of {path}, and that no other program uses it: `fuser -v {path}`.",
                path = path.display()
            ))
            .because(error),
    }
}
