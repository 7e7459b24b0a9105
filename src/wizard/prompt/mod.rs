//! Questions at a terminal that are answered by a line of text, and the keyboard between questions.
//!
//! ```text
//! bytes ──► keys (pure) ──► line (pure): text, cursor, rows to draw ──► field: draws, repeats until the check passes
//!             ▲
//!         keyboard: raw mode, suspend and resume, keys that belong to no question
//! ```
//!
//! [`plain`] asks the same where the cursor cannot be moved (`TERM=dumb`).
pub(super) mod field;
pub(super) mod keyboard;
pub(super) mod keys;
pub(super) mod line;
pub(super) mod look;
pub(super) mod plain;
