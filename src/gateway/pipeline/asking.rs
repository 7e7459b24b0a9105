//! Asks the agent: the input of one turn, and everything that happens while its answer is awaited.

use std::pin::pin;
use std::time::Duration;

use futures_util::future::{Either, select};

use super::preview::Preview;
use super::running::{Cut, News, RunGuard};
use super::turns::Turns;
use crate::clock::Now;
use crate::gateway::agent::api::{Again, AgentError, HISTORY_BYTES_MAX, Turn};
use crate::gateway::agent::draft::Draft;
use crate::gateway::inbound::join::{Candidate, Gathering, merged};
use crate::gateway::model::message::InboxId;
use crate::gateway::model::message::{InboundMessage, MessageId};
use crate::gateway::store::api::{Exchange, Finish, InboxRow, StoreError};

/// The delay before "typing…" is shown: quick answers do without it.
const TYPING_AFTER: Duration = Duration::from_millis(300);

/// The pause between two "typing…": WhatsApp drops it after some 25 s.
const TYPING_EVERY: Duration = Duration::from_secs(10);

/// Limit for one "typing…": it is best effort and holds up nothing for longer.
const TYPING_LIMIT: Duration = Duration::from_secs(5);

/// Limit for a preview that is being sent when its turn is ended early.
const EARLY_LIMIT: Duration = Duration::from_secs(1);

pub(super) const TOOK_TOO_LONG: &str = "The agent took too long, so I stopped it. Send /retry to ask again.";

/// The input of one turn.
pub(super) struct Asked {
    /// The messages, oldest first; at least one.
    pub(super) ids: Vec<InboxId>,
    pub(super) message: InboundMessage,
    pub(super) gathering: Gathering,
    /// The message that shows the answer, from an earlier turn that did not finish.
    pub(super) preview: Option<MessageId>,
}

impl Asked {
    /// Built from at least one row.
    pub(super) fn of(rows: Vec<InboxRow>) -> Self {
        let mut gathering = Gathering::default();
        for row in &rows {
            // The claim has decided that they belong together.
            gathering.add(Candidate {
                platform: row.key.platform,
                message: &row.message,
                at_ms: row.at_ms,
                attempts: row.attempts - 1,
            });
        }
        let ids = rows.iter().map(|row| row.id).collect();
        let preview = rows.first().and_then(|row| row.preview.clone());
        let message = merged(rows.into_iter().map(|row| row.message).collect());
        Self { ids, message: message.expect("a turn has a message"), gathering, preview }
    }
}

/// The reason why a turn ended early.
pub(super) enum Early {
    /// A command or a message in its chat ended it.
    Cut(Cut),
    /// The gateway stops.
    Leaving,
    /// The conversation's history cannot be read.
    Failed(StoreError),
}

/// The result of a turn that was not ended early.
pub(super) struct Ended {
    pub(super) answer: Result<String, AgentError>,
    /// Messages that were handed to the agent while it worked.
    pub(super) steered: Vec<InboxRow>,
}

impl Turns {
    /// Asks the agent, applies what happens to the turn meanwhile, and shows the answer as it grows.
    pub(super) async fn ask(
        &self,
        turn: Turn,
        run: &mut RunGuard,
        mut preview: Option<Preview<'_>>,
    ) -> Result<Ended, Early> {
        let draft = Draft::default();
        let asked = {
            let asking = pin!(async {
                let asked = self.ask_beside(turn, run, &draft).await;
                draft.finish();
                asked
            });
            let showing = pin!(async {
                if let Some(preview) = &mut preview {
                    preview.follow(&draft).await;
                }
            });
            match select(asking, showing).await {
                Either::Right(((), asking)) => asking.await,
                // The preview that is being sent is the message that the answer replaces.
                Either::Left((asked, showing)) if asked.is_ok() => {
                    showing.await;
                    asked
                }
                Either::Left((asked, showing)) => {
                    drop(tokio::time::timeout(EARLY_LIMIT, showing).await);
                    asked
                }
            }
        };
        if let (Err(Early::Cut(Cut::Stopped)), Some(preview)) = (&asked, preview) {
            preview.stop().await;
        }
        asked
    }

    async fn ask_beside(&self, turn: Turn, run: &mut RunGuard, draft: &Draft) -> Result<Ended, Early> {
        let key = turn.key.clone();
        let mut steered = Vec::new();
        let mut answering = pin!(self.answer(turn, draft));
        loop {
            tokio::select! {
                biased;
                answer = &mut answering => return Ok(Ended { answer, steered }),
                news = run.news() => match news {
                    News::Cut(cut) => {
                        // The stop was committed for the turn's own messages only, not for those handed over since.
                        if let (Cut::Stopped, [first, with @ ..]) = (cut, &steered[..]) {
                            let with = with.iter().map(|row: &InboxRow| row.id).collect();
                            self.finish(&key, first.id, Finish { with, ..Finish::default() }).await;
                        }
                        return Err(Early::Cut(cut));
                    }
                    // A message that the agent does not take waits for its own turn.
                    News::More(row) => {
                        if self.agent.steer(&key, &row.message) {
                            steered.push(*row);
                        } else {
                            run.takes_no_more();
                        }
                    }
                },
                () = self.stop.cancelled() => return Err(Early::Leaving),
            }
        }
    }

    /// Asks the agent, and once more where it ended before it said anything.
    async fn answer_of(&self, turn: Turn, draft: &Draft) -> Result<String, AgentError> {
        match self.agent.answer(turn.clone(), draft).await {
            Err(error) if error.again == Again::Once => {
                if let Some(more) = self.repeats.say(Now::read().mono, &format!("again {}", error.kind())) {
                    tracing::info!(
                        code = "agent_asked_again", platform = %turn.key.platform,
                        "Asking the agent again: {}{more}", error.detail
                    );
                }
                self.agent.answer(turn, draft).await
            }
            answer => answer,
        }
    }

    /// Asks the agent, and shows "typing…" meanwhile.
    async fn answer(&self, turn: Turn, draft: &Draft) -> Result<String, AgentError> {
        let key = turn.key.clone();
        let chat = turn.message.chat.clone();
        let outbox = self.outboxes.get(&key.platform);
        let mut is_shown = false;
        // An agent ends within its own limit; this one holds when it does not.
        let limit = self.terms().timeout;
        let answer = {
            let typing = async {
                tokio::time::sleep(TYPING_AFTER).await;
                loop {
                    if let Some(link) = outbox.and_then(|outbox| outbox.free_link(&chat)) {
                        is_shown = true;
                        drop(tokio::time::timeout(TYPING_LIMIT, link.typing(&chat, true)).await);
                    }
                    tokio::time::sleep(TYPING_EVERY).await;
                }
            };
            tokio::select! {
                answer = self.answer_of(turn, draft) => answer,
                () = tokio::time::sleep(limit) => Err(AgentError {
                    code: "agent_hung",
                    told: TOOK_TOO_LONG.to_owned(),
                    detail: format!("no answer within {} s", limit.as_secs()),
                    again: Again::Never,
                }),
                () = typing => unreachable!("it shows typing until it is dropped"),
            }
        };
        if is_shown && let Some(link) = outbox.and_then(|outbox| outbox.free_link(&chat)) {
            drop(tokio::time::timeout(TYPING_LIMIT, link.typing(&chat, false)).await);
        }
        answer
    }
}

/// The newest exchanges that fit.
pub(super) fn within_bytes(mut history: Vec<Exchange>) -> Vec<Exchange> {
    let mut bytes = 0;
    let kept = history
        .iter()
        .rev()
        .take_while(|exchange| {
            bytes += exchange.said.len() + exchange.answered.len();
            bytes <= HISTORY_BYTES_MAX
        })
        .count();
    history.split_off(history.len() - kept)
}
