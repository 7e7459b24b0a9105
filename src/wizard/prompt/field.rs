//! Asks for a line of text where the cursor can be moved: draws it after each key, and keeps what was typed when it is refused.

use std::io;

use console::Term;

use super::keyboard::{Ear, Heard};
use super::keys::Key;
use super::line::{Line, Step};
use crate::wizard::layout::{Layout, Tone};
use crate::wizard::ui::Check;

/// A question that is on the screen.
pub(crate) struct Field<'a> {
    pub(crate) term: &'a Term,
    pub(crate) layout: Layout,
    pub(crate) prompt: &'a str,
    pub(crate) line: Line,
    pub(crate) is_secret: bool,
    /// The complaint about the last answer.
    error: Option<String>,
    /// The row of the cursor, counted from the first that is drawn.
    row: usize,
    /// The window as it was drawn for.
    size: (u16, u16),
}

/// A paste comes as a whole, between marks.
const PASTE_ON: &str = "\x1b[?2004h";
const PASTE_OFF: &str = "\x1b[?2004l";
/// Fewer columns than that are no place to type in.
const ROOM_MIN: usize = 24;

/// The rows to draw.
#[derive(Debug, PartialEq, Eq)]
struct Drawing {
    rows: Vec<String>,
    cursor: (usize, usize),
}

impl<'a> Field<'a> {
    /// A question with what is already typed.
    pub(crate) fn new(term: &'a Term, layout: Layout, prompt: &'a str, initial: &str) -> Self {
        let line = Line::of(initial);
        Self { term, layout, prompt, line, is_secret: false, error: None, row: 0, size: (0, 0) }
    }

    /// A question whose answer is not shown.
    pub(crate) fn secret(term: &'a Term, layout: Layout, prompt: &'a str) -> Self {
        Self { line: Line::secret(), is_secret: true, ..Self::new(term, layout, prompt, "") }
    }

    /// Asks until the answer passes its check; `None`: there will be none.
    pub(crate) fn ask(mut self, ear: &mut Ear, check: Check) -> io::Result<Option<String>> {
        self.term.write_str(PASTE_ON)?;
        let answer = self.answer(ear, check);
        self.term.write_str(PASTE_OFF)?;
        let answer = answer?;
        self.clear()?;
        match &answer {
            Some(answer) => {
                let shown = if self.is_secret { "(not shown)" } else { answer };
                self.term.write_str(&crate::visible::page(&self.layout.answered(self.prompt, shown)))?;
            }
            // What follows stands below the question.
            None => self.term.write_str(&format!("{}\n", self.question()))?,
        }
        Ok(answer)
    }

    fn answer(&mut self, ear: &mut Ear, check: Check) -> io::Result<Option<String>> {
        self.draw()?;
        loop {
            let step = match ear.next()? {
                Heard::End => return Ok(None),
                Heard::Nothing => {
                    if self.size == self.term.size() {
                        continue;
                    }
                    Step::Draw
                }
                Heard::Resumed => {
                    self.term.write_str(PASTE_ON)?;
                    self.row = 0;
                    Step::Draw
                }
                Heard::Key(Key::Enter) => match ear.text_follows()? {
                    None => Step::Cancel,
                    Some(true) => {
                        self.line.break_line();
                        Step::Draw
                    }
                    Some(false) => Step::Answer,
                },
                Heard::Key(key) => self.line.press(key),
            };
            match step {
                Step::Draw => {}
                Step::Cancel => return Ok(None),
                Step::Answer => {
                    let text = self.line.text().trim();
                    match check(text) {
                        Ok(()) => return Ok(Some(text.to_owned())),
                        // What is not seen cannot be corrected: it is pasted again.
                        Err(why) => {
                            self.error = Some(why);
                            if self.is_secret {
                                self.line = Line::secret();
                            }
                        }
                    }
                }
                Step::Suspend => {
                    self.clear()?;
                    self.term.write_str(PASTE_OFF)?;
                    ear.suspend();
                    self.term.write_str(PASTE_ON)?;
                }
            }
            if !ear.has_more() {
                self.draw()?;
            }
        }
    }

    fn question(&self) -> String {
        let hidden = if self.is_secret { " (hidden)" } else { "" };
        format!("  {} {}{hidden}:", self.layout.paint(Tone::Careful, "?"), self.prompt)
    }

    fn clear(&mut self) -> io::Result<()> {
        self.term.move_cursor_up(self.row)?;
        self.row = 0;
        self.term.write_str("\r")?;
        self.term.clear_to_end_of_screen()
    }

    fn draw(&mut self) -> io::Result<()> {
        self.size = self.term.size();
        let Drawing { rows, cursor: (row, col) } = self.drawing(self.size);
        self.clear()?;
        self.term.write_str(&rows.join("\n"))?;
        self.term.move_cursor_up(rows.len() - 1 - row)?;
        self.term.write_str("\r")?;
        self.term.move_cursor_right(col)?;
        self.row = row;
        Ok(())
    }

    /// One row for the line, or two where the prompt leaves no room, and below it what was wrong.
    fn drawing(&mut self, (height, width): (u16, u16)) -> Drawing {
        // A character in the last column would leave the cursor in a place on which terminals disagree.
        let cols = usize::from(width).saturating_sub(1).max(ROOM_MIN);
        let question = self.question();
        let used = console::measure_text_width(&question) + 1;
        let is_beside = used + ROOM_MIN <= cols;
        let start = if is_beside { used } else { 4 };
        let mask = if self.layout.utf8 { '•' } else { '*' };
        // One column for the mark of what is hidden on the right.
        let view = self.line.view(cols.saturating_sub(start + 1), mask);
        let before = if view.has_more_before { "<" } else { " " };
        let after = if view.has_more_after { ">" } else { "" };
        let field = format!(
            "{}{}{}",
            self.layout.paint(Tone::Faint, before),
            view.text,
            self.layout.paint(Tone::Faint, after)
        );
        let mut rows = if is_beside {
            vec![format!("{question}{field}")]
        } else {
            vec![console::truncate_str(&question, cols, "").into_owned(), format!("   {field}")]
        };
        let row = rows.len() - 1;
        if let Some(error) = &self.error {
            let room = usize::from(height).saturating_sub(rows.len() + 1).max(1);
            rows.extend(self.layout.complaint(error, cols).into_iter().take(room));
        }
        Drawing { rows, cursor: (row, start + view.cursor) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LAYOUT: Layout = Layout { cols: 80, marks: true, colour: false, utf8: true };

    fn drawing(prompt: &str, typed: &str, error: Option<&str>, size: (u16, u16)) -> Drawing {
        let term = Term::stderr();
        let mut field = Field::new(&term, LAYOUT, prompt, typed);
        field.error = error.map(str::to_owned);
        field.drawing(size)
    }

    #[test]
    fn the_line_stands_beside_its_question_and_the_error_below() {
        let found = drawing("Numbers", "1", Some("`1` is too short."), (24, 80));
        assert_eq!(
            found,
            Drawing {
                rows: vec!["  ? Numbers: 1".into(), "  ✗ `1` is too short.".into()], cursor: (0, 14)
            }
        );
        let long = "Numbers that can write to it, and to no one else in the world";
        let found = drawing(long, "1", None, (24, 80));
        assert_eq!(found, Drawing { rows: vec![format!("  ? {long}:"), "    1".into()], cursor: (1, 5) });
    }

    #[test]
    fn no_row_reaches_the_last_column_and_no_word_is_broken() {
        let error = "word ".repeat(60) + &"漢字".repeat(80);
        for width in [26, 40, 80, 200] {
            for typed in ["", "1, 2, 3", &"x".repeat(300), &"漢字".repeat(100)] {
                let found = drawing("Numbers that can write to it", typed, Some(&error), (24, width));
                for row in &found.rows {
                    assert!(console::measure_text_width(row) < usize::from(width), "{width} {found:#?}");
                }
                assert!(found.cursor.1 < usize::from(width), "{width} {found:?}");
                assert!(found.rows.len() < 24);
                let words = found.rows.iter().skip(found.cursor.0 + 1).flat_map(|row| row.split(' '));
                assert!(words.filter(|word| word.contains('w')).all(|word| word == "word"), "{found:#?}");
            }
        }
    }
}
