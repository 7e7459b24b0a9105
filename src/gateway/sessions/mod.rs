//! Conversations: the history that the agent gets, and its end.
//!
//! A conversation is the exchanges of one chat (or, where the settings say so, of one person in a group) from its first
//! message until a person writes `/new` or a rule ends it. It begins with the end of its first turn, in the same
//! transaction.
//!
//! - [`api`](crate::gateway::store::api::sessions): the types of conversations, and their storage.
//! - [`policy`]: the rules by which one ends. Pure.
//! - [`keeper`]: finds the one that a message belongs to, and ends those that the rules end.

pub mod keeper;
pub mod policy;

pub use keeper::Keeper;
