//! The breaker and its probes, the host's outages, limits, flapping, sleep, and the self-check.

use super::*;
use crate::gateway::supervisor::flap_detector::FLAPS;

fn is_open(bench: &Bench) -> bool {
    matches!(bench.machine.state, State::Paused { by: PausedBy::Breaker, .. })
}

#[test]
fn ten_failures_in_a_row_pause_it_and_one_probe_brings_it_back() {
    let mut bench = Bench::started();
    for failure in 1..=10 {
        assert!(!is_open(&bench), "after {failure} failures");
        bench.down(flaky());
        if failure < 10 {
            assert_eq!(bench.machine.next_attempt(), (failure + 1, Some(10)));
            bench.wait();
        }
    }
    assert!(is_open(&bench));
    let wait = bench.wait();
    assert!(wait >= seconds(720) && wait <= seconds(1080), "{wait:?}");
    let generation = bench.machine.generation;
    assert_eq!(bench.actions().last(), Some(&Action::Connect { generation }));
    bench.up();
    bench.wait();
    assert_eq!((bench.machine.failures, bench.machine.strikes, bench.machine.probes), (0, 0, 0));
}

#[test]
fn what_needs_a_rest_is_paused_at_once_from_an_attempt_and_from_a_connection() {
    let tired = || flaky().retry(Retry::Rest);
    for was_connected in [false, true] {
        let mut bench = Bench::started();
        if was_connected {
            bench.up();
        }
        bench.down(tired());
        assert!(is_open(&bench), "{:?}", bench.machine.state);
        assert_eq!(bench.machine.failures, 1, "people are told of as many as there were");
        let wait = bench.wait();
        assert!(wait >= seconds(720) && wait <= seconds(1080), "{wait:?}");
    }
    let mut bench = Bench::started();
    bench.machine.policy.breaker_after = 0;
    bench.down(tired());
    assert!(matches!(bench.machine.state, State::Retrying { .. }), "whoever wants no breaker gets none");
}

#[test]
fn probes_become_rarer_up_to_an_hour_and_none_takes_longer_than_45_s() {
    let mut bench = Bench::open();
    let mut waits = Vec::new();
    for _ in 0..6 {
        waits.push(bench.wait().as_secs() / 60);
        let generation = bench.machine.generation;
        assert!(matches!(bench.machine.state, State::Connecting { probe: true, .. }));
        assert_eq!(bench.wait(), seconds(45));
        assert!(bench.actions().contains(&Action::Abandon { generation }));
        assert!(is_open(&bench), "one probe, not a ladder");
    }
    for (wait, plain) in waits.iter().zip([15, 30, 60, 60, 60, 60]) {
        assert!((plain * 8 / 10..=plain * 12 / 10).contains(wait), "{waits:?}");
    }
}

#[test]
fn without_probes_only_an_operator_ends_the_pause() {
    let mut bench = Bench::new();
    bench.machine.policy.probe_every = None;
    bench.give(Input::Start);
    while !is_open(&bench) {
        bench.down(flaky());
        if !is_open(&bench) {
            bench.wait();
        }
    }
    assert_eq!(bench.machine.poll_timeout(), None);
    bench.give(Input::HostBack { after: seconds(1) });
    bench.give(Input::Jumped { after: seconds(1) });
    bench.now += seconds(1_000_000);
    bench.machine.handle_timeout(bench.now);
    assert!(is_open(&bench));
    bench.machine.self_check(bench.now).unwrap();
    bench.give(Input::Resume);
    assert!(matches!(bench.machine.state, State::Connecting { probe: false, .. }));
    assert_eq!(bench.machine.failures(), 0);
}

#[test]
fn a_breaker_that_is_switched_off_never_opens() {
    let mut bench = Bench::new();
    bench.machine.policy.breaker_after = 0;
    bench.give(Input::Start);
    for failure in 1..=100 {
        bench.down(flaky());
        assert_eq!(bench.machine.next_attempt(), (failure + 1, None));
        assert!(bench.wait() <= seconds(300));
    }
}

#[test]
fn a_probe_that_is_lost_at_once_leads_back_to_the_pause() {
    let mut bench = Bench::open();
    bench.wait();
    bench.up();
    bench.down(flaky());
    assert_eq!(bench.wait(), Duration::ZERO, "the loss itself is tried at once");
    bench.down(flaky());
    assert!(is_open(&bench), "one good moment does not forgive ten failures");
}

#[test]
fn an_offline_host_is_never_held_against_a_platform() {
    let unreachable = || AdapterError::retryable("net_dns", "no address");
    let mut bench = Bench::connected();
    bench.down(unreachable());
    bench.give(Input::HostOffline);
    let begin = bench.now;
    let mut told = 0;
    while bench.now < begin + seconds(7200) {
        bench.wait();
        told += bench.down(unreachable()).iter().filter(|action| matches!(action, Action::Tell(_))).count();
        assert!(matches!(bench.machine.state, State::Retrying { .. }));
    }
    assert_eq!(told, 0, "the host's line is enough");
    bench.give(Input::HostBack { after: seconds(4) });
    assert!(bench.wait() <= seconds(4));
    assert!(matches!(bench.machine.state, State::Connecting { .. }));
}

#[test]
fn other_failures_count_although_the_host_is_offline() {
    let mut bench = Bench::started();
    bench.give(Input::HostOffline);
    for _ in 0..10 {
        bench.down(AdapterError::retryable("adapter_panicked", "a defect"));
        if !is_open(&bench) {
            bench.wait();
        }
    }
    assert!(is_open(&bench));
}

#[test]
fn an_attempt_that_hangs_in_an_outage_is_begun_anew_and_a_fresh_one_is_left_alone() {
    let mut bench = Bench::started();
    bench.now += seconds(4);
    assert_eq!(bench.give(Input::HostBack { after: seconds(1) }), []);
    bench.now += seconds(1);
    assert_eq!(bench.give(Input::HostBack { after: seconds(1) }), [Action::Abandon { generation: 1 }]);
    assert_eq!(bench.wait(), seconds(1));
    assert_eq!(bench.machine.failures(), 0);
}

#[test]
fn a_limit_is_shown_until_it_ends_and_is_no_failure() {
    let mut bench = Bench::connected();
    let limit = |wait| Input::Limited { generation: 1, wait: seconds(wait) };
    assert_eq!(bench.give(limit(20)), [Action::Tell(News::Limited { wait: seconds(20) })]);
    assert_eq!(bench.give(limit(60)), [], "said once");
    assert_eq!(bench.give(limit(5)), []);
    assert_eq!(bench.wait(), seconds(60), "the longest holds");
    assert!(matches!(bench.machine.state, State::Connected { limited_until: None, .. }));
    bench.give(limit(1_000_000));
    let waited = bench.machine.poll_timeout().unwrap() - bench.now;
    assert!(waited <= seconds(86_400), "unbelievable waits are cut");
    assert_eq!(bench.machine.failures(), 0);
}

#[test]
fn what_is_lost_again_and_again_is_called_flapping_and_told_once() {
    let mut bench = Bench::connected();
    bench.machine.policy.breaker_after = 0;
    let mut told = Vec::new();
    for round in 1..=12 {
        bench.now += seconds(10);
        told.extend(bench.down(flaky()));
        let State::Retrying { error, .. } = &bench.machine.state else { panic!("round {round}") };
        assert_eq!(error.code == "flapping", round >= 5, "round {round}: {}", error.code);
        bench.wait();
        told.extend(bench.up());
    }
    let flaps = told.iter().filter(
        |action| matches!(action, Action::Tell(News::Retrying { error, .. }) if error.code == "flapping"),
    );
    assert_eq!(flaps.count(), 1);
}

#[test]
fn flapping_that_stops_is_told_to_be_well_once_it_has_lasted() {
    let mut bench = Bench::connected();
    for _ in 0..5 {
        bench.down(flaky());
        bench.wait();
        bench.actions();
        bench.up();
    }
    assert_eq!(bench.wait(), seconds(10), "until then it is not shown");
    assert_eq!(bench.actions(), []);
    assert_eq!(bench.wait(), seconds(290));
    assert_eq!(bench.actions(), [Action::Tell(News::Connected)]);
    assert!(bench.machine.flaps.is_empty());
}

#[test]
fn a_connection_of_what_flaps_is_doubted_until_it_has_lasted_and_no_other_is() {
    let mut bench = Bench::connected();
    bench.machine.policy.breaker_after = 0;
    let doubt = |bench: &Bench| bench.machine.doubt().map(|error| error.code);
    for round in 1..=8 {
        assert_eq!(doubt(&bench), (round > FLAPS).then_some("flapping"), "round {round}");
        bench.down(flaky());
        bench.wait();
        assert_eq!(doubt(&bench), (round >= FLAPS).then_some("flapping"), "the attempt of round {round}");
        bench.up();
        bench.now += seconds(9);
        bench.machine.handle_timeout(bench.now);
    }
    assert_eq!(doubt(&bench), Some("flapping"));
    bench.now += seconds(1);
    bench.machine.handle_timeout(bench.now);
    assert_eq!(doubt(&bench), None, "it has lasted a little");
    assert_ne!(bench.machine.poll_timeout(), Some(bench.now), "and nothing is due for it any more");
    bench.down(flaky());
    bench.wait();
    bench.up();
    assert_eq!(doubt(&bench), Some("flapping"), "anew with each connection");
    bench.give(Input::Pause);
    assert_eq!(doubt(&bench), None);
    bench.give(Input::Resume);
    assert_eq!(doubt(&bench), None, "a person's word forgives");
    bench.up();
    assert_eq!(doubt(&bench), None);
}

#[test]
fn after_a_sleep_every_proof_is_void_and_the_counters_stay() {
    let mut bench = Bench::started();
    bench.down(flaky());
    bench.wait();
    bench.up();
    bench.give(Input::Jumped { after: seconds(3) });
    assert_eq!(bench.wait(), seconds(3));
    assert_eq!(bench.machine.failures(), 1);
    assert!(matches!(bench.machine.state, State::Connecting { .. }));
}

#[test]
fn the_self_check_finds_what_must_not_be_and_mends_it() {
    let mut bench = Bench::started();
    bench.machine.self_check(bench.now).unwrap();
    let error = flaky();
    bench.machine.state = State::Retrying { at: bench.now + seconds(1_000_000), error };
    bench.machine.self_check(bench.now).unwrap_err();
    bench.machine.mend(bench.now);
    bench.machine.self_check(bench.now).unwrap();
    bench.now += seconds(100);
    bench.machine.self_check(bench.now).unwrap_err();
    bench.machine.handle_timeout(bench.now);
    bench.machine.self_check(bench.now).unwrap();

    bench.machine.state = State::Paused { by: PausedBy::Breaker, error: None, probe_at: None };
    bench.machine.self_check(bench.now).unwrap_err();
    bench.machine.mend(bench.now);
    assert_eq!(bench.wait(), seconds(30));
    bench.give(Input::Pause);
    bench.machine.mend(bench.now);
    assert!(matches!(bench.machine.state, State::Paused { by: PausedBy::Operator, .. }));
}

#[test]
fn whatever_a_service_always_does_it_is_not_tried_more_than_30_times_an_hour() {
    type Life = fn(&mut Bench);
    let lives: [(&str, Life); 7] = [
        ("fails", |b| drop(b.down(flaky()))),
        ("asks for a second", |b| drop(b.down(flaky().retry(Retry::After(seconds(1)))))),
        ("says no", |b| drop(b.down(unpaired()))),
        ("comes up and is lost", |b| {
            b.up();
            b.now += seconds(1);
            b.down(flaky());
        }),
        ("comes up and says no", |b| {
            b.up();
            b.down(unpaired());
        }),
        ("comes up and asks for a second", |b| {
            b.up();
            b.down(asked_to_wait());
        }),
        ("hangs", |_| {}),
    ];
    for (name, live) in lives {
        let mut bench = Bench::started();
        let begin = bench.now;
        let mut attempts = Vec::new();
        while bench.now < begin + seconds(24 * 3600) {
            if matches!(bench.machine.state, State::Connecting { .. }) {
                attempts.push(bench.now);
                live(&mut bench);
            }
            if matches!(bench.machine.state, State::Blocked { checking: Some(_), .. }) {
                let generation = bench.machine.generation;
                bench.give(Input::Checked { generation, result: Ok(()) });
            } else {
                bench.wait();
            }
        }
        assert!(attempts.len() > 20, "{name}: it is not given up");
        for window in attempts.windows(31) {
            assert!(
                window[30] - window[0] >= seconds(3600),
                "{name}: 31 attempts in {:?}",
                window[30] - window[0]
            );
        }
    }
}

#[test]
fn another_network_is_tried_at_once_and_costs_no_rung() {
    let unreachable = || AdapterError::retryable("net_dns", "no address");
    let mut bench = Bench::started();
    for _ in 0..4 {
        bench.down(unreachable());
        bench.wait();
    }
    bench.down(unreachable());
    for _ in 0..20 {
        bench.give(Input::NetworkChanged { after: seconds(3) });
        assert_eq!(bench.wait(), seconds(3));
        bench.down(unreachable());
        assert_eq!(bench.machine.failures(), 5);
        assert!(matches!(bench.machine.state, State::Retrying { at, .. } if at == bench.now + seconds(300)));
    }
    bench.wait();
    bench.down(unreachable());
    assert_eq!(bench.machine.failures(), 6, "the ladder's own attempts are counted as before");
}

#[test]
fn another_network_is_tried_by_what_the_breaker_has_paused_for_the_network_alone() {
    let mut bench = Bench::open();
    bench.give(Input::NetworkChanged { after: seconds(3) });
    assert_eq!(bench.wait(), seconds(3));
    assert!(matches!(bench.machine.state, State::Connecting { probe: true, .. }));
    bench.down(flaky());
    assert!(is_open(&bench));
    assert!((12 * 60..=18 * 60).contains(&bench.wait().as_secs()), "as if it had not been looked at");

    let mut bench = Bench::started();
    while !is_open(&bench) {
        bench.down(AdapterError::retryable("adapter_panicked", "a defect"));
        if !is_open(&bench) {
            bench.wait();
        }
    }
    assert_eq!(bench.give(Input::NetworkChanged { after: seconds(3) }), []);
    assert!(bench.wait() > seconds(60));
}

#[test]
fn a_service_that_has_returned_is_tried_at_once_and_only_where_it_could_not_be_reached() {
    for code in ["net_refused", "telegram_network_error"] {
        let mut bench = Bench::started();
        for _ in 0..3 {
            bench.down(AdapterError::retryable(code, "refused"));
            bench.wait();
        }
        bench.down(AdapterError::retryable(code, "refused"));
        assert!(bench.machine.is_cut_off());
        bench.give(Input::Returned);
        assert_eq!(bench.wait(), Duration::ZERO);
        assert!(matches!(bench.machine.state, State::Connecting { .. }));
        bench.down(AdapterError::retryable(code, "refused"));
        assert_eq!(bench.machine.failures(), 4, "it costs no rung");
    }
    let mut bench = Bench::open();
    assert!(bench.machine.is_cut_off());
    bench.give(Input::Returned);
    assert_eq!(bench.wait(), Duration::ZERO);
    for error in
        [AdapterError::retryable("telegram_server_error", "502"), flaky().retry(Retry::After(seconds(100)))]
    {
        let mut bench = Bench::started();
        bench.down(error);
        assert!(!bench.machine.is_cut_off());
        bench.give(Input::Returned);
        assert!(bench.wait() >= seconds(24));
    }
    for bench in [Bench::new(), Bench::connected(), Bench::blocked()] {
        assert!(!bench.machine.is_cut_off(), "{}", bench.name());
    }
}

#[test]
fn another_network_does_not_shorten_a_wait_that_was_asked_for() {
    let mut bench = Bench::started();
    bench.down(flaky().retry(Retry::After(seconds(100))));
    bench.give(Input::NetworkChanged { after: seconds(3) });
    assert_eq!(bench.wait(), seconds(100));
}
