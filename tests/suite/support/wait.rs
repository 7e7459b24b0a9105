//! Waiting for a condition with a deadline; the only place that pauses.

use std::io::Read;
use std::time::{Duration, Instant};

/// Limit for every wait, longer than anything takes on a slow machine; a test that reaches it has failed.
pub(crate) const LIMIT: Duration = Duration::from_secs(60);

/// Polls until there is an answer. `None` when the deadline has passed.
pub(crate) fn until<T>(limit: Duration, mut ask: impl FnMut() -> Option<T>) -> Option<T> {
    let deadline = Instant::now() + limit;
    loop {
        if let Some(answer) = ask() {
            return Some(answer);
        }
        if Instant::now() >= deadline {
            return None;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Returns when a service has read everything that came before this connection, of which our half is closed, and when it
/// reports that none of the others is left.
pub(crate) fn hush(mut last: impl Read, is_alone: impl Fn() -> bool) {
    drop(last.read_to_end(&mut Vec::new()));
    until(LIMIT, || is_alone().then_some(())).expect("the service still hears somebody who is gone");
}
