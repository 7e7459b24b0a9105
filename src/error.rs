//! Errors for the user: the failure, its cause, and the command that repairs it; and the exit codes.

use std::fmt;
use std::io;
use std::path::Path;

use serde_json::{Value, json};

use crate::visible;
use crate::wrap::folded;

/// The exit codes. One table; `contract` and tests depend on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExitCode {
    /// Done, or a clean stop.
    Ok = 0,
    /// A failure.
    Failed = 1,
    /// Wrong usage, or an answer is missing and no one can be asked.
    Usage = 2,
    /// The gateway is not running (`platform status`, `gateway status`).
    NotRunning = 3,
    /// A planned restart: the service manager starts us again.
    Restart = 75,
    /// Nothing works until a person edits something; the service manager must not start us again.
    Config = 78,
    /// Interrupted by Ctrl-C.
    Interrupted = 130,
}

/// The kind of a failure; decides the exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorKind {
    /// A step did not work.
    Failed,
    /// The command line or a missing answer.
    Usage,
    /// The configuration, the home folder or a lock: a person must act.
    Config,
    /// Ctrl-C or SIGTERM.
    Interrupted,
    /// No gateway runs that could do it.
    NotRunning,
}

/// A failure as a person sees it.
#[derive(Debug)]
pub struct CliError {
    /// The kind, which decides the exit code.
    pub kind: ErrorKind,
    /// Stable code for `--json`, in snake_case.
    pub code: &'static str,
    /// The failure, a sentence without its period.
    pub message: String,
    /// The remedies, each a sentence.
    pub hints: Vec<String>,
    /// True when a document of `--json` was printed: there is only one.
    pub has_document: bool,
    /// The cause below.
    pub source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl CliError {
    fn new(kind: ErrorKind, code: &'static str, message: impl Into<String>) -> Self {
        Self { kind, code, message: message.into(), hints: Vec::new(), has_document: false, source: None }
    }

    /// Makes an error: something did not work.
    pub fn failed(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Failed, "failed", message)
    }

    /// Makes an error: the command was used wrongly.
    pub fn usage(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Usage, "usage", message)
    }

    /// Makes an error: a person must edit something.
    pub fn config(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Config, "config", message)
    }

    /// Makes an error: a file or folder cannot be used. Only a fault that a person must repair ends with 78; a fault of the
    /// disk may pass, and a service manager tries again.
    pub fn file(message: impl Into<String>, path: &Path, cause: io::Error) -> Self {
        use io::ErrorKind as Kind;
        const EIO: i32 = 5;
        let (message, path) = (message.into(), path.display());
        #[expect(clippy::wildcard_enum_match_arm, reason = "of a foreign enum, which grows")]
        let error = match cause.kind() {
            Kind::StorageFull | Kind::QuotaExceeded | Kind::FileTooLarge if is_of_disk(&cause) => {
                Self::failed(message).code("disk_full").hint(format!("Free space on the disk: `df -h {path}`."))
            }
            Kind::ReadOnlyFilesystem => Self::failed(message)
                .code("disk_read_only")
                .hint(format!("The disk is read-only. Remount it writable: `findmnt -T {path}`.")),
            _ if cause.raw_os_error() == Some(EIO) => Self::failed(message)
                .code("disk_failed")
                .hint(format!("The disk failed. Check it with `dmesg` and `findmnt -T {path}`.")),
            Kind::PermissionDenied => Self::config(message).code("home_unusable").hint(format!(
                "`ls -ld {path}` shows its owner. Run hermes as that user, or set HERMES_HOME to another folder."
            )),
            _ if is_of_disk(&cause) && !is_of_path(&cause) => Self::failed(message).code("home_unusable"),
            _ => Self::config(message)
                .code("home_unusable")
                .hint(format!("Check `ls -ld {path}`. Move it away, or set HERMES_HOME to another folder.")),
        };
        error.because(cause)
    }

    /// Makes an error: interrupted by the user.
    pub fn interrupted() -> Self {
        Self::new(ErrorKind::Interrupted, "cancelled", "cancelled")
    }

    /// Makes an error: no gateway runs with this home folder. `is_set_up`: it has settings with which one could.
    pub fn not_running(is_set_up: bool) -> Self {
        let hint = if is_set_up {
            "Start it with `hermes gateway run`."
        } else {
            "Nothing is set up yet. Run `hermes setup`."
        };
        Self::new(ErrorKind::NotRunning, "not_running", "the gateway is not running").hint(hint)
    }

    /// Sets the stable code.
    #[must_use]
    pub fn code(mut self, code: &'static str) -> Self {
        self.code = code;
        self
    }

    /// Adds a hint.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }

    /// Adds these hints.
    #[must_use]
    pub fn hints(mut self, hints: impl IntoIterator<Item = String>) -> Self {
        self.hints.extend(hints);
        self
    }

    /// Marks the error as one after a printed report.
    #[must_use]
    pub fn after_report(mut self) -> Self {
        self.has_document = true;
        self
    }

    /// Sets the cause.
    #[must_use]
    pub fn because(mut self, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// Returns the exit code of this kind of failure.
    pub fn exit(&self) -> ExitCode {
        match self.kind {
            ErrorKind::Failed => ExitCode::Failed,
            ErrorKind::Usage => ExitCode::Usage,
            ErrorKind::Config => ExitCode::Config,
            ErrorKind::Interrupted => ExitCode::Interrupted,
            ErrorKind::NotRunning => ExitCode::NotRunning,
        }
    }

    /// Prints the failure to standard error, on lines of at most this many columns (0: as long as they are).
    #[expect(clippy::print_stderr, reason = "this is the edge where failures are shown")]
    pub fn report(&self, width: usize) {
        eprint!("{}", folded(&self.to_text(), width));
    }

    /// Returns the document of `--json`.
    pub fn to_json(&self) -> Value {
        json!({ "error": { "code": self.code, "message": self.to_string(), "fix": self.hints.join(" ") } })
    }

    /// Returns `error: …`, its causes and its code, then each hint on its own line.
    fn to_text(&self) -> String {
        let message = with_code(&visible::text(&self.to_string()), self.code);
        let hints = self.hints.iter().map(|hint| format!("  {}\n", visible::text(hint)));
        std::iter::once(format!("error: {message}\n")).chain(hints).collect()
    }
}

/// Codes that add nothing to the text beside them.
const GENERAL: [&str; 4] = ["", "cancelled", "failed", "usage"];

/// The page that explains every code.
pub const CODES_PAGE: &str = "docs/troubleshooting.md";

/// Returns a message with the code by which a person finds it in [`CODES_PAGE`]: the one form for all that people read.
pub fn with_code(message: &str, code: &str) -> String {
    if GENERAL.contains(&code) { message.to_owned() } else { format!("{message} [{code}]") }
}

/// True when the system reported it, and not hermes about a file's content.
fn is_of_disk(error: &io::Error) -> bool {
    error.raw_os_error().is_some()
}

/// True when it is about the file at the path.
fn is_of_path(error: &io::Error) -> bool {
    use io::ErrorKind as Kind;
    matches!(
        error.kind(),
        Kind::NotFound
            | Kind::NotADirectory
            | Kind::IsADirectory
            | Kind::AlreadyExists
            | Kind::InvalidInput
            | Kind::InvalidFilename
            | Kind::Other
            | Kind::Unsupported
    ) || error.raw_os_error() == Some(rustix::io::Errno::LOOP.raw_os_error())
}

impl fmt::Display for CliError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        let mut below = self.source.as_deref().map(|source| source as &dyn std::error::Error);
        while let Some(cause) = below {
            write!(f, ": {cause}")?;
            below = cause.source();
        }
        Ok(())
    }
}

impl std::error::Error for CliError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_ends_with_its_code_unless_that_says_nothing_and_no_word_is_broken() {
        let error = CliError::failed("the bot token was refused")
            .code("telegram_bad_token")
            .hint("Run `hermes telegram`.");
        let text = "error: the bot token was refused [telegram_bad_token]\n  Run `hermes telegram`.\n";
        assert_eq!(error.to_text(), text);
        assert!(CliError::config("line 1").to_text().ends_with("line 1 [config]\n"));
        let plain = CliError::usage("too much").because(io::Error::other("7"));
        assert_eq!(plain.to_text(), "error: too much: 7\n");
        assert_eq!(
            folded(text, 30),
            "error: the bot token was\nrefused [telegram_bad_token]\n  Run `hermes telegram`.\n"
        );
    }

    #[test]
    fn what_the_disk_does_is_tried_again_and_what_a_person_must_change_is_not() {
        use rustix::io::Errno;
        for (errno, exit, code, hint) in [
            (Errno::NOSPC, ExitCode::Failed, "disk_full", "df -h"),
            (Errno::DQUOT, ExitCode::Failed, "disk_full", "df -h"),
            (Errno::IO, ExitCode::Failed, "disk_failed", "dmesg"),
            (Errno::ROFS, ExitCode::Failed, "disk_read_only", "findmnt"),
            (Errno::MFILE, ExitCode::Failed, "home_unusable", ""),
            (Errno::ACCESS, ExitCode::Config, "home_unusable", "shows its owner"),
            (Errno::NOTDIR, ExitCode::Config, "home_unusable", "ls -ld"),
            (Errno::LOOP, ExitCode::Config, "home_unusable", "ls -ld"),
        ] {
            let error = CliError::file("x", Path::new("/x"), errno.into());
            assert_eq!((error.exit(), error.code), (exit, code), "{errno}");
            assert!(error.hints.concat().contains(hint), "{errno}: {:?}", error.hints);
        }
        let long = io::Error::new(io::ErrorKind::FileTooLarge, "it is longer than 1 bytes");
        assert_eq!(CliError::file("x", Path::new("/x"), long).exit(), ExitCode::Config);
    }
}
