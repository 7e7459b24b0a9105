//! Pure. The parts of a message that hermes does not take: reported to the agent, and to the sender.

use crate::gateway::model::message::InboundMessage;

/// Longest text that is taken, in bytes: more than any person types.
pub const TEXT_LEN_MAX: usize = 1 << 20;

/// Cuts a text that is too long, and says at its end that it was cut, here or by its platform.
pub fn cut(message: &mut InboundMessage) {
    let text = &mut message.text.0;
    if text.len() > TEXT_LEN_MAX {
        message.cut_from.get_or_insert(text.len());
        text.truncate(text.floor_char_boundary(TEXT_LEN_MAX));
    }
    if message.cut_from.is_some() {
        text.push_str("\n[message cut: too long]");
    }
}

/// Returns the notice for the sender; `None` where the whole message was taken.
pub fn told(message: &InboundMessage) -> Option<String> {
    let long = message
        .cut_from
        .map(|len| format!("Your message is too long ({}). I received only its beginning.", size(len)));
    let refused = message.attachments.iter().filter_map(|attachment| {
        let why = attachment.error.as_ref()?;
        Some(format!("I did not get your {}: {why}.", attachment.label()))
    });
    let lines: Vec<String> = long.into_iter().chain(refused).collect();
    (!lines.is_empty()).then(|| lines.join("\n"))
}

/// Returns a size in decimal units, as people are used to from their files.
fn size(len: usize) -> String {
    match len {
        0..1_000_000 => format!("{} kB", len.div_ceil(1000)),
        _ => format!("{}.{} MB", len / 1_000_000, len / 100_000 % 10),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gateway::model::message::Attachment;
    use crate::gateway::model::message::testing::message;
    use crate::sensitive::Private;

    #[test]
    fn a_text_that_is_too_long_is_cut_between_characters_and_says_so() {
        let mut whole = message("A", "1", &"x".repeat(TEXT_LEN_MAX));
        cut(&mut whole);
        assert_eq!((whole.text.0.len(), whole.cut_from, told(&whole)), (TEXT_LEN_MAX, None, None));

        let mut long = message("A", "1", &"ü".repeat(TEXT_LEN_MAX));
        long.text.0.insert(0, 'x');
        cut(&mut long);
        assert_eq!(long.cut_from, Some(2 * TEXT_LEN_MAX + 1));
        let (text, said) = long.text.0.split_once('\n').unwrap();
        assert_eq!((text.len(), said), (TEXT_LEN_MAX - 1, "[message cut: too long]"));
        assert_eq!(told(&long).unwrap(), "Your message is too long (2.0 MB). I received only its beginning.");

        let mut by_its_platform = message("A", "1", "the beginning");
        by_its_platform.cut_from = Some(140_001);
        cut(&mut by_its_platform);
        assert!(by_its_platform.text.0.ends_with("too long]"));
        assert!(told(&by_its_platform).unwrap().contains("(141 kB)"));
    }

    #[test]
    fn whoever_sent_an_attachment_that_was_not_fetched_hears_which_and_why() {
        let attachment = |name: &str, error: Option<&str>| Attachment {
            kind: "document".to_owned(),
            path: None,
            mime: None,
            file_name: Some(Private(name.to_owned())),
            error: error.map(str::to_owned),
        };
        let mut sent = message("A", "1", "look");
        sent.attachments = vec![attachment("a.pdf", None)];
        assert_eq!(told(&sent), None);
        sent.attachments.push(attachment("b\n.zip", Some("it is larger than the limit")));
        cut(&mut sent);
        assert_eq!(told(&sent).unwrap(), "I did not get your document b.zip: it is larger than the limit.");
        assert_eq!(sent.text.0, "look");
    }
}
