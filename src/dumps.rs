//! Core dumps hold tokens and keys: hermes and what it starts write none.

use rustix::process::{Resource, Rlimit, setrlimit};

/// No dump of this process and of its children.
pub fn forbid() {
    // Lowering it is always allowed.
    let _ = setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) });
}

/// The same where dumps go to a program instead of a file, which need not heed the limit; and other programs of this user can
/// no longer look into this process (`/proc/PID/environ`, `/proc/PID/mem`, ptrace). Not for the commands that ask a running
/// gateway: it looks at who they are.
#[cfg(target_os = "linux")]
pub fn close() {
    use rustix::process::{DumpableBehavior, set_dumpable_behavior};
    let _ = set_dumpable_behavior(DumpableBehavior::NotDumpable);
}

/// Elsewhere the limit is all there is.
#[cfg(not(target_os = "linux"))]
pub fn close() {}
