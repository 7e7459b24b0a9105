//! A person who follows a script, and a record of everything that person saw.

use std::collections::VecDeque;
use std::path::PathBuf;

use async_trait::async_trait;
use tokio_util::sync::CancellationToken;

use crate::bridge::install::Progress;
use crate::sensitive::Secret;
use crate::wizard::ui::event::WizardEvent;
use crate::wizard::ui::layout::{Layout, Line};
use crate::wizard::ui::qr::Size;
use crate::wizard::ui::sheet::{Canvas, Page, Pictures};
use crate::wizard::ui::{Check, Choice, Frame, Paper, Question, Stop, Ui};

/// The person's answer to a question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Act {
    /// Picks the item with this number.
    Pick(usize),
    /// Says yes or no.
    Say(bool),
    /// Presses Enter at yes or no, or at a pause.
    Enter,
    /// Types this.
    Type(&'static str),
    /// Presses Ctrl-C.
    CtrlC,
}

/// Follows a script.
#[derive(Debug)]
pub(crate) struct ScriptUi {
    pub(crate) acts: VecDeque<Act>,
    /// The person's answers where the script is over, by a part of the question.
    pub(crate) habits: Vec<(&'static str, Act)>,
    pub(crate) asks: bool,
    pub(crate) window: Option<Size>,
    pub(crate) transcript: String,
    pub(crate) events: Vec<WizardEvent>,
    pub(crate) questions: usize,
    /// Presses Enter while something is waited for.
    pub(crate) presses_enter: bool,
    /// Presses Ctrl-C when this text is said or shown.
    pub(crate) ctrl_c_at: Option<(&'static str, CancellationToken)>,
    /// The window has this size once so many pages were shown.
    pub(crate) window_after: Option<(usize, Size)>,
    /// Its font has sextants.
    pub(crate) sextants: bool,
    /// The keys that the person presses while a page is shown.
    pub(crate) keys: VecDeque<char>,
    pages: usize,
    page: Option<Page>,
    /// A file to look at when something is shown, and its mode as it was found.
    pub(crate) look_at: Option<PathBuf>,
    pub(crate) seen_mode: Option<std::fs::Permissions>,
}

impl ScriptUi {
    pub(crate) fn new(acts: impl IntoIterator<Item = Act>) -> Self {
        Self {
            acts: acts.into_iter().collect(),
            habits: Vec::new(),
            asks: true,
            window: Some(Size { cols: 100, rows: 60 }),
            transcript: String::new(),
            events: Vec::new(),
            questions: 0,
            presses_enter: false,
            ctrl_c_at: None,
            window_after: None,
            sextants: true,
            keys: VecDeque::new(),
            pages: 0,
            page: None,
            look_at: None,
            seen_mode: None,
        }
    }

    fn record(&mut self, text: &str) {
        self.transcript.push_str(text);
        if let Some(found) = self.look_at.as_ref().and_then(|path| std::fs::metadata(path).ok()) {
            self.seen_mode = Some(found.permissions());
        }
        if let Some((part, cancel)) = &self.ctrl_c_at
            && text.contains(part)
        {
            cancel.cancel();
        }
    }

    fn act(&mut self, prompt: &str) -> Act {
        let act = self.act_unseen(prompt);
        self.record(&format!("  ? {prompt} > {act:?}\n"));
        act
    }

    fn act_unseen(&mut self, prompt: &str) -> Act {
        self.questions += 1;
        let habit = || self.habits.iter().find(|(part, _)| prompt.contains(part)).map(|(_, act)| act.clone());
        let act = self.acts.pop_front().or_else(habit);
        act.unwrap_or_else(|| panic!("no answer to `{prompt}` after:\n{}", self.transcript))
    }
}

#[async_trait]
impl Ui for ScriptUi {
    fn can_ask(&self) -> bool {
        self.asks
    }

    fn paper(&self) -> Paper {
        Paper { window: None, utf8: true, paints: true, is_stdout_shown: false }
    }

    async fn select(&mut self, choice: &Choice) -> Result<usize, Stop> {
        match self.act(&choice.prompt) {
            Act::Pick(item) if item < choice.items.len() => Ok(item),
            Act::Enter => Ok(choice.default),
            Act::CtrlC => Err(Stop::Cancelled),
            act @ (Act::Pick(_) | Act::Say(_) | Act::Type(_)) => panic!("{act:?} at {choice:?}"),
        }
    }

    async fn confirm(&mut self, prompt: &str, default: bool) -> Result<bool, Stop> {
        match self.act(prompt) {
            Act::Say(answer) => Ok(answer),
            Act::Enter => Ok(default),
            Act::CtrlC => Err(Stop::Cancelled),
            act @ (Act::Pick(_) | Act::Type(_)) => panic!("{act:?} at {prompt}"),
        }
    }

    async fn input(&mut self, question: &Question) -> Result<String, Stop> {
        loop {
            let text = match self.act(&question.prompt) {
                Act::Type(text) => text.to_owned(),
                Act::Enter => question.initial.clone(),
                Act::CtrlC => return Err(Stop::Cancelled),
                act @ (Act::Pick(_) | Act::Say(_)) => panic!("{act:?} at {question:?}"),
            };
            match (question.check)(&text) {
                Ok(()) => return Ok(text),
                Err(why) => self.record(&format!("  ! {why}\n")),
            }
        }
    }

    async fn secret(&mut self, prompt: &str, check: Check) -> Result<Secret, Stop> {
        loop {
            // The answer is not recorded.
            let text = match self.act_unseen(prompt) {
                Act::Type(text) => text,
                Act::Enter => "",
                Act::CtrlC => return Err(Stop::Cancelled),
                act @ (Act::Pick(_) | Act::Say(_)) => panic!("{act:?} at {prompt}"),
            };
            match check(text) {
                Ok(()) => return Ok(Secret(text.to_owned())),
                Err(why) => self.record(&format!("  ! {why}\n")),
            }
        }
    }

    async fn select_many(&mut self, choice: &Choice) -> Result<Vec<usize>, Stop> {
        match self.act(&choice.prompt) {
            Act::Pick(item) if item < choice.items.len() => Ok(vec![item]),
            Act::Enter => Ok(Vec::new()),
            Act::CtrlC => Err(Stop::Cancelled),
            act @ (Act::Pick(_) | Act::Say(_) | Act::Type(_)) => panic!("{act:?} at {choice:?}"),
        }
    }

    async fn pause(&mut self, prompt: &str) -> Result<(), Stop> {
        match self.act(prompt) {
            Act::Enter => Ok(()),
            Act::CtrlC => Err(Stop::Cancelled),
            act @ (Act::Pick(_) | Act::Say(_) | Act::Type(_)) => panic!("{act:?} at {prompt}"),
        }
    }

    fn say(&mut self, line: Line) {
        let text = Layout { cols: 80, marks: true, colour: false, utf8: true }.render(&line);
        self.record(&text);
    }

    fn progress(&mut self, progress: Option<&Progress>) {
        if let Some(progress) = progress {
            self.record(&format!("  … {:?} {}\n", progress.phase, progress.packages));
        }
    }

    fn canvas(&mut self) -> Option<Canvas> {
        let window = match self.window_after {
            Some((pages, window)) if self.pages >= pages => Some(window),
            Some(_) | None => self.window,
        };
        let (cell, pictures) = (None, Pictures::None);
        window.map(|window| Canvas {
            window,
            cell,
            pictures,
            utf8: true,
            sextants: self.sextants,
            keys: self.asks,
        })
    }

    fn page(&mut self, page: Option<&Page>) {
        if self.page.as_ref() == page {
            return;
        }
        self.page = page.cloned();
        let Some(page) = page else { return self.record("[page gone]\n") };
        self.pages += 1;
        let drawn = page.rows.iter().filter(|row| row.text.contains('\x1b')).count();
        let mut text = format!("[page, drawn in {drawn} lines]\n");
        for row in &page.rows {
            // A drawing is judged in the suite; here it only would fill the record.
            let words = row.text.rsplit("\x1b[0m").next().unwrap_or_default().trim();
            if !words.is_empty() {
                text += &format!("  {words}\n");
            }
        }
        self.record(&text);
    }

    fn key(&mut self) -> Option<char> {
        self.page.as_ref()?;
        self.keys.pop_front()
    }

    fn code(&mut self, frame: Option<&Frame>) {
        let text = match frame {
            Some(frame) => {
                let drawn = frame.lines.first().is_some_and(|line| line.starts_with("\x1b["));
                let lines = if drawn {
                    format!("[drawn in {} lines]", frame.lines.len())
                } else {
                    frame.lines.join("\n")
                };
                let payload = frame.payload.as_deref().map_or_else(String::new, |text| format!("{text}\n"));
                format!("[code {}]\n{lines}\n{payload}{}\n", frame.seq, frame.live)
            }
            None => "[code gone]\n".to_owned(),
        };
        self.record(&text);
    }

    fn enter_pressed(&mut self) -> bool {
        self.presses_enter
    }

    fn event(&mut self, event: &WizardEvent) {
        self.events.push(event.clone());
    }
}
