//! The definition of each platform: for the wizard, the doctor and the gateway alike. No task, no file, no decision of theirs
//! is here.
//!
//! A platform is one variant of [`Platform`], one row ([`PlatformSpec`]) and a folder: its ids, its wire types, its client.

mod platform;
pub mod scripted;
pub mod spec;
pub mod telegram;
pub mod whatsapp;

pub use platform::{Part, Platform, UnknownPlatform};
pub use spec::{Naming, PlatformSpec, Rate, Rates, Repeat, TextUnit, number};
