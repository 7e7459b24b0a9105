//! Telegram, by its Bot API ([`crate::platforms::telegram`]).
//!
//! - [`adapter`]: the checks before a connection, and the connection. [`polling`]: long polling, with its retries;
//!   [`receiver`]: takes the updates, and confirms none before it is on disk; [`narrow`]: finds the one update that spoils an
//!   answer; [`webhook`]: the other way, on which the service calls us. [`link`]: sends, and watches itself. [`shared`]:
//!   their common state.
//! - Pure: [`numbers`], the updates that a request confirms; [`address`], [`translate`] from Telegram's types to hermes'
//!   types; [`albums`], the messages that belong together; [`failure`], the meaning of a refusal; [`flood`], the owner of a
//!   limit.

pub mod adapter;
pub mod address;
pub mod albums;
pub mod failure;
pub mod flood;
mod link;
mod narrow;
mod numbers;
mod polling;
mod receiver;
mod shared;
pub mod translate;
mod webhook;
