//! Checks that the files of the open database are still those at its path: data that is written into a removed or replaced
//! file is lost when the process ends.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::api::StoreError;
use crate::durable;
use crate::file::{self, Identity};
use crate::home;

/// The result of the check.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// All files are in their place.
    There,
    /// The database is in its place, and its log is not: all of the log can still be written into the database.
    LogLost,
    /// The database is in its place, and a folder or the like is at the path of its log.
    LogBlocked,
    /// The database is not in its place.
    Lost,
}

/// A thing that is not a file, at the path of one of the database's files: SQLite would wait at a pipe, read a device
/// without end, and take a folder for a fault of the disk.
pub(super) fn in_the_way(database: &Path) -> Option<StoreError> {
    blocking(&paths(database))
}

fn blocking(paths: &[PathBuf]) -> Option<StoreError> {
    let is_link = |path: &Path| path.symlink_metadata().is_ok_and(|found| found.is_symlink());
    paths.iter().enumerate().find_map(|(at, path)| {
        let what = match path.metadata() {
            Ok(found) if found.is_dir() => "a folder",
            Ok(found) if !found.is_file() => "not a file",
            // The database itself may be kept elsewhere, also before its first start; a log that is a link is not followed.
            Ok(_) if at > 0 && is_link(path) => "a link",
            Err(_) if is_link(path) && (at > 0 || durable::end_of_links(path).is_none()) => {
                "a link to nothing"
            }
            Ok(_) | Err(_) => return None,
        };
        Some(StoreError::InTheWay { path: path.display().to_string(), what })
    })
}

/// The database, its log, and the log's index: where the database is a link, they are beside the file that it names.
fn paths(database: &Path) -> [PathBuf; 3] {
    let file = database.canonicalize().unwrap_or_else(|_| database.to_owned());
    let beside = |ending| home::beside_database(&file, ending);
    [database.to_owned(), beside("wal"), beside("shm")]
}

/// The files of one database, as they were opened.
#[derive(Debug)]
pub(super) struct Presence {
    paths: [PathBuf; 3],
    seen: Mutex<Seen>,
}

#[derive(Debug, Default)]
struct Seen {
    files: [Option<Identity>; 3],
    is_lost: bool,
}

impl Presence {
    /// The files of a database that was just opened.
    pub(super) fn of(path: &Path) -> Self {
        let presence = Self { paths: paths(path), seen: Mutex::default() };
        presence.renew();
        presence
    }

    /// Takes the files' identities again, after the database was opened again.
    pub(super) fn renew(&self) {
        let files = self.paths.each_ref().map(|path| file::identity(path).ok());
        self.seen().files = files;
    }

    /// Checks the files; takes some microseconds.
    pub(super) fn look(&self) -> Place {
        let found = self.paths.each_ref().map(|path| path.metadata().ok());
        let is_blocked = found[1..].iter().flatten().any(|found| !found.is_file());
        let now = found.each_ref().map(|found| found.as_ref().map(Identity::of));
        let mut seen = self.seen();
        let is_there = |at: usize| seen.files[at].is_none() || seen.files[at] == now[at];
        let place = match (is_there(0), is_there(1) && is_there(2)) {
            (false, _) => Place::Lost,
            (true, _) if is_blocked => Place::LogBlocked,
            (true, true) => Place::There,
            (true, false) => Place::LogLost,
        };
        seen.is_lost = matches!(place, Place::Lost | Place::LogBlocked);
        place
    }

    /// True when the last check found something missing that may come back.
    pub(super) fn is_lost(&self) -> bool {
        self.seen().is_lost
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gateway::model::message::testing::message;
    use crate::gateway::problems::Problems;
    use crate::gateway::store::SqliteStore;
    use crate::gateway::store::api::{Accepted, Store};
    use crate::gateway::store::sqlite::Opening;
    use crate::platforms::Platform;

    async fn accept(store: &SqliteStore, id: &str) -> bool {
        matches!(store.accept(Platform::Whatsapp, message(id, "a@lid", id)).await, Ok(Accepted::New(_)))
    }

    #[tokio::test]
    async fn nothing_is_taken_into_a_database_that_is_not_there_and_it_goes_on_when_it_is_back() {
        let dir = tempfile::tempdir().unwrap();
        let (path, aside) = (dir.path().join("gateway.db"), dir.path().join("aside"));
        let problems = Problems::default();
        let store = SqliteStore::open_watched(&path, problems.clone(), Opening::default()).unwrap();
        assert!(accept(&store, "1").await);
        durable::rename(&path, &aside).unwrap();
        assert!(!accept(&store, "2").await);
        assert!(problems.has(&["store_replaced"]));
        durable::write_atomic(&path, b"").unwrap();
        assert!(!accept(&store, "2").await, "another file is not it");
        durable::rename(&aside, &path).unwrap();
        assert!(accept(&store, "2").await);
        assert!(!problems.has(&["store_replaced"]));
    }

    #[tokio::test]
    async fn what_stands_where_the_log_belongs_is_named_and_it_goes_on_when_it_is_gone() {
        for (ending, is_put_back) in [("wal", true), ("wal", false), ("shm", true), ("shm", false)] {
            let dir = tempfile::tempdir().unwrap();
            let (path, aside) = (dir.path().join("gateway.db"), dir.path().join("aside"));
            let problems = Problems::default();
            let store = SqliteStore::open_watched(&path, problems.clone(), Opening::default()).unwrap();
            assert!(accept(&store, "1").await);
            let log = home::beside_database(&path, ending);
            durable::rename(&log, &aside).unwrap();
            std::fs::create_dir(&log).unwrap();
            assert!(!accept(&store, "2").await, "{ending}");
            let standing = problems.subscribe().borrow().clone();
            assert_eq!(
                (standing.len(), standing[0].code.as_str(), standing[0].ends),
                (1, "store_in_the_way", false)
            );
            assert!(standing[0].message.contains(&format!("{} is a folder", log.display())), "{standing:?}");
            std::fs::remove_dir(&log).unwrap();
            if is_put_back {
                durable::rename(&aside, &log).unwrap();
            }
            assert!(accept(&store, "2").await, "{ending} {is_put_back}");
            assert_eq!(problems.subscribe().borrow().len(), 0);
            drop(store);
            drop(std::fs::remove_file(&aside));
            let again = SqliteStore::open(&path).unwrap();
            assert!(!accept(&again, "1").await && !accept(&again, "2").await, "{ending}: both are known");
        }
    }

    #[tokio::test]
    async fn a_link_in_the_place_of_the_log_is_in_the_way_and_a_database_that_is_a_link_is_followed() {
        let dir = tempfile::tempdir().unwrap();
        let (path, elsewhere) = (dir.path().join("gateway.db"), dir.path().join("elsewhere"));
        std::fs::create_dir(&elsewhere).unwrap();
        durable::write_atomic(&elsewhere.join("file"), b"").unwrap();
        let opened = || SqliteStore::open(&path).map(drop).map_err(|error| error.to_string());
        let link = |to: &Path, at: &Path| std::os::unix::fs::symlink(to, at).unwrap();
        for ending in ["wal", "shm"] {
            let log = home::beside_database(&path, ending);
            for (to, what) in [("nothing", "is a link to nothing"), ("file", "is a link,")] {
                link(&elsewhere.join(to), &log);
                assert!(opened().unwrap_err().contains(what), "{ending}: {:?}", opened());
                std::fs::remove_file(&log).unwrap();
            }
        }
        link(Path::new("/nowhere/gateway.db"), &path);
        assert!(opened().unwrap_err().contains("is a link to nothing"), "{:?}", opened());
        std::fs::remove_file(&path).unwrap();
        let real = elsewhere.join("real.db");
        link(&real, &path);
        for is_there in [false, true] {
            assert_eq!(real.exists(), is_there);
            opened().unwrap();
        }
        std::fs::create_dir(home::beside_database(&real, "wal")).unwrap();
        assert!(opened().unwrap_err().contains("is a folder"), "beside the file that it names");
    }

    #[tokio::test]
    async fn what_stood_in_a_log_that_was_removed_is_saved() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("gateway.db");
        let store = SqliteStore::open(&path).unwrap();
        assert!(accept(&store, "1").await);
        for ending in ["wal", "shm"] {
            std::fs::remove_file(home::beside_database(&path, ending)).unwrap();
        }
        assert!(accept(&store, "2").await);
        // As after a kill: the store is not closed.
        let copy = dir.path().join("copy.db");
        for ending in ["", "-wal"] {
            let [from, to] = [&path, &copy].map(|path| format!("{}{ending}", path.display()));
            std::fs::copy(from, to).unwrap();
        }
        let again = SqliteStore::open(&copy).unwrap();
        assert!(!accept(&again, "1").await && !accept(&again, "2").await, "both are known");
        assert!(accept(&again, "3").await);
    }
}
