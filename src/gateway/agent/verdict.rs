//! Pure. What the last answers of an agent's service say about it: nothing yet, that it answers, or that it refuses all that it is
//! asked.

use jiff::Timestamp;

use super::api::{Again, AgentError, Trouble};

/// Failures that are not one message's own: whatever is asked next meets the same.
const REFUSALS: [&str; 5] =
    ["agent_key_refused", "agent_quota", "agent_address_unknown", "agent_model_unknown", "agent_unreachable"];

/// So many refusals in a row are the service's, where it has answered before: one may be its message's own.
const REFUSALS_MIN: u32 = 3;

/// A refusal of the key is seldom its message's own: two of them are enough.
const OF_ALL: &str = "agent_key_refused";

/// By the last turns.
#[derive(Debug, Default)]
pub struct Verdict {
    has_answered: bool,
    /// Refusals since the last answer.
    refusals: u32,
    /// The last of them, with the date of the first.
    refuses: Option<Trouble>,
}

impl Verdict {
    /// A turn has ended so.
    pub fn ended(&mut self, now: Timestamp, answer: Result<(), &AgentError>) {
        match answer {
            Err(error) if error.again != Again::Never => {}
            Err(error) if REFUSALS.contains(&error.code) => {
                self.refusals = self.refusals.saturating_add(if error.code == OF_ALL { 2 } else { 1 });
                let since = self.refuses.as_ref().map_or(now, |refuses| refuses.since);
                self.refuses = Some(Trouble { since, why: error.detail.clone(), refuses: true });
            }
            // What was refused for its own sake was read all the same.
            Ok(()) | Err(_) => *self = Self { has_answered: true, ..Self::default() },
        }
    }

    /// Nothing was asked yet.
    pub fn is_untried(&self) -> bool {
        !self.has_answered && self.refusals == 0
    }

    /// Why it refuses what it is asked.
    pub fn refuses(&self) -> Option<&Trouble> {
        self.refuses.as_ref().filter(|_| !self.has_answered || self.refusals >= REFUSALS_MIN)
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
        assert!(verdict.is_untried() && verdict.refuses().is_none(), "what may pass says nothing");
        verdict.ended(now, Err(&error("agent_key_refused", Again::Never)));
        verdict.ended(later, Err(&error("agent_key_refused", Again::Never)));
        let refuses = verdict.refuses().unwrap();
        assert_eq!((refuses.since, refuses.why.as_str(), refuses.refuses), (now, "it said 401", true));
        verdict.ended(later, Err(&error("agent_content_refused", Again::Never)));
        assert!(verdict.refuses().is_none() && !verdict.is_untried());
        for count in 1..=REFUSALS_MIN {
            verdict.ended(later, Err(&error("agent_model_unknown", Again::Never)));
            assert_eq!(verdict.refuses().is_some(), count == REFUSALS_MIN, "one may be its message's own");
        }
        assert_eq!(verdict.refuses().unwrap().since, later);
        verdict.ended(later, Ok(()));
        assert!(verdict.refuses().is_none());
        for is_refused in [false, true] {
            verdict.ended(now, Err(&error("agent_key_refused", Again::Never)));
            assert_eq!(verdict.refuses().is_some(), is_refused, "a key is refused for every message");
        }
    }
}
