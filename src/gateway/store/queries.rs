//! The statements. Each function is one operation, run inside a transaction of its thread.

use std::time::Duration;

use jiff::Timestamp;
use rusqlite::types::Type;
use rusqlite::{Connection, OptionalExtension, Row, params};
use serde::de::DeserializeOwned;

use super::api::{
    Accepted, BODY_KEPT, Claimed, Depths, Finish, ID_KEPT, InboxRow, OutboxId, OutboxRow, PauseRow,
    UNKNOWN_HOLDS,
};
use super::{letters, orders, rows, sessions};
use crate::gateway::inbound::join::{Candidate, Gathering, Join, Verdict, WAITING_MAX};
use crate::gateway::inbound::slash::{self, Slash};
use crate::gateway::model::handle::handle;
use crate::gateway::model::identity::chat_key;
use crate::gateway::model::message::InboxId;
use crate::gateway::model::message::{ChatId, ChatKey, InboundMessage, MessageId, OutboundMessage};
use crate::gateway::store::lost;
use crate::platforms::Platform;
use crate::sensitive::Private;

/// Limit for the rows that one step of pruning touches in a table: short enough to go between two messages.
const PRUNED_AT_ONCE: u32 = 200;

type Result<T> = rusqlite::Result<T>;

/// The next row of a chat.
pub(super) enum Next<T> {
    /// This row.
    Row(T),
    /// A row of this number with an unreadable body: left by a defect, or by another version.
    Unreadable(i64),
}

/// The error column of an open inbox row whose turn is not begun again.
const SUSPECT: &str = "suspect";

/// The attempts of a suspect: a message that is being worked on for the first time at a crash had no part in earlier ones.
const SUSPECT_ATTEMPTS: u32 = 2;

/// Makes the rows pending that the last end of the program interrupted; in safe mode those that were interrupted more than
/// once become suspect, until they are ended.
pub(super) fn recover(db: &Connection, is_safe_mode: bool, now_s: i64) -> Result<()> {
    if is_safe_mode {
        db.execute(
            "UPDATE inbox SET error = ?1 WHERE state = 'running' AND ended_at_s IS NULL AND attempts >= ?2",
            params![SUSPECT, SUSPECT_ATTEMPTS],
        )?;
    }
    db.execute("UPDATE inbox SET state = 'pending' WHERE state = 'running' AND ended_at_s IS NULL", [])?;
    db.execute(
        "UPDATE outbox SET state = 'pending', maybe_sent = 1, unknown_since_s = COALESCE(unknown_since_s, ?1)
         WHERE state = 'sending' AND ended_at_s IS NULL",
        [now_s],
    )?;
    Ok(())
}

pub(super) fn accept(
    db: &Connection,
    platform: Platform,
    message: InboundMessage,
    begin: bool,
    now_ms: i64,
) -> Result<Accepted> {
    if knows(db, platform, &message)? {
        return Ok(Accepted::Duplicate);
    }
    let key = chat_key(platform, &message);
    let begun = begin && waiting(db, &key, 1)? == 0;
    db.prepare_cached(
        "INSERT INTO inbox (platform, chat_key, chat, chat_alt, message_id, state, attempts, body, accepted_at_s,
                            accepted_at_ms)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
    )?
    .execute(params![
        platform.spec().name,
        key.chat.0,
        message.chat.0,
        message.chat_alt.as_ref().map(|chat| &chat.0),
        message.id.0,
        if begun { "running" } else { "pending" },
        begun,
        to_json(&message)?,
        now_ms.div_euclid(1000),
        now_ms
    ])?;
    let id = InboxId(db.last_insert_rowid());
    let now_s = now_ms.div_euclid(1000);
    if let Some(order) = slash::of(&message) {
        if order.ends_turn() {
            orders::end_turn(db, &key, id, now_s)?;
        }
        if order == Slash::New {
            sessions::end_said(db, &key, &message, id, now_s)?;
        }
    }
    letters::revive_target(db, &key)?;
    Ok(if begun {
        Accepted::Begun(Box::new(InboxRow { attempts: 1, ..InboxRow::new(id, key, now_ms, message) }))
    } else {
        Accepted::New(id)
    })
}

/// True when it was accepted before, or changes nothing of the accepted form.
pub(super) fn knows(db: &Connection, platform: Platform, message: &InboundMessage) -> Result<bool> {
    Ok(has(db, platform, message)? || changes_nothing(db, platform, message)?)
}

/// True when it is an edit of a message whose newest form has the same content.
fn changes_nothing(db: &Connection, platform: Platform, message: &InboundMessage) -> Result<bool> {
    let Some(original) = message.id.original() else { return Ok(false) };
    let alt = message.chat_alt.as_ref().map(|chat| &chat.0);
    let key = chat_key(platform, message);
    // All its forms begin with its id, and `.f` is next to `.e`.
    let mut statement = db.prepare_cached(
        "SELECT id, message_id, body FROM inbox WHERE platform = ?1 AND message_id >= ?2 AND message_id < ?3
         AND (chat_key = ?4 OR chat IN (?5, ?6) OR chat_alt IN (?5, ?6))",
    )?;
    let end = format!("{original}.f");
    let forms = params![platform.spec().name, original.0, end, key.chat.0, message.chat.0, alt];
    let forms = statement
        .query_map(forms, |row| {
            let id = MessageId(row.get(1)?);
            Ok((row.get::<_, i64>(0)?, id, from_json::<InboundMessage>(row, 2)?))
        })?
        .collect::<Result<Vec<_>>>()?;
    let of_it = |id: &MessageId| *id == original || id.original().as_ref() == Some(&original);
    let newest = forms.into_iter().filter(|(_, id, _)| of_it(id)).max_by_key(|(row, ..)| *row);
    Ok(newest.is_some_and(|(_, id, earlier)| match earlier {
        Some(earlier) => message.says_the_same(&earlier),
        // Its text is no longer kept: an edit has a digest, and the first form nothing.
        None => {
            id == original
                || id.0.rsplit_once('.').map(|(_, digest)| digest)
                    == message.id.0.rsplit_once('.').map(|(_, digest)| digest)
        }
    }))
}

fn has(db: &Connection, platform: Platform, message: &InboundMessage) -> Result<bool> {
    let alt = message.chat_alt.as_ref().map(|chat| &chat.0);
    let key = chat_key(platform, message);
    // A message's first copy may have come under one identity of its chat and the second under the other.
    db.prepare_cached(
        "SELECT 1 FROM inbox WHERE platform = ?1 AND message_id = ?2
         AND (chat_key = ?3 OR chat IN (?4, ?5) OR chat_alt IN (?4, ?5))",
    )?
    .exists(params![platform.spec().name, message.id.0, key.chat.0, message.chat.0, alt])
}

pub(super) fn waiting(db: &Connection, key: &ChatKey, count_max: u32) -> Result<u32> {
    db.prepare_cached(
        "SELECT COUNT(*) FROM (SELECT 1 FROM inbox INDEXED BY inbox_open
         WHERE platform = ?1 AND chat_key = ?2 AND ended_at_s IS NULL LIMIT ?3)",
    )?
    .query_row(params![key.platform.spec().name, key.chat.0, count_max], |row| row.get(0))
}

/// The messages that a turn of this chat would take.
pub(super) fn gather(db: &Connection, key: &ChatKey, mut join: Join) -> Result<Next<Claimed>> {
    let mut statement = db.prepare_cached(
        "SELECT id, attempts, body, COALESCE(accepted_at_ms, accepted_at_s * 1000), error IS ?3, preview
         FROM inbox INDEXED BY inbox_open
         WHERE platform = ?1 AND chat_key = ?2 AND ended_at_s IS NULL ORDER BY id",
    )?;
    let mut found = statement.query(params![key.platform.spec().name, key.chat.0, SUSPECT])?;
    let mut rows: Vec<InboxRow> = Vec::new();
    let mut more = false;
    let mut gathering = None;
    while let Some(row) = found.next()? {
        let id = InboxId(row.get(0)?);
        if join.aside == Some(id) {
            more = true;
            continue;
        }
        let Some(message) = from_json::<InboundMessage>(row, 2)? else {
            more = true;
            if rows.is_empty() {
                return Ok(Next::Unreadable(id.0));
            }
            break;
        };
        let (attempts, at_ms, is_suspect) = (row.get(1)?, row.get(3)?, row.get(4)?);
        let preview = row.get::<_, Option<String>>(5)?.map(MessageId);
        let candidate = Candidate { platform: key.platform, message: &message, at_ms, attempts };
        let verdict = match (&mut gathering, rows.first()) {
            (Some(gathering), Some(first)) => {
                let verdict = Gathering::take(gathering, &first.message, candidate, join);
                if verdict == Verdict::TooLate && waiting(db, key, WAITING_MAX + 1)? > WAITING_MAX {
                    join.all = true;
                    gathering.take(&first.message, candidate, join)
                } else {
                    verdict
                }
            }
            (None, _) | (_, None) => {
                gathering = Some(Gathering::of(candidate));
                Verdict::Joined
            }
        };
        if verdict != Verdict::Joined {
            more = true;
            break;
        }
        rows.push(InboxRow { id, key: key.clone(), attempts, at_ms, is_suspect, preview, message });
    }
    Ok(Next::Row(Claimed { rows, more }))
}

pub(super) fn claim(db: &Connection, key: &ChatKey, join: Join) -> Result<Next<Claimed>> {
    let mut claimed = match gather(db, key, join)? {
        Next::Row(claimed) => claimed,
        unreadable @ Next::Unreadable(_) => return Ok(unreadable),
    };
    // A command is not a turn: it is carried out beside them. A suspect message gets none.
    let turns = claimed.rows.iter_mut().filter(|row| !row.is_suspect && slash::of(&row.message).is_none());
    for row in turns {
        row.attempts += 1;
        db.prepare_cached("UPDATE inbox SET state = 'running', attempts = attempts + 1 WHERE id = ?1")?
            .execute([row.id.0])?;
    }
    Ok(Next::Row(claimed))
}

pub(super) fn chats_in(db: &Connection, count: u32) -> Result<Vec<ChatKey>> {
    db.prepare_cached(
        "SELECT platform, chat_key FROM inbox WHERE ended_at_s IS NULL
         GROUP BY platform, chat_key ORDER BY MIN(id) LIMIT ?1",
    )?
    .query_map([count], key_of)
    .and_then(|keys| rows::readable("inbox", keys))
}

pub(super) fn release(db: &Connection, ids: &[InboxId]) -> Result<()> {
    for id in ids {
        db.prepare_cached(
            "UPDATE inbox SET state = 'pending', attempts = attempts - 1 WHERE id = ?1 AND state = 'running'",
        )?
        .execute([id.0])?;
    }
    Ok(())
}

pub(super) fn release_chat(db: &Connection, key: &ChatKey) -> Result<()> {
    db.prepare_cached(
        "UPDATE inbox INDEXED BY inbox_open SET state = 'pending', attempts = attempts - 1
         WHERE platform = ?1 AND chat_key = ?2 AND state = 'running' AND ended_at_s IS NULL",
    )?
    .execute(params![key.platform.spec().name, key.chat.0])?;
    Ok(())
}

pub(super) fn previewed(db: &Connection, id: InboxId, preview: &MessageId) -> Result<()> {
    let statement = "UPDATE inbox SET preview = ?2 WHERE id = ?1 AND ended_at_s IS NULL";
    db.prepare_cached(statement)?.execute(params![id.0, preview.0])?;
    Ok(())
}

pub(super) fn finish(db: &Connection, id: InboxId, finish: &Finish, now_s: i64) -> Result<Option<OutboxRow>> {
    let ended = db
        .prepare_cached(
            "UPDATE inbox SET state = ?2, error = ?3, ended_at_s = ?4
             WHERE id = ?1 AND ended_at_s IS NULL RETURNING platform, chat_key, preview",
        )?
        .query_row(
            params![id.0, if finish.dead.is_some() { "dead" } else { "done" }, finish.dead, now_s],
            |row| Ok((key_of(row)?, row.get::<_, Option<String>>(2)?.map(MessageId))),
        )
        .optional()?;
    let Some((key, mut preview)) = ended else { return Ok(None) };
    for id in &finish.with {
        db.prepare_cached(
            "UPDATE inbox SET state = 'done', ended_at_s = ?2 WHERE id = ?1 AND ended_at_s IS NULL",
        )?
        .execute(params![id.0, now_s])?;
    }
    if let Some(platform) = &finish.pause {
        set_pause(db, platform, true, now_s)?;
    }
    if let Some(belongs) = &finish.belongs {
        let answered = finish.exchange.as_ref().map(|exchange| (id, exchange));
        sessions::extend(db, &key, belongs, answered, now_s)?;
    }
    let mut direct = None;
    if let Some(answer) = finish.replies.first()
        // A chat that accepts nothing takes no notice either; it gets one when it writes again.
        && letters::dead_target(db, &key, now_s)?.is_none()
        && let Some(untold) = letters::tell(db, &key)?
    {
        let notice = OutboundMessage {
            chat: answer.chat.clone(),
            handle: handle(&key, &untold.id, "lost", 0),
            text: Private(lost::notice(untold.count, untold.unsure, untold.oldest)),
            is_markup: false,
            reply_to: None,
            fleeting: false,
            replaces: None,
        };
        put_out(db, None, &key, &notice, "pending", now_s)?;
    }
    for (part, reply) in finish.replies.iter().enumerate() {
        let state = if part == 0 && finish.direct && !has_out(db, &key)? { "sending" } else { "pending" };
        let reply = match preview.take() {
            Some(shown) => &OutboundMessage { replaces: Some(shown), ..reply.clone() },
            None => reply,
        };
        let inserted = put_out(db, Some(id), &key, reply, state, now_s)?;
        if state == "sending" {
            direct = inserted.map(|id| OutboxRow {
                id,
                key: key.clone(),
                attempts: 0,
                maybe_sent: false,
                queued_at_s: now_s,
                due_in: Duration::ZERO,
                message: reply.clone(),
            });
        }
    }
    Ok(direct)
}

pub(super) fn queue(db: &Connection, key: &ChatKey, parts: &[OutboundMessage], now_s: i64) -> Result<()> {
    for part in parts {
        put_out(db, None, key, part, "pending", now_s)?;
    }
    Ok(())
}

/// True when a message waits to be sent to this chat.
fn has_out(db: &Connection, key: &ChatKey) -> Result<bool> {
    db.prepare_cached("SELECT 1 FROM outbox WHERE platform = ?1 AND chat_key = ?2 AND ended_at_s IS NULL")?
        .exists(params![key.platform.spec().name, key.chat.0])
}

/// Returns the new row, unless the handle is known or the chat accepts nothing.
fn put_out(
    db: &Connection,
    answers: Option<InboxId>,
    key: &ChatKey,
    message: &OutboundMessage,
    state: &str,
    now_s: i64,
) -> Result<Option<OutboxId>> {
    let refused = letters::dead_target(db, key, now_s)?;
    let id = db
        .prepare_cached(
            "INSERT INTO outbox (inbox_id, platform, chat_key, handle, state, attempts, body, queued_at_s,
                 error, ended_at_s, untold)
             VALUES (?1, ?2, ?3, ?4, ?5, ?5 = 'sending', ?6, ?7, ?8, ?9, ?9 IS NOT NULL AND ?1 IS NOT NULL)
             ON CONFLICT (platform, handle) DO NOTHING RETURNING id",
        )?
        .query_row(
            params![
                answers.map(|id| id.0),
                key.platform.spec().name,
                key.chat.0,
                message.handle,
                if refused.is_some() { "dead" } else { state },
                to_json(message)?,
                now_s,
                refused,
                refused.is_some().then_some(now_s)
            ],
            |row| row.get(0).map(OutboxId),
        )
        .optional()?;
    Ok(id.filter(|_| refused.is_none()))
}

pub(super) fn next_out(db: &Connection, key: &ChatKey, now_s: i64) -> Result<Option<Next<OutboxRow>>> {
    let read = |row: &Row<'_>| {
        let id = OutboxId(row.get(0)?);
        let (attempts, maybe_sent, queued_at_s) = (row.get(1)?, row.get(2)?, row.get(3)?);
        let due_s = row.get::<_, Option<i64>>(4)?.map_or(0, |at_s| at_s.saturating_sub(now_s).max(0));
        let due_in = Duration::from_secs(due_s.unsigned_abs());
        Ok(match from_json(row, 5)? {
            Some(message) => {
                let key = key.clone();
                Next::Row(OutboxRow { id, key, attempts, maybe_sent, queued_at_s, due_in, message })
            }
            None => Next::Unreadable(id.0),
        })
    };
    let due = db
        .prepare_cached(
            "SELECT id, attempts, maybe_sent, queued_at_s, not_before_s, body FROM outbox
             WHERE platform = ?1 AND chat_key = ?2 AND ended_at_s IS NULL
                 AND (not_before_s IS NULL OR not_before_s <= ?3) ORDER BY id LIMIT 1",
        )?
        .query_row(params![key.platform.spec().name, key.chat.0, now_s], read)
        .optional()?;
    if due.is_some() {
        return Ok(due);
    }
    db.prepare_cached(
        "SELECT id, attempts, maybe_sent, queued_at_s, not_before_s, body FROM outbox
         WHERE platform = ?1 AND chat_key = ?2 AND ended_at_s IS NULL ORDER BY not_before_s LIMIT 1",
    )?
    .query_row(params![key.platform.spec().name, key.chat.0], read)
    .optional()
}

pub(super) fn chats_out(db: &Connection, platform: Platform, count: u32) -> Result<Vec<ChatKey>> {
    db.prepare_cached(
        "SELECT platform, chat_key FROM outbox WHERE platform = ?1 AND ended_at_s IS NULL
         GROUP BY chat_key ORDER BY MIN(id) LIMIT ?2",
    )?
    .query_map(params![platform.spec().name, count], key_of)
    .and_then(|keys| rows::readable("outbox", keys))
}

pub(super) fn sending(db: &Connection, id: OutboxId) -> Result<()> {
    changed(
        db.prepare_cached(
            "UPDATE outbox SET state = 'sending', attempts = attempts + 1 WHERE id = ?1 AND ended_at_s IS NULL",
        )?
        .execute([id.0])?,
    )
}

pub(super) fn sent(db: &Connection, id: OutboxId, remote: &MessageId, now_s: i64) -> Result<bool> {
    let key = db
        .prepare_cached(
            "UPDATE outbox SET state = 'sent', remote_id = ?2, ended_at_s = ?3
             WHERE id = ?1 AND ended_at_s IS NULL RETURNING platform, chat_key",
        )?
        .query_row(params![id.0, remote.0, now_s], key_of)
        .optional()?;
    // A disk that reported a failure may have written the row before.
    key.map_or(Ok(true), |key| has_out(db, &key))
}

pub(super) fn detach(db: &Connection, id: OutboxId, error: &str) -> Result<()> {
    changed(
        db.prepare_cached(
            "UPDATE outbox SET state = 'pending', attempts = 0, error = ?2, body = json_remove(body, '$.replaces')
             WHERE id = ?1 AND ended_at_s IS NULL",
        )?
        .execute(params![id.0, error])?,
    )
}

pub(super) fn unsent(db: &Connection, id: OutboxId, maybe_sent: bool, error: &str, now_s: i64) -> Result<()> {
    let holds_s = i64::try_from(UNKNOWN_HOLDS.as_secs()).expect("it is a minute");
    changed(
        db.prepare_cached(
            "UPDATE outbox SET state = 'pending', maybe_sent = MAX(maybe_sent, ?2), error = ?3,
                 unknown_since_s = CASE WHEN ?2 THEN COALESCE(unknown_since_s, ?4) ELSE unknown_since_s END,
                 not_before_s = CASE WHEN unknown_since_s <= ?4 - ?5 THEN ?4 + ?5 END
             WHERE id = ?1 AND ended_at_s IS NULL",
        )?
        .execute(params![id.0, maybe_sent, error, now_s, holds_s])?,
    )
}

pub(super) fn is_ours(db: &Connection, platform: Platform, id: &MessageId) -> Result<bool> {
    db.prepare_cached(
        "SELECT 1 FROM outbox WHERE platform = ?1 AND handle = ?2
         UNION ALL SELECT 1 FROM outbox WHERE platform = ?1 AND remote_id = ?2",
    )?
    .exists(params![platform.spec().name, id.0])
}

pub(super) fn depths(db: &Connection) -> Result<Depths> {
    db.prepare_cached(
        "SELECT (SELECT COUNT(*) FROM inbox WHERE ended_at_s IS NULL),
                (SELECT COUNT(*) FROM outbox WHERE ended_at_s IS NULL),
                (SELECT COUNT(*) FROM inbox WHERE state = 'dead' AND dropped_at_s IS NULL)
                    + (SELECT COUNT(*) FROM outbox WHERE state = 'dead' AND dropped_at_s IS NULL)",
    )?
    .query_row([], |row| {
        let count = |column| row.get::<_, i64>(column).map(i64::unsigned_abs);
        Ok(Depths { inbox: count(0)?, outbox: count(1)?, dead: count(2)? })
    })
}

/// The time of the first row: rows are numbered as they came, so the first is the oldest.
pub(super) fn oldest_waiting(db: &Connection) -> Result<Option<Timestamp>> {
    db.prepare_cached(
        "SELECT MIN(at_s) FROM (
            SELECT accepted_at_s AS at_s FROM inbox
                WHERE id = (SELECT MIN(id) FROM inbox WHERE ended_at_s IS NULL)
            UNION ALL
            SELECT queued_at_s FROM outbox
                WHERE id = (SELECT MIN(id) FROM outbox WHERE ended_at_s IS NULL))",
    )?
    .query_row([], |row| row.get::<_, Option<i64>>(0))
    .map(|at_s| at_s.and_then(|at_s| Timestamp::from_second(at_s).ok()))
}

pub(super) fn pauses(db: &Connection) -> Result<Vec<PauseRow>> {
    db.prepare_cached("SELECT platform, since_s FROM pause ORDER BY platform")?
        .query_map([], |row| {
            let since = Timestamp::from_second(row.get(1)?);
            // The date is for people; the pause holds without it.
            Ok(PauseRow { platform: row.get(0)?, since: since.unwrap_or(Timestamp::UNIX_EPOCH) })
        })
        .and_then(|pauses| rows::readable("pause", pauses))
}

pub(super) fn set_pause(db: &Connection, platform: &str, paused: bool, now_s: i64) -> Result<()> {
    if paused {
        db.prepare_cached("INSERT INTO pause (platform, since_s) VALUES (?1, ?2) ON CONFLICT DO NOTHING")?
            .execute(params![platform, now_s])?;
    } else {
        db.prepare_cached("DELETE FROM pause WHERE platform = ?1")?.execute([platform])?;
    }
    Ok(())
}

/// Returns true when there may be more.
pub(super) fn prune(db: &Connection, now_s: i64) -> Result<bool> {
    let ago = |kept: Duration| {
        now_s.saturating_sub(i64::try_from(kept.as_secs()).expect("retention is some weeks"))
    };
    let mut more = false;
    for statement in [
        "UPDATE inbox SET body = NULL WHERE id IN (SELECT id FROM inbox
             WHERE state = 'done' AND body IS NOT NULL AND ended_at_s < ?1 LIMIT ?2)",
        "UPDATE outbox SET body = NULL WHERE id IN (SELECT id FROM outbox
             WHERE state = 'sent' AND body IS NOT NULL AND ended_at_s < ?1 LIMIT ?2)",
    ] {
        more |= db.execute(statement, params![ago(BODY_KEPT), PRUNED_AT_ONCE])? == PRUNED_AT_ONCE as usize;
    }
    for statement in [
        "DELETE FROM inbox WHERE id IN (SELECT id FROM inbox
             WHERE ended_at_s IS NOT NULL AND ended_at_s < ?1 LIMIT ?2)",
        "DELETE FROM outbox WHERE id IN (SELECT id FROM outbox
             WHERE ended_at_s IS NOT NULL AND ended_at_s < ?1 LIMIT ?2)",
    ] {
        more |= db.execute(statement, params![ago(ID_KEPT), PRUNED_AT_ONCE])? == PRUNED_AT_ONCE as usize;
    }
    Ok(more)
}

fn changed(rows: usize) -> Result<()> {
    if rows == 0 { Err(rusqlite::Error::QueryReturnedNoRows) } else { Ok(()) }
}

pub(super) fn key_of(row: &Row<'_>) -> Result<ChatKey> {
    let name: String = row.get(0)?;
    let platform = name.parse().map_err(|error| {
        rusqlite::Error::FromSqlConversionFailure(
            0,
            Type::Text,
            Box::<crate::platforms::UnknownPlatform>::new(error),
        )
    })?;
    Ok(ChatKey { platform, chat: ChatId(row.get(1)?) })
}

pub(super) fn to_json<T: serde::Serialize>(value: &T) -> Result<String> {
    serde_json::to_string(value).map_err(|error| rusqlite::Error::ToSqlConversionFailure(Box::new(error)))
}

/// The body; `None` when it cannot be read. The reason is not kept: it could repeat what people wrote.
pub(super) fn from_json<T: DeserializeOwned>(row: &Row<'_>, column: usize) -> Result<Option<T>> {
    let text = rows::value(row.get::<_, Option<String>>(column))?.flatten();
    Ok(text.and_then(|text| serde_json::from_str(&text).ok()))
}

#[cfg(test)]
#[path = "queries_tests.rs"]
mod tests;
