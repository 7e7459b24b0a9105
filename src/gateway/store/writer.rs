//! The threads that own the database connections, and natural group commit.
//!
//! The writer commits at once when it is idle. While a commit waits for the disk, the next operations gather in the queue;
//! it then takes all of them into one transaction. It never waits to collect more, so an operation alone costs one flush,
//! and a thousand at once cost a few.

use std::thread::JoinHandle;

use rusqlite::{Connection, ErrorCode};
use tokio::sync::{mpsc, oneshot};

use super::api::StoreError;
use super::health::Fault;
use crate::failpoint;
use crate::gateway::problems::Problems;
use crate::gateway::store::recovery::{DAMAGE, Reading, Recovery, lock};

/// Limit for the operations in the queue; further callers wait.
const QUEUE_MAX: usize = 1024;

/// Limit for the operations in one transaction, and so for those that a failing commit affects.
const BATCH_MAX: usize = 512;

/// The disk space that an operation needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Need {
    /// It adds something new: it is refused while there is no space.
    Room,
    /// It ends something, or puts it back: the reserve is for this.
    Reserve,
}

/// Operations that are done together.
#[derive(Default)]
pub(super) struct Batch(Vec<Box<dyn Job>>);

impl Batch {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn has(&self, need: Need) -> bool {
        self.0.iter().any(|job| job.need() == need)
    }

    /// Refuses the operations with this need.
    pub(super) fn refuse(&mut self, need: Need, error: &StoreError) {
        for job in self.0.extract_if(.., |job| job.need() == need) {
            job.answer(Err(error.clone()));
        }
    }

    pub(super) fn refuse_all(&mut self, error: &StoreError) {
        for job in self.0.drain(..) {
            job.answer(Err(error.clone()));
        }
    }
}

/// One operation: it runs inside a transaction, and gets the transaction's result.
trait Job: Send {
    fn need(&self) -> Need;
    fn run(&mut self, db: &Connection) -> rusqlite::Result<()>;
    fn answer(self: Box<Self>, committed: Result<(), StoreError>);
}

struct Task<F, T> {
    need: Need,
    work: Option<F>,
    outcome: Option<T>,
    reply: oneshot::Sender<Result<T, StoreError>>,
}

impl<F, T> Job for Task<F, T>
where
    F: FnOnce(&Connection) -> rusqlite::Result<T> + Send,
    T: Send,
{
    fn need(&self) -> Need {
        self.need
    }

    fn run(&mut self, db: &Connection) -> rusqlite::Result<()> {
        if let Some(work) = self.work.take() {
            self.outcome = Some(work(db)?);
        }
        Ok(())
    }

    fn answer(self: Box<Self>, committed: Result<(), StoreError>) {
        let Self { outcome, reply, .. } = *self;
        let answer = committed
            .and_then(|()| outcome.ok_or_else(|| StoreError::Failed("the operation did not run".to_owned())));
        // The caller may be gone: the operation stands all the same.
        drop(reply.send(answer));
    }
}

/// A thread with its own connection.
pub(super) struct Worker {
    queue: Option<mpsc::Sender<Box<dyn Job>>>,
    thread: Option<JoinHandle<()>>,
}

impl Worker {
    /// A thread that gathers queued operations into transactions.
    pub(super) fn writer(mut care: Recovery) -> Result<Self, StoreError> {
        Self::spawn("store-write", move |jobs| care.write(jobs))
    }

    /// A thread that reads, beside the writer: it does not wait for the disk.
    pub(super) fn reader(reading: Reading, problems: Problems) -> Result<Self, StoreError> {
        Self::spawn("store-read", move |jobs| {
            let db = lock(&reading);
            let Some(db) = db.as_ref() else { return jobs.refuse_all(&closed()) };
            for mut job in jobs.0.drain(..) {
                let outcome = job.run(db).map_err(|error| {
                    if Fault::of(&error) == Some(Fault::Damage) {
                        // The writer checks it.
                        problems.set(DAMAGE, "the database is damaged", "", false);
                    }
                    store_error(&error)
                });
                job.answer(outcome);
            }
        })
    }

    fn spawn(name: &str, mut run: impl FnMut(&mut Batch) + Send + 'static) -> Result<Self, StoreError> {
        let (queue, mut jobs) = mpsc::channel::<Box<dyn Job>>(QUEUE_MAX);
        let thread = std::thread::Builder::new()
            .name(name.to_owned())
            .spawn(move || {
                let mut batch = Batch(Vec::with_capacity(BATCH_MAX));
                while let Some(job) = jobs.blocking_recv() {
                    batch.0.push(job);
                    while batch.0.len() < BATCH_MAX
                        && let Ok(job) = jobs.try_recv()
                    {
                        batch.0.push(job);
                    }
                    run(&mut batch);
                }
            })
            .map_err(|error| StoreError::Failed(format!("cannot start a thread: {error}")))?;
        Ok(Self { queue: Some(queue), thread: Some(thread) })
    }

    /// Queues the operation and waits until its transaction has ended.
    pub(super) async fn call<T, F>(&self, work: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    {
        self.call_for(Need::Reserve, work).await
    }

    /// The same for an operation with this need.
    pub(super) async fn call_for<T, F>(&self, need: Need, work: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    {
        let (reply, answer) = oneshot::channel();
        let gone = || StoreError::Failed("the store's thread stopped".to_owned());
        let queue = self.queue.as_ref().ok_or_else(gone)?;
        queue
            .send(Box::new(Task { need, work: Some(work), outcome: None, reply }))
            .await
            .map_err(|_| gone())?;
        answer.await.map_err(|_| gone())?
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        // The thread finishes what is queued and closes the connection.
        self.queue = None;
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}

pub(super) fn closed() -> StoreError {
    StoreError::Failed("the store is closed".to_owned())
}

/// Runs all operations in one transaction. A savepoint each keeps one's failure from the others. Returns the fault of the
/// database or its disk.
pub(super) fn write_all(db: &Connection, jobs: &mut Batch) -> Result<(), (Fault, String)> {
    let mut outcomes = Vec::with_capacity(jobs.0.len());
    let committed = execute(db, "BEGIN IMMEDIATE").and_then(|()| {
        for job in &mut jobs.0 {
            outcomes.push(write_one(db, job.as_mut())?);
        }
        failpoint::check("commit.before").map_err(as_sqlite)?;
        execute(db, "COMMIT")?;
        failpoint::check("commit.after").map_err(as_sqlite)
    });
    let suffered = |error: &rusqlite::Error| Fault::of(error).map(|mishap| (mishap, error.to_string()));
    if let Err(error) = &committed {
        if !db.is_autocommit()
            && let Err(error) = execute(db, "ROLLBACK")
        {
            tracing::error!(code = "undo_failed", %error, "the store cannot undo a failed transaction");
        }
        jobs.refuse_all(&store_error(error));
        return suffered(error).map_or(Ok(()), Err);
    }
    let mishap = outcomes.iter().filter_map(|outcome| outcome.as_ref().err()).find_map(suffered);
    for (job, outcome) in jobs.0.drain(..).zip(outcomes) {
        job.answer(outcome.map_err(|error| store_error(&error)));
    }
    mishap.map_or(Ok(()), Err)
}

/// Runs one operation. The inner result is the operation's own; the outer error ends the whole transaction.
fn write_one(db: &Connection, job: &mut dyn Job) -> rusqlite::Result<rusqlite::Result<()>> {
    execute(db, "SAVEPOINT job")?;
    let outcome = job.run(db);
    if let Err(error) = outcome {
        // A full disk or an I/O error can make SQLite roll the whole transaction back by itself; then no savepoint is left,
        // and none of the other operations' work.
        if db.is_autocommit() {
            return Err(error);
        }
        execute(db, "ROLLBACK TO job")?;
        execute(db, "RELEASE job")?;
        return Ok(Err(error));
    }
    execute(db, "RELEASE job")?;
    Ok(Ok(()))
}

fn execute(db: &Connection, statement: &str) -> rusqlite::Result<()> {
    db.prepare_cached(statement)?.execute([])?;
    Ok(())
}

/// The error of a failing disk in a test, where SQLite would report it.
fn as_sqlite(_: std::io::Error) -> rusqlite::Error {
    rusqlite::Error::SqliteFailure(rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_IOERR_FSYNC), None)
}

/// The failure, as the trait names it. SQLite's messages hold table names and paths, never values.
pub(super) fn store_error(error: &rusqlite::Error) -> StoreError {
    match error.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => StoreError::Full,
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => StoreError::Damaged(error.to_string()),
        Some(ErrorCode::SystemIoFailure) => StoreError::Fault(error.to_string()),
        Some(_) | None => StoreError::Failed(error.to_string()),
    }
}
