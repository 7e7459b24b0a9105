//! Pure. A question with a few answers, of which one is highlighted; where several can be picked, they are marked.

use dialoguer::theme::Theme;

use super::dialog::{Dialog, Drawing, cols};
use super::keys::Key;
use super::line::{Line, Step};
use super::look::Look;
use crate::wizard::ui::Choice;
use crate::wizard::ui::layout::Layout;
use crate::wrap::wrap;

/// A question, and what is highlighted and marked so far.
pub(crate) struct Menu {
    layout: Layout,
    prompt: String,
    items: Vec<String>,
    active: usize,
    /// The items that are marked; `None` where one is picked.
    marked: Option<Vec<bool>>,
    error: Option<&'static str>,
}

/// Columns before the text of an item.
const INDENT: usize = 6;
/// The same where items are marked.
const INDENT_MARKED: usize = 10;

impl Menu {
    /// One of these; the default is highlighted.
    pub(crate) fn one(layout: Layout, choice: Choice) -> Self {
        let Choice { prompt, items, default } = choice;
        Self { layout, prompt, items, active: default, marked: None, error: None }
    }

    /// Any of these.
    pub(crate) fn several(layout: Layout, choice: Choice) -> Self {
        Self { marked: Some(vec![false; choice.items.len()]), ..Self::one(layout, choice) }
    }

    /// The rows of an item.
    fn item(&self, at: usize, cols: usize) -> Vec<String> {
        let indent = if self.marked.is_some() { INDENT_MARKED } else { INDENT };
        let rest = format!("\n{}", " ".repeat(indent));
        let text = wrap(&self.items[at], cols.saturating_sub(indent)).join(&rest);
        let (look, is_active) = (Look(self.layout), at == self.active);
        let mut rows = String::new();
        match &self.marked {
            None => look.format_select_prompt_item(&mut rows, &text, is_active),
            Some(marked) => look.format_multi_select_prompt_item(&mut rows, &text, marked[at], is_active),
        }
        .expect("writing to a String does not fail");
        rows.lines().map(str::to_owned).collect()
    }
}

impl Dialog for Menu {
    type Answer = Vec<usize>;

    fn press(&mut self, key: Key) -> Step {
        self.error = None;
        match (key, &mut self.marked) {
            (Key::Up | Key::Text('k'), _) => {
                self.active = self.active.checked_sub(1).unwrap_or(self.items.len() - 1);
            }
            (Key::Down | Key::Text('j'), _) => self.active = (self.active + 1) % self.items.len(),
            (Key::Home, _) => self.active = 0,
            (Key::End, _) => self.active = self.items.len() - 1,
            (Key::Text(' '), None) => return Step::Answer,
            (Key::Text(' '), Some(marked)) => marked[self.active] = !marked[self.active],
            (Key::Text(_) | Key::Paste(_), None) => {
                self.error = Some("Choose with the arrow keys, then press Enter.");
            }
            (Key::Text(_) | Key::Paste(_), Some(_)) => {
                self.error = Some("Mark with Space, move with the arrow keys, then press Enter.");
            }
            (key, _) => return Line::default().press(key),
        }
        Step::Draw
    }

    /// With none marked it is the one that is highlighted.
    fn answer(&mut self) -> Option<Vec<usize>> {
        let marked = self.marked.iter().flatten().enumerate();
        let marked: Vec<usize> = marked.filter_map(|(at, is_marked)| is_marked.then_some(at)).collect();
        Some(if marked.is_empty() { vec![self.active] } else { marked })
    }

    fn question(&self, cols: usize) -> Vec<String> {
        self.layout.question(&self.prompt, "", cols)
    }

    /// In a low window the items that have room, the highlighted one among them.
    fn drawing(&mut self, window: (u16, u16)) -> Drawing {
        let cols = cols(window);
        let mut rows = self.question(cols);
        let error = self.error.map_or(Vec::new(), |error| self.layout.complaint(error, cols));
        let room = usize::from(window.0).saturating_sub(rows.len() + error.len() + 1);
        let items: Vec<Vec<String>> = (0..self.items.len()).map(|at| self.item(at, cols)).collect();
        let end: usize = items.iter().take(self.active + 1).map(Vec::len).sum();
        rows.extend(items.into_iter().flatten().skip(end.saturating_sub(room)).take(room.max(1)));
        rows.extend(error);
        Drawing { rows, cursor: None }
    }

    fn answered(&self, answer: &Vec<usize>) -> String {
        let picked = answer.iter().map(|at| self.items[*at].as_str());
        // Where several can be picked, each begins with its name.
        let name = |item: &str| item.split_whitespace().next().unwrap_or_default().to_owned();
        let shown = match self.marked {
            None => picked.collect::<String>(),
            Some(_) => picked.map(name).collect::<Vec<_>>().join(", "),
        };
        self.layout.answered(&self.prompt, &shown)
    }
}

#[cfg(test)]
mod tests {
    use super::super::keys::Decoder;
    use super::*;

    const LAYOUT: Layout = Layout { cols: 80, marks: true, colour: false, utf8: true };

    fn items() -> Vec<String> {
        ["Telegram  set up", "WhatsApp  needs attention: link the phone again", "Fax"]
            .map(str::to_owned)
            .to_vec()
    }

    fn which() -> Choice {
        Choice { prompt: "Which?".to_owned(), items: items(), default: 0 }
    }

    /// The answer after these keys, and the rows.
    fn pressed(mut menu: Menu, keys: &str, window: (u16, u16)) -> (Vec<usize>, Vec<String>) {
        for key in Decoder::default().push(keys.as_bytes()) {
            assert_eq!(menu.press(key), Step::Draw, "{keys:?}");
        }
        let rows = menu.drawing(window).rows;
        (menu.answer().unwrap(), rows)
    }

    #[test]
    fn arrows_move_round_and_space_marks() {
        let one = || Menu::one(LAYOUT, which());
        for (keys, at) in [("", 0), ("\x1b[B", 1), ("j\t", 2), ("\x1b[A", 2), ("jjj", 0), ("\x1b[F\x1b[Z", 1)]
        {
            assert_eq!(pressed(one(), keys, (24, 80)).0, [at], "{keys:?}");
        }
        let several = || Menu::several(LAYOUT, which());
        for (keys, picked) in [("", vec![0]), ("j", vec![1]), (" jj ", vec![0, 2]), ("  j ", vec![1])] {
            assert_eq!(pressed(several(), keys, (24, 80)).0, picked, "{keys:?}");
        }
        assert_eq!(several().answered(&vec![0, 2]), "  ✓ Which?  Telegram, Fax\n");
        assert_eq!(one().answered(&vec![2]), "  ✓ Which?  Fax\n");
        let mut menu = one();
        assert_eq!(menu.press(Key::Text(' ')), Step::Answer);
        assert_eq!(menu.press(Key::Suspend), Step::Suspend);
        assert_eq!(menu.press(Key::Interrupt), Step::Cancel);
    }

    #[test]
    fn enter_gives_the_default() {
        let menu = Menu::one(LAYOUT, Choice { default: 1, ..which() });
        let (picked, rows) = pressed(menu, "", (24, 80));
        assert_eq!(picked, [1]);
        assert!(rows[2].contains("❯ WhatsApp"), "{rows:?}");
    }

    #[test]
    fn another_key_is_explained_until_the_next_one() {
        let menu = || Menu::one(LAYOUT, which());
        let (_, rows) = pressed(menu(), "2", (24, 80));
        assert_eq!(rows.last().unwrap(), "  ✗ Choose with the arrow keys, then press Enter.");
        assert_eq!(pressed(menu(), "2j", (24, 80)).1.len(), 4);
    }

    #[test]
    fn items_are_broken_at_words_and_a_low_window_shows_the_highlighted_one() {
        let menu = || Menu::several(LAYOUT, which());
        let (_, rows) = pressed(menu(), "j", (24, 40));
        assert_eq!(
            rows,
            [
                "  ? Which?",
                "      [ ] Telegram  set up",
                "    ❯ [ ] WhatsApp  needs attention:",
                "          link the phone again",
                "      [ ] Fax"
            ]
        );
        for keys in ["", "j", "jj"] {
            let (_, rows) = pressed(menu(), keys, (4, 40));
            assert!(rows.len() < 4 && rows.iter().any(|row| row.contains('❯')), "{keys} {rows:?}");
        }
    }
}
