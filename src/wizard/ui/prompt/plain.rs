//! Questions where the cursor cannot be moved (`TERM=dumb`): a line each, which the terminal edits itself.

use std::io;

use console::Term;

use super::keyboard::{Ear, Heard, Typed};
use super::keys::Key;
use super::line::{Line, Step};
use crate::wizard::ui::layout::{Layout, Line as Said};
use crate::wizard::ui::{Check, Choice};
use crate::wrap::hang;

/// A screen to which only lines are written.
pub(crate) struct Plain<'a> {
    pub(crate) term: &'a Term,
    pub(crate) layout: Layout,
}

impl Plain<'_> {
    fn put(&self, text: &str) -> io::Result<()> {
        self.term.write_str(&crate::visible::page(&self.layout.plain(text)))
    }

    fn refuse(&self, why: String) -> io::Result<()> {
        self.put(&self.layout.render(&Said::Fail(why)))
    }

    fn question(&self, prompt: &str, end: &str) -> String {
        self.layout.question(prompt, end, self.layout.cols).join("\n")
    }

    /// Asks for a line until `read` understands it. Enter alone is the default.
    fn ask<T>(
        &self,
        ear: &mut Ear,
        prompt: &str,
        default: &str,
        read: impl Fn(&str) -> Result<T, String>,
    ) -> io::Result<Option<T>> {
        loop {
            let shown = if default.is_empty() { String::new() } else { format!(" [{default}]") };
            let Some(typed) = self.line(ear, &self.question(prompt, &format!("{shown}:")))? else {
                self.put("\n")?;
                return Ok(None);
            };
            let mut line = Line::default();
            line.press(Key::Paste(typed));
            let text = if line.text().is_empty() { default } else { line.text() };
            match read(text) {
                Ok(answer) => return Ok(Some(answer)),
                Err(why) => self.refuse(why)?,
            }
        }
    }

    /// Shows a question, again after the program was suspended, and takes a line; `None`: the question is over.
    fn line(&self, ear: &mut Ear, question: &str) -> io::Result<Option<String>> {
        loop {
            self.put(&format!("{question} "))?;
            match ear.line()? {
                Typed::Line(typed) => return Ok(Some(typed)),
                // A shell leaves the cursor at the start of a line, but a signal from elsewhere does not.
                Typed::Resumed => self.put("\n")?,
                Typed::End => return Ok(None),
            }
        }
    }

    /// A line of text.
    pub(crate) fn input(
        &self,
        ear: &mut Ear,
        prompt: &str,
        initial: &str,
        check: Check,
    ) -> io::Result<Option<String>> {
        self.ask(ear, prompt, initial, |text| check(text).map(|()| text.to_owned()))
    }

    /// Yes or no.
    pub(crate) fn confirm(&self, ear: &mut Ear, prompt: &str, default: bool) -> io::Result<Option<bool>> {
        let keys = if default { "Y/n" } else { "y/N" };
        self.ask(ear, prompt, keys, |text| match text.to_lowercase().as_str() {
            "y" | "yes" => Ok(true),
            "n" | "no" => Ok(false),
            _ if text == keys => Ok(default),
            _ => Err("Type y or n.".to_owned()),
        })
    }

    /// Enter, whatever is typed before it.
    pub(crate) fn pause(&self, ear: &mut Ear, prompt: &str) -> io::Result<Option<()>> {
        Ok(self.line(ear, &self.question(prompt, ""))?.map(drop))
    }

    /// One of several.
    pub(crate) fn select(&self, ear: &mut Ear, choice: &Choice) -> io::Result<Option<usize>> {
        let Choice { prompt, items, default } = choice;
        self.list(items)?;
        self.ask(ear, prompt, &(default + 1).to_string(), |text| number(text, items.len()))
    }

    /// Any of several.
    pub(crate) fn select_many(&self, ear: &mut Ear, choice: &Choice) -> io::Result<Option<Vec<usize>>> {
        let Choice { prompt, items, default } = choice;
        self.list(items)?;
        let (prompt, default) =
            (format!("{prompt} Numbers with commas between them"), (default + 1).to_string());
        self.ask(ear, &prompt, &default, |text| {
            let entries = text.split([',', ' ']).filter(|entry| !entry.is_empty());
            entries.map(|entry| number(entry, items.len())).collect()
        })
    }

    fn list(&self, items: &[String]) -> io::Result<()> {
        for (at, item) in items.iter().enumerate() {
            self.put(&format!("{}\n", hang(&format!("    {}. ", at + 1), item, self.layout.cols)))?;
        }
        Ok(())
    }

    /// A line that is not shown. It may be longer than what a terminal gathers for a program.
    pub(crate) fn secret(&self, ear: &mut Ear, prompt: &str, check: Check) -> io::Result<Option<String>> {
        loop {
            let question = format!("{} ", self.question(prompt, " (hidden):"));
            self.put(&question)?;
            let mut line = Line::secret();
            let step = loop {
                let step = match ear.next()? {
                    Heard::Key(Key::Enter) => match ear.text_follows()? {
                        Some(true) => Step::Draw,
                        Some(false) => Step::Answer,
                        None => Step::Cancel,
                    },
                    Heard::Key(key) => line.press(key),
                    Heard::End => Step::Cancel,
                    Heard::Nothing => Step::Draw,
                    Heard::Resumed => {
                        self.put(&format!("\n{question}"))?;
                        Step::Draw
                    }
                };
                match step {
                    Step::Draw => {}
                    Step::Suspend => {
                        ear.suspend();
                        self.put(&format!("\n{question}"))?;
                    }
                    Step::Answer | Step::Cancel => break step,
                }
            };
            self.put("\n")?;
            if step == Step::Cancel {
                return Ok(None);
            }
            match check(line.text().trim()) {
                Ok(()) => return Ok(Some(line.text().trim().to_owned())),
                Err(why) => self.refuse(why)?,
            }
        }
    }
}

fn number(text: &str, count: usize) -> Result<usize, String> {
    match text.parse::<usize>() {
        Ok(number) if (1..=count).contains(&number) => Ok(number - 1),
        Ok(_) | Err(_) => Err(format!("Type a number from 1 to {count}.")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_picks_an_item() {
        assert_eq!(number("2", 2), Ok(1));
        for text in ["0", "3", "x", "-1", ""] {
            assert_eq!(number(text, 2), Err("Type a number from 1 to 2.".to_owned()), "{text:?}");
        }
    }
}
