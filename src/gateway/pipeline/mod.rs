//! The message path: what a platform hands over is accepted, answered once, in order, and sent.
//!
//! accept: gate → one commit: in the inbox, and its first attempt counted where the chat is idle → the platform is told ·
//! turn: agent → one commit of transcript, answer and end → outbox → link. Where the chat is busy, the attempt is counted
//! by a claim of its own, which takes in what was written in one go.
//!
//! - [`message_path`]: the whole, as the gateway's core sees it.
//! - [`orders`]: what is meant for the gateway and not for the agent. [`turns`]: whose turn it is; [`asking`]: what is asked
//!   together, answered; [`preview`]: what is shown of an answer before it is whole. [`attempts`]: how often one was begun for a message. [`upkeep`]: what is done beside the turns.
//! - [`running`]: the turns that run, and what is done to them from outside; [`busy`]: what a message does to the turn of its
//!   chat. [`slots`]: how many turns run at once; [`pace`]: how fast those of one chat follow each other.
//! - [`reply`]: what the answer becomes. [`strangers`]: what is not let in; [`ignored`]: what the owner can learn of it. [`waits`]: the messages that wait because the agent is not there.

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
