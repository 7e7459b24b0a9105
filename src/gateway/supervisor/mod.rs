//! When a platform is tried, and when it is left alone. All pure; [`super::run`] performs what is decided here.
//!
//! - [`machine`]: one platform's life as a state machine.
//! - [`backoff`]: how long to wait after the nth failure.

pub mod backoff;
pub mod machine;
