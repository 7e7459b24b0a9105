//! Pure. What a reader may believe: a document counts only while its writer holds the lock and it is fresh.

use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Value, json};

use crate::durable::Holder;
use crate::gateway::status::snapshot::{
    AgentSnapshot, GatewayState, HttpSnapshot, PlatformSnapshot, Problem, Queues, Snapshot,
};
use crate::preflight::Finding;

/// The gateway as a reader sees it.
#[derive(Debug, Clone, PartialEq)]
pub struct View {
    /// A gateway runs at this moment.
    pub is_running: bool,
    /// Its process.
    pub pid: Option<u32>,
    /// When it was started.
    pub started_at: Option<Timestamp>,
    /// Its own last word; of a gateway that is gone, for information only.
    pub last_state: Option<GatewayState>,
    /// Why it stopped, as it said itself.
    pub exit_reason: Option<String>,
    /// When it last wrote.
    pub as_of: Option<Timestamp>,
    /// The platforms to be shown.
    pub platforms: Vec<PlatformView>,
    /// What waits.
    pub queues: Queues,
    /// The HTTP API of a running gateway.
    pub http: Option<HttpSnapshot>,
    /// What is wrong with the settings' files of a running gateway.
    pub config_stale: Option<String>,
    /// What is wrong with a running gateway itself.
    pub problems: Vec<Problem>,
    /// Who answers, by the word of a running gateway.
    pub agent: Option<AgentSnapshot>,
    /// What is missing before the agent can answer, found just now; gathered only while no gateway runs.
    pub findings: Vec<Finding>,
}

/// One platform as a reader sees it.
#[derive(Debug, Clone, PartialEq)]
pub struct PlatformView {
    /// Its name.
    pub name: String,
    /// Its name as people write it.
    pub title: &'static str,
    /// What the gateway last said of it.
    pub last: Option<PlatformSnapshot>,
    /// What is missing, found just now; gathered only while no gateway runs.
    pub findings: Vec<Finding>,
}

impl View {
    /// Judges what was read.
    pub fn new(holder: Option<Holder>, snapshot: Option<Snapshot>, now: Timestamp) -> Self {
        let is_fresh = snapshot.as_ref().is_some_and(|snapshot| snapshot.is_fresh(now));
        let is_running = holder.is_some() && is_fresh;
        let Some(snapshot) = snapshot else {
            return Self {
                is_running,
                pid: None,
                started_at: None,
                last_state: None,
                exit_reason: None,
                as_of: None,
                platforms: Vec::new(),
                queues: Queues::default(),
                http: None,
                config_stale: None,
                problems: Vec::new(),
                agent: None,
                findings: Vec::new(),
            };
        };
        Self {
            is_running,
            pid: is_running.then_some(snapshot.pid),
            started_at: None,
            last_state: Some(snapshot.gateway_state),
            exit_reason: snapshot.exit_reason,
            as_of: Some(snapshot.updated_at),
            platforms: Vec::new(),
            queues: snapshot.queues,
            http: snapshot.http.filter(|_| is_running),
            config_stale: snapshot.config_stale.filter(|_| is_running),
            problems: if is_running { snapshot.problems } else { Vec::new() },
            agent: snapshot.agent.filter(|_| is_running),
            findings: Vec::new(),
        }
    }

    /// `--json`.
    pub fn to_json(&self) -> Value {
        let platforms: serde_json::Map<String, Value> = self
            .platforms
            .iter()
            .map(|platform| (platform.name.clone(), self.platform_json(platform)))
            .collect();
        let state = if self.is_running { self.last_state } else { Some(GatewayState::Stopped) };
        json!({
            "running": self.is_running,
            "gateway_state": state,
            "pid": self.pid,
            "started_at": self.started_at,
            "updated_at": self.as_of,
            "exit_reason": self.exit_reason,
            "platforms": platforms,
            "queues": self.queues,
            "http": self.http,
            "config_stale": self.config_stale,
            "problems": self.problems,
            "agent": self.agent,
            "findings": self.findings,
        })
    }

    fn platform_json(&self, platform: &PlatformView) -> Value {
        #[derive(Serialize)]
        struct Stopped<'a> {
            state: &'static str,
            last_known: &'a Option<PlatformSnapshot>,
            findings: &'a [Finding],
        }
        let value = match (&platform.last, self.is_running) {
            (Some(last), true) => serde_json::to_value(last),
            (last, _) => serde_json::to_value(Stopped {
                state: "disconnected",
                last_known: last,
                findings: &platform.findings,
            }),
        };
        value.expect("plain data with string keys")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gateway::status::snapshot::tests::example;

    #[test]
    fn a_document_is_believed_only_with_its_writer_alive_and_fresh() {
        let at = example().updated_at;
        let holder = Some(Holder { pid: Some(1) });
        let stale = at + jiff::SignedDuration::from_secs(60);
        assert!(View::new(holder, Some(example()), at).is_running);
        assert!(!View::new(None, Some(example()), at).is_running, "whatever the text says");
        assert!(!View::new(holder, Some(example()), stale).is_running);
        assert!(!View::new(holder, None, at).is_running);
    }

    #[test]
    fn what_a_dead_gateway_said_is_no_current_state() {
        let mut snapshot = example();
        snapshot.gateway_state = GatewayState::Running;
        let at = snapshot.updated_at;
        let last = snapshot.platforms.remove("whatsapp");
        let mut view = View::new(None, Some(snapshot), at);
        view.platforms.push(PlatformView {
            name: "whatsapp".to_owned(),
            title: "WhatsApp",
            last,
            findings: Vec::new(),
        });
        let json = view.to_json();
        assert_eq!(json["gateway_state"], "stopped");
        assert_eq!(json["platforms"]["whatsapp"]["state"], "disconnected");
        assert_eq!(json["platforms"]["whatsapp"]["last_known"]["state"], "fatal");
    }
}
