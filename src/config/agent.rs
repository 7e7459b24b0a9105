//! Pure, but for [`AgentConfig::read_files`]. Who answers.

use std::time::Duration;

use reqwest::Url;

use crate::env_grammar::is_key;
use crate::error::CliError;
use crate::home::HermesHome;
use crate::net;
use crate::sensitive::Secret;
use crate::setting::table::Clash;
use crate::setting::value::{HOUR, HTTP, MINUTE, SECOND, any, each, of, time, url};
use crate::setting::{Settings, table};

/// The longest system prompt in a file, in bytes.
const PROMPT_LEN_MAX: u64 = 64 << 10;

/// The smallest window that makes sense, in tokens.
const CONTEXT_TOKENS_MIN: u32 = 512;

/// The agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AgentConfig {
    /// Repeats each message, and says that it does.
    Echo,
    /// Any OpenAI-compatible service.
    Openai(OpenaiConfig),
    /// A program of this machine.
    Command(CommandConfig),
}

/// An OpenAI-compatible service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenaiConfig {
    /// Up to and including `/v1`.
    pub base_url: String,
    /// The model's name.
    pub model: String,
    /// True when it was named in the settings, or the service is ours as well.
    pub model_named: bool,
    /// The variable that holds the key.
    pub api_key_env: String,
    /// True when that variable was named in the settings: then a missing key is worth a word.
    pub api_key_named: bool,
    /// The key, when that variable is set.
    pub api_key: Option<Secret>,
    /// Said to the model before every conversation.
    pub system_prompt: Option<String>,
    /// A file in the home folder, or anywhere, that holds it.
    pub system_prompt_file: Option<String>,
    /// The longest wait for the next piece of an answer.
    pub idle_timeout: Duration,
    /// The model's window in tokens, where it is set.
    pub context_tokens: Option<u32>,
}

/// A program of this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommandConfig {
    /// The program and its arguments; never read by a shell.
    pub command: Vec<String>,
    /// Variables that it is given besides the harmless ones, with their values where they are set.
    pub env: Vec<(String, Option<Secret>)>,
    /// The longest wait for the next piece of its answer.
    pub idle_timeout: Duration,
}

impl Default for OpenaiConfig {
    fn default() -> Self {
        Self {
            base_url: "http://127.0.0.1:11434/v1".to_owned(),
            model: "llama3.2".to_owned(),
            model_named: true,
            api_key_env: "OPENAI_API_KEY".to_owned(),
            api_key_named: false,
            api_key: None,
            system_prompt: None,
            system_prompt_file: None,
            idle_timeout: Duration::from_secs(120),
            context_tokens: None,
        }
    }
}

impl OpenaiConfig {
    /// True when the service runs on this machine.
    pub fn is_local(&self) -> bool {
        Url::parse(&self.base_url).is_ok_and(|url| net::is_loopback(&url))
    }
}

impl AgentConfig {
    /// The secrets in it, for the log to leave out.
    pub fn secrets(&self) -> Vec<Secret> {
        match self {
            Self::Echo => Vec::new(),
            Self::Openai(openai) => openai.api_key.iter().cloned().collect(),
            Self::Command(command) => command.env.iter().filter_map(|(_, value)| value.clone()).collect(),
        }
    }

    /// The words that may be paths: of a command, and the name of a file.
    pub(super) fn words_mut(&mut self) -> impl Iterator<Item = &mut String> {
        let (command, file) = match self {
            Self::Echo => (&mut [][..], None),
            Self::Openai(openai) => (&mut [][..], openai.system_prompt_file.as_mut()),
            Self::Command(command) => (&mut command.command[..], None),
        };
        command.iter_mut().chain(file)
    }

    /// Reads the files that it names.
    ///
    /// # Errors
    /// When one cannot be read, or is too long.
    pub(super) fn read_files(&mut self, home: &HermesHome) -> Result<(), CliError> {
        let Self::Openai(openai) = self else { return Ok(()) };
        let Some(name) = &openai.system_prompt_file else { return Ok(()) };
        let path = home.root().join(name);
        let unusable =
            |why: String| CliError::config(format!("agent.system_prompt_file: {} {why}", path.display()));
        let text = crate::file::read_text(&path, PROMPT_LEN_MAX)
            .map_err(|error| unusable(format!("cannot be read ({error})")))?;
        openai.system_prompt = Some(text).filter(|text| !text.trim().is_empty());
        Ok(())
    }
}

table! {
    /// `[agent]`.
    pub(super) struct AgentTable {
        kind: String = "echo".to_owned(), any::<String>();
        base_url: Option<String> = None, url(HTTP);
        model: Option<String> = None, of(model);
        api_key_env: Option<String> = None, of(|name| variable(name, API_KEY_ENV));
        system_prompt: Option<String> = None, of(prompt);
        system_prompt_file: Option<String> = None, any::<String>();
        idle_timeout: Duration = 2 * MINUTE, time(SECOND..=HOUR);
        context_tokens: Option<u32> = None, of(context_tokens);
        command: Option<Vec<String>> = None, any::<Vec<String>>();
        env: Vec<String> = Vec::new(), each(|name| variable(name, ENV));
    }
}

const API_KEY_ENV: &str = "is the name of a variable, such as OPENAI_API_KEY, not the key itself";
const ENV: &str = "takes names of variables, without values";

fn model(name: String) -> Result<String, String> {
    if name.trim().is_empty() { Err("is empty".to_owned()) } else { Ok(name) }
}

fn variable(name: String, fault: &str) -> Result<String, String> {
    if is_key(&name) { Ok(name) } else { Err(fault.to_owned()) }
}

/// A prompt that says nothing is none.
fn prompt(text: String) -> Result<Option<String>, String> {
    Ok(Some(text).filter(|text| !text.trim().is_empty()))
}

fn context_tokens(count: i64) -> Result<u32, String> {
    let count = u32::try_from(count).ok().filter(|count| *count >= CONTEXT_TOKENS_MIN);
    count.ok_or_else(|| format!("must be at least {CONTEXT_TOKENS_MIN}"))
}

impl AgentTable {
    pub(super) fn clash(&self) -> Option<Clash> {
        let (key, fault) = match self.kind.as_str() {
            _ if self.system_prompt.is_some() && self.system_prompt_file.is_some() => {
                (&["system_prompt_file"], "use system_prompt or system_prompt_file, not both")
            }
            "command" => match self.command.as_deref() {
                Some([program, ..]) if !program.trim().is_empty() => return None,
                Some(_) => (&["command"], "command must start with the name of a program"),
                None => (
                    &["kind"],
                    "the kind command needs `command`, the program and its arguments: command = [\"my-agent\"]",
                ),
            },
            "echo" | "openai" => return None,
            "acp" => (&["kind"], "the kind acp is not available; use echo, openai or command"),
            _ => (&["kind"], "kind must be echo, openai or command"),
        };
        Some((key, fault.to_owned()))
    }

    /// Makes the agent, with the values of the variables that it names.
    pub(super) fn agent(self, settings: &Settings<'_>) -> AgentConfig {
        match self.kind.as_str() {
            "openai" => {
                let default = OpenaiConfig::default();
                let api_key_named = self.api_key_env.is_some();
                let api_key_env = self.api_key_env.unwrap_or(default.api_key_env);
                AgentConfig::Openai(OpenaiConfig {
                    model_named: self.model.is_some() || self.base_url.is_none(),
                    base_url: self.base_url.unwrap_or(default.base_url),
                    model: self.model.unwrap_or(default.model),
                    api_key: settings.secret(&api_key_env),
                    api_key_env,
                    api_key_named,
                    system_prompt: self.system_prompt,
                    system_prompt_file: self.system_prompt_file,
                    idle_timeout: self.idle_timeout,
                    context_tokens: self.context_tokens,
                })
            }
            "command" => AgentConfig::Command(CommandConfig {
                command: self.command.unwrap_or_default(),
                env: self
                    .env
                    .into_iter()
                    .map(|name| (settings.secret(&name), name))
                    .map(|(value, name)| (name, value))
                    .collect(),
                idle_timeout: self.idle_timeout,
            }),
            _ => AgentConfig::Echo,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use crate::durable::write_atomic;
    use crate::world::World;

    fn load(dir: &tempfile::TempDir, toml: &str) -> Result<Config, CliError> {
        let home = HermesHome::at(dir.path());
        write_atomic(&home.config_file(), toml.as_bytes()).unwrap();
        Config::load(&World::of_env([("TOKEN", "canary"), ("OTHER", "x")]), &home)
    }

    #[test]
    fn a_command_is_its_words_and_is_given_the_variables_it_lists() {
        let dir = tempfile::tempdir().unwrap();
        let config = load(&dir, "[agent]\nkind='command'\ncommand=['a','$b']\nenv=['TOKEN','GONE']").unwrap();
        assert!(!format!("{config:?}").contains("canary"));
        assert_eq!(config.secrets(), [Secret("canary".into())]);
        let AgentConfig::Command(command) = config.agent else { panic!() };
        assert_eq!(command.command, ["a", "$b"]);
        assert_eq!(command.env, [("TOKEN".into(), Some(Secret("canary".into()))), ("GONE".into(), None)]);
        for (toml, expected) in [
            ("[agent]\nkind='command'", "line 2, column 6: the kind command needs `command`"),
            ("[agent]\nkind='command'\ncommand=[]", "line 3, column 9: command must start with the name"),
            ("[agent]\nenv=['A=b']", "line 2, column 6: env takes names"),
            ("[agent]\ncontext_tokens=100", "line 2, column 16: context_tokens must be at least"),
        ] {
            let error = load(&dir, toml).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
    }

    #[test]
    fn a_system_prompt_may_stand_in_a_file_of_a_sensible_length() {
        let dir = tempfile::tempdir().unwrap();
        let toml = "[agent]\nkind='openai'\nsystem_prompt_file='persona.md'";
        let told = load(&dir, toml).unwrap_err().to_string();
        assert!(told.contains("persona.md cannot be read"), "{told}");
        write_atomic(&dir.path().join("persona.md"), b"Be kind.").unwrap();
        let AgentConfig::Openai(openai) = load(&dir, toml).unwrap().agent else { panic!() };
        assert_eq!(openai.system_prompt.as_deref(), Some("Be kind."));
        let long = "x".repeat(usize::try_from(PROMPT_LEN_MAX).unwrap() + 1);
        write_atomic(&dir.path().join("persona.md"), long.as_bytes()).unwrap();
        assert!(load(&dir, toml).unwrap_err().to_string().contains("is longer than"));
        let both = format!("{toml}\nsystem_prompt='x'");
        assert!(load(&dir, &both).unwrap_err().to_string().contains("not both"));
    }
}
