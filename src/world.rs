//! The inputs of the process: arguments, environment, terminals. The only reader of them.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::io::IsTerminal;
use std::path::{Path, PathBuf};

use crate::env_grammar;

/// The variable in the environment of programs that the gateway starts: they may inspect it, and not steer it.
pub const CHILD_MARK: &str = "HERMES_CHILD";

/// The inputs of one run. Built once in `main`; tests build their own.
#[derive(Debug, Clone)]
pub struct World {
    /// Arguments, the program's name first.
    pub args: Vec<OsString>,
    env: BTreeMap<OsString, OsString>,
    /// True when standard input is a terminal: questions can be asked.
    pub stdin_tty: bool,
    /// True when standard output is a terminal.
    pub stdout_tty: bool,
    /// True when standard error is a terminal.
    pub stderr_tty: bool,
    /// The path of this program, for starting it again.
    pub exe: PathBuf,
}

impl World {
    /// Reads the inputs of this process.
    #[expect(clippy::disallowed_methods, reason = "this is the file that reads arguments and environment")]
    pub fn from_process() -> Self {
        Self {
            args: std::env::args_os().collect(),
            env: std::env::vars_os().collect(),
            stdin_tty: std::io::stdin().is_terminal(),
            stdout_tty: std::io::stdout().is_terminal(),
            stderr_tty: std::io::stderr().is_terminal(),
            exe: std::env::current_exe().unwrap_or_else(|_| PathBuf::from("hermes")),
        }
    }

    /// Makes a world of only these variables, without terminals.
    pub fn of_env<K: Into<OsString>, V: Into<OsString>>(env: impl IntoIterator<Item = (K, V)>) -> Self {
        Self {
            args: Vec::new(),
            env: env.into_iter().map(|(key, value)| (key.into(), value.into())).collect(),
            stdin_tty: false,
            stdout_tty: false,
            stderr_tty: false,
            exe: PathBuf::from("hermes"),
        }
    }

    /// Returns a variable's value, without blanks and quotes around it; `None` when it is unset, empty or not UTF-8.
    pub fn var(&self, key: &str) -> Option<&str> {
        Some(env_grammar::bare_value(self.env.get(OsStr::new(key))?.to_str()?))
            .filter(|value| !value.is_empty())
    }

    /// Returns a variable's value as it is; `None` when it is unset or empty.
    pub fn var_os(&self, key: &str) -> Option<&OsStr> {
        self.env.get(OsStr::new(key)).map(OsString::as_os_str).filter(|value| !value.is_empty())
    }

    /// Returns the place where a test wants a debug build to die or to fail: see [`crate::failpoint`].
    pub fn failpoint(&self) -> Option<&str> {
        self.var("HERMES_FAILPOINT")
    }

    /// Returns all variables, sorted by name: for choosing those of a child.
    pub fn vars(&self) -> impl Iterator<Item = (&OsStr, &OsStr)> {
        self.env.iter().map(|(key, value)| (key.as_os_str(), value.as_os_str()))
    }

    /// Returns a variable holding a path, without blanks and quotes around it, and with `~` expanded; `None` when it is unset
    /// or empty.
    pub fn var_path(&self, key: &str) -> Option<PathBuf> {
        match self.var_os(key)?.to_str() {
            Some(_) => self.var(key).map(|value| self.expand(value)),
            // Not UTF-8, so there are no quotes to take off.
            None => self.var_os(key).map(PathBuf::from),
        }
    }

    /// Expands a path as people write it: `~` and `~/…` begin in `HOME`. Shells expand that, but not inside quotes, and
    /// service managers and Docker never do.
    pub fn expand(&self, text: &str) -> PathBuf {
        let below_home = match text.strip_prefix('~') {
            Some("") => Some(""),
            Some(rest) => rest.strip_prefix('/'),
            None => None,
        };
        let user = self.var_os("HOME").map(Path::new).filter(|user| user.is_absolute());
        match (below_home, user) {
            // Joined with nothing, a path would get a slash at its end.
            (Some(""), Some(user)) => user.to_path_buf(),
            (Some(rest), Some(user)) => user.join(rest.trim_start_matches('/')),
            (Some(_), None) | (None, _) => PathBuf::from(text),
        }
    }

    /// True when a person can be asked: both the keyboard and the screen that shows prompts are there.
    pub fn is_interactive(&self) -> bool {
        self.stdin_tty && self.stderr_tty
    }

    /// True when the locale can show UTF-8 characters.
    pub fn is_utf8(&self) -> bool {
        ["LC_ALL", "LC_CTYPE", "LANG"].iter().find_map(|key| self.var(key)).is_some_and(|locale| {
            let locale = locale.to_ascii_lowercase();
            locale.contains("utf-8") || locale.contains("utf8")
        })
    }

    /// True when colour may be used on a stream that is (`tty`) or is not a terminal.
    pub fn colour(&self, tty: bool) -> bool {
        tty && self.var("NO_COLOR").is_none() && self.var("TERM") != Some("dumb")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_read_as_people_write_it() {
        for (text, expected) in [
            ("~/.hermes", Some("/h/.hermes")),
            ("~", Some("/h")),
            ("~/", Some("/h")),
            ("'~/.hermes'", Some("/h/.hermes")),
            (" \"/srv/hermes\"\n", Some("/srv/hermes")),
            ("/srv/it's", Some("/srv/it's")),
            ("~other/x", Some("~other/x")),
            ("/a/~/b", Some("/a/~/b")),
            (" ", None),
            ("\"\"", None),
        ] {
            let world = World::of_env([("HOME", "/h"), ("P", text)]);
            let found = world.var_path("P");
            // Paths are compared by their parts; a slash at the end is none.
            assert_eq!(found.as_deref().map(Path::as_os_str), expected.map(OsStr::new), "{text:?}");
        }
        let world = World::of_env([("P", "~/x")]);
        assert_eq!(
            world.var_path("P"),
            Some("~/x".into()),
            "without a HOME it stays, and is no absolute path"
        );
    }
}
