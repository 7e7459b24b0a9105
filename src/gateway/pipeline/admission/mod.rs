//! Access for a person who is on no list: by a code that they get in a direct chat and that the operator approves on the gateway's
//! machine, or by the operator alone.
//!
//! Codes are off unless `<PLATFORM>_DM_POLICY` says `pairing`. What a stranger writes is neither stored nor answered by the
//! agent; they get one text, and the operator gives its code to `hermes pairing approve`. No chat and no HTTP client
//! can approve one.
//!
//! - [`code`]: the codes, and how they are kept. [`book`]: who waits, who has access, and when a code is given or taken.
//! - [`records`]: where that is kept over restarts; the store does it.
//! - [`desk`]: the one who keeps the book of a running gateway. [`routes`]: asking it over the control socket.
//! - [`command`]: `hermes pairing`, with a gateway and without. [`listed`]: the allow list in `.env`.

pub mod code;
pub mod registry;
pub mod service;
