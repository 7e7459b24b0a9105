//! The loop: the one owner of the platforms' state.
//!
//! - [`run`]: the loop. [`state`]: its state. [`reload`]: the effect of changed settings (pure).
//! - [`drain`]: the end of the process (pure). [`exit_policy`]: the reasons to stay up (pure).

pub mod drain;
pub mod exit_policy;
pub mod reload;
pub mod run;
pub mod state;
