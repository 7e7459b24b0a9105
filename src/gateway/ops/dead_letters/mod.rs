//! Dead letters: messages that were given up, looked at, tried again or dropped by `hermes dead`.
//!
//! - [`view`]: how they are named and shown (pure). [`desk`]: what is done with them in the store.

pub mod desk;
pub mod view;
