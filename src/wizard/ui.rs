//! The words and questions of a wizard, apart from their look.

use async_trait::async_trait;

use crate::bridge::install::Progress;
use crate::error::CliError;
use crate::sensitive::Secret;
use crate::wizard::ui::event::WizardEvent;
use crate::wizard::ui::layout::Line;
use crate::wizard::ui::qr::Size;
use crate::wizard::ui::sheet::{Canvas, Page};

/// Why a question got no answer.
#[derive(Debug)]
pub enum Stop {
    /// Ctrl-C, or the terminal went away.
    Cancelled,
    /// The terminal does not work.
    Broken(std::io::Error),
}

/// Says what is wrong with an answer.
pub type Check = fn(&str) -> Result<(), String>;

/// A question with a few answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Choice {
    /// The question.
    pub prompt: String,
    /// The answers.
    pub items: Vec<String>,
    /// The answer that Enter gives.
    pub default: usize,
}

/// A question answered by a line of text.
#[derive(Debug, Clone)]
pub struct Question {
    /// The question.
    pub prompt: String,
    /// Already typed, to be changed.
    pub initial: String,
    /// Says what is wrong with an answer; it is then asked again.
    pub check: Check,
}

/// A code as it is shown at this moment.
#[derive(Clone, PartialEq, Eq)]
pub struct Frame {
    /// Tells one code from the next.
    pub seq: u32,
    /// The drawing, or what stands in its place.
    pub lines: Vec<String>,
    /// The payload, for stdout.
    pub payload: Option<String>,
    /// Below it, changing every second.
    pub live: String,
    /// Below it where nothing can be redrawn.
    pub fixed: String,
}

/// The abilities of a place to which lines are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Paper {
    /// The size of the terminal; `None` where there is none.
    pub window: Option<Size>,
    /// Characters outside ASCII can be shown.
    pub utf8: bool,
    /// Colours can be set.
    pub paints: bool,
    /// Standard output is on the screen as well.
    pub is_stdout_shown: bool,
}

/// Shows and asks. Everything goes to standard error but events and raw codes.
#[async_trait]
pub trait Ui: Send {
    /// Questions can be asked.
    fn can_ask(&self) -> bool;

    /// The abilities of a place to which lines are written.
    fn paper(&self) -> Paper;

    /// Opens a whole screen, if it is not open, and says what it can show; `None` where nothing can be redrawn.
    fn canvas(&mut self) -> Option<Canvas>;

    /// Shows this on the whole screen, or changes what is there; `None` closes it.
    fn page(&mut self, page: Option<&Page>);

    /// A letter that was pressed since the last look, while a whole screen is open. Never waits.
    fn key(&mut self) -> Option<char>;

    /// Asks for one of several answers.
    async fn select(&mut self, choice: &Choice) -> Result<usize, Stop>;

    /// Asks for yes or no.
    async fn confirm(&mut self, prompt: &str, default: bool) -> Result<bool, Stop>;

    /// Asks for a line of text until it passes its check.
    async fn input(&mut self, question: &Question) -> Result<String, Stop>;

    /// Asks for one line that is shown nowhere while it is typed, until it passes its check.
    async fn secret(&mut self, prompt: &str, check: Check) -> Result<Secret, Stop>;

    /// Asks which of several things are meant; may be none.
    async fn select_many(&mut self, choice: &Choice) -> Result<Vec<usize>, Stop>;

    /// Waits for Enter.
    async fn pause(&mut self, prompt: &str) -> Result<(), Stop>;

    /// Says one thing.
    fn say(&mut self, line: Line);

    /// Shows how far the installation is; `None` when it is over.
    fn progress(&mut self, progress: Option<&Progress>);

    /// Shows a code, in place of the last one where that is possible; `None` takes it away.
    fn code(&mut self, frame: Option<&Frame>);

    /// Enter was pressed since the last look, while a [`Frame`] is shown. Never waits.
    fn enter_pressed(&mut self) -> bool;

    /// A line of `--json`.
    fn event(&mut self, event: &WizardEvent);

    /// Shows a failure with its remedy.
    fn failure(&mut self, error: &CliError) {
        self.say(Line::Gap);
        let mut message = format!("{error}.");
        if let Some(first) = message.get_mut(..1) {
            first.make_ascii_uppercase();
        }
        self.say(Line::Fail(message));
        for hint in &error.hints {
            self.say(Line::Text(hint.clone()));
        }
    }
}

pub mod event;
pub mod json;
pub mod layout;
pub mod page;
pub mod picture;
pub mod probe;
pub mod prompt;
pub mod qr;
#[cfg(test)]
pub mod script;
pub mod sheet;
pub mod terminal;
