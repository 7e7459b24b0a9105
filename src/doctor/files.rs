//! The files of the home folder: who may read what is private, and what a gateway that is gone has left behind.

use std::io::{self, Write as _};
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};

use super::{Check, Status};
use crate::durable::Lock;
use crate::error::CliError;
use crate::gateway::host::privacy::was_harmless;
use crate::gateway::store::unopened;
use crate::home::HermesHome;
use crate::ownership::{self, Owned, Standing, Us};
use crate::preflight;
use crate::world::World;

/// The repair by this program.
pub(super) const DO_FIX: &str = "Run `hermes doctor --fix`.";

const OTHERS_WRITE: u32 = 0o002;

/// Bytes that are written to see whether the disk takes them.
const TRIAL_BYTES: usize = 8 << 10;

/// A file of ours whose mode is not as it should be.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct WrongMode {
    pub(super) path: PathBuf,
    pub(super) is: u32,
    pub(super) right: u32,
}

/// Everything about them.
pub(super) fn checks(world: &World, home: &HermesHome) -> Vec<Check> {
    let us = Us::now();
    let mut checks = Vec::new();
    let Ok(folder) = home.root().metadata().map(|metadata| Owned::from(&metadata)) else { return checks };
    let root = home.root();
    match us.standing(folder) {
        Standing::Ours => {}
        Standing::OfGroup => checks.push(Check::good(
            "shared_home",
            format!(
                "the home folder belongs to a group of this user (mode {:o}) and is shared with it",
                folder.mode & 0o7777
            ),
        )),
        Standing::Foreign => {
            let owner = ownership::user(folder.uid);
            let message = format!("the home folder {} belongs to {owner}", root.display());
            checks.push(Check::problem("foreign_owner", message, ownership::hints(world, root).join(" ")));
            // All else in it is its owner's business.
            return checks;
        }
    }
    checks.extend(unwritable(root));
    if folder.mode & OTHERS_WRITE != 0 {
        let message = format!("every user of this machine can write to {}", root.display());
        checks.push(Check::problem("open_mode", message, ownership::hints_on_open(&us, folder, root)));
    }
    for WrongMode { path, is, right } in wrong_modes(home) {
        if path == root && is & OTHERS_WRITE != 0 {
            continue;
        }
        let shown = path.display();
        let message = if is & !right == 0 {
            format!("{shown} cannot be used by its owner (mode {is:o})")
        } else {
            format!("{shown} is open to other users (mode {is:o})")
        };
        let fix = format!("Run `chmod {right:o} {}`, or `hermes doctor --fix`.", quoted(&path));
        // The next start closes it.
        let kind = if was_harmless(home, &path, is & !right) { Check::info } else { Check::warning };
        checks.push(kind("open_mode", message, fix));
    }
    if let Some(error) = unopened::foreseen(home) {
        checks.push(Check::problem(error.code, error.to_string(), error.hints.join(" ")));
    }
    checks.extend(foreign(home, &us, folder));
    if checks.iter().all(|check| check.status == Status::Good) {
        checks.push(Check::good("modes", "settings and credentials are private"));
    }
    let left = leftovers(home);
    if !left.is_empty() {
        let names: Vec<_> = left.iter().filter_map(|path| path.file_name()?.to_str()).collect();
        let message = format!("a stopped gateway left {} behind", names.join(" and "));
        checks.push(Check::info("leftovers", message, format!("The next start removes them; or: {DO_FIX}")));
    }
    checks
}

/// Why no file can be written in the home folder: the disk is full, can only be read, or fails.
fn unwritable(root: &Path) -> Option<Check> {
    let error = write_trial(root).err()?;
    let error =
        CliError::file(format!("files cannot be written in the home folder {}", root.display()), root, error);
    Some(Check::problem(error.code, error.to_string(), error.hints.join(" ")))
}

/// Writes a file without a name, which is gone when it is closed.
fn write_trial(dir: &Path) -> io::Result<()> {
    let mut file = tempfile::tempfile_in(dir)?;
    file.write_all(&[1; TRIAL_BYTES])?;
    file.sync_all()
}

/// Files that belong to somebody else, and not to the group whose home this is.
fn foreign(home: &HermesHome, us: &Us, folder: Owned) -> Vec<Check> {
    let is_shared = us.standing(folder) == Standing::OfGroup;
    let of = |path: PathBuf| {
        let file = Owned::from(&path.metadata().ok()?);
        let is_known = file.uid == us.uid
            || path == home.root()
            || is_shared && file.gid == folder.gid && us.open_bits(folder, file) == 0;
        if is_known {
            return None;
        }
        let message = format!("{} belongs to {}", path.display(), ownership::user(file.uid));
        let fix = if file.mode & 0o007 == 0 {
            "Move it away if you did not put it there. The user that runs hermes must be able to read it."
                .to_owned()
        } else {
            format!("Other users can use it. Move it away if you did not put it there: {}", quoted(&path))
        };
        Some(Check::warning("foreign_owner", message, fix))
    };
    home.private_paths().into_iter().filter_map(|(path, _)| of(path)).collect()
}

/// Files of ours that are too open, or closed to ourselves.
pub(super) fn wrong_modes(home: &HermesHome) -> Vec<WrongMode> {
    const ALL: u32 = 0o7777;
    let us = Us::now();
    let Ok(folder) = home.root().metadata().map(|metadata| Owned::from(&metadata)) else { return Vec::new() };
    let of = |(path, mode): (PathBuf, u32)| {
        let metadata = path.metadata().ok().filter(|found| HermesHome::is_of_kind(found, mode))?;
        let file = Owned::from(&metadata);
        // A file that its owner made read-only stays so.
        let needed = if metadata.is_dir() { 0o700 } else { mode & 0o400 };
        let is = file.mode & ALL;
        let right = is & !us.open_bits(folder, file) | needed;
        (file.uid == us.uid && right != is).then_some(WrongMode { path, is, right })
    };
    home.private_paths().into_iter().filter_map(of).collect()
}

/// The socket and the pid file of a gateway that does not run any more.
pub(super) fn leftovers(home: &HermesHome) -> Vec<PathBuf> {
    if !matches!(Lock::holder(&home.lock_file()), Ok(None)) {
        return Vec::new();
    }
    let is_socket =
        |path: &Path| std::fs::symlink_metadata(path).is_ok_and(|metadata| metadata.file_type().is_socket());
    let is_file = |path: &Path| std::fs::symlink_metadata(path).is_ok_and(|metadata| metadata.is_file());
    let (socket, pid) = (home.control_socket(), home.pid_file());
    let socket = is_socket(&socket).then_some(socket);
    socket.into_iter().chain(is_file(&pid).then_some(pid)).collect()
}

fn quoted(path: &Path) -> String {
    preflight::quoted(&path.display().to_string())
}

#[cfg(test)]
mod tests {
    use std::fs::Permissions;
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::durable::write_atomic;

    #[test]
    fn a_home_that_anybody_can_write_is_in_the_way() {
        let dir = tempfile::tempdir().unwrap();
        let home = HermesHome::at(dir.path());
        let world = World::of_env::<&str, &str>([]);
        for (mode, expected) in [(0o700, Status::Good), (0o750, Status::Warning), (0o777, Status::Blocking)] {
            std::fs::set_permissions(dir.path(), Permissions::from_mode(mode)).unwrap();
            let checks = checks(&world, &home);
            assert_eq!((checks[0].status, checks.len()), (expected, 1), "{mode:o}: {checks:?}");
        }
    }

    #[test]
    fn a_mode_is_narrowed_and_what_its_owner_needs_is_given_back() {
        let dir = tempfile::tempdir().unwrap();
        let home = HermesHome::at(dir.path());
        for (path, mode) in [(home.env_file(), 0o000), (home.config_file(), 0o444), (home.database(), 0o600)]
        {
            write_atomic(&path, b"x").unwrap();
            std::fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
        }
        std::fs::set_permissions(dir.path(), Permissions::from_mode(0o755)).unwrap();
        let right: Vec<_> = wrong_modes(&home).iter().map(|wrong| wrong.right).collect();
        assert_eq!(right, [0o700, 0o400, 0o400]);
    }

    #[test]
    fn what_stands_in_the_way_of_the_store_is_a_problem_and_its_mode_stays() {
        let dir = tempfile::tempdir().unwrap();
        let home = HermesHome::at(dir.path());
        let world = World::of_env::<&str, &str>([]);
        std::fs::set_permissions(dir.path(), Permissions::from_mode(0o700)).unwrap();
        let store = home.database();
        for path in [
            store.clone(),
            crate::home::beside_database(&store, "wal"),
            crate::home::beside_database(&store, "shm"),
        ] {
            for what in ["a folder", "a pipe", "a link to nothing"] {
                match what {
                    "a folder" => std::fs::create_dir(&path).unwrap(),
                    "a pipe" => {
                        let fifo = rustix::fs::FileType::Fifo;
                        rustix::fs::mknodat(rustix::fs::CWD, &path, fifo, 0o644.into(), 0).unwrap();
                    }
                    _ => std::os::unix::fs::symlink("/nowhere/gateway.db", &path).unwrap(),
                }
                let found = checks(&world, &home);
                let found: Vec<_> = found.iter().map(|check| (check.status, check.code.as_str())).collect();
                assert_eq!(found, [(Status::Blocking, "store_in_the_way")], "{}: {what}", path.display());
                assert_eq!(wrong_modes(&home), []);
                drop((std::fs::remove_dir(&path), std::fs::remove_file(&path)));
            }
        }
    }

    #[test]
    fn a_store_that_is_not_a_database_is_a_problem_and_a_new_one_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let home = HermesHome::at(dir.path());
        let world = World::of_env::<&str, &str>([]);
        std::fs::set_permissions(dir.path(), Permissions::from_mode(0o700)).unwrap();
        let mut newer = [0; 100];
        newer[..16].copy_from_slice(b"SQLite format 3\0");
        newer[60..64].copy_from_slice(&[0, 0, 0xff, 0xff]);
        for (bytes, expected) in [
            (&b""[..], None),
            (b"SQLite format 3\0and so on", None),
            (b"SQLite format 2\0and so on", Some("store_damaged")),
            (b"x", Some("store_damaged")),
            (&newer, Some("store_too_new")),
        ] {
            write_atomic(&home.database(), bytes).unwrap();
            let checks = checks(&world, &home);
            let problem = checks.iter().find(|check| check.status == Status::Blocking);
            assert_eq!(problem.map(|check| check.code.as_str()), expected, "{bytes:?}: {checks:?}");
            assert!(problem.is_none_or(|check| check.fix.is_some()));
        }
    }

    #[test]
    fn what_a_running_gateway_uses_is_not_left_over() {
        let dir = tempfile::tempdir().unwrap();
        let home = HermesHome::at(dir.path());
        let socket = std::os::unix::net::UnixListener::bind(home.control_socket()).unwrap();
        write_atomic(&home.pid_file(), b"{}").unwrap();
        let held = Lock::acquire(&home.lock_file()).unwrap();
        assert_eq!(leftovers(&home), Vec::<PathBuf>::new());
        drop((socket, held));
        assert_eq!(leftovers(&home), [home.control_socket(), home.pid_file()]);
    }
}
