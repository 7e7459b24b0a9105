//! Pure. A line of text that is being typed: what keys do to it, and how it looks.
//!
//! The cursor stands between what people see as characters: one step passes an accent with its letter, or a whole emoji.

use unicode_segmentation::{GraphemeCursor, UnicodeSegmentation};
use unicode_width::UnicodeWidthStr;

use super::keys::Key;
use crate::visible;

/// A line that is being typed.
#[derive(Debug, Default)]
pub(crate) struct Line {
    text: String,
    /// The cursor, in bytes.
    at: usize,
    /// The first byte that is seen where the text is wider than its place.
    first: usize,
    /// The text that was cut last.
    cut: String,
    is_secret: bool,
}

/// The step after a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    /// Nothing but to draw it.
    Draw,
    /// The answer is given.
    Answer,
    /// There will be no answer.
    Cancel,
    /// The program is to be stopped until its shell lets it go on.
    Suspend,
}

/// The part of the line that is seen.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct View {
    /// The part of the text that has room.
    pub(crate) text: String,
    /// The column of the cursor in it.
    pub(crate) cursor: usize,
    /// There is text before it.
    pub(crate) has_more_before: bool,
    /// There is text behind it.
    pub(crate) has_more_after: bool,
}

/// The bridge takes no longer answer, and no list is that long.
const LEN_MAX: usize = 32 << 10;

impl Line {
    /// A line that begins with this text, the cursor behind it.
    pub(crate) fn of(text: &str) -> Self {
        let mut line = Self::default();
        line.insert(text);
        line
    }

    /// A line that is not shown. A line break in it is one that a terminal made of a long line.
    pub(crate) fn secret() -> Self {
        Self { is_secret: true, ..Self::default() }
    }

    /// The text as it stands.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// Does what a key does.
    pub(crate) fn press(&mut self, key: Key) -> Step {
        match key {
            Key::Text(sign) => self.insert(sign.encode_utf8(&mut [0; 4])),
            Key::Paste(text) => self.paste(&text),
            Key::Backspace => self.remove(self.before(), self.at),
            Key::Close if self.text.is_empty() => return Step::Cancel,
            Key::Delete | Key::Close => self.remove(self.at, self.after()),
            Key::Left => self.at = self.before(),
            Key::Right => self.at = self.after(),
            Key::Home => self.at = 0,
            Key::End => self.at = self.text.len(),
            Key::WordLeft => self.at = self.word_before(char::is_alphanumeric),
            Key::WordRight => self.at = self.word_after(),
            Key::CutBefore => self.cut(0, self.at),
            Key::CutAfter => self.cut(self.at, self.text.len()),
            Key::CutToSpace => self.cut(self.word_before(|sign| !sign.is_whitespace()), self.at),
            Key::CutWordBefore => self.cut(self.word_before(char::is_alphanumeric), self.at),
            Key::CutWordAfter => self.cut(self.at, self.word_after()),
            Key::PutBack => self.insert(&self.cut.clone()),
            Key::Enter => return Step::Answer,
            Key::Interrupt => return Step::Cancel,
            Key::Suspend => return Step::Suspend,
            Key::Up | Key::Down | Key::Redraw | Key::Reply(_) | Key::Other => {}
        }
        Step::Draw
    }

    /// Inserts what was pasted: several lines are entries of one list.
    fn paste(&mut self, text: &str) {
        if self.is_secret {
            return self.insert(text);
        }
        let mut is_first = !text.starts_with(['\r', '\n']);
        for entry in text.split(['\r', '\n']).map(str::trim).filter(|entry| !entry.is_empty()) {
            if !is_first {
                self.break_line();
            }
            self.insert(entry);
            is_first = false;
        }
    }

    /// A line break that was pasted: more of the same list follows.
    pub(crate) fn break_line(&mut self) {
        let before = &self.text[..self.at];
        let separator = match before.trim_end().chars().last() {
            None => "",
            Some(',' | ';') if before.ends_with(' ') => "",
            Some(',' | ';') => " ",
            Some(_) => ", ",
        };
        if !self.is_secret {
            self.insert(separator);
        }
    }

    /// Inserts text without what cannot be seen: signs that steer a terminal, or turn text around.
    fn insert(&mut self, text: &str) {
        for sign in text.chars().map(|sign| if sign == '\t' && !self.is_secret { ' ' } else { sign }) {
            let is_joiner = matches!(sign, '\u{200c}' | '\u{200d}');
            if (is_joiner || !visible::is_suspect(sign)) && self.text.len() + sign.len_utf8() <= LEN_MAX {
                self.text.insert(self.at, sign);
                self.at += sign.len_utf8();
            }
        }
        self.settle();
    }

    fn cut(&mut self, from: usize, to: usize) {
        if from < to {
            self.cut = self.text[from..to].to_owned();
            self.remove(from, to);
        }
    }

    fn remove(&mut self, from: usize, to: usize) {
        self.text.replace_range(from..to, "");
        self.at = from;
        self.settle();
    }

    /// Moves the cursor out of a character: the text on both sides of it may now be one.
    fn settle(&mut self) {
        let is_between = GraphemeCursor::new(self.at, self.text.len(), true).is_boundary(&self.text, 0);
        if is_between != Ok(true) {
            self.at = self.ceil(self.at);
        }
        self.first = self.first.min(self.at);
    }

    fn before(&self) -> usize {
        let mut cursor = GraphemeCursor::new(self.at, self.text.len(), true);
        cursor.prev_boundary(&self.text, 0).ok().flatten().unwrap_or(0)
    }

    fn after(&self) -> usize {
        let mut cursor = GraphemeCursor::new(self.at, self.text.len(), true);
        cursor.next_boundary(&self.text, 0).ok().flatten().unwrap_or(self.text.len())
    }

    /// Where the word before the cursor begins.
    fn word_before(&self, is_word: impl Fn(char) -> bool) -> usize {
        let before = self.text[..self.at].trim_end_matches(|sign| !is_word(sign));
        self.floor(before.trim_end_matches(is_word).len())
    }

    /// Where the word behind the cursor ends.
    fn word_after(&self) -> usize {
        let after = &self.text[self.at..];
        let word = after.trim_start_matches(|sign: char| !sign.is_alphanumeric());
        let rest = word.trim_start_matches(char::is_alphanumeric).len();
        self.ceil(self.text.len() - rest)
    }

    /// The last place between two characters that is not behind this byte.
    fn floor(&self, byte: usize) -> usize {
        self.places().take_while(|place| *place <= byte).last().unwrap_or(0)
    }

    fn ceil(&self, byte: usize) -> usize {
        self.places().find(|place| *place >= byte).unwrap_or(self.text.len())
    }

    fn places(&self) -> impl Iterator<Item = usize> {
        self.text.grapheme_indices(true).map(|(at, _)| at).chain([self.text.len()])
    }

    /// The part that is seen in so many columns, the cursor's own included. `mask`: stands for each character of a secret.
    pub(crate) fn view(&mut self, cols: usize, mask: char) -> View {
        let room = cols.saturating_sub(1).max(1);
        let width = |text: &str| if self.is_secret { text.graphemes(true).count() } else { text.width() };
        let mut first = self.floor(self.first.min(self.at));
        while width(&self.text[first..self.at]) > room {
            first = self.ceil(first + 1);
        }
        // Text that was taken away at the end makes room at the beginning.
        while first > 0 {
            let earlier = self.floor(first - 1);
            if width(&self.text[earlier..]) > room {
                break;
            }
            first = earlier;
        }
        let mut shown = String::new();
        let mut cols = 0;
        let mut end = first;
        for sign in self.text[first..].graphemes(true) {
            let wide = width(sign);
            if cols + wide > room {
                break;
            }
            cols += wide;
            end += sign.len();
            if self.is_secret {
                shown.push(mask);
            } else {
                shown.push_str(sign);
            }
        }
        let cursor = width(&self.text[first..self.at]);
        self.first = first;
        View { text: shown, cursor, has_more_before: first > 0, has_more_after: end < self.text.len() }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::keys::Decoder;
    use super::*;

    /// The text and the cursor, `|`, after these keys.
    fn typed(initial: &str, keys: &str) -> String {
        let mut line = Line::of(initial);
        let mut decoder = Decoder::default();
        for key in decoder.push(keys.as_bytes()) {
            assert_eq!(line.press(key.clone()), Step::Draw, "{key:?}");
        }
        format!("{}|{}", &line.text[..line.at], &line.text[line.at..])
    }

    #[test]
    fn every_editing_key_does_what_it_does_in_a_shell() {
        for (keys, expected) in [
            ("", "one two-three|"),
            ("\x01", "|one two-three"),
            ("\x01\x05", "one two-three|"),
            ("\x1b[H\x1b[C\x1b[D\x1b[C", "o|ne two-three"),
            ("\x1b[H\x1b[F", "one two-three|"),
            ("\x02\x02\x06", "one two-thre|e"),
            ("\x7f\x08", "one two-thr|"),
            ("\x01\x1b[3~\x04", "|e two-three"),
            ("\x1bb", "one two-|three"),
            ("\x1bb\x1bb", "one |two-three"),
            ("\x01\x1bf", "one| two-three"),
            ("\x01\x1bf\x1bf", "one two|-three"),
            ("\x15", "|"),
            ("\x1bb\x15", "|three"),
            ("\x01\x0b", "|"),
            ("\x1bb\x0b", "one two-|"),
            ("\x17", "one |"),
            ("\x17\x17", "|"),
            ("\x1b\x7f", "one two-|"),
            ("\x01\x1bd", "| two-three"),
            ("\x17\x01\x19", "two-three|one "),
            ("\x01\x0b\x19\x19", "one two-threeone two-three|"),
            ("\x1b[A\t\x0c", "one two-three|"),
        ] {
            assert_eq!(typed("one two-three", keys), expected, "{keys:?}");
        }
    }

    #[test]
    fn a_step_passes_what_people_see_as_one_character() {
        let family = "\u{1f468}\u{200d}\u{1f469}\u{200d}\u{1f467}";
        assert_eq!(typed("", &format!("a{family}b\x02\x02")), format!("a|{family}b"));
        assert_eq!(typed("", "e\u{301}x\x02\x02"), "|e\u{301}x");
        assert_eq!(typed("", "e\u{301}\x7f"), "|");
        assert_eq!(typed("e\u{301}", "\x01\x1b[3~"), "|");
        // An accent that is put before another letter joins what stands before it.
        assert_eq!(typed("ab", "\x02\u{301}"), "a\u{301}|b");
        let mut line = Line::of("漢字x");
        line.at = "漢".len();
        let view = line.view(20, '*');
        assert_eq!((view.text.as_str(), view.cursor), ("漢字x", 2));
    }

    #[test]
    fn a_pasted_list_is_one_answer() {
        for (initial, keys, expected) in [
            ("", "\x1b[200~1\n2\r\n3\n\x1b[201~", "1, 2, 3|"),
            ("", "\x1b[200~\n 1,\n2;\n\n3 \x1b[201~", "1, 2; 3|"),
            ("0, ", "\x1b[200~1\n2\x1b[201~", "0, 1, 2|"),
            ("0", "\x1b[200~\n1\x1b[201~", "0, 1|"),
            ("0", "\x1b[200~1 \x1b[201~", "01|"),
            ("", "\x1b[200~\u{202a}+1\t555\u{202c}\x1b[201~", "+1 555|"),
            ("", "\x1b[200~\n\n\x1b[201~", "|"),
        ] {
            assert_eq!(typed(initial, keys), expected, "{keys:?}");
        }
        let mut line = Line::secret();
        line.press(Key::Paste("123:AB\nCD\t\n".to_owned()));
        assert_eq!(line.text(), "123:ABCD");
        assert_eq!(line.view(80, '*').text, "********");
    }

    #[test]
    fn the_ends_of_a_question() {
        let mut line = Line::of("x");
        assert_eq!(line.press(Key::Close), Step::Draw);
        assert_eq!(line.press(Key::Interrupt), Step::Cancel);
        assert_eq!(line.press(Key::Suspend), Step::Suspend);
        assert_eq!(line.press(Key::Enter), Step::Answer);
        line.press(Key::CutBefore);
        assert_eq!(line.press(Key::Close), Step::Cancel);
    }

    #[test]
    fn a_long_text_moves_under_its_window() {
        let mut line = Line::of("0123456789");
        let view = line.view(5, '*');
        assert_eq!((view.text.as_str(), view.cursor, view.has_more_before), ("6789", 4, true));
        line.press(Key::Left);
        assert_eq!(line.view(5, '*').cursor, 3, "the text stays, the cursor moves");
        line.press(Key::Home);
        let view = line.view(5, '*');
        assert_eq!((view.text.as_str(), view.cursor, view.has_more_after), ("0123", 0, true));
        line.press(Key::End);
        line.view(5, '*');
        line.press(Key::Backspace);
        assert_eq!(line.view(5, '*').text, "5678");
        assert_eq!(Line::of(&"x".repeat(LEN_MAX * 2)).text.len(), LEN_MAX);
    }

    fn key() -> impl Strategy<Value = Key> {
        prop_oneof![
            4 => any::<char>().prop_map(Key::Text),
            3 => prop_oneof![Just('a'), Just(' '), Just('漢'), Just('\u{301}'), Just('\u{200d}'), Just('\u{1f468}')]
                .prop_map(Key::Text),
            1 => "[a-z,;\n ]{0,12}".prop_map(Key::Paste),
            6 => prop::sample::select(vec![
                Key::Backspace, Key::Delete, Key::Left, Key::Right, Key::Home, Key::End, Key::WordLeft, Key::WordRight,
                Key::CutBefore, Key::CutAfter, Key::CutToSpace, Key::CutWordBefore, Key::CutWordAfter, Key::PutBack,
                Key::Up, Key::Down, Key::Redraw, Key::Other,
            ]),
        ]
    }

    proptest! {
        /// The cursor is always between two characters, the view has room and shows the cursor, and nothing that steers a
        /// terminal is in the text.
        #[test]
        fn whatever_is_pressed_the_line_is_whole(keys in proptest::collection::vec(key(), 0..60), cols in 2..30_usize) {
            let mut line = Line::default();
            for key in keys {
                line.press(key);
                prop_assert!(line.places().any(|place| place == line.at), "{line:?}");
                let view = line.view(cols, '*');
                prop_assert!(view.text.width() < cols.max(3), "{view:?}");
                prop_assert!(view.cursor <= view.text.width() && view.cursor < cols.max(3), "{view:?}");
                prop_assert!(line.text.contains(&view.text));
                prop_assert!(!line.text.contains(|sign: char| sign.is_control()));
                prop_assert_eq!(view.has_more_before || view.has_more_after, view.text != line.text);
            }
        }

        /// Text that is typed and taken back key by key leaves nothing.
        #[test]
        fn backspace_takes_back_everything(text in "\\PC{0,20}") {
            let mut line = Line::of(&text);
            for _ in 0..text.chars().count() {
                line.press(Key::Backspace);
            }
            prop_assert_eq!(line.text(), "");
        }

        #[test]
        fn what_is_cut_can_be_put_back(text in "[a-z ,]{0,20}", steps in 0..20_usize) {
            for cut in [Key::CutBefore, Key::CutAfter, Key::CutToSpace, Key::CutWordBefore, Key::CutWordAfter] {
                let mut line = Line::of(&text);
                for _ in 0..steps {
                    line.press(Key::Left);
                }
                line.press(cut);
                line.press(Key::PutBack);
                prop_assert_eq!(line.text(), &text);
            }
        }
    }
}
