//! What each platform is: for the wizard, the doctor and the gateway alike. No task, no file, no decision of theirs is here.
//!
//! A platform is one variant of [`Platform`], one row ([`PlatformSpec`]) and a folder: its ids, its wire types, its client.

pub mod scripted;
mod spec;
pub mod telegram;
pub mod whatsapp;

pub use spec::{
    Ids, Naming, Part, Platform, PlatformSpec, Rate, Rates, Repeat, TextUnit, UnknownPlatform, number,
};

/// The longest id of a person, in bytes.
const PERSON_BYTES_MAX: usize = 256;
