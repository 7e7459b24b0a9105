//! One SQLite database, one writer thread, natural group commit: what was accepted survives any crash.
//!
//! - [`api`]: what the store promises, as a trait; so that a second engine can take its place.

pub mod api;
