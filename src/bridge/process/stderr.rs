//! The stderr of a child: redacted, kept as a short tail, and logged at DEBUG within a rate limit.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use tokio::io::AsyncReadExt;
use tokio::process::ChildStderr;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tracing::debug;

use crate::clock::Now;
use crate::process::splitter::Splitter;
use crate::redact;

/// Lines kept in the tail.
const TAIL_LEN_MAX: usize = 20;
/// Lines logged within [`WINDOW`]; further ones are only counted.
const LOGGED_MAX: u32 = 50;
const WINDOW: Duration = Duration::from_secs(10);

/// A follower of the stream, until it ends.
pub(crate) struct Tail {
    task: JoinHandle<()>,
    lines: std::sync::Arc<std::sync::Mutex<VecDeque<String>>>,
}

impl Tail {
    /// Starts to follow the stream. `who`: for the log.
    pub(crate) fn follow(stderr: ChildStderr, pid: Option<u32>, who: &'static str) -> Self {
        let lines = std::sync::Arc::default();
        let task = tokio::spawn(follow(stderr, pid, who, std::sync::Arc::clone(&lines)));
        Self { task, lines }
    }

    /// Returns the last lines; waits for the end of the stream, at most `limit`.
    pub(crate) async fn finish(&mut self, limit: Duration) -> Vec<String> {
        drop(timeout(limit, &mut self.task).await);
        let mut lines = self.lines.lock().expect("no holder of the tail panics");
        std::mem::take(&mut *lines).into()
    }
}

impl Drop for Tail {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn follow(
    mut stderr: ChildStderr,
    pid: Option<u32>,
    who: &'static str,
    tail: std::sync::Arc<std::sync::Mutex<VecDeque<String>>>,
) {
    let mut splitter = Splitter::default();
    let mut gate = Gate::new(Now::read().mono);
    let mut chunk = vec![0; 4096];
    loop {
        let (lines, is_end) = match stderr.read(&mut chunk).await {
            Ok(0) | Err(_) => (splitter.finish().into_iter().collect(), true),
            Ok(len) => (splitter.push(&chunk[..len]), false),
        };
        for line in lines {
            let line = redact::shapes(&line).into_owned();
            match gate.pass(Now::read().mono) {
                Pass::Log { suppressed: 0 } => debug!(pid, line, "{who} says"),
                Pass::Log { suppressed } => debug!(pid, line, suppressed, "{who} says"),
                Pass::Suppress => {}
            }
            let mut tail = tail.lock().expect("no holder of the tail panics");
            if tail.len() == TAIL_LEN_MAX {
                tail.pop_front();
            }
            tail.push_back(redact::numbers(&line).into_owned());
        }
        if is_end {
            return;
        }
    }
}

/// A rate limit: some lines pass in each window.
struct Gate {
    since: Instant,
    passed: u32,
    suppressed: u32,
}

#[derive(Debug, PartialEq, Eq)]
enum Pass {
    Log { suppressed: u32 },
    Suppress,
}

impl Gate {
    fn new(now: Instant) -> Self {
        Self { since: now, passed: 0, suppressed: 0 }
    }

    fn pass(&mut self, now: Instant) -> Pass {
        if now.duration_since(self.since) >= WINDOW {
            self.since = now;
            self.passed = 0;
        }
        if self.passed == LOGGED_MAX {
            self.suppressed = self.suppressed.saturating_add(1);
            return Pass::Suppress;
        }
        self.passed += 1;
        Pass::Log { suppressed: std::mem::take(&mut self.suppressed) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_is_counted_and_not_logged() {
        let start = Now::read().mono;
        let mut gate = Gate::new(start);
        for _ in 0..LOGGED_MAX {
            assert_eq!(gate.pass(start), Pass::Log { suppressed: 0 });
        }
        assert_eq!(gate.pass(start), Pass::Suppress);
        assert_eq!(gate.pass(start), Pass::Suppress);
        assert_eq!(gate.pass(start + WINDOW), Pass::Log { suppressed: 2 });
        assert_eq!(gate.pass(start + WINDOW), Pass::Log { suppressed: 0 });
    }
}
