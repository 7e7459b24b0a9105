//! Pure. The gateway as a reader sees it: what it says itself counts only while [`Presence`] lets it be believed.

use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Value, json};

use crate::client::presence::{Evidence, Presence, Silence};
use crate::gateway::model::snapshot::{
    AgentSnapshot, GatewayState, HttpSnapshot, PlatformSnapshot, Problem, Queues, Snapshot,
};
use crate::preflight::Finding;

/// The gateway as a reader sees it.
#[derive(Debug, Clone, PartialEq)]
pub struct View {
    /// The presence of a gateway at this moment.
    pub presence: Presence,
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
    /// Messages that wait.
    pub queues: Queues,
    /// The HTTP API of a running gateway.
    pub http: Option<HttpSnapshot>,
    /// The fault of the settings' files of a running gateway.
    pub config_stale: Option<String>,
    /// Settings of `.env` without effect on a running gateway.
    pub shadowed: Vec<String>,
    /// Faults of a running gateway itself; of one that could not start, why.
    pub problems: Vec<Problem>,
    /// The agent, by the word of a running gateway.
    pub agent: Option<AgentSnapshot>,
    /// No platform is enabled, as far as the settings of this moment were looked at.
    pub is_unset: bool,
    /// Findings about the agent, of this moment; gathered only while no gateway runs.
    pub findings: Vec<Finding>,
}

/// One platform as a reader sees it.
#[derive(Debug, Clone, PartialEq)]
pub struct PlatformView {
    /// Its name.
    pub name: String,
    /// Its name as people write it.
    pub title: &'static str,
    /// The gateway's last word on it.
    pub last: Option<PlatformSnapshot>,
    /// Findings about it, of this moment; of a running gateway only that no one is answered.
    pub findings: Vec<Finding>,
}

impl View {
    /// Judges what was seen, and returns the gateway's own last word with it.
    pub fn new(evidence: Evidence, now: Timestamp) -> (Self, Option<Snapshot>) {
        let (holder, started_at) = (evidence.holder, evidence.started_at);
        let (presence, snapshot) = evidence.judge(now);
        let is_believed = presence.is_believed();
        let last = snapshot.as_ref();
        let has_failed = |last: &Snapshot| {
            presence == Presence::Absent && last.gateway_state == GatewayState::StartupFailed
        };
        let view = Self {
            presence,
            pid: match presence {
                Presence::Absent => None,
                Presence::Starting => holder.and_then(|holder| holder.pid),
                Presence::Answering | Presence::WithoutSocket | Presence::Mute(_) => {
                    last.map(|last| last.pid).or(holder.and_then(|holder| holder.pid))
                }
            },
            started_at: started_at.filter(|_| presence != Presence::Absent),
            last_state: last.map(|last| last.gateway_state),
            exit_reason: last.and_then(|last| last.exit_reason.clone()),
            as_of: last.map(|last| last.updated_at),
            platforms: Vec::new(),
            queues: last.map(|last| last.queues).unwrap_or_default(),
            http: last.filter(|_| is_believed).and_then(|last| last.http.clone()),
            config_stale: last.filter(|_| is_believed).and_then(|last| last.config_stale.clone()),
            shadowed: last.filter(|_| is_believed).map(|last| last.shadowed.clone()).unwrap_or_default(),
            problems: last
                .filter(|last| is_believed || has_failed(last))
                .map(|last| last.problems.clone())
                .unwrap_or_default(),
            agent: last.filter(|_| is_believed).and_then(|last| last.agent.clone()),
            is_unset: false,
            findings: Vec::new(),
        };
        (view, snapshot)
    }

    /// True when its word on its platforms may be believed.
    pub fn is_believed(&self) -> bool {
        self.presence.is_believed()
    }

    /// `--json`.
    pub fn to_json(&self) -> Value {
        let platforms: serde_json::Map<String, Value> = self
            .platforms
            .iter()
            .map(|platform| (platform.name.clone(), self.platform_json(platform)))
            .collect();
        let state = match self.presence {
            Presence::Absent => GatewayState::Stopped.to_string(),
            Presence::Starting => GatewayState::Starting.to_string(),
            Presence::Mute(_) => "not_answering".to_owned(),
            Presence::Answering | Presence::WithoutSocket => {
                self.last_state.unwrap_or(GatewayState::Starting).to_string()
            }
        };
        let silence = match self.presence {
            Presence::Mute(Silence::Stopped) => Some("process_stopped"),
            Presence::Mute(Silence::Loop) => Some("loop_stalled"),
            Presence::Mute(Silence::Unknown) => Some("unknown"),
            Presence::Absent | Presence::Starting | Presence::Answering | Presence::WithoutSocket => None,
        };
        json!({
            "running": self.presence != Presence::Absent,
            "answers": self.presence == Presence::Answering,
            "silence": silence,
            "gateway_state": state,
            "pid": self.pid,
            "started_at": self.started_at,
            "updated_at": self.as_of,
            "exit_reason": self.exit_reason,
            "platforms": platforms,
            "queues": self.queues,
            "http": self.http,
            "config_stale": self.config_stale,
            "shadowed": self.shadowed,
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
        let value = match (&platform.last, self.presence) {
            (Some(last), Presence::Answering | Presence::WithoutSocket) => {
                serde_json::to_value(last).map(|mut value| {
                    value["findings"] = json!(platform.findings);
                    value
                })
            }
            (last, presence) => serde_json::to_value(Stopped {
                state: if presence == Presence::Absent { "disconnected" } else { "unknown" },
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
    use crate::client::request::Word;
    use crate::durable::Holder;
    use crate::gateway::model::snapshot::tests::example;

    fn json_of(holder: Option<Holder>, word: Word) -> Value {
        let mut snapshot = example();
        snapshot.gateway_state = GatewayState::Running;
        let at = snapshot.updated_at;
        let last = snapshot.platforms.remove("whatsapp");
        let evidence = Evidence {
            holder,
            asked_at: at,
            word,
            written: Some(snapshot),
            started_at: None,
            is_holders: true,
            is_stopped: true,
        };
        let (mut view, _) = View::new(evidence, at);
        view.platforms.push(PlatformView {
            name: "whatsapp".to_owned(),
            title: "WhatsApp",
            last,
            findings: Vec::new(),
        });
        view.to_json()
    }

    #[test]
    fn what_a_dead_gateway_said_is_no_current_state() {
        let json = json_of(None, Word::Nothing);
        assert_eq!((&json["running"], &json["gateway_state"]), (&json!(false), &json!("stopped")));
        assert_eq!(json["platforms"]["whatsapp"]["state"], "disconnected");
        assert_eq!(json["platforms"]["whatsapp"]["last_known"]["state"], "fatal");
    }

    #[test]
    fn what_a_gateway_said_before_it_fell_silent_is_no_current_state() {
        let json = json_of(Some(Holder { pid: Some(1) }), Word::Mute);
        assert_eq!((&json["running"], &json["answers"]), (&json!(true), &json!(false)));
        assert_eq!(json["gateway_state"], "not_answering");
        assert_eq!((&json["pid"], &json["silence"]), (&json!(1), &json!("process_stopped")));
        assert_eq!(json["platforms"]["whatsapp"]["state"], "unknown");
    }
}
