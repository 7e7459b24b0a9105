//! Settings: `gateway.toml` and `.env` and the process environment, validated into [`Config`].
//!
//! Process environment > `.env` > `gateway.toml` > default. A broken file or a value out of its range ends the start with its
//! line and column; an oddity is a warning.

mod access;
mod agent;
mod file;
mod gateway;
mod hermes_agent;
mod http;
mod names;
mod session;
mod trust;
mod turn;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

pub use access::{AccessConfig, AllowList, DirectPolicy, listed_people, listed_person, mention_pattern};
pub use agent::{AgentConfig, CommandConfig, OpenaiConfig};
use file::{File, Platforms};
pub use gateway::{ExitWhenAllBlocked, GatewayConfig, NotifyConfig, ReconnectConfig};
pub use hermes_agent::{Foreign, ROWS, Row, Standing, standing};
pub use http::{Bind, HttpConfig, is_loopback};
pub use session::{Reset, ResetConfig, SessionConfig};
pub(crate) use trust::check as check_trust;
pub use turn::{AT_ONCE_MAX, Busy, TurnConfig};

use crate::env_file::EnvFile;
use crate::error::CliError;
use crate::home::HermesHome;
use crate::platforms::Platform;
pub use crate::platforms::telegram::{TelegramConfig, WebhookConfig};
use crate::platforms::whatsapp::phone;
pub use crate::platforms::whatsapp::{WhatsAppConfig, WhatsAppMode};
use crate::sensitive::Secret;
pub(crate) use crate::setting::value::duration;
use crate::setting::value::{any, word};
use crate::setting::{Settings, Unset, table};
use crate::world::World;

/// All settings, validated.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// The agent.
    pub agent: AgentConfig,
    /// The end of conversations.
    pub session: SessionConfig,
    /// The gateway itself.
    pub gateway: GatewayConfig,
    /// WhatsApp.
    pub whatsapp: WhatsAppConfig,
    /// The settings that every platform has.
    pub platforms: BTreeMap<Platform, PlatformConfig>,
    /// Telegram.
    pub telegram: TelegramConfig,
    /// Platforms that a test plays: `HERMES_SCRIPTED`, from the environment of the process only.
    pub scripted: Option<ScriptedConfig>,
    /// Oddities that do not prevent starting: unknown keys with their line, unusable lines of `.env`.
    pub warnings: Vec<String>,
    /// Settings of hermes-agent that are set and have no effect here.
    pub foreign: Vec<Foreign>,
    /// Settings of `.env` without effect: the environment of the process says something else.
    pub shadowed: Vec<String>,
    /// The settings that were read from the environment of the process, which wins over `.env`.
    pub of_process: BTreeMap<String, Secret>,
}

table! {
    /// The settings that every platform has.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct PlatformConfig {
        /// `enabled` in its table.
        pub switch: Option<bool> = None, any::<bool>().named("enabled");
        /// False: messages are sent as fast as the platform accepts them.
        pub is_paced: bool = true, word(&[("on", true), ("off", false)]).named("rates");
        /// The interval at which a growing answer is shown, where it is.
        pub stream_every: Option<Duration> = None, Unset;
        /// The people who may write.
        pub access: AccessConfig = AccessConfig::default(), Unset;
        /// `<PLATFORM>_HOME_CHANNEL`: the chat that gets alerts.
        pub home_channel: Option<String> = None, Unset;
    }
}

impl PlatformConfig {
    /// True when `gateway.toml` turns the platform off, whatever else is set.
    pub fn is_turned_off(&self) -> bool {
        self.switch == Some(false)
    }
}

/// Platforms that a test plays; see `gateway::platforms::scripted`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScriptedConfig {
    /// The number of the first.
    pub first: u8,
    /// The number of the last.
    pub last: u8,
    /// The Unix socket on which the test listens.
    pub socket: PathBuf,
}

impl ScriptedConfig {
    /// Parses `COUNT@SOCKET` or `FIRST-LAST@SOCKET`; anything else gives `None`.
    fn parse(text: &str) -> Option<Self> {
        let (numbers, socket) = text.split_once('@')?;
        let (first, last) = numbers.split_once('-').unwrap_or(("1", numbers));
        Some(Self { first: first.parse().ok()?, last: last.parse().ok()?, socket: socket.into() })
    }

    /// Returns these platforms.
    pub fn platforms(&self) -> impl Iterator<Item = Platform> {
        (self.first..=self.last).map_while(Platform::scripted)
    }
}

impl Config {
    /// Reads all settings.
    ///
    /// # Errors
    /// When `gateway.toml` is broken (with line and column), a value is out of its range, or a file cannot be read.
    pub fn load(world: &World, home: &HermesHome) -> Result<Self, CliError> {
        let env_path = home.env_file();
        trust::check(&env_path)?;
        trust::check(&home.config_file())?;
        let env = EnvFile::load(&env_path).map_err(|error| unreadable(&env_path, error))?;
        if let Some(fault) = env.text_fault() {
            let error = CliError::config(format!(".env: {fault}"));
            return Err(error.hint(format!("Save {} as UTF-8 text.", env_path.display())));
        }
        let path = home.config_file();
        let text = match crate::file::read_text(&path, crate::file::SETTINGS_LEN_MAX) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
            Err(error) => return Err(unreadable(&path, error)),
        };
        let agent_config =
            crate::file::read_text(home.root().join("config.yaml"), crate::file::SETTINGS_LEN_MAX);
        // `hermes migrate` and the doctor say it where this file cannot be read.
        let agent_config =
            agent_config.ok().and_then(|text| crate::yaml::read(&text).ok()).unwrap_or_default();
        let settings = Settings {
            has_agent: home.has_hermes_agent(),
            telegram_is_off_in_agent: hermes_agent::turns_telegram_off(&agent_config),
            ..Settings::new(world, &env)
        };
        let read = Self::of(&text, &settings).and_then(|mut config| {
            config.agent.read_files(home)?;
            Ok(config)
        });
        read.map_err(|error| {
            error.hint(format!("Edit {} and try again. `hermes doctor` checks it.", path.display()))
        })
    }

    /// Makes the settings from the text of `gateway.toml` and the named settings.
    fn of(text: &str, settings: &Settings<'_>) -> Result<Self, CliError> {
        settings.warnings.borrow_mut().extend(settings.env.warnings());
        let file = file::read(text, &mut settings.warnings.borrow_mut())?;
        let mut config = Self::named(file, settings);
        let expand = |text: &mut String| {
            if let Some(path) = text.starts_with('~').then(|| settings.world.expand(text)) {
                *text = path.to_string_lossy().into_owned();
            }
        };
        config.agent.words_mut().for_each(expand);
        config.gateway.notify_command.iter_mut().flatten().for_each(expand);
        config.foreign = hermes_agent::foreign(settings);
        let of_names = names::warnings(settings);
        settings.warnings.borrow_mut().extend(of_names);
        config.shadowed = settings.shadowed();
        config.of_process = settings.of_process.take();
        config.warnings = settings.warnings.take();
        Ok(config)
    }

    /// Adds the named settings to those of the file.
    fn named(file: File, settings: &Settings<'_>) -> Self {
        let File { agent, mut session, mut gateway, platforms: Platforms { whatsapp, telegram, scripted } } =
            file;
        let (of_whatsapp, mut whatsapp) = whatsapp;
        let (of_telegram, (growing, mut telegram)) = telegram;
        whatsapp.by_name(of_whatsapp.common.switch, settings);
        telegram.by_name(of_telegram.common.switch, settings);
        gateway.http.bind = http::bind(gateway.http.bind, settings);
        gateway.http.key = http::key(settings);
        session::by_name(&mut session, settings);
        let played = settings.world.var("HERMES_SCRIPTED").and_then(ScriptedConfig::parse);
        let in_play: Vec<Platform> = played.iter().flat_map(ScriptedConfig::platforms).collect();
        let platform = |platform: Platform| {
            let (table, every) = match platform {
                Platform::Whatsapp => (&of_whatsapp, None),
                Platform::Telegram => (&of_telegram, growing.stream_every),
                Platform::Scripted(_) => (&scripted.0, scripted.1.stream_every),
            };
            let is_read = Platform::ALL.contains(&platform) || in_play.contains(&platform);
            let config = PlatformConfig {
                stream_every: platform.spec().stream_every.and_then(|default| every.unwrap_or(Some(default))),
                access: if is_read { access::read(platform, settings) } else { AccessConfig::default() },
                home_channel: home_channel(platform, settings),
                ..table.common.clone()
            };
            (platform, config)
        };
        Self {
            agent: agent.agent(settings),
            session,
            gateway,
            whatsapp,
            telegram,
            platforms: Platform::every().map(platform).collect(),
            scripted: played,
            warnings: Vec::new(),
            foreign: Vec::new(),
            shadowed: Vec::new(),
            of_process: BTreeMap::new(),
        }
    }

    /// Returns the settings of a platform that every one has.
    pub fn platform(&self, platform: Platform) -> &PlatformConfig {
        self.platforms.get(&platform).expect("every platform has its settings")
    }

    /// Returns the same to change.
    pub fn platform_mut(&mut self, platform: Platform) -> &mut PlatformConfig {
        self.platforms.get_mut(&platform).expect("every platform has its settings")
    }

    /// Returns the account of a platform: a message to another account was not for this one. Empty where it is not known from
    /// the settings.
    pub fn account(&self, platform: Platform) -> &str {
        match platform {
            // A token begins with the number of its bot.
            Platform::Telegram => self
                .telegram
                .token
                .as_ref()
                .and_then(|token| token.0.split_once(':'))
                .map_or("", |(bot, _)| bot),
            Platform::Whatsapp | Platform::Scripted(_) => "",
        }
    }

    /// Returns the place of a setting that a person must change, for the end of a remedy. `None`: in `.env`, or nowhere.
    pub fn origin(&self, name: &str) -> Option<String> {
        self.of_process.contains_key(name).then(|| shadow_remedy(name))
    }

    /// Returns the notes about the settings for the log of a start: [`Self::warnings`], and a sentence for each of
    /// [`Self::shadowed`].
    pub fn notices(&self) -> impl Iterator<Item = String> {
        self.warnings.iter().cloned().chain(self.shadowed.iter().map(|name| shadow_warning(name)))
    }

    /// Returns the rules for people who write on this platform.
    pub fn access(&self, platform: Platform) -> &AccessConfig {
        &self.platform(platform).access
    }

    /// Returns the secrets among the settings, for the log to leave out.
    pub fn secrets(&self) -> Vec<Secret> {
        let webhook = self.telegram.webhook.as_ref().and_then(|webhook| webhook.secret.clone());
        let proxy = self.telegram.proxy.clone();
        let others = [self.gateway.http.key.clone(), self.telegram.token.clone(), webhook, proxy];
        self.agent.secrets().into_iter().chain(others.into_iter().flatten()).collect()
    }
}

/// Returns the warning that a variable of the process hides a setting of `.env`.
pub fn shadow_warning(name: &str) -> String {
    format!(
        "{name} in .env has no effect: the environment that hermes was started with sets {name}, too, and wins"
    )
}

/// Returns the remedy for a variable of the process that hides a setting of `.env`.
pub fn shadow_remedy(name: &str) -> String {
    format!(
        "{name} comes from the environment that hermes was started with, which goes before .env. Change or remove it there: \
         `unset {name}` in a shell, `Environment=` or `EnvironmentFile=` of a service, `environment:` or `env_file:` of a \
         container."
    )
}

/// The chat for alerts. A number that WhatsApp cannot have is refused, with its cause and without its digits.
fn home_channel(platform: Platform, settings: &Settings<'_>) -> Option<String> {
    let name = platform.variable("HOME_CHANNEL");
    let chat = settings.value(&name)?;
    if platform == Platform::Whatsapp
        && !chat.contains('@')
        && let Err(why) = phone::digits(chat)
    {
        settings.warn(format!("{name}: ignored, because it is not a phone number: {why}"));
        return None;
    }
    Some(chat.to_owned())
}

fn unreadable(path: &Path, error: std::io::Error) -> CliError {
    if error.kind() == std::io::ErrorKind::InvalidData {
        let error = CliError::config(format!("cannot read {}", path.display())).because(error);
        return error.hint(format!("Save {} as UTF-8 text.", path.display()));
    }
    CliError::file(format!("cannot read {}", path.display()), path, error)
}

impl Default for Config {
    fn default() -> Self {
        let (world, env) = (World::of_env::<&str, &str>([]), EnvFile::default());
        Self::of("", &Settings::new(&world, &env)).expect("a file without settings is valid")
    }
}

#[cfg(test)]
mod tests;
