//! Pure. The id of a message that we send, chosen before it is sent.
//!
//! It is derived from the answered message, so that the same part of the same answer has the same id after any crash: where
//! a platform takes ids from us, a repeat is not a second message, and its echo is recognised.

use std::fmt::Write;

use sha2::{Digest, Sha256};

use crate::gateway::model::message::{ChatKey, MessageId};

/// The id of one part of a reply to one message. `purpose` separates an answer from a notice.
///
/// The form is that of WhatsApp's own web clients: `3EB0` and 18 hexadecimal digits.
pub fn handle(key: &ChatKey, answers: &MessageId, purpose: &str, part: usize) -> String {
    let mut hash = Sha256::new();
    for piece in [key.platform.spec().name, &key.chat.0, &answers.0, purpose, &part.to_string()] {
        // A length before each piece, so that no two lists of pieces look the same.
        hash.update(u64::try_from(piece.len()).expect("a usize fits").to_be_bytes());
        hash.update(piece.as_bytes());
    }
    let mut id = String::from("3EB0");
    for byte in &hash.finalize()[..9] {
        write!(id, "{byte:02X}").expect("a String takes everything");
    }
    id
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gateway::model::message::ChatId;
    use crate::platforms::Platform;

    #[test]
    fn a_handle_is_stable_and_each_part_has_its_own() {
        let key = ChatKey { platform: Platform::Whatsapp, chat: ChatId("900100@lid".into()) };
        let id = MessageId("A".into());
        let one = handle(&key, &id, "answer", 0);
        assert_eq!(one, handle(&key, &id, "answer", 0));
        assert!(one.len() == 22 && one.starts_with("3EB0"));
        assert!(one.chars().all(|c| matches!(c, '0'..='9' | 'A'..='F')), "{one}");
        for other in [
            handle(&key, &id, "answer", 1),
            handle(&key, &id, "notice", 0),
            handle(&key, &MessageId("B".into()), "answer", 0),
        ] {
            assert_ne!(one, other);
        }
    }
}
