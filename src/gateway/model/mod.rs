//! What every part of the gateway speaks of.
//!
//! - [`message`]: messages and the ids of chats, people and messages; [`handle`] makes the ids of those that we send.
//!   [`identity`] finds the one name of a chat or a person.
//! - [`adapter`]: the contract with a platform. [`failure`]: what went wrong there, and when it is tried again.
//! - [`event`]: what can happen to the gateway. [`command`]: what people and programs ask of it while it runs.
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
