//! Pure. Turns an answer into messages that the platform takes.

use crate::gateway::markdown::parts;
use crate::gateway::model::message::{ChatKey, InboundMessage, OutboundMessage};

/// The purpose of a notice that a message was given up.
pub const NOTICE: &str = "notice";

/// The parts of a reply to `message`, in order. In a group the first part refers to that message; in a chat with one person
/// this is clear without it, unless the message was given up: others may have been answered since.
pub fn parts(key: &ChatKey, message: &InboundMessage, purpose: &str, markdown: &str) -> Vec<OutboundMessage> {
    let is_reply = message.is_group || purpose == NOTICE;
    parts::messages(key, &message.id, purpose, markdown)
        .into_iter()
        .enumerate()
        .map(|(part, said)| OutboundMessage {
            chat: message.chat.clone(),
            reply_to: (is_reply && part == 0).then(|| message.id.clone()),
            ..said
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gateway::model::message::{ChatId, MessageId};
    use crate::gateway::platforms::scripted::script::{Written, inbound};
    use crate::platforms::Platform;
    use crate::sensitive::Private;

    #[test]
    fn only_what_could_stand_beside_something_else_says_what_it_replies_to() {
        let (id, chat) = ("m1".to_owned(), "c".to_owned());
        let written =
            Written { id, chat: chat.clone(), from: "ann".to_owned(), text: Private("hi".to_owned()) };
        let direct = inbound(written, 0);
        let group = InboundMessage { is_group: true, ..direct.clone() };
        let key = ChatKey { platform: Platform::scripted(9).unwrap(), chat: ChatId(chat) };
        let replies = |message: &InboundMessage, purpose: &str| -> Vec<bool> {
            let parts = parts(&key, message, purpose, &"a word ".repeat(12));
            let m1 = Some(MessageId("m1".to_owned()));
            parts.iter().map(|part| part.reply_to == m1).collect()
        };
        assert_eq!(replies(&direct, "answer"), [false, false]);
        assert_eq!(replies(&group, "answer"), [true, false]);
        assert_eq!(replies(&direct, NOTICE), [true, false]);
    }
}
