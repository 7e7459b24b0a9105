//! Pure. One platform's life: when to connect, when to wait, when only a human can help.
//!
//! ```text
//! Disabled ── Start ──► Connecting ── Up ──► Connected ── a while ──► (the counter is forgiven)
//!
//! Connecting, Connected ── Down: Backoff, After; deadline ──► Retrying ── timer ──► Connecting
//! Connecting, Connected ── Down, Refused: Never ──► Blocked ── the check passes ──► Connecting
//! any but Stopping ── Pause ──► Paused ── Resume ──► Connecting
//! any ── Stop ──► Stopping
//! ```
//!
//! Every attempt has a *generation*. What an older generation reports is dropped; a link that it brings is closed.
//! Every state but `Disabled`, `Stopping` and an operator's `Paused` owns a timer or, when connected, a link that reports
//! its end.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::config::GatewayConfig;
use crate::gateway::failure::{AdapterError, Retry};
use crate::gateway::supervisor::backoff::{Dice, Ladder};

/// How often a blocked platform's cause is looked at.
const RECHECK_EVERY: Duration = Duration::from_secs(1);

/// A look at the cause that has not answered by then is given up and repeated.
const RECHECK_LIMIT: Duration = Duration::from_secs(10);

/// A wait that a platform asks for is believed within these bounds.
const AFTER_MIN: Duration = Duration::from_secs(1);
/// See [`AFTER_MIN`].
const AFTER_MAX: Duration = Duration::from_secs(3600);

/// The numbers that a machine decides by.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Policy {
    /// The longest one attempt may take.
    pub connect_timeout: Duration,
    /// The waits between attempts.
    pub ladder: Ladder,
    /// A connection that lasts this long resets the ladder.
    pub stable_after: Duration,
}

impl From<&GatewayConfig> for Policy {
    fn from(config: &GatewayConfig) -> Self {
        Self {
            connect_timeout: config.connect_timeout,
            ladder: Ladder::from(&config.reconnect),
            stable_after: config.reconnect.stable_after,
        }
    }
}

/// Counts attempts and checks; an answer carries the number it was asked under.
pub type Generation = u64;

/// Where a platform is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// Not supervised yet.
    Disabled,
    /// An attempt is under way.
    Connecting {
        /// Which one.
        generation: Generation,
        /// When it is given up.
        deadline: Instant,
    },
    /// A link is live.
    Connected {
        /// Of which attempt.
        generation: Generation,
        /// Since when.
        since: Instant,
    },
    /// Waiting for the next attempt.
    Retrying {
        /// When it begins.
        at: Instant,
        /// Why the last one ended.
        error: AdapterError,
    },
    /// Only a human or a file can change it; the cause is looked at again and again.
    Blocked {
        /// Why.
        error: AdapterError,
        /// When to look again.
        recheck_at: Instant,
        /// The look that is under way.
        checking: Option<Generation>,
    },
    /// Left alone.
    Paused {
        /// By whom.
        by: PausedBy,
    },
    /// The gateway stops; nothing is begun any more.
    Stopping,
}

/// Who paused a platform.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PausedBy {
    /// A person, who alone can end it.
    Operator,
}

impl PausedBy {
    /// The word of the status file.
    pub fn wire_name(self) -> &'static str {
        match self {
            Self::Operator => "operator",
        }
    }
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Input {
    /// Begin to supervise.
    Start,
    /// The attempt of this generation brought a link.
    Up {
        /// Which one.
        generation: Generation,
    },
    /// The check before an attempt found something in the way; nothing was started.
    Refused {
        /// Which attempt.
        generation: Generation,
        /// What.
        error: AdapterError,
    },
    /// The attempt failed, or its link has ended.
    Down {
        /// Which one.
        generation: Generation,
        /// Why.
        error: AdapterError,
    },
    /// The answer to [`Action::Check`].
    Checked {
        /// Which look.
        generation: Generation,
        /// What still stands in the way.
        result: Result<(), AdapterError>,
    },
    /// An operator wants it left alone. Wins against everything but the end of the gateway.
    Pause,
    /// An operator wants it tried now.
    Resume,
    /// The gateway stops.
    Stop,
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Start an attempt: check, connect, then watch the link. Exactly one answer: `Refused`, or `Up` and later `Down`.
    Connect {
        /// Under this number.
        generation: Generation,
    },
    /// Drop the attempt of this generation, wherever it is.
    Abandon {
        /// Which one.
        generation: Generation,
    },
    /// Close the link that this generation brought, in the background and within a limit.
    Close {
        /// Which one.
        generation: Generation,
    },
    /// Look whether the cause of a block is gone, and answer `Checked`.
    Check {
        /// Under this number.
        generation: Generation,
    },
    /// Tell people, in one line.
    Tell(News),
}

/// A turn worth one line in the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum News {
    /// It is connected.
    Connected,
    /// It is not, and will be tried again.
    Retrying {
        /// Why.
        error: AdapterError,
        /// After this wait.
        wait: Duration,
    },
    /// It still is not, for the same reason as told before.
    StillRetrying {
        /// Why.
        error: AdapterError,
        /// Failures that were not told.
        untold: u32,
    },
    /// It is not, and only a human can change that.
    Blocked {
        /// Why, with what to do.
        error: AdapterError,
    },
    /// It is left alone from now on.
    Paused {
        /// By whom.
        by: PausedBy,
    },
    /// An operator ended its pause.
    Resumed,
}

/// Repeats of one failure are told in sum, this often.
const TELL_AGAIN_AFTER: Duration = Duration::from_secs(900);

/// What was told last, so that the same is not told again.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Told {
    Nothing,
    Connected,
    Retrying { code: &'static str, at: Instant, untold: u32 },
    Blocked { code: &'static str },
}

/// One platform's machine.
#[derive(Debug)]
pub struct Machine {
    policy: Policy,
    dice: Dice,
    state: State,
    generation: Generation,
    /// Counted failures in a row.
    failures: u32,
    /// The immediate attempt after a loss was used up since the connection was last stable.
    at_once_used: bool,
    /// How often in a row the platform itself said no although the check had passed.
    denials: u32,
    told: Told,
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
            at_once_used: false,
            denials: 0,
            told: Told::Nothing,
            actions: VecDeque::new(),
        }
    }

    /// Where the platform is.
    pub fn state(&self) -> &State {
        &self.state
    }

    /// Counted failures in a row.
    pub fn failures(&self) -> u32 {
        self.failures
    }

    /// Takes one input.
    pub fn handle(&mut self, now: Instant, input: Input) {
        self.settle(now);
        match input {
            Input::Start => {
                if self.state == State::Disabled {
                    self.connect(now);
                }
            }
            Input::Up { generation } => self.up(now, generation),
            Input::Refused { generation, error } => self.refused(now, generation, error),
            Input::Down { generation, error } => self.down(now, generation, error),
            Input::Checked { generation, result } => self.checked(now, generation, result),
            Input::Pause => self.pause(PausedBy::Operator),
            Input::Resume => self.resume(now),
            Input::Stop => self.stop(),
        }
    }

    /// Does what has become due.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.settle(now);
        match &mut self.state {
            State::Connecting { generation, deadline } if *deadline <= now => {
                let generation = *generation;
                self.actions.push_back(Action::Abandon { generation });
                let limit = self.policy.connect_timeout.as_secs();
                let error =
                    AdapterError::retryable("net_timeout", format!("it did not connect within {limit} s"));
                self.fail(now, error);
            }
            State::Retrying { at, .. } if *at <= now => self.connect(now),
            State::Blocked { recheck_at, checking, .. } if *recheck_at <= now => {
                self.generation += 1;
                *checking = Some(self.generation);
                *recheck_at = now + RECHECK_LIMIT;
                self.actions.push_back(Action::Check { generation: self.generation });
            }
            State::Disabled
            | State::Connecting { .. }
            | State::Connected { .. }
            | State::Retrying { .. }
            | State::Blocked { .. }
            | State::Paused { .. }
            | State::Stopping => {}
        }
    }

    /// When [`Machine::handle_timeout`] has something to do.
    pub fn poll_timeout(&self) -> Option<Instant> {
        match &self.state {
            State::Disabled | State::Paused { .. } | State::Stopping => None,
            State::Connecting { deadline, .. } => Some(*deadline),
            State::Connected { since, .. } => self.is_unsettled().then(|| *since + self.policy.stable_after),
            State::Retrying { at, .. } => Some(*at),
            State::Blocked { recheck_at, .. } => Some(*recheck_at),
        }
    }

    /// The next thing to do, in order.
    pub fn poll_action(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    fn is_unsettled(&self) -> bool {
        self.failures > 0 || self.at_once_used
    }

    /// A connection that has lasted forgives everything before it.
    fn settle(&mut self, now: Instant) {
        if let State::Connected { since, .. } = self.state
            && now >= since + self.policy.stable_after
        {
            self.failures = 0;
            self.at_once_used = false;
        }
    }

    fn connect(&mut self, now: Instant) {
        self.generation += 1;
        let generation = self.generation;
        self.state = State::Connecting { generation, deadline: now + self.policy.connect_timeout };
        self.actions.push_back(Action::Connect { generation });
    }

    fn is_connecting(&self, asked: Generation) -> bool {
        matches!(self.state, State::Connecting { generation, .. } if generation == asked)
    }

    fn up(&mut self, now: Instant, generation: Generation) {
        if !self.is_connecting(generation) {
            let is_live =
                matches!(self.state, State::Connected { generation: live, .. } if live == generation);
            if !is_live {
                self.actions.push_back(Action::Close { generation });
            }
            return;
        }
        self.state = State::Connected { generation, since: now };
        self.denials = 0;
        if self.told != Told::Connected {
            self.told = Told::Connected;
            self.actions.push_back(Action::Tell(News::Connected));
        }
    }

    fn refused(&mut self, now: Instant, generation: Generation, error: AdapterError) {
        if !self.is_connecting(generation) {
            return;
        }
        match error.retry {
            Retry::Never => self.block(error, now + RECHECK_EVERY),
            Retry::Backoff | Retry::After(_) => self.fail(now, error),
        }
    }

    fn down(&mut self, now: Instant, generation: Generation, error: AdapterError) {
        if self.is_connecting(generation) {
            self.fail(now, error);
        } else if matches!(self.state, State::Connected { generation: live, .. } if live == generation) {
            // The retry is decided before the cleanup begins, and never waits for it.
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
            Ok(()) => self.connect(now),
            Err(error) if error.retry == Retry::Never => self.block(error, now + RECHECK_EVERY),
            // The look itself failed: nothing new is known of the cause.
            Err(_) => {
                let error = shown.clone();
                self.block(error, now + RECHECK_EVERY);
            }
        }
    }

    fn pause(&mut self, by: PausedBy) {
        if matches!(self.state, State::Stopping) || self.state == (State::Paused { by }) {
            return;
        }
        self.let_go();
        self.state = State::Paused { by };
        self.told = Told::Nothing;
        self.actions.push_back(Action::Tell(News::Paused { by }));
    }

    fn resume(&mut self, now: Instant) {
        match &mut self.state {
            State::Paused { .. } => {
                self.failures = 0;
                self.denials = 0;
                self.at_once_used = false;
                self.actions.push_back(Action::Tell(News::Resumed));
                self.connect(now);
            }
            // A wait that the platform asked for is kept, whoever is in a hurry.
            State::Retrying { error, .. } if matches!(error.retry, Retry::After(_)) => {}
            State::Retrying { .. } => self.connect(now),
            State::Blocked { recheck_at, checking: None, .. } => {
                *recheck_at = now;
                self.handle_timeout(now);
            }
            State::Disabled
            | State::Connecting { .. }
            | State::Connected { .. }
            | State::Blocked { .. }
            | State::Stopping => {}
        }
    }

    fn stop(&mut self) {
        self.let_go();
        self.state = State::Stopping;
    }

    /// Drops the attempt or the link of this moment.
    fn let_go(&mut self) {
        match self.state {
            State::Connecting { generation, .. } => self.actions.push_back(Action::Abandon { generation }),
            State::Connected { generation, .. } => {
                self.actions.push_back(Action::Abandon { generation });
                self.actions.push_back(Action::Close { generation });
            }
            State::Disabled
            | State::Retrying { .. }
            | State::Blocked { .. }
            | State::Paused { .. }
            | State::Stopping => {}
        }
    }

    /// An attempt did not bring a link.
    fn fail(&mut self, now: Instant, error: AdapterError) {
        match error.retry {
            Retry::Never => self.deny(now, error),
            Retry::After(wait) => self.retry(now, wait.clamp(AFTER_MIN, AFTER_MAX), error),
            Retry::Backoff => {
                self.failures = self.failures.saturating_add(1);
                let wait = self.policy.ladder.wait(self.failures, &mut self.dice);
                self.retry(now, wait, error);
            }
        }
    }

    /// A live link has ended.
    fn lose(&mut self, now: Instant, error: AdapterError) {
        if error.retry == Retry::Backoff && !self.at_once_used {
            self.at_once_used = true;
            self.retry(now, Duration::ZERO, error);
        } else {
            self.fail(now, error);
        }
    }

    /// The platform itself said no. The check may know nothing of the cause and pass, so that a second look would bring the
    /// same answer: each further no waits longer.
    fn deny(&mut self, now: Instant, error: AdapterError) {
        let wait = match self.denials {
            0 => RECHECK_EVERY,
            denials => self.policy.ladder.wait(denials, &mut self.dice),
        };
        self.denials = self.denials.saturating_add(1);
        self.block(error, now + wait);
    }

    fn block(&mut self, error: AdapterError, recheck_at: Instant) {
        if self.told != (Told::Blocked { code: error.code }) {
            self.told = Told::Blocked { code: error.code };
            self.actions.push_back(Action::Tell(News::Blocked { error: error.clone() }));
        }
        self.failures = 0;
        self.state = State::Blocked { error, recheck_at, checking: None };
    }

    fn retry(&mut self, now: Instant, wait: Duration, error: AdapterError) {
        match &mut self.told {
            Told::Retrying { code, at, untold } if *code == error.code => {
                *untold = untold.saturating_add(1);
                if now.duration_since(*at) >= TELL_AGAIN_AFTER {
                    let untold = std::mem::take(untold);
                    *at = now;
                    self.actions
                        .push_back(Action::Tell(News::StillRetrying { error: error.clone(), untold }));
                }
            }
            Told::Nothing | Told::Connected | Told::Retrying { .. } | Told::Blocked { .. } => {
                self.told = Told::Retrying { code: error.code, at: now, untold: 0 };
                self.actions.push_back(Action::Tell(News::Retrying { error: error.clone(), wait }));
            }
        }
        self.state = State::Retrying { at: now + wait, error };
    }
}

#[cfg(test)]
mod tests;
