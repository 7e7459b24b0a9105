//! Pure. A table as lines of a fixed width.

use unicode_width::UnicodeWidthStr as _;

use super::reader::Alignment;

/// Wider cells are not waited for: a phone breaks such lines anyway, and the lines of a table stay in proportion to it.
const WIDTH_MAX: usize = 32;

/// What is known of a table so far.
#[derive(Debug, Default)]
pub(super) struct Table {
    pub(super) alignments: Vec<Alignment>,
    pub(super) rows: Vec<Vec<String>>,
    /// The cell that is being read.
    pub(super) cell: String,
}

impl Table {
    /// The rows, their columns below each other.
    pub(super) fn lines(&self) -> String {
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or_default();
        let mut widths = vec![0; columns];
        for row in &self.rows {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = cell.width().min(WIDTH_MAX).max(*width);
            }
        }
        let mut lines: Vec<String> = Vec::new();
        for (number, row) in self.rows.iter().enumerate() {
            let used = row.iter().rposition(|cell| !cell.is_empty()).map_or(0, |last| last + 1);
            let mut line = String::new();
            for (column, (cell, width)) in row.iter().zip(&widths).enumerate().take(used) {
                let space = width.saturating_sub(cell.width());
                let before = match self.alignments.get(column) {
                    Some(Alignment::Right) => space,
                    Some(Alignment::Center) => space / 2,
                    Some(Alignment::Left | Alignment::None) | None => 0,
                };
                line.push_str(if column > 0 { " | " } else { "" });
                line.extend(std::iter::repeat_n(' ', before));
                line.push_str(cell);
                line.extend(std::iter::repeat_n(' ', space - before));
            }
            lines.push(line.trim_end().to_owned());
            if number == 0 {
                lines.push(widths.iter().map(|width| "-".repeat(*width)).collect::<Vec<_>>().join("-|-"));
            }
        }
        lines.join("\n")
    }
}
