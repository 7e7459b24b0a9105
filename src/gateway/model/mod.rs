//! The types that every part of the gateway uses.
//!
//! - [`message`]: messages and the ids of chats, people and messages; [`handle`] makes the ids of those that we send.
//!   [`identity`] finds the canonical name of a chat or a person.
//! - [`adapter`]: the contract with a platform. [`failure`]: its failures, and their retries.
//! - [`event`]: the gateway's events. [`command`]: the requests of people and programs while it runs.
//! - [`snapshot`]: its state at one moment, as the status file and the API show it. [`pid_file`]: its process, for older tools.

pub mod adapter;
pub mod command;
pub mod event;
pub mod failure;
pub mod handle;
pub mod identity;
pub mod message;
pub mod pid_file;
pub mod snapshot;
