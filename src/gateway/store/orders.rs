//! The statements of commands that people write in a chat.

use std::time::Duration;

use rusqlite::{Connection, OptionalExtension, params};

use super::api::Ended;
use super::queries::{from_json, key_of};
use super::sessions;
use crate::gateway::inbound::slash;
use crate::gateway::model::message::InboxId;
use crate::gateway::model::message::{ChatKey, InboundMessage};

type Result<T> = rusqlite::Result<T>;

/// Ends the turn that this chat waits for: the message in its turn, or the one that is next. Other commands stay.
pub(super) fn end_turn(db: &Connection, key: &ChatKey, order: InboxId, now_s: i64) -> Result<()> {
    let platform = key.platform.spec().name;
    let ended = db
        .prepare_cached(
            "UPDATE inbox INDEXED BY inbox_open SET state = 'done', ended_at_s = ?4, ended_by = ?3
             WHERE platform = ?1 AND chat_key = ?2 AND ended_at_s IS NULL AND state = 'running'",
        )?
        .execute(params![platform, key.chat.0, order.0, now_s])?;
    if ended > 0 {
        return Ok(());
    }
    let next = db
        .prepare_cached(
            "SELECT id, body FROM inbox INDEXED BY inbox_open
             WHERE platform = ?1 AND chat_key = ?2 AND ended_at_s IS NULL AND id < ?3 ORDER BY id LIMIT 1",
        )?
        .query_row(params![platform, key.chat.0, order.0], |row| {
            Ok((row.get::<_, i64>(0)?, from_json::<InboundMessage>(row, 1)?))
        })
        .optional()?;
    if let Some((id, Some(message))) = next
        && slash::of(&message).is_none()
    {
        db.prepare_cached("UPDATE inbox SET state = 'done', ended_at_s = ?3, ended_by = ?2 WHERE id = ?1")?
            .execute(params![id, order.0, now_s])?;
    }
    Ok(())
}

pub(super) fn begin(db: &Connection, order: InboxId, attempts: u32) -> Result<bool> {
    let counted = db
        .prepare_cached(
            "UPDATE inbox SET attempts = attempts + 1 WHERE id = ?1 AND attempts = ?2 AND ended_at_s IS NULL",
        )?
        .execute(params![order.0, attempts])?;
    Ok(counted > 0)
}

pub(super) fn ended_by(db: &Connection, order: InboxId) -> Result<Ended> {
    let (key, accepted_at_s) = db
        .prepare_cached("SELECT platform, chat_key, accepted_at_s FROM inbox WHERE id = ?1")?
        .query_row([order.0], |row| Ok((key_of(row)?, row.get::<_, i64>(2)?)))?;
    let chat = params![key.platform.spec().name, key.chat.0, order.0];
    let oldest: Option<i64> = db
        .prepare_cached(
            "SELECT MIN(accepted_at_s) FROM inbox WHERE platform = ?1 AND chat_key = ?2 AND ended_by = ?3",
        )?
        .query_row(chat, |row| row.get(0))?;
    let waiting: i64 = db
        .prepare_cached(
            "SELECT COUNT(*) FROM inbox INDEXED BY inbox_open
             WHERE platform = ?1 AND chat_key = ?2 AND ended_at_s IS NULL AND id <> ?3",
        )?
        .query_row(chat, |row| row.get(0))?;
    let waited = oldest.map(|at_s| Duration::from_secs(accepted_at_s.saturating_sub(at_s).unsigned_abs()));
    Ok(Ended { waited, waiting: waiting.unsigned_abs(), exchanges: sessions::exchanges_ended_by(db, order)? })
}
