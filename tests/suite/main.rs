//! Black-box tests of the `hermes` program, in one binary.
#![expect(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "tests are the outside world: they ask the time, write files, and fail where something is missing"
)]

mod admission;
mod agent;
mod chat;
mod containment;
mod contract;
mod control;
mod conversation;
mod delivery;
mod disconnects;
mod docs;
mod doctor;
mod doors;
mod endurance;
mod existing_session;
mod faults;
mod first_run;
mod flood;
mod guard;
mod heard;
mod help;
mod host_faults;
mod interrupts;
mod launcher;
mod ledger;
mod life;
mod linking;
mod log;
mod metrics;
mod migrate;
mod mixed;
mod operator;
mod passkey;
mod qr;
mod readme;
mod reload;
mod rooms;
mod rows;
mod scripted;
mod secrets;
mod settings;
mod setup;
mod simulator;
mod simulator_faults;
mod store_faults;
mod succession;
mod support;
mod telegram;
mod telegram_faults;
mod telegram_receiving;
mod telegram_sending;
mod telegram_setup;
mod terminal;
mod terminal_kinds;
mod terminal_questions;
mod texts;
mod tidy;
mod truth;
mod verdicts;
mod webhook;
mod whatsapp_chats;
