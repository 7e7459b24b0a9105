//! The times when accounts were last connected.

use async_trait::async_trait;
use jiff::Timestamp;
use rusqlite::{OptionalExtension as _, params};

use super::SqliteStore;
use super::api::StoreError;
use super::writer::Need;
use crate::clock::Uptime;
use crate::gateway::store::api::contacts::{Account, Contact, Contacts};

#[async_trait]
impl Contacts for SqliteStore {
    async fn last(&self, account: &Account) -> Result<Option<Contact>, StoreError> {
        // An earlier program did not store the account.
        let sql = "SELECT at_s, boot_id, uptime_s FROM contact WHERE platform = ?1 AND account IN (?2, '')
                   ORDER BY account DESC LIMIT 1";
        let read = move |row: &rusqlite::Row<'_>| {
            let (at_s, boot_id, seconds): (i64, Option<String>, Option<u32>) =
                (row.get(0)?, row.get(1)?, row.get(2)?);
            let uptime = boot_id.zip(seconds).map(|(boot_id, seconds)| Uptime { boot_id, seconds });
            // An invalid row counts as none.
            Ok(Timestamp::from_second(at_s).ok().map(|at| Contact { at, uptime }))
        };
        let Account { platform, name } = account.clone();
        self.reader
            .call(move |db| {
                let row = db.prepare_cached(sql)?.query_row([platform.spec().name, &name], read);
                Ok(row.optional()?.flatten())
            })
            .await
    }

    async fn record(&self, account: &Account, contact: Contact) -> Result<(), StoreError> {
        let sql = "INSERT OR REPLACE INTO contact (platform, account, at_s, boot_id, uptime_s)
                   VALUES (?1, ?2, ?3, ?4, ?5)";
        let Account { platform, name } = account.clone();
        let work = move |db: &rusqlite::Connection| {
            let (boot_id, seconds) =
                contact.uptime.map(|Uptime { boot_id, seconds }| (boot_id, seconds)).unzip();
            let row = params![platform.spec().name, name, contact.at.as_second(), boot_id, seconds];
            db.prepare_cached(sql)?.execute(row)?;
            Ok(())
        };
        self.writer.call_for(Need::Room, work).await
    }
}
