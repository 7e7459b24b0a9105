//! Child processes. The one place where a program is started: every child has [`CHILD_MARK`] in its environment, by which the
//! gateway recognizes its own children on its control socket, and is known by its pid until it is reaped.
//!
//! The gateway also [adopts](adopt_orphans) orphans of its children: such a process keeps the gateway among its ancestors,
//! whatever it does about its session, its group and its environment.

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::world::CHILD_MARK;

/// The children of this process that are not known to be reaped. Held while one is started: a child that ends at once must
/// not be taken for an orphan.
static STARTED: Mutex<BTreeSet<u32>> = Mutex::new(BTreeSet::new());

fn started() -> MutexGuard<'static, BTreeSet<u32>> {
    STARTED.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Makes a command with our environment, in our process group.
pub fn command(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(program);
    command.env(CHILD_MARK, "1");
    command
}

/// Makes a command with this environment and no other, in its own process group.
pub fn confined(
    program: impl AsRef<OsStr>,
    environment: impl IntoIterator<Item = (OsString, OsString)>,
) -> Command {
    let mut command = command(program);
    // The mark comes last: a setting of the same name does not replace it.
    command.env_clear().envs(environment).env(CHILD_MARK, "1").process_group(0);
    command
}

/// Makes the command of the gateway itself, as the child of process 1 or in the place of its earlier run: the only program
/// without the mark.
pub fn gateway(program: impl AsRef<OsStr>) -> Command {
    Command::new(program)
}

/// Starts the program.
///
/// # Errors
/// When the system cannot start it.
pub fn spawn(command: &mut Command) -> io::Result<Child> {
    let mut started = started();
    let child = command.spawn()?;
    started.insert(child.id());
    Ok(child)
}

/// Starts a child that is waited for without blocking.
///
/// # Errors
/// When the system does not start it.
#[expect(clippy::disallowed_methods, reason = "this is the file that starts programs")]
pub fn spawn_async(command: &mut tokio::process::Command) -> io::Result<tokio::process::Child> {
    let mut started = started();
    let child = command.spawn()?;
    started.extend(child.id());
    Ok(child)
}

/// Makes the orphans among our descendants our children instead of those of process 1, from now on. Its caller calls
/// [`reap_orphans`] whenever a child has ended.
///
/// # Errors
/// When the kernel does not offer it.
#[cfg(target_os = "linux")]
pub fn adopt_orphans() -> io::Result<()> {
    Ok(rustix::process::set_child_subreaper(Some(rustix::process::getpid()))?)
}

/// Does nothing: on this system orphans are known by their mark only.
///
/// # Errors
/// Never.
#[cfg(not(target_os = "linux"))]
pub fn adopt_orphans() -> io::Result<()> {
    Ok(())
}

/// Reaps the orphans that have ended. Our own children are left to the code that waits for them. Blocks
/// for some milliseconds where there are any.
pub fn reap_orphans() {
    use rustix::process::{Pid, WaitId, WaitIdOptions, WaitOptions, waitid, waitpid};
    let mut started = started();
    let look = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
    let has_ended = matches!(waitid(WaitId::All, look), Ok(Some(_)));
    if !has_ended {
        return;
    }
    let us = std::process::id();
    let children: Vec<(u32, bool)> = crate::process::proc::all()
        .filter(|process| process.parent == Some(us))
        .map(|process| (process.pid, process.has_ended))
        .collect();
    started.retain(|pid| children.iter().any(|(child, _)| child == pid));
    let is_orphan = |(pid, has_ended): &&(u32, bool)| *has_ended && !started.contains(pid);
    for (orphan, _) in children.iter().filter(is_orphan) {
        // It is an unreaped child, so the number cannot mean another process.
        let _ = waitpid(Pid::from_raw(orphan.cast_signed()), WaitOptions::NOHANG);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_child_has_the_mark_also_where_a_setting_has_its_name() {
        let environment = [(CHILD_MARK.into(), "".into()), ("PATH".into(), "/usr/bin:/bin".into())];
        for mut command in [command("sh"), confined("sh", environment)] {
            command.args(["-c", &format!("test \"${CHILD_MARK}\" = 1")]);
            assert!(spawn(&mut command).unwrap().wait().unwrap().success());
        }
    }
}
