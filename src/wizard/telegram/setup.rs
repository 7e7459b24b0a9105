//! One run of the Telegram wizard: takes the next step until none is left, then writes.

use std::collections::BTreeMap;

use tokio::time::interval;
use tokio_util::sync::CancellationToken;

use crate::config::{AllowList, shadow_remedy};
use crate::durable::{Lock, create_private_dir};
use crate::env_file::EnvFile;
use crate::error::{CliError, ExitCode};
use crate::home::HermesHome;
use crate::platforms::telegram::wire::User;
use crate::platforms::{Platform, number};
use crate::sensitive::Secret;
use crate::token_lock::{TokenLock, TokenLockError, TokenLocks};
use crate::wizard::changes::{ChangeSet, shadows};
use crate::wizard::questions;
use crate::wizard::questions::refuse_to_guess;
use crate::wizard::runner::Outcome;
use crate::wizard::runner::{Closing, End, show_end};
use crate::wizard::running;
use crate::wizard::telegram::failures;
use crate::wizard::telegram::flow::{Answers, Chapter, Facts, Step, missing_flags, next};
use crate::wizard::telegram::options::TelegramOptions;
use crate::wizard::telegram::owner::TICK;
use crate::wizard::telegram::people::{parse_allow, show_allow, shown};
use crate::wizard::telegram::service::{Service, Services};
use crate::wizard::telegram::texts;
use crate::wizard::ui::event::WizardEvent;
use crate::wizard::ui::layout::Line;
use crate::wizard::ui::layout::{entry, text};
use crate::wizard::ui::{Choice, Frame, Question, Ui};

/// The settings that this wizard writes.
const SETTINGS: [&str; 5] = [
    TOKEN,
    "TELEGRAM_ALLOWED_USERS",
    "TELEGRAM_ALLOW_ALL_USERS",
    "TELEGRAM_HOME_CHANNEL",
    "TELEGRAM_ENABLED",
];

const TOKEN: &str = "TELEGRAM_BOT_TOKEN";

/// The number of tokens that may be typed until the service knows one.
const TOKEN_TRIES: u32 = 3;

/// The facts before the wizard began.
pub(crate) struct Found {
    /// The token that is set.
    pub(crate) token: Option<Secret>,
    /// The settings of the environment, which goes before `.env`.
    pub(crate) of_process: BTreeMap<String, Secret>,
    /// The allow list.
    pub(crate) allowed: AllowList,
    /// The chat to which alerts are sent.
    pub(crate) home_channel: Option<String>,
    /// Groups are listed, so that hermes is wanted there.
    pub(crate) wants_groups: bool,
    /// The address to which the service is to bring messages, as the settings say.
    pub(crate) webhook: Option<String>,
    /// `gateway.toml` turns Telegram off.
    pub(crate) is_turned_off: bool,
    /// hermes-agent's `config.yaml` turns Telegram off.
    pub(crate) is_off_in_agent: bool,
    /// The tokens that gateways of this machine use.
    pub(crate) locks: Option<TokenLocks>,
    /// The first line of standard input.
    pub(crate) given: Option<Secret>,
}

/// One run.
pub(crate) struct TelegramSetup<'a> {
    pub(super) home: &'a HermesHome,
    pub(super) found: Found,
    pub(super) options: TelegramOptions,
    pub(super) ui: &'a mut dyn Ui,
    pub(super) services: &'a dyn Services,
    pub(super) cancel: &'a CancellationToken,
    pub(super) answers: Answers,
    /// Of the token that was checked.
    pub(super) service: Option<Box<dyn Service>>,
    /// The gateway of this home receives the bot's messages.
    pub(super) is_at_work: bool,
    /// Held while the wizard receives, so that no gateway begins to.
    pub(super) lock: Option<TokenLock>,
    /// Another program's webhook was removed.
    pub(super) is_unhooked: bool,
    chapter: usize,
    tries: u32,
    committed: bool,
}

impl<'a> TelegramSetup<'a> {
    pub(crate) fn new(
        home: &'a HermesHome,
        found: Found,
        options: TelegramOptions,
        ui: &'a mut dyn Ui,
        services: &'a dyn Services,
        cancel: &'a CancellationToken,
    ) -> Self {
        Self {
            home,
            found,
            options,
            ui,
            services,
            cancel,
            answers: Answers::default(),
            service: None,
            is_at_work: false,
            lock: None,
            is_unhooked: false,
            chapter: 0,
            tries: 0,
            committed: false,
        }
    }

    /// Runs to the end and shows it.
    pub(crate) async fn run(mut self) -> Outcome {
        match self.steps().await {
            Ok(start_gateway) => Outcome { exit: ExitCode::Ok, start_gateway },
            Err(end) => {
                let remains = self.remains();
                show_end(self.ui, &end, &remains.closing())
            }
        }
    }

    fn remains(&self) -> Remains {
        match (self.committed, self.is_unhooked) {
            (true, _) => Remains::Everything,
            (false, true) => Remains::NoWebhook,
            (false, false) => Remains::Nothing,
        }
    }

    fn facts(&self) -> Facts {
        Facts {
            token: self.found.token.clone(),
            allowed: self.found.allowed.clone(),
            home_channel: self.found.home_channel.clone(),
            can_ask: self.ui.can_ask(),
            yes: self.options.yes,
            no_wait: self.options.no_wait,
        }
    }

    async fn steps(&mut self) -> Result<bool, End> {
        self.take_flags()?;
        let facts = self.facts();
        if !facts.can_ask {
            refuse_to_guess("hermes telegram", self.options.json, &missing_flags(&facts, &self.answers))?;
        }
        texts::opening().into_iter().for_each(|line| self.ui.say(line));
        let shadows = shadows(&SETTINGS, &self.found.of_process);
        shadows.into_iter().for_each(|line| self.ui.say(line));
        loop {
            let step = next(&facts, &self.answers);
            if let Some(chapter) = step.chapter()
                && self.chapter < chapter as usize
            {
                self.chapter = chapter as usize;
                self.ui.say(texts::step(chapter));
                match chapter {
                    Chapter::Bot => {}
                    Chapter::People => texts::about_people().into_iter().for_each(|line| self.ui.say(line)),
                }
            }
            match step {
                Step::AskToken => self.ask_token().await?,
                Step::Check => self.check(&facts).await?,
                Step::AskKeep => self.ask_keep().await?,
                Step::Wait => self.wait().await?,
                Step::AskPeople => self.ask_people().await?,
                Step::AskHome => self.ask_home().await?,
                Step::Finish => return self.finish(&facts).await,
            }
        }
    }

    /// Reads the flags; a mistake in them is shown before anything else happens.
    fn take_flags(&mut self) -> Result<(), CliError> {
        if let Some(token) = self.found.given.take() {
            if token.0.is_empty() {
                return Err(CliError::usage("standard input is empty; it must contain the token")
                    .code("telegram_bad_token")
                    .hint("Example: hermes telegram --token-stdin < FILE")
                    .hint("Its first line is the token."));
            }
            texts::check_token(&token.0).map_err(|why| {
                CliError::usage("standard input does not contain a bot token")
                    .code("telegram_bad_token")
                    .hint(why)
            })?;
            // The one that is set already is kept, not given.
            self.answers.token = Some(token).filter(|token| self.found.token.as_ref() != Some(token));
            self.answers.stays = true;
        }
        let no_list = |wrong| CliError::usage("`--allow` contains something that is not an ID").hints(wrong);
        let listed =
            self.options.allow.as_deref().map(|allow| parse_allow(allow).map_err(no_list)).transpose()?;
        self.answers.allowed =
            questions::allowed_by_flags(listed, self.options.allow_everyone, texts::EVERYBODY_WARNING)?;
        if let Some(chat) = &self.options.home_channel {
            let chat = number(chat.trim()).ok_or_else(|| {
                CliError::usage("`--home-channel` needs a chat ID, a whole number")
                    .hint("A direct chat has its person's ID; groups have negative IDs.")
            })?;
            self.answers.home_channel = Some(chat);
        }
        Ok(())
    }

    async fn ask_token(&mut self) -> Result<(), End> {
        if self.tries == 0 {
            texts::about_tokens().into_iter().for_each(|line| self.ui.say(line));
        }
        let cancel = self.cancel;
        let token = tokio::select! {
            biased;
            () = cancel.cancelled() => return Err(End::Cancelled),
            token = self.ui.secret(texts::TOKEN_PROMPT, texts::check_token) => token?,
        };
        self.tries += 1;
        self.answers.token = Some(token).filter(|token| self.found.token.as_ref() != Some(token));
        if self.answers.token.is_none() {
            // It is the one that is set, typed again.
            self.answers.is_replaced = false;
        }
        self.answers.stays = true;
        Ok(())
    }

    async fn check(&mut self, facts: &Facts) -> Result<(), End> {
        let token = self.answers.token(facts).expect("it is asked for first").clone();
        if let Err(why) = texts::check_token(&token.0) {
            // Only the one that is set was not looked at before.
            let error =
                CliError::failed("the token that is set is not a bot token").code("telegram_bad_token");
            return self.refuse_token(error.hint(why), facts);
        }
        let service = self.services.of(&token).map_err(|why| {
            CliError::config(format!("Telegram cannot be reached: {why}"))
                .hint("Correct `[platforms.telegram]` in gateway.toml.")
        })?;
        let (cancel, mut asked) = (self.cancel, service.me());
        let mut tick = interval(TICK);
        let said = loop {
            tokio::select! {
                biased;
                () = cancel.cancelled() => break Err(End::Cancelled),
                said = &mut asked => break Ok(said),
                // Again and again: the program may have been suspended meanwhile.
                _ = tick.tick() => self.ui.code(Some(&asking())),
            }
        };
        drop(asked);
        self.ui.code(None);
        let me = match said? {
            Ok(me) => me,
            Err(fault) if failures::is_bad_token(&fault) => {
                return self.refuse_token(failures::of_fault(&fault), facts);
            }
            Err(fault) => return Err(failures::of_fault(&fault).into()),
        };
        self.take_lock(&token)?;
        self.ui.say(Line::Done(format!("This is {}.", bot_shown(&me))));
        self.ui.event(&WizardEvent::Checked { username: username(&me) });
        self.service = Some(service);
        self.answers.bot = Some(me);
        Ok(())
    }

    /// The token of the environment goes before the one that would be written.
    fn is_token_shadowed(&self) -> bool {
        self.found.of_process.contains_key(TOKEN)
    }

    /// On a terminal it is asked for again, some times. Not in place of one that would still go before it.
    fn refuse_token(&mut self, mut error: CliError, facts: &Facts) -> Result<(), End> {
        if self.is_token_shadowed() && self.answers.token.is_none() {
            error.hints = vec![shadow_remedy(TOKEN)];
            return Err(error.into());
        }
        if !facts.can_ask || facts.yes || self.options.token_stdin || self.tries >= TOKEN_TRIES {
            return Err(error.into());
        }
        self.ui.say(Line::Fail(format!("{}.", upper_first(&error.to_string()))));
        self.ui.say(text(texts::TOKEN_AGAIN));
        self.answers.token = None;
        self.answers.is_replaced = true;
        Ok(())
    }

    /// Two that receive with one token would take each other's messages away.
    fn take_lock(&mut self, token: &Secret) -> Result<(), CliError> {
        self.lock = None;
        self.is_at_work = false;
        let Some(locks) = &self.found.locks else { return Ok(()) };
        match locks.take(Platform::Telegram, &token.0) {
            Ok(lock) => self.lock = Some(lock),
            Err(TokenLockError::Held(Some(holder))) if holder.home == self.home.root() => {
                self.is_at_work = true;
            }
            Err(TokenLockError::Held(holder)) => return Err(failures::locked(holder.as_ref())),
            // The gateway will say it; nothing here depends on it.
            Err(TokenLockError::Io(_)) => {}
        }
        Ok(())
    }

    async fn ask_keep(&mut self) -> Result<(), End> {
        let mut items =
            vec!["Yes, keep everything".to_owned(), "Yes, but change who can write to it".to_owned()];
        if !self.is_token_shadowed() {
            items.push("No, use another bot".to_owned());
        }
        let choice = Choice { prompt: "Keep this bot?".to_owned(), items, default: 0 };
        let cancel = self.cancel;
        let picked = tokio::select! {
            biased;
            () = cancel.cancelled() => return Err(End::Cancelled),
            picked = self.ui.select(&choice) => picked?,
        };
        match picked {
            0 => self.answers.stays = true,
            1 => (self.answers.stays, self.answers.asks_people) = (true, true),
            _ => {
                (self.answers.is_replaced, self.answers.bot) = (true, None);
                (self.service, self.lock) = (None, None);
            }
        }
        Ok(())
    }

    pub(super) async fn ask_people(&mut self) -> Result<(), End> {
        texts::about_ids().into_iter().for_each(|line| self.ui.say(line));
        running::about_ignored(self.home, Platform::Telegram).into_iter().for_each(|line| self.ui.say(line));
        let initial = match &self.found.allowed {
            AllowList::Only(ids) => ids.join(", "),
            AllowList::Nobody | AllowList::Everybody => String::new(),
        };
        let check = |text: &str| parse_allow(text).map(drop).map_err(|wrong| wrong.join(" "));
        let question = Question { prompt: "IDs that can write to it".to_owned(), initial, check };
        let cancel = self.cancel;
        loop {
            let typed = tokio::select! {
                biased;
                () = cancel.cancelled() => return Err(End::Cancelled),
                typed = self.ui.input(&question) => typed?,
            };
            let allowed = parse_allow(&typed).expect("the question checks it");
            if allowed != AllowList::Everybody || self.confirm_everybody().await? {
                self.answers.allowed = Some(allowed);
                return Ok(());
            }
        }
    }

    /// Asks for alerts in the chat of the person who wrote first.
    async fn ask_home(&mut self) -> Result<(), End> {
        self.answers.is_home_asked = true;
        let wants = if self.ui.can_ask() && !self.options.yes {
            self.ui.say(text(texts::ABOUT_ALERTS));
            self.confirm("Send alerts to this chat?", true).await?
        } else {
            true
        };
        if wants {
            self.answers.home_channel = self.answers.owner.map(|chat| chat.to_string());
        }
        Ok(())
    }

    pub(super) async fn confirm(&mut self, prompt: &str, default: bool) -> Result<bool, End> {
        questions::confirm(self.ui, self.cancel, prompt, default).await
    }

    async fn confirm_everybody(&mut self) -> Result<bool, End> {
        questions::confirm_everybody(self.ui, self.cancel, texts::EVERYBODY_WARNING).await
    }

    /// One write, and the way on. Returns whether the gateway is to be started.
    async fn finish(&mut self, facts: &Facts) -> Result<bool, End> {
        if self.cancel.is_cancelled() {
            return Err(End::Cancelled);
        }
        // A running gateway takes the bot up as soon as it is written.
        self.lock = None;
        let changes = self.commit()?;
        changes.takes_effect(&self.found.of_process)?;
        changes.reaches_gateway(&running::shadowed(self.home))?;
        let me = self.answers.bot.clone().expect("it is checked before the end");
        self.ui.event(&WizardEvent::BotEnabled { username: username(&me) });
        self.summarise(&me, facts);
        let runs = self.gateway_runs();
        if let Some(starts) = self.options.start {
            return Ok(starts && !runs);
        }
        let asks = self.options.offers_start && self.ui.can_ask() && !runs;
        if !asks || self.options.yes {
            return Ok(asks);
        }
        self.ui.say(Line::Gap);
        self.confirm("Start the gateway now?", true).await
    }

    /// The only write to `.env`.
    fn commit(&mut self) -> Result<ChangeSet, CliError> {
        let path = self.home.env_file();
        let failed = |error: Box<dyn std::error::Error + Send + Sync>| {
            CliError::failed(format!("the settings in {} cannot be written", path.display()))
                .code("env_not_written")
                .hint("Repair the file or its folder, then run `hermes telegram` again.")
                .because(error)
        };
        create_private_dir(self.home.root()).map_err(|error| failed(error.into()))?;
        let mut env = EnvFile::load(&path).map_err(|error| failed(error.into()))?;
        let Answers { token, allowed, home_channel, .. } = &self.answers;
        let changes = ChangeSet::of_telegram(
            &env,
            token.as_ref(),
            allowed.as_ref(),
            home_channel.as_deref(),
            self.found.is_off_in_agent,
        );
        changes.apply(&mut env).map_err(|error| failed(error.into()))?;
        env.save(&path).map_err(|error| failed(error.into()))?;
        self.committed = true;
        Ok(changes)
    }

    fn gateway_runs(&self) -> bool {
        matches!(Lock::holder(&self.home.lock_file()), Ok(Some(_)))
    }

    fn summarise(&mut self, me: &User, facts: &Facts) {
        let allowed = self.answers.allowed(facts);
        let mut lines = vec![
            Line::Gap,
            Line::Done("Telegram is ready.".to_owned()),
            Line::Gap,
            entry("Bot", &format!("{}, {}", bot_shown(me), link(me))),
            entry("Answers", &show_allow(allowed)),
        ];
        let home_channel = self.answers.home_channel.as_ref().or(facts.home_channel.as_ref());
        lines.extend(home_channel.map(|chat| entry("Alerts", &format!("chat {chat}"))));
        lines.extend([entry("Settings", &self.home.env_file().display().to_string()), Line::Gap]);
        let mut notes = Vec::new();
        if *allowed == AllowList::Nobody {
            notes.push(texts::NOBODY_WARNING);
        }
        if matches!(allowed, AllowList::Only(ids) if ids.iter().any(|id| id.starts_with('-'))) {
            notes.push(texts::CHANNEL_NOTE);
        }
        if self.found.wants_groups && !me.can_read_all_group_messages {
            notes.push(texts::PRIVACY_NOTE);
        }
        if self.found.is_turned_off {
            notes.push(
                "gateway.toml has `enabled = false` under `[platforms.telegram]`. Remove it to turn Telegram on.",
            );
        }
        if !notes.is_empty() {
            lines.extend(notes.into_iter().map(|note| Line::Warn(note.to_owned())));
            lines.push(Line::Gap);
        }
        if self.gateway_runs() {
            lines.push(text("The gateway is running and connects by itself."));
        } else {
            lines.push(entry("hermes gateway run", "start answering, including earlier messages"));
        }
        lines.push(entry("hermes platform status", "check status"));
        lines.push(entry("hermes telegram", "change any of this"));
        lines.into_iter().for_each(|line| self.ui.say(line));
    }
}

/// The remains of a run that did not succeed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Remains {
    /// Nothing.
    Nothing,
    /// Messages wait at the service that were brought to another program before; no setting is written.
    NoWebhook,
    /// Everything: only the question at the end was interrupted.
    Everything,
}

impl Remains {
    /// The words about it.
    pub(super) fn closing(self) -> Closing {
        Closing {
            words: match self {
                Self::Nothing => "No Telegram setting was changed.",
                Self::NoWebhook => {
                    "No Telegram setting was changed, but the webhook is removed. The program that used it must set it again to receive this bot's messages."
                }
                Self::Everything => "Telegram is set up. Start the gateway with `hermes gateway run`.",
            },
            is_committed: self == Self::Everything,
            expired: [
                "No one wrote to the bot in time.",
                "Run `hermes telegram` again when you can write to it.",
            ],
        }
    }
}

fn asking() -> Frame {
    let line = "    Checking the token with Telegram (up to 15 s) …".to_owned();
    Frame { seq: 0, lines: Vec::new(), payload: None, live: line.clone(), fixed: line }
}

/// The bot's name without the `@`. Every bot has one; without, its number stands for it.
pub(super) fn username(me: &User) -> String {
    me.username.as_deref().map(shown).filter(|name| !name.is_empty()).unwrap_or_else(|| me.id.to_string())
}

/// Opens the chat with the bot.
pub(super) fn link(me: &User) -> String {
    format!("https://t.me/{}", username(me))
}

fn bot_shown(me: &User) -> String {
    format!("@{} ({})", username(me), shown(&me.first_name.0))
}

fn upper_first(text: &str) -> String {
    let mut signs = text.chars();
    signs.next().map_or(String::new(), |first| first.to_uppercase().chain(signs).collect())
}
