//! The room on the disk: a reserve for what must still be written when it is full, and whether there is enough again.

use std::fs::OpenOptions;
use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{FallocateFlags, OFlags, fallocate, statvfs};
use rustix::process::{Resource, getrlimit};

/// Kept back on the disk; 1/16 of one that is small.
const RESERVE_BYTES: u64 = 8 << 20;

/// So much must be free before anything new is taken; 1/4 of a disk that is small.
const FREE_BYTES_MIN: u64 = 64 << 20;

/// What one write may add to a file; also how much is written to find out why another write failed.
const WRITE_BYTES: usize = 64 << 10;

/// The disk below one database.
#[derive(Debug)]
pub(super) struct DiskSpace {
    dir: PathBuf,
    reserve: PathBuf,
    /// Files that grow.
    growing: [PathBuf; 2],
    /// A reserve could be kept here.
    has_reserve: bool,
}

impl DiskSpace {
    /// Makes the reserve where that is possible.
    pub(super) fn keep(dir: PathBuf, reserve: PathBuf, growing: [PathBuf; 2]) -> Self {
        let mut room = Self { dir, reserve, growing, has_reserve: true };
        room.has_reserve = room.make_reserve();
        room
    }

    /// Gives the reserve up for what must still be written.
    pub(super) fn release(&self) {
        drop(std::fs::remove_file(&self.reserve));
    }

    /// True when a failed write failed for want of room. SQLite tells a full disk, but not a quota or a limit on files.
    pub(super) fn is_cause(&self) -> bool {
        let is_full = |error: std::io::Error| {
            matches!(
                error.kind(),
                ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge
            )
        };
        let probe = tempfile::tempfile_in(&self.dir);
        self.is_limited() || probe.and_then(|mut file| file.write_all(&[1; WRITE_BYTES])).is_err_and(is_full)
    }

    /// True when new things may be taken again: enough is free, and the reserve is there again.
    pub(super) fn is_enough(&self) -> bool {
        let wanted = FREE_BYTES_MIN.min(disk_bytes(&self.dir) / 4);
        free_bytes(&self.dir).is_some_and(|free| free >= wanted)
            && !self.is_limited()
            && (!self.has_reserve || self.make_reserve())
    }

    fn is_limited(&self) -> bool {
        let Some(limit) = getrlimit(Resource::Fsize).current else { return false };
        let longest =
            self.growing.iter().filter_map(|path| path.metadata().ok()).map(|meta| meta.len()).max();
        limit <= longest.unwrap_or(0).saturating_add(WRITE_BYTES as u64)
    }

    fn make_reserve(&self) -> bool {
        let bytes = reserve_bytes(&self.dir);
        // A soft limit on files would end us with a signal that nobody may have asked to be told of.
        if getrlimit(Resource::Fsize).current.is_some_and(|limit| limit < bytes) {
            return false;
        }
        let made = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            // A link in its place would have another file grow.
            .custom_flags(i32::try_from((OFlags::NOFOLLOW | OFlags::NONBLOCK).bits()).unwrap_or_default())
            .open(&self.reserve)
            .and_then(|file| Ok(fallocate(&file, FallocateFlags::empty(), 0, bytes)?));
        if made.is_err() {
            self.release();
        }
        made.is_ok()
    }
}

/// True when new files of this size leave the reserve free on the disk of this folder.
pub(super) fn fits(dir: &Path, bytes: u64) -> bool {
    free_bytes(dir).is_some_and(|free| free >= reserve_bytes(dir).saturating_add(bytes))
}

fn free_bytes(dir: &Path) -> Option<u64> {
    statvfs(dir).ok().map(|disk| disk.f_bavail.saturating_mul(disk.f_frsize))
}

fn disk_bytes(dir: &Path) -> u64 {
    statvfs(dir).map_or(u64::MAX, |disk| disk.f_blocks.saturating_mul(disk.f_frsize))
}

fn reserve_bytes(dir: &Path) -> u64 {
    RESERVE_BYTES.min(disk_bytes(dir) / 16)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt as _;

    use super::*;

    #[test]
    fn the_reserve_takes_room_for_itself_and_gives_it_up() {
        let dir = tempfile::tempdir().unwrap();
        let reserve = dir.path().join("reserve");
        let growing = [dir.path().join("a"), dir.path().join("b")];
        let room = DiskSpace::keep(dir.path().to_owned(), reserve.clone(), growing);
        let meta = reserve.metadata().unwrap();
        assert_eq!((meta.len(), meta.mode() & 0o777), (RESERVE_BYTES, 0o600));
        assert!(meta.blocks() * 512 >= RESERVE_BYTES, "it is more than a number");
        room.release();
        assert!(!reserve.exists());
        assert!(!room.is_cause(), "there is room here");
        assert!(room.is_enough() && reserve.exists());
    }

    #[test]
    fn a_file_larger_than_the_free_space_does_not_fit() {
        let dir = tempfile::tempdir().unwrap();
        assert!(fits(dir.path(), 0));
        assert!(!fits(dir.path(), disk_bytes(dir.path())) && !fits(dir.path(), u64::MAX));
        assert!(!fits(&dir.path().join("gone"), 0));
    }

    #[test]
    fn a_folder_that_is_gone_has_no_room_and_is_not_full() {
        let dir = tempfile::tempdir().unwrap();
        let gone = dir.path().join("gone");
        let room = DiskSpace::keep(gone.clone(), gone.join("reserve"), [gone.join("a"), gone.join("b")]);
        assert!(!room.is_cause() && !room.is_enough());
    }
}
