//! Starts children from one thread that lives as long as this process.
//!
//! The kernel's promise to end a child with its parent (`PR_SET_PDEATHSIG`) is about the *thread* that started it. Threads
//! of tokio's pools come and go, and a worker that blocks may hand its work to another and end; the child would be killed
//! for no reason. This thread does nothing else and never ends.

use std::io;
use std::sync::{OnceLock, mpsc};
use std::thread;

use tokio::process::{Child, Command};
use tokio::runtime::Handle;

use crate::process::child;

struct Job {
    command: Command,
    runtime: Handle,
    answer: mpsc::SyncSender<io::Result<Child>>,
}

/// Starts the child. The caller waits for the fork, as it would without this thread.
pub(crate) fn spawn(command: Command) -> io::Result<Child> {
    static JOBS: OnceLock<mpsc::SyncSender<Job>> = OnceLock::new();
    const JOBS_LEN_MAX: usize = 8;
    let runtime = Handle::try_current().map_err(io::Error::other)?;
    let jobs = JOBS.get_or_init(|| {
        let (sender, jobs) = mpsc::sync_channel(JOBS_LEN_MAX);
        let thread = thread::Builder::new().name("bridge-spawner".to_owned());
        // Without the thread the receiver is gone, and sending says so.
        drop(thread.spawn(move || work(&jobs)));
        sender
    });
    let (answer, answered) = mpsc::sync_channel(1);
    let gone = || io::Error::other("the thread that starts the bridge could not be started");
    jobs.send(Job { command, runtime, answer }).map_err(|_| gone())?;
    answered.recv().map_err(|_| gone())?
}

fn work(jobs: &mpsc::Receiver<Job>) {
    for mut job in jobs {
        let entered = job.runtime.enter();
        let child = child::spawn_async(&mut job.command);
        drop(entered);
        // The caller is gone: dropping the child ends it.
        drop(job.answer.send(child));
    }
}
