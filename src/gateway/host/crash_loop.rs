//! The crash-loop guard: detects that the gateway dies again and again soon after its start. Then it is in *safe mode*:
//! messages that it was working on in more than one of these crashes are given up, and all else goes on.
//!
//! Two rules give up a message that crashes us. This one holds where the crashes are close together: it comes first, at the
//! start itself, before a turn is begun. The limit on attempts ([`crate::gateway::pipeline`]) holds however far apart they
//! are.

use std::path::PathBuf;
use std::time::Duration;

use jiff::Timestamp;

use crate::clock::Now;
use crate::durable;
use crate::file;
use crate::gateway::host::kept;
use crate::gateway::problems::Problems;

/// The problem's code.
const CODE: &str = "safe_mode";

/// Time for which a start without an orderly end counts, in seconds.
const LATE_S: i64 = 120;

/// Number of such starts that is too many.
const STORM_STARTS: usize = 3;

/// Most starts that are remembered.
const REMEMBERED_MAX: usize = 16;

/// Time without a crash after which safe mode is over.
const STABLE_AFTER: Duration = Duration::from_secs(600);

/// The recent starts that came to no orderly end, and this one.
#[derive(Debug)]
pub struct Boots {
    path: PathBuf,
    /// The starts before this one, in seconds since 1970.
    late: Vec<i64>,
}

impl Boots {
    /// Records this start in the file. A file that cannot be read or written counts nothing.
    pub fn begin(path: PathBuf, now: Timestamp) -> Self {
        let known =
            file::read(&path, file::OWN_LEN_MAX).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok());
        let boots = Self { path, late: of_late(known.unwrap_or_default(), now.as_second()) };
        let this = boots.late.iter().copied().chain([now.as_second()]);
        boots.write(&this.collect::<Vec<_>>());
        boots
    }

    /// True when too many starts before this one ended by a crash.
    pub fn is_storm(&self) -> bool {
        self.late.len() >= STORM_STARTS
    }

    /// Records the orderly end of this start. `has_run`: it was more than a start that was refused.
    pub fn end(self, has_run: bool) {
        self.write(if has_run { &[] } else { &self.late });
    }

    fn write(&self, starts: &[i64]) {
        let bytes = serde_json::to_vec(starts).expect("numbers");
        if let Err(error) = durable::write_atomic(&self.path, &bytes) {
            tracing::debug!(%error, "the start time could not be stored");
        }
    }
}

/// Returns the starts that count now. After the clock was set back the others no longer count.
fn of_late(mut starts: Vec<i64>, now_s: i64) -> Vec<i64> {
    starts.retain(|start| (now_s.saturating_sub(LATE_S)..=now_s).contains(start));
    starts.split_off(starts.len().saturating_sub(REMEMBERED_MAX))
}

/// Reports safe mode until it has been over for long enough.
pub fn tell(problems: Problems) {
    problems.set(
        CODE,
        "Safe mode: the gateway crashed three times within two minutes; a message that was being processed each time is set aside",
        "Read the last lines of the log before each start; A message that was set aside is in `hermes dead list`, and `message_quarantined` in the log. Safe mode ends after ten minutes without a crash.",
        false,
    );
    let end = Now::read().mono + STABLE_AFTER;
    kept::keep(CODE, move || {
        let problems = problems.clone();
        async move {
            tokio::time::sleep_until(end.into()).await;
            problems.clear(CODE, "Ten minutes without a crash: safe mode is over");
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_000_000 + second).unwrap()
    }

    #[test]
    fn three_deaths_within_two_minutes_are_a_storm_and_an_orderly_end_is_none() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("boots");
        let boot = |second| Boots::begin(path.clone(), at(second));
        for second in [0, 50, 100] {
            assert!(!boot(second).is_storm(), "{second}");
        }
        assert!(boot(120).is_storm(), "the fourth");
        assert!(boot(170).is_storm(), "50, 100 and 120 were no better");
        assert!(!boot(221).is_storm(), "0 to 100 are long ago");
        // A start that is refused is not a crash, and does not undo one.
        boot(291).end(false);
        boot(292).end(false);
        for second in [293, 294] {
            assert!(!boot(second).is_storm(), "{second}");
        }
        let stormy = boot(295);
        assert!(stormy.is_storm(), "221, 293 and 294");
        stormy.end(true);
        assert!(!boot(296).is_storm());
    }

    #[test]
    fn a_clock_that_was_set_back_and_a_file_that_makes_no_sense_count_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("boots");
        for _ in 0..3 {
            drop(Boots::begin(path.clone(), at(1000)));
        }
        assert!(!Boots::begin(path.clone(), at(0)).is_storm());
        durable::write_atomic(&path, b"nonsense").unwrap();
        assert!(!Boots::begin(path, at(0)).is_storm());
        assert!(of_late((0..100).collect(), 100).len() == REMEMBERED_MAX);
    }

    #[tokio::test(start_paused = true)]
    async fn safe_mode_ends_after_ten_stable_minutes() {
        let problems = Problems::default();
        tell(problems.clone());
        tokio::time::sleep(STABLE_AFTER - Duration::from_secs(1)).await;
        assert!(problems.has(&[CODE]));
        tokio::time::sleep(Duration::from_secs(2)).await;
        assert!(!problems.has(&[CODE]));
    }
}
