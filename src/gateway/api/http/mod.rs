//! The HTTP API: probes for whoever starts and watches the gateway, metrics, and the control of platforms for whoever has
//! the key.
//!
//! - [`guard`], [`lockout`]: whom it answers (pure). [`metrics`]: the numbers (pure).
//! - [`routes`]: what there is to ask.
//! - [`server`]: where it listens. A taken address is tried again and again; the gateway goes on without.

pub mod guard;
pub mod lockout;
pub mod metrics;
pub mod routes;
pub mod server;
