//! The other end of the control socket, for commands typed on this machine. Blocking: a command has nothing else to do.

use std::time::Duration;

use serde_json::Value;

use crate::client::headline::WITHOUT_SOCKET;
use crate::client::presence::{Presence, Silence};
use crate::client::report;
use crate::control_client::ask;
use crate::error::CliError;
use crate::gateway::model::snapshot::Snapshot;
use crate::home::HermesHome;
use crate::platforms::{Platform, UnknownPlatform};

/// The longest wait for the answer to a command. The gateway's own limit is a little shorter.
const LIMIT: Duration = Duration::from_secs(10);

/// The longest wait for the gateway's state, which takes it at most 1 s: after 2 s a person has an answer of ours.
const LOOK_LIMIT: Duration = Duration::from_millis(1800);

/// The answer from the control socket.
#[derive(Debug, Clone, PartialEq)]
pub enum Word {
    /// The gateway's own state.
    State(Box<Snapshot>),
    /// It is there, and its loop has not turned yet.
    Starting,
    /// Something holds the socket, and gives no answer that makes sense in time.
    Mute,
    /// Nothing listens.
    Nothing,
}

/// Asks the running gateway for its state; takes less than 2 s.
pub fn look(home: &HermesHome) -> Word {
    match ask(home, "GET", "/v1/platforms", "", LOOK_LIMIT) {
        Ok(Some(reply)) if reply.status == 503 => Word::Starting,
        Ok(Some(reply)) if reply.status == 200 => {
            serde_json::from_value(reply.body).map_or(Word::Mute, |snapshot| Word::State(Box::new(snapshot)))
        }
        Ok(None) => Word::Nothing,
        Ok(Some(_)) | Err(_) => Word::Mute,
    }
}

/// The running gateway's own state; `None` when no gateway answers.
pub fn snapshot(home: &HermesHome) -> Option<Snapshot> {
    match look(home) {
        Word::State(snapshot) => Some(*snapshot),
        Word::Starting | Word::Mute | Word::Nothing => None,
    }
}

/// A command about a platform.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verb {
    /// Leave it alone.
    Pause,
    /// Try it now.
    Resume,
}

/// `platform pause NAME` and `platform resume NAME`. Returns the sentence to show.
///
/// # Errors
/// When the name is not known (exit 2), no gateway runs (exit 3), or it refuses.
pub fn steer(home: &HermesHome, verb: Verb, name: &str) -> Result<String, CliError> {
    let platform: Platform = name
        .parse()
        .map_err(|error: UnknownPlatform| CliError::usage(error.to_string()).code("unknown_platform"))?;
    let verb = match verb {
        Verb::Pause => "pause",
        Verb::Resume => "resume",
    };
    post(home, &format!("/v1/platforms/{platform}/{verb}"))
}

/// Codes of refusals.
const REFUSALS: [&str; 14] = [
    "bad_pick",
    "child_of_gateway",
    "empty",
    "no_home_channel",
    "not_admitted",
    "not_enabled",
    "not_restarted",
    "pairing_locked",
    "starting",
    "stopping",
    "store_unusable",
    "unanswered",
    "unknown_platform",
    "wrong_code",
];

/// Asks the gateway something that can also be done without one. `None`: none runs.
///
/// # Errors
/// When it does not answer, which is said within 2 s or so, or refuses.
pub fn request(
    home: &HermesHome,
    method: &str,
    path: &str,
    body: Option<&Value>,
) -> Result<Option<Value>, CliError> {
    // The work itself may take long; whether there is a gateway that hears of it shows at once.
    let (view, _) = report::gateway(home);
    match view.presence {
        Presence::Absent => return Ok(None),
        Presence::Mute(Silence::Stopped | Silence::Unknown) => return Err(report::hangs(&view)),
        Presence::WithoutSocket => {
            return Err(CliError::failed("the gateway runs, and its control socket is gone")
                .code("control_mute")
                .hint(WITHOUT_SOCKET));
        }
        // A request that does not need its loop may be answered.
        Presence::Starting | Presence::Answering | Presence::Mute(Silence::Loop) => {}
    }
    let body = body.map(Value::to_string).unwrap_or_default();
    let reply = match ask(home, method, path, &body, LIMIT) {
        Ok(Some(reply)) => reply,
        Ok(None) => {
            return Err(CliError::failed("the gateway is starting or ending; try again in a moment")
                .code("control_mute"));
        }
        Err(_) => {
            let who = view.pid.map_or("the gateway".to_owned(), |pid| format!("process {pid}"));
            return Err(CliError::failed(format!("{who} does not answer within {} s", LIMIT.as_secs()))
                .code("control_mute")
                .hint("Check it with `hermes gateway status`."));
        }
    };
    if reply.status == 200 {
        return Ok(Some(reply.body));
    }
    Err(refusal(&reply.body["error"]))
}

/// A refusal as a failure: its first sentence, and below it what to do.
fn refusal(error: &Value) -> CliError {
    let text = error["message"].as_str().unwrap_or("the answer could not be read");
    let (message, hint) =
        text.split_once(". ").map_or((text, None), |(message, hint)| (message, Some(hint.to_owned())));
    let code = REFUSALS.into_iter().find(|code| error["code"] == *code).unwrap_or("failed");
    CliError::failed(lowered(message.trim_end_matches('.'))).code(code).hints(hint)
}

/// The text as it stands behind `error:`, where a sentence begins in lower case unless a name does.
fn lowered(text: &str) -> String {
    let first = text.split(|sign: char| !sign.is_alphanumeric()).next().unwrap_or_default();
    let is_name = Platform::every().any(|platform| platform.spec().title == first)
        || first.chars().skip(1).any(char::is_uppercase);
    let mut signs = text.chars();
    match signs.next() {
        Some(sign) if !is_name => sign.to_lowercase().chain(signs).collect(),
        _ => text.to_owned(),
    }
}

/// The failure that no gateway runs.
pub fn not_running(home: &HermesHome) -> CliError {
    CliError::not_running(home.env_file().exists() || home.config_file().exists())
}

/// Gives a command. Returns the sentence to show.
///
/// # Errors
/// When no gateway runs (exit 3), it does not answer, or it refuses.
pub fn post(home: &HermesHome, path: &str) -> Result<String, CliError> {
    let answer = request(home, "POST", path, None)?.ok_or_else(|| not_running(home))?;
    Ok(answer["message"].as_str().unwrap_or("the answer could not be read").to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Now;
    use crate::control_client::connect;

    #[test]
    fn a_refusal_has_its_code_and_its_remedy() {
        let error =
            |code: &str, message: &str| refusal(&serde_json::json!({ "code": code, "message": message }));
        let off = error("not_enabled", "WhatsApp is not enabled. Run `hermes whatsapp`.");
        assert_eq!((off.code, off.message.as_str()), ("not_enabled", "WhatsApp is not enabled"));
        assert_eq!(off.hints, ["Run `hermes whatsapp`."]);
        for (said, shown) in [
            ("Nothing to send: the text is empty.", "nothing to send: the text is empty"),
            ("Telegram is not enabled.", "Telegram is not enabled"),
            ("TELEGRAM_HOME_CHANNEL is not set.", "TELEGRAM_HOME_CHANNEL is not set"),
        ] {
            assert_eq!(error("empty", said).message, shown);
        }
        let other = error("a_code_of_tomorrow", "It is refused.");
        assert_eq!((other.code, other.message.as_str(), other.hints.len()), ("failed", "it is refused", 0));
    }

    #[test]
    fn a_socket_that_takes_connections_and_gives_no_answer_is_mute_in_less_than_2_s() {
        let dir = tempfile::tempdir().unwrap();
        let home = HermesHome::at(dir.path());
        assert_eq!(look(&home), Word::Nothing);
        let listener = std::os::unix::net::UnixListener::bind(home.control_socket()).unwrap();
        let begun = Now::read().mono;
        assert_eq!(look(&home), Word::Mute);
        assert!(begun.elapsed() >= LOOK_LIMIT);
        // So many wait that the kernel takes no further one. A system that refuses it at once says so, too.
        let mut waiting = Vec::new();
        while let Ok(stream) = connect(&home.control_socket(), Duration::from_millis(1)) {
            waiting.push(stream);
        }
        assert_ne!(look(&home), Word::Starting);
        drop(listener);
        assert_eq!(look(&home), Word::Nothing, "what was left behind by a gateway that is gone");
    }
}
