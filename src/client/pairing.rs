//! `hermes pairing list|approve|allow|revoke`: asks the running gateway, or does it in the store where none runs.

use std::fmt::Write as _;
use std::sync::Arc;

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::client::allow_list;
use crate::client::answered::answered;
use crate::client::report::{look, print};
use crate::client::request;
use crate::clock::Now;
use crate::config::Config;
use crate::control_client::report;
use crate::durable::{Lock, LockError};
use crate::error::{CliError, ExitCode, with_code};
use crate::gateway::inbound::gate::Gate;
use crate::gateway::inbound::rules::Rules;
use crate::gateway::model::identity::listed_name;
use crate::gateway::pipeline::admission::service::{Desk, Request, shown};
use crate::gateway::store::api::admissions::{Kept, Records};
use crate::gateway::store::offline;
use crate::home::HermesHome;
use crate::platforms::{Platform, UnknownPlatform};
use crate::span::ago;
use crate::world::World;
use crate::wrap::folded;

/// Does what the operator asks, and prints the answer.
///
/// # Errors
/// When it is refused, the gateway does not answer, or the store cannot be used.
pub async fn run(
    world: &World,
    home: &HermesHome,
    request: Request,
    json: bool,
) -> Result<ExitCode, CliError> {
    let answer = match &request {
        Request::Revoke { platform, user } => revoke(world, home, &request, platform, user).await?,
        Request::List | Request::Approve { .. } => ask(home, &request).await?,
    };
    let text = match &request {
        _ if json => format!("{answer:#}\n"),
        Request::List => folded(&list(&answer), look(world).width),
        Request::Approve { .. } | Request::Revoke { .. } => folded(&message(&answer), look(world).width),
    };
    print(&text)?;
    Ok(ExitCode::Ok)
}

/// `hermes pairing allow`.
///
/// # Errors
/// When the platform or the person is not known, or `.env` cannot be written or has no effect.
pub fn allow(
    world: &World,
    home: &HermesHome,
    platform: &str,
    user: &str,
    json: bool,
) -> Result<ExitCode, CliError> {
    let answer = allow_list::allow(world, home, known(platform)?, user)?;
    print(&if json { format!("{answer:#}\n") } else { folded(&message(&answer), look(world).width) })?;
    Ok(ExitCode::Ok)
}

/// The sentence for people, and below it what is to be looked at now.
fn message(answer: &Value) -> String {
    let mut text = format!("{}\n", answer["message"].as_str().unwrap_or_default());
    let word = |finding: &Value, name: &str| finding[name].as_str().unwrap_or_default().to_owned();
    for finding in answer["findings"].as_array().into_iter().flatten() {
        let said = with_code(&word(finding, "message"), &word(finding, "code"));
        text.push_str(&format!("Now {said}.\n  {}\n", word(finding, "fix")));
    }
    text
}

fn known(platform: &str) -> Result<Platform, CliError> {
    platform
        .parse()
        .map_err(|error: UnknownPlatform| CliError::usage(error.to_string()).code("unknown_platform"))
}

/// Takes a person off the list in `.env` and out of those who were approved by a code: one of the two is enough.
async fn revoke(
    world: &World,
    home: &HermesHome,
    request: &Request,
    platform: &str,
    user: &str,
) -> Result<Value, CliError> {
    let platform = known(platform)?;
    let was_listed = allow_list::disallow(home, platform, user);
    // Whatever became of the list.
    let answer = ask(home, request).await;
    let was_listed = was_listed?;
    let answered = answered(home, &Config::load(world, home)?, platform);
    allow_list::refuse_still_allowed(&answered, platform, user)?;
    let mut answer = match answer {
        Err(error) if error.code == "not_admitted" && was_listed => {
            let (spec, user) = (platform.spec(), user.trim());
            let message = format!("Revoked access for {} on {}.", shown(user), spec.title);
            json!({ "message": message, "platform": spec.name, "users": [user] })
        }
        Err(error) if error.code == "not_admitted" => {
            return Err(error.hint("`hermes pairing list` shows who was approved by code."));
        }
        answer => answer?,
    };
    answer["findings"] = json!(answered.nobody().as_slice());
    Ok(answer)
}

async fn ask(home: &HermesHome, request: &Request) -> Result<Value, CliError> {
    match ask_gateway(home, request)? {
        Some(mut answer) if *request == Request::List => {
            // A gateway of another version may not tell.
            answer["ignored"] = json!(report::<Value>(home, "/v1/ignored", "ignored").unwrap_or_default());
            answer["gateway_running"] = json!(true);
            Ok(answer)
        }
        Some(answer) => Ok(answer),
        None => {
            let mut answer = ask_store(home, request).await?;
            if *request == Request::List {
                answer["ignored"] = json!([]);
                answer["gateway_running"] = json!(false);
            }
            Ok(answer)
        }
    }
}

/// `None`: no gateway runs.
fn ask_gateway(home: &HermesHome, request: &Request) -> Result<Option<Value>, CliError> {
    let path =
        |platform: &str, verb: &str| Ok::<_, CliError>(format!("/v1/pairing/{}/{verb}", known(platform)?));
    match request {
        Request::List => request::request(home, "GET", "/v1/pairing", None),
        Request::Approve { platform, code } => {
            request::request(home, "POST", &path(platform, "approve")?, Some(&json!({ "code": code })))
        }
        Request::Revoke { platform, user } => {
            request::request(home, "POST", &path(platform, "revoke")?, Some(&json!({ "user": user })))
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
    let store = offline::open(home).await?;
    let records: Arc<dyn Records> = Arc::new(store);
    let kept: Kept = records.load().await.map_err(offline::unusable)?;
    let desk = Desk::new(records, Rules::new(Gate::default()), kept);
    desk.answer(request.clone())
        .await
        .map_err(|refusal| CliError::failed(refusal.to_string()).code(refusal.code()))
}

/// A page for people.
fn list(answer: &Value) -> String {
    let now = Now::read().wall;
    let rows = |name: &str| answer[name].as_array().map(Vec::as_slice).unwrap_or_default();
    let mut text = String::new();
    let line = |text: &mut String, row: &Value, who: &str, when: &str| {
        let platform = field(row, "platform");
        let comma = if when.is_empty() { "" } else { ", " };
        writeln!(text, "  {platform:10} {who}{comma}{when}").expect("writing to a String does not fail");
    };
    let waiting = rows("waiting");
    if !waiting.is_empty() {
        text.push_str("Pending requests (`hermes pairing approve PLATFORM CODE`):\n");
    }
    for row in waiting {
        let name = rows("ignored").iter().find(|other| is_same(row, other)).map_or(String::new(), named);
        let left = row["expires_in_s"].as_u64().unwrap_or(0).div_ceil(60);
        line(&mut text, row, &format!("{}{name}", field(row, "user")), &format!("{left} min left"));
    }
    if !rows("admitted").is_empty() {
        text.push_str("Approved by code (`hermes pairing revoke PLATFORM USER`):\n");
    }
    for row in rows("admitted") {
        line(&mut text, row, &field(row, "user"), &age(row, "since", now));
    }
    let ignored = || rows("ignored").iter().filter(|row| !waiting.iter().any(|other| is_same(other, row)));
    if ignored().next().is_some() {
        text.push_str("Ignored since the gateway started, not on the allow list:\n");
    }
    for row in ignored() {
        let group = if row["kind"] == "group" { "group " } else { "" };
        let who = format!("{group}{}{}", field(row, "id"), named(row));
        line(&mut text, row, &who, &age(row, "at", now));
        writeln!(text, "{:13}{}", "", field(row, "allow")).expect("writing to a String does not fail");
    }
    if waiting.is_empty() && rows("admitted").is_empty() {
        text.insert_str(0, "No pending requests, and no one is approved by code.\n");
    }
    // Only the process that ignored them knows them.
    if answer["gateway_running"] == false {
        text.push_str(
            "The gateway is not running. Only a running gateway knows who was ignored: `hermes gateway run`.\n",
        );
    } else if ignored().next().is_none() {
        text.push_str("No one was ignored since the gateway started.\n");
    }
    text
}

/// A field as it may stand on a terminal.
fn field(row: &Value, name: &str) -> String {
    shown(row[name].as_str().unwrap_or_default())
}

/// The name that a person has chosen, behind their id.
fn named(row: &Value) -> String {
    Some(field(row, "name"))
        .filter(|name| !name.is_empty())
        .map_or(String::new(), |name| format!(" ({name})"))
}

fn age(row: &Value, name: &str, now: Timestamp) -> String {
    field(row, name).parse().map_or(String::new(), |at: Timestamp| ago(at, now))
}

/// True when the person who waits with a code is the one who was ignored.
fn is_same(waiting: &Value, ignored: &Value) -> bool {
    let name = |row: &Value, id: &str| {
        let platform = row["platform"].as_str()?.parse().ok()?;
        Some((platform, listed_name(platform, row[id].as_str()?)?))
    };
    ignored["kind"] == "person" && name(waiting, "user").is_some_and(|one| name(ignored, "id") == Some(one))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_says_who_waits_and_who_has_access_and_shows_no_signs_that_could_lie() {
        let at = Now::read().wall;
        let ago = |minutes: i64| at - jiff::SignedDuration::from_secs(60 * minutes);
        let answer = json!({
            "waiting": [
                { "platform": "scripted1", "user": "e\u{202e}ve", "expires_in_s": 3541 },
                { "platform": "whatsapp", "user": "15550001111@s.whatsapp.net", "expires_in_s": 60 },
            ],
            "admitted": [{ "platform": "whatsapp", "user": "900101@lid", "since": ago(90) }],
            "ignored": [
                { "platform": "telegram", "kind": "person", "id": "42", "name": "A\u{202e}da", "at": ago(2),
                  "allow": "Run `hermes pairing allow telegram 42`." },
                { "platform": "whatsapp", "kind": "person", "id": "+15550001111", "name": "Bo", "at": at, "allow": "Run it." },
                { "platform": "telegram", "kind": "group", "id": "-10042", "name": "", "at": at, "allow": "Add it." },
            ],
        });
        assert_eq!(
            list(&answer),
            "Pending requests (`hermes pairing approve PLATFORM CODE`):\n\
             \x20 scripted1  e\\u202eve, 60 min left\n\
             \x20 whatsapp   15550001111@s.whatsapp.net (Bo), 1 min left\n\
             Approved by code (`hermes pairing revoke PLATFORM USER`):\n\
             \x20 whatsapp   900101@lid, 90 min ago\n\
             Ignored since the gateway started, not on the allow list:\n\
             \x20 telegram   42 (A\\u202eda), 2 min ago\n\
             \x20            Run `hermes pairing allow telegram 42`.\n\
             \x20 telegram   group -10042, just now\n\
             \x20            Add it.\n"
        );
        let none = "No pending requests, and no one is approved by code.\n";
        let running = list(&json!({ "gateway_running": true }));
        assert_eq!(running, format!("{none}No one was ignored since the gateway started.\n"));
        let stopped = list(&json!({ "gateway_running": false }));
        assert!(stopped.starts_with(none) && stopped.contains("The gateway is not running."), "{stopped}");
        let mut only_ignored = answer.clone();
        only_ignored["waiting"] = json!([]);
        only_ignored["admitted"] = json!([]);
        assert!(list(&only_ignored).starts_with(none), "{}", list(&only_ignored));
    }
}
