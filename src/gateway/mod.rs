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
//! bridge is told to forget it → a turn of the [`agent`] → one commit: answer to the outbox, message done.
//!
//! **Out:** outbox row → [`pipeline::delivery`] → `Link::send`, or `Link::edit` where what was shown of the answer stands → sent | not
//! sent | unknown → outbox row.
//!
//! **Down:** the link's end, a failed attempt, a lease without proof, a panic → `Event::Supervised` → the platform's machine →
//! one deadline. The retry is decided before the cleanup of the old link begins, and never waits for it.
//!
//! # Containment
//!
//! A fault touches the smallest thing that it is about, and is tried again by the one who can tell what became of it. What is above or
//! beside it does not notice. `tests/suite/containment.rs` makes each of these fail and counts who does.
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
//! - [`boot`]: the order of starting and everything that can refuse it. [`core`]: the loop, its state, reload, drain and end.
//! - [`model`]: what every part speaks of: messages, the contract with a platform, failures, events, commands, the snapshot.
//! - [`supervisor`]: when a platform is tried (pure). [`platforms`]: how each runs.
//! - [`pipeline`]: from an accepted message to a sent answer; [`inbound`] reads and judges what comes in (pure); [`markdown`]
//!   writes what goes out (pure).
//! - [`agent`]: who answers. [`sessions`]: conversations. [`store`]: what outlives the process.
//! - [`api`]: the control socket and HTTP; [`connection`]: connections of either.
//! - [`ops`]: what people see of the gateway: status, notices, dead letters. [`metrics`]: counters. [`problems`]: what is wrong
//!   with the gateway itself.
//! - [`host`]: the process around it. [`settings`]: what is in force. [`log_throttle`]: what would be logged too often.

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
