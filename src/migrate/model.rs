//! Pure. The agent: the model that `config.yaml` names, where its service speaks as OpenAI's does.

use serde_json::{Map, Value};

use super::plan::{Outcome, Planner};
use super::references;
use super::sections::whole;
use super::toml_text::Key;
use crate::yaml::word;

/// Services that speak as OpenAI's does, with their address and the variable of their key.
const SERVICES: [(&str, &str, &str); 16] = [
    ("openrouter", "https://openrouter.ai/api/v1", "OPENROUTER_API_KEY"),
    ("openai-api", "https://api.openai.com/v1", "OPENAI_API_KEY"),
    ("openai", "https://api.openai.com/v1", "OPENAI_API_KEY"),
    ("lmstudio", "http://127.0.0.1:1234/v1", "LM_API_KEY"),
    ("ollama", "http://127.0.0.1:11434/v1", "OLLAMA_API_KEY"),
    ("ollama-cloud", "https://ollama.com/v1", "OLLAMA_API_KEY"),
    ("deepseek", "https://api.deepseek.com/v1", "DEEPSEEK_API_KEY"),
    ("xai", "https://api.x.ai/v1", "XAI_API_KEY"),
    ("nvidia", "https://integrate.api.nvidia.com/v1", "NVIDIA_API_KEY"),
    ("zai", "https://api.z.ai/api/paas/v4", "GLM_API_KEY"),
    ("kimi-coding", "https://api.moonshot.ai/v1", "KIMI_API_KEY"),
    ("kimi-coding-cn", "https://api.moonshot.cn/v1", "KIMI_CN_API_KEY"),
    ("alibaba", "https://dashscope-intl.aliyuncs.com/compatible-mode/v1", "DASHSCOPE_API_KEY"),
    ("huggingface", "https://router.huggingface.co/v1", "HF_TOKEN"),
    ("arcee", "https://api.arcee.ai/api/v1", "ARCEEAI_API_KEY"),
    ("opencode-zen", "https://opencode.ai/zen/v1", "OPENCODE_ZEN_API_KEY"),
];

/// Providers that speak otherwise, or are signed in to.
const OTHER_PROVIDERS: [&str; 14] = [
    "anthropic",
    "nous",
    "openai-codex",
    "xai-oauth",
    "qwen-oauth",
    "copilot",
    "copilot-acp",
    "gemini",
    "vertex",
    "bedrock",
    "minimax",
    "minimax-cn",
    "minimax-oauth",
    "azure-foundry",
];

/// The settings of `model` that say where the answers come from.
pub(super) const KEYS: [&str; 10] = [
    "default",
    "model",
    "name",
    "provider",
    "base_url",
    "api_mode",
    "api_key",
    "key_env",
    "api_key_env",
    "context_length",
];

/// The variable of ours for a key that stands in `config.yaml` itself.
const OWN_KEY: &str = "AGENT_API_KEY";

/// True for a key of a service for models or tools.
pub(super) fn is_key(name: &str) -> bool {
    name.ends_with("_API_KEY") || SERVICES.iter().any(|(.., key)| *key == name)
}

/// The variable with the key of our agent, by what is planned and what stands in `gateway.toml`.
pub(super) fn key_in_use(planner: &Planner<'_>) -> Option<String> {
    if planner.agent_text("kind").as_deref() != Some("openai") {
        return None;
    }
    Some(planner.agent_text("api_key_env").unwrap_or_else(|| "OPENAI_API_KEY".to_owned()))
}

/// Where the answers come from.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct Service {
    base_url: String,
    model: Option<String>,
    /// The variable of the key.
    key_env: Option<String>,
    /// The key itself, where it stands in the file.
    key: Option<String>,
    /// `config.yaml` refers to that variable.
    is_reference: bool,
}

const WHAT: &str = "config.yaml: model";

pub(super) fn plan(planner: &mut Planner<'_>) {
    let model = planner.config.get("model").filter(|model| !model.is_null()).cloned();
    let proxied = proxied(planner);
    let kept = "gateway.toml names who answers, which stays";
    if planner.own_key("agent", "kind").is_some() {
        let of_config = proxied.map(|(_, what)| what).filter(|what| what.starts_with("config.yaml"));
        for what in of_config.into_iter().chain(model.map(|_| WHAT.to_owned())) {
            planner.say(Outcome::Kept, what, kept);
        }
        return;
    }
    if let Some((url, place)) = proxied {
        to_proxy(planner, &url, &place);
        if model.is_some() {
            planner.say(
                Outcome::Stays,
                WHAT,
                "the other hermes-agent, to which messages are passed on, has its own",
            );
        }
        return;
    }
    let Some(model) = model else { return };
    match service(planner, &model) {
        Ok(Some(service)) => {
            take(
                planner,
                WHAT,
                service,
                "the model answers by itself, without hermes-agent's tools and memory",
            );
            context(planner, &model);
            if planner.found.has_persona {
                planner.say(
                    Outcome::Decision,
                    "SOUL.md",
                    "the persona of hermes-agent; to have it said to the model, set `system_prompt_file` under [agent] in gateway.toml",
                );
            }
        }
        Ok(None) if model.as_object().is_some_and(|model| !model.is_empty()) => {
            planner.say(Outcome::Stays, WHAT, "it names no model");
        }
        Ok(None) => {}
        Err(why) => planner.say(Outcome::Decision, WHAT, why),
    }
}

fn to_proxy(planner: &mut Planner<'_>, url: &str, place: &str) {
    if planner.is_unresolved(place, &Value::String(url.to_owned())) {
        return;
    }
    if !is_http(url) {
        return planner.say(Outcome::Decision, place, "it is not an http or https address");
    }
    let service = Service {
        base_url: format!("{}/v1", url.trim_end_matches('/').trim_end_matches("/v1")),
        model: Some("hermes-agent".to_owned()),
        key_env: Some("GATEWAY_PROXY_KEY".to_owned()),
        ..Service::default()
    };
    take(planner, place, service, "the same hermes-agent answers, with its tools");
}

/// The window of the model, if it is set.
fn context(planner: &mut Planner<'_>, model: &Value) {
    let Some(length) = model.get("context_length").filter(|length| !length.is_null()) else { return };
    let what = "config.yaml: model.context_length";
    match whole(length).filter(|tokens| *tokens >= 512).and_then(|tokens| i64::try_from(tokens).ok()) {
        Some(tokens) => {
            let value = toml::Value::Integer(tokens);
            planner.key(what, Key { table: "agent", name: "context_tokens", value }, "");
        }
        None => {
            planner.say(
                Outcome::Decision,
                what,
                "`context_tokens` under [agent] in gateway.toml is from 512",
            );
        }
    }
}

/// hermes-agent on another machine, to which the messages are passed on.
fn proxied(planner: &Planner<'_>) -> Option<(String, String)> {
    let of_config = || {
        let url = planner.section("gateway")?.get("proxy_url").and_then(word)?;
        Some((url, "config.yaml: gateway.proxy_url".to_owned()))
    };
    let of_name = planner.setting("GATEWAY_PROXY_URL").map(|(url, _)| (url, "GATEWAY_PROXY_URL".to_owned()));
    of_name.or_else(of_config).filter(|(url, _)| !url.is_empty())
}

fn take(planner: &mut Planner<'_>, what: &str, service: Service, why: &str) {
    planner.key(what, Key::text("agent", "kind", "openai"), why);
    planner.key(what, Key::text("agent", "base_url", service.base_url), "");
    if let Some(model) = service.model {
        planner.key(what, Key::text("agent", "model", model), "");
    }
    let key_env = match (service.key, service.key_env) {
        (Some(key), _) => {
            planner.env(&format!("{what}.api_key"), OWN_KEY, &key, "");
            Some(OWN_KEY.to_owned())
        }
        (None, env) => env,
    };
    let Some(name) = key_env else { return };
    planner.key(what, Key::text("agent", "api_key_env", name.as_str()), "");
    let of_env = planner.setting(&name).map(|(key, _)| key);
    let of_process = || planner.found.value(&name).map(str::to_owned);
    match of_env.clone().or_else(of_process) {
        // It stands in the one `.env` of both.
        Some(_) if planner.found.is_same_home && of_env.is_some() => {}
        Some(key) => planner.env(&name, &name, &key, ""),
        None if service.is_reference && planner.own_env(&name).is_none() => {
            let why = planner.refers(&name);
            planner.say(Outcome::Decision, format!("{what}.api_key"), why);
        }
        None => {}
    }
}

/// `None` where nothing is chosen.
fn service(planner: &Planner<'_>, model: &Value) -> Result<Option<Service>, String> {
    let map = match model {
        Value::String(name) if name.is_empty() => return Ok(None),
        Value::String(name) => Map::from_iter([("default".to_owned(), Value::String(name.clone()))]),
        Value::Object(map) => map.clone(),
        Value::Null => return Ok(None),
        Value::Bool(_) | Value::Number(_) | Value::Array(_) => {
            return Err("it has a form that is not understood".to_owned());
        }
    };
    let text =
        |name: &str| map.get(name).and_then(Value::as_str).map(str::trim).filter(|text| !text.is_empty());
    let provider = text("provider").unwrap_or("auto").to_ascii_lowercase();
    let name = text("default").or_else(|| text("model")).or_else(|| text("name"));
    if name.is_none() && text("base_url").is_none() && provider == "auto" {
        return Ok(None);
    }
    if OTHER_PROVIDERS.contains(&provider.as_str()) {
        return Err(format!(
            "the provider {provider} does not speak as OpenAI does, or is signed in to; choose who answers: `kind` under [agent] in gateway.toml"
        ));
    }
    if let Some(mode) = text("api_mode").filter(|mode| *mode != "chat_completions") {
        return Err(format!(
            "the interface {mode} is not OpenAI's chat completions; choose who answers: `kind` under [agent] in gateway.toml"
        ));
    }
    let named = custom(planner, &provider);
    let parts = [Some(model), named.as_ref()];
    if let Some(name) = parts.into_iter().flatten().find_map(references::left) {
        return Err(planner.refers(name));
    }
    let known = SERVICES.iter().find(|(service, ..)| *service == provider);
    let of_named = |key: &str| {
        named
            .as_ref()
            .and_then(|entry| entry.get(key)?.as_str())
            .map(str::trim)
            .filter(|text| !text.is_empty())
    };
    let base_url = text("base_url").or_else(|| of_named("base_url")).or(known.map(|(_, url, _)| *url));
    let is_openrouter =
        base_url.is_none() && provider == "auto" && planner.setting("OPENROUTER_API_KEY").is_some();
    let base_url = base_url.or(is_openrouter.then_some(SERVICES[0].1));
    if base_url.is_some_and(|url| !is_http(url)) {
        return Err("its base_url is not an http or https address".to_owned());
    }
    let Some(base_url) = base_url else {
        return Err("it does not say which service answers; set `kind`, `base_url` and `model` under [agent] in gateway.toml".to_owned());
    };
    let written = text("api_key").or_else(|| of_named("api_key"));
    let is_reference = written.is_some_and(|key| references::sole(key).is_some());
    let (key, key_env) = match written {
        Some(key) => match references::sole(key) {
            Some(name) => (None, Some(name.to_owned())),
            None => (Some(key.to_owned()), None),
        },
        None => {
            let said = ["key_env", "api_key_env"].iter().find_map(|key| text(key).or_else(|| of_named(key)));
            let of_service = known.map(|(.., env)| *env).or(is_openrouter.then_some(SERVICES[0].2));
            let candidates = [said, of_service, Some("OPENAI_API_KEY")];
            let is_set = |name: &&str| planner.setting(name).is_some();
            (None, said.or_else(|| candidates.into_iter().flatten().find(is_set)).map(str::to_owned))
        }
    };
    let model = name.or_else(|| of_named("model")).map(str::to_owned);
    Ok(Some(Service {
        base_url: base_url.trim_end_matches('/').to_owned(),
        model,
        key_env,
        key,
        is_reference,
    }))
}

/// A service that the settings describe under this name.
fn custom(planner: &Planner<'_>, provider: &str) -> Option<Value> {
    let wanted = provider.strip_prefix("custom:").unwrap_or(provider);
    let of_map = planner
        .section("providers")
        .and_then(|providers| Some(providers.iter().find(|(name, _)| name.eq_ignore_ascii_case(wanted))?.1));
    let of_list = || {
        let list = planner.config.get("custom_providers")?.as_array()?;
        let has_name = |entry: &&Value| {
            entry
                .get("name")
                .and_then(Value::as_str)
                .is_some_and(|name| name.trim().replace(' ', "-").eq_ignore_ascii_case(wanted))
        };
        list.iter().find(has_name)
    };
    of_map.or_else(of_list).cloned()
}

fn is_http(url: &str) -> bool {
    let rest = url.strip_prefix("http://").or_else(|| url.strip_prefix("https://"));
    rest.is_some_and(|rest| !rest.is_empty() && !rest.contains(char::is_whitespace))
}
