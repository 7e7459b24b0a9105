//! Any OpenAI-compatible service: `POST {base_url}/chat/completions`, read as a stream.

use std::hash::{BuildHasher, RandomState};
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use base64::Engine;
use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue, RETRY_AFTER};
use reqwest::{Client, Response, StatusCode, Url};

use super::answer::{ANSWER_LEN_MAX, Answer, Unusable, failure_code};
use super::api::{About, Again, Agent, AgentError, STALLED, Trouble, Turn};
use super::breaker::{Breaker, Ending};
use super::draft::Draft;
use super::request::{self, Image};
use super::sse::Parser;
use crate::clock::Now;
use crate::config::OpenaiConfig;
use crate::error::CliError;
use crate::gateway::failure::Certainty;
use crate::gateway::message::Attachment;
use crate::{net, tls};

/// The longest wait for the service to take the connection.
const CONNECT_LIMIT: Duration = Duration::from_secs(10);

/// The largest image that is sent to the model, in bytes.
const IMAGE_LEN_MAX: u64 = 4 << 20;

/// Images of one message that are sent to the model.
const IMAGES_MAX: usize = 4;

/// The longest body that is no stream: JSON escapes may make the text six times as long.
const BODY_LEN_MAX: usize = 6 * ANSWER_LEN_MAX;

/// What people hear when the service cannot be reached.
const UNREACHABLE: &str = "The agent cannot be reached at the moment.";

/// A client of one service.
pub struct Openai {
    client: Client,
    url: Url,
    model: String,
    system_prompt: Option<String>,
    idle_timeout: Duration,
    breaker: Mutex<Breaker>,
}

impl Openai {
    /// Nothing is contacted yet.
    ///
    /// # Errors
    /// When the address or the key is unusable.
    pub fn new(config: &OpenaiConfig) -> Result<Self, CliError> {
        let url = address(&config.base_url)?;
        let mut headers = HeaderMap::new();
        if let Some(key) = &config.api_key {
            let mut value = HeaderValue::try_from(format!("Bearer {}", key.0)).map_err(|_| {
                CliError::config(format!("{} holds characters that no key has", config.api_key_env))
            })?;
            value.set_sensitive(true);
            headers.insert(AUTHORIZATION, value);
        }
        headers.insert(ACCEPT, HeaderValue::from_static("text/event-stream, application/json"));
        let mut builder = tls::client_builder()
            .default_headers(headers)
            .connect_timeout(CONNECT_LIMIT)
            // A redirect would take what people wrote to an address that nobody has set.
            .redirect(reqwest::redirect::Policy::none());
        if net::is_loopback(&url) {
            builder = builder.no_proxy();
        }
        let client = builder.build().map_err(|error| {
            CliError::failed("cannot set up the connection to the agent").because(error.without_url())
        })?;
        Ok(Self {
            client,
            url,
            model: config.model.clone(),
            system_prompt: config.system_prompt.clone(),
            idle_timeout: config.idle_timeout,
            breaker: Mutex::new(Breaker::new(RandomState::new().hash_one(&config.base_url))),
        })
    }

    async fn ask(&self, turn: Turn, draft: &Draft) -> Result<String, AgentError> {
        let images = images(&turn.message.attachments).await;
        let body = request::body(&self.model, self.system_prompt.as_deref(), &turn, &images);
        let sending = self.client.post(self.url.clone()).json(&body).send();
        let response = self.within(sending).await?.map_err(|error| self.broken(error))?;
        if response.status() != StatusCode::OK {
            return Err(self.refused(response).await);
        }
        let streams = response
            .headers()
            .get(CONTENT_TYPE)
            .and_then(|value| value.to_str().ok())
            .is_some_and(|kind| kind.to_ascii_lowercase().contains("event-stream"));
        let answer =
            if streams { self.read_stream(response, draft).await? } else { self.read_body(response).await? };
        answer
            .into_text()
            .ok_or_else(|| failed("agent_silent", "The agent answered nothing.", "an empty answer"))
    }

    async fn read_stream(&self, mut response: Response, draft: &Draft) -> Result<Answer, AgentError> {
        let mut parser = Parser::default();
        let mut answer = Answer::default();
        loop {
            let step = self.within(response.chunk()).await;
            // What has begun to answer is not asked again.
            let step = step.map_err(|error| {
                if answer.is_empty() { error } else { AgentError { again: Again::Never, ..error } }
            });
            let Some(bytes) = step?.map_err(|error| self.broken(error))? else { break };
            let events = parser.feed(&bytes).map_err(|error| unreadable(&error.to_string()))?;
            for event in events {
                answer.take(&event).map_err(unusable)?;
            }
            draft.grow(answer.text());
            if answer.is_ended() {
                return Ok(answer);
            }
        }
        if let Some(event) = parser.finish().map_err(|error| unreadable(&error.to_string()))? {
            answer.take(&event).map_err(unusable)?;
        }
        Ok(answer)
    }

    async fn read_body(&self, response: Response) -> Result<Answer, AgentError> {
        let body = self.body(response, BODY_LEN_MAX).await?;
        let body = String::from_utf8_lossy(&body);
        let mut answer = Answer::default();
        // Some servers stream without saying so.
        if body.trim_start().starts_with("data:") {
            let mut parser = Parser::default();
            let mut events = parser.feed(body.as_bytes()).map_err(|error| unreadable(&error.to_string()))?;
            events.extend(parser.finish().map_err(|error| unreadable(&error.to_string()))?);
            for event in events {
                answer.take(&event).map_err(unusable)?;
            }
        } else {
            answer.take(&body).map_err(unusable)?;
        }
        Ok(answer)
    }

    async fn body(&self, mut response: Response, len_max: usize) -> Result<Vec<u8>, AgentError> {
        let mut body = Vec::new();
        while let Some(bytes) = self.within(response.chunk()).await?.map_err(|error| self.broken(error))? {
            if body.len() + bytes.len() > len_max {
                return Err(unreadable("a body without end"));
            }
            body.extend_from_slice(&bytes);
        }
        Ok(body)
    }

    /// Any status but 200.
    async fn refused(&self, response: Response) -> AgentError {
        let status = response.status();
        let after = retry_after(response.headers());
        if let Some(fault) = net::of_status(status) {
            let why = format!("{} {} ({})", self.host(), fault.said, fault.code);
            return failed("agent_unreachable", UNREACHABLE, &why);
        }
        let body = self.body(response, 64 << 10).await.unwrap_or_default();
        let code = failure_code(&String::from_utf8_lossy(&body));
        let (name, told) = match status.as_u16() {
            401 | 403 => ("agent_key_refused", "The agent's service refused the key that it was given."),
            404 => ("agent_model_unknown", "The agent's service does not know the model."),
            400 if code.as_deref() == Some("model_not_found") => {
                ("agent_model_unknown", "The agent's service does not know the model.")
            }
            429 => {
                ("agent_rate_limited", "The agent is asked too much at the moment. Please try again later.")
            }
            _ => ("agent_failed", "The agent's service reported a failure."),
        };
        let code = code.map_or_else(String::new, |code| format!(", {code}"));
        let detail = format!("{} answered {status}{code} for the model {}", self.host(), self.model);
        let again = match status.as_u16() {
            // What is full or being mended says nothing about the message.
            429 | 502..=504 | 529 => Again::After(after.unwrap_or_default()),
            500..=599 => Again::Briefly(after.unwrap_or_default()),
            _ => Again::Never,
        };
        AgentError { again, ..failed(name, told, &detail) }
    }

    /// The connection failed before or within the answer.
    fn broken(&self, error: reqwest::Error) -> AgentError {
        let fault = net::classify(&error);
        let why = format!("{} {} ({})", self.host(), fault.said, fault.code);
        let (code, told) = match fault.certainty {
            Certainty::NotSent => ("agent_unreachable", UNREACHABLE),
            Certainty::MaybeSent => ("agent_broke_off", "The connection to the agent broke off."),
        };
        let again = match fault.certainty {
            Certainty::NotSent => Again::After(Duration::ZERO),
            Certainty::MaybeSent => Again::Never,
        };
        AgentError { again, ..failed(code, told, &format!("{why}: {}", with_causes(&error.without_url()))) }
    }

    async fn within<T>(&self, step: impl Future<Output = T>) -> Result<T, AgentError> {
        tokio::time::timeout(self.idle_timeout, step).await.map_err(|_| {
            let detail = format!("{} was silent for {} s", self.host(), self.idle_timeout.as_secs());
            AgentError { again: Again::Once, ..failed("agent_stalled", STALLED, &detail) }
        })
    }

    /// The address without anything that may be secret.
    fn host(&self) -> String {
        let host = self.url.host_str().unwrap_or("the agent");
        self.url.port_or_known_default().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
    }
}

/// An attempt that is under way; dropped before its end it was broken off.
struct Attempt<'a> {
    agent: &'a Openai,
    ending: Ending,
}

impl Drop for Attempt<'_> {
    fn drop(&mut self) {
        let mut breaker = self.agent.breaker();
        let was_open = breaker.open_since().is_some();
        breaker.end(Now::read(), self.ending);
        if was_open != breaker.open_since().is_some() {
            let host = self.agent.host();
            if was_open {
                tracing::info!(code = "agent_available", "the agent's service at {host} is there again");
            } else {
                tracing::warn!(
                    code = "agent_unavailable",
                    "the agent's service at {host} is not there; messages wait"
                );
            }
        }
    }
}

impl Openai {
    fn breaker(&self) -> MutexGuard<'_, Breaker> {
        self.breaker.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn unavailable(&self, wait: Duration) -> AgentError {
        let detail = format!("{} was not there a moment ago", self.host());
        AgentError {
            again: Again::After(wait),
            ..failed("agent_unavailable", "The agent cannot be reached at the moment.", &detail)
        }
    }
}

#[async_trait]
impl Agent for Openai {
    async fn answer(&self, turn: Turn, draft: &Draft) -> Result<String, AgentError> {
        if let Some(wait) = self.breaker().begin(Now::read().mono) {
            return Err(self.unavailable(wait));
        }
        let mut attempt = Attempt { agent: self, ending: Ending::Dropped };
        let answer = self.ask(turn, draft).await;
        attempt.ending = match answer.as_ref().map_err(|error| error.again) {
            Ok(_) | Err(Again::Never | Again::Once) => Ending::Heard,
            Err(Again::After(asked) | Again::Briefly(asked)) => {
                Ending::Unavailable(Some(asked).filter(|asked| !asked.is_zero()))
            }
        };
        drop(attempt);
        let wait = self.wait().unwrap_or_default();
        answer.map_err(|error| {
            let again = match error.again {
                Again::Never => Again::Never,
                Again::Once => Again::Once,
                Again::After(_) => Again::After(wait),
                Again::Briefly(_) => Again::Briefly(wait),
            };
            AgentError { again, ..error }
        })
    }

    fn wait(&self) -> Option<Duration> {
        self.breaker().wait(Now::read().mono)
    }

    fn about(&self) -> About {
        let since = self.breaker().open_since();
        let trouble = since.map(|since| Trouble { since, why: format!("{} does not answer", self.host()) });
        About { kind: "openai", model: Some(self.model.clone()), trouble }
    }
}

/// How long the service asks us to wait, in whole seconds; a date is not looked at.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let seconds = headers.get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds))
}

fn address(base_url: &str) -> Result<Url, CliError> {
    // The error must not repeat the address: it may hold a password.
    let unusable = || {
        CliError::config("agent.base_url is no address of the form http://host/v1")
            .hint("Set base_url under [agent] in gateway.toml.")
    };
    let mut url = Url::parse(base_url).map_err(|_| unusable())?;
    if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none_or(str::is_empty) {
        return Err(unusable());
    }
    url.path_segments_mut().map_err(|()| unusable())?.pop_if_empty().extend(["chat", "completions"]);
    Ok(url)
}

/// The images that a model can be shown. One that cannot be read stays words: the person hears of what can be answered.
async fn images(attachments: &[Attachment]) -> Vec<Image> {
    let files: Vec<_> = attachments
        .iter()
        .filter_map(|attachment| {
            let mime = attachment.mime.as_deref()?.split(';').next()?.trim().to_ascii_lowercase();
            let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '+' | '-');
            let kind = mime.strip_prefix("image/")?;
            (!kind.is_empty() && kind.chars().all(plain)).then_some((attachment.path.clone()?, mime))
        })
        .take(IMAGES_MAX)
        .collect();
    if files.is_empty() {
        return Vec::new();
    }
    let read = tokio::task::spawn_blocking(move || {
        files
            .into_iter()
            .filter_map(|(path, mime)| match read_image(&path) {
                Ok(bytes) => {
                    let data = base64::engine::general_purpose::STANDARD.encode(bytes);
                    Some(Image(format!("data:{mime};base64,{data}")))
                }
                Err(error) => {
                    tracing::info!(code = "image_unreadable", %error, "an image is not shown to the agent");
                    None
                }
            })
            .collect()
    });
    read.await.unwrap_or_default()
}

fn read_image(path: &Path) -> std::io::Result<Vec<u8>> {
    crate::file::read(path, IMAGE_LEN_MAX)
}

fn failed(code: &'static str, told: &str, detail: &str) -> AgentError {
    AgentError { code, told: told.to_owned(), detail: detail.to_owned(), again: Again::Never }
}

fn unreadable(detail: &str) -> AgentError {
    failed("agent_unreadable", "The agent's answer was not readable.", detail)
}

fn unusable(why: Unusable) -> AgentError {
    match why {
        Unusable::Unreadable => unreadable("no chat completion"),
        Unusable::Failed(code) => {
            let code = code.unwrap_or_else(|| "no code".to_owned());
            failed(
                "agent_failed",
                "The agent's service reported a failure.",
                &format!("within its answer: {code}"),
            )
        }
    }
}

fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut below = error.source();
    while let Some(cause) = below {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        below = cause.source();
    }
    text
}

#[cfg(test)]
#[path = "openai_tests.rs"]
mod tests;
