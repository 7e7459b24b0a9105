//! Attachments on their way to the disk: whatever was announced, the limits hold while the bytes come in; names are random,
//! and nothing that a sender chose becomes part of a path.

use std::ffi::OsStr;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use jiff::Timestamp;
use tempfile::{NamedTempFile, TempPath};

use crate::durable;

/// The limits of one folder of attachments.
#[derive(Debug, Clone)]
pub struct Media {
    /// Where they are kept.
    pub dir: PathBuf,
    /// The largest file, in bytes.
    pub file_len_max: u64,
    /// All files together, in bytes; beyond it the oldest go.
    pub total_len_max: u64,
}

/// Why an attachment is not on the disk, for whoever reads the message.
pub const TOO_LARGE: &str = "it is larger than the limit";
/// See [`TOO_LARGE`].
pub const FOLDER_FULL: &str = "the attachments folder is full";
/// See [`TOO_LARGE`].
pub const NOT_STORED: &str = "it could not be stored";

/// A younger file may belong to a message that is still being answered.
const KEPT_AT_LEAST: Duration = Duration::from_secs(3600);

/// Random letters and digits, before the ending.
const NAME_LEN: usize = 16;

/// True when a file has a name as we give them.
fn is_ours(name: &OsStr) -> bool {
    let name = Path::new(name);
    let is_plain = |part: &OsStr| part.as_encoded_bytes().iter().all(u8::is_ascii_alphanumeric);
    let has_stem = name.file_stem().is_some_and(|stem| stem.len() == NAME_LEN && is_plain(stem));
    has_stem && name.extension().is_none_or(|ending| (1..=4).contains(&ending.len()) && is_plain(ending))
}

/// A file that lies in this folder, whatever links lead there: what another program says of a path is not believed.
///
/// # Errors
/// [`NOT_STORED`] where it is elsewhere, or not a file.
pub fn within(dir: &Path, path: &Path) -> Result<PathBuf, &'static str> {
    let place = |path: &Path| path.canonicalize().map_err(|_| NOT_STORED);
    let (dir, path) = (place(dir)?, place(path)?);
    let is_there =
        path.parent() == Some(dir.as_path()) && path.symlink_metadata().is_ok_and(|found| found.is_file());
    if is_there { Ok(path) } else { Err(NOT_STORED) }
}

/// A file that is being fetched. Dropping it removes it.
#[derive(Debug)]
pub struct Arriving {
    file: NamedTempFile,
    len: u64,
    len_max: u64,
}

/// A whole file on the disk. Dropping it removes it: whoever waited for it may be gone by now.
#[derive(Debug)]
pub struct Arrived(TempPath);

impl Arrived {
    /// From now on it stays.
    ///
    /// # Errors
    /// When the system does not let it.
    pub fn keep(self) -> Result<PathBuf, &'static str> {
        self.0.keep().map_err(|_| NOT_STORED)
    }
}

impl Media {
    /// Makes room for a file of this length, if it is known. Blocks.
    ///
    /// # Errors
    /// Why there is none.
    pub fn begin(
        &self,
        now: Timestamp,
        len: Option<u64>,
        mime: Option<&str>,
    ) -> Result<Arriving, &'static str> {
        if len.is_some_and(|len| len > self.file_len_max) {
            return Err(TOO_LARGE);
        }
        durable::create_private_dir(&self.dir).map_err(|_| NOT_STORED)?;
        let room = self.room(now.into(), len.unwrap_or(self.file_len_max)).map_err(|_| NOT_STORED)?;
        if room == 0 || len.is_some_and(|len| len > room) {
            return Err(FOLDER_FULL);
        }
        let suffix = mime.and_then(extension).map_or_else(String::new, |extension| format!(".{extension}"));
        let file = tempfile::Builder::new()
            .prefix("")
            .rand_bytes(NAME_LEN)
            .suffix(&suffix)
            .tempfile_in(&self.dir)
            .map_err(|_| NOT_STORED)?;
        Ok(Arriving { file, len: 0, len_max: self.file_len_max.min(room) })
    }

    /// How many bytes there is room for, once the oldest have made way for `wanted`.
    fn room(&self, now: SystemTime, wanted: u64) -> io::Result<u64> {
        let mut files = Vec::new();
        for entry in std::fs::read_dir(&self.dir)? {
            let entry = entry?;
            let meta = entry.metadata()?;
            // The folder may be a link to one with other files in it: those are left alone.
            if meta.is_file() && is_ours(&entry.file_name()) {
                files.push((meta.modified()?, meta.len(), entry.path()));
            }
        }
        let mut used: u64 = files.iter().map(|(_, len, _)| len).sum();
        files.sort();
        for (modified, len, path) in files {
            let is_old = now.duration_since(modified).is_ok_and(|age| age > KEPT_AT_LEAST);
            if used.saturating_add(wanted) <= self.total_len_max || !is_old {
                break;
            }
            std::fs::remove_file(path)?;
            used -= len;
        }
        Ok(self.total_len_max.saturating_sub(used))
    }
}

impl Arriving {
    /// Adds bytes. Blocks.
    ///
    /// # Errors
    /// When they are too many, or the disk does not take them.
    pub fn add(&mut self, bytes: &[u8]) -> Result<(), &'static str> {
        self.len += bytes.len() as u64;
        if self.len > self.len_max {
            return Err(TOO_LARGE);
        }
        self.file.write_all(bytes).map_err(|_| NOT_STORED)
    }

    /// The file is whole. Blocks until it is on the disk.
    ///
    /// # Errors
    /// When the disk does not keep it.
    pub fn arrived(self) -> Result<Arrived, &'static str> {
        self.file.as_file().sync_all().map_err(|_| NOT_STORED)?;
        let path = self.file.into_temp_path();
        durable::sync_dir(path.parent().unwrap_or(Path::new("."))).map_err(|_| NOT_STORED)?;
        Ok(Arrived(path))
    }
}

/// The ending by which other programs know a type. Of an unknown type there is none.
fn extension(mime: &str) -> Option<&'static str> {
    let kind = mime.split(';').next()?.trim().to_ascii_lowercase();
    Some(match kind.as_str() {
        "image/jpeg" => "jpg",
        "image/png" => "png",
        "image/webp" => "webp",
        "image/gif" => "gif",
        "video/mp4" => "mp4",
        "video/webm" => "webm",
        "video/3gpp" => "3gp",
        "audio/ogg" => "ogg",
        "audio/mpeg" => "mp3",
        "audio/mp4" | "audio/x-m4a" => "m4a",
        "audio/aac" => "aac",
        "application/pdf" => "pdf",
        "text/plain" => "txt",
        "text/csv" => "csv",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;
    use crate::clock::Now;

    fn media(file_len_max: u64, total_len_max: u64) -> (tempfile::TempDir, Media) {
        let root = tempfile::tempdir().unwrap();
        let media = Media { dir: root.path().join("media"), file_len_max, total_len_max };
        (root, media)
    }

    fn now() -> Timestamp {
        Now::read().wall
    }

    fn files(media: &Media) -> usize {
        std::fs::read_dir(&media.dir).unwrap().count()
    }

    #[test]
    fn a_file_is_kept_whole_and_ours_alone_under_a_name_that_nobody_chose() {
        let (_root, media) = media(10, 100);
        let mut arriving = media.begin(now(), Some(5), Some("IMAGE/JPEG; x")).unwrap();
        arriving.add(b"ab").unwrap();
        arriving.add(b"cde").unwrap();
        let path = arriving.arrived().unwrap().keep().unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"abcde");
        assert_eq!(path.extension().unwrap(), "jpg");
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let arrived = media.begin(now(), None, Some("../../x")).unwrap().arrived().unwrap();
        assert_eq!(files(&media), 2);
        drop(arrived);
        assert_eq!(files(&media), 1, "what nobody waits for any more is gone");
        let odd = media.begin(now(), None, Some("../../x")).unwrap().arrived().unwrap().keep().unwrap();
        assert_eq!(odd.extension(), None);
    }

    #[test]
    fn too_much_is_refused_when_it_is_announced_and_when_it_comes_all_the_same() {
        let (_root, media) = media(10, 100);
        assert_eq!(media.begin(now(), Some(11), None).unwrap_err(), TOO_LARGE);
        let mut arriving = media.begin(now(), Some(3), None).unwrap();
        arriving.add(&[0; 10]).unwrap();
        assert_eq!(arriving.add(&[0]).unwrap_err(), TOO_LARGE);
        drop(arriving);
        assert_eq!(files(&media), 0, "what was given up is gone");
    }

    #[test]
    fn in_a_folder_that_is_a_link_nothing_foreign_goes() {
        let (root, media) = media(10, 20);
        let foreign = root.path().join("photos");
        std::fs::create_dir(&foreign).unwrap();
        std::os::unix::fs::symlink(&foreign, &media.dir).unwrap();
        for name in ["holiday.jpg", "0123456789abcde.jpg", "0123456789abcdef.", "notes"] {
            std::fs::File::create(foreign.join(name)).unwrap().set_len(1 << 20).unwrap();
        }
        let mut arriving = media.begin(Timestamp::MAX, Some(5), None).unwrap();
        arriving.add(b"abcde").unwrap();
        arriving.arrived().unwrap().keep().unwrap();
        assert_eq!(files(&media), 5);
    }

    #[test]
    fn only_a_file_in_the_folder_is_believed_to_be_one() {
        let (root, media) = media(10, 20);
        durable::create_private_dir(&media.dir).unwrap();
        let (inside, outside) = (media.dir.join("a"), root.path().join("b"));
        for path in [&inside, &outside] {
            durable::write_atomic(path, b"").unwrap();
        }
        std::os::unix::fs::symlink(&outside, media.dir.join("link")).unwrap();
        assert!(within(&media.dir, &inside).is_ok());
        for path in
            [&outside, &media.dir.join("../b"), &media.dir.join("link"), &media.dir, &media.dir.join("none")]
        {
            assert_eq!(within(&media.dir, path), Err(NOT_STORED), "{}", path.display());
        }
        std::os::unix::fs::symlink(&media.dir, root.path().join("other")).unwrap();
        assert!(within(&root.path().join("other"), &inside).is_ok());
    }

    #[test]
    fn the_oldest_make_way_and_what_is_young_stays() {
        let (_root, media) = media(10, 20);
        let put = |age: Duration| {
            let mut arriving = media.begin(now(), Some(10), None).unwrap();
            arriving.add(&[0; 10]).unwrap();
            let path = arriving.arrived().unwrap().keep().unwrap();
            let file = std::fs::File::options().write(true).open(&path).unwrap();
            file.set_modified(SystemTime::from(now()) - age).unwrap();
            path
        };
        let old = put(Duration::from_secs(7200));
        let young = put(Duration::from_secs(60));
        let new = put(Duration::ZERO);
        assert!(!old.exists() && young.exists() && new.exists());
        assert_eq!(media.begin(now(), Some(1), None).unwrap_err(), FOLDER_FULL);
    }
}
