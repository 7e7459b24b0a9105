//! Pure. The file `gateway.pid`.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// The file `gateway.pid`: for people and for older tools. The lock decides, not this file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PidFile {
    /// As in the state file.
    pub kind: String,
    /// The process.
    pub pid: u32,
    /// The time when it was started, in clock ticks since boot; 0 where unknown.
    #[serde(default)]
    pub start_time: u64,
    /// The same time for people.
    #[serde(default)]
    pub started_at: Option<Timestamp>,
    /// As in the state file.
    #[serde(default)]
    pub instance_id: Option<String>,
}
