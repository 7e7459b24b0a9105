//! The agent: settings that lack, the knowledge of the running gateway, and the answer of the agent's service when it is asked
//! for its models. Asking that costs nothing, needs the key, and is answered by all that speak this protocol.

use std::time::Duration;

use reqwest::{StatusCode, Url};
use serde_json::Value;

use super::gateway::agent as by_gateway;
use super::{Case, Check};
use crate::config::{AgentConfig, Config, OpenaiConfig, shadow_remedy};
use crate::facts;
use crate::gateway::agent::openai::{client, models_address};
use crate::gateway::model::snapshot::{AgentSnapshot, AgentState};
use crate::net;
use crate::preflight;
use crate::visible;

/// The longest wait for the service's list of models.
const LIMIT: Duration = Duration::from_secs(3);

/// A longer list is not read to its end.
const BODY_BYTES_MAX: usize = 1 << 20;

/// Models that are named where the configured one is missing.
const NAMED_MAX: usize = 5;

/// The service's answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Probe {
    /// It answers with its models; with none where it names none.
    Models(Vec<String>),
    /// It answered with this status.
    Status(u16),
    /// It was not reached; the second half of a sentence that begins with its name.
    Away(String),
}

/// Asks the service that the settings name. `None`: they name none that could be asked.
pub(super) async fn probe(agent: &AgentConfig) -> Option<Probe> {
    match agent {
        AgentConfig::Echo | AgentConfig::Command(_) => None,
        AgentConfig::Openai(openai) => {
            let url = models_address(openai).ok()?;
            let asking = tokio::time::timeout(LIMIT, ask(openai, url));
            Some(
                asking
                    .await
                    .unwrap_or_else(|_| Probe::Away(format!("did not answer within {} s", LIMIT.as_secs()))),
            )
        }
    }
}

async fn ask(openai: &OpenaiConfig, url: Url) -> Probe {
    let away = |error: reqwest::Error| Probe::Away(net::classify(&error).said.to_owned());
    // An unusable key is left out: the service then says that it wants one.
    let keyless = || client(&OpenaiConfig { api_key: None, ..openai.clone() }, &url);
    let client = match client(openai, &url).or_else(|_| keyless()) {
        Ok(client) => client,
        Err(error) => return Probe::Away(error.message),
    };
    let mut response = match client.get(url).send().await {
        Ok(response) => response,
        Err(error) => return away(error),
    };
    if response.status() != StatusCode::OK {
        return Probe::Status(response.status().as_u16());
    }
    let mut body = Vec::new();
    while body.len() < BODY_BYTES_MAX {
        match response.chunk().await {
            Ok(Some(bytes)) => body.extend_from_slice(&bytes),
            Ok(None) => break,
            Err(error) => return away(error),
        }
    }
    let list: Value = serde_json::from_slice(&body).unwrap_or_default();
    let rows = ["data", "models"].into_iter().find_map(|name| list[name].as_array());
    let name = |row: &Value| {
        ["id", "name", "model"].into_iter().find_map(|name| row[name].as_str()).map(str::to_owned)
    };
    Probe::Models(rows.into_iter().flatten().filter_map(name).collect())
}

/// True when the list names this model. Services add a tag or a path to the name that people write.
fn has(models: &[String], model: &str) -> bool {
    let is_it = |listed: &String| {
        let listed = listed.strip_suffix(":latest").unwrap_or(listed);
        let model = model.strip_suffix(":latest").unwrap_or(model);
        listed.eq_ignore_ascii_case(model)
            || listed.rsplit_once('/').is_some_and(|(_, name)| name.eq_ignore_ascii_case(model))
    };
    models.iter().any(is_it)
}

impl Case<'_> {
    /// The agent, what is missing for it, and what is known of it.
    pub(super) fn agent(&self, config: &Config, probe: Option<&Probe>) -> Vec<Check> {
        let look = |program: &str| facts::program(self.world, program);
        let findings = preflight::agent::findings(&config.agent, look);
        let mut checks: Vec<Check> = findings.into_iter().map(Check::from).collect();
        let known = self.word.as_ref().and_then(|word| word.agent.as_ref());
        let told = by_gateway(known, self.now);
        let is_told = told.is_some();
        checks.extend(told);
        if let (AgentConfig::Openai(openai), Some(probe)) = (&config.agent, probe) {
            let of_service = of_service(openai, probe, known, config);
            // A fault that the gateway has met itself is one, not two.
            if !is_told || of_service.code == "agent_model_unlisted" {
                let is_about_key = of_service.code == "agent_key_refused";
                checks.retain(|check| !(is_about_key && check.code == "agent_key_missing"));
                checks.push(of_service);
            }
        } else if checks.is_empty() {
            checks.push(by_settings(&config.agent, known));
        }
        checks
    }
}

fn by_settings(agent: &AgentConfig, known: Option<&AgentSnapshot>) -> Check {
    let has_answered = known.is_some_and(|known| known.state == AgentState::Available);
    match agent {
        AgentConfig::Echo => Check::good("agent", "no agent is set; messages are echoed back"),
        AgentConfig::Openai(openai) => {
            Check::good("agent", format!("the agent is the model {}", visible::line(&openai.model)))
        }
        AgentConfig::Command(command) => {
            let program = visible::line(command.command.first().map_or("", String::as_str));
            let message = format!("the agent is the program {program}");
            if has_answered {
                Check::good("agent", message)
            } else {
                Check::info("agent", format!("{message}; it was not asked yet"), "")
            }
        }
    }
}

fn of_service(openai: &OpenaiConfig, probe: &Probe, known: Option<&AgentSnapshot>, config: &Config) -> Check {
    let host = host(&openai.base_url);
    let model = visible::line(&openai.model);
    // The gateway may have another environment than this command: then its key is another one.
    let has_answered = known.is_some_and(|known| known.state == AgentState::Available);
    let serious: fn(&str, String, String) -> Check =
        if has_answered { Check::warning } else { Check::problem };
    match probe {
        Probe::Models(models) if models.is_empty() || has(models, &openai.model) => {
            let has_it = if models.is_empty() { String::new() } else { format!(" and has the model {model}") };
            Check::good("agent", format!("the agent at {host} answers{has_it}"))
        }
        Probe::Models(models) => {
            let named: Vec<_> = models.iter().take(NAMED_MAX).map(|name| visible::line(name)).collect();
            let more = if models.len() > NAMED_MAX { ", …" } else { "" };
            Check::warning(
                "agent_model_unlisted",
                format!("the agent at {host} does not list the model {model}"),
                format!("Set model under [agent] in gateway.toml to one that it has: {}{more}.", named.join(", ")),
            )
        }
        Probe::Status(403) if openai.api_key.is_some() => serious(
            "agent_access_refused",
            format!("the agent at {host} refuses access (403)"),
            "Check your account there and the key; a proxy, the network or the country may be the cause."
                .to_owned(),
        ),
        Probe::Status(status @ (401 | 403)) => {
            let name = &openai.api_key_env;
            let (what, fix) = match (&openai.api_key, config.origin(name)) {
                (None, _) => (
                    format!("wants a key, and {name} is not set ({status})"),
                    format!("Put {name}=... into .env in the home folder."),
                ),
                (Some(_), Some(_)) => {
                    (format!("refuses the key in {name} ({status})"), shadow_remedy(name))
                }
                (Some(_), None) => (
                    format!("refuses the key in {name} ({status})"),
                    format!("Correct {name} in .env; a running gateway reloads it by itself."),
                ),
            };
            serious("agent_key_refused", format!("the agent at {host} {what}"), fix)
        }
        Probe::Status(404 | 405) if !has_answered && !openai.base_url.contains("/v1") => Check::warning(
            "agent_address_unknown",
            format!("the agent at {host} has no list of models, and it was not used yet"),
            format!("Is base_url under [agent] {}/v1?", without_secrets(&openai.base_url)),
        ),
        Probe::Status(404 | 405) => {
            let asked = if has_answered { "it has answered the gateway" } else { "it was not asked yet" };
            Check::info("agent", format!("the agent at {host} can be reached; {asked}"), "")
        }
        Probe::Status(status) => Check::warning(
            "agent_failing",
            format!("the agent at {host} answered {status} to a request for its models"),
            "Look at that service. Messages are queued while it fails.",
        ),
        Probe::Away(why) => serious(
            "agent_unreachable",
            format!("the agent at {host} {why}"),
            "Start it, or correct base_url under [agent] in gateway.toml. Messages are queued until it is there."
                .to_owned(),
        ),
    }
}

/// The address without anything that may be secret.
fn host(base_url: &str) -> String {
    let url = Url::parse(base_url).ok();
    let host = url.as_ref().and_then(Url::host_str).unwrap_or("its address").to_owned();
    match url.as_ref().and_then(Url::port_or_known_default) {
        Some(port) => format!("{host}:{port}"),
        None => host,
    }
}

fn without_secrets(base_url: &str) -> String {
    let scheme = base_url.split(':').next().unwrap_or("http");
    let path =
        Url::parse(base_url).map(|url| url.path().trim_end_matches('/').to_owned()).unwrap_or_default();
    format!("{scheme}://{}{path}", host(base_url))
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::net::TcpListener;

    use super::super::Status;
    use super::*;
    use crate::sensitive::Secret;

    fn known(state: AgentState) -> AgentSnapshot {
        AgentSnapshot {
            kind: "openai".to_owned(),
            model: None,
            state,
            since: None,
            error_message: None,
            error_code: None,
        }
    }

    fn service(base_url: &str, key: Option<&str>) -> OpenaiConfig {
        OpenaiConfig {
            base_url: base_url.to_owned(),
            model: "llama3.2".to_owned(),
            api_key: key.map(|key| Secret(key.to_owned())),
            ..OpenaiConfig::default()
        }
    }

    #[test]
    fn what_the_service_says_is_told_with_the_setting_that_it_is_about() {
        let models = |names: &[&str]| Probe::Models(names.iter().map(ToString::to_string).collect());
        let v1 = service("https://user:canary@a.test/v1", Some("canary"));
        let keyless = service("https://a.test/v1", None);
        let bare = service("https://a.test", None);
        let answered = Some(known(AgentState::Available));
        for (openai, probe, known, status, code, said) in [
            (&v1, models(&[]), None, Status::Good, "agent", "a.test:443 answers"),
            (&v1, models(&["x", "llama3.2:latest"]), None, Status::Good, "agent", "has the model llama3.2"),
            (&v1, models(&["models/Llama3.2"]), None, Status::Good, "agent", "has the model"),
            (
                &v1,
                models(&["llama3.1"]),
                None,
                Status::Warning,
                "agent_model_unlisted",
                "one that it has: llama3.1",
            ),
            (&v1, Probe::Status(401), None, Status::Blocking, "agent_key_refused", "OPENAI_API_KEY (401)"),
            (
                &v1,
                Probe::Status(403),
                answered.as_ref(),
                Status::Warning,
                "agent_access_refused",
                "Check your account",
            ),
            (
                &keyless,
                Probe::Status(401),
                None,
                Status::Blocking,
                "agent_key_refused",
                "OPENAI_API_KEY is not set",
            ),
            (&keyless, Probe::Status(404), None, Status::Info, "agent", "not asked yet"),
            (
                &bare,
                Probe::Status(404),
                None,
                Status::Warning,
                "agent_address_unknown",
                "https://a.test:443/v1?",
            ),
            (&bare, Probe::Status(404), answered.as_ref(), Status::Info, "agent", "has answered"),
            (&v1, Probe::Status(503), None, Status::Warning, "agent_failing", "503"),
            (
                &v1,
                Probe::Away("is not there".into()),
                None,
                Status::Blocking,
                "agent_unreachable",
                "a.test:443 is not there",
            ),
            (
                &v1,
                Probe::Away("is not there".into()),
                answered.as_ref(),
                Status::Warning,
                "agent_unreachable",
                "base_url",
            ),
        ] {
            let check = of_service(openai, &probe, known, &Config::default());
            assert_eq!((check.status, check.code.as_str()), (status, code), "{probe:?}: {check:?}");
            let told = format!("{} {}", check.message, check.fix.unwrap_or_default());
            assert!(told.contains(said) && !told.contains("canary"), "{probe:?}: {told}");
        }
        let mut config = Config::default();
        config.of_process.insert("OPENAI_API_KEY".to_owned(), Secret("canary".to_owned()));
        let check = of_service(&v1, &Probe::Status(401), None, &config);
        assert!(check.fix.as_ref().unwrap().contains("unset OPENAI_API_KEY"), "{check:?}");
    }

    #[tokio::test]
    async fn a_service_is_asked_for_its_models_with_its_key_and_a_silent_one_for_3_s() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let base_url = format!("http://{}/v1/", listener.local_addr().unwrap());
        let serving = std::thread::spawn(move || {
            let mut heads = Vec::new();
            for answer in [
                "HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n{\"data\":[{\"id\":\"a\"},{\"id\":\"b\"}]}",
                "HTTP/1.1 401 Unauthorized\r\nconnection: close\r\ncontent-length: 0\r\n\r\n",
            ] {
                let (mut stream, _) = listener.accept().unwrap();
                let mut head = [0; 1024];
                let length = stream.read(&mut head).unwrap();
                heads.push(String::from_utf8_lossy(&head[..length]).into_owned());
                stream.write_all(answer.as_bytes()).unwrap();
            }
            (heads, listener)
        });
        let agent = AgentConfig::Openai(service(&base_url, Some("canary")));
        assert_eq!(probe(&agent).await, Some(Probe::Models(vec!["a".into(), "b".into()])));
        assert_eq!(probe(&agent).await, Some(Probe::Status(401)));
        let (heads, _listener) = serving.join().unwrap();
        assert!(heads[0].starts_with("GET /v1/models HTTP/1.1"), "{heads:?}");
        assert!(heads[0].to_ascii_lowercase().contains("authorization: bearer canary"), "{heads:?}");
        // It listens, and takes nothing.
        let silent = probe(&agent).await;
        assert!(matches!(&silent, Some(Probe::Away(why)) if why.contains("3 s")), "{silent:?}");
        assert_eq!(probe(&AgentConfig::Echo).await, None);
    }
}
