//! The guard of a foreign program: ends as it ends, and takes all that it started along when hermes is killed.
//!
//! The kernel's promise to end a child with its parent reaches that child alone. So the child of hermes is this guard, the
//! leader of its own process group: when hermes ends, it kills the group. A process that has left the group is out of reach.
//! The program itself ends with the guard, whatever ends that.

use std::ffi::OsString;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::ExitStatus;

use rustix::process::Signal;
use tokio::process::Command;
use tokio::signal::unix::{SignalKind, signal};

use crate::process::child;
use crate::process::exec::{self, Token};

/// Starts `argv` and returns its exit code; 128 and the signal's number where it was killed.
///
/// # Errors
/// The cause for which it was not started.
pub(super) fn run(
    exe: &Path,
    token: &Token,
    parent: i32,
    argv: impl Iterator<Item = OsString>,
) -> Result<u8, String> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| format!("the guard cannot start: {error}"))?;
    // On this one thread: it lives as long as the process, and so does the promise that the program is given.
    runtime.block_on(live(exe, token, parent, argv))
}

async fn live(
    exe: &Path,
    token: &Token,
    parent: i32,
    argv: impl Iterator<Item = OsString>,
) -> Result<u8, String> {
    if rustix::process::getpgrp() != rustix::process::getpid() {
        return Err("a guard starts its own process group".to_owned());
    }
    // The handler first, then the promise: so no signal is lost.
    let mut ending = signal(SignalKind::terminate())
        .map_err(|error| format!("the guard cannot read its pipe: {error}"))?;
    exec::end_with_parent(parent, Signal::TERM)?;
    let mut program = Command::from(child::command(exe));
    program.args(exec::args_of_guard(token, std::process::id(), argv));
    let mut program = child::spawn_async(&mut program)
        .map_err(|error| format!("cannot start {}: {error}", exe.display()))?;
    let why = tokio::select! {
        status = program.wait() => match status {
            Ok(status) => return Ok(code(status)),
            Err(error) => format!("cannot wait for the program: {error}"),
        },
        _ = ending.recv() => {
            // This is the end of the guard, too.
            rustix::process::kill_current_process_group(Signal::KILL).ok();
            "the group could not be killed".to_owned()
        }
    };
    Ok(exec::fail(exec::INTERNAL, &why))
}

fn code(status: ExitStatus) -> u8 {
    let code = status.code().or_else(|| status.signal().map(|signal| 128 + signal));
    code.and_then(|code| u8::try_from(code).ok()).unwrap_or(u8::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_programs_end_is_the_guards() {
        for (raw, expected) in [(0, 0), (3 << 8, 3), (9, 137), (15, 143)] {
            assert_eq!(code(ExitStatus::from_raw(raw)), expected, "{raw}");
        }
    }
}
