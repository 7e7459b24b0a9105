//! Pure. What people see of a document: a text, and which of it is written how.

use std::ops::Range;

/// A text with its spans: in the order in which they begin, the outer before the inner, each within the one around it.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Rich {
    pub(super) text: String,
    pub(super) spans: Vec<Span>,
}

impl Rich {
    /// A text as it is.
    pub(super) fn plain(text: &str) -> Self {
        Self { text: text.to_owned(), spans: Vec::new() }
    }
}

/// A stretch of the text, in bytes; never empty.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) range: Range<usize>,
    pub(super) style: Style,
}

/// How it is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Style {
    Quote,
    /// A block of code, in this language.
    Block(String),
    /// The lines of a table, in a font of one width.
    Table,
    Strong,
    Emphasis,
    Strike,
    Code,
    /// A link to this address.
    Link(String),
}

impl Style {
    /// White space in it is not to be touched.
    pub(super) fn is_block(&self) -> bool {
        matches!(self, Self::Block(_) | Self::Table)
    }

    /// It is not cut where that can be helped.
    pub(super) fn is_whole(&self) -> bool {
        matches!(self, Self::Code | Self::Link(_))
    }
}

/// Something of it can be seen.
pub(super) fn is_visible(text: &str) -> bool {
    text.contains(|sign: char| !sign.is_whitespace() && !sign.is_control())
}
