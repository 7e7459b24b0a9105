//! The store on SQLite: a thread that writes and a thread that reads, each with its connection.

use std::fs::{OpenOptions, Permissions};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use rusqlite::{Connection, OpenFlags};

use super::api::{
    Accepted, Depths, Ended, Exchange, Finish, InboxId, InboxRow, OutboxId, OutboxRow, PauseRow, Store,
    StoreError,
};
use super::queries::Next;
use super::writer::{Worker, store_error};
use super::{orders, queries, schema};
use crate::clock::Now;
use crate::failpoint;
use crate::gateway::message::{ChatKey, InboundMessage, MessageId, OutboundMessage};
use crate::platform::Platform;

const UNREADABLE: &str = "the stored message cannot be read";

/// One database file. Dropping it finishes what was begun and closes it.
pub struct SqliteStore {
    // The reader goes first: the last connection to close cleans the write-ahead log up.
    reader: Worker,
    writer: Worker,
    full: AtomicBool,
}

impl SqliteStore {
    /// Opens or creates the database, with mode 0600, and brings it to this program's version. What the last run left
    /// half-way is pending again. Blocks for some milliseconds. The caller sees to it that no other process has it open.
    ///
    /// # Errors
    /// [`StoreError::TooNew`] (nothing is changed), or what is wrong with the file.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        let failed = |error: std::io::Error| StoreError::Failed(format!("{}: {error}", path.display()));
        failpoint::check("open.before").map_err(failed)?;
        schema::refuse_newer(path)?;
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(path)
            .map_err(failed)?;
        // The log beside it takes its mode from the database.
        if file.metadata().map_err(failed)?.permissions().mode() & 0o077 != 0 {
            file.set_permissions(Permissions::from_mode(0o600)).map_err(failed)?;
        }
        drop(file);
        let flags = OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_READ_WRITE;
        let connect = |set_up: fn(&mut Connection) -> rusqlite::Result<()>| {
            let mut db = Connection::open_with_flags(path, flags)?;
            schema::configure(&db)?;
            set_up(&mut db)?;
            Ok(db)
        };
        let writing = connect(|db| {
            schema::configure_writer(db)?;
            schema::migrate(db)?;
            queries::recover(db)
        })
        .map_err(|error| store_error(&error))?;
        let reading =
            connect(|db| db.pragma_update(None, "query_only", true)).map_err(|error| store_error(&error))?;
        failpoint::check("open.after").map_err(failed)?;
        Ok(Self {
            reader: Worker::reader(reading)?,
            writer: Worker::writer(writing)?,
            full: AtomicBool::new(false),
        })
    }
}

impl SqliteStore {
    /// One operation in a transaction. Says once that nothing can be written, and once that it can again.
    async fn write<T, F>(&self, [before, after]: &[&'static str; 2], work: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    {
        failpoint::hit(before);
        let outcome = self.writer.call(work).await;
        if outcome.is_ok() {
            failpoint::hit(after);
        }
        let full = matches!(outcome, Err(StoreError::Full));
        if self.full.swap(full, Ordering::Relaxed) != full {
            if full {
                tracing::error!(
                    code = "store_full",
                    "the disk is full: no message is taken over until there is room"
                );
            } else {
                tracing::info!(code = "store_full", "the disk has room again");
            }
        }
        outcome
    }
}

fn now_s() -> i64 {
    Now::read().wall.as_second()
}

#[async_trait]
impl Store for SqliteStore {
    async fn accept(&self, platform: Platform, message: InboundMessage) -> Result<Accepted, StoreError> {
        self.write(&["accept.before", "accept.after"], move |db| {
            queries::accept(db, platform, &message, now_s())
        })
        .await
    }

    async fn next_in(&self, key: &ChatKey) -> Result<Option<InboxRow>, StoreError> {
        loop {
            let key = key.clone();
            match self.reader.call(move |db| queries::next_in(db, &key)).await? {
                Some(Next::Row(row)) => return Ok(Some(row)),
                Some(Next::Unreadable(id)) => {
                    tracing::error!(
                        code = "row_unreadable",
                        id,
                        "a stored message cannot be read and is given up"
                    );
                    let dead = Finish { dead: Some(UNREADABLE.to_owned()), ..Finish::default() };
                    self.finish(InboxId(id), dead).await?;
                }
                None => return Ok(None),
            }
        }
    }

    async fn chats_in(&self, count: u32) -> Result<Vec<ChatKey>, StoreError> {
        self.reader.call(move |db| queries::chats_in(db, count)).await
    }

    async fn begin(&self, id: InboxId) -> Result<Option<u32>, StoreError> {
        self.write(&["begin.before", "begin.after"], move |db| queries::begin(db, id)).await
    }

    async fn ended_by(&self, id: InboxId) -> Result<Ended, StoreError> {
        self.reader.call(move |db| orders::ended_by(db, id)).await
    }

    async fn release(&self, id: InboxId) -> Result<(), StoreError> {
        self.write(&["release.before", "release.after"], move |db| queries::release(db, id)).await
    }

    async fn history(&self, key: &ChatKey, count: u32) -> Result<Vec<Exchange>, StoreError> {
        let key = key.clone();
        self.reader.call(move |db| queries::history(db, &key, count)).await
    }

    async fn finish(&self, id: InboxId, finish: Finish) -> Result<Option<OutboxRow>, StoreError> {
        self.write(&["finish.before", "finish.after"], move |db| queries::finish(db, id, &finish, now_s()))
            .await
    }

    async fn next_out(&self, key: &ChatKey) -> Result<Option<OutboxRow>, StoreError> {
        loop {
            let key = key.clone();
            match self.reader.call(move |db| queries::next_out(db, &key)).await? {
                Some(Next::Row(row)) => return Ok(Some(row)),
                Some(Next::Unreadable(id)) => {
                    tracing::error!(
                        code = "row_unreadable",
                        id,
                        "a stored answer cannot be read and is given up"
                    );
                    self.bury(OutboxId(id), UNREADABLE.to_owned()).await?;
                }
                None => return Ok(None),
            }
        }
    }

    async fn chats_out(&self, platform: Platform, count: u32) -> Result<Vec<ChatKey>, StoreError> {
        self.reader.call(move |db| queries::chats_out(db, platform, count)).await
    }

    async fn sending(&self, id: OutboxId) -> Result<(), StoreError> {
        self.write(&["sending.before", "sending.after"], move |db| queries::sending(db, id)).await
    }

    async fn sent(&self, id: OutboxId, remote: MessageId) -> Result<(), StoreError> {
        self.write(&["sent.before", "sent.after"], move |db| queries::sent(db, id, &remote, now_s())).await
    }

    async fn unsent(&self, id: OutboxId, maybe_sent: bool, error: String) -> Result<(), StoreError> {
        self.write(&["unsent.before", "unsent.after"], move |db| queries::unsent(db, id, maybe_sent, &error))
            .await
    }

    async fn bury(&self, id: OutboxId, reason: String) -> Result<(), StoreError> {
        self.write(&["bury.before", "bury.after"], move |db| queries::bury(db, id, &reason, now_s())).await
    }

    async fn queue(&self, key: &ChatKey, message: OutboundMessage) -> Result<(), StoreError> {
        let key = key.clone();
        self.write(&["queue.before", "queue.after"], move |db| queries::queue(db, &key, &message, now_s()))
            .await
    }

    async fn is_ours(&self, platform: Platform, id: &MessageId) -> Result<bool, StoreError> {
        let id = id.clone();
        self.reader.call(move |db| queries::is_ours(db, platform, &id)).await
    }

    async fn depths(&self) -> Result<Depths, StoreError> {
        self.reader.call(queries::depths).await
    }

    async fn pauses(&self) -> Result<Vec<PauseRow>, StoreError> {
        self.reader.call(queries::pauses).await
    }

    async fn set_pause(&self, platform: &str, paused: bool) -> Result<(), StoreError> {
        let platform = platform.to_owned();
        self.write(&["pause.before", "pause.after"], move |db| {
            queries::set_pause(db, &platform, paused, now_s())
        })
        .await
    }

    async fn prune(&self) -> Result<bool, StoreError> {
        self.write(&["prune.before", "prune.after"], move |db| queries::prune(db, now_s())).await
    }
}

#[cfg(test)]
#[path = "sqlite_tests.rs"]
mod tests;
