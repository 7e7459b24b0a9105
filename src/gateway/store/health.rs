//! Pure. The consequences of the store's faults: some stop it from taking new messages, some end it.

use std::time::{Duration, Instant};

use rusqlite::{Error, ErrorCode, ffi};

/// Limit for another program to hold the database before it is a problem.
const BUSY_LIMIT: Duration = Duration::from_secs(30);

/// The time within which a second fault of the disk is not repaired by opening the database again.
const FAULT_PERIOD: Duration = Duration::from_secs(3600);

/// A failure that does not concern one operation alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    /// No space is left.
    Full,
    /// Another program holds the database.
    Busy,
    /// The disk failed: writes that are not yet known to be safe may be gone.
    Disk,
    /// The database is damaged.
    Damage,
}

impl Fault {
    /// The fault; `None` for an error of one operation.
    #[expect(clippy::wildcard_enum_match_arm, reason = "SQLite's list of errors grows")]
    pub(super) fn of(error: &Error) -> Option<Self> {
        match error.sqlite_error_code()? {
            ErrorCode::DiskFull => Some(Self::Full),
            ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked => Some(Self::Busy),
            ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase => Some(Self::Damage),
            ErrorCode::SystemIoFailure => {
                let extended = error.sqlite_error().map_or(0, |error| error.extended_code);
                let is_memory = extended == ffi::SQLITE_IOERR_NOMEM;
                (!is_memory).then_some(Self::Disk)
            }
            _ => None,
        }
    }
}

/// The reaction to a fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Remedy {
    /// Nothing yet: the write is tried again.
    Wait,
    /// Take no new messages, and release the reserve for necessary writes.
    TakeNothing,
    /// Report that another program holds the database.
    TellBusy,
    /// The connection cannot be trusted: open the database again, and check that it is complete.
    Reopen,
    /// Save what can be read.
    Mend,
    /// Give the database up.
    Lose,
}

/// The state of the store.
#[derive(Debug, Default)]
pub(super) struct Health {
    /// True when no space is left.
    pub(super) is_full: bool,
    busy_since: Option<Instant>,
    fault_at: Option<Instant>,
}

impl Health {
    /// Notes that a write succeeded.
    pub(super) fn is_well(&mut self) {
        self.is_full = false;
        self.busy_since = None;
    }

    /// Notes that a write failed. `is_room`: for want of space, by a check other than SQLite's.
    pub(super) fn suffers(&mut self, now: Instant, mishap: Fault, is_room: bool) -> Remedy {
        match mishap {
            Fault::Full => self.fill(),
            Fault::Disk if is_room => self.fill(),
            Fault::Busy => {
                let since = *self.busy_since.get_or_insert(now);
                let is_long = now.saturating_duration_since(since) >= BUSY_LIMIT;
                if is_long { Remedy::TellBusy } else { Remedy::Wait }
            }
            Fault::Disk => {
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
            (ffi::SQLITE_IOERR_FSYNC, Some(Fault::Disk)),
            (ffi::SQLITE_IOERR_WRITE, Some(Fault::Disk)),
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
        assert_eq!(health.suffers(at(0), Fault::Disk, true), Remedy::TakeNothing);
        assert!(health.is_full, "a quota is a full disk");
        health.is_well();
        assert_eq!(health.suffers(at(0), Fault::Disk, false), Remedy::Reopen);
        health.is_well();
        assert_eq!(health.suffers(at(4000), Fault::Disk, false), Remedy::Reopen);
        assert_eq!(health.suffers(at(4001), Fault::Disk, false), Remedy::Lose);
        assert_eq!(health.suffers(at(4001), Fault::Damage, false), Remedy::Mend);
    }
}
