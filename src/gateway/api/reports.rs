//! Reports for the owner over the socket, for commands and wizards: settings without effect, and senders that were ignored. Not
//! over HTTP: they name people.

use std::sync::Arc;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use serde_json::json;

use crate::gateway::pipeline::MessagePath;
use crate::gateway::settings::Settings;

/// State of the routes.
#[derive(Clone)]
pub struct Reports {
    /// The settings.
    pub settings: Arc<Settings>,
    /// The message path.
    pub path: Arc<MessagePath>,
}

/// Both reports.
pub fn routes(reports: Reports) -> Router {
    Router::new()
        .route("/v1/settings/shadowed", get(shadowed))
        .route("/v1/ignored", get(ignored))
        .with_state(reports)
}

/// Settings of `.env` without effect, by its content at this moment.
async fn shadowed(State(Reports { settings, .. }): State<Reports>) -> Response {
    let read = tokio::task::spawn_blocking(move || settings.reload().shadowed.clone());
    Json(json!({ "shadowed": read.await.unwrap_or_default() })).into_response()
}

async fn ignored(State(Reports { path, .. }): State<Reports>) -> Response {
    Json(json!({ "ignored": path.ignored() })).into_response()
}
