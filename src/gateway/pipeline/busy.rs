//! Pure. The effect of a message on the running turn of its chat.

use std::time::Duration;

use crate::config::{Busy, TurnConfig};
use crate::gateway::inbound::join::{Candidate, Gathering, Join, Verdict};
use crate::gateway::model::message::InboundMessage;

/// The number of times in a row that a chat's turns are taken back; the next turn runs to its end, so that a person who
/// writes without a pause is answered too.
pub(super) const BACKS_MAX: u32 = 5;

/// The effect of the message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reaction {
    /// It waits for its turn.
    Waits,
    /// The turn ends, and its messages are asked again together with this one.
    TakesBack,
    /// The message is handed to the agent at work.
    Steers,
}

/// The rule by which a turn joins the messages that wait, from these settings.
pub(super) fn join(terms: &TurnConfig) -> Join {
    Join { window: terms.join_window, all: terms.busy == Busy::Interrupt, aside: None }
}

/// Shortest rest after a turn that was taken back.
const REST_MIN: Duration = Duration::from_millis(50);

/// The rest before the messages of a turn that was taken back are asked again: more may follow as quickly as the last one did
/// after the one before (`pause`). What a person types takes the whole window; what is forwarded together, a fraction.
pub(super) fn rest(pause: Duration, window: Duration) -> Duration {
    window.min(REST_MIN.max(4 * pause))
}

/// Decides. A turn is taken back only for a message that its next attempt will include; so the check is the same as the claim's.
pub(super) fn react(
    terms: &TurnConfig,
    backs: u32,
    asked: &InboundMessage,
    gathering: &mut Gathering,
    next: Candidate<'_>,
) -> Reaction {
    match gathering.take(asked, next, join(terms)) {
        Verdict::Joined if backs < BACKS_MAX => Reaction::TakesBack,
        Verdict::Joined | Verdict::TooLate if terms.busy == Busy::Steer => Reaction::Steers,
        Verdict::Joined | Verdict::TooLate | Verdict::Apart => Reaction::Waits,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gateway::model::message::UserId;
    use crate::gateway::model::message::testing::message;
    use crate::platforms::Platform;

    fn reaction(busy: Busy, pause_ms: i64, backs: u32, change: impl Fn(&mut InboundMessage)) -> Reaction {
        let terms = TurnConfig { busy, join_window: Duration::from_millis(600), ..TurnConfig::default() };
        let first = message("A", "15550101@s.whatsapp.net", "one");
        let mut next = message("B", "15550101@s.whatsapp.net", "two");
        change(&mut next);
        let candidate =
            |message, at_ms| Candidate { platform: Platform::Whatsapp, message, at_ms, attempts: 0 };
        let mut gathering = Gathering::of(candidate(&first, 0));
        react(&terms, backs, &first, &mut gathering, candidate(&next, pause_ms))
    }

    #[test]
    fn what_belongs_together_takes_a_young_turn_back_and_the_rest_goes_by_the_setting() {
        let plain = |_: &mut InboundMessage| {};
        for (busy, late) in [
            (Busy::Queue, Reaction::Waits),
            (Busy::Interrupt, Reaction::TakesBack),
            (Busy::Steer, Reaction::Steers),
        ] {
            assert_eq!(reaction(busy, 300, 0, plain), Reaction::TakesBack, "{busy:?}");
            assert_eq!(reaction(busy, 5000, 0, plain), late, "{busy:?}");
            assert_eq!(reaction(busy, 0, 0, |next| next.text.0 = "/help".into()), Reaction::Waits);
            let other = |next: &mut InboundMessage| next.sender = UserId("15550102@s.whatsapp.net".into());
            assert_eq!(reaction(busy, 0, 0, other), Reaction::Waits, "somebody else disturbs nobody");
        }
    }

    #[test]
    fn the_rest_is_as_long_as_the_messages_are_apart() {
        let [window, ms] = [600, 1].map(Duration::from_millis);
        for (pause, expected) in [(0, 50), (10, 50), (60, 240), (200, 600), (900, 600)] {
            assert_eq!(rest(ms * pause, window), ms * expected, "{pause}");
        }
        assert_eq!(rest(ms, Duration::ZERO), Duration::ZERO, "nothing is joined");
    }

    #[test]
    fn whoever_writes_without_a_pause_is_answered_too() {
        assert_eq!(reaction(Busy::Interrupt, 0, BACKS_MAX - 1, |_| {}), Reaction::TakesBack);
        assert_eq!(reaction(Busy::Interrupt, 0, BACKS_MAX, |_| {}), Reaction::Waits);
        assert_eq!(reaction(Busy::Steer, 0, BACKS_MAX, |_| {}), Reaction::Steers);
    }
}
