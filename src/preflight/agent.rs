//! Pure. Findings about the agent: what it needs before it can answer.

use super::{Code, Finding};
use crate::config::AgentConfig;

/// The result of looking for a program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProgramFact {
    /// It is there and can be executed.
    Found,
    /// It is there and may not be executed.
    NotExecutable,
    /// It was not found.
    Missing,
}

const ENV_FILE: &str = "into .env in the home folder.";

/// Returns the findings. `look` looks for a program.
pub fn findings(agent: &AgentConfig, look: impl Fn(&str) -> ProgramFact) -> Vec<Finding> {
    let mut findings = Vec::new();
    match agent {
        AgentConfig::Echo => {}
        AgentConfig::Openai(openai) => {
            if !openai.model_named {
                findings.push(Finding::warning(
                    Code::AgentModelNotSet,
                    format!("no model is set for the agent; using {}", openai.model),
                    "Set model under [agent] in gateway.toml.",
                ));
            }
            // A service of this machine seldom needs a key; one that is named is needed.
            let needs_key = openai.api_key_named || !openai.is_local();
            if needs_key && openai.api_key.is_none() {
                findings.push(Finding::warning(
                    Code::AgentKeyMissing,
                    format!("the key for the agent's service is missing: {} is not set", openai.api_key_env),
                    format!("Put {}=... {ENV_FILE}", openai.api_key_env),
                ));
            }
        }
        AgentConfig::Command(command) => {
            let program = command.command.first().map_or("", String::as_str);
            match look(program) {
                ProgramFact::Found => {}
                ProgramFact::Missing => findings.push(Finding::blocking(
                    Code::AgentCommandMissing,
                    format!("the agent's program {program} was not found, so messages wait"),
                    "Install it, or set its absolute path in command under [agent] in gateway.toml.",
                )),
                ProgramFact::NotExecutable => findings.push(Finding::blocking(
                    Code::AgentCommandNotExecutable,
                    format!("the agent's program {program} is not executable, so messages wait"),
                    format!("Run `chmod u+x {}`.", super::quoted(program)),
                )),
            }
            for (name, _) in command.env.iter().filter(|(_, value)| value.is_none()) {
                findings.push(Finding::warning(
                    Code::AgentVariableMissing,
                    format!("{name}, listed in `env` for the agent's program, is not set"),
                    format!("Put {name}=... {ENV_FILE}"),
                ));
            }
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::config::{CommandConfig, OpenaiConfig};
    use crate::sensitive::Secret;

    fn codes(agent: &AgentConfig) -> Vec<&'static str> {
        let look = |name: &str| match name {
            "there" => ProgramFact::Found,
            "/closed" => ProgramFact::NotExecutable,
            _ => ProgramFact::Missing,
        };
        findings(agent, look).iter().map(|finding| finding.code.as_str()).collect()
    }

    #[test]
    fn a_service_needs_a_model_and_one_that_is_elsewhere_a_key() {
        let openai =
            |base_url: &str| OpenaiConfig { base_url: base_url.to_owned(), ..OpenaiConfig::default() };
        let (near, far) = (openai("http://localhost:8000/v1"), openai("https://example.com/v1"));
        let key = Some(Secret("canary".to_owned()));
        for (openai, expected) in [
            (OpenaiConfig::default(), &[][..]),
            (near.clone(), &[]),
            (openai("http://[::1]/v1"), &[]),
            (openai("http://127.0.0.1.example.com/v1"), &["agent_key_missing"]),
            (OpenaiConfig { api_key_named: true, ..near.clone() }, &["agent_key_missing"]),
            (OpenaiConfig { model_named: false, ..near }, &["agent_model_not_set"]),
            (far.clone(), &["agent_key_missing"]),
            (
                OpenaiConfig { model_named: false, ..far.clone() },
                &["agent_model_not_set", "agent_key_missing"],
            ),
            (OpenaiConfig { api_key: key, ..far }, &[]),
        ] {
            assert_eq!(codes(&AgentConfig::Openai(openai.clone())), expected, "{openai:?}");
        }
        assert!(codes(&AgentConfig::Echo).is_empty());
    }

    #[test]
    fn a_program_must_be_there_and_may_lack_a_variable() {
        let command = |program: &str, value: Option<Secret>| {
            AgentConfig::Command(CommandConfig {
                command: vec![program.to_owned()],
                env: vec![("TOKEN".to_owned(), value)],
                idle_timeout: Duration::from_secs(1),
            })
        };
        let value = || Some(Secret("canary".to_owned()));
        assert!(codes(&command("there", value())).is_empty());
        assert_eq!(codes(&command("there", None)), ["agent_variable_missing"]);
        assert_eq!(codes(&command("gone", value())), ["agent_command_missing"]);
        assert_eq!(codes(&command("/closed", value())), ["agent_command_not_executable"]);
        assert!(super::super::is_blocked(&findings(&command("gone", value()), |_| ProgramFact::Missing)));
    }
}
