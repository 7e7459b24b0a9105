//! Pure. What a service's refusal says about the message and about the service, by its status and its words.
//!
//! The words are those of public reports; a status alone does not tell a message that is too long from a service that is busy.

use serde_json::Value;

use super::answer::choice;
use crate::sensitive::Private;

/// What a refusal means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The conversation is longer than the model's window, or than a request may be; the window in tokens, where it is named.
    TooLong(Option<u32>),
    /// The key.
    Key,
    /// Access, for another cause than the key as far as it says.
    Access,
    /// The quota, or the money, is used up.
    Quota,
    /// The address: there is no such service under it.
    Address,
    /// The model.
    Model,
    /// The content of the message.
    Content,
    /// Too many requests at the moment.
    Busy,
    /// The service is starting, full, or behind something that does not reach it.
    Away,
    /// It broke, perhaps by this very message.
    Broke,
    /// Anything else: asked again it would say the same.
    Refused,
}

/// A refusal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// What it means.
    pub kind: Kind,
    /// The status, its own or the one that its words name.
    pub status: Option<u16>,
    /// The service's own name for it. Only what looks like a name: a sentence may repeat what people wrote, or the key.
    pub code: Option<String>,
    /// Its own words for it, as they came: they may repeat what people wrote.
    pub said: Option<Private>,
    /// The address that a redirect names.
    pub target: Option<String>,
    /// It may be the pictures that are refused.
    pub pictures: bool,
    /// A stream is refused, and a whole answer may be given.
    pub is_stream: bool,
}

/// The conversation is too long. Collected from OpenAI, Azure, llama.cpp, Ollama, vLLM, LM Studio, SGLang, TGI, Anthropic,
/// Gemini, Mistral, xAI, Groq, Cerebras, OpenRouter, Kimi, MiniMax, Qwen, Zhipu and Copilot.
const TOO_LONG: [&str; 38] = [
    "context_length_exceeded",
    "exceed_context_size",
    "context length exceeded",
    "maximum context length",
    "maximum context limit",
    "exceed context limit",
    "context window",
    "available context size",
    "context the overflows",
    "context overflows",
    "greater than the context length",
    "longer than the model's context",
    "model's context length",
    "maximum prompt length",
    "maximum model length",
    "maximum input length",
    "maximum allowed input length",
    "max_model_len",
    "max_new_tokens` must be",
    "prompt is too long",
    "prompt too long",
    "prompt exceeds max length",
    "input is too long",
    "input token count",
    "number of input tokens",
    "maximum number of tokens",
    "exceeded model token limit",
    "token limit exceeded",
    "tokens exceed the configured limit",
    "prompt token count",
    "reduce the length of the",
    "range of input length",
    "while limit is",
    "request too large",
    "request_too_large",
    "entity too large",
    "\u{8d85}\u{8fc7}\u{6700}\u{5927}\u{957f}\u{5ea6}",
    "\u{4e0a}\u{4e0b}\u{6587}\u{957f}\u{5ea6}",
];

/// Behind these stands the size of the window.
const WINDOW: [&str; 12] = [
    "maximum context length is ",
    "maximum context length of ",
    "maximum context length (",
    "context length of only ",
    "maximum prompt length is ",
    "maximum number of tokens allowed (",
    "model token limit: ",
    "allowed input length of ",
    "while limit is ",
    "\"n_ctx\":",
    "(limit: ",
    "context window of ",
];

const QUOTA: [&str; 7] = [
    "key limit exceeded",
    "insufficient_quota",
    "insufficient credits",
    "insufficient balance",
    "exceeded your current quota",
    "credit balance is too low",
    "billing_hard_limit",
];

const CONTENT: [&str; 4] =
    ["content_filter", "content_policy", "responsibleaipolicyviolation", "violates our usage policies"];

/// The same where access is refused: the moderation that stands before a model.
const MODERATION: [&str; 3] = ["flagged", "moderation", "content policy"];

/// The key is named where access is refused.
const KEY: [&str; 9] = [
    "api key",
    "api_key",
    "api-key",
    "apikey",
    "access token",
    "auth token",
    "invalid token",
    "authentication",
    "credential",
];

/// There is no such model.
const MODEL: [&str; 5] =
    ["model_not_found", "no endpoints found for", "is not a valid model", "model not exist", "unknown model"];

/// The model may not be streamed.
const STREAM: [&str; 5] = [
    "verified to stream",
    "not support stream",
    "streaming is not supported",
    "streaming not supported",
    "stream is not supported",
];

impl Refusal {
    /// Of a status with a body.
    pub fn of(status: u16, body: &str) -> Self {
        let json: Option<Value> = serde_json::from_str(body).ok();
        let error = json.as_ref().and_then(inner);
        let code = error.and_then(code).or_else(|| json.as_ref().and_then(code));
        // Some gateways answer every failure with one status, and the true one is inside.
        let named = error.and_then(status_of).filter(|_| status >= 500 || status == 400);
        let words = error.and_then(words);
        Self { said: words, ..Self::judge(Some(named.unwrap_or(status)), body, code, error) }
    }

    /// Of a document inside a 200, where it reports a failure.
    pub fn within(document: &Value) -> Option<Self> {
        let error = inner(document)?;
        let status = status_of(error).or_else(|| status_of(document));
        let status = status.or_else(|| by_name(&code(error)?));
        let said = error.as_str().map_or_else(|| error.to_string(), str::to_owned);
        Some(Self { said: words(error), ..Self::judge(status, &said, code(error), Some(error)) })
    }

    fn judge(status: Option<u16>, said: &str, code: Option<String>, error: Option<&Value>) -> Self {
        let said = said.to_lowercase();
        let says = |words: &[&str]| words.iter().any(|word| said.contains(word));
        // What passes by itself is not a matter of size, whatever else it says; except that a request may be too large for
        // any minute.
        let is_too_long = match status {
            Some(429) => says(&["request too large", "context_length_exceeded"]),
            Some(413) => true,
            Some(401..=404 | 408 | 425 | 502..=504 | 529) => false,
            Some(_) | None => says(&TOO_LONG),
        };
        let kind = match status {
            _ if is_too_long => Kind::TooLong(window(&said)),
            _ if says(&QUOTA) => Kind::Quota,
            _ if says(&["unexpected endpoint"]) => Kind::Address,
            Some(401) => Kind::Key,
            _ if says(&CONTENT) => Kind::Content,
            Some(403) if is_moderated(error) || says(&MODERATION) => Kind::Content,
            Some(403) if says(&KEY) => Kind::Key,
            Some(403) => Kind::Access,
            Some(402) => Kind::Quota,
            _ if says(&MODEL) => Kind::Model,
            // The model is there, and the account's settings, or what is asked of it, leave no one who runs it.
            Some(404) if says(&["no endpoints", "no allowed providers"]) => Kind::Refused,
            Some(404) if says(&["model"]) => Kind::Model,
            Some(404 | 405 | 301..=303 | 307 | 308) => Kind::Address,
            Some(429) => Kind::Busy,
            Some(408 | 425 | 502..=504 | 522 | 524 | 529) => Kind::Away,
            Some(500..=599) => Kind::Broke,
            Some(_) | None => Kind::Refused,
        };
        let is_about = says(&["image", "vision", "multimodal", "mmproj", "content type", "content part"]);
        let pictures = match status {
            Some(400 | 404 | 413 | 415 | 422 | 500 | 501) => true,
            Some(_) | None => is_about,
        };
        let is_request = matches!(status, Some(400 | 403 | 404 | 405 | 422 | 501));
        let is_param = error.and_then(|error| error.get("param")?.as_str()) == Some("stream");
        let is_stream = is_request && (is_param || says(&STREAM));
        Self { kind, status, code, said: None, target: None, pictures, is_stream }
    }
}

/// True when a moderation says what it found.
fn is_moderated(error: Option<&Value>) -> bool {
    let reasons = error.and_then(|error| error.get("metadata")?.get("reasons")?.as_array());
    reasons.is_some_and(|reasons| !reasons.is_empty())
}

/// The error's own words: its message, or the error itself where it is a text.
fn words(error: &Value) -> Option<Private> {
    let said = error.as_str().or_else(|| error.get("message")?.as_str())?;
    (!said.trim().is_empty()).then(|| Private(said.to_owned()))
}

/// The error that a document reports. An empty one is none.
fn inner(document: &Value) -> Option<&Value> {
    let document = document.get(0).unwrap_or(document);
    let is_error = |value: &&Value| match value {
        Value::Null | Value::Bool(false) => false,
        Value::String(text) => !text.trim().is_empty(),
        Value::Object(fields) => !fields.is_empty(),
        Value::Array(parts) => !parts.is_empty(),
        Value::Bool(true) => true,
        Value::Number(number) => number.as_u64() != Some(0),
    };
    if let Some(error) = document.get("error").filter(is_error) {
        return Some(error);
    }
    // vLLM and others put the error's fields at the top; OpenRouter into the choice.
    if document.get("object").and_then(Value::as_str) == Some("error")
        || document.get("type").and_then(Value::as_str) == Some("error")
    {
        return Some(document);
    }
    choice(document)?.1.get("error").filter(is_error)
}

fn status_of(error: &Value) -> Option<u16> {
    ["code", "status", "status_code"].into_iter().find_map(|name| {
        let value = error.get(name)?;
        let number = value.as_u64().or_else(|| value.as_str()?.trim().parse().ok())?;
        u16::try_from(number).ok().filter(|status| (400..600).contains(status))
    })
}

fn by_name(code: &str) -> Option<u16> {
    let names = [("rate_limit", 429), ("too_many", 429), ("overload", 503), ("unavailable", 503)];
    let more = [("timeout", 408), ("server_error", 500), ("internal", 500), ("authentication", 401)];
    names.into_iter().chain(more).find_map(|(name, status)| code.contains(name).then_some(status))
}

fn code(error: &Value) -> Option<String> {
    let is_name = |code: &&str| {
        (1..=40).contains(&code.len()) && code.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_')
    };
    ["code", "type"].into_iter().filter_map(|name| error.get(name)?.as_str()).find(is_name).map(str::to_owned)
}

/// The number of tokens that the words name as the window.
fn window(said: &str) -> Option<u32> {
    let number = |text: &str| -> Option<u32> {
        let text = text.trim_start();
        let end = text.find(|c: char| !c.is_ascii_digit() && c != ',').unwrap_or(text.len());
        text[..end].replace(',', "").parse().ok().filter(|tokens| *tokens >= 128)
    };
    let behind = WINDOW.iter().find_map(|words| number(said.split_once(words)?.1));
    // "prompt is too long: 213462 tokens > 200000 maximum"
    behind.or_else(|| number(said.split_once(" tokens > ")?.1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_conversation_that_is_too_long_is_known_by_the_words_of_many_services() {
        for (status, said, window) in [
            (
                400,
                r#"{"error":{"message":"This model's maximum context length is 8192 tokens. However, your messages resulted in 8227 tokens.","code":"context_length_exceeded"}}"#,
                Some(8192),
            ),
            (
                400,
                r#"{"error":{"code":400,"message":"the request exceeds the available context size","type":"exceed_context_size_error","n_prompt_tokens":1407,"n_ctx":256}}"#,
                Some(256),
            ),
            (500, r#"{"error":{"code":500,"type":"exceed_context_size_error","n_ctx":4096}}"#, Some(4096)),
            (
                400,
                r#"{"error":"Trying to keep the first 111490 tokens when context the overflows. However, the model is loaded with context length of only 32768 tokens"}"#,
                Some(32768),
            ),
            (
                400,
                r#"[{"error":{"code":400,"message":"The input token count (1200293) exceeds the maximum number of tokens allowed (1048576).","status":"INVALID_ARGUMENT"}}]"#,
                Some(1_048_576),
            ),
            (
                400,
                r#"{"type":"error","error":{"type":"invalid_request_error","message":"prompt is too long: 207791 tokens > 200000 maximum"}}"#,
                Some(200_000),
            ),
            (
                400,
                r#"{"error":{"message":"This model's maximum prompt length is 131072 but the request contains 537812 tokens."}}"#,
                Some(131_072),
            ),
            (
                400,
                r#"{"error":{"message":"Input length (265330) exceeds model's maximum context length (262144)."}}"#,
                Some(262_144),
            ),
            (
                400,
                r#"{"error":{"message":"Your request exceeded model token limit: 262144 (requested: 291351)"}}"#,
                Some(262_144),
            ),
            (
                400,
                r#"{"object":"error","message":"This model's maximum context length is 131072 tokens. However, you requested 351430 tokens.","code":400}"#,
                Some(131_072),
            ),
            (
                400,
                r#"{"error":{"message":"Input length 131393 exceeds the maximum allowed input length of 131040 tokens."}}"#,
                Some(131_040),
            ),
            (
                422,
                r#"{"error":"Input validation error: `inputs` tokens + `max_new_tokens` must be <= 4096"}"#,
                None,
            ),
            (
                429,
                r#"{"error":{"message":"Request too large for gpt-4o on tokens per min (TPM): Limit 30000, Requested 31538. The input or output tokens must be reduced in order to run successfully.","type":"tokens","code":"rate_limit_exceeded"}}"#,
                None,
            ),
            (413, "", None),
        ] {
            assert_eq!(Refusal::of(status, said).kind, Kind::TooLong(window), "{said}");
        }
    }

    #[test]
    fn a_403_is_about_the_key_only_where_it_says_so() {
        for (said, kind) in [
            (r#"{"error":{"message":"Country, region, or territory not supported"}}"#, Kind::Access),
            ("<html>Forbidden</html>", Kind::Access),
            ("", Kind::Access),
            (r#"{"error":{"message":"Invalid API key provided"}}"#, Kind::Key),
            (r#"{"error":{"code":403,"message":"Key limit exceeded (total limit)"}}"#, Kind::Quota),
            (
                r#"{"error":{"code":403,"message":"m requires review","metadata":{"reasons":["violence"],"flagged_input":"an api key"}}}"#,
                Kind::Content,
            ),
            (r#"{"error":{"message":"Your input was flagged"}}"#, Kind::Content),
        ] {
            assert_eq!(Refusal::of(403, said).kind, kind, "{said}");
        }
        assert_eq!(Refusal::of(401, "").kind, Kind::Key);
    }

    #[test]
    fn a_404_of_a_service_that_is_there_is_about_its_model_or_what_it_says() {
        for (status, said, kind) in [
            (404, "No endpoints found for meta-llama/llama-4:free.", Kind::Model),
            (404, "No endpoints found matching your data policy (Free model publication).", Kind::Refused),
            (404, "No endpoints found that support tool use.", Kind::Refused),
            (404, "The model `x` does not exist or you do not have access to it.", Kind::Model),
            (400, "x is not a valid model ID", Kind::Model),
            (404, "Not Found", Kind::Address),
            (302, "", Kind::Address),
        ] {
            let body = serde_json::json!({"error": {"message": said, "code": status}}).to_string();
            let refusal = Refusal::of(status, &body);
            assert_eq!(refusal.kind, kind, "{said}");
            assert_eq!(
                refusal.said.map(|said| said.0).as_deref(),
                Some(said).filter(|said| !said.is_empty())
            );
        }
    }

    #[test]
    fn a_refused_stream_is_known_by_its_parameter_or_its_words() {
        for (status, said, is_stream) in [
            (
                400,
                r#"{"error":{"message":"Your organization must be verified to stream this model.","param":"stream","code":"unsupported_value"}}"#,
                true,
            ),
            (400, r#"{"error":{"message":"x","param":"stream"}}"#, true),
            (422, r#"{"error":{"message":"This model does not support streaming"}}"#, true),
            (400, r#"{"error":{"message":"'temperature' is not supported","param":"temperature"}}"#, false),
            (500, r#"{"error":{"message":"x","param":"stream"}}"#, false),
            (400, r#"{"error":{"message":"upstream: images are not supported"}}"#, false),
        ] {
            assert_eq!(Refusal::of(status, said).is_stream, is_stream, "{said}");
        }
    }

    #[test]
    fn what_passes_by_itself_is_not_taken_for_a_matter_of_size() {
        for (status, said, kind) in [
            (
                429,
                r#"{"error":{"message":"Rate limit reached on tokens per min (TPM): Limit 200000, Used 195663, Requested 7592. Please try again in 976ms."}}"#,
                Kind::Busy,
            ),
            (429, r#"{"error":{"message":"Too many tokens, please wait before trying again."}}"#, Kind::Busy),
            (
                429,
                r#"{"error":{"message":"You exceeded your current quota","code":"insufficient_quota"}}"#,
                Kind::Quota,
            ),
            (503, r#"{"error":{"message":"Loading model","code":503}}"#, Kind::Away),
            (408, "", Kind::Away),
            (425, "", Kind::Away),
            (500, "", Kind::Broke),
            (401, r#"{"error":{"message":"context length"}}"#, Kind::Key),
            (404, "404 page not found", Kind::Address),
            (404, r#"{"error":{"message":"model 'x' not found"}}"#, Kind::Model),
            (400, r#"{"error":{"code":"content_filter"}}"#, Kind::Content),
            (400, r#"{"error":{"message":"Invalid temperature"}}"#, Kind::Refused),
        ] {
            assert_eq!(Refusal::of(status, said).kind, kind, "{status} {said}");
        }
    }
}
