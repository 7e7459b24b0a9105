//! `.env`: read it, and change single settings in place. Comments, order, quoting, line ends and lines that are not
//! ours stay as they are. The grammar is [`crate::env_grammar`]'s.

use std::fmt;
use std::io;
use std::path::Path;

use crate::env_grammar::{self, Entry, Parsed, Quote};
use crate::file;

/// A `.env` file in memory. `Debug` shows names, never values.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct EnvFile {
    bytes: Vec<u8>,
    /// The content as read from the disk, to know whether it changed.
    original: Vec<u8>,
    parsed: Parsed,
}

/// Causes for which a setting was not changed. The file in memory is then as it was.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SetError {
    /// A name that not every reader accepts.
    #[error("`{0}` is not a valid setting name")]
    Key(String),
    /// A line break or NUL in the value; the value is not shown.
    #[error("the value of {0} contains a line break or a NUL character")]
    Value(String),
    /// An unclosed quote elsewhere in the file would swallow what is written.
    #[error("{0} cannot be set without changing another line; check the quotes in the file")]
    Entangled(String),
}

impl EnvFile {
    /// Reads the file; a missing one is empty.
    ///
    /// # Errors
    /// When it is there and cannot be read.
    pub fn load(path: &Path) -> io::Result<Self> {
        match file::read(path, file::SETTINGS_LEN_MAX) {
            Ok(bytes) => Ok(Self::parse(bytes)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Self::default()),
            Err(error) => Err(error),
        }
    }

    /// Makes a file of these bytes.
    pub fn parse(bytes: impl Into<Vec<u8>>) -> Self {
        let bytes = bytes.into();
        Self { parsed: env_grammar::parse(&bytes), original: bytes.clone(), bytes }
    }

    /// Returns why the file is not text, as a clause; `None` where it is. Where it is not (UTF-16, say), most of its settings
    /// are lost.
    pub fn text_fault(&self) -> Option<String> {
        let (at, what) = match std::str::from_utf8(&self.bytes) {
            Err(error) => (error.valid_up_to(), "is not UTF-8 text"),
            Ok(text) => (text.find('\0')?, "contains a NUL character"),
        };
        let line = 1 + self.bytes[..at].iter().filter(|byte| **byte == b'\n').count();
        Some(format!("line {line} {what}"))
    }

    /// Returns the value of the last line that sets `key`. It may be empty.
    pub fn value(&self, key: &str) -> Option<&str> {
        self.entries(key).next_back().map(|entry| entry.value.as_str())
    }

    /// Returns the names that are set, each once, in the order of the file.
    pub fn names(&self) -> Vec<&str> {
        let mut names: Vec<&str> = Vec::new();
        for entry in &self.parsed.entries {
            if !names.contains(&entry.key.as_str()) {
                names.push(&entry.key);
            }
        }
        names
    }

    /// Sets `key`: in place in the line that counts (the last), else in a new line at the end. Other lines that set the same
    /// key are removed, so that every reader finds the same value. Nothing changes when all of them have it already.
    ///
    /// # Errors
    /// When key or value cannot be written so that they are read back the same; see [`SetError`].
    pub fn set(&mut self, key: &str, value: &str) -> Result<(), SetError> {
        if !env_grammar::is_key(key) {
            return Err(SetError::Key(key.to_owned()));
        }
        if value.contains(['\n', '\r', '\0']) {
            return Err(SetError::Value(key.to_owned()));
        }
        let mut bytes = self.bytes.clone();
        match self.entries(key).next_back() {
            Some(_) if self.entries(key).all(|entry| entry.value == value) => return Ok(()),
            Some(last) => {
                bytes.splice(last.written.clone(), env_grammar::render(value, last.quote).into_bytes());
                for entry in self.entries(key).rev().skip(1) {
                    bytes.drain(entry.whole.clone());
                }
            }
            None => {
                let ending = env_grammar::line_ending(&bytes);
                if !matches!(bytes.last(), None | Some(b'\n')) {
                    bytes.extend_from_slice(ending.as_bytes());
                }
                let written = env_grammar::render(value, Quote::Bare);
                bytes.extend_from_slice(format!("{key}={written}{ending}").as_bytes());
            }
        }
        self.replace(bytes, key, Some(value))
    }

    /// Removes every line that sets `key`. Returns true when there was one.
    ///
    /// # Errors
    /// [`SetError::Entangled`] when that would change what another line means.
    pub fn unset(&mut self, key: &str) -> Result<bool, SetError> {
        let mut bytes = self.bytes.clone();
        for entry in self.entries(key).rev() {
            bytes.drain(entry.whole.clone());
        }
        let changed = bytes != self.bytes;
        self.replace(bytes, key, None)?;
        Ok(changed)
    }

    /// Replaces the content when `key` has the new value in the new bytes and everything else its old one.
    fn replace(&mut self, bytes: Vec<u8>, key: &str, value: Option<&str>) -> Result<(), SetError> {
        let new = Self { parsed: env_grammar::parse(&bytes), original: Vec::new(), bytes };
        let others = |file: &Self| -> Vec<(String, String)> {
            let others = file.parsed.entries.iter().filter(|entry| entry.key != key);
            others.map(|entry| (entry.key.clone(), entry.value.clone())).collect()
        };
        if new.value(key) != value || others(&new) != others(self) {
            return Err(SetError::Entangled(key.to_owned()));
        }
        self.bytes = new.bytes;
        self.parsed = new.parsed;
        Ok(())
    }

    /// Returns the oddities of the file, as sentences without their period; by line number, never with a line's text.
    pub fn warnings(&self) -> Vec<String> {
        const WARNINGS_MAX: usize = 20;
        let oddities = self.parsed.oddities.iter().take(WARNINGS_MAX);
        oddities.map(|oddity| format!(".env: line {} {}", oddity.line, oddity.what)).collect()
    }

    /// True when a setting was changed or removed since the file was read.
    pub fn is_changed(&self) -> bool {
        self.bytes != self.original
    }

    /// Returns the file as it would be written.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Replaces the file (0600, atomically, through symlinks) when something changed; an unchanged file is not touched.
    ///
    /// # Errors
    /// Any failure leaves the old file as it was.
    pub fn save(&mut self, path: &Path) -> io::Result<()> {
        if self.is_changed() {
            crate::durable::write_through(path, &self.bytes)?;
            self.original.clone_from(&self.bytes);
        }
        Ok(())
    }

    fn entries<'a>(&'a self, key: &str) -> impl DoubleEndedIterator<Item = &'a Entry> + use<'a> {
        let key = key.to_owned();
        self.parsed.entries.iter().filter(move |entry| entry.key == key)
    }
}

impl fmt::Debug for EnvFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.parsed.entries.iter().map(|entry| &entry.key)).finish()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn after(text: &str, key: &str, value: &str) -> String {
        let mut file = EnvFile::parse(text);
        file.set(key, value).unwrap();
        assert_eq!(file.value(key), Some(value));
        String::from_utf8(file.bytes).unwrap()
    }

    #[test]
    fn a_setting_changes_in_place_and_nothing_else_does() {
        for (before, expected) in [
            ("", "K=new\n"),
            ("A=1", "A=1\nK=new\n"),
            ("A=1\r\n", "A=1\r\nK=new\r\n"),
            ("# K=old\n", "# K=old\nK=new\n"),
            ("K=old", "K=new"),
            ("  export K = old # why\r\nB=2", "  export K = new # why\r\nB=2"),
            ("K= # why\n", "K=new # why\n"),
            ("K='old'#why\n", "K='new'#why\n"),
            ("K=\"old\"\nB=2\n", "K=\"new\"\nB=2\n"),
            ("K=\"two\nlines\"\nB=2\n", "K=\"new\"\nB=2\n"),
            ("K=1\n# c\nK=2\nB=2\nK=3\n", "# c\nB=2\nK=new\n"),
            ("\u{feff}K=old\n", "\u{feff}K=new\n"),
            ("nonsense\nK=old\n", "nonsense\nK=new\n"),
            ("X='open\nK=old\n", "X='open\nK=new\n"),
        ] {
            assert_eq!(after(before, "K", "new"), expected);
        }
    }

    #[test]
    fn setting_what_is_set_changes_nothing() {
        for same in ["K=new\n", "export K='new' # c", "K=new\nK=new\n"] {
            assert_eq!(after(same, "K", "new"), same);
        }
    }

    #[test]
    fn what_is_not_text_is_named_with_its_line() {
        let fault = |bytes: &[u8]| EnvFile::parse(bytes).text_fault();
        assert_eq!(fault("\u{feff}A=ä\r\n".as_bytes()), None);
        assert_eq!(fault(b"\xff\xfeA\0=\0").unwrap(), "line 1 is not UTF-8 text");
        assert_eq!(fault(b"A=1\n# caf\xe9\n").unwrap(), "line 2 is not UTF-8 text");
        assert_eq!(fault(b"A=1\n\nB\0=\0").unwrap(), "line 3 contains a NUL character");
    }

    #[test]
    fn a_removed_setting_is_gone_with_its_repeats() {
        let mut file = EnvFile::parse("A=1\nK=1\nB=2\nK=2\n");
        assert_eq!(file.unset("K"), Ok(true));
        assert_eq!(file.bytes(), b"A=1\nB=2\n");
        assert_eq!(file.unset("K"), Ok(false));
    }

    #[test]
    fn what_cannot_be_written_is_refused_and_the_file_stays() {
        let mut file = EnvFile::parse("A=1\n");
        for value in ["a\nb", "a\rb", "a\0b"] {
            assert_eq!(file.set("K", value), Err(SetError::Value("K".into())));
        }
        for key in ["", "1A", "a b", "A=B", "A\n", "Ä", "a.b"] {
            assert!(matches!(file.set(key, "x"), Err(SetError::Key(_))), "{key:?}");
        }
        let mut open = EnvFile::parse("X='open\n");
        assert_eq!(open.set("K", "a' #b"), Err(SetError::Entangled("K".into())));
        assert_eq!(open.bytes(), b"X='open\n");
        assert!(!file.is_changed() && !open.is_changed());
    }

    #[test]
    fn saving_is_private_and_an_unchanged_file_is_not_touched() {
        use std::os::unix::fs::{MetadataExt, PermissionsExt};
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(".env");
        let mut file = EnvFile::load(&path).unwrap();
        file.save(&path).unwrap();
        assert!(!path.exists(), "nothing to save");
        file.set("K", "1").unwrap();
        file.save(&path).unwrap();
        let before = std::fs::metadata(&path).unwrap();
        assert_eq!(before.permissions().mode() & 0o777, 0o600);
        let mut again = EnvFile::load(&path).unwrap();
        again.set("K", "1").unwrap();
        again.save(&path).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().ino(), before.ino());
    }

    #[test]
    fn debug_shows_no_value() {
        assert!(!format!("{:?}", EnvFile::parse("K=secret")).contains("secret"));
    }

    /// A line that dotenvy can read, too, so that the two can be compared.
    fn foreign_line() -> impl Strategy<Value = String> {
        prop_oneof![
            Just(String::new()),
            "#[ -~]{0,20}",
            "(export )?F[A-Z]{0,3} ?= ?[a-z0-9=]{1,8}( # [a-z ]{0,5})?",
            "F[A-Z]{0,3}='[ -&(-\\[\\]-~é€]{0,8}'",
            "F[A-Z]{0,3}=\"[ -!#%-\\[\\]-~é€]{0,8}\"",
            "F[A-Z]{0,3}=\"[a-z]{0,3}\\\\\"[a-z]{0,3}\n[a-z]{0,3}\"",
        ]
    }

    proptest! {
        #[test]
        fn foreign_lines_stay_and_dotenvy_reads_what_was_written(
            above in prop::collection::vec(foreign_line(), 0..4),
            own in prop::option::of(prop_oneof!["K=[a-z]{0,4}", "export K='[a-z #]{0,4}' # c", "K = \"[a-z #]{0,4}\""]),
            below in prop::collection::vec(foreign_line(), 0..4),
            crlf: bool,
            value in "[^\n\r\0]{0,12}",
        ) {
            let lines: Vec<&String> = above.iter().chain(&own).chain(&below).collect();
            let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
            let text = if crlf { text.replace('\n', "\r\n") } else { text };
            let mut file = EnvFile::parse(text.as_str());
            let foreign = |file: &EnvFile| -> String {
                let mut text = file.bytes.clone();
                for entry in file.entries("K").rev() {
                    text.drain(entry.whole.clone());
                }
                String::from_utf8(text).unwrap()
            };
            let before = foreign(&file);
            file.set("K", &value).unwrap();
            prop_assert_eq!(foreign(&file), before);
            let again = EnvFile::parse(file.bytes());
            prop_assert_eq!(again.value("K"), Some(value.as_str()));
            let read: Vec<(String, String)> =
                dotenvy::from_read_iter(file.bytes()).collect::<Result<_, _>>().unwrap();
            let found = read.iter().rev().find(|(key, _)| key == "K").map(|(_, value)| value.as_str());
            prop_assert_eq!(found, Some(value.as_str()));
        }

        #[test]
        fn any_bytes_are_read_without_panic_and_setting_keeps_every_other_value(
            bytes in prop::collection::vec(prop_oneof![Just(b'\n'), Just(b'='), Just(b'\''), Just(b'"'), Just(b'\\'), Just(b'K'), Just(b'#'), Just(b' '), any::<u8>()], 0..60),
            value in "[^\n\r\0]{0,6}",
        ) {
            let mut file = EnvFile::parse(bytes.clone());
            prop_assert!(!file.warnings().concat().contains("cannot be read"), "dotenvy reads every value");
            if file.set("K", &value).is_ok() {
                prop_assert_eq!(file.value("K"), Some(value.as_str()));
            } else {
                prop_assert_eq!(file.bytes(), &bytes[..]);
            }
        }
    }
}
