//! Taking over the home of a hermes-agent gateway.
//!
//! ```text
//!  config.yaml ──────────┐
//!  .env, gateway.json ───┼─► found ─► plan ──┬─► report      a table for people, JSON for programs
//!  pairings, jobs, … ────┘   (reads)  (pure) ├─► outlook     a line at the start of the gateway and in doctor
//!                                            └─► write       files beside ours, put in place together
//! ```
//!
//! Nothing of hermes-agent's is changed or removed, so that it still runs on its home afterwards. What both programs read (`.env`)
//! gets new lines only, with the values that hermes-agent has already.
//!
//! - [`found`]: what is there. [`plan`]: what becomes of it, with [`chat`] for the blocks of a platform, `sections` for the other
//!   sections and [`model`] for who answers; `references` are those to variables. [`toml_text`]: new keys in `gateway.toml`.

pub mod chat;
pub mod found;
pub mod model;
pub mod outlook;
pub mod plan;
mod references;
pub mod report;
mod sections;
pub mod toml_text;
pub mod write;

#[cfg(test)]
mod tests;
