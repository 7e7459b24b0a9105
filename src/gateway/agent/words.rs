//! Pure. The words of a service's error, as the owner may see them: short, on one line, without secrets, and nothing of what
//! people wrote, which some services repeat.

use serde_json::Value;

use crate::redact::{self, Redactor};
use crate::visible;

/// The longest words, in characters.
const LEN_MAX: usize = 200;

/// So many characters in a row that are also in the conversation are a part of it.
const RUN_LEN: usize = 16;

/// Shorter lines of the conversation are not looked for: they are inside ordinary words.
const LINE_LEN_MIN: usize = 3;

/// Shorter numbers and names with digits are not looked for.
const DIGITS_LEN_MIN: usize = 4;

/// In place of words that repeat the conversation.
const REPEATS: &str = "(not shown: it repeats the conversation)";

/// The words that may be shown of `said`, the answer to the request `asked`.
pub(super) fn shown(said: &str, asked: &Value, redactor: &Redactor) -> String {
    let said = said.split_whitespace().collect::<Vec<_>>().join(" ");
    if repeats(&said, asked) {
        return REPEATS.to_owned();
    }
    let clean = redactor.redact(&said);
    let clean = redact::numbers(&clean);
    let clean = visible::line(&clean);
    match clean.char_indices().nth(LEN_MAX) {
        Some((end, _)) => format!("{}\u{2026}", &clean[..end]),
        None => clean.into_owned(),
    }
}

/// True when the words repeat something of the conversation.
fn repeats(said: &str, asked: &Value) -> bool {
    let said = said.to_lowercase();
    let runs: Vec<&str> = said
        .char_indices()
        .filter_map(|(at, _)| {
            let end = said[at..].char_indices().nth(RUN_LEN).map(|(len, _)| at + len)?;
            Some(&said[at..end])
        })
        .collect();
    let messages = asked.get("messages").and_then(Value::as_array);
    messages.into_iter().flatten().any(|message| {
        let is_of_people = message.get("role").and_then(Value::as_str) == Some("user");
        texts(message.get("content")).any(|text| {
            let text = text.to_lowercase();
            let joined = text.split_whitespace().collect::<Vec<_>>().join(" ");
            runs.iter().any(|run| joined.contains(run))
                || is_of_people
                    && (has_line(&said, &text) || has_number(&said, &text) || has_quote(&said, &joined))
        })
    })
}

/// The texts of a content: itself, or those of its parts.
fn texts(content: Option<&Value>) -> impl Iterator<Item = &str> {
    let parts = content.and_then(Value::as_array).into_iter().flatten();
    let parts = parts.filter_map(|part| part.get("text")?.as_str());
    content.and_then(Value::as_str).into_iter().chain(parts)
}

/// True when the text holds what the words quote.
fn has_quote(said: &str, text: &str) -> bool {
    let quotes = ['"', '\'', '`', '\u{201c}', '\u{201d}', '\u{2018}', '\u{2019}'];
    let quoted = said.split(quotes).skip(1).map(str::trim);
    quoted.filter(|quoted| quoted.chars().count() >= LINE_LEN_MIN).any(|quoted| text.contains(quoted))
}

/// True when a whole line of the text is in the words, with its writer or date or without.
fn has_line(said: &str, text: &str) -> bool {
    let is_edge = |sign: Option<char>| !sign.is_some_and(char::is_alphanumeric);
    let behind =
        |line: &'_ str, mark: &str| line.split_once(mark).map_or(0, |(head, _)| head.len() + mark.len());
    let lines = text.lines().flat_map(|line| {
        ["> ", ": ", "] "].map(|mark| &line[behind(line, mark)..]).into_iter().chain([line])
    });
    lines.map(str::trim).filter(|line| line.chars().count() >= LINE_LEN_MIN).any(|line| {
        said.match_indices(line).any(|(at, _)| {
            is_edge(said[..at].chars().next_back()) && is_edge(said[at + line.len()..].chars().next())
        })
    })
}

/// True when a number of the text, or a name with digits, is in the words.
fn has_number(said: &str, text: &str) -> bool {
    let parts = |text: &'_ str| -> Vec<String> {
        let is_part =
            |part: &&str| part.len() >= DIGITS_LEN_MIN && part.bytes().any(|byte| byte.is_ascii_digit());
        text.split(|c: char| !c.is_alphanumeric()).filter(is_part).map(str::to_owned).collect()
    };
    let said = parts(said);
    !said.is_empty() && parts(text).iter().any(|part| said.contains(part))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn asked() -> Value {
        json!({"messages": [
            {"role": "system", "content": "You are the assistant of the harbour office."},
            {"role": "user", "content": "my pin is 4711"},
            {"role": "assistant", "content": "The tide is at nine in the evening today."},
            {"role": "user", "content": [{"type": "text", "text": "Hello\nwhere is the\n boat of Miriam?\nAda: yes\n[sent 3 h ago] sold"}]},
        ]})
    }

    #[test]
    fn the_words_of_a_service_are_shown_short_and_without_secrets() {
        let redactor = Redactor::new(["canary-key".to_owned()]);
        for (said, expected) in [
            ("Rate limit exceeded: free-models-per-day", "Rate limit exceeded: free-models-per-day"),
            (
                "No endpoints found\nmatching\tyour data policy",
                "No endpoints found matching your data policy",
            ),
            ("Incorrect key canary-key.", "Incorrect key <redacted>."),
            ("Bad sk-0123456789abcdefghij", "Bad <redacted>"),
            ("no 15550101234@s.whatsapp.net", "no <redacted>@s.whatsapp.net"),
            ("red\u{1b}[31m\u{202e}", "red\\u001b[31m\\u202e"),
        ] {
            assert_eq!(shown(said, &asked(), &redactor), expected);
        }
        let long = shown(&"\u{e4}b ".repeat(500), &asked(), &redactor);
        assert_eq!((long.chars().count(), long.ends_with('\u{2026}')), (LEN_MAX + 1, true), "{long}");
    }

    #[test]
    fn words_that_repeat_what_people_wrote_or_what_was_answered_are_not_shown() {
        for said in [
            "Invalid content: 'hello'",
            "Is yes an answer?",
            "sold was flagged",
            "the name 'miriam' is not allowed",
            "flagged: WHERE IS  THE BOAT OF miriam",
            "the input \"...s the boat of Mir...\" was refused",
            "code 4711 is not allowed",
            "echo: tide is at nine in the",
            "the assistant of the harbour",
        ] {
            assert_eq!(shown(said, &asked(), &Redactor::default()), REPEATS, "{said}");
        }
        for said in
            ["Othello does not run", "the name 'm' is not allowed", "The boat is full", "limit 47110", ""]
        {
            assert_eq!(shown(said, &asked(), &Redactor::default()), said);
        }
    }
}
