//! Pure. One name for a chat or a person of a message, whatever the spelling: by the rules of its platform's
//! [`Ids`](crate::platforms::spec::Ids).

use crate::gateway::model::message::{ChatId, ChatKey, InboundMessage};
use crate::platforms::Platform;

/// The chat of a message by its one name.
pub fn chat_key(platform: Platform, message: &InboundMessage) -> ChatKey {
    let alt = message.chat_alt.as_ref().map(|chat| chat.0.as_str());
    ChatKey { platform, chat: ChatId((platform.spec().ids.name)(&message.chat.0, alt)) }
}

/// The name by which lists know a person. An entry of a list and the ids in messages give the same; `None`: no person.
pub fn listed_name(platform: Platform, id: &str) -> Option<String> {
    (platform.spec().ids.listed)(id)
}

/// The one name of a person under one of their ids; `None`: no person.
pub fn person(platform: Platform, id: &str) -> Option<String> {
    (platform.spec().ids.person)(id)
}

/// The one name of a group.
pub fn group_name(platform: Platform, id: &str) -> String {
    (platform.spec().ids.group)(id)
}

/// True when more than two people are in the chat of this message: as it says, or as the chat's id tells.
pub fn is_group(platform: Platform, message: &InboundMessage) -> bool {
    message.is_group || (platform.spec().ids.is_group)(&message.chat.0)
}

/// The writer of a message by their one name.
pub fn writer(platform: Platform, message: &InboundMessage) -> String {
    let ids = [Some(&message.sender), message.sender_alt.as_ref()];
    let mut names = ids.into_iter().flatten().filter_map(|id| person(platform, &id.0));
    match names.next() {
        Some(first) => (platform.spec().ids.name)(&first, names.next().as_deref()),
        None => message.sender.0.clone(),
    }
}

/// The chat that a person named in the settings: by its address there.
pub fn channel_key(platform: Platform, channel: &str) -> ChatKey {
    ChatKey { platform, chat: ChatId((platform.spec().ids.name)(channel.trim(), None)) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gateway::model::message::testing::message;

    #[test]
    fn both_identities_of_a_chat_give_one_key() {
        let mut one = message("A", "15550100@s.whatsapp.net", "hi");
        one.chat_alt = Some(ChatId("900100@lid".into()));
        let mut other = message("B", "900100:2@lid", "hi");
        other.chat_alt = Some(ChatId("15550100@s.whatsapp.net".into()));
        assert_eq!(chat_key(Platform::Whatsapp, &one), chat_key(Platform::Whatsapp, &other));
        assert_eq!(chat_key(Platform::Whatsapp, &one).chat.0, "900100@lid");
    }
}
