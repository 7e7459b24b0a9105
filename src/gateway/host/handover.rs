//! One gateway for each home. A second one waits until the first has ended, at most as long as a drain may take, and touches
//! nothing until it has the lock.
//!
//! The lock is the kernel's (flock): it is free at once when its owner is killed. A pid in a file decides nothing, so no
//! process is ever signalled for it.

use std::time::Duration;

use crate::clock::Now;
use crate::durable::{Lock, LockError};
use crate::error::CliError;
use crate::home::HermesHome;
use crate::progress::Progress;
use crate::world::World;

/// Time that the owner needs beside its drain, to close its links and its store.
const BESIDE_DRAIN: Duration = Duration::from_secs(10);

/// Interval between two checks of the lock.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// Returns the longest wait, where the owner of this home is allowed `drain_timeout` for its end.
pub fn limit(drain_timeout: Duration) -> Duration {
    drain_timeout + BESIDE_DRAIN
}

/// Takes the home's lock, within [`limit`].
///
/// # Errors
/// Exit 78 when another gateway still holds it at the limit, or when something else stands in its place; 1 when the disk
/// does not take it.
pub async fn take(world: &World, home: &HermesHome, drain_timeout: Duration) -> Result<Lock, CliError> {
    let path = home.lock_file();
    let limit = limit(drain_timeout);
    let begun = Now::read().mono;
    let deadline = begun + limit;
    let mut progress = Progress::new(world, begun);
    let mut is_told = false;
    loop {
        match Lock::acquire(&path) {
            Ok(lock) => return Ok(lock),
            Err(LockError::Io(error)) => {
                return Err(CliError::file(
                    format!("the lock {} cannot be used", path.display()),
                    &path,
                    error,
                ));
            }
            Err(LockError::Held { pid }) => {
                let owner = pid.map_or(String::new(), |pid| format!(" (process {pid})"));
                if Now::read().mono >= deadline {
                    return Err(CliError::config(format!(
                        "another gateway{owner} is running with this home folder"
                    ))
                    .code("gateway_lock")
                    .hint("Stop it with `hermes gateway stop`, or set HERMES_HOME to another folder."));
                }
                if !is_told {
                    is_told = true;
                    let limit = limit.as_secs();
                    tracing::info!(
                        code = "gateway_lock",
                        "another gateway{owner} is running with this home folder; waiting up to {limit} s for it to stop. \
                         `hermes gateway stop` stops it"
                    );
                }
                progress.show(Now::read().mono, "Waiting for the other gateway to stop");
            }
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ExitCode;

    #[tokio::test(start_paused = true)]
    async fn a_lock_that_another_gateway_holds_is_waited_for_and_then_named() {
        let dir = tempfile::tempdir().unwrap();
        let home = HermesHome::at(dir.path());
        let held = Lock::acquire(&home.lock_file()).unwrap();
        let begun = Now::read().mono;
        let world = World::of_env::<&str, &str>([]);
        let error = take(&world, &home, Duration::from_secs(30)).await.unwrap_err();
        let waited = Now::read().mono.duration_since(begun);
        assert!(waited >= Duration::from_secs(40) && waited < Duration::from_secs(41), "{waited:?}");
        assert_eq!(error.exit(), ExitCode::Config);
        assert!(error.message.contains(&std::process::id().to_string()), "{error}");
        drop(held);
        take(&world, &home, Duration::ZERO).await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn a_pid_that_is_only_written_down_is_waited_for_by_nobody() {
        let dir = tempfile::tempdir().unwrap();
        let home = HermesHome::at(dir.path());
        // Our own pid: it is alive, and it has nothing to do with a gateway of this home.
        crate::durable::write_atomic(&home.lock_file(), std::process::id().to_string().as_bytes()).unwrap();
        let begun = Now::read().mono;
        take(&World::of_env::<&str, &str>([]), &home, Duration::from_secs(30)).await.unwrap();
        assert_eq!(Now::read().mono, begun);
    }
}
