//! `--json`: events on stdout, one a line; nothing is asked and nothing else is said.

use std::io::Write;

use async_trait::async_trait;

use crate::bridge::install::Progress;
use crate::wizard::event::WizardEvent;
use crate::wizard::layout::Line;
use crate::wizard::qr::Size;
use crate::wizard::ui::{Choice, Frame, Question, Stop, Ui};

/// Writes events.
pub struct JsonUi {
    out: Box<dyn Write + Send>,
}

impl JsonUi {
    /// Events go to `out`.
    pub fn new(out: impl Write + Send + 'static) -> Self {
        Self { out: Box::new(out) }
    }
}

impl std::fmt::Debug for JsonUi {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("JsonUi")
    }
}

/// A question here is a defect of the flow, which asks [`Ui::can_ask`] first; it is refused, not waited for.
fn refuse<T>() -> Result<T, Stop> {
    Err(Stop::Broken(std::io::Error::other("nothing can be asked with --json")))
}

#[async_trait]
impl Ui for JsonUi {
    fn can_ask(&self) -> bool {
        false
    }

    fn window(&self) -> Option<Size> {
        None
    }

    fn is_utf8(&self) -> bool {
        true
    }

    async fn select(&mut self, _: &Choice) -> Result<usize, Stop> {
        refuse()
    }

    async fn confirm(&mut self, _: &str, _: bool) -> Result<bool, Stop> {
        refuse()
    }

    async fn input(&mut self, _: &Question) -> Result<String, Stop> {
        refuse()
    }

    async fn pause(&mut self, _: &str) -> Result<(), Stop> {
        refuse()
    }

    fn say(&mut self, _: Line) {}

    fn progress(&mut self, _: Option<&Progress>) {}

    fn code(&mut self, _: Option<&Frame>) {}

    fn event(&mut self, event: &WizardEvent) {
        // A reader that went away is no reason to leave a pairing half done.
        let written = self.out.write_all(event.line().as_bytes()).and_then(|()| self.out.flush());
        drop(written);
    }
}
