//! How `dialoguer` draws its questions: on the left edge of everything else.

use std::cell::RefCell;
use std::fmt;

use dialoguer::theme::Theme;

use crate::wizard::layout::{Layout, Tone};

/// The look of a question.
pub(crate) struct Look {
    layout: Layout,
    /// The row that is highlighted where several can be picked.
    active: RefCell<String>,
}

impl Look {
    /// For a screen like this.
    pub(crate) fn new(layout: Layout) -> Self {
        Self { layout, active: RefCell::default() }
    }

    /// The row that was highlighted last where several can be picked.
    pub(crate) fn active(&self) -> String {
        self.active.borrow().clone()
    }

    fn question(&self, f: &mut dyn fmt::Write, prompt: &str) -> fmt::Result {
        write!(f, "  {} {prompt}", self.layout.paint(Tone::Careful, "?"))
    }

    fn answer(&self, f: &mut dyn fmt::Write, prompt: &str, answer: &str) -> fmt::Result {
        write!(f, "  {} {prompt}  {}", self.layout.mark(Tone::Good), self.layout.paint(Tone::Strong, answer))
    }
}

impl Theme for Look {
    fn format_confirm_prompt(
        &self,
        f: &mut dyn fmt::Write,
        prompt: &str,
        default: Option<bool>,
    ) -> fmt::Result {
        self.question(f, prompt)?;
        let keys = match default {
            Some(true) => "[Y/n]",
            Some(false) => "[y/N]",
            None => "[y/n]",
        };
        write!(f, " {} ", self.layout.paint(Tone::Faint, keys))
    }

    fn format_confirm_prompt_selection(
        &self,
        f: &mut dyn fmt::Write,
        prompt: &str,
        selection: Option<bool>,
    ) -> fmt::Result {
        self.answer(f, prompt, if selection == Some(true) { "yes" } else { "no" })
    }

    fn format_select_prompt(&self, f: &mut dyn fmt::Write, prompt: &str) -> fmt::Result {
        self.question(f, prompt)
    }

    fn format_select_prompt_selection(
        &self,
        f: &mut dyn fmt::Write,
        prompt: &str,
        answer: &str,
    ) -> fmt::Result {
        self.answer(f, prompt, answer)
    }

    fn format_multi_select_prompt(&self, f: &mut dyn fmt::Write, prompt: &str) -> fmt::Result {
        self.question(f, prompt)
    }

    fn format_multi_select_prompt_selection(
        &self,
        f: &mut dyn fmt::Write,
        prompt: &str,
        picked: &[&str],
    ) -> fmt::Result {
        // Each begins with its name.
        let names: Vec<&str> = picked.iter().filter_map(|item| item.split_whitespace().next()).collect();
        // With none picked it is the one that is highlighted.
        let active = self.active();
        let names = if names.is_empty() {
            active.split_whitespace().next().unwrap_or_default().to_owned()
        } else {
            names.join(", ")
        };
        self.answer(f, prompt, &names)
    }

    fn format_multi_select_prompt_item(
        &self,
        f: &mut dyn fmt::Write,
        text: &str,
        checked: bool,
        active: bool,
    ) -> fmt::Result {
        if active {
            text.clone_into(&mut self.active.borrow_mut());
        }
        let arrow = match (active, self.layout.marks) {
            (true, true) => self.layout.paint(Tone::Good, "❯"),
            (true, false) => ">".to_owned(),
            (false, _) => " ".to_owned(),
        };
        write!(f, "    {arrow} [{}] {text}", if checked { 'x' } else { ' ' })
    }

    fn format_select_prompt_item(&self, f: &mut dyn fmt::Write, text: &str, active: bool) -> fmt::Result {
        match (active, self.layout.marks) {
            (true, true) => write!(f, "    {} {}", self.layout.paint(Tone::Good, "❯"), text),
            (true, false) => write!(f, "    > {text}"),
            (false, _) => write!(f, "      {text}"),
        }
    }
}
