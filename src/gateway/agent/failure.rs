//! Pure. The error of a refusal: its code, the sentence for the person, the words for the log, and whether the message is tried
//! again.

use std::time::Duration;

use reqwest::Url;

use super::api::{Again, AgentError, SAID};
use super::openai::failed;
use super::refusal::{Kind, Refusal};
use crate::visible;

/// The service that refused.
#[derive(Clone, Copy)]
pub(super) struct Service<'a> {
    /// Its host and port.
    pub(super) host: &'a str,
    /// The address that was asked.
    pub(super) url: &'a Url,
    /// The model that was asked for.
    pub(super) model: &'a str,
}

/// The error. `words`: what the service said, cleaned.
pub(super) fn refused(
    refusal: Refusal,
    after: Option<Duration>,
    words: Option<String>,
    service: Service<'_>,
) -> AgentError {
    let (name, told) = names(refusal.kind);
    let status = refusal.status.map_or_else(String::new, |status| format!(" {status}"));
    let meaning = if refusal.kind == Kind::Busy { " (rate limit)" } else { "" };
    let code = refusal.code.map_or_else(String::new, |code| format!(", {code}"));
    let at = match (&refusal.target, refusal.kind) {
        (Some(target), _) => redirected(target, service),
        (None, Kind::Address | Kind::Model) => address_asked(service),
        (None, _) if status.is_empty() => " within its answer".to_owned(),
        (None, _) => String::new(),
    };
    let words = words.map_or_else(String::new, |words| format!("{SAID}{words}"));
    let Service { host, model, .. } = service;
    let detail = format!("{host} answers{status}{meaning}{code} for the model {model}{at}{words}");
    let again = match refusal.kind {
        Kind::Busy | Kind::Away | Kind::Broke => Again::Briefly(after.unwrap_or_default()),
        Kind::TooLong(_)
        | Kind::Key
        | Kind::Access
        | Kind::Quota
        | Kind::Address
        | Kind::Model
        | Kind::Content
        | Kind::Refused => Again::Never,
    };
    AgentError { again, ..failed(name, told, &detail) }
}

/// The code of a refusal, and the sentence for the person.
fn names(kind: Kind) -> (&'static str, &'static str) {
    match kind {
        Kind::TooLong(_) => (
            "agent_message_too_long",
            "This message is too long for the agent's model. Please send a shorter one.",
        ),
        Kind::Key => ("agent_key_refused", "The agent's service refused the API key."),
        Kind::Access => ("agent_access_refused", "The agent's service refused access."),
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
        Kind::Busy => ("agent_rate_limited", "The agent is overloaded right now. Please try again later."),
        Kind::Away | Kind::Broke | Kind::Refused => {
            ("agent_failed", "The agent's service reported a failure.")
        }
    }
}

/// The address that was asked, without what may be secret, and what it should perhaps be.
fn address_asked(service: Service<'_>) -> String {
    let path = service.url.path();
    let asked = format!("{}://{}{path}", service.url.scheme(), service.host);
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

/// The longest address that is named.
const TARGET_LEN_MAX: usize = 120;

/// The address that a redirect names, without what may be secret. hermes does not follow it: it would take what people wrote to
/// an address that the settings do not name.
fn redirected(target: &str, service: Service<'_>) -> String {
    let Ok(target) = service.url.join(target) else { return " with a redirect".to_owned() };
    let host = target.host_str().unwrap_or_default();
    let port = target.port().map_or_else(String::new, |port| format!(":{port}"));
    let target = format!("{}://{host}{port}{}", target.scheme(), target.path());
    let target = visible::line(&target[..target.floor_char_boundary(TARGET_LEN_MAX)]).into_owned();
    match target.strip_suffix("/chat/completions") {
        Some(base) => {
            format!(" with a redirect to {target}, which hermes does not follow; is base_url {base}?")
        }
        None => format!(" with a redirect to {target}, which hermes does not follow; correct base_url"),
    }
}
