//! Pure. The end of the gateway: finish running work, close the links, exit; each step with a limit.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::error::ExitCode;
use crate::gateway::model::event::StopSignal;

/// Limit for links to close. A link itself has 5 s; the rest is for the bookkeeping.
const CLOSE_LIMIT: Duration = Duration::from_secs(6);

/// The time of the end in addition to the drain: for the links, and for the store.
pub const BESIDE: Duration = Duration::from_secs(CLOSE_LIMIT.as_secs() + 10);

/// The same when the drain has already used up its limit.
const CLOSE_LIMIT_LATE: Duration = Duration::from_secs(2);

/// The shortest limit for finishing running work: even where none is allowed, a gateway with nothing to finish must be able
/// to report it, and end with 0.
const DRAIN_LIMIT_MIN: Duration = Duration::from_millis(200);

/// The phase of the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// The end was not asked for.
    Running,
    /// Running work is being finished.
    Draining {
        /// The limit.
        until: Instant,
        /// The exit code when all goes well.
        exit: ExitCode,
    },
    /// Links are being closed.
    Closing {
        /// The limit.
        until: Instant,
        /// The exit code.
        exit: ExitCode,
    },
    /// The gateway has ended.
    Ended {
        /// The exit code.
        exit: ExitCode,
    },
}

/// An input of the decider.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Input {
    /// An end was asked for.
    Asked(StopSignal),
    /// Running work is finished.
    Drained,
    /// The links are closed.
    Closed,
}

/// An action to perform.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Begin nothing new and finish running work by then.
    Drain {
        /// The limit.
        until: Instant,
    },
    /// Close every link.
    Close,
    /// Exit with this code.
    Exit(ExitCode),
}

/// The decider for the end.
#[derive(Debug)]
pub struct Drain {
    limit: Duration,
    phase: Phase,
    actions: VecDeque<Action>,
}

impl Drain {
    /// Not ending yet. `limit` is for finishing running work.
    pub fn new(limit: Duration) -> Self {
        Self { limit, phase: Phase::Running, actions: VecDeque::new() }
    }

    /// The phase of the end.
    pub fn phase(&self) -> Phase {
        self.phase
    }

    /// True when it ends in order to be started again.
    pub fn restarts(&self) -> bool {
        match self.phase {
            Phase::Running => false,
            Phase::Draining { exit, .. } | Phase::Closing { exit, .. } | Phase::Ended { exit } => {
                exit == ExitCode::Restart
            }
        }
    }

    /// Sets the limit for finishing running work; an end that has begun keeps its limit.
    pub fn allow(&mut self, limit: Duration) {
        self.limit = limit;
    }

    /// Takes one input.
    pub fn handle(&mut self, now: Instant, input: Input) {
        // At the limit running work is cut off, and then reports that nothing is left: that must not count as finished.
        self.handle_timeout(now);
        match (self.phase, input) {
            (Phase::Running, Input::Asked(signal)) => {
                let until = now + self.limit.max(DRAIN_LIMIT_MIN);
                let exit = match signal {
                    StopSignal::Terminate | StopSignal::Interrupt | StopSignal::AllBlocked => ExitCode::Ok,
                    StopSignal::Restart => ExitCode::Restart,
                    StopSignal::StoreLost => ExitCode::Failed,
                };
                self.phase = Phase::Draining { until, exit };
                self.actions.push_back(Action::Drain { until });
            }
            // A person who presses Ctrl-C during the stop does not want to wait.
            (Phase::Draining { .. } | Phase::Closing { .. }, Input::Asked(StopSignal::Interrupt)) => {
                self.end(ExitCode::Interrupted);
            }
            // A person who stops the service during a restart does not want it back: 75 would bring it back.
            (Phase::Draining { until, .. }, Input::Asked(StopSignal::Terminate)) => {
                self.phase = Phase::Draining { until, exit: ExitCode::Ok };
            }
            (Phase::Closing { until, exit: ExitCode::Restart }, Input::Asked(StopSignal::Terminate)) => {
                self.phase = Phase::Closing { until, exit: ExitCode::Ok };
            }
            (Phase::Draining { exit, .. }, Input::Drained) => self.close(now + CLOSE_LIMIT, exit),
            (Phase::Closing { exit, .. }, Input::Closed) => self.end(exit),
            (Phase::Running, Input::Drained | Input::Closed)
            | (
                Phase::Draining { .. },
                Input::Asked(StopSignal::Restart | StopSignal::AllBlocked | StopSignal::StoreLost)
                | Input::Closed,
            )
            | (
                Phase::Closing { .. },
                Input::Asked(
                    StopSignal::Terminate
                    | StopSignal::Restart
                    | StopSignal::AllBlocked
                    | StopSignal::StoreLost,
                )
                | Input::Drained,
            )
            | (Phase::Ended { .. }, Input::Asked(_) | Input::Drained | Input::Closed) => {}
        }
    }

    /// Performs what is due.
    pub fn handle_timeout(&mut self, now: Instant) {
        match self.phase {
            Phase::Draining { until, .. } if until <= now => {
                self.close(now + CLOSE_LIMIT_LATE, ExitCode::Failed);
            }
            // A link that does not close is cut off with the process; the stop has not failed.
            Phase::Closing { until, exit } if until <= now => self.end(exit),
            Phase::Running | Phase::Draining { .. } | Phase::Closing { .. } | Phase::Ended { .. } => {}
        }
    }

    /// The time at which [`Drain::handle_timeout`] has something to do.
    pub fn poll_timeout(&self) -> Option<Instant> {
        match self.phase {
            Phase::Running | Phase::Ended { .. } => None,
            Phase::Draining { until, .. } | Phase::Closing { until, .. } => Some(until),
        }
    }

    /// The next action, in order.
    pub fn poll_action(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    fn close(&mut self, until: Instant, exit: ExitCode) {
        self.phase = Phase::Closing { until, exit };
        self.actions.push_back(Action::Close);
    }

    fn end(&mut self, exit: ExitCode) {
        self.phase = Phase::Ended { exit };
        self.actions.push_back(Action::Exit(exit));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn start() -> (Drain, Instant) {
        (Drain::new(Duration::from_secs(30)), crate::clock::Now::read().mono)
    }

    fn actions(drain: &mut Drain) -> Vec<Action> {
        std::iter::from_fn(|| drain.poll_action()).collect()
    }

    #[test]
    fn a_clean_stop_drains_closes_and_leaves_with_0_and_a_restart_with_75() {
        for (signal, exit) in [
            (StopSignal::Terminate, ExitCode::Ok),
            (StopSignal::Interrupt, ExitCode::Ok),
            (StopSignal::AllBlocked, ExitCode::Ok),
            (StopSignal::Restart, ExitCode::Restart),
        ] {
            let (mut drain, now) = start();
            drain.handle(now, Input::Asked(signal));
            assert_eq!(actions(&mut drain), [Action::Drain { until: now + Duration::from_secs(30) }]);
            drain.handle(now, Input::Drained);
            assert_eq!(actions(&mut drain), [Action::Close]);
            drain.handle(now, Input::Closed);
            assert_eq!(actions(&mut drain), [Action::Exit(exit)]);
            assert_eq!(drain.poll_timeout(), None);
        }
    }

    #[test]
    fn a_drain_past_its_limit_leaves_with_1_and_never_waits_for_a_link() {
        let at_limit: [fn(&mut Drain, Instant); 2] = [
            |drain, late| drain.handle_timeout(late),
            // The cut-off work may report this before we have looked at the clock.
            |drain, late| drain.handle(late, Input::Drained),
        ];
        for reach in at_limit {
            let (mut drain, now) = start();
            drain.handle(now, Input::Asked(StopSignal::Terminate));
            let late = drain.poll_timeout().unwrap();
            reach(&mut drain, late);
            drain.handle_timeout(drain.poll_timeout().unwrap());
            assert_eq!(
                actions(&mut drain),
                [Action::Drain { until: late }, Action::Close, Action::Exit(ExitCode::Failed)]
            );
        }
    }

    #[test]
    fn a_second_interrupt_leaves_at_once_and_a_second_terminate_does_not() {
        let (mut drain, now) = start();
        drain.handle(now, Input::Asked(StopSignal::Interrupt));
        drain.handle(now, Input::Asked(StopSignal::Terminate));
        assert!(matches!(drain.phase(), Phase::Draining { .. }));
        drain.handle(now, Input::Asked(StopSignal::Interrupt));
        assert_eq!(actions(&mut drain).last(), Some(&Action::Exit(ExitCode::Interrupted)));
    }

    #[test]
    fn a_restart_that_somebody_stops_is_a_stop() {
        for terminate_while_closing in [false, true] {
            let (mut drain, now) = start();
            drain.handle(now, Input::Asked(StopSignal::Restart));
            assert!(drain.restarts());
            if !terminate_while_closing {
                drain.handle(now, Input::Asked(StopSignal::Terminate));
            }
            drain.handle(now, Input::Drained);
            if terminate_while_closing {
                drain.handle(now, Input::Asked(StopSignal::Terminate));
            }
            assert!(!drain.restarts());
            drain.handle(now, Input::Closed);
            assert_eq!(actions(&mut drain).last(), Some(&Action::Exit(ExitCode::Ok)));
        }
    }

    #[test]
    fn a_stop_is_not_turned_into_a_restart() {
        let (mut drain, now) = start();
        drain.handle(now, Input::Asked(StopSignal::Terminate));
        drain.handle(now, Input::Asked(StopSignal::Restart));
        drain.handle(now, Input::Drained);
        drain.handle(now, Input::Closed);
        assert_eq!(actions(&mut drain).last(), Some(&Action::Exit(ExitCode::Ok)));
    }

    #[test]
    fn what_comes_at_the_wrong_time_changes_nothing() {
        let (mut drain, now) = start();
        drain.handle(now, Input::Drained);
        drain.handle(now, Input::Closed);
        drain.handle_timeout(now + Duration::from_secs(1000));
        assert_eq!(drain.phase(), Phase::Running);
        assert_eq!(actions(&mut drain), []);
    }
}
