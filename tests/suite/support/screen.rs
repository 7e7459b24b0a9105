//! A real pseudo-terminal with a model of its screen, as a person would see it.

use std::io::{Read, Write};
use std::num::NonZero;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use portable_pty::{Child, CommandBuilder, MasterPty, PtySize, native_pty_system};

use super::home::TestHome;
use super::pictures::{self, CELL, Likeness};
use super::pixels::Pixels;
use super::wait;

/// A command running in a terminal.
pub(crate) struct Terminal {
    parser: Arc<Mutex<vt100::Parser>>,
    /// All bytes that were written to it.
    written: Arc<Mutex<Vec<u8>>>,
    input: Arc<Mutex<Box<dyn Write + Send>>>,
    /// Answers of a terminal that is late.
    held: Arc<Mutex<String>>,
    child: Box<dyn Child + Send + Sync>,
    /// Draws what is written, until no process holds the terminal.
    drawing: JoinHandle<()>,
    master: Box<dyn MasterPty + Send>,
}

impl Terminal {
    /// Starts `hermes` in a terminal of this size, which answers no query.
    pub(crate) fn start(home: &TestHome, args: &[&str], rows: u16, cols: u16) -> Self {
        Self::start_like(home, args, rows, cols, Likeness::default())
    }

    /// Starts `hermes` in a terminal of this kind.
    pub(crate) fn start_like(
        home: &TestHome,
        args: &[&str],
        rows: u16,
        cols: u16,
        likeness: Likeness,
    ) -> Self {
        let mut command = vec![env!("CARGO_BIN_EXE_hermes")];
        command.extend(args);
        Self::start_command(home, &command, rows, cols, likeness)
    }

    /// Starts a shell with job control, in which `$HERMES` is `hermes`.
    pub(crate) fn start_shell(home: &TestHome, script: &str, rows: u16, cols: u16) -> Self {
        let script = format!("set -m; HERMES='{}'; {script}", env!("CARGO_BIN_EXE_hermes"));
        Self::start_command(home, &["/bin/sh", "-c", &script], rows, cols, Likeness::default())
    }

    /// Starts this command in a terminal of this kind.
    pub(crate) fn start_command(
        home: &TestHome,
        args: &[&str],
        rows: u16,
        cols: u16,
        likeness: Likeness,
    ) -> Self {
        let pair = native_pty_system()
            .openpty(PtySize { rows, cols, pixel_width: 0, pixel_height: 0 })
            .expect("a pseudo-terminal");
        let mut command = CommandBuilder::new(args[0]);
        command.args(&args[1..]);
        command.env_clear();
        command.env("TERM", "xterm-256color");
        for (key, value) in likeness.variables {
            command.env(key, value);
        }
        for (key, value) in home.variables() {
            command.env(key, value);
        }
        let child = pair.slave.spawn_command(command).expect("hermes starts");
        drop(pair.slave);
        let parser = Arc::new(Mutex::new(vt100::Parser::new(some(rows), some(cols), 1000)));
        let mut output = pair.master.try_clone_reader().expect("a reader");
        let input = Arc::new(Mutex::new(pair.master.take_writer().expect("a writer")));
        let (written, held): (Arc<Mutex<Vec<u8>>>, Arc<Mutex<String>>) = Default::default();
        let (seen, kept, keyboard) = (Arc::clone(&parser), Arc::clone(&written), Arc::clone(&input));
        let late = Arc::clone(&held);
        let drawing = std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            // An incomplete character or sequence is looked at again with the bytes that follow.
            let mut fresh = Vec::new();
            while let Ok(count @ 1..) = output.read(&mut buffer) {
                let (row, col) = {
                    let mut parser = seen.lock().expect("not poisoned");
                    parser.process(&buffer[..count]);
                    parser.screen().cursor_position()
                };
                kept.lock().expect("not poisoned").extend_from_slice(&buffer[..count]);
                fresh.extend_from_slice(&buffer[..count]);
                let answer = likeness.answer(&String::from_utf8_lossy(&fresh), row, col);
                if !answer.is_empty() {
                    fresh.clear();
                }
                if likeness.is_late {
                    late.lock().expect("not poisoned").push_str(&answer);
                } else if !answer.is_empty() {
                    drop(keyboard.lock().expect("not poisoned").write_all(answer.as_bytes()));
                }
                let surplus = fresh.len().saturating_sub(buffer.len());
                fresh.drain(..surplus);
            }
        });
        Self { parser, written, input, held, child, drawing, master: pair.master }
    }

    /// Returns the rows of the screen, and the place of the cursor.
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

    /// Returns the text on the screen.
    pub(crate) fn text(&self) -> String {
        self.parser.lock().expect("not poisoned").screen().contents()
    }

    /// True when the cursor is shown.
    pub(crate) fn cursor_is_shown(&self) -> bool {
        !self.parser.lock().expect("not poisoned").screen().hide_cursor()
    }

    /// True when keys are echoed as they are typed, and read line by line: as a shell expects it. The last output may still
    /// be on its way to the screen.
    pub(crate) fn is_as_found(&self) -> bool {
        let is_it = || {
            let modes =
                self.master.get_termios().map(|modes| format!("{:?}", modes.local_flags)).unwrap_or_default();
            modes.split(" | ").any(|flag| flag.contains("ICANON"))
                && modes.contains("ECHO |")
                && self.cursor_is_shown()
        };
        wait::until(Duration::from_secs(10), || is_it().then_some(())).is_some()
    }

    /// Types these keys.
    pub(crate) fn send(&mut self, keys: &str) {
        let mut input = self.input.lock().expect("not poisoned");
        input.write_all(keys.as_bytes()).expect("the terminal takes keys");
        input.flush().expect("the terminal takes keys");
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
        // Its last words may still be on their way to the screen; a process that it started may hold the terminal.
        wait::until(Duration::from_secs(2), || self.drawing.is_finished().then_some(()));
        status.exit_code()
    }

    /// Sends the held answers of a terminal that is late.
    pub(crate) fn answer(&mut self) {
        let answer = std::mem::take(&mut *self.held.lock().expect("not poisoned"));
        assert!(!answer.is_empty(), "it was asked nothing");
        self.send(&answer);
    }

    /// Writes this to it, as another program.
    pub(crate) fn scribble(&mut self, text: &str) {
        self.parser.lock().expect("not poisoned").process(text.as_bytes());
    }

    /// Returns all that was written to it.
    pub(crate) fn written(&self) -> String {
        String::from_utf8_lossy(&self.written.lock().expect("not poisoned")).into_owned()
    }

    /// Reads the QR code off the screen, as a camera would: by its pixels, with two decoders.
    pub(crate) fn scan(&self) -> Option<String> {
        self.pixels().read()
    }

    /// Waits for a QR code that can be read.
    pub(crate) fn wait_for_code(&mut self) -> String {
        match wait::until(wait::LIMIT, || self.scan()) {
            Some(payload) => payload,
            None => panic!("no readable code on the screen:\n{}", self.text()),
        }
    }

    /// Returns the picture on the screen, if a protocol has put one there.
    pub(crate) fn picture(&self) -> Option<Pixels> {
        pictures::shown(&self.written.lock().expect("not poisoned"))
    }

    /// Returns the screen with a picture over it. Text without a colour is light on dark, as on most people's terminals.
    pub(crate) fn pixels(&self) -> Pixels {
        let mut pixels = self.characters();
        if let Some(picture) = self.picture() {
            assert!(
                picture.width <= pixels.width && picture.height <= pixels.height,
                "larger than the screen"
            );
            for (x, y) in (0..picture.height).flat_map(|y| (0..picture.width).map(move |x| (x, y))) {
                pixels.put(x, y, picture.at(x, y));
            }
        }
        pixels
    }

    fn characters(&self) -> Pixels {
        let parser = self.parser.lock().expect("not poisoned");
        draw(parser.screen())
    }

    /// Returns the first column that has a character in these rows.
    pub(crate) fn first_col(&self, rows: usize) -> Option<usize> {
        let text = self.text();
        let indent = |line: &str| line.find(|sign: char| !sign.is_whitespace());
        text.lines().take(rows).filter_map(indent).min()
    }
}

/// Returns the pixels of a screen.
pub(crate) fn draw(screen: &vt100::Screen) -> Pixels {
    let (rows, cols) = screen.size();
    let (rows, cols) = (rows.get(), cols.get());
    let mut pixels = Pixels::plain(usize::from(cols) * CELL.0, usize::from(rows) * CELL.1, 0);
    for (row, col) in (0..rows).flat_map(|row| (0..cols).map(move |col| (row, col))) {
        let Some(cell) = screen.cell(row, col) else { continue };
        let (ink, paper) = (brightness(cell.fgcolor(), 200), brightness(cell.bgcolor(), 0));
        let (ink, paper) = if cell.inverse() { (paper, ink) } else { (ink, paper) };
        let sign = cell.contents().chars().next().unwrap_or(' ');
        for (x, y) in (0..CELL.1).flat_map(|y| (0..CELL.0).map(move |x| (x, y))) {
            let brightness = if is_inked(sign, x, y) { ink } else { paper };
            pixels.put(usize::from(col) * CELL.0 + x, usize::from(row) * CELL.1 + y, brightness);
        }
    }
    pixels
}

/// True when this pixel of a character is drawn: exact for the characters of codes, a frame for others.
fn is_inked(sign: char, x: usize, y: usize) -> bool {
    let (width, height) = CELL;
    let is_left = x * 2 < width;
    let number = u32::from(sign);
    match sign {
        ' ' => false,
        '█' => true,
        '▀' => y * 2 < height,
        '▄' => y * 2 >= height,
        '▌' => is_left,
        '▐' => !is_left,
        '\u{1fb00}'..='\u{1fb3b}' => {
            // The order of Unicode's table, without ▌ and ▐, which are not in it.
            let order: Vec<u32> = (1..63).filter(|parts| ![21, 42].contains(parts)).collect();
            let parts = order[(number - 0x1fb00) as usize];
            let part = (y * 3 / height) * 2 + usize::from(!is_left);
            parts >> part & 1 == 1
        }
        // `##` of the form without other characters is read as a square.
        '#' => true,
        _ => {
            (x == 2 || x == width - 3) && (3..height - 4).contains(&y)
                || (y == 3 || y == height - 5) && (2..width - 2).contains(&x)
        }
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
