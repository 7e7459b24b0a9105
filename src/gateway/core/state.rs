//! The loop's state of each platform, and the document made of it. No I/O.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use jiff::{SignedDuration, Timestamp};
use tokio::task::AbortHandle;
use tokio_util::task::AbortOnDropHandle;

use crate::clock::Now;
use crate::error::CliError;
use crate::gateway::agent::api::{About, Ailment, Trouble};
use crate::gateway::core::drain::Phase;
use crate::gateway::model::adapter::{Adapter, Link};
use crate::gateway::model::event::Generation;
use crate::gateway::model::failure::AdapterError;
use crate::gateway::model::snapshot::{
    AgentSnapshot, AgentState, GatewayState, KIND, PlatformSnapshot, Problem, Queues, Snapshot, TTL_S,
    WireState,
};
use crate::gateway::pipeline::flow::MessageFlow;
use crate::gateway::supervisor::machine::{Machine, PausedBy, Policy, State};

/// The identity of this process, for readers of the status file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The process.
    pub pid: u32,
    /// The time when it was started, in clock ticks since boot; 0 where unknown.
    pub start_time: u64,
    /// The id of the machine's boot.
    pub boot_id: Option<String>,
    /// An id that differs with every start.
    pub instance_id: String,
}

/// One supervised platform.
pub struct Supervised {
    /// Its name in the status file and the log.
    pub name: String,
    /// The account.
    pub adapter: Arc<dyn Adapter>,
    /// The state machine that decides about it.
    pub machine: Machine,
    /// The task of the attempt under way, or of the link that is live.
    pub attempt: Option<(Generation, AbortHandle)>,
    /// Links by the attempt that brought them, until they are closed. Never more than two.
    pub links: BTreeMap<Generation, Arc<dyn Link>>,
    /// True when the last self-check found something wrong with it.
    pub is_suspect: bool,
    /// Watches for the return of a service at a local endpoint that cannot be reached.
    pub watch: Option<AbortOnDropHandle<()>>,
    shown: Shown,
    /// The code that ended the last attempt or link: the reason of the next attempt.
    ended_by: Option<&'static str>,
    reconnects: BTreeMap<&'static str, u64>,
}

/// The state that was last shown.
#[derive(Debug, Clone, PartialEq)]
struct Shown {
    state: WireState,
    error: Option<AdapterError>,
    /// The current wait.
    wait: Option<Wait>,
    since: Timestamp,
    updated_at: Timestamp,
    /// True until the first attempt has ended.
    first: bool,
}

/// A wait for the next attempt. Its text stays the same while it lasts: a document does not change by itself.
#[derive(Debug, Clone, PartialEq)]
struct Wait {
    until: Instant,
    /// Its number, and the number of the last one before a pause.
    attempt: (u32, Option<u32>),
    note: String,
}

impl Wait {
    /// The machine's wait for an attempt, if it waits for one.
    fn of(machine: &Machine, now: Instant) -> Option<Self> {
        let (until, attempt) = if let State::Retrying { at, .. } = machine.state() {
            (*at, machine.next_attempt())
        } else {
            let degraded = machine.state().degraded()?;
            (degraded.next_at, (degraded.failures + 1, degraded.failures_max))
        };
        let number = match attempt {
            (attempt, Some(bound)) => format!("attempt {attempt}/{bound}"),
            (attempt, None) => format!("attempt {attempt}"),
        };
        let note = match until.saturating_duration_since(now).as_secs_f64().ceil() {
            0.0 => format!("{number} at once"),
            seconds => format!("{number} after {seconds} s"),
        };
        Some(Self { until, attempt, note })
    }
}

impl Shown {
    fn first(now: Now) -> Self {
        let (state, wall) = (WireState::Connecting, now.wall);
        Self { state, error: None, wait: None, since: wall, updated_at: wall, first: true }
    }

    /// The reason, and the next attempt with the wait before it.
    fn message(&self) -> Option<String> {
        let error = self.error.as_ref()?;
        let wait = self.wait.as_ref().map_or(String::new(), |wait| format!("; {}", wait.note));
        Some(format!("{}{wait}", error.message))
    }
}

impl Supervised {
    /// A platform that was not started yet.
    pub fn new(name: String, adapter: Arc<dyn Adapter>, policy: Policy, seed: u64, now: Now) -> Self {
        Self {
            name,
            adapter,
            machine: Machine::new(policy, seed),
            attempt: None,
            links: BTreeMap::new(),
            is_suspect: false,
            watch: None,
            shown: Shown::first(now),
            ended_by: None,
            reconnects: BTreeMap::new(),
        }
    }

    /// Notes that the attempt or the link has ended for this reason.
    pub fn ended(&mut self, error: &AdapterError) {
        self.ended_by = Some(error.code);
    }

    /// Notes that an attempt begins.
    pub fn begun(&mut self) {
        if let Some(reason) = self.ended_by {
            *self.reconnects.entry(reason).or_default() += 1;
        }
    }

    /// True when it is enabled: a platform that was disabled stays in the list.
    pub fn is_enabled(&self) -> bool {
        *self.machine.state() != State::Disabled
    }

    /// Releases what another process may use while this platform is not wanted here.
    pub fn rest_if_unwanted(&self) {
        match self.machine.state() {
            State::Disabled | State::Stopping | State::Paused { by: PausedBy::Operator, .. } => {
                self.adapter.release();
            }
            State::Connecting { .. }
            | State::Connected { .. }
            | State::Retrying { .. }
            | State::Blocked { .. }
            | State::Paused { by: PausedBy::Breaker, .. } => {}
        }
    }

    /// Resets the platform's state and history. The old machine must have stopped.
    pub fn begin_anew(&mut self, policy: Policy, seed: u64, now: Now) {
        self.machine = self.machine.anew(policy, seed);
        self.is_suspect = false;
        self.shown = Shown::first(now);
    }

    /// The platform's name for people.
    pub fn title(&self) -> &'static str {
        self.adapter.platform().spec().title
    }

    /// The live link.
    pub fn live(&self) -> Option<&Arc<dyn Link>> {
        self.links.get(&self.machine.state().live()?)
    }

    /// Updates the shown state from the machine's. Returns true when it has changed.
    pub fn refresh(&mut self, now: Now) -> bool {
        let (state, error) = match self.machine.state() {
            State::Disabled => (WireState::Disabled, None),
            // The reason of a pause is removed once the pause has ended.
            State::Connecting { probe: false, .. } if self.shown.state == WireState::Paused => {
                (WireState::Connecting, None)
            }
            // The reason of the last failure stays until an attempt succeeds.
            State::Connecting { probe: false, .. } => (WireState::Connecting, self.shown.error.clone()),
            // A probe of the breaker does not end its pause.
            State::Connecting { probe: true, .. } => (WireState::Paused, self.shown.error.clone()),
            State::Connected { degraded: Some(degraded), .. } => {
                (WireState::Retrying, Some(degraded.error.clone()))
            }
            State::Connected { limited_until: None, .. } => (WireState::Connected, None),
            State::Connected { limited_until: Some(_), .. } => (WireState::RateLimited, None),
            State::Retrying { error, .. } => (WireState::Retrying, Some(error.clone())),
            State::Blocked { error, .. } => (WireState::Fatal, Some(error.clone())),
            State::Paused { error, .. } => (WireState::Paused, Some(pause_note(error.as_ref(), &self.name))),
            State::Stopping => (WireState::Disconnected, None),
        };
        // A flapping platform is shown without each change.
        let (state, error) = match (state, self.machine.doubt()) {
            (WireState::Connecting, Some(_)) if self.shown.state == WireState::Retrying => {
                (WireState::Retrying, error)
            }
            (WireState::Connected | WireState::RateLimited, Some(flapping)) => {
                (WireState::Retrying, Some(flapping.clone()))
            }
            (state, _) => (state, error),
        };
        let wait = match (Wait::of(&self.machine, now.mono), &self.shown.wait) {
            (Some(wait), Some(shown)) if wait.until == shown.until => Some(shown.clone()),
            (wait, _) => wait,
        };
        if state == self.shown.state && error == self.shown.error && wait == self.shown.wait {
            return false;
        }
        if let Some(error) = &error {
            self.ended_by = Some(error.code);
        }
        if story(state) != story(self.shown.state) {
            self.shown.since = now.wall;
        }
        if state != WireState::Connecting {
            self.shown.first = false;
        }
        self.shown.state = state;
        self.shown.error = error;
        self.shown.wait = wait;
        self.shown.updated_at = now.wall;
        true
    }

    /// The shown state, and its reason.
    pub fn shown(&self) -> (WireState, Option<&str>) {
        (self.shown.state, self.shown.error.as_ref().map(|error| error.message.as_str()))
    }

    fn snapshot(&self, now: Now, flow: &dyn MessageFlow) -> PlatformSnapshot {
        let platform = self.adapter.platform();
        let shown = &self.shown;
        let next_retry_at = match self.machine.state() {
            State::Retrying { at, .. } => Some(wall_of(*at, now)),
            State::Paused { probe_at, .. } => probe_at.map(|at| wall_of(at, now)),
            State::Connected { limited_until, degraded, .. } => {
                let next_at = degraded.as_ref().map(|degraded| degraded.next_at);
                next_at.or(*limited_until).map(|until| wall_of(until, now))
            }
            State::Disabled | State::Connecting { .. } | State::Blocked { .. } | State::Stopping => None,
        };
        let paused_by = match self.machine.state() {
            State::Paused { by, .. } => Some(by.wire_name().to_owned()),
            State::Connecting { probe: true, .. } => Some(PausedBy::Breaker.wire_name().to_owned()),
            State::Disabled
            | State::Connecting { .. }
            | State::Connected { .. }
            | State::Retrying { .. }
            | State::Blocked { .. }
            | State::Stopping => None,
        };
        PlatformSnapshot {
            state: shown.state,
            error_code: shown.error.as_ref().map(|error| error.code.to_owned()),
            error_message: shown.message(),
            error_cause: shown.wait.as_ref().and(shown.error.as_ref()).map(|error| error.message.clone()),
            next_attempt: shown.wait.as_ref().map(|wait| wait.attempt.0),
            attempts_max: shown.wait.as_ref().and_then(|wait| wait.attempt.1),
            updated_at: Some(shown.updated_at),
            since: Some(shown.since),
            attempts: self.machine.failures().max(
                self.machine
                    .state()
                    .degraded()
                    .filter(|degraded| degraded.failures_max.is_some())
                    .map_or(0, |degraded| degraded.failures),
            ),
            next_retry_at,
            paused_by,
            user_action: shown.error.as_ref().and_then(|error| error.user_action.clone()),
            last_inbound_at: flow.last_inbound(platform),
            last_outbound_at: flow.last_outbound(platform),
            reconnects: self
                .reconnects
                .iter()
                .map(|(reason, count)| ((*reason).to_owned(), *count))
                .collect(),
            proof_age_s: self
                .live()
                .filter(|_| story(shown.state) == story(WireState::Connected))
                .map(|link| now.mono.saturating_duration_since(link.proof()).as_secs()),
        }
    }
}

/// The note on a pause: the failure that led to it, or an operator's request.
fn pause_note(error: Option<&AdapterError>, name: &str) -> AdapterError {
    match error {
        None => {
            let action = format!("Run `hermes platform resume {name}`.");
            AdapterError::blocked("paused_by_operator", "paused by you", action)
        }
        Some(error) => {
            let message = format!("it failed too many times in a row; last: {}", error.message);
            let action = format!("To try it now, run `hermes platform resume {name}`.");
            AdapterError { message, user_action: Some(action), ..error.clone() }
        }
    }
}

/// Groups states: attempts between waits are one, so that "down since" does not restart with each.
fn story(state: WireState) -> u8 {
    match state {
        WireState::Connecting | WireState::Retrying => 0,
        WireState::Connected | WireState::RateLimited => 1,
        WireState::Paused => 2,
        WireState::Fatal => 3,
        WireState::Disabled => 4,
        WireState::Disconnected => 5,
    }
}

fn wall_of(at: Instant, now: Now) -> Timestamp {
    let wait =
        SignedDuration::try_from(at.saturating_duration_since(now.mono)).unwrap_or(SignedDuration::MAX);
    now.wall.checked_add(wait).unwrap_or(Timestamp::MAX)
}

/// The document of a gateway that could not start, with the remedy.
pub fn failed_start(identity: &Identity, error: &CliError, now: Now) -> Snapshot {
    let failure = Problem {
        code: error.code.to_owned(),
        message: error.to_string(),
        since: now.wall,
        user_action: Some(error.hints.join("\n")).filter(|action| !action.is_empty()),
        ends: true,
    };
    Snapshot {
        gateway_state: GatewayState::StartupFailed,
        exit_reason: Some(failure.message.clone()),
        problems: vec![failure],
        ..blank(identity, now)
    }
}

fn blank(identity: &Identity, now: Now) -> Snapshot {
    Snapshot {
        kind: KIND.to_owned(),
        schema: 1,
        pid: identity.pid,
        start_time: identity.start_time,
        boot_id: identity.boot_id.clone(),
        instance_id: identity.instance_id.clone(),
        updated_at: now.wall,
        ttl_s: TTL_S,
        gateway_state: GatewayState::Starting,
        exit_reason: None,
        config_stale: None,
        shadowed: Vec::new(),
        task_restarts: 0,
        restart_requested: false,
        active_agents: 0,
        platforms: BTreeMap::new(),
        queues: Queues::default(),
        problems: Vec::new(),
        agent: None,
        http: None,
    }
}

/// The current document.
pub fn snapshot(
    identity: &Identity,
    seats: &[Supervised],
    flow: &dyn MessageFlow,
    phase: Phase,
    now: Now,
) -> Snapshot {
    let depths = flow.depths();
    let enabled = || seats.iter().filter(|seat| seat.is_enabled());
    Snapshot {
        gateway_state: gateway_state(enabled, phase),
        active_agents: flow.active_turns(),
        platforms: enabled().map(|seat| (seat.name.clone(), seat.snapshot(now, flow))).collect(),
        agent: Some(agent(flow.agent())),
        queues: Queues {
            inbox: depths.inbox,
            outbox: depths.outbox,
            dead: depths.dead,
            oldest_at: flow.oldest_waiting(),
        },
        ..blank(identity, now)
    }
}

fn agent(about: About) -> AgentSnapshot {
    let About { kind, model, is_untried, trouble } = about;
    let (state, since, error_message, error_code) = match trouble {
        None if is_untried => (AgentState::Untried, None, None, None),
        None => (AgentState::Available, None, None, None),
        Some(Trouble { since, why, code, ailment }) => {
            let state = match ailment {
                Ailment::Away => AgentState::Unavailable,
                Ailment::Refuses => AgentState::Refused,
                Ailment::Fails => AgentState::Failing,
            };
            (state, Some(since), Some(why), code.map(str::to_owned))
        }
    };
    AgentSnapshot { kind: kind.to_owned(), model, state, since, error_message, error_code }
}

/// The gateway's state, derived at each reading, so that it cannot contradict the platforms.
fn gateway_state<'a, S: Iterator<Item = &'a Supervised>>(
    enabled: impl Fn() -> S,
    phase: Phase,
) -> GatewayState {
    match phase {
        Phase::Draining { .. } | Phase::Closing { .. } => GatewayState::Draining,
        Phase::Ended { .. } => GatewayState::Stopped,
        Phase::Running if enabled().all(|seat| seat.shown.state == WireState::Connected) => {
            GatewayState::Running
        }
        Phase::Running if enabled().any(|seat| seat.shown.first) => GatewayState::Starting,
        Phase::Running => GatewayState::Degraded,
    }
}
