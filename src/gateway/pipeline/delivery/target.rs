//! Pure. The address of a message that is sent by hand.

use crate::gateway::model::message::ChatId;
use crate::gateway::platforms::telegram::address::Address;
use crate::platforms::Platform;
use crate::platforms::whatsapp::phone::{self, PhoneError};

/// A platform, and the chat there; without one, its home channel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// The platform.
    pub platform: Platform,
    /// The chat: a phone number as its digits, anything else as it was typed.
    pub chat: Option<String>,
}

impl Target {
    /// Reads `platform` or `platform:chat`. The text after the first colon is the chat as the platform names it: a topic of
    /// Telegram is `telegram:-100123:42`.
    ///
    /// # Errors
    /// The reason why it is not a target; for people.
    pub fn parse(text: &str) -> Result<Self, String> {
        let (name, chat) = match text.split_once(':') {
            Some((name, chat)) => (name, Some(chat.trim())),
            None => (text, None),
        };
        let platform = name.parse::<Platform>().map_err(|error| error.to_string())?;
        let invalid = |chat: &str| {
            let title = platform.spec().title;
            Err(format!("`{chat}` is not a valid chat on {title}; use {platform} or {platform}:CHAT"))
        };
        let is_chat = |chat: &str| match platform {
            Platform::Whatsapp => true,
            Platform::Telegram => Address::parse(&ChatId(chat.to_owned())).is_some(),
            Platform::Scripted(_) => !chat.is_empty(),
        };
        let chat = match chat {
            Some(chat) if platform == Platform::Whatsapp && !chat.contains('@') => {
                match phone::digits(chat) {
                    Ok(digits) => Some(digits),
                    Err(PhoneError::Empty | PhoneError::NotDigits) => return invalid(chat),
                    Err(why) => return Err(format!("`{chat}` is not a phone number: {why}")),
                }
            }
            Some(chat) if !is_chat(chat) => return invalid(chat),
            chat => chat.map(str::to_owned),
        };
        Ok(Self { platform, chat })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_is_a_platform_and_perhaps_a_chat() {
        let chat = |text: &str| Target::parse(text).map(|target| target.chat);
        assert_eq!(chat("WhatsApp"), Ok(None));
        assert_eq!(chat("whatsapp:+1 555 0100"), Ok(Some("15550100".to_owned())));
        assert_eq!(chat("whatsapp:+49 (0)171 2345678"), Ok(Some("491712345678".to_owned())));
        assert!(
            chat("whatsapp:015112345678").unwrap_err().contains("it starts with 0; use the country code")
        );
        assert!(chat("whatsapp:12345").unwrap_err().contains("too short"));
        assert_eq!(chat("whatsapp:900100:4@lid"), Ok(Some("900100:4@lid".to_owned())));
        assert_eq!(chat("telegram:-100123:42"), Ok(Some("-100123:42".to_owned())));
        assert_eq!(chat("telegram: 123"), Ok(Some("123".to_owned())));
        for text in ["telegram:@name", "telegram:1:2:3"] {
            assert!(chat(text).is_err(), "{text}");
        }
        for text in ["", "fax", "fax:1", "whatsapp:", "whatsapp:somebody", "whatsapp:15550100:7"] {
            assert!(chat(text).is_err(), "{text}");
        }
    }
}
