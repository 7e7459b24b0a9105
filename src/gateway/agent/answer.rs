//! Pure. The text in what a chat completion sends, whatever form a service gives it.
//!
//! A form that is not known means that there is nothing to read here; only data of which nothing at all can be read is an
//! error. Forms seen in public reports stand in the table of the tests.

use std::borrow::Cow;

use serde_json::Value;

use super::refusal::Refusal;
use crate::visible;

/// The longest answer that is taken, in bytes: some sixty messages.
pub const ANSWER_LEN_MAX: usize = 256 << 10;

/// A lone surrogate of an escape is kept as a character from here on until its other half comes.
const HALF_BASE: u32 = 0x10_F800;

/// Why an answer is not whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cut {
    /// Longer than we take.
    TooLong,
    /// The model reached its limit.
    Length,
    /// The service's filter withheld the rest.
    Filtered,
    /// The service ended the stream, or reported a failure, before the answer was complete.
    Broken,
}

impl Cut {
    /// The last line of an answer that was cut.
    pub fn line(self) -> &'static str {
        match self {
            Self::TooLong => "\n\n(The answer was too long and ends here.)",
            Self::Length => "\n\n(The answer was cut: the model reached its length limit.)",
            Self::Filtered => "\n\n(The answer was cut by the service's content filter.)",
            Self::Broken => "\n\n(The answer was cut: it ended before it was complete.)",
        }
    }
}

/// Why the service's data is not an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unusable {
    /// Not of the form of a completion.
    Unreadable,
    /// It reports a failure.
    Failed(Refusal),
}

/// An answer as it grows.
#[derive(Debug, Default)]
pub struct Answer {
    text: String,
    /// The choice whose text it is.
    index: Option<u64>,
    /// The first half of a character whose second half has not come.
    half: Option<u32>,
    ended: bool,
    finish: Option<String>,
    cut: Option<Cut>,
    reasons: bool,
    /// Something between its documents could not be read.
    odd: bool,
}

impl Answer {
    /// Takes one event, or the body of an answer that is not a stream. Returns whether anything was in it.
    ///
    /// # Errors
    /// When it is not readable or reports a failure.
    pub fn take(&mut self, data: &str) -> Result<bool, Unusable> {
        let data = data.trim().trim_start_matches('\u{feff}').trim_start();
        // Proxies wrap comments that keep a connection alive as data.
        if self.ended || data.is_empty() || data.starts_with(':') {
            return Ok(false);
        }
        if data == "[DONE]" {
            self.ended = true;
            return Ok(true);
        }
        let joined = paired(data);
        let mut rest = joined.as_ref();
        let mut took = false;
        // An event or a body may hold several documents, of which one is not whole; or end with the end of the stream.
        loop {
            let mut documents = serde_json::Deserializer::from_str(rest).into_iter::<Value>();
            loop {
                match documents.next().map(|document| document.map(|document| self.document(&document))) {
                    Some(Ok(Err(Unusable::Unreadable))) if took => self.odd = true,
                    Some(Ok(read)) => took |= read?,
                    None => return Ok(took),
                    Some(Err(_)) => break,
                }
            }
            let broken = rest[documents.byte_offset()..].trim_start();
            let broken = broken.strip_prefix("data:").unwrap_or(broken).trim();
            if broken == "[DONE]" {
                self.ended = true;
                return Ok(true);
            }
            if !took {
                return Err(Unusable::Unreadable);
            }
            // It takes its own line along, and nothing of the others.
            self.odd = true;
            let Some((_, more)) = broken.split_once('\n') else { return Ok(true) };
            rest = more;
        }
    }

    fn document(&mut self, document: &Value) -> Result<bool, Unusable> {
        let document = match document {
            // Some services put an error into an array.
            Value::Array(documents) => documents.first().unwrap_or(&Value::Null),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Object(_) => document,
        };
        if document.is_null() {
            return Ok(false);
        }
        if let Some(refusal) = Refusal::within(document) {
            return Err(Unusable::Failed(refusal));
        }
        if !document.is_object() {
            return Err(Unusable::Unreadable);
        }
        // Ollama's own form has no choices.
        let (index, choice) = choice(document).unwrap_or((self.index.unwrap_or(0), document));
        // A service may give several answers at once, in any order.
        if self.index.is_some_and(|ours| index > ours) {
            return Ok(true);
        }
        let is_lower = self.index.is_some_and(|ours| index < ours);
        // An empty delta or message beside the other one is nothing.
        let texts = ["delta", "message"].map(|name| choice.get(name).filter(|said| !said.is_null()));
        for said in texts.into_iter().flatten() {
            self.reasons |= ["reasoning_content", "reasoning", "reasoning_details"]
                .iter()
                .any(|name| said.get(*name).is_some_and(|reasoning| !reasoning.is_null()));
            let mut text = String::new();
            words(said.get("content").unwrap_or(said), &mut text);
            words(said.get("refusal").unwrap_or(&Value::Null), &mut text);
            if !text.is_empty() {
                self.say(index, &text);
                break;
            }
        }
        if texts.iter().all(Option::is_none)
            && let Some(text) = choice.get("text").and_then(Value::as_str).filter(|text| !text.is_empty())
        {
            self.say(index, text);
        }
        if is_lower && self.index != Some(index) {
            return Ok(true);
        }
        let finish = ["finish_reason", "done_reason"].iter().find_map(|name| choice.get(*name)?.as_str());
        if let Some(finish) = finish.filter(|finish| !finish.is_empty()) {
            self.finish = Some(finish.to_ascii_lowercase());
        } else if document.get("done") == Some(&Value::Bool(true)) && self.finish.is_none() {
            self.finish = Some("stop".to_owned());
        }
        Ok(true)
    }

    /// Takes a piece of this choice. That with the lowest index is the answer.
    fn say(&mut self, index: u64, piece: &str) {
        if self.index != Some(index) {
            *self = Self { index: Some(index), reasons: self.reasons, odd: self.odd, ..Self::default() };
        }
        self.push(piece);
    }

    /// Nothing that can be seen was said yet.
    pub fn is_empty(&self) -> bool {
        visible::is_blank(&self.text)
    }

    /// Nothing more is wanted: it has ended, or it is too long.
    pub fn is_ended(&self) -> bool {
        self.ended
    }

    /// The service tells reasoning from the answer by itself.
    pub fn reasons(&self) -> bool {
        self.reasons
    }

    /// What was said so far.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// It ended before it was complete, as far as its connection is concerned.
    pub fn break_off(&mut self) {
        self.cut.get_or_insert(Cut::Broken);
    }

    /// No more comes. A stream says how it ended; a body need not, unless a part of it could not be read.
    pub fn close(&mut self, is_stream: bool) {
        if self.half.take().is_some() {
            self.text.push(char::REPLACEMENT_CHARACTER);
        }
        let by_service = match self.finish.as_deref() {
            Some("length" | "max_tokens" | "model_length" | "max_output_tokens") => Some(Cut::Length),
            Some("content_filter" | "safety" | "recitation" | "refusal" | "sensitive") => Some(Cut::Filtered),
            Some("error" | "abort" | "network_error" | "insufficient_system_resource") => Some(Cut::Broken),
            Some(_) => None,
            None => (!self.ended && (is_stream || self.odd)).then_some(Cut::Broken),
        };
        self.cut = self.cut.or(by_service);
    }

    /// Why it is not whole.
    pub fn cut(&self) -> Option<Cut> {
        self.cut
    }

    /// Takes a piece of text.
    pub fn push(&mut self, piece: &str) {
        let piece = self.whole(piece);
        let room = ANSWER_LEN_MAX - self.text.len().min(ANSWER_LEN_MAX);
        if piece.len() <= room {
            self.text.push_str(&piece);
        } else {
            self.text.push_str(&piece[..piece.floor_char_boundary(room)]);
            self.cut = Some(Cut::TooLong);
            self.ended = true;
        }
    }

    /// The piece with halves of characters joined; the last half waits for the next piece.
    fn whole<'a>(&mut self, piece: &'a str) -> Cow<'a, str> {
        let is_half = |c: char| u32::from(c) >= HALF_BASE;
        if self.half.is_none() && !piece.contains(is_half) {
            return Cow::Borrowed(piece);
        }
        let mut text = String::with_capacity(piece.len() + 4);
        for c in piece.chars() {
            let half = is_half(c).then(|| u32::from(c) - HALF_BASE);
            match (self.half.take(), half) {
                (Some(high), Some(low @ 0x400..)) => {
                    let joined = char::from_u32(0x1_0000 + (high << 10) + (low - 0x400));
                    text.push(joined.unwrap_or(char::REPLACEMENT_CHARACTER));
                    continue;
                }
                (Some(_), _) => text.push(char::REPLACEMENT_CHARACTER),
                (None, _) => {}
            }
            match half {
                Some(high @ ..0x400) => self.half = Some(high),
                Some(_) => text.push(char::REPLACEMENT_CHARACTER),
                None => text.push(c),
            }
        }
        Cow::Owned(text)
    }
}

/// The choice that is the answer, with its index: the lowest.
pub(super) fn choice(document: &Value) -> Option<(u64, &Value)> {
    let index = |choice: &Value| {
        let index = choice.get("index")?;
        index.as_u64().or_else(|| index.as_str()?.parse().ok())
    };
    let choices = document.get("choices")?.as_array()?;
    choices.iter().map(|choice| (index(choice).unwrap_or(0), choice)).min_by_key(|(index, _)| *index)
}

/// The text in a content of any form: a text, an object with one, or an array of such. What a model thinks is left out.
fn words(content: &Value, text: &mut String) {
    match content {
        Value::String(piece) => text.push_str(piece),
        Value::Array(parts) => parts.iter().for_each(|part| words(part, text)),
        Value::Object(part) => {
            let kind = part.get("type").and_then(Value::as_str).unwrap_or("text");
            if kind.ends_with("text") && !kind.starts_with("reasoning") {
                let value = part.get("text").unwrap_or(&Value::Null);
                words(value.get("value").unwrap_or(value), text);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// The JSON with each escape of a lone surrogate, which no parser here takes, as a character that stands for it.
fn paired(json: &str) -> Cow<'_, str> {
    if !json.contains("\\ud") && !json.contains("\\uD") {
        return Cow::Borrowed(json);
    }
    let escape = |at: usize| -> Option<u32> {
        let hex = json.get(at..at + 6)?.strip_prefix("\\u")?;
        u32::from_str_radix(hex, 16).ok().filter(|code| (0xD800..0xE000).contains(code))
    };
    let mut text = String::with_capacity(json.len());
    let mut at = 0;
    while let Some(next) = json[at..].find('\\') {
        text.push_str(&json[at..at + next]);
        at += next;
        match (escape(at), escape(at + 6)) {
            (Some(..0xDC00), Some(0xDC00..)) => {
                text.push_str(&json[at..at + 12]);
                at += 12;
            }
            (Some(half), _) => {
                text.extend(char::from_u32(HALF_BASE + half - 0xD800));
                at += 6;
            }
            (None, _) => {
                let len = 1 + json[at + 1..].chars().next().map_or(0, char::len_utf8);
                text.push_str(&json[at..at + len]);
                at += len;
            }
        }
    }
    text.push_str(&json[at..]);
    Cow::Owned(text)
}

#[cfg(test)]
pub(super) mod tests {
    use super::super::refusal::Kind;
    use super::*;

    fn delta(text: &str) -> String {
        serde_json::json!({"choices": [{"delta": {"content": text}, "index": 0}], "x": 1}).to_string()
    }

    fn read(events: &[&str]) -> Answer {
        let mut answer = Answer::default();
        for event in events {
            answer.take(event).unwrap_or_else(|why| panic!("{event}: {why:?}"));
        }
        answer.close(true);
        answer
    }

    #[test]
    fn pieces_become_one_text_until_the_end() {
        let (one, two, after) = (delta("Hel"), delta("lo"), delta("after the end"));
        let answer = read(&[
            r#"{"choices":[{"delta":{"role":"assistant","content":null}}]}"#,
            &one,
            &two,
            r#"{"choices":[{"delta":{},"finish_reason":"stop"}]}"#,
            r#"{"choices":[],"usage":{"total_tokens":3}}"#,
            " [DONE] ",
            &after,
        ]);
        assert_eq!((answer.text(), answer.cut(), answer.is_ended()), ("Hello", None, true));
    }

    #[test]
    fn of_several_choices_the_lowest_is_the_answer_whatever_their_order() {
        let piece = |index: u64, text: &str| {
            serde_json::json!({"choices": [{"index": index, "delta": {"content": text}}]}).to_string()
        };
        let end = |index: u64, reason: &str| {
            serde_json::json!({"choices": [{"index": index, "delta": {}, "finish_reason": reason}]})
                .to_string()
        };
        let both = r#"{"choices":[{"index":1,"message":{"content":"no"},"finish_reason":"length"},{"index":0,"message":{"content":"yes"},"finish_reason":"stop"}]}"#;
        for (events, text, cut) in [
            (
                vec![piece(1, "no"), piece(0, "ye"), piece(1, "no"), piece(0, "s"), end(0, "stop")],
                "yes",
                None,
            ),
            (vec![piece(1, "no"), end(1, "length"), piece(0, "yes"), end(0, "stop")], "yes", None),
            (vec![piece(0, "yes"), end(1, "length"), end(0, "stop")], "yes", None),
            (vec![piece(1, "one"), end(0, "length"), end(1, "stop")], "one", None),
            (vec![piece(2, "two"), end(2, "length")], "two", Some(Cut::Length)),
            (vec![both.to_owned()], "yes", None),
            (vec![piece(1, "no").replace(":1", ":\"1\""), piece(0, "yes"), end(0, "stop")], "yes", None),
        ] {
            let events: Vec<_> = events.iter().map(String::as_str).collect();
            let answer = read(&events);
            assert_eq!((answer.text(), answer.cut()), (text, cut), "{events:?}");
        }
    }

    #[test]
    fn an_answer_without_end_is_cut_between_characters() {
        let mut answer = Answer::default();
        while !answer.is_ended() {
            answer.take(&delta(&"\u{e4}".repeat(1001))).unwrap();
        }
        assert_eq!(answer.cut(), Some(Cut::TooLong));
        assert!(answer.text().len() <= ANSWER_LEN_MAX);
    }

    #[test]
    fn halves_of_a_character_are_joined_wherever_they_are_cut_and_a_lone_one_is_replaced() {
        let piece = |text: &str| format!(r#"{{"choices":[{{"delta":{{"content":"{text}"}}}}]}}"#);
        for (pieces, expected) in [
            (&["a\\ud83d", "\\ude00b"][..], "a\u{1f600}b"),
            (&["a\\uD83D\\uDE00b"], "a\u{1f600}b"),
            (&["a\\ud83d", "", "\\ude00"], "a\u{1f600}"),
            (&["a\\ud83d", "b"], "a\u{fffd}b"),
            (&["a\\ude00b"], "a\u{fffd}b"),
            (&["a\\ud83d\\ud83d\\ude00"], "a\u{fffd}\u{1f600}"),
            (&["end\\ud83d"], "end\u{fffd}"),
            (&["\\\\ud83d is text"], "\\ud83d is text"),
            (&["\\u00e4\\n\\ud83d\\t"], "\u{e4}\n\u{fffd}\t"),
        ] {
            let events: Vec<_> = pieces.iter().map(|text| piece(text)).collect();
            let events: Vec<_> = events.iter().map(String::as_str).collect();
            assert_eq!(read(&events).text(), expected, "{pieces:?}");
        }
    }

    /// Each with the public report that it was seen in.
    pub(in super::super) const ODDITIES: [(&str, &str, &str); 30] = [
        ("BerriAI/litellm#4429", r#"{"choices":null}"#, ""),
        ("openai/openai-node#364", r#"{"id":"x"}"#, ""),
        ("openai/openai-agents-js#107", r#"{"choices":[],"usage":{}}"#, ""),
        ("microsoft/agent-framework#5734", r#"{"choices":[{"delta":null,"finish_reason":"stop"}]}"#, ""),
        ("QwenLM/qwen-code#1448", r#"{"choices":[{"index":0}]}"#, ""),
        ("bagofwords1/bagofwords#742", r#"{"choices":[{"delta":null,"content_filter_results":{}}]}"#, ""),
        ("NousResearch/hermes-agent#80822", "null", ""),
        ("earendil-works/pi#2466", r#"{"choices":{}}"#, ""),
        ("anomalyco/opencode#50871", ": keepalive", ""),
        ("mnfst/llm-gateway#2053", ": OPENROUTER PROCESSING", ""),
        ("Growth-Circle/cadis#2329", "", ""),
        ("caozhiyuan/copilot-api#88", r#"{"type":"ping"}"#, ""),
        (
            "epam/ai-dial-adapter-openai#395",
            r#"{"choices":[{"delta":{"content":[{"type":"text","text":"a"},{"type":"text","text":"b"}]}}]}"#,
            "ab",
        ),
        (
            "BerriAI/litellm#16272",
            r#"{"choices":[{"delta":{"content":[{"type":"thinking","thinking":[{"type":"text","text":"no"}]}]}}]}"#,
            "",
        ),
        (
            "simonw/llm-mistral#39",
            r#"{"choices":[{"message":{"content":[{"type":"thinking","thinking":[]},{"type":"text","text":"yes"}]}}]}"#,
            "yes",
        ),
        ("decolua/9router#3492", r#"{"choices":[{"message":{"content":"whole"}}]}data: [DONE]"#, "whole"),
        (
            "sgl-project/mini-sglang#51",
            r#"{"object":"text_completion.chunk","choices":[{"delta":{"content":"x"},"finish_reason":null}]}"#,
            "x",
        ),
        (
            "ikawrakow/ik_llama.cpp#690",
            r#"{"choices":[{"finish_reason":null,"delta":{"content":" fast"}}],"timings":{"prompt_n":7}}"#,
            " fast",
        ),
        (
            "openai/openai-go#227",
            r#"{"choices":[{"delta":{"role":"assistant","content":""},"native_finish_reason":null}],"error":null}"#,
            "",
        ),
        ("open-octo/octo-agent#910", r#"{"choices":[{"delta":{"content":"a"}}],"error":{}}"#, "a"),
        ("NousResearch/hermes-agent#21856", r#"{"choices":[{"delta":{"tool_calls":[{"index":0}]}}]}"#, ""),
        (
            "langchain-ai/langchain-litellm#59",
            r#"{"choices":[{"delta":{"content":"y"}}],"created":"1","usage":"none"}"#,
            "y",
        ),
        ("Wei-Shaw/sub2api#1471", "{\"choices\":[{\"delta\":{\"content\":\"z\"}}]}\n{\"type\":\"err", "z"),
        (
            "huggingface/chat-ui#2385",
            r#"{"choices":[{"delta":{"reasoning_content":"no","content":null}}]}"#,
            "",
        ),
        (
            "mudler/LocalAI#1609",
            r#"{"usage":{"total_tokens":0},"choices":[{"index":0,"delta":{"role":"assistant","content":""}}]}"#,
            "",
        ),
        ("mistralai/client-python#16", r#"{"choices":[{"delta":{"role":null,"content":"It"}}]}"#, "It"),
        ("elizaOS/eliza#30904", r#"{"choices":[{"delta":{"content":"\ud83d\ude00"}}]}"#, "\u{1f600}"),
        ("elie222/rakazo#416", r#"{"choices":[{"delta":{"content":"a\ud83d"}}]}"#, "a\u{fffd}"),
        ("theopenco/llmgateway#2334", " ", ""),
        ("xyOz-dev/Saturn#43", r#"{"choices":[{"message":{"content":"m"},"delta":null}],"error":""}"#, "m"),
    ];

    #[test]
    fn forms_of_public_reports_take_nothing_from_an_answer() {
        for (report, event, said) in ODDITIES {
            let (before, after) = (delta("before "), delta(" after"));
            let mut answer = read(&[&before, event]);
            if !answer.is_ended() {
                answer.take(&after).unwrap();
            }
            let end = if answer.is_ended() && !answer.text().ends_with(" after") { "" } else { " after" };
            assert_eq!(answer.text(), format!("before {said}{end}"), "{report}");
        }
    }

    /// Failures that a service reports with a status of success.
    pub(in super::super) const FAILURES: [(&str, &str, Kind); 10] = [
        ("vercel/ai#2698", r#"{"error":{"message":"{\"error\":{\"code\":429}}","code":429}}"#, Kind::Busy),
        ("diegosouzapw/OmniRoute#8210", r#"{"choices":[],"error":{"code":502,"message":"x"}}"#, Kind::Away),
        (
            "damianvtran/local-operator#223",
            r#"{"choices":[{"finish_reason":"error"}],"error":{"code":"503"}}"#,
            Kind::Away,
        ),
        (
            "dcdpr/jp#978",
            r#"{"error":{"code":400,"message":"prompt is too long: 1284668 tokens > 1000000 maximum"}}"#,
            Kind::TooLong(Some(1_000_000)),
        ),
        (
            "oobabooga/textgen#7257",
            r#"{"error":{"code":400,"type":"exceed_context_size_error","n_ctx":8192}}"#,
            Kind::TooLong(Some(8192)),
        ),
        (
            "lmstudio-ai/lmstudio-bug-tracker#618",
            r#"{"error":"Unexpected endpoint or method. (POST /chat/completions)"}"#,
            Kind::Address,
        ),
        ("askalf/dario#1205", r#"{"error":{"message":"x","type":"server_error","code":null}}"#, Kind::Broke),
        (
            "brainlid/langchain#638",
            r#"{"type":"error","error":{"type":"overloaded_error","message":"x"}}"#,
            Kind::Away,
        ),
        ("fox1245/NeoGraph#124", r#"{"error":"STREAM_EXPLODED"}"#, Kind::Refused),
        (
            "THUDM/LongBench#104",
            r#"{"object":"error","message":"This model's maximum context length is 131072 tokens."}"#,
            Kind::TooLong(Some(131_072)),
        ),
    ];

    #[test]
    fn a_failure_inside_an_answer_is_known_by_its_code_or_its_name() {
        for (report, event, kind) in FAILURES {
            match Answer::default().take(event) {
                Err(Unusable::Failed(refusal)) => assert_eq!(refusal.kind, kind, "{report}"),
                read => panic!("{report}: {read:?}"),
            }
        }
        assert_eq!(Answer::default().take("<html>"), Err(Unusable::Unreadable));
    }
}
