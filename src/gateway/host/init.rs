//! Process 1 of a container. The kernel hands it every orphan, to be reaped, and every signal that the container is sent.
//!
//! The gateway itself must not reap what it does not know: it would take the exit status of its own bridge away from whoever
//! waits for it. So process 1 starts the gateway as its one child, passes signals on, reaps whatever ends, and ends as the
//! gateway ended.

use std::ffi::OsString;
use std::os::unix::process::CommandExt as _;

use rustix::process::{Pid, Signal as Number, WaitOptions, WaitStatus};
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::error::{CliError, ExitCode};
use crate::process::child;
use crate::world::World;

/// True when this process is the first of its container.
pub fn is_needed() -> bool {
    std::process::id() == 1
}

/// Runs this program with these arguments as the child of process 1, and ends as it ends.
///
/// # Errors
/// When it cannot be started.
pub fn run(world: &World, args: &[OsString]) -> Result<ExitCode, CliError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| CliError::failed("the runtime could not be started").because(error))?;
    runtime.block_on(live(world, args))
}

async fn live(world: &World, args: &[OsString]) -> Result<ExitCode, CliError> {
    let hear =
        |kind| signal(kind).map_err(|error| CliError::failed("signals cannot be received").because(error));
    let mut terminate = hear(SignalKind::terminate())?;
    let mut interrupt = hear(SignalKind::interrupt())?;
    let mut hangup = hear(SignalKind::hangup())?;
    let mut restart = hear(SignalKind::user_defined1())?;
    let mut ended = hear(SignalKind::child())?;
    // A group of its own: the terminal's Ctrl-C must reach it once, through us, and not twice.
    let child = child::spawn(child::gateway(&world.exe).args(args).process_group(0))
        .map_err(|error| CliError::failed("the gateway could not be started").because(error))?;
    let gateway = Pid::from_raw(child.id().cast_signed()).expect("a child has a pid");
    loop {
        let number = tokio::select! {
            () = heard(&mut terminate) => Number::TERM,
            () = heard(&mut interrupt) => Number::INT,
            () = heard(&mut hangup) => Number::HUP,
            () = heard(&mut restart) => Number::USR1,
            () = heard(&mut ended) => {
                match reap(gateway) {
                    Some(status) => return Ok(exit_of(status)),
                    None => continue,
                }
            }
        };
        // It is our unreaped child, so the pid can mean no one else; one that has ended needs no signal.
        let _ended = rustix::process::kill_process(gateway, number);
    }
}

async fn heard(signal: &mut Signal) {
    if signal.recv().await.is_none() {
        std::future::pending::<()>().await;
    }
}

/// Reaps all that have ended; returns how the gateway ended, if it has.
fn reap(gateway: Pid) -> Option<WaitStatus> {
    let mut last = None;
    while let Ok(Some((pid, status))) = rustix::process::wait(WaitOptions::NOHANG) {
        if pid == gateway {
            last = Some(status);
        }
    }
    last
}

fn exit_of(status: WaitStatus) -> ExitCode {
    let known = [
        ExitCode::Ok,
        ExitCode::Failed,
        ExitCode::Usage,
        ExitCode::NotRunning,
        ExitCode::Restart,
        ExitCode::Config,
        ExitCode::Interrupted,
    ];
    let code = status.exit_status();
    known.into_iter().find(|exit| code == Some(i32::from(*exit as u8))).unwrap_or(ExitCode::Failed)
}
