//! The routes that the Unix socket and HTTP share.

use std::sync::Arc;

use axum::extract::{DefaultBodyLimit, Path, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde_json::json;

use super::admissions;
use crate::gateway::api::messages::{self, Messages};
use crate::gateway::api::reports::{self, Reports};
use crate::gateway::model::command::{Answer, Command, CommandError, Control};
use crate::gateway::pipeline::admission::service::Desk;

/// Limit for a request body.
const BODY_BYTES_MAX: usize = 64 * 1024;

/// The routes that read, pause and resume platforms.
pub fn platforms(control: Control) -> Router {
    Router::new()
        .route("/v1/platforms", get(list))
        .route("/v1/platforms/{name}/pause", post(pause))
        .route("/v1/platforms/{name}/resume", post(resume))
        .with_state(control)
}

/// The same, and the commands about the gateway as a whole: for the owner of its home folder.
pub fn owner(control: Control, desk: Arc<Desk>, messages: Messages, reports: Reports) -> Router {
    let whole = Router::new()
        .route("/v1/reload", post(reload))
        .route("/v1/restart", post(restart))
        .route("/v1/stop", post(stop))
        .with_state(control.clone());
    let reports = reports::routes(reports);
    finish(platforms(control).merge(whole).merge(admissions::routes(desk)).merge(reports))
        .merge(messages::routes(messages))
}

/// Routes that only read: for programs that the gateway itself has started. An agent's tool must not be persuaded to end or
/// pause the gateway that runs it.
pub fn child(control: Control) -> Router {
    let refused = || async {
        error(
            StatusCode::FORBIDDEN,
            "child_of_gateway",
            "Programs started by the gateway cannot control it. Run this yourself in a terminal.",
        )
    };
    Router::new()
        .route("/v1/platforms", get(list))
        .with_state(control)
        .fallback(refused)
        .method_not_allowed_fallback(refused)
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
}

/// The end of every set of routes: limits, and answers in JSON for unknown routes.
pub fn finish(routes: Router) -> Router {
    routes
        .fallback(|| async { error(StatusCode::NOT_FOUND, "not_found", "Not found.") })
        .method_not_allowed_fallback(|| async {
            error(StatusCode::METHOD_NOT_ALLOWED, "wrong_method", "Method not allowed.")
        })
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
}

/// A refusal in the form for programs.
pub fn error(status: StatusCode, code: &str, message: &str) -> Response {
    (status, Json(json!({ "error": { "code": code, "message": message } }))).into_response()
}

async fn list(State(control): State<Control>) -> Response {
    match control.look().await {
        Some(snapshot) => ([(header::CONTENT_TYPE, "application/json")], snapshot.to_bytes()).into_response(),
        None => error(StatusCode::SERVICE_UNAVAILABLE, "starting", "The gateway is starting."),
    }
}

async fn pause(State(control): State<Control>, Path(platform): Path<String>) -> Response {
    answer(control.commands.give(Command::Pause { platform }).await)
}

async fn resume(State(control): State<Control>, Path(platform): Path<String>) -> Response {
    answer(control.commands.give(Command::Resume { platform }).await)
}

async fn reload(State(control): State<Control>) -> Response {
    answer(control.commands.give(Command::Reload).await)
}

async fn restart(State(control): State<Control>) -> Response {
    answer(control.commands.give(Command::Restart).await)
}

async fn stop(State(control): State<Control>) -> Response {
    answer(control.commands.give(Command::Stop).await)
}

fn answer(answer: Answer) -> Response {
    match answer {
        Ok(message) => Json(json!({ "message": message })).into_response(),
        Err(refused) => {
            let status = match &refused {
                CommandError::UnknownPlatform { .. } => StatusCode::NOT_FOUND,
                CommandError::NotEnabled { .. } | CommandError::NotRestarted { .. } => StatusCode::CONFLICT,
                CommandError::Stopping => StatusCode::SERVICE_UNAVAILABLE,
                CommandError::Unanswered => StatusCode::GATEWAY_TIMEOUT,
            };
            error(status, refused.code(), &refused.to_string())
        }
    }
}
