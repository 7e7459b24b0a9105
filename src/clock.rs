//! The one place that asks the time.

use std::time::{Duration, Instant};

use jiff::Timestamp;

/// The kernel's monotonic clock, since a moment of its own: what service managers compare with theirs.
pub fn kernel() -> Duration {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    Duration::try_from(now).unwrap_or_default()
}

/// One reading of both clocks. Deciders take it as a parameter and never ask for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Now {
    /// Monotonic: for deadlines and back-off. It follows tokio's clock, which tests can pause.
    pub mono: Instant,
    /// Wall clock, UTC: for what people read and for what outlives the process.
    pub wall: Timestamp,
}

impl Now {
    /// Reads both clocks.
    #[expect(clippy::disallowed_methods, reason = "this is the file that asks the time")]
    pub fn read() -> Self {
        Self { mono: tokio::time::Instant::now().into_std(), wall: Timestamp::now() }
    }
}
