//! Pure. One platform's state machine: when to connect, when to wait, when only a person can help.
//!
//! ```text
//! Disabled ── Start ──► Connecting ── Up ──► Connected ── a while ──► (the counters are reset)
//!
//! Connecting, Connected ── Down: Backoff, After; deadline ──► Retrying ── timer ──► Connecting
//!              … and that is one failure too many ──► Paused by the breaker ── timer ──► Connecting, as a probe
//! Connecting, Connected ── Down, Refused: Never ──► Blocked ── the check passes ──► Connecting
//! any but Stopping ── Pause ──► Paused by the operator ── Resume ──► Connecting
//! any ── Stop ──► Stopping
//! ```
//!
//! A link that is lost after it held for the ladder's first wait is replaced at once, however often that happens: a drop
//! each minute does not raise the wait and does not count for the breaker. One that held for less raises the wait, so that
//! a crash loop is slow.
//!
//! Every attempt has a *generation*. Reports of an older generation are dropped; a link that it brings is closed. Every
//! state has a timer, or a link that reports its end, except for those that only a person ends: `Disabled`, `Stopping`, an
//! operator's pause, and the breaker's where probes are off.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::backoff::Dice;
use crate::backoff::doubled;
use crate::gateway::model::event::Generation;
use crate::gateway::model::failure::{AdapterError, Retry};
use crate::gateway::supervisor::flap_detector::FlapDetector;
use crate::gateway::supervisor::host;
use crate::gateway::supervisor::notifier::Notifier;
pub use crate::gateway::supervisor::types::{Action, Input, News, Note, PausedBy, Policy, State};

/// The pause between two checks of a blocked platform's cause.
const RECHECK_EVERY: Duration = Duration::from_secs(1);

/// Limit for such a check; then it is given up and repeated.
const RECHECK_LIMIT: Duration = Duration::from_secs(10);

/// The shortest wait that a platform can ask for. Services lock out clients that sent too much for many hours, and a try
/// before the end extends that; so longer waits are kept up to [`AFTER_MAX`]. A resume ends the wait.
const AFTER_MIN: Duration = Duration::from_secs(1);
/// The longest wait that a platform can ask for; see [`AFTER_MIN`].
const AFTER_MAX: Duration = Duration::from_hours(24);

/// The number of waits in a row that are kept exactly as asked for. A service that goes on asking gets at least the
/// ladder's wait, or "try again in a second" would be an endless loop.
const AFTER_EXACTLY: u32 = 3;

/// Limit for one probe of the breaker.
const PROBE_LIMIT: Duration = Duration::from_secs(45);

/// The longest wait between two probes, before jitter.
const PROBE_EVERY_MAX: Duration = Duration::from_secs(3600);

/// The share of its value by which the wait for a probe is varied.
const PROBE_JITTER: f64 = 0.2;

/// The age from which an attempt belongs to the outage that has just ended, and is begun again.
const STUCK_AFTER: Duration = Duration::from_secs(5);

/// The delay at which due work counts as forgotten; normally it is done at the loop's next turn.
const OVERDUE: Duration = Duration::from_secs(5);

/// One platform's machine.
#[derive(Debug)]
pub struct Machine {
    policy: Policy,
    dice: Dice,
    state: State,
    generation: Generation,
    /// Counted failures in a row: the step of the ladder.
    failures: u32,
    /// Those of them that the breaker counts.
    strikes: u32,
    /// Waits in a row that the platform asked for.
    asked: u32,
    /// True when the immediate attempt after a loss was used up since the connection was last stable.
    at_once_used: bool,
    /// The number of times in a row that the platform refused although the check had passed.
    denials: u32,
    /// Probes that failed in a row.
    probes: u32,
    flaps: FlapDetector,
    /// The last reported proof of the live link.
    proven_at: Option<Instant>,
    /// True when the host is taken to have no network.
    host_offline: bool,
    /// True when the next attempt is made because the network changed: should it fail too, it is not counted.
    is_extra: bool,
    teller: Notifier,
    actions: VecDeque<Action>,
}

impl Machine {
    /// A machine that waits for [`Input::Start`].
    pub fn new(policy: Policy, seed: u64) -> Self {
        Self {
            policy,
            dice: Dice::new(seed),
            state: State::Disabled,
            generation: 0,
            failures: 0,
            strikes: 0,
            asked: 0,
            at_once_used: false,
            denials: 0,
            probes: 0,
            flaps: FlapDetector::default(),
            proven_at: None,
            host_offline: false,
            is_extra: false,
            teller: Notifier::new(),
            actions: VecDeque::new(),
        }
    }

    /// A new machine that waits for [`Input::Start`], in place of this one. It goes on counting generations, so that
    /// results of this one's attempts are not mistaken for its own.
    #[must_use]
    pub fn anew(&self, policy: Policy, seed: u64) -> Self {
        Self { generation: self.generation, host_offline: self.host_offline, ..Self::new(policy, seed) }
    }

    /// Sets the policy; running waits keep their deadlines.
    pub fn follow(&mut self, policy: Policy) {
        self.policy = policy;
    }

    /// The state.
    pub fn state(&self) -> &State {
        &self.state
    }

    /// Counted failures in a row.
    pub fn failures(&self) -> u32 {
        self.failures
    }

    /// The number of the next attempt in a row, and the one with which the breaker gives up. Without a limit: the number of
    /// the failure.
    pub fn next_attempt(&self) -> (u32, Option<u32>) {
        let bound = Some(self.policy.breaker_after).filter(|bound| *bound > 0 && !self.host_offline);
        let before = bound.map_or(self.failures, |_| self.strikes);
        (before.saturating_add(1), bound)
    }

    /// The flapping error, while it flaps: then a connecting platform is still shown as waiting, and a connected one once
    /// it has lasted a little.
    pub fn doubt(&self) -> Option<&AdapterError> {
        let is_tried = matches!(self.state, State::Connecting { probe: false, .. });
        let is_doubted = is_tried || self.state.live().is_some() && self.flaps.doubted_until().is_some();
        self.flaps.flapping().filter(|_| is_doubted)
    }

    /// Takes one input.
    pub fn handle(&mut self, now: Instant, input: Input) {
        self.settle(now);
        match input {
            Input::Start => {
                if self.state == State::Disabled {
                    self.connect(now, false);
                }
            }
            Input::Up { generation } => self.up(now, generation),
            Input::Refused { generation, error } => self.refused(now, generation, error),
            Input::Down { generation, error } => self.down(now, generation, error),
            Input::Limited { generation, wait } => self.limited(now, generation, wait),
            Input::Degraded { generation, degraded } => self.degraded(now, generation, degraded),
            Input::Checked { generation, result } => self.checked(now, generation, result),
            Input::Changed => self.look_now(now),
            Input::HostOffline => self.host_offline = true,
            Input::HostBack { after } => {
                self.host_offline = false;
                self.wake(now, after, STUCK_AFTER);
            }
            Input::NetworkChanged { after } => self.look_for_network(now, after),
            Input::Returned => self.look_for_network(now, Duration::ZERO),
            Input::Jumped { after } => self.jumped(now, after),
            Input::Pause => self.pause(),
            Input::Resume => self.resume(now),
            Input::Stop => self.stop(),
        }
    }

    /// Performs what is due.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.settle(now);
        self.flaps.handle_timeout(now);
        match &mut self.state {
            State::Connecting { generation, since, deadline, .. } if *deadline <= now => {
                let generation = *generation;
                let limit = deadline.duration_since(*since).as_secs();
                self.actions.push_back(Action::Abandon { generation });
                let error =
                    AdapterError::retryable("net_timeout", format!("it did not connect within {limit} s"));
                self.fail(now, error);
            }
            State::Connected { limited_until, .. } if limited_until.is_some_and(|until| until <= now) => {
                *limited_until = None;
            }
            State::Retrying { at, .. } if *at <= now => self.connect(now, false),
            State::Blocked { recheck_at, checking, .. } if *recheck_at <= now => {
                self.generation += 1;
                *checking = Some(self.generation);
                *recheck_at = now + RECHECK_LIMIT;
                self.actions.push_back(Action::Check { generation: self.generation });
            }
            State::Paused { probe_at: Some(at), .. } if *at <= now => self.connect(now, true),
            State::Disabled
            | State::Connecting { .. }
            | State::Connected { .. }
            | State::Retrying { .. }
            | State::Blocked { .. }
            | State::Paused { .. }
            | State::Stopping => {}
        }
    }

    /// The time at which [`Machine::handle_timeout`] has something to do.
    pub fn poll_timeout(&self) -> Option<Instant> {
        match &self.state {
            State::Disabled | State::Stopping => None,
            State::Connecting { deadline, .. } => Some(*deadline),
            State::Connected { since, limited_until, .. } => {
                let stable = self.is_unsettled().then(|| *since + self.policy.stable_after);
                stable.into_iter().chain(*limited_until).chain(self.flaps.doubted_until()).min()
            }
            State::Retrying { at, .. } => Some(*at),
            State::Blocked { recheck_at, .. } => Some(*recheck_at),
            State::Paused { probe_at, .. } => *probe_at,
        }
    }

    /// The next action, in order.
    pub fn poll_action(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    /// True when an action waits.
    pub fn has_actions(&self) -> bool {
        !self.actions.is_empty()
    }

    /// Checks for defects: a state that waits for nothing, or for something far too late. Called between turns, when
    /// everything due was done.
    ///
    /// # Errors
    /// The defect. [`Machine::mend`] repairs it.
    pub fn self_check(&self, now: Instant) -> Result<(), &'static str> {
        if matches!(self.state, State::Disabled | State::Connected { .. } | State::Stopping) {
            return Ok(());
        }
        if let State::Paused { by, probe_at, .. } = &self.state {
            let has_probe = *by == PausedBy::Breaker && self.policy.probe_every.is_some();
            if has_probe != probe_at.is_some() {
                return Err("a pause waits for the wrong thing");
            }
        }
        match self.poll_timeout() {
            Some(at) if at + OVERDUE <= now => Err("something that was due was not done"),
            Some(at) if at > now + self.horizon() => Err("a timer is set too far ahead"),
            Some(_) => Ok(()),
            None if matches!(self.state, State::Paused { .. }) => Ok(()),
            None => Err("a state waits for nothing"),
        }
    }

    /// Repairs any defect by an attempt soon.
    pub fn mend(&mut self, now: Instant) {
        if matches!(self.state, State::Disabled | State::Stopping)
            || matches!(self.state, State::Paused { by: PausedBy::Operator, .. })
        {
            return;
        }
        self.let_go();
        let error = AdapterError::retryable("supervision_lost", "it had no pending action; this is a bug");
        self.state = State::Retrying { at: now + self.policy.ladder.first, error };
    }

    /// The longest possible wait.
    fn horizon(&self) -> Duration {
        let probe =
            PROBE_EVERY_MAX.max(self.policy.probe_every.unwrap_or_default()).mul_f64(1.0 + PROBE_JITTER);
        probe.max(self.policy.ladder.cap).max(self.policy.connect_timeout).max(AFTER_MAX)
    }

    fn is_unsettled(&self) -> bool {
        self.failures > 0
            || self.strikes > 0
            || self.asked > 0
            || self.at_once_used
            || self.denials > 0
            || self.probes > 0
            || !self.flaps.is_empty()
    }

    /// Resets everything after a connection that has lasted.
    fn settle(&mut self, now: Instant) {
        if let State::Connected { since, .. } = self.state
            && now >= since + self.policy.stable_after
            && self.is_unsettled()
        {
            self.forgive();
            self.tell(|teller| teller.connected());
        }
    }

    fn forgive(&mut self) {
        self.failures = 0;
        self.strikes = 0;
        self.asked = 0;
        self.at_once_used = false;
        self.denials = 0;
        self.probes = 0;
        self.flaps = FlapDetector::default();
    }

    fn tell(&mut self, say: impl FnOnce(&mut Notifier) -> Option<News>) {
        self.actions.extend(say(&mut self.teller).map(Action::Tell));
    }

    fn connect(&mut self, now: Instant, probe: bool) {
        self.generation += 1;
        let generation = self.generation;
        let limit = match probe {
            true => PROBE_LIMIT.min(self.policy.connect_timeout),
            false => self.policy.connect_timeout,
        };
        self.state = State::Connecting { generation, since: now, deadline: now + limit, probe };
        self.actions.push_back(Action::Connect { generation });
    }

    fn is_connecting(&self, asked: Generation) -> bool {
        matches!(self.state, State::Connecting { generation, .. } if generation == asked)
    }

    fn up(&mut self, now: Instant, generation: Generation) {
        if !self.is_connecting(generation) {
            if self.state.live() != Some(generation) {
                self.actions.push_back(Action::Close { generation });
            }
            return;
        }
        self.is_extra = false;
        self.proven_at = None;
        self.state = State::Connected { generation, since: now, limited_until: None, degraded: None };
        self.flaps.up(now);
        self.actions.push_back(Action::Note(Note::Reached));
        // A flapping platform is not reported as connected before it has lasted.
        if self.flaps.flapping().is_none() {
            self.tell(|teller| teller.connected());
        }
    }

    fn refused(&mut self, now: Instant, generation: Generation, error: AdapterError) {
        if !self.is_connecting(generation) {
            return;
        }
        match error.retry {
            Retry::Never => self.block(error, now + RECHECK_EVERY),
            Retry::Backoff | Retry::After(_) | Retry::Rest => self.fail(now, error),
        }
    }

    fn down(&mut self, now: Instant, generation: Generation, error: AdapterError) {
        if self.is_connecting(generation) {
            self.fail(now, error);
        } else if self.state.live() == Some(generation) {
            // The retry is decided before the cleanup begins, and does not wait for it.
            self.lose(now, error);
            self.actions.push_back(Action::Close { generation });
        }
    }

    fn checked(&mut self, now: Instant, generation: Generation, result: Result<(), AdapterError>) {
        let State::Blocked { checking, error: shown, .. } = &self.state else { return };
        if *checking != Some(generation) {
            return;
        }
        match result {
            Ok(()) => self.connect(now, false),
            Err(error) if error.retry == Retry::Never => self.block(error, now + RECHECK_EVERY),
            // The check itself failed: nothing new is known about the cause.
            Err(_) => {
                let error = shown.clone();
                self.block(error, now + RECHECK_EVERY);
            }
        }
    }

    /// Checks a block again at once.
    fn look_now(&mut self, now: Instant) {
        if let State::Blocked { recheck_at, checking: None, .. } = &mut self.state {
            self.denials = 0;
            *recheck_at = now;
            self.handle_timeout(now);
        }
    }

    fn pause(&mut self) {
        if matches!(self.state, State::Stopping | State::Paused { by: PausedBy::Operator, .. }) {
            return;
        }
        self.let_go();
        self.state = State::Paused { by: PausedBy::Operator, error: None, probe_at: None };
        self.tell(|teller| Some(teller.paused()));
    }

    fn resume(&mut self, now: Instant) {
        match &mut self.state {
            State::Paused { .. } => {
                self.forgive();
                self.actions.push_back(Action::Tell(News::Resumed));
                self.connect(now, false);
            }
            State::Connecting { probe: probe @ true, .. } => {
                *probe = false;
                self.forgive();
                self.actions.push_back(Action::Tell(News::Resumed));
            }
            // For any reason of the wait.
            State::Retrying { .. } => self.connect(now, false),
            State::Blocked { .. } => self.look_now(now),
            State::Connected { limited_until, .. } => *limited_until = None,
            State::Disabled | State::Connecting { .. } | State::Stopping => {}
        }
    }

    fn stop(&mut self) {
        self.let_go();
        self.state = State::Stopping;
    }

    /// Drops the current attempt or link.
    fn let_go(&mut self) {
        if let State::Connecting { generation, .. } = self.state {
            self.actions.push_back(Action::Abandon { generation });
        }
        if let Some(generation) = self.state.live() {
            self.actions.push_back(Action::Abandon { generation });
            self.actions.push_back(Action::Close { generation });
        }
    }

    /// Handles an attempt that did not bring a link.
    fn fail(&mut self, now: Instant, error: AdapterError) {
        self.actions.push_back(Action::Note(Note::Failed(error.code)));
        let was_probe = matches!(self.state, State::Connecting { probe: true, .. });
        let is_extra = std::mem::take(&mut self.is_extra) && host::is_of_the_network(error.code);
        match error.retry {
            Retry::Never => self.deny(now, error),
            Retry::After(wait) => {
                let wait = self.asked_wait(wait);
                if was_probe {
                    self.open(error, now + wait);
                } else {
                    self.retry(now, wait, error);
                }
            }
            Retry::Rest => {
                self.strikes = self.strikes.max(self.policy.breaker_after.saturating_sub(1));
                self.count(now, was_probe, is_extra, error);
            }
            Retry::Backoff => self.count(now, was_probe, is_extra, error),
        }
    }

    fn count(&mut self, now: Instant, was_probe: bool, is_extra: bool, error: AdapterError) {
        self.failures = self.failures.saturating_add(u32::from(!is_extra)).max(1);
        let is_excused = is_extra || (self.host_offline && host::is_of_the_network(error.code));
        if !is_excused {
            self.strikes = self.strikes.saturating_add(1);
            self.probes = self.probes.saturating_add(u32::from(was_probe));
        }
        let is_full = self.policy.breaker_after > 0 && self.strikes >= self.policy.breaker_after;
        if was_probe || (is_full && !is_excused) {
            let wait = self.probe_wait();
            self.open(error, now + wait);
        } else {
            let wait = self.policy.ladder.wait(self.failures, &mut self.dice);
            self.retry(now, wait, error);
        }
    }

    /// The wait as the platform asked for it, unless it asks without end.
    fn asked_wait(&mut self, wait: Duration) -> Duration {
        let wait = wait.clamp(AFTER_MIN, AFTER_MAX);
        self.asked = self.asked.saturating_add(1);
        match self.asked.checked_sub(AFTER_EXACTLY) {
            None | Some(0) => wait,
            Some(rung) => wait.max(self.policy.ladder.wait(rung, &mut self.dice)),
        }
    }

    fn probe_wait(&mut self) -> Duration {
        let every = self.policy.probe_every.unwrap_or(PROBE_EVERY_MAX);
        let most = PROBE_EVERY_MAX.max(every);
        let plain = doubled(every, self.probes, most);
        plain.mul_f64(1.0 + PROBE_JITTER * (2.0 * self.dice.roll() - 1.0))
    }

    fn open(&mut self, error: AdapterError, probe_at: Instant) {
        let probe_at = self.policy.probe_every.map(|_| probe_at);
        let (failures, every) = (self.failures, self.policy.probe_every);
        self.tell(|teller| teller.opened(&error, failures, every));
        self.state = State::Paused { by: PausedBy::Breaker, error: Some(error), probe_at };
    }

    /// Handles a refusal by the platform itself. The check may know nothing of the cause and pass, so that a second one
    /// would bring the same result: each further refusal waits longer.
    fn deny(&mut self, now: Instant, error: AdapterError) {
        let wait = match self.denials {
            0 => RECHECK_EVERY,
            denials => self.policy.ladder.wait(denials, &mut self.dice),
        };
        self.denials = self.denials.saturating_add(1);
        self.block(error, now + wait);
    }

    fn block(&mut self, error: AdapterError, recheck_at: Instant) {
        self.tell(|teller| teller.blocked(&error));
        self.strikes = 0;
        self.probes = 0;
        self.state = State::Blocked { error, recheck_at, checking: None };
    }

    fn retry(&mut self, now: Instant, wait: Duration, error: AdapterError) {
        let is_told = self.host_offline && host::is_of_the_network(error.code);
        self.tell(|teller| teller.retrying(now, &error, wait, is_told));
        self.state = State::Retrying { at: now + wait, error };
    }
}

mod live;
#[cfg(test)]
mod tests;
mod waking;
