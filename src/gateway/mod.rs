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
//! The loop ([`run`]) is the one owner of what is true about the platforms. `select!` only builds an [`event::Event`];
//! deciding is synchronous and pure; whatever takes long is a task that answers with an event. An event of an attempt that
//! is no longer awaited is dropped, and a link that it brings is closed.
//!
//! **In:** bridge process → [`platforms::whatsapp`] translates → [`path`]: gate → commit to the [`store`] → only now the
//! bridge is told to forget it → a turn of the [`agent`] → one commit: answer to the outbox, message done.
//!
//! **Out:** outbox row → [`delivery`] → `Link::send`, or `Link::edit` where what was shown of the answer stands → sent | not
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
//! - [`boot`]: the order of starting and everything that can refuse it; [`run`] the loop; [`state`] what it knows;
//!   [`event`] what it hears; [`drain`] how it ends.
//! - [`command`]: what people and programs ask of it while it runs; [`control`], [`http`]: by which ways they ask.
//! - [`succession`]: how it is started, stopped and restarted from outside.
//! - [`life`]: the process around it; [`purpose`]: whether it has anything left to do; [`reload`]: what changed settings
//!   mean.
//! - [`supervisor`]: when a platform is tried; [`platforms`]: what a platform is; [`settings`]: what is in force.
//! - [`problems`]: what is wrong with the gateway itself.
//! - [`message`], [`failure`]: the words everybody uses; [`flow`]: what the loop needs of the message path ([`path`],
//!   [`inbound`], [`lanes`], [`sessions`], [`agent`], [`delivery`], [`store`]).
//! - [`admission`]: how somebody who is on no list is let in.
//! - [`dead`]: what was given up, and what people do about it.
//! - [`status`]: what the gateway says about itself, and how it is read; [`notice`]: when it speaks up by itself;
//!   [`repeats`]: what would be said too often; [`tally`]: what is counted.

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
