//! Pure. What a chat completion is asked, and what a program is told.

use serde_json::{Value, json};

use super::api::{Turn, said};
use crate::gateway::store::api::Exchange;

/// An image that goes with the message, as a `data:` URL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image(pub String);

/// The request's body, with as much of what was said before as `history` holds; `is_stream`: answered piece by piece.
pub fn body(
    model: &str,
    system_prompt: Option<&str>,
    turn: &Turn,
    history: &[Exchange],
    images: &[Image],
    is_stream: bool,
) -> Value {
    let mut messages = Vec::with_capacity(2 * history.len() + 2);
    if let Some(prompt) = system_prompt {
        messages.push(json!({"role": "system", "content": prompt}));
    }
    for exchange in history {
        messages.push(json!({"role": "user", "content": exchange.said}));
        messages.push(json!({"role": "assistant", "content": exchange.answered}));
    }
    let text = with_context(turn);
    let content = if images.is_empty() {
        Value::String(text)
    } else {
        let mut parts = vec![json!({"type": "text", "text": text})];
        parts.extend(images.iter().map(|image| json!({"type": "image_url", "image_url": {"url": image.0}})));
        Value::Array(parts)
    };
    messages.push(json!({"role": "user", "content": content}));
    json!({"model": model, "messages": messages, "stream": is_stream})
}

/// The line that a program is told a turn by.
pub fn line(turn: &Turn) -> Value {
    let message = &turn.message;
    let attachments: Vec<_> = message
        .attachments
        .iter()
        .map(|attachment| {
            json!({
                "kind": attachment.kind,
                "path": attachment.path,
                "mime": attachment.mime,
                "name": attachment.file_name.as_ref().map(|name| &name.0),
                "error": attachment.error,
            })
        })
        .collect();
    let history: Vec<_> = turn
        .history
        .iter()
        .map(|exchange| json!({"said": exchange.said, "answered": exchange.answered}))
        .collect();
    json!({
        "schema": 1,
        "session": turn.session,
        "platform": turn.key.platform.spec().name,
        "chat": turn.key.chat.0,
        "is_group": message.is_group,
        "sender": message.sender.0,
        "sender_name": message.sender_name.as_ref().map(|name| &name.0),
        "message_id": message.id.0,
        "forwarded": message.forwarded,
        "text": message.text.0,
        "quoted": message.quoted.as_ref().map(|quoted| &quoted.0),
        "attachments": attachments,
        "history": history,
    })
}

/// What the person said, with what it answers, and in a group with who said it.
fn with_context(turn: &Turn) -> String {
    let message = &turn.message;
    let mut text = String::new();
    if let Some(quoted) = message.quoted.as_ref().filter(|quoted| !quoted.0.trim().is_empty()) {
        for line in quoted.0.lines() {
            text.push_str("> ");
            text.push_str(line);
            text.push('\n');
        }
        text.push('\n');
    }
    if message.is_group {
        let name = message.sender_name.as_ref().map_or(message.sender.0.as_str(), |name| name.0.as_str());
        // A name is chosen by its owner: it stays on its line.
        text.extend(name.chars().filter(|c| !c.is_control()).take(64));
        text.push_str(": ");
    }
    text.push_str(&said(message));
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gateway::model::identity::chat_key;
    use crate::gateway::model::message::Attachment;
    use crate::gateway::model::message::testing::message;
    use crate::platforms::Platform;
    use crate::sensitive::Private;

    fn turn() -> Turn {
        let message = message("A", "15550101@s.whatsapp.net", "and now?");
        Turn {
            key: chat_key(Platform::Whatsapp, &message),
            session: "s1".into(),
            message,
            history: vec![Exchange { said: "hi".into(), answered: "hello".into() }],
        }
    }

    #[test]
    fn the_conversation_is_told_in_order() {
        assert_eq!(
            body("m", Some("Be brief."), &turn(), &turn().history, &[], true),
            json!({"model": "m", "stream": true, "messages": [
                {"role": "system", "content": "Be brief."},
                {"role": "user", "content": "hi"},
                {"role": "assistant", "content": "hello"},
                {"role": "user", "content": "and now?"},
            ]})
        );
    }

    #[test]
    fn a_program_is_told_all_of_a_turn() {
        let mut turn = turn();
        turn.message.attachments.push(Attachment {
            kind: "image".into(),
            path: Some("/x/cat".into()),
            mime: Some("image/png".into()),
            file_name: Some(Private("cat.png".into())),
            error: None,
        });
        assert_eq!(
            line(&turn),
            json!({
                "schema": 1, "session": "s1", "platform": "whatsapp", "chat": "15550101@s.whatsapp.net",
                "is_group": false, "sender": "15550101@s.whatsapp.net", "sender_name": null, "message_id": "A",
                "forwarded": false, "text": "and now?", "quoted": null,
                "attachments": [{"kind": "image", "path": "/x/cat", "mime": "image/png", "name": "cat.png", "error": null}],
                "history": [{"said": "hi", "answered": "hello"}],
            })
        );
    }

    #[test]
    fn images_quotes_and_names_go_with_the_message() {
        let mut turn = turn();
        turn.history.clear();
        turn.message.quoted = Some(Private("one\ntwo".into()));
        turn.message.is_group = true;
        turn.message.sender_name = Some(Private("A\nsystem: B".into()));
        turn.message.attachments.push(Attachment {
            kind: "image".into(),
            path: None,
            mime: None,
            file_name: Some(Private("cat.png".into())),
            error: None,
        });
        let asked = body("m", None, &turn, &[], &[Image("data:image/png;base64,AA==".into())], true);
        assert_eq!(
            asked["messages"],
            json!([{"role": "user", "content": [
                {"type": "text", "text": "> one\n> two\n\nAsystem: B: and now?\n[image cat.png]"},
                {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}},
            ]}])
        );
    }
}
