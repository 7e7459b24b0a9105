//! Pure. A question for a line of text: the line beside or below it, and below that what was wrong with the last answer.

use super::dialog::{Dialog, Drawing, cols};
use super::keys::Key;
use super::line::{Line, Step};
use crate::wizard::ui::Check;
use crate::wizard::ui::layout::{Layout, Tone};

/// A question, and what is typed so far.
pub(crate) struct Field {
    layout: Layout,
    prompt: String,
    /// Behind the prompt: the end of the question.
    end: String,
    /// Columns that must be free beside the question, or the line stands below it.
    room: usize,
    line: Line,
    is_secret: bool,
    check: Check,
    /// The complaint about the last answer.
    error: Option<String>,
}

/// The fewest columns in which a line can be typed.
const ROOM_MIN: usize = 24;

impl Field {
    /// A question with what is already typed.
    pub(crate) fn new(layout: Layout, prompt: String, initial: &str, check: Check) -> Self {
        let line = Line::of(initial);
        Self {
            layout,
            prompt,
            end: ":".to_owned(),
            room: ROOM_MIN,
            line,
            is_secret: false,
            check,
            error: None,
        }
    }

    /// A question whose answer is not shown.
    pub(crate) fn secret(layout: Layout, prompt: String, check: Check) -> Self {
        let end = " (hidden):".to_owned();
        Self { end, line: Line::secret(), is_secret: true, ..Self::new(layout, prompt, "", check) }
    }
}

impl Dialog for Field {
    type Answer = String;

    fn press(&mut self, key: Key) -> Step {
        self.line.press(key)
    }

    fn break_line(&mut self) -> bool {
        self.line.break_line();
        true
    }

    fn answer(&mut self) -> Option<String> {
        let text = self.line.text().trim().to_owned();
        self.error = (self.check)(&text).err();
        if self.error.is_none() {
            return Some(text);
        }
        // A secret is not seen and cannot be corrected: it is pasted again.
        if self.is_secret {
            self.line = Line::secret();
        }
        None
    }

    fn question(&self, cols: usize) -> Vec<String> {
        self.layout.question(&self.prompt, &self.end, cols)
    }

    fn drawing(&mut self, window: (u16, u16)) -> Drawing {
        let cols = cols(window);
        let mut rows = self.question(cols);
        let used = rows.last().map_or(0, |row| console::measure_text_width(row)) + 1;
        let is_beside = used + self.room <= cols;
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
        match rows.last_mut() {
            Some(last) if is_beside => last.push_str(&field),
            Some(_) | None => rows.push(format!("   {field}")),
        }
        let cursor = (rows.len() - 1, start + view.cursor);
        if let Some(error) = &self.error {
            rows.extend(self.layout.complaint(error, cols));
        }
        Drawing { rows, cursor: Some(cursor) }
    }

    fn answered(&self, answer: &String) -> String {
        self.layout.answered(&self.prompt, if self.is_secret { "(not shown)" } else { answer })
    }
}

/// A question for yes or no: a letter and Enter, or Enter alone for the default.
pub(crate) struct YesNo {
    field: Field,
    default: bool,
}

/// The complaint about another answer.
const WRONG: &str = "Type y or n, then press Enter.";

impl YesNo {
    /// A question with this default.
    pub(crate) fn new(layout: Layout, prompt: String, default: bool) -> Self {
        let keys = if default { "[Y/n]" } else { "[y/N]" };
        let end = format!(" {}", layout.paint(Tone::Faint, keys));
        Self { field: Field { end, room: 4, ..Field::new(layout, prompt, "", |_| Ok(())) }, default }
    }

    fn typed(&self) -> String {
        self.field.line.text().trim().to_lowercase()
    }
}

impl Dialog for YesNo {
    type Answer = bool;

    /// Takes a key. Text that cannot become an answer is explained at once.
    fn press(&mut self, key: Key) -> Step {
        let step = self.field.press(key);
        let typed = self.typed();
        let is_wrong = !["yes", "no"].iter().any(|word| word.starts_with(&typed));
        self.field.error = is_wrong.then(|| WRONG.to_owned());
        step
    }

    fn answer(&mut self) -> Option<bool> {
        match self.typed().as_str() {
            "" => Some(self.default),
            "y" | "yes" => Some(true),
            "n" | "no" => Some(false),
            _ => {
                self.field.line = Line::default();
                self.field.error = Some(WRONG.to_owned());
                None
            }
        }
    }

    fn question(&self, cols: usize) -> Vec<String> {
        self.field.question(cols)
    }

    fn drawing(&mut self, window: (u16, u16)) -> Drawing {
        self.field.drawing(window)
    }

    fn answered(&self, answer: &bool) -> String {
        self.field.layout.answered(&self.field.prompt, if *answer { "yes" } else { "no" })
    }
}

/// A wait for Enter.
pub(crate) struct Pause(Field);

impl Pause {
    /// A wait with these words.
    pub(crate) fn new(layout: Layout, prompt: String) -> Self {
        Self(Field { end: String::new(), room: 2, ..Field::new(layout, prompt, "", |_| Ok(())) })
    }
}

impl Dialog for Pause {
    type Answer = ();

    fn press(&mut self, key: Key) -> Step {
        match Line::default().press(key) {
            step @ (Step::Cancel | Step::Suspend) => step,
            Step::Answer | Step::Draw => Step::Draw,
        }
    }

    fn answer(&mut self) -> Option<()> {
        Some(())
    }

    fn question(&self, cols: usize) -> Vec<String> {
        self.0.question(cols)
    }

    fn drawing(&mut self, window: (u16, u16)) -> Drawing {
        self.0.drawing(window)
    }

    fn answered(&self, (): &()) -> String {
        format!("{}\n", self.question(self.0.layout.cols).join("\n"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LAYOUT: Layout = Layout { cols: 80, marks: true, colour: false, utf8: true };

    fn drawing(prompt: &str, typed: &str, error: Option<&str>, size: (u16, u16)) -> Drawing {
        let mut field = Field::new(LAYOUT, prompt.to_owned(), typed, |_| Ok(()));
        field.error = error.map(str::to_owned);
        field.drawing(size)
    }

    #[test]
    fn the_line_stands_beside_its_question_and_the_error_below() {
        let found = drawing("Numbers", "1", Some("`1` is too short."), (24, 80));
        assert_eq!(
            found,
            Drawing {
                rows: vec!["  ? Numbers: 1".into(), "  ✗ `1` is too short.".into()],
                cursor: Some((0, 14))
            }
        );
        let long = "Numbers that can write to it, and to no one else in the world";
        let found = drawing(long, "1", None, (24, 80));
        assert_eq!(
            found,
            Drawing { rows: vec![format!("  ? {long}:"), "    1".into()], cursor: Some((1, 5)) }
        );
        let found = drawing(long, "1", None, (24, 40));
        assert_eq!(
            found.rows,
            ["  ? Numbers that can write to it, and", "    to no one else in the world:", "    1"]
        );
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
                let (row, col) = found.cursor.unwrap();
                assert!(col < usize::from(width), "{width} {found:?}");
                let words = found.rows.iter().skip(row + 1).flat_map(|row| row.split(' '));
                assert!(words.filter(|word| word.contains('w')).all(|word| word == "word"), "{found:#?}");
            }
        }
    }

    /// The row of the question after these keys, the complaint below it, and the answer.
    fn confirmed(default: bool, keys: &str) -> (String, bool, Option<bool>) {
        let mut question = YesNo::new(LAYOUT, "Start?".to_owned(), default);
        for key in super::super::keys::Decoder::default().push(keys.as_bytes()) {
            assert_eq!(question.press(key), Step::Draw, "{keys:?}");
        }
        let rows = question.drawing((24, 80)).rows;
        (rows[0].clone(), rows.len() > 1, question.answer())
    }

    #[test]
    fn yes_and_no_are_typed_corrected_and_explained() {
        for (default, keys, shown, is_wrong, answer) in [
            (true, "", "[Y/n] ", false, Some(true)),
            (false, "", "[y/N] ", false, Some(false)),
            (true, "n", "[Y/n] n", false, Some(false)),
            (false, "YES", "[y/N] YES", false, Some(true)),
            (true, "yes\x7f\x7f\x7fno", "[Y/n] no", false, Some(false)),
            (true, "x\x7fn", "[Y/n] n", false, Some(false)),
            (true, "x", "[Y/n] x", true, None),
            (true, "nay", "[Y/n] nay", true, None),
            (false, "no way", "[y/N] no way", true, None),
            (true, "ye", "[Y/n] ye", false, None),
            (true, "é", "[Y/n] é", true, None),
            (false, "\x1b[200~ yes\n\x1b[201~", "[y/N] yes", false, Some(true)),
        ] {
            let expected = (format!("  ? Start? {shown}"), is_wrong, answer);
            assert_eq!(confirmed(default, keys), expected, "{keys:?}");
        }
        let mut question = YesNo::new(LAYOUT, "Start?".to_owned(), true);
        question.press(Key::Text('x'));
        assert_eq!(question.answer(), None);
        let Drawing { rows, .. } = question.drawing((24, 80));
        assert_eq!(
            rows,
            ["  ? Start? [Y/n] ", "  ✗ Type y or n, then press Enter."],
            "it is asked again, empty"
        );
    }
}
