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
mod telegram;
mod trust;
mod turn;
mod whatsapp;

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

pub use access::{AccessConfig, DirectPolicy, listed_people, listed_person, mention_pattern};
pub use agent::{AgentConfig, CommandConfig, OpenaiConfig};
pub(crate) use file::duration;
pub use hermes_agent::{Foreign, ROWS, Row, Standing, standing};
pub use http::{Bind, HttpConfig, is_loopback};
pub use session::{Reset, ResetConfig, SessionConfig};
pub use telegram::WebhookConfig;
pub(crate) use trust::check as check_trust;
pub use turn::{AT_ONCE_MAX, Busy, TurnConfig};

use crate::backoff::Ladder;
use crate::env_file::EnvFile;
use crate::env_grammar::bare_value;
use crate::error::CliError;
use crate::home::HermesHome;
use crate::platforms::Platform;
use crate::platforms::whatsapp::phone;
use crate::sensitive::Secret;
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
    /// The people who may write, for every platform.
    pub access: BTreeMap<Platform, AccessConfig>,
    /// Telegram.
    pub telegram: TelegramConfig,
    /// `<PLATFORM>_HOME_CHANNEL`: the chat that gets alerts.
    pub home_channels: BTreeMap<Platform, String>,
    /// Platforms that are written to as fast as they take it: their `rates` are off.
    pub unpaced: BTreeSet<Platform>,
    /// The interval at which a growing answer is shown, where it is.
    pub streams: BTreeMap<Platform, Duration>,
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

/// The gateway itself.
#[derive(Debug, Clone, PartialEq)]
pub struct GatewayConfig {
    /// The longest a platform may take to connect.
    pub connect_timeout: Duration,
    /// The times of further attempts.
    pub reconnect: ReconnectConfig,
    /// The longest a stop may take to finish what is under way.
    pub drain_timeout: Duration,
    /// The choice to end when every enabled platform is blocked.
    pub exit_when_all_blocked: ExitWhenAllBlocked,
    /// The longest that a message waits to be sent; then it is a dead letter.
    pub outbox_expiry: Duration,
    /// The rules by which messages become turns of the agent.
    pub turn: TurnConfig,
    /// The alerts.
    pub notify: NotifyConfig,
    /// The HTTP API.
    pub http: HttpConfig,
}

/// The choice to end when every enabled platform is blocked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ExitWhenAllBlocked {
    /// End only when nothing can come back by itself. Every block is checked again when its cause may have changed, so none
    /// of that kind is known today.
    #[default]
    Auto,
    /// Stay up.
    Never,
    /// End with 0 and the reason in the status file, as the first generation of this gateway did.
    Always,
}

/// The alerts to the operator that a platform does not work.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotifyConfig {
    /// The program to run, and its arguments; `None`: a message goes to a home channel.
    pub command: Option<Vec<String>>,
    /// The time after which a platform is reported that only a person can bring back.
    pub after: Duration,
    /// The time after which a platform is reported that is still being tried.
    pub retrying_after: Duration,
    /// The least time between two alerts of a platform.
    pub every: Duration,
}

/// The times of further attempts to connect.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ReconnectConfig {
    /// The first wait; it doubles with each failure.
    pub first: Duration,
    /// The longest wait.
    pub cap: Duration,
    /// The share around its value from which each wait is drawn, 0 to 0.5.
    pub jitter: f64,
    /// Failures in a row that pause a platform; 0: never.
    pub breaker_after: u32,
    /// The length of such a pause before the platform is tried once; doubling. `None`: until a person resumes it.
    pub probe_every: Option<Duration>,
    /// Length of a connection that resets the ladder.
    pub stable_after: Duration,
}

/// The role of hermes on WhatsApp.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WhatsAppMode {
    /// A separate number; the listed people write to it.
    Bot,
    /// The owner's own number; the owner writes to themself.
    SelfChat,
}

/// The people who may write.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum AllowList {
    /// No one: the default.
    #[default]
    Nobody,
    /// These people: on WhatsApp phone numbers, digits only.
    Only(Vec<String>),
    /// Everyone: `*`, and also `<PLATFORM>_ALLOW_ALL_USERS` or `GATEWAY_ALLOW_ALL_USERS`.
    Everybody,
}

/// WhatsApp.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct WhatsAppConfig {
    /// `WHATSAPP_ENABLED=true`, and `gateway.toml` does not say `enabled = false`.
    pub enabled: bool,
    /// `gateway.toml` says `enabled = false`, whatever else is set.
    pub is_turned_off: bool,
    /// `WHATSAPP_MODE`; `None` when it was never chosen.
    pub mode: Option<WhatsAppMode>,
    /// WhatsApp's address, if not its usual one.
    pub web_socket_url: Option<String>,
    /// `WHATSAPP_WA_VERSION`: the protocol version to speak, if not the library's.
    pub version: Option<[u32; 3]>,
    /// `HERMES_NODE`: the Node to use.
    pub node: Option<PathBuf>,
    /// Limits handed to the bridge (`[platforms.whatsapp.bridge]`), by name.
    pub bridge_limits: BTreeMap<String, u64>,
}

/// Telegram.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TelegramConfig {
    /// There is a token, and neither `TELEGRAM_ENABLED` nor `gateway.toml` says that it is off.
    pub enabled: bool,
    /// `gateway.toml` turns it off, whatever `.env` says.
    pub is_turned_off: bool,
    /// `config.yaml` of hermes-agent turns it off, and no setting of ours says otherwise.
    pub is_off_in_agent: bool,
    /// `TELEGRAM_BOT_TOKEN`.
    pub token: Option<Secret>,
    /// `TELEGRAM_PROXY`: the way to the service. Its address may hold a password.
    pub proxy: Option<Secret>,
    /// The address of the Bot API.
    pub api_base: String,
    /// The address of its files; below `api_base` unless it is set.
    pub file_base: String,
    /// The time for which the service may keep a question for messages open, 1 to 30 s.
    pub poll_timeout: Duration,
    /// The longest that fetching the attachments of one message may take, 1 s to 5 min.
    pub media_timeout: Duration,
    /// The largest attachment that is fetched, in bytes. The service itself gives bots no more than 20 MB.
    pub media_file_bytes: u64,
    /// Limit for all attachments together, in bytes; beyond it the oldest are removed.
    pub media_total_bytes: u64,
    /// The webhook that brings messages; `None`: they are fetched.
    pub webhook: Option<WebhookConfig>,
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
        let mut warnings = settings.env.warnings();
        let file = file::read(text, &mut warnings)?;
        let whatsapp = whatsapp::merge(file.whatsapp, settings, &mut warnings);
        let telegram = telegram::merge(file.telegram, settings, &mut warnings);
        let mut gateway = file.gateway;
        gateway.http.bind = http::bind(gateway.http.bind, settings, &mut warnings);
        gateway.http.key = http::key(settings, &mut warnings);
        let mut session = file.session;
        session::by_name(&mut session, settings, &mut warnings);
        let agent = agent::with_secrets(file.agent, settings);
        let scripted = settings.world.var("HERMES_SCRIPTED").and_then(ScriptedConfig::parse);
        let home_channels = home_channels(settings, &mut warnings);
        let in_play: Vec<Platform> = scripted.iter().flat_map(ScriptedConfig::platforms).collect();
        let access = |platform| {
            let is_read = Platform::ALL.contains(&platform) || in_play.contains(&platform);
            let access = if is_read {
                access::read(platform, settings, &mut warnings)
            } else {
                AccessConfig::default()
            };
            (platform, access)
        };
        let access = Platform::every().map(access).collect();
        let expand = |text: &mut String| {
            if let Some(path) = text.starts_with('~').then(|| settings.world.expand(text)) {
                *text = path.to_string_lossy().into_owned();
            }
        };
        let mut agent = agent;
        agent.words_mut().for_each(expand);
        gateway.notify.command.iter_mut().flatten().for_each(expand);
        warnings.extend(names::warnings(settings));
        Ok(Self {
            shadowed: settings.shadowed().collect(),
            of_process: settings.of_process.take(),
            agent,
            session,
            gateway,
            foreign: hermes_agent::foreign(settings),
            whatsapp,
            telegram,
            unpaced: file.unpaced,
            streams: file.streams,
            access,
            home_channels,
            scripted,
            warnings,
        })
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
        self.access.get(&platform).expect("every platform has its rules")
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

/// The chats for alerts. A number that WhatsApp cannot have is refused, with its cause and without its digits.
fn home_channels(settings: &Settings<'_>, warnings: &mut Vec<String>) -> BTreeMap<Platform, String> {
    let channel = |platform: Platform| {
        let name = platform.variable("HOME_CHANNEL");
        let chat = settings.value(&name)?;
        if platform == Platform::Whatsapp
            && !chat.contains('@')
            && let Err(why) = phone::digits(chat)
        {
            warnings.push(format!("{name}: ignored, because it is not a phone number: {why}"));
            return None;
        }
        Some((platform, chat.to_owned()))
    };
    Platform::every().filter_map(channel).collect()
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
        Self {
            agent: AgentConfig::Echo,
            session: SessionConfig::default(),
            gateway: GatewayConfig::default(),
            whatsapp: WhatsAppConfig::default(),
            access: Platform::every().map(|platform| (platform, AccessConfig::default())).collect(),
            telegram: TelegramConfig::default(),
            unpaced: BTreeSet::new(),
            streams: Platform::every()
                .filter_map(|platform| Some((platform, platform.spec().stream_every?)))
                .collect(),
            home_channels: BTreeMap::new(),
            scripted: None,
            warnings: Vec::new(),
            foreign: Vec::new(),
            shadowed: Vec::new(),
            of_process: BTreeMap::new(),
        }
    }
}

impl Default for TelegramConfig {
    fn default() -> Self {
        Self {
            enabled: false,
            is_turned_off: false,
            is_off_in_agent: false,
            token: None,
            proxy: None,
            api_base: "https://api.telegram.org".to_owned(),
            file_base: "https://api.telegram.org/file".to_owned(),
            poll_timeout: Duration::from_secs(30),
            media_timeout: Duration::from_secs(40),
            media_file_bytes: 20 << 20,
            media_total_bytes: 1 << 30,
            webhook: None,
        }
    }
}

impl Default for GatewayConfig {
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(60),
            reconnect: ReconnectConfig::default(),
            drain_timeout: Duration::from_secs(30),
            exit_when_all_blocked: ExitWhenAllBlocked::Auto,
            outbox_expiry: Duration::from_hours(24),
            turn: TurnConfig::default(),
            notify: NotifyConfig::default(),
            http: HttpConfig::default(),
        }
    }
}

impl Default for NotifyConfig {
    fn default() -> Self {
        Self {
            command: None,
            after: Duration::from_secs(180),
            retrying_after: Duration::from_secs(900),
            every: Duration::from_secs(3600),
        }
    }
}

impl From<&ReconnectConfig> for Ladder {
    fn from(config: &ReconnectConfig) -> Self {
        Self { first: config.first, cap: config.cap, jitter: config.jitter }
    }
}

impl Default for ReconnectConfig {
    fn default() -> Self {
        Self {
            first: Duration::from_secs(30),
            cap: Duration::from_secs(300),
            jitter: 0.2,
            breaker_after: 10,
            probe_every: Some(Duration::from_secs(900)),
            stable_after: Duration::from_secs(300),
        }
    }
}

/// The settings with names in capitals: the process environment, then `.env`.
struct Settings<'a> {
    world: &'a World,
    env: &'a EnvFile,
    /// True when the home is that of a hermes-agent, too.
    has_agent: bool,
    /// Its `config.yaml` turns Telegram off.
    telegram_is_off_in_agent: bool,
    /// Names whose value came from the process.
    of_process: RefCell<BTreeMap<String, Secret>>,
    /// Names that were read, set or not.
    asked: RefCell<BTreeSet<String>>,
}

impl<'a> Settings<'a> {
    fn new(world: &'a World, env: &'a EnvFile) -> Self {
        Self {
            world,
            env,
            has_agent: false,
            telegram_is_off_in_agent: false,
            of_process: RefCell::default(),
            asked: RefCell::default(),
        }
    }

    /// Returns the value without blanks and quotes around it; an empty one counts as not set.
    fn value(&self, name: &str) -> Option<&'a str> {
        self.asked.borrow_mut().insert(name.to_owned());
        if let Some(value) = self.world.var(name) {
            self.of_process.borrow_mut().insert(name.to_owned(), Secret(value.to_owned()));
            return Some(value);
        }
        Some(bare_value(self.env.value(name)?)).filter(|value| !value.is_empty())
    }

    /// Returns the settings of which `.env` has another value than the process.
    fn shadowed(&self) -> impl Iterator<Item = String> {
        let of_process = self.of_process.borrow();
        let is_shadowed = |name: &&String| {
            let written = self.env.value(name).map(bare_value).filter(|value| !value.is_empty());
            written.is_some_and(|written| self.world.var(name) != Some(written))
        };
        of_process.keys().filter(is_shadowed).cloned().collect::<Vec<_>>().into_iter()
    }

    /// Reads a switch: `None` when it is not set, or when its value is neither yes nor no.
    fn switch(&self, name: &str, warnings: &mut Vec<String>) -> Option<bool> {
        match self.value(name)?.to_ascii_lowercase().as_str() {
            "true" | "1" | "yes" | "on" => Some(true),
            "false" | "0" | "no" | "off" => Some(false),
            _ => {
                warnings.push(format!("ignored {name}: must be true or false"));
                None
            }
        }
    }
}

#[cfg(test)]
mod tests;
