//! The effect of a network that is back, or another one, on platforms that wait.

use super::*;

#[tokio::test(start_paused = true)]
async fn after_two_hours_without_dns_the_networks_own_word_has_all_tried_within_five_seconds() {
    let (accounts, mut stage) = three_cut_off().await;
    tokio::time::sleep(Duration::from_secs(7200)).await;
    let waiting = |document: &Snapshot| {
        let now = Now::read().wall;
        let is_far = |at: jiff::Timestamp| at.duration_since(now).as_secs() > 10;
        document.platforms.values().all(|platform| platform.next_retry_at.is_some_and(is_far))
    };
    stage.until(600, waiting).await;
    // A report that comes too early has no effect, however often it comes.
    let attempts = |stage: &Stage| -> u32 {
        let document = stage.documents.borrow().clone().unwrap();
        document.platforms.values().map(|platform| platform.attempts).sum()
    };
    let before = attempts(&stage);
    let count =
        || -> usize { accounts.iter().map(|account| account.connects.load(Ordering::SeqCst) as usize).sum() };
    let tried = count();
    for round in 1..=3 {
        stage.events.send(Event::NetworkChanged).await.unwrap();
        tokio::time::sleep(Duration::from_secs(5)).await;
        assert_eq!(count(), tried + 3 * round, "each was tried once");
    }
    assert_eq!(attempts(&stage), before);
    for account in &accounts {
        account.script([]);
    }
    stage.events.send(Event::NetworkChanged).await.unwrap();
    let took = stage.until(10, all(WireState::Connected)).await;
    assert!(took <= Duration::from_secs(5), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn a_changed_network_moves_only_what_could_not_be_reached() {
    let live = Scripted::new([]);
    let broken = Scripted::new(std::iter::repeat_n(
        Step::Fail(AdapterError::retryable("whatsapp_bridge_exited", "it ended")),
        100,
    ));
    let cut_off = Scripted::new([Step::Fail(unreachable())]);
    let mut stage = Stage::start(&[("live", &live), ("broken", &broken), ("cut_off", &cut_off)]);
    stage.until(1, is("broken", WireState::Retrying)).await;
    stage.until(1, is("cut_off", WireState::Retrying)).await;
    stage.events.send(Event::NetworkChanged).await.unwrap();
    let took = stage.until(6, is("cut_off", WireState::Connected)).await;
    assert!(took <= Duration::from_secs(5), "{took:?}");
    assert_eq!(broken.connects.load(Ordering::SeqCst), 1);
    assert_eq!(live.connects.load(Ordering::SeqCst), 1);
}
