//! Files that survive a crash: atomic replacement, private folders, locks. The only file that replaces files.

use std::fs::{DirBuilder, File, OpenOptions, Permissions, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags};

use crate::failpoint;
use crate::file::{self, Identity};

/// Replaces `path` by a file of these bytes and mode 0600: temp file in the same folder, fsync, rename, fsync of the
/// folder. Either the old or the new content is there at any moment. A symlink is replaced itself, and what it points at is
/// left alone.
///
/// # Errors
/// Any failure leaves the old file as it was and removes the temp file.
pub fn write_atomic(path: &Path, bytes: &[u8]) -> io::Result<()> {
    replace(path, bytes)
}

/// The same for a file that people keep elsewhere: a symlink stays, and the regular file that it points at is replaced.
///
/// # Errors
/// As [`write_atomic`]; and where the link does not lead to a regular file.
pub fn write_through(path: &Path, bytes: &[u8]) -> io::Result<()> {
    replace(&target(path)?, bytes)
}

/// The regular file that a path leads to, or where one may be made.
fn target(path: &Path) -> io::Result<PathBuf> {
    let target = follow(path)?;
    if target.symlink_metadata().is_ok_and(|found| !found.is_file()) {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "it exists and is not a file"));
    }
    Ok(target)
}

/// A file that is whole and on the disk, and not in its place yet. Dropped, it is gone.
#[derive(Debug)]
pub struct Staged {
    temp: tempfile::NamedTempFile,
    target: PathBuf,
}

/// Writes a file as [`write_through`] does, up to its last step: so that several can be put in place one right after the other.
///
/// # Errors
/// As [`write_through`]; the old file is as it was.
pub fn stage_through(path: &Path, bytes: &[u8]) -> io::Result<Staged> {
    let target = target(path)?;
    stage(&target, bytes)
}

impl Staged {
    /// Puts it in its place.
    ///
    /// # Errors
    /// When the rename or the sync fails.
    pub fn commit(self) -> io::Result<()> {
        failpoint::check_file("replace.before", &self.target)?;
        self.temp.persist(&self.target).map_err(|failed| failed.error)?;
        failpoint::check_file("replace.after", &self.target)?;
        sync_dir(parent(&self.target)?)
    }
}

fn replace(target: &Path, bytes: &[u8]) -> io::Result<()> {
    stage(target, bytes)?.commit()
}

fn stage(target: &Path, bytes: &[u8]) -> io::Result<Staged> {
    let dir = parent(target)?;
    let mut temp = tempfile::Builder::new()
        .prefix(".hermes-")
        .suffix(".tmp")
        .permissions(Permissions::from_mode(0o600))
        .tempfile_in(dir)?;
    temp.write_all(bytes)?;
    temp.as_file().sync_all()?;
    Ok(Staged { temp, target: target.to_owned() })
}

/// Where a chain of symlinks ends, also when nothing is there yet.
fn follow(path: &Path) -> io::Result<PathBuf> {
    const SYMLINKS_MAX: usize = 40;
    let mut path = path.to_path_buf();
    for _ in 0..SYMLINKS_MAX {
        match std::fs::read_link(&path) {
            Ok(next) => path = parent(&path)?.join(next),
            Err(error) if matches!(error.kind(), io::ErrorKind::InvalidInput | io::ErrorKind::NotFound) => {
                return Ok(path);
            }
            Err(error) => return Err(error),
        }
    }
    Err(io::Error::other("too many symbolic links"))
}

/// Where a chain of symlinks ends. `None`: no file is there, and none can be.
pub fn end_of_links(path: &Path) -> Option<PathBuf> {
    follow(path).ok().filter(|end| parent(end).is_ok_and(Path::is_dir))
}

fn parent(path: &Path) -> io::Result<&Path> {
    match path.parent() {
        Some(dir) if dir.as_os_str().is_empty() => Ok(Path::new(".")),
        Some(dir) => Ok(dir),
        None => Err(io::Error::new(io::ErrorKind::InvalidInput, "a path without a folder")),
    }
}

/// Makes renames and new names in `dir` durable.
///
/// # Errors
/// When the folder cannot be opened or synced.
pub fn sync_dir(dir: &Path) -> io::Result<()> {
    let flags = OFlags::DIRECTORY | OFlags::RDONLY | OFlags::CLOEXEC;
    File::from(rustix::fs::open(dir, flags, Mode::empty())?).sync_all()
}

/// Renames a file or folder to a place on the same file system, durably.
///
/// # Errors
/// When the rename or the sync fails.
#[expect(clippy::disallowed_methods, reason = "this is the file that renames")]
pub fn rename(from: &Path, to: &Path) -> io::Result<()> {
    failpoint::check_file("rename.before", from)?;
    std::fs::rename(from, to)?;
    failpoint::check_file("rename.after", from)?;
    sync_dir(parent(from)?)?;
    sync_dir(parent(to)?)
}

/// Creates the folder and what is missing above it, each 0700.
///
/// # Errors
/// When it cannot be created, or when something that is no folder stands there.
pub fn create_private_dir(dir: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(dir)
}

/// An advisory lock (flock) on a file of its own. It ends with the process that holds it, however that dies; a pid in
/// the file is for people to read and decides nothing.
#[derive(Debug)]
pub struct Lock {
    file: File,
}

/// Why a lock could not be taken.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Another process holds it; its pid, where it wrote one.
    #[error("held by another process{}", .pid.map(|pid| format!(" (process {pid})")).unwrap_or_default())]
    Held {
        /// The holder, as it wrote itself down.
        pid: Option<u32>,
    },
    /// The lock file cannot be used.
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl Lock {
    /// Takes the lock and writes our pid into the file.
    ///
    /// # Errors
    /// [`LockError::Held`] within 10 ms when another process holds it.
    pub fn acquire(path: &Path) -> Result<Self, LockError> {
        Self::acquire_saying(path, &format!("{}\n", std::process::id()))
    }

    /// Takes the lock and writes this into the file: who holds it, for people to read.
    ///
    /// # Errors
    /// [`LockError::Held`] within 10 ms when another process holds it.
    pub fn acquire_saying(path: &Path, text: &str) -> Result<Self, LockError> {
        loop {
            let lock = Self::acquire_there(path, text)?;
            // A program that removes or replaces the file meanwhile must not leave us with a lock on what is no longer there.
            if lock.is_at(path) {
                return Ok(lock);
            }
        }
    }

    fn acquire_there(path: &Path, text: &str) -> Result<Self, LockError> {
        let mut file =
            open_lock(OpenOptions::new().write(true).create(true).truncate(false).mode(0o600), path)?;
        let mut tries = 1;
        while let Err(error) = file.try_lock() {
            match error {
                TryLockError::WouldBlock if tries < PROBE_TRIES_MAX => {
                    tries += 1;
                    pause_for_probe();
                }
                TryLockError::WouldBlock => return Err(LockError::Held { pid: read_pid(&mut file) }),
                TryLockError::Error(error) => return Err(error.into()),
            }
        }
        // A file that has another name as well may be anybody's; what is written is only for people.
        if file.metadata()?.nlink() <= 1 {
            file.set_len(0)?;
            file.rewind()?;
            file.write_all(text.as_bytes())?;
        }
        Ok(Self { file })
    }

    /// True when the locked file is still the one at this path.
    pub fn is_at(&self, path: &Path) -> bool {
        let held = self.file.metadata().map(|found| Identity::of(&found));
        let there = path.symlink_metadata().map(|found| Identity::of(&found));
        matches!((held, there), (Ok(held), Ok(there)) if held == there)
    }

    /// Who holds the lock at this moment: `None` when nobody does. Takes nothing and creates nothing.
    ///
    /// # Errors
    /// When the file is there but cannot be opened.
    pub fn holder(path: &Path) -> io::Result<Option<Holder>> {
        let mut file = match open_lock(&mut OpenOptions::new(), path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        match file.try_lock_shared() {
            Ok(()) => Ok(None),
            Err(TryLockError::WouldBlock) => Ok(Some(Holder { pid: read_pid(&mut file) })),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }

    /// The locked file, to hand the lock on to a child.
    pub fn file(&self) -> &File {
        &self.file
    }
}

/// Opens a lock file, and nothing else that may stand in its place.
fn open_lock(options: &mut OpenOptions, path: &Path) -> io::Result<File> {
    let flags = i32::try_from((OFlags::NOFOLLOW | OFlags::NONBLOCK).bits()).unwrap_or_default();
    let file = options.read(true).custom_flags(flags).open(path).map_err(|error| {
        let is_link = error.raw_os_error() == Some(rustix::io::Errno::LOOP.raw_os_error());
        if is_link { io::Error::new(io::ErrorKind::InvalidInput, "it is a symbolic link") } else { error }
    })?;
    file::regular(&file)?;
    Ok(file)
}

/// [`Lock::holder`] takes the lock for some microseconds to see whether it is free; that must not be mistaken for an
/// owner by whoever wants it at that moment.
const PROBE_TRIES_MAX: u32 = 3;

#[expect(
    clippy::disallowed_methods,
    reason = "there is nothing to wait on but the other process's next instruction"
)]
fn pause_for_probe() {
    std::thread::sleep(std::time::Duration::from_millis(5));
}

/// The process that holds a lock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Holder {
    /// Its pid, where it wrote one.
    pub pid: Option<u32>,
}

fn read_pid(file: &mut File) -> Option<u32> {
    let mut text = String::new();
    file.rewind().ok()?;
    file.take(32).read_to_string(&mut text).ok()?;
    text.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_is_taken_on_nothing_but_a_file_of_its_own() {
        let dir = tempfile::tempdir().unwrap();
        let (lock, foreign) = (dir.path().join("lock"), dir.path().join("foreign"));
        write_atomic(&foreign, b"precious").unwrap();
        std::os::unix::fs::symlink(&foreign, &lock).unwrap();
        let refused = Lock::acquire(&lock).unwrap_err();
        assert!(refused.to_string().contains("symbolic link"), "{refused}");
        assert!(Lock::holder(&lock).is_err());
        std::fs::remove_file(&lock).unwrap();
        std::fs::hard_link(&foreign, &lock).unwrap();
        Lock::acquire(&lock).unwrap();
        assert_eq!(std::fs::read(&foreign).unwrap(), b"precious");
        std::fs::remove_file(&lock).unwrap();
        rustix::fs::mknodat(rustix::fs::CWD, &lock, rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
        assert!(Lock::acquire(&lock).unwrap_err().to_string().contains("a pipe"));
        assert!(Lock::holder(&lock).is_err());

        std::fs::remove_file(&lock).unwrap();
        let held = Lock::acquire(&lock).unwrap();
        assert!(held.is_at(&lock));
        std::fs::remove_file(&lock).unwrap();
        assert!(!held.is_at(&lock));
        let other = Lock::acquire(&lock).unwrap();
        assert!(!held.is_at(&lock) && other.is_at(&lock));
    }

    #[test]
    fn what_hermes_writes_for_itself_takes_the_place_of_a_symlink() {
        let dir = tempfile::tempdir().unwrap();
        let (own, foreign) = (dir.path().join("own"), dir.path().join("foreign"));
        write_atomic(&foreign, b"precious").unwrap();
        std::os::unix::fs::symlink(&foreign, &own).unwrap();
        write_atomic(&own, b"state").unwrap();
        assert_eq!(std::fs::read(&foreign).unwrap(), b"precious");
        assert_eq!(std::fs::read(&own).unwrap(), b"state");
        let odd = dir.path().join("odd");
        std::os::unix::fs::symlink("/dev/null", &odd).unwrap();
        assert!(write_through(&odd, b"x").is_err(), "a device is not replaced");
    }

    #[test]
    fn a_file_is_replaced_with_private_mode_and_its_symlink_stays() {
        let dir = tempfile::tempdir().unwrap();
        let real = dir.path().join("real");
        let link = dir.path().join("link");
        write_atomic(&real, b"old").unwrap();
        std::fs::set_permissions(&real, Permissions::from_mode(0o644)).unwrap();
        std::os::unix::fs::symlink("real", &link).unwrap();
        write_through(&link, b"new").unwrap();
        assert_eq!(std::fs::read(&real).unwrap(), b"new");
        assert!(std::fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(std::fs::metadata(&real).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 2, "no temp file is left");
    }

    #[test]
    fn a_failed_write_leaves_the_old_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("folder");
        std::fs::create_dir(&path).unwrap();
        assert!(write_atomic(&path, b"new").is_err());
        assert!(path.is_dir());
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_lock_names_its_holder_and_ends_with_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.lock");
        assert!(Lock::holder(&path).unwrap().is_none());
        let lock = Lock::acquire(&path).unwrap();
        assert_eq!(Lock::holder(&path).unwrap(), Some(Holder { pid: Some(std::process::id()) }));
        assert!(matches!(Lock::acquire(&path), Err(LockError::Held { pid: Some(_) })));
        drop(lock);
        assert!(Lock::holder(&path).unwrap().is_none());
        Lock::acquire(&path).unwrap();
    }
}
