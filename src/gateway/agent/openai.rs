//! Any OpenAI-compatible service: `POST {base_url}/chat/completions`, read as a stream.

use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use jiff::fmt::rfc2822;
use reqwest::header::{ACCEPT, AUTHORIZATION, HeaderMap, HeaderValue, LOCATION};
use reqwest::{Client, Response, Url};
use serde_json::Value;

use super::answer::{Answer, Cut};
use super::api::{About, Again, Agent, AgentError, Ailment, RETRY, STALLED, Trouble, Turn, said};
use super::breaker::{Breaker, Ending};
use super::draft::Draft;
use super::failure::{self, Service};
use super::pictures::images;
use super::reading::{Failure, Reading};
use super::refusal::{Kind, Refusal};
use super::verdict::Verdict;
use super::window::Window;
use super::{request, thinking, words};
use crate::clock::Now;
use crate::config::OpenaiConfig;
use crate::error::CliError;
use crate::gateway::log_throttle::LogThrottle;
use crate::gateway::model::failure::Certainty;
use crate::gateway::store::api::Exchange;
use crate::redact::Redactor;
use crate::{net, tls, visible};

/// The longest wait for the service to take the connection.
const CONNECT_LIMIT: Duration = Duration::from_secs(10);

/// So much of a refusal is read.
const REFUSAL_LEN_MAX: usize = 64 << 10;

/// The window that is assumed where neither the settings nor the service name one, in tokens.
const WINDOW_DEFAULT: u32 = 16_384;

/// The smallest window in tokens that a refusal can teach.
const WINDOW_LEARNT_MIN: u32 = 1024;

/// No window is smaller: what fits into it needs no question about the window.
const WINDOW_LEAST: u32 = 2048;

/// The longest wait for an answer that comes as a whole.
const WHOLE_LIMIT: Duration = Duration::from_secs(600);

/// What people hear when the service cannot be reached.
const UNREACHABLE: &str = "The agent cannot be reached right now.";

/// An answer, and what broke it off.
type Read = (Answer, Option<AgentError>);

/// Its text as it is told, and the same.
type Told = (String, Option<AgentError>);

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
    /// Its name says so.
    is_known_to_think: bool,
    /// The service streams this model's answers, as far as it has not refused to.
    streams: AtomicBool,
    /// Knows the key.
    redactor: Redactor,
    repeats: LogThrottle,
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
            is_known_to_think: thinking::is_known_for_it(&config.model),
            streams: AtomicBool::new(true),
            redactor: Redactor::new(config.api_key.iter().map(|key| key.0.clone())),
            repeats: LogThrottle::default(),
        })
    }

    /// Asks; again without the pictures where they are refused, with less of the conversation where it is too long, and for a
    /// whole answer where a stream is refused.
    async fn ask(&self, turn: &Turn, draft: &Draft) -> Result<Told, AgentError> {
        let mut pictures = images(&turn.message.attachments).await;
        let mut history = self.fitting(turn).await;
        let whole = history;
        loop {
            let prompt = self.system_prompt.as_deref();
            let is_stream = self.streams.load(Ordering::Relaxed);
            let body = request::body(&self.model, prompt, turn, history, &pictures, is_stream);
            let (refusal, after) = match self.ask_once(&body, draft).await {
                Ok((answer, broke)) => return self.told(&answer, broke),
                Err(Failure::Refused(refusal, after)) => (refusal, after),
                Err(Failure::Failed(error)) => return Err(error),
            };
            let is_too_long = matches!(refusal.kind, Kind::TooLong(_));
            // Less is no window of a model: it counts for this message alone, or one refusal would take the memory of all.
            if let Kind::TooLong(Some(tokens)) = refusal.kind
                && tokens >= WINDOW_LEARNT_MIN
            {
                self.window.store(tokens, Ordering::Relaxed);
            }
            let passes = matches!(refusal.kind, Kind::Busy | Kind::Away | Kind::Key | Kind::Quota);
            let is_size = is_too_long && refusal.status != Some(413) && !history.is_empty();
            if is_stream && refusal.is_stream {
                tracing::info!(
                    code = "stream_refused",
                    "The agent's service does not stream answers of this model; asking for whole answers from now on"
                );
                self.streams.store(false, Ordering::Relaxed);
            } else if !pictures.is_empty() && refusal.pictures && !passes && !is_size {
                tracing::info!(
                    code = "images_refused",
                    "The agent's service refused an image; asking again without it"
                );
                pictures.clear();
            } else if is_too_long && !history.is_empty() {
                let fewer = if history.len() == whole.len() { history.len() / 2 } else { 0 };
                history = &history[history.len() - fewer..];
            } else {
                return Err(self.refused(refusal, after, &body));
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

    async fn ask_once(&self, body: &Value, draft: &Draft) -> Result<Read, Failure> {
        let sending = self.client.post(self.url.clone()).json(body).send();
        let response = self.within(sending).await?.map_err(|error| self.broken(error))?;
        let after = retry_after(response.headers(), Now::read().wall);
        let status = response.status();
        if status.is_success() {
            return self.read(response, draft, body).await.map_err(|failure| match failure {
                Failure::Refused(refusal, _) => Failure::Refused(refusal, after),
                Failure::Failed(error) => Failure::Failed(error),
            });
        }
        if let Some(fault) = net::of_status(status) {
            let why = format!("{} {} ({})", self.host(), fault.said, fault.code);
            return Err(failed("agent_unreachable", UNREACHABLE, &why).into());
        }
        let target = response.headers().get(LOCATION).filter(|_| status.is_redirection());
        let target = target.map(|target| String::from_utf8_lossy(target.as_bytes()).into_owned());
        let body = self.body(response).await.unwrap_or_default();
        let refusal = Refusal::of(status.as_u16(), &String::from_utf8_lossy(&body));
        Err(Failure::Refused(Refusal { target, ..refusal }, after))
    }

    /// The answer as it is told, with a last line where it is not whole.
    fn told(&self, answer: &Answer, broke: Option<AgentError>) -> Result<Told, AgentError> {
        if !answer.text().is_empty() {
            // Of the last answer: one odd answer must not hide what all others write, nor one plain answer show what the model thinks.
            let thinks = thinking::has_only_close(answer.text()) || self.is_known_to_think;
            self.thinks.store(thinks, Ordering::Relaxed);
        }
        let mut text = thinking::visible(answer.text(), true).into_owned();
        if !visible::is_blank(&text) {
            text.push_str(answer.cut().map_or("", Cut::line));
            return Ok((text, broke));
        }
        let told = match answer.cut() {
            Some(Cut::Length | Cut::TooLong) => "The model reached its length limit before it answered.",
            Some(Cut::Filtered) => "The service's content filter withheld the answer.",
            Some(Cut::Broken) | None => "The agent answered nothing.",
        };
        Err(failed("agent_silent", told, "an empty answer"))
    }

    /// Reads a stream, or a body that is not one; the content type does not tell reliably.
    async fn read(&self, mut response: Response, draft: &Draft, asked: &Value) -> Result<Read, Failure> {
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
        let mut broke = match failure {
            Some(failure) if answer.is_empty() => return Err(failure),
            // What was said is worth more than an error in its place.
            Some(Failure::Refused(refusal, after)) => Some(self.refused(refusal, after, asked)),
            Some(Failure::Failed(error)) => Some(error),
            None => None,
        };
        if broke.is_some() {
            answer.break_off();
        }
        answer.close(is_stream);
        if answer.cut() == Some(Cut::Broken) && !answer.is_empty() {
            let error = broke.get_or_insert_with(|| self.incomplete());
            error.log_cut();
        }
        Ok((answer, broke))
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
        if may_think && !reading.answer.reasons() && text.starts_with(visible.as_ref()) {
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

    /// The error of a refusal of this request.
    fn refused(&self, refusal: Refusal, after: Option<Duration>, asked: &Value) -> AgentError {
        let words = refusal.said.as_ref().map(|said| words::shown(&said.0, asked, &self.redactor));
        let service = Service { host: &self.host(), url: &self.url, model: &self.model };
        failure::refused(refusal, after, words, service)
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

    /// The service ended its answer before it was complete, and says nothing of it.
    fn incomplete(&self) -> AgentError {
        let detail = format!("{} ended its answer before it was complete", self.host());
        failed("agent_broke_off", "The connection to the agent was lost.", &detail)
    }

    async fn within<T>(&self, step: impl Future<Output = T>) -> Result<T, AgentError> {
        let limit = self.silence_max();
        tokio::time::timeout(limit, step).await.map_err(|_| self.silence(limit))
    }

    /// The longest silence: a whole answer comes after the model has written all of it.
    fn silence_max(&self) -> Duration {
        let is_stream = self.streams.load(Ordering::Relaxed);
        if is_stream { self.idle_timeout } else { self.idle_timeout.max(WHOLE_LIMIT) }
    }

    fn silence(&self, limit: Duration) -> AgentError {
        let detail = format!("{} sent nothing for {} s", self.host(), limit.as_secs());
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
    /// The failure that it ended with: its code for an agent that is away for it, and its words.
    failure: (&'static str, String),
}

impl Drop for Attempt<'_> {
    fn drop(&mut self) {
        let mut breaker = self.agent.breaker();
        let was_open = breaker.open_since().is_some();
        breaker.end(Now::read(), self.message, self.ending);
        if was_open != breaker.open_since().is_some() {
            let host = self.agent.host();
            if was_open {
                tracing::info!(code = "agent_available", "The agent at {host} answers again");
            } else {
                let (code, why) = &self.failure;
                tracing::warn!(code, "The agent is not available: {why}; messages are queued");
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
        let again = self.again(wait);
        if let Some(last) = self.verdict().passing().filter(|last| last.code != "agent_unreachable") {
            return AgentError { again, ..last.clone() };
        }
        let detail = format!("{} could not be reached a moment ago", self.host());
        AgentError { again, ..failed("agent_unavailable", UNREACHABLE, &detail) }
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
        let failure = ("agent_unavailable", String::new());
        let mut attempt = Attempt { agent: self, message: &message, ending: Ending::Dropped, failure };
        let answer = self.ask(&turn, draft).await;
        if let Err(error) = &answer {
            attempt.failure = (away_code(error).unwrap_or("agent_unavailable"), error.detail.clone());
        }
        attempt.ending = match answer.as_ref().map_err(|error| error.again) {
            Ok(_) | Err(Again::Never) => Ending::Heard,
            Err(Again::Once) => Ending::Dropped,
            Err(Again::After(_)) => Ending::Away,
            Err(Again::Briefly(asked)) => Ending::Failed(Some(asked).filter(|asked| !asked.is_zero())),
        };
        self.verdict().ended(Now::read().wall, answer.as_ref().map(|(_, broke)| broke.as_ref()));
        drop(attempt);
        if let Err(error) = &answer
            && matches!(error.again, Again::Briefly(_))
            && let Some(more) = self.repeats.say(Now::read().mono, &error.kind())
        {
            tracing::info!(code = error.code, "The message waits for another try: {}{more}", error.detail);
        }
        answer.map(|(text, _)| text).map_err(|error| match error.again {
            Again::Never | Again::Once => error,
            Again::After(_) | Again::Briefly(_) => self.later(error, &message),
        })
    }

    fn wait(&self) -> Option<Duration> {
        self.breaker().wait(Now::read().mono)
    }

    fn about(&self) -> About {
        let since = self.breaker().open_since();
        let verdict = self.verdict();
        let answered = verdict.passing().filter(|last| matches!(last.again, Again::Briefly(_)));
        let why = || {
            answered.map_or_else(|| format!("{} does not answer", self.host()), |last| last.detail.clone())
        };
        let code = answered.and_then(away_code);
        let away = since.map(|since| Trouble { since, why: why(), code, ailment: Ailment::Away });
        About {
            kind: "openai",
            model: Some(self.model.clone()),
            is_untried: verdict.is_untried(),
            trouble: away.or_else(|| verdict.trouble().cloned()),
        }
    }
}

/// The code of an agent that is away for this failure, where it has one of its own.
fn away_code(error: &AgentError) -> Option<&'static str> {
    Some(error.code).filter(|code| *code == "agent_rate_limited")
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
