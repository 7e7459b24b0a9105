//! Pure. A part of the text in the platform's markup.
//!
//! Marks stand around what is seen: white space at the edge of a span stays outside, and a span of which nothing is seen is
//! not written. So none is empty, and each is closed where it was opened.

use std::ops::Range;

use super::dialect::{Dialect, Marks};
use super::rich::{Rich, is_visible};

struct Writer<'a> {
    dialect: &'a dyn Dialect,
    rich: &'a Rich,
    marks: &'a [Marks],
    out: String,
    /// Spans around the text, from the outside.
    around: Vec<usize>,
    /// Of these, so many are open in `out`.
    opened: usize,
    /// White space that stands before the next text.
    space: String,
}

/// Writes a range of the text. These spans are around its beginning, and this is the first that begins in it.
pub(super) fn write(
    dialect: &dyn Dialect,
    rich: &Rich,
    marks: &[Marks],
    range: Range<usize>,
    around: Vec<usize>,
    first: usize,
) -> String {
    let mut writer = Writer {
        dialect,
        rich,
        marks,
        out: String::with_capacity(range.len() + 64),
        around,
        opened: 0,
        space: String::new(),
    };
    let mut next = first;
    let mut at = range.start;
    while at < range.end {
        while let Some(last) = writer.around.last()
            && rich.spans[*last].range.end <= at
        {
            writer.end();
        }
        while rich.spans.get(next).is_some_and(|span| span.range.start <= at) {
            writer.around.push(next);
            next += 1;
        }
        let begins = rich.spans.get(next).map_or(range.end, |span| span.range.start);
        let ends = writer.around.last().map_or(range.end, |last| rich.spans[*last].range.end);
        let to = begins.min(ends).min(range.end);
        writer.text(&rich.text[at..to]);
        at = to;
    }
    while !writer.around.is_empty() {
        writer.end();
    }
    writer.out
}

impl Writer<'_> {
    /// The innermost span ends.
    fn end(&mut self) {
        if self.opened == self.around.len() {
            self.close();
        }
        self.around.pop();
    }

    fn close(&mut self) {
        self.opened -= 1;
        self.out.push_str(&self.marks[self.around[self.opened]].close);
    }

    fn text(&mut self, text: &str) {
        let is_block = self.around.last().is_some_and(|last| self.rich.spans[*last].style.is_block());
        if is_block {
            if self.opened == self.around.len() || is_visible(text) {
                self.word(text);
            }
            return;
        }
        let mut rest = text;
        while !rest.is_empty() {
            let word = rest.find(char::is_whitespace).unwrap_or(rest.len());
            if word > 0 {
                self.word(&rest[..word]);
            }
            rest = &rest[word..];
            let space = rest.find(|sign: char| !sign.is_whitespace()).unwrap_or(rest.len());
            self.space.push_str(&rest[..space]);
            rest = &rest[space..];
        }
    }

    /// Something that is seen.
    fn word(&mut self, text: &str) {
        let space = std::mem::take(&mut self.space);
        if space.contains('\n') && self.dialect.form().is_by_line {
            while self.opened > 0 && self.is_by_line(self.around[self.opened - 1]) {
                self.close();
            }
        }
        self.lines(&space, false);
        for span in &self.around[self.opened..] {
            self.out.push_str(&self.marks[*span].open);
        }
        self.opened = self.around.len();
        self.lines(text, true);
    }

    fn is_by_line(&self, span: usize) -> bool {
        self.marks[span].each_line.is_empty() && !self.rich.spans[span].style.is_block()
    }

    /// Text with what stands before each line of it.
    fn lines(&mut self, text: &str, is_text: bool) {
        for (number, line) in text.split('\n').enumerate() {
            if number > 0 {
                self.out.push('\n');
                for span in &self.around[..self.opened] {
                    self.out.push_str(self.marks[*span].each_line);
                }
            }
            if is_text {
                self.dialect.escape(line, &mut self.out);
            } else {
                self.out.push_str(line);
            }
        }
    }
}
