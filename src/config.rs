//! Settings: `gateway.toml` and `.env` and the process environment, validated into [`Config`].
//!
//! Process environment > `.env` > `gateway.toml` > default.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use crate::error::CliError;
use crate::home::HermesHome;
use crate::world::World;

/// A secret: `Debug` shows nothing of it.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(pub String);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<secret>")
    }
}

/// Everything that can be set, validated.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// Who answers.
    pub agent: AgentConfig,
    /// The gateway itself.
    pub gateway: GatewayConfig,
    /// WhatsApp.
    pub whatsapp: WhatsAppConfig,
    /// What was strange but did not prevent starting: unknown keys with their line, unusable lines of `.env`.
    pub warnings: Vec<String>,
}

/// Who answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AgentConfig {
    /// Repeats what it is told, and says that it does.
    Echo,
    /// Any OpenAI-compatible service.
    Openai(OpenaiConfig),
}

/// An OpenAI-compatible service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenaiConfig {
    /// Up to and including `/v1`.
    pub base_url: String,
    /// The model's name.
    pub model: String,
    /// The variable that holds the key.
    pub api_key_env: String,
    /// The key, when that variable is set.
    pub api_key: Option<Secret>,
    /// Said to the model before every conversation.
    pub system_prompt: Option<String>,
    /// The longest wait for the next piece of an answer.
    pub idle_timeout: Duration,
}

/// The gateway itself.
#[derive(Debug, Clone, PartialEq)]
pub struct GatewayConfig {
    /// The longest a platform may take to connect.
    pub connect_timeout: Duration,
    /// When to try again.
    pub reconnect: ReconnectConfig,
    /// The longest a stop may take to finish what is under way.
    pub drain_timeout: Duration,
}

/// When to try a platform again.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ReconnectConfig {
    /// The first wait; it doubles with each failure.
    pub first: Duration,
    /// The longest wait.
    pub cap: Duration,
    /// Each wait is drawn from this share around its value, 0 to 0.5.
    pub jitter: f64,
    /// A connection that lasts this long resets the ladder.
    pub stable_after: Duration,
}

/// What hermes is on WhatsApp.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WhatsAppMode {
    /// A number of its own; the listed people write to it.
    Bot,
    /// The owner's own number; the owner writes to themself.
    SelfChat,
}

/// Who may speak.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum AllowList {
    /// Nobody: the default.
    #[default]
    Nobody,
    /// These numbers, digits only.
    Only(Vec<String>),
    /// Everybody (`*`).
    Everybody,
}

/// WhatsApp.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WhatsAppConfig {
    /// `WHATSAPP_ENABLED=true`.
    pub enabled: bool,
    /// `WHATSAPP_MODE`; `None` when it was never chosen.
    pub mode: Option<WhatsAppMode>,
    /// `WHATSAPP_ALLOWED_USERS` and `GATEWAY_ALLOWED_USERS`.
    pub allowed: AllowList,
    /// Entries of the allowlist that are no phone number.
    pub allowed_rejects: Vec<String>,
    /// `WHATSAPP_ALLOWED_GROUPS`: group JIDs in which listed people are answered. Empty: no groups.
    pub allowed_groups: Vec<String>,
    /// Where WhatsApp is, if not at its own address.
    pub web_socket_url: Option<String>,
    /// `WHATSAPP_WA_VERSION`: the protocol version to speak, if not the library's.
    pub version: Option<[u32; 3]>,
    /// `HERMES_NODE`: the Node to use.
    pub node: Option<PathBuf>,
    /// Limits handed to the bridge (`[platforms.whatsapp.bridge]`), by name.
    pub bridge_limits: BTreeMap<String, u64>,
}

impl Config {
    /// Reads all settings.
    ///
    /// # Errors
    /// When `gateway.toml` is broken (with line and column), a value is out of its range, or a file cannot be read.
    pub fn load(world: &World, home: &HermesHome) -> Result<Self, CliError> {
        let _ = (world, home);
        Err(CliError::config("not built"))
    }
}
