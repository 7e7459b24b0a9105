//! `platform status --watch`: the page again and again, in place on a terminal, with each change elsewhere.
//!
//! Keys are read without waiting for Enter; the terminal is put back as it was found, whichever way the watching ends.

use std::io::{self, IsTerminal, Read, Write};
use std::time::Duration;

use console::Term;
use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};
use serde_json::Value;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;

use crate::client::report;
use crate::client::table;
use crate::client::view::View;
use crate::clock::Now;
use crate::error::{CliError, ExitCode};
use crate::home::HermesHome;
use crate::visible;
use crate::world::World;

/// Between two looks.
const EVERY: Duration = Duration::from_secs(1);

/// Shows the page until `q`, Ctrl-C, SIGTERM, or until its reader is gone.
///
/// # Errors
/// When the settings are broken while no gateway runs, or the output cannot be written.
pub async fn run(world: &World, home: &HermesHome, json: bool) -> Result<ExitCode, CliError> {
    let mut signals = Signals::new()?;
    let mut page = Page::new(world, json);
    let mut ticks = tokio::time::interval(EVERY);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
    let mut last = None;
    loop {
        tokio::select! {
            _ = ticks.tick() => {
                let (world, home) = (world.clone(), home.clone());
                let look = move || report::view(&world, &home);
                let seen = tokio::task::spawn_blocking(look)
                    .await
                    .map_err(|_| CliError::failed("checking the gateway failed unexpectedly"))?;
                let view = match seen {
                    Ok(view) => view,
                    // While settings are being edited, the page stays as it is.
                    Err(_) if last.is_some() => continue,
                    Err(error) => return Err(error),
                };
                let now = report::exit(&view);
                last = Some(now);
                match page.show(&view) {
                    Ok(()) => {}
                    Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return Ok(now),
                    Err(error) => return Err(CliError::failed("the output cannot be written").because(error)),
                }
            }
            () = page.quit_key() => return Ok(last.unwrap_or(ExitCode::NotRunning)),
            exit = signals.next() => return Ok(exit),
        }
    }
}

/// The content of the screen.
struct Page {
    json: bool,
    look: table::Look,
    /// The document that was printed last, where no terminal is.
    printed: Option<Value>,
    screen: Option<Screen>,
}

struct Screen {
    term: Term,
    /// Lines of the page that is shown.
    lines: usize,
    keys: mpsc::Receiver<()>,
    found: Option<Termios>,
}

impl Page {
    fn new(world: &World, json: bool) -> Self {
        let is_screen = world.stdout_tty && !json && world.var("TERM") != Some("dumb");
        Self {
            json,
            look: report::look(world),
            printed: None,
            screen: is_screen.then(|| Screen::take(world)),
        }
    }

    fn show(&mut self, view: &View) -> io::Result<()> {
        let look = match &self.screen {
            // Lines that are drawn over must not break by themselves.
            Some(screen) => table::Look { width: screen.size().1.saturating_sub(1).max(1), ..self.look },
            None => self.look,
        };
        let page = table::platform_status(view, Now::read().wall, look);
        if let Some(screen) = &mut self.screen {
            return screen.draw(&visible::page(&page));
        }
        let document = view.to_json();
        if self.printed.as_ref().is_some_and(|printed| lasting(printed) == lasting(&document)) {
            return Ok(());
        }
        let mut stdout = io::stdout().lock();
        if self.json {
            writeln!(stdout, "{}", visible::page(&document.to_string()))?;
        } else {
            writeln!(stdout, "{}", visible::page(&page))?;
        }
        self.printed = Some(document);
        stdout.flush()
    }

    async fn quit_key(&mut self) {
        let key = match &mut self.screen {
            Some(screen) => screen.keys.recv().await,
            None => None,
        };
        // Without a keyboard no key is pressed.
        if key.is_none() {
            std::future::pending::<()>().await;
        }
    }
}

/// The document without what changes by itself.
fn lasting(document: &Value) -> Value {
    let mut document = document.clone();
    document["updated_at"] = Value::Null;
    if let Some(platforms) = document["platforms"].as_object_mut() {
        for platform in platforms.values_mut() {
            platform["proof_age_s"] = Value::Null;
        }
    }
    document
}

impl Screen {
    fn take(world: &World) -> Self {
        let stdin = io::stdin();
        let found = if world.stdin_tty && stdin.is_terminal() { tcgetattr(&stdin).ok() } else { None };
        let (pressed, keys) = mpsc::channel(1);
        if let Some(found) = &found {
            let mut raw = found.clone();
            // Ctrl-C stays a signal.
            raw.local_modes.remove(LocalModes::ICANON | LocalModes::ECHO);
            // A keyboard that cannot be set up ends it by Ctrl-C only.
            tcsetattr(&stdin, OptionalActions::Now, &raw).ok();
            // The thread ends with the process: a read cannot be interrupted.
            std::thread::spawn(move || {
                let is_quit = |byte: &u8| matches!(byte, b'q' | b'Q');
                if io::stdin().lock().bytes().map_while(Result::ok).any(|byte| is_quit(&byte)) {
                    pressed.blocking_send(()).ok();
                }
            });
        }
        let term = Term::stdout();
        drop(term.hide_cursor());
        Self { term, lines: 0, keys, found }
    }

    /// Rows and columns at this moment.
    fn size(&self) -> (usize, usize) {
        self.term.size_checked().map_or((24, 80), |(rows, cols)| (usize::from(rows), usize::from(cols)))
    }

    /// Draws over the page before. What does not fit is left out: a page that scrolls cannot be drawn over.
    fn draw(&mut self, page: &str) -> io::Result<()> {
        let (rows, cols) = self.size();
        let hint = if self.found.is_some() { "\nPress q to quit.\n" } else { "" };
        let page = format!("{page}{hint}");
        let lines: Vec<_> = page
            .lines()
            .take(rows.saturating_sub(1).max(1))
            .map(|line| console::truncate_str(line, cols.saturating_sub(1).max(1), ""))
            .collect();
        let mut text = String::new();
        if self.lines > 0 {
            text.push_str(&format!("\x1b[{}A\r", self.lines));
        }
        for line in &lines {
            text.push_str(line);
            text.push_str("\x1b[K\n");
        }
        text.push_str("\x1b[J");
        self.lines = lines.len();
        self.term.write_str(&text)?;
        self.term.flush()
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        drop(self.term.show_cursor());
        if let Some(found) = &self.found {
            tcsetattr(io::stdin(), OptionalActions::Now, found).ok();
        }
    }
}

struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    fn new() -> Result<Self, CliError> {
        let of = |kind| {
            signal(kind).map_err(|error| CliError::failed("signals cannot be received").because(error))
        };
        Ok(Self { interrupt: of(SignalKind::interrupt())?, terminate: of(SignalKind::terminate())? })
    }

    async fn next(&mut self) -> ExitCode {
        tokio::select! {
            _ = self.interrupt.recv() => ExitCode::Interrupted,
            _ = self.terminate.recv() => ExitCode::Interrupted,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_changes_by_itself_is_no_change() {
        let of = |at: &str, age: u64, state: &str| json!({"updated_at": at, "platforms": {"whatsapp": {"state": state, "proof_age_s": age}}});
        assert_eq!(lasting(&of("1", 1, "connected")), lasting(&of("2", 5, "connected")));
        assert_ne!(lasting(&of("1", 1, "connected")), lasting(&of("1", 1, "retrying")));
    }
}
