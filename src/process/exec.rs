//! The hidden command `hermes bridge-exec [--lock PATH | --guard] --parent PID -- PROGRAM ARGS…`: becomes the bridge, or,
//! without a lock, the agent's program; or keeps that as its guard ([`guard`]).
//!
//! It runs between fork and Node because these must be done by the child itself and without `unsafe`: ask the kernel to end
//! us when the parent dies, take the session lock so that it is held for exactly as long as Node lives, and make every file
//! private. The pid stays the same through all of it.

use std::ffi::OsString;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::io::{ErrorKind, Write};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};

use rustix::io::FdFlags;
use rustix::process::{Pid, Signal};

use crate::durable::{self, Lock, LockError};
use crate::process::child;
use crate::process::guard;

/// The command's name.
pub const NAME: &str = "bridge-exec";

/// The bridge's exit code when another one holds the session (`assets/bridge/README.md`).
const SESSION_LOCK: u8 = 15;
/// Its exit code when the session cannot be written.
const STORAGE: u8 = 22;
/// Its exit code for a defect.
pub(super) const INTERNAL: u8 = 70;
/// The exit codes of a program that is there and cannot be executed, and of one that is not there: those of any shell.
const NOT_EXECUTABLE: u8 = 126;
const NOT_FOUND: u8 = 127;

/// The steps before becoming the program.
#[derive(Debug, PartialEq, Eq)]
struct Plan {
    lock: Option<PathBuf>,
    role: Role,
    parent: i32,
    program: OsString,
    args: Vec<OsString>,
}

/// The part of this process between hermes and the program.
#[derive(Debug, PartialEq, Eq)]
enum Role {
    /// It becomes the program.
    Alone,
    /// It starts the program and waits for its end.
    Guard(Token),
    /// It was started by the guard, and becomes the program.
    Guarded(Token),
}

/// The proof that a line on stderr is the launcher's: the program, which shares stderr, is not given it. A program may write
/// the launcher's words and end with its exit code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Token(String);

impl Token {
    /// Makes a random one.
    pub(crate) fn random() -> Self {
        Self(format!("{:016x}", RandomState::new().build_hasher().finish()))
    }

    /// Returns the cause for which the program was not started, by the last line on stderr. `None`: it was.
    pub(crate) fn not_started<'a>(&self, last_line: &'a str) -> Option<&'a str> {
        last_line.strip_prefix(MARK)?.strip_prefix(&self.0)?.strip_prefix(": ")
    }

    /// Says on stderr that the program was not started. Returns the exit code.
    fn fail(&self, code: u8, why: &str) -> u8 {
        fail(code, &format!("{}: {why}", self.0))
    }
}

/// The start of each line that the launcher writes to stderr.
const MARK: &str = "hermes: ";

/// Returns the arguments with which [`run`] becomes `program` with `args`.
pub(crate) fn args(lock: &Path, parent: u32, program: &Path, args: Vec<OsString>) -> Vec<OsString> {
    let mut all: Vec<OsString> = vec![NAME.into(), "--lock".into(), lock.into()];
    all.extend(["--parent".into(), parent.to_string().into(), "--".into(), program.into()]);
    all.extend(args);
    all
}

/// Returns those for a program without a lock that is kept by a guard. It must be started in its own process group.
pub(crate) fn guarded_args<T: Into<OsString>>(
    token: &Token,
    parent: u32,
    argv: impl IntoIterator<Item = T>,
) -> Vec<OsString> {
    args_without_lock("--guard", token, parent, argv)
}

/// Returns those with which the guard starts the program.
pub(super) fn args_of_guard<T: Into<OsString>>(
    token: &Token,
    parent: u32,
    argv: impl IntoIterator<Item = T>,
) -> Vec<OsString> {
    args_without_lock("--guarded", token, parent, argv)
}

fn args_without_lock<T: Into<OsString>>(
    role: &str,
    token: &Token,
    parent: u32,
    argv: impl IntoIterator<Item = T>,
) -> Vec<OsString> {
    let mut all: Vec<OsString> = vec![NAME.into(), role.into(), (&token.0).into()];
    all.extend(["--parent".into(), parent.to_string().into(), "--".into()]);
    all.extend(argv.into_iter().map(Into::into));
    all
}

/// Becomes the program; `arguments` are those after the command's name, `exe` is this program. Returns on failure, after
/// one line on stderr that says why, and where it was the guard: the exit code.
pub fn run(exe: &Path, arguments: &[OsString]) -> u8 {
    let Some(plan) = parse(arguments) else {
        return fail(INTERNAL, "bridge-exec is internal to hermes; do not run it by hand");
    };
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o077));
    if let Role::Guard(token) = &plan.role {
        let argv = std::iter::once(plan.program).chain(plan.args);
        return guard::run(exe, token, plan.parent, argv).unwrap_or_else(|why| token.fail(INTERNAL, &why));
    }
    let fail = |code, why: &str| match &plan.role {
        Role::Guarded(token) => token.fail(code, why),
        Role::Alone | Role::Guard(_) => fail(code, why),
    };
    if let Err(why) = end_with_parent(plan.parent, Signal::KILL) {
        return fail(INTERNAL, &why);
    }
    let _lock = match plan.lock.as_deref().map(hold).transpose() {
        Ok(lock) => lock,
        Err((code, why)) => return fail(code, &why),
    };
    let error = child::command(&plan.program).args(&plan.args).exec();
    let code = if error.kind() == ErrorKind::NotFound { NOT_FOUND } else { NOT_EXECUTABLE };
    let program = Path::new(&plan.program);
    let why = if error.kind() == ErrorKind::NotFound && program.exists() {
        "its interpreter was not found".to_owned()
    } else {
        error.to_string()
    };
    if plan.lock.is_none() {
        // The stdout of the agent's program is its answer.
        return fail(code, &why);
    }
    let why = format!("{} cannot be started: {why}", program.display());
    announce(&why);
    fail(code, &why)
}

fn parse(arguments: &[OsString]) -> Option<Plan> {
    let token = |text: &OsString| Some(Token(text.to_str()?.to_owned()));
    let (lock, role, arguments) = match arguments {
        [flag, lock, rest @ ..] if flag == "--lock" => (Some(lock.into()), Role::Alone, rest),
        [flag, text, rest @ ..] if flag == "--guard" => (None, Role::Guard(token(text)?), rest),
        [flag, text, rest @ ..] if flag == "--guarded" => (None, Role::Guarded(token(text)?), rest),
        rest => (None, Role::Alone, rest),
    };
    let [parent_flag, parent, end, program, args @ ..] = arguments else { return None };
    if parent_flag != "--parent" || end != "--" {
        return None;
    }
    let parent = parent.to_str()?.parse().ok()?;
    Some(Plan { lock, role, parent, program: program.clone(), args: args.to_vec() })
}

/// Has the kernel send `signal` to this process when its parent ends.
///
/// # Errors
/// When the kernel refuses, or the parent has ended already.
pub(super) fn end_with_parent(parent: i32, signal: Signal) -> Result<(), String> {
    ask_for(signal).map_err(|error| format!("cannot ask to end with hermes: {error}"))?;
    // It may have died before the kernel was asked; then this process would never be ended.
    if rustix::process::getppid().map(Pid::as_raw_pid) == Some(parent) {
        Ok(())
    } else {
        Err("hermes stopped before its child process started".to_owned())
    }
}

/// Does nothing: on this system the bridge notices the end of its stdin, as it does everywhere.
#[cfg(target_os = "linux")]
fn ask_for(signal: Signal) -> std::io::Result<()> {
    Ok(rustix::process::set_parent_process_death_signal(Some(signal))?)
}

#[cfg(not(target_os = "linux"))]
fn ask_for(_signal: Signal) -> std::io::Result<()> {
    Ok(())
}

/// Takes the lock so that it outlives the change into Node.
fn hold(path: &Path) -> Result<Lock, (u8, String)> {
    let storage = |error: &dyn std::fmt::Display| (STORAGE, format!("{}: {error}", path.display()));
    if let Some(dir) = path.parent() {
        durable::create_private_dir(dir).map_err(|error| storage(&error))?;
    }
    let lock = Lock::acquire(path).map_err(|error| match error {
        LockError::Held { pid } => {
            let holder = pid.map_or(String::new(), |pid| format!(" (process {pid})"));
            (SESSION_LOCK, format!("another bridge is using this WhatsApp session{holder}"))
        }
        LockError::Io(error) => storage(&error),
    })?;
    rustix::io::fcntl_setfd(lock.file(), FdFlags::empty()).map_err(|error| storage(&error))?;
    Ok(lock)
}

/// The version of the lines that the bridge and its launcher write; see `assets/bridge/README.md`.
pub(crate) const LINE_VERSION: u32 = 1;

/// The `error` event of a bridge that the launcher could not become, with its line break.
pub(crate) fn last_words(code: &str, message: &str) -> String {
    let event = serde_json::json!({ "v": LINE_VERSION, "event": "error", "code": code, "message": message });
    format!("{event}\n")
}

/// Reports it to the gateway in the form in which the bridge reports its end. The gateway may no longer read.
fn announce(why: &str) {
    let line = last_words("exec", why);
    drop(std::io::stdout().write_all(line.as_bytes()));
}

#[expect(
    clippy::print_stderr,
    reason = "stderr is how the launcher talks to the parent; there is no log here"
)]
pub(super) fn fail(code: u8, why: &str) -> u8 {
    eprintln!("{MARK}{why}");
    code
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_for_is_what_is_understood() {
        let all =
            args(Path::new("/l"), 7, Path::new("/node"), vec!["--flag".into(), "--".into(), "run".into()]);
        assert_eq!(all[0], NAME);
        assert_eq!(
            parse(&all[1..]),
            Some(Plan {
                lock: Some("/l".into()),
                role: Role::Alone,
                parent: 7,
                program: "/node".into(),
                args: vec!["--flag".into(), "--".into(), "run".into()]
            })
        );
        let token = Token::random();
        let plan =
            |role| Plan { lock: None, role, parent: 7, program: "agent".into(), args: vec!["$x".into()] };
        for (asked, role) in [
            (guarded_args(&token, 7, ["agent", "$x"]), Role::Guard(token.clone())),
            (args_of_guard(&token, 7, ["agent", "$x"]), Role::Guarded(token.clone())),
        ] {
            assert_eq!(parse(&asked[1..]), Some(plan(role)));
        }
        for wrong in [&all[..], &all[1..6], &all[4..], &[]] {
            assert_eq!(parse(wrong), None);
        }
    }

    #[test]
    fn a_program_that_was_not_started_is_known_by_a_proof_that_it_was_not_given() {
        let token = Token::random();
        assert_ne!(token, Token::random());
        let line = format!("hermes: {}: No such file or directory", token.0);
        assert_eq!(token.not_started(&line), Some("No such file or directory"));
        for forged in
            ["hermes: agent cannot be started: it is away", "hermes: 0123456789abcdef: it is away", ""]
        {
            assert_eq!(token.not_started(forged), None, "{forged}");
        }
    }

    #[test]
    fn a_held_lock_is_refused_with_the_bridges_own_exit_code_and_a_taken_one_is_inherited() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("whatsapp/session.lock");
        let lock = hold(&path).unwrap();
        assert_eq!(rustix::io::fcntl_getfd(lock.file()).unwrap(), FdFlags::empty());
        let (code, why) = hold(&path).unwrap_err();
        assert_eq!(code, SESSION_LOCK);
        assert!(why.ends_with(&format!("(process {})", std::process::id())), "{why}");
        let file = dir.path().join("file");
        durable::write_atomic(&file, b"").unwrap();
        assert_eq!(hold(&file.join("x.lock")).unwrap_err().0, STORAGE);
    }
}
