//! The queue between the program and the reader of its log. A reader that stops reading (Ctrl-S, `less`, a full pipe) must not stop
//! the gateway: what does not fit is dropped and counted.

use std::io::{self, Write};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::Duration;

use tracing_subscriber::fmt::MakeWriter;

/// Lines that wait to be written.
const LINES_MAX: usize = 1024;

/// The longest that an end of the process waits for the reader.
const FLUSH_LIMIT: Duration = Duration::from_millis(300);

/// The queue of this process.
static QUEUE: OnceLock<Queue> = OnceLock::new();

enum Entry {
    Line(Vec<u8>),
    /// Everything before is written.
    Mark(SyncSender<()>),
}

/// Where lines are put; a thread writes them.
#[derive(Debug, Clone)]
pub(super) struct Queue {
    entries: SyncSender<Entry>,
}

static LOST: AtomicU64 = AtomicU64::new(0);

impl Queue {
    /// The queue of standard error, with its thread.
    ///
    /// # Errors
    /// When no thread can be started.
    pub(super) fn of_stderr() -> io::Result<Self> {
        let (queue, lines) = Self::new();
        std::thread::Builder::new().name("log".to_owned()).spawn(move || write(&lines, &mut io::stderr()))?;
        // Kept for the end of the process; there is one log.
        drop(QUEUE.set(queue.clone()));
        Ok(queue)
    }

    fn new() -> (Self, Receiver<Entry>) {
        let (entries, lines) = sync_channel(LINES_MAX);
        (Self { entries }, lines)
    }
}

/// Writes until the queue is gone. Nothing can be done about a line that cannot be written.
fn write(lines: &Receiver<Entry>, out: &mut dyn Write) {
    for entry in lines {
        match entry {
            Entry::Line(line) => {
                out.write_all(&line).ok();
            }
            Entry::Mark(written) => {
                written.try_send(()).ok();
            }
        }
        let lost = LOST.swap(0, Ordering::Relaxed);
        if lost > 0 {
            tracing::warn!(
                code = "log_lines_lost",
                lost,
                "Dropped {lost} lines of the log: they were not read in time"
            );
        }
    }
}

impl Write for Queue {
    /// Takes one line, whole.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        if self.entries.try_send(Entry::Line(line.to_vec())).is_err() {
            LOST.fetch_add(1, Ordering::Relaxed);
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Queue {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

/// Waits until what was logged is written, for 0.3 s at most. For the end of the process.
pub fn flush() {
    let Some(queue) = QUEUE.get() else { return };
    let (mark, written) = sync_channel(1);
    if queue.entries.try_send(Entry::Mark(mark)).is_ok() {
        written.recv_timeout(FLUSH_LIMIT).ok();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reader_that_does_not_read_holds_nobody_up_and_the_lines_come_in_order() {
        let (mut queue, lines) = Queue::new();
        for number in 0..2 * LINES_MAX {
            queue.write_all(format!("{number}\n").as_bytes()).unwrap();
        }
        assert_eq!(LOST.load(Ordering::Relaxed), u64::try_from(LINES_MAX).unwrap());
        drop(queue);
        let mut page = Vec::new();
        write(&lines, &mut page);
        let expected: String = (0..LINES_MAX).map(|number| format!("{number}\n")).collect();
        assert_eq!(String::from_utf8(page).unwrap(), expected);
        assert_eq!(LOST.load(Ordering::Relaxed), 0, "they were counted and said");
    }
}
