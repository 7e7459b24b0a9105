//! Pure. How a platform writes.

use super::rich::Style;
use super::{telegram, verbatim, whatsapp};
use crate::platforms::Platform;

/// A platform's own markup. One file for each.
pub(super) trait Dialect: Sync {
    /// How blocks are laid out, and what is counted.
    fn form(&self) -> &'static Form;

    /// What stands around text of this style; it holds this content.
    fn marks(&self, style: &Style, content: &str) -> Marks;

    /// Writes text so that the platform shows it as it is.
    fn escape(&self, text: &str, out: &mut String) {
        out.push_str(text);
    }
}

/// How blocks are laid out, and what is counted.
pub(super) struct Form {
    /// The text is not Markdown, or the platform reads no markup.
    pub(super) is_verbatim: bool,
    /// The sign of a list's entries; `None`: as it was written.
    pub(super) bullet: Option<&'static str>,
    /// The indent of a list in a list.
    pub(super) indent: &'static str,
    /// Text behind an escaped marker, where the platform has no other way to show it as it is.
    pub(super) escaped_end: &'static str,
    /// A line across.
    pub(super) rule: &'static str,
    /// An empty line stands between blocks; else only where one was written.
    pub(super) is_airy: bool,
    /// True when an address can be behind a text; any other is shown.
    pub(super) links: fn(&str) -> bool,
    /// Emphasis and code end with the line.
    pub(super) is_by_line: bool,
    /// Markup counts as text does.
    pub(super) counts_marks: bool,
    /// So many spans are shown in one message.
    pub(super) spans_max: usize,
}

/// What stands around a span.
#[derive(Debug, Default, Clone)]
pub(super) struct Marks {
    pub(super) open: String,
    pub(super) close: String,
    /// Stands before each further line.
    pub(super) each_line: &'static str,
}

impl Marks {
    pub(super) fn new(open: impl Into<String>, close: impl Into<String>) -> Self {
        Self { open: open.into(), close: close.into(), each_line: "" }
    }
}

/// How this platform writes.
pub(super) fn of(platform: Platform) -> &'static dyn Dialect {
    match platform {
        Platform::Whatsapp => &whatsapp::Whatsapp,
        Platform::Telegram => &telegram::Telegram,
        Platform::Scripted(_) => &verbatim::Verbatim,
    }
}
