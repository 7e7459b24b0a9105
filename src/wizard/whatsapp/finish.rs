//! The end of the WhatsApp wizard: proof, one write, and the way on.

use crate::config::{AllowList, WhatsAppMode};
use crate::durable::{Lock, create_private_dir};
use crate::env_file::EnvFile;
use crate::error::CliError;
use crate::pairing::{Me, Pairing};
use crate::platforms::Platform;
use crate::preflight::Facts;
use crate::wizard::changes::{ChangeSet, mode_word};
use crate::wizard::runner::End;
use crate::wizard::running;
use crate::wizard::ui::Question;
use crate::wizard::ui::event::WizardEvent;
use crate::wizard::ui::layout;
use crate::wizard::ui::layout::Line;
use crate::wizard::whatsapp::ask::check_people;
use crate::wizard::whatsapp::numbers::{parse_allow, show_allow, show_number};
use crate::wizard::whatsapp::pair::show_me;
use crate::wizard::whatsapp::session;
use crate::wizard::whatsapp::setup::Setup;

impl Setup<'_> {
    /// Proof, one write, and the way on. Returns whether the gateway is to be started.
    pub(super) async fn finish(&mut self, facts: &Facts) -> Result<bool, End> {
        let me = self.proof()?;
        self.mind_own_number(&me, facts).await?;
        if self.cancel.is_cancelled() {
            return Err(End::Cancelled);
        }
        let changes = self.commit()?;
        changes.takes_effect(&self.config.of_process)?;
        changes.reaches_gateway(&running::shadowed(self.home))?;
        self.ui.event(&WizardEvent::Enabled { me: me.clone() });
        self.summarise(&me, facts);
        if let Some(starts) = self.options.start {
            return Ok(starts && !self.gateway_runs());
        }
        let asks = self.options.offers_start && self.ui.can_ask() && !self.gateway_runs();
        if !asks || self.options.yes {
            return Ok(asks);
        }
        self.ui.say(Line::Gap);
        self.confirm("Start the gateway now?", true).await
    }

    /// The credentials on disk, read again at this moment, are a pairing.
    pub(super) fn proof(&self) -> Result<Me, CliError> {
        match session::read_verdict(&self.home.whatsapp()) {
            Ok(Pairing::Paired { me }) => Ok(me),
            Ok(Pairing::Unpaired | Pairing::HalfPaired | Pairing::Corrupt { .. }) => {
                Err(CliError::failed("the phone was linked, but its credentials are not on disk")
                    .code("whatsapp_not_paired")
                    .hint("Run `hermes doctor`, then `hermes whatsapp` again."))
            }
            Err(error) => Err(CliError::failed("the saved session cannot be read")
                .code("whatsapp_creds_corrupt")
                .hint("Check the owner and mode of the session folder; `hermes doctor` shows its path.")
                .because(error)),
        }
    }

    /// People list the bot's own number by mistake; no one writes from there.
    pub(super) async fn mind_own_number(&mut self, me: &Me, facts: &Facts) -> Result<(), End> {
        let now = self.answers.over(facts);
        let AllowList::Only(numbers) = now.allowed else { return Ok(()) };
        let own = me.number();
        if now.mode != Some(WhatsAppMode::Bot) || !numbers.iter().any(|number| number == own) {
            return Ok(());
        }
        // A list that stands beside others in `.env` for long is not asked about at every run.
        if !self.paired_now && self.answers.allowed.is_none() && numbers.len() > 1 {
            return Ok(());
        }
        let others: Vec<String> = numbers.into_iter().filter(|number| number != own).collect();
        self.ui.say(Line::Gap);
        self.ui.say(Line::Warn(format!(
            "{} is the agent's own number. List the number you write from instead.",
            show_number(own)
        )));
        if self.ui.can_ask() && !self.options.yes {
            let question = Question {
                prompt: "Numbers that can write to it".to_owned(),
                initial: others.join(", "),
                check: check_people,
            };
            let allowed = parse_allow(&self.input(&question).await?).expect("the question checks it");
            if allowed == AllowList::Everybody && !self.confirm_everybody().await? {
                return Err(End::Cancelled);
            }
            self.answers.allowed = Some(allowed);
            return Ok(());
        }
        self.ui.say(Line::Warn(if others.is_empty() {
            "It was removed from the list. The list is now empty, so no one is answered. Run `hermes whatsapp --allow NUMBERS`."
                .to_owned()
        } else {
            "It was removed from the list.".to_owned()
        }));
        self.answers.allowed =
            Some(if others.is_empty() { AllowList::Nobody } else { AllowList::Only(others) });
        Ok(())
    }

    /// The only write to `.env`.
    pub(super) fn commit(&mut self) -> Result<ChangeSet, CliError> {
        let path = self.home.env_file();
        let failed = |error: Box<dyn std::error::Error + Send + Sync>| {
            CliError::failed(format!("the settings in {} cannot be written", path.display()))
                .code("env_not_written")
                .hint("The phone is linked. Fix the file or its folder, then run `hermes whatsapp` again.")
                .because(error)
        };
        create_private_dir(self.home.root()).map_err(|error| failed(error.into()))?;
        let mut env = EnvFile::load(&path).map_err(|error| failed(error.into()))?;
        let changes = ChangeSet::of_whatsapp(&env, self.answers.mode, self.answers.allowed.as_ref());
        changes.apply(&mut env).map_err(|error| failed(error.into()))?;
        env.save(&path).map_err(|error| failed(error.into()))?;
        self.committed = true;
        Ok(changes)
    }

    pub(super) fn gateway_runs(&self) -> bool {
        matches!(Lock::holder(&self.home.lock_file()), Ok(Some(_)))
    }

    pub(super) fn summarise(&mut self, me: &Me, facts: &Facts) {
        let facts = self.answers.over(facts);
        let mode = facts.mode.unwrap_or(WhatsAppMode::Bot);
        let answered = match (mode, &facts.allowed) {
            (WhatsAppMode::SelfChat, _) => "you, in the chat with yourself".to_owned(),
            (WhatsAppMode::Bot, AllowList::Nobody) => "no one".to_owned(),
            (WhatsAppMode::Bot, AllowList::Everybody | AllowList::Only(_)) => show_allow(&facts.allowed),
        };
        let settings = self.home.env_file().display().to_string();
        let mut lines = vec![
            Line::Gap,
            Line::Done("WhatsApp is ready.".to_owned()),
            Line::Gap,
            layout::entry("Linked as", &show_me(me)),
            layout::entry("Mode", mode_word(mode)),
            layout::entry("Answers", &answered),
            layout::entry("Settings", &settings),
            Line::Gap,
        ];
        if self.config.platform(Platform::Whatsapp).is_turned_off() {
            lines.push(Line::Warn(
                "gateway.toml has `enabled = false` under `[platforms.whatsapp]`. Remove it to turn WhatsApp on."
                    .to_owned(),
            ));
            lines.push(Line::Gap);
        }
        if self.gateway_runs() {
            lines.push(layout::text("The gateway is running and connects by itself."));
        } else {
            lines.push(layout::entry("hermes gateway run", "start answering"));
        }
        lines.push(layout::entry("hermes platform status", "check status"));
        lines.push(layout::entry("hermes whatsapp", "change any of this"));
        lines.into_iter().for_each(|line| self.ui.say(line));
    }
}
