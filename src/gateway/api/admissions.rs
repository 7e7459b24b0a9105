//! Admissions over the control socket. Only there, because its clients run as the owner of this machine's home folder.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::Deserialize;

use crate::gateway::api::shared::error;
use crate::gateway::pipeline::admission::service::{Desk, Refusal, Request};

/// The routes to list, approve and revoke.
pub fn routes(desk: Arc<Desk>) -> Router {
    Router::new()
        .route("/v1/pairing", get(list))
        .route("/v1/pairing/{platform}/approve", post(approve))
        .route("/v1/pairing/{platform}/revoke", post(revoke))
        .with_state(desk)
}

/// The body of an approval: a code does not belong in a URL.
#[derive(Deserialize)]
struct Approve {
    code: String,
}

#[derive(Deserialize)]
struct Revoke {
    user: String,
}

async fn list(State(desk): State<Arc<Desk>>) -> Response {
    answer(&desk, Request::List).await
}

async fn approve(
    State(desk): State<Arc<Desk>>,
    Path(platform): Path<String>,
    Json(Approve { code }): Json<Approve>,
) -> Response {
    answer(&desk, Request::Approve { platform, code }).await
}

async fn revoke(
    State(desk): State<Arc<Desk>>,
    Path(platform): Path<String>,
    Json(Revoke { user }): Json<Revoke>,
) -> Response {
    answer(&desk, Request::Revoke { platform, user }).await
}

async fn answer(desk: &Arc<Desk>, request: Request) -> Response {
    match desk.answer(request).await {
        Ok(answer) => Json(answer).into_response(),
        Err(refusal) => {
            let status = match &refusal {
                Refusal::UnknownPlatform(_) | Refusal::NotAdmitted | Refusal::WrongCode { .. } => {
                    StatusCode::NOT_FOUND
                }
                Refusal::Locked { .. } => StatusCode::TOO_MANY_REQUESTS,
                Refusal::Store(_) => StatusCode::SERVICE_UNAVAILABLE,
            };
            error(status, refusal.code(), &refusal.to_string())
        }
    }
}
