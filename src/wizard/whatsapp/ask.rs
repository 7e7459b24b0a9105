//! The questions of the WhatsApp wizard, and those that others ask alike.

use crate::config::{AllowList, WhatsAppMode};
use crate::error::CliError;
use crate::pairing::Me;
use crate::platforms::Platform;
use crate::preflight::Facts;
use crate::wizard::questions::confirm;
use crate::wizard::questions::confirm_everybody;
use crate::wizard::runner::End;
use crate::wizard::running;
use crate::wizard::ui::layout;
use crate::wizard::ui::layout::Line;
use crate::wizard::ui::{Choice, Question};
use crate::wizard::whatsapp::flow::{Chapter, RELINK, SessionAnswer};
use crate::wizard::whatsapp::numbers::parse_allow;
use crate::wizard::whatsapp::pair::show_me;
use crate::wizard::whatsapp::setup::Setup;
use crate::wizard::whatsapp::texts;

impl Setup<'_> {
    pub(super) async fn select(&mut self, choice: &Choice) -> Result<usize, End> {
        let cancel = self.cancel;
        tokio::select! {
            biased;
            () = cancel.cancelled() => Err(End::Cancelled),
            picked = self.ui.select(choice) => Ok(picked?),
        }
    }

    pub(super) async fn confirm(&mut self, prompt: &str, default: bool) -> Result<bool, End> {
        confirm(self.ui, self.cancel, prompt, default).await
    }

    pub(super) async fn input(&mut self, question: &Question) -> Result<String, End> {
        let cancel = self.cancel;
        tokio::select! {
            biased;
            () = cancel.cancelled() => Err(End::Cancelled),
            text = self.ui.input(question) => Ok(text?),
        }
    }

    pub(super) async fn ask_keep(&mut self, me: &Me) -> Result<(), End> {
        self.ui.say(Line::Gap);
        self.ui.say(Line::Done(format!("WhatsApp is linked as {}.", show_me(me))));
        self.ui.say(Line::Gap);
        if !self.ui.can_ask() {
            self.answers.session = Some(SessionAnswer::Keep);
            return Ok(());
        }
        let choice = Choice {
            prompt: "Keep this link?".to_owned(),
            items: vec![
                "Yes, keep everything".to_owned(),
                "Yes, but change the mode or who can write".to_owned(),
                "No, link again".to_owned(),
            ],
            default: 0,
        };
        match self.select(&choice).await? {
            0 => self.answers.session = Some(SessionAnswer::Keep),
            1 => {
                self.answers.session = Some(SessionAnswer::Keep);
                self.ask_again().await?;
            }
            _ => self.answers.session = Some(SessionAnswer::Replace),
        }
        Ok(())
    }

    /// Asks for the mode and the people although both are set.
    pub(super) async fn ask_again(&mut self) -> Result<(), End> {
        self.ui.say(texts::step(Chapter::Mode));
        self.choose_mode().await?;
        self.ui.say(texts::step(Chapter::People));
        self.chapter = Chapter::People as usize;
        self.choose_allowed(self.answers.mode.unwrap_or(WhatsAppMode::Bot), &[]).await
    }

    pub(super) async fn ask_replace(&mut self, why: &str) -> Result<(), End> {
        self.ui.say(Line::Warn(format!("The saved session cannot be used: {why}.")));
        self.ui
            .say(layout::text("A phone must be linked again. The old folder is moved aside, not deleted."));
        self.ui.say(Line::Gap);
        if self.options.yes || self.confirm("Move it aside and link again?", true).await? {
            self.answers.session = Some(SessionAnswer::Replace);
            return Ok(());
        }
        Err(End::Cancelled)
    }

    /// `--yes` takes the default here as everywhere, and the default is to keep what works.
    pub(super) async fn ask_relink(&mut self, me: &Me, facts: &Facts) -> Result<(), End> {
        self.ui.say(Line::Gap);
        self.ui.say(Line::Warn(format!("This machine is linked as {}.", show_me(me))));
        texts::about_relinking(facts.passkey_required).into_iter().for_each(|line| self.ui.say(line));
        if self.options.yes {
            return Err(CliError::usage("this would replace a link that may still work")
                .hint(format!("Add {RELINK}."))
                .into());
        }
        if !self.confirm("Replace this link?", false).await? {
            return Err(End::Cancelled);
        }
        self.answers.relink = true;
        Ok(())
    }

    pub(super) async fn choose_mode(&mut self) -> Result<(), End> {
        if self.options.yes {
            self.answers.mode = texts::MODES.first().copied();
            return Ok(());
        }
        texts::about_modes().into_iter().for_each(|line| self.ui.say(line));
        let current =
            self.config.whatsapp.mode.and_then(|mode| texts::MODES.iter().position(|known| *known == mode));
        let mut items = texts::MODE_ITEMS.map(str::to_owned).to_vec();
        if let Some(item) = current.and_then(|at| items.get_mut(at)) {
            item.push_str(" (current)");
        }
        let choice = Choice {
            prompt: "Which WhatsApp number will the agent use?".to_owned(),
            items,
            default: current.unwrap_or(0),
        };
        let picked = self.select(&choice).await?;
        self.answers.mode = texts::MODES.get(picked).copied();
        Ok(())
    }

    pub(super) async fn choose_allowed(&mut self, mode: WhatsAppMode, rejects: &[String]) -> Result<(), End> {
        if !self.ui.can_ask() {
            self.answers.allowed_stays = true;
            return Ok(());
        }
        if self.options.yes && mode == WhatsAppMode::SelfChat {
            // The default is what is there.
            (self.answers.allowed, self.answers.allowed_stays) = (None, true);
            return Ok(());
        }
        if !rejects.is_empty() {
            self.ui
                .say(Line::Warn(format!("Not a phone number in the list so far: {}.", rejects.join(", "))));
        }
        texts::about_people(mode).into_iter().for_each(|line| self.ui.say(line));
        running::about_ignored(self.home, Platform::Whatsapp).into_iter().for_each(|line| self.ui.say(line));
        let initial = match &self.config.access(Platform::Whatsapp).allowed {
            AllowList::Only(numbers) => numbers.join(", "),
            AllowList::Nobody | AllowList::Everybody => String::new(),
        };
        let question = match mode {
            WhatsAppMode::Bot => {
                Question { prompt: "Numbers that can write to it".to_owned(), initial, check: check_people }
            }
            WhatsAppMode::SelfChat => {
                Question { prompt: texts::others_prompt(!initial.is_empty()), initial, check: check_others }
            }
        };
        loop {
            let text = self.input(&question).await?;
            let allowed = read_people(&text, mode).expect("the question checks it");
            if allowed != AllowList::Everybody || self.confirm_everybody().await? {
                if mode == WhatsAppMode::SelfChat {
                    self.ui.say(texts::answered_others(&allowed));
                }
                self.answers.allowed = Some(allowed);
                return Ok(());
            }
        }
    }

    pub(super) async fn confirm_everybody(&mut self) -> Result<bool, End> {
        confirm_everybody(self.ui, self.cancel, texts::EVERYBODY_WARNING).await
    }
}

pub(super) fn check_people(text: &str) -> Result<(), String> {
    match parse_allow(text) {
        Ok(AllowList::Nobody) => Err("Enter at least one number.".to_owned()),
        Ok(AllowList::Only(_) | AllowList::Everybody) => Ok(()),
        Err(wrong) => Err(wrong.join(" ")),
    }
}

fn check_others(text: &str) -> Result<(), String> {
    read_people(text, WhatsAppMode::SelfChat).map(drop).map_err(|wrong| wrong.join(" "))
}

/// The answer about people. Beside your own number the list may be empty, and a line that Enter leaves as it is cannot say that.
fn read_people(text: &str, mode: WhatsAppMode) -> Result<AllowList, Vec<String>> {
    match mode {
        WhatsAppMode::SelfChat if text.trim().eq_ignore_ascii_case(texts::NO_OTHERS) => Ok(AllowList::Nobody),
        WhatsAppMode::SelfChat | WhatsAppMode::Bot => parse_allow(text),
    }
}
