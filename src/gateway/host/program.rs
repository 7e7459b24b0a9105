//! Compares the program on disk with the running one. An update replaces the file; the process goes on with the old program
//! until it is restarted, and reports that.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::gateway::host::kept;
use crate::gateway::problems::Problems;

/// The problem's code.
const CODE: &str = "code_skew";

/// Interval between two looks at the file.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// The identity of a file that may be replaced. `None` where there is none.
type Mark = Option<(u64, u64, u64, i64, i64)>;

fn mark(path: &Path) -> Mark {
    let file = path.metadata().ok()?;
    Some((file.dev(), file.ino(), file.size(), file.mtime(), file.mtime_nsec()))
}

/// Looks at the file of this program from now on, and reports each change.
pub fn start(path: PathBuf, problems: Problems) {
    let at_start = mark(&path);
    // A program without a file (started from a descriptor, or a test) cannot be replaced.
    if at_start.is_some() {
        kept::keep("program", move || look(path.clone(), at_start, problems.clone()));
    }
}

async fn look(path: PathBuf, at_start: Mark, problems: Problems) {
    loop {
        tokio::time::sleep(LOOK_EVERY).await;
        // The disk may be slow.
        let looked = path.clone();
        let Ok(now) = tokio::task::spawn_blocking(move || mark(&looked)).await else { continue };
        if now == at_start {
            problems.clear(CODE, "The program on disk is the running one again");
        } else {
            problems.set(
                CODE,
                "The hermes program was replaced after this gateway started",
                "Switch to the new one with `hermes gateway restart`.",
                false,
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_replaced_or_removed_program_is_told_while_it_is() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("program");
        crate::durable::write_atomic(&path, b"old").unwrap();
        let problems = Problems::default();
        let mut seen = problems.subscribe();
        start(path.clone(), problems.clone());
        let quiet = tokio::time::timeout(LOOK_EVERY * 3, seen.changed()).await;
        assert!(quiet.is_err(), "nothing has changed");
        let old = dir.path().join("old");
        crate::durable::rename(&path, &old).unwrap();
        seen.changed().await.unwrap();
        assert!(problems.has(&[CODE]), "it is gone");
        crate::durable::write_atomic(&path, b"new").unwrap();
        drop(tokio::time::timeout(LOOK_EVERY * 3, seen.changed()).await);
        assert!(problems.has(&[CODE]), "it is still another one");
        crate::durable::rename(&old, &path).unwrap();
        seen.wait_for(Vec::is_empty).await.unwrap();
    }
}
