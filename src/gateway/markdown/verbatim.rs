//! Pure. A platform that knows no markup: the text stays as it is.

use super::dialect::{Dialect, Form, Marks};
use super::rich::Style;

/// Writes everything as it is.
pub(super) struct Verbatim;

impl Dialect for Verbatim {
    fn form(&self) -> &'static Form {
        &Form {
            is_verbatim: true,
            bullet: None,
            indent: "  ",
            escaped_end: "",
            rule: "---",
            is_airy: false,
            links: |_| false,
            is_by_line: false,
            counts_marks: true,
            spans_max: usize::MAX,
        }
    }

    fn marks(&self, _: &Style, _: &str) -> Marks {
        Marks::default()
    }
}
