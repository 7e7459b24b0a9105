//! Pure. The wait for a request to the gateway: decides, by what can be seen from outside, whether it is fulfilled.

use std::time::{Duration, Instant};

use crate::durable::Holder;
use crate::gateway::model::snapshot::Snapshot;

/// Time without a step of the service manager after which it counts as given up: between two of its own steps it looks as if
/// it had.
const GIVEN_UP_AFTER: Duration = Duration::from_secs(1);

/// One instance of the gateway.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Life {
    /// Its pid. The next one may have the same, in a container.
    pub pid: u32,
    /// Its id, which differs with every start.
    pub instance_id: String,
}

impl From<&Snapshot> for Life {
    fn from(snapshot: &Snapshot) -> Self {
        Self { pid: snapshot.pid, instance_id: snapshot.instance_id.clone() }
    }
}

/// The goal of a wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Goal {
    /// A gateway is ready, and another one than before.
    Ready,
    /// The gateway of before has ended.
    Ended,
}

/// The result of one look.
#[derive(Debug, Clone, Default)]
pub struct Seen {
    /// The holder of the home's lock.
    pub holder: Option<Holder>,
    /// The instance that answers at the control socket, and so has begun its work.
    pub ready: Option<Life>,
    /// Set when the service manager does not mean to start it: the last end, in its words.
    pub left_alone: Option<String>,
}

/// The stage of a wait.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stage {
    /// The gateway of before is still there.
    Ending,
    /// There is none.
    Absent,
    /// The next one is there, and is not ready.
    Starting,
    /// The next one is ready.
    Ready(Life),
}

/// The verdict after a look.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Look again.
    Waiting(Stage),
    /// The goal is reached; with the gateway that runs now, if there is one.
    Done(Option<Life>),
    /// The goal will not be reached.
    Failed(Failure),
}

/// The cause for which the goal will not be reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Failure {
    /// No gateway was started for this long.
    NobodyCame(Duration),
    /// The service manager has given it up, after this end.
    GivenUp(String),
    /// The time was up while it was this far.
    TimeUp(Stage),
}

/// The waiting's decider.
#[derive(Debug)]
pub struct Wait {
    goal: Goal,
    before: Option<Life>,
    deadline: Instant,
    patience: Option<Duration>,
    absent_since: Option<Instant>,
    left_alone_since: Option<Instant>,
}

impl Wait {
    /// Makes a wait until the deadline. `before` is the gateway that is to end; once it has ended, the next one may take
    /// `patience` to appear, or all the time that there is.
    pub fn new(goal: Goal, before: Option<Life>, deadline: Instant, patience: Option<Duration>) -> Self {
        Self { goal, before, deadline, patience, absent_since: None, left_alone_since: None }
    }

    /// Judges the result of a look at this moment.
    pub fn look(&mut self, now: Instant, seen: &Seen) -> Verdict {
        let stage = self.stage(seen);
        let is_absent = stage == Stage::Absent;
        let since = |since: Option<Instant>, is_so: bool| is_so.then(|| since.unwrap_or(now));
        self.absent_since = since(self.absent_since, is_absent);
        self.left_alone_since = since(self.left_alone_since, is_absent && seen.left_alone.is_some());
        match (self.goal, &stage) {
            (_, Stage::Ready(life)) => return Verdict::Done(Some(life.clone())),
            (Goal::Ended, Stage::Absent | Stage::Starting) => return Verdict::Done(None),
            (Goal::Ended, Stage::Ending) | (Goal::Ready, Stage::Ending | Stage::Absent | Stage::Starting) => {
            }
        }
        let lasted = |since: Option<Instant>| since.map(|since| now.saturating_duration_since(since));
        let is_over = now >= self.deadline;
        let in_vain =
            |absent: &Duration| self.patience.is_some_and(|patience| is_over || *absent >= patience);
        let has_given_up = lasted(self.left_alone_since).is_some_and(|lasted| lasted >= GIVEN_UP_AFTER);
        if let Some(end) = seen.left_alone.as_ref().filter(|_| has_given_up) {
            Verdict::Failed(Failure::GivenUp(end.clone()))
        } else if let Some(absent) = lasted(self.absent_since).filter(in_vain) {
            Verdict::Failed(Failure::NobodyCame(absent))
        } else if is_over {
            Verdict::Failed(Failure::TimeUp(stage))
        } else {
            Verdict::Waiting(stage)
        }
    }

    fn stage(&self, seen: &Seen) -> Stage {
        let Some(holder) = seen.holder else { return Stage::Absent };
        let before = self.before.as_ref();
        match &seen.ready {
            Some(life) if before.is_some_and(|before| before.instance_id == life.instance_id) => {
                Stage::Ending
            }
            Some(life) => Stage::Ready(life.clone()),
            // For a gateway that does not answer, the pid must do.
            None if before.is_some_and(|before| holder.pid.is_none_or(|pid| pid == before.pid)) => {
                Stage::Ending
            }
            None => Stage::Starting,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Now;

    const PATIENCE: Duration = Duration::from_secs(20);

    fn life(pid: u32, instance_id: &str) -> Life {
        Life { pid, instance_id: instance_id.to_owned() }
    }

    fn held(pid: u32, ready: Option<Life>) -> Seen {
        Seen { holder: Some(Holder { pid: Some(pid) }), ready, left_alone: None }
    }

    fn absent(is_left_alone: bool) -> Seen {
        Seen { left_alone: is_left_alone.then(|| "status 78".to_owned()), ..Seen::default() }
    }

    /// A wait of a minute after the gateway 1 "a", and a clock of its seconds.
    fn wait(goal: Goal) -> (Wait, impl Fn(u64) -> Instant) {
        let now = Now::read().mono;
        let wait = Wait::new(goal, Some(life(1, "a")), now + Duration::from_secs(60), Some(PATIENCE));
        (wait, move |seconds| now + Duration::from_secs(seconds))
    }

    #[test]
    fn a_restart_is_done_when_another_gateway_is_ready_and_not_before() {
        let (mut wait, at) = wait(Goal::Ready);
        for (second, seen, stage) in [
            (0, held(1, Some(life(1, "a"))), Stage::Ending),
            // The gateway no longer answers, and is still there.
            (1, held(1, None), Stage::Ending),
            (2, Seen { holder: Some(Holder { pid: None }), ..Seen::default() }, Stage::Ending),
            (3, absent(false), Stage::Absent),
            (4, held(2, None), Stage::Starting),
        ] {
            assert_eq!(wait.look(at(second), &seen), Verdict::Waiting(stage), "at {second} s");
        }
        let next = life(2, "b");
        assert_eq!(wait.look(at(5), &held(2, Some(next.clone()))), Verdict::Done(Some(next)));
    }

    #[test]
    fn the_next_gateway_may_have_the_same_pid() {
        let (mut wait, at) = wait(Goal::Ready);
        let next = life(1, "b");
        assert_eq!(wait.look(at(1), &held(1, Some(next.clone()))), Verdict::Done(Some(next)));
    }

    #[test]
    fn a_stop_is_done_when_that_gateway_has_ended_whoever_comes_after_it() {
        for (seen, running) in
            [(absent(false), None), (held(2, None), None), (held(2, Some(life(2, "b"))), Some(life(2, "b")))]
        {
            let (mut wait, at) = wait(Goal::Ended);
            assert_eq!(wait.look(at(0), &held(1, None)), Verdict::Waiting(Stage::Ending));
            assert_eq!(wait.look(at(1), &seen), Verdict::Done(running));
        }
    }

    #[test]
    fn nobody_is_waited_for_with_patience_and_no_longer() {
        let (mut wait, at) = wait(Goal::Ready);
        assert_eq!(wait.look(at(10), &absent(false)), Verdict::Waiting(Stage::Absent));
        assert_eq!(wait.look(at(29), &absent(false)), Verdict::Waiting(Stage::Absent));
        assert_eq!(wait.look(at(30), &absent(false)), Verdict::Failed(Failure::NobodyCame(PATIENCE)));
        // One that came and went counts as a new start.
        assert_eq!(wait.look(at(31), &held(2, None)), Verdict::Waiting(Stage::Starting));
        assert_eq!(wait.look(at(32), &absent(false)), Verdict::Waiting(Stage::Absent));
    }

    #[test]
    fn a_manager_that_leaves_it_alone_for_a_second_has_given_it_up() {
        let (mut wait, at) = wait(Goal::Ready);
        // While the old one ends, and between two of the manager's steps, that says nothing.
        let ending = Seen { holder: held(1, None).holder, ..absent(true) };
        assert_eq!(wait.look(at(0), &ending), Verdict::Waiting(Stage::Ending));
        assert_eq!(wait.look(at(2), &absent(true)), Verdict::Waiting(Stage::Absent));
        assert_eq!(wait.look(at(3), &absent(false)), Verdict::Waiting(Stage::Absent));
        assert_eq!(wait.look(at(4), &absent(true)), Verdict::Waiting(Stage::Absent));
        let given_up = Failure::GivenUp("status 78".to_owned());
        assert_eq!(wait.look(at(5), &absent(true)), Verdict::Failed(given_up));
    }

    #[test]
    fn when_the_time_is_up_it_says_how_far_it_was() {
        for (seen, stage) in [(held(1, None), Stage::Ending), (held(2, None), Stage::Starting)] {
            let (mut wait, at) = wait(Goal::Ready);
            assert_eq!(wait.look(at(59), &seen), Verdict::Waiting(stage.clone()));
            assert_eq!(wait.look(at(60), &seen), Verdict::Failed(Failure::TimeUp(stage)));
        }
        let (mut wait, at) = wait(Goal::Ready);
        assert_eq!(wait.look(at(59), &absent(false)), Verdict::Waiting(Stage::Absent));
        let waited = Duration::from_secs(1);
        assert_eq!(wait.look(at(60), &absent(false)), Verdict::Failed(Failure::NobodyCame(waited)));
        let mut patient = Wait::new(Goal::Ready, None, at(60), None);
        assert_eq!(patient.look(at(59), &absent(false)), Verdict::Waiting(Stage::Absent));
        let up = Verdict::Failed(Failure::TimeUp(Stage::Absent));
        assert_eq!(patient.look(at(60), &absent(false)), up);
    }
}
