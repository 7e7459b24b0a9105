//! Pure. A text with spans in parts that fit.
//!
//! A part ends at a paragraph, else at a line, else between words, as near to the limit as that allows. It never ends
//! inside what people see as one character, nor inside an address, a link or code within a line that fits into a part. A
//! span that goes on is closed at the end of one part and opened again in the next.

use unicode_segmentation::UnicodeSegmentation;

use super::dialect::{Dialect, Marks};
use super::rich::{Rich, Span, is_visible};
use super::write::write;
use crate::platforms::TextUnit;

/// Shorter parts are not made: there is room to open a block, to close it, and for something in it.
const LEN_MIN: usize = 20;

/// The parts of a text, each at most `len_max` units and none of them blank.
pub(super) struct Parts<'a> {
    dialect: &'a dyn Dialect,
    rich: &'a Rich,
    marks: Vec<Marks>,
    /// What the marks of each span cost; nothing where they are not counted.
    costs: Vec<Cost>,
    len_max: usize,
    unit: TextUnit,
    at: usize,
    /// Spans around `at`, from the outside.
    around: Vec<usize>,
    /// The first span that begins at `at` or later.
    next: usize,
}

#[derive(Clone, Copy, Default)]
struct Cost {
    /// To open and to close it.
    once: usize,
    /// For each line break in it.
    line: usize,
}

impl<'a> Parts<'a> {
    pub(super) fn new(dialect: &'a dyn Dialect, rich: &'a Rich, len_max: usize, unit: TextUnit) -> Self {
        let form = dialect.form();
        let marks: Vec<Marks> = rich
            .spans
            .iter()
            .map(|span| dialect.marks(&span.style, &rich.text[span.range.clone()]))
            .collect();
        let cost = |(marks, span): (&Marks, &Span)| {
            if !form.counts_marks {
                return Cost::default();
            }
            let once = unit.len(&marks.open) + unit.len(&marks.close);
            let is_repeated = form.is_by_line && marks.each_line.is_empty() && !span.style.is_block();
            Cost { once, line: if is_repeated { once } else { unit.len(marks.each_line) } }
        };
        let costs = marks.iter().zip(&rich.spans).map(cost).collect();
        let len_max = len_max.max(LEN_MIN);
        Self { dialect, rich, marks, costs, len_max, unit, at: 0, around: Vec::new(), next: 0 }
    }

    fn cost(&self, text: &str, scratch: &mut String) -> usize {
        if !self.dialect.form().counts_marks {
            return self.unit.len(text);
        }
        scratch.clear();
        self.dialect.escape(text, scratch);
        self.unit.len(scratch)
    }

    fn is_in_block(&self) -> bool {
        self.around.last().is_some_and(|last| self.rich.spans[*last].style.is_block())
    }

    /// Moves on to this place.
    fn go(&mut self, at: usize) {
        self.at = at;
        advance(self.rich, at, &mut self.around, &mut self.next);
    }

    /// Where the part that begins here ends.
    fn end(&self) -> usize {
        let text = &self.rich.text;
        let rest = &text[self.at..];
        let form = self.dialect.form();
        if !form.counts_marks || self.rich.spans.is_empty() {
            let spans = self.around.len() + (self.rich.spans.len() - self.next);
            // What is longer in bytes than the limit times the most bytes of a unit need not be measured to its end.
            let is_short = rest.len() <= self.len_max * 4 && spans <= form.spans_max;
            if is_short && self.cost(rest, &mut String::new()) <= self.len_max {
                return text.len();
            }
        }
        let window = &rest[..rest.floor_char_boundary(self.len_max * 4 + 4)];
        let mut scratch = String::new();
        let mut best = Candidates::default();
        let mut around = self.around.clone();
        let mut next = self.next;
        let mut spans = around.len();
        let mut cost: usize = around.iter().map(|span| self.costs[*span].once).sum();
        let mut is_address = false;
        let mut before = ' ';
        for (offset, grapheme) in window.grapheme_indices(true) {
            let begins_word = before.is_whitespace() && !grapheme.starts_with(char::is_whitespace);
            if begins_word {
                let word = &window[offset..];
                let word = &word[..word.find(char::is_whitespace).unwrap_or(word.len())];
                is_address = word.contains("://");
            }
            let at = self.at + offset;
            let begun = next;
            advance(self.rich, at + grapheme.len() - 1, &mut around, &mut next);
            spans += next - begun;
            cost += self.costs[begun..next].iter().map(|cost| cost.once).sum::<usize>();
            cost += self.cost(grapheme, &mut scratch);
            if grapheme.contains('\n') {
                cost += around.iter().map(|span| self.costs[*span].line).sum::<usize>();
            }
            if cost > self.len_max || spans > form.spans_max {
                return self.at + best.choose(rest, self.len_max, self.unit);
            }
            best.add(self.rich, &around, at + grapheme.len(), offset + grapheme.len(), is_address);
            before = grapheme.chars().next_back().unwrap_or(' ');
        }
        if window.len() == rest.len() {
            text.len()
        } else {
            self.at + best.choose(rest, self.len_max, self.unit)
        }
    }
}

/// Spans around this place, and the first that begins later.
fn advance(rich: &Rich, at: usize, around: &mut Vec<usize>, next: &mut usize) {
    loop {
        while around.last().is_some_and(|last| rich.spans[*last].range.end <= at) {
            around.pop();
        }
        if rich.spans.get(*next).is_none_or(|span| span.range.start > at) {
            return;
        }
        around.push(*next);
        *next += 1;
    }
}

impl Iterator for Parts<'_> {
    type Item = String;

    fn next(&mut self) -> Option<String> {
        loop {
            let rest = &self.rich.text[self.at..];
            let edge: &[char] = if self.is_in_block() { &['\n'] } else { &[' ', '\n'] };
            self.go(self.rich.text.len() - rest.trim_start_matches(edge).len());
            let text = &self.rich.text;
            if self.at == text.len() {
                return None;
            }
            let (start, end) = (self.at, self.end());
            let seen = start + text[start..end].trim_end().len();
            let part =
                write(self.dialect, self.rich, &self.marks, start..seen, self.around.clone(), self.next);
            self.go(end);
            if is_visible(&part) {
                return Some(part);
            }
        }
    }
}

/// Where a part could end, in bytes from its beginning.
#[derive(Default)]
struct Candidates {
    paragraph: usize,
    line: usize,
    word: usize,
    grapheme: usize,
    any: usize,
}

impl Candidates {
    fn add(&mut self, rich: &Rich, around: &[usize], at: usize, len: usize, is_address: bool) {
        self.any = len;
        let (before, after) = rich.text.split_at(at);
        // A span that ends here is no longer cut.
        let inside = || around.iter().map(|span| &rich.spans[*span]).filter(|span| span.range.end > at);
        let is_space = before.ends_with(char::is_whitespace) && !after.starts_with(char::is_whitespace);
        if before.ends_with('\n') {
            self.line = len;
            if before.ends_with("\n\n") && !inside().any(|span| span.style.is_block()) {
                self.paragraph = len;
            }
        }
        if inside().any(|span| span.style.is_whole()) {
            return;
        }
        if is_space {
            self.word = len;
        }
        if !is_address {
            self.grapheme = len;
        }
    }

    fn choose(&self, text: &str, room: usize, unit: TextUnit) -> usize {
        // A cut that leaves less than half of a part is not worth its tidiness; positions are in bytes, and no shorter
        let half = room / 2;
        // than in any other unit. A line that is cut is worse, above all in code.
        let tidy = [(self.paragraph, half), (self.line, room / 3), (self.word, half)];
        let found = tidy.into_iter().find(|(cut, least)| cut > least).map(|(cut, _)| cut);
        let found = found
            .or_else(|| [self.word, self.grapheme, self.line, self.any].into_iter().find(|cut| *cut > 0));
        // One character of many code points that does not fit at all.
        found.unwrap_or_else(|| {
            let mut units = 0;
            let too_far = text.char_indices().find(|(at, sign)| {
                units += unit.len(&text[*at..*at + sign.len_utf8()]);
                units > room / 2
            });
            too_far.map_or(text.len(), |(at, sign)| at.max(sign.len_utf8()))
        })
    }
}
