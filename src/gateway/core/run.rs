//! THE loop: the one owner of the platforms' state. See [`super`] for the map.
//!
//! `select!` only builds an [`Event`]; deciding is synchronous and pure; performing is short, since everything slow is a
//! task that answers with an event.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, watch};
use tokio_util::task::TaskTracker;

use self::pauses::{CHANGES_MAX, Change, PauseRecord};
use crate::backoff::Dice;
use crate::clock::Now;
use crate::config::ExitWhenAllBlocked;
use crate::error::ExitCode;
use crate::failpoint;
use crate::gateway::core::drain::{self, Drain, Phase};
use crate::gateway::core::exit_policy;
use crate::gateway::core::run::reloading::Reloading;
use crate::gateway::core::state::{Identity, Supervised, snapshot};
use crate::gateway::host::kept;
use crate::gateway::host::notify::Notify;
use crate::gateway::host::restart::Restart;
use crate::gateway::host::watchdog::Pulse;
use crate::gateway::model::adapter::{Adapter, Inbox, Link};
use crate::gateway::model::command::Commands;
use crate::gateway::model::event::Generation;
use crate::gateway::model::event::{Event, Report, StopSignal, SupervisedId};
use crate::gateway::model::failure::{Degraded, Retry};
use crate::gateway::model::snapshot::{HttpSnapshot, Problem, Snapshot};
use crate::gateway::ops::status::file::StatusFile;
use crate::gateway::pipeline::flow::MessageFlow;
use crate::gateway::platforms::driver::{self, Reporter};
use crate::gateway::supervisor::host::Host;
use crate::gateway::supervisor::machine::{Action, Input, News, Policy, State};
use crate::gateway::supervisor::suspend::JumpWatch;
use crate::span::span;

/// Limit for events that wait for the loop; further senders wait.
pub const EVENTS_MAX: usize = 256;

/// The longest time between two publications of the status document.
const HEARTBEAT: Duration = Duration::from_secs(10);

/// The longest delay before the message path's counts are in the status document; not written at each message, since each
/// write of a document is flushed to disk.
const COUNTS_EVERY: Duration = Duration::from_millis(700);

/// Limit for closing a link; then it is dropped.
const CLOSE_LIMIT: Duration = Duration::from_secs(5);

/// The parts of the loop.
pub struct Parts {
    /// The accounts, each under its name.
    pub adapters: Vec<(String, Arc<dyn Adapter>)>,
    /// The message path.
    pub flow: Arc<dyn MessageFlow>,
    /// The timing of attempts.
    pub policy: Policy,
    /// Limit for a stop to finish running work.
    pub drain_timeout: Duration,
    /// The names of platforms that an operator paused in an earlier run.
    pub paused: BTreeSet<String>,
    /// The storage of later pauses.
    pub pauses: Arc<dyn PauseRecord>,
    /// The setting for the end when every platform is blocked.
    pub exit_when_all_blocked: ExitWhenAllBlocked,
    /// Shows from outside that the loop runs.
    pub pulse: Pulse,
    /// Reports to the service manager the time that it must allow for.
    pub notify: Notify,
    /// The state of the HTTP API, published with ours.
    pub http: watch::Receiver<Option<HttpSnapshot>>,
    /// The problems of the gateway itself.
    pub problems: watch::Receiver<Vec<Problem>>,
    /// The means to apply changed settings.
    pub reloading: Reloading,
    /// The status file.
    pub status: StatusFile,
    /// The identity of this process.
    pub identity: Identity,
    /// The way in which it is started again.
    pub restart: Restart,
    /// The seed for jitter.
    pub seed: u64,
}

/// The running gateway.
pub struct Gateway {
    seats: Vec<Supervised>,
    flow: Arc<dyn MessageFlow>,
    drain: Drain,
    exit_when_all_blocked: ExitWhenAllBlocked,
    /// The reason for an end that no request caused.
    why: Option<String>,
    http: watch::Receiver<Option<HttpSnapshot>>,
    problems: watch::Receiver<Vec<Problem>>,
    pulse: Pulse,
    notify: Notify,
    reloading: Reloading,
    /// The names of platforms that an operator has paused.
    paused: BTreeSet<String>,
    /// The seed for the next machine.
    next_seed: u64,
    status: StatusFile,
    identity: Identity,
    restart: Restart,
    events: mpsc::Sender<Event>,
    inputs: mpsc::Receiver<Event>,
    /// Pauses that are being written to disk.
    changes: mpsc::Sender<Change>,
    /// Links that are being closed.
    closings: TaskTracker,
    /// Decides that the host has lost its network.
    host: Host,
    /// Detects a sleep of the machine.
    jumps: JumpWatch,
    dice: Dice,
    /// The time of the next self-check.
    check_at: Instant,
    /// The time when the status document was last published.
    published_at: Instant,
    /// The time of the next publication, changed or not.
    heartbeat_at: Instant,
    /// Changes when the message path has counted again.
    counted: watch::Receiver<()>,
}

impl Gateway {
    /// A gateway in which nothing has started yet.
    pub fn new(mut parts: Parts) -> Self {
        let now = Now::read();
        let (events, inputs) = mpsc::channel(EVENTS_MAX);
        let seats: Vec<Supervised> = (parts.seed..)
            .zip(parts.adapters)
            .map(|(seed, (name, adapter))| {
                let is_paused = parts.paused.contains(&name);
                let mut seat = Supervised::new(name, adapter, parts.policy, seed, now);
                if is_paused {
                    seat.machine.handle(now.mono, Input::Pause);
                }
                seat
            })
            .collect();
        let host = Host::new(seats.len(), parts.seed);
        let (changes, to_keep) = mpsc::channel(CHANGES_MAX);
        let counted = parts.flow.counted();
        let (record, to_keep) = (parts.pauses, Arc::new(tokio::sync::Mutex::new(to_keep)));
        // A problem of the start was there before anyone subscribed.
        parts.problems.mark_changed();
        kept::keep("pauses", move || pauses::keep(Arc::clone(&record), Arc::clone(&to_keep)));
        Self {
            seats,
            flow: parts.flow,
            drain: Drain::new(parts.drain_timeout),
            exit_when_all_blocked: parts.exit_when_all_blocked,
            why: None,
            pulse: parts.pulse,
            notify: parts.notify,
            http: parts.http,
            problems: parts.problems,
            reloading: parts.reloading,
            paused: parts.paused,
            next_seed: parts.seed.wrapping_add(1 << 32),
            status: parts.status,
            identity: parts.identity,
            restart: parts.restart,
            events,
            inputs,
            changes,
            closings: TaskTracker::new(),
            host,
            jumps: JumpWatch::new(now),
            dice: Dice::new(parts.seed),
            check_at: now.mono + HEARTBEAT,
            published_at: now.mono,
            heartbeat_at: now.mono,
            counted,
        }
    }

    /// The sender of events.
    pub fn events(&self) -> mpsc::Sender<Event> {
        self.events.clone()
    }

    /// The sender of commands.
    pub fn commands(&self) -> Commands {
        Commands::new(self.events())
    }

    /// Starts every platform at once, and returns when the gateway has stopped.
    pub async fn serve(mut self) -> ExitCode {
        let now = Now::read();
        for seat in &mut self.seats {
            seat.machine.handle(now.mono, Input::Start);
        }
        let mut event = Event::Due;
        let exit = loop {
            let now = Now::read();
            self.pulse.beat(now.mono);
            if let Some(exit) = self.step(now, event) {
                break exit;
            }
            let due = self.next_due().min(now.mono + self.pulse.rest_max());
            let due = tokio::time::sleep_until(due.into());
            event = tokio::select! {
                Some(event) = self.inputs.recv() => event,
                Ok(()) = self.http.changed() => Event::HttpChanged,
                Ok(()) = self.problems.changed() => Event::ProblemsChanged,
                Ok(()) = self.counted.changed() => Event::Counted,
                () = due => Event::Due,
            };
        };
        self.status.finish().await;
        exit
    }

    /// One turn of the loop: decide, perform, publish.
    fn step(&mut self, now: Now, event: Event) -> Option<ExitCode> {
        failpoint::hit("loop.turn");
        let phase = self.drain.phase();
        let mut changed = matches!(event, Event::HttpChanged | Event::ProblemsChanged);
        // A request for the state sees the result of this turn.
        let (event, asker) =
            if let Event::Look(asker) = event { (Event::Due, Some(asker)) } else { (event, None) };
        self.decide(now, event);
        changed |= self.refresh(now);
        self.end_without_purpose(now);
        if self.check_at <= now.mono {
            self.check_at = now.mono + HEARTBEAT;
            self.self_check(now);
        }
        let exit = self.perform(now);
        self.watch_for_returns();
        changed |= self.refresh(now) || self.drain.phase() != phase;
        if changed || exit.is_some() || self.heartbeat_at <= now.mono {
            self.published_at = now.mono;
            self.heartbeat_at = now.mono + HEARTBEAT;
            self.status.publish(self.document(now, exit));
        }
        if let Some(asker) = asker {
            drop(asker.send(self.document(now, exit)));
        }
        exit
    }

    /// Updates the published state. Returns true when it has changed.
    fn refresh(&mut self, now: Now) -> bool {
        let mut changed = false;
        for seat in &mut self.seats {
            changed |= seat.refresh(now);
        }
        changed
    }

    /// Asks for the end when nothing is left to do.
    fn end_without_purpose(&mut self, now: Now) {
        if self.drain.phase() != Phase::Running {
            return;
        }
        let enabled = self.seats.iter().filter(|seat| seat.is_enabled()).map(Supervised::shown);
        let Some(why) = exit_policy::lost(self.exit_when_all_blocked, enabled) else { return };
        tracing::error!(
            code = "all_blocked",
            "every platform is blocked and `exit_when_all_blocked` is set: {why}"
        );
        self.why = Some(why);
        self.drain.handle(now.mono, drain::Input::Asked(StopSignal::AllBlocked));
    }

    /// Asks for the end when the gateway can no longer work.
    fn end_of_problems(&mut self, now: Now) {
        let fatal =
            self.problems.borrow().iter().find(|problem| problem.ends).map(|problem| problem.message.clone());
        if let Some(why) = fatal {
            self.why.get_or_insert(why);
            self.drain.handle(now.mono, drain::Input::Asked(StopSignal::StoreLost));
        }
    }

    fn decide(&mut self, now: Now, event: Event) {
        match event {
            Event::Supervised { seat, generation, report } => self.hear(now, seat, generation, report),
            Event::Returned(seat) => self.give(now, seat, Input::Returned),
            Event::Command(request) => self.obey(now, request),
            Event::StopAsked(signal) => self.stop_asked(now, signal),
            Event::ReloadAsked => {
                if self.drain.phase() == Phase::Running {
                    self.notify.reloading();
                }
                self.reloading.asked.notify_one();
                // The operator may have repaired something that no setting shows.
                for index in 0..self.seats.len() {
                    self.seats[index].adapter.clear_refusals();
                    self.give(now, SupervisedId(index), Input::Changed);
                }
            }
            Event::NetworkChanged => self.look_for_network(now),
            Event::SettingsRead(reading) => self.adopt(now, reading),
            Event::Reloaded(reading) => {
                self.adopt(now, reading);
                if self.drain.phase() == Phase::Running {
                    self.notify.ready();
                }
            }
            Event::Drained => self.drain.handle(now.mono, drain::Input::Drained),
            Event::Closed => self.drain.handle(now.mono, drain::Input::Closed),
            Event::ProblemsChanged => self.end_of_problems(now),
            Event::Counted => {
                self.heartbeat_at = self.heartbeat_at.min(self.published_at + COUNTS_EVERY);
            }
            Event::HttpChanged | Event::Look(_) | Event::Due => {}
        }
        self.drain.handle_timeout(now.mono);
        self.look_at_clock(now);
        self.settle_host(now);
        for seat in &mut self.seats {
            seat.machine.handle_timeout(now.mono);
        }
        if self.drain.phase() != Phase::Running {
            // Connected platforms still send; nothing else is begun.
            for seat in &mut self.seats {
                if !matches!(seat.machine.state(), State::Connected { .. } | State::Disabled) {
                    seat.machine.handle(now.mono, Input::Stop);
                }
            }
        }
    }

    fn hear(&mut self, now: Now, id: SupervisedId, generation: Generation, report: Report) {
        let Some(seat) = self.seats.get_mut(id.0) else { return };
        let input = match report {
            Report::Refused(error) => Input::Refused { generation, error },
            Report::Up(link) => {
                let degraded = link.health().and_then(|health| health.borrow().clone());
                seat.links.insert(generation, link);
                self.give(now, id, Input::Up { generation });
                if degraded.is_none() {
                    return;
                }
                Input::Degraded { generation, degraded }
            }
            Report::Down(error) => {
                if let Some(link) = seat.links.get(&generation) {
                    seat.machine.proven(link.proof());
                }
                if seat.attempt.as_ref().is_some_and(|(current, _)| *current == generation) {
                    seat.ended(&error);
                }
                Input::Down { generation, error }
            }
            Report::Limited(wait) => {
                self.flow.limited(seat.adapter.platform(), wait);
                Input::Limited { generation, wait }
            }
            Report::Degraded(degraded) => Input::Degraded { generation, degraded },
            Report::Checked(result) => Input::Checked { generation, result },
        };
        self.give(now, id, input);
    }

    /// Passes an input to a platform's machine, and tells the message path when a link came or went by it.
    fn give(&mut self, now: Now, id: SupervisedId, input: Input) {
        let Some(seat) = self.seats.get_mut(id.0) else { return };
        let was_live = seat.live().is_some();
        seat.machine.handle(now.mono, input);
        let platform = seat.adapter.platform();
        match (was_live, seat.live()) {
            (false, Some(link)) => self.flow.link_up(platform, Arc::clone(link)),
            (true, None) => self.flow.link_down(platform),
            (false, None) | (true, Some(_)) => {}
        }
        seat.rest_if_unwanted();
    }

    fn perform(&mut self, now: Now) -> Option<ExitCode> {
        // One platform's change may affect another, by the host's decider.
        while let Some(index) = self.seats.iter().position(|seat| seat.machine.has_actions()) {
            while let Some(action) = self.seats[index].machine.poll_action() {
                self.perform_for(now, SupervisedId(index), action);
            }
        }
        let mut exit = None;
        while let Some(action) = self.drain.poll_action() {
            match action {
                drain::Action::Drain { until } => self.begin_drain(now, until),
                drain::Action::Close => self.close_all(now),
                drain::Action::Exit(code) => exit = Some(code),
            }
        }
        exit
    }

    fn perform_for(&mut self, now: Now, id: SupervisedId, action: Action) {
        let events = self.events.clone();
        let reporter = |generation| Reporter { seat: id, generation, events };
        let seat = &mut self.seats[id.0];
        match action {
            Action::Connect { generation } => {
                let inbox: Arc<dyn Inbox> = Arc::clone(&self.flow) as Arc<dyn Inbox>;
                let task = driver::attempt(reporter(generation), Arc::clone(&seat.adapter), inbox);
                seat.attempt = Some((generation, task));
                seat.begun();
            }
            Action::Abandon { generation } => {
                if let Some((_, task)) = seat.attempt.take_if(|(current, _)| *current == generation) {
                    task.abort();
                }
            }
            Action::Close { generation } => {
                if let Some(link) = seat.links.remove(&generation) {
                    self.closings.spawn(close(link));
                }
            }
            Action::Check { generation } => driver::look(reporter(generation), Arc::clone(&seat.adapter)),
            Action::Note(note) => self.note(now, id, note),
            Action::Tell(news) => tell(seat, news),
        }
    }

    fn begin_drain(&self, now: Now, until: Instant) {
        let limit = until.saturating_duration_since(now.mono);
        tracing::info!(code = "draining", "Stopping: finishing current work, at most {} s", limit.as_secs());
        self.notify.stopping(limit + drain::BESIDE);
        let flow = Arc::clone(&self.flow);
        let events = self.events.clone();
        tokio::spawn(async move {
            // Past the limit it may still be putting back the messages that it had begun; the loop's own timer does not
            // wait for it.
            flow.drain(until).await;
            drop(events.send(Event::Drained).await);
        });
    }

    fn close_all(&mut self, now: Now) {
        for index in 0..self.seats.len() {
            if !self.seats[index].is_enabled() {
                continue;
            }
            self.give(now, SupervisedId(index), Input::Stop);
            while let Some(action) = self.seats[index].machine.poll_action() {
                self.perform_for(now, SupervisedId(index), action);
            }
        }
        self.closings.close();
        let closings = self.closings.clone();
        let events = self.events.clone();
        tokio::spawn(async move {
            closings.wait().await;
            drop(events.send(Event::Closed).await);
        });
    }

    fn document(&self, now: Now, exit: Option<ExitCode>) -> Snapshot {
        let mut document = snapshot(&self.identity, &self.seats, self.flow.as_ref(), self.drain.phase(), now);
        document.http = self.http.borrow().clone();
        document.has_problems(self.problems.borrow().clone());
        document.config_stale.clone_from(&self.reloading.reading.stale);
        document.shadowed.clone_from(&self.reloading.reading.config.shadowed);
        document.task_restarts = kept::begun_again();
        document.restart_requested = self.drain.restarts();
        document.exit_reason = exit.map(|exit| self.why.clone().unwrap_or_else(|| reason(exit).to_owned()));
        document
    }

    /// The time when the loop must run without an event.
    fn next_due(&self) -> Instant {
        self.seats
            .iter()
            .filter_map(|seat| seat.machine.poll_timeout())
            .chain(self.drain.poll_timeout())
            .chain(self.host.poll_timeout())
            .fold(self.heartbeat_at, Instant::min)
    }
}

/// Closes a link in the background. One that does not close is dropped, which must end it too.
async fn close(link: Arc<dyn Link>) {
    if tokio::time::timeout(CLOSE_LIMIT, link.close()).await.is_err() {
        tracing::warn!(
            code = "close_timeout",
            "a connection did not close within {} s",
            CLOSE_LIMIT.as_secs()
        );
    }
}

/// The reason for the end, for the status file.
fn reason(exit: ExitCode) -> &'static str {
    match exit {
        ExitCode::Ok => "stopped on request",
        ExitCode::Interrupted => "interrupted while it stopped",
        ExitCode::Failed => "the stop took longer than its limit",
        ExitCode::Restart => "restart requested",
        ExitCode::Usage | ExitCode::NotRunning | ExitCode::Config => "could not start",
    }
}

/// The time of the next attempt.
fn next_try(wait: Duration) -> String {
    if wait.as_secs() == 0 { "trying again now".to_owned() } else { format!("next try in {}", span(wait)) }
}

/// Logs one line for each change.
fn tell(seat: &Supervised, news: News) {
    let title = seat.title();
    let platform = seat.name.as_str();
    match news {
        News::Connected => {
            let account = seat.adapter.account().map_or(String::new(), |account| format!(" as {account}"));
            tracing::info!(code = "connected", platform, "{title} is connected{account}");
        }
        News::Retrying { error, wait } => {
            let when = next_try(wait);
            // A wait that the cause asks for (a child ended by the host, a limit) is not a fault.
            if matches!(error.retry, Retry::After(_)) {
                tracing::info!(code = error.code, platform, "{title}: {error}; {when}");
            } else {
                tracing::warn!(code = error.code, platform, "{title}: {error}; {when}");
            }
        }
        News::StillRetrying { error, untold } => tracing::warn!(
            code = error.code,
            platform,
            "{title}: {error}; still trying, {untold} more failures since the last report"
        ),
        News::Blocked { error } => {
            let action = error.user_action.as_deref().unwrap_or_default();
            tracing::error!(code = error.code, platform, "{title}: {error}. {action}");
        }
        News::Degraded { degraded: Degraded { error, .. }, wait } => {
            let when = next_try(wait);
            tracing::warn!(code = error.code, platform, "{title}: {error}; {when}; sending continues");
        }
        News::Limited { wait } => {
            let wait = span(wait);
            tracing::info!(
                code = "rate_limited",
                platform,
                "{title} is connected but rate limited for {wait}"
            );
        }
        News::Opened { error, failures, probe_in } => {
            let when = match probe_in {
                Some(wait) => format!("next try in about {}", span(wait)),
                None => "it is not retried".to_owned(),
            };
            tracing::error!(
                code = error.code,
                platform,
                paused_by = "breaker",
                "{title} is paused after {failures} failures in a row ({error}); {when}, or at `hermes platform resume {platform}`"
            );
        }
        News::Paused => {
            tracing::info!(code = "paused", platform, paused_by = "operator", "{title} is paused");
        }
        News::Resumed => tracing::info!(code = "resumed", platform, "{title} is no longer paused"),
    }
}

mod health;
pub mod pauses;
pub mod reloading;
mod steering;
#[cfg(test)]
mod tests;
