//! Moves session folders aside and back. Nothing of a session is ever deleted.

use std::io;
use std::path::{Path, PathBuf};

use jiff::Timestamp;

use crate::durable::{self, Lock, LockError};
use crate::error::CliError;
use crate::file;
use crate::home::WhatsAppPaths;
use crate::pairing::{Pairing, verdict};
use crate::wizard::whatsapp::failures;

/// A session folder that was moved, with its way back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Aside {
    /// Where it was.
    pub from: PathBuf,
    /// Where it is.
    pub to: PathBuf,
}

/// The verdict on `creds.json` at this moment.
///
/// # Errors
/// When it is there and cannot be read.
pub fn read_verdict(paths: &WhatsAppPaths) -> io::Result<Pairing> {
    match file::read(paths.creds(), file::OWN_LEN_MAX) {
        Ok(bytes) => Ok(verdict(Some(&bytes))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(verdict(None)),
        Err(error) => Err(error),
    }
}

/// Moves the session folder to `session.<word>-<time>`; `None` when there is none. No bridge can start meanwhile.
///
/// # Errors
/// When a bridge uses the session, or the folder cannot be moved.
pub fn move_aside(paths: &WhatsAppPaths, word: &str, now: Timestamp) -> Result<Option<Aside>, CliError> {
    let from = paths.session_dir().to_path_buf();
    if !from.exists() {
        return Ok(None);
    }
    let lock = hold(paths)?;
    let stamp = now.strftime("%Y%m%dT%H%M%SZ").to_string();
    let to = (1..)
        .map(|copy| paths.session_aside(word, &stamp, copy))
        .find(|path| !path.exists())
        .expect("there are more numbers than folders");
    durable::rename(&from, &to).map_err(|error| cannot_move(&from, error))?;
    drop(lock);
    Ok(Some(Aside { from, to }))
}

/// Takes the session lock for a moment.
///
/// # Errors
/// When a bridge holds it.
pub fn hold(paths: &WhatsAppPaths) -> Result<Lock, CliError> {
    Lock::acquire(&paths.session_lock()).map_err(|error| match error {
        LockError::Held { pid } => failures::locked(pid),
        LockError::Io(error) => CliError::failed("the lock of the session cannot be used")
            .code("whatsapp_storage")
            .hint("Check the owner of the folder; `hermes doctor` shows its path.")
            .because(error),
    })
}

/// Brings a session back that a failed pairing was to replace, unless the new one is a pairing.
///
/// # Errors
/// When it cannot be brought back; it is then still where it was moved to.
pub fn bring_back(paths: &WhatsAppPaths, aside: &Aside, now: Timestamp) -> Result<bool, CliError> {
    if matches!(read_verdict(paths), Ok(Pairing::Paired { .. })) {
        return Ok(false);
    }
    move_aside(paths, "abandoned", now)?;
    durable::rename(&aside.to, &aside.from).map_err(|error| cannot_move(&aside.to, error))?;
    Ok(true)
}

/// Puts the last good copy of the credentials in their place.
///
/// # Errors
/// When a bridge uses the session, the copy holds no session, or the file cannot be written.
pub fn restore_copy(paths: &WhatsAppPaths) -> Result<(), CliError> {
    let lock = hold(paths)?;
    let failed = |error: io::Error| {
        CliError::failed("the last good copy of the session cannot be restored")
            .code("whatsapp_creds_corrupt")
            .hint("Run `hermes whatsapp --repair`: it moves the session aside and links again.")
            .because(error)
    };
    let copy = file::read(paths.creds_backup(), file::OWN_LEN_MAX).map_err(failed)?;
    if !matches!(verdict(Some(&copy)), Pairing::Paired { .. }) {
        return Err(failed(io::Error::other("the copy holds no session")));
    }
    durable::write_atomic(&paths.creds(), &copy).map_err(failed)?;
    drop(lock);
    Ok(())
}

fn cannot_move(path: &Path, error: io::Error) -> CliError {
    CliError::failed(format!("the session folder {} cannot be moved aside", path.display()))
        .code("whatsapp_storage")
        .hint("Check the owner of the folder above it.")
        .because(error)
}
