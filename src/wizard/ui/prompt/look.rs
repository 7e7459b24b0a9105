//! The look of answers to choose from, as a theme of `dialoguer`: on the left edge of everything else.

use std::fmt;

use dialoguer::theme::Theme;

use crate::wizard::ui::layout::{Layout, Tone};

/// The look for a screen like this.
pub(crate) struct Look(pub(crate) Layout);

impl Look {
    fn arrow(&self, is_active: bool) -> String {
        match (is_active, self.0.marks) {
            (true, true) => self.0.paint(Tone::Good, "❯"),
            (true, false) => ">".to_owned(),
            (false, _) => " ".to_owned(),
        }
    }
}

impl Theme for Look {
    fn format_select_prompt_item(&self, f: &mut dyn fmt::Write, text: &str, active: bool) -> fmt::Result {
        write!(f, "    {} {text}", self.arrow(active))
    }

    fn format_multi_select_prompt_item(
        &self,
        f: &mut dyn fmt::Write,
        text: &str,
        checked: bool,
        active: bool,
    ) -> fmt::Result {
        write!(f, "    {} [{}] {text}", self.arrow(active), if checked { 'x' } else { ' ' })
    }
}
