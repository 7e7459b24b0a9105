//! An agent's Markdown in each platform's own markup, in parts that the platform takes.
//!
//! ```text
//! Markdown ─► reader (+ emphasis, tokens) ─► events ─► layout (+ table) ─► text with spans ─► split ─► write ─► parts
//! ```
//!
//! There is one [`reader`] for all platforms. [`layout`] makes of its events what people see: a text, and spans that say
//! which of it is bold, a link or code. [`split`] cuts that text, so no cut can break markup; [`mod@write`] puts a part into
//! the platform's markup. A platform is one [`dialect::Dialect`], in its own file: [`telegram`], [`whatsapp`], and
//! [`verbatim`] for platforms that tests play. [`parts`] is the way in.

mod dialect;
mod emphasis;
mod layout;
pub mod parts;
mod reader;
mod rich;
mod split;
mod table;
mod telegram;
mod tokens;
mod verbatim;
mod whatsapp;
mod write;

#[cfg(test)]
mod answers;
#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;
