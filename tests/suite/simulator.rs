//! Virtual days of five platforms with everything going wrong, decided by one seed, in milliseconds.
//!
//! The machines, the host's decider and the suspend watch are the real ones; their surroundings are simulated: services that
//! fail, hang, panic, deny, flap, fall silent and limit the rate, outages, changes of the network, suspend, reports that come
//! late or never, restarts, and an operator who pauses and resumes, now and then on a full disk. After every step the
//! invariants are checked: a platform disturbs no other (I1), never two attempts at once and never a storm of them (I2), and
//! `connected` only with a live link whose proof is younger than its lease (I3). Then everything is healed, and all must be
//! connected within 75 minutes.
//!
//! `just simulate 100000` runs more seeds. A seed that fails is written into `simulator.seeds`, which is run first.

use std::collections::{BTreeMap, VecDeque};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use hermes::backoff::Dice;
use hermes::clock::Now;
use hermes::gateway::model::event::Generation;
use hermes::gateway::model::failure::{AdapterError, Retry};
use hermes::gateway::supervisor::host::{self, Host};
use hermes::gateway::supervisor::machine::{Action, Input, Machine, PausedBy, Policy, State};
use hermes::gateway::supervisor::suspend::JumpWatch;

use crate::simulator_faults::Mood;

pub(crate) const SEATS: usize = 5;
const DAY: Duration = Duration::from_secs(24 * 3600);
pub(crate) const HOUR: Duration = Duration::from_secs(3600);
const LEASE: Duration = Duration::from_secs(90);

/// Limit until all are back once everything works: a probe's hour, its jitter, and the attempt itself.
const HEALED_WITHIN: Duration = Duration::from_secs(75 * 60);

/// Most attempts within an hour without a connection that lasted, however the ways to fail are mixed.
const ATTEMPTS_MAX: usize = 30;

/// The ladder's first wait: a connection that held for so long has lasted, and is replaced at once when it is lost.
const LASTED: Duration = Duration::from_secs(30);

/// Number of seeds in `cargo test`; `HERMES_SIMULATE` asks for more.
const SEEDS: u64 = 1000;

const COMMITTED: &str = include_str!("simulator.seeds");

/// A report on its way to the loop.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Report {
    Up,
    Refused,
    Down(AdapterError),
    Checked,
    Limited(u64),
}

#[derive(Debug)]
pub(crate) struct Link {
    pub(crate) generation: Generation,
    /// The last proof, while none is added any more.
    pub(crate) frozen: Option<Instant>,
    /// The period without suspend in which its newest proof was made.
    pub(crate) epoch: u32,
}

pub(crate) struct Seat {
    pub(crate) machine: Machine,
    pub(crate) mood: Mood,
    /// The driver's task: an attempt under way, or the watch of a link.
    pub(crate) task: Option<Generation>,
    pub(crate) link: Option<Link>,
    pub(crate) paused_by_operator: bool,
    /// The pause that the next start finds.
    pub(crate) paused_on_disk: bool,
    /// Attempts since the connection was last stable, without those that the ladder did not cause.
    pub(crate) attempts: VecDeque<Instant>,
    pub(crate) excused: bool,
    pub(crate) stable_since: Option<Instant>,
}

pub(crate) struct Simulation {
    pub(crate) seed: u64,
    pub(crate) dice: Dice,
    pub(crate) now: Instant,
    /// Time by which the wall clock is ahead because of suspend.
    pub(crate) slept: Duration,
    pub(crate) begin: Now,
    pub(crate) epoch: u32,
    pub(crate) jumps: JumpWatch,
    pub(crate) host: Host,
    pub(crate) seats: Vec<Seat>,
    /// The reports by the time of their arrival, and a unique number.
    pub(crate) reports: BTreeMap<(Instant, u64), (usize, Generation, Report)>,
    pub(crate) sent: u64,
    pub(crate) outage_until: Option<Instant>,
    pub(crate) disk_full_until: Option<Instant>,
    pub(crate) next_fault: Option<Instant>,
    pub(crate) steps: u64,
    pub(crate) trace: DefaultHasher,
}

impl Simulation {
    fn new(seed: u64) -> Self {
        let mut dice = Dice::new(seed);
        let begin = Now::read();
        let seats = (0..SEATS)
            .map(|_| Seat {
                machine: Machine::new(Policy::default(), draw(&mut dice, 1 << 30)),
                mood: Mood::Well,
                task: None,
                link: None,
                paused_by_operator: false,
                paused_on_disk: false,
                attempts: VecDeque::new(),
                excused: false,
                stable_since: None,
            })
            .collect();
        Self {
            seed,
            now: begin.mono,
            slept: Duration::ZERO,
            begin,
            epoch: 0,
            jumps: JumpWatch::new(begin),
            host: Host::new(SEATS, draw(&mut dice, 1 << 30)),
            seats,
            reports: BTreeMap::new(),
            sent: 0,
            outage_until: None,
            disk_full_until: None,
            next_fault: Some(begin.mono),
            steps: 0,
            trace: DefaultHasher::new(),
            dice,
        }
    }

    pub(crate) fn draw(&mut self, below: u64) -> u64 {
        draw(&mut self.dice, below)
    }

    fn seconds(&mut self, most: u64) -> Duration {
        Duration::from_millis(self.draw(most * 1000))
    }

    /// Returns the readings of both clocks.
    pub(crate) fn clocks(&self) -> Now {
        let passed = self.now.duration_since(self.begin.mono) + self.slept;
        Now { mono: self.now, wall: self.begin.wall.checked_add(passed).expect("a few days") }
    }

    fn run(mut self) -> (u64, u64) {
        for index in 0..SEATS {
            self.give(index, Input::Start);
        }
        let day = self.now + DAY;
        while self.now < day {
            self.step();
        }
        self.heal();
        let mut limit = self.now + HEALED_WITHIN;
        while !self.all_connected() {
            // A wait that a failing service asked for is kept, up to a day, and not longer.
            let asked = self.asked_until().filter(|until| *until <= self.now + DAY);
            limit = limit.max(asked.map_or(limit, |until| until + LEASE));
            assert!(self.now <= limit, "seed {}: not back in time: {:?}", self.seed, self.states());
            self.step();
        }
        // A lasting connection resets the ladder. A loss that was on its way when all was healed costs one more rung before.
        let stable = limit + Policy::default().stable_after + LEASE;
        while self.now < stable && !(self.all_connected() && self.failures() == [0; SEATS]) {
            self.step();
        }
        assert!(self.all_connected(), "seed {}: {:?}", self.seed, self.states());
        assert_eq!(self.failures(), [0; SEATS], "seed {}: {:?}", self.seed, self.states());
        (self.steps, self.trace.finish())
    }

    fn states(&self) -> Vec<&State> {
        self.seats.iter().map(|seat| seat.machine.state()).collect()
    }

    /// Returns the end of the longest wait that a service has asked for.
    fn asked_until(&self) -> Option<Instant> {
        let asked = |seat: &Seat| match seat.machine.state() {
            State::Retrying { error, .. } | State::Paused { error: Some(error), .. } => {
                seat.machine.poll_timeout().filter(|_| matches!(error.retry, Retry::After(_)))
            }
            State::Paused { error: None, .. }
            | State::Disabled
            | State::Connecting { .. }
            | State::Connected { .. }
            | State::Blocked { .. }
            | State::Stopping => None,
        };
        self.seats.iter().filter_map(asked).max()
    }

    fn failures(&self) -> [u32; SEATS] {
        std::array::from_fn(|index| self.seats[index].machine.failures())
    }

    fn all_connected(&self) -> bool {
        self.seats.iter().all(|seat| matches!(seat.machine.state(), State::Connected { .. }))
    }

    /// Makes one turn of the loop: to the next thing that is due, or a little later.
    fn step(&mut self) {
        self.steps += 1;
        let timers = self.seats.iter().filter_map(|seat| seat.machine.poll_timeout());
        let leases =
            self.seats.iter().filter_map(|seat| seat.link.as_ref()?.frozen.map(|proof| proof + LEASE));
        let next = timers
            .chain(leases)
            .chain(self.host.poll_timeout())
            .chain(self.reports.first_key_value().map(|((at, _), _)| *at))
            .chain(self.next_fault)
            .chain(self.outage_until)
            .chain(self.disk_full_until)
            .min()
            .unwrap_or(self.now + LEASE)
            .min(self.now + LEASE);
        self.now = self.now.max(next);
        if self.next_fault.is_some_and(|at| at <= self.now) {
            self.fault();
        }
        if self.outage_until.is_some_and(|at| at <= self.now) {
            self.outage_until = None;
            // The kernel reports it, as a rule.
            if self.draw(4) > 0 {
                self.change_network();
            }
        }
        if self.disk_full_until.is_some_and(|at| at <= self.now) {
            self.disk_full_until = None;
        }
        self.expire();
        if let Some(_ahead) = self.jumps.look(self.clocks()) {
            for index in 0..SEATS {
                let after = host::STAGGER.mul_f64(self.dice.roll());
                self.seats[index].excused = true;
                self.give(index, Input::Jumped { after });
            }
        }
        while let Some(entry) = self.reports.first_entry().filter(|entry| entry.key().0 <= self.now) {
            let (seat, generation, report) = entry.remove();
            self.hear(seat, generation, report);
        }
        self.host.handle_timeout(self.now);
        self.settle_host();
        for index in 0..SEATS {
            let now = self.now;
            self.change(index, |machine| machine.handle_timeout(now));
            self.perform_all(index);
        }
        self.check();
    }

    /// Does the work of the driver's watch: a link whose lease has run out is down.
    fn expire(&mut self) {
        for index in 0..SEATS {
            let Some(link) = &self.seats[index].link else { continue };
            if link.frozen.is_some_and(|proof| proof + LEASE <= self.now) {
                let generation = link.generation;
                let error = AdapterError::retryable("stale_connection", "no proof");
                self.hear(index, generation, Report::Down(error));
            }
        }
    }

    pub(crate) fn send(&mut self, after: Duration, seat: usize, generation: Generation, report: Report) {
        self.sent += 1;
        self.reports.insert((self.now + after, self.sent), (seat, generation, report));
    }

    /// Delivers a report to the loop. It may be of the past.
    fn hear(&mut self, index: usize, generation: Generation, report: Report) {
        // A person repairs it after a minute or so; looks every second would fill the day.
        let is_mended = report == Report::Checked && self.draw(60) == 0;
        let seat = &mut self.seats[index];
        let input = match report {
            Report::Up => {
                // The task has brought a link; the machine may not want it any more.
                if seat.task == Some(generation) || seat.link.is_none() {
                    seat.link = Some(Link { generation, frozen: None, epoch: self.epoch });
                }
                Input::Up { generation }
            }
            Report::Refused => {
                seat.task.take_if(|task| *task == generation);
                Input::Refused { generation, error: unpaired() }
            }
            Report::Down(error) => {
                seat.task.take_if(|task| *task == generation);
                if matches!(seat.machine.state(), State::Connected { generation: live, since, .. }
                    if *live == generation && self.now >= *since + LASTED)
                {
                    seat.attempts.clear();
                }
                Input::Down { generation, error }
            }
            Report::Checked => {
                if is_mended && seat.mood == Mood::Blocked {
                    seat.mood = Mood::Well;
                }
                let result = if seat.mood == Mood::Blocked { Err(unpaired()) } else { Ok(()) };
                Input::Checked { generation, result }
            }
            Report::Limited(wait) => Input::Limited { generation, wait: Duration::from_secs(wait) },
        };
        self.give(index, input);
    }

    /// Gives an input to a machine, and checks that no other is disturbed by it (I1).
    pub(crate) fn give(&mut self, index: usize, input: Input) {
        let now = self.now;
        let timers: [Option<Instant>; SEATS] =
            std::array::from_fn(|other| self.seats[other].machine.poll_timeout());
        self.change(index, |machine| machine.handle(now, input));
        for (other, timer) in timers.into_iter().enumerate() {
            let same = other == index || self.seats[other].machine.poll_timeout() == timer;
            assert!(same, "seed {}: {index} disturbed {other}", self.seed);
        }
        self.perform_all(index);
    }

    fn change(&mut self, index: usize, act: impl FnOnce(&mut Machine)) {
        let from = place(self.seats[index].machine.state());
        act(&mut self.seats[index].machine);
        if place(self.seats[index].machine.state()) != from {
            self.check_move(index, from);
        }
    }

    fn perform_all(&mut self, index: usize) {
        while let Some(action) = self.seats[index].machine.poll_action() {
            self.perform(index, action);
        }
    }

    fn check_move(&mut self, index: usize, from: Place) {
        let seat = &mut self.seats[index];
        let to = seat.machine.state();
        let is_legal = match (from.0, place(to).0) {
            ("blocked", "retrying") | ("stopping", _) | (_, "disabled") => false,
            ("paused by operator", to) => !seat.paused_by_operator || to == "paused by operator",
            (_, _) => true,
        };
        assert!(is_legal, "seed {}: {index} went from {from:?} to {to:?}", self.seed);
        place(to).hash(&mut self.trace);
        (index, self.now.duration_since(self.begin.mono)).hash(&mut self.trace);
        let stable = Policy::default().stable_after;
        match to {
            State::Connected { since, .. } => seat.stable_since = Some(*since + stable),
            State::Disabled
            | State::Connecting { .. }
            | State::Retrying { .. }
            | State::Blocked { .. }
            | State::Paused { .. }
            | State::Stopping => {
                if seat.stable_since.take().is_some_and(|at| at <= self.now) {
                    seat.attempts.clear();
                }
            }
        }
    }

    fn perform(&mut self, index: usize, action: Action) {
        match action {
            Action::Connect { generation } => self.connect(index, generation),
            Action::Abandon { generation } => {
                let seat = &mut self.seats[index];
                if seat.task == Some(generation) {
                    seat.task = None;
                }
                // A report that the task has already sent still arrives, now and then.
                if self.draw(4) > 0 {
                    self.reports.retain(|_, (seat, of, _)| (*seat, *of) != (index, generation));
                }
            }
            Action::Close { generation } => {
                let seat = &mut self.seats[index];
                if seat.link.as_ref().is_some_and(|link| link.generation == generation) {
                    seat.link = None;
                }
                if seat.task == Some(generation) {
                    seat.task = None;
                }
            }
            Action::Check { generation } => {
                // A look that gets lost is repeated.
                if self.draw(20) > 0 {
                    let after = self.seconds(1);
                    self.send(after, index, generation, Report::Checked);
                }
            }
            Action::Note(note) => {
                self.host.handle(self.now, host::Input { seat: index, note, alone_without_route: false });
                self.settle_host();
            }
            Action::Tell(_) => {}
        }
    }

    fn settle_host(&mut self) {
        while let Some(action) = self.host.poll_action() {
            let now = self.now;
            match action {
                host::Action::GoOffline => {
                    self.seats.iter_mut().for_each(|seat| seat.machine.handle(now, Input::HostOffline));
                }
                host::Action::Wake { seat, after } => {
                    let was_connected = matches!(self.seats[seat].machine.state(), State::Connected { .. });
                    self.seats[seat].excused |= !was_connected;
                    self.seats[seat].machine.handle(now, Input::HostBack { after });
                    self.perform_all(seat);
                }
                host::Action::TellBack => {}
            }
        }
    }

    /// Begins an attempt: at most one at a time, and not too many an hour (I2).
    fn connect(&mut self, index: usize, generation: Generation) {
        let seat = &mut self.seats[index];
        assert_eq!(seat.task, None, "seed {}: two attempts of {index} at once", self.seed);
        seat.task = Some(generation);
        if !std::mem::take(&mut seat.excused) {
            seat.attempts.push_back(self.now);
            while seat.attempts.front().is_some_and(|at| self.now.duration_since(*at) > HOUR) {
                seat.attempts.pop_front();
            }
            assert!(seat.attempts.len() <= ATTEMPTS_MAX, "seed {}: {index} is tried too often", self.seed);
        }
        let mood = if self.outage_until.is_some() { Mood::Fails("net_dns") } else { seat.mood };
        let after = self.seconds(5);
        match mood {
            Mood::Well => self.send(after, index, generation, Report::Up),
            Mood::Fails(code) => {
                let error = AdapterError::retryable(code, "it fails");
                self.send(after, index, generation, Report::Down(error));
            }
            Mood::AsksToWait(wait) => {
                let error = AdapterError::retryable("net_busy", "later")
                    .retry(Retry::After(Duration::from_secs(wait)));
                self.send(after, index, generation, Report::Down(error));
            }
            Mood::Hangs => {
                // Now and then it answers, and too late.
                let late = Duration::from_secs(30 + self.draw(120));
                self.send(late, index, generation, Report::Up);
            }
            Mood::Panics => {
                let error = AdapterError::retryable("adapter_panicked", "a defect");
                self.send(after, index, generation, Report::Down(error));
            }
            Mood::Denies => self.send(after, index, generation, Report::Down(unpaired())),
            Mood::Blocked => self.send(after, index, generation, Report::Refused),
            Mood::FlapDetector => {
                self.send(after, index, generation, Report::Up);
                let lost = after + self.seconds(60);
                let error = AdapterError::retryable("net_refused", "it is gone again");
                self.send(lost, index, generation, Report::Down(error));
            }
        }
    }

    /// Checks the invariants that must hold after every step.
    fn check(&self) {
        for (index, seat) in self.seats.iter().enumerate() {
            let state = seat.machine.state();
            if let Err(why) = seat.machine.self_check(self.now) {
                panic!("seed {}: {index}: {why}: {state:?}", self.seed);
            }
            match state {
                State::Connected { generation, .. } => {
                    let link = seat.link.as_ref().filter(|link| link.generation == *generation);
                    let link = link.unwrap_or_else(|| panic!("seed {}: {index} has no link", self.seed));
                    let is_proven = link.frozen.is_none_or(|proof| proof + LEASE > self.now);
                    assert!(is_proven, "seed {}: {index} is connected without proof", self.seed);
                    assert_eq!(
                        link.epoch, self.epoch,
                        "seed {}: {index}: its proof is from before a sleep",
                        self.seed
                    );
                    assert_eq!(seat.task, Some(*generation), "seed {}: nobody watches {index}", self.seed);
                }
                State::Connecting { generation, .. } => {
                    assert_eq!(seat.task, Some(*generation), "seed {}: {index} waits for nobody", self.seed);
                    assert!(seat.link.is_none(), "seed {}: {index} has a link too many", self.seed);
                }
                State::Disabled | State::Stopping => panic!("seed {}: {index} is {state:?}", self.seed),
                State::Retrying { .. } | State::Blocked { .. } | State::Paused { .. } => {
                    assert_eq!(seat.task, None, "seed {}: {index} rests and works", self.seed);
                    assert!(seat.link.is_none(), "seed {}: {index} has a link too many", self.seed);
                }
            }
            if seat.paused_by_operator {
                let is_paused = matches!(state, State::Paused { by: PausedBy::Operator, .. });
                assert!(is_paused, "seed {}: only the operator resumes {index}", self.seed);
            }
        }
    }
}

/// The state of a machine, in short, and its generation.
type Place = (&'static str, Generation);

fn place(state: &State) -> Place {
    match state {
        State::Disabled => ("disabled", 0),
        State::Connecting { generation, .. } => ("connecting", *generation),
        State::Connected { generation, .. } => ("connected", *generation),
        State::Retrying { .. } => ("retrying", 0),
        State::Blocked { .. } => ("blocked", 0),
        State::Paused { by: PausedBy::Breaker, .. } => ("paused by breaker", 0),
        State::Paused { by: PausedBy::Operator, .. } => ("paused by operator", 0),
        State::Stopping => ("stopping", 0),
    }
}

fn draw(dice: &mut Dice, below: u64) -> u64 {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "a small number, drawn from 0 up to it"
    )]
    let drawn = (dice.roll() * below as f64) as u64;
    drawn
}

pub(crate) fn unpaired() -> AdapterError {
    AdapterError::blocked("whatsapp_not_paired", "no phone is paired", "hermes whatsapp")
}

#[test]
fn seeds_that_once_failed() {
    for line in COMMITTED.lines().filter(|line| !line.starts_with('#')) {
        let seed = line.trim().parse().expect("one number a line");
        Simulation::new(seed).run();
    }
}

#[test]
fn every_seed_keeps_the_invariants_and_comes_back() {
    let seeds = std::env::var("HERMES_SIMULATE").ok().map_or(SEEDS, |count| count.parse().expect("a number"));
    let begin = Instant::now();
    let (next, steps) = (AtomicU64::new(0), AtomicU64::new(0));
    let threads = std::thread::available_parallelism().map_or(2, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= seeds {
                        break;
                    }
                    // Wherever the run has failed, the seed is known.
                    let run = std::panic::catch_unwind(|| Simulation::new(seed).run());
                    let (count, trace) = run.unwrap_or_else(|why| {
                        eprintln!("seed {seed} failed: put it into tests/suite/simulator.seeds");
                        std::panic::resume_unwind(why)
                    });
                    steps.fetch_add(count, Ordering::Relaxed);
                    if seed % 100 == 0 {
                        assert_eq!(
                            (count, trace),
                            Simulation::new(seed).run(),
                            "seed {seed} is not repeatable"
                        );
                    }
                }
            });
        }
    });
    println!(
        "{seeds} seeds, {} steps, {:.1} s",
        steps.load(Ordering::Relaxed),
        begin.elapsed().as_secs_f64()
    );
}
