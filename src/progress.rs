//! The line that a long wait leaves on a terminal while it lasts.

use std::time::{Duration, Instant};

use console::Term;

use crate::world::World;

/// The shortest wait that is shown.
const SPOKEN_OF_AFTER: Duration = Duration::from_secs(1);

/// Interval between two lines on a screen where a line cannot be removed.
const LINE_EVERY: Duration = Duration::from_secs(10);

/// The line of a wait, removed when this is dropped. Without a terminal there is none.
#[derive(Debug)]
pub struct Progress {
    term: Option<Term>,
    /// True when a line can be written over.
    redraws: bool,
    begun: Instant,
    shown: Option<Instant>,
    dots: &'static str,
}

impl Progress {
    /// Makes the line of a wait that began at this moment.
    pub fn new(world: &World, begun: Instant) -> Self {
        let redraws = world.var("TERM") != Some("dumb");
        let dots = if world.is_utf8() { "…" } else { "..." };
        Self { term: world.stderr_tty.then(Term::stderr), redraws, begun, shown: None, dots }
    }

    /// Shows the wait's present subject.
    pub fn show(&mut self, now: Instant, what: &str) {
        let Some(term) = &self.term else { return };
        let waited = now.saturating_duration_since(self.begun);
        let is_due = self.shown.is_none_or(|shown| self.redraws || now >= shown + LINE_EVERY);
        if waited >= SPOKEN_OF_AFTER && is_due {
            self.shown = Some(now);
            let line = format!("{what} {} {} s", self.dots, waited.as_secs());
            // A terminal that is gone needs no line.
            if self.redraws {
                drop(term.clear_line());
                drop(term.write_str(&line));
            } else {
                drop(term.write_line(&line));
            }
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some(term) = self.term.as_ref().filter(|_| self.redraws && self.shown.is_some()) {
            drop(term.clear_line());
        }
    }
}
