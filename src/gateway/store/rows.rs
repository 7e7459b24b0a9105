//! Rows that hold something else than this program writes: of a platform that only a later program knows, or changed by a
//! fault that the database cannot see. Such a row takes nothing from the others.

use rusqlite::{Error, Result};

use crate::gateway::log_throttle::LogThrottle;

/// True when the error is about one value of one row, and not about the database.
fn is_of_value(error: &Error) -> bool {
    matches!(
        error,
        Error::InvalidColumnType(..)
            | Error::FromSqlConversionFailure(..)
            | Error::IntegralValueOutOfRange(..)
            | Error::Utf8Error(..)
    )
}

/// Returns the value; `None` when it cannot be read.
///
/// # Errors
/// Those of the database.
pub(super) fn value<T>(read: Result<T>) -> Result<Option<T>> {
    match read {
        Ok(value) => Ok(Some(value)),
        Err(error) if is_of_value(&error) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Returns the rows that can be read. The others stay where they are.
///
/// # Errors
/// Those of the database.
pub(super) fn readable<T>(table: &'static str, rows: impl Iterator<Item = Result<T>>) -> Result<Vec<T>> {
    let mut found = Vec::new();
    for row in rows {
        match row {
            Err(error) if is_of_value(&error) => tell(table, &error),
            row => found.push(row?),
        }
    }
    Ok(found)
}

/// Logs it, seldom: the same rows are looked at again and again.
fn tell(table: &'static str, error: &Error) {
    static REPEATS: std::sync::LazyLock<LogThrottle> = std::sync::LazyLock::new(LogThrottle::default);
    if let Some(more) = REPEATS.say(crate::clock::Now::read().mono, table) {
        tracing::error!(
            code = "row_skipped",
            "A row of the table {table} cannot be read and is left alone: {error}{more}"
        );
    }
}

#[cfg(test)]
mod tests {
    use rusqlite::Connection;

    use super::*;
    use crate::gateway::model::message::testing::message;
    use crate::gateway::store::SqliteStore;
    use crate::gateway::store::api::Store as _;
    use crate::gateway::store::api::admissions::Records as _;
    use crate::platforms::Platform;

    #[test]
    fn a_row_that_cannot_be_read_takes_nothing_from_the_others_and_a_fault_of_the_database_is_one() {
        let db = Connection::open_in_memory().unwrap();
        let read = |sql: &str| {
            let mut statement = db.prepare(sql).unwrap();
            let rows = statement.query_map([], |row| row.get::<_, String>(0)).unwrap();
            readable("t", rows)
        };
        for odd in ["7", "x'ff'", "CAST(x'ff' AS TEXT)", "NULL"] {
            assert_eq!(read(&format!("VALUES ('a'), ({odd}), ('b')")).unwrap(), ["a", "b"], "{odd}");
        }
        read("SELECT json_extract(column1, '$') FROM (VALUES ('\"a\"'), ('{'))").unwrap_err();
        let out_of_range = db.query_row("SELECT -1", [], |row| row.get::<_, u32>(0));
        assert_eq!(value(out_of_range).unwrap(), None);
    }

    #[tokio::test]
    async fn odd_rows_stop_neither_the_start_nor_other_chats_and_stay_for_a_later_program() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("gateway.db");
        let store = SqliteStore::open(&path).unwrap();
        for chat in ["1", "2", "3"] {
            store.accept(Platform::Telegram, message(chat, chat, "hi")).await.unwrap();
        }
        for name in ["telegram", "whatsapp"] {
            store.set_pause(name, true).await.unwrap();
        }
        drop(store);
        let db = Connection::open(&path).unwrap();
        db.execute_batch(
            "UPDATE inbox SET platform = 'later' WHERE id = 1;
             UPDATE inbox SET chat_key = CAST(x'ff' AS TEXT) WHERE id = 2;
             UPDATE pause SET platform = CAST(x'ff' AS TEXT) WHERE platform = 'telegram';
             INSERT INTO pairing_tries (platform, failures, locked_at_s) VALUES ('telegram', -1, NULL), ('whatsapp', 2, NULL);
             INSERT INTO pairings (platform, person, since_s) VALUES ('telegram', CAST(x'ff' AS TEXT), 1), ('telegram', '5', 2)",
        )
        .unwrap();
        drop(db);
        let store = SqliteStore::open(&path).unwrap();
        let chats = store.chats_in(10).await.unwrap();
        assert_eq!(chats.iter().map(|key| key.chat.0.as_str()).collect::<Vec<_>>(), ["3"]);
        assert_eq!(store.pauses().await.unwrap().len(), 1);
        let kept = store.load().await.unwrap();
        assert_eq!((kept.tries.len(), kept.admitted.len()), (1, 1));
        let waiting = Connection::open(&path).unwrap().query_row(
            "SELECT COUNT(*) FROM inbox WHERE ended_at_s IS NULL",
            [],
            |row| row.get::<_, u32>(0),
        );
        assert_eq!(waiting.unwrap(), 3, "nothing is lost");
    }
}
