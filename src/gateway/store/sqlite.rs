//! The store on SQLite: a thread that writes and a thread that reads, each with its connection.

use std::collections::BTreeMap;
use std::fs::{OpenOptions, Permissions};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use rusqlite::{Connection, OpenFlags};

use super::api::{
    Accepted, Claimed, Depths, Ended, Exchange, Fate, Finish, GivenUp, InboxRow, Letter, OutboxId, OutboxRow,
    PauseRow, Pick, Store, StoreError,
};
use super::presence::{Place, Presence};
use super::queries::Next;
use super::salvage::disk_error;
use super::schema::Look;
use super::writer::{Need, Worker, store_error};
use super::{letters, orders, presence, queries, salvage, schema, sessions};
use crate::clock::Now;
use crate::config::Reset;
use crate::failpoint;
use crate::gateway::inbound::join::Join;
use crate::gateway::model::message::InboxId;
use crate::gateway::model::message::{ChatKey, InboundMessage, MessageId, OutboundMessage};
use crate::gateway::problems::Problems;
use crate::gateway::store::api::sessions::{Retried, Session, SessionId, SessionKey, SessionStore};
use crate::gateway::store::disk_space::DiskSpace;
use crate::gateway::store::recovery::{DAMAGE, PASSING, Recovery};
use crate::home;
use crate::ownership::Us;
use crate::platforms::Platform;

const UNREADABLE: &str = "the stored message cannot be read";

/// One database file. Dropping it finishes what was begun and closes it.
pub struct SqliteStore {
    // The reader goes first: the last connection to close cleans the write-ahead log up.
    pub(super) reader: Worker,
    pub(super) writer: Worker,
    presence: Arc<Presence>,
}

/// The options of opening a database.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Opening {
    /// True: where it is damaged, go on without the waiting messages that cannot be read.
    pub accept_loss: bool,
    /// True when the gateway crashes repeatedly: messages that it was working on each time are suspect.
    pub is_safe_mode: bool,
}

/// The connections to one file.
pub(super) struct Pair {
    pub(super) writing: Connection,
    pub(super) reading: Connection,
}

impl SqliteStore {
    /// [`SqliteStore::open_watched`], without reports of problems.
    ///
    /// # Errors
    /// As [`SqliteStore::open_watched`].
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        Self::open_watched(path, Problems::default(), Opening::default())
    }

    /// Opens or creates the database, with mode 0600, and brings it to this program's version. Rows that the last run left
    /// half-way are pending again. Blocks for some milliseconds, and longer with a large file, which is checked. The caller
    /// ensures that no other process has it open.
    ///
    /// A damaged database is replaced by its readable part; where that would lose waiting messages, only with
    /// [`Opening::accept_loss`].
    ///
    /// # Errors
    /// [`StoreError::TooNew`], [`StoreError::Damaged`] and [`StoreError::TooLarge`] (nothing is changed), or the fault of
    /// the file.
    pub fn open_watched(path: &Path, problems: Problems, opening: Opening) -> Result<Self, StoreError> {
        if let Some(error) = presence::in_the_way(path) {
            return Err(error);
        }
        salvage::finish(path)?;
        // A file that blocks this only matters to a salvage, which reports it.
        drop(salvage::clear(path));
        match Self::open_whole(path, problems.clone(), opening) {
            Err(StoreError::Damaged(why)) => {
                salvage::mend(path, &why, opening.accept_loss)?;
                Self::open_whole(path, problems, opening)
            }
            opened => opened,
        }
    }

    fn open_whole(path: &Path, problems: Problems, opening: Opening) -> Result<Self, StoreError> {
        let failed = |error: std::io::Error| disk_error(path, &error);
        failpoint::check("open.before").map_err(failed)?;
        schema::refuse_newer(path, if opening.is_safe_mode { Look::Thorough } else { Look::Quick })?;
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(path)
            .map_err(failed)?;
        // The log beside it takes its mode from the database. A symbolic link may lead to a file of another user.
        let found = file.metadata().map_err(failed)?;
        if found.permissions().mode() & 0o077 != 0 && Us::now().uid == found.uid() {
            file.set_permissions(Permissions::from_mode(0o600)).map_err(failed)?;
        }
        drop(file);
        let Pair { writing, reading } = connect(path, |db| {
            schema::migrate(db)?;
            queries::recover(db, opening.is_safe_mode, now_s())
        })
        .map_err(|error| store_error(&error))?;
        failpoint::check("open.after").map_err(failed)?;
        let reading = Arc::new(Mutex::new(Some(reading)));
        let room = DiskSpace::keep(
            path.parent().unwrap_or(Path::new(".")).to_owned(),
            home::beside_database(path, "reserve"),
            [path.to_owned(), home::beside_database(path, "wal")],
        );
        let presence = Arc::new(Presence::of(path));
        let (read_by, told) = (Arc::clone(&reading), problems.clone());
        let care = Recovery::new(path.to_owned(), read_by, writing, room, Arc::clone(&presence), told);
        Ok(Self { reader: Worker::reader(reading, problems)?, writer: Worker::writer(care)?, presence })
    }

    /// Detects the end of a problem that may end by itself, also while nothing is written. Ends with the store.
    pub async fn tend(store: Weak<Self>, problems: Problems) {
        let mut standing = problems.subscribe();
        loop {
            while problems.has(&PASSING) || problems.has(&[DAMAGE]) {
                tokio::time::sleep(TRIAL_PAUSE).await;
                let Some(store) = store.upgrade() else { return };
                drop(store.writer.call_for(Need::Room, schema::touch).await);
            }
            if standing.changed().await.is_err() {
                return;
            }
        }
    }
}

impl SqliteStore {
    /// Detects that the file was removed or replaced, or is back, also while nothing is written. Ends with the store.
    pub async fn watch(store: Weak<Self>) {
        loop {
            tokio::time::sleep(LOOK_EVERY).await;
            let Some(store) = store.upgrade() else { return };
            let (presence, was_lost) = (Arc::clone(&store.presence), store.presence.is_lost());
            let place = tokio::task::spawn_blocking(move || presence.look()).await;
            if was_lost || !matches!(place, Ok(Place::There)) {
                // The writer checks as well, before anything else.
                drop(store.writer.call_for(Need::Room, schema::touch).await);
            }
        }
    }
}

/// The pause between two checks that the files are there.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// The pause between two test writes to a disk that failed.
const TRIAL_PAUSE: Duration = Duration::from_secs(1);

/// Opens the file twice: to write and to read.
fn connect(
    path: &Path,
    set_up: impl FnOnce(&mut Connection) -> rusqlite::Result<()>,
) -> rusqlite::Result<Pair> {
    let open = || {
        let flags = OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_READ_WRITE;
        let db = Connection::open_with_flags(path, flags)?;
        schema::configure(&db)?;
        Ok::<_, rusqlite::Error>(db)
    };
    let mut writing = open()?;
    schema::configure_writer(&writing)?;
    set_up(&mut writing)?;
    let reading = open()?;
    reading.pragma_update(None, "query_only", true)?;
    Ok(Pair { writing, reading })
}

/// Opens the file again after the disk failed. The content of the log may never have reached the disk: so it is written
/// once more, into the file itself, and only then trusted.
pub(super) fn reopen(path: &Path) -> Result<Pair, StoreError> {
    let pair = connect(path, |db| schema::rewrite_log(db)).map_err(|error| store_error(&error))?;
    schema::check(&pair.writing, Look::Quick)?;
    Ok(pair)
}

impl SqliteStore {
    /// Runs one operation in a transaction that ends something or puts it back.
    async fn write<T, F>(&self, points: &[&'static str; 2], work: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    {
        self.write_for(Need::Reserve, points, work).await
    }

    /// Runs one operation in a transaction that adds something new: with a full disk it is refused.
    async fn write_new<T, F>(&self, points: &[&'static str; 2], work: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    {
        self.write_for(Need::Room, points, work).await
    }

    async fn write_for<T, F>(
        &self,
        need: Need,
        [before, after]: &[&'static str; 2],
        work: F,
    ) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    {
        failpoint::hit(before);
        let outcome = self.writer.call_for(need, work).await;
        if outcome.is_ok() {
            failpoint::hit(after);
        }
        outcome
    }

    async fn take(
        &self,
        platform: Platform,
        message: InboundMessage,
        begin: bool,
    ) -> Result<Accepted, StoreError> {
        let take = move |db: &Connection| queries::accept(db, platform, message, begin, now_ms());
        self.write_new(&["accept.before", "accept.after"], take).await
    }
}

fn now_s() -> i64 {
    Now::read().wall.as_second()
}

fn now_ms() -> i64 {
    Now::read().wall.as_millisecond()
}

#[async_trait]
impl Store for SqliteStore {
    async fn accept(&self, platform: Platform, message: InboundMessage) -> Result<Accepted, StoreError> {
        self.take(platform, message, false).await
    }

    async fn knows(&self, platform: Platform, message: &InboundMessage) -> Result<bool, StoreError> {
        let message = message.clone();
        self.reader.call(move |db| queries::knows(db, platform, &message)).await
    }

    async fn begin_new(&self, platform: Platform, message: InboundMessage) -> Result<Accepted, StoreError> {
        self.take(platform, message, true).await
    }

    async fn claim(&self, key: &ChatKey, join: Join) -> Result<Claimed, StoreError> {
        loop {
            let key = key.clone();
            let claim = move |db: &Connection| queries::claim(db, &key, join);
            match self.write_new(&["begin.before", "begin.after"], claim).await? {
                Next::Row(claimed) => return Ok(claimed),
                Next::Unreadable(id) => {
                    tracing::error!(
                        code = "row_unreadable",
                        id,
                        "Gave up on a stored message that cannot be read"
                    );
                    let dead = Finish { dead: Some(UNREADABLE.to_owned()), ..Finish::default() };
                    self.finish(InboxId(id), dead).await?;
                }
            }
        }
    }

    async fn next_in(&self, key: &ChatKey) -> Result<Option<InboxRow>, StoreError> {
        let key = key.clone();
        let gathered = self.reader.call(move |db| queries::gather(db, &key, Join::default())).await?;
        Ok(match gathered {
            Next::Row(gathered) => gathered.rows.into_iter().next(),
            // The claim gives it up.
            Next::Unreadable(_) => None,
        })
    }

    async fn waiting(&self, key: &ChatKey, count_max: u32) -> Result<u32, StoreError> {
        let key = key.clone();
        self.reader.call(move |db| queries::waiting(db, &key, count_max)).await
    }

    async fn chats_in(&self, count: u32) -> Result<Vec<ChatKey>, StoreError> {
        self.reader.call(move |db| queries::chats_in(db, count)).await
    }

    async fn ended_by(&self, id: InboxId) -> Result<Ended, StoreError> {
        self.reader.call(move |db| orders::ended_by(db, id)).await
    }

    async fn release(&self, ids: Vec<InboxId>) -> Result<(), StoreError> {
        self.write(&["release.before", "release.after"], move |db| queries::release(db, &ids)).await
    }

    async fn release_chat(&self, key: &ChatKey) -> Result<(), StoreError> {
        let key = key.clone();
        self.writer.call_for(Need::Reserve, move |db| queries::release_chat(db, &key)).await
    }

    async fn begin_order(&self, id: InboxId, attempts: u32) -> Result<bool, StoreError> {
        self.write(&["order.before", "order.after"], move |db| orders::begin(db, id, attempts)).await
    }

    async fn previewed(&self, id: InboxId, preview: MessageId) -> Result<(), StoreError> {
        self.write(&["preview.before", "preview.after"], move |db| queries::previewed(db, id, &preview)).await
    }

    async fn finish(&self, id: InboxId, finish: Finish) -> Result<Option<OutboxRow>, StoreError> {
        self.write(&["finish.before", "finish.after"], move |db| queries::finish(db, id, &finish, now_s()))
            .await
    }

    async fn next_out(&self, key: &ChatKey) -> Result<Option<OutboxRow>, StoreError> {
        loop {
            let key = key.clone();
            match self.reader.call(move |db| queries::next_out(db, &key, now_s())).await? {
                Some(Next::Row(row)) => return Ok(Some(row)),
                Some(Next::Unreadable(id)) => {
                    tracing::error!(
                        code = "row_unreadable",
                        id,
                        "Gave up on a stored answer that cannot be read"
                    );
                    self.bury(OutboxId(id), UNREADABLE.to_owned(), GivenUp::Message).await?;
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

    async fn sent(&self, id: OutboxId, remote: MessageId) -> Result<bool, StoreError> {
        self.write(&["sent.before", "sent.after"], move |db| queries::sent(db, id, &remote, now_s())).await
    }

    async fn detach(&self, id: OutboxId, error: String) -> Result<(), StoreError> {
        self.write(&["detach.before", "detach.after"], move |db| queries::detach(db, id, &error)).await
    }

    async fn unsent(&self, id: OutboxId, maybe_sent: bool, error: String) -> Result<(), StoreError> {
        self.write(&["unsent.before", "unsent.after"], move |db| {
            queries::unsent(db, id, maybe_sent, &error, now_s())
        })
        .await
    }

    async fn bury(&self, id: OutboxId, reason: String, what: GivenUp) -> Result<(), StoreError> {
        self.write(&["bury.before", "bury.after"], move |db| letters::bury(db, id, &reason, what, now_s()))
            .await
    }

    async fn expire(&self, before: Timestamp) -> Result<BTreeMap<Platform, u64>, StoreError> {
        self.write(&["expire.before", "expire.after"], move |db| {
            letters::expire(db, before.as_second(), now_s())
        })
        .await
    }

    async fn letters(&self, pick: Pick, with_text: bool) -> Result<Vec<Letter>, StoreError> {
        self.reader.call(move |db| letters::letters(db, &pick, with_text)).await
    }

    async fn retry_letters(&self, pick: Pick) -> Result<Vec<ChatKey>, StoreError> {
        self.write(&["revive.before", "revive.after"], move |db| letters::retry(db, &pick, now_s())).await
    }

    async fn drop_letters(&self, pick: Pick) -> Result<u64, StoreError> {
        self.write(&["drop.before", "drop.after"], move |db| letters::discard(db, &pick, now_s())).await
    }

    async fn fate(&self, platform: Platform, handle: &str) -> Result<Option<Fate>, StoreError> {
        let handle = handle.to_owned();
        self.reader.call(move |db| letters::fate(db, platform, &handle)).await
    }

    async fn queue(&self, key: &ChatKey, parts: Vec<OutboundMessage>) -> Result<(), StoreError> {
        let key = key.clone();
        self.write_new(&["queue.before", "queue.after"], move |db| queries::queue(db, &key, &parts, now_s()))
            .await
    }

    async fn is_ours(&self, platform: Platform, id: &MessageId) -> Result<bool, StoreError> {
        let id = id.clone();
        self.reader.call(move |db| queries::is_ours(db, platform, &id)).await
    }

    async fn depths(&self) -> Result<Depths, StoreError> {
        self.reader.call(queries::depths).await
    }

    async fn oldest_waiting(&self) -> Result<Option<Timestamp>, StoreError> {
        self.reader.call(queries::oldest_waiting).await
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

#[async_trait]
impl SessionStore for SqliteStore {
    async fn session(&self, key: &SessionKey) -> Result<Option<Session>, StoreError> {
        let key = key.clone();
        self.reader.call(move |db| sessions::session(db, &key)).await
    }

    async fn conversation(
        &self,
        key: &SessionKey,
        count: u32,
    ) -> Result<Option<(Session, Vec<Exchange>)>, StoreError> {
        let key = key.clone();
        let read = move |db: &Connection| {
            let Some(session) = sessions::session(db, &key)? else { return Ok(None) };
            let history = sessions::history(db, session.id, count)?;
            Ok(Some((session, history)))
        };
        self.reader.call(read).await
    }

    async fn idle_sessions(
        &self,
        platform: Platform,
        bound: Timestamp,
        after: SessionId,
        count: u32,
    ) -> Result<Vec<(SessionId, ChatKey)>, StoreError> {
        self.reader.call(move |db| sessions::idle_sessions(db, platform, bound, after, count)).await
    }

    async fn end_session(&self, id: SessionId, bound: Timestamp, rule: Reset) -> Result<bool, StoreError> {
        self.write(&["session.before", "session.after"], move |db| {
            sessions::end_session(db, id, bound, rule, now_s())
        })
        .await
    }

    async fn forget_sessions(&self, before: Timestamp) -> Result<bool, StoreError> {
        self.write(&["forget.before", "forget.after"], move |db| sessions::forget_sessions(db, before)).await
    }

    async fn retry(&self, order: InboxId, key: &SessionKey) -> Result<Retried, StoreError> {
        let key = key.clone();
        self.write(&["retry.before", "retry.after"], move |db| sessions::retry(db, order, &key)).await
    }
}

#[cfg(test)]
#[path = "sqlite_tests.rs"]
mod tests;
