//! The clock: the one place that reads the time.

use std::time::{Duration, Instant};

use jiff::Timestamp;

/// Returns the kernel's monotonic clock, which service managers compare with theirs.
pub fn kernel() -> Duration {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    Duration::try_from(now).unwrap_or_default()
}

/// A reading of both clocks. Deciders take it as a parameter and never ask for it.
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

/// The time since the machine was started, including suspend: no setting of the clock touches it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Uptime {
    /// The id of that start of the machine.
    pub boot_id: String,
    /// Whole seconds since then.
    pub seconds: u32,
}

impl Uptime {
    /// Reads it; `None` where the system does not say.
    pub fn read() -> Option<Self> {
        let read = |path| String::from_utf8(crate::file::read_system(path, 256).ok()?).ok();
        let uptime = read("/proc/uptime")?;
        let seconds = uptime.split(['.', ' ']).next()?.parse().ok()?;
        let boot_id = read("/proc/sys/kernel/random/boot_id")?;
        Some(Self { boot_id: boot_id.trim().to_owned(), seconds })
    }
}
