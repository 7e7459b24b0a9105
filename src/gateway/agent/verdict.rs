//! Pure. The state of an agent by its last turns: not known yet, it answers, it refuses all that it is asked, or it fails at all.

use jiff::Timestamp;

use super::api::{Again, AgentError, Ailment, Trouble};

/// Failures that are not one message's own: whatever is asked next meets the same.
const REFUSALS: [&str; 6] = [
    "agent_key_refused",
    "agent_access_refused",
    "agent_quota",
    "agent_address_unknown",
    "agent_model_unknown",
    "agent_unreachable",
];

/// Turns that ended without anything of an answer. Also these may be one message's own.
const FAILURES: [&str; 5] =
    ["agent_failed", "agent_stalled", "agent_broke_off", "agent_unreadable", "agent_silent"];

/// So many refusals or failures in a row are the agent's, where it has answered before: one may be its message's own.
const REFUSALS_MIN: u32 = 3;

/// A refusal of the key is seldom its message's own: two of them are enough.
const OF_ALL: &str = "agent_key_refused";

/// By the last turns.
#[derive(Debug, Default)]
pub struct Verdict {
    has_answered: bool,
    /// Refusals, failures and broken answers since the last whole answer.
    refusals: u32,
    /// The last of them, with the date of the first.
    trouble: Option<Trouble>,
    /// The last failure that may pass, since the last answer.
    passing: Option<AgentError>,
}

impl Verdict {
    /// A turn has ended so: with an answer, and what broke it off before it was complete, or without.
    pub fn ended(&mut self, now: Timestamp, answer: Result<Option<&AgentError>, &AgentError>) {
        let ailment = match answer {
            Ok(Some(broke)) => {
                self.has_answered = true;
                Some((Ailment::Fails, broke))
            }
            Err(error) if matches!(error.again, Again::After(_) | Again::Briefly(_)) => {
                self.passing = Some(error.clone());
                return;
            }
            Err(error) if FAILURES.contains(&error.code) => Some((Ailment::Fails, error)),
            Err(error) if REFUSALS.contains(&error.code) => Some((Ailment::Refuses, error)),
            Ok(None) | Err(_) => None,
        };
        match ailment {
            Some((ailment, error)) => {
                self.refusals = self.refusals.saturating_add(if error.code == OF_ALL { 2 } else { 1 });
                let since = self.trouble.as_ref().map_or(now, |trouble| trouble.since);
                self.trouble = Some(Trouble { since, why: error.detail.clone(), code: None, ailment });
                if error.again == Again::Never {
                    self.passing = None;
                }
            }
            // What was refused for its own sake was read all the same.
            None => *self = Self { has_answered: true, ..Self::default() },
        }
    }

    /// Nothing was asked yet.
    pub fn is_untried(&self) -> bool {
        !self.has_answered && self.refusals == 0
    }

    /// The last failure that may pass, since the last answer.
    pub fn passing(&self) -> Option<&AgentError> {
        self.passing.as_ref()
    }

    /// Why it refuses what it is asked, or fails at it.
    pub fn trouble(&self) -> Option<&Trouble> {
        self.trouble.as_ref().filter(|_| !self.has_answered || self.refusals >= REFUSALS_MIN)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Now;

    #[test]
    fn a_refusal_of_all_stands_with_its_first_date_until_something_is_answered() {
        let error =
            |code, again| AgentError { code, told: String::new(), detail: "it said 401".to_owned(), again };
        let (mut verdict, now) = (Verdict::default(), Now::read().wall);
        let later = now + jiff::SignedDuration::from_secs(60);
        verdict.ended(now, Err(&error("agent_unreachable", Again::After(std::time::Duration::ZERO))));
        assert!(verdict.is_untried() && verdict.trouble().is_none(), "what may pass says nothing");
        verdict.ended(now, Err(&error("agent_key_refused", Again::Never)));
        verdict.ended(later, Err(&error("agent_key_refused", Again::Never)));
        let refuses = verdict.trouble().unwrap();
        assert_eq!(
            (refuses.since, refuses.why.as_str(), refuses.ailment),
            (now, "it said 401", Ailment::Refuses)
        );
        verdict.ended(later, Err(&error("agent_content_refused", Again::Never)));
        assert!(verdict.trouble().is_none() && !verdict.is_untried());
        for count in 1..=REFUSALS_MIN {
            verdict.ended(later, Err(&error("agent_model_unknown", Again::Never)));
            assert_eq!(verdict.trouble().is_some(), count == REFUSALS_MIN, "one may be its message's own");
        }
        assert_eq!(verdict.trouble().unwrap().since, later);
        verdict.ended(later, Ok(None));
        assert!(verdict.trouble().is_none());
        for is_refused in [false, true] {
            verdict.ended(now, Err(&error("agent_key_refused", Again::Never)));
            assert_eq!(verdict.trouble().is_some(), is_refused, "a key is refused for every message");
        }
    }

    #[test]
    fn an_agent_that_fails_at_everything_is_said_to_fail_and_one_failure_between_answers_is_nothing() {
        let failed = |code| AgentError {
            code,
            told: String::new(),
            detail: "it ended".to_owned(),
            again: Again::Once,
        };
        let now = Now::read().wall;
        for code in FAILURES {
            let mut verdict = Verdict::default();
            verdict.ended(now, Err(&failed(code)));
            let trouble = verdict.trouble().unwrap();
            assert_eq!((trouble.why.as_str(), trouble.ailment), ("it ended", Ailment::Fails), "{code}");
            assert!(!verdict.is_untried());
            for _ in 0..5 {
                verdict.ended(now, Ok(None));
                verdict.ended(now, Err(&failed(code)));
                assert!(verdict.trouble().is_none(), "{code}");
            }
            verdict.ended(now, Err(&failed(code)));
            verdict.ended(now, Err(&failed(code)));
            assert!(verdict.trouble().is_some(), "{code}");
        }
    }

    #[test]
    fn answers_that_break_off_one_after_the_other_are_a_failure_and_one_of_them_is_not() {
        let detail = "it ended early".to_owned();
        let broke = AgentError { code: "agent_broke_off", told: String::new(), detail, again: Again::Once };
        let (mut verdict, now) = (Verdict::default(), Now::read().wall);
        for count in 1..=REFUSALS_MIN {
            verdict.ended(now, Ok(Some(&broke)));
            assert_eq!(
                verdict.trouble().is_some(),
                count == REFUSALS_MIN && !verdict.is_untried(),
                "{count}"
            );
        }
        assert_eq!(verdict.trouble().unwrap().why, "it ended early");
        verdict.ended(now, Ok(None));
        assert!(verdict.trouble().is_none());
    }
}
