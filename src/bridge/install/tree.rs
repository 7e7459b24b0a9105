//! The stamp of an installation: written last, it says which files with which sizes belong to it. An installation without
//! a stamp, or whose files differ from it in name or size, does not count. Contents are not read again: that would take
//! longer than everything else that is looked at before a start.

use std::ffi::{OsStr, OsString};
use std::io;
use std::path::Path;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::files;
use crate::durable;

const STAMP: &str = ".hermes-installed.json";

/// Far more than an installation has: a tree that is not ours is given up early.
const ENTRIES_MAX: usize = 50_000;

#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Stamp {
    /// The version of the bridge's own files.
    content: String,
    files: u64,
    bytes: u64,
    /// Over names and sizes.
    listing: String,
}

/// Writes the stamp, which makes an installation of the folder.
pub(super) fn stamp(dir: &Path) -> io::Result<()> {
    let stamp = survey(dir)?;
    let bytes = serde_json::to_vec(&stamp).map_err(io::Error::other)?;
    durable::write_atomic(&dir.join(STAMP), &bytes)
}

/// Whether the folder is as it was stamped: `None` when it was never stamped, else what differs.
pub(super) fn difference(dir: &Path) -> Option<Result<(), String>> {
    let bytes = match std::fs::read(dir.join(STAMP)) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
        Err(error) => return Some(Err(format!("its stamp cannot be read: {error}"))),
    };
    let Ok(stamp) = serde_json::from_slice::<Stamp>(&bytes) else {
        return Some(Err("its stamp is damaged".to_owned()));
    };
    let found = match survey(dir) {
        Ok(found) => found,
        Err(error) => return Some(Err(format!("its files cannot be listed: {error}"))),
    };
    if stamp.content != found.content {
        return Some(Err("it is of another version".to_owned()));
    }
    Some(if stamp.files != found.files {
        Err(format!("{} files were installed and {} are there", stamp.files, found.files))
    } else if stamp.listing != found.listing {
        Err("files were changed or replaced".to_owned())
    } else {
        Ok(())
    })
}

fn survey(dir: &Path) -> io::Result<Stamp> {
    let mut entries = Vec::new();
    list(dir, OsStr::new(""), &mut entries)?;
    entries.sort_unstable();
    let mut listing = Vec::new();
    let mut bytes = 0;
    for (name, len) in &entries {
        listing.extend_from_slice(name.as_encoded_bytes());
        listing.push(0);
        listing.extend_from_slice(&len.to_le_bytes());
        bytes += len;
    }
    Ok(Stamp {
        content: super::content_hash(),
        files: entries.len() as u64,
        bytes,
        listing: files::hex(&Sha256::digest(&listing)),
    })
}

/// Names relative to the root, with the sizes.
fn list(dir: &Path, below: &OsStr, entries: &mut Vec<(OsString, u64)>) -> io::Result<()> {
    for entry in std::fs::read_dir(dir)? {
        let entry = entry?;
        let mut name = below.to_owned();
        name.push(entry.file_name());
        if entry.file_type()?.is_dir() {
            name.push("/");
            list(&entry.path(), &name, entries)?;
        } else if name != STAMP {
            entries.push((name, entry.metadata()?.len()));
        }
        if entries.len() > ENTRIES_MAX {
            return Err(io::Error::other("there are too many files"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(path: &Path, bytes: &[u8]) {
        durable::create_private_dir(path.parent().unwrap()).unwrap();
        durable::write_atomic(path, bytes).unwrap();
    }

    #[test]
    fn a_tree_is_whole_as_long_as_names_and_sizes_are() {
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
        assert_eq!(difference(dir.path()), Some(Err("2 files were installed and 1 are there".into())));
        write(&file, b"two");
        assert_eq!(difference(dir.path()), Some(Ok(())));
        write(&dir.path().join(STAMP), b"{");
        assert_eq!(difference(dir.path()), Some(Err("its stamp is damaged".into())));
    }
}
