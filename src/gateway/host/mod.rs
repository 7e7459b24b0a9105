//! The process and the machine around the loop: who may start it, what reaches it from outside, and the checks that it still
//! turns.
//!
//! - [`handover`]: one gateway for each home; the next one waits for the end of the one before. [`lock`]: keeps it so.
//! - [`signals`]: requests of other processes.
//! - [`notify`]: messages to the service manager; [`watchdog`]: ends the process when the loop no longer turns.
//! - [`watch`]: the settings' files; [`network`]: the host's network ([`netlink`] reads the kernel's messages about it).
//! - [`crash_loop`]: the guard against a crash loop.
//! - [`program`]: notices that the program was replaced on disk; [`privacy`]: secrets that others could read.
//! - [`restart`]: the way in which the process is started again.
//! - [`orphans`]: processes that children leave behind.
//! - [`kept`]: background tasks that are started again when they die.
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
