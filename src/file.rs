//! Reading files. The one place where a file is opened to be read: no other kind of file in its place can block hermes (a
//! FIFO, a device) or fill its memory (a huge file).

use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// Longest settings file, in bytes.
pub const SETTINGS_LEN_MAX: u64 = 1 << 20;

/// Longest of the other files that hermes writes itself, in bytes.
pub const OWN_LEN_MAX: u64 = 16 << 20;

/// Opens a regular file to be read. Links are followed.
///
/// # Errors
/// When it cannot be opened, or is not a regular file.
pub fn open(path: impl AsRef<Path>) -> io::Result<File> {
    // Without this flag, opening a FIFO waits for its other end.
    let flags = rustix::fs::OFlags::NONBLOCK | rustix::fs::OFlags::NOCTTY;
    let flags = i32::try_from(flags.bits()).unwrap_or_default();
    let file = OpenOptions::new().read(true).custom_flags(flags).open(path)?;
    regular(&file)?;
    Ok(file)
}

/// Refuses all but a regular file.
///
/// # Errors
/// The kind of file that it is.
pub fn regular(file: &File) -> io::Result<()> {
    use std::os::unix::fs::FileTypeExt;
    let kind = file.metadata()?.file_type();
    let what = match kind {
        _ if kind.is_file() => return Ok(()),
        _ if kind.is_dir() => return Err(io::ErrorKind::IsADirectory.into()),
        _ if kind.is_fifo() => "a pipe",
        _ if kind.is_socket() => "a socket",
        _ => "a device",
    };
    Err(io::Error::new(io::ErrorKind::InvalidInput, format!("it is {what}, not a file")))
}

/// Returns the whole content of a regular file of at most `len_max` bytes.
///
/// # Errors
/// When it cannot be read, is not a regular file, or is longer.
pub fn read(path: impl AsRef<Path>, len_max: u64) -> io::Result<Vec<u8>> {
    read_from(open(path)?, len_max)
}

/// Returns the rest of an open file, as [`read`] does.
///
/// # Errors
/// When it cannot be read, or is longer.
pub fn read_from(file: File, len_max: u64) -> io::Result<Vec<u8>> {
    let too_long =
        || io::Error::new(io::ErrorKind::FileTooLarge, format!("it is longer than {len_max} bytes"));
    // Before anything of it is read: a sparse file costs its owner nothing.
    if file.metadata()?.len() > len_max {
        return Err(too_long());
    }
    let mut bytes = Vec::new();
    file.take(len_max.saturating_add(1)).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > len_max { Err(too_long()) } else { Ok(bytes) }
}

/// Returns the content as text.
///
/// # Errors
/// As [`read`], and when it is not UTF-8.
pub fn read_text(path: impl AsRef<Path>, len_max: u64) -> io::Result<String> {
    String::from_utf8(read(path, len_max)?)
        .map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "it is not UTF-8 text"))
}

/// Returns at most the first `len_max` bytes of a file of the kernel, whose reported length is not true.
///
/// # Errors
/// When it cannot be read.
pub fn read_system(path: impl AsRef<Path>, len_max: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    open(path)?.take(len_max).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Returns the identity of the file at this path, to notice that another one has taken its place; links are followed.
///
/// # Errors
/// When nothing is there.
pub fn identity(path: impl AsRef<Path>) -> io::Result<Identity> {
    std::fs::metadata(path).map(|found| Identity::of(&found))
}

/// The identity of a file of this machine, whatever its name is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Identity {
    device: u64,
    inode: u64,
}

impl Identity {
    /// Makes an identity from the metadata.
    pub fn of(found: &std::fs::Metadata) -> Self {
        use std::os::unix::fs::MetadataExt;
        Self { device: found.dev(), inode: found.ino() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::durable::write_atomic;

    #[test]
    fn a_file_is_read_whole_and_nothing_else_is() {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        write_atomic(&path("file"), b"12345").unwrap();
        std::os::unix::fs::symlink("file", path("link")).unwrap();
        assert_eq!(read(path("link"), 5).unwrap(), b"12345");
        assert_eq!(read(path("file"), 4).unwrap_err().kind(), io::ErrorKind::FileTooLarge);
        assert_eq!(read(path("none"), 4).unwrap_err().kind(), io::ErrorKind::NotFound);
        assert_eq!(read(dir.path(), 4).unwrap_err().kind(), io::ErrorKind::IsADirectory);
        write_atomic(&path("bytes"), b"\xff").unwrap();
        assert_eq!(read_text(path("bytes"), 4).unwrap_err().kind(), io::ErrorKind::InvalidData);

        // None of these may block, or read without an end.
        let fifo = rustix::fs::FileType::Fifo;
        rustix::fs::mknodat(rustix::fs::CWD, path("fifo"), fifo, 0o600.into(), 0).unwrap();
        let _socket = std::os::unix::net::UnixListener::bind(path("socket")).unwrap();
        for (path, what) in [(path("fifo"), "a pipe"), ("/dev/zero".into(), "a device")] {
            let error = read(&path, u64::MAX).unwrap_err();
            assert!(error.to_string().contains(what), "{}: {error}", path.display());
        }
        assert!(read(path("socket"), u64::MAX).is_err());
        // A sparse file of a terabyte.
        let huge = File::create(path("huge")).unwrap();
        huge.set_len(1 << 40).unwrap();
        assert_eq!(read(path("huge"), 1 << 20).unwrap_err().kind(), io::ErrorKind::FileTooLarge);
    }
}
