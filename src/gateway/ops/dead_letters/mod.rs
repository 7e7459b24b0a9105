//! Dead letters: messages that were given up, shown, tried again or dropped by `hermes dead`.
//!
//! - [`view`]: their ids and display (pure). [`desk`]: the operations on them in the store.

pub mod desk;
pub mod view;
