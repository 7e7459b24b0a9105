//! The home's lock while the gateway runs. If its file is removed, the lock is held on a file that is no longer there, and a
//! second gateway could start.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::durable::{Lock, LockError};
use crate::gateway::host::kept;
use crate::gateway::problems::Problems;

/// The problem's code.
const CODE: &str = "lock_replaced";

/// Interval between two checks of the file.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// The lock of a home, held for as long as this value lives.
#[derive(Debug)]
pub struct HomeLock {
    path: PathBuf,
    lock: Mutex<Lock>,
}

impl HomeLock {
    /// Wraps a lock that was just taken on this file.
    pub fn new(path: PathBuf, lock: Lock) -> Arc<Self> {
        Arc::new(Self { path, lock: Mutex::new(lock) })
    }

    /// Takes the lock again when the file was removed; ends the gateway when another one has it by then.
    pub fn watch(self: &Arc<Self>, problems: Problems) {
        let held = Arc::downgrade(self);
        kept::keep("lock", move || {
            let (held, problems) = (held.clone(), problems.clone());
            async move {
                loop {
                    tokio::time::sleep(LOOK_EVERY).await;
                    let Some(held) = held.upgrade() else { return };
                    let problems = problems.clone();
                    drop(tokio::task::spawn_blocking(move || held.look(&problems)).await);
                }
            }
        });
    }

    fn look(&self, problems: &Problems) {
        let mut lock = self.lock.lock().unwrap_or_else(PoisonError::into_inner);
        if lock.is_at(&self.path) {
            // The file that had taken its place may have been moved away again.
            problems.clear(CODE, "The lock is at its path again");
            return;
        }
        let path = self.path.display();
        match Lock::acquire(&self.path) {
            Ok(taken) => {
                *lock = taken;
                tracing::warn!(code = CODE, "{path} was removed or replaced; locking it again");
                problems.clear(CODE, "The lock is held again");
            }
            Err(LockError::Held { pid }) => {
                let other = pid.map_or(String::new(), |pid| format!(" (process {pid})"));
                problems.set(
                    CODE,
                    &format!("{path} was replaced, and another gateway{other} runs with this home folder; stopping this one"),
                    "Run one gateway for each home folder.",
                    true,
                );
            }
            Err(LockError::Io(error)) => problems.set(
                CODE,
                &format!("{path} was removed or replaced and cannot be locked again ({error}): a second gateway could start"),
                "Check that path, move away what is there, or run `hermes gateway restart`.",
                false,
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_removed_lock_is_taken_again_and_one_that_another_has_ends_us() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("gateway.lock");
        let problems = Problems::default();
        let home = HomeLock::new(path.clone(), Lock::acquire(&path).unwrap());
        home.look(&problems);
        std::fs::remove_file(&path).unwrap();
        home.look(&problems);
        assert!(matches!(Lock::acquire(&path), Err(LockError::Held { .. })), "it is held at its path again");
        assert!(!problems.has(&[CODE]));

        std::fs::remove_file(&path).unwrap();
        std::fs::create_dir(&path).unwrap();
        home.look(&problems);
        assert!(problems.has(&[CODE]) && !problems.subscribe().borrow()[0].ends);
        std::fs::remove_dir(&path).unwrap();
        home.look(&problems);
        assert!(!problems.has(&[CODE]), "it heals");

        let aside = dir.path().join("aside");
        crate::durable::rename(&path, &aside).unwrap();
        std::fs::create_dir(&path).unwrap();
        home.look(&problems);
        assert!(problems.has(&[CODE]));
        std::fs::remove_dir(&path).unwrap();
        crate::durable::rename(&aside, &path).unwrap();
        home.look(&problems);
        assert!(!problems.has(&[CODE]), "the held file itself is back");

        std::fs::remove_file(&path).unwrap();
        let _other = Lock::acquire(&path).unwrap();
        home.look(&problems);
        assert!(problems.subscribe().borrow()[0].ends);
    }
}
