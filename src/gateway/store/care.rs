//! What the writing thread does about faults of the disk and of the file: see [`Health`] for the deciding.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rusqlite::Connection;

use super::api::StoreError;
use super::health::{Health, Mishap, Remedy};
use super::room::Room;
use super::sqlite::{self, Pair};
use super::writer::{Batch, Need, closed, write_all};
use crate::clock::Now;
use crate::gateway::problems::Problems;

/// Codes of the problems that may end by themselves, once something can be written.
pub(super) const PASSING: [&str; 2] = ["disk_full", "store_busy"];

/// The code that a reader sets when it finds damage.
pub(super) const DAMAGE: &str = "store_damaged";

/// The connection that is read by; nothing while the file is being exchanged.
pub(super) type Reading = Arc<Mutex<Option<Connection>>>;

pub(super) fn lock(reading: &Reading) -> MutexGuard<'_, Option<Connection>> {
    reading.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The writing connection and what keeps it going.
pub(super) struct Care {
    path: PathBuf,
    // The reader goes first: the last connection to close cleans the write-ahead log up.
    reading: Reading,
    writing: Option<Connection>,
    health: Health,
    room: Room,
    problems: Problems,
}

impl Care {
    pub(super) fn new(
        path: PathBuf,
        reading: Reading,
        writing: Connection,
        room: Room,
        problems: Problems,
    ) -> Self {
        Self { path, reading, writing: Some(writing), health: Health::default(), room, problems }
    }

    /// Does what was asked, as far as the disk allows.
    pub(super) fn write(&mut self, jobs: &mut Batch) {
        if self.problems.has(&[DAMAGE]) && self.writing.is_some() {
            self.apply(Remedy::Mend, "a reader found it");
        }
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
                let is_room = mishap == Mishap::Fault && self.room.is_cause();
                let remedy = self.health.suffers(Now::read().mono, mishap, is_room);
                self.apply(remedy, &why);
            }
        }
    }

    fn recover(&mut self) {
        self.health.is_well();
        self.problems.clear("disk_full", "the disk has room again; messages are taken again");
        self.problems.clear("store_busy", "the database is free again; messages are taken again");
    }

    fn apply(&mut self, remedy: Remedy, why: &str) {
        let path = self.path.display().to_string();
        match remedy {
            Remedy::Wait => {}
            Remedy::TakeNothing => {
                self.room.release();
                self.problems.set(
                    "disk_full",
                    "the disk is full: no message is taken over until there is room",
                    &format!("Make room on the disk of {path}; it then goes on by itself."),
                    false,
                );
            }
            Remedy::TellBusy => self.problems.set(
                "store_busy",
                "another program holds the database: no message is taken over until it lets go",
                &format!("See who has it open: `fuser -v {path}`."),
                false,
            ),
            Remedy::Reopen => {
                tracing::error!(code = "store_fault", "the disk failed ({why}); the database is opened anew");
                self.close();
                match sqlite::reopen(&self.path) {
                    Ok(Pair { writing, reading }) => {
                        self.writing = Some(writing);
                        *lock(&self.reading) = Some(reading);
                    }
                    Err(error) => self.apply(Remedy::Lose, &error.to_string()),
                }
            }
            Remedy::Mend => {
                self.close();
                self.problems.set(
                    DAMAGE,
                    &format!("the database is damaged ({why}); the gateway ends"),
                    "Restore gateway.db from a copy, or move it aside to begin with an empty one.",
                    true,
                );
            }
            Remedy::Lose => {
                self.close();
                self.problems.set(
                    "store_fault",
                    &format!("the disk failed again ({why}), and nothing can be stored safely"),
                    &format!("Look at the disk of {path} (`dmesg`), and start the gateway again."),
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
