//! `hermes pairing list|approve|revoke`: asks the running gateway, or does it in the store where none runs.

use std::sync::Arc;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::desk::{Desk, Request, shown};
use crate::clock::Now;
use crate::durable::{Lock, LockError};
use crate::error::{CliError, ExitCode};
use crate::gateway::control::client;
use crate::gateway::inbound::gate::Gate;
use crate::gateway::inbound::rules::Rules;
use crate::gateway::status::report::print;
use crate::gateway::store::api::admissions::{Kept, Records};
use crate::gateway::store::by_hand;
use crate::home::HermesHome;
use crate::span::ago;

/// Does what the operator asks, and prints the answer.
///
/// # Errors
/// When it is refused, the gateway does not answer, or the store cannot be used.
pub async fn run(home: &HermesHome, request: Request, json: bool) -> Result<ExitCode, CliError> {
    let answer = match ask_gateway(home, &request)? {
        Some(mut answer) if request == Request::List => {
            // A gateway of another version may not tell.
            let told = client::request(home, "GET", "/v1/ignored", None).ok().flatten();
            answer["ignored"] = told.map_or_else(|| json!([]), |mut told| told["ignored"].take());
            answer
        }
        Some(answer) => answer,
        None => ask_store(home, &request).await?,
    };
    let text = match &request {
        _ if json => format!("{answer:#}\n"),
        Request::List => list(&answer),
        Request::Approve { .. } | Request::Revoke { .. } => {
            format!("{}\n", answer["message"].as_str().unwrap_or_default())
        }
    };
    print(&text)?;
    Ok(ExitCode::Ok)
}

/// `None`: no gateway runs.
fn ask_gateway(home: &HermesHome, request: &Request) -> Result<Option<Value>, CliError> {
    let path = |platform: &str, verb: &str| {
        let platform: crate::platforms::Platform =
            platform.parse().map_err(|error: crate::platforms::UnknownPlatform| {
                CliError::usage(error.to_string()).code("unknown_platform")
            })?;
        Ok::<_, CliError>(format!("/v1/pairing/{platform}/{verb}"))
    };
    match request {
        Request::List => client::request(home, "GET", "/v1/pairing", None),
        Request::Approve { platform, code } => {
            client::request(home, "POST", &path(platform, "approve")?, Some(&json!({ "code": code })))
        }
        Request::Revoke { platform, user } => {
            client::request(home, "POST", &path(platform, "revoke")?, Some(&json!({ "user": user })))
        }
    }
}

/// Under the gateway's lock, so that none begins meanwhile.
async fn ask_store(home: &HermesHome, request: &Request) -> Result<Value, CliError> {
    let database = home.database();
    let kept_nothing = !database.exists();
    if kept_nothing && *request == Request::List {
        return Ok(json!({ "waiting": [], "admitted": [] }));
    }
    if kept_nothing {
        return Err(
            CliError::failed("there are no pairing requests, and no one was approved").code("not_admitted")
        );
    }
    let _lock = Lock::acquire(&home.lock_file()).map_err(|error| match error {
        LockError::Held { .. } => {
            CliError::failed("a gateway is starting or ending; try again in a moment").code("gateway_lock")
        }
        LockError::Io(error) => CliError::config("the gateway's lock cannot be used").because(error),
    })?;
    let store = by_hand::open(database).await?;
    let records: Arc<dyn Records> = Arc::new(store);
    let kept: Kept = records.load().await.map_err(by_hand::unusable)?;
    let desk = Desk::new(records, Rules::new(Gate::default()), kept);
    desk.answer(request.clone())
        .await
        .map_err(|refusal| CliError::failed(refusal.to_string()).code(refusal.code()))
}

fn list(answer: &Value) -> String {
    let mut text = String::new();
    for (title, rows) in [("Pending requests:", "waiting"), ("Approved by code:", "admitted")] {
        let rows = answer[rows].as_array().map(Vec::as_slice).unwrap_or_default();
        if rows.is_empty() {
            continue;
        }
        text.push_str(title);
        text.push('\n');
        for row in rows {
            let of = |name: &str| shown(row[name].as_str().unwrap_or("?"));
            let when = match row["expires_in_s"].as_u64() {
                Some(left) => format!("{} min left", left.div_ceil(60)),
                None => format!("since {}", of("since")),
            };
            text.push_str(&format!("  {:10} {}  {when}\n", of("platform"), of("user")));
        }
    }
    text.push_str(&ignored(answer));
    if text.is_empty() {
        text.push_str("No pending requests, and no one is approved by code.\n");
    }
    text
}

/// Who was ignored of late, with what allows them; nothing where no gateway runs that could tell.
fn ignored(answer: &Value) -> String {
    let rows = answer["ignored"].as_array().map(Vec::as_slice).unwrap_or_default();
    let mut text = String::new();
    if !rows.is_empty() {
        text.push_str("Ignored of late, not on the list:\n");
    }
    let now = Now::read().wall;
    for row in rows {
        let of = |name: &str| shown(row[name].as_str().unwrap_or_default());
        let group = if row["kind"] == "group" { "group " } else { "" };
        let name = if of("name").is_empty() { String::new() } else { format!(" ({})", of("name")) };
        let when = of("at").parse().map_or(String::new(), |at: Timestamp| format!(", {}", ago(at, now)));
        let (platform, id, allow) = (of("platform"), of("id"), of("allow"));
        text.push_str(&format!("  {platform:10} {group}{id}{name}{when}\n{:13}{allow}\n", ""));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_says_who_waits_and_who_is_in_and_shows_no_signs_that_could_lie() {
        let answer = json!({
            "waiting": [{ "platform": "scripted1", "user": "e\u{202e}ve", "expires_in_s": 3541 }],
            "admitted": [{ "platform": "whatsapp", "user": "900101@lid", "since": "2026-01-01T00:00:00Z" }],
        });
        assert_eq!(
            list(&answer),
            "Pending requests:\n  scripted1  e\\u202eve  60 min left\n\
             Approved by code:\n  whatsapp   900101@lid  since 2026-01-01T00:00:00Z\n"
        );
        assert!(list(&json!({})).starts_with("No pending requests"));
        let at = Now::read().wall;
        let ignored = json!({ "ignored": [
            { "platform": "telegram", "kind": "person", "id": "42", "name": "A\u{202e}da", "at": at, "count": 3,
              "allow": "Run `hermes telegram --allow 7,42`." },
            { "platform": "telegram", "kind": "group", "id": "-10042", "name": "", "at": at, "count": 1, "allow": "Add it." },
        ] });
        assert_eq!(
            list(&ignored),
            "Ignored of late, not on the list:\n  telegram   42 (A\\u202eda), just now\n\
             \x20            Run `hermes telegram --allow 7,42`.\n\
             \x20 telegram   group -10042, just now\n\x20            Add it.\n"
        );
    }
}
