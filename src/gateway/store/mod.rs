//! One SQLite database, one writer thread, natural group commit: what was accepted survives any crash.
//!
//! - [`api`]: what the store promises, as a trait; so that a second engine can take its place.
//! - [`sqlite`]: the engine; [`schema`]: its tables and their migrations; [`queries`]: its statements; [`writer`]: the
//!   threads that run them; [`orders`]: those of commands in a chat, [`sessions`]: of conversations.
//! - [`recovery`]: what the writer does about faults of the disk and of the file; [`health`] decides it; [`disk_space`]: the
//!   room that is left.
//! - [`offline`]: for commands while no gateway runs.
//! - [`salvage`]: what is saved of a damaged file. [`unopened`]: why a store cannot be opened, for people.
//! - [`admissions`]: who was let in by a code. [`lost`]: what a chat is told of what it never got. [`contacts`]:
//!   when platforms were last connected.

mod admissions;
pub mod api;
mod contacts;
pub mod disk_space;
mod health;
mod letters;
pub mod lost;
pub mod offline;
mod orders;
mod presence;
mod queries;
pub mod recovery;
mod salvage;
mod schema;
mod sessions;
pub mod sqlite;
pub mod unopened;
mod writer;

pub use sqlite::SqliteStore;
