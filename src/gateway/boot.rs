//! The start of the gateway, in this order: home, settings, lock, pid file, store, status file, platforms. A fault that only
//! a person can repair ends with exit 78; nothing of another gateway is touched before the lock is held.

use std::future::Future;
use std::hash::{BuildHasher, RandomState};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use jiff::Timestamp;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{Mutex, Semaphore, mpsc, watch};

use crate::clock::{Now, Uptime};
use crate::config::Config;
use crate::durable;
use crate::error::{CliError, ExitCode};
use crate::gateway::agent::api::Agent;
use crate::gateway::agent::following::Following;
use crate::gateway::api::http::routes::{HELD_MAX, Http};
use crate::gateway::api::http::server::HttpServer;
use crate::gateway::api::messages::Messages;
use crate::gateway::api::reports::Reports;
use crate::gateway::api::shared;
use crate::gateway::api::socket::ControlSocket;
use crate::gateway::core::run::pauses::StoredPauses;
use crate::gateway::core::run::reloading::Reloading;
use crate::gateway::core::run::{Gateway, Parts};
use crate::gateway::core::state::{Identity, failed_start};
use crate::gateway::host::crash_loop::{self, Boots};
use crate::gateway::host::lock::HomeLock;
use crate::gateway::host::notify::{self, Notify};
use crate::gateway::host::restart::Restart;
use crate::gateway::host::signals::Signals;
use crate::gateway::host::watchdog::{self, Pulse, STALL_LIMIT, Watchdog};
use crate::gateway::host::{self, handover, kept};
use crate::gateway::inbound::gate::Gate;
use crate::gateway::model::command::Control;
use crate::gateway::model::event::Event;
use crate::gateway::model::pid_file::PidFile;
use crate::gateway::model::snapshot::KIND;
use crate::gateway::ops::notice;
use crate::gateway::ops::status::file::StatusFile;
use crate::gateway::pipeline::MessagePath;
use crate::gateway::pipeline::admission::registry::Registry;
use crate::gateway::pipeline::flow::{self, MessageFlow};
use crate::gateway::platforms::build;
use crate::gateway::problems::Problems;
use crate::gateway::settings::Settings;
use crate::gateway::store::SqliteStore;
use crate::gateway::store::api::Store;
use crate::gateway::store::api::admissions::Records;
use crate::gateway::store::api::contacts::Contacts;
use crate::gateway::store::sqlite::Opening;
use crate::gateway::store::unopened;
use crate::gateway::supervisor::machine::Policy;
use crate::home::HermesHome;
use crate::logging::{self, Log};
use crate::migrate::outlook;
use crate::ownership::{self, Owned, Standing, Us};
use crate::process::proc;
use crate::world::World;
use crate::{dumps, facts, preflight};

/// Limit for opening the store: a damaged one is salvaged on the way, as far as it can be read.
const STORE_LIMIT: Duration = Duration::from_secs(600);

/// The options of `hermes gateway run`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RunOptions {
    /// The verbosity: more (`-v`) or less (`-q`).
    pub verbosity: i8,
    /// Form of the log lines.
    pub log_format: logging::Format,
    /// True to go on where a damaged store has lost messages that wait.
    pub accept_loss: bool,
}

/// Runs the gateway until it is asked to stop.
///
/// # Errors
/// When it cannot start: a broken setting, an unsafe home, another gateway, a newer database (all exit 78), or a fault.
pub async fn run(world: &World, home: &HermesHome, options: RunOptions) -> Result<ExitCode, CliError> {
    // Before anything else: a request to stop during the start is honoured.
    let mut signals = Signals::new(world)?;
    // A limit on the size of files must be an error that can be reported, and not our end.
    let too_long = SignalKind::from_raw(rustix::process::Signal::XFSZ.as_raw());
    let _too_long =
        signal(too_long).map_err(|error| CliError::failed("signals cannot be received").because(error))?;
    // Tokens and keys stay in memory: no dump, and nothing for other programs of this user to read.
    dumps::close();
    let home_is_safe = durable::create_private_dir(home.root()).map_err(|error| unusable(world, home, error));
    home_is_safe.and_then(|()| check_home(world, home))?;
    let config = Config::load(world, home).inspect_err(|error| leave_word(home, error))?;
    let RunOptions { verbosity, log_format, accept_loss } = options;
    let log = logging::start(world, logging::Options { verbosity, format: log_format }, config.secrets())?;
    for warning in config.notices() {
        tracing::warn!(code = "config_warning", "{warning}");
    }
    if let Some(line) = outlook::at_start(world, home, &config) {
        tracing::warn!(code = "hermes_agent", "{line}");
    }
    let findings = preflight::agent::findings(&config.agent, |program| facts::program(world, program));
    let access = build::enabled(&config)
        .flat_map(|platform| preflight::access::at_start(platform, config.access(platform)));
    let off = preflight::telegram::off_in_agent(&config.telegram);
    for finding in findings.into_iter().chain(access).chain(off.clone()) {
        tracing::warn!(code = finding.code.as_str(), "{}. {}", finding.message, finding.fix);
    }
    if build::enabled(&config).next().is_none() {
        let (why, hint) = match off {
            Some(preflight::Finding { message, fix, .. }) => (message, fix),
            None => (
                format!("no platform is set up in {}", home.root().display()),
                "Run `hermes setup`.".to_owned(),
            ),
        };
        let error = CliError::config(format!("nothing to do: {why}")).code("nothing_enabled").hint(hint);
        leave_word(home, &error);
        return Err(error);
    }
    host::orphans::start();
    let notify = Notify::of(world);
    let drain_timeout = config.gateway.drain_timeout;
    let (patience, taking) = (handover::limit(drain_timeout), handover::take(world, home, drain_timeout));
    let lock = tokio::select! {
        lock = notify.while_starting("waiting for another gateway to stop", patience, taking) => lock?,
        exit = signals.stop() => return Ok(exit),
    };
    let lock = HomeLock::new(home.lock_file(), lock);
    let identity = identity();
    host::privacy::tighten(home);
    let signals = Arc::new(Mutex::new(signals));
    let heard = Arc::clone(&signals);
    let stop = Box::pin(async move { heard.lock().await.stop().await });
    let listening = |events| keep_listening(signals, events);
    let boots = Boots::begin(home.boots_file(), Now::read().wall);
    let opening = Opening { accept_loss, is_safe_mode: boots.is_storm() };
    let process =
        Process { identity: identity.clone(), log: Some(log), notify, lock: Some(Arc::clone(&lock)), stop };
    let outcome = start(world, home, config, opening, process, listening).await;
    boots.end(outcome.is_ok());
    if let Err(error) = &outcome {
        write_failure(home, &identity, error);
    }
    // The pid file is ours as long as we hold the lock.
    drop(std::fs::remove_file(home.pid_file()));
    drop(lock);
    outcome
}

/// Writes the reason of a failed start into the status; the caller reports it. Only with the lock: a running gateway has the
/// last word.
fn leave_word(home: &HermesHome, error: &CliError) {
    if let Ok(_lock) = durable::Lock::acquire(&home.lock_file()) {
        write_failure(home, &identity(), error);
    }
}

fn write_failure(home: &HermesHome, identity: &Identity, error: &CliError) {
    let document = failed_start(identity, error, Now::read());
    drop(durable::write_atomic(&home.state_file(), &document.to_bytes()));
}

/// The state of the process before the gateway in it starts.
struct Process {
    identity: Identity,
    log: Option<Log>,
    notify: Notify,
    lock: Option<Arc<HomeLock>>,
    /// A future that ends when a signal asks us to stop, until the gateway listens to them itself.
    stop: Pin<Box<dyn Future<Output = ExitCode> + Send>>,
}

async fn start(
    world: &World,
    home: &HermesHome,
    config: Config,
    opening: Opening,
    process: Process,
    listen: impl FnOnce(mpsc::Sender<Event>),
) -> Result<ExitCode, CliError> {
    let Process { identity, log, notify, lock, stop } = process;
    write_pid(home, &identity);
    let problems = first_problems(world, &config, opening, lock.as_ref());
    let store = tokio::select! {
        biased;
        exit = stop => return Ok(stopped_early(exit)),
        store = open_store(home, &problems, opening, &notify, lock) => Arc::new(store?),
    };
    let settings = Settings::new(world.clone(), home.clone(), config.clone());
    let how = hint_on_stop(log.as_ref());
    log.into_iter().for_each(|log| settings.hide_in(log));
    let agent: Arc<dyn Agent> = Arc::new(Following::new(Arc::clone(&settings))?);
    keep_store(&store, &problems);
    let records: Arc<dyn Records> = Arc::<SqliteStore>::clone(&store);
    let contacts: Arc<dyn Contacts> = Arc::<SqliteStore>::clone(&store);
    let store: Arc<dyn Store> = store;
    let pauses = StoredPauses::new(Arc::clone(&store));
    let paused = pauses.names().await.map_err(|error| unopened::failure(home, error))?;
    let kept = records.load().await.map_err(|error| unopened::failure(home, error))?;
    // Before the first turn: messages that wait from an admitted person are to be answered.
    let gate = Gate::new(&config).admitting(Registry::of(kept.clone(), Now::read()).names());
    let path = MessagePath::start(Arc::clone(&store), agent, gate, config.gateway.turn);
    let admissions = path.admit_by(records, kept);
    let flow: Arc<dyn MessageFlow> = Arc::<MessagePath>::clone(&path);
    flow.configure(&config);
    path.open();
    flow::follow_settings(&settings, &flow);
    let status = StatusFile::start(home.state_file());
    drop(notice::driver::start(status.subscribe(), Arc::clone(&settings), Arc::clone(&flow)));
    notice::absences::start(status.subscribe(), Arc::clone(&settings), Arc::clone(&flow), contacts);
    let (telling, documents) = (notify.clone(), status.subscribe());
    kept::keep("notify", move || telling.clone().follow(documents.clone()));
    let pulse = Pulse::new(notify::watchdog_interval(world).unwrap_or(STALL_LIMIT));
    let (snapshots, (http_state, http)) = (status.subscribe(), watch::channel(None));
    let asked = Arc::new(tokio::sync::Notify::new());
    let (making, told) = (Arc::clone(&settings), problems.clone());
    let make = Box::new(move |platform| build::adapter(platform, &making.current(), &making, &told));
    let messages = Messages { store, flow: Arc::clone(&flow), settings: Arc::clone(&settings) };
    let gateway = Gateway::new(Parts {
        adapters: build::adapters(&config, &settings, &problems),
        flow,
        policy: Policy::from(&config.gateway),
        drain_timeout: config.gateway.drain_timeout,
        paused,
        pauses: Arc::new(pauses),
        exit_when_all_blocked: config.gateway.exit_when_all_blocked,
        http,
        problems: problems.subscribe(),
        status,
        pulse: pulse.clone(),
        notify: notify.clone(),
        reloading: Reloading { reading: settings.reading(), asked: Arc::clone(&asked), make },
        seed: chance(),
        identity,
        restart: Restart::of(world),
    });
    let control = Control { snapshots, commands: gateway.commands() };
    path.connect(control.clone());
    let reports =
        Reports { settings: Arc::clone(&settings), path: Arc::clone(&path), desk: Arc::clone(&admissions) };
    let routes = shared::owner(control.clone(), admissions, messages, reports);
    let _control = open_control(home, &control, routes);
    let (held, lockout) = (Arc::new(Semaphore::new(HELD_MAX)), Arc::default());
    let (pulse_seen, tally, settings_seen) = (pulse.clone(), path.tally(), Arc::clone(&settings));
    let serving = Http { control, pulse: pulse_seen, tally, settings: settings_seen, lockout, held };
    let _http = HttpServer::start(serving, http_state);
    tracing::info!(code = "started", "the gateway is running (process {}){how}", std::process::id());
    listen(gateway.events());
    host::watch::start(&settings, &asked, gateway.events());
    host::network::start(gateway.events());
    host::program::start(world.exe.clone(), problems.clone());
    let watchdog = Watchdog::start(pulse, notify.clone(), watchdog::abort).map_err(|error| {
        CliError::failed("the watchdog of the main loop could not be started").because(error)
    })?;
    notify.ready();
    let exit = gateway.serve().await;
    drop(watchdog);
    tracing::info!(code = "stopped", exit = exit as u8, "the gateway stopped");
    Ok(exit)
}

/// Returns the addition to the first log line where a person reads it.
fn hint_on_stop(log: Option<&Log>) -> &'static str {
    if log.is_some_and(|log| log.is_for_a_person) { ". Ctrl-C stops it" } else { "" }
}

/// Sets the problems that are known at the start, and from now on those of the lock.
fn first_problems(
    world: &World,
    config: &Config,
    opening: Opening,
    lock: Option<&Arc<HomeLock>>,
) -> Problems {
    let problems = Problems::default();
    if let Some(lock) = lock {
        lock.watch(problems.clone());
    }
    for finding in facts::environment(world, config) {
        problems.set(finding.code.as_str(), &finding.message, &finding.fix, false);
    }
    if opening.is_safe_mode {
        crash_loop::tell(problems.clone());
    }
    problems
}

async fn open_store(
    home: &HermesHome,
    problems: &Problems,
    opening: Opening,
    notify: &Notify,
    lock: Option<Arc<HomeLock>>,
) -> Result<SqliteStore, CliError> {
    let (database, told) = (home.database(), problems.clone());
    let open = tokio::task::spawn_blocking(move || {
        let opened = SqliteStore::open_watched(&database, told, opening);
        // Held until here also when a signal ends the start: another gateway must not open the same files.
        drop(lock);
        opened
    });
    notify
        .while_starting("opening the store", STORE_LIMIT, open)
        .await
        .map_err(|_| CliError::failed("opening the store failed unexpectedly"))?
        .map_err(|error| unopened::failure(home, error))
}

fn keep_store(store: &Arc<SqliteStore>, problems: &Problems) {
    let (tended, told) = (Arc::downgrade(store), problems.clone());
    let watched = tended.clone();
    kept::keep("store", move || SqliteStore::tend(tended.clone(), told.clone()));
    kept::keep("store-files", move || SqliteStore::watch(watched.clone()));
}

/// Handles a stop before there is anything to drain. Opening can be cut off at any point: the next start begins it again.
fn stopped_early(exit: ExitCode) -> ExitCode {
    tracing::info!(code = "stopped", exit = exit as u8, "the gateway was stopped while opening the store");
    exit
}

/// Listens to signals as long as the loop lives, also when the task that does so dies.
fn keep_listening(signals: Arc<Mutex<Signals>>, events: mpsc::Sender<Event>) {
    kept::keep("signals", move || {
        let (signals, events) = (Arc::clone(&signals), events.clone());
        async move { signals.lock().await.listen(&events).await }
    });
}

/// Opens the control socket. The gateway works without it; only the commands of this machine do not reach it.
fn open_control(home: &HermesHome, control: &Control, routes: Router) -> Option<ControlSocket> {
    let path = home.control_socket();
    let opened = ControlSocket::open(path.clone(), routes, shared::child(control.clone()));
    opened
        .inspect_err(|error| {
            tracing::warn!(
                code = "control_unavailable",
                "the control socket {} cannot be opened ({error}); commands such as `hermes platform pause` cannot reach this gateway",
                path.display()
            );
        })
        .ok()
}

fn unusable(world: &World, home: &HermesHome, error: std::io::Error) -> CliError {
    let root = home.root();
    let message = format!("the home folder {} cannot be used", root.display());
    if error.kind() == std::io::ErrorKind::PermissionDenied {
        return CliError::config(message)
            .code("home_unusable")
            .hints(ownership::hints(world, root))
            .because(error);
    }
    CliError::file(message, root, error)
}

/// Checks that no other user can write to the home: they could replace our settings and session.
fn check_home(world: &World, home: &HermesHome) -> Result<(), CliError> {
    const OTHERS_WRITE: u32 = 0o002;
    let root = home.root();
    let folder = std::fs::metadata(root).map_err(|error| unusable(world, home, error))?;
    let (us, folder) = (Us::now(), Owned::from(&folder));
    if us.standing(folder) == Standing::Foreign {
        let owner = ownership::user(folder.uid);
        return Err(CliError::config(format!("the home folder {} belongs to {owner}", root.display()))
            .code("home_unsafe")
            .hints(ownership::hints(world, root)));
    }
    if folder.mode & OTHERS_WRITE != 0 {
        return Err(CliError::config(format!(
            "every user of this machine can write to the home folder {}",
            root.display()
        ))
        .code("home_unsafe")
        .hint(ownership::hints_on_open(&us, folder, root)));
    }
    Ok(())
}

fn write_pid(home: &HermesHome, identity: &Identity) {
    let file = PidFile {
        kind: KIND.to_owned(),
        pid: identity.pid,
        start_time: identity.start_time,
        started_at: Some(Now::read().wall),
        instance_id: Some(identity.instance_id.clone()),
    };
    let bytes = serde_json::to_vec(&file).expect("plain data with string keys");
    if let Err(error) = durable::write_atomic(&home.pid_file(), &bytes) {
        tracing::warn!(
            code = "pid_file_unwritten",
            "gateway.pid cannot be written ({error}); the gateway runs without it"
        );
    }
}

fn identity() -> Identity {
    Identity {
        pid: std::process::id(),
        start_time: proc::this().map_or(0, |process| process.start),
        boot_id: Uptime::read().map(|uptime| uptime.boot_id),
        instance_id: format!("{:016x}{:016x}", chance(), chance()),
    }
}

/// Returns a number that differs with every start; not for secrets.
fn chance() -> u64 {
    RandomState::new().hash_one(Timestamp::UNIX_EPOCH)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::gateway::model::command::{Command, Commands};
    use crate::gateway::model::event::StopSignal;
    use crate::gateway::model::snapshot::{GatewayState, Snapshot, WireState};

    fn process() -> Process {
        let stop = Box::pin(std::future::pending());
        Process { identity: identity(), log: None, notify: Notify::default(), lock: None, stop }
    }

    #[test]
    fn a_home_that_others_can_write_to_is_refused() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let home = HermesHome::at(dir.path());
        check_home(&World::of_env::<&str, &str>([]), &home).unwrap();
        std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o777)).unwrap();
        assert_eq!(check_home(&World::of_env::<&str, &str>([]), &home).unwrap_err().exit(), ExitCode::Config);
    }

    #[tokio::test]
    async fn an_unpaired_gateway_starts_says_so_and_stops_cleanly() {
        let dir = tempfile::tempdir().unwrap();
        let home = HermesHome::at(dir.path());
        let world = World::of_env([
            ("WHATSAPP_ENABLED", "true"),
            ("HERMES_NODE", "/nonexistent/node"),
            ("API_SERVER_PORT", "0"),
        ]);
        let config = Config::load(&world, &home).unwrap();
        let (given, events) = tokio::sync::oneshot::channel();
        let run = {
            let home = home.clone();
            let start = async move {
                start(&world, &home, config, Opening::default(), process(), |events| {
                    given.send(events).unwrap();
                })
                .await
            };
            tokio::spawn(start)
        };
        let events = events.await.unwrap();
        let read = || Snapshot::read(&std::fs::read(home.state_file()).unwrap_or_default());
        let is_refused = |snapshot: &Snapshot| snapshot.platforms["whatsapp"].state == WireState::Fatal;
        let deadline = Now::read().mono + Duration::from_secs(20);
        while !read().as_ref().is_some_and(is_refused) {
            assert!(Now::read().mono < deadline, "{:?}", read());
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let platform = read().unwrap().platforms.remove("whatsapp").unwrap();
        assert_eq!(platform.error_code.as_deref(), Some("whatsapp_not_paired"));
        assert!(home.pid_file().exists());
        events.send(Event::StopAsked(StopSignal::Terminate)).await.unwrap();
        assert_eq!(run.await.unwrap().unwrap(), ExitCode::Ok);
        let last = read().unwrap();
        assert_eq!(last.gateway_state, GatewayState::Stopped);
        assert_eq!(last.exit_reason.as_deref(), Some("stopped on request"));
    }

    #[tokio::test]
    async fn a_pause_holds_after_a_gateway_that_ended_without_a_word_until_it_is_resumed() {
        let dir = tempfile::tempdir().unwrap();
        let home = HermesHome::at(dir.path());
        let world = World::of_env([("WHATSAPP_ENABLED", "true"), ("HERMES_NODE", "/nonexistent/node")]);
        let start = || async {
            let (given, events) = tokio::sync::oneshot::channel();
            let (world, home) = (world.clone(), home.clone());
            let config = Config::load(&world, &home).unwrap();
            let running = tokio::spawn(async move {
                start(&world, &home, config, Opening::default(), process(), |events| {
                    given.send(events).unwrap();
                })
                .await
            });
            (running, Commands::new(events.await.unwrap()))
        };
        let (running, commands) = start().await;
        let pause = Command::Pause { platform: "WhatsApp".to_owned() };
        assert!(commands.give(pause).await.unwrap().starts_with("WhatsApp is paused."));
        running.abort();
        assert!(running.await.is_err());

        let is_paused = |snapshot: &Snapshot| {
            let platform = &snapshot.platforms["whatsapp"];
            platform.state == WireState::Paused && platform.paused_by.as_deref() == Some("operator")
        };
        let read = || Snapshot::read(&std::fs::read(home.state_file()).unwrap_or_default());
        std::fs::remove_file(home.state_file()).unwrap();
        let (running, commands) = start().await;
        let deadline = Now::read().mono + Duration::from_secs(20);
        while read().is_none() {
            assert!(Now::read().mono < deadline);
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        assert!(is_paused(&read().unwrap()), "from the first document on: {:?}", read());
        commands.give(Command::Resume { platform: "whatsapp".to_owned() }).await.unwrap();
        running.abort();
        assert!(running.await.is_err());
        let store = SqliteStore::open(&home.database()).unwrap();
        assert_eq!(store.pauses().await.unwrap(), []);
    }

    #[tokio::test]
    async fn a_stop_while_the_store_opens_ends_the_start_and_the_lock_is_held_until_it_is_done() {
        let dir = tempfile::tempdir().unwrap();
        let home = HermesHome::at(dir.path());
        let world = World::of_env([("WHATSAPP_ENABLED", "true")]);
        let config = Config::load(&world, &home).unwrap();
        drop(SqliteStore::open(&home.database()).unwrap());
        // Opening waits for it.
        let other = rusqlite::Connection::open(home.database()).unwrap();
        other.execute_batch("PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE").unwrap();
        let lock = durable::Lock::acquire(&home.lock_file()).unwrap();
        let lock = HomeLock::new(home.lock_file(), lock);
        let held = Arc::downgrade(&lock);
        // The second time it is asked, the store is being opened.
        let stop = Box::pin(async move {
            tokio::task::yield_now().await;
            ExitCode::Interrupted
        });
        let process = Process { lock: Some(lock), stop, ..process() };
        let exit = start(&world, &home, config, Opening::default(), process, |_| panic!("it runs")).await;
        assert_eq!(exit.unwrap(), ExitCode::Interrupted);
        drop(other);
        let deadline = Now::read().mono + Duration::from_secs(60);
        while held.strong_count() > 0 {
            assert!(Now::read().mono < deadline, "it is let go of when opening has ended");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    #[tokio::test]
    async fn a_damaged_store_of_many_gigabytes_ends_the_start_with_78_and_the_remedy() {
        let dir = tempfile::tempdir().unwrap();
        let home = HermesHome::at(dir.path());
        std::fs::File::create(home.database()).unwrap().set_len(200 << 30).unwrap();
        let world = World::of_env([("WHATSAPP_ENABLED", "true")]);
        let config = Config::load(&world, &home).unwrap();
        let error = start(&world, &home, config, Opening::default(), process(), |_| panic!("it runs"))
            .await
            .unwrap_err();
        assert_eq!((error.exit(), error.code), (ExitCode::Config, "store_damaged"));
        assert!(error.hints[0].contains(&home.database().display().to_string()), "{:?}", error.hints);
    }

    #[tokio::test]
    async fn what_stands_in_the_place_of_the_store_is_for_a_person() {
        let dir = tempfile::tempdir().unwrap();
        let home = HermesHome::at(dir.path());
        std::fs::create_dir(home.database()).unwrap();
        let world = World::of_env([("WHATSAPP_ENABLED", "true")]);
        let config = Config::load(&world, &home).unwrap();
        let error = start(&world, &home, config, Opening::default(), process(), |_| panic!("it runs"))
            .await
            .unwrap_err();
        assert_eq!((error.exit(), error.code), (ExitCode::Config, "store_in_the_way"));
        assert!(error.hints[0].contains("mv "), "{:?}", error.hints);
    }

    #[test]
    fn a_start_that_fails_leaves_its_reason() {
        let dir = tempfile::tempdir().unwrap();
        let home = HermesHome::at(dir.path());
        let error = CliError::config("the store is of tomorrow").code("store_too_new").hint("Wait.");
        let lock = durable::Lock::acquire(&home.lock_file()).unwrap();
        leave_word(&home, &error);
        assert!(!home.state_file().exists(), "a gateway that runs has the last word");
        drop(lock);
        leave_word(&home, &error);
        let read = Snapshot::read(&std::fs::read(home.state_file()).unwrap()).unwrap();
        assert_eq!(read.gateway_state, GatewayState::StartupFailed);
        assert_eq!(read.exit_reason.as_deref(), Some("the store is of tomorrow"));
        let problem = &read.problems[0];
        assert_eq!((problem.code.as_str(), problem.user_action.as_deref()), ("store_too_new", Some("Wait.")));
    }
}
