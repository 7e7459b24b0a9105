//! When a platform is tried, and when it is not retried. All pure; [`crate::gateway::core::run`] performs what is decided here.
//!
//! - [`machine`]: one platform's life as a state machine, in the words of [`types`].
//! - [`backoff`](crate::backoff): how long to wait after the nth failure; `flaps`: when losses are called flapping, and what is then shown.
//! - [`host`]: whether the host itself is offline; [`suspend`]: whether it slept.

pub mod flap_detector;
pub mod host;
pub mod machine;
pub mod notifier;
pub mod suspend;
pub mod types;
