//! Commands that people write in a chat: answered by the gateway itself, without the agent, by the same durable way as
//! every answer. They do not wait for the running turn of their chat.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::SetOnce;

use super::order_texts;
use super::running::Running;
use crate::clock::Now;
use crate::gateway::agent::api::Agent;
use crate::gateway::inbound::gate::Denied;
use crate::gateway::inbound::rules::Rules;
use crate::gateway::inbound::slash::{Slash, Verb};
use crate::gateway::model::command::Control;
use crate::gateway::model::command::{Answer, Command};
use crate::gateway::model::identity;
use crate::gateway::model::message::InboundMessage;
use crate::gateway::model::message::InboxId;
use crate::gateway::pipeline::brief;
use crate::gateway::sessions::Keeper;
use crate::gateway::store::api::sessions::Retried;
use crate::gateway::store::api::{Ended, InboxRow, Store, StoreError};
use crate::platforms::Platform;

/// Limit for the time that a command waits for the loop while the gateway starts.
const START_LIMIT: Duration = Duration::from_secs(10);

/// The answer when the store fails.
const UNREADABLE: &str = "I cannot look that up at the moment. Please try again.";

/// The result of a command.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Order {
    /// The answer; `None` for a sender who may no longer speak.
    pub(super) answer: Option<String>,
    /// The command for the loop, once the answer is sent.
    pub(super) then: Option<Command>,
    /// True when it has become a message for the agent: there is nothing to answer, and its turn comes.
    pub(super) is_turn: bool,
}

impl Order {
    fn say(answer: impl Into<String>) -> Self {
        Self { answer: Some(answer.into()), then: None, is_turn: false }
    }
}

/// Carries commands out.
pub(super) struct Orders {
    pub(super) rules: Arc<Rules>,
    pub(super) store: Arc<dyn Store>,
    pub(super) sessions: Arc<Keeper>,
    pub(super) running: Arc<Running>,
    pub(super) agent: Arc<dyn Agent>,
    pub(super) control: SetOnce<Control>,
    /// Commands that are being carried out.
    pub(super) under_way: Mutex<BTreeSet<InboxId>>,
}

/// Marks a command as being carried out, until this is dropped.
pub(super) struct UnderWay<'a> {
    orders: &'a Orders,
    id: InboxId,
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.orders.under_way().remove(&self.id);
    }
}

impl Orders {
    /// Sends commands to this loop from now on.
    pub(super) fn connect(&self, control: Control) {
        // A second loop would be a second gateway in one process.
        drop(self.control.set(control));
    }

    /// Claims the command, with its attempt counted. `None`: another task carries it out or has done so, because the row
    /// was read before.
    pub(super) async fn begin(&self, row: &InboxRow) -> Result<Option<UnderWay<'_>>, StoreError> {
        if !self.under_way().insert(row.id) {
            return Ok(None);
        }
        let under_way = UnderWay { orders: self, id: row.id };
        let is_ours = self.store.begin_order(row.id, row.attempts).await?;
        Ok(is_ours.then_some(under_way))
    }

    fn under_way(&self) -> MutexGuard<'_, BTreeSet<InboxId>> {
        self.under_way.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn control(&self) -> Option<&Control> {
        tokio::time::timeout(START_LIMIT, self.control.wait()).await.ok()
    }

    /// Decides about a command, and carries out the part that comes before its answer.
    pub(super) async fn carry_out(&self, platform: Platform, row: &InboxRow, order: Slash) -> Order {
        let message = &row.message;
        let may = self.rules.gate().may_steer(platform, message);
        match (order, may) {
            (_, Err(Denied::Stranger)) => Order { answer: None, then: None, is_turn: false },
            (Slash::Help, _) => Order::say(order_texts::HELP),
            (Slash::Stop, _) => self.ended(row, order_texts::stopped).await,
            (Slash::New, _) => self.ended(row, order_texts::begun).await,
            (Slash::Retry, _) => self.retry(row).await,
            (Slash::Status, _) => self.status(row).await,
            (Slash::Whoami, may) => Order::say(whoami(platform, message, may.is_ok())),
            (Slash::Platform(_), Err(Denied::NotAdmin)) => {
                Order::say("Only an admin can do that. The owner of this gateway can make you one.")
            }
            (Slash::Platform(_), Err(Denied::InGroup)) => {
                Order::say("Please send me that command in a direct chat.")
            }
            (Slash::Platform(verb), Ok(())) => self.steer(platform, verb).await,
        }
    }

    /// The command ended things on disk when it was accepted; this cuts the turn.
    async fn ended(&self, row: &InboxRow, tell: impl Fn(&Ended) -> String) -> Order {
        Order::say(
            self.store.ended_by(row.id).await.map_or_else(|_| UNREADABLE.to_owned(), |ended| tell(&ended)),
        )
    }

    async fn retry(&self, row: &InboxRow) -> Order {
        let key = self.sessions.key(&row.key, &row.message);
        match self.store.retry(row.id, &key).await {
            Ok(Retried::Queued) => Order { answer: None, then: None, is_turn: true },
            Ok(Retried::Open) => Order::say("I am still working on it."),
            Ok(Retried::Nothing) => Order::say("There is no message to retry."),
            Err(_) => Order::say(UNREADABLE),
        }
    }

    async fn status(&self, row: &InboxRow) -> Order {
        let key = self.sessions.key(&row.key, &row.message);
        let (Ok(session), Ok(ended)) = (self.sessions.open(&key).await, self.store.ended_by(row.id).await)
        else {
            return Order::say(UNREADABLE);
        };
        let now = Now::read();
        let running = self.running.of(&row.key).map(|run| now.mono.duration_since(run.since));
        let waiting = ended.waiting.saturating_sub(u64::from(running.is_some()));
        Order::say(order_texts::status(
            &order_texts::Status { session, running, waiting, agent: self.agent.about() },
            now.wall,
        ))
    }

    async fn steer(&self, here: Platform, verb: Verb) -> Order {
        let Some(control) = self.control().await else {
            return Order::say("The gateway is still starting. Please try again.");
        };
        match verb {
            Verb::Unclear => Order::say(order_texts::USAGE),
            Verb::List => match control.snapshot() {
                Some(snapshot) => Order::say(brief::platforms(&snapshot, Now::read().wall)),
                None => Order::say("The gateway is still starting. Please try again."),
            },
            // Once the pause holds, the answer could no longer be sent.
            Verb::Pause { name } if name.parse() == Ok(here) => {
                let spec = here.spec();
                Order {
                    answer: Some(format!(
                        "{} is paused after this message; I will not see your messages here until it is resumed. \
                         `hermes platform resume {}` on my machine resumes it, or `/platform resume {}` in a chat on another platform.",
                        spec.title, spec.name, spec.name
                    )),
                    then: Some(Command::Pause { platform: name }),
                    is_turn: false,
                }
            }
            Verb::Pause { name } => say(control.commands.give(Command::Pause { platform: name }).await),
            Verb::Resume { name } => say(control.commands.give(Command::Resume { platform: name }).await),
        }
    }

    /// Carries out the part that had to wait until the answer was sent.
    pub(super) async fn finish(&self, command: Command) {
        let Some(control) = self.control().await else { return };
        if let Err(error) = control.commands.give(command).await {
            tracing::warn!(code = error.code(), "A chat command failed: {error}");
        }
    }
}

fn say(answer: Answer) -> Order {
    Order::say(answer.unwrap_or_else(|error| error.to_string()))
}

fn whoami(platform: Platform, message: &InboundMessage, may_steer: bool) -> String {
    let name = |id: &str| identity::person(platform, id).unwrap_or_else(|| id.to_owned());
    let mut text = format!("I know you as {}", name(&message.sender.0));
    if let Some(other) = &message.sender_alt {
        text.push_str(&format!(", also {}", name(&other.0)));
    }
    text.push_str(if may_steer {
        ". You can give commands to the gateway here."
    } else {
        ". You cannot give commands to the gateway here."
    });
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gateway::model::message::UserId;
    use crate::gateway::model::message::testing::message;

    #[test]
    fn everybody_is_known_by_the_spelling_of_their_platform() {
        let scripted = Platform::scripted(1).unwrap();
        for (platform, id, alt, expected) in [
            (Platform::Whatsapp, "15550100:3@s.whatsapp.net", None, "15550100@s.whatsapp.net."),
            (
                Platform::Whatsapp,
                "900100:2@lid",
                Some("15550100@s.whatsapp.net"),
                "900100@lid, also 15550100@s.whatsapp.net.",
            ),
            (scripted, "12345", None, "12345."),
            (scripted, "U02AB:x", None, "U02AB:x."),
        ] {
            let mut message = message("A", id, "/whoami");
            message.sender_alt = alt.map(|alt| UserId(alt.to_owned()));
            let text = whoami(platform, &message, true);
            assert!(text.starts_with(&format!("I know you as {expected}")), "{text}");
        }
    }
}
