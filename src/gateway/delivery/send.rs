//! `hermes send`: hands a text to the running gateway, and may wait until it is sent.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::target::Target;
use crate::clock::Now;
use crate::error::{CliError, ExitCode};
use crate::gateway::control::client;
use crate::gateway::status::report::print;
use crate::gateway::succession::progress::Progress;
use crate::home::HermesHome;
use crate::world::World;

/// Between two looks whether it is sent.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// A message, as it was typed.
#[derive(Debug, Clone)]
pub struct Sending {
    /// Where to.
    pub target: Target,
    /// What, in Markdown.
    pub text: String,
    /// How long to wait until it is sent; `None`: not at all.
    pub wait: Option<Duration>,
    /// For programs.
    pub json: bool,
}

/// Sends it. Done means: it is on disk, and sent when that was waited for.
///
/// # Errors
/// When no gateway runs (exit 3), it refuses, the message is given up, or is not sent within the wait.
pub fn run(world: &World, home: &HermesHome, sending: &Sending) -> Result<ExitCode, CliError> {
    let Target { platform, chat } = &sending.target;
    let (now, title) = (Now::read(), platform.spec().title);
    let body = json!({
        "platform": platform.spec().name,
        "chat": chat,
        "text": sending.text,
        // The same message when it is asked for once more.
        "id": format!("{} {}", std::process::id(), now.wall),
    });
    let mut answer =
        client::request(home, "POST", "/v1/send", Some(&body))?.ok_or_else(|| client::not_running(home))?;
    let outcome = match sending.wait {
        Some(limit) => {
            let waiting = format!("Waiting for {title} to take the message, up to {} s", limit.as_secs());
            let mut progress = Progress::new(world, now.mono);
            wait(home, &mut answer, now.mono + limit, |now| progress.show(now, &waiting))
        }
        None => Ok(()),
    };
    if sending.json {
        print(&format!("{answer}\n"))?;
    } else if outcome.is_ok() {
        let sentence = match sending.wait {
            Some(_) => "Sent.".to_owned(),
            None => format!("Queued for {title}."),
        };
        print(&format!("{sentence}\n"))?;
    }
    outcome.map(|()| ExitCode::Ok)
}

fn wait(
    home: &HermesHome,
    answer: &mut Value,
    deadline: Instant,
    mut show: impl FnMut(Instant),
) -> Result<(), CliError> {
    let asked = json!({ "platform": answer["platform"], "handles": answer["handles"] });
    loop {
        let fate = client::request(home, "POST", "/v1/send/fate", Some(&asked))?
            .ok_or_else(|| client::not_running(home))?;
        answer["state"] = fate["state"].clone();
        answer["reason"] = fate["reason"].clone();
        match fate["state"].as_str() {
            Some("sent") => return Ok(()),
            Some("dead") => {
                let reason = fate["reason"].as_str().unwrap_or("the gateway gave no reason");
                return Err(CliError::failed(format!("the message could not be delivered: {reason}"))
                    .code("message_dead")
                    .hint("See it with `hermes dead list`; send it again with `hermes dead retry all`."));
            }
            _ if Now::read().mono >= deadline => {
                return Err(CliError::failed("the message is queued, and not sent yet")
                    .code("not_sent_yet")
                    .hint("It is sent as soon as possible. Check with `hermes platform status`."));
            }
            _ => {
                show(Now::read().mono);
                pause();
            }
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "there is nothing to wait on but another process's work")]
fn pause() {
    std::thread::sleep(LOOK_EVERY);
}
