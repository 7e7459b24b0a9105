//! hermes: the messaging gateway for AI agents that stays up, and its setup wizard.
//!
//! This page is the map. What users may rely on is in `docs/`; how the gateway moves is in [`gateway`], how the wizard
//! moves in [`wizard`], and what the Node bridge promises in `assets/bridge/README.md`.
//!
//! ```text
//!              bin/hermes ─► cli ──┬─► wizard ────────┐            asks, installs, pairs, commits once
//!                                  ├─► gateway ───────┤            receives, asks the agent, answers
//!                                  └─► doctor ────────┤            asks, shows what is wrong, repairs
//!                                                     ▼
//!               preflight (pure) ◄── facts    bridge: install, toolchain, process ⇄ Node + Baileys ⇄ WhatsApp
//!                                                     ▼
//!   leaves: world home ownership clock file durable error failpoint · proc child dumps · env_file config platform pairing phone · logging redact visible span wrap tls net telegram control_client
//!   leaves: world home ownership clock file durable error failpoint · proc child dumps · env_file config platform pairing phone · logging redact visible fold tls net telegram control_client
//! ```
//!
//! # Where to look
//!
//! | question | room |
//! | --- | --- |
//! | What can be typed, and which exit code comes back? | [`cli`], [`error`] |
//! | What is missing before it works, and what does "paired" mean? | [`preflight`], [`pairing`] |
//! | Where does a setting come from? | [`config`], [`env_file`] |
//! | What becomes of the home of a hermes-agent? | [`migrate`] |
//! | Where is a file, and whose is it? | [`home`], [`ownership`] |
//! | How does the bridge get on the disk, start and end? | [`bridge::install`], [`bridge::process`], [`bridge::exec`] |
//! | What is said between hermes and the bridge? | [`bridge::protocol`] |
//! | What does a wizard ask next, and when does it write? | [`wizard::flow`], [`wizard::telegram::flow`], [`wizard::changes`] |
//! | When is a platform tried again? | [`gateway::supervisor`] |
//! | How does the process end, and who notices when it hangs? | [`gateway::drain`], [`gateway::life`] |
//! | What does a changed setting touch? | [`gateway::settings`], [`gateway::reload`] |
//! | Who may speak, and how is somebody let in? | [`gateway::inbound`], [`gateway::admission`] |
//! | What is on disk before what is acknowledged? | [`gateway::path`], [`gateway::store`] |
//! | How is a running gateway asked and steered, and by whom? | [`gateway::control`], [`gateway::http`] |
//! | What does the status say, and when is it believed? | [`gateway::status`] |
//!
//! # Never
//!
//! 1. The wizard never imports the gateway, nor the gateway the wizard. They meet in `preflight`, `bridge` and the leaves.
//! 2. A file that begins with `//! Pure.` decides and does nothing else: no clock, no file, no task.
//! 3. Only [`clock`] asks the time, only [`world`] reads environment and arguments, only [`home`] makes paths of ours, only
//!    [`mod@file`] opens files to read them, only [`durable`] replaces files, only [`child`] starts programs.
//! 4. A platform never retries, sleeps or writes the status: it says what happened, the supervisor decides.
//! 5. Nothing is acknowledged before it is on disk, and nothing is enabled before it is proven.
//! 6. What people write, and secrets, have types that `Debug` cannot print, and the log takes them out once more.
//!
//! `tests/suite/tidy.rs` and `clippy.toml` hold the code to these.

pub mod backoff;
pub mod bridge;
pub mod cli;
pub mod client;
pub mod clock;
pub mod config;
pub mod control_client;
pub mod doctor;
pub mod dumps;
pub mod durable;
pub mod env_file;
mod env_grammar;
pub mod error;
pub mod facts;
pub mod failpoint;
pub mod file;
pub mod gateway;
pub mod home;
pub mod local_endpoint;
pub mod logging;
pub mod migrate;
pub mod net;
pub mod ownership;
pub mod pairing;
pub mod platforms;
pub mod preflight;
pub mod process;
pub mod progress;
pub mod redact;
pub mod sensitive;
pub mod service;
pub mod span;
pub mod tls;
pub mod token_lock;
pub mod visible;
pub mod wizard;
pub mod world;
pub mod wrap;
