//! Messages over the socket, for the owner: dead letters, and sending by hand. Not over HTTP: these routes show and send
//! people's texts.

use std::sync::Arc;

use axum::extract::{DefaultBodyLimit, Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::json;

use crate::facts;
use crate::gateway::api::shared::error;
use crate::gateway::markdown::parts;
use crate::gateway::model::identity::channel_key;
use crate::gateway::model::message::MessageId;
use crate::gateway::ops::dead_letters::desk::{Verb, carry_out};
use crate::gateway::ops::dead_letters::view::Asked;
use crate::gateway::pipeline::flow::MessageFlow;
use crate::gateway::platforms::build::is_enabled;
use crate::gateway::settings::Settings;
use crate::gateway::store::api::{Fate, Store};
use crate::platforms::Platform;
use crate::sensitive::Private;

/// Limit for a text with the JSON around it.
const BODY_BYTES_MAX: usize = 1 << 20;

/// State of the routes.
#[derive(Clone)]
pub struct Messages {
    /// The store of the messages.
    pub store: Arc<dyn Store>,
    /// The flow that sends them.
    pub flow: Arc<dyn MessageFlow>,
    /// The settings with the home channels.
    pub settings: Arc<Settings>,
}

/// The routes of dead letters and sending.
pub fn routes(messages: Messages) -> Router {
    Router::new()
        .route("/v1/dead/{verb}", post(dead))
        .route("/v1/send", post(send))
        .route("/v1/send/fate", post(fate))
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .with_state(messages)
}

async fn dead(
    State(messages): State<Messages>,
    Path(verb): Path<String>,
    Json(asked): Json<Asked>,
) -> Response {
    let Some(verb) = Verb::ALL.into_iter().find(|known| known.wire_name() == verb) else {
        return error(StatusCode::NOT_FOUND, "not_found", "Not found.");
    };
    let pick = match asked.pick() {
        Ok(pick) => pick,
        Err(bad) => return error(StatusCode::BAD_REQUEST, "bad_pick", &bad.to_string()),
    };
    match carry_out(messages.store.as_ref(), verb, pick).await {
        Ok((answer, chats)) => {
            messages.flow.wake(&chats);
            Json(answer).into_response()
        }
        Err(why) => error(StatusCode::SERVICE_UNAVAILABLE, "store_unusable", &why.to_string()),
    }
}

/// A text to send.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Letter {
    platform: String,
    #[serde(default)]
    chat: Option<String>,
    text: Private,
    /// The id of the request: two requests with the same one are one message.
    id: String,
}

async fn send(State(messages): State<Messages>, Json(letter): Json<Letter>) -> Response {
    let bad = |code: &str, message: &str| error(StatusCode::BAD_REQUEST, code, message);
    let platform: Platform = match letter.platform.parse() {
        Ok(platform) => platform,
        Err(unknown) => return bad("unknown_platform", &format!("{unknown}.")),
    };
    let config = messages.settings.current();
    let title = platform.spec().title;
    if !is_enabled(platform, &config) {
        let way = facts::way_on(platform, &messages.settings.home, &config);
        return bad("not_enabled", &format!("{title} is not enabled. {way}"));
    }
    let Some(to) = letter.chat.as_ref().or_else(|| config.platform(platform).home_channel.as_ref()) else {
        let name = platform.variable("HOME_CHANNEL");
        let message = format!("{title} has no home channel. Set {name} in .env, or name a chat.");
        return bad("no_home_channel", &message);
    };
    let key = channel_key(platform, to);
    let id = MessageId(letter.id);
    let parts = parts::messages(&key, &id, "send", &letter.text.0);
    if parts.is_empty() {
        return bad("empty", "Nothing to send: the text is empty.");
    }
    let handles: Vec<_> = parts.iter().map(|part| part.handle.clone()).collect();
    if let Err(why) = messages.flow.say(&key, parts).await {
        return error(StatusCode::SERVICE_UNAVAILABLE, "store_unusable", &why.to_string());
    }
    Json(json!({ "platform": platform.spec().name, "handles": handles, "state": "accepted" })).into_response()
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Handles {
    platform: String,
    handles: Vec<String>,
}

/// The fate of a message: that of the worst of its parts.
async fn fate(State(messages): State<Messages>, Json(asked): Json<Handles>) -> Response {
    let Ok(platform) = asked.platform.parse::<Platform>() else {
        return error(StatusCode::BAD_REQUEST, "unknown_platform", "Unknown platform.");
    };
    let mut is_sent = true;
    for handle in &asked.handles {
        match messages.store.fate(platform, handle).await {
            Ok(Some(Fate::Sent)) => {}
            Ok(Some(Fate::Waiting)) => is_sent = false,
            Ok(Some(Fate::Dead(reason))) => {
                return Json(json!({ "state": "dead", "reason": reason })).into_response();
            }
            Ok(None) => {
                return Json(json!({ "state": "dead", "reason": "it is not known" })).into_response();
            }
            Err(why) => return error(StatusCode::SERVICE_UNAVAILABLE, "store_unusable", &why.to_string()),
        }
    }
    Json(json!({ "state": if is_sent { "sent" } else { "waiting" }, "reason": null })).into_response()
}
