//! Pure. The running gateway's word on itself, as checks: whether it answers, its problems, platforms, agent, queues and HTTP
//! API.

use std::time::Duration;

use jiff::Timestamp;
use serde::Deserialize;

use super::{Check, Status};
use crate::client::headline::{WITHOUT_SOCKET, headline, next_step, shadowed_remedy};
use crate::client::presence::Presence;
use crate::client::view::View;
use crate::error::with_code;
use crate::gateway::model::snapshot::{
    AgentSnapshot, AgentState, GatewayState, HttpSnapshot, HttpState, PlatformSnapshot, Problem, Queues,
    Snapshot, WireState,
};
use crate::platforms::Platform;
use crate::preflight::Code;
use crate::span::{age, aged, ago, span, until};
use crate::visible;

/// A message that has waited for so long is worth a word.
const OLD_S: i64 = 300;

/// Its presence, and faults of it as a whole.
pub(super) fn checks(view: &View, snapshot: Option<&Snapshot>, now: Timestamp) -> Vec<Check> {
    let mut checks = vec![presence(view, now)];
    let Some(snapshot) = snapshot.filter(|_| view.is_believed()) else { return checks };
    checks.extend(snapshot.problems.iter().map(problem));
    if let Some(why) = &snapshot.config_stale {
        let message = format!("the changed settings cannot be read: {why}; the previous ones stay in use");
        let fix = "Correct the file; the running gateway reloads it by itself.";
        checks.push(Check::problem("config_stale", message, fix));
    }
    checks.extend(snapshot.shadowed.iter().map(|name| {
        let message =
            format!("{name} in .env has no effect on the gateway: its environment sets {name}, too");
        Check::warning("env_shadowed", message, shadowed_remedy(name))
    }));
    checks.extend(snapshot.http.as_ref().and_then(|http| self::http(http, now)));
    checks.extend(queues(snapshot.queues, now));
    if snapshot.task_restarts > 0 {
        let message = match snapshot.task_restarts {
            1 => "a background task of the gateway failed and was started again".to_owned(),
            count => format!("background tasks of the gateway failed and were started again {count} times"),
        };
        let fix = "This is a bug: look for `task_died` in the log and report it.";
        checks.push(Check::warning("task_died", message, fix));
    }
    checks
}

fn presence(view: &View, now: Timestamp) -> Check {
    let headline = headline(view, now);
    let headline = headline.trim_end_matches('.');
    // A message begins in lower case, as those of findings do.
    let message = headline.replacen("The gateway", "the gateway", 1);
    let fix = next_step(view).trim_end().to_owned();
    match view.presence {
        Presence::Answering => match view.last_state {
            Some(GatewayState::Starting | GatewayState::Draining | GatewayState::Stopped) => {
                Check::warning("gateway", message, fix)
            }
            // The checks below say what makes it less than well.
            Some(GatewayState::Running | GatewayState::Degraded | GatewayState::StartupFailed) | None => {
                Check::good("gateway", message)
            }
        },
        Presence::Starting => Check::warning("gateway", message, fix),
        Presence::Absent if view.last_state == Some(GatewayState::StartupFailed) => {
            failed_start(view, now, fix)
        }
        Presence::Absent => Check::info("gateway", message, fix),
        Presence::WithoutSocket => Check::problem(
            "control_unavailable",
            format!("{message}, and its control socket is missing; the rest comes from its status file"),
            WITHOUT_SOCKET,
        ),
        Presence::Mute(_) => Check::problem("gateway_not_answering", message, fix),
    }
}

/// Causes of a failed start that are looked for again: what is found now has a separate check.
const FOUND_AGAIN: [&str; 2] = ["config", "nothing_enabled"];

fn failed_start(view: &View, now: Timestamp, start: String) -> Check {
    let at = view.as_of.map_or(String::new(), |at| format!(" {}", ago(at, now)));
    let failure = view.problems.first();
    let why = match failure {
        Some(Problem { code, message, .. }) => with_code(message, code),
        None => view.exit_reason.clone().unwrap_or_else(|| "unknown".to_owned()),
    };
    let message = format!("the gateway is not running; its last start failed{at}: {why}");
    if failure.is_some_and(|failure| FOUND_AGAIN.contains(&failure.code.as_str())) {
        return Check::info("gateway", message, start);
    }
    let action = failure.and_then(|failure| failure.user_action.clone());
    let steps = action.into_iter().chain(Some(start).filter(|start| !start.is_empty()));
    Check::problem("gateway", message, steps.collect::<Vec<_>>().join("\n"))
}

fn problem(problem: &Problem) -> Check {
    let Problem { code, message, user_action, .. } = problem;
    // A warning before the gateway runs stays one afterwards.
    let is_warning =
        [Code::TimeZoneUnknown, Code::TimeZoneReversed].iter().any(|known| known.as_str() == code);
    let status = if is_warning { Status::Warning } else { Status::Blocking };
    Check { fix: user_action.clone(), ..Check::of(status, code, message.as_str(), "") }
}

fn http(http: &HttpSnapshot, now: Timestamp) -> Option<Check> {
    let when = match (http.state, http.next_retry_at) {
        (HttpState::Listening, _) => return None,
        (HttpState::Retrying, Some(at)) => format!("; next try {}", until(at, now)),
        (HttpState::Retrying | HttpState::Fatal, _) => String::new(),
    };
    let why = http.error_message.as_deref().unwrap_or("it is not listening");
    let code = http.error_code.as_deref().unwrap_or("http");
    let check = Check::problem(code, format!("the HTTP API at {} is off: {why}{when}", http.address), "");
    Some(Check { fix: http.user_action.clone(), ..check })
}

fn queues(queues: Queues, now: Timestamp) -> Vec<Check> {
    let mut checks = Vec::new();
    let messages = |count: u64| if count == 1 { "1 message".to_owned() } else { format!("{count} messages") };
    if queues.dead > 0 {
        checks.push(Check::problem(
            "dead_letters",
            format!("{} could not be delivered", messages(queues.dead)),
            "See them with `hermes dead list`; `hermes dead retry all` sends them again, `hermes dead drop all` deletes them.",
        ));
    }
    let waiting = queues.inbox + queues.outbox;
    if let Some(oldest) = queues.oldest_at.filter(|at| now.duration_since(*at).as_secs() >= OLD_S)
        && waiting > 0
    {
        let Queues { inbox, outbox, .. } = queues;
        checks.push(Check::warning(
            "messages_waiting",
            format!(
                "{} wait ({inbox} for an answer, {outbox} to be sent), the oldest for {}",
                messages(waiting),
                span(age(oldest, now))
            ),
            "They stay queued until the agent and the platform are available; see `hermes platform status`.",
        ));
    }
    checks
}

/// A sender that the gateway has ignored.
#[derive(Debug, Deserialize)]
pub(super) struct Ignored {
    platform: String,
    kind: String,
    id: String,
    name: String,
    at: Timestamp,
    count: u64,
    allow: String,
}

/// So many of each platform are named.
const NAMED_MAX: usize = 3;

/// Senders that are not on a list, with what allows them. Strangers may write to any bot; where no one else has, the list is
/// probably wrong.
pub(super) fn ignored(rows: &[Ignored], snapshot: Option<&Snapshot>, now: Timestamp) -> Vec<Check> {
    let mut checks = Vec::new();
    for (name, last) in snapshot.iter().flat_map(|snapshot| &snapshot.platforms) {
        let title = name.parse().map_or(name.as_str(), |platform: Platform| platform.spec().title);
        let of_platform: Vec<&Ignored> = rows.iter().filter(|row| row.platform == *name).collect();
        for row in of_platform.iter().take(NAMED_MAX) {
            let who = match visible::line(row.name.trim()) {
                own if own.is_empty() => visible::line(&row.id).into_owned(),
                own => format!("{} ({own})", visible::line(&row.id)),
            };
            let (code, who) = match row.kind.as_str() {
                "group" => ("group_ignored", format!("the group {who}")),
                _ => ("stranger_ignored", who),
            };
            let times = if row.count == 1 { String::new() } else { format!(" {} times", row.count) };
            let message =
                format!("{title} ignored {who}{times}, last {}: not on the allow list", ago(row.at, now));
            let is_first = last.last_inbound_at.is_none();
            let check: fn(&str, String, String) -> Check =
                if is_first { Check::warning } else { Check::info };
            checks.push(check(code, message, row.allow.clone()));
        }
        if of_platform.len() > NAMED_MAX {
            let message = format!("{title} ignored {} more", of_platform.len() - NAMED_MAX);
            checks.push(Check::info("stranger_ignored", message, "See `hermes pairing list`."));
        }
    }
    checks
}

/// The agent's state, where the gateway knows better than the settings.
pub(super) fn agent(agent: Option<&AgentSnapshot>, now: Timestamp) -> Option<Check> {
    let AgentSnapshot { state, since, error_message, error_code, .. } = agent?;
    let since = since.map_or(String::new(), |at| format!(" for {}", span(age(at, now))));
    let why = error_message.as_ref().map_or(String::new(), |why| format!(": {why}"));
    match state {
        AgentState::Available | AgentState::Untried => None,
        AgentState::Unavailable => Some(Check::problem(
            error_code.as_deref().unwrap_or("agent_unavailable"),
            format!("the agent is not available{since}{why}"),
            "Check the program or service set under [agent] in gateway.toml. Messages are queued until it is back.",
        )),
        AgentState::Refused => Some(Check::problem(
            "agent_refused",
            format!("the agent's service refuses every request{since}{why}"),
            "Correct the key, the model or base_url of [agent]. People who were refused can send /retry afterwards.",
        )),
        AgentState::Failing => Some(Check::problem(
            "agent_failing",
            format!("the agent fails at every message{since}{why}"),
            "Repair the program or service set under [agent] in gateway.toml. People whose messages failed can send /retry afterwards.",
        )),
    }
}

/// One enabled platform, by the gateway's word.
pub(super) fn platform(platform: Platform, last: &PlatformSnapshot, view: &View, now: Timestamp) -> Check {
    let spec = platform.spec();
    let (title, name) = (spec.title, spec.name);
    let since = last.since.map_or(String::new(), |at| format!(" for {}", span(age(at, now))));
    let why = last.cause().map_or(String::new(), |why| format!(": {why}"));
    let next = last.next_try(now);
    let code = last.error_code.as_deref().unwrap_or(name);
    let action = |other: String| last.user_action.clone().unwrap_or(other);
    let resume = || format!("To try now: `hermes platform resume {name}`.");
    match last.state {
        WireState::Connected => {
            let word = view.as_of.map_or(Duration::ZERO, |at| age(at, now));
            let checked = last.proof_age_s.map_or(String::new(), |proof| {
                format!(", checked {}", aged(Duration::from_secs(proof) + word))
            });
            Check::good(name, format!("{title} is connected{since}{checked}"))
        }
        WireState::RateLimited => {
            let until = next.map_or(String::new(), |next| format!("; sending resumes {next}"));
            let fix = "Nothing to do: what waits is sent by itself.";
            Check::warning(name, format!("{title} is connected but rate limited{until}"), fix)
        }
        // The first attempt has not failed.
        WireState::Connecting if last.error_code.is_none() => {
            Check::warning(name, format!("{title} is connecting{since}"), "Wait for it.")
        }
        WireState::Connecting | WireState::Retrying | WireState::Disconnected => {
            let next = next.map_or(String::new(), |next| format!("; retries {next}"));
            let fix = action(format!("hermes keeps retrying. {}", resume()));
            Check::problem(code, format!("{title} is not connected{since}{why}{next}"), fix)
        }
        WireState::Paused if last.paused_by.as_deref() == Some("breaker") => {
            let next = next.map_or(String::new(), |next| format!("; retries {next}"));
            Check::problem(
                code,
                format!("{title} failed too many times and is paused{since}{why}{next}"),
                action(resume()),
            )
        }
        // Somebody wants it so.
        WireState::Paused => {
            let fix = format!("Resume it with `hermes platform resume {name}`.");
            Check::warning(code, format!("{title} was paused by you{since}"), fix)
        }
        WireState::Fatal => {
            Check::problem(code, format!("{title} needs attention{since}{why}"), action(resume()))
        }
        WireState::Disabled => {
            Check::warning(name, format!("{title} is off"), format!("Run `{}`.", spec.setup))
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::client::presence::Evidence;
    use crate::client::request::Word;
    use crate::durable::Holder;

    fn at() -> Timestamp {
        "2026-01-01T12:00:00Z".parse().unwrap()
    }

    fn entry(state: WireState) -> PlatformSnapshot {
        PlatformSnapshot {
            state,
            error_code: None,
            error_message: None,
            error_cause: None,
            next_attempt: None,
            attempts_max: None,
            updated_at: None,
            since: Some(at()),
            attempts: 0,
            next_retry_at: None,
            paused_by: None,
            user_action: None,
            last_inbound_at: None,
            last_outbound_at: None,
            proof_age_s: Some(3),
            reconnects: BTreeMap::new(),
        }
    }

    fn running(change: impl FnOnce(&mut Snapshot)) -> Snapshot {
        let mut snapshot: Snapshot = serde_json::from_value(serde_json::json!({
            "kind": "hermes-gateway", "pid": 7, "updated_at": "2026-01-01T12:00:00Z", "gateway_state": "running",
        }))
        .unwrap();
        change(&mut snapshot);
        snapshot
    }

    fn view(word: Word, written: Option<Snapshot>) -> View {
        let evidence = Evidence {
            holder: (word != Word::Nothing).then_some(Holder { pid: Some(7) }),
            asked_at: at(),
            word,
            written,
            started_at: None,
            is_holders: true,
            is_stopped: false,
        };
        View::new(evidence, at()).0
    }

    fn of(snapshot: &Snapshot, after_s: i64) -> Vec<(Status, String)> {
        let view = view(Word::State(Box::new(snapshot.clone())), None);
        let now = at() + jiff::SignedDuration::from_secs(after_s);
        let mut found = checks(&view, Some(snapshot), now);
        found.extend(agent(snapshot.agent.as_ref(), now));
        found.into_iter().map(|check| (check.status, check.code)).skip(1).collect()
    }

    #[test]
    fn what_needs_a_person_is_a_problem() {
        let problem = |code: &str| vec![(Status::Blocking, code.to_owned())];
        assert_eq!(of(&running(|_| {}), 0), []);
        let taken = running(|snapshot| {
            snapshot.http = Some(HttpSnapshot {
                state: HttpState::Retrying,
                address: "127.0.0.1:8642".to_owned(),
                error_code: Some("api_server_port_in_use".to_owned()),
                error_message: None,
                next_retry_at: None,
                user_action: None,
            });
        });
        assert_eq!(of(&taken, 0), problem("api_server_port_in_use"));
        assert_eq!(of(&running(|snapshot| snapshot.queues.dead = 2), 0), problem("dead_letters"));
        let away = running(|snapshot| {
            snapshot.agent = Some(AgentSnapshot {
                kind: "openai".to_owned(),
                model: None,
                state: AgentState::Unavailable,
                since: None,
                error_message: None,
                error_code: None,
            });
        });
        assert_eq!(of(&away, 0), problem("agent_unavailable"));
        let limited = running(|snapshot| {
            let code = Some("agent_rate_limited".to_owned());
            snapshot.agent = away.agent.clone().map(|agent| AgentSnapshot { error_code: code, ..agent });
        });
        assert_eq!(of(&limited, 0), problem("agent_rate_limited"));
        let stale = running(|snapshot| snapshot.config_stale = Some("line 1".to_owned()));
        assert_eq!(of(&stale, 0), problem("config_stale"));
        let waiting = running(|snapshot| {
            snapshot.queues = Queues { inbox: 1, oldest_at: Some(at()), ..Queues::default() };
        });
        assert_eq!(of(&waiting, 60), []);
        assert_eq!(of(&waiting, 600), [(Status::Warning, "messages_waiting".to_owned())]);
    }

    #[test]
    fn who_was_ignored_is_named_with_the_command_and_a_warning_where_no_one_else_wrote() {
        let row = |kind: &str, id: &str, name: &str| Ignored {
            platform: "telegram".to_owned(),
            kind: kind.to_owned(),
            id: id.to_owned(),
            name: name.to_owned(),
            at: at(),
            count: 2,
            allow: format!("Allow {id}."),
        };
        let rows = [
            row("person", "42", "A\u{202e}da"),
            row("group", "-7", ""),
            row("person", "8", ""),
            row("person", "9", ""),
        ];
        let mut snapshot = running(|snapshot| {
            snapshot.platforms.insert("telegram".to_owned(), entry(WireState::Connected));
        });
        let now = at() + jiff::SignedDuration::from_secs(180);
        let found = ignored(&rows, Some(&snapshot), now);
        assert_eq!(
            found[0].message,
            "Telegram ignored 42 (A\\u202eda) 2 times, last 3 min ago: not on the allow list"
        );
        assert_eq!((found[0].status, found[0].fix.as_deref()), (Status::Warning, Some("Allow 42.")));
        assert!(found[1].code == "group_ignored" && found[1].message.contains("the group -7"), "{found:?}");
        assert_eq!((found.len(), found[3].message.as_str()), (4, "Telegram ignored 1 more"));
        snapshot.platforms.get_mut("telegram").unwrap().last_inbound_at = Some(at());
        assert_eq!(ignored(&rows, Some(&snapshot), now)[0].status, Status::Info);
        assert!(ignored(&rows, None, now).is_empty());
    }

    #[test]
    fn a_gateway_that_does_not_answer_is_a_problem_and_one_that_does_not_run_is_told_with_the_command() {
        let gone = &checks(&view(Word::Nothing, Some(running(|_| {}))), None, at())[0];
        assert_eq!(gone.status, Status::Info);
        assert!(gone.fix.as_ref().unwrap().contains("hermes gateway run"));
        let failed = running(|snapshot| {
            snapshot.gateway_state = GatewayState::StartupFailed;
            snapshot.exit_reason = Some("the store is damaged".to_owned());
        });
        let failed = &checks(&view(Word::Nothing, Some(failed)), None, at())[0];
        assert!(
            failed.status == Status::Blocking && failed.message.contains("the store is damaged"),
            "{failed:?}"
        );
        let broken = running(|snapshot| {
            snapshot.gateway_state = GatewayState::StartupFailed;
            let message = "gateway.toml: line 1".to_owned();
            snapshot.problems = vec![Problem {
                code: "config".to_owned(),
                message,
                since: at(),
                user_action: Some("Edit it.".to_owned()),
                ends: true,
            }];
        });
        let broken = &checks(&view(Word::Nothing, Some(broken)), None, at())[0];
        assert!(
            broken.status == Status::Info && broken.message.contains("gateway.toml: line 1"),
            "what stands there now is told by a check of its own: {broken:?}"
        );
        let mute = &checks(&view(Word::Mute, Some(running(|_| {}))), None, at())[0];
        assert_eq!((mute.status, mute.code.as_str()), (Status::Blocking, "gateway_not_answering"));
        assert!(mute.message.contains("Process 7 does not answer"), "{mute:?}");
    }

    #[test]
    fn each_state_of_a_platform_is_one_line() {
        let view = view(Word::State(Box::new(running(|_| {}))), None);
        for (state, paused_by, code, status) in [
            (WireState::Connected, None, None, Status::Good),
            (WireState::RateLimited, None, None, Status::Warning),
            (WireState::Connecting, None, None, Status::Warning),
            (WireState::Connecting, None, Some("net_dns"), Status::Blocking),
            (WireState::Retrying, None, Some("telegram_polling_conflict"), Status::Blocking),
            (WireState::Paused, Some("breaker"), Some("net_dns"), Status::Blocking),
            (WireState::Paused, Some("operator"), Some("paused_by_operator"), Status::Warning),
            (WireState::Fatal, None, Some("telegram_bad_token"), Status::Blocking),
        ] {
            let mut last = entry(state);
            (last.paused_by, last.error_code) = (paused_by.map(str::to_owned), code.map(str::to_owned));
            let check = platform(Platform::Telegram, &last, &view, at());
            assert_eq!(
                (check.status, check.code.as_str()),
                (status, code.unwrap_or("telegram")),
                "{check:?}"
            );
            assert!(check.message.starts_with("Telegram "), "{check:?}");
        }
        let told = PlatformSnapshot {
            user_action: Some("Stop the other one.".to_owned()),
            ..entry(WireState::Retrying)
        };
        let told = platform(Platform::Telegram, &told, &view, at());
        assert_eq!(told.fix.as_deref(), Some("Stop the other one."));
    }
}
