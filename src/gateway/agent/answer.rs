//! Pure. The text in what a chat completion sends.

use serde::Deserialize;

/// The longest answer that is taken, in bytes: some sixty messages.
pub const ANSWER_LEN_MAX: usize = 256 << 10;

/// Said at the end of an answer that was cut.
const CUT: &str = "\n\n(The answer was too long and ends here.)";

/// What a body or an event of the service looks like, as far as it matters here.
#[derive(Deserialize)]
struct Completion {
    #[serde(default)]
    choices: Vec<Choice>,
    error: Option<serde_json::Value>,
}

#[derive(Deserialize)]
struct Choice {
    delta: Option<Said>,
    message: Option<Said>,
}

#[derive(Deserialize)]
struct Said {
    content: Option<String>,
}

/// Why the service's data is no answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unusable {
    /// Not of the form of a completion.
    Unreadable,
    /// It reports a failure; its own code for it, where it gave one.
    Failed(Option<String>),
}

/// An answer as it grows.
#[derive(Debug, Default)]
pub struct Answer {
    text: String,
    ended: bool,
}

impl Answer {
    /// Takes one event, or the body of an answer that is no stream.
    ///
    /// # Errors
    /// When it is not readable or reports a failure.
    pub fn take(&mut self, data: &str) -> Result<(), Unusable> {
        let data = data.trim();
        if data == "[DONE]" {
            self.ended = true;
        }
        if self.ended || data.is_empty() {
            return Ok(());
        }
        let completion: Completion = serde_json::from_str(data).map_err(|_| Unusable::Unreadable)?;
        if let Some(error) = completion.error.filter(|error| !error.is_null()) {
            return Err(Unusable::Failed(code(&error)));
        }
        let Some(choice) = completion.choices.into_iter().next() else { return Ok(()) };
        if let Some(piece) = choice.delta.or(choice.message).and_then(|said| said.content) {
            self.push(&piece);
        }
        Ok(())
    }

    /// Nothing was said yet.
    pub fn is_empty(&self) -> bool {
        self.text.is_empty()
    }

    /// Nothing more is wanted: it has ended, or it is too long.
    pub fn is_ended(&self) -> bool {
        self.ended
    }

    /// What was said so far.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The text, or nothing when there is none but white space.
    pub fn into_text(self) -> Option<String> {
        (!self.text.trim().is_empty()).then_some(self.text)
    }

    /// Takes a piece of text.
    pub fn push(&mut self, piece: &str) {
        let room = ANSWER_LEN_MAX - self.text.len();
        if piece.len() <= room {
            self.text.push_str(piece);
        } else {
            self.text.push_str(&piece[..piece.floor_char_boundary(room)]);
            self.text.push_str(CUT);
            self.ended = true;
        }
    }
}

/// The service's own name for a failure, from the body that reports it. Only what looks like a name: a sentence may
/// repeat what people wrote, or the key.
pub fn failure_code(body: &str) -> Option<String> {
    let body: serde_json::Value = serde_json::from_str(body).ok()?;
    code(body.get("error").unwrap_or(&body))
}

fn code(error: &serde_json::Value) -> Option<String> {
    ["code", "type"]
        .into_iter()
        .filter_map(|name| error.get(name)?.as_str())
        .find(|code| is_name(code))
        .map(str::to_owned)
}

fn is_name(code: &str) -> bool {
    (1..=40).contains(&code.len()) && code.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn delta(text: &str) -> String {
        serde_json::json!({"choices": [{"delta": {"content": text}, "index": 0}], "x": 1}).to_string()
    }

    #[test]
    fn pieces_become_one_text_until_the_end() {
        let mut answer = Answer::default();
        for event in [
            r#"{"choices":[{"delta":{"role":"assistant","content":null}}]}"#.to_owned(),
            delta("Hel"),
            delta("lo"),
            r#"{"choices":[{"delta":{},"finish_reason":"stop"}]}"#.to_owned(),
            r#"{"choices":[],"usage":{"total_tokens":3}}"#.to_owned(),
            " [DONE] ".to_owned(),
            delta("after the end"),
        ] {
            answer.take(&event).unwrap();
        }
        assert!(answer.is_ended());
        assert_eq!(answer.into_text().as_deref(), Some("Hello"));
    }

    #[test]
    fn an_answer_that_is_no_stream_counts_and_an_empty_one_is_none() {
        let mut answer = Answer::default();
        answer
            .take(r#"{"choices":[{"message":{"role":"assistant","content":"Hello"}}],"error":null}"#)
            .unwrap();
        assert_eq!(answer.into_text().as_deref(), Some("Hello"));
        let mut empty = Answer::default();
        empty.take(&delta(" \n")).unwrap();
        assert_eq!(empty.into_text(), None);
    }

    #[test]
    fn an_answer_without_end_is_cut_between_characters() {
        let mut answer = Answer::default();
        while !answer.is_ended() {
            answer.take(&delta(&"\u{e4}".repeat(1001))).unwrap();
        }
        let text = answer.into_text().unwrap();
        assert!(text.ends_with(CUT) && text.len() <= ANSWER_LEN_MAX + CUT.len());
    }

    #[test]
    fn failures_are_named_and_their_sentences_are_not_repeated() {
        let named = |body: &str| Answer::default().take(body);
        let failed = |code: Option<&str>| Err(Unusable::Failed(code.map(str::to_owned)));
        assert_eq!(
            named(r#"{"error":{"message":"hi","code":"model_not_found"}}"#),
            failed(Some("model_not_found"))
        );
        assert_eq!(named(r#"{"error":{"code":401,"type":"auth_error"}}"#), failed(Some("auth_error")));
        assert_eq!(named(r#"{"error":{"code":"the key sk-1 is wrong"}}"#), failed(None));
        assert_eq!(named(r#"{"error":"no"}"#), failed(None));
        assert_eq!(named("<html>"), Err(Unusable::Unreadable));
        assert_eq!(failure_code(r#"{"error":{"type":"overloaded"}}"#).as_deref(), Some("overloaded"));
        assert_eq!(failure_code("nonsense"), None);
    }
}
