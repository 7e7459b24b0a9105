//! Any OpenAI-compatible service: `POST {base_url}/chat/completions`, read as a stream.

use std::hash::{BuildHasher, RandomState};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use base64::Engine;
use jiff::Timestamp;
use jiff::fmt::rfc2822;
use reqwest::header::{ACCEPT, AUTHORIZATION, HeaderMap, HeaderValue};
use reqwest::{Client, Response, Url};

use super::answer::{Answer, Cut};
use super::api::{About, Again, Agent, AgentError, Ailment, RETRY, STALLED, Trouble, Turn, said};
use super::breaker::{Breaker, Ending};
use super::draft::Draft;
use super::reading::{Failure, Reading};
use super::refusal::{Kind, Refusal};
use super::request::{self, Image};
use super::thinking;
use super::verdict::Verdict;
use super::window::Window;
use crate::clock::Now;
use crate::config::OpenaiConfig;
use crate::error::CliError;
use crate::gateway::model::failure::Certainty;
use crate::gateway::model::message::Attachment;
use crate::gateway::store::api::Exchange;
use crate::{net, tls, visible};

/// The longest wait for the service to take the connection.
const CONNECT_LIMIT: Duration = Duration::from_secs(10);

/// The largest image that is sent to the model, in bytes.
const IMAGE_LEN_MAX: u64 = 4 << 20;

/// Images of one message that are sent to the model.
const IMAGES_MAX: usize = 4;

/// So much of a refusal is read.
const REFUSAL_LEN_MAX: usize = 64 << 10;

/// The window that is assumed where neither the settings nor the service name one, in tokens.
const WINDOW_DEFAULT: u32 = 16_384;

/// No window is smaller: what fits into it needs no question about the window.
const WINDOW_LEAST: u32 = 2048;

/// What people hear when the service cannot be reached.
const UNREACHABLE: &str = "The agent cannot be reached right now.";

/// A client of one service.
pub struct Openai {
    client: Client,
    url: Url,
    model: String,
    system_prompt: Option<String>,
    idle_timeout: Duration,
    breaker: Mutex<Breaker>,
    verdict: Mutex<Verdict>,
    /// The model's window by the settings.
    context_tokens: Option<u32>,
    /// The same by the service's list of models.
    listed: Window,
    /// The same by what the service said to a question that was too long; 0: not known.
    window: AtomicU32,
    /// The model thinks in its answers, before a closing tag alone.
    thinks: AtomicBool,
}

impl Openai {
    /// Nothing is contacted yet.
    ///
    /// # Errors
    /// When the address or the key is unusable.
    pub fn new(config: &OpenaiConfig) -> Result<Self, CliError> {
        let url = address(&config.base_url, &["chat", "completions"])?;
        let listed = Window::new(models_address(config)?);
        let client = client(config, &url)?;
        Ok(Self {
            client,
            url,
            model: config.model.clone(),
            system_prompt: config.system_prompt.clone(),
            idle_timeout: config.idle_timeout,
            breaker: Mutex::new(Breaker::new(RandomState::new().hash_one(&config.base_url))),
            verdict: Mutex::default(),
            context_tokens: config.context_tokens,
            listed,
            window: AtomicU32::new(0),
            thinks: AtomicBool::new(thinking::is_known_for_it(&config.model)),
        })
    }

    /// Asks; again without the pictures where they are refused, and with less of the conversation where it is too long.
    async fn ask(&self, turn: &Turn, draft: &Draft) -> Result<String, AgentError> {
        let mut pictures = images(&turn.message.attachments).await;
        let mut history = self.fitting(turn).await;
        let whole = history;
        loop {
            let body = request::body(&self.model, self.system_prompt.as_deref(), turn, history, &pictures);
            let (refusal, after) = match self.ask_once(&body, draft).await {
                Ok(answer) => return self.told(answer),
                Err(Failure::Refused(refusal, after)) => (refusal, after),
                Err(Failure::Failed(error)) => return Err(error),
            };
            let is_too_long = matches!(refusal.kind, Kind::TooLong(_));
            if let Kind::TooLong(Some(tokens)) = refusal.kind {
                self.window.store(tokens, Ordering::Relaxed);
            }
            let passes = matches!(refusal.kind, Kind::Busy | Kind::Away | Kind::Key | Kind::Quota);
            let is_size = is_too_long && refusal.status != Some(413) && !history.is_empty();
            if !pictures.is_empty() && refusal.pictures && !passes && !is_size {
                tracing::info!(
                    code = "images_refused",
                    "The agent's service refused an image; asking again without it"
                );
                pictures.clear();
            } else if is_too_long && !history.is_empty() {
                let fewer = if history.len() == whole.len() { history.len() / 2 } else { 0 };
                history = &history[history.len() - fewer..];
            } else {
                return Err(self.refused(refusal, after));
            }
        }
    }

    /// The newest exchanges that fit into the model's window beside the message, with a quarter of it left for the answer.
    async fn fitting<'a>(&self, turn: &'a Turn) -> &'a [Exchange] {
        let learnt = Some(self.window.load(Ordering::Relaxed)).filter(|tokens| *tokens > 0);
        let told = match self.context_tokens {
            None if learnt.is_none() && self.within_window(turn, WINDOW_LEAST).len() < turn.history.len() => {
                self.listed.tokens(&self.client, &self.model).await
            }
            set => set,
        };
        self.within_window(turn, told.into_iter().chain(learnt).min().unwrap_or(WINDOW_DEFAULT))
    }

    fn within_window<'a>(&self, turn: &'a Turn, window: u32) -> &'a [Exchange] {
        let mut room = (u64::from(window) / 4 * 3).saturating_sub(
            tokens(&said(&turn.message)) + tokens(self.system_prompt.as_deref().unwrap_or("")),
        );
        let kept = turn.history.iter().rev().take_while(|exchange| {
            let needed = tokens(&exchange.said) + tokens(&exchange.answered);
            let fits = needed <= room;
            room = room.saturating_sub(needed);
            fits
        });
        &turn.history[turn.history.len() - kept.count()..]
    }

    async fn ask_once(&self, body: &serde_json::Value, draft: &Draft) -> Result<Answer, Failure> {
        let sending = self.client.post(self.url.clone()).json(body).send();
        let response = self.within(sending).await?.map_err(|error| self.broken(error))?;
        let after = retry_after(response.headers(), Now::read().wall);
        let status = response.status();
        if status.is_success() {
            return self.read(response, draft).await.map_err(|failure| match failure {
                Failure::Refused(refusal, _) => Failure::Refused(refusal, after),
                Failure::Failed(error) => Failure::Failed(error),
            });
        }
        if let Some(fault) = net::of_status(status) {
            let why = format!("{} {} ({})", self.host(), fault.said, fault.code);
            return Err(failed("agent_unreachable", UNREACHABLE, &why).into());
        }
        let body = self.body(response).await.unwrap_or_default();
        Err(Failure::Refused(Refusal::of(status.as_u16(), &String::from_utf8_lossy(&body)), after))
    }

    /// The answer as it is told, with a last line where it is not whole.
    fn told(&self, answer: Answer) -> Result<String, AgentError> {
        if thinking::has_only_close(answer.text()) {
            self.thinks.store(true, Ordering::Relaxed);
        }
        let mut text = thinking::visible(answer.text(), true).into_owned();
        if !visible::is_blank(&text) {
            text.push_str(answer.cut().map_or("", Cut::line));
            return Ok(text);
        }
        let told = match answer.cut() {
            Some(Cut::Length | Cut::TooLong) => "The model reached its length limit before it answered.",
            Some(Cut::Filtered) => "The service's content filter withheld the answer.",
            Some(Cut::Broken) | None => "The agent answered nothing.",
        };
        Err(failed("agent_silent", told, "an empty answer"))
    }

    /// Reads a stream, or a body that is not one; the content type does not tell reliably.
    async fn read(&self, mut response: Response, draft: &Draft) -> Result<Answer, Failure> {
        let mut reading = Reading::default();
        // Comments alone keep it alive for as long as a turn may take: a service may queue what it is asked.
        let failure = loop {
            let step = match self.within(response.chunk()).await {
                Ok(step) => step.map_err(|error| self.broken(error)),
                Err(silence) => Err(silence),
            };
            let bytes = match step {
                Ok(Some(bytes)) => bytes,
                Ok(None) => break reading.finish().err(),
                Err(error) => break Some(Failure::Failed(error)),
            };
            if let Err(failure) = reading.take(&bytes) {
                break Some(failure);
            }
            self.show(&mut reading, draft);
            if reading.answer.is_ended() {
                break None;
            }
        };
        let is_stream = reading.is_stream();
        let mut answer = reading.answer;
        match failure {
            Some(failure) if answer.is_empty() => return Err(failure),
            // What was said is worth more than an error in its place.
            Some(failure) => {
                let error = match failure {
                    Failure::Refused(refusal, after) => self.refused(refusal, after),
                    Failure::Failed(error) => error,
                };
                error.log_cut();
                answer.break_off();
            }
            None => {}
        }
        answer.close(is_stream);
        Ok(answer)
    }

    /// Shows what can be shown of an answer that grows.
    fn show(&self, reading: &mut Reading, draft: &Draft) {
        let text = reading.answer.text();
        // Another choice may have taken the place of the one before.
        reading.shown = if text.len() < reading.shown { 0 } else { reading.shown };
        // A long text is not looked through for every few letters.
        if text.len() < reading.shown + text.len() / 256 {
            return;
        }
        let visible = thinking::visible(text, false);
        let may_think = self.thinks.load(Ordering::Relaxed) || thinking::looks_like(text);
        if may_think && !reading.answer.reasons() && visible.len() == text.len() {
            return;
        }
        draft.grow(&visible);
        reading.shown = text.len();
    }

    async fn body(&self, mut response: Response) -> Result<Vec<u8>, AgentError> {
        let mut body = Vec::new();
        while let Some(bytes) = self.within(response.chunk()).await?.map_err(|error| self.broken(error))? {
            body.extend_from_slice(&bytes[..bytes.len().min(REFUSAL_LEN_MAX - body.len())]);
            if body.len() == REFUSAL_LEN_MAX {
                break;
            }
        }
        Ok(body)
    }

    /// What a refusal is to the person, and whether it is worth another try.
    fn refused(&self, refusal: Refusal, after: Option<Duration>) -> AgentError {
        let (name, told) = match refusal.kind {
            Kind::TooLong(_) => (
                "agent_message_too_long",
                "This message is too long for the agent's model. Please send a shorter one.",
            ),
            Kind::Key => ("agent_key_refused", "The agent's service refused the API key."),
            Kind::Quota => {
                ("agent_quota", "The quota of the agent's service is used up. Please try again later.")
            }
            Kind::Address => (
                "agent_address_unknown",
                "The agent's service was not found at the configured address. See the log of hermes.",
            ),
            Kind::Model => ("agent_model_unknown", "The agent's service does not have this model."),
            Kind::Content => {
                ("agent_content_refused", "The agent's service refused the content of this message.")
            }
            Kind::Busy => {
                ("agent_rate_limited", "The agent is overloaded right now. Please try again later.")
            }
            Kind::Away | Kind::Broke | Kind::Refused => {
                ("agent_failed", "The agent's service reported a failure.")
            }
        };
        let status = refusal.status.map_or_else(String::new, |status| format!(" {status}"));
        let code = refusal.code.map_or_else(String::new, |code| format!(", {code}"));
        let at = if matches!(refusal.kind, Kind::Address | Kind::Model) {
            self.address_asked()
        } else if status.is_empty() {
            " within its answer".to_owned()
        } else {
            String::new()
        };
        let detail = format!("{} answered{status}{code} for the model {}{at}", self.host(), self.model);
        let again = match refusal.kind {
            Kind::Busy | Kind::Away | Kind::Broke => Again::Briefly(after.unwrap_or_default()),
            Kind::TooLong(_)
            | Kind::Key
            | Kind::Quota
            | Kind::Address
            | Kind::Model
            | Kind::Content
            | Kind::Refused => Again::Never,
        };
        AgentError { again, ..failed(name, told, &detail) }
    }

    /// Which address was asked, without what may be secret, and what it should perhaps be.
    fn address_asked(&self) -> String {
        let path = self.url.path();
        let asked = format!("{}://{}{path}", self.url.scheme(), self.host());
        let base = asked.trim_end_matches("/chat/completions");
        let guess = if path.matches("/chat/completions").count() > 1 {
            format!("; base_url should end before /chat/completions: {base}")
        } else if path.split('/').any(|part| part == "v1") {
            String::new()
        } else {
            format!("; is base_url {base}/v1?")
        };
        format!(": POST {asked}{guess}")
    }

    /// The connection failed before or within the answer.
    fn broken(&self, error: reqwest::Error) -> AgentError {
        let fault = net::classify(&error);
        let why = format!("{} {} ({})", self.host(), fault.said, fault.code);
        let (code, told) = match fault.certainty {
            Certainty::NotSent => ("agent_unreachable", UNREACHABLE),
            Certainty::MaybeSent => ("agent_broke_off", "The connection to the agent was lost."),
        };
        let again = match fault.certainty {
            Certainty::NotSent => Again::After(Duration::ZERO),
            // It may have been asked; as after silence, once more is worth it.
            Certainty::MaybeSent => Again::Once,
        };
        AgentError { again, ..failed(code, told, &format!("{why}: {}", with_causes(&error.without_url()))) }
    }

    async fn within<T>(&self, step: impl Future<Output = T>) -> Result<T, AgentError> {
        tokio::time::timeout(self.idle_timeout, step).await.map_err(|_| self.silence())
    }

    fn silence(&self) -> AgentError {
        let detail = format!("{} sent nothing for {} s", self.host(), self.idle_timeout.as_secs());
        AgentError { again: Again::Once, ..failed("agent_stalled", STALLED, &detail) }
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
    message: &'a str,
    ending: Ending,
}

impl Drop for Attempt<'_> {
    fn drop(&mut self) {
        let mut breaker = self.agent.breaker();
        let was_open = breaker.open_since().is_some();
        breaker.end(Now::read(), self.message, self.ending);
        if was_open != breaker.open_since().is_some() {
            let host = self.agent.host();
            if was_open {
                tracing::info!(code = "agent_available", "The agent at {host} can be reached again");
            } else {
                tracing::warn!(
                    code = "agent_unavailable",
                    "Cannot reach the agent at {host}; messages are queued"
                );
            }
        }
    }
}

impl Openai {
    fn breaker(&self) -> MutexGuard<'_, Breaker> {
        self.breaker.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn verdict(&self) -> MutexGuard<'_, Verdict> {
        self.verdict.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn unavailable(&self, wait: Duration) -> AgentError {
        let detail = format!("{} could not be reached a moment ago", self.host());
        AgentError { again: self.again(wait), ..failed("agent_unavailable", UNREACHABLE, &detail) }
    }

    /// As long as the service may be there for others, a message waits alone.
    fn again(&self, wait: Duration) -> Again {
        if self.breaker().open_since().is_some() { Again::After(wait) } else { Again::Briefly(wait) }
    }

    /// A message that failed waits for another try, or has had its tries.
    fn later(&self, error: AgentError, message: &str) -> AgentError {
        let spent = self.breaker().spent(message);
        if let Some(tries) = spent {
            self.breaker().forget(message);
            let told = format!("{} I tried {tries} times. {RETRY}", error.told);
            return AgentError { told, again: Again::Never, ..error };
        }
        let wait = self.breaker().own_wait(Now::read().mono, message);
        AgentError { again: self.again(wait), ..error }
    }
}

#[async_trait]
impl Agent for Openai {
    async fn answer(&self, turn: Turn, draft: &Draft) -> Result<String, AgentError> {
        let message = name_of(&turn);
        let wait = self.breaker().begin(Now::read().mono, &message);
        if let Some(wait) = wait {
            return Err(self.unavailable(wait));
        }
        let mut attempt = Attempt { agent: self, message: &message, ending: Ending::Dropped };
        let answer = self.ask(&turn, draft).await;
        attempt.ending = match answer.as_ref().map_err(|error| error.again) {
            Ok(_) | Err(Again::Never) => Ending::Heard,
            Err(Again::Once) => Ending::Dropped,
            Err(Again::After(_)) => Ending::Away,
            Err(Again::Briefly(asked)) => Ending::Failed(Some(asked).filter(|asked| !asked.is_zero())),
        };
        drop(attempt);
        self.verdict().ended(Now::read().wall, answer.as_ref().map(drop));
        answer.map_err(|error| match error.again {
            Again::Never | Again::Once => error,
            Again::After(_) | Again::Briefly(_) => self.later(error, &message),
        })
    }

    fn wait(&self) -> Option<Duration> {
        self.breaker().wait(Now::read().mono)
    }

    fn about(&self) -> About {
        let since = self.breaker().open_since();
        let why = || format!("{} does not answer", self.host());
        let away = since.map(|since| Trouble { since, why: why(), ailment: Ailment::Away });
        let verdict = self.verdict();
        About {
            kind: "openai",
            model: Some(self.model.clone()),
            is_untried: verdict.is_untried(),
            trouble: away.or_else(|| verdict.trouble().cloned()),
        }
    }
}

/// A message among those of all chats.
fn name_of(turn: &Turn) -> String {
    format!("{} {} {}", turn.key.platform, turn.key.chat.0, turn.message.id.0)
}

/// How long the service asks us to wait: in milliseconds, in seconds, or until a date.
fn retry_after(headers: &HeaderMap, now: Timestamp) -> Option<Duration> {
    let text = |name: &str| headers.get(name)?.to_str().ok().map(str::trim);
    if let Some(wait) = text("retry-after-ms").and_then(|text| text.parse().ok()) {
        return Duration::try_from_secs_f64(f64::max(wait, 0.0) / 1000.0).ok();
    }
    let after = text("retry-after")?;
    if let Ok(seconds) = after.parse::<f64>() {
        return Duration::try_from_secs_f64(seconds).ok();
    }
    let date = rfc2822::DateTimeParser::new().parse_timestamp(after).ok()?;
    Duration::try_from(date.duration_since(now)).ok()
}

/// How many tokens a text is, roughly and rather too many.
fn tokens(text: &str) -> u64 {
    8 + u64::try_from(text.len()).unwrap_or(u64::MAX / 4) / 3
}

/// The client for the service of this agent, with its key.
///
/// # Errors
/// When the key is unusable.
pub fn client(config: &OpenaiConfig, url: &Url) -> Result<Client, CliError> {
    let mut headers = HeaderMap::new();
    if let Some(key) = &config.api_key {
        let mut value = HeaderValue::try_from(format!("Bearer {}", key.0)).map_err(|_| {
            CliError::config(format!(
                "{} contains characters that are not allowed in a key",
                config.api_key_env
            ))
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
    if net::is_loopback(url) {
        builder = builder.no_proxy();
    }
    builder.build().map_err(|error| {
        CliError::failed("cannot set up the connection to the agent").because(error.without_url())
    })
}

/// The address of the service's list of models.
///
/// # Errors
/// When `base_url` is unusable.
pub fn models_address(config: &OpenaiConfig) -> Result<Url, CliError> {
    address(&config.base_url, &["models"])
}

/// The address of this service below its base.
fn address(base_url: &str, path: &[&str]) -> Result<Url, CliError> {
    // The error must not repeat the address: it may hold a password.
    let unusable = || {
        CliError::config("agent.base_url is not an address such as http://host/v1")
            .hint("Set base_url under [agent] in gateway.toml.")
    };
    let mut url = Url::parse(base_url).map_err(|_| unusable())?;
    if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none_or(str::is_empty) {
        return Err(unusable());
    }
    url.path_segments_mut().map_err(|()| unusable())?.pop_if_empty().extend(path);
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
                    tracing::info!(code = "image_unreadable", %error, "An image was not sent to the agent");
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

pub(super) fn failed(code: &'static str, told: &str, detail: &str) -> AgentError {
    AgentError { code, told: told.to_owned(), detail: detail.to_owned(), again: Again::Never }
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
