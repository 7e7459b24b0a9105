//! Installs the bridge: its files, which this program carries, and what npm adds to them.
//!
//! Everything happens in a staged folder beside the final one. `npm ci` runs there with lifecycle scripts off; then the
//! tree is tried, stamped (last) and renamed. A folder without its stamp is not an installation, whatever it holds.

mod cause;
mod files;
mod npm;
mod npmrc;
mod tree;

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tracing::debug;

use crate::bridge::session_lock;
use crate::bridge::toolchain;
use crate::durable::{self, Lock, LockError};
use crate::home::HermesHome;
use crate::preflight::{BridgeFact, LockFact};
use crate::world::World;
use npm::{Ended, Run};

/// Limit for npm. A slow line needs minutes; npm itself has limits for a dead one.
const NPM_LIMIT: Duration = Duration::from_secs(30 * 60);
/// Limit for the trial.
const TRIAL_LIMIT: Duration = Duration::from_secs(60);
/// Interval at which a waiting installer checks whether the other one is done.
const WAIT_STEP: Duration = Duration::from_millis(200);

/// Returns the hash of the bridge's files in this program: the name of its folder.
pub fn content_hash() -> String {
    static HASH: OnceLock<String> = OnceLock::new();
    HASH.get_or_init(files::content_hash).clone()
}

/// Checks whether the bridge of this version is installed and whole: stamped, and every file there as it was then. Takes a
/// few milliseconds unless files were touched; follows a symlinked folder.
pub fn check(home: &HermesHome) -> BridgeFact {
    let dir = home.whatsapp().bridge_root().join(content_hash());
    match tree::difference(&dir) {
        Some(Ok(())) => BridgeFact::Installed { dir },
        Some(Err(why)) => BridgeFact::Damaged { why },
        None if dir.exists() => BridgeFact::Damaged { why: "its installation did not finish".to_owned() },
        None => BridgeFact::Missing,
    }
}

/// Progress of an installation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Progress {
    /// The current step.
    pub phase: Phase,
    /// Packages unpacked so far, of about [`Progress::packages_total`].
    pub packages: u64,
    /// Packages in the lockfile.
    pub packages_total: u64,
}

/// The steps of an installation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Waiting for another process that is installing.
    Wait,
    /// Writing our own files.
    Unpack,
    /// npm downloads and unpacks.
    Download,
    /// Trying the result.
    Verify,
    /// Stamping it and putting it in place.
    Finish,
}

/// Causes for which an installation fails.
#[derive(Debug, thiserror::Error)]
pub enum InstallError {
    /// Cancelled; nothing is left.
    #[error("the installation was cancelled")]
    Cancelled,
    /// npm could not be found beside Node or on `PATH`.
    #[error("npm was not found")]
    NoNpm,
    /// The installation failed; the last lines say why.
    #[error("{message}")]
    Failed {
        /// The failure, with the cause as far as it was recognised.
        message: String,
        /// The remedy.
        hint: String,
        /// The last lines npm printed, at most 30.
        tail: Vec<String>,
    },
}

/// Installs the bridge and returns its folder. Cancelling ends npm's whole process group and removes the staged folder. An
/// installation that is whole already is left alone. Progress that is not read is dropped.
///
/// # Errors
/// See [`InstallError`]; nothing that counts as installed is left behind.
pub async fn install(
    world: &World,
    home: &HermesHome,
    node: &Path,
    progress: mpsc::Sender<Progress>,
    cancel: CancellationToken,
) -> Result<PathBuf, InstallError> {
    let npm = toolchain::find_npm(world, node).ok_or(InstallError::NoNpm)?;
    let job = Job { world, home, node, npm, reporter: Reporter::new(progress), cancel };
    job.run().await
}

/// One installation.
struct Job<'a> {
    world: &'a World,
    home: &'a HermesHome,
    node: &'a Path,
    npm: PathBuf,
    reporter: Reporter,
    cancel: CancellationToken,
}

impl Job<'_> {
    async fn run(&self) -> Result<PathBuf, InstallError> {
        let root = self.home.whatsapp().bridge_root();
        durable::create_private_dir(&root).map_err(|error| disk(&root, &error))?;
        let _only_one = self.lock(&root).await?;
        if let BridgeFact::Installed { dir } = check(self.home) {
            return Ok(dir);
        }
        sweep(&root, |name| name.starts_with(STAGED));
        self.reporter.report(Phase::Unpack, 0);
        let staged = Staged::create(&root).map_err(|error| disk(&root, &error))?;
        for (name, bytes) in files::FILES {
            let path = staged.path.join(name);
            durable::write_atomic(&path, bytes).map_err(|error| disk(&path, &error))?;
        }
        self.download(&staged.path).await?;
        self.reporter.report(Phase::Verify, self.reporter.total);
        self.try_out(&staged.path).await?;
        if self.cancel.is_cancelled() {
            return Err(InstallError::Cancelled);
        }
        self.reporter.report(Phase::Finish, self.reporter.total);
        let dir = root.join(content_hash());
        staged.finish(&dir).map_err(|error| disk(&dir, &error))?;
        self.remove_old(&root);
        Ok(dir)
    }

    /// Waits until no other process installs.
    async fn lock(&self, root: &Path) -> Result<Lock, InstallError> {
        let path = root.join("install.lock");
        loop {
            match Lock::acquire(&path) {
                Ok(lock) => return Ok(lock),
                Err(LockError::Io(error)) => return Err(disk(&path, &error)),
                Err(LockError::Held { pid }) => {
                    debug!(pid, "another process is installing the WhatsApp bridge");
                }
            }
            self.reporter.report(Phase::Wait, 0);
            tokio::select! {
                () = self.cancel.cancelled() => return Err(InstallError::Cancelled),
                () = tokio::time::sleep(WAIT_STEP) => {}
            }
        }
    }

    async fn download(&self, staged: &Path) -> Result<(), InstallError> {
        self.reporter.report(Phase::Download, 0);
        let packages = files::packages();
        let unpacked = || {
            let is_there = |folder: &&String| staged.join(folder).join("package.json").exists();
            self.reporter.report(Phase::Download, packages.iter().filter(is_there).count() as u64);
        };
        let npmrc = npmrc::Variables::of(self.world, self.node, &self.npm);
        let run = Run {
            world: self.world,
            program: &self.npm,
            args: npm::CI_ARGS.map(OsString::from).into(),
            dir: staged,
            node_dir: self.node.parent(),
            env: npmrc.set.clone(),
            limit: NPM_LIMIT,
        };
        let tail = match run.run(&self.cancel, unpacked).await {
            Ok(Ended::Well(_)) if packages.iter().all(|folder| staged.join(folder).exists()) => return Ok(()),
            Ok(Ended::Well(tail)) => {
                return Err(InstallError::Failed {
                    message: "npm reported success, but did not install the packages".to_owned(),
                    hint:
                        "A setting of npm prevents it: `npm config list` shows the settings and their files."
                            .to_owned(),
                    tail,
                });
            }
            Ok(Ended::Cancelled) => return Err(InstallError::Cancelled),
            Ok(Ended::Badly(tail)) => tail,
            Ok(Ended::Overdue(tail)) => {
                return Err(InstallError::Failed {
                    message: format!("npm did not finish within {} minutes", NPM_LIMIT.as_secs() / 60),
                    hint: "Check the network and try again; downloaded packages stay in npm's cache."
                        .to_owned(),
                    tail,
                });
            }
            Err(error) => vec![format!("{}: {error}", self.npm.display())],
        };
        let cause = cause::of(&tail);
        let mut hint = cause.hint.to_owned();
        if let (true, Some(unset)) = (cause.is_refusal, npmrc.unset_hint()) {
            hint = format!("{unset} {hint}");
        }
        Err(InstallError::Failed { message: cause.message.to_owned(), hint, tail })
    }

    /// Loads the installed bridge once, in the Node that is going to run it.
    async fn try_out(&self, staged: &Path) -> Result<(), InstallError> {
        let args = ["--input-type=module", "--eval", "await import('baileys')"];
        let run = Run {
            world: self.world,
            program: self.node,
            args: args.map(OsString::from).into(),
            dir: staged,
            node_dir: self.node.parent(),
            env: Vec::new(),
            limit: TRIAL_LIMIT,
        };
        let tail = match run.run(&self.cancel, || {}).await {
            Ok(Ended::Well(_)) => return Ok(()),
            Ok(Ended::Cancelled) => return Err(InstallError::Cancelled),
            Ok(Ended::Badly(tail) | Ended::Overdue(tail)) => tail,
            Err(error) => vec![format!("{}: {error}", self.node.display())],
        };
        Err(InstallError::Failed {
            message: "the bridge was installed but does not load in this Node.js".to_owned(),
            hint: "Try another Node.js (20 or newer) with HERMES_NODE. The lines above come from Node.js."
                .to_owned(),
            tail,
        })
    }

    /// Removes older versions, unless a bridge is running: it may be one of them, and may still load files.
    fn remove_old(&self, root: &Path) {
        match session_lock(&self.home.whatsapp()) {
            LockFact::Free => sweep(root, |name| is_version(name) && name != content_hash()),
            LockFact::Held { .. } => {}
        }
    }
}

/// True for a folder named by a hash, as all versions are.
fn is_version(name: &str) -> bool {
    name.len() == 16 && name.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// The prefix of staged folders. While this process holds the install lock, all of them are left over.
const STAGED: &str = ".staged-";

/// Removes folders below `root` by name. What cannot be removed is removed next time.
fn sweep(root: &Path, is_old: impl Fn(&str) -> bool) {
    let Ok(entries) = std::fs::read_dir(root) else { return };
    for entry in entries.flatten().filter(|entry| entry.file_name().to_str().is_some_and(&is_old)) {
        remove(&entry.path());
    }
}

/// Removes a folder, or a symlink to one.
fn remove(path: &Path) {
    let removed = match std::fs::symlink_metadata(path) {
        Ok(metadata) if metadata.is_dir() => std::fs::remove_dir_all(path),
        Ok(_) => std::fs::remove_file(path),
        Err(_) => Ok(()),
    };
    if let Err(error) = removed {
        debug!(%error, path = %path.display(), "a folder of an earlier installation could not be removed");
    }
}

/// A folder in which an installation is built. It is removed when it is dropped unfinished.
struct Staged {
    path: PathBuf,
}

impl Staged {
    fn create(root: &Path) -> std::io::Result<Self> {
        let path = tempfile::Builder::new().prefix(STAGED).tempdir_in(root)?.keep();
        Ok(Self { path })
    }

    /// Stamps it and puts it in place; a damaged one that stands there is moved aside and removed.
    fn finish(self, dir: &Path) -> std::io::Result<()> {
        tree::stamp(&self.path)?;
        let mut aside = self.path.clone().into_os_string();
        aside.push("-old");
        let aside = PathBuf::from(aside);
        if std::fs::symlink_metadata(dir).is_ok() {
            durable::rename(dir, &aside)?;
        }
        durable::rename(&self.path, dir)?;
        remove(&aside);
        Ok(())
    }
}

impl Drop for Staged {
    fn drop(&mut self) {
        remove(&self.path);
    }
}

#[expect(clippy::wildcard_enum_match_arm, reason = "of a foreign enum, which grows")]
fn disk(path: &Path, error: &std::io::Error) -> InstallError {
    let lines = vec![format!("{}: {error}", path.display())];
    let hint = match error.kind() {
        std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => {
            "Free some space (about 100 MB) and run it again."
        }
        _ => "Check that you own the folder and can write to it.",
    };
    InstallError::Failed {
        message: "the bridge's files could not be written".to_owned(),
        hint: hint.to_owned(),
        tail: lines,
    }
}

/// Reports the progress. A listener is not needed.
struct Reporter {
    progress: mpsc::Sender<Progress>,
    total: u64,
}

impl Reporter {
    fn new(progress: mpsc::Sender<Progress>) -> Self {
        Self { progress, total: files::packages().len() as u64 }
    }

    fn report(&self, phase: Phase, packages: u64) {
        // A listener that is behind gets the next one; one that is gone needs none.
        drop(self.progress.try_send(Progress { phase, packages, packages_total: self.total }));
    }
}

#[cfg(test)]
mod tests;
