//! The rules of the Python gateway's tests and its table of transitions, checked against this machine: those that we keep,
//! and those that differ by design.

use super::*;

/// One row of that table: from a state, by an event, to a state, with the shown state and the awaited event.
struct Row {
    from: &'static str,
    event: &'static str,
    make: Make,
    give: fn(&mut Bench),
    to: fn(&State) -> bool,
    /// Counted failures, and the wait in seconds.
    queue: Option<(u32, u64)>,
}

fn code(state: &State) -> Option<&'static str> {
    match state {
        State::Retrying { error, .. } | State::Blocked { error, .. } => Some(error.code),
        State::Disabled
        | State::Connecting { .. }
        | State::Connected { .. }
        | State::Paused { .. }
        | State::Stopping => None,
    }
}

fn is_retrying(state: &State) -> bool {
    matches!(state, State::Retrying { .. }) && code(state) == Some("net_refused")
}

fn is_blocked(state: &State) -> bool {
    matches!(state, State::Blocked { .. }) && code(state) == Some("whatsapp_not_paired")
}

fn retrying() -> Bench {
    let mut bench = Bench::started();
    bench.down(flaky());
    bench
}

fn retried() -> Bench {
    let mut bench = retrying();
    bench.wait();
    bench
}

fn paused() -> Bench {
    let mut bench = retrying();
    bench.give(Input::Pause);
    bench
}

fn crashed() -> AdapterError {
    AdapterError::retryable("adapter_panicked", "its code failed")
}

#[test]
#[expect(clippy::too_many_lines, reason = "it is a table")]
fn every_transition_of_the_table_is_kept_or_differs_on_purpose() {
    let rows = [
        Row {
            from: "nothing",
            event: "about to connect",
            make: Bench::new,
            give: |b| drop(b.give(Input::Start)),
            to: |state| matches!(state, State::Connecting { .. }),
            queue: None,
        },
        Row {
            from: "connecting",
            event: "connected",
            make: Bench::started,
            give: |b| drop(b.up()),
            to: |state| matches!(state, State::Connected { .. }),
            queue: None,
        },
        Row {
            from: "connecting",
            event: "failed, worth retrying",
            make: Bench::started,
            give: |b| drop(b.down(flaky())),
            to: is_retrying,
            queue: Some((1, 30)),
        },
        Row {
            from: "connecting",
            event: "failed for good",
            make: Bench::started,
            give: |b| drop(b.down(unpaired())),
            to: is_blocked,
            // There nothing is ever awaited. Here the cause is checked again, without an attempt.
            queue: Some((0, 1)),
        },
        Row {
            from: "connecting",
            event: "failed without a reason",
            make: Bench::started,
            // There the code is empty. Here an error without a code cannot be written down.
            give: |b| drop(b.down(crashed())),
            to: |state| code(state) == Some("adapter_panicked"),
            queue: Some((1, 30)),
        },
        Row {
            from: "connecting",
            event: "took too long",
            make: Bench::started,
            give: |b| {
                b.wait();
            },
            to: |state| code(state) == Some("net_timeout"),
            queue: Some((1, 30)),
        },
        Row {
            from: "connected",
            event: "lost, worth retrying",
            make: Bench::connected,
            give: |b| drop(b.down(flaky())),
            to: is_retrying,
            queue: Some((0, 0)),
        },
        Row {
            from: "connected",
            event: "lost for good",
            make: Bench::connected,
            give: |b| drop(b.down(unpaired())),
            to: is_blocked,
            queue: Some((0, 1)),
        },
        Row {
            from: "retrying",
            event: "fails again",
            make: retried,
            give: |b| drop(b.down(flaky())),
            to: is_retrying,
            queue: Some((2, 60)),
        },
        Row {
            from: "retrying",
            event: "fails for good",
            make: retried,
            // There it leaves the queue with its count. Here the count stays: a service that alternates between two
            // failures would restart the ladder with every block, and be tried more often than one with a single failure.
            give: |b| drop(b.down(unpaired())),
            to: is_blocked,
            queue: Some((1, 1)),
        },
        Row {
            from: "retrying",
            event: "paused by a person",
            make: retrying,
            give: |b| drop(b.give(Input::Pause)),
            to: |state| matches!(state, State::Paused { by: PausedBy::Operator, probe_at: None, .. }),
            queue: None,
        },
        Row {
            from: "paused",
            event: "resumed",
            make: paused,
            // There it waits in the queue, due now, until the watcher runs. Here the attempt begins at once.
            give: |b| drop(b.give(Input::Resume)),
            to: |state| matches!(state, State::Connecting { .. }),
            queue: None,
        },
        Row {
            from: "any",
            event: "disconnected without a fault",
            make: Bench::connected,
            give: |b| drop(b.give(Input::Stop)),
            to: |state| matches!(state, State::Stopping),
            queue: None,
        },
    ];
    for row in rows {
        let mut bench = (row.make)();
        bench.actions();
        (row.give)(&mut bench);
        let (from, event) = (row.from, row.event);
        assert!((row.to)(&bench.machine.state), "{from}, {event}: {:?}", bench.machine.state);
        if let Some((failures, wait)) = row.queue {
            assert_eq!(bench.machine.failures(), failures, "{from}, {event}");
            assert_eq!(bench.wait(), seconds(wait), "{from}, {event}");
        }
    }
}

#[test]
fn the_tenth_failure_pauses_and_the_machine_looks_again_by_itself() {
    // There a tenth failure either pauses permanently or, later, nothing ever does. Here it pauses with a probe.
    let bench = Bench::open();
    let State::Paused { by, error, probe_at } = &bench.machine.state else { panic!("not paused") };
    assert_eq!((*by, error.as_ref().unwrap().code), (PausedBy::Breaker, "net_refused"));
    assert!(probe_at.is_some());
}

#[test]
fn with_the_breaker_off_25_failures_are_26_attempts_and_a_finite_wait() {
    let mut bench = Bench::new();
    bench.machine.policy.breaker_after = 0;
    bench.give(Input::Start);
    for _ in 0..25 {
        bench.down(flaky());
        bench.wait();
    }
    bench.down(flaky());
    assert_eq!(bench.machine.failures(), 26);
    assert_eq!(bench.wait(), seconds(300));
}

#[test]
fn a_paused_platform_is_never_tried_and_a_wait_that_is_not_over_is_not_cut() {
    let mut bench = paused();
    bench.actions();
    bench.now += seconds(1_000_000);
    bench.machine.handle_timeout(bench.now);
    assert_eq!(bench.actions(), []);
    let mut bench = retrying();
    bench.actions();
    bench.now += seconds(29);
    bench.machine.handle_timeout(bench.now);
    assert_eq!(bench.actions(), []);
}

#[test]
fn a_second_pause_changes_nothing_and_a_pause_works_whether_it_waits_or_not() {
    let mut bench = paused();
    bench.actions();
    assert_eq!(bench.give(Input::Pause), []);
    // There only a platform in the queue can be paused. Here a connected one can be, too.
    let mut bench = Bench::connected();
    bench.give(Input::Pause);
    assert!(matches!(bench.machine.state, State::Paused { by: PausedBy::Operator, .. }));
}

#[test]
fn a_resume_begins_anew_and_does_nothing_to_what_is_connected() {
    let mut bench = paused();
    bench.give(Input::Resume);
    bench.down(flaky());
    assert_eq!(bench.machine.failures(), 1, "counted from zero");
    let mut bench = Bench::connected();
    bench.actions();
    assert_eq!(bench.give(Input::Resume), []);
    // There a platform that failed permanently cannot be resumed. Here its cause is checked again.
    let mut bench = Bench::blocked();
    bench.actions();
    let generation = bench.machine.generation + 1;
    assert_eq!(bench.give(Input::Resume), [Action::Check { generation }]);
}

#[test]
fn an_attempt_that_failed_is_disposed_of_exactly_once() {
    // An attempt that fails by itself leaves nothing behind; one that hangs is dropped; a link is closed.
    let closings = |actions: Vec<Action>| {
        actions
            .into_iter()
            .filter(|action| matches!(action, Action::Abandon { .. } | Action::Close { .. }))
            .collect::<Vec<_>>()
    };
    for error in [flaky(), unpaired(), crashed()] {
        let mut bench = Bench::started();
        bench.actions();
        assert_eq!(closings(bench.down(error.clone())), []);
        let mut bench = Bench::connected();
        bench.actions();
        assert_eq!(closings(bench.down(error)), [Action::Close { generation: 1 }]);
    }
    let mut bench = Bench::started();
    bench.wait();
    assert_eq!(closings(bench.actions()), [Action::Abandon { generation: 1 }]);
    bench.now += seconds(1);
    assert_eq!(
        closings(bench.give(Input::Down { generation: 1, error: flaky() })),
        [],
        "it speaks of the past"
    );
}

#[test]
fn a_lost_bridge_is_tried_at_once_and_not_counted() {
    let mut bench = Bench::connected();
    bench.down(AdapterError::retryable("whatsapp_bridge_exited", "it ended"));
    assert_eq!(bench.machine.failures(), 0);
    assert_eq!(bench.wait(), Duration::ZERO);
}

#[test]
fn a_lock_that_another_holds_is_looked_at_again_and_needs_no_restart() {
    // There a locked token is worth retrying, or ends the gateway. Here it is a block that clears by itself.
    let lock =
        AdapterError::blocked("telegram_token_lock", "another gateway has it", "Stop the other gateway.");
    let mut bench = Bench::started();
    let generation = bench.machine.generation;
    bench.give(Input::Refused { generation, error: lock });
    bench.wait();
    let generation = bench.machine.generation;
    bench.give(Input::Checked { generation, result: Ok(()) });
    assert!(matches!(bench.machine.state, State::Connecting { .. }));
}
