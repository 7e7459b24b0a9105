//! The life of the process, around the loop: who may begin it, what it hears from outside, and who notices when it no
//! longer turns.
//!
//! - [`handover`]: one gateway for each home; the next one waits for the end of the one before. [`lock`]: it stays so.
//! - [`signals`]: what other processes ask of us.
//! - [`notify`]: what the service manager is told; [`watchdog`]: whether the loop still turns, and the end when not.
//! - [`watch`]: the settings' files; [`network`]: the host's network ([`netlink`] reads what the kernel says of it).
//! - [`crash_loop`]: whether it dies again and again.
//! - [`program`]: whether it was replaced on disk; [`privacy`]: secrets that others could read.
//! - [`restart`]: who starts it again.
//! - [`orphans`]: what children leave behind.
//! - [`kept`]: background tasks that are begun again when they die.
//! - [`init`]: process 1 of a container.

pub mod crash_loop;
pub mod handover;
pub mod init;
pub mod kept;
pub mod lock;
pub mod netlink;
pub mod network;
pub mod notify;
pub mod orphans;
pub mod privacy;
pub mod program;
pub mod restart;
pub mod signals;
pub mod watch;
pub mod watchdog;
