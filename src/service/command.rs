//! `hermes gateway start`, `stop` and `restart`: sends the request, and returns when it is fulfilled or failed.

use std::time::Duration;

use serde_json::json;

use super::manager::{self, Manager};
use super::wait::{Failure, Goal, Life, Seen, Stage, Verdict, Wait};
use crate::client::presence::Presence;
use crate::client::report::{self, print};
use crate::client::request;
use crate::clock::Now;
use crate::config::{Config, GatewayConfig};
use crate::durable::Lock;
use crate::error::{CliError, ExitCode};
use crate::file;
use crate::gateway::model::snapshot::{GatewayState, Snapshot};
use crate::home::HermesHome;
use crate::preflight::quoted;
use crate::progress::Progress;
use crate::world::World;

/// Time for ending and starting beside the current work.
const BESIDE_DRAIN: Duration = Duration::from_secs(60);

/// Limit for the next gateway to appear: service managers wait before they start again.
const PATIENCE: Duration = Duration::from_secs(40);

/// Interval between two looks.
const EVERY: Duration = Duration::from_millis(100);

/// Looks between two questions to the service manager.
const LOOKS_PER_QUESTION: u32 = 5;

/// A request to the gateway.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verb {
    /// Have the service manager start it.
    Start,
    /// Let it finish and end.
    Stop,
    /// Let it finish, end, and be started again.
    Restart,
}

/// The parameters of a request.
#[derive(Debug, Clone, Copy)]
pub struct Asked {
    /// The request.
    pub verb: Verb,
    /// The longest wait; without one, the longest drain and a minute beside it.
    pub timeout: Option<Duration>,
    /// True for JSON output.
    pub json: bool,
}

/// Fulfils the request, and waits until it is done.
///
/// # Errors
/// When no gateway runs that could be stopped (exit 3), the settings would not let the next one start (exit 78), or the
/// request was not fulfilled (exit 1).
pub async fn run(world: &World, home: &HermesHome, asked: Asked) -> Result<ExitCode, CliError> {
    let Asked { verb, timeout, .. } = asked;
    let begun = Now::read().mono;
    let config = Config::load(world, home);
    let drain =
        config.as_ref().map_or(GatewayConfig::default().drain_timeout, |config| config.gateway.drain_timeout);
    let limit = timeout.unwrap_or(drain + BESIDE_DRAIN);
    let (view, said) = report::gateway(home);
    if matches!(view.presence, Presence::Mute(_)) {
        // A gateway that does not answer can neither end nor restart in order.
        return Err(report::hangs(&view));
    }
    let running = said.filter(|_| view.presence == Presence::Answering);
    let before = running.as_ref().map(Life::from);
    let done = |now: Option<&Life>| {
        tell(&asked, before.as_ref(), now, Now::read().mono.saturating_duration_since(begun))
    };
    let (manager, patience) = match verb {
        Verb::Start => {
            if running.is_some_and(|snapshot| snapshot.gateway_state != GatewayState::Draining) {
                return done(before.as_ref());
            }
            (Some(installed(home).await?), None)
        }
        Verb::Stop => {
            request::post(home, "/v1/stop")?;
            (None, None)
        }
        Verb::Restart => {
            // An error that would not let the next one start must not end this one.
            config.map_err(|error| match view.presence {
                Presence::Absent => error.hint("No gateway is running."),
                Presence::Starting | Presence::Answering | Presence::WithoutSocket | Presence::Mute(_) => {
                    error.hint("The running gateway keeps its previous settings.")
                }
            })?;
            let manager = match &before {
                Some(life) => manager::starter_of(life.pid).await,
                None => None,
            };
            request::post(home, "/v1/restart")?;
            (manager, Some(PATIENCE))
        }
    };
    let mut waiting = Waiting {
        home,
        wait: Wait::new(verb.goal(), before.clone(), begun + limit, patience),
        progress: Progress::new(world, begun),
        manager,
        left_alone: None,
    };
    let outcome = match (verb, manager) {
        (Verb::Start, Some(manager)) => waiting.started_by(manager).await,
        (Verb::Start | Verb::Stop | Verb::Restart, _) => waiting.end(verb).await,
    };
    drop(waiting);
    match outcome {
        Ok(life) => done(life.as_ref()),
        Err(failed) => Err(failed.told(home, manager)),
    }
}

impl Verb {
    fn goal(self) -> Goal {
        match self {
            Self::Start | Self::Restart => Goal::Ready,
            Self::Stop => Goal::Ended,
        }
    }
}

/// Returns the service manager that has a service for this home.
async fn installed(home: &HermesHome) -> Result<Manager, CliError> {
    let Some(service) = manager::installed().await else {
        return Err(CliError::failed("hermes is not installed as a service").code("no_service").hint(
            "Run it in a terminal with `hermes gateway run`. docs/operations.md describes how to install it as a service.",
        ));
    };
    match service.other_home(home) {
        None => Ok(service.manager),
        Some(other) => Err(CliError::failed(format!("the service has another home folder, {other}"))
            .code("other_home")
            .hint(format!("To start that one: HERMES_HOME={} hermes gateway start", quoted(other)))),
    }
}

/// A wait under way.
struct Waiting<'a> {
    home: &'a HermesHome,
    wait: Wait,
    progress: Progress,
    /// The manager that is expected to start the next one.
    manager: Option<Manager>,
    /// The manager's report that it does not mean to, with the last end, when that was its latest.
    left_alone: Option<String>,
}

impl Waiting<'_> {
    /// Has the manager start it, and looks until it is over.
    async fn started_by(&mut self, manager: Manager) -> Result<Option<Life>, Failed> {
        let asking = async {
            let answer = match manager.start() {
                Ok(asking) => asking.wait_with_output().await,
                Err(error) => Err(error),
            };
            match answer {
                // The gateway is ready, or about to be: the looks will show that.
                Ok(answer) if answer.status.success() => std::future::pending().await,
                Ok(answer) => String::from_utf8_lossy(&answer.stderr).trim().replace('\n', " "),
                Err(error) => error.to_string(),
            }
        };
        tokio::select! {
            why = asking => Err(Failed::Refused(why)),
            outcome = self.end(Verb::Start) => outcome,
        }
    }

    /// Looks until it is over.
    async fn end(&mut self, verb: Verb) -> Result<Option<Life>, Failed> {
        let mut looks = 0_u32;
        loop {
            let holder = Lock::holder(&self.home.lock_file()).ok().flatten();
            let ready = holder.and_then(|_| request::snapshot(self.home));
            if verb == Verb::Restart && looks.is_multiple_of(LOOKS_PER_QUESTION) && holder.is_none() {
                self.left_alone = match self.manager {
                    Some(manager) => manager.service().await.and_then(|service| service.down),
                    None => None,
                };
            }
            looks += 1;
            let left_alone = self.left_alone.clone();
            let seen = Seen { holder, ready: ready.as_ref().map(Life::from), left_alone };
            let now = Now::read().mono;
            match self.wait.look(now, &seen) {
                Verdict::Done(life) => return Ok(life),
                Verdict::Failed(failure) => return Err(Failed::Seen(failure)),
                Verdict::Waiting(stage) => self.progress.show(now, words(verb, &stage)),
            }
            tokio::time::sleep(EVERY).await;
        }
    }
}

/// Describes the stage for people.
fn words(verb: Verb, stage: &Stage) -> &'static str {
    match (stage, verb) {
        (Stage::Ending, _) => "Finishing current work",
        (Stage::Absent, Verb::Restart) => "Stopped. Waiting for it to start again",
        (Stage::Absent, Verb::Start | Verb::Stop) | (Stage::Starting | Stage::Ready(_), _) => {
            "Starting the gateway"
        }
    }
}

/// The cause for which a request failed.
enum Failed {
    /// Seen from outside.
    Seen(Failure),
    /// Reported by the manager that was to start it.
    Refused(String),
}

impl Failed {
    fn told(self, home: &HermesHome, manager: Option<Manager>) -> CliError {
        let start = manager.map_or("hermes gateway run", Manager::by_hand);
        let log = manager.map(|manager| format!("Its log: `{}`.", manager.log()));
        let look = "Use a longer `--timeout`, or check with `hermes gateway status`.";
        let alone = |why: String| {
            CliError::failed(format!("{} {why}", last_words(home)))
                .code("not_restarted")
                .hint(format!("Start it with `{start}`."))
        };
        let error = match self {
            Self::Refused(why) => CliError::failed(format!("the service manager has not started it: {why}"))
                .code("not_started")
                .hint(format!("By hand: `{start}`.")),
            Self::Seen(Failure::GivenUp(last)) => {
                alone(format!("and the service manager does not start it again ({last})"))
            }
            Self::Seen(Failure::NobodyCame(waited)) => {
                alone(format!("but was not restarted within {} s", waited.as_secs_f64().round()))
            }
            Self::Seen(Failure::TimeUp(Stage::Ending)) => {
                CliError::failed("the gateway did not stop in time; it is still finishing current work")
                    .code("still_ending")
                    .hint(format!("It keeps stopping in the background; {look}"))
            }
            Self::Seen(Failure::TimeUp(Stage::Absent | Stage::Starting | Stage::Ready(_))) => {
                CliError::failed("the gateway did not become ready in time")
                    .code("still_starting")
                    .hint(format!("It keeps starting in the background; {look}"))
            }
        };
        error.hints(log)
    }
}

/// Describes the end of the last gateway, by its status file.
fn last_words(home: &HermesHome) -> String {
    let last = file::read(home.state_file(), file::OWN_LEN_MAX).ok().and_then(|bytes| Snapshot::read(&bytes));
    match last {
        Some(Snapshot { restart_requested: true, .. }) => "the gateway stopped".to_owned(),
        Some(Snapshot { gateway_state: GatewayState::StartupFailed, exit_reason: Some(why), .. }) => {
            format!("the gateway stopped, the next one could not start ({why}),")
        }
        Some(Snapshot { exit_reason: Some(why), .. }) => format!("the gateway stopped ({why})"),
        Some(_) | None => "the gateway stopped".to_owned(),
    }
}

/// Prints the result.
fn tell(
    asked: &Asked,
    before: Option<&Life>,
    now: Option<&Life>,
    took: Duration,
) -> Result<ExitCode, CliError> {
    let pid = |life: Option<&Life>| life.map(|life| life.pid);
    let text = if asked.json {
        let state = if now.is_some() { "running" } else { "stopped" };
        let took = (took.as_secs_f64() * 10.0).round() / 10.0;
        json!({ "state": state, "pid": pid(now), "previous_pid": pid(before), "took_s": took }).to_string()
    } else {
        match (asked.verb, now) {
            (Verb::Start, Some(life)) if before == Some(life) => {
                format!("The gateway is already running (process {}).", life.pid)
            }
            (Verb::Start, Some(life)) => format!("The gateway is running (process {}).", life.pid),
            (Verb::Restart, Some(life)) => {
                format!("The gateway has restarted (process {}, after {} s).", life.pid, took.as_secs())
            }
            (Verb::Stop, Some(life)) => {
                format!("The gateway stopped, and another one started (process {}).", life.pid)
            }
            (Verb::Start | Verb::Stop | Verb::Restart, None) => "The gateway stopped.".to_owned(),
        }
    };
    print(&format!("{text}\n"))?;
    Ok(ExitCode::Ok)
}
