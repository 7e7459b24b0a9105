//! From the platform to the inbox: who may speak, and which chat it is.
//!
//! - [`identity`]: one name for the two identities of a chat or a person.
//! - [`gate`]: who may speak, and who may give commands. [`slash`]: which commands there are.

pub mod gate;
pub mod identity;
pub mod slash;
