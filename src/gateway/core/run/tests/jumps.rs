//! A machine that sleeps, and a clock that is set: here the test runs the loop's turns, since the wall clock cannot be paused.

use jiff::SignedDuration;

use super::*;

/// The next event that a task sends to the loop.
async fn heard(gateway: &mut Gateway) -> Event {
    tokio::time::timeout(Duration::from_secs(5), gateway.inputs.recv()).await.unwrap().unwrap()
}

#[tokio::test(start_paused = true)]
async fn after_a_sleep_every_platform_is_connected_anew_and_a_clock_set_back_disturbs_nobody() {
    let dir = tempfile::tempdir().unwrap();
    let accounts = [Scripted::new([]), Scripted::new([])];
    let adapters = [("a", &accounts[0]), ("b", &accounts[1])]
        .map(|(name, account)| (name.to_owned(), Arc::clone(account) as Arc<dyn Adapter>));
    let status = StatusFile::start(dir.path().join("gateway_state.json"));
    let mut gateway = Gateway::new(Parts { adapters: adapters.to_vec(), ..parts(status) });
    let begin = Now::read();
    let at = |mono: u64, wall: i64| Now {
        mono: begin.mono + Duration::from_secs(mono),
        wall: begin.wall + SignedDuration::from_secs(wall),
    };
    for seat in &mut gateway.seats {
        seat.machine.handle(begin.mono, Input::Start);
    }
    gateway.step(begin, Event::Due);
    for _ in &accounts {
        let event = heard(&mut gateway).await;
        gateway.step(begin, event);
    }
    let states = |gateway: &Gateway| -> Vec<State> {
        gateway.seats.iter().map(|seat| seat.machine.state().clone()).collect()
    };
    let is_connected = |state: &State| matches!(state, State::Connected { .. });
    assert!(states(&gateway).iter().all(is_connected), "{:?}", states(&gateway));

    gateway.step(at(10, -3600), Event::Due);
    gateway.step(at(20, -3590), Event::Due);
    assert!(states(&gateway).iter().all(is_connected), "set back: {:?}", states(&gateway));

    let links: Vec<_> = accounts.iter().map(|account| account.link()).collect();
    gateway.step(at(21, 8 * 3600), Event::Due);
    for state in states(&gateway) {
        let State::Retrying { at: due, error } = state else { panic!("{state:?}") };
        assert_eq!(error.code, "clock_jumped");
        assert!(due <= at(26, 0).mono, "within five seconds");
    }
    assert!(gateway.seats.iter().all(|seat| seat.machine.failures() == 0), "nobody's fault");
    gateway.step(at(27, 8 * 3600 + 6), Event::Due);
    for _ in &accounts {
        let event = heard(&mut gateway).await;
        gateway.step(at(27, 8 * 3600 + 6), event);
    }
    assert!(states(&gateway).iter().all(is_connected), "{:?}", states(&gateway));
    assert!(links.iter().all(|link| link.closed.load(Ordering::SeqCst)), "what may be dead is closed");
    gateway.step(at(37, 8 * 3600 + 16), Event::Due);
    assert!(accounts.iter().all(|account| account.connects.load(Ordering::SeqCst) == 2), "noticed once");
}
