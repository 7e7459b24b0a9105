//! The loop with scripted platforms, in virtual time.

use std::sync::atomic::Ordering;

use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::*;
use crate::backoff::Ladder;
use crate::config::Config;
use crate::gateway::core::run::pauses::Forgetful;
use crate::gateway::model::command::{Command, CommandError};
use crate::gateway::model::event::StopSignal;
use crate::gateway::model::failure::AdapterError;
use crate::gateway::model::snapshot::{GatewayState, PlatformSnapshot, Snapshot, WireState};
use crate::gateway::pipeline::counting_flow::CountingFlow;
use crate::gateway::platforms::testing::{Scripted, Step};
use crate::gateway::problems::Problems;
use crate::gateway::settings::Reading;
use crate::platforms::Platform;

struct Stage {
    events: mpsc::Sender<Event>,
    commands: Commands,
    documents: watch::Receiver<Option<Snapshot>>,
    flow: Arc<CountingFlow>,
    /// The account that is made for a platform without one.
    later: Arc<Scripted>,
    running: JoinHandle<ExitCode>,
    path: std::path::PathBuf,
    _dir: tempfile::TempDir,
}

impl Stage {
    fn start(accounts: &[(&str, &Arc<Scripted>)]) -> Self {
        Self::start_by(ExitWhenAllBlocked::Auto, accounts, &[])
    }

    fn start_paused(accounts: &[(&str, &Arc<Scripted>)], paused: &[&str]) -> Self {
        Self::start_by(ExitWhenAllBlocked::Auto, accounts, paused)
    }

    fn start_with_http(
        accounts: &[(&str, &Arc<Scripted>)],
        http: watch::Receiver<Option<HttpSnapshot>>,
    ) -> Self {
        Self::start_over(accounts, |parts| parts.http = http)
    }

    fn start_by(
        exit_when_all_blocked: ExitWhenAllBlocked,
        accounts: &[(&str, &Arc<Scripted>)],
        paused: &[&str],
    ) -> Self {
        Self::start_over(accounts, |parts| {
            parts.exit_when_all_blocked = exit_when_all_blocked;
            parts.paused = paused.iter().map(|name| (*name).to_owned()).collect();
        })
    }

    /// Starts with these accounts and one change of the parts.
    fn start_over(accounts: &[(&str, &Arc<Scripted>)], change: impl FnOnce(&mut Parts)) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("gateway_state.json");
        let flow = Arc::new(CountingFlow::default());
        let status = StatusFile::start(path.clone());
        let documents = status.subscribe();
        let later = Scripted::new([]);
        let made = Arc::clone(&later);
        let mut parts = Parts {
            adapters: accounts
                .iter()
                .map(|(name, adapter)| ((*name).to_owned(), Arc::clone(adapter) as Arc<dyn Adapter>))
                .collect(),
            flow: Arc::clone(&flow) as Arc<dyn MessageFlow>,
            reloading: Reloading {
                reading: reading(!accounts.is_empty(), |_| {}),
                asked: Arc::default(),
                make: Box::new(move |_| Arc::clone(&made) as Arc<dyn Adapter>),
            },
            ..parts(status)
        };
        change(&mut parts);
        let gateway = Gateway::new(parts);
        let events = gateway.events();
        let commands = gateway.commands();
        Self {
            events,
            commands,
            documents,
            flow,
            running: tokio::spawn(gateway.serve()),
            path,
            later,
            _dir: dir,
        }
    }

    /// Waits, at most so many virtual seconds, for a matching document; returns the time that it took.
    async fn until(&mut self, limit_s: u64, says: impl Fn(&Snapshot) -> bool) -> Duration {
        let begin = tokio::time::Instant::from_std(Now::read().mono);
        let waiting = self.documents.wait_for(|document| document.as_ref().is_some_and(&says));
        let outcome =
            tokio::time::timeout(Duration::from_secs(limit_s), waiting).await.map(|seen| drop(seen.unwrap()));
        assert!(outcome.is_ok(), "not within {limit_s} s; last: {:?}", self.documents.borrow());
        Now::read().mono.duration_since(begin.into_std())
    }

    async fn stop(self, signal: StopSignal) -> (ExitCode, Snapshot) {
        self.events.send(Event::StopAsked(signal)).await.unwrap();
        let exit = tokio::time::timeout(Duration::from_secs(60), self.running).await.unwrap().unwrap();
        (exit, Snapshot::read(&std::fs::read(&self.path).unwrap()).unwrap())
    }
}

/// A gateway without accounts.
fn parts(status: StatusFile) -> Parts {
    Parts {
        adapters: Vec::new(),
        flow: Arc::new(CountingFlow::default()),
        policy: Policy {
            connect_timeout: Duration::from_secs(60),
            ladder: Ladder { first: Duration::from_secs(30), cap: Duration::from_secs(300), jitter: 0.2 },
            stable_after: Duration::from_secs(300),
            ..Policy::default()
        },
        drain_timeout: Duration::from_secs(30),
        paused: BTreeSet::new(),
        pauses: Arc::new(Forgetful),
        exit_when_all_blocked: ExitWhenAllBlocked::Auto,
        pulse: Pulse::default(),
        notify: Notify::default(),
        http: watch::channel(None).1,
        problems: Problems::default().subscribe(),
        reloading: Reloading {
            reading: reading(false, |_| {}),
            asked: Arc::default(),
            make: Box::new(|_| Scripted::new([])),
        },
        status,
        identity: Identity { pid: 1, start_time: 0, boot_id: None, instance_id: "test".to_owned() },
        restart: Restart::ByManager,
        seed: 7,
    }
}

/// Settings in which WhatsApp is enabled or not, with one more change.
fn reading(is_enabled: bool, change: impl FnOnce(&mut Config)) -> Reading {
    let mut config = Config::default();
    config.whatsapp.enabled = is_enabled;
    change(&mut config);
    Reading { config: Arc::new(config), stale: None }
}

fn platform<'a>(document: &'a Snapshot, name: &str) -> &'a PlatformSnapshot {
    &document.platforms[name]
}

fn is(name: &'static str, state: WireState) -> impl Fn(&Snapshot) -> bool {
    move |document| platform(document, name).state == state
}

fn says(name: &'static str, code: &'static str) -> impl Fn(&Snapshot) -> bool {
    move |document| platform(document, name).error_code.as_deref() == Some(code)
}

fn unpaired() -> AdapterError {
    AdapterError::blocked("whatsapp_not_paired", "no phone is paired", "hermes whatsapp")
}

fn refused() -> AdapterError {
    AdapterError::retryable("net_refused", "the connection was refused")
}

#[tokio::test(start_paused = true)]
async fn a_problem_of_the_start_that_ends_the_process_ends_it() {
    let dir = tempfile::tempdir().unwrap();
    let problems = Problems::default();
    problems.set("store_fault", "the disk failed again", "Check the disk.", true);
    let status = StatusFile::start(dir.path().join("gateway_state.json"));
    let gateway = Gateway::new(Parts { problems: problems.subscribe(), ..parts(status) });
    let exit = tokio::time::timeout(Duration::from_secs(60), gateway.serve()).await;
    assert_eq!(exit.expect("it ends"), ExitCode::Failed);
}

#[tokio::test(start_paused = true)]
async fn one_blocked_and_one_failing_platform_leave_the_third_alone_and_the_gateway_up() {
    let blocked = Scripted::new([]);
    blocked.check_says(Err(unpaired()));
    let failing = Scripted::new(std::iter::repeat_n(Step::Fail(refused()), 1000));
    let well = Scripted::new([]);
    let mut stage = Stage::start(&[("a", &blocked), ("b", &failing), ("c", &well)]);
    stage.until(1, is("a", WireState::Fatal)).await;
    stage.until(1, is("b", WireState::Retrying)).await;
    stage.until(1, is("c", WireState::Connected)).await;
    tokio::time::sleep(Duration::from_secs(3600)).await;
    {
        let document = stage.documents.borrow().clone().unwrap();
        assert_eq!(document.gateway_state, GatewayState::Degraded);
        assert_eq!(platform(&document, "a").user_action.as_deref(), Some("hermes whatsapp"));
        assert_eq!(platform(&document, "c").state, WireState::Connected);
        assert!(platform(&document, "b").attempts > 5);
    }
    assert_eq!(blocked.connects.load(Ordering::SeqCst), 0, "a blocked platform is not tried");
    assert!(failing.connects.load(Ordering::SeqCst) <= 30, "at most 30 attempts an hour");
    assert_eq!(well.connects.load(Ordering::SeqCst), 1);
    let (exit, last) = stage.stop(StopSignal::Terminate).await;
    assert_eq!(exit, ExitCode::Ok);
    assert_eq!(last.gateway_state, GatewayState::Stopped);
    assert!(last.platforms.values().all(|platform| platform.state == WireState::Disconnected));
    assert!(well.link().closed.load(Ordering::SeqCst), "the link was closed in order");
}

#[tokio::test(start_paused = true)]
async fn a_panic_in_connect_is_a_failure_of_that_platform_only() {
    let panicking = Scripted::new([Step::Panic]);
    let well = Scripted::new([]);
    let mut stage = Stage::start(&[("a", &panicking), ("b", &well)]);
    stage.until(1, says("a", "adapter_panicked")).await;
    stage.until(1, is("b", WireState::Connected)).await;
    let took = stage.until(60, is("a", WireState::Connected)).await;
    assert!(took >= Duration::from_secs(23), "by the ladder, after {took:?}");
}

#[tokio::test(start_paused = true)]
async fn a_connect_that_never_returns_is_dropped_at_its_deadline() {
    let hanging = Scripted::new([Step::Hang]);
    let mut stage = Stage::start(&[("a", &hanging)]);
    let took = stage.until(70, says("a", "net_timeout")).await;
    assert!(took >= Duration::from_secs(60), "{took:?}");
    stage.until(60, is("a", WireState::Connected)).await;
}

#[tokio::test(start_paused = true)]
async fn a_flapping_platform_is_tried_at_once_only_the_first_time() {
    let flapping = Scripted::new([]);
    let mut stage = Stage::start(&[("a", &flapping)]);
    stage.until(1, is("a", WireState::Connected)).await;
    let mut waits = Vec::new();
    for tried in 1..=3 {
        flapping.link().lose(refused());
        let is_back = |document: &Snapshot| {
            is("a", WireState::Connected)(document) && flapping.connects.load(Ordering::SeqCst) > tried
        };
        waits.push(stage.until(500, is_back).await.as_secs());
    }
    assert_eq!(waits[0], 0);
    assert!(waits[1] >= 23 && waits[2] > waits[1], "{waits:?}");
    let ups = stage.flow.ups.load(Ordering::SeqCst);
    assert_eq!(stage.flow.downs.load(Ordering::SeqCst) + 1, ups, "the message path hears of every change");
}

#[tokio::test(start_paused = true)]
async fn a_block_that_clears_connects_within_two_seconds() {
    let account = Scripted::new([]);
    account.check_says(Err(unpaired()));
    let mut stage = Stage::start(&[("a", &account)]);
    stage.until(1, is("a", WireState::Fatal)).await;
    tokio::time::sleep(Duration::from_secs(100)).await;
    account.check_says(Ok(()));
    let took = stage.until(5, is("a", WireState::Connected)).await;
    assert!(took <= Duration::from_secs(2), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn a_link_without_proof_is_down_when_its_lease_ends() {
    let account = Scripted::new([]);
    let mut stage = Stage::start(&[("a", &account)]);
    stage.until(1, is("a", WireState::Connected)).await;
    tokio::time::sleep(Duration::from_secs(1000)).await;
    let link = account.link();
    link.freeze();
    link.close_hangs.store(true, Ordering::SeqCst);
    let lease = Platform::Whatsapp.spec().lease;
    let is_back = |document: &Snapshot| {
        is("a", WireState::Connected)(document) && account.connects.load(Ordering::SeqCst) == 2
    };
    let took = stage.until(200, is_back).await;
    assert!(took >= lease && took <= lease + Duration::from_secs(1), "{took:?}");
    assert!(!Arc::ptr_eq(&link, &account.link()), "the retry did not wait for the old link to close");
}

#[tokio::test(start_paused = true)]
async fn news_of_an_older_attempt_changes_nothing() {
    let account = Scripted::new([]);
    let mut stage = Stage::start(&[("a", &account)]);
    stage.until(1, is("a", WireState::Connected)).await;
    let stale = |report| Event::Supervised { seat: SupervisedId(0), generation: 0, report };
    let late = Scripted::new([]);
    let flow: Arc<dyn Inbox> = Arc::clone(&stage.flow) as Arc<dyn Inbox>;
    let late_link = late.connect(flow).await.unwrap();
    stage.events.send(stale(Report::Down(unpaired()))).await.unwrap();
    stage.events.send(stale(Report::Refused(unpaired()))).await.unwrap();
    stage.events.send(stale(Report::Up(late_link))).await.unwrap();
    tokio::time::sleep(Duration::from_secs(30)).await;
    assert!(is("a", WireState::Connected)(stage.documents.borrow().as_ref().unwrap()));
    assert!(late.link().closed.load(Ordering::SeqCst), "a link nobody waits for is closed");
    assert_eq!(stage.flow.ups.load(Ordering::SeqCst), 1);
}

#[tokio::test(start_paused = true)]
async fn a_drain_past_its_limit_ends_with_1_even_when_a_link_does_not_close() {
    let account = Scripted::new([]);
    let mut stage = Stage::start(&[("a", &account)]);
    stage.until(1, is("a", WireState::Connected)).await;
    *stage.flow.drain_takes.lock().unwrap() = Duration::from_secs(3600);
    account.link().close_hangs.store(true, Ordering::SeqCst);
    let begin = Now::read().mono;
    let (exit, last) = stage.stop(StopSignal::Terminate).await;
    assert_eq!(exit, ExitCode::Failed);
    assert!(Now::read().mono.duration_since(begin) <= Duration::from_secs(33));
    assert_eq!(last.gateway_state, GatewayState::Stopped);
}

#[tokio::test(start_paused = true)]
async fn a_second_interrupt_ends_at_once_and_a_link_sends_until_the_drain_is_over() {
    let account = Scripted::new([]);
    let mut stage = Stage::start(&[("a", &account)]);
    stage.until(1, is("a", WireState::Connected)).await;
    *stage.flow.drain_takes.lock().unwrap() = Duration::from_secs(3600);
    stage.events.send(Event::StopAsked(StopSignal::Interrupt)).await.unwrap();
    stage.until(1, |document| document.gateway_state == GatewayState::Draining).await;
    assert!(is("a", WireState::Connected)(stage.documents.borrow().as_ref().unwrap()));
    let (exit, _) = stage.stop(StopSignal::Interrupt).await;
    assert_eq!(exit, ExitCode::Interrupted);
}

#[tokio::test(start_paused = true)]
async fn the_document_is_renewed_although_nothing_happens() {
    let account = Scripted::new([]);
    let mut stage = Stage::start(&[("a", &account)]);
    stage.until(1, is("a", WireState::Connected)).await;
    for _ in 0..5 {
        stage.documents.mark_unchanged();
        tokio::time::timeout(Duration::from_secs(11), stage.documents.changed()).await.unwrap().unwrap();
    }
}

fn pause(name: &str) -> Command {
    Command::Pause { platform: name.to_owned() }
}

fn resume(name: &str) -> Command {
    Command::Resume { platform: name.to_owned() }
}

#[tokio::test(start_paused = true)]
async fn a_connected_platform_is_paused_and_comes_back_when_resumed() {
    let account = Scripted::new([]);
    let mut stage = Stage::start(&[("a", &account)]);
    stage.until(1, is("a", WireState::Connected)).await;
    let said = stage.commands.give(pause("A")).await.unwrap();
    assert!(said.contains("is paused"), "{said}");
    stage.until(1, is("a", WireState::Paused)).await;
    {
        let document = stage.documents.borrow().clone().unwrap();
        let shown = platform(&document, "a");
        assert_eq!(shown.paused_by.as_deref(), Some("operator"));
        assert!(shown.user_action.as_deref().unwrap().contains("hermes platform resume a"));
    }
    assert!(stage.commands.give(pause("a")).await.unwrap().contains("already"));
    tokio::time::sleep(Duration::from_secs(86_400)).await;
    assert_eq!(account.connects.load(Ordering::SeqCst), 1, "nobody but an operator ends it");
    assert!(account.link().closed.load(Ordering::SeqCst));
    assert_eq!(stage.flow.downs.load(Ordering::SeqCst), 1, "the message path knows");
    assert!(stage.commands.give(resume("a")).await.unwrap().contains("no longer paused"));
    stage.until(1, is("a", WireState::Connected)).await;
    assert_eq!(stage.commands.give(resume("a")).await.unwrap(), "WhatsApp is connected.");
}

#[tokio::test(start_paused = true)]
async fn a_pause_wins_against_an_attempt_and_a_kept_one_holds_from_the_start() {
    let hanging = Scripted::new([Step::Hang]);
    let kept = Scripted::new([]);
    let mut stage = Stage::start_paused(&[("a", &hanging), ("b", &kept)], &["b"]);
    stage.until(1, is("b", WireState::Paused)).await;
    stage.commands.give(pause("a")).await.unwrap();
    stage.until(1, is("a", WireState::Paused)).await;
    tokio::time::sleep(Duration::from_secs(3600)).await;
    assert!(is("a", WireState::Paused)(stage.documents.borrow().as_ref().unwrap()));
    assert_eq!(kept.connects.load(Ordering::SeqCst), 0);
    stage.commands.give(resume("b")).await.unwrap();
    stage.until(1, is("b", WireState::Connected)).await;
}

#[tokio::test(start_paused = true)]
async fn a_pause_that_was_ended_is_no_reason_of_the_attempt_after_it() {
    let hanging = Scripted::new([Step::Hang, Step::Hang]);
    let mut stage = Stage::start(&[("a", &hanging)]);
    stage.commands.give(pause("a")).await.unwrap();
    stage.until(1, is("a", WireState::Paused)).await;
    stage.commands.give(resume("a")).await.unwrap();
    stage.until(1, is("a", WireState::Connecting)).await;
    let document = stage.documents.borrow().clone().unwrap();
    let shown = platform(&document, "a");
    assert_eq!((&shown.error_code, &shown.error_message, &shown.user_action), (&None, &None, &None));
}

#[tokio::test(start_paused = true)]
async fn a_resume_looks_at_a_block_at_once_and_cuts_a_wait_short() {
    let failing = Scripted::new([Step::Fail(refused())]);
    let mut stage = Stage::start(&[("a", &failing)]);
    stage.until(1, is("a", WireState::Retrying)).await;
    assert!(stage.commands.give(resume("a")).await.unwrap().contains("again now"));
    let took = stage.until(60, is("a", WireState::Connected)).await;
    assert!(took <= Duration::from_secs(1), "{took:?}");

    let denied = Scripted::new([Step::Fail(unpaired()), Step::Fail(unpaired())]);
    let mut stage = Stage::start(&[("a", &denied)]);
    let is_denied_twice = |document: &Snapshot| {
        is("a", WireState::Fatal)(document) && denied.connects.load(Ordering::SeqCst) == 2
    };
    stage.until(10, is_denied_twice).await;
    assert!(stage.commands.give(resume("a")).await.unwrap().contains("Checking "));
    let took = stage.until(60, is("a", WireState::Connected)).await;
    assert!(took <= Duration::from_secs(1), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn commands_that_cannot_be_carried_out_say_why() {
    let account = Scripted::new([]);
    let mut stage = Stage::start(&[("a", &account)]);
    let unknown = stage.commands.give(pause("fax")).await.unwrap_err();
    assert_eq!(unknown, CommandError::UnknownPlatform { name: "fax".to_owned() });
    let not_enabled = stage.commands.give(resume("whatsapp")).await.unwrap_err();
    assert!(not_enabled.to_string().contains("hermes whatsapp"), "{not_enabled}");
    *stage.flow.drain_takes.lock().unwrap() = Duration::from_secs(10);
    assert!(stage.commands.give(Command::Restart).await.unwrap().contains("restarts"));
    stage.until(1, |document| document.gateway_state == GatewayState::Draining).await;
    assert_eq!(stage.commands.give(pause("a")).await, Err(CommandError::Stopping));
    // It restarts already, so a restart request succeeds; and a stop request means that it shall not come back.
    assert!(stage.commands.give(Command::Restart).await.unwrap().contains("restarts"));
    assert!(stage.commands.give(Command::Stop).await.unwrap().contains("stops"));
    assert_eq!(stage.commands.give(Command::Restart).await, Err(CommandError::Stopping));
    let exit = tokio::time::timeout(Duration::from_secs(60), stage.running).await.unwrap().unwrap();
    assert_eq!(exit, ExitCode::Ok);
}

mod hours;
mod jumps;
mod life;
mod log;
mod network;
mod storms;
mod truth;

fn unreachable() -> AdapterError {
    AdapterError::retryable("net_dns", "no address")
}

/// True when every platform is in this state.
fn all(state: WireState) -> impl Fn(&Snapshot) -> bool {
    move |document| document.platforms.values().all(|platform| platform.state == state)
}

/// Three platforms that were connected for ten minutes, and lose their network.
async fn three_cut_off() -> ([Arc<Scripted>; 3], Stage) {
    let accounts = [Scripted::new([]), Scripted::new([]), Scripted::new([])];
    let mut stage = Stage::start(&[("a", &accounts[0]), ("b", &accounts[1]), ("c", &accounts[2])]);
    stage.until(1, all(WireState::Connected)).await;
    tokio::time::sleep(Duration::from_secs(600)).await;
    for account in &accounts {
        account.script(std::iter::repeat_n(Step::Fail(unreachable()), 1000));
        account.link().lose(unreachable());
    }
    (accounts, stage)
}

#[tokio::test(start_paused = true)]
async fn two_hours_without_dns_end_for_all_within_five_seconds_of_the_first_success() {
    let (accounts, mut stage) = three_cut_off().await;
    for _ in 0..7200 {
        tokio::time::sleep(Duration::from_secs(1)).await;
        let document = stage.documents.borrow().clone().unwrap();
        assert!(document.platforms.values().all(|platform| platform.paused_by.is_none()), "{document:?}");
    }
    for account in &accounts {
        account.script([]);
    }
    let any = |document: &Snapshot| {
        document.platforms.values().any(|platform| platform.state == WireState::Connected)
    };
    stage.until(400, any).await;
    let took = stage.until(10, all(WireState::Connected)).await;
    assert!(took <= Duration::from_secs(5), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn a_platform_that_waits_says_for_which_attempt_and_how_long() {
    let failing = Scripted::new(std::iter::repeat_n(Step::Fail(refused()), 100));
    let mut stage = Stage::start(&[("a", &failing)]);
    for attempt in 2..=10 {
        let says = format!("the connection was refused; attempt {attempt}/10 after ");
        let is_said = |document: &Snapshot| {
            let message = platform(document, "a").error_message.as_deref();
            message.is_some_and(|message| message.starts_with(&says))
        };
        stage.until(400, is_said).await;
        let document = stage.documents.borrow().clone().unwrap();
        let shown = platform(&document, "a");
        assert_eq!((shown.state, shown.attempts), (WireState::Retrying, attempt - 1));
        let wait = shown.error_message.as_ref().unwrap().strip_prefix(&says).unwrap();
        let wait: f64 = wait.strip_suffix(" s").unwrap().parse().unwrap();
        let announced = shown.next_retry_at.unwrap().duration_since(shown.updated_at.unwrap()).as_secs_f64();
        assert!((wait - announced).abs() <= 1.0, "{wait} s are said, and {announced} s announced");
    }
    stage.until(400, is("a", WireState::Paused)).await;
    let document = stage.documents.borrow().clone().unwrap();
    let message = platform(&document, "a").error_message.as_deref().unwrap();
    assert!(!message.contains("/10"), "a pause waits for no attempt: {message}");
}

#[tokio::test(start_paused = true)]
async fn what_always_fails_is_paused_and_looked_at_and_its_neighbour_does_not_notice() {
    let failing = Scripted::new(std::iter::repeat_n(Step::Panic, 14));
    let well = Scripted::new([]);
    let mut stage = Stage::start(&[("a", &failing), ("b", &well)]);
    stage.until(7200, is("a", WireState::Paused)).await;
    {
        let document = stage.documents.borrow().clone().unwrap();
        let shown = platform(&document, "a");
        assert_eq!(shown.paused_by.as_deref(), Some("breaker"));
        assert_eq!(shown.error_code.as_deref(), Some("adapter_panicked"));
        assert_eq!(shown.attempts, 10);
        assert!(shown.next_retry_at.is_some());
    }
    assert_eq!(failing.connects.load(Ordering::SeqCst), 10);
    stage.until(6 * 3600, is("a", WireState::Connected)).await;
    assert_eq!(failing.connects.load(Ordering::SeqCst), 15, "four probes in vain, and the fifth");
    assert_eq!(well.connects.load(Ordering::SeqCst), 1);
    assert_eq!(stage.flow.downs.load(Ordering::SeqCst), 0);
}

#[tokio::test(start_paused = true)]
async fn a_limit_is_shown_and_ends_by_itself() {
    let account = Scripted::new([]);
    let mut stage = Stage::start(&[("a", &account)]);
    stage.until(1, is("a", WireState::Connected)).await;
    let report = Report::Limited(Duration::from_secs(20));
    stage.events.send(Event::Supervised { seat: SupervisedId(0), generation: 1, report }).await.unwrap();
    stage.until(1, is("a", WireState::RateLimited)).await;
    let took = stage.until(60, is("a", WireState::Connected)).await;
    assert_eq!(took.as_secs(), 20);
    assert_eq!(stage.flow.downs.load(Ordering::SeqCst), 0, "the connection stays");
}

#[tokio::test(start_paused = true)]
async fn a_reload_looks_at_a_block_at_once() {
    let denied = Scripted::new([Step::Fail(unpaired()), Step::Fail(unpaired())]);
    let mut stage = Stage::start(&[("a", &denied)]);
    let is_denied_twice = |document: &Snapshot| {
        is("a", WireState::Fatal)(document) && denied.connects.load(Ordering::SeqCst) == 2
    };
    stage.until(10, is_denied_twice).await;
    stage.commands.give(Command::Reload).await.unwrap();
    let took = stage.until(60, is("a", WireState::Connected)).await;
    assert!(took <= Duration::from_secs(1), "{took:?}");
}
