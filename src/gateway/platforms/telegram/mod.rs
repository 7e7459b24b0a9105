//! Telegram, by its Bot API ([`crate::platforms::telegram`]).
//!
//! - [`adapter`]: what stands in the way, and how it connects. [`polling`]: long polling, with its retries;
//!   [`receiver`]: takes what came, and nothing is confirmed before it is on disk; [`narrow`]: finds the one update that spoils an
//!   answer; [`webhook`]: the other way, on which the service calls us. [`link`]: sends, and watches itself. [`shared`]: what these know of each other.
//! - Pure: [`numbers`], which updates a question confirms; [`address`], [`translate`] between Telegram's words and hermes' words; [`albums`], what belongs together;
//!   [`failure`], what a refusal means; [`flood`], whose limit it is.

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
