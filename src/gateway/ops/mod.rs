//! TODO

pub mod dead_letters;
pub mod notice;
pub mod status;
