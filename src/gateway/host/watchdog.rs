//! Watches the loop from a thread of its own, which needs nothing of the runtime. While the loop turns, the service manager
//! is fed; a loop that no longer turns ends the process, so that somebody starts it again.
//!
//! Time is counted in looks, not read from a clock: after a suspend or a SIGSTOP the loop has had no more chance to turn
//! than the thread had to look, and a look later it has.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::error::ExitCode;
use crate::gateway::host::notify::Notify;
use crate::logging;

/// How long the loop may stand still where the service manager does not say.
pub const STALL_LIMIT: Duration = Duration::from_secs(60);

/// Looks in a row without a turn, until the loop counts as stalled. One look less than the manager's interval holds, so that
/// we are the first to act and can say why.
const QUIET_LOOKS_MAX: u32 = 3;

/// How many looks the limit is divided into.
const LOOKS: u32 = QUIET_LOOKS_MAX + 1;

/// How long the last line may take: the log itself may be what hangs.
const LAST_LINE_LIMIT: Duration = Duration::from_secs(1);

/// The loop's heartbeat.
#[derive(Debug, Clone, Default)]
pub struct Pulse {
    turns: Arc<AtomicU64>,
    last: Arc<Mutex<Option<Instant>>>,
    limit: Option<Duration>,
}

impl Pulse {
    /// A pulse that may rest for `limit` at most.
    pub fn new(limit: Duration) -> Self {
        Self { limit: Some(limit), ..Self::default() }
    }

    /// The loop has turned.
    pub fn beat(&self, now: Instant) {
        self.turns.fetch_add(1, Ordering::Relaxed);
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Some(now);
    }

    /// How long ago the loop last turned; `None` when it has not turned yet.
    pub fn age(&self, now: Instant) -> Option<Duration> {
        let last = *self.last.lock().unwrap_or_else(PoisonError::into_inner);
        last.map(|last| now.saturating_duration_since(last))
    }

    /// How often the loop must turn although nothing happens: twice between two looks.
    pub fn rest_max(&self) -> Duration {
        self.limit.unwrap_or(STALL_LIMIT) / LOOKS / 2
    }

    fn look_every(&self) -> Duration {
        self.limit.unwrap_or(STALL_LIMIT) / LOOKS
    }
}

/// What a look sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Seen {
    Turning,
    Quiet,
    Stalled,
}

#[derive(Debug, Default)]
struct Looks {
    turns: u64,
    quiet: u32,
}

impl Looks {
    fn look(&mut self, turns: u64) -> Seen {
        if turns != self.turns {
            *self = Self { turns, quiet: 0 };
            return Seen::Turning;
        }
        self.quiet += 1;
        if self.quiet < QUIET_LOOKS_MAX { Seen::Quiet } else { Seen::Stalled }
    }
}

/// The watching thread; it ends when this is dropped.
#[derive(Debug)]
pub struct Watchdog {
    _alive: SyncSender<()>,
}

impl Watchdog {
    /// Begins to watch. `stalled` is called, once, when the loop has stood still; it is expected not to return.
    ///
    /// # Errors
    /// When the system has no room for a thread.
    pub fn start(
        pulse: Pulse,
        notify: Notify,
        stalled: impl FnOnce() + Send + 'static,
    ) -> std::io::Result<Self> {
        let (alive, ended) = sync_channel::<()>(0);
        let thread = std::thread::Builder::new().name("watchdog".to_owned());
        drop(thread.spawn(move || {
            let mut looks = Looks::default();
            while ended.recv_timeout(pulse.look_every()) == Err(RecvTimeoutError::Timeout) {
                match looks.look(pulse.turns.load(Ordering::Relaxed)) {
                    Seen::Turning => notify.tell("WATCHDOG=1"),
                    Seen::Quiet => {}
                    Seen::Stalled => return stalled(),
                }
            }
        })?);
        Ok(Self { _alive: alive })
    }
}

/// Ends the process because its loop stands still. The store is made for that, and the bridge ends with us.
#[expect(clippy::disallowed_methods, reason = "the loop that would return the exit code stands still")]
pub fn abort() {
    let (told, is_told) = sync_channel(1);
    let line = std::thread::Builder::new().spawn(move || {
        tracing::error!(
            code = "loop_stalled",
            "The gateway's main loop hangs; exiting so that it is restarted"
        );
        logging::flush();
        let _late = told.send(());
    });
    if line.is_ok() {
        let _late = is_told.recv_timeout(LAST_LINE_LIMIT);
    }
    std::process::exit(i32::from(ExitCode::Failed as u8));
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixDatagram;

    use super::*;
    use crate::world::World;

    #[test]
    fn a_loop_is_stalled_after_three_looks_in_a_row_without_a_turn() {
        let mut looks = Looks::default();
        for (turns, seen) in [
            (0, Seen::Quiet),
            (0, Seen::Quiet),
            (1, Seen::Turning),
            (1, Seen::Quiet),
            (5, Seen::Turning),
            (5, Seen::Quiet),
            (5, Seen::Quiet),
            (5, Seen::Stalled),
        ] {
            assert_eq!(looks.look(turns), seen, "at {turns}");
        }
    }

    #[test]
    fn the_manager_is_fed_while_the_loop_turns_and_a_stall_is_acted_on_once() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("notify");
        let socket = UnixDatagram::bind(&path).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        let notify = Notify::of(&World::of_env([("NOTIFY_SOCKET", path.as_os_str())]));
        let pulse = Pulse::new(Duration::from_millis(80));
        let (told, stalled) = sync_channel(8);
        let _watchdog = Watchdog::start(pulse.clone(), notify, move || told.send(()).unwrap()).unwrap();
        let mut bytes = [0; 64];
        for _ in 0..3 {
            pulse.beat(crate::clock::Now::read().mono);
            let length = socket.recv(&mut bytes).unwrap();
            assert_eq!(&bytes[..length], b"WATCHDOG=1");
        }
        stalled.recv_timeout(Duration::from_secs(60)).unwrap();
        assert!(stalled.recv_timeout(Duration::from_secs(60)).is_err(), "the thread has ended");
        socket.set_nonblocking(true).unwrap();
        assert!(socket.recv(&mut bytes).is_err(), "a loop that stands still feeds nobody");
    }

    #[test]
    fn nobody_watches_a_loop_that_has_ended() {
        let (told, stalled) = sync_channel(1);
        let watchdog =
            Watchdog::start(Pulse::new(Duration::from_millis(200)), Notify::default(), move || {
                told.send(()).unwrap();
            })
            .unwrap();
        drop(watchdog);
        assert!(stalled.recv_timeout(Duration::from_secs(60)).is_err(), "the thread ended without acting");
    }
}
