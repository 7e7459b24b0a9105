//! Shows an answer while it grows: in one message, which is edited repeatedly and which the final answer replaces.
//!
//! Best effort: nothing is sent twice for it, waiting messages go first, and it ends for this turn with the first failure.
//! The message's id is stored, so that a turn that is begun again continues in it.

use std::time::Duration;

use super::turns::Turns;
use crate::gateway::agent::draft::Draft;
use crate::gateway::markdown::parts;
use crate::gateway::model::handle;
use crate::gateway::model::message::InboxId;
use crate::gateway::model::message::{ChatKey, InboundMessage, MessageId, OutboundMessage};
use crate::gateway::pipeline::delivery::outbox::{Claim, Outbox};
use crate::gateway::store::api::Store;
use crate::platforms::Platform;
use crate::sensitive::Private;

/// Limit below which a beginning is not worth a message.
const LEN_MIN: usize = 24;

/// The end of the shown text as long as more is to come.
pub(super) const GOES_ON: &str = " \u{2589}";

/// The end of the shown text when the turn was stopped.
pub(super) const STOPPED: &str = "\n\n(stopped)";

/// The text that replaces a preview whose answer will never be whole.
pub(super) const UNFINISHED: &str = "(not finished)";

/// Limit for each step at the end of a turn that was stopped.
const STOP_LIMIT: Duration = Duration::from_secs(1);

/// The pause between two checks for whether the chat is free.
const CLAIM_WAIT: Duration = Duration::from_millis(20);

/// The message that shows one turn's answer.
pub(super) struct Preview<'a> {
    store: &'a dyn Store,
    outbox: &'a Outbox,
    key: &'a ChatKey,
    id: InboxId,
    answers: &'a InboundMessage,
    /// The message's id, once it is sent.
    sent: Option<MessageId>,
    /// The text that it shows.
    shown: String,
    /// The beginning of the answer that it shows, in Markdown.
    draft: String,
}

impl Turns {
    /// A preview for the answer to this message. `None`: the messages of its platform cannot be changed.
    pub(super) fn preview<'a>(
        &'a self,
        key: &'a ChatKey,
        id: InboxId,
        answers: &'a InboundMessage,
        sent: Option<MessageId>,
    ) -> Option<Preview<'a>> {
        let outbox = self.outboxes.get(&key.platform)?;
        let store = self.store.as_ref();
        key.platform.spec().stream_every?;
        Some(Preview { store, outbox, key, id, answers, sent, shown: String::new(), draft: String::new() })
    }
}

impl Preview<'_> {
    /// Shows the draft as it grows, until nothing more comes.
    pub(super) async fn follow(&mut self, draft: &Draft) {
        let Some(every) = self.outbox.stream_every() else { return };
        let mut seen = LEN_MIN;
        loop {
            // An answer that is ready sooner needs no preview.
            let is_over = tokio::time::timeout(every, draft.beyond(usize::MAX)).await.is_ok();
            if is_over {
                return;
            }
            let Some(text) = draft.beyond(seen).await else { return };
            let told = shown(self.key.platform, &text, GOES_ON);
            // No more fits into the message, or nothing of it is visible yet.
            if told == self.shown || told.is_empty() {
                seen = text.len();
                continue;
            }
            // A message is to be sent, the platform is away or its rate limit is near: another time.
            let Some(claim) = self.outbox.claim_spare(self.key) else { continue };
            seen = text.len();
            if self.show(claim, told).await.is_none() {
                return;
            }
            self.draft = text;
        }
    }

    /// Ends the preview of a turn that was stopped: the shown text says so.
    pub(super) async fn stop(mut self) {
        if self.sent.is_none() || self.outbox.link().is_none() {
            return;
        }
        // The text that an earlier run has shown is not known.
        let told = if self.draft.is_empty() {
            UNFINISHED.to_owned()
        } else {
            shown(self.key.platform, &self.draft, STOPPED)
        };
        let telling = async {
            // The answer to the command that stopped it may be on its way.
            let claim = loop {
                match self.outbox.claim_spare(self.key) {
                    Some(claim) => break claim,
                    None => tokio::time::sleep(CLAIM_WAIT).await,
                }
            };
            self.show(claim, told).await
        };
        drop(tokio::time::timeout(STOP_LIMIT, telling).await);
    }

    /// Sends or changes the message. `None`: that failed, and is not to be tried again.
    async fn show(&mut self, claim: Claim, text: String) -> Option<()> {
        let message = OutboundMessage {
            chat: self.answers.chat.clone(),
            handle: handle::handle(self.key, &self.answers.id, "preview", 0),
            text: Private(text.clone()),
            is_markup: true,
            reply_to: self.answers.is_group.then(|| self.answers.id.clone()),
            fleeting: true,
            replaces: self.sent.clone(),
        };
        match claim.show(&message).await {
            Ok(sent) => {
                if self.sent.is_none() {
                    self.store.previewed(self.id, sent.clone()).await.ok()?;
                    self.sent = Some(sent);
                }
                self.shown = text;
                Some(())
            }
            Err(error) => {
                tracing::debug!(
                    platform = %self.key.platform, code = %error.code,
                    "The preview of an answer could not be updated: {error}"
                );
                None
            }
        }
    }
}

/// The shown part of an answer: as much as fits into one message.
fn shown(platform: Platform, markdown: &str, end: &str) -> String {
    parts::beginning(platform, markdown.trim_end(), end).map_or_else(String::new, |text| text + end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shown_fits_into_one_message_and_says_that_more_comes() {
        let platform = Platform::Telegram;
        assert_eq!(shown(platform, "Once upon a time \n", GOES_ON), "Once upon a time \u{2589}");
        let long = shown(platform, &"word ".repeat(2000), GOES_ON);
        assert!(long.ends_with(GOES_ON));
        let (len, max) = (platform.spec().text_unit.len(&long), platform.spec().text_len_max);
        assert!(len <= max && len > max - 10, "{len}");
        let code = shown(platform, &format!("```rust\n{}", "let a = 1;\n".repeat(1000)), STOPPED);
        assert!(
            code.ends_with(&format!("</code></pre>{STOPPED}")),
            "a block is closed where the message ends"
        );
        assert_eq!(shown(platform, " \n", GOES_ON), "");
    }
}
