//! Settings, one line each: the keys of `gateway.toml` with their defaults, ranges and units ([`mod@table`],
//! [`value`]), and the settings with names in capitals ([`named`]). A leaf, so that each platform has its table in its folder.

pub(crate) mod named;
pub(crate) mod table;
pub(crate) mod value;

pub(crate) use named::Settings;
pub(crate) use table::{Entry, Fault, Flat, Keys, Rule, Table, Unset, below, checked, read, table};
