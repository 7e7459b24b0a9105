//! Core dumps: hermes and its children write none, since they hold tokens and keys.

use rustix::process::{Resource, Rlimit, setrlimit};

/// Forbids dumps of this process and of its children.
pub fn forbid() {
    // Lowering it is always allowed.
    let _ = setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) });
}

/// Forbids dumps also where they go to a program instead of a file, which need not heed the limit; and other programs of this
/// user can no longer look into this process (`/proc/PID/environ`, `/proc/PID/mem`, ptrace). Not for the commands that ask a
/// running gateway: it checks their identity.
#[cfg(target_os = "linux")]
pub fn close() {
    use rustix::process::{DumpableBehavior, set_dumpable_behavior};
    let _ = set_dumpable_behavior(DumpableBehavior::NotDumpable);
}

/// Does nothing: on this system the limit is all there is.
#[cfg(not(target_os = "linux"))]
pub fn close() {}
