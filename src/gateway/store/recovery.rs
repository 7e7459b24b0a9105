//! The writing thread's handling of faults of the disk and of the file: see [`Health`] for the decisions.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rusqlite::Connection;

use crate::clock::Now;
use crate::gateway::problems::Problems;
use crate::gateway::store::api::StoreError;
use crate::gateway::store::disk_space::DiskSpace;
use crate::gateway::store::health::{Fault, Health, Remedy};
use crate::gateway::store::presence::{self, Place, Presence};
use crate::gateway::store::schema;
use crate::gateway::store::sqlite::{self, Pair};
use crate::gateway::store::writer::{Batch, Need, closed, write_all};

/// Codes of the problems that may end by themselves, once a write succeeds.
pub(super) const PASSING: [&str; 2] = ["disk_full", "store_busy"];

/// The code that a reader sets when it finds damage.
pub(super) const DAMAGE: &str = "store_damaged";

/// The code while the database's file is not at its path.
const LOST: &str = "store_replaced";

/// The code while something that is not a file is at the path of the log.
const BLOCKED: &str = "store_in_the_way";

/// The connection for reading; `None` while the file is being exchanged.
pub(super) type Reading = Arc<Mutex<Option<Connection>>>;

pub(super) fn lock(reading: &Reading) -> MutexGuard<'_, Option<Connection>> {
    reading.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The writing connection, with the state for its recovery.
pub(super) struct Recovery {
    path: PathBuf,
    // The reader goes first: the last connection to close cleans the write-ahead log up.
    reading: Reading,
    writing: Option<Connection>,
    health: Health,
    room: DiskSpace,
    presence: Arc<Presence>,
    /// True when it was reported that the file is not there.
    is_lost: bool,
    problems: Problems,
}

impl Recovery {
    pub(super) fn new(
        path: PathBuf,
        reading: Reading,
        writing: Connection,
        room: DiskSpace,
        presence: Arc<Presence>,
        problems: Problems,
    ) -> Self {
        Self {
            path,
            reading,
            writing: Some(writing),
            health: Health::default(),
            room,
            presence,
            is_lost: false,
            problems,
        }
    }

    /// Writes the jobs, as far as the disk allows.
    pub(super) fn write(&mut self, jobs: &mut Batch) {
        if self.problems.has(&[DAMAGE]) && self.writing.is_some() {
            self.apply(Remedy::Mend, "found by a read");
        }
        if self.writing.is_none() {
            // It is closed for good: its log is gone because of that.
            return jobs.refuse_all(&closed());
        }
        self.find(jobs);
        if self.health.is_full && !self.room.is_enough() {
            jobs.refuse(Need::Room, &StoreError::Full);
        }
        let Some(db) = &self.writing else {
            return jobs.refuse_all(&closed());
        };
        let brings = jobs.has(Need::Room);
        if jobs.is_empty() {
            return;
        }
        match write_all(db, jobs) {
            Ok(()) if self.health.is_full && !brings => {}
            Ok(()) => self.recover(),
            Err((mishap, why)) => {
                let is_room = mishap == Fault::Disk && self.room.is_cause();
                let remedy = self.health.suffers(Now::read().mono, mishap, is_room);
                self.apply(remedy, &why);
            }
        }
    }

    /// Refuses new messages while the files are not in their place.
    fn find(&mut self, jobs: &mut Batch) {
        let place = self.presence.look();
        if place != Place::LogBlocked {
            self.problems
                .clear(BLOCKED, "The place of the database's log is free again; accepting messages again");
        }
        match place {
            Place::LogBlocked => {
                let Some(error) = presence::in_the_way(&self.path) else { return };
                let StoreError::InTheWay { path, .. } = &error else { return };
                self.problems.set(
                    BLOCKED,
                    &format!("{error}: new messages are not accepted"),
                    &format!("Move it away and hermes continues by itself: `mv {path} {path}.aside`."),
                    false,
                );
                jobs.refuse(Need::Room, &StoreError::Failed(error.to_string()));
            }
            Place::There if self.is_lost => {
                self.is_lost = false;
                self.problems.clear(LOST, "gateway.db is back; accepting messages again");
            }
            Place::There => {}
            Place::LogLost => self.restore_log(),
            Place::Lost => {
                self.is_lost = true;
                let path = self.path.display();
                self.problems.set(
                    LOST,
                    &format!("{path} was removed or replaced while the gateway runs: new messages are not accepted"),
                    "Put it back and hermes continues by itself; or continue with the file that is there now: `hermes gateway restart`.",
                    false,
                );
                jobs.refuse(Need::Room, &StoreError::Failed("gateway.db no longer exists".to_owned()));
            }
        }
    }

    /// Writes the log into the database, and begins a new log: its content is still open to us.
    fn restore_log(&mut self) {
        *lock(&self.reading) = None;
        let written = self.writing.as_ref().map(|db| schema::rewrite_log(db).is_ok());
        if written == Some(false) {
            return self.apply(Remedy::Lose, "the database's log (-wal) was removed");
        }
        tracing::warn!(
            code = "store_log_removed",
            "The database's log (-wal) was removed or replaced; its contents are saved and a new one is started"
        );
        self.reopen();
    }

    fn reopen(&mut self) {
        self.close();
        match sqlite::reopen(&self.path) {
            Ok(Pair { writing, reading }) => {
                self.writing = Some(writing);
                *lock(&self.reading) = Some(reading);
                self.presence.renew();
            }
            Err(error) => self.apply(Remedy::Lose, &error.to_string()),
        }
    }

    fn recover(&mut self) {
        self.health.is_well();
        self.problems.clear("disk_full", "The disk has free space again; accepting messages again");
        self.problems.clear("store_busy", "The database is unlocked again; accepting messages again");
    }

    fn apply(&mut self, remedy: Remedy, why: &str) {
        let path = self.path.display().to_string();
        match remedy {
            Remedy::Wait => {}
            Remedy::TakeNothing => {
                self.room.release();
                self.problems.set(
                    "disk_full",
                    "The disk is full: new messages are not accepted until space is free",
                    &format!("Free space on the disk of {path}; hermes then continues by itself."),
                    false,
                );
            }
            Remedy::TellBusy => self.problems.set(
                "store_busy",
                "another program has locked the database: new messages are not accepted until it unlocks it",
                &format!("Find it with `fuser -v {path}`."),
                false,
            ),
            Remedy::Reopen => {
                tracing::error!(code = "store_fault", "The disk failed ({why}); reopening the database");
                self.reopen();
            }
            Remedy::Mend => {
                self.close();
                self.problems.set(
                    DAMAGE,
                    &format!("The database is damaged ({why}); stopping the gateway"),
                    "Restore gateway.db from a backup, or move it away to start with an empty one.",
                    true,
                );
            }
            Remedy::Lose => {
                self.close();
                self.problems.set(
                    "store_fault",
                    &format!("The disk failed again ({why}); messages cannot be stored safely"),
                    &format!("Check the disk of {path} (`dmesg`), then restart the gateway."),
                    true,
                );
            }
        }
    }

    fn close(&mut self) {
        *lock(&self.reading) = None;
        self.writing = None;
    }
}
