//! The statements about conversations.

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::api::Exchange;
use super::queries::{from_json, key_of, to_json};
use super::rows;
use crate::config::Reset;
use crate::gateway::inbound::slash;
use crate::gateway::model::identity;
use crate::gateway::model::message::InboxId;
use crate::gateway::model::message::{ChatKey, InboundMessage};
use crate::gateway::store::api::sessions::{Belongs, End, Retried, Session, SessionId, SessionKey, name};
use crate::platforms::Platform;

/// Limit for the exchanges that are kept of a conversation; the newest stay.
const EXCHANGES_KEPT: i64 = 100;

/// Limit for the conversations that one step deletes.
const FORGOTTEN_AT_ONCE: u32 = 20;

/// Limit for the messages among which `/retry` looks for one that is not a command.
const LOOKED_BACK_MAX: u32 = 50;

type Result<T> = rusqlite::Result<T>;

/// The person of a conversation; empty for all who write in the chat.
fn person(key: &SessionKey) -> &str {
    key.person.as_deref().unwrap_or_default()
}

pub(super) fn session(db: &Connection, key: &SessionKey) -> Result<Option<Session>> {
    db.prepare_cached(
        "SELECT id, started_at_s, last_at_s, exchanges, ended_at_s, ended_by, origin FROM session
         WHERE platform = ?1 AND chat_key = ?2 AND person = ?3 ORDER BY id DESC LIMIT 1",
    )?
    .query_row(params![key.chat.platform.spec().name, key.chat.chat.0, person(key)], |row| {
        let at = |column| {
            row.get(column).map(|at_s| Timestamp::from_second(at_s).unwrap_or(Timestamp::UNIX_EPOCH))
        };
        let ended_at_s: Option<i64> = row.get(4)?;
        let word: Option<String> = row.get(5)?;
        let id = SessionId(row.get(0)?);
        let origin: Option<i64> = row.get(6)?;
        Ok(Session {
            id,
            name: origin.map_or_else(|| format!("s{}", id.0), |origin| name(InboxId(origin))),
            started_at: at(1)?,
            last_at: at(2)?,
            exchanges: row.get::<_, i64>(3)?.unsigned_abs(),
            ended: ended_at_s.map(|_| end(word.as_deref())),
        })
    })
    .optional()
}

fn word(rule: Reset) -> &'static str {
    match rule {
        Reset::None => "said",
        Reset::Idle => "idle",
        Reset::Daily => "daily",
    }
}

fn end(word: Option<&str>) -> End {
    match word {
        Some("idle") => End::Rule(Reset::Idle),
        Some("daily") => End::Rule(Reset::Daily),
        Some(_) | None => End::Said,
    }
}

pub(super) fn history(db: &Connection, session: SessionId, count: u32) -> Result<Vec<Exchange>> {
    let mut exchanges = db
        .prepare_cached(
            "SELECT said, answered FROM transcript WHERE session_id = ?1 ORDER BY id DESC LIMIT ?2",
        )?
        .query_map(params![session.0, count], |row| Ok(Exchange { said: row.get(0)?, answered: row.get(1)? }))
        .and_then(|exchanges| rows::readable("transcript", exchanges))?;
    exchanges.reverse();
    Ok(exchanges)
}

/// Applies the end of a turn: its conversation continues, or begins, and has one exchange more.
pub(super) fn extend(
    db: &Connection,
    chat: &ChatKey,
    belongs: &Belongs,
    answered: Option<(InboxId, &Exchange)>,
    now_s: i64,
) -> Result<()> {
    let id = match belongs {
        Belongs::To(id) => {
            db.prepare_cached("UPDATE session SET last_at_s = MAX(last_at_s, ?2) WHERE id = ?1")?
                .execute([id.0, now_s])?;
            *id
        }
        Belongs::New { key, origin, rule } => begin(db, key, *origin, *rule, now_s)?,
    };
    let Some((inbox, exchange)) = answered else { return Ok(()) };
    db.prepare_cached("UPDATE session SET exchanges = exchanges + 1 WHERE id = ?1")?.execute([id.0])?;
    db.prepare_cached(
        "INSERT INTO transcript (platform, chat_key, said, answered, at_s, session_id, inbox_id)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
    )?
    .execute(params![
        chat.platform.spec().name,
        chat.chat.0,
        exchange.said,
        exchange.answered,
        now_s,
        id.0,
        inbox.0
    ])?;
    db.prepare_cached(
        "DELETE FROM transcript WHERE session_id = ?1 AND id <= (
            SELECT id FROM transcript WHERE session_id = ?1 ORDER BY id DESC LIMIT 1 OFFSET ?2)",
    )?
    .execute(params![id.0, EXCHANGES_KEPT])?;
    Ok(())
}

fn begin(db: &Connection, key: &SessionKey, origin: InboxId, rule: Reset, now_s: i64) -> Result<SessionId> {
    let chat = &key.chat;
    db.prepare_cached(
        "UPDATE session SET ended_at_s = ?4, ended_by = ?5
         WHERE platform = ?1 AND chat_key = ?2 AND person = ?3 AND ended_at_s IS NULL",
    )?
    .execute(params![chat.platform.spec().name, chat.chat.0, person(key), now_s, word(rule)])?;
    db.prepare_cached(
        "INSERT INTO session (platform, chat_key, person, started_at_s, last_at_s, origin) VALUES (?1, ?2, ?3, ?4, ?4, ?5)",
    )?
    .execute(params![chat.platform.spec().name, chat.chat.0, person(key), now_s, origin.0])?;
    Ok(SessionId(db.last_insert_rowid()))
}

/// Ends the conversations after a person's command: the chat's own one, and that of this person in it.
pub(super) fn end_said(
    db: &Connection,
    chat: &ChatKey,
    message: &InboundMessage,
    order: InboxId,
    now_s: i64,
) -> Result<()> {
    db.prepare_cached(
        "UPDATE session SET ended_at_s = ?4, ended_by = 'said', ended_order = ?5
         WHERE platform = ?1 AND chat_key = ?2 AND person IN ('', ?3) AND ended_at_s IS NULL",
    )?
    .execute(params![
        chat.platform.spec().name,
        chat.chat.0,
        identity::writer(chat.platform, message),
        now_s,
        order.0
    ])?;
    Ok(())
}

/// The number of exchanges of the conversations that this command has ended.
pub(super) fn exchanges_ended_by(db: &Connection, order: InboxId) -> Result<Option<u64>> {
    db.prepare_cached("SELECT SUM(exchanges) FROM session WHERE ended_order = ?1")?
        .query_row([order.0], |row| Ok(row.get::<_, Option<i64>>(0)?.map(i64::unsigned_abs)))
}

pub(super) fn idle_sessions(
    db: &Connection,
    platform: Platform,
    bound: Timestamp,
    after: SessionId,
    count: u32,
) -> Result<Vec<(SessionId, ChatKey)>> {
    db.prepare_cached(
        "SELECT platform, chat_key, id FROM session INDEXED BY session_open
         WHERE platform = ?1 AND ended_at_s IS NULL AND id > ?2 AND last_at_s < ?3 ORDER BY id LIMIT ?4",
    )?
    .query_map(params![platform.spec().name, after.0, bound.as_second(), count], |row: &Row<'_>| {
        Ok((SessionId(row.get(2)?), key_of(row)?))
    })
    .and_then(|sessions| rows::readable("session", sessions))
}

pub(super) fn end_session(
    db: &Connection,
    id: SessionId,
    bound: Timestamp,
    rule: Reset,
    now_s: i64,
) -> Result<bool> {
    let ended = db
        .prepare_cached(
            "UPDATE session SET ended_at_s = ?3, ended_by = ?4
             WHERE id = ?1 AND ended_at_s IS NULL AND last_at_s < ?2",
        )?
        .execute(params![id.0, bound.as_second(), now_s, word(rule)])?;
    Ok(ended > 0)
}

pub(super) fn forget_sessions(db: &Connection, before: Timestamp) -> Result<bool> {
    let old = db
        .prepare_cached("SELECT id FROM session WHERE ended_at_s IS NOT NULL AND ended_at_s < ?1 LIMIT ?2")?
        .query_map(params![before.as_second(), FORGOTTEN_AT_ONCE], |row| row.get::<_, i64>(0))?
        .collect::<Result<Vec<_>>>()?;
    for id in &old {
        db.prepare_cached("DELETE FROM transcript WHERE session_id = ?1")?.execute([id])?;
        db.prepare_cached("DELETE FROM session WHERE id = ?1")?.execute([id])?;
    }
    Ok(old.len() == FORGOTTEN_AT_ONCE as usize)
}

pub(super) fn retry(db: &Connection, order: InboxId, key: &SessionKey) -> Result<Retried> {
    let chat = params![key.chat.platform.spec().name, key.chat.chat.0, order.0, LOOKED_BACK_MAX];
    let before = db
        .prepare_cached(
            "SELECT id, ended_at_s, body FROM inbox
             WHERE platform = ?1 AND chat_key = ?2 AND id < ?3 AND body IS NOT NULL ORDER BY id DESC LIMIT ?4",
        )?
        .query_map(chat, |row| {
            Ok((row.get::<_, i64>(0)?, row.get::<_, Option<i64>>(1)?, from_json::<InboundMessage>(row, 2)?))
        })?
        .collect::<Result<Vec<_>>>()?;
    let is_meant = |message: &InboundMessage| {
        slash::of(message).is_none()
            && key
                .person
                .as_ref()
                .is_none_or(|person| *person == identity::writer(key.chat.platform, message))
    };
    let last = before
        .into_iter()
        .find_map(|(id, ended, message)| message.filter(is_meant).map(|message| (id, ended, message)));
    let Some((last, ended, mut message)) = last else { return Ok(Retried::Nothing) };
    if ended.is_none() {
        return Ok(Retried::Open);
    }
    let (id, own) = db
        .prepare_cached("SELECT message_id, body FROM inbox WHERE id = ?1")?
        .query_row([order.0], |row| Ok((row.get::<_, String>(0)?, from_json::<InboundMessage>(row, 1)?)))?;
    // The answer is a new one, under new ids, and goes to the sender of the command.
    message.id.0 = id;
    if let Some(own) = own {
        message.chat = own.chat;
        message.chat_alt = own.chat_alt;
    }
    db.prepare_cached("UPDATE inbox SET body = ?2, state = 'pending', attempts = 0 WHERE id = ?1")?
        .execute(params![order.0, to_json(&message)?])?;
    db.prepare_cached("UPDATE inbox SET state = 'done' WHERE id = ?1 AND state = 'dead'")?.execute([last])?;
    let taken = db
        .prepare_cached("DELETE FROM transcript WHERE inbox_id = ?1 RETURNING session_id")?
        .query_row([last], |row| row.get::<_, Option<i64>>(0))
        .optional()?;
    if let Some(session) = taken.flatten() {
        db.prepare_cached("UPDATE session SET exchanges = MAX(exchanges - 1, 0) WHERE id = ?1")?
            .execute([session])?;
    }
    Ok(Retried::Queued)
}
