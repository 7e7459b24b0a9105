//! The timing of attempts and retries of platforms. All pure; [`crate::gateway::core::run`] performs the decisions.
//!
//! - [`machine`]: one platform's state machine, with the types of [`types`].
//! - [`backoff`](crate::backoff): the wait after the nth failure; `flap_detector`: the rule for flapping, and the state
//!   that is then shown.
//! - [`host`]: the loss of the host's network; [`suspend`]: its sleep.

pub mod flap_detector;
pub mod host;
pub mod machine;
pub mod notifier;
pub mod suspend;
pub mod types;
