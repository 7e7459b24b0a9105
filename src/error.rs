//! Errors at the edge: what happened, why, and the command that mends it; and the exit codes.

use std::fmt;

/// How a run ends, as the number the shell sees. One table; `contract` and tests hang on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExitCode {
    /// Done, or a clean stop.
    Ok = 0,
    /// It failed.
    Failed = 1,
    /// Wrong usage, or an answer is missing and nobody can be asked.
    Usage = 2,
    /// The gateway is not running (`platform status`, `gateway status`).
    NotRunning = 3,
    /// A planned restart: the service manager starts us again.
    Restart = 75,
    /// Nothing works until a human edits something; the service manager must not start us again.
    Config = 78,
    /// Interrupted by Ctrl-C.
    Interrupted = 130,
}

/// What kind of failure it is; picks the exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorKind {
    /// Something did not work.
    Failed,
    /// The command line or a missing answer.
    Usage,
    /// The configuration, the home folder or a lock: a human must act.
    Config,
    /// Ctrl-C or SIGTERM.
    Interrupted,
    /// No gateway runs that could do it.
    NotRunning,
}

/// A failure as a person sees it.
#[derive(Debug)]
pub struct CliError {
    /// Picks the exit code.
    pub kind: ErrorKind,
    /// Stable code for `--json`, snake_case.
    pub code: &'static str,
    /// What happened; a sentence without its period.
    pub message: String,
    /// What to do about it, each a sentence.
    pub hints: Vec<String>,
    /// The cause below.
    pub source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl CliError {
    fn new(kind: ErrorKind, code: &'static str, message: impl Into<String>) -> Self {
        Self { kind, code, message: message.into(), hints: Vec::new(), source: None }
    }

    /// Something did not work.
    pub fn failed(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Failed, "failed", message)
    }

    /// The command was used wrongly.
    pub fn usage(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Usage, "usage", message)
    }

    /// A human must edit something.
    pub fn config(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Config, "config", message)
    }

    /// Interrupted by the user.
    pub fn interrupted() -> Self {
        Self::new(ErrorKind::Interrupted, "cancelled", "cancelled")
    }

    /// No gateway runs with this home folder.
    pub fn not_running() -> Self {
        Self::new(ErrorKind::NotRunning, "not_running", "the gateway is not running")
            .hint("Start it with `hermes gateway run`.")
    }

    /// With this stable code.
    #[must_use]
    pub fn code(mut self, code: &'static str) -> Self {
        self.code = code;
        self
    }

    /// With one more hint.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }

    /// With these hints as well.
    #[must_use]
    pub fn hints(mut self, hints: impl IntoIterator<Item = String>) -> Self {
        self.hints.extend(hints);
        self
    }

    /// With the cause.
    #[must_use]
    pub fn because(mut self, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// The exit code of this kind of failure.
    pub fn exit(&self) -> ExitCode {
        match self.kind {
            ErrorKind::Failed => ExitCode::Failed,
            ErrorKind::Usage => ExitCode::Usage,
            ErrorKind::Config => ExitCode::Config,
            ErrorKind::Interrupted => ExitCode::Interrupted,
            ErrorKind::NotRunning => ExitCode::NotRunning,
        }
    }

    /// Prints the failure to standard error: `error: …`, its causes, then each hint on its own line.
    #[expect(clippy::print_stderr, reason = "this is the edge where failures are shown")]
    pub fn report(&self) {
        eprintln!("error: {self}");
        for hint in &self.hints {
            eprintln!("  {hint}");
        }
    }
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
