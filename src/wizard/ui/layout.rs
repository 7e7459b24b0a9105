//! Pure. The look of lines: one left edge, generous space, marks and colours only where they can be shown.

use std::borrow::Cow;

use unicode_segmentation::UnicodeSegmentation;
use unicode_width::UnicodeWidthStr;

use crate::wrap::{hang, wrap};

/// One thing that is said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Line {
    /// An empty line.
    Gap,
    /// The first line.
    Title(String),
    /// A paragraph.
    Text(String),
    /// A step begins.
    Step {
        /// Counts from 1.
        number: usize,
        /// The number of steps.
        of: usize,
        /// Its name.
        title: String,
    },
    /// A step that needs nothing.
    Settled {
        /// Counts from 1.
        number: usize,
        /// The number of steps.
        of: usize,
        /// Its subject and state.
        what: String,
    },
    /// A word and what it means, in two columns.
    Entry {
        /// The word.
        word: String,
        /// Its meaning.
        meaning: String,
    },
    /// To be read before going on.
    Warn(String),
    /// This is done.
    Done(String),
    /// This failed.
    Fail(String),
    /// The words of another program.
    Quote(String),
    /// To be copied: never broken into lines, and alone on its own.
    Verbatim(String),
}

/// The abilities of the screen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Layout {
    /// Columns to fill at most.
    pub cols: usize,
    /// `✓` and `✗` can be shown.
    pub marks: bool,
    /// Colours may be used.
    pub colour: bool,
    /// Characters outside ASCII can be shown.
    pub utf8: bool,
}

/// A colour by meaning.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tone {
    /// Stands out.
    Strong,
    /// Steps back.
    Faint,
    /// Good.
    Good,
    /// Careful.
    Careful,
    /// Bad.
    Bad,
}

const COLS_MAX: usize = 80;
const COLS_MIN: usize = 26;
const WORD_COLS: usize = 26;

impl Layout {
    /// A line as the text to print, line breaks included.
    pub fn render(&self, line: &Line) -> String {
        self.plain(&self.compose(line)).into_owned()
    }

    /// The same in signs that the locale has. Names of people and places stay as they are.
    pub fn plain<'a>(&self, text: &'a str) -> Cow<'a, str> {
        const PLAIN: [(char, &str); 13] = [
            ('→', ">"),
            ('…', "..."),
            ('✓', "ok"),
            ('✗', "failed:"),
            ('─', "-"),
            ('–', "-"),
            ('—', "-"),
            ('“', "\""),
            ('”', "\""),
            ('’', "'"),
            ('•', "*"),
            ('·', "-"),
            ('×', "x"),
        ];
        let of = |sign| PLAIN.iter().find(|(ours, _)| *ours == sign).map(|(_, plain)| *plain);
        if self.utf8 || !text.contains(|sign| of(sign).is_some()) {
            return Cow::Borrowed(text);
        }
        let mut plain = String::with_capacity(text.len());
        for sign in text.chars() {
            match of(sign) {
                Some(instead) => plain.push_str(instead),
                None => plain.push(sign),
            }
        }
        Cow::Owned(plain)
    }

    /// The rows of a question; `end` stands behind its last word.
    pub fn question(&self, prompt: &str, end: &str, cols: usize) -> Vec<String> {
        let room = cols.min(COLS_MAX).saturating_sub(4).max(8);
        let mark = format!("  {} ", self.paint(Tone::Careful, "?"));
        let starts = std::iter::once(mark).chain(std::iter::repeat("    ".to_owned()));
        let rows = wrap(&self.plain(&format!("{prompt}{end}")), room);
        starts.zip(rows).map(|(start, row)| start + &row).collect()
    }

    /// A question that was answered.
    pub fn answered(&self, prompt: &str, answer: &str) -> String {
        let line = format!("  {} {prompt}  ", self.plain_mark(Tone::Good));
        if line.width() + answer.width() > self.width() {
            return self.render(&Line::Done(format!("{prompt}  {answer}")));
        }
        let (mark, answer) = (self.mark(Tone::Good), self.paint(Tone::Strong, answer));
        self.plain(&format!("  {mark} {prompt}  {answer}\n")).into_owned()
    }

    /// The complaint about an answer, in rows of at most `cols` columns. A word without a place to break is broken at the edge.
    pub fn complaint(&self, why: &str, cols: usize) -> Vec<String> {
        let indent = 3 + self.plain_mark(Tone::Bad).width();
        let room = cols.min(COLS_MAX).saturating_sub(indent).max(8);
        let mut rows = Vec::new();
        for line in wrap(&self.plain(why), room) {
            let mut row = String::new();
            for sign in line.graphemes(true) {
                if row.width() + sign.width() > room {
                    rows.push(std::mem::take(&mut row));
                }
                row.push_str(sign);
            }
            rows.push(row);
        }
        let mark = format!("  {} ", self.mark(Tone::Bad));
        let starts = std::iter::once(mark).chain(std::iter::repeat(" ".repeat(indent)));
        starts.zip(rows).map(|(start, row)| start + &row).collect()
    }

    fn compose(&self, line: &Line) -> String {
        match line {
            Line::Gap => "\n".to_owned(),
            Line::Title(text) => format!("\n  {}\n", self.paint(Tone::Strong, text)),
            Line::Text(text) => self.block("    ", "    ", text, None),
            Line::Step { number, of, title } => {
                let count = self.paint(Tone::Faint, &format!("{number} of {of}"));
                format!("\n  {count}  {}\n\n", self.paint(Tone::Strong, title))
            }
            Line::Settled { number, of, what } => {
                let count = self.paint(Tone::Faint, &format!("{number} of {of}"));
                let start = format!("  {count}  {} ", self.mark(Tone::Good));
                format!("\n{}\n", hang(&start, what, self.width()))
            }
            Line::Entry { word, meaning } => self.entry(word, meaning),
            Line::Warn(text) => self.marked(Tone::Careful, text),
            Line::Done(text) => self.marked(Tone::Good, text),
            Line::Fail(text) => self.marked(Tone::Bad, text),
            Line::Verbatim(text) => format!("{text}\n"),
            Line::Quote(text) => {
                let row = |row: &String| format!("    {}\n", self.paint(Tone::Faint, &format!("| {row}")));
                wrap(text, self.width().saturating_sub(6)).iter().map(row).collect()
            }
        }
    }

    fn marked(&self, tone: Tone, text: &str) -> String {
        let mark = self.mark(tone);
        let indent = " ".repeat(3 + self.plain_mark(tone).width());
        self.block(&indent, &indent, text, Some(&format!("  {mark} ")))
    }

    fn entry(&self, word: &str, meaning: &str) -> String {
        if self.width() < WORD_COLS * 2 {
            return format!("    {}\n", self.paint(Tone::Strong, word))
                + &self.block("      ", "      ", meaning, None);
        }
        let pad = WORD_COLS.saturating_sub(word.width()).max(2);
        let indent = " ".repeat(4 + WORD_COLS);
        let first = format!("    {}{}", self.paint(Tone::Strong, word), " ".repeat(pad));
        self.block(&indent, &indent, meaning, Some(&first))
    }

    /// Text in lines that fit; `first` replaces the first line's indent.
    fn block(&self, indent: &str, rest: &str, text: &str, first: Option<&str>) -> String {
        let room = self.width().saturating_sub(indent.len()).max(20);
        let mut out = String::new();
        for (at, line) in wrap(text, room).iter().enumerate() {
            out.push_str(match (at, first) {
                (0, Some(first)) => first,
                (0, None) => indent,
                _ => rest,
            });
            out.push_str(line);
            out.push('\n');
        }
        out
    }

    fn width(&self) -> usize {
        self.cols.clamp(COLS_MIN, COLS_MAX)
    }

    fn plain_mark(&self, tone: Tone) -> &'static str {
        match (tone, self.marks) {
            (Tone::Good, true) => "✓",
            (Tone::Bad, true) => "✗",
            (Tone::Good, false) => "ok",
            (Tone::Bad, false) => "failed:",
            (Tone::Careful | Tone::Strong | Tone::Faint, _) => "!",
        }
    }

    /// The mark of this meaning, painted.
    pub fn mark(&self, tone: Tone) -> String {
        self.paint(tone, self.plain_mark(tone))
    }

    /// Text in the colour of this meaning.
    pub fn paint(&self, tone: Tone, text: &str) -> String {
        if !self.colour {
            return text.to_owned();
        }
        let code = match tone {
            Tone::Strong => "1",
            Tone::Faint => "2",
            Tone::Good => "32",
            Tone::Careful => "33",
            Tone::Bad => "31",
        };
        format!("\x1b[{code}m{text}\x1b[0m")
    }
}

/// A sentence for people.
pub(crate) fn text(text: &str) -> Line {
    Line::Text(text.to_owned())
}

/// A word with its meaning.
pub(crate) fn entry(word: &str, meaning: &str) -> Line {
    Line::Entry { word: word.to_owned(), meaning: meaning.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: Layout = Layout { cols: 60, marks: false, colour: false, utf8: false };

    #[test]
    fn text_keeps_its_left_edge_and_its_width() {
        let long = "word ".repeat(40);
        for line in [
            Line::Text(long.clone()),
            Line::Warn(long.clone()),
            Line::Done(long.clone()),
            Line::Quote(long.clone()),
            Line::Entry { word: "a word".into(), meaning: long.clone() },
        ] {
            for cols in [20, 60, 200] {
                let text = Layout { cols, ..PLAIN }.render(&line);
                let width = cols.clamp(COLS_MIN, COLS_MAX);
                assert!(text.lines().all(|line| line.chars().count() <= width), "{text}");
                assert!(text.lines().all(|line| line.starts_with("  ")), "{text}");
            }
        }
    }

    #[test]
    fn marks_and_colours_only_where_they_can_be_shown() {
        assert_eq!(PLAIN.render(&Line::Done("linked".into())), "  ok linked\n");
        let marked = Layout { marks: true, utf8: true, ..PLAIN };
        assert_eq!(marked.render(&Line::Done("linked".into())), "  ✓ linked\n");
        let colourful = Layout { colour: true, ..PLAIN }.render(&Line::Fail("x".into()));
        assert_eq!(colourful, "  \x1b[31mfailed:\x1b[0m x\n");
        assert_eq!(PLAIN.render(&Line::Text("a → b".into())), "    a > b\n");
        assert!(PLAIN.render(&Line::Step { number: 1, of: 4, title: "t".into() }).is_ascii());
    }

    #[test]
    fn no_sign_of_ours_is_left_where_the_locale_has_none() {
        let text = "“a” → b … ✓ ✗ ─ – — ’ • · ×";
        let line = Line::Text(text.into());
        assert!(PLAIN.render(&line).is_ascii(), "{}", PLAIN.render(&line));
        assert_eq!(Layout { utf8: true, ..PLAIN }.render(&line), format!("    {text}\n"));
        assert_eq!(PLAIN.plain("Zoë"), "Zoë", "a name is a name");
    }

    #[test]
    fn an_answer_and_a_complaint_fit() {
        assert_eq!(PLAIN.answered("Numbers", "1, 2"), "  ok Numbers  1, 2\n");
        let long = "15550001111, ".repeat(20);
        let shown = PLAIN.answered("Numbers", &long);
        assert!(shown.lines().count() > 3 && shown.lines().all(|line| line.width() <= 60), "{shown}");
        assert_eq!(PLAIN.complaint("a b", 79), ["  failed: a b"]);
        for why in ["漢".repeat(100), "x".repeat(200), "word ".repeat(50)] {
            let rows = PLAIN.complaint(&why, 59);
            assert!(rows.len() > 2 && rows.iter().all(|row| row.width() <= 59), "{rows:?}");
        }
    }

    #[test]
    fn a_long_word_stays_whole() {
        let path = "/".repeat(90);
        assert_eq!(PLAIN.render(&Line::Text(path.clone())), format!("    {path}\n"));
    }
}
