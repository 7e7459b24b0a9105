//! A whole screen for a code: beside the one on which the questions are, so that nothing of it stays there.
//!
//! Keys are taken one by one and not shown while it is open. Ctrl-C stays a signal. Ctrl-Z is a key, so that the terminal is
//! put back before the process stops. A terminal that was stopped from outside, or that a shell had in between, is drawn again
//! when the process continues.

use std::io::stdin;
use std::time::{Duration, Instant};

use console::Term;
use futures_util::FutureExt;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::kill_current_process_group;
use rustix::termios::{
    LocalModes, OptionalActions, QueueSelector, SpecialCodeIndex, Termios, tcflush, tcgetwinsize, tcsetattr,
};
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::clock::Now;
use crate::wizard::ui::picture;
use crate::wizard::ui::probe::{ASK_CELL, Hints, Probe};
use crate::wizard::ui::prompt::keys::Key;
use crate::wizard::ui::qr::Size;
use crate::wizard::ui::sheet::{Canvas, Page, Pictures};

/// Time that nothing is shown while the terminal answers which forms it supports. A later reply counts, too.
const REPLY_LIMIT: Duration = Duration::from_millis(400);

/// To the other screen, empty and without a cursor, and back.
const ENTER: &str = "\x1b[?1049h\x1b[?25l\x1b[H\x1b[2J";
const LEAVE: &str = "\x1b[0m\x1b[H\x1b[2J\x1b[?25h\x1b[?1049l";
/// Between the two, a terminal that knows them shows nothing that is half drawn.
const HOLD: &str = "\x1b[?2026h";
const RELEASE: &str = "\x1b[?2026l";
/// No key.
const DISABLED: u8 = if cfg!(target_os = "macos") { 0xff } else { 0 };

/// An open page.
#[derive(Debug)]
pub(crate) struct OpenPage {
    term: Term,
    /// The keyboard's mode as it was found; `None` without one.
    found: Option<Termios>,
    probe: Probe,
    asked_at: Instant,
    drawn: Option<Page>,
    window: Option<Size>,
    is_away: bool,
    continued: Option<Signal>,
}

impl OpenPage {
    pub(crate) fn open(term: &Term, found: Option<&Termios>, hints: Hints) -> Self {
        let mut page = Self {
            term: term.clone(),
            found: found.cloned(),
            probe: Probe::new(hints),
            asked_at: Now::read().mono,
            drawn: None,
            window: None,
            is_away: true,
            continued: signal(SignalKind::from_raw(rustix::process::Signal::CONT.as_raw())).ok(),
        };
        if page.found.is_some() {
            // Keys that were pressed before answer nothing here.
            tcflush(stdin(), QueueSelector::IFlush).ok();
        }
        page.enter();
        page.write(&page.probe.questions());
        page
    }

    fn write(&self, text: &str) {
        drop(self.term.write_str(text));
    }

    fn enter(&mut self) {
        self.take_keys();
        self.write(ENTER);
        (self.drawn, self.is_away) = (None, false);
    }

    fn take_keys(&self) {
        let Some(found) = &self.found else { return };
        let mut mode = found.clone();
        mode.local_modes.remove(LocalModes::ECHO | LocalModes::ICANON);
        mode.special_codes[SpecialCodeIndex::VSUSP] = DISABLED;
        tcsetattr(stdin(), OptionalActions::Now, &mode).ok();
    }

    fn leave(&mut self) {
        if std::mem::replace(&mut self.is_away, true) {
            return;
        }
        self.write(&format!("{}{LEAVE}", self.eraser()));
        if let Some(found) = &self.found {
            tcflush(stdin(), QueueSelector::IFlush).ok();
            tcsetattr(stdin(), OptionalActions::Now, found).ok();
        }
    }

    /// Takes the picture away, if one is there.
    fn eraser(&self) -> String {
        let has_picture = self.drawn.as_ref().is_some_and(|page| page.picture.is_some());
        let protocol = self.probe.protocol().filter(|_| has_picture);
        protocol.map_or_else(String::new, picture::erase)
    }

    /// Forms that can be shown now; `None` when the terminal has no size.
    pub(crate) fn canvas(&mut self) -> Option<Canvas> {
        let (rows, cols) = self.term.size_checked()?;
        let window = Size { cols: usize::from(cols), rows: usize::from(rows) };
        let pixels = tcgetwinsize(std::io::stderr()).ok();
        let cell = pixels.map(|size| Size {
            cols: usize::from(size.ws_xpixel) / window.cols,
            rows: usize::from(size.ws_ypixel) / window.rows,
        });
        let cell = cell.filter(|cell| cell.cols > 0 && cell.rows > 0);
        // With other letters it has another size.
        if self.window.replace(window).is_some_and(|before| before != window)
            && cell.is_none()
            && self.probe.cell().is_some()
        {
            self.write(ASK_CELL);
        }
        let is_late = Now::read().mono.saturating_duration_since(self.asked_at) > REPLY_LIMIT;
        let pictures = match self.probe.protocol() {
            Some(protocol) => Pictures::By(protocol),
            None if self.probe.is_over() || is_late => Pictures::None,
            None => Pictures::Asked,
        };
        Some(Canvas {
            window,
            cell: cell.or(self.probe.cell()),
            pictures,
            utf8: self.probe.is_utf8(),
            sextants: self.probe.has_sextants(),
            keys: self.found.is_some(),
        })
    }

    /// Shows it: all of it, or the rows that are not there yet.
    pub(crate) fn draw(&mut self, page: &Page) {
        if self.is_away || self.drawn.as_ref() == Some(page) {
            return;
        }
        let is_cleared = self.drawn.as_ref().is_none_or(|before| before.outline != page.outline);
        let eraser = if is_cleared { self.eraser() } else { String::new() };
        self.write(&format!("{HOLD}{eraser}{}{RELEASE}", page.paint(self.drawn.as_ref())));
        self.drawn = Some(page.clone());
    }

    /// The key that was pressed since the last look. Never waits.
    pub(crate) fn key(&mut self) -> Option<char> {
        let is_continued =
            self.continued.as_mut().is_some_and(|signal| signal.recv().now_or_never().is_some());
        if self.is_away {
            self.enter();
        } else if is_continued {
            self.take_keys();
            self.drawn = None;
            self.write("\x1b[?25l");
        }
        // More than one are no keys, but something that was pasted.
        match self.read()[..] {
            [Key::Text(sign)] => Some(sign.to_ascii_lowercase()).filter(char::is_ascii_alphanumeric),
            [Key::Suspend] => {
                self.leave();
                // Everything in this job stops, as with the terminal's own Ctrl-Z. The next look is after it.
                kill_current_process_group(rustix::process::Signal::TSTP).ok();
                None
            }
            _ => None,
        }
    }

    fn read(&mut self) -> Vec<Key> {
        let mut bytes = [0; 1024];
        let ready = if self.found.is_some() { rustix::io::ioctl_fionread(stdin()).unwrap_or(0) } else { 0 };
        let len = if ready > 0 { rustix::io::read(stdin(), &mut bytes).unwrap_or(0) } else { 0 };
        self.probe.take(&bytes[..len])
    }
}

impl Drop for OpenPage {
    /// A reply that is still on its way must not reach the next prompt.
    fn drop(&mut self) {
        let wait = Timespec { tv_sec: 0, tv_nsec: 50_000_000 };
        while !self.probe.is_over() && Now::read().mono < self.asked_at + REPLY_LIMIT {
            poll(&mut [PollFd::new(&stdin(), PollFlags::IN)], Some(&wait)).ok();
            self.read();
        }
        self.leave();
    }
}
