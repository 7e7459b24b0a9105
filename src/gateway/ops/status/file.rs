//! The one writer of `gateway_state.json`. It writes the loop's documents, whole, and does not block the loop: only the
//! newest document waits, and a failed write is logged once an hour and replaced by the next.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::clock::Now;
use crate::durable::write_atomic;
use crate::gateway::host::kept;
use crate::gateway::model::snapshot::Snapshot;

/// The pause after a write: a flapping platform does not wear the disk out.
const PAUSE: Duration = Duration::from_millis(50);

/// The pause between two log lines about failing writes.
const TELL_EVERY: Duration = Duration::from_secs(3600);

/// Limit for the last write.
const LAST_WRITE_LIMIT: Duration = Duration::from_secs(2);

/// The status file.
#[derive(Debug)]
pub struct StatusFile {
    newest: watch::Sender<Option<Snapshot>>,
    writer: JoinHandle<()>,
}

impl StatusFile {
    /// Starts the writer. The folder must be there.
    pub fn start(path: PathBuf) -> Self {
        let (newest, documents) = watch::channel(None);
        let writer = kept::keep("status", move || write_all(path.clone(), documents.clone()));
        Self { newest, writer }
    }

    /// Writes this document within 100 ms, unless a newer one comes first.
    pub fn publish(&self, snapshot: Snapshot) {
        self.newest.send_replace(Some(snapshot));
    }

    /// A receiver of each document that is published.
    pub fn subscribe(&self) -> watch::Receiver<Option<Snapshot>> {
        self.newest.subscribe()
    }

    /// Waits until the newest document is written, at most 2 s.
    pub async fn finish(self) {
        let Self { newest, writer } = self;
        drop(newest);
        if tokio::time::timeout(LAST_WRITE_LIMIT, writer).await.is_err() {
            tracing::warn!(code = "state_file_unwritten", "the last state could not be written in time");
        }
    }
}

async fn write_all(path: PathBuf, mut documents: watch::Receiver<Option<Snapshot>>) {
    let mut told: Option<Instant> = None;
    // An unseen document is still returned when its sender is gone.
    while documents.changed().await.is_ok() {
        let Some(snapshot) = documents.borrow_and_update().clone() else { continue };
        let target = path.clone();
        let written = tokio::task::spawn_blocking(move || write_atomic(&target, &snapshot.to_bytes())).await;
        if let Ok(Err(error)) = written {
            let now = Now::read().mono;
            if told.is_none_or(|at| now.duration_since(at) >= TELL_EVERY) {
                told = Some(now);
                tracing::warn!(
                    code = "state_file_unwritten",
                    "gateway_state.json cannot be written ({error}); the gateway continues"
                );
            }
        }
        tokio::time::sleep(PAUSE).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gateway::model::snapshot::tests::example;

    #[tokio::test]
    async fn the_newest_document_is_on_disk_when_the_writer_has_finished() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("gateway_state.json");
        let file = StatusFile::start(path.clone());
        for pid in 1..=50 {
            file.publish(Snapshot { pid, ..example() });
        }
        file.finish().await;
        assert_eq!(Snapshot::read(&std::fs::read(&path).unwrap()).unwrap().pid, 50);
    }

    #[tokio::test]
    async fn a_folder_that_is_gone_disturbs_nobody() {
        let file = StatusFile::start("/nonexistent/gateway_state.json".into());
        file.publish(example());
        file.finish().await;
    }
}
