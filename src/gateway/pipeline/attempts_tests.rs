//! An attempt is counted once for each turn that is begun, whatever the disk does.

use std::pin::pin;

use rusqlite::Connection;

use super::*;

fn database(house: &House) -> Connection {
    let db = Connection::open(house.dir.path().join("gateway.db")).unwrap();
    db.busy_timeout(LIMIT).unwrap();
    db
}

fn attempts(db: &Connection) -> u32 {
    db.query_row("SELECT attempts FROM inbox", [], |row| row.get(0)).unwrap()
}

#[tokio::test]
async fn whoever_goes_away_while_a_message_is_accepted_counts_no_attempt() {
    let house = House::new();
    let agent = ScriptedAgent::new(0);
    let path = house.start(&agent);
    {
        let mut accepting = pin!(path.accept(W, message("A", &chat(1), "one")));
        assert!(futures_util::poll!(accepting.as_mut()).is_pending(), "the disk takes its time");
    }
    assert_eq!(agent.wait(1).await, ["one"]);
    assert_eq!(attempts(&database(&house)), 1);
}

#[tokio::test]
async fn a_conversation_that_cannot_be_read_costs_no_attempt() {
    let house = House::new();
    let agent = ScriptedAgent::new(0);
    let path = house.start(&agent);
    let db = database(&house);
    db.execute("ALTER TABLE session RENAME TO away", []).unwrap();
    path.accept(W, message("A", &chat(1), "one")).await.unwrap();
    let is_put_back = async {
        while attempts(&db) > 0 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(LIMIT, is_put_back).await.expect("it waits as it did before");
    db.execute("ALTER TABLE away RENAME TO session", []).unwrap();
    assert_eq!(agent.wait(1).await, ["one"]);
    assert_eq!(attempts(&db), 1);
}

#[tokio::test]
async fn an_attempt_that_could_not_be_taken_back_is_taken_back_later() {
    let house = House::new();
    let agent = ScriptedAgent::new(0);
    let path = house.start(&agent);
    let db = database(&house);
    db.execute_batch(
        "ALTER TABLE session RENAME TO away;
         CREATE TRIGGER stuck BEFORE UPDATE OF attempts ON inbox WHEN NEW.attempts < OLD.attempts
         BEGIN SELECT RAISE(ABORT, 'as told'); END;",
    )
    .unwrap();
    path.accept(W, message("A", &chat(1), "one")).await.unwrap();
    let is_unsure = async {
        // Unsure once the lane has run, not only while the message is accepted.
        while path.work.unsure.lock().unwrap().is_empty() || path.work.running.is_busy(&key_of(1)) {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(LIMIT, is_unsure).await.unwrap();
    db.execute_batch("DROP TRIGGER stuck; ALTER TABLE away RENAME TO session;").unwrap();
    assert_eq!(agent.wait(1).await, ["one"]);
    assert_eq!(attempts(&db), 1);
}
