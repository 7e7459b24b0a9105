//! The runner of every wizard: the signals that end it, its outcome, and the words at its end.

use futures_util::FutureExt as _;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::error::{CliError, ExitCode};
use crate::wizard::ui::event::WizardEvent;
use crate::wizard::ui::layout::{Line, text};
use crate::wizard::ui::{Stop, Ui};

/// The end of the wizard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Outcome {
    /// The exit code; the reason was already shown.
    pub exit: ExitCode,
    /// The person wants the gateway to run now.
    pub start_gateway: bool,
}

/// The signals that end a command with questions. The terminal's own Ctrl-C arrives here too: the keyboard raises it. One for the
/// whole command: a signal that comes between two of its wizards ends the next.
#[derive(Debug)]
pub struct Interrupts {
    int: Signal,
    term: Signal,
    hup: Signal,
}

impl Interrupts {
    /// Listens from now on. Needs a runtime.
    ///
    /// # Errors
    /// When signals cannot be awaited.
    pub fn listen() -> Result<Self, CliError> {
        let listen = || {
            Ok(Self {
                int: signal(SignalKind::interrupt())?,
                term: signal(SignalKind::terminate())?,
                hup: signal(SignalKind::hangup())?,
            })
        };
        listen().map_err(|error: std::io::Error| CliError::failed("signals cannot be awaited").because(error))
    }

    /// Runs a wizard to its end; the first signal cancels it.
    pub(crate) async fn over(
        &mut self,
        cancel: &CancellationToken,
        running: impl Future<Output = Outcome>,
    ) -> Outcome {
        let mut running = std::pin::pin!(running);
        loop {
            tokio::select! {
                biased;
                outcome = &mut running => return outcome,
                // The second time nothing is waited for; what is dropped ends its processes.
                () = self.next() => if cancel.is_cancelled() {
                    return Outcome { exit: ExitCode::Interrupted, start_gateway: false };
                } else {
                    cancel.cancel();
                },
            }
        }
    }

    /// True when a signal came since the last look.
    pub fn came(&mut self) -> bool {
        self.next().now_or_never().is_some()
    }

    pub(crate) async fn next(&mut self) {
        tokio::select! {
            _ = self.int.recv() => {}
            _ = self.term.recv() => {}
            _ = self.hup.recv() => {}
        }
    }
}

/// The end of a run that did not succeed.
#[derive(Debug)]
pub(crate) enum End {
    /// Ctrl-C.
    Cancelled,
    /// No code was scanned in time, and no one is there to ask for another.
    Expired,
    /// It did not work.
    Failed(CliError),
}

impl From<CliError> for End {
    fn from(error: CliError) -> Self {
        Self::Failed(error)
    }
}

impl From<Stop> for End {
    fn from(stop: Stop) -> Self {
        match stop {
            Stop::Cancelled => Self::Cancelled,
            Stop::Broken(error) => Self::Failed(unusable(error)),
        }
    }
}

/// The failure of a terminal that cannot be used for questions.
pub(crate) fn unusable(error: std::io::Error) -> CliError {
    CliError::failed("the terminal cannot be used for questions").because(error)
}

/// The words at the end of a run that did not succeed.
pub(crate) struct Closing {
    /// The words about what it leaves behind.
    pub(crate) words: &'static str,
    /// The settings are written.
    pub(crate) is_committed: bool,
    /// The words about what did not come in time, and the remedy.
    pub(crate) expired: [&'static str; 2],
}

/// Shows how a run ended and says what it leaves.
pub(crate) fn show_end(ui: &mut dyn Ui, end: &End, closing: &Closing) -> Outcome {
    let Closing { words, is_committed, expired: [expired, again] } = closing;
    let exit = match end {
        End::Cancelled => {
            ui.say(Line::Gap);
            ui.say(text(&format!("Stopped. {words}")));
            // With the settings written the last event was `enabled`, and nothing follows that.
            if !is_committed {
                ui.event(&WizardEvent::Cancelled);
            }
            ExitCode::Interrupted
        }
        End::Expired => {
            ui.say(Line::Gap);
            ui.say(Line::Fail((*expired).to_owned()));
            ui.say(text(&format!("{words} {again}")));
            let message = expired.trim_end_matches('.').to_owned();
            ui.event(&WizardEvent::Expired { message, fix: (*again).to_owned() });
            ExitCode::Failed
        }
        End::Failed(error) => {
            ui.failure(error);
            // After the settings are written, the only failure is that they have no effect.
            let saved = "The settings are saved in .env.";
            ui.say(text(if *is_committed { saved } else { words }));
            ui.event(&WizardEvent::failed(error));
            error.exit()
        }
    };
    Outcome { exit, start_gateway: false }
}
