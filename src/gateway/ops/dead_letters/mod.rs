//! Dead letters: messages that were given up, looked at, tried again or dropped by `hermes dead`.
//!
//! - [`view`]: how they are named and shown. Pure.
//! - [`desk`]: what is done with them in the store; [`command`]: the command, which asks a running gateway to do it, and does
//!   it itself while none runs.

pub mod desk;
pub mod view;
