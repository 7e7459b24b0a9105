//! A machine for tests: a folder on disk, a Node that is always there, an installer and bridges that follow scripts.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::bridge::install::{InstallError, Phase, Progress};
use crate::bridge::process::{Launch, Output};
use crate::bridge::protocol::{Command, Event, Exit, encode};
use crate::config::Config;
use crate::durable::{self, Lock};
use crate::home::HermesHome;
use crate::pairing::{Me, Pairing, verdict};
use crate::platforms::Platform;
use crate::preflight::{BridgeFact, Facts, LockFact, NodeFact, SessionFact};
use crate::sensitive::Private;
use crate::wizard::runner::Outcome;
use crate::wizard::ui::script::ScriptUi;
use crate::wizard::whatsapp::hands::{Hands, PairingBridge};
use crate::wizard::whatsapp::options::WhatsAppOptions;
use crate::wizard::whatsapp::setup::Setup;
use crate::world::World;

pub(crate) const OWN: &str = "15550001111";

/// The content of `creds.json`.
pub(crate) fn creds(content: Creds) -> String {
    let key = r#"{"private":{"type":"Buffer","data":"AA=="},"public":{"type":"Buffer","data":"AA=="}}"#;
    let keys = format!(
        r#""noiseKey":{key},"signedIdentityKey":{key},"signedPreKey":{{"keyPair":{key},"signature":"AA==","keyId":1}},"pairingEphemeralKeyPair":{key},"advSecretKey":"AA==","registrationId":1,"registered":false"#
    );
    let account = r#""account":{"details":"CgQ=","accountSignature":"AA==","deviceSignature":"AA=="}"#;
    match content {
        Creds::Paired => {
            format!(
                r#"{{{keys},"me":{{"id":"{OWN}:7@s.whatsapp.net","lid":"99:7@lid","name":"Robo"}},{account}}}"#
            )
        }
        Creds::Half => format!(r#"{{{keys},"me":{{"id":"{OWN}@s.whatsapp.net","name":"~"}}}}"#),
        Creds::Broken => "{\"noiseKey\":".to_owned(),
    }
}

/// See [`creds`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Creds {
    Paired,
    Half,
    Broken,
}

/// The next action of a bridge.
#[derive(Debug, Clone)]
pub(crate) enum Move {
    Say(Event),
    Save(Creds),
    Exit(Exit),
    /// Waits for a command whose line contains this.
    Hear(&'static str),
    /// Nothing, for ever.
    Hang,
    /// Puts a folder where the settings file belongs.
    BlockSettings,
}

pub(crate) fn me() -> Me {
    Me {
        id: format!("{OWN}:7@s.whatsapp.net"),
        lid: Some("99:7@lid".to_owned()),
        name: Some("Robo".to_owned()),
    }
}

/// As long as the codes of WhatsApp are.
pub(crate) fn payload(seq: u32) -> String {
    let key = "q83vEjRWeJCrze8SNFZ4kKvN7xI0VniQq83vEjRWeJA=";
    format!("https://wa.me/settings/linked_devices#2@{seq}{},{key},{key},{key},1", &"Ab9/".repeat(20)[1..])
}

pub(crate) fn qr(seq: u32) -> Move {
    let expires_in_s = if seq == 1 { 60 } else { 20 };
    Move::Say(Event::Qr { payload: Private(payload(seq)), seq, expires_in_s, total: 6 })
}

/// From the scan to the end.
pub(crate) fn linked() -> Vec<Move> {
    vec![
        Move::Save(Creds::Paired),
        Move::Say(Event::PairSuccess { me: Some(me()) }),
        Move::Say(Event::Restart),
        Move::Say(Event::Open { me: me() }),
        Move::Say(Event::Synced { timed_out: false }),
        Move::Exit(Exit::Done),
    ]
}

/// A bridge with which all goes well.
pub(crate) fn good() -> Vec<Move> {
    [vec![Move::Say(Event::Connecting { attempt: 1 }), qr(1), qr(2)], linked()].concat()
}

/// The behaviour of the installer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Installer {
    Works,
    NoNpm,
    Fails,
}

/// The machine.
pub(crate) struct Stage {
    dir: tempfile::TempDir,
    pub(crate) home: HermesHome,
    pub(crate) node: NodeFact,
    pub(crate) installer: Installer,
    pub(crate) installed: Mutex<bool>,
    pub(crate) bridges: Mutex<VecDeque<Vec<Move>>>,
    pub(crate) launches: Mutex<Vec<Launch>>,
    /// The settings as they were when the run began.
    config: Mutex<Option<Config>>,
    pub(crate) running: std::sync::Arc<Mutex<usize>>,
}

impl Stage {
    pub(crate) fn new(bridges: impl IntoIterator<Item = Vec<Move>>) -> Self {
        let dir = tempfile::tempdir().unwrap();
        Self {
            home: HermesHome::at(dir.path().join("home")),
            dir,
            node: NodeFact::Found { path: PathBuf::from("/opt/node"), version: (20, 11, 1) },
            installer: Installer::Works,
            installed: Mutex::new(false),
            bridges: Mutex::new(bridges.into_iter().collect()),
            launches: Mutex::new(Vec::new()),
            config: Mutex::new(None),
            running: std::sync::Arc::new(Mutex::new(0)),
        }
    }

    pub(crate) fn with_env(self, text: &str) -> Self {
        durable::create_private_dir(self.home.root()).unwrap();
        durable::write_atomic(&self.home.env_file(), text.as_bytes()).unwrap();
        self
    }

    pub(crate) fn with_creds(self, content: Creds) -> Self {
        self.save(content);
        self
    }

    pub(crate) fn save(&self, content: Creds) {
        let paths = self.home.whatsapp();
        durable::create_private_dir(paths.session_dir()).unwrap();
        durable::write_atomic(&paths.creds(), creds(content).as_bytes()).unwrap();
    }

    pub(crate) fn with_bridge(self) -> Self {
        *self.installed.lock().unwrap() = true;
        self
    }

    /// The bytes of `.env`.
    pub(crate) fn env(&self) -> Option<String> {
        std::fs::read_to_string(self.home.env_file()).ok()
    }

    /// The names beside the session folder that begin with `session.` and are not the lock.
    pub(crate) fn asides(&self) -> Vec<String> {
        let Ok(entries) = std::fs::read_dir(self.home.root().join("whatsapp")) else { return Vec::new() };
        let mut names: Vec<String> = entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .filter(|name| name.starts_with("session.") && name != "session.lock")
            .collect();
        names.sort();
        names
    }

    /// Runs the wizard with this person.
    pub(crate) async fn play(&self, options: WhatsAppOptions, ui: &mut ScriptUi) -> Outcome {
        let cancel = match &ui.ctrl_c_at {
            Some((_, cancel)) => cancel.clone(),
            None => CancellationToken::new(),
        };
        let config = Config::load(&World::of_env::<&str, &str>([]), &self.home).unwrap();
        *self.config.lock().unwrap() = Some(config.clone());
        let outcome = Setup::new(&self.home, &config, options, ui, self, &cancel).run().await;
        assert_eq!(*self.running.lock().unwrap(), 0, "no bridge is left\n{}", ui.transcript);
        outcome
    }

    /// The record without what differs from run to run.
    pub(crate) fn record(&self, ui: &ScriptUi) -> String {
        ui.transcript.replace(&self.dir.path().display().to_string(), "~")
    }
}

#[async_trait]
impl Hands for Stage {
    async fn facts(&self) -> Facts {
        let whole = self.config.lock().unwrap().clone().unwrap();
        let (config, access) = (&whole.whatsapp, whole.access(Platform::Whatsapp));
        let paths = self.home.whatsapp();
        let read = |path: PathBuf| std::fs::read(path).ok();
        let judged = verdict(read(paths.creds()).as_deref());
        let copy = verdict(read(paths.creds_backup()).as_deref());
        let session = match (judged, copy) {
            (Pairing::Corrupt { why }, Pairing::Paired { me }) => SessionFact::Restorable { why, me },
            (judged, _) => SessionFact::Judged(judged),
        };
        Facts {
            enabled: config.enabled,
            node: self.node.clone(),
            bridge: if *self.installed.lock().unwrap() {
                BridgeFact::Installed { dir: PathBuf::from("/opt/bridge") }
            } else {
                BridgeFact::Missing
            },
            session_dir: paths.session_dir().to_path_buf(),
            session,
            lock: match Lock::holder(&paths.session_lock()).unwrap() {
                Some(holder) => LockFact::Held { pid: holder.pid },
                None => LockFact::Free,
            },
            session_refused: false,
            passkey_required: paths.passkey_mark().exists(),
            mode: config.mode,
            allowed: access.allowed.clone(),
            allowed_rejects: access.allowed_rejects.clone(),
        }
    }

    async fn install(
        &self,
        _: &Path,
        progress: mpsc::Sender<Progress>,
        cancel: CancellationToken,
    ) -> Result<PathBuf, InstallError> {
        let steps = [(Phase::Unpack, 0), (Phase::Download, 0), (Phase::Download, 32), (Phase::Verify, 64)];
        for (phase, packages) in steps {
            progress.send(Progress { phase, packages, packages_total: 64 }).await.unwrap();
            tokio::time::sleep(Duration::from_millis(10)).await;
            if cancel.is_cancelled() {
                return Err(InstallError::Cancelled);
            }
            match (self.installer, phase) {
                (Installer::NoNpm, _) => return Err(InstallError::NoNpm),
                (Installer::Fails, Phase::Verify) => {
                    return Err(InstallError::Failed {
                        message: "npm could not reach its registry".to_owned(),
                        hint: "Check the network.".to_owned(),
                        tail: vec!["npm error ENOTFOUND".to_owned()],
                    });
                }
                (Installer::Fails | Installer::Works, _) => {}
            }
        }
        *self.installed.lock().unwrap() = true;
        Ok(PathBuf::from("/opt/bridge"))
    }

    fn start(&self, launch: &Launch) -> std::io::Result<Box<dyn PairingBridge>> {
        self.launches.lock().unwrap().push(launch.clone());
        let moves =
            self.bridges.lock().unwrap().pop_front().expect("a bridge was started that no script has");
        *self.running.lock().unwrap() += 1;
        Ok(Box::new(ScriptBridge {
            moves: moves.into(),
            session_dir: launch.start.session_dir.clone(),
            env_file: self.home.env_file(),
            lock: Some(Lock::acquire(&launch.session_lock).map_err(std::io::Error::other)?),
            running: std::sync::Arc::clone(&self.running),
            told: Vec::new(),
        }))
    }
}

struct ScriptBridge {
    moves: VecDeque<Move>,
    session_dir: PathBuf,
    env_file: PathBuf,
    lock: Option<Lock>,
    running: std::sync::Arc<Mutex<usize>>,
    told: Vec<String>,
}

impl Drop for ScriptBridge {
    fn drop(&mut self) {
        *self.running.lock().unwrap() -= 1;
    }
}

#[async_trait]
impl PairingBridge for ScriptBridge {
    async fn next(&mut self) -> Option<Output> {
        loop {
            match self.moves.front().cloned() {
                Some(Move::Say(event)) => {
                    self.moves.pop_front();
                    return Some(Output::Event(event));
                }
                Some(Move::Save(content)) => {
                    self.moves.pop_front();
                    durable::write_atomic(&self.session_dir.join("creds.json"), creds(content).as_bytes())
                        .unwrap();
                }
                Some(Move::Exit(exit)) => {
                    self.moves.pop_front();
                    self.lock = None;
                    return Some(Output::Exited { exit, stderr_tail: vec!["last words".to_owned()] });
                }
                Some(Move::BlockSettings) => {
                    self.moves.pop_front();
                    durable::create_private_dir(&self.env_file).unwrap();
                }
                Some(Move::Hear(part)) => {
                    if !self.told.iter().any(|told| told.contains(part)) {
                        std::future::pending::<()>().await;
                    }
                    self.moves.pop_front();
                }
                Some(Move::Hang) => std::future::pending().await,
                None => return None,
            }
        }
    }

    fn tell(&mut self, command: Command) {
        self.told.push(encode(&command));
    }

    async fn stop(self: Box<Self>, _: Duration) {}
}
