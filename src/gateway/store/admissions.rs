//! The people who were admitted by a code, and those who wait for admission.

use async_trait::async_trait;
use rusqlite::{Connection, Row, params};

use super::SqliteStore;
use super::api::StoreError;
use super::rows;
use super::writer::Need;
use crate::gateway::store::api::admissions::{AdmittedRow, Change, CodeRow, Kept, Records, TriesRow};
use crate::platforms::Platform;

#[async_trait]
impl Records for SqliteStore {
    async fn load(&self) -> Result<Kept, StoreError> {
        self.reader.call(load).await
    }

    async fn keep(&self, changes: Vec<Change>) -> Result<(), StoreError> {
        // A change that grants or withdraws access is kept also when the disk has no room for new rows.
        let is_new = changes.iter().any(|change| matches!(change, Change::Give(_)));
        let need = if is_new { Need::Room } else { Need::Reserve };
        self.writer.call_for(need, move |db| changes.iter().try_for_each(|change| keep(db, change))).await
    }
}

/// Reads what is kept. Rows of a platform that this program does not know, or that are invalid, admit no person.
pub(super) fn load(db: &Connection) -> rusqlite::Result<Kept> {
    fn all<T>(
        db: &Connection,
        table: &'static str,
        sql: &str,
        of: fn(&Row<'_>) -> rusqlite::Result<Option<T>>,
    ) -> rusqlite::Result<Vec<T>> {
        let mut statement = db.prepare_cached(sql)?;
        let read = rows::readable(table, statement.query_map([], of)?)?;
        Ok(read.into_iter().flatten().collect())
    }
    Ok(Kept {
        codes: all(
            db,
            "pairing_codes",
            "SELECT platform, person, alt, made_at_s, salt, hash FROM pairing_codes",
            |row| {
                let (salt, hash): (Vec<u8>, Vec<u8>) = (row.get(4)?, row.get(5)?);
                let (Some(platform), Ok(salt), Ok(hash)) = (platform(row)?, salt.try_into(), hash.try_into())
                else {
                    return Ok(None);
                };
                Ok(Some(CodeRow {
                    platform,
                    person: row.get(1)?,
                    alt: row.get(2)?,
                    salt,
                    hash,
                    made_at_s: row.get(3)?,
                }))
            },
        )?,
        admitted: all(
            db,
            "pairings",
            "SELECT platform, person, alt, since_s FROM pairings ORDER BY since_s",
            |row| {
                let Some(platform) = platform(row)? else { return Ok(None) };
                Ok(Some(AdmittedRow {
                    platform,
                    person: row.get(1)?,
                    alt: row.get(2)?,
                    since_s: row.get(3)?,
                }))
            },
        )?,
        tries: all(
            db,
            "pairing_tries",
            "SELECT platform, failures, locked_at_s FROM pairing_tries",
            |row| {
                let Some(platform) = platform(row)? else { return Ok(None) };
                Ok(Some(TriesRow { platform, failures: row.get(1)?, locked_at_s: row.get(2)? }))
            },
        )?,
    })
}

fn platform(row: &Row<'_>) -> rusqlite::Result<Option<Platform>> {
    Ok(row.get::<_, String>(0)?.parse().ok())
}

fn keep(db: &Connection, change: &Change) -> rusqlite::Result<()> {
    match change {
        Change::Give(CodeRow { platform, person, alt, salt, hash, made_at_s }) => db
            .prepare_cached(
                "INSERT OR REPLACE INTO pairing_codes (platform, person, alt, salt, hash, made_at_s)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            )?
            .execute(params![platform.spec().name, person, alt, salt, hash, made_at_s])?,
        Change::Void(platform, person) => db
            .prepare_cached("DELETE FROM pairing_codes WHERE platform = ?1 AND person = ?2")?
            .execute(params![platform.spec().name, person])?,
        Change::Admit(AdmittedRow { platform, person, alt, since_s }) => db
            .prepare_cached(
                "INSERT OR REPLACE INTO pairings (platform, person, alt, since_s) VALUES (?1, ?2, ?3, ?4)",
            )?
            .execute(params![platform.spec().name, person, alt, since_s])?,
        Change::Revoke(platform, person) => db
            .prepare_cached("DELETE FROM pairings WHERE platform = ?1 AND person = ?2")?
            .execute(params![platform.spec().name, person])?,
        Change::Try(TriesRow { platform, failures, locked_at_s }) => db
            .prepare_cached(
                "INSERT OR REPLACE INTO pairing_tries (platform, failures, locked_at_s) VALUES (?1, ?2, ?3)",
            )?
            .execute(params![platform.spec().name, failures, locked_at_s])?,
    };
    Ok(())
}
