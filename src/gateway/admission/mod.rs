//! How somebody who is on no list is let in: by a code that they are given in a direct chat, and that the operator approves
//! on the gateway's machine.
//!
//! It is off unless `<PLATFORM>_DM_POLICY` says `pairing`. What a stranger writes is neither stored nor answered by the
//! agent; they get one text, and whoever knows them hands its code to `hermes pairing approve`. No chat and no HTTP client
//! can approve one.
//!
//! - [`code`]: what a code is, and how it is kept. [`book`]: who waits, who is in, and when a code is given or taken.
//! - [`records`]: where that is kept over restarts; the store does it.
//! - [`desk`]: the one who keeps the book of a running gateway. [`routes`]: asking it over the control socket.
//! - [`command`]: `hermes pairing`, with a gateway and without.

pub mod book;
pub mod code;
pub mod command;
pub mod desk;
pub mod routes;
