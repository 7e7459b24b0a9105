//! A platform's switch in `.env`, and the report of a command that changes something.

use serde::Serialize;

use crate::config::Config;
use crate::env_file::EnvFile;
use crate::error::CliError;
use crate::home::HermesHome;
use crate::platforms::Platform;
use crate::wizard::changes::ChangeSet;
use crate::wizard::running;
use crate::wizard::ui::terminal::{print, print_text};

/// Says what was done.
#[derive(Debug, Serialize)]
pub(crate) struct Done {
    pub(crate) enabled: bool,
    pub(crate) changed: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) moved_to: Option<String>,
}

impl Done {
    pub(crate) fn say(&self, json: bool, words: &str) {
        if json { print(&json_line(self)) } else { print_text(&format!("{words}\n")) }
    }
}

/// The failure that `gateway.toml` turns a platform off, whatever `.env` says.
pub(crate) fn refuse_turned_off(platform: Platform, config: &Config) -> Result<(), CliError> {
    if !config.platform(platform).is_turned_off() {
        return Ok(());
    }
    let spec = platform.spec();
    Err(CliError::failed(format!("{} stays off: gateway.toml says so", spec.title))
        .code("platform_turned_off")
        .hint(format!("Remove `enabled = false` below `[platforms.{}]` in gateway.toml.", spec.name)))
}

/// Writes a platform's switch; whether that changed anything.
pub(crate) fn switch(
    home: &HermesHome,
    name: &'static str,
    enabled: bool,
    config: &Config,
) -> Result<bool, CliError> {
    let path = home.env_file();
    let failed = |error: Box<dyn std::error::Error + Send + Sync>| {
        CliError::failed(format!("the settings in {} cannot be written", path.display()))
            .code("env_not_written")
            .hint("Check the owner of the file and its folder.")
            .because(error)
    };
    let mut env = EnvFile::load(&path).map_err(|error| failed(error.into()))?;
    let changes = ChangeSet::of_switch(&env, name, enabled);
    // WhatsApp's switch is off where it was never set, and Telegram's is its token.
    let default = name != "WHATSAPP_ENABLED";
    let is_off_in_agent = name == "TELEGRAM_ENABLED" && config.telegram.is_off_in_agent;
    if enabled != default || is_off_in_agent || env.value(name).is_some() {
        changes.apply(&mut env).map_err(|error| failed(error.into()))?;
    }
    let changed = env.is_changed();
    env.save(&path).map_err(|error| failed(error.into()))?;
    changes.takes_effect(&config.of_process)?;
    changes.reaches_gateway(&running::shadowed(home))?;
    Ok(changed)
}

/// A report as a line of JSON.
pub(crate) fn json_line(report: &impl Serialize) -> String {
    let mut line = serde_json::to_string(report).expect("a report has only strings, numbers and booleans");
    line.push('\n');
    line
}
