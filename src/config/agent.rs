//! Pure, but for [`AgentConfig::read_files`]. Who answers.

use std::time::Duration;

use reqwest::Url;
use serde::Deserialize;
use toml::Spanned;

use super::Settings;
use super::file::{HOUR, Place, SECOND};
use crate::error::CliError;
use crate::home::HermesHome;
use crate::net;
use crate::sensitive::Secret;

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

/// With the values of the variables that it names.
pub(super) fn with_secrets(agent: AgentConfig, settings: &Settings<'_>) -> AgentConfig {
    let secret = |name: &str| settings.value(name).map(|value| Secret(value.to_owned()));
    match agent {
        AgentConfig::Echo => AgentConfig::Echo,
        AgentConfig::Openai(openai) => {
            AgentConfig::Openai(OpenaiConfig { api_key: secret(&openai.api_key_env), ..openai })
        }
        AgentConfig::Command(command) => {
            let env = command.env.into_iter().map(|(name, _)| (secret(&name), name));
            AgentConfig::Command(CommandConfig {
                env: env.map(|(value, name)| (name, value)).collect(),
                ..command
            })
        }
    }
}

#[derive(Deserialize, Default)]
#[serde(default)]
pub(super) struct RawAgent {
    kind: Option<Spanned<String>>,
    base_url: Option<Spanned<String>>,
    model: Option<Spanned<String>>,
    api_key_env: Option<Spanned<String>>,
    system_prompt: Option<String>,
    system_prompt_file: Option<Spanned<String>>,
    idle_timeout: Option<Spanned<String>>,
    context_tokens: Option<Spanned<i64>>,
    command: Option<Spanned<Vec<String>>>,
    env: Vec<Spanned<String>>,
}

impl Place<'_> {
    pub(super) fn agent(&self, raw: RawAgent) -> Result<AgentConfig, CliError> {
        let default = OpenaiConfig::default();
        let idle_timeout =
            self.duration(raw.idle_timeout, default.idle_timeout, &(SECOND..=HOUR), "idle_timeout")?;
        let base_url = self.url(raw.base_url, "base_url", ["http://", "https://"])?;
        let api_key_named = raw.api_key_env.is_some();
        let api_key_env = match raw.api_key_env {
            Some(name) if crate::env_grammar::is_key(name.get_ref()) => name.into_inner(),
            Some(name) => {
                return Err(self.error(
                    name.span(),
                    "api_key_env is the name of a variable, such as OPENAI_API_KEY, not the key itself",
                ));
            }
            None => default.api_key_env,
        };
        let model_named = raw.model.is_some() || base_url.is_none();
        let model = match raw.model {
            Some(model) if model.get_ref().trim().is_empty() => {
                return Err(self.error(model.span(), "model is empty"));
            }
            Some(model) => model.into_inner(),
            None => default.model,
        };
        let system_prompt = raw.system_prompt.filter(|prompt| !prompt.trim().is_empty());
        let system_prompt_file = match raw.system_prompt_file {
            Some(file) if system_prompt.is_some() => {
                return Err(self.error(file.span(), "use system_prompt or system_prompt_file, not both"));
            }
            Some(file) => Some(file.into_inner()),
            None => None,
        };
        let mut env = Vec::new();
        for name in raw.env {
            if !crate::env_grammar::is_key(name.get_ref()) {
                return Err(self.error(name.span(), "env takes names of variables, without values"));
            }
            env.push((name.into_inner(), None));
        }
        let context_tokens = match raw.context_tokens {
            Some(tokens) => match u32::try_from(*tokens.get_ref()) {
                Ok(count @ CONTEXT_TOKENS_MIN..) => Some(count),
                Ok(_) | Err(_) => {
                    let why = format!("context_tokens must be at least {CONTEXT_TOKENS_MIN}");
                    return Err(self.error(tokens.span(), &why));
                }
            },
            None => None,
        };
        let Some(kind) = raw.kind else { return Ok(AgentConfig::Echo) };
        match kind.get_ref().as_str() {
            "echo" => Ok(AgentConfig::Echo),
            "openai" => Ok(AgentConfig::Openai(OpenaiConfig {
                base_url: base_url.unwrap_or(default.base_url),
                model,
                model_named,
                api_key_env,
                api_key_named,
                api_key: None,
                system_prompt,
                system_prompt_file,
                idle_timeout,
                context_tokens,
            })),
            "command" => match raw.command {
                Some(command) if command.get_ref().first().is_some_and(|program| !program.trim().is_empty()) => {
                    Ok(AgentConfig::Command(CommandConfig { command: command.into_inner(), env, idle_timeout }))
                }
                Some(command) => Err(self.error(command.span(), "command must start with the name of a program")),
                None => Err(self.error(
                    kind.span(),
                    "the kind command needs `command`, the program and its arguments: command = [\"my-agent\"]",
                )),
            },
            "acp" => {
                Err(self.error(kind.span(), "the kind acp is not available; use echo, openai or command"))
            }
            _ => Err(self.error(kind.span(), "kind must be echo, openai or command")),
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
