//! Questions at a terminal, and the keyboard between questions.
//!
//! ```text
//! bytes ──► keys (pure) ──► line (pure): text and cursor ──► field, menu (pure): rows to draw ──► dialog: draws, repeats
//!             ▲
//!         keyboard: raw mode, suspend and resume, keys that belong to no question
//! ```
//!
//! [`plain`] asks the same where the cursor cannot be moved (`TERM=dumb`).
pub(super) mod dialog;
pub(super) mod field;
pub(super) mod keyboard;
pub(super) mod keys;
pub(super) mod line;
pub(super) mod look;
pub(super) mod menu;
pub(super) mod plain;
