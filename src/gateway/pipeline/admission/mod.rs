//! Access for a person who is on no list: by a code that they get in a direct chat and that the operator approves on the
//! gateway's machine, or by the operator alone.
//!
//! Codes are off unless `<PLATFORM>_DM_POLICY` says `pairing`. A stranger's text is neither stored nor answered by the
//! agent; they get one text, and the operator gives its code to `hermes pairing approve`. No chat and no HTTP client
//! can approve one.
//!
//! - [`code`]: the codes, and their hashes. [`registry`]: the people who wait and those who have access, and the rules for
//!   giving and taking codes.
//! - [`service`]: the registry of a running gateway, kept over restarts by the store.
//!
//! `hermes pairing` is in [`client`](crate::client).

pub mod code;
pub mod registry;
pub mod service;
