//! What is wrong with the gateway itself, whatever its platforms do. Whoever has a problem says so here; the loop
//! publishes what stands, and ends the process where nothing else is left.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::watch;

use crate::clock::Now;
use crate::gateway::model::snapshot::Problem;

/// One that comes and goes is told this often at most.
const TOLD_EVERY: Duration = Duration::from_secs(60);

/// The problems of this process, by their codes. Clones share them.
#[derive(Debug, Clone)]
pub struct Problems {
    standing: watch::Sender<Vec<Problem>>,
    told: Arc<Mutex<BTreeMap<&'static str, Instant>>>,
}

impl Default for Problems {
    fn default() -> Self {
        Self { standing: watch::Sender::new(Vec::new()), told: Arc::default() }
    }
}

impl Problems {
    /// What stands, now and later.
    pub fn subscribe(&self) -> watch::Receiver<Vec<Problem>> {
        self.standing.subscribe()
    }

    /// True when any of these stands.
    pub fn has(&self, codes: &[&str]) -> bool {
        self.standing.borrow().iter().any(|problem| codes.contains(&problem.code.as_str()))
    }

    /// This is so from now on. One that stands already keeps its date. `ends`: the process is of no use any more.
    pub fn set(&self, code: &'static str, message: &str, user_action: &str, ends: bool) {
        let now = Now::read();
        let is_new = self.standing.send_if_modified(|standing| {
            if standing.iter().any(|problem| problem.code == code && problem.ends == ends) {
                return false;
            }
            standing.retain(|problem| problem.code != code);
            standing.push(Problem {
                code: code.to_owned(),
                message: message.to_owned(),
                since: now.wall,
                user_action: Some(user_action.to_owned()).filter(|action| !action.is_empty()),
                ends,
            });
            true
        });
        if is_new && self.may_tell(code, now.mono) {
            tracing::error!(code, "{message}. {user_action}");
        }
    }

    /// It is over.
    pub fn clear(&self, code: &'static str, told: &str) {
        let stood = self.standing.send_if_modified(|standing| {
            let before = standing.len();
            standing.retain(|problem| problem.code != code);
            standing.len() < before
        });
        if stood {
            tracing::info!(code, "{told}");
        }
    }

    fn may_tell(&self, code: &'static str, now: Instant) -> bool {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        let is_recent = told.get(code).is_some_and(|at| now.saturating_duration_since(*at) < TOLD_EVERY);
        if !is_recent {
            told.insert(code, now);
        }
        !is_recent
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_stands_with_its_first_date_until_it_is_over() {
        let problems = Problems::default();
        problems.set("disk_full", "the disk is full", "Make room.", false);
        let first = problems.subscribe().borrow().clone();
        problems.set("disk_full", "the disk is full", "Make room.", false);
        problems.set("store_busy", "another program holds it", "", false);
        let standing = problems.subscribe().borrow().clone();
        assert_eq!(standing.first(), first.first());
        assert_eq!((standing.len(), standing[1].user_action.as_deref()), (2, None));
        assert!(problems.has(&["store_busy"]) && !problems.has(&["other"]));
        problems.clear("disk_full", "there is room");
        problems.set("store_busy", "another program holds it", "", true);
        let standing = problems.subscribe().borrow().clone();
        assert!(standing.len() == 1 && standing[0].ends, "{standing:?}");
    }

    #[test]
    fn one_that_comes_and_goes_is_told_once_a_minute() {
        let problems = Problems::default();
        let begin = Now::read().mono;
        let told = (0..180).filter(|second| problems.may_tell("a", begin + Duration::from_secs(*second)));
        assert_eq!(told.count(), 3);
    }
}
