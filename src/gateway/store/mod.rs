//! One SQLite database, one writer thread, natural group commit: accepted messages survive any crash.
//!
//! - [`api`]: the guarantees of the store, as a trait; so that a second engine can take its place.
//! - [`sqlite`]: the engine; [`schema`]: its tables and their migrations; [`queries`]: its statements; [`writer`]: the
//!   threads that run them; [`orders`]: those of commands in a chat, [`sessions`]: of conversations.
//! - [`recovery`]: the writer's handling of faults of the disk and of the file; [`health`] decides it; [`disk_space`]: the
//!   free space.
//! - [`offline`]: for commands while no gateway runs.
//! - [`salvage`]: the rows saved from a damaged file. [`unopened`]: the reason why a store cannot be opened, for people.
//! - [`admissions`]: the people who were admitted by a code. [`lost`]: the notice about messages that a chat never got.
//!   [`contacts`]: the times when platforms were last connected.

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
mod rows;
mod salvage;
mod schema;
mod sessions;
pub mod sqlite;
pub mod unopened;
mod writer;

pub use sqlite::SqliteStore;
