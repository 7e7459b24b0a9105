//! Pure. `/metrics`: the gateway's values in Prometheus' format, made at each request from the state and the counters.

use std::fmt::Write;

use jiff::Timestamp;

use crate::gateway::metrics::{BOUNDS_S, Counter, Counts};
use crate::gateway::model::snapshot::{AgentState, PlatformSnapshot, Snapshot, WireState};

/// The page. `last_tick` is the time of the loop's last turn.
pub fn render(snapshot: &Snapshot, counts: &Counts, last_tick: Timestamp, now: Timestamp) -> String {
    let mut page = Page::default();
    page.family("hermes_platform_state", "gauge", "1 for the platform's current state, 0 for the others.");
    for (name, platform) in &snapshot.platforms {
        for state in WireState::ALL {
            let state_name = state.to_string();
            let value = u64::from(platform.state == state);
            page.number("hermes_platform_state", &[("platform", name), ("state", &state_name)], value);
        }
    }
    page.each(
        snapshot,
        "hermes_platform_consecutive_failures",
        "gauge",
        "Consecutive failures that count toward the breaker.",
        |platform| Some(f64::from(platform.attempts)),
    );
    page.each(
        snapshot,
        "hermes_platform_next_retry_seconds",
        "gauge",
        "Time until the next attempt or the end of a rate limit.",
        |platform| platform.next_retry_at.map(|at| at.duration_since(now).as_secs_f64().max(0.0)),
    );
    page.family(
        "hermes_platform_reconnects_total",
        "counter",
        "Connection attempts after the first, by the cause of the last loss.",
    );
    for (name, platform) in &snapshot.platforms {
        for (reason, count) in &platform.reconnects {
            let labels = [("platform", name.as_str()), ("reason", reason.as_str())];
            page.number("hermes_platform_reconnects_total", &labels, *count);
        }
    }
    page.each(
        snapshot,
        "hermes_platform_last_inbound_timestamp_seconds",
        "gauge",
        "Time of the last incoming message.",
        |platform| platform.last_inbound_at.map(seconds),
    );
    page.messages(snapshot, counts);
    page.turns(counts);
    let queues = snapshot.queues;
    for (name, help, value) in [
        ("hermes_inbox_depth", "Messages not answered yet.", queues.inbox),
        ("hermes_outbox_depth", "Answers not sent yet.", queues.outbox),
        ("hermes_dead_letters", "Undelivered messages (dead letters).", queues.dead),
        ("hermes_active_turns", "Turns the agent is working on.", snapshot.active_agents),
    ] {
        page.family(name, "gauge", help);
        page.number(name, &[], value);
    }
    if let Some(agent) = &snapshot.agent {
        page.family(
            "hermes_agent_available",
            "gauge",
            "1 unless the agent was not there the last time, or refused what it was asked, or failed at it.",
        );
        let value = u64::from(match agent.state {
            AgentState::Available | AgentState::Untried => true,
            AgentState::Unavailable | AgentState::Refused | AgentState::Failing => false,
        });
        page.number("hermes_agent_available", &[("kind", &agent.kind)], value);
    }
    page.family("hermes_task_restarts_total", "counter", "Background tasks that failed and were restarted.");
    page.number("hermes_task_restarts_total", &[], snapshot.task_restarts);
    page.family(
        "hermes_loop_last_tick_timestamp_seconds",
        "gauge",
        "Time of the main loop's last iteration; at least one every 10 s.",
    );
    page.number("hermes_loop_last_tick_timestamp_seconds", &[], seconds(last_tick));
    page.text
}

fn seconds(at: Timestamp) -> f64 {
    at.duration_since(Timestamp::UNIX_EPOCH).as_secs_f64()
}

#[derive(Default)]
struct Page {
    text: String,
}

impl Page {
    fn family(&mut self, name: &str, kind: &str, help: &str) {
        self.line(format_args!("# HELP {name} {help}\n# TYPE {name} {kind}\n"));
    }

    /// Adds one value for each platform that has one.
    fn each(
        &mut self,
        snapshot: &Snapshot,
        name: &str,
        kind: &str,
        help: &str,
        of: impl Fn(&PlatformSnapshot) -> Option<f64>,
    ) {
        self.family(name, kind, help);
        for (platform, entry) in &snapshot.platforms {
            if let Some(value) = of(entry) {
                self.number(name, &[("platform", platform)], value);
            }
        }
    }

    /// Adds the message counters; a disabled platform keeps its earlier values.
    fn messages(&mut self, snapshot: &Snapshot, counts: &Counts) {
        let name = "hermes_messages_total";
        self.family(name, "counter", "Incoming messages and send attempts, by result.");
        for (platform, counts) in &counts.messages {
            let platform = platform.spec().name;
            if !snapshot.platforms.contains_key(platform) && counts.iter().all(|count| *count == 0) {
                continue;
            }
            for (stroke, count) in Counter::ALL.into_iter().zip(counts) {
                let (direction, outcome) = stroke.labels();
                let labels = [("platform", platform), ("direction", direction), ("outcome", outcome)];
                self.number(name, &labels, *count);
            }
        }
    }

    fn turns(&mut self, counts: &Counts) {
        let name = "hermes_turn_duration_seconds";
        self.family(name, "histogram", "Duration of turns, including interrupted ones.");
        let bounds = BOUNDS_S.iter().map(f64::to_string).chain(["+Inf".to_owned()]);
        let mut total = 0;
        for (bound, count) in bounds.zip(counts.turns) {
            total += count;
            self.number(&format!("{name}_bucket"), &[("le", &bound)], total);
        }
        self.number(&format!("{name}_sum"), &[], counts.turns_took.as_secs_f64());
        self.number(&format!("{name}_count"), &[], total);
    }

    fn number(&mut self, name: &str, labels: &[(&str, &str)], value: impl std::fmt::Display) {
        let labels: Vec<String> =
            labels.iter().map(|(label, text)| format!("{label}=\"{}\"", escaped(text))).collect();
        if labels.is_empty() {
            self.line(format_args!("{name} {value}\n"));
        } else {
            self.line(format_args!("{name}{{{}}} {value}\n", labels.join(",")));
        }
    }

    fn line(&mut self, line: std::fmt::Arguments<'_>) {
        self.text.write_fmt(line).expect("a String takes everything");
    }
}

fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::gateway::metrics::Metrics;
    use crate::gateway::model::snapshot::AgentSnapshot;
    use crate::gateway::model::snapshot::tests::example;
    use crate::platforms::Platform;

    #[test]
    fn the_page_is_what_prometheus_reads() {
        let mut snapshot = example();
        let now = snapshot.updated_at;
        let later = |seconds: i64| now + jiff::SignedDuration::from_secs(seconds);
        let platform = snapshot.platforms.get_mut("whatsapp").unwrap();
        platform.state = WireState::Retrying;
        platform.attempts = 3;
        platform.next_retry_at = Some(later(42));
        platform.last_inbound_at = Some(now);
        platform.reconnects.insert("whatsapp_bridge_exited".to_owned(), 7);
        platform.reconnects.insert("a \"quoted\"\\\n".to_owned(), 1);
        snapshot.agent = Some(AgentSnapshot {
            kind: "openai".to_owned(),
            model: None,
            state: AgentState::Unavailable,
            since: Some(now),
            error_message: None,
            error_code: None,
        });
        let tally = Metrics::default();
        tally.count_many(Platform::Whatsapp, Counter::Accepted, 12);
        tally.count_many(Platform::Whatsapp, Counter::Unknown, 3);
        let disabled = Platform::every().last().unwrap();
        tally.count(disabled, Counter::Dead);
        for millis in [200, 4_000, 4_000, 700_000] {
            tally.turn(std::time::Duration::from_millis(millis));
        }
        let page = render(&snapshot, &tally.counts(), now, now);
        let mut typed = BTreeSet::new();
        for line in page.lines() {
            if let Some(rest) = line.strip_prefix("# TYPE ") {
                assert!(typed.insert(rest.split(' ').next().unwrap()), "twice: {line}");
            } else if !line.starts_with('#') {
                let name = line.split(['{', ' ']).next().unwrap();
                let plain = ["_bucket", "_sum", "_count"].iter().find_map(|part| name.strip_suffix(part));
                assert!(typed.contains(plain.unwrap_or(name)), "no type before {line}");
                assert!(line.rsplit_once(' ').unwrap().1.parse::<f64>().is_ok(), "{line}");
            }
        }
        insta::assert_snapshot!(page);
    }

    #[test]
    fn an_attempt_that_is_overdue_is_due_now() {
        let mut snapshot = example();
        let now = snapshot.updated_at;
        let platform = snapshot.platforms.get_mut("whatsapp").unwrap();
        platform.next_retry_at = Some(now - jiff::SignedDuration::from_secs(5));
        assert!(
            render(&snapshot, &Counts::default(), now, now)
                .contains("hermes_platform_next_retry_seconds{platform=\"whatsapp\"} 0\n")
        );
    }
}
