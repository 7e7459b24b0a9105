//! hermes: the messaging gateway for AI agents that stays up, and its setup wizard.
//!
//! This page is the map. What users may rely on is in `docs/`; how the gateway moves is in [`gateway`], how the wizards
//! move in [`wizard`], and what the Node bridge promises in `assets/bridge/README.md`. `docs/development.md` names the files for
//! the usual changes.
//!
//! # Rooms
//!
//! A room uses only rooms of the lines below it. In `gateway`, `platforms` and `wizard` each module is a room of its own.
//!
//! ```text
//! cli
//! doctor  gateway/boot  service
//! client  gateway/api  gateway/core
//! gateway/ops
//! gateway/pipeline
//! gateway/metrics  gateway/sessions  wizard/platforms  wizard/telegram  wizard/whatsapp
//! gateway/agent  wizard/questions  wizard/switch
//! gateway/host  gateway/platforms  gateway/store  wizard/changes  wizard/runner  wizard/running
//! facts  gateway/inbound  gateway/markdown  gateway/problems  gateway/supervisor  wizard/ui
//! bridge  gateway/model  ownership
//! gateway/settings  migrate  preflight
//! config
//! control_client  process  token_lock
//! gateway/connection  home  logging  pairing  platforms/platform  progress
//! gateway/route  platforms/scripted  platforms/telegram  platforms/whatsapp
//! setting
//! env_file
//! clock  durable  error  world
//! backoff  dumps  env_grammar  failpoint  file  gateway/log_throttle  local_endpoint  net  platforms/spec
//!     redact  sensitive  span  tls  visible  wrap  yaml
//! ```
//!
//! # Where to look
//!
//! | question | room |
//! | --- | --- |
//! | What can be typed, and which exit code comes back? | [`cli`], [`error`] |
//! | What is missing before it works, and what does "paired" mean? | [`preflight`], [`pairing`] |
//! | Where does a setting come from? | [`config`], [`env_file`]; its key, default and range: `setting` |
//! | What is a platform: its ids, limits, wire types? | [`platforms`] |
//! | What becomes of the home of a hermes-agent? | [`migrate`] |
//! | Where is a file, and whose is it? | [`home`], [`ownership`] |
//! | How does the bridge get on the disk, start and end? | [`bridge::install`], [`bridge::process`], [`process::exec`] |
//! | What is said between hermes and the bridge? | [`bridge::protocol`] |
//! | What does a wizard ask next, and when does it write? | [`wizard::whatsapp::flow`], [`wizard::telegram::flow`], [`wizard::changes`] |
//! | When is a platform tried again? | [`gateway::supervisor`] |
//! | How does the process end, and who notices when it hangs? | [`gateway::core::drain`], [`gateway::host`] |
//! | What does a changed setting touch? | [`gateway::settings`], [`gateway::core::reload`] |
//! | Who may write, and how is a person admitted? | [`gateway::inbound`], [`gateway::pipeline::admission`] |
//! | What is on disk before what is acknowledged? | [`gateway::pipeline`], [`gateway::store`] |
//! | How is a running gateway asked and steered, and by whom? | [`gateway::api`]; from outside: [`client`] |
//! | What does the status say, and when is it believed? | [`gateway::model::snapshot`], [`client::presence`] |
//!
//! # Never
//!
//! 1. The wizard never imports the gateway, nor the gateway the wizard. They meet in `platforms`, `bridge`, `preflight` and the leaves.
//! 2. A file that begins with `//! Pure.` decides and does nothing else: no clock, no file, no task.
//! 3. Only [`clock`] asks the time, only [`world`] reads environment and arguments, only [`home`] makes paths of ours, only
//!    [`mod@file`] opens files to read them, only [`durable`] replaces files, only [`process::child`] starts programs.
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
mod setting;
pub mod span;
pub mod tls;
pub mod token_lock;
pub mod visible;
pub mod wizard;
pub mod world;
pub mod wrap;
pub mod yaml;
