//! The gateway: everything that `hermes gateway run` is.
//!
//! ```text
//!  signals ─┐                         ┌─► status file (one writer, whole documents)
//!  timers ──┤                         │
//!  platform ├─► Event ─► THE loop ────┼─► start, drop, close a platform's task
//!  tasks ───┤   (run)    │       ▲    │
//!  drain ───┘            ▼       │    └─► log, one line for each turn of events
//!                  deciders: supervisor::machine (one for each platform), drain (how it ends); all pure
//! ```
//!
//! The loop ([`core::run`]) is the one owner of what is true about the platforms. `select!` only builds an [`model::event::Event`];
//! deciding is synchronous and pure; whatever takes long is a task that answers with an event. An event of an attempt that
//! is no longer awaited is dropped, and a link that it brings is closed.
//!
//! **In:** bridge process → [`platforms::whatsapp`] translates → [`pipeline`]: gate → commit to the [`store`] → only now the
//! bridge may forget it → a turn of the [`agent`] → one commit: answer to the outbox, message done.
//!
//! **Out:** outbox row → [`pipeline::delivery`] → `Link::send`, or `Link::edit` where a preview of the answer stands → sent |
//! not sent | unknown → outbox row.
//!
//! **Down:** the link's end, a failed attempt, a lease without proof, a panic → `Event::Supervised` → the platform's machine →
//! one deadline. The retry is decided before the cleanup of the old link begins, and never waits for it.
//!
//! # Containment
//!
//! A fault affects the smallest part that it is about, and the retry is made by the part that can know the outcome. Parts
//! above or beside it are not affected. `tests/suite/containment.rs` makes each of these fail and counts the affected ones.
//!
//! | fault of | may touch | tried again by |
//! | --- | --- | --- |
//! | a message: its text, its picture, its form | that message | its turn or its outbox row, with an end |
//! | a chat: blocked, gone, flooded | that chat | its lane |
//! | a request: 429, 5xx, a broken connection | that request | its caller, at once or when the service says |
//! | a poll or a heartbeat | receiving on that platform; sending goes on | the link, until its lease is over |
//! | a connection | that platform | the supervisor's ladder |
//! | the model's service, as several messages show | turns; commands, jobs and platforms go on | its breaker |
//! | settings, the disk, a file of ours | what is new: nothing is taken that cannot be kept | the gateway, which shows it as a problem |
//!
//! # Rooms
//!
//! - [`boot`]: the order of starting and everything that can prevent it. [`core`]: the loop, its state, reload, drain and
//!   end.
//! - [`model`]: the common types: messages, the contract with a platform, failures, events, commands, the snapshot.
//! - [`supervisor`]: the times of attempts (pure). [`platforms`]: how each platform runs.
//! - [`pipeline`]: from an accepted message to a sent answer; [`inbound`] reads and judges inbound messages (pure);
//!   [`markdown`] renders outbound ones (pure).
//! - [`agent`]: the agents. [`sessions`]: conversations. [`store`]: the state that outlives the process.
//! - [`api`]: the control socket and HTTP; [`connection`]: connections of either.
//! - [`ops`]: the operator's view of the gateway: status, notices, dead letters. [`metrics`]: counters. [`problems`]: faults
//!   of the gateway itself.
//! - [`host`]: the process around it. [`settings`]: the settings in force. [`log_throttle`]: the limit for repeated log
//!   lines.

pub mod agent;
pub mod api;
pub mod boot;
pub mod connection;
pub mod core;
pub mod host;
pub mod inbound;
pub mod log_throttle;
pub mod markdown;
pub mod metrics;
pub mod model;
pub mod ops;
pub mod pipeline;
pub mod platforms;
pub mod problems;
pub mod route;
pub mod sessions;
pub mod settings;
pub mod store;
pub mod supervisor;
