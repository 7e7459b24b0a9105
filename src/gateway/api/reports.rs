//! Reports for the owner over the socket, for commands and wizards: settings without effect, people who are answered, and senders
//! that were ignored. Not over HTTP: they name people.

use std::sync::Arc;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use serde_json::json;

use crate::gateway::pipeline::MessagePath;
use crate::gateway::pipeline::admission::service::Desk;
use crate::gateway::platforms::build::is_enabled;
use crate::gateway::settings::Settings;
use crate::platforms::Platform;
use crate::preflight::access::Answered;

/// State of the routes.
#[derive(Clone)]
pub struct Reports {
    /// The settings.
    pub settings: Arc<Settings>,
    /// The message path.
    pub path: Arc<MessagePath>,
    /// The book of admissions.
    pub desk: Arc<Desk>,
}

/// All reports.
pub fn routes(reports: Reports) -> Router {
    Router::new()
        .route("/v1/settings/shadowed", get(shadowed))
        .route("/v1/ignored", get(ignored))
        .route("/v1/access", get(access))
        .with_state(reports)
}

/// Settings of `.env` without effect, by its content at this moment.
async fn shadowed(State(Reports { settings, .. }): State<Reports>) -> Response {
    let read = tokio::task::spawn_blocking(move || settings.reload().shadowed.clone());
    Json(json!({ "shadowed": read.await.unwrap_or_default() })).into_response()
}

/// The people who are answered, by what stands in the files at this moment.
async fn access(State(Reports { settings, desk, .. }): State<Reports>) -> Response {
    let read = tokio::task::spawn_blocking(move || {
        let config = settings.reload();
        let answered = |platform: Platform| Answered::of(platform, &config, desk.admitted(platform));
        let is_asked =
            |platform: &Platform| Platform::ALL.contains(platform) || is_enabled(*platform, &config);
        Platform::every().filter(is_asked).map(answered).collect::<Vec<_>>()
    });
    Json(json!({ "access": read.await.unwrap_or_default() })).into_response()
}

async fn ignored(State(Reports { path, .. }): State<Reports>) -> Response {
    Json(json!({ "ignored": path.ignored() })).into_response()
}
