//! Installs the bridge: its files, which this program carries, and what npm adds to them.
//!
//! Everything happens in a staged folder beside the final one. `npm ci` runs there with lifecycle scripts off; then the
//! tree is tried, stamped (last) and renamed. A folder without its stamp is not an installation, whatever it holds.

use std::path::PathBuf;

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::home::HermesHome;
use crate::preflight::BridgeFact;
use crate::world::World;

/// The hash of the bridge's files in this program: the name of its folder.
pub fn content_hash() -> String {
    String::new()
}

/// Whether the bridge of this version is installed and whole.
pub fn check(home: &HermesHome) -> BridgeFact {
    let _ = home;
    BridgeFact::Missing
}

/// How far an installation is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Progress {
    /// What is being done.
    pub phase: Phase,
    /// Packages unpacked so far, of about [`Progress::packages_total`].
    pub packages: u64,
    /// Packages in the lockfile.
    pub packages_total: u64,
}

/// The steps of an installation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Writing our own files.
    Unpack,
    /// npm downloads and unpacks.
    Download,
    /// The result is tried.
    Verify,
    /// It is stamped and put in place.
    Finish,
}

/// Why an installation failed.
#[derive(Debug, thiserror::Error)]
pub enum InstallError {
    /// Cancelled; nothing is left.
    #[error("the installation was cancelled")]
    Cancelled,
    /// npm could not be found.
    #[error("npm was not found")]
    NoNpm,
    /// It failed; the last lines say why.
    #[error("{message}")]
    Failed {
        /// What happened, with the cause as far as it was recognised.
        message: String,
        /// What to do.
        hint: String,
        /// The last lines npm printed, at most 30.
        tail: Vec<String>,
    },
}

/// Installs the bridge and returns its folder. Cancelling ends npm's whole process group and removes the staged folder.
///
/// # Errors
/// See [`InstallError`]; nothing that counts as installed is left behind.
pub async fn install(
    world: &World,
    home: &HermesHome,
    node: &std::path::Path,
    progress: mpsc::Sender<Progress>,
    cancel: CancellationToken,
) -> Result<PathBuf, InstallError> {
    drop((world, home, node, progress, cancel));
    Err(InstallError::Cancelled)
}
