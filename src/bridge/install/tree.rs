//! The stamp of an installation: written last, it lists the files that belong to it and the hash of their contents. An
//! installation without a stamp, or whose files differ from it, does not count. Contents are read again only where the file
//! system reports that a file was touched: reading all of them would take longer than all other checks before a start.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::files;
use crate::{durable, file};

const STAMP: &str = ".hermes-installed.json";

/// Most entries of an installation, far more than it has: a larger tree is not ours and is given up early.
const ENTRIES_MAX: usize = 50_000;

/// Largest file of an installation, in bytes, far more than any has.
const FILE_LEN_MAX: u64 = 64 << 20;

#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Stamp {
    /// The version of the bridge's own files.
    content: String,
    files: u64,
    bytes: u64,
    /// Hash over names and sizes.
    listing: String,
    /// Hash over names and contents; a stamp of an earlier hermes has none.
    #[serde(default)]
    contents: Option<String>,
    /// Hash over names, inodes and times of change: while it is the same, no content has changed.
    #[serde(default)]
    seen: Option<String>,
}

/// A file of an installation.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Entry {
    name: OsString,
    len: u64,
    /// The time of the last change of the file; programs cannot set it back.
    touched: (u64, u64, i64, i64),
    is_link: bool,
}

/// Writes the stamp, which makes an installation of the folder.
pub(super) fn stamp(dir: &Path) -> io::Result<()> {
    let (mut stamp, entries) = survey(dir)?;
    stamp.contents = Some(contents(dir, &entries)?);
    write(dir, &stamp)
}

fn write(dir: &Path, stamp: &Stamp) -> io::Result<()> {
    let bytes = serde_json::to_vec(stamp).map_err(io::Error::other)?;
    durable::write_atomic(&dir.join(STAMP), &bytes)
}

/// Compares the folder with its stamp: `None` when it was never stamped, else the difference.
pub(super) fn difference(dir: &Path) -> Option<Result<(), String>> {
    let bytes = match file::read(dir.join(STAMP), file::OWN_LEN_MAX) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
        Err(error) => return Some(Err(format!("its version stamp cannot be read: {error}"))),
    };
    let Ok(stamp) = serde_json::from_slice::<Stamp>(&bytes) else {
        return Some(Err("its version stamp is damaged".to_owned()));
    };
    let (mut found, entries) = match survey(dir) {
        Ok(found) => found,
        Err(error) => return Some(Err(format!("its files cannot be listed: {error}"))),
    };
    if stamp.content != found.content {
        return Some(Err("it is a different version".to_owned()));
    }
    Some(if stamp.files != found.files {
        Err(format!("{} files were installed and {} exist", stamp.files, found.files))
    } else if stamp.listing != found.listing {
        Err("files were changed or replaced".to_owned())
    } else if stamp.seen == found.seen {
        Ok(())
    } else {
        match contents(dir, &entries) {
            Err(error) => Err(format!("its files cannot be read: {error}")),
            Ok(now) if stamp.contents.as_ref().is_some_and(|then| *then != now) => {
                Err("files were changed or replaced".to_owned())
            }
            Ok(now) => {
                // Copied or restored as it was. Where that cannot be written down, it is read again the next time.
                found.contents = Some(now);
                drop(write(dir, &found));
                Ok(())
            }
        }
    })
}

fn survey(dir: &Path) -> io::Result<(Stamp, Vec<Entry>)> {
    let mut entries = Vec::new();
    list(dir, OsStr::new(""), &mut entries)?;
    entries.sort_unstable();
    let (mut listing, mut seen) = (Sha256::new(), Sha256::new());
    let mut bytes = 0;
    for entry in &entries {
        for hash in [&mut listing, &mut seen] {
            hash.update(entry.name.as_encoded_bytes());
            hash.update([0]);
        }
        listing.update(entry.len.to_le_bytes());
        seen.update(format!("{:?}", entry.touched));
        bytes += entry.len;
    }
    let stamp = Stamp {
        content: super::content_hash(),
        files: entries.len() as u64,
        bytes,
        listing: files::hex(&listing.finalize()),
        contents: None,
        seen: Some(files::hex(&seen.finalize())),
    };
    Ok((stamp, entries))
}

/// Hashes the contents of all files, and the targets of links.
fn contents(dir: &Path, entries: &[Entry]) -> io::Result<String> {
    let mut hash = Sha256::new();
    for entry in entries {
        let path = dir.join(&entry.name);
        hash.update(entry.name.as_encoded_bytes());
        hash.update([0]);
        let content = if entry.is_link {
            std::fs::read_link(&path)?.into_os_string().into_encoded_bytes()
        } else {
            file::read(&path, FILE_LEN_MAX)?
        };
        hash.update((content.len() as u64).to_le_bytes());
        hash.update(content);
    }
    Ok(files::hex(&hash.finalize()))
}

/// Lists names relative to the root, with the sizes.
fn list(dir: &Path, below: &OsStr, entries: &mut Vec<Entry>) -> io::Result<()> {
    for entry in std::fs::read_dir(dir)? {
        let entry = entry?;
        let mut name = below.to_owned();
        name.push(entry.file_name());
        if entry.file_type()?.is_dir() {
            name.push("/");
            list(&entry.path(), &name, entries)?;
        } else if name != STAMP {
            let meta = entry.metadata()?;
            let touched = (meta.dev(), meta.ino(), meta.ctime(), meta.ctime_nsec());
            entries.push(Entry { name, len: meta.len(), touched, is_link: meta.is_symlink() });
        }
        if entries.len() > ENTRIES_MAX {
            return Err(io::Error::other("there are too many files"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{Path, STAMP, difference, durable, stamp};

    fn write(path: &Path, bytes: &[u8]) {
        durable::create_private_dir(path.parent().unwrap()).unwrap();
        durable::write_atomic(path, bytes).unwrap();
    }

    #[test]
    fn a_change_of_the_same_size_is_noticed_and_a_copy_is_not_one() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("node_modules/a/index.js");
        write(&file, b"one");
        std::os::unix::fs::symlink("index.js", dir.path().join("node_modules/a/bin")).unwrap();
        stamp(dir.path()).unwrap();
        let old = file.metadata().unwrap().modified().unwrap();
        // In place, and with its old date.
        let open = std::fs::File::options().write(true).open(&file).unwrap();
        std::io::Write::write_all(&mut &open, b"two").unwrap();
        open.set_modified(old).unwrap();
        let changed = Some(Err("files were changed or replaced".into()));
        assert_eq!(difference(dir.path()), changed);
        write(&file, b"one");
        let stamped = std::fs::read(dir.path().join(STAMP)).unwrap();
        assert_eq!(difference(dir.path()), Some(Ok(())), "restored as it was");
        assert_ne!(
            std::fs::read(dir.path().join(STAMP)).unwrap(),
            stamped,
            "and not read again the next time"
        );
        std::fs::remove_file(dir.path().join("node_modules/a/bin")).unwrap();
        std::os::unix::fs::symlink("evil.mjs", dir.path().join("node_modules/a/bin")).unwrap();
        assert_eq!(difference(dir.path()), changed);
    }

    #[test]
    fn a_tree_is_whole_as_long_as_names_and_contents_are() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("node_modules/a/index.js");
        write(&file, b"one");
        write(&dir.path().join("bridge.mjs"), b"x");
        assert_eq!(difference(dir.path()), None);
        stamp(dir.path()).unwrap();
        assert_eq!(difference(dir.path()), Some(Ok(())));
        let elsewhere = tempfile::tempdir().unwrap();
        let link = elsewhere.path().join("link");
        std::os::unix::fs::symlink(dir.path(), &link).unwrap();
        assert_eq!(difference(&link), Some(Ok(())), "a symlinked folder is followed");

        write(&file, b"");
        assert_eq!(difference(dir.path()), Some(Err("files were changed or replaced".into())));
        std::fs::remove_file(&file).unwrap();
        assert_eq!(difference(dir.path()), Some(Err("2 files were installed and 1 exist".into())));
        write(&file, b"one");
        assert_eq!(difference(dir.path()), Some(Ok(())));
        write(&dir.path().join(STAMP), b"{");
        assert_eq!(difference(dir.path()), Some(Err("its version stamp is damaged".into())));
    }
}
