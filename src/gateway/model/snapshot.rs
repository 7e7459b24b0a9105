//! Pure. The document `gateway_state.json`, in the form of the contract.
//!
//! The program of the same name in Python writes a file of this name with fewer fields; reading is therefore lenient.

use std::collections::BTreeMap;
use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::span::until;

/// The value of [`Snapshot::kind`].
pub const KIND: &str = "hermes-gateway";

/// The seconds after which a document belongs to a gateway that is gone.
pub const TTL_S: u64 = 30;

/// The gateway's state at one moment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Snapshot {
    /// [`KIND`].
    pub kind: String,
    /// The version of this document's form: 1.
    #[serde(default)]
    pub schema: u32,
    /// The gateway's process.
    pub pid: u32,
    /// The time when that process was started, in clock ticks since boot: detects a reused pid. 0 where unknown.
    #[serde(default)]
    pub start_time: u64,
    /// The id of the boot from which `start_time` counts.
    #[serde(default)]
    pub boot_id: Option<String>,
    /// An id that differs with every start.
    #[serde(default)]
    pub instance_id: String,
    /// The time when this was written.
    pub updated_at: Timestamp,
    /// The time for which it is valid, in seconds.
    #[serde(default)]
    pub ttl_s: u64,
    /// The gateway as a whole.
    pub gateway_state: GatewayState,
    /// The reason for the stop, when it stopped.
    #[serde(default)]
    pub exit_reason: Option<String>,
    /// The fault of the settings' files, while the earlier settings stay in force.
    #[serde(default)]
    pub config_stale: Option<String>,
    /// Settings of `.env` without effect: the gateway's own environment sets another value.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub shadowed: Vec<String>,
    /// The number of background tasks that failed and were started again: defects of ours.
    #[serde(default)]
    pub task_restarts: u64,
    /// True when it stops in order to be started again.
    #[serde(default)]
    pub restart_requested: bool,
    /// The turns that the agent is working on.
    #[serde(default)]
    pub active_agents: u64,
    /// The enabled platforms, by name.
    #[serde(default)]
    pub platforms: BTreeMap<String, PlatformSnapshot>,
    /// Messages that wait.
    #[serde(default)]
    pub queues: Queues,
    /// Faults of the gateway itself.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub problems: Vec<Problem>,
    /// The agent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent: Option<AgentSnapshot>,
    /// The HTTP API, unless it is switched off.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub http: Option<HttpSnapshot>,
}

/// A problem of the gateway itself, independent of its platforms.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// The stable code.
    pub code: String,
    /// The same for people: a sentence without its period.
    pub message: String,
    /// The time since which it exists.
    pub since: Timestamp,
    /// The remedy, for a person; sentences.
    #[serde(default)]
    pub user_action: Option<String>,
    /// True when the process ends by it. Not written.
    #[serde(skip)]
    pub ends: bool,
}

/// The agent's state by its last turns: no request is made only to test it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AgentSnapshot {
    /// Its kind, as in the settings.
    pub kind: String,
    /// Its model or program, where there is one.
    #[serde(default)]
    pub model: Option<String>,
    /// Its state.
    pub state: AgentState,
    /// The time since which it is not available.
    #[serde(default)]
    pub since: Option<Timestamp>,
    /// The reason.
    #[serde(default)]
    pub error_message: Option<String>,
    /// The code of the cause, where it is not that of the state.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error_code: Option<String>,
}

/// The agent's state as it is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AgentState {
    /// The last request was answered.
    Available,
    /// No request was made in this run.
    Untried,
    /// It could not be reached at the last request.
    Unavailable,
    /// It can be reached, and refused the last request: its key, its model or its address is wrong.
    Refused,
    /// It can be reached, and failed at the last request.
    Failing,
}

/// The HTTP API. The gateway goes on whatever its state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HttpSnapshot {
    /// Its state.
    pub state: HttpState,
    /// The address where it listens, or wants to.
    pub address: String,
    /// The stable code of the reason why it is not listening.
    #[serde(default)]
    pub error_code: Option<String>,
    /// The same for people.
    #[serde(default)]
    pub error_message: Option<String>,
    /// The time of the next try.
    #[serde(default)]
    pub next_retry_at: Option<Timestamp>,
    /// The remedy, for a person.
    #[serde(default)]
    pub user_action: Option<String>,
}

/// The HTTP API's state as it is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HttpState {
    /// It answers.
    Listening,
    /// Its address is not available at the moment.
    Retrying,
    /// Only a person can help.
    Fatal,
}

/// The gateway as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GatewayState {
    /// First attempts are under way.
    Starting,
    /// Every enabled platform is connected.
    Running,
    /// Some enabled platform is not connected.
    Degraded,
    /// It finishes running work.
    Draining,
    /// It has ended.
    Stopped,
    /// It could not start.
    StartupFailed,
}

impl fmt::Display for GatewayState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Starting => "starting",
            Self::Running => "running",
            Self::Degraded => "degraded",
            Self::Draining => "draining",
            Self::Stopped => "stopped",
            Self::StartupFailed => "startup_failed",
        })
    }
}

/// One platform.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PlatformSnapshot {
    /// Its state.
    pub state: WireState,
    /// The stable code of the reason why it is not connected.
    #[serde(default)]
    pub error_code: Option<String>,
    /// The same for people, with the number of the next attempt and the wait before it.
    #[serde(default)]
    pub error_message: Option<String>,
    /// The same without them; see [`PlatformSnapshot::cause`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error_cause: Option<String>,
    /// The number of the awaited attempt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_attempt: Option<u32>,
    /// Attempts until the platform is paused, where there is a limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attempts_max: Option<u32>,
    /// The time when one of these values last changed.
    #[serde(default)]
    pub updated_at: Option<Timestamp>,
    /// The time since which it is in this state; attempts in between do not reset it.
    #[serde(default)]
    pub since: Option<Timestamp>,
    /// Counted failures in a row.
    #[serde(default)]
    pub attempts: u32,
    /// The time when the next attempt begins, or a limit of the platform's ends.
    #[serde(default)]
    pub next_retry_at: Option<Timestamp>,
    /// The origin of a pause: `breaker` or `operator`.
    #[serde(default)]
    pub paused_by: Option<String>,
    /// The remedy, for a person.
    #[serde(default)]
    pub user_action: Option<String>,
    /// The time of the last incoming message.
    #[serde(default)]
    pub last_inbound_at: Option<Timestamp>,
    /// The time when a message was last sent and acknowledged.
    #[serde(default)]
    pub last_outbound_at: Option<Timestamp>,
    /// The age of the last proof that the connection works, in seconds.
    #[serde(default)]
    pub proof_age_s: Option<u64>,
    /// Attempts begun after the first, by the code that ended the one before. For the metrics; not written.
    #[serde(skip)]
    pub reconnects: BTreeMap<String, u64>,
}

/// A platform's state as it is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WireState {
    /// An attempt is under way.
    Connecting,
    /// Connected, and proven within the lease.
    Connected,
    /// Waiting because the platform asked for it.
    RateLimited,
    /// Waiting for the next attempt.
    Retrying,
    /// Not tried until an operator resumes it.
    Paused,
    /// Only a person can help.
    Fatal,
    /// Not enabled.
    Disabled,
    /// The gateway stopped.
    Disconnected,
}

impl WireState {
    /// All states.
    pub const ALL: [Self; 8] = [
        Self::Connecting,
        Self::Connected,
        Self::RateLimited,
        Self::Retrying,
        Self::Paused,
        Self::Fatal,
        Self::Disabled,
        Self::Disconnected,
    ];
}

impl PlatformSnapshot {
    /// The reason why it is not connected, for people.
    pub fn cause(&self) -> Option<&str> {
        self.error_cause.as_deref().or(self.error_message.as_deref())
    }
}

impl fmt::Display for WireState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Connecting => "connecting",
            Self::Connected => "connected",
            Self::RateLimited => "rate_limited",
            Self::Retrying => "retrying",
            Self::Paused => "paused",
            Self::Fatal => "fatal",
            Self::Disabled => "disabled",
            Self::Disconnected => "disconnected",
        })
    }
}

/// Messages that wait in the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Queues {
    /// Messages not answered yet.
    pub inbox: u64,
    /// Answers not sent yet.
    pub outbox: u64,
    /// Messages given up.
    pub dead: u64,
    /// The time since which the oldest waiting message has waited.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub oldest_at: Option<Timestamp>,
}

impl Snapshot {
    /// Reads a document; `None` when the bytes are not one.
    pub fn read(bytes: &[u8]) -> Option<Self> {
        serde_json::from_slice(bytes).ok()
    }

    /// Sets the problems of the gateway itself; with one, a running gateway is degraded, whatever the states of its platforms.
    pub fn has_problems(&mut self, problems: Vec<Problem>) {
        if !problems.is_empty() && self.gateway_state == GatewayState::Running {
            self.gateway_state = GatewayState::Degraded;
        }
        self.problems = problems;
    }

    /// The document's bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("a snapshot has only string keys")
    }

    /// True when it is still valid at this moment.
    pub fn is_fresh(&self, now: Timestamp) -> bool {
        let age = now.duration_since(self.updated_at);
        let ttl = i64::try_from(if self.ttl_s == 0 { TTL_S } else { self.ttl_s }).unwrap_or(i64::MAX);
        // A clock that was set back makes documents from the future: those are not fresh either.
        (-ttl..=ttl).contains(&age.as_secs())
    }
}

impl PlatformSnapshot {
    /// The time and the number of the next attempt: `in 54 s (2 of 10)`.
    pub fn next_try(&self, now: Timestamp) -> Option<String> {
        let when = until(self.next_retry_at?, now);
        Some(match (self.next_attempt, self.attempts_max) {
            (Some(attempt), Some(max)) => format!("{when} ({attempt} of {max})"),
            (Some(attempt), None) => format!("{when} (attempt {attempt})"),
            (None, _) => when,
        })
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn example() -> Snapshot {
        let at: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
        Snapshot {
            kind: KIND.to_owned(),
            schema: 1,
            pid: 1,
            start_time: 0,
            boot_id: Some("b".to_owned()),
            instance_id: "i".to_owned(),
            updated_at: at,
            ttl_s: TTL_S,
            gateway_state: GatewayState::Degraded,
            exit_reason: None,
            config_stale: None,
            shadowed: Vec::new(),
            task_restarts: 0,
            restart_requested: false,
            active_agents: 0,
            platforms: BTreeMap::from([(
                "whatsapp".to_owned(),
                PlatformSnapshot {
                    state: WireState::Fatal,
                    error_code: Some("whatsapp_not_paired".to_owned()),
                    error_message: Some("no phone is paired".to_owned()),
                    error_cause: None,
                    next_attempt: None,
                    attempts_max: None,
                    updated_at: Some(at),
                    since: Some(at),
                    attempts: 0,
                    next_retry_at: None,
                    paused_by: None,
                    user_action: Some("hermes whatsapp".to_owned()),
                    last_inbound_at: None,
                    last_outbound_at: None,
                    proof_age_s: None,
                    reconnects: BTreeMap::new(),
                },
            )]),
            queues: Queues::default(),
            problems: Vec::new(),
            agent: None,
            http: None,
        }
    }

    #[test]
    fn the_document_has_the_contracts_fields() {
        insta::assert_snapshot!(serde_json::to_string_pretty(&example()).unwrap());
    }

    #[test]
    fn documents_of_the_python_gateway_can_be_read() {
        let json =
            br#"{"kind":"hermes-gateway","pid":7,"argv":["x"],"gateway_state":"running","exit_reason":null,
            "platforms":{"telegram":{"state":"retrying","error_code":null,"error_message":null}},
            "updated_at":"2026-01-01T00:00:00.123456+00:00"}"#;
        let snapshot = Snapshot::read(json).unwrap();
        assert_eq!(snapshot.platforms["telegram"].state, WireState::Retrying);
        assert_eq!(Snapshot::read(b"{}"), None);
    }

    #[test]
    fn a_document_is_believed_for_its_ttl_only() {
        let snapshot = example();
        let later = |seconds: i64| snapshot.updated_at + jiff::SignedDuration::from_secs(seconds);
        assert!(snapshot.is_fresh(later(30)));
        assert!(!snapshot.is_fresh(later(31)));
        assert!(!snapshot.is_fresh(later(-3600)));
    }
}
