//! The loop: the one owner of what is true about the platforms.
//!
//! - [`run`]: the loop. [`state`]: what it knows. [`reload`]: what changed settings mean (pure).
//! - [`drain`]: how the process ends (pure). [`exit_policy`]: whether it has anything left to do (pure).

pub mod drain;
pub mod exit_policy;
pub mod reload;
pub mod run;
pub mod state;
