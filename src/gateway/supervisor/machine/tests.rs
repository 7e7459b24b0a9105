//! Every state with every input; then the rules one by one; then random inputs.

use proptest::prelude::*;

use super::*;
use crate::backoff::Ladder;
use crate::gateway::model::failure::Degraded;

mod breaker;
mod seeds;

fn seconds(value: u64) -> Duration {
    Duration::from_secs(value)
}

fn policy() -> Policy {
    Policy {
        connect_timeout: seconds(60),
        ladder: Ladder { first: seconds(30), cap: seconds(300), jitter: 0.0 },
        stable_after: seconds(300),
        breaker_after: 10,
        probe_every: Some(seconds(900)),
    }
}

fn flaky() -> AdapterError {
    AdapterError::retryable("net_refused", "refused")
}

fn asked_to_wait() -> AdapterError {
    flaky().retry(Retry::After(seconds(2)))
}

fn unpaired() -> AdapterError {
    AdapterError::blocked("whatsapp_not_paired", "no phone is paired", "hermes whatsapp")
}

/// A machine with its clock.
struct Bench {
    machine: Machine,
    now: Instant,
}

impl Bench {
    fn new() -> Self {
        Self { machine: Machine::new(policy(), 1), now: crate::clock::Now::read().mono }
    }

    fn started() -> Self {
        let mut bench = Self::new();
        bench.give(Input::Start);
        bench
    }

    fn connected() -> Self {
        let mut bench = Self::started();
        bench.up();
        bench
    }

    fn blocked() -> Self {
        let mut bench = Self::started();
        let generation = bench.machine.generation;
        bench.give(Input::Refused { generation, error: unpaired() });
        bench
    }

    /// Ten failures in a row.
    fn open() -> Self {
        let mut bench = Self::started();
        while !matches!(bench.machine.state, State::Paused { .. }) {
            bench.down(flaky());
            if matches!(bench.machine.state, State::Retrying { .. }) {
                bench.wait();
            }
        }
        bench
    }

    fn give(&mut self, input: Input) -> Vec<Action> {
        self.machine.handle(self.now, input);
        self.actions()
    }

    fn degraded(&self) -> Degraded {
        let (failures, failures_max) = (2, Some(10));
        Degraded { error: flaky(), failures, failures_max, next_at: self.now + seconds(1) }
    }

    fn actions(&mut self) -> Vec<Action> {
        std::iter::from_fn(|| self.machine.poll_action()).collect()
    }

    fn up(&mut self) -> Vec<Action> {
        let generation = self.machine.generation;
        self.give(Input::Up { generation })
    }

    fn down(&mut self, error: AdapterError) -> Vec<Action> {
        let generation = self.machine.generation;
        self.give(Input::Down { generation, error })
    }

    /// Advances to the next timer and fires it. Returns the time until then.
    fn wait(&mut self) -> Duration {
        let at = self.machine.poll_timeout().expect("this state owns a timer");
        let waited = at.saturating_duration_since(self.now);
        self.now = self.now.max(at);
        self.machine.handle_timeout(self.now);
        waited
    }

    fn name(&self) -> String {
        match &self.machine.state {
            State::Disabled => "disabled".to_owned(),
            State::Connecting { generation, probe: false, .. } => format!("connecting#{generation}"),
            State::Connecting { generation, probe: true, .. } => format!("probing#{generation}"),
            State::Connected { generation, degraded: Some(degraded), .. } => {
                format!("connected#{generation}, degraded by {}", degraded.error.code)
            }
            State::Connected { generation, limited_until: None, .. } => format!("connected#{generation}"),
            State::Connected { generation, limited_until: Some(until), .. } => {
                let wait = until.saturating_duration_since(self.now).as_secs();
                format!("connected#{generation}, limited {wait} s")
            }
            State::Retrying { at, error } => {
                format!("retrying({}, {} s)", error.code, at.saturating_duration_since(self.now).as_secs())
            }
            State::Blocked { error, checking, recheck_at } => {
                let wait = recheck_at.saturating_duration_since(self.now).as_secs();
                let look = checking.map(|generation| format!(", look#{generation}")).unwrap_or_default();
                format!("blocked({}, {wait} s{look})", error.code)
            }
            State::Paused { by, probe_at, .. } => {
                let probe = probe_at.map(|at| at.saturating_duration_since(self.now).as_secs() / 60);
                let probe = probe.map(|minutes| format!(", probe in ~{minutes} min")).unwrap_or_default();
                format!("paused by {}{probe}", by.wire_name())
            }
            State::Stopping => "stopping".to_owned(),
        }
    }
}

fn label(action: &Action) -> String {
    match action {
        Action::Connect { generation } => format!("connect#{generation}"),
        Action::Abandon { generation } => format!("abandon#{generation}"),
        Action::Close { generation } => format!("close#{generation}"),
        Action::Check { generation } => format!("check#{generation}"),
        Action::Tell(News::Connected) => "tell connected".to_owned(),
        Action::Tell(News::Retrying { error, wait }) => {
            format!("tell retrying {} in {} s", error.code, wait.as_secs())
        }
        Action::Tell(News::StillRetrying { error, untold }) => {
            format!("tell still {} ({untold} untold)", error.code)
        }
        Action::Tell(News::Blocked { error }) => format!("tell blocked {}", error.code),
        Action::Note(Note::Reached) => "note reached".to_owned(),
        Action::Note(Note::Failed(code)) => format!("note {code}"),
        Action::Tell(News::Limited { wait }) => format!("tell limited {} s", wait.as_secs()),
        Action::Tell(News::Opened { error, failures, .. }) => {
            format!("tell opened by {} after {failures}", error.code)
        }
        Action::Tell(News::Degraded { degraded, wait }) => {
            format!("tell degraded {} in {} s", degraded.error.code, wait.as_secs())
        }
        Action::Tell(News::Paused) => "tell paused".to_owned(),
        Action::Tell(News::Resumed) => "tell resumed".to_owned(),
    }
}

type Make = fn() -> Bench;

const STATES: [(&str, Make); 12] = [
    ("disabled", Bench::new),
    ("connecting", Bench::started),
    ("connected", Bench::connected),
    ("connected, stable", || {
        let mut bench = Bench::started();
        bench.down(flaky());
        bench.wait();
        bench.up();
        bench.now += seconds(300);
        bench
    }),
    ("retrying", || {
        let mut bench = Bench::started();
        bench.down(flaky());
        bench
    }),
    ("blocked", Bench::blocked),
    ("blocked, looking", || {
        let mut bench = Bench::blocked();
        bench.wait();
        bench
    }),
    ("connected, limited", || {
        let mut bench = Bench::connected();
        bench.give(Input::Limited { generation: 1, wait: seconds(20) });
        bench
    }),
    ("open", Bench::open),
    ("probing", || {
        let mut bench = Bench::open();
        bench.wait();
        bench
    }),
    ("paused", || {
        let mut bench = Bench::connected();
        bench.give(Input::Pause);
        bench
    }),
    ("stopping", || {
        let mut bench = Bench::started();
        bench.give(Input::Stop);
        bench
    }),
];

type Give = fn(&mut Bench);

const INPUTS: [(&str, Give); 29] = [
    ("start", |b| b.machine.handle(b.now, Input::Start)),
    ("up", |b| b.machine.handle(b.now, Input::Up { generation: b.machine.generation })),
    ("up, stale", |b| b.machine.handle(b.now, Input::Up { generation: 0 })),
    ("refused, never", |b| {
        b.machine.handle(b.now, Input::Refused { generation: b.machine.generation, error: unpaired() });
    }),
    ("refused, backoff", |b| {
        b.machine.handle(b.now, Input::Refused { generation: b.machine.generation, error: flaky() });
    }),
    ("refused, stale", |b| b.machine.handle(b.now, Input::Refused { generation: 0, error: unpaired() })),
    ("down, never", |b| {
        b.machine.handle(b.now, Input::Down { generation: b.machine.generation, error: unpaired() });
    }),
    ("down, backoff", |b| {
        b.machine.handle(b.now, Input::Down { generation: b.machine.generation, error: flaky() });
    }),
    ("down, after", |b| {
        b.machine.handle(b.now, Input::Down { generation: b.machine.generation, error: asked_to_wait() });
    }),
    ("down, stale", |b| b.machine.handle(b.now, Input::Down { generation: 0, error: flaky() })),
    ("checked, clear", |b| {
        b.machine.handle(b.now, Input::Checked { generation: b.machine.generation, result: Ok(()) });
    }),
    ("checked, not clear", |b| {
        b.machine.handle(b.now, Input::Checked { generation: b.machine.generation, result: Err(unpaired()) });
    }),
    ("checked, failed", |b| {
        b.machine.handle(b.now, Input::Checked { generation: b.machine.generation, result: Err(flaky()) });
    }),
    ("checked, stale", |b| b.machine.handle(b.now, Input::Checked { generation: 0, result: Ok(()) })),
    ("limited", |b| {
        let generation = b.machine.generation;
        b.machine.handle(b.now, Input::Limited { generation, wait: seconds(60) });
    }),
    ("limited, stale", |b| {
        b.machine.handle(b.now, Input::Limited { generation: 0, wait: seconds(60) });
    }),
    ("degraded", |b| {
        let (generation, degraded) = (b.machine.generation, Some(b.degraded()));
        b.machine.handle(b.now, Input::Degraded { generation, degraded });
    }),
    ("degraded, stale", |b| {
        let degraded = Some(b.degraded());
        b.machine.handle(b.now, Input::Degraded { generation: 0, degraded });
    }),
    ("well again", |b| {
        let generation = b.machine.generation;
        b.machine.handle(b.now, Input::Degraded { generation, degraded: None });
    }),
    ("changed", |b| b.machine.handle(b.now, Input::Changed)),
    ("host offline", |b| b.machine.handle(b.now, Input::HostOffline)),
    ("host back", |b| {
        b.now += seconds(6);
        b.machine.handle(b.now, Input::HostBack { after: seconds(2) });
    }),
    ("network changed", |b| {
        b.now += seconds(6);
        b.machine.handle(b.now, Input::NetworkChanged { after: seconds(2) });
    }),
    ("returned", |b| b.machine.handle(b.now, Input::Returned)),
    ("jumped", |b| b.machine.handle(b.now, Input::Jumped { after: seconds(2) })),
    ("pause", |b| b.machine.handle(b.now, Input::Pause)),
    ("resume", |b| b.machine.handle(b.now, Input::Resume)),
    ("stop", |b| b.machine.handle(b.now, Input::Stop)),
    ("timer", |b| {
        if let Some(at) = b.machine.poll_timeout() {
            b.now = b.now.max(at);
        }
        b.machine.handle_timeout(b.now);
    }),
];

#[test]
fn every_state_meets_every_input() {
    let mut table = String::new();
    for (state, make) in STATES {
        for (input, give) in INPUTS {
            let mut bench = make();
            bench.actions();
            let before = bench.machine.state.clone();
            give(&mut bench);
            let actions: Vec<String> = bench.actions().iter().map(label).collect();
            let after = if bench.machine.state == before { "=".to_owned() } else { bench.name() };
            table.push_str(&format!("{state:<18} {input:<19} {after:<50} {}\n", actions.join(", ")));
        }
    }
    insta::assert_snapshot!(table);
}

#[test]
fn a_failing_start_climbs_the_ladder_from_its_first_rung() {
    let mut bench = Bench::started();
    let mut waits = Vec::new();
    for _ in 0..6 {
        bench.down(flaky());
        waits.push(bench.wait().as_secs());
    }
    assert_eq!(waits, [30, 60, 120, 240, 300, 300]);
    assert_eq!(bench.machine.failures(), 6);
}

#[test]
fn a_loss_is_tried_at_once_and_flapping_climbs_all_the_same() {
    let mut bench = Bench::connected();
    let mut waits = Vec::new();
    for _ in 0..4 {
        bench.down(flaky());
        waits.push(bench.wait().as_secs());
        bench.up();
        bench.now += seconds(5);
    }
    assert_eq!(waits, [0, 30, 60, 120]);
}

#[test]
fn a_drop_each_minute_is_tried_at_once_and_opens_no_breaker_and_a_crash_loop_climbs() {
    let lose_after = |bench: &mut Bench, held: u64, waits: &mut Vec<u64>| {
        bench.now += seconds(held);
        bench.down(flaky());
        waits.push(bench.wait().as_secs());
    };
    let mut bench = Bench::connected();
    let mut waits = Vec::new();
    for _ in 0..600 {
        lose_after(&mut bench, 55, &mut waits);
        // Now and then one of the attempts fails, too.
        if waits.len() % 3 == 0 {
            bench.down(flaky());
            assert_eq!(bench.wait(), seconds(30));
        }
        bench.up();
    }
    assert!(waits.iter().all(|wait| *wait == 0), "{waits:?}");
    // One that crashes sooner climbs, also after an interval without a proof.
    let mut bench = Bench::connected();
    let mut waits = Vec::new();
    for held in [29, 20, 5, 29, 1] {
        lose_after(&mut bench, held, &mut waits);
        bench.up();
    }
    assert_eq!(waits, [0, 30, 60, 120, 240]);
    bench.now += seconds(90);
    bench.machine.proven(bench.now - seconds(89));
    bench.down(flaky());
    assert_eq!(bench.wait(), seconds(300), "it was only thought to be there");
}

#[test]
fn a_poll_that_fails_in_the_connection_is_told_once_and_costs_nothing() {
    let mut bench = Bench::connected();
    bench.actions();
    let mut told = Vec::new();
    for _ in 0..300 {
        for degraded in [Some(bench.degraded()), None] {
            let generation = bench.machine.generation;
            told.extend(bench.give(Input::Degraded { generation, degraded }).iter().map(label));
            bench.now += seconds(2);
        }
    }
    assert_eq!(told, ["tell degraded net_refused in 1 s", "tell connected"].repeat(2), "once in 15 min");
    assert_eq!((bench.machine.failures(), bench.name().as_str()), (0, "connected#1"));
}

#[test]
fn a_resume_tries_now_whatever_the_wait_is_for() {
    let mut bench = Bench::connected();
    bench.down(flaky().retry(Retry::After(seconds(3600))));
    assert_eq!(bench.give(Input::Resume), [Action::Connect { generation: 2 }]);
    bench.up();
    let generation = bench.machine.generation;
    bench.give(Input::Limited { generation, wait: seconds(3600) });
    bench.give(Input::Resume);
    assert_eq!(bench.name(), "connected#2");
}

#[test]
fn a_connection_that_lasts_resets_the_ladder() {
    let mut bench = Bench::started();
    bench.down(flaky());
    bench.wait();
    bench.up();
    assert_eq!(bench.machine.failures(), 1, "a connection proves little at first");
    assert_eq!(bench.wait(), seconds(300));
    assert_eq!(bench.machine.failures(), 0);
    assert_eq!(bench.machine.poll_timeout(), None, "only the link can end this");
    bench.down(flaky());
    assert_eq!(bench.wait(), Duration::ZERO);
}

#[test]
fn a_wait_that_is_asked_for_is_kept_and_not_counted() {
    let mut bench = Bench::connected();
    for _ in 0..3 {
        bench.down(asked_to_wait());
        assert_eq!(bench.wait(), seconds(2));
        bench.up();
    }
    assert_eq!(bench.machine.failures(), 0);
    for (asked, kept) in [(7200, 7200), (86_400, 86_400), (100_000, 86_400)] {
        let mut bench = Bench::connected();
        bench.down(flaky().retry(Retry::After(seconds(asked))));
        assert_eq!(bench.wait(), seconds(kept), "unbelievable waits are cut, and no others");
    }
}

#[test]
fn a_service_that_asks_for_a_second_without_end_gets_the_ladder_and_never_the_breaker() {
    let mut bench = Bench::started();
    let mut waits = Vec::new();
    for _ in 0..9 {
        bench.down(asked_to_wait());
        waits.push(bench.wait().as_secs());
    }
    assert_eq!(waits, [2, 2, 2, 30, 60, 120, 240, 300, 300]);
    assert_eq!(bench.machine.failures(), 0);
}

#[test]
fn an_attempt_that_never_ends_is_abandoned_and_its_late_link_closed() {
    let mut bench = Bench::started();
    assert_eq!(bench.wait(), seconds(60));
    assert!(bench.actions().contains(&Action::Abandon { generation: 1 }));
    assert_eq!(bench.give(Input::Up { generation: 1 }), [Action::Close { generation: 1 }]);
    assert!(matches!(&bench.machine.state, State::Retrying { error, .. } if error.code == "net_timeout"));
}

#[test]
fn a_block_is_looked_at_every_second_and_clears_within_two() {
    let mut bench = Bench::blocked();
    for _ in 0..100 {
        assert_eq!(bench.wait(), seconds(1));
        let generation = bench.machine.generation;
        assert_eq!(bench.actions(), [Action::Check { generation }]);
        assert_eq!(bench.give(Input::Checked { generation, result: Err(unpaired()) }), [], "told once");
    }
    assert_eq!(bench.wait(), seconds(1));
    let generation = bench.machine.generation;
    bench.actions();
    assert_eq!(
        bench.give(Input::Checked { generation, result: Ok(()) }),
        [Action::Connect { generation: generation + 1 }]
    );
}

#[test]
fn a_look_that_never_answers_is_repeated_and_looks_do_not_pile_up() {
    let mut bench = Bench::blocked();
    bench.wait();
    let lost = bench.machine.generation;
    assert_eq!(bench.wait(), seconds(10));
    bench.actions();
    assert_eq!(bench.give(Input::Checked { generation: lost, result: Ok(()) }), []);
}

#[test]
fn a_platform_that_says_no_although_the_check_passes_is_asked_ever_more_rarely() {
    let mut bench = Bench::started();
    let mut waits = Vec::new();
    for _ in 0..4 {
        bench.down(unpaired());
        waits.push(bench.wait().as_secs());
        let generation = bench.machine.generation;
        bench.give(Input::Checked { generation, result: Ok(()) });
    }
    assert_eq!(waits, [1, 30, 60, 120]);
}

#[test]
fn repeats_are_told_in_sum_every_quarter_of_an_hour() {
    let mut bench = Bench::started();
    bench.machine.policy.breaker_after = 0;
    let mut told = Vec::new();
    let begin = bench.now;
    while bench.now < begin + seconds(3600) {
        told.extend(bench.down(flaky()).into_iter().filter(|action| matches!(action, Action::Tell(_))));
        bench.wait();
        told.extend(bench.actions().into_iter().filter(|action| matches!(action, Action::Tell(_))));
    }
    assert!((3..=5).contains(&told.len()), "{told:?}");
    assert!(matches!(told[1], Action::Tell(News::StillRetrying { untold: 1.., .. })), "{told:?}");
}

fn inputs() -> impl Strategy<Value = (u64, usize)> {
    (0_u64..400, 0..INPUTS.len())
}

proptest! {
    /// For any inputs: never two attempts at once, and never silence (a state that can recover has a timer or a link).
    #[test]
    fn chance_finds_no_way_around_the_rules(steps in proptest::collection::vec(inputs(), 1..200)) {
        let mut bench = Bench::started();
        let mut open = Some(bench.machine.generation);
        for (pause, input) in steps {
            bench.now += seconds(pause);
            let (name, give) = INPUTS[input];
            let current = bench.machine.generation;
            let is_connecting = matches!(bench.machine.state, State::Connecting { .. });
            if name != "stop" {
                give(&mut bench);
            }
            // An attempt ends by its report, or by being abandoned.
            let ends = name.starts_with("down") || (name.starts_with("refused") && is_connecting);
            if ends && !name.contains("stale") && open == Some(current) {
                open = None;
            }
            for action in bench.actions() {
                match action {
                    Action::Connect { generation } => {
                        prop_assert!(generation > current);
                        let busy = matches!(bench.machine.state, State::Connected { .. });
                        prop_assert!(!busy);
                        open = Some(generation);
                    }
                    Action::Abandon { generation } => {
                        if open == Some(generation) {
                            open = None;
                        }
                    }
                    Action::Close { .. } | Action::Check { .. } | Action::Note(_) | Action::Tell(_) => {}
                }
            }
            match &bench.machine.state {
                State::Paused { .. } => prop_assert!(open.is_none(), "nothing is under way"),
                State::Disabled | State::Stopping => prop_assert!(false, "it was started and not stopped"),
                State::Connected { generation, .. } | State::Connecting { generation, .. } => {
                    prop_assert_eq!(open, Some(*generation), "the state belongs to a live attempt");
                }
                State::Retrying { .. } | State::Blocked { .. } => {
                    prop_assert!(bench.machine.poll_timeout().is_some());
                }
            }
        }
    }
}
