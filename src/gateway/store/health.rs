//! Pure. What the store's mishaps mean: which of them stop it from taking new things, and which end it.

use std::time::{Duration, Instant};

use rusqlite::{Error, ErrorCode, ffi};

/// Another program may hold the database for this long before it is a problem.
const BUSY_LIMIT: Duration = Duration::from_secs(30);

/// A second fault of the disk within this time is not mended by opening the database anew.
const FAULT_PERIOD: Duration = Duration::from_secs(3600);

/// A failure that is not of one operation alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    /// No room.
    Full,
    /// Another program holds the database.
    Busy,
    /// The disk failed: what was written and not yet known to be safe may be gone.
    Fault,
    /// The database makes no sense.
    Damage,
}

impl Fault {
    /// `None` for what is wrong with one operation.
    #[expect(clippy::wildcard_enum_match_arm, reason = "SQLite's list of errors grows")]
    pub(super) fn of(error: &Error) -> Option<Self> {
        match error.sqlite_error_code()? {
            ErrorCode::DiskFull => Some(Self::Full),
            ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked => Some(Self::Busy),
            ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase => Some(Self::Damage),
            ErrorCode::SystemIoFailure => {
                let extended = error.sqlite_error().map_or(0, |error| error.extended_code);
                let is_memory = extended == ffi::SQLITE_IOERR_NOMEM;
                (!is_memory).then_some(Self::Fault)
            }
            _ => None,
        }
    }
}

/// What to do about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Remedy {
    /// Nothing yet: it is tried again.
    Wait,
    /// Take nothing new, and give the reserve up for what must be written.
    TakeNothing,
    /// Say that another program is in the way.
    TellBusy,
    /// The handle is dead: open the database anew, and look whether all is there.
    Reopen,
    /// Save what can be read.
    Mend,
    /// Nothing helps.
    Lose,
}

/// How the store is.
#[derive(Debug, Default)]
pub(super) struct Health {
    /// There is no room.
    pub(super) is_full: bool,
    busy_since: Option<Instant>,
    fault_at: Option<Instant>,
}

impl Health {
    /// Something was written.
    pub(super) fn is_well(&mut self) {
        self.is_full = false;
        self.busy_since = None;
    }

    /// Something could not be written. `is_room`: for want of room, by another look than SQLite's.
    pub(super) fn suffers(&mut self, now: Instant, mishap: Fault, is_room: bool) -> Remedy {
        match mishap {
            Fault::Full => self.fill(),
            Fault::Fault if is_room => self.fill(),
            Fault::Busy => {
                let since = *self.busy_since.get_or_insert(now);
                let is_long = now.saturating_duration_since(since) >= BUSY_LIMIT;
                if is_long { Remedy::TellBusy } else { Remedy::Wait }
            }
            Fault::Fault => {
                let last = self.fault_at.replace(now);
                let is_again = last.is_some_and(|at| now.saturating_duration_since(at) < FAULT_PERIOD);
                if is_again { Remedy::Lose } else { Remedy::Reopen }
            }
            Fault::Damage => Remedy::Mend,
        }
    }

    fn fill(&mut self) -> Remedy {
        self.is_full = true;
        Remedy::TakeNothing
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Now;

    fn failure(code: i32) -> Error {
        Error::SqliteFailure(ffi::Error::new(code), None)
    }

    #[test]
    fn errors_of_the_disk_are_told_from_those_of_an_operation() {
        for (code, mishap) in [
            (ffi::SQLITE_FULL, Some(Fault::Full)),
            (ffi::SQLITE_BUSY, Some(Fault::Busy)),
            (ffi::SQLITE_IOERR_FSYNC, Some(Fault::Fault)),
            (ffi::SQLITE_IOERR_WRITE, Some(Fault::Fault)),
            (ffi::SQLITE_IOERR_NOMEM, None),
            (ffi::SQLITE_CORRUPT, Some(Fault::Damage)),
            (ffi::SQLITE_NOTADB, Some(Fault::Damage)),
            (ffi::SQLITE_CONSTRAINT, None),
        ] {
            assert_eq!(Fault::of(&failure(code)), mishap, "{code}");
        }
        assert_eq!(Fault::of(&Error::QueryReturnedNoRows), None);
    }

    #[test]
    fn a_busy_database_is_a_problem_after_half_a_minute_and_none_once_something_is_written() {
        let begin = Now::read().mono;
        let at = |seconds| begin + Duration::from_secs(seconds);
        let mut health = Health::default();
        assert_eq!(health.suffers(at(0), Fault::Busy, false), Remedy::Wait);
        assert_eq!(health.suffers(at(29), Fault::Busy, false), Remedy::Wait);
        assert_eq!(health.suffers(at(30), Fault::Busy, false), Remedy::TellBusy);
        health.is_well();
        assert_eq!(health.suffers(at(40), Fault::Busy, false), Remedy::Wait);
    }

    #[test]
    fn a_fault_is_mended_once_and_the_second_within_the_hour_ends_it() {
        let begin = Now::read().mono;
        let at = |seconds| begin + Duration::from_secs(seconds);
        let mut health = Health::default();
        assert_eq!(health.suffers(at(0), Fault::Fault, true), Remedy::TakeNothing);
        assert!(health.is_full, "a quota is a full disk");
        health.is_well();
        assert_eq!(health.suffers(at(0), Fault::Fault, false), Remedy::Reopen);
        health.is_well();
        assert_eq!(health.suffers(at(4000), Fault::Fault, false), Remedy::Reopen);
        assert_eq!(health.suffers(at(4001), Fault::Fault, false), Remedy::Lose);
        assert_eq!(health.suffers(at(4001), Fault::Damage, false), Remedy::Mend);
    }
}
