//! One SQLite database, one writer thread, natural group commit: what was accepted survives any crash.
//!
//! - [`api`]: what the store promises, as a trait; so that a second engine can take its place.
//! - [`sqlite`]: the engine; [`schema`]: its tables and their migrations; [`queries`]: its statements; [`writer`]: the
//!   threads that run them; [`orders`]: those of commands in a chat.
//! - [`pauses`]: what an operator has paused, as the loop keeps it.

pub mod api;
mod orders;
pub mod pauses;
mod queries;
mod schema;
pub mod sqlite;
mod writer;

pub use sqlite::SqliteStore;
