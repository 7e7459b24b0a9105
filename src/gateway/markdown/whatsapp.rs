//! Pure. WhatsApp's own markup: `*bold*`, `_italic_`, `~struck~`, code and quotations as in Markdown; no headings, no link
//! texts, no tables.

use super::dialect::{Dialect, Form, Marks};
use super::rich::Style;

/// Writes for WhatsApp.
pub(super) struct Whatsapp;

const FENCE: &str = "```";

/// Behind an escaped marker: WhatsApp has no escape, and programs that send to it put this character there, so that a closing
/// marker is no longer at the border of a word. It is not seen, and no line ends there, as at a zero-width space. Only behind
/// escaped markers at such a border: elsewhere text stays as the agent wrote it, so that commands and names can be copied.
const WORD_JOINER: &str = "\u{2060}";

impl Dialect for Whatsapp {
    fn form(&self) -> &'static Form {
        &Form {
            is_verbatim: false,
            bullet: None,
            indent: "  ",
            escaped_end: WORD_JOINER,
            rule: "———",
            is_airy: false,
            links: |_| false,
            is_by_line: true,
            counts_marks: true,
            spans_max: usize::MAX,
        }
    }

    fn marks(&self, style: &Style, content: &str) -> Marks {
        match style {
            Style::Quote => Marks { each_line: "> ", ..Marks::new("> ", "") },
            // The language's name would be shown as code.
            Style::Block(_) | Style::Table if !content.contains(FENCE) => Marks::new("```\n", "\n```"),
            Style::Strong => Marks::new("*", "*"),
            Style::Emphasis => Marks::new("_", "_"),
            Style::Strike => Marks::new("~", "~"),
            Style::Code if !content.contains('`') => Marks::new("`", "`"),
            Style::Code
                if !content.contains(FENCE) && !content.ends_with('`') && !content.starts_with('`') =>
            {
                Marks::new(FENCE, FENCE)
            }
            Style::Block(_) | Style::Table | Style::Code | Style::Link(_) => Marks::default(),
        }
    }
}
