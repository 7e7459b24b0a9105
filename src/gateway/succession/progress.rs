//! The line that a long wait leaves on a terminal while it lasts.

use std::time::{Duration, Instant};

use console::Term;

use crate::world::World;

/// A wait shorter than this is not spoken of.
const SPOKEN_OF_AFTER: Duration = Duration::from_secs(1);

/// It is taken away when this is dropped. Without a terminal there is none.
#[derive(Debug)]
pub struct Progress {
    term: Option<Term>,
    begun: Instant,
    is_shown: bool,
    dots: &'static str,
}

impl Progress {
    /// Of a wait that began at this moment.
    pub fn new(world: &World, begun: Instant) -> Self {
        let is_screen = world.stderr_tty && world.var("TERM") != Some("dumb");
        let dots = if world.is_utf8() { "…" } else { "..." };
        Self { term: is_screen.then(Term::stderr), begun, is_shown: false, dots }
    }

    /// What it waits for at this moment.
    pub fn show(&mut self, now: Instant, what: &str) {
        let Some(term) = &self.term else { return };
        let waited = now.saturating_duration_since(self.begun);
        if waited >= SPOKEN_OF_AFTER {
            self.is_shown = true;
            // A terminal that is gone is nobody's loss.
            drop(term.clear_line());
            drop(term.write_str(&format!("{what} {} {} s", self.dots, waited.as_secs())));
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some(term) = self.term.as_ref().filter(|_| self.is_shown) {
            drop(term.clear_line());
        }
    }
}
