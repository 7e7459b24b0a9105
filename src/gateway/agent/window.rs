//! The model's context window by the service's own list of models, which many services give it in: llama.cpp, vLLM, LM Studio,
//! OpenRouter, Groq, and others like them.
//!
//! LM Studio says it in a list of its own only, beside the one that other services have too.

use std::time::Duration;

use reqwest::{Client, Url};
use serde_json::Value;
use tokio::sync::OnceCell;

use crate::net;

/// The longest wait for the list. What takes longer is not waited for again: answers are worth more.
const LIMIT: Duration = Duration::from_secs(5);

/// The longest list that is read, in bytes.
const LIST_LEN_MAX: usize = 8 << 20;

/// Fewer tokens are no window.
const TOKENS_MIN: u64 = 256;

/// Fields in which a service says what may be asked of a model at once. Where there are several, the least of them holds.
const FIELDS: [&str; 9] = [
    "/meta/n_ctx",
    "/n_ctx",
    "/max_model_len",
    "/loaded_context_length",
    "/context_length",
    "/max_context_length",
    "/context_window",
    "/max_input_tokens",
    "/top_provider/context_length",
];

/// The window the model was trained with. A service may have been started with less, and says so at the first refusal.
const TRAINED: &str = "/meta/n_ctx_train";

/// The owner of a model in LM Studio's list.
const LM_STUDIO: [&str; 2] = ["organization_owner", "organization-owner"];

/// The window of one model of one service. It is asked for once.
#[derive(Debug)]
pub(super) struct Window {
    list: Url,
    tokens: OnceCell<Option<u32>>,
}

/// It may be known the next time.
struct Later;

impl From<reqwest::Error> for Later {
    fn from(_: reqwest::Error) -> Self {
        Self
    }
}

impl Window {
    /// Nothing is asked yet. `list`: where the service lists its models.
    pub(super) fn new(list: Url) -> Self {
        Self { list, tokens: OnceCell::new() }
    }

    /// The window in tokens; `None` where the service does not say. One that cannot be reached is asked again the next time.
    pub(super) async fn tokens(&self, client: &Client, model: &str) -> Option<u32> {
        let ask = || async {
            let asking = tokio::time::timeout(LIMIT, self.ask(client, model));
            asking.await.unwrap_or(Ok(None))
        };
        self.tokens.get_or_try_init(ask).await.ok().copied().flatten()
    }

    async fn ask(&self, client: &Client, model: &str) -> Result<Option<u32>, Later> {
        let Some(list) = read(client, self.list.clone()).await? else { return Ok(None) };
        let tokens = match of(&list, model) {
            None if self.may_be_lm_studio(&list) => {
                // Whatever comes instead of a list: it is another service.
                match read(client, self.list_of_lm_studio()).await.unwrap_or_default() {
                    Some(list) => loaded(&list, model)?,
                    None => None,
                }
            }
            tokens => tokens,
        };
        if let Some(tokens) = tokens {
            tracing::debug!(model, tokens, "the agent's service names the model's window");
        }
        Ok(tokens)
    }

    /// It lists models as LM Studio does, and no window.
    fn may_be_lm_studio(&self, list: &Value) -> bool {
        let is_its =
            |model: &Value| model["owned_by"].as_str().is_some_and(|owner| LM_STUDIO.contains(&owner));
        models(list).is_some_and(|models| {
            !models.is_empty() && (net::is_loopback(&self.list) || models.iter().any(is_its))
        })
    }

    /// `…/v1/models` becomes `…/api/v0/models`.
    fn list_of_lm_studio(&self) -> Url {
        let mut list = self.list.clone();
        if let Ok(mut path) = list.path_segments_mut() {
            path.pop().pop().extend(["api", "v0", "models"]);
        }
        list
    }
}

/// A list of models. `None`: what comes is none.
async fn read(client: &Client, list: Url) -> Result<Option<Value>, reqwest::Error> {
    let mut response = client.get(list).send().await?;
    if !response.status().is_success() {
        return Ok(None);
    }
    let mut body = Vec::new();
    while let Some(bytes) = response.chunk().await? {
        if body.len() + bytes.len() > LIST_LEN_MAX {
            return Ok(None);
        }
        body.extend_from_slice(&bytes);
    }
    Ok(serde_json::from_slice(&body).ok())
}

fn models(list: &Value) -> Option<&Vec<Value>> {
    ["data", "models"].into_iter().find_map(|name| list[name].as_array()).or(list.as_array())
}

/// The window of this model as LM Studio has loaded it. A model that is not loaded is loaded by the first question: then it has one.
///
/// # Errors
/// [`Later`], when it is not loaded.
fn loaded(list: &Value, model: &str) -> Result<Option<u32>, Later> {
    let Some(models) = models(list) else { return Ok(None) };
    let Some(entry) = models.iter().find(|entry| entry["id"] == model) else { return Ok(None) };
    match tokens(entry, "/loaded_context_length") {
        None if entry["state"].as_str().is_some_and(|state| state != "loaded") => Err(Later),
        tokens => Ok(tokens),
    }
}

fn tokens(entry: &Value, field: &str) -> Option<u32> {
    let value = entry.pointer(field)?;
    let tokens = value.as_u64().or_else(|| value.as_str()?.parse().ok())?;
    (tokens >= TOKENS_MIN).then(|| u32::try_from(tokens).unwrap_or(u32::MAX))
}

/// The window of this model. Where a service has one model only, it is that, whatever it is called.
fn of(list: &Value, model: &str) -> Option<u32> {
    let models = models(list)?;
    let is_it = |entry: &&Value| ["id", "name", "model"].into_iter().any(|name| entry[name] == model);
    let entry = match models.as_slice() {
        [only] => only,
        _ => models.iter().find(is_it)?,
    };
    FIELDS.into_iter().filter_map(|field| tokens(entry, field)).min().or_else(|| tokens(entry, TRAINED))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use serde_json::json;

    use super::*;
    use crate::gateway::agent::testing::{head, service};

    #[test]
    fn the_window_is_read_wherever_services_say_it() {
        let other = json!({ "id": "other", "context_length": 999 });
        for (entry, expected) in [
            (json!({ "id": "m", "meta": { "n_ctx_train": 131_072, "n_params": 1 } }), Some(131_072)),
            (json!({ "id": "m", "meta": { "n_ctx_train": 131_072, "n_ctx": 4096 } }), Some(4096)),
            (json!({ "id": "m", "object": "model", "max_model_len": 8192 }), Some(8192)),
            (json!({ "id": "m", "max_context_length": 32_768, "loaded_context_length": 4096 }), Some(4096)),
            (
                json!({ "id": "m", "context_length": 200_000, "top_provider": { "context_length": 65_536 } }),
                Some(65_536),
            ),
            (json!({ "id": "m", "context_window": 131_072 }), Some(131_072)),
            (json!({ "name": "m", "context_length": "16384" }), Some(16_384)),
            (json!({ "id": "m", "context_length": 1e9 }), None),
            (json!({ "id": "m", "context_length": 5_000_000_000_u64 }), Some(u32::MAX)),
            (json!({ "id": "m", "context_length": 0, "max_model_len": null, "n_ctx": -1 }), None),
            (json!({ "id": "m", "object": "model", "owned_by": "library" }), None),
            (json!({ "id": "n", "context_length": 4096 }), None),
        ] {
            for list in [
                json!({ "object": "list", "data": [other, entry] }),
                json!({ "models": [other, entry] }),
                json!([other, entry]),
            ] {
                assert_eq!(of(&list, "m"), expected, "{list}");
            }
        }
        let file = json!({ "data": [{ "id": "/models/a.gguf", "meta": { "n_ctx": 2048 } }] });
        assert_eq!(of(&file, "m"), Some(2048), "there is no other");
        for list in [json!({}), json!([]), json!("m"), json!({ "data": 5 }), json!({ "data": [null, 5] })] {
            assert_eq!(of(&list, "m"), None, "{list}");
        }
    }

    #[tokio::test]
    async fn lm_studio_is_asked_for_the_window_that_it_has_loaded_the_model_with() {
        let plain = r#"{"object":"list","data":[{"id":"m","object":"model","owned_by":"organization_owner"},{"id":"e"}]}"#;
        let native = |state: &str| {
            format!(
                r#"{{"object":"list","data":[{{"id":"e","loaded_context_length":512}},{{"id":"m","type":"llm","max_context_length":131072,{state}}}]}}"#
            )
        };
        let not_loaded = native(r#""state":"not-loaded""#);
        let ready = native(r#""state":"loaded","loaded_context_length":4096"#);
        for (status, body, expected, is_asked_again) in [
            ("200 OK", ready.as_str(), Some(4096), false),
            ("200 OK", not_loaded.as_str(), None, true),
            ("200 OK", "<html>", None, false),
            ("200 OK", "{}", None, false),
            ("404 Not Found", "404 page not found", None, false),
            ("500 Internal Server Error", "", None, false),
        ] {
            let asked = Arc::new(AtomicUsize::new(0));
            let (count, native) = (Arc::clone(&asked), body.to_owned());
            let base = service(move |request| {
                count.fetch_add(1, Ordering::Relaxed);
                let is_native = request.starts_with("GET /api/v0/models ");
                let (status, body) = if is_native { (status, native.as_str()) } else { ("200 OK", plain) };
                (head(status, "application/json") + body).into_bytes()
            });
            let window = Window::new(Url::parse(&format!("{}/models", base.await)).unwrap());
            for _ in 0..2 {
                assert_eq!(window.tokens(&Client::new(), "m").await, expected, "{body}");
            }
            assert_eq!(asked.load(Ordering::Relaxed), if is_asked_again { 4 } else { 2 }, "{body}");
        }
    }

    #[tokio::test]
    async fn the_list_is_asked_for_once_and_one_that_says_nothing_is_not_asked_again() {
        for (status, body, expected) in [
            ("200 OK", r#"{"data":[{"id":"m","max_model_len":8192}]}"#, Some(8192)),
            ("200 OK", "<html>", None),
            ("404 Not Found", "", None),
        ] {
            let asked = Arc::new(AtomicUsize::new(0));
            let count = Arc::clone(&asked);
            let base = service(move |request| {
                assert!(request.starts_with("GET /v1/models "), "{request}");
                count.fetch_add(1, Ordering::Relaxed);
                (head(status, "application/json") + body).into_bytes()
            });
            let window = Window::new(Url::parse(&format!("{}/models", base.await)).unwrap());
            let client = Client::new();
            for _ in 0..3 {
                assert_eq!(window.tokens(&client, "m").await, expected, "{status} {body}");
            }
            assert_eq!(asked.load(Ordering::Relaxed), 1);
        }
        let gone = Window::new(Url::parse("http://127.0.0.1:9/v1/models").unwrap());
        assert_eq!(gone.tokens(&Client::new(), "m").await, None);
        assert!(!gone.tokens.initialized(), "it is asked again once it is there");
    }
}
