//! The tables, and how a database of an older program becomes one of this.

use std::path::Path;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};

use super::api::StoreError;
use super::writer::store_error;
use crate::failpoint;

/// Each entry brings a database from its index to the next version; only ever appended to. A column that is added may be null
/// or has a default: rows of an older program are saved without it.
pub(super) const MIGRATIONS: [&str; 10] = [
    // A final row keeps its ids for the recognition of repeats, and has no body any more after a while. A chat has two
    // columns for its two identities, and `chat_key` for the one name that orders it.
    "CREATE TABLE inbox (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        platform TEXT NOT NULL,
        chat_key TEXT NOT NULL,
        chat TEXT NOT NULL,
        chat_alt TEXT,
        message_id TEXT NOT NULL,
        state TEXT NOT NULL CHECK (state IN ('pending', 'running', 'done', 'dead')),
        attempts INTEGER NOT NULL DEFAULT 0,
        body TEXT,
        error TEXT,
        accepted_at_s INTEGER NOT NULL,
        ended_at_s INTEGER
    ) STRICT;
    CREATE INDEX inbox_seen ON inbox (platform, message_id);
    CREATE INDEX inbox_open ON inbox (platform, chat_key, id) WHERE ended_at_s IS NULL;
    CREATE INDEX inbox_ended ON inbox (ended_at_s) WHERE ended_at_s IS NOT NULL;
    CREATE INDEX inbox_body ON inbox (ended_at_s) WHERE state = 'done' AND body IS NOT NULL;
    CREATE INDEX inbox_dead ON inbox (id) WHERE state = 'dead';

    CREATE TABLE outbox (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        inbox_id INTEGER,
        platform TEXT NOT NULL,
        chat_key TEXT NOT NULL,
        handle TEXT NOT NULL,
        remote_id TEXT,
        state TEXT NOT NULL CHECK (state IN ('pending', 'sending', 'sent', 'dead')),
        attempts INTEGER NOT NULL DEFAULT 0,
        maybe_sent INTEGER NOT NULL DEFAULT 0,
        body TEXT,
        error TEXT,
        queued_at_s INTEGER NOT NULL,
        ended_at_s INTEGER,
        UNIQUE (platform, handle)
    ) STRICT;
    CREATE INDEX outbox_remote ON outbox (platform, remote_id) WHERE remote_id IS NOT NULL;
    CREATE INDEX outbox_open ON outbox (platform, chat_key, id) WHERE ended_at_s IS NULL;
    CREATE INDEX outbox_ended ON outbox (ended_at_s) WHERE ended_at_s IS NOT NULL;
    CREATE INDEX outbox_body ON outbox (ended_at_s) WHERE state = 'sent' AND body IS NOT NULL;
    CREATE INDEX outbox_dead ON outbox (id) WHERE state = 'dead';

    CREATE TABLE transcript (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        platform TEXT NOT NULL,
        chat_key TEXT NOT NULL,
        said TEXT NOT NULL,
        answered TEXT NOT NULL,
        at_s INTEGER NOT NULL
    ) STRICT;
    CREATE INDEX transcript_chat ON transcript (platform, chat_key, id);",
    // What an operator has paused, by the name of the account: it stays so over restarts.
    "CREATE TABLE pause (
        platform TEXT PRIMARY KEY,
        since_s INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID;",
    // A message that a command in its chat has ended remembers which; and the newest messages of a chat can be found.
    "ALTER TABLE inbox ADD COLUMN ended_by INTEGER;
    CREATE INDEX inbox_chat ON inbox (platform, chat_key, id);",
    // Conversations. `person` is empty where a chat has one for all who write there;
    // `origin` is the message it began with. What was said before is one each.
    "CREATE TABLE session (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        platform TEXT NOT NULL,
        chat_key TEXT NOT NULL,
        person TEXT NOT NULL DEFAULT '',
        origin INTEGER,
        started_at_s INTEGER NOT NULL,
        last_at_s INTEGER NOT NULL,
        exchanges INTEGER NOT NULL DEFAULT 0,
        ended_at_s INTEGER,
        ended_by TEXT,
        ended_order INTEGER
    ) STRICT;
    CREATE INDEX session_chat ON session (platform, chat_key, person, id);
    CREATE INDEX session_open ON session (platform, id) WHERE ended_at_s IS NULL;
    CREATE INDEX session_ended ON session (ended_at_s) WHERE ended_at_s IS NOT NULL;
    CREATE INDEX session_order ON session (ended_order) WHERE ended_order IS NOT NULL;
    INSERT INTO session (platform, chat_key, started_at_s, last_at_s, exchanges)
        SELECT platform, chat_key, MIN(at_s), MAX(at_s), COUNT(*) FROM transcript GROUP BY platform, chat_key;
    ALTER TABLE transcript ADD COLUMN session_id INTEGER;
    ALTER TABLE transcript ADD COLUMN inbox_id INTEGER;
    UPDATE transcript SET session_id = (SELECT id FROM session
        WHERE session.platform = transcript.platform AND session.chat_key = transcript.chat_key);
    DROP INDEX transcript_chat;
    CREATE INDEX transcript_session ON transcript (session_id, id);
    CREATE INDEX transcript_inbox ON transcript (inbox_id) WHERE inbox_id IS NOT NULL;",
    // Who was let in by a code, who waits with one, and how many wrong ones were typed. Of a code only its hash is kept.
    "CREATE TABLE pairings (
        platform TEXT NOT NULL,
        person TEXT NOT NULL,
        alt TEXT,
        since_s INTEGER NOT NULL,
        PRIMARY KEY (platform, person)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE pairing_codes (
        platform TEXT NOT NULL,
        person TEXT NOT NULL,
        alt TEXT,
        salt BLOB NOT NULL,
        hash BLOB NOT NULL,
        made_at_s INTEGER NOT NULL,
        PRIMARY KEY (platform, person)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE pairing_tries (
        platform TEXT PRIMARY KEY,
        failures INTEGER NOT NULL,
        locked_at_s INTEGER
    ) STRICT, WITHOUT ROWID;",
    // What was given up: dropped for good or not, told to its chat or not; a message of unknown fate that no longer holds
    // up its chat; and chats that take nothing.
    "ALTER TABLE inbox ADD COLUMN dropped_at_s INTEGER;
    ALTER TABLE outbox ADD COLUMN dropped_at_s INTEGER;
    ALTER TABLE outbox ADD COLUMN unknown_since_s INTEGER;
    ALTER TABLE outbox ADD COLUMN not_before_s INTEGER;
    ALTER TABLE outbox ADD COLUMN untold INTEGER NOT NULL DEFAULT 0;
    DROP INDEX inbox_dead;
    DROP INDEX outbox_dead;
    CREATE INDEX inbox_dead ON inbox (id) WHERE state = 'dead' AND dropped_at_s IS NULL;
    CREATE INDEX outbox_dead ON outbox (id) WHERE state = 'dead' AND dropped_at_s IS NULL;
    CREATE INDEX outbox_untold ON outbox (platform, chat_key, queued_at_s) WHERE untold = 1;
    CREATE TABLE dead_target (
        platform TEXT NOT NULL,
        chat_key TEXT NOT NULL,
        since_s INTEGER NOT NULL,
        reason TEXT NOT NULL,
        PRIMARY KEY (platform, chat_key)
    ) STRICT, WITHOUT ROWID;",
    // What is written in one go is told by the pauses, and those are shorter than a second.
    "ALTER TABLE inbox ADD COLUMN accepted_at_ms INTEGER;",
    // When a platform was last connected; by the clock on the wall, and by the machine's own since its start.
    "CREATE TABLE contact (
        platform TEXT PRIMARY KEY,
        at_s INTEGER NOT NULL,
        boot_id TEXT,
        uptime_s INTEGER
    ) STRICT, WITHOUT ROWID;",
    // The message of ours that shows the answer as it grows.
    "ALTER TABLE inbox ADD COLUMN preview TEXT;",
    // Each account has its own last contact; those from before may be anybody's.
    "ALTER TABLE contact RENAME TO contact_of_any;
    CREATE TABLE contact (
        platform TEXT NOT NULL,
        account TEXT NOT NULL DEFAULT '',
        at_s INTEGER NOT NULL,
        boot_id TEXT,
        uptime_s INTEGER,
        PRIMARY KEY (platform, account)
    ) STRICT, WITHOUT ROWID;
    INSERT INTO contact SELECT platform, '', at_s, boot_id, uptime_s FROM contact_of_any;
    DROP TABLE contact_of_any;",
];

/// The newest version this program knows.
pub(super) fn newest() -> i64 {
    i64::try_from(MIGRATIONS.len()).expect("the list of migrations is short")
}

/// Refuses a database of a newer program, and one that is damaged, before anything is opened for writing.
pub(super) fn refuse_newer(path: &Path, look: Look) -> Result<(), StoreError> {
    // SQLite creates the file with the first write: an empty one is a new database.
    if std::fs::metadata(path).map_or(0, |meta| meta.len()) == 0 {
        return Ok(());
    }
    let (db, found) = open_unchanged(path).map_err(|error| store_error(&error))?;
    if found > newest() {
        return Err(StoreError::TooNew { found, known: newest() });
    }
    check(&db, look)
}

/// Opens a database to look at it, and says which version it is of. Nothing is written, unless a death cut a write off
/// before there was a write-ahead log: then only its journal tells what the file is, and whoever reads must undo that write.
fn open_unchanged(path: &Path) -> rusqlite::Result<(Connection, i64)> {
    let open = |flags| {
        let db = Connection::open_with_flags(path, flags)?;
        let found = version(&db)?;
        Ok((db, found))
    };
    match open(OpenFlags::SQLITE_OPEN_READ_ONLY) {
        Err(rusqlite::Error::SqliteFailure(failure, _))
            if failure.extended_code == rusqlite::ffi::SQLITE_READONLY_ROLLBACK =>
        {
            open(OpenFlags::SQLITE_OPEN_READ_WRITE)
        }
        looked => looked,
    }
}

/// Opens a database that belongs to somebody else at this moment, or to nobody, to read in it. `None`: it is a different version, or
/// has to be written to first.
pub(super) fn open_to_read(path: &Path) -> Option<Connection> {
    let db = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY).ok()?;
    configure(&db).ok()?;
    (version(&db).ok()? == newest()).then_some(db)
}

/// What every connection is set to.
pub(super) fn configure(db: &Connection) -> rusqlite::Result<()> {
    db.busy_timeout(std::time::Duration::from_secs(5))?;
    db.pragma_update(None, "foreign_keys", true)?;
    db.pragma_update(None, "trusted_schema", false)?;
    db.pragma_update(None, "cell_size_check", true)?;
    // What an operation might have to undo would else be in a file outside of the home as soon as it is a little more, with
    // what people have written.
    db.pragma_update(None, "temp_store", "MEMORY")?;
    // A plan that may depend on what is bound is made anew each time; ours never do.
    db.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    db.set_prepared_statement_cache_capacity(64);
    Ok(())
}

/// What only the writer is set to. `fullfsync` matters on macOS, where a plain fsync does not reach the disk.
pub(super) fn configure_writer(db: &Connection) -> rusqlite::Result<()> {
    let mode: String = db.query_row("PRAGMA journal_mode = WAL", [], |row| row.get(0))?;
    if !mode.eq_ignore_ascii_case("wal") {
        return Err(rusqlite::Error::SqliteFailure(
            rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_CANTOPEN),
            Some(format!("the file system does not allow a write-ahead log (journal mode {mode})")),
        ));
    }
    db.pragma_update(None, "synchronous", "FULL")?;
    db.pragma_update(None, "fullfsync", true)?;
    db.pragma_update(None, "journal_size_limit", 64 << 20)?;
    Ok(())
}

/// Brings the database to the newest version; each step is whole or did not happen.
pub(super) fn migrate(db: &mut Connection) -> rusqlite::Result<()> {
    let found = version(db)?;
    for (index, step) in MIGRATIONS.iter().enumerate() {
        let target = i64::try_from(index + 1).expect("the list of migrations is short");
        if target <= found {
            continue;
        }
        let transaction = db.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
        transaction.execute_batch(step)?;
        transaction.pragma_update(None, "user_version", target)?;
        failpoint::hit("migrate.before");
        transaction.commit()?;
        failpoint::hit("migrate.after");
    }
    Ok(())
}

/// Writes a page anew, as it is: to see whether the disk takes it.
pub(super) fn touch(db: &Connection) -> rusqlite::Result<()> {
    db.pragma_update(None, "user_version", version(db)?)
}

/// Writes all that stands in the write-ahead log into the database itself.
pub(super) fn rewrite_log(db: &Connection) -> rusqlite::Result<()> {
    let is_busy: bool = db.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0))?;
    if is_busy {
        return Err(rusqlite::Error::SqliteFailure(
            rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_BUSY),
            None,
        ));
    }
    Ok(())
}

/// How a database is looked through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Look {
    /// Each page.
    Quick,
    /// Also whether the indexes agree with their tables: that may be what we die of.
    Thorough,
}

/// Looks whether the database is whole.
///
/// # Errors
/// [`StoreError::Damaged`] with the first thing that is wrong.
pub(super) fn check(db: &Connection, look: Look) -> Result<(), StoreError> {
    let look = match look {
        Look::Quick => "PRAGMA quick_check(1)",
        Look::Thorough => "PRAGMA integrity_check(1)",
    };
    let found: String = db.query_row(look, [], |row| row.get(0)).map_err(|error| store_error(&error))?;
    if found == "ok" { Ok(()) } else { Err(StoreError::Damaged(found.replace('\n', " "))) }
}

fn version(db: &Connection) -> rusqlite::Result<i64> {
    db.query_row("PRAGMA user_version", [], |row| row.get(0))
}

#[cfg(test)]
#[cfg(target_os = "linux")]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    const CANARY: &str = "a canary that sings. ";

    /// True when a file that this process has open, and that has no name any more, holds what was written.
    fn is_on_disk() -> bool {
        let open = std::fs::read_dir("/proc/self/fd").unwrap().flatten().map(|entry| entry.path());
        let is_nameless = |path: &std::path::PathBuf| {
            std::fs::read_link(path).is_ok_and(|link| link.to_string_lossy().ends_with("(deleted)"))
        };
        let holds = |bytes: Vec<u8>| bytes.windows(CANARY.len()).any(|window| window == CANARY.as_bytes());
        open.filter(is_nameless).filter_map(|path| std::fs::read(path).ok()).any(holds)
    }

    /// A change of many pages that may have to be undone, while it lasts.
    fn is_spilled(setup: impl Fn(&Connection)) -> bool {
        let dir = tempfile::tempdir().unwrap();
        let db = Connection::open(dir.path().join("gateway.db")).unwrap();
        configure(&db).unwrap();
        configure_writer(&db).unwrap();
        setup(&db);
        db.execute_batch("CREATE TABLE t (body TEXT); BEGIN;").unwrap();
        for _ in 0..100 {
            db.execute("INSERT INTO t VALUES (?1)", [CANARY.repeat(150)]).unwrap();
        }
        db.execute_batch("SAVEPOINT job; UPDATE t SET body = replace(body, 'a', 'b');").unwrap();
        is_on_disk()
    }

    #[test]
    fn what_an_older_program_did_not_write_down_can_be_left_out() {
        let db = Connection::open_in_memory().unwrap();
        // Of each table: its columns, and whether they must be given.
        let columns = || -> BTreeMap<String, BTreeMap<String, bool>> {
            let sql = "SELECT tables.name, columns.name, columns.\"notnull\" AND columns.dflt_value IS NULL
                       FROM sqlite_schema tables, pragma_table_info(tables.name) columns
                       WHERE tables.type = 'table' AND tables.name NOT LIKE 'sqlite%'";
            let mut found: BTreeMap<String, BTreeMap<String, bool>> = BTreeMap::new();
            let mut columns = db.prepare(sql).unwrap();
            let mut rows = columns.query([]).unwrap();
            while let Some(row) = rows.next().unwrap() {
                let (table, column): (String, String) = (row.get(0).unwrap(), row.get(1).unwrap());
                found.entry(table).or_default().insert(column, row.get(2).unwrap());
            }
            found
        };
        let mut first: BTreeMap<String, BTreeMap<String, bool>> = BTreeMap::new();
        for step in MIGRATIONS {
            db.execute_batch(step).unwrap();
            for (table, has) in columns() {
                first.entry(table).or_insert(has);
            }
        }
        for (table, has) in columns() {
            for (column, is_needed) in has {
                assert!(!is_needed || first[&table].contains_key(&column), "{table}.{column}");
            }
        }
    }

    #[test]
    fn a_write_that_a_death_cut_off_before_there_was_a_log_is_undone() {
        let dir = tempfile::tempdir().unwrap();
        let [dying, path] = ["dying.db", "gateway.db"].map(|name| dir.path().join(name));
        let db = Connection::open(&dying).unwrap();
        // Half of it is in the file, as a kill would find it.
        db.execute_batch(
            "PRAGMA cache_size = 1; CREATE TABLE t (body TEXT); BEGIN; INSERT INTO t VALUES ('one');",
        )
        .unwrap();
        for _ in 0..100 {
            db.execute("INSERT INTO t VALUES (?1)", [CANARY.repeat(150)]).unwrap();
        }
        for ending in ["", "-journal"] {
            let [from, to] = [&dying, &path].map(|path| format!("{}{ending}", path.display()));
            assert!(std::fs::copy(from, to).unwrap() > 0, "it is cut off in the middle");
        }
        refuse_newer(&path, Look::Thorough).unwrap();
        let rows: i64 = Connection::open(&path)
            .unwrap()
            .query_row("SELECT count(*) FROM t", [], |row| row.get(0))
            .unwrap();
        assert_eq!(rows, 0);
        crate::gateway::store::SqliteStore::open(&path).unwrap();
    }

    #[test]
    fn nothing_that_people_write_is_put_into_a_file_of_sqlites_own() {
        assert!(
            is_spilled(|db| db.pragma_update(None, "temp_store", "DEFAULT").unwrap()),
            "nothing is shown by this"
        );
        assert!(!is_spilled(|_| {}));
    }
}
