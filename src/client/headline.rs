//! Pure. The first and the last lines of what people read about the gateway: whether it runs, what is wrong with it, and what
//! to do.

use jiff::Timestamp;

use crate::client::presence::{Presence, Silence};
use crate::client::view::View;
use crate::config::shadow_remedy;
use crate::error::with_code;
use crate::gateway::model::snapshot::{GatewayState, Problem};
use crate::span::{age, ago, span};

/// The first line: running or not; a sentence.
pub fn headline(view: &View, now: Timestamp) -> String {
    let process = view.pid.map_or(String::new(), |pid| format!(", process {pid}"));
    let started = view.started_at.map_or(String::new(), |at| format!(", started {}", ago(at, now)));
    match view.presence {
        Presence::Answering | Presence::WithoutSocket => {
            let state = match view.last_state {
                Some(GatewayState::Running) | None => String::new(),
                Some(state) => format!(", {state}"),
            };
            format!("The gateway is running{state}{process}{started}.")
        }
        Presence::Starting => format!("The gateway is starting{process}{started}."),
        Presence::Mute(_) => {
            let who = view.pid.map_or("The gateway's process".to_owned(), |pid| format!("Process {pid}"));
            let since = match view.as_of {
                Some(at) => format!("does not answer; last heard from {}", ago(at, now)),
                None => "does not answer".to_owned(),
            };
            format!("The gateway does not respond. {who} {since}.")
        }
        Presence::Absent => {
            let Some(at) = view.as_of else { return "The gateway is not running.".to_owned() };
            if view.last_state == Some(GatewayState::StartupFailed) {
                return format!("The gateway is not running. Its last start failed {}.", ago(at, now));
            }
            let reason = view.exit_reason.as_deref().map_or(String::new(), |reason| format!(" ({reason})"));
            format!("The gateway is not running{reason}. Last heard from {}.", ago(at, now))
        }
    }
}

/// Faults of the gateway itself and of its settings' files; nothing while there are none.
pub(super) fn notes_on_gateway(view: &View, now: Timestamp) -> String {
    let mut text = String::new();
    if view.presence == Presence::WithoutSocket {
        let since = view.as_of.map_or(String::new(), |at| format!(" from its status file, {}", ago(at, now)));
        text.push_str(&format!("Its control socket is missing; this is{since}.\n  {WITHOUT_SOCKET}\n"));
    }
    for Problem { code, message, since, user_action, .. } in &view.problems {
        let message = with_code(message, code);
        if view.presence == Presence::Absent {
            text.push_str(&format!("{message}\n"));
        } else {
            text.push_str(&format!("{message}, for {}.\n", span(age(*since, now))));
        }
        let actions = user_action.iter().flat_map(|action| action.lines());
        text.extend(actions.map(|action| format!("  {action}\n")));
    }
    if let Some(why) = &view.config_stale {
        text.push_str(&format!(
            "{}. The previous ones stay in use.\n",
            with_code(&format!("The changed settings cannot be read: {why}"), "config_stale")
        ));
    }
    for name in &view.shadowed {
        text.push_str(&format!(
            "{}.\n  {}\n",
            with_code(&format!("{name} in .env has no effect on the gateway"), "env_shadowed"),
            shadowed_remedy(name)
        ));
    }
    text
}

/// The remedy for a variable of the gateway's environment that hides a setting of `.env`.
pub fn shadowed_remedy(name: &str) -> String {
    format!("{} Then stop the gateway and start it again.", shadow_remedy(name))
}

/// The remedy for a gateway that cannot be asked.
pub const WITHOUT_SOCKET: &str =
    "Commands such as `hermes platform pause` cannot reach it. Stop it with SIGTERM and start it again.";

/// True when the remedy for a failed start is a start, or a setup before it.
fn names_next_step(problem: &Problem) -> bool {
    let starts =
        |action: &String| action.contains("`hermes gateway run") || action.contains("`hermes setup`");
    problem.user_action.as_ref().is_some_and(starts)
}

/// The next step; lines.
pub fn next_step(view: &View) -> String {
    let pid = view.pid.map_or("PID".to_owned(), |pid| pid.to_string());
    match view.presence {
        // The remedy for the failure is the next step.
        Presence::Absent if view.problems.iter().any(names_next_step) => String::new(),
        Presence::Absent if view.is_unset => "No platform is set up. Run `hermes setup`.\n".to_owned(),
        Presence::Absent => "Start it with `hermes gateway run`.\n".to_owned(),
        Presence::Starting => "Its platforms appear here when it is ready.\n".to_owned(),
        Presence::Mute(Silence::Stopped) => {
            format!(
                "The process is suspended (SIGSTOP, or Ctrl-Z in its terminal). Continue it with `kill -CONT {pid}`.\n"
            )
        }
        Presence::Mute(Silence::Loop) => format!(
            "The process exists but its main loop hangs. Its watchdog kills it within a minute; or run `kill -9 {pid}`. No accepted message is lost.\n"
        ),
        Presence::Mute(Silence::Unknown) => {
            format!(
                "Check its log. To stop it: `kill {pid}`, then `kill -9 {pid}`. No accepted message is lost.\n"
            )
        }
        Presence::Answering | Presence::WithoutSocket
            if view.last_state == Some(GatewayState::Degraded) && view.problems.is_empty() =>
        {
            "Not every platform is connected; see `hermes platform status`.\n".to_owned()
        }
        Presence::Answering | Presence::WithoutSocket => String::new(),
    }
}
