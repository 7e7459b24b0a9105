//! The loop of a question where the cursor can be moved: it is drawn after each key, in place of the last drawing, until it
//! has an answer. A question that was suspended is drawn again.

use std::io;

use console::Term;

use super::keyboard::{Ear, Heard};
use super::keys::Key;
use super::line::Step;

/// A question, and what is typed or chosen so far.
pub(crate) trait Dialog {
    /// The answer.
    type Answer;

    /// Does what a key does.
    fn press(&mut self, key: Key) -> Step;

    /// More text follows a line break at once, as in what is pasted. Returns `false` where the line break is the answer.
    fn break_line(&mut self) -> bool {
        false
    }

    /// The answer as it stands; `None` when it is refused, and the next drawing says why.
    fn answer(&mut self) -> Option<Self::Answer>;

    /// The rows to draw in a window of so many rows and columns.
    fn drawing(&mut self, window: (u16, u16)) -> Drawing;

    /// The rows that stay when there is no answer.
    fn question(&self, cols: usize) -> Vec<String>;

    /// The text that stays in place of the question, line break included.
    fn answered(&self, answer: &Self::Answer) -> String;
}

/// The rows to draw.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Drawing {
    pub(crate) rows: Vec<String>,
    /// Row and column of the cursor; `None`: it is not shown.
    pub(crate) cursor: Option<(usize, usize)>,
}

/// The question on the screen.
struct Shown<'a> {
    term: &'a Term,
    /// The row of the cursor, counted from the first that is drawn.
    row: usize,
    /// The window as it was drawn for.
    window: (u16, u16),
}

/// A paste comes as a whole, between marks.
const BEGIN: &str = "\x1b[?2004h";
const SHOW_CURSOR: &str = "\x1b[?25h";
const HIDE_CURSOR: &str = "\x1b[?25l";
/// The end of both.
const END: &str = "\x1b[?2004l\x1b[?25h";

/// The columns to fill: a character in the last one would leave the cursor in a place on which terminals disagree.
pub(crate) fn cols(window: (u16, u16)) -> usize {
    usize::from(window.1).saturating_sub(1).max(COLS_MIN)
}

/// The fewest columns in which a question is asked.
const COLS_MIN: usize = 24;

/// Asks until there is an answer; `None`: there will be none.
pub(crate) fn ask<D: Dialog>(term: &Term, ear: &mut Ear, mut dialog: D) -> io::Result<Option<D::Answer>> {
    let mut shown = Shown { term, row: 0, window: (0, 0) };
    term.write_str(BEGIN)?;
    let answer = shown.follow(ear, &mut dialog);
    term.write_str(END)?;
    let answer = answer?;
    shown.clear()?;
    let rest = match &answer {
        Some(answer) => dialog.answered(answer),
        // The next output stands below the question.
        None => format!("{}\n", dialog.question(cols(shown.window)).join("\n")),
    };
    term.write_str(&crate::visible::page(&rest))?;
    Ok(answer)
}

impl Shown<'_> {
    fn follow<D: Dialog>(&mut self, ear: &mut Ear, dialog: &mut D) -> io::Result<Option<D::Answer>> {
        self.draw(dialog)?;
        loop {
            let step = match ear.next()? {
                Heard::End => return Ok(None),
                Heard::Nothing if self.window == self.term.size() => continue,
                Heard::Nothing => Step::Draw,
                Heard::Resumed => {
                    self.term.write_str(BEGIN)?;
                    self.row = 0;
                    Step::Draw
                }
                Heard::Key(Key::Enter) => match ear.text_follows()? {
                    None => Step::Cancel,
                    Some(true) if dialog.break_line() => Step::Draw,
                    Some(_) => Step::Answer,
                },
                Heard::Key(key) => dialog.press(key),
            };
            match step {
                Step::Draw => {}
                Step::Cancel => return Ok(None),
                Step::Answer => {
                    if let Some(answer) = dialog.answer() {
                        return Ok(Some(answer));
                    }
                }
                Step::Suspend => {
                    self.clear()?;
                    self.term.write_str(END)?;
                    ear.suspend();
                    self.term.write_str(BEGIN)?;
                }
            }
            if !ear.has_more() {
                self.draw(dialog)?;
            }
        }
    }

    fn clear(&mut self) -> io::Result<()> {
        self.term.move_cursor_up(self.row)?;
        self.row = 0;
        self.term.write_str("\r")?;
        self.term.clear_to_end_of_screen()
    }

    fn draw(&mut self, dialog: &mut impl Dialog) -> io::Result<()> {
        self.window = self.term.size();
        let Drawing { mut rows, cursor } = dialog.drawing(self.window);
        // Before the rows: where no cursor belongs none is seen to wander over them.
        self.term.write_str(HIDE_CURSOR)?;
        self.clear()?;
        // Rows lost at the bottom are seen again in a larger window; rows above the window could not be cleared.
        rows.truncate(usize::from(self.window.0).max(2) - 1);
        let last = rows.len().saturating_sub(1);
        self.term.write_str(&rows.join("\n"))?;
        self.row = cursor.map_or(last, |(row, _)| row.min(last));
        self.term.move_cursor_up(last - self.row)?;
        self.term.write_str("\r")?;
        if let Some((_, col)) = cursor {
            self.term.move_cursor_right(col)?;
            self.term.write_str(SHOW_CURSOR)?;
        }
        Ok(())
    }
}
