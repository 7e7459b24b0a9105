//! `hermes whatsapp`: starts the wizard, hears signals, and shows how it ended.

use tokio_util::sync::CancellationToken;

use crate::config::Config;
use crate::home::HermesHome;
use crate::wizard::runner::Closing;
use crate::wizard::runner::End;
use crate::wizard::runner::Interrupts;
use crate::wizard::runner::Outcome;
use crate::wizard::runner::show_end;
use crate::wizard::ui::Ui;
use crate::wizard::ui::event::WizardEvent;
use crate::wizard::ui::json::JsonUi;
use crate::wizard::ui::terminal::TermUi;
use crate::wizard::whatsapp::hands::Machine;
use crate::wizard::whatsapp::options::{AnswerFrom, WhatsAppOptions};
use crate::wizard::whatsapp::setup::Setup;
use crate::world::World;

/// Runs the wizard: `hermes whatsapp`. What went wrong was shown when it returns.
pub async fn whatsapp(
    world: &World,
    home: &HermesHome,
    mut options: WhatsAppOptions,
    interrupts: &mut Interrupts,
) -> Outcome {
    // Standard input is the keyboard, where the answer is asked for anyway.
    if !options.json && world.is_interactive() && options.passkey_answer == Some(AnswerFrom::Stdin) {
        options.passkey_answer = None;
    }
    let mut ui: Box<dyn Ui> =
        if options.json { Box::new(JsonUi::new(std::io::stdout())) } else { Box::new(TermUi::new(world)) };
    ui.event(&WizardEvent::Started);
    let config = match Config::load(world, home) {
        Ok(config) => config,
        Err(error) => return show_end(ui.as_mut(), &End::Failed(error), &Remains::Nothing.closing()),
    };
    let machine = Machine { world: world.clone(), home: home.clone(), config: config.clone() };
    let cancel = CancellationToken::new();
    let setup = Setup::new(home, &config, options, ui.as_mut(), &machine, &cancel);
    interrupts.over(&cancel, setup.run()).await
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
