//! Pure. The presence of a gateway, and whether its word may be believed: by who holds the lock, what came back from the control
//! socket, what the status file says, and how the process is.

use jiff::Timestamp;

use crate::client::request::Word;
use crate::durable::Holder;
use crate::gateway::model::snapshot::{GatewayState, Snapshot};

/// The view from outside.
#[derive(Debug)]
pub struct Evidence {
    /// The holder of the home's lock.
    pub holder: Option<Holder>,
    /// When the socket was asked.
    pub asked_at: Timestamp,
    /// The answer from it.
    pub word: Word,
    /// The document in the status file.
    pub written: Option<Snapshot>,
    /// When the holder of the lock was started, by its pid file.
    pub started_at: Option<Timestamp>,
    /// The document in the status file is of the holder of the lock, and not of a gateway before it.
    pub is_holders: bool,
    /// The holder's process is stopped (SIGSTOP, Ctrl-Z).
    pub is_stopped: bool,
}

/// The presence of a gateway.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Presence {
    /// None does.
    Absent,
    /// It holds the lock, and has not begun its work, or has just ended it.
    Starting,
    /// It answers.
    Answering,
    /// Its status file is fresh, and its control socket is gone.
    WithoutSocket,
    /// It holds the lock, and does not answer.
    Mute(Silence),
}

/// Why a gateway does not answer, as far as that can be seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Silence {
    /// Its process is stopped.
    Stopped,
    /// Its process answers, and its loop does not turn.
    Loop,
    /// Nothing more is known.
    Unknown,
}

impl Presence {
    /// True when its word on its platforms may be believed.
    pub fn is_believed(self) -> bool {
        matches!(self, Self::Answering | Self::WithoutSocket)
    }
}

impl Evidence {
    /// The verdict at this moment, and the gateway's own last word.
    pub fn judge(self, now: Timestamp) -> (Presence, Option<Snapshot>) {
        let Self { holder, asked_at, word, written, is_holders, is_stopped, .. } = self;
        let silence = if is_stopped { Silence::Stopped } else { Silence::Unknown };
        match (word, holder) {
            (Word::State(said), _) => {
                // Its loop was asked, and has not turned since.
                let is_old = said.updated_at < asked_at && !has_ended(&said);
                let presence = if is_old { Presence::Mute(Silence::Loop) } else { Presence::Answering };
                (presence, Some(*said))
            }
            (Word::Starting, _) => (Presence::Starting, None),
            (Word::Mute, _) => (Presence::Mute(silence), written.filter(|_| is_holders)),
            (Word::Nothing, None) => (Presence::Absent, written),
            (Word::Nothing, Some(_)) => match written.filter(|_| is_holders) {
                Some(last) if has_ended(&last) => (Presence::Starting, None),
                Some(last) if is_stopped || !last.is_fresh(now) => (Presence::Mute(silence), Some(last)),
                Some(last) => (Presence::WithoutSocket, Some(last)),
                None if is_stopped => (Presence::Mute(silence), None),
                None => (Presence::Starting, None),
            },
        }
    }
}

fn has_ended(snapshot: &Snapshot) -> bool {
    matches!(snapshot.gateway_state, GatewayState::Stopped | GatewayState::StartupFailed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gateway::model::snapshot::tests::example;

    fn seconds(count: i64) -> jiff::SignedDuration {
        jiff::SignedDuration::from_secs(count)
    }

    /// A gateway that runs and answers with this.
    fn evidence(word: Word) -> Evidence {
        Evidence {
            holder: Some(Holder { pid: Some(1) }),
            asked_at: example().updated_at,
            word,
            written: Some(example()),
            started_at: None,
            is_holders: true,
            is_stopped: false,
        }
    }

    fn judge(evidence: Evidence) -> Presence {
        evidence.judge(example().updated_at + seconds(5)).0
    }

    #[test]
    fn a_gateway_that_answers_runs_whatever_else_is_seen() {
        let said = || Word::State(Box::new(example()));
        assert_eq!(judge(evidence(said())), Presence::Answering);
        assert_eq!(judge(Evidence { holder: None, written: None, ..evidence(said()) }), Presence::Answering);
        assert_eq!(judge(evidence(Word::Starting)), Presence::Starting);
    }

    #[test]
    fn an_answer_that_is_older_than_the_question_is_of_a_loop_that_stands_still() {
        let old = Evidence {
            asked_at: example().updated_at + seconds(1),
            ..evidence(Word::State(Box::new(example())))
        };
        assert_eq!(judge(old), Presence::Mute(Silence::Loop));
        let ended = Snapshot { gateway_state: GatewayState::Stopped, ..example() };
        let old = Evidence {
            asked_at: example().updated_at + seconds(1),
            ..evidence(Word::State(Box::new(ended)))
        };
        assert_eq!(judge(old), Presence::Answering, "the loop has ended in order");
    }

    #[test]
    fn a_fresh_file_does_not_speak_for_a_process_that_does_not_answer() {
        assert_eq!(judge(evidence(Word::Mute)), Presence::Mute(Silence::Unknown));
        let stopped = Evidence { is_stopped: true, ..evidence(Word::Mute) };
        assert_eq!(judge(stopped), Presence::Mute(Silence::Stopped));
        let (presence, last) =
            Evidence { is_holders: false, ..evidence(Word::Mute) }.judge(example().updated_at);
        assert_eq!((presence, last), (Presence::Mute(Silence::Unknown), None), "of a gateway before it");
    }

    #[test]
    fn without_a_socket_the_lock_and_the_file_tell() {
        assert_eq!(judge(Evidence { holder: None, ..evidence(Word::Nothing) }), Presence::Absent);
        assert_eq!(judge(evidence(Word::Nothing)), Presence::WithoutSocket);
        let (presence, _) = evidence(Word::Nothing).judge(example().updated_at + seconds(60));
        assert_eq!(presence, Presence::Mute(Silence::Unknown), "it holds the lock and writes no more");
        assert_eq!(
            judge(Evidence { is_stopped: true, ..evidence(Word::Nothing) }),
            Presence::Mute(Silence::Stopped)
        );
        let before = Evidence { is_holders: false, ..evidence(Word::Nothing) };
        assert_eq!(judge(before), Presence::Starting, "the file is of another life");
        assert_eq!(judge(Evidence { written: None, ..evidence(Word::Nothing) }), Presence::Starting);
        let ended = Snapshot { gateway_state: GatewayState::Stopped, ..example() };
        let ending = Evidence { written: Some(ended), ..evidence(Word::Nothing) };
        assert_eq!(judge(ending), Presence::Starting, "it leaves, or the next life begins");
    }
}
