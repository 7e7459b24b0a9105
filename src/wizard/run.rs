//! `hermes whatsapp`: starts the wizard, hears signals, and shows how it ended.

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::config::Config;
use crate::error::{CliError, ExitCode};
use crate::home::HermesHome;
use crate::wizard::event::WizardEvent;
use crate::wizard::hands::Machine;
use crate::wizard::json_ui::JsonUi;
use crate::wizard::layout::Line;
use crate::wizard::options::{AnswerFrom, Outcome, WhatsAppOptions};
use crate::wizard::pair::{Failed, stopped};
use crate::wizard::setup::Setup;
use crate::wizard::term_ui::TermUi;
use crate::wizard::texts;
use crate::wizard::ui::{Stop, Ui};
use crate::world::World;

/// Runs the wizard: `hermes whatsapp`. What went wrong was shown when it returns.
///
/// # Errors
/// Only when signals cannot be awaited.
pub async fn whatsapp(
    world: &World,
    home: &HermesHome,
    mut options: WhatsAppOptions,
) -> Result<Outcome, CliError> {
    let mut interrupts = Interrupts::listen()?;
    // Standard input is the keyboard, where the answer is asked for anyway.
    if !options.json && world.is_interactive() && options.passkey_answer == Some(AnswerFrom::Stdin) {
        options.passkey_answer = None;
    }
    let mut ui: Box<dyn Ui> =
        if options.json { Box::new(JsonUi::new(std::io::stdout())) } else { Box::new(TermUi::new(world)) };
    ui.event(&WizardEvent::Started);
    let config = match Config::load(world, home) {
        Ok(config) => config,
        Err(error) => return Ok(show_end(ui.as_mut(), &End::Failed(error), &Remains::Nothing.closing())),
    };
    let machine = Machine { world: world.clone(), home: home.clone(), config: config.clone() };
    let cancel = CancellationToken::new();
    let setup = Setup::new(home, &config, options, ui.as_mut(), &machine, &cancel);
    Ok(interrupts.over(&cancel, setup.run()).await)
}

/// The signals that end a wizard. The terminal's own Ctrl-C arrives here too: while a key is awaited `console` raises it.
pub(super) struct Interrupts {
    int: Signal,
    term: Signal,
    hup: Signal,
}

impl Interrupts {
    pub(super) fn listen() -> Result<Self, CliError> {
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
    pub(super) async fn over(
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

    pub(super) async fn next(&mut self) {
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

impl From<Failed> for End {
    fn from(failed: Failed) -> Self {
        match failed {
            Failed::Cancelled => Self::Cancelled,
            Failed::Error(error) => Self::Failed(error),
        }
    }
}

impl From<Stop> for End {
    fn from(stop: Stop) -> Self {
        stopped(stop).into()
    }
}

/// The remains of a run that did not succeed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Remains {
    /// Nothing that counts.
    Nothing,
    /// The phone is linked; only the settings are not written.
    Pairing,
    /// Everything: only the question at the end was interrupted.
    Everything,
}

impl Remains {
    pub(super) fn closing(self) -> Closing {
        Closing {
            words: match self {
                Self::Nothing => "No WhatsApp setting was changed.",
                Self::Pairing => {
                    "No setting was changed. The phone is already linked: run `hermes whatsapp` again to finish."
                }
                Self::Everything => "WhatsApp is set up. Start the gateway with `hermes gateway run`.",
            },
            is_committed: self == Self::Everything,
            expired: ["No code was scanned in time.", "Run `hermes whatsapp` again when you have the phone."],
        }
    }
}

/// The words at the end of a run that did not succeed.
pub(super) struct Closing {
    /// The words about what it leaves behind.
    pub(super) words: &'static str,
    /// The settings are written.
    pub(super) is_committed: bool,
    /// The words about what did not come in time, and the remedy.
    pub(super) expired: [&'static str; 2],
}

/// Shows how a run ended and says what it leaves.
pub(super) fn show_end(ui: &mut dyn Ui, end: &End, closing: &Closing) -> Outcome {
    let Closing { words, is_committed, expired: [expired, again] } = closing;
    let exit = match end {
        End::Cancelled => {
            ui.say(Line::Gap);
            ui.say(texts::text(&format!("Stopped. {words}")));
            // With the settings written the last event was `enabled`, and nothing follows that.
            if !is_committed {
                ui.event(&WizardEvent::Cancelled);
            }
            ExitCode::Interrupted
        }
        End::Expired => {
            ui.say(Line::Gap);
            ui.say(Line::Fail((*expired).to_owned()));
            ui.say(texts::text(&format!("{words} {again}")));
            let message = expired.trim_end_matches('.').to_owned();
            ui.event(&WizardEvent::Expired { message, fix: (*again).to_owned() });
            ExitCode::Failed
        }
        End::Failed(error) => {
            ui.failure(error);
            // After the settings are written, the only failure is that they have no effect.
            let saved = "The settings are saved in .env.";
            ui.say(texts::text(if *is_committed { saved } else { words }));
            ui.event(&WizardEvent::failed(error));
            error.exit()
        }
    };
    Outcome { exit, start_gateway: false }
}
