//! One run of the WhatsApp wizard: looks, takes the next step, looks again.

use tokio_util::sync::CancellationToken;

use crate::clock::Now;
use crate::config::{Config, WhatsAppMode};
use crate::error::{CliError, ExitCode};
use crate::home::HermesHome;
use crate::pairing::Pairing;
use crate::preflight::{Facts, Finding};
use crate::wizard::changes::shadows;
use crate::wizard::questions::allowed_by_flags;
use crate::wizard::questions::refuse_to_guess;
use crate::wizard::runner::Outcome;
use crate::wizard::runner::{End, show_end};
use crate::wizard::ui::Ui;
use crate::wizard::ui::layout::Line;
use crate::wizard::whatsapp::failures;
use crate::wizard::whatsapp::flow::{Answers, Chapter, SessionAnswer, Step, missing_flags, next};
use crate::wizard::whatsapp::hands::Hands;
use crate::wizard::whatsapp::numbers::{parse_allow, parse_number, show_allow};
use crate::wizard::whatsapp::options::{QrStyle, WhatsAppOptions};
use crate::wizard::whatsapp::run::Remains;
use crate::wizard::whatsapp::session::{self, Aside};
use crate::wizard::whatsapp::texts;

/// The settings that this wizard writes.
const SETTINGS: [&str; 4] =
    ["WHATSAPP_MODE", "WHATSAPP_ALLOWED_USERS", "WHATSAPP_ALLOW_ALL_USERS", "WHATSAPP_ENABLED"];

/// One run.
pub(crate) struct Setup<'a> {
    pub(super) home: &'a HermesHome,
    pub(super) config: &'a Config,
    pub(super) options: WhatsAppOptions,
    pub(super) ui: &'a mut dyn Ui,
    pub(super) hands: &'a dyn Hands,
    pub(super) cancel: &'a CancellationToken,
    pub(super) answers: Answers,
    /// The last visible step that was shown.
    pub(super) chapter: usize,
    /// The session that a new pairing is to replace.
    pub(super) replaced: Option<Aside>,
    pub(super) paired_now: bool,
    pub(super) committed: bool,
}

impl<'a> Setup<'a> {
    pub(crate) fn new(
        home: &'a HermesHome,
        config: &'a Config,
        options: WhatsAppOptions,
        ui: &'a mut dyn Ui,
        hands: &'a dyn Hands,
        cancel: &'a CancellationToken,
    ) -> Self {
        Self {
            home,
            config,
            options,
            ui,
            hands,
            cancel,
            answers: Answers::default(),
            chapter: 0,
            replaced: None,
            paired_now: false,
            committed: false,
        }
    }

    /// Runs to the end and shows it.
    pub(crate) async fn run(mut self) -> Outcome {
        match self.steps().await {
            Ok(start_gateway) => Outcome { exit: ExitCode::Ok, start_gateway },
            Err(end) => {
                let remains = self.clean_up();
                show_end(self.ui, &end, &remains.closing())
            }
        }
    }

    async fn steps(&mut self) -> Result<bool, End> {
        self.take_flags()?;
        let mut facts = self.look().await?;
        if !self.ui.can_ask() {
            let missing = missing_flags(&facts, &self.answers, self.options.yes);
            refuse_to_guess("hermes whatsapp", self.options.json, &missing)?;
        }
        texts::opening().into_iter().for_each(|line| self.ui.say(line));
        let shadows = shadows(&SETTINGS, &self.config.of_process);
        shadows.into_iter().for_each(|line| self.ui.say(line));
        let mut last = None;
        loop {
            let step = next(&facts, &self.answers);
            if last.as_ref() == Some(&step) {
                return Err(stuck(&step).into());
            }
            self.show_chapters(&step, &facts);
            if let Step::Finish = step {
                return self.finish(&facts).await;
            }
            self.perform(&step, &facts).await?;
            last = Some(step);
            facts = self.look().await?;
        }
    }

    async fn look(&self) -> Result<Facts, End> {
        tokio::select! {
            biased;
            () = self.cancel.cancelled() => Err(End::Cancelled),
            facts = self.hands.facts() => Ok(facts),
        }
    }

    /// Reads the flags; a mistake in them is shown before anything else happens.
    fn take_flags(&mut self) -> Result<(), CliError> {
        self.answers.mode = self.options.mode;
        let no_list =
            |wrong| CliError::usage("`--allow` contains something that is not a phone number").hints(wrong);
        let listed =
            self.options.allow.as_deref().map(|allow| parse_allow(allow).map_err(no_list)).transpose()?;
        self.answers.allowed =
            allowed_by_flags(listed, self.options.allow_everyone, texts::EVERYBODY_WARNING)?;
        if let Some(number) = &self.options.pairing_code {
            let number = parse_number(number)
                .map_err(|why| CliError::usage("`--pairing-code` needs a phone number").hint(why))?;
            self.options.pairing_code = Some(number);
        }
        if let QrStyle::Png(path) = &self.options.qr
            && path.exists()
        {
            return Err(CliError::usage(format!("{} exists already", path.display())).hint(
                "The picture is removed afterwards, so `--qr png=FILE` takes only the name of a new file.",
            ));
        }
        self.answers.relink = self.options.relink;
        if self.options.repair {
            self.answers.session = Some(SessionAnswer::Replace);
        } else if self.options.yes {
            self.answers.session = Some(SessionAnswer::Keep);
        }
        Ok(())
    }

    /// Shows where the run is: the visible steps before this one that needed nothing, then its heading.
    fn show_chapters(&mut self, step: &Step, facts: &Facts) {
        let Some(chapter) = step.chapter() else { return };
        let number = chapter as usize;
        for settled in Chapter::ALL.into_iter().filter(|at| self.chapter < *at as usize && *at < chapter) {
            self.ui.say(texts::settled(settled, self.settled_words(settled, facts)));
        }
        if self.chapter < number {
            self.ui.say(texts::step(chapter));
            self.chapter = number;
        }
    }

    fn settled_words(&self, chapter: Chapter, facts: &Facts) -> String {
        let facts = self.answers.over(facts);
        match chapter {
            Chapter::Mode => {
                format!("Mode: {}.", facts.mode.map_or("not chosen", texts::mode_words))
            }
            Chapter::People => format!("People: {}.", show_allow(&facts.allowed)),
            Chapter::Bridge => "The bridge is installed.".to_owned(),
            Chapter::Phone => "The phone is linked.".to_owned(),
        }
    }

    async fn perform(&mut self, step: &Step, facts: &Facts) -> Result<(), End> {
        match step {
            Step::Refuse(finding) => Err(refused(finding).into()),
            Step::RefuseLocked { pid } => Err(failures::locked(*pid).into()),
            Step::AskKeep { me } => self.ask_keep(me).await,
            Step::AskReplace { why } => self.ask_replace(why).await,
            Step::AskRelink { me } => self.ask_relink(me, facts).await,
            Step::ChooseMode => self.choose_mode().await,
            Step::ChooseAllowed { rejects } => {
                let mode = self.answers.over(facts).mode;
                self.choose_allowed(mode.unwrap_or(WhatsAppMode::Bot), rejects).await
            }
            Step::InstallBridge => self.install(facts).await,
            Step::MoveAside { word } => self.move_aside(word, facts),
            Step::RestoreCopy => {
                session::restore_copy(&self.home.whatsapp())?;
                self.ui.say(Line::Done(
                    "The saved session was damaged. Its last good copy was restored.".to_owned(),
                ));
                Ok(())
            }
            Step::Pair => self.pair(facts).await,
            Step::Finish => Ok(()),
        }
    }

    /// Puts back what a failed run had moved; says what remains.
    fn clean_up(&mut self) -> Remains {
        let paths = self.home.whatsapp();
        if self.committed {
            return Remains::Everything;
        }
        if let Some(aside) = self.replaced.take() {
            match session::bring_back(&paths, &aside, Now::read().wall) {
                Ok(true) => self.ui.say(Line::Done("The old session was restored.".to_owned())),
                Ok(false) => return Remains::Pairing,
                Err(error) => {
                    self.ui.failure(&error.hint(format!("The old session is in {}.", aside.to.display())));
                }
            }
            return Remains::Nothing;
        }
        let pairing_is_new = self.chapter == Chapter::Phone as usize;
        if pairing_is_new && matches!(session::read_verdict(&paths), Ok(Pairing::Paired { .. })) {
            return Remains::Pairing;
        }
        Remains::Nothing
    }
}

fn refused(finding: &Finding) -> CliError {
    CliError::failed(finding.message.clone()).code(finding.code.as_str()).hint(finding.fix.clone())
}

/// A step was done and is still to be done: going on would ask or install for ever.
fn stuck(step: &Step) -> CliError {
    let what = match step {
        Step::InstallBridge => "the bridge was installed but cannot be found",
        Step::MoveAside { .. } | Step::RestoreCopy => "the session folder keeps changing during the repair",
        Step::Pair => "the phone was linked, but its credentials are not on disk",
        Step::Refuse(_)
        | Step::RefuseLocked { .. }
        | Step::AskKeep { .. }
        | Step::AskReplace { .. }
        | Step::AskRelink { .. }
        | Step::ChooseMode
        | Step::ChooseAllowed { .. }
        | Step::Finish => "the settings do not contain your answers",
    };
    let code = if let Step::Pair = step { "whatsapp_not_paired" } else { "failed" };
    CliError::failed(what).code(code).hint("Run `hermes doctor` to see what is found and where.")
}
