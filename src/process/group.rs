//! A process group: a child with all that it started.

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::process::Child;

/// A process group that ends with this value, unless its leader has ended by itself.
#[derive(Debug)]
pub struct Group {
    /// The child; the first of its group.
    pub leader: Child,
}

impl Group {
    /// Wraps a child that was started in its own group.
    pub fn new(leader: Child) -> Self {
        Self { leader }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // The id is there only while the leader is not reaped, so the number cannot be another process's.
        let pid = self.leader.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
        if let Some(pid) = pid {
            // The group may have just ended by itself.
            kill_process_group(pid, Signal::KILL).ok();
        }
    }
}
