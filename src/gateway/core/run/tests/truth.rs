//! The shown state is true at the moment it is shown, and the written one is not much older.

use super::*;
use crate::gateway::model::command::Control;
use crate::gateway::store::api::Depths;

fn waiting(inbox: u64) -> Depths {
    Depths { inbox, outbox: 0, dead: 0 }
}

#[tokio::test(start_paused = true)]
async fn who_asks_sees_this_moment_and_a_loop_that_is_gone_leaves_its_last_word() {
    let account = Scripted::new([]);
    let mut stage = Stage::start(&[("a", &account)]);
    stage.until(1, is("a", WireState::Connected)).await;
    let control = Control { snapshots: stage.documents.clone(), commands: stage.commands.clone() };
    let published = control.snapshot().unwrap();
    *stage.flow.depths.lock().unwrap() = waiting(7);
    tokio::time::sleep(Duration::from_secs(3)).await;
    let seen = control.look().await.unwrap();
    assert_eq!((seen.queues.inbox, published.queues.inbox), (7, 0));
    assert_eq!(control.snapshot().unwrap(), published, "a look publishes nothing");
    assert_eq!(platform(&seen, "a").state, WireState::Connected);

    account.link().freeze();
    tokio::time::sleep(Duration::from_secs(5)).await;
    let seen = control.look().await.unwrap();
    assert_eq!(platform(&seen, "a").proof_age_s, Some(5), "also the proof's age is of this moment");

    stage.running.abort();
    let last = control.look().await.unwrap();
    assert_eq!(last, control.snapshot().unwrap());
}

#[tokio::test(start_paused = true)]
async fn counts_are_published_within_a_second_and_a_storm_of_messages_is_no_storm_of_documents() {
    let account = Scripted::new([]);
    let mut stage = Stage::start(&[("a", &account)]);
    stage.until(1, is("a", WireState::Connected)).await;
    tokio::time::sleep(Duration::from_secs(5)).await;
    *stage.flow.depths.lock().unwrap() = waiting(1);
    stage.flow.counted.send_replace(());
    let took = stage.until(20, |document| document.queues.inbox == 1).await;
    assert!(took <= Duration::from_millis(50), "after a quiet time at once: {took:?}");

    let (mut written, mut documents) = (0, stage.documents.clone());
    let counting = async {
        while documents.changed().await.is_ok() {
            written += 1;
        }
    };
    let storm = async {
        for message in 2..=5000 {
            *stage.flow.depths.lock().unwrap() = waiting(message);
            stage.flow.counted.send_replace(());
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    tokio::select! {
        () = counting => {}
        () = storm => {}
    }
    assert!((5..=20).contains(&written), "{written} documents in 10 s");
    let took = stage.until(20, |document| document.queues.inbox == 5000).await;
    assert!(took <= Duration::from_secs(1), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn what_flaps_is_shown_as_waiting_until_a_connection_has_lasted() {
    let account = Scripted::new([]);
    let mut stage = Stage::start(&[("a", &account)]);
    let flaky = || AdapterError::retryable("net_refused", "refused");
    for round in 0..5_u64 {
        let again = |document: &Snapshot| {
            is("a", WireState::Connected)(document)
                && platform(document, "a").reconnects.values().sum::<u64>() == round
        };
        stage.until(400, again).await;
        account.link().lose(flaky());
    }
    stage.until(5, says("a", "flapping")).await;
    let connects = || account.connects.load(Ordering::SeqCst);
    let mut seen = stage.documents.clone();
    for round in 0..3 {
        let before = connects();
        // Each document until the connection after the next is lost again.
        let flap = async {
            while connects() == before {
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
            tokio::time::sleep(Duration::from_secs(9)).await;
            account.link().lose(flaky());
            tokio::time::sleep(Duration::from_secs(1)).await;
        };
        let watching = async {
            loop {
                seen.changed().await.unwrap();
                let shown = platform(seen.borrow().as_ref().unwrap(), "a").state;
                assert_eq!(shown, WireState::Retrying, "round {round}");
            }
        };
        tokio::select! {
            () = flap => {}
            () = watching => {}
        }
    }
    let before = connects();
    while connects() == before {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let took = stage.until(60, is("a", WireState::Connected)).await;
    assert!(took.as_millis().abs_diff(10_000) <= 100, "a connection that lasts 10 s is believed: {took:?}");
}
