//! Who answers.
//!
//! - [`api`]: the contract, one turn in and one text out.
//! - [`echo`]: repeats what it is told.

pub mod api;
pub mod echo;
