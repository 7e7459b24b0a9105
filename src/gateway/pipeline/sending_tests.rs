//! Sending, as far as the path decides it: all parts or none, never during a pause that the platform asked for, and with a
//! certain outcome where it is certain.

use rusqlite::Connection;

use super::*;
use crate::gateway::store::api::Finish;
use crate::sensitive::Private;

fn database(house: &House) -> Connection {
    let db = Connection::open(house.dir.path().join("gateway.db")).unwrap();
    db.busy_timeout(LIMIT).unwrap();
    db
}

fn part(handle: &str) -> OutboundMessage {
    let chat = ChatId(chat(1));
    OutboundMessage {
        chat,
        handle: handle.into(),
        text: Private("said".into()),
        is_markup: false,
        reply_to: None,
        fleeting: false,
        replaces: None,
    }
}

#[tokio::test]
async fn the_parts_of_what_is_said_are_kept_together_or_not_at_all() {
    let house = House::new();
    let path = house.start(&ScriptedAgent::new(0));
    let db = database(&house);
    db.execute_batch(
        "CREATE TRIGGER stuck BEFORE INSERT ON outbox WHEN NEW.handle = 'two'
         BEGIN SELECT RAISE(ABORT, 'as told'); END;",
    )
    .unwrap();
    let parts = ["one", "two", "three"].map(part).to_vec();
    path.say(&key_of(1), parts.clone()).await.unwrap_err();
    assert_eq!(path.store.depths().await.unwrap().outbox, 0);
    db.execute_batch("DROP TRIGGER stuck;").unwrap();
    path.say(&key_of(1), parts.clone()).await.unwrap();
    path.say(&key_of(1), parts).await.unwrap();
    let link = ScriptedLink::new(Vec::new());
    up(&path, &link);
    let handles: Vec<_> = link.wait(3).await.into_iter().map(|sent| sent.handle).collect();
    assert_eq!(handles, ["one", "two", "three"]);
}

#[tokio::test]
async fn nobody_is_seen_typing_where_silence_was_asked_for() {
    let house = House::new();
    let agent = ScriptedAgent::new(1);
    let path = house.start(&agent);
    let link = ScriptedLink::new(vec![failure(Certainty::NotSent, Retry::After(LIMIT * 10))]);
    up(&path, &link);
    path.accept(W, message("A", &chat(1), "one")).await.unwrap();
    let outbox = &path.outboxes[&W];
    let held = async {
        while outbox.free_link(&ChatId(chat(1))).is_some() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(LIMIT, held).await.unwrap();
    path.accept(W, message("B", &chat(1), "two")).await.unwrap();
    agent.wait(2).await;
    path.accept(W, message("C", &chat(2), "three")).await.unwrap();
    let mut typed = link.typed.subscribe();
    let typed = tokio::time::timeout(LIMIT, typed.wait_for(|typed| !typed.is_empty())).await.unwrap();
    assert_eq!(*typed.unwrap(), [chat(2)], "the other chat's turn is older");
    path.limited(W, LIMIT);
    assert!(outbox.free_link(&ChatId(chat(2))).is_none(), "nor anywhere");
}

/// The state of the one outgoing message, and whether it may have been sent.
fn fate(db: &Connection) -> (String, bool) {
    db.query_row("SELECT state, maybe_sent FROM outbox", [], |row| Ok((row.get(0)?, row.get(1)?))).unwrap()
}

#[tokio::test]
async fn an_answer_whose_connection_drops_before_it_is_begun_is_certainly_not_sent() {
    for is_down_first in [true, false] {
        let house = House::new();
        let path = house.start(&ScriptedAgent::new(0));
        let link = ScriptedLink::new(Vec::new());
        up(&path, &link);
        path.accept(W, message("A", &chat(1), "one")).await.unwrap();
        let id = path.store.next_in(&key_of(1)).await.unwrap().unwrap().id;
        let outbox = &path.outboxes[&W];
        let claim = outbox.claim(&key_of(1)).expect("nothing else is sent");
        let finish = Finish { replies: vec![part("one")], direct: true, ..Finish::default() };
        let row = path.store.finish(id, finish).await.unwrap();
        let db = database(&house);
        assert_eq!(fate(&db), ("sending".into(), false));
        // Nothing else runs between these.
        if is_down_first {
            path.link_down(W);
            claim.send(row);
        } else {
            claim.send(row);
            path.link_down(W);
        }
        let put_back = async {
            while fate(&db).0 != "pending" {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(LIMIT, put_back).await.expect("it is put back");
        assert!(!fate(&db).1);
        up(&path, &link);
        assert_eq!(link.wait(1).await[0].handle, "one");
    }
}

#[tokio::test]
async fn what_is_not_sent_in_time_is_counted_on_its_platform() {
    let house = House::new();
    let store = house.store();
    store.queue(&key_of(1), vec![part("one")]).await.unwrap();
    database(&house).execute("UPDATE outbox SET queued_at_s = 0", []).unwrap();
    drop(store);
    let path = house.start(&ScriptedAgent::new(0));
    let counted = async {
        while path.tally().counts().messages[&W][Counter::Expired as usize] != 1 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(LIMIT, counted).await.unwrap();
    assert_eq!(path.store.depths().await.unwrap().dead, 1);
}
