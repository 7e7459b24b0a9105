//! The WhatsApp account: its checks, the start of a bridge, and the refusals of WhatsApp.

use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;

use crate::bridge::process::{BridgeProcess, Launch, Mode};
use crate::bridge::protocol::{Exit, Start};
use crate::clock::Now;
use crate::config::Config;
use crate::durable::{self, Lock, LockError};
use crate::facts;
use crate::gateway::model::adapter::{Adapter, Inbox, Link};
use crate::gateway::model::failure::{AdapterError, Retry};
use crate::gateway::platforms::quarantine::Quarantine;
use crate::gateway::platforms::whatsapp::exits::{self, End, History};
use crate::gateway::platforms::whatsapp::link::WhatsAppLink;
use crate::gateway::platforms::whatsapp::memory;
use crate::gateway::platforms::whatsapp::pump::Judge;
use crate::gateway::problems::Problems;
use crate::gateway::settings::Settings;
use crate::home::{HermesHome, WhatsAppPaths};
use crate::pairing::{Me, Pairing};
use crate::platforms::Platform;
use crate::preflight::{self, BridgeFact, Code, Facts, Finding, LockFact, NodeFact, SessionFact, Severity};

/// Limit for our own last bridge to release the session.
const OWN_LOCK_LIMIT: Duration = Duration::from_secs(8);

/// Interval at which that is checked.
const OWN_LOCK_EVERY: Duration = Duration::from_millis(50);

/// The configured account.
pub struct WhatsAppAdapter {
    settings: Arc<Settings>,
    memory: Arc<Memory>,
}

/// State that outlives a connection.
struct Memory {
    home: HermesHome,
    quarantine: Quarantine,
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    history: History,
    barred: Option<Barred>,
    /// The bridge that we started last: while it ends, it still holds the session.
    last_pid: Option<u32>,
    /// The number of out-of-memory kills at that time.
    out_of_memory: Option<u64>,
    /// The account that was paired at the last start.
    account: Option<String>,
}

/// A refusal of WhatsApp, for a reason that no check of ours can see.
struct Barred {
    error: AdapterError,
    /// The pairing at that time: only another one is worth another try. `None` once an operator asks for one with the same.
    pairing: Option<Print>,
}

/// The fingerprint of the credentials.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Print {
    path: PathBuf,
    inode: u64,
    len: u64,
    modified: (i64, i64),
}

impl Print {
    fn of(paths: &WhatsAppPaths) -> Option<Self> {
        let path = paths.creds();
        let file = std::fs::metadata(&path).ok()?;
        Some(Self { path, inode: file.ino(), len: file.len(), modified: (file.mtime(), file.mtime_nsec()) })
    }
}

/// The parameters of a start.
struct Prepared {
    launch: Launch,
    me: Me,
    /// True while our own last bridge still holds the session.
    is_ending: bool,
}

impl Memory {
    fn new(home: &HermesHome, problems: Problems) -> Self {
        let quarantine = Quarantine::new(home.whatsapp().unreadable_dir(), Platform::Whatsapp, problems);
        Self { home: home.clone(), quarantine, inner: Mutex::default() }
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the refusal of WhatsApp, which stands until there is another pairing; after a logout, until there is one.
    fn bar(&self, is_ready: bool) -> Result<(), AdapterError> {
        let mut inner = self.inner();
        let Some(barred) = &inner.barred else { return Ok(()) };
        let same = Print::of(&self.home.whatsapp()) == barred.pairing;
        if same || (barred.error.code == "whatsapp_logged_out" && !is_ready) {
            return Err(barred.error.clone());
        }
        inner.barred = None;
        Ok(())
    }

    /// Allows the same pairing one more try.
    fn clear_refusals(&self) {
        if let Some(barred) = &mut self.inner().barred {
            barred.pairing = None;
        }
    }
}

impl Judge for Memory {
    fn judge(&self, mut end: End) -> AdapterError {
        let exit = end.exit;
        let before = self.inner().out_of_memory;
        end.memory_ran_out = memory::ended().is_some_and(|count| before.is_some_and(|before| count > before));
        let error = self.inner().history.judge(Now::read().mono, end);
        if exit == Exit::LoggedOut {
            set_aside(&self.home.whatsapp());
        }
        // A lock is released, and a Node is repaired, without any change of the pairing.
        let is_of_the_pairing = !matches!(exit, Exit::SessionLock | Exit::Crashed(_));
        let is_final = error.retry == Retry::Never && is_of_the_pairing;
        if is_final {
            let pairing = Print::of(&self.home.whatsapp());
            self.inner().barred = Some(Barred { error: error.clone(), pairing });
        }
        error
    }

    fn keep(&self, seq: u64, line: &str) -> bool {
        let kept = self.quarantine.aside.keep(&seq.to_string(), line.as_bytes());
        kept.inspect_err(|error| self.quarantine.report(error)).is_ok()
    }
}

/// Moves a session that WhatsApp has ended aside: kept for people to look at, and out of the way of the next pairing.
fn set_aside(paths: &WhatsAppPaths) {
    // A wizard that is pairing at this moment holds the lock, and needs the folder more.
    let moved = match Lock::acquire(&paths.session_lock()) {
        Ok(_lock) => {
            let stamp = Now::read().wall.strftime("%Y%m%dT%H%M%SZ").to_string();
            let aside = (1..)
                .map(|copy| paths.session_aside("logged-out", &stamp, copy))
                .find(|path| !path.exists())
                .expect("there are more numbers than folders");
            durable::rename(paths.session_dir(), &aside)
        }
        Err(LockError::Held { .. }) => return,
        Err(LockError::Io(error)) => Err(error),
    };
    if let Err(error) = moved {
        tracing::warn!(
            code = "session_not_moved",
            "the logged-out session could not be moved aside ({error})"
        );
    }
}

impl WhatsAppAdapter {
    /// The account of this home.
    pub fn new(settings: Arc<Settings>, problems: Problems) -> Self {
        let memory = Memory::new(&settings.home, problems);
        Self { settings, memory: Arc::new(memory) }
    }

    fn prepare(settings: &Settings, memory: &Memory) -> Result<Prepared, AdapterError> {
        let config = settings.reload();
        let facts = facts::gather(&settings.world, &settings.home, &config);
        let last_pid = memory.inner().last_pid;
        let is_ending = matches!(facts.lock, LockFact::Held { pid } if pid.is_some() && pid == last_pid);
        let findings = preflight::findings(&facts);
        let blocking = findings.into_iter().filter(|finding| finding.severity == Severity::Blocking);
        let prepared = match telling(
            blocking.filter(|finding| !(is_ending && finding.code == Code::WhatsappSessionLock)),
        ) {
            Some(finding) => Err(AdapterError::blocked(finding.code.as_str(), finding.message, finding.fix)),
            None => {
                launch(&settings.home, &config, facts).map(|(launch, me)| Prepared { launch, me, is_ending })
            }
        };
        memory.bar(prepared.is_ok())?;
        prepared
    }
}

/// Returns the most important finding: without a pairing the wizard must be run, and it repairs all the others on its way.
fn telling(findings: impl Iterator<Item = Finding>) -> Option<Finding> {
    let unpaired = |finding: &Finding| {
        let Finding { code, .. } = finding;
        matches!(code, Code::WhatsappNotPaired | Code::WhatsappPasskeyRequired | Code::WhatsappHalfPaired)
    };
    let mut findings: Vec<Finding> = findings.collect();
    let index = findings.iter().position(unpaired).unwrap_or(0);
    (index < findings.len()).then(|| findings.swap_remove(index))
}

fn launch(home: &HermesHome, config: &Config, facts: Facts) -> Result<(Launch, Me), AdapterError> {
    let paths = home.whatsapp();
    let me = match facts.session {
        SessionFact::Judged(Pairing::Paired { me }) | SessionFact::Restorable { me, .. } => Some(me),
        SessionFact::Judged(Pairing::Unpaired | Pairing::HalfPaired | Pairing::Corrupt { .. })
        | SessionFact::Unreadable { .. } => None,
    };
    let (Some(me), NodeFact::Found { path: node, .. }, BridgeFact::Installed { dir: bridge_dir }) =
        (me, facts.node, facts.bridge)
    else {
        return Err(AdapterError::retryable(
            "whatsapp_bridge_exited",
            "the check before the start found no problem, but the bridge did; this is a bug",
        ));
    };
    let start = Start {
        session_dir: facts.session_dir,
        spool_dir: paths.spool_dir(),
        media_dir: paths.media_dir(),
        web_socket_url: config.whatsapp.web_socket_url.clone(),
        version: config.whatsapp.version,
        pairing_code_for: None,
        limits: config.whatsapp.bridge_limits.clone(),
    };
    Ok((Launch { node, bridge_dir, session_lock: paths.session_lock(), mode: Mode::Run, start }, me))
}

/// Waits until our own last bridge has released the session.
async fn own_lock_free(prepared: &Prepared) -> Result<(), AdapterError> {
    if !prepared.is_ending {
        return Ok(());
    }
    let lock = &prepared.launch.session_lock;
    let free = async {
        while matches!(Lock::holder(lock), Ok(Some(_))) {
            tokio::time::sleep(OWN_LOCK_EVERY).await;
        }
    };
    tokio::time::timeout(OWN_LOCK_LIMIT, free).await.map_err(|_| {
        AdapterError::retryable("whatsapp_bridge_hung", "the previous bridge has not stopped yet")
            .retry(Retry::After(Duration::from_secs(2)))
    })
}

#[async_trait]
impl Adapter for WhatsAppAdapter {
    fn platform(&self) -> Platform {
        Platform::Whatsapp
    }

    fn check(&self) -> Result<(), AdapterError> {
        Self::prepare(&self.settings, &self.memory).map(drop)
    }

    fn clear_refusals(&self) {
        self.memory.clear_refusals();
    }

    fn account(&self) -> Option<String> {
        self.memory.inner().account.clone()
    }

    async fn connect(&self, inbox: Arc<dyn Inbox>) -> Result<Arc<dyn Link>, AdapterError> {
        let (settings, memory) = (Arc::clone(&self.settings), Arc::clone(&self.memory));
        let prepared =
            tokio::task::spawn_blocking(move || Self::prepare(&settings, &memory)).await.map_err(
                |_| AdapterError::retryable("adapter_panicked", "the check before the start failed"),
            )??;
        own_lock_free(&prepared).await?;
        let Prepared { launch, me, .. } = prepared;
        self.memory.inner().account = Some(me.masked());
        self.memory.inner().out_of_memory = memory::ended();
        let bridge = BridgeProcess::spawn(&self.settings.world, &launch)
            .map_err(|error| exits::unspawned(&self.settings.world.exe, &error))?;
        self.memory.inner().last_pid = bridge.pid;
        let judge: Arc<dyn Judge> = Arc::clone(&self.memory) as Arc<dyn Judge>;
        let media_dir = launch.start.media_dir;
        let link = Arc::new(WhatsAppLink::start(Box::new(bridge), media_dir, me, inbox, judge));
        link.opened().await?;
        // The wizard commits its settings after the pairing that let us connect.
        let settings = Arc::clone(&self.settings);
        drop(tokio::task::spawn_blocking(move || settings.reload()).await);
        Ok(link)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::durable::{create_private_dir, write_atomic};
    use crate::world::World;

    struct Home {
        dir: tempfile::TempDir,
        memory: Memory,
    }

    impl Home {
        fn paired() -> Self {
            let dir = tempfile::tempdir().unwrap();
            let home = HermesHome::at(dir.path());
            let this = Self { dir, memory: Memory::new(&home, Problems::default()) };
            this.pair("one");
            this
        }

        fn pair(&self, creds: &str) {
            let paths = self.memory.home.whatsapp();
            create_private_dir(paths.session_dir()).unwrap();
            write_atomic(&paths.creds(), creds.as_bytes()).unwrap();
        }

        fn ends(&self, exit: Exit) -> AdapterError {
            self.memory.judge(End { exit, closed: None, cause: None, said: None, memory_ran_out: false })
        }
    }

    #[test]
    fn an_unpaired_home_is_refused_for_the_pairing_whatever_else_is_missing() {
        let dir = tempfile::tempdir().unwrap();
        let world = World::of_env([("WHATSAPP_ENABLED", "true"), ("HERMES_NODE", "/nonexistent/node")]);
        let home = HermesHome::at(dir.path());
        let config = Config::load(&world, &home).unwrap();
        let adapter = WhatsAppAdapter::new(Settings::new(world, home, config), Problems::default());
        let error = adapter.check().unwrap_err();
        assert_eq!((error.code, error.retry), ("whatsapp_not_paired", Retry::Never));
        assert!(error.user_action.unwrap().contains("`hermes whatsapp`"));
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0, "looking changes nothing");
    }

    #[test]
    fn a_session_that_whatsapp_ended_is_set_aside_and_the_reason_stands_until_the_next_pairing() {
        let home = Home::paired();
        assert_eq!(home.ends(Exit::LoggedOut).code, "whatsapp_logged_out");
        let names: Vec<String> = std::fs::read_dir(home.dir.path().join("whatsapp"))
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        assert!(names.iter().any(|name| name.starts_with("session.logged-out-")), "{names:?}");
        assert!(!names.contains(&"session".to_owned()), "{names:?}");
        assert_eq!(home.memory.bar(false).unwrap_err().code, "whatsapp_logged_out");
        home.memory.clear_refusals();
        assert_eq!(
            home.memory.bar(false).unwrap_err().code,
            "whatsapp_logged_out",
            "there is nothing to try"
        );
        home.pair("half of two");
        assert_eq!(home.memory.bar(false).unwrap_err().code, "whatsapp_logged_out", "a pairing under way");
        home.pair("two");
        home.memory.bar(true).unwrap();
        home.memory.bar(false).unwrap();
    }

    #[test]
    fn a_refusal_that_no_check_can_see_stands_until_the_pairing_is_another() {
        for exit in [Exit::Forbidden, Exit::MultideviceMismatch] {
            let home = Home::paired();
            let error = home.ends(exit);
            assert_eq!(home.memory.bar(true).unwrap_err(), error);
            home.pair("two");
            home.memory.bar(true).unwrap();
            home.ends(exit);
            home.memory.bar(true).unwrap_err();
            home.memory.clear_refusals();
            home.memory.bar(true).expect("somebody wants it tried");
        }
    }

    #[test]
    fn a_session_that_is_taken_over_again_and_again_is_left_alone_until_a_new_pairing() {
        let home = Home::paired();
        home.ends(Exit::Replaced);
        home.memory.bar(true).unwrap();
        home.ends(Exit::Replaced);
        assert_eq!(home.memory.bar(true).unwrap_err().code, "whatsapp_replaced");
    }

    #[test]
    fn ends_that_may_pass_bar_nothing() {
        let home = Home::paired();
        for exit in [
            Exit::ConnectionLost,
            Exit::SessionLock,
            Exit::Signalled(9),
            Exit::VersionRejected,
            Exit::Crashed(Some(127)),
        ] {
            home.ends(exit);
            home.memory.bar(true).unwrap();
        }
    }
    #[tokio::test]
    async fn a_message_that_can_neither_be_read_nor_kept_is_a_problem_until_the_folder_can_be_written() {
        let dir = tempfile::tempdir().unwrap();
        let (home, problems) = (HermesHome::at(dir.path()), Problems::default());
        let memory = Memory::new(&home, problems.clone());
        let aside = home.whatsapp().unreadable_dir();
        std::fs::create_dir_all(aside.parent().unwrap()).unwrap();
        write_atomic(&aside, b"in the way").unwrap();
        assert!(!memory.keep(7, "{}"), "it must not be acknowledged");
        assert!(problems.has(&["unreadable_folder_unwritable"]));
        std::fs::remove_file(&aside).unwrap();
        problems.subscribe().wait_for(Vec::is_empty).await.unwrap();
        assert!(memory.keep(7, "{}") && aside.join("7.json").exists());
    }
}
