//! Conversations: what the agent is reminded of, and when it forgets.
//!
//! A conversation is the exchanges of one chat (or, where the settings say so, of one person in a group) from its first
//! message until somebody says `/new` or a rule ends it. It begins with the end of its first turn, in the same transaction.
//!
//! - [`api`](crate::gateway::store::api::sessions): what a conversation is, and what the store keeps of it.
//! - [`policy`]: when one has ended by itself. Pure.
//! - [`keeper`]: finds the one that a message belongs to, and ends those whose time has come.

pub mod keeper;
pub mod policy;

pub use keeper::Keeper;
