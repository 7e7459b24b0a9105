//! The HTTP API: probes for service managers and monitoring, metrics, and the control of platforms for holders of the key.
//!
//! - [`guard`], [`lockout`]: the checks of a request (pure). [`metrics`]: the values (pure).
//! - [`routes`]: the routes.
//! - [`server`]: the listener. A taken address is tried periodically; the gateway goes on without.

pub mod guard;
pub mod lockout;
pub mod metrics;
pub mod routes;
pub mod server;
