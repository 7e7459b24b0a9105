//! Pure. The document `gateway_state.json`, as the contract fixes it.
//!
//! The program of the same name in Python writes a file of this name with fewer fields; reading is therefore lenient.

use std::collections::BTreeMap;
use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::span::until;

/// The value of [`Snapshot::kind`].
pub const KIND: &str = "hermes-gateway";

/// A document older than this many seconds speaks of a gateway that is gone.
pub const TTL_S: u64 = 30;

/// The gateway's knowledge about itself at one moment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Snapshot {
    /// [`KIND`].
    pub kind: String,
    /// The form of this document: 1.
    #[serde(default)]
    pub schema: u32,
    /// The gateway's process.
    pub pid: u32,
    /// When that process was started, in clock ticks since boot: tells a reused pid. 0 where unknown.
    #[serde(default)]
    pub start_time: u64,
    /// Which boot of the machine `start_time` counts from.
    #[serde(default)]
    pub boot_id: Option<String>,
    /// Differs with every start.
    #[serde(default)]
    pub instance_id: String,
    /// When this was written.
    pub updated_at: Timestamp,
    /// The time for which it is worth believing, in seconds.
    #[serde(default)]
    pub ttl_s: u64,
    /// The gateway as a whole.
    pub gateway_state: GatewayState,
    /// Why it stopped, when it did.
    #[serde(default)]
    pub exit_reason: Option<String>,
    /// The fault of the settings' files, while the settings from before stay in force.
    #[serde(default)]
    pub config_stale: Option<String>,
    /// Settings of `.env` without effect: the gateway's own environment says something else.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub shadowed: Vec<String>,
    /// The number of background tasks that died and were begun again: defects of ours.
    #[serde(default)]
    pub task_restarts: u64,
    /// It stops in order to be started again.
    #[serde(default)]
    pub restart_requested: bool,
    /// Turns the agent is working on.
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

/// Something that is wrong with the gateway itself, whatever its platforms do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// Stable.
    pub code: String,
    /// The same for people: a sentence without its period.
    pub message: String,
    /// Since when.
    pub since: Timestamp,
    /// The remedy, for a person; sentences.
    #[serde(default)]
    pub user_action: Option<String>,
    /// The process ends by it. Not written.
    #[serde(skip)]
    pub ends: bool,
}

/// The agent, as its last turns tell: it is not asked for the sake of asking.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AgentSnapshot {
    /// The word of the settings for it.
    pub kind: String,
    /// Its model or program, where there is one.
    #[serde(default)]
    pub model: Option<String>,
    /// Its state.
    pub state: AgentState,
    /// Since when it is not.
    #[serde(default)]
    pub since: Option<Timestamp>,
    /// Why not.
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
    /// It answered the last time.
    Available,
    /// Nothing was asked of it in this run.
    Untried,
    /// It was not there the last time.
    Unavailable,
    /// It is there, and refused what it was asked the last time: its key, its model or its address is wrong.
    Refused,
    /// It is there, and failed at what it was asked the last time.
    Failing,
}

/// The HTTP API. Whatever becomes of it, the gateway goes on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HttpSnapshot {
    /// Where it is.
    pub state: HttpState,
    /// Where it listens, or wants to.
    pub address: String,
    /// Why it is not listening: stable.
    #[serde(default)]
    pub error_code: Option<String>,
    /// The same for people.
    #[serde(default)]
    pub error_message: Option<String>,
    /// When it is tried again.
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
    /// Its address cannot be had at the moment.
    Retrying,
    /// Only a human can help.
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
    /// It finishes what is under way.
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
    /// Where it is.
    pub state: WireState,
    /// Why it is not connected: stable.
    #[serde(default)]
    pub error_code: Option<String>,
    /// The same for people, with the number of the next attempt and the wait before it.
    #[serde(default)]
    pub error_message: Option<String>,
    /// The same without them; see [`PlatformSnapshot::cause`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error_cause: Option<String>,
    /// The number of the attempt that is waited for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_attempt: Option<u32>,
    /// Attempts until the platform is paused, where there is a limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attempts_max: Option<u32>,
    /// When anything of this last changed.
    #[serde(default)]
    pub updated_at: Option<Timestamp>,
    /// Since when it is so; attempts in between do not reset it.
    #[serde(default)]
    pub since: Option<Timestamp>,
    /// Counted failures in a row.
    #[serde(default)]
    pub attempts: u32,
    /// When the next attempt begins, or a limit of the platform's ends.
    #[serde(default)]
    pub next_retry_at: Option<Timestamp>,
    /// The origin of a pause: `breaker` or `operator`.
    #[serde(default)]
    pub paused_by: Option<String>,
    /// The remedy, for a person.
    #[serde(default)]
    pub user_action: Option<String>,
    /// Time of the last incoming message.
    #[serde(default)]
    pub last_inbound_at: Option<Timestamp>,
    /// When a message was last sent and acknowledged.
    #[serde(default)]
    pub last_outbound_at: Option<Timestamp>,
    /// The age of the last proof that the connection works, in seconds.
    #[serde(default)]
    pub proof_age_s: Option<u64>,
    /// Attempts begun after the first, by the code of what ended the one before. For the metrics; not written.
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
    /// Left alone until somebody resumes it.
    Paused,
    /// Only a human can help.
    Fatal,
    /// Not enabled.
    Disabled,
    /// The gateway stopped.
    Disconnected,
}

impl WireState {
    /// All of them.
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
    /// Why it is not connected, for people.
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
    /// Answers not sent.
    pub outbox: u64,
    /// Given up.
    pub dead: u64,
    /// Since when the oldest of those that wait has waited.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub oldest_at: Option<Timestamp>,
}

impl Snapshot {
    /// Reads a document; `None` when it is none.
    pub fn read(bytes: &[u8]) -> Option<Self> {
        serde_json::from_slice(bytes).ok()
    }

    /// Takes up what is wrong with the gateway itself: it is not well then, whatever its platforms say.
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

    /// True when it may still be believed at this moment.
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
