//! `--json`: events on stdout, one a line; nothing is asked and nothing else is said.

use std::io::Write;

use async_trait::async_trait;

use crate::bridge::install::Progress;
use crate::sensitive::Secret;
use crate::wizard::ui::event::WizardEvent;
use crate::wizard::ui::layout::Line;
use crate::wizard::ui::sheet::{Canvas, Page};
use crate::wizard::ui::{Check, Choice, Frame, Paper, Question, Stop, Ui};

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
    Err(Stop::Broken(std::io::Error::other("--json cannot ask questions")))
}

#[async_trait]
impl Ui for JsonUi {
    fn can_ask(&self) -> bool {
        false
    }

    fn paper(&self) -> Paper {
        Paper { window: None, utf8: true, paints: false, is_stdout_shown: false }
    }

    fn canvas(&mut self) -> Option<Canvas> {
        None
    }

    fn page(&mut self, _: Option<&Page>) {}

    fn key(&mut self) -> Option<char> {
        None
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

    async fn secret(&mut self, _: &str, _: Check) -> Result<Secret, Stop> {
        refuse()
    }

    async fn select_many(&mut self, _: &Choice) -> Result<Vec<usize>, Stop> {
        refuse()
    }

    async fn pause(&mut self, _: &str) -> Result<(), Stop> {
        refuse()
    }

    fn say(&mut self, _: Line) {}

    fn progress(&mut self, _: Option<&Progress>) {}

    fn code(&mut self, _: Option<&Frame>) {}

    fn enter_pressed(&mut self) -> bool {
        false
    }

    fn event(&mut self, event: &WizardEvent) {
        // A pairing is finished although the reader went away.
        let written = self.out.write_all(event.line().as_bytes()).and_then(|()| self.out.flush());
        drop(written);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    #[derive(Clone, Default)]
    struct Out(Arc<Mutex<Vec<u8>>>);

    impl Write for Out {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[tokio::test]
    async fn only_events_are_written_and_nothing_is_asked() {
        let out = Out::default();
        let mut ui = JsonUi::new(out.clone());
        ui.say(Line::Title("Connect WhatsApp".to_owned()));
        ui.event(&WizardEvent::Started);
        ui.failure(&crate::error::CliError::failed("it failed"));
        ui.event(&WizardEvent::Cancelled);
        assert!(!ui.can_ask() && ui.confirm("Sure?", true).await.is_err());
        let text = String::from_utf8(out.0.lock().unwrap().clone()).unwrap();
        assert_eq!(text, "{\"event\":\"started\"}\n{\"event\":\"cancelled\"}\n");
    }
}
