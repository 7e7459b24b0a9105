//! The guarantees of the store, with a reopening at every step.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use super::super::api::{Direction, LetterId};
use super::*;
use crate::gateway::inbound::join::WAITING_MAX;
use crate::gateway::model::message::testing::message;
use crate::gateway::model::message::{ChatId, OutboundMessage};
use crate::gateway::store::api::sessions::Belongs;
use crate::sensitive::Private;

const CHAT: &str = "15550100@s.whatsapp.net";
const W: Platform = Platform::Whatsapp;

fn key() -> ChatKey {
    ChatKey { platform: W, chat: ChatId(CHAT.into()) }
}

fn reply(handle: &str) -> OutboundMessage {
    OutboundMessage {
        chat: ChatId(CHAT.into()),
        handle: handle.into(),
        text: Private("answer".into()),
        is_markup: false,
        reply_to: None,
        fleeting: false,
        replaces: None,
    }
}

fn session_key() -> SessionKey {
    SessionKey { chat: key(), person: None }
}

/// The exchanges of the newest conversation.
async fn history(store: &SqliteStore) -> Vec<Exchange> {
    let conversation = store.conversation(&session_key(), 5).await.unwrap();
    conversation.map(|(_, history)| history).unwrap_or_default()
}

fn answered(handles: &[&str]) -> Finish {
    Finish {
        belongs: Some(Belongs::New { key: session_key(), origin: InboxId(1), rule: Reset::None }),
        exchange: Some(Exchange { said: "hi".into(), answered: "answer".into() }),
        replies: handles.iter().map(|handle| reply(handle)).collect(),
        ..Finish::default()
    }
}

async fn claim(store: &SqliteStore) -> Vec<InboxRow> {
    store.claim(&key(), Join::default()).await.unwrap().rows
}

/// A database that is opened again at each step, as after a kill: the earlier store is still open and closes nothing.
struct Crashing {
    dir: tempfile::TempDir,
    abandoned: Vec<SqliteStore>,
}

impl Crashing {
    fn new() -> Self {
        Self { dir: tempfile::tempdir().unwrap(), abandoned: Vec::new() }
    }

    fn open(&mut self) -> &SqliteStore {
        self.abandoned.push(SqliteStore::open(&self.dir.path().join("gateway.db")).unwrap());
        self.abandoned.last().unwrap()
    }
}

#[tokio::test]
async fn every_step_survives_a_crash_right_after_it() {
    let mut crashing = Crashing::new();
    let Accepted::New(id) = crashing.open().accept(W, message("A", CHAT, "hi")).await.unwrap() else {
        panic!()
    };
    assert_eq!(crashing.open().accept(W, message("A", CHAT, "hi")).await.unwrap(), Accepted::Duplicate);
    let row = claim(crashing.open()).await.remove(0);
    assert_eq!((row.id, row.attempts, row.message.text.0.as_str()), (id, 1, "hi"));

    let store = crashing.open();
    assert_eq!(claim(store).await[0].attempts, 2, "the crash of the first turn counts");
    store.release(vec![id]).await.unwrap();
    assert_eq!(claim(crashing.open()).await[0].attempts, 2, "our own stop does not");
    crashing.open().finish(id, answered(&["H1", "H2"])).await.unwrap();

    let store = crashing.open();
    assert_eq!(claim(store).await, []);
    assert_eq!(history(store).await.len(), 1);
    let first = store.next_out(&key()).await.unwrap().unwrap();
    assert_eq!((first.message.handle.as_str(), first.attempts, first.maybe_sent), ("H1", 0, false));
    store.sending(first.id).await.unwrap();

    let store = crashing.open();
    let again = store.next_out(&key()).await.unwrap().unwrap();
    assert_eq!((again.id, again.attempts, again.maybe_sent), (first.id, 1, true), "its fate is unknown");
    store.sent(again.id, MessageId("H1".into())).await.unwrap();

    let store = crashing.open();
    let second = store.next_out(&key()).await.unwrap().unwrap();
    assert_eq!(second.message.handle, "H2", "the answer goes on where it stopped");
    store.sending(second.id).await.unwrap();
    store.unsent(second.id, false, "not connected".into()).await.unwrap();
    assert!(!crashing.open().next_out(&key()).await.unwrap().unwrap().maybe_sent);
    crashing.open().bury(second.id, "refused".into(), GivenUp::Message).await.unwrap();

    let store = crashing.open();
    assert_eq!(store.next_out(&key()).await.unwrap(), None);
    assert_eq!(store.depths().await.unwrap(), Depths { inbox: 0, outbox: 0, dead: 1 });
    assert!(store.is_ours(W, &MessageId("H2".into())).await.unwrap());
    assert!(!store.is_ours(W, &MessageId("A".into())).await.unwrap());
    assert_eq!(store.accept(W, message("A", CHAT, "hi")).await.unwrap(), Accepted::Duplicate);
}

#[tokio::test]
async fn a_change_that_says_the_same_as_the_newest_form_is_known() {
    let mut crashing = Crashing::new();
    let mut at = 0;
    let edit = |at: i64, text: &str| {
        let mut edit = message("A", CHAT, text);
        edit.id = edit.id.changed(at, text);
        edit.mark_edited();
        edit
    };
    let other = {
        let mut other = message("AB", CHAT, "elsewhere");
        other.id = other.id.changed(1, "elsewhere");
        other
    };
    assert!(matches!(crashing.open().accept(W, other).await.unwrap(), Accepted::New(_)));
    assert!(matches!(crashing.open().accept(W, message("A", CHAT, "one")).await.unwrap(), Accepted::New(_)));
    for (text, is_new) in [
        ("one", false),
        ("one", false),
        ("two", true),
        ("two", false),
        ("one", true),
        ("one", false),
        ("two", true),
    ] {
        at += 1;
        let store = crashing.open();
        assert_eq!(store.knows(W, &edit(at, text)).await.unwrap(), !is_new, "{at}: {text}");
        let accepted = store.accept(W, edit(at, text)).await.unwrap();
        assert_eq!(matches!(accepted, Accepted::New(_)), is_new, "{at}: {text}");
    }
    // In another chat it is another message.
    let mut elsewhere = edit(9, "two");
    elsewhere.chat = ChatId("15550199@s.whatsapp.net".into());
    assert!(!crashing.open().knows(W, &elsewhere).await.unwrap());
}

#[tokio::test]
async fn a_message_that_is_put_aside_is_passed_by_those_behind_it_and_taken_where_it_is_not() {
    let mut crashing = Crashing::new();
    let store = crashing.open();
    let mut ids = Vec::new();
    for id in ["A", "B"] {
        let Accepted::New(id) = store.accept(W, message(id, CHAT, "hi")).await.unwrap() else { panic!() };
        ids.push(id);
    }
    let aside = |id: InboxId| Join { aside: Some(id), ..Join::default() };
    let claimed = store.claim(&key(), aside(ids[0])).await.unwrap();
    assert_eq!((claimed.rows[0].id, claimed.rows.len(), claimed.more), (ids[1], 1, true));
    store.finish(ids[1], answered(&["H1"])).await.unwrap();
    let none = store.claim(&key(), aside(ids[0])).await.unwrap();
    assert!(none.rows.is_empty() && none.more);
    let claimed = store.claim(&key(), Join::default()).await.unwrap();
    assert_eq!((claimed.rows[0].id, claimed.rows[0].attempts), (ids[0], 1), "left out, it is not counted");
}

#[tokio::test]
async fn a_finish_that_is_repeated_answers_once() {
    let mut crashing = Crashing::new();
    let store = crashing.open();
    let Accepted::New(id) = store.accept(W, message("A", CHAT, "hi")).await.unwrap() else { panic!() };
    store.finish(id, answered(&["H1"])).await.unwrap();
    store.finish(id, answered(&["H2"])).await.unwrap();
    let Accepted::New(other) = store.accept(W, message("B", CHAT, "hi")).await.unwrap() else { panic!() };
    store.finish(other, answered(&["H1", "H3"])).await.unwrap();
    assert_eq!(store.depths().await.unwrap().outbox, 2, "H1 and H3");
}

#[tokio::test]
async fn the_first_part_is_handed_over_as_being_sent_when_nothing_is_before_it() {
    let mut crashing = Crashing::new();
    let store = crashing.open();
    let direct = |handles: &[&str]| Finish { direct: true, ..answered(handles) };
    let mut ids = Vec::new();
    for id in ["A", "B", "C"] {
        let Accepted::New(id) = store.accept(W, message(id, CHAT, "hi")).await.unwrap() else { panic!() };
        ids.push(id);
    }
    let first = store.finish(ids[0], direct(&["H1", "H2"])).await.unwrap().unwrap();
    assert_eq!((first.message.handle.as_str(), first.attempts, first.maybe_sent), ("H1", 0, false));
    assert_eq!(store.finish(ids[1], direct(&["H3"])).await.unwrap(), None, "H1 and H2 go first");

    let store = crashing.open();
    let again = store.next_out(&key()).await.unwrap().unwrap();
    assert_eq!((again.id, again.attempts, again.maybe_sent), (first.id, 1, true), "its fate is unknown");
    for handle in ["H1", "H2", "H3"] {
        let row = store.next_out(&key()).await.unwrap().unwrap();
        assert_eq!((row.message.handle.as_str(), row.maybe_sent), (handle, handle == "H1"));
        let is_more = store.sent(row.id, MessageId(handle.into())).await.unwrap();
        assert_eq!(is_more, handle != "H3", "what waits behind it");
    }
    assert!(
        store.sent(first.id, MessageId("H1".into())).await.unwrap(),
        "twice is once, and nothing is known of more"
    );
    assert_eq!(store.finish(ids[2], direct(&["H3", "H4"])).await.unwrap(), None, "H3 was sent before");
    assert_eq!(store.next_out(&key()).await.unwrap().unwrap().message.handle, "H4");
}

#[tokio::test]
async fn a_first_message_is_begun_with_its_acceptance_unless_something_waits_before_it() {
    let mut crashing = Crashing::new();
    let store = crashing.open();
    let Accepted::Begun(first) = store.begin_new(W, message("A", CHAT, "hi")).await.unwrap() else {
        panic!()
    };
    assert_eq!((first.attempts, first.message.id.0.as_str()), (1, "A"));
    assert!(matches!(store.begin_new(W, message("B", CHAT, "hi")).await.unwrap(), Accepted::New(_)));
    assert_eq!(store.begin_new(W, message("A", CHAT, "hi")).await.unwrap(), Accepted::Duplicate);

    let store = crashing.open();
    let Claimed { rows, more } = store.claim(&key(), Join::default()).await.unwrap();
    assert_eq!((rows.len(), rows[0].id, rows[0].attempts, more), (1, first.id, 2, true));
    store.finish(first.id, answered(&["H1"])).await.unwrap();
    let Claimed { rows, more } = store.claim(&key(), Join::default()).await.unwrap();
    assert_eq!((rows.len(), rows[0].attempts, more), (1, 1, false));
}

#[tokio::test]
async fn what_was_written_in_one_go_is_claimed_and_done_together_and_after_a_crash_apart() {
    let mut crashing = Crashing::new();
    let store = crashing.open();
    for id in ["A", "B", "C"] {
        store.accept(W, message(id, CHAT, id)).await.unwrap();
    }
    store.accept(W, message("D", CHAT, "/help")).await.unwrap();
    store.accept(W, message("E", CHAT, "E")).await.unwrap();
    let window = Join { window: Duration::from_secs(60), ..Join::default() };
    let ids = |claimed: &Claimed| claimed.rows.iter().map(|row| row.message.id.0.clone()).collect::<Vec<_>>();
    let claimed = store.claim(&key(), window).await.unwrap();
    assert_eq!((ids(&claimed), claimed.more), (vec!["A".to_owned(), "B".into(), "C".into()], true));
    store.release(claimed.rows.iter().map(|row| row.id).collect()).await.unwrap();
    assert_eq!(ids(&store.claim(&key(), window).await.unwrap()).len(), 3, "put back, they stay together");

    let store = crashing.open();
    assert_eq!(ids(&store.claim(&key(), window).await.unwrap()), ["A"], "one of them may have ended us");
    let rows = claimed.rows;
    let with = vec![rows[1].id, rows[2].id];
    store.finish(rows[0].id, Finish { with, ..answered(&["H1"]) }).await.unwrap();
    let command = store.claim(&key(), window).await.unwrap();
    assert_eq!((ids(&command), command.rows[0].attempts), (vec!["D".to_owned()], 0), "no turn of the agent");
    assert_eq!(crashing.open().depths().await.unwrap(), Depths { inbox: 2, outbox: 1, dead: 0 });
}

#[tokio::test]
async fn more_than_can_be_answered_one_by_one_is_answered_together() {
    let mut crashing = Crashing::new();
    let store = crashing.open();
    for n in 0..=WAITING_MAX {
        let claimed = store.claim(&key(), Join::default()).await.unwrap();
        assert_eq!(claimed.rows.len(), usize::from(n > 0));
        store.release(claimed.rows.iter().map(|row| row.id).collect()).await.unwrap();
        store.accept(W, message(&n.to_string(), CHAT, "hi")).await.unwrap();
    }
    assert_eq!(store.waiting(&key(), 3).await.unwrap(), 3);
    assert_eq!(claim(store).await.len(), WAITING_MAX as usize + 1);
}

#[tokio::test]
async fn the_two_identities_of_a_chat_are_one() {
    let mut crashing = Crashing::new();
    let store = crashing.open();
    let lid = "900100@lid";
    let mut both = message("A", CHAT, "hi");
    both.chat_alt = Some(ChatId(lid.into()));
    let mut reversed = message("A", "900100:4@lid", "hi");
    reversed.chat_alt = Some(ChatId(CHAT.into()));
    assert!(matches!(store.accept(W, both).await.unwrap(), Accepted::New(_)));
    for copy in [message("A", CHAT, "hi"), message("A", lid, "hi"), reversed] {
        assert_eq!(store.accept(W, copy).await.unwrap(), Accepted::Duplicate);
    }
    assert!(matches!(
        store.accept(W, message("A", "15550199@s.whatsapp.net", "")).await.unwrap(),
        Accepted::New(_)
    ));

    assert!(matches!(store.accept(W, message("B", CHAT, "hi")).await.unwrap(), Accepted::New(_)));
    let mut later = message("B", lid, "hi");
    later.chat_alt = Some(ChatId(CHAT.into()));
    assert_eq!(store.accept(W, later).await.unwrap(), Accepted::Duplicate, "the LID became known in between");
}

#[tokio::test]
async fn a_thousand_at_once_are_all_taken_and_all_kept() {
    let mut crashing = Crashing::new();
    crashing.open();
    let store = Arc::new(crashing.abandoned.pop().unwrap());
    let mut tasks = tokio::task::JoinSet::new();
    for n in 0..1000 {
        let store = Arc::clone(&store);
        let chat = format!("1555{:04}@s.whatsapp.net", n % 50);
        tasks.spawn(async move { store.accept(W, message(&format!("M{n}"), &chat, "hi")).await.unwrap() });
    }
    let mut ids: Vec<_> = tasks
        .join_all()
        .await
        .into_iter()
        .map(|accepted| match accepted {
            Accepted::New(id) => id,
            Accepted::Begun(_) | Accepted::Duplicate => panic!("all are different, and none is begun"),
        })
        .collect();
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), 1000);
    assert_eq!(crashing.open().depths().await.unwrap().inbox, 1000);
    assert_eq!(store.chats_in(100).await.unwrap().len(), 50);
    assert_eq!(store.chats_in(7).await.unwrap().len(), 7);
}

#[tokio::test]
async fn one_bad_operation_does_not_fail_its_neighbours() {
    let mut crashing = Crashing::new();
    let store = crashing.open();
    let (before, bad, after) = tokio::join!(
        store.accept(W, message("A", CHAT, "hi")),
        store.sending(OutboxId(4711)),
        store.accept(W, message("B", CHAT, "hi")),
    );
    assert!(matches!(before, Ok(Accepted::New(_))) && matches!(after, Ok(Accepted::New(_))));
    assert!(matches!(bad, Err(StoreError::Failed(_))));
    assert_eq!(crashing.open().depths().await.unwrap().inbox, 2);
}

#[tokio::test]
async fn a_full_disk_leaves_nothing_half_done_and_is_over_when_there_is_room() {
    let mut crashing = Crashing::new();
    let store = crashing.open();
    let Accepted::New(id) = store.accept(W, message("A", CHAT, "hi")).await.unwrap() else { panic!() };
    // The limit on the database's size fails in the same way as a full disk.
    let limit = |pages: u32| {
        store.writer.call(move |db| {
            let now: u32 = db.query_row("PRAGMA page_count", [], |row| row.get(0))?;
            db.query_row(&format!("PRAGMA max_page_count = {}", now + pages), [], |_| Ok(()))
        })
    };
    limit(0).await.unwrap();
    let long = "x".repeat(50_000);
    let mut finish = answered(&["H1"]);
    finish.replies.push(OutboundMessage { text: Private(long.clone()), ..reply("H2") });
    assert!(matches!(store.finish(id, finish.clone()).await, Err(StoreError::Full)));
    assert!(matches!(store.accept(W, message("B", CHAT, &long)).await, Err(StoreError::Full)));
    assert_eq!(store.depths().await.unwrap(), Depths { inbox: 1, outbox: 0, dead: 0 });
    assert_eq!(history(store).await, []);

    limit(1000).await.unwrap();
    store.finish(id, finish).await.unwrap();
    assert!(matches!(store.accept(W, message("B", CHAT, &long)).await, Ok(Accepted::New(_))));
    assert_eq!(crashing.open().depths().await.unwrap(), Depths { inbox: 1, outbox: 2, dead: 0 });
}

#[tokio::test]
async fn what_is_old_and_final_is_forgotten_in_steps_and_nothing_else() {
    let mut crashing = Crashing::new();
    let store = crashing.open();
    for n in 0..250 {
        let Accepted::New(id) = store.accept(W, message(&format!("M{n}"), CHAT, "hi")).await.unwrap() else {
            panic!()
        };
        if n > 0 {
            // The first begins the conversation, the others continue it.
            let belongs = match store.session(&session_key()).await.unwrap() {
                Some(session) => Some(Belongs::To(session.id)),
                None => answered(&[]).belongs,
            };
            store.finish(id, Finish { belongs, ..answered(&[&format!("H{n}")]) }).await.unwrap();
        }
    }
    assert!(!store.prune().await.unwrap(), "nothing is old");
    let age = |days: i64| {
        store.writer.call(move |db| {
            db.execute("UPDATE inbox SET ended_at_s = ended_at_s - ?1, accepted_at_s = 0", [days * 86_400])
        })
    };
    let count =
        |what: &'static str| store.reader.call(move |db| db.query_row(what, [], |row| row.get::<_, i64>(0)));
    age(8).await.unwrap();
    assert!(store.prune().await.unwrap(), "one step does not do all");
    while store.prune().await.unwrap() {}
    assert_eq!(
        count("SELECT COUNT(*) FROM inbox WHERE body IS NOT NULL").await.unwrap(),
        1,
        "the unanswered one"
    );
    assert_eq!(store.accept(W, message("M7", CHAT, "hi")).await.unwrap(), Accepted::Duplicate);
    age(30).await.unwrap();
    while store.prune().await.unwrap() {}
    assert_eq!(count("SELECT COUNT(*) FROM inbox").await.unwrap(), 1);
    assert_eq!(count("SELECT COUNT(*) FROM outbox").await.unwrap(), 249, "what is not sent stays");
    assert_eq!(count("SELECT COUNT(*) FROM transcript").await.unwrap(), 100, "a conversation has a bound");
}

#[tokio::test]
async fn a_pause_survives_a_crash_and_ends_only_by_a_word() {
    let mut crashing = Crashing::new();
    let store = crashing.open();
    assert_eq!(store.pauses().await.unwrap(), []);
    store.set_pause("whatsapp", true).await.unwrap();
    store.set_pause("fax", false).await.unwrap();
    let first = crashing.open().pauses().await.unwrap();
    assert_eq!(first.iter().map(|row| row.platform.as_str()).collect::<Vec<_>>(), ["whatsapp"]);
    assert!(first[0].since > Timestamp::UNIX_EPOCH);
    let store = crashing.open();
    store.writer.call(|db| db.execute("UPDATE pause SET since_s = 1", [])).await.unwrap();
    store.set_pause("whatsapp", true).await.unwrap();
    assert_eq!(store.pauses().await.unwrap()[0].since.as_second(), 1, "it is paused since the first time");
    store.set_pause("whatsapp", false).await.unwrap();
    assert_eq!(crashing.open().pauses().await.unwrap(), []);
}

#[tokio::test]
async fn a_notice_is_sent_like_an_answer_and_once() {
    let mut crashing = Crashing::new();
    crashing.open().queue(&key(), vec![reply("H1")]).await.unwrap();
    crashing.open().queue(&key(), vec![reply("H1")]).await.unwrap();
    let store = crashing.open();
    assert_eq!(store.depths().await.unwrap().outbox, 1);
    assert_eq!(store.next_out(&key()).await.unwrap().unwrap().message, reply("H1"));
}

#[tokio::test]
async fn the_first_databases_are_brought_to_this_version_with_all_they_hold() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("gateway.db");
    let mut old = Connection::open(&path).unwrap();
    let step = old.transaction().unwrap();
    step.execute_batch(schema::MIGRATIONS[0]).unwrap();
    step.execute(
        "INSERT INTO inbox (platform, chat_key, chat, message_id, state, body, accepted_at_s)
         VALUES ('whatsapp', ?1, ?1, 'A', 'pending', '{}', 1)",
        [CHAT],
    )
    .unwrap();
    step.pragma_update(None, "user_version", 1).unwrap();
    step.commit().unwrap();
    drop(old);
    let store = SqliteStore::open(&path).unwrap();
    assert_eq!(store.depths().await.unwrap().inbox, 1);
    store.set_pause("whatsapp", true).await.unwrap();
    assert_eq!(store.pauses().await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_newer_database_is_refused_and_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("gateway.db");
    let newer = Connection::open(&path).unwrap();
    newer.execute_batch("CREATE TABLE future (x); PRAGMA user_version = 99;").unwrap();
    drop(newer);
    let before = std::fs::read(&path).unwrap();
    let Err(StoreError::TooNew { found: 99, known }) = SqliteStore::open(&path) else {
        panic!("it was opened")
    };
    assert_eq!(known, schema::newest());
    assert_eq!(std::fs::read(&path).unwrap(), before);
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
}

#[tokio::test]
async fn what_is_no_database_is_an_error_and_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("gateway.db");
    crate::durable::write_atomic(&path, "no database, but a long text ".repeat(100).as_bytes()).unwrap();
    let before = std::fs::read(&path).unwrap();
    assert!(matches!(SqliteStore::open(&path), Err(StoreError::Damaged(_))));
    assert_eq!(std::fs::read(&path).unwrap(), before);
}

#[tokio::test]
async fn the_files_are_private_and_the_engine_is_as_durable_as_promised() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("gateway.db");
    let store = SqliteStore::open(&path).unwrap();
    store.accept(W, message("A", CHAT, "hi")).await.unwrap();
    for entry in std::fs::read_dir(dir.path()).unwrap() {
        let entry = entry.unwrap();
        assert_eq!(entry.metadata().unwrap().permissions().mode() & 0o777, 0o600, "{:?}", entry.file_name());
    }
    for (pragma, expected) in
        [("journal_mode", "wal"), ("synchronous", "2"), ("foreign_keys", "1"), ("trusted_schema", "0")]
    {
        let found = store
            .writer
            .call(move |db: &Connection| {
                // The pragmas as table-valued functions: their values are cast to text alike.
                db.query_row(&format!("SELECT CAST({pragma} AS TEXT) FROM pragma_{pragma}"), [], |row| {
                    row.get::<_, String>(0)
                })
            })
            .await
            .unwrap();
        assert_eq!(found, expected, "{pragma}");
    }
    assert!(rusqlite::version_number() >= 3_051_003, "older write-ahead logs can corrupt");
}

#[tokio::test]
async fn a_row_that_makes_no_sense_holds_up_no_other() {
    let mut crashing = Crashing::new();
    let store = crashing.open();
    for (id, handle) in [("A", "H1"), ("B", "H2")] {
        let Accepted::New(row) = store.accept(W, message(id, CHAT, "hi")).await.unwrap() else { panic!() };
        store.finish(row, answered(&[handle])).await.unwrap();
        store.accept(W, message(&format!("next to {id}"), CHAT, "hi")).await.unwrap();
    }
    let spoil = |table: &'static str| {
        store.writer.call(move |db| {
            db.execute(
                &format!("UPDATE {table} SET body = '{{' WHERE id = (SELECT MIN(id) FROM {table} WHERE ended_at_s IS NULL)"),
                [],
            )
        })
    };
    spoil("inbox").await.unwrap();
    spoil("outbox").await.unwrap();
    assert_eq!(claim(store).await[0].message.id.0, "next to B");
    assert_eq!(store.next_out(&key()).await.unwrap().unwrap().message.handle, "H2");
    assert_eq!(store.depths().await.unwrap(), Depths { inbox: 1, outbox: 1, dead: 2 });
}

#[tokio::test]
async fn what_was_said_before_there_were_conversations_is_one_in_each_chat() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("gateway.db");
    let old = Connection::open(&path).unwrap();
    for step in &schema::MIGRATIONS[..2] {
        old.execute_batch(step).unwrap();
    }
    old.pragma_update(None, "user_version", 2).unwrap();
    for n in 0..3 {
        old.execute(
            "INSERT INTO transcript (platform, chat_key, said, answered, at_s) VALUES ('whatsapp', ?1, 'hi', ?2, ?3)",
            rusqlite::params![key().chat.0, n.to_string(), 1000 + n],
        )
        .unwrap();
    }
    drop(old);
    let store = SqliteStore::open(&path).unwrap();
    let session = store.session(&session_key()).await.unwrap().unwrap();
    assert_eq!(
        (session.exchanges, session.started_at.as_second(), session.last_at.as_second()),
        (3, 1000, 1002)
    );
    let answers: Vec<_> = history(&store).await.into_iter().map(|exchange| exchange.answered).collect();
    assert_eq!(answers, ["0", "1", "2"]);
}

#[path = "sending_tests.rs"]
mod sending;
