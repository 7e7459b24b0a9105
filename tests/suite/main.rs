//! Black-box tests of the `hermes` program, in one binary.

mod conversation;
mod disconnects;
mod existing_session;
mod first_run;
mod help;
mod interrupts;
mod launcher;
mod support;
mod tidy;
mod verdicts;
