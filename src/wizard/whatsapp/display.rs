//! Display of a code in the linking stage: on a whole screen where that can be redrawn, with keys for other forms; line by line
//! elsewhere.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use crate::bridge::process::Output;
use crate::clock::Now;
use crate::durable;
use crate::error::CliError;
use crate::wizard::ui::picture;
use crate::wizard::ui::qr::{Code, Drawing, Ink, QUIET_ZONES, Size};
use crate::wizard::ui::sheet::{Canvas, Content, Form, Pictures, page};
use crate::wizard::ui::{Frame, Question};
use crate::wizard::whatsapp::flow::Chapter;
use crate::wizard::whatsapp::hands::PairingBridge;
use crate::wizard::whatsapp::numbers::{parse_number, show_number};
use crate::wizard::whatsapp::options::QrStyle;
use crate::wizard::whatsapp::pair::{Attempt, Ended, Failed, stopped};
use crate::wizard::whatsapp::texts;

/// The code at hand.
pub(crate) struct Shown {
    pub(super) seq: u32,
    /// The number of codes; 0 where it is not known.
    pub(super) total: u32,
    pub(super) payload: String,
    pub(super) code: Option<Code>,
    pub(super) typed: bool,
    pub(super) expires_at: Option<Instant>,
    /// Removed when the code is no longer shown.
    pub(super) picture: Option<Picture>,
}

/// A picture of a code on disk. It is a key to the account until it expires.
pub(super) struct Picture(PathBuf);

impl Drop for Picture {
    fn drop(&mut self) {
        drop(std::fs::remove_file(&self.0));
    }
}

/// Pixels of a module in a file.
const FILE_SCALE: usize = 8;

impl From<QrStyle> for Form {
    fn from(style: QrStyle) -> Self {
        match style {
            QrStyle::Auto => Self::Best,
            QrStyle::Image => Self::Picture,
            QrStyle::Blocks => Self::Drawn(Drawing::Blocks),
            QrStyle::Sextants => Self::Drawn(Drawing::Sextants),
            QrStyle::Ascii => Self::Drawn(Drawing::Ascii),
            QrStyle::Raw => Self::Printed,
            QrStyle::Png(path) => Self::File(path),
        }
    }
}

impl Shown {
    fn left(&self) -> Option<Duration> {
        self.expires_at.map(|at| at.saturating_duration_since(Now::read().mono))
    }

    fn is_last(&self) -> bool {
        self.seq == self.total
    }

    /// Which one of how many.
    fn count(&self) -> String {
        if self.total >= self.seq { format!(" ({} of {})", self.seq, self.total) } else { String::new() }
    }

    /// When it ends, changing every second.
    fn live(&self) -> String {
        let count = self.count();
        match self.left().map(|left| left.as_secs()) {
            _ if self.typed => "Waiting for the phone. Ctrl-C stops.".to_owned(),
            Some(0) if self.is_last() => format!("The last code has expired{count}"),
            Some(0) => format!("A new code comes in a moment{count}"),
            Some(left) if self.is_last() => format!("Last code, {left} s left{count}"),
            Some(left) => format!("New code in {left} s{count}"),
            None => String::new(),
        }
    }

    /// When it ends, for lines that stay.
    fn fixed(&self) -> String {
        let Some(left) = self.left() else { return "Waiting for the phone.".to_owned() };
        let now = Now::read().wall;
        let until = jiff::SignedDuration::try_from(left).ok().and_then(|left| now.checked_add(left).ok());
        let until = until.unwrap_or(now).strftime("%H:%M:%S").to_string();
        let words = if self.is_last() { "Last code, good until" } else { "New code at" };
        format!("{words} {until} UTC{}", self.count())
    }
}

impl Attempt<'_> {
    pub(super) fn show(&mut self, shown: Shown) -> Result<(), Failed> {
        let picture = self.shown.take().and_then(|before| before.picture);
        self.shown = Some(Shown { picture, ..shown });
        // On a page these words are beside the code.
        if !std::mem::replace(&mut self.progress.explained, true) && self.canvas().is_none() {
            let lines = match self.number {
                Some(number) => texts::about_typing(&show_number(number)),
                None => texts::about_scanning(),
            };
            lines.into_iter().for_each(|line| self.ui.say(line));
        }
        self.save_picture()?;
        self.draw();
        Ok(())
    }

    pub(super) fn hide(&mut self) {
        if self.shown.take().is_some() {
            self.ui.page(None);
            self.ui.code(None);
        }
    }

    /// Writes the picture where one is wanted, and removes it where not.
    fn save_picture(&mut self) -> Result<(), Failed> {
        let Some(shown) = &mut self.shown else { return Ok(()) };
        let (Form::File(path), Some(code)) = (&*self.form, &shown.code) else {
            shown.picture = None;
            return Ok(());
        };
        durable::write_atomic(path, &code.png(picture::QUIET, FILE_SCALE)).map_err(|error| {
            Failed::Error(
                CliError::failed(format!("the picture {} cannot be written", path.display()))
                    .code("whatsapp_storage")
                    .hint("Choose another file with `--qr png=FILE`.")
                    .because(error),
            )
        })?;
        if shown.picture.as_ref().is_none_or(|before| before.0 != *path) {
            shown.picture = Some(Picture(path.clone()));
        }
        Ok(())
    }

    /// The screen for the code at hand, if it is one to scan; opened, if it is not.
    fn canvas(&mut self) -> Option<Canvas> {
        let is_scanned = self.shown.as_ref().is_some_and(|shown| !shown.typed);
        let is_piped = *self.form == Form::Printed && !self.ui.paper().is_stdout_shown;
        if is_scanned && !is_piped { self.ui.canvas() } else { None }
    }

    /// Shows the code at hand, or what has changed since the last time.
    pub(super) fn draw(&mut self) {
        let canvas = self.canvas();
        let Some(shown) = &self.shown else { return };
        match canvas {
            Some(Canvas { pictures: Pictures::Asked, .. }) => {}
            Some(canvas) => {
                let content = Content {
                    code: shown.code.as_ref(),
                    payload: &shown.payload,
                    form: self.form,
                    title: texts::chapter_title(Chapter::Phone),
                    about: texts::SCANNING,
                    live: &shown.live(),
                };
                self.ui.page(Some(&page(&content, &canvas)));
            }
            None => {
                let frame = self.frame(shown);
                self.ui.code(Some(&frame));
            }
        }
    }

    fn frame(&self, shown: &Shown) -> Frame {
        let mut fixed = format!("  {}", shown.fixed());
        let (lines, payload) = match (&*self.form, &shown.code) {
            _ if shown.typed => (vec![format!("      {}", shown.payload), String::new()], None),
            (Form::File(path), Some(_)) => {
                (vec![format!("  The code is in {}: open it and scan it.", path.display())], None)
            }
            (Form::Best | Form::Picture | Form::Drawn(_), Some(code)) => match self.print(code) {
                Ok(lines) => (lines, None),
                Err(why) => {
                    fixed = format!("{fixed}\n  {why}");
                    (Vec::new(), Some(shown.payload.clone()))
                }
            },
            (Form::Text | Form::Printed, _) | (_, None) => (Vec::new(), Some(shown.payload.clone())),
        };
        Frame { seq: shown.seq, lines, payload, live: format!("  {}", shown.live()), fixed }
    }

    /// The code in lines that stay, or why they do not fit and what does. A code of which a part has scrolled away cannot be
    /// scanned.
    fn print(&self, code: &Code) -> Result<Vec<String>, String> {
        let paper = self.ui.paper();
        let drawing = match &*self.form {
            Form::Drawn(drawing) => *drawing,
            _ if paper.utf8 => Drawing::Blocks,
            Form::Best | Form::Picture | Form::Text | Form::File(_) | Form::Printed => Drawing::Ascii,
        };
        let ink = if paper.paints { Ink::Painted } else { Ink::Bare };
        let quiet = QUIET_ZONES[1];
        let Some(window) = paper.window else { return Ok(code.lines(drawing, quiet, ink)) };
        // Below it are one line of words and that of the cursor.
        let needed = |drawing| {
            let Size { cols, rows } = code.size(drawing, quiet);
            Size { cols, rows: rows + 2 }
        };
        if needed(drawing).fits(window) {
            return Ok(code.lines(drawing, quiet, ink));
        }
        let Size { cols, rows } = needed(drawing);
        // Not by itself: many fonts do not have these characters, and here the terminal cannot be asked.
        let smaller =
            if paper.utf8 && needed(Drawing::Sextants).fits(window) { ", --qr sextants" } else { "" };
        Err(format!(
            "The code needs a window of {cols} columns and {rows} rows; this one has {} and {}. This is what it says. Or \
             use --pairing-code{smaller} or --qr png=FILE.",
            window.cols, window.rows
        ))
    }

    /// Does what the key says that was pressed beside the code.
    pub(super) async fn take_key(
        &mut self,
        bridge: &mut Option<Box<dyn PairingBridge>>,
    ) -> Result<Option<Result<Ended, Failed>>, Failed> {
        if self.shown.as_ref().is_none_or(|shown| shown.typed) {
            return Ok(None);
        }
        match self.ui.key() {
            Some('f') => {
                if let (Some(canvas), Some(Shown { code: Some(code), .. })) = (self.ui.canvas(), &self.shown)
                {
                    *self.form = canvas.next_form(code, self.form);
                }
            }
            Some('p') if !matches!(self.form, Form::File(_)) => {
                *self.form = Form::File(self.paths.qr_picture());
            }
            Some('t') => *self.form = Form::Text,
            Some('c') => return self.ask_for_number(bridge).await,
            Some(_) | None => return Ok(None),
        }
        self.save_picture()?;
        Ok(None)
    }

    /// Asks which phone is to get a code to type instead, while the bridge goes on.
    async fn ask_for_number(
        &mut self,
        bridge: &mut Option<Box<dyn PairingBridge>>,
    ) -> Result<Option<Result<Ended, Failed>>, Failed> {
        self.ui.page(None);
        let question = Question {
            prompt: "Phone number to link (Enter: back to the QR code)".to_owned(),
            initial: String::new(),
            check: |text| if text.trim().is_empty() { Ok(()) } else { parse_number(text).map(drop) },
        };
        let mut outputs = Vec::new();
        let text = {
            let running = bridge.as_mut().expect("it is taken only when the attempt ends");
            let mut answer = self.ui.input(&question);
            let mut has_ended = false;
            loop {
                tokio::select! {
                    biased;
                    () = self.cancel.cancelled() => return Err(Failed::Cancelled),
                    text = &mut answer => break text.map_err(stopped)?,
                    output = running.next(), if !has_ended => {
                        has_ended = matches!(output, None | Some(Output::Exited { .. }));
                        outputs.push(output);
                    }
                }
            }
        };
        let number = parse_number(&text).ok();
        for output in outputs {
            let Some(ended) = self.take(output)? else { continue };
            *bridge = None;
            return Ok(Some(match (ended, number) {
                (Ok(Ended::Expired), Some(number)) => Ok(Ended::ByCode(number)),
                (ended, _) => ended,
            }));
        }
        // The phone may have accepted the code just before the key.
        Ok(number.filter(|_| self.shown.is_some()).map(|number| Ok(Ended::ByCode(number))))
    }
}
