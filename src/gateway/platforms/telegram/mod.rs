//! Telegram, by its Bot API ([`crate::platforms::telegram`]).
//!
//! - [`adapter`]: what stands in the way, and how it connects. [`polling`]: long polling, with its retries;
//!   [`taking`]: what is under way meanwhile; [`receiver`]: takes what came, and nothing is confirmed before it is on disk; [`files`]: fetches what came with a message; [`lanes`]: the order of each chat; [`unread`]: what cannot be read; [`narrow`]: finds the one update that spoils an
//!   answer; [`webhook`]: the other way, on which the service calls us. [`link`]: sends, and watches itself. [`shared`]: what these know of each other.
//! - Pure: [`numbers`], which updates a question confirms; [`address`], [`translate`] between Telegram's words and hermes' words; [`albums`], what belongs together;
//!   [`failure`], what a refusal means; [`flood`], whose limit it is.

pub mod adapter;
pub mod address;
pub mod albums;
pub mod failure;
mod files;
pub mod flood;
mod lanes;
mod link;
mod narrow;
mod numbers;
mod polling;
mod receiver;
mod shared;
mod taking;
pub mod translate;
mod unread;
mod webhook;
