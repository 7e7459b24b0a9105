//! `hermes send`: hands a text to the running gateway, and may wait until it is sent.

use std::time::{Duration, Instant};

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::client::report::{look, print};
use crate::client::request;
use crate::clock::Now;
use crate::error::{CliError, ExitCode, with_code};
use crate::gateway::model::snapshot::{PlatformSnapshot, WireState};
use crate::gateway::pipeline::delivery::target::Target;
use crate::home::HermesHome;
use crate::platforms::Platform;
use crate::progress::Progress;
use crate::world::World;
use crate::wrap::folded;

/// Between two looks whether it is sent.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// A message, as it was typed.
#[derive(Debug, Clone)]
pub struct Sending {
    /// Where to.
    pub target: Target,
    /// The text, in Markdown.
    pub text: String,
    /// The longest wait until it is sent; `None`: no wait.
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
        request::request(home, "POST", "/v1/send", Some(&body))?.ok_or_else(|| request::not_running(home))?;
    let outcome = match sending.wait {
        Some(limit) => {
            let waiting = format!("Waiting for {title} to take the message, up to {} s", limit.as_secs());
            let mut progress = Progress::new(world, now.mono);
            wait(home, *platform, &mut answer, now.mono + limit, |now| progress.show(now, &waiting))
        }
        None => Ok(()),
    };
    let last = if sending.wait.is_none() { last_seen(home, *platform) } else { None };
    if sending.json {
        if let Some(last) = &last {
            answer["platform_state"] = json!(last.state);
            answer["error_code"] = json!(last.error_code);
        }
        print(&format!("{answer}\n"))?;
    } else if outcome.is_ok() {
        let sentence = match sending.wait {
            Some(_) => "Sent.\n".to_owned(),
            None => queued(*platform, last.as_ref(), Now::read().wall),
        };
        print(&folded(&sentence, look(world).width))?;
    }
    outcome.map(|()| ExitCode::Ok).map_err(CliError::after_report)
}

fn last_seen(home: &HermesHome, platform: Platform) -> Option<PlatformSnapshot> {
    request::snapshot(home)?.platforms.remove(platform.spec().name)
}

/// The answer for people, with what the message waits for.
fn queued(platform: Platform, last: Option<&PlatformSnapshot>, now: Timestamp) -> String {
    let (title, name) = (platform.spec().title, platform.spec().name);
    match last.and_then(|last| hold(title, name, last, now)) {
        Some((why, action)) => format!("Queued for {title}. {why}\n  {action}\n"),
        None => format!("Queued for {title}.\n"),
    }
}

/// The reason that messages for this platform wait, and the step that ends it. `None`: they are sent at once.
fn hold(title: &str, name: &str, last: &PlatformSnapshot, now: Timestamp) -> Option<(String, String)> {
    let cause = last.cause().map(|cause| with_code(cause, last.error_code.as_deref().unwrap_or("failed")));
    let cause = cause.map_or(String::new(), |cause| format!(": {cause}"));
    let next = last.next_try(now);
    let (state, otherwise) = match last.state {
        WireState::Connected | WireState::RateLimited => return None,
        WireState::Connecting => (format!("is connecting{cause}"), "Nothing to do.".to_owned()),
        WireState::Retrying | WireState::Disconnected => {
            let next = next.map_or(String::new(), |next| format!(" It retries {next}."));
            (
                format!("is not connected{cause}.{next}"),
                format!("To try now: `hermes platform resume {name}`."),
            )
        }
        WireState::Paused if last.paused_by.as_deref() == Some("operator") => {
            ("was paused by you".to_owned(), format!("Run `hermes platform resume {name}`."))
        }
        WireState::Paused => (format!("is paused{cause}"), format!("Run `hermes platform resume {name}`.")),
        WireState::Fatal | WireState::Disabled => {
            (format!("needs attention{cause}"), "See `hermes platform status`.".to_owned())
        }
    };
    let state = state.trim_end_matches('.');
    Some((format!("It waits, since {title} {state}."), last.user_action.clone().unwrap_or(otherwise)))
}

fn wait(
    home: &HermesHome,
    platform: Platform,
    answer: &mut Value,
    deadline: Instant,
    mut show: impl FnMut(Instant),
) -> Result<(), CliError> {
    let asked = json!({ "platform": answer["platform"], "handles": answer["handles"] });
    loop {
        let fate = request::request(home, "POST", "/v1/send/fate", Some(&asked))?
            .ok_or_else(|| request::not_running(home))?;
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
                let error = CliError::failed("the message is queued, and not sent yet").code("not_sent_yet");
                let spec = platform.spec();
                let now = Now::read().wall;
                let hold = last_seen(home, platform).and_then(|last| hold(spec.title, spec.name, &last, now));
                return Err(match hold {
                    Some((why, action)) => error.hint(why).hint(action),
                    None => {
                        error.hint("It is sent as soon as possible. Check with `hermes platform status`.")
                    }
                });
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gateway::model::snapshot::tests::example;

    #[test]
    fn a_message_that_waits_is_told_with_the_cause_and_the_command() {
        let mut last = example().platforms.remove("whatsapp").unwrap();
        let now = example().updated_at;
        let text = |last: &PlatformSnapshot| queued(Platform::Whatsapp, Some(last), now);
        assert_eq!(
            text(&last),
            "Queued for WhatsApp. It waits, since WhatsApp needs attention: no phone is paired [whatsapp_not_paired].\n  hermes whatsapp\n"
        );
        last.user_action = None;
        for (state, said) in [
            (WireState::Connecting, "is connecting"),
            (
                WireState::Retrying,
                "It retries in 42 s (2 of 10).\n  To try now: `hermes platform resume whatsapp`.",
            ),
            (WireState::Paused, "is paused: no phone is paired"),
        ] {
            last.state = state;
            (last.next_attempt, last.attempts_max) = (Some(2), Some(10));
            last.next_retry_at = Some(now + jiff::SignedDuration::from_secs(42));
            assert!(text(&last).contains(said) && !text(&last).contains(".."), "{}", text(&last));
        }
        for state in [WireState::Connected, WireState::RateLimited] {
            last.state = state;
            assert_eq!(text(&last), "Queued for WhatsApp.\n");
        }
    }
}
