//! The statements about messages that were given up: dead letters, and chats that accept nothing.

use std::collections::BTreeMap;

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, params};

use super::api::{Direction, Fate, GivenUp, Letter, LetterId, OutboxId, Pick, TARGET_DEAD};
use super::queries::{from_json, key_of};
use super::rows;
use crate::gateway::markdown::parts::readable;
use crate::gateway::model::message::{ChatKey, InboundMessage, MessageId, OutboundMessage};
use crate::platforms::Platform;
use crate::sensitive::Private;

/// Limit for the letters of one listing.
const SHOWN_MAX: u32 = 1000;

/// Limit for the rows that one step of expiry gives up: short enough to go between two messages.
const EXPIRED_AT_ONCE: u32 = 200;

type Result<T> = rusqlite::Result<T>;

pub(super) fn bury(db: &Connection, id: OutboxId, reason: &str, what: GivenUp, now_s: i64) -> Result<()> {
    let quietly = what == GivenUp::Quietly;
    let key = db
        .prepare_cached(
            "UPDATE outbox SET state = 'dead', error = ?2, ended_at_s = ?3,
                 dropped_at_s = CASE WHEN ?4 THEN ?3 END, untold = inbox_id IS NOT NULL AND NOT ?4
             WHERE id = ?1 AND ended_at_s IS NULL RETURNING platform, chat_key",
        )?
        .query_row(params![id.0, reason, now_s, quietly], key_of)?;
    if what == GivenUp::Chat {
        let chat = params![key.platform.spec().name, key.chat.0, now_s, reason];
        db.prepare_cached(
            "INSERT INTO dead_target (platform, chat_key, since_s, reason) VALUES (?1, ?2, ?3, ?4)
             ON CONFLICT DO UPDATE SET since_s = excluded.since_s, reason = excluded.reason",
        )?
        .execute(chat)?;
        db.prepare_cached(
            "UPDATE outbox SET state = 'dead', error = ?4, ended_at_s = ?3, untold = inbox_id IS NOT NULL
             WHERE platform = ?1 AND chat_key = ?2 AND ended_at_s IS NULL",
        )?
        .execute(chat)?;
    }
    Ok(())
}

/// The reason why nothing is sent to this chat at the moment.
pub(super) fn dead_target(db: &Connection, key: &ChatKey, now_s: i64) -> Result<Option<String>> {
    let kept_s = i64::try_from(TARGET_DEAD.as_secs()).expect("it is some weeks");
    db.prepare_cached(
        "SELECT reason FROM dead_target WHERE platform = ?1 AND chat_key = ?2 AND since_s > ?3",
    )?
    .query_row(params![key.platform.spec().name, key.chat.0, now_s.saturating_sub(kept_s)], |row| row.get(0))
    .optional()
}

/// Marks the chat as reachable, because it has written.
pub(super) fn revive_target(db: &Connection, key: &ChatKey) -> Result<()> {
    db.prepare_cached("DELETE FROM dead_target WHERE platform = ?1 AND chat_key = ?2")?
        .execute(params![key.platform.spec().name, key.chat.0])?;
    Ok(())
}

/// The messages that this chat never got and had no notice of.
pub(super) struct Untold {
    pub(super) count: u64,
    /// The number of them that may have arrived all the same.
    pub(super) unsure: u64,
    pub(super) oldest: Timestamp,
    /// An id that differs with each set of them.
    pub(super) id: MessageId,
}

/// Marks them as notified, and returns them.
pub(super) fn tell(db: &Connection, key: &ChatKey) -> Result<Option<Untold>> {
    let chat = params![key.platform.spec().name, key.chat.0];
    let (count, unsure, oldest_s, newest) = db
        .prepare_cached(
            "SELECT COUNT(*), COUNT(NULLIF(maybe_sent, 0)), MIN(queued_at_s), MAX(id) FROM outbox
             WHERE platform = ?1 AND chat_key = ?2 AND untold = 1",
        )?
        .query_row(chat, |row| {
            let (oldest_s, newest) = (row.get::<_, Option<i64>>(2)?, row.get::<_, Option<i64>>(3)?);
            Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?, oldest_s, newest))
        })?;
    let (Some(oldest_s), Some(newest)) = (oldest_s, newest) else { return Ok(None) };
    db.prepare_cached("UPDATE outbox SET untold = 0 WHERE platform = ?1 AND chat_key = ?2 AND untold = 1")?
        .execute(chat)?;
    let oldest = Timestamp::from_second(oldest_s).unwrap_or(Timestamp::UNIX_EPOCH);
    let (count, unsure) = (count.unsigned_abs(), unsure.unsigned_abs());
    Ok(Some(Untold { count, unsure, oldest, id: MessageId(newest.to_string()) }))
}

/// Returns the number of rows that were given up.
pub(super) fn expire(db: &Connection, before_s: i64, now_s: i64) -> Result<BTreeMap<Platform, u64>> {
    let mut statement = db.prepare_cached(
            "UPDATE outbox SET state = 'dead', error = 'it could not be sent in time', ended_at_s = ?2,
                 untold = inbox_id IS NOT NULL
             WHERE id IN (SELECT id FROM outbox
                 WHERE ended_at_s IS NULL AND state = 'pending' AND queued_at_s < ?1 LIMIT ?3) RETURNING platform, chat_key",
    )?;
    let mut expired = BTreeMap::new();
    let keys = statement.query_map(params![before_s, now_s, EXPIRED_AT_ONCE], key_of)?;
    for key in rows::readable("outbox", keys)? {
        *expired.entry(key.platform).or_default() += 1;
    }
    Ok(expired)
}

pub(super) fn letters(db: &Connection, pick: &Pick, with_text: bool) -> Result<Vec<Letter>> {
    let mut letters = Vec::new();
    for direction in [Direction::In, Direction::Out] {
        if pick.direction.is_none_or(|wanted| wanted == direction) {
            read(db, direction, pick, with_text, &mut letters)?;
        }
    }
    letters.sort_by_key(|letter| (letter.since, letter.id));
    Ok(letters)
}

fn read(
    db: &Connection,
    direction: Direction,
    pick: &Pick,
    with_text: bool,
    letters: &mut Vec<Letter>,
) -> Result<()> {
    let (table, maybe_sent) = match direction {
        Direction::In => ("inbox", "0"),
        Direction::Out => ("outbox", "maybe_sent"),
    };
    let mut statement = db.prepare_cached(&format!(
        "SELECT platform, chat_key, id, ended_at_s, attempts, error, {maybe_sent}, CASE WHEN ?1 THEN body END
         FROM {table} WHERE state = 'dead' AND dropped_at_s IS NULL AND (?2 IS NULL OR platform = ?2)
             AND (?3 IS NULL OR id = ?3) ORDER BY id LIMIT ?4"
    ))?;
    let platform = pick.platform.map(|platform| platform.spec().name);
    let ids: Vec<Option<i64>> = if pick.ids.is_empty() {
        vec![None]
    } else {
        pick.ids.iter().filter(|id| id.direction == direction).map(|id| Some(id.number)).collect()
    };
    for id in ids {
        let found = statement.query_map(params![with_text, platform, id, SHOWN_MAX], |row| {
            let key = key_of(row)?;
            let text = match direction {
                Direction::In => from_json::<InboundMessage>(row, 7)?.map(|message| message.text),
                Direction::Out => from_json::<OutboundMessage>(row, 7)?
                    .map(|message| Private(readable(key.platform, &message).into_owned())),
            };
            Ok(Letter {
                id: LetterId { direction, number: row.get(2)? },
                key,
                since: Timestamp::from_second(row.get(3)?).unwrap_or(Timestamp::UNIX_EPOCH),
                attempts: row.get(4)?,
                reason: row.get::<_, Option<String>>(5)?.unwrap_or_default(),
                maybe_sent: row.get(6)?,
                text,
            })
        })?;
        letters.extend(rows::readable(table, found)?);
    }
    Ok(())
}

pub(super) fn retry(db: &Connection, pick: &Pick, now_s: i64) -> Result<Vec<ChatKey>> {
    let mut keys = Vec::new();
    for Letter { id, key, .. } in letters(db, pick, false)? {
        let changed = match id.direction {
            Direction::In => db
                .prepare_cached(
                    "UPDATE inbox SET state = 'pending', attempts = 0, error = NULL, ended_at_s = NULL, preview = NULL
                     WHERE id = ?1 AND body IS NOT NULL",
                )?
                .execute([id.number])?,
            Direction::Out => {
                revive_target(db, &key)?;
                db.prepare_cached(
                    "UPDATE outbox SET state = 'pending', attempts = 0, queued_at_s = ?2, ended_at_s = NULL,
                         unknown_since_s = NULL, not_before_s = NULL, untold = 0,
                         body = json_remove(body, '$.replaces')
                     WHERE id = ?1 AND body IS NOT NULL",
                )?
                .execute([id.number, now_s])?
            }
        };
        if changed > 0 {
            keys.push(key);
        }
    }
    Ok(keys)
}

pub(super) fn discard(db: &Connection, pick: &Pick, now_s: i64) -> Result<u64> {
    let mut count = 0;
    for Letter { id, .. } in letters(db, pick, false)? {
        let statement = match id.direction {
            Direction::In => "UPDATE inbox SET dropped_at_s = ?2, body = NULL WHERE id = ?1",
            Direction::Out => "UPDATE outbox SET dropped_at_s = ?2, body = NULL, untold = 0 WHERE id = ?1",
        };
        db.prepare_cached(statement)?.execute([id.number, now_s])?;
        count += 1;
    }
    Ok(count)
}

pub(super) fn fate(db: &Connection, platform: Platform, handle: &str) -> Result<Option<Fate>> {
    db.prepare_cached("SELECT state, error FROM outbox WHERE platform = ?1 AND handle = ?2")?
        .query_row(params![platform.spec().name, handle], |row| {
            let state: String = row.get(0)?;
            let error: Option<String> = row.get(1)?;
            Ok(match state.as_str() {
                "sent" => Fate::Sent,
                "dead" => Fate::Dead(error.unwrap_or_default()),
                _ => Fate::Waiting,
            })
        })
        .optional()
}
