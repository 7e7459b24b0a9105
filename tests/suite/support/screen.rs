//! A real pseudo-terminal with a model of its screen: what a person would see.

use std::io::{Read, Write};
use std::num::NonZero;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use portable_pty::{Child, CommandBuilder, MasterPty, PtySize, native_pty_system};

use super::home::TestHome;
use super::wait;

/// A command running in a terminal.
pub(crate) struct Terminal {
    parser: Arc<Mutex<vt100::Parser>>,
    /// Everything that was written to it.
    written: Arc<Mutex<Vec<u8>>>,
    input: Box<dyn Write + Send>,
    child: Box<dyn Child + Send + Sync>,
    master: Box<dyn MasterPty + Send>,
}

impl Terminal {
    /// Starts `hermes` in a terminal of this size.
    pub(crate) fn start(home: &TestHome, args: &[&str], rows: u16, cols: u16) -> Self {
        let mut command = CommandBuilder::new(env!("CARGO_BIN_EXE_hermes"));
        command.args(args);
        Self::open(home, command, rows, cols)
    }

    /// Starts a shell with job control, in which `$HERMES` is `hermes`.
    pub(crate) fn start_shell(home: &TestHome, script: &str, rows: u16, cols: u16) -> Self {
        let mut command = CommandBuilder::new("/bin/sh");
        command.args(["-c", &format!("set -m; HERMES='{}'; {script}", env!("CARGO_BIN_EXE_hermes"))]);
        Self::open(home, command, rows, cols)
    }

    fn open(home: &TestHome, mut command: CommandBuilder, rows: u16, cols: u16) -> Self {
        let pair = native_pty_system()
            .openpty(PtySize { rows, cols, pixel_width: 0, pixel_height: 0 })
            .expect("a pseudo-terminal");
        command.env_clear();
        command.env("TERM", "xterm-256color");
        for (key, value) in home.variables() {
            command.env(key, value);
        }
        let child = pair.slave.spawn_command(command).expect("hermes starts");
        drop(pair.slave);
        let parser = Arc::new(Mutex::new(vt100::Parser::new(some(rows), some(cols), 1000)));
        let mut output = pair.master.try_clone_reader().expect("a reader");
        let (seen, written) = (Arc::clone(&parser), Arc::<Mutex<Vec<u8>>>::default());
        let kept = Arc::clone(&written);
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(count @ 1..) = output.read(&mut buffer) {
                kept.lock().expect("not poisoned").extend_from_slice(&buffer[..count]);
                seen.lock().expect("not poisoned").process(&buffer[..count]);
            }
        });
        let input = pair.master.take_writer().expect("a writer");
        Self { parser, written, input, child, master: pair.master }
    }

    /// Everything that was written to it so far.
    pub(crate) fn written(&self) -> String {
        String::from_utf8_lossy(&self.written.lock().expect("not poisoned")).into_owned()
    }

    /// The rows of the screen, and where the cursor is.
    pub(crate) fn rows(&self) -> (Vec<String>, (usize, usize)) {
        let parser = self.parser.lock().expect("not poisoned");
        let screen = parser.screen();
        let (row, col) = screen.cursor_position();
        let (_, cols) = screen.size();
        (screen.rows(0, cols.get()).collect(), (usize::from(row), usize::from(col)))
    }

    /// Waits until the row of the cursor is this text, and the cursor stands at `|` in it.
    pub(crate) fn wait_for_line(&mut self, line: &str) {
        let (text, at) = (line.replacen('|', "", 1), line.find('|').expect("a cursor"));
        let cursor = unicode_width::UnicodeWidthStr::width(&line[..at]);
        let seen = wait::until(wait::LIMIT, || {
            let (rows, (row, col)) = self.rows();
            (rows.get(row).is_some_and(|row| row.trim_end() == text.trim_end()) && col == cursor)
                .then_some(())
        });
        assert!(seen.is_some(), "the line is never `{line}`:\n{}\n{:?}", self.text(), self.rows().1);
    }

    /// The text on the screen.
    pub(crate) fn text(&self) -> String {
        self.parser.lock().expect("not poisoned").screen().contents()
    }

    /// The cursor is shown.
    pub(crate) fn cursor_is_shown(&self) -> bool {
        !self.parser.lock().expect("not poisoned").screen().hide_cursor()
    }

    /// Keys are shown as they are typed, and taken line by line: as a shell expects it.
    pub(crate) fn is_as_found(&self) -> bool {
        let modes =
            self.master.get_termios().map(|modes| format!("{:?}", modes.local_flags)).unwrap_or_default();
        modes.split(" | ").any(|flag| flag.contains("ICANON"))
            && modes.contains("ECHO |")
            && self.cursor_is_shown()
    }

    /// Types.
    pub(crate) fn send(&mut self, keys: &str) {
        self.input.write_all(keys.as_bytes()).expect("the terminal takes keys");
        self.input.flush().expect("the terminal takes keys");
    }

    /// Waits until the screen shows this text.
    pub(crate) fn wait_for(&mut self, text: &str) {
        self.wait_limit(text, wait::LIMIT);
    }

    /// Waits until the screen shows this text, for as long as an installation may take.
    pub(crate) fn wait_long_for(&mut self, text: &str) {
        self.wait_limit(text, Duration::from_secs(300));
    }

    fn wait_limit(&mut self, text: &str, limit: Duration) {
        let seen = wait::until(limit, || self.text().contains(text).then_some(()));
        if seen.is_none() {
            let written = self.written();
            let tail: String = written.chars().skip(written.chars().count().saturating_sub(1500)).collect();
            panic!("the screen never showed `{text}`:\n{}\nlast written: {tail:?}", self.text());
        }
    }

    /// Sends the process a signal.
    pub(crate) fn signal(&self, signal: rustix::process::Signal) {
        let pid = self.child.process_id().expect("it was started").cast_signed();
        let pid = rustix::process::Pid::from_raw(pid).expect("a pid");
        rustix::process::kill_process(pid, signal).expect("it is there");
    }

    /// Changes the size.
    pub(crate) fn resize(&mut self, rows: u16, cols: u16) {
        self.parser.lock().expect("not poisoned").screen_mut().set_size(some(rows), some(cols));
        self.master
            .resize(PtySize { rows, cols, pixel_width: 0, pixel_height: 0 })
            .expect("the size changes");
    }

    /// Waits for its end and returns the exit code; a signal's is 128 and its number, as a shell says.
    pub(crate) fn exit_code(&mut self) -> u32 {
        let status = wait::until(wait::LIMIT, || self.child.try_wait().expect("a child of ours"));
        let Some(status) = status else { panic!("it does not end:\n{}", self.text()) };
        status.exit_code()
    }

    /// Reads the QR code off the screen, as a camera would: by the colours of the cells.
    pub(crate) fn scan(&self) -> Option<String> {
        let (pixels, width, height) = self.pixels();
        const SCALE: usize = 4;
        let mut image = rqrr::PreparedImage::prepare_from_greyscale(width * SCALE, height * SCALE, |x, y| {
            pixels[(y / SCALE) * width + x / SCALE]
        });
        image.detect_grids().into_iter().find_map(|grid| Some(grid.decode().ok()?.1))
    }

    /// Waits for a QR code that can be read.
    pub(crate) fn wait_for_code(&mut self) -> String {
        match wait::until(wait::LIMIT, || self.scan()) {
            Some(payload) => payload,
            None => panic!("no readable code on the screen:\n{}", self.text()),
        }
    }

    /// The screen as brightness, two pixels a cell, one above the other. What has no colour of its own is dark, as on
    /// most people's terminals.
    fn pixels(&self) -> (Vec<u8>, usize, usize) {
        let parser = self.parser.lock().expect("not poisoned");
        let screen = parser.screen();
        let (rows, cols) = screen.size();
        let (rows, cols) = (rows.get(), cols.get());
        let (width, height) = (usize::from(cols), usize::from(rows) * 2);
        let mut pixels = vec![0; width * height];
        for row in 0..rows {
            for col in 0..cols {
                let Some(cell) = screen.cell(row, col) else { continue };
                let (ink, paper) = (brightness(cell.fgcolor(), 200), brightness(cell.bgcolor(), 0));
                let (ink, paper) = if cell.inverse() { (paper, ink) } else { (ink, paper) };
                let (upper, lower) = match cell.contents() {
                    "▀" => (ink, paper),
                    "▄" => (paper, ink),
                    "█" => (ink, ink),
                    _ => (paper, paper),
                };
                pixels[usize::from(row) * 2 * width + usize::from(col)] = upper;
                pixels[(usize::from(row) * 2 + 1) * width + usize::from(col)] = lower;
            }
        }
        (pixels, width, height)
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn some(size: u16) -> NonZero<u16> {
    NonZero::new(size).expect("a terminal has a size")
}

fn brightness(colour: vt100::Color, default: u8) -> u8 {
    match colour {
        vt100::Color::Default => default,
        vt100::Color::Idx(0 | 16) => 0,
        vt100::Color::Idx(7) => 200,
        vt100::Color::Idx(15 | 231) => 255,
        vt100::Color::Idx(_) => 128,
        vt100::Color::Rgb(r, g, b) => {
            u8::try_from((u16::from(r) + u16::from(g) + u16::from(b)) / 3).unwrap_or(255)
        }
    }
}
