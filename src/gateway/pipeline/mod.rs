//! The message path: a platform's message is accepted, answered once, in order, and the answer is sent.
//!
//! accept: gate → one commit: into the inbox, with its first attempt counted where the chat is idle → acknowledged to the
//! platform · turn: agent → one commit of transcript, answer and end → outbox → link. Where the chat is busy, the attempt
//! is counted by a separate claim, which joins messages that were written in one go.
//!
//! - [`message_path`]: the whole, as the gateway's core sees it.
//! - [`orders`]: commands to the gateway. [`turns`]: the order of the turns and their records; [`asking`]: one turn's
//!   request and its answer; [`preview`]: an answer that is shown before it is whole. [`attempts`]: the count of a
//!   message's turns. [`upkeep`]: the background jobs.
//! - [`running`]: the running turns, and their control from outside; [`busy`]: the effect of a message on the turn of its
//!   chat. [`slots`]: the number of turns at once; [`pace`]: the pace of those of one chat.
//! - [`reply`]: the messages of an answer. [`strangers`]: messages that the gate refuses; [`ignored`]: their senders, for
//!   the owner. [`waits`]: the messages that wait because the agent is away.

pub mod admission;
mod asking;
mod attempts;
pub mod brief;
mod busy;
#[cfg(test)]
pub mod counting_flow;
pub mod delivery;
pub mod flow;
pub mod ignored;
pub mod message_path;
mod order_texts;
pub mod orders;
mod pace;
mod preview;
pub mod reply;
pub mod running;
pub mod scheduler;
mod slots;
mod strangers;
pub mod turns;
mod upkeep;
pub mod waits;

pub use message_path::MessagePath;
