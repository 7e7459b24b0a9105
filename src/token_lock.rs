//! Token locks: a bot token is used by one gateway of this machine at a time, whatever its home.
//!
//! Two gateways with the same token would take each other's messages away, and each would look well. The lock is the
//! kernel's (flock), on a file that is named by a hash of the token: a killed owner's is free at once, and what is written in
//! the file is for people to read and decides nothing.

use std::io::{self, Read};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::durable::{self, Lock, LockError};
use crate::home::{HermesHome, token_locks_dir};
use crate::platforms::Platform;
use crate::world::World;

/// Most of a lock file that is read.
const TEXT_LEN_MAX: u64 = 8 * 1024;

/// So much of the hash is in the name: 128 bits.
const HASH_LEN: usize = 16;

/// Where the locks are, and in whose name they are taken.
#[derive(Debug, Clone)]
pub struct TokenLocks {
    dir: PathBuf,
    home: PathBuf,
}

/// A token that no other gateway of this machine may use. Free when dropped, and when the process ends, however it does.
#[derive(Debug)]
pub struct TokenLock {
    path: PathBuf,
    _lock: Lock,
}

/// Who holds a lock, as it wrote itself down.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holder {
    /// Its process.
    pub pid: u32,
    /// The home of its gateway.
    pub home: PathBuf,
    /// The platform that the token is of.
    pub platform: String,
}

/// Why a token could not be taken.
#[derive(Debug, thiserror::Error)]
pub enum TokenLockError {
    /// Another gateway uses it.
    #[error("another local gateway is already using this token{}", .0.as_ref().map(described).unwrap_or_default())]
    Held(Option<Holder>),
    /// The folder or the file cannot be used.
    #[error(transparent)]
    Io(#[from] io::Error),
}

fn described(holder: &Holder) -> String {
    format!(" (process {}, home {})", holder.pid, holder.home.display())
}

impl TokenLocks {
    /// The locks of this user. `None` when no variable tells where they are.
    pub fn of(world: &World, home: &HermesHome) -> Option<Self> {
        Some(Self { dir: token_locks_dir(world)?, home: home.root().to_path_buf() })
    }

    /// Takes a platform's token. Below 10 ms; the file never holds the token.
    ///
    /// # Errors
    /// [`TokenLockError::Held`] when another gateway uses it, [`TokenLockError::Io`] when nobody can tell.
    pub fn take(&self, platform: Platform, token: &str) -> Result<TokenLock, TokenLockError> {
        durable::create_private_dir(&self.dir)?;
        let path = self.path(platform, token);
        let us = Holder { pid: std::process::id(), home: self.home.clone(), platform: platform.to_string() };
        let text = serde_json::to_string(&us).map_err(io::Error::from)? + "\n";
        match Lock::acquire_saying(&path, &text) {
            Ok(lock) => Ok(TokenLock { path, _lock: lock }),
            Err(LockError::Held { .. }) => Err(TokenLockError::Held(holder(&path))),
            Err(LockError::Io(error)) => Err(error.into()),
        }
    }

    /// The lock's file: the same for everybody who has this token.
    fn path(&self, platform: Platform, token: &str) -> PathBuf {
        let hash = Sha256::new().chain_update(platform.spec().name).chain_update([0]).chain_update(token);
        let hash: String = hash.finalize().iter().take(HASH_LEN).map(|byte| format!("{byte:02x}")).collect();
        self.dir.join(format!("{platform}-token-{hash}.lock"))
    }
}

impl TokenLock {
    /// True when it is the lock of this token.
    pub fn is_of(&self, locks: &TokenLocks, platform: Platform, token: &str) -> bool {
        self.path == locks.path(platform, token)
    }
}

/// What the holder wrote; `None` when it has not yet.
fn holder(path: &Path) -> Option<Holder> {
    let mut text = String::new();
    crate::file::open(path).ok()?.take(TEXT_LEN_MAX).read_to_string(&mut text).ok()?;
    serde_json::from_str(&text).ok()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    const TOKEN: &str = "123456:not-a-real-token";

    fn locks(dir: &Path, home: &str) -> TokenLocks {
        TokenLocks { dir: dir.join("state").join("locks"), home: PathBuf::from(home) }
    }

    fn platform() -> Platform {
        Platform::scripted(1).unwrap()
    }

    #[test]
    fn a_token_has_one_owner_who_is_named_and_its_lock_ends_with_the_owner() {
        let dir = tempfile::tempdir().unwrap();
        let (one, two) = (locks(dir.path(), "/one"), locks(dir.path(), "/two"));
        let lock = one.take(platform(), TOKEN).unwrap();
        let refused = two.take(platform(), TOKEN).unwrap_err();
        let said = refused.to_string();
        assert!(said.contains(&format!("process {}, home /one", std::process::id())), "{said}");
        drop(two.take(platform(), "654321:another").unwrap());
        drop(two.take(Platform::scripted(2).unwrap(), TOKEN).unwrap());
        drop(lock);
        two.take(platform(), TOKEN).unwrap();
    }

    #[test]
    fn nobody_but_the_user_sees_the_locks_and_nobody_sees_the_token() {
        let dir = tempfile::tempdir().unwrap();
        let locks = locks(dir.path(), "/one");
        let lock = locks.take(platform(), TOKEN).unwrap();
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&locks.dir), mode(&lock.path)), (0o700, 0o600));
        let shown = format!("{}{}", lock.path.display(), std::fs::read_to_string(&lock.path).unwrap());
        assert!(!shown.contains("not-a-real-token") && !shown.contains("123456"), "{shown}");
    }

    #[test]
    fn what_is_written_in_a_free_lock_means_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let locks = locks(dir.path(), "/one");
        let path = locks.path(platform(), TOKEN);
        drop(locks.take(platform(), TOKEN).unwrap());
        // A process that is alive and has nothing to do with it; and no document at all, of more bytes than ours.
        for text in
            [format!(r#"{{"pid":{},"home":"/x","platform":"y"}}"#, std::process::id()), "x".repeat(9000)]
        {
            durable::write_atomic(&path, text.as_bytes()).unwrap();
            let lock = locks.take(platform(), TOKEN).unwrap();
            assert_eq!(holder(&path).unwrap().home, PathBuf::from("/one"));
            drop(lock);
        }
    }

    #[test]
    fn a_folder_that_cannot_be_made_is_an_error_of_its_own() {
        let dir = tempfile::tempdir().unwrap();
        durable::write_atomic(&dir.path().join("state"), b"in the way").unwrap();
        let refused = locks(dir.path(), "/one").take(platform(), TOKEN);
        assert!(matches!(refused, Err(TokenLockError::Io(_))), "{refused:?}");
    }
}
