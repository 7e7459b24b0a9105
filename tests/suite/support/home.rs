//! A separate hermes home for each test, and commands that know nothing but it.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use hermes::home::HermesHome;
use tempfile::TempDir;

use super::bridge;

/// A home folder that ends with the test.
pub(crate) struct TestHome {
    dir: TempDir,
    /// Variables of every command.
    pub(crate) env: Vec<(String, String)>,
}

/// The result of a command.
#[derive(Debug)]
#[must_use = "look at its exit code or its output"]
pub(crate) struct Answer {
    /// The exit code.
    pub(crate) code: Option<i32>,
    /// Standard output.
    pub(crate) stdout: String,
    /// Standard error.
    pub(crate) stderr: String,
}

impl From<Output> for Answer {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code(),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}

impl TestHome {
    /// Makes an empty home: the folder itself does not exist yet.
    pub(crate) fn empty() -> Self {
        Self { dir: tempfile::tempdir().expect("a temp folder"), env: Vec::new() }
    }

    /// Makes an empty home on a file system in memory, whose flushes take no time; on a disk where this machine has none.
    pub(crate) fn in_memory() -> Self {
        let dir = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).expect("a temp folder");
        Self { dir, env: Vec::new() }
    }

    /// Makes a home in which the bridge is installed.
    pub(crate) fn with_bridge() -> Self {
        let home = Self::empty();
        let root = home.paths().whatsapp().bridge_root();
        std::fs::create_dir_all(root.parent().expect("below the home")).expect("folders");
        std::os::unix::fs::symlink(bridge::installed_root(), root).expect("a link to the installed bridge");
        home
    }

    /// Returns the folder.
    pub(crate) fn root(&self) -> PathBuf {
        self.dir.path().join("hermes")
    }

    /// Returns its paths.
    pub(crate) fn paths(&self) -> HermesHome {
        HermesHome::at(self.root())
    }

    /// Writes a file below the home.
    pub(crate) fn write(&self, name: &str, text: impl AsRef<[u8]>) -> PathBuf {
        let path = self.root().join(name);
        std::fs::create_dir_all(path.parent().expect("below the home")).expect("folders");
        std::fs::write(&path, text).expect("a file");
        path
    }

    /// Returns the bytes of `.env`; `None` when there is none.
    pub(crate) fn dot_env(&self) -> Option<Vec<u8>> {
        std::fs::read(self.paths().env_file()).ok()
    }

    /// Makes the command, in a cleared environment.
    pub(crate) fn command<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_hermes"));
        command.args(args).stdin(Stdio::null()).env_clear();
        for (key, value) in self.variables() {
            command.env(key, value);
        }
        command
    }

    /// Returns the variables of every command.
    pub(crate) fn variables(&self) -> Vec<(String, String)> {
        let mut variables: Vec<_> =
            ["PATH", "HOME", "TMPDIR", "NODE_EXTRA_CA_CERTS", "SSL_CERT_FILE", "HTTPS_PROXY"]
                .into_iter()
                .filter_map(|key| Some((key.to_owned(), std::env::var(key).ok()?)))
                .collect();
        variables.extend([
            ("HERMES_HOME".to_owned(), self.root().to_string_lossy().into_owned()),
            ("LANG".to_owned(), "C.UTF-8".to_owned()),
            // Tests run side by side, and beside other programs of this machine.
            ("API_SERVER_PORT".to_owned(), "0".to_owned()),
            ("NO_PROXY".to_owned(), "127.0.0.1,localhost".to_owned()),
        ]);
        // Everyone may write to the scripted platforms, unless the test says otherwise.
        variables.extend((1..=9).flat_map(|number| {
            let name = |setting| format!("SCRIPTED{number}_{setting}");
            [(name("ALLOWED_USERS"), "*".to_owned()), (name("ALLOW_ALL_USERS"), "true".to_owned())]
        }));
        variables.extend(self.env.iter().cloned());
        variables
    }

    /// Runs the command to its end.
    pub(crate) fn run<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Answer {
        self.command(args).output().expect("hermes starts").into()
    }
}

/// Returns every file below a folder, relative to it.
pub(crate) fn tree(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![dir.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.is_dir() && !path.is_symlink() {
                folders.push(path);
            } else {
                found.push(path.strip_prefix(dir).expect("below it").to_path_buf());
            }
        }
    }
    found.sort();
    found
}
