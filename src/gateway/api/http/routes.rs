//! The routes of the HTTP API. Every request passes the guard first; a route that shows or changes more than a probe needs
//! the key.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Extension, Json, Router};
use jiff::SignedDuration;
use serde_json::{Value, json};
use tokio::sync::Semaphore;

use crate::clock::Now;
use crate::gateway::api::http::guard::{Asked, Hosts, Refusal, check_key};
use crate::gateway::api::http::lockout::{Lockout, Wrong};
use crate::gateway::api::http::metrics;
use crate::gateway::api::shared;
use crate::gateway::host::watchdog::Pulse;
use crate::gateway::metrics::Metrics;
use crate::gateway::model::command::Control;
use crate::gateway::model::snapshot::{GatewayState, WireState};
use crate::gateway::settings::Settings;

/// The state of the routes.
#[derive(Clone)]
pub struct Http {
    /// Reads and controls platforms.
    pub control: Control,
    /// The time of the loop's last turn.
    pub pulse: Pulse,
    /// The counters.
    pub tally: Arc<Metrics>,
    /// The settings with the key.
    pub settings: Arc<Settings>,
    /// The counts of wrong keys.
    pub lockout: Arc<Mutex<Lockout>>,
    /// Places for wrong keys whose answer is delayed.
    pub held: Arc<Semaphore>,
}

/// The delay of the answer to a wrong key after too many.
const HELD_FOR: Duration = Duration::from_secs(1);

/// Limit for answers delayed at once: a part of the connections, so that guesses do not take all of them.
pub const HELD_MAX: usize = 16;

/// The time without a turn after which the loop counts as stalled. It runs every 10 s although nothing happens.
const STALLED: Duration = Duration::from_secs(30);

const SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// All routes, for requests to these hosts. Each connection adds its address as an `Extension<IpAddr>`.
pub fn routes(http: &Http, hosts: Hosts) -> Router {
    let probes = Router::new()
        .route("/livez", get(livez))
        .route("/startupz", get(startupz))
        .route("/readyz", get(readyz))
        .route("/health", get(health))
        .route("/v1/health", get(health))
        .with_state(http.clone());
    let told = Router::new()
        .route("/health/detailed", get(detailed))
        .route("/metrics", get(show_metrics))
        .with_state(http.clone())
        .merge(shared::platforms(http.control.clone()))
        .route_layer(middleware::from_fn_with_state(http.clone(), need_key));
    shared::finish(probes.merge(told)).layer(middleware::from_fn_with_state(Arc::new(hosts), guard))
}

async fn guard(State(hosts): State<Arc<Hosts>>, request: Request, next: Next) -> Response {
    let verdict = {
        let headers = request.headers();
        hosts.check(&Asked {
            authority: request.uri().authority().map(axum::http::uri::Authority::as_str),
            host: all(headers, &header::HOST),
            origin: all(headers, &header::ORIGIN),
            fetch_site: all(headers, &SITE),
            content_type: all(headers, &header::CONTENT_TYPE),
            changes: !matches!(*request.method(), Method::GET | Method::HEAD),
        })
    };
    let mut response = match verdict {
        Ok(()) => next.run(request).await,
        Err(refusal) => refuse(refusal),
    };
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

async fn need_key(
    State(http): State<Http>,
    Extension(address): Extension<IpAddr>,
    request: Request,
    next: Next,
) -> Response {
    let sent = all(request.headers(), &header::AUTHORIZATION);
    let key = http.settings.current().gateway.http.key.clone();
    // The right key is checked first: guesses of others must not keep its owner out.
    let Err(refusal) = check_key(key.as_ref(), &sent) else {
        return next.run(request).await;
    };
    // A request without a key is not a guess.
    if sent.is_empty() {
        return refuse(refusal);
    }
    let now = Now::read().mono;
    let wrong = http.lockout.lock().unwrap_or_else(PoisonError::into_inner).wrong(address, now);
    match wrong {
        Wrong::Counted => refuse(refusal),
        Wrong::Last => {
            tracing::warn!(
                code = "api_key_guessed",
                "Too many wrong keys at the HTTP API; wrong keys are answered slowly for a minute. The right key still works"
            );
            refuse(refusal)
        }
        Wrong::Held(wait) => {
            // Where many wait already, the next is answered at once: it must not take the place of others.
            if let Ok(_place) = http.held.try_acquire() {
                tokio::time::sleep(HELD_FOR).await;
            }
            held_up(wait)
        }
    }
}

fn all<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Vec<&'a [u8]> {
    headers.get_all(name).iter().map(HeaderValue::as_bytes).collect()
}

fn refuse(refusal: Refusal) -> Response {
    tracing::debug!(code = "api_denied", reason = ?refusal, "Refused a request to the HTTP API");
    let (status, code, message) = refusal.answer();
    let status = StatusCode::from_u16(status).expect("the table holds statuses");
    let mut response = shared::error(status, code, message);
    if refusal == Refusal::Key {
        response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    response
}

fn held_up(wait: Duration) -> Response {
    let mut response = shared::error(
        StatusCode::TOO_MANY_REQUESTS,
        "too_many_wrong_keys",
        "Too many wrong keys. Wait a minute.",
    );
    response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(wait.as_secs() + 1));
    response
}

fn probe(is_good: bool, body: Value) -> Response {
    let status = if is_good { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(body)).into_response()
}

/// Succeeds while the loop runs. The state of platforms has no influence.
async fn livez(State(http): State<Http>) -> Response {
    let is_live = is_live(&http.pulse);
    probe(is_live, json!({ "status": if is_live { "ok" } else { "stalled" } }))
}

/// Succeeds when settings, lock and store are ready, and the loop has run.
async fn startupz(State(http): State<Http>) -> Response {
    let is_started = http.control.snapshot().is_some();
    probe(is_started, json!({ "status": if is_started { "ok" } else { "starting" } }))
}

/// Succeeds when it takes work. A platform that is down is named, and does not make it unready for the others.
async fn readyz(State(http): State<Http>) -> Response {
    let snapshot = http.control.snapshot();
    let is_ready =
        snapshot.as_ref().is_some_and(|snapshot| takes_work(snapshot.gateway_state)) && is_live(&http.pulse);
    let not_connected: Vec<String> = snapshot
        .into_iter()
        .flat_map(|snapshot| snapshot.platforms)
        .filter(|(_, platform)| platform.state != WireState::Connected)
        .map(|(name, _)| name)
        .collect();
    probe(
        is_ready,
        json!({ "status": if is_ready { "ok" } else { "not_ready" }, "not_connected": not_connected }),
    )
}

fn is_live(pulse: &Pulse) -> bool {
    pulse.age(Now::read().mono).is_some_and(|age| age < STALLED)
}

fn takes_work(state: GatewayState) -> bool {
    match state {
        GatewayState::Starting | GatewayState::Running | GatewayState::Degraded => true,
        GatewayState::Draining | GatewayState::Stopped | GatewayState::StartupFailed => false,
    }
}

async fn health() -> Response {
    probe(true, json!({ "status": "ok", "platform": "hermes", "version": env!("CARGO_PKG_VERSION") }))
}

async fn detailed(State(http): State<Http>) -> Response {
    let Some(snapshot) = http.control.look().await else { return starting() };
    let is_ok = takes_work(snapshot.gateway_state);
    let mut body: Value = serde_json::from_slice(&snapshot.to_bytes()).expect("it was written just now");
    if let Some(object) = body.as_object_mut() {
        object.insert("status".to_owned(), json!(if is_ok { "ok" } else { "not_ready" }));
        object.insert("version".to_owned(), json!(env!("CARGO_PKG_VERSION")));
    }
    probe(true, body)
}

async fn show_metrics(State(http): State<Http>) -> Response {
    const KIND: &str = "text/plain; version=0.0.4; charset=utf-8";
    let Some(snapshot) = http.control.look().await else { return starting() };
    let now = Now::read();
    let age = SignedDuration::try_from(http.pulse.age(now.mono).unwrap_or_default()).unwrap_or_default();
    let last_tick = now.wall.checked_sub(age).unwrap_or(now.wall);
    let page = metrics::render(&snapshot, &http.tally.counts(), last_tick, now.wall);
    ([(header::CONTENT_TYPE, KIND)], page).into_response()
}

fn starting() -> Response {
    shared::error(StatusCode::SERVICE_UNAVAILABLE, "starting", "The gateway is starting.")
}
