//! Pure. The gateway's state as people see it.

use std::time::Duration;

use console::style;
use jiff::Timestamp;

use crate::client::headline::{headline, next_step, notes_on_gateway};
use crate::client::presence::Presence;
use crate::client::view::{PlatformView, View};
use crate::error::with_code;
use crate::gateway::model::snapshot::{
    AgentSnapshot, AgentState, HttpSnapshot, HttpState, PlatformSnapshot, Queues, WireState,
};
use crate::preflight::Finding;
use crate::span::{age, aged, ago, span, until};
use crate::visible;
use crate::wrap::{folded, wrapped};

/// The means of the terminal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Look {
    /// Colours.
    pub colour: bool,
    /// More than ASCII.
    pub utf8: bool,
    /// So many columns; 0 where that is not known, and nothing is broken into lines.
    pub width: usize,
}

const HEADS: [&str; 6] = ["Platform", "State", "Since", "Last in", "Last out", "Checked"];

/// So many of them stay side by side on a narrow terminal.
const NARROW: usize = 3;

/// `platform status`.
pub fn platform_status(view: &View, now: Timestamp, look: Look) -> String {
    let head = format!("{}\n{}", headline(view, now), notes_on_gateway(view, now));
    let mut text = folded(&head, look.width);
    if view.platforms.is_empty() {
        if matches!(view.presence, Presence::Starting | Presence::Mute(_)) {
            text.push_str(&folded(&next_step(view), look.width));
        } else {
            text.push_str("\nNo platform is enabled. Run `hermes setup`.\n");
        }
        return text;
    }
    let rows: Vec<[String; 6]> =
        view.platforms.iter().map(|platform| row(platform, view, now, look)).collect();
    let widths = widths(&rows);
    text.push('\n');
    // Cells that do not fit beside the rest stand below it.
    let is_narrow = look.width > 0 && widths.iter().map(|width| width + 2).sum::<usize>() > look.width;
    let columns = if is_narrow { NARROW } else { HEADS.len() };
    let indent = if is_narrow { 4 } else { widths[0] + 4 };
    text.push_str(&line(&HEADS.map(str::to_owned)[..columns], widths, look, None));
    for (platform, row) in view.platforms.iter().zip(rows) {
        text.push_str(&line(&row[..columns], widths, look, Some(shown_state(platform, view.presence))));
        let rest = HEADS.iter().zip(&row).skip(columns).map(|(head, cell)| format!("{head} {cell}"));
        let rest = is_narrow.then(|| rest.collect::<Vec<_>>().join(", "));
        for note in rest.into_iter().chain(notes(platform, view.presence, now)) {
            text.push_str(&wrapped(&note, indent, look.width));
        }
    }
    if view.is_believed() {
        text.push_str(&queues_note(view.queues));
        let agent = view.agent.as_ref().map_or(String::new(), |agent| agent_note(agent, now));
        let http = view.http.as_ref().map_or(String::new(), |http| http_note(http, now));
        text.push_str(&folded(&(agent + &http), look.width));
    } else {
        for Finding { code, message, fix, .. } in &view.findings {
            let note = format!("\nAgent  {}\n  {fix}\n", with_code(message, code.as_str()));
            text.push_str(&folded(&note, look.width));
        }
        text.push_str(&folded(&format!("\n{}", next_step(view)), look.width));
    }
    text
}

/// Of what waits, only what there is.
fn queues_note(queues: Queues) -> String {
    let some = |count: u64, what: &str| (count > 0).then(|| format!("{count} {what}"));
    let waiting: Vec<_> =
        [some(queues.inbox, "unanswered"), some(queues.outbox, "unsent")].into_iter().flatten().collect();
    let waiting = (!waiting.is_empty()).then(|| format!("Waiting: {}.\n", waiting.join(", ")));
    let dead = some(queues.dead, "not delivered; see `hermes dead list`.\n");
    let text: String = waiting.into_iter().chain(dead).collect();
    if text.is_empty() { text } else { format!("\n{text}") }
}

/// The agent and its state.
fn agent_note(agent: &AgentSnapshot, now: Timestamp) -> String {
    let model = agent.model.as_ref().map_or(String::new(), |model| format!(" ({})", visible::line(model)));
    let since = agent.since.map_or(String::new(), |at| format!(" for {}", span(age(at, now))));
    let why = agent.error_message.as_ref().map_or(String::new(), |why| format!(": {why}"));
    let state = match agent.state {
        AgentState::Available => "available".to_owned(),
        AgentState::Untried => "not asked yet".to_owned(),
        AgentState::Unavailable => {
            let code = agent.error_code.as_deref().unwrap_or("agent_unavailable");
            with_code(&format!("unavailable{since}{why}"), code)
        }
        AgentState::Refused => with_code(&format!("refuses every request{since}{why}"), "agent_refused"),
        AgentState::Failing => with_code(&format!("fails at every message{since}{why}"), "agent_failing"),
    };
    format!("\nAgent  {}{model}, {state}.\n", agent.kind)
}

/// The HTTP API is spoken of only when something is wrong with it.
fn http_note(http: &HttpSnapshot, now: Timestamp) -> String {
    let when = match (http.state, http.next_retry_at) {
        (HttpState::Listening, _) => return String::new(),
        (HttpState::Retrying, Some(at)) => format!(" Next try {}.", until(at, now)),
        (HttpState::Retrying | HttpState::Fatal, _) => String::new(),
    };
    let code = http.error_code.as_deref().unwrap_or("unknown");
    let why = http.error_message.as_deref().unwrap_or("is not listening");
    // The row begins with its name.
    let why = why.strip_prefix("the HTTP API ").unwrap_or(why);
    let action = http.user_action.as_ref().map_or(String::new(), |action| format!("  {action}\n"));
    format!("\nHTTP API  {}.{when}\n{action}", with_code(why, code))
}

/// `gateway status`.
pub fn gateway_status(view: &View, now: Timestamp, look: Look) -> String {
    let text = format!("{}\n{}{}", headline(view, now), notes_on_gateway(view, now), next_step(view));
    folded(&text, look.width)
}

/// `None`: not known, since the gateway does not answer.
fn shown_state(platform: &PlatformView, presence: Presence) -> Option<WireState> {
    match (&platform.last, presence) {
        (Some(last), Presence::Answering | Presence::WithoutSocket) => Some(last.state),
        (Some(_) | None, Presence::Starting | Presence::Mute(_)) => None,
        (Some(_) | None, _) => Some(WireState::Disconnected),
    }
}

fn row(platform: &PlatformView, view: &View, now: Timestamp, look: Look) -> [String; 6] {
    let none = if look.utf8 { "–" } else { "-" };
    let at = |at: Option<Timestamp>| at.map_or(none.to_owned(), |at| ago(at, now));
    let state = shown_state(platform, view.presence);
    let symbol = match state {
        _ if !look.utf8 => "",
        None => "? ",
        Some(WireState::Connected) => "✓ ",
        Some(WireState::Connecting) => "… ",
        Some(WireState::RateLimited) => "~ ",
        Some(WireState::Retrying) => "↻ ",
        Some(WireState::Paused) => "‖ ",
        Some(WireState::Fatal) => "✗ ",
        Some(WireState::Disabled | WireState::Disconnected) => "○ ",
    };
    let shown = state.map_or("unknown".to_owned(), named);
    let Some(last) = &platform.last else {
        return [
            platform.title.to_owned(),
            format!("{symbol}{shown}"),
            none.into(),
            none.into(),
            none.into(),
            none.into(),
        ];
    };
    let is_believed = view.is_believed();
    let state = if is_believed {
        format!("{symbol}{shown}{}", by_and_when(last, now))
    } else if state == Some(last.state) {
        format!("{symbol}{shown}")
    } else {
        format!("{symbol}{shown} (was {})", named(last.state))
    };
    // Its age at this moment: the word itself may have some.
    let word = view.as_of.map_or(Duration::ZERO, |at| age(at, now));
    let proof = last.proof_age_s.filter(|_| is_believed);
    let proof = proof.map_or(none.to_owned(), |proof| aged(Duration::from_secs(proof) + word));
    [
        platform.title.to_owned(),
        state,
        at(last.since.filter(|_| is_believed)),
        at(last.last_inbound_at),
        at(last.last_outbound_at),
        proof,
    ]
}

/// The state in words for people; on the wire it keeps its name.
fn named(state: WireState) -> String {
    match state {
        WireState::Fatal => "needs attention".to_owned(),
        WireState::RateLimited => "rate limited".to_owned(),
        WireState::Connected
        | WireState::Connecting
        | WireState::Retrying
        | WireState::Paused
        | WireState::Disabled
        | WireState::Disconnected => state.to_string(),
    }
}

/// The cause of a pause, and the time of the next step. That of the next attempt is in the notes.
fn by_and_when(last: &PlatformSnapshot, now: Timestamp) -> String {
    let by = match last.paused_by.as_deref() {
        Some("operator") => " by you",
        Some(_) => " (failures)",
        None => "",
    };
    let what = match last.state {
        WireState::Paused => "retry ",
        WireState::RateLimited => "sends ",
        WireState::Connected
        | WireState::Connecting
        | WireState::Retrying
        | WireState::Fatal
        | WireState::Disabled
        | WireState::Disconnected => "",
    };
    let at = last.next_retry_at.filter(|_| last.next_attempt.is_none());
    let when = at.map_or(String::new(), |at| format!(", {what}{}", until(at, now)));
    format!("{by}{when}")
}

/// Why, and what to do: while it runs by its own word, otherwise by what is found now, below its last word.
fn notes(platform: &PlatformView, presence: Presence, now: Timestamp) -> Vec<String> {
    let why = platform.last.as_ref().and_then(|last| match (last.error_code.as_deref(), last.cause()) {
        // Its state says so already.
        (Some("paused_by_operator"), _) => None,
        (Some(code), Some(message)) => Some(with_code(message, code)),
        (Some(why), None) | (None, Some(why)) => Some(why.to_owned()),
        (None, None) if last.state == WireState::RateLimited => {
            Some("The platform limits sending. Waiting messages are sent when the limit ends.".to_owned())
        }
        (None, None) => None,
    });
    let found = |finding: &Finding| [with_code(&finding.message, finding.code.as_str()), finding.fix.clone()];
    let found: Vec<String> = platform.findings.iter().flat_map(found).collect();
    if presence.is_believed() {
        let last = platform.last.as_ref();
        let next = last.filter(|last| last.next_attempt.is_some()).and_then(|last| last.next_try(now));
        let action = last.and_then(|last| last.user_action.clone());
        let next = next.map(|next| format!("Retries {next}."));
        return why.into_iter().chain(next).chain(action).chain(found).collect();
    }
    // A cause that still stands is among the findings.
    let is_found = |why: &String| found.iter().any(|note| note == why);
    why.filter(|why| !is_found(why)).map(|why| format!("Last: {why}")).into_iter().chain(found).collect()
}

fn widths(rows: &[[String; 6]]) -> [usize; 6] {
    let mut widths = HEADS.map(str::len);
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    widths
}

/// Pads first and colours then: colours have no width.
fn line(cells: &[String], widths: [usize; 6], look: Look, state: Option<Option<WireState>>) -> String {
    let mut text = String::from("  ");
    for (index, (cell, width)) in cells.iter().zip(widths).enumerate() {
        let is_last = index + 1 == cells.len();
        let padded = if is_last { cell.clone() } else { format!("{cell:width$}") };
        let styled = style(padded).force_styling(look.colour);
        let styled = match (index, state) {
            (_, None) => styled.dim(),
            (1, Some(Some(WireState::Connected))) => styled.green(),
            (1, Some(Some(WireState::Fatal))) => styled.red(),
            (
                1,
                Some(Some(
                    WireState::Connecting | WireState::RateLimited | WireState::Retrying | WireState::Paused,
                )),
            ) => styled.yellow(),
            (1, Some(None)) => styled.red(),
            (1, Some(Some(WireState::Disabled | WireState::Disconnected))) => styled.dim(),
            (_, Some(_)) => styled,
        };
        text.push_str(&styled.to_string());
        text.push_str("  ");
    }
    format!("{}\n", text.trim_end())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::presence::Silence;
    use crate::gateway::model::snapshot::{GatewayState, Problem};
    use crate::preflight::{Code, Severity};

    fn now() -> Timestamp {
        "2026-01-01T12:00:00Z".parse().unwrap()
    }

    fn platform(state: WireState) -> PlatformView {
        PlatformView {
            name: "whatsapp".to_owned(),
            title: "WhatsApp",
            last: Some(PlatformSnapshot {
                state,
                error_code: None,
                error_message: None,
                error_cause: None,
                next_attempt: None,
                attempts_max: None,
                updated_at: None,
                since: Some("2026-01-01T09:00:00Z".parse().unwrap()),
                attempts: 0,
                next_retry_at: None,
                paused_by: None,
                user_action: None,
                last_inbound_at: Some("2026-01-01T11:59:20Z".parse().unwrap()),
                last_outbound_at: None,
                proof_age_s: Some(12),
                reconnects: std::collections::BTreeMap::new(),
            }),
            findings: Vec::new(),
        }
    }

    fn view(platform: PlatformView) -> View {
        View {
            presence: Presence::Answering,
            pid: Some(4711),
            started_at: Some("2026-01-01T08:00:00Z".parse().unwrap()),
            last_state: Some(GatewayState::Running),
            exit_reason: None,
            as_of: Some("2026-01-01T11:59:55Z".parse().unwrap()),
            platforms: vec![platform],
            queues: Queues::default(),
            http: None,
            config_stale: None,
            shadowed: Vec::new(),
            problems: Vec::new(),
            agent: Some(AgentSnapshot {
                kind: "openai".to_owned(),
                model: Some("llama3.2".to_owned()),
                state: AgentState::Available,
                since: None,
                error_message: None,
                error_code: None,
            }),
            is_unset: false,
            findings: Vec::new(),
        }
    }

    fn failing(state: WireState, code: &str, message: &str) -> PlatformView {
        let mut platform = platform(state);
        let last = platform.last.as_mut().unwrap();
        last.error_code = Some(code.to_owned());
        last.error_message = Some(message.to_owned());
        last.proof_age_s = None;
        platform
    }

    #[test]
    fn each_state_says_what_a_person_needs() {
        let look = Look { colour: false, utf8: true, width: 0 };
        let mut pages = platform_status(&view(platform(WireState::Connected)), now(), look);

        let lost = "the connection to WhatsApp was lost (503); attempt 3/10 after 60 s";
        let mut retrying = failing(WireState::Retrying, "whatsapp_bridge_exited", lost);
        let last = retrying.last.as_mut().unwrap();
        last.error_cause = Some("the connection to WhatsApp was lost (503)".to_owned());
        (last.attempts, last.next_attempt, last.attempts_max) = (2, Some(3), Some(10));
        last.next_retry_at = Some("2026-01-01T12:00:42Z".parse().unwrap());
        let mut degraded = view(retrying);
        degraded.last_state = Some(GatewayState::Degraded);
        degraded.queues = Queues { inbox: 1, outbox: 2, ..Queues::default() };
        degraded.http = Some(HttpSnapshot {
            state: HttpState::Retrying,
            address: "127.0.0.1:8642".to_owned(),
            error_code: Some("api_server_port_in_use".to_owned()),
            error_message: Some(
                "the HTTP API cannot listen on 127.0.0.1:8642: another program does".to_owned(),
            ),
            next_retry_at: Some("2026-01-01T12:00:30Z".parse().unwrap()),
            user_action: Some("Set another address in gateway.http.bind.".to_owned()),
        });
        degraded.config_stale = Some("gateway.toml: line 1, column 9: unclosed table".to_owned());
        degraded.agent = degraded.agent.map(|agent| AgentSnapshot {
            state: AgentState::Unavailable,
            since: Some("2026-01-01T11:57:00Z".parse().unwrap()),
            error_message: Some("example.com:443 does not answer".to_owned()),
            ..agent
        });
        pages += &platform_status(&degraded, now(), look);
        degraded.queues = Queues { dead: 3, ..Queues::default() };
        pages += &platform_status(&degraded, now(), Look { width: 60, ..look });

        let mut limited = platform(WireState::RateLimited);
        limited.last.as_mut().unwrap().next_retry_at = Some("2026-01-01T12:01:30Z".parse().unwrap());
        pages += &platform_status(&view(limited), now(), look);
        let mut opened =
            failing(WireState::Paused, "net_refused", "it failed too many times in a row; last: refused");
        opened.last.as_mut().unwrap().paused_by = Some("breaker".to_owned());
        opened.last.as_mut().unwrap().next_retry_at = Some("2026-01-01T12:15:00Z".parse().unwrap());
        let mut gone = view(opened.clone());
        pages += &platform_status(&view(opened), now(), look);
        gone.presence = Presence::Absent;
        pages += &platform_status(&gone, now(), look);

        let mut fatal = failing(WireState::Fatal, "whatsapp_not_paired", "no phone is linked to WhatsApp");
        fatal.last.as_mut().unwrap().user_action = Some("Run `hermes whatsapp`.".to_owned());
        let mut blocked = view(fatal.clone());
        blocked.last_state = Some(GatewayState::Degraded);
        pages += &platform_status(&blocked, now(), Look::default());

        fatal.findings.push(Finding {
            code: Code::WhatsappNotPaired,
            severity: Severity::Blocking,
            message: "no phone is linked to WhatsApp".to_owned(),
            fix: "Run `hermes whatsapp`.".to_owned(),
        });
        let mut stopped = view(fatal);
        stopped.presence = Presence::Absent;
        stopped.agent = None;
        stopped.findings.push(Finding {
            code: Code::AgentCommandMissing,
            severity: Severity::Blocking,
            message: "the agent's program was not found".to_owned(),
            fix: "Install it.".to_owned(),
        });
        stopped.exit_reason = Some("stopped on request".to_owned());
        pages += &platform_status(&stopped, now(), look);
        pages += &gateway_status(&stopped, now(), look);
        for silence in [Silence::Stopped, Silence::Loop, Silence::Unknown] {
            let mut mute = view(platform(WireState::Connected));
            mute.presence = Presence::Mute(silence);
            pages += &platform_status(&mute, now(), look);
            pages += &gateway_status(&mute, now(), look);
        }
        let mut without_socket = view(platform(WireState::Connected));
        without_socket.presence = Presence::WithoutSocket;
        pages += &platform_status(&without_socket, now(), look);
        let mut starting = view(platform(WireState::Connected));
        starting.presence = Presence::Starting;
        starting.platforms.clear();
        pages += &platform_status(&starting, now(), look);
        pages += &gateway_status(&blocked, now(), Look { width: 40, ..look });
        insta::assert_snapshot!(pages);
    }

    #[test]
    fn each_state_has_a_symbol_and_a_colour_and_they_do_not_move_columns() {
        let look = Look { colour: true, utf8: true, width: 0 };
        let mut platforms = String::new();
        for state in WireState::ALL {
            let view = view(platform(state));
            let page = platform_status(&view, now(), look);
            let plain = console::strip_ansi_codes(&page).into_owned();
            assert_eq!(plain, platform_status(&view, now(), Look { colour: false, ..look }));
            assert!(!platform_status(&view, now(), Look::default()).contains('\u{1b}'));
            let row = page.lines().find(|line| line.contains(&named(state))).unwrap();
            platforms += &format!("{}\n", row.replace('\u{1b}', "^"));
        }
        insta::assert_snapshot!(platforms);
    }

    #[test]
    fn a_failed_start_is_told_with_its_code_and_the_next_step_once() {
        let mut failed = view(platform(WireState::Connected));
        (failed.presence, failed.last_state) = (Presence::Absent, Some(GatewayState::StartupFailed));
        let mut page = |code: &str, action: &str| {
            failed.problems = vec![Problem {
                code: code.to_owned(),
                message: "it failed".to_owned(),
                since: now(),
                user_action: Some(action.to_owned()),
                ends: true,
            }];
            gateway_status(&failed, now(), Look::default())
        };
        let start = "The gateway is not running. Its last start failed 5 s ago.\nit failed";
        assert_eq!(
            page("store_too_new", "Upgrade.\nOr wait."),
            format!("{start} [store_too_new]\n  Upgrade.\n  Or wait.\nStart it with `hermes gateway run`.\n")
        );
        for action in ["Run `hermes setup`.", "`hermes gateway run --accept-loss` starts it."] {
            assert_eq!(page("config", action), format!("{start} [config]\n  {action}\n"));
        }
    }

    #[test]
    fn nothing_is_wider_than_the_terminal() {
        let why = "the connection to WhatsApp was lost (503); attempt 3/10 after 60 s";
        let mut view = view(failing(WireState::Paused, "whatsapp_bridge_exited", why));
        let last = view.platforms[0].last.as_mut().unwrap();
        last.paused_by = Some("breaker".to_owned());
        last.next_retry_at = Some("2026-01-01T12:15:00Z".parse().unwrap());
        last.user_action = Some("Run `hermes platform resume whatsapp`.".to_owned());
        let wide = platform_status(&view, now(), Look { colour: false, utf8: true, width: 0 });
        for width in [60, 72, 80, 100] {
            let page = platform_status(&view, now(), Look { colour: true, utf8: true, width });
            for line in page.lines() {
                assert!(console::measure_text_width(line) <= width, "{width}: {line}");
            }
            let plain = console::strip_ansi_codes(&page).into_owned();
            for said in ["failures", "in 15 min", "40 s ago", "(503)", "resume whatsapp"] {
                assert!(wide.contains(said) && plain.contains(said), "{said}: {plain}");
            }
        }
    }
}
