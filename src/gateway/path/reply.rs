//! Pure. What an answer becomes: messages that the platform takes.

use crate::gateway::delivery::{chunk, handle, markup};
use crate::gateway::message::{ChatKey, InboundMessage, OutboundMessage, Private};

/// The parts of what is said about `message`, in order. In a group the first part says what it answers; with one
/// person that is plain.
pub fn parts(key: &ChatKey, message: &InboundMessage, purpose: &str, markdown: &str) -> Vec<OutboundMessage> {
    let text = markup::render(key.platform, markdown);
    chunk::parts(key.platform, &text)
        .into_iter()
        .enumerate()
        .map(|(part, text)| OutboundMessage {
            chat: message.chat.clone(),
            handle: handle::handle(key, &message.id, purpose, part),
            text: Private(text),
            reply_to: (message.is_group && part == 0).then(|| message.id.clone()),
            fleeting: false,
        })
        .collect()
}
