//! Pure. The sections of `config.yaml` that are not of one platform, and every setting that no other part of the plan names.

use serde_json::{Map, Value};

use super::chat;
use super::model;
use super::plan::{Outcome, Planner};
use super::toml_text::Key;
use crate::yaml::switch;

/// Sections with settings of the gateway, and single settings beside them.
const HANDLED: [&str; 11] = [
    "model",
    "platforms",
    "gateway",
    "session_reset",
    "group_sessions_per_user",
    "unauthorized_dm_behavior",
    "require_mention",
    "agent",
    "display",
    "streaming",
    VERSION,
];

/// The version of the file, which sets nothing.
const VERSION: &str = "_config_version";

/// Settings that stand at the top, or below `gateway` where the top does not have them.
const SHARED: [&str; 4] =
    ["session_reset", "group_sessions_per_user", "unauthorized_dm_behavior", "streaming"];

/// Settings that hermes-agent also has with a name in capitals, which says why they have no effect here.
const NAMED: [(&str, &str); 9] = [
    ("agent.gateway_timeout", "HERMES_AGENT_TIMEOUT"),
    ("agent.gateway_timeout_warning", "HERMES_AGENT_TIMEOUT_WARNING"),
    ("agent.gateway_notify_interval", "HERMES_AGENT_NOTIFY_INTERVAL"),
    ("display.background_process_notifications", "HERMES_BACKGROUND_NOTIFICATIONS"),
    ("display.busy_text_mode", "HERMES_GATEWAY_BUSY_TEXT_MODE"),
    ("display.tool_progress", "HERMES_TOOL_PROGRESS"),
    ("display.tool_progress_command", "HERMES_TOOL_PROGRESS"),
    ("display.tool_progress_overrides", "HERMES_TOOL_PROGRESS"),
    ("gateway.multiplex_profiles", "GATEWAY_MULTIPLEX_PROFILES"),
];

const NEITHER: &str = "it is neither true nor false";
const FORM: &str = "it has a form that is not understood";

/// True for a section of which this plan names every setting.
pub(super) fn is_handled(name: &str) -> bool {
    HANDLED.contains(&name) || chat::is_platform(name)
}

/// A whole number, which a variable has as text.
pub(super) fn whole(value: &Value) -> Option<u64> {
    value.as_u64().or_else(|| value.as_str()?.trim().parse().ok())
}

fn seconds(value: &Value) -> Option<u64> {
    whole(value).filter(|seconds| (1..=600).contains(seconds))
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.trim().is_empty(),
        Value::Array(list) => list.is_empty(),
        Value::Object(map) => map.is_empty(),
        Value::Bool(_) | Value::Number(_) => false,
    }
}

/// Settings that hold for all platforms.
pub(super) fn plan(planner: &mut Planner<'_>) {
    sessions(planner);
    gateway(planner);
    streaming(planner);
    let busy = planner.section("display").and_then(|display| display.get("busy_input_mode")).cloned();
    let Some(busy) = busy.filter(|busy| !is_empty(busy)) else { return };
    let what = "config.yaml: display.busy_input_mode";
    if planner.is_unresolved(what, &busy) {
        return;
    }
    match busy.as_str() {
        Some(mode @ ("queue" | "interrupt" | "steer")) => {
            planner.key(what, Key::text("gateway", "busy", mode), "");
        }
        Some(_) | None => planner.say(Outcome::Decision, what, "it is none of queue, interrupt and steer"),
    }
}

/// A setting that counts at the top and under `gateway`, as a copy.
fn shared(planner: &Planner<'_>, name: &str) -> Option<(Value, String)> {
    planner.shared(name).map(|(value, what)| (value.clone(), what)).filter(|(value, _)| !is_empty(value))
}

fn sessions(planner: &mut Planner<'_>) {
    let older = || {
        let reset = planner.older.get("default_reset_policy").filter(|reset| !is_empty(reset))?;
        Some((reset.clone(), "gateway.json: default_reset_policy".to_owned()))
    };
    match shared(planner, "session_reset").or_else(older) {
        Some((Value::Object(reset), what)) => {
            for (name, value) in reset.iter().filter(|(_, value)| !is_empty(value)) {
                reset_setting(planner, name, &format!("{what}.{name}"), value);
            }
        }
        Some((_, what)) => planner.say(Outcome::Decision, what, FORM),
        None => {}
    }
    if let Some((value, what)) = shared(planner, "group_sessions_per_user") {
        switched(planner, &what, &value, |is| Key::switch("session", "per_user_in_groups", is));
    }
}

/// Takes a switch.
fn switched(planner: &mut Planner<'_>, what: &str, value: &Value, key: impl Fn(bool) -> Key) {
    if planner.is_unresolved(what, value) {
        return;
    }
    match switch(value) {
        Some(is) => planner.key(what, key(is), ""),
        None => planner.say(Outcome::Decision, what, NEITHER),
    }
}

fn reset_setting(planner: &mut Planner<'_>, name: &str, what: &str, value: &Value) {
    if planner.is_unresolved(what, value) {
        return;
    }
    let number = |range: core::ops::RangeInclusive<u64>| whole(value).filter(|number| range.contains(number));
    match name {
        "mode" => match value.as_str() {
            Some(mode @ ("none" | "idle" | "daily")) => {
                planner.key(what, Key::text("session", "reset", mode), "");
            }
            Some("both") => {
                let why = "hermes has one rule for new conversations: set `reset` under [session] in gateway.toml to idle or daily";
                planner.say(Outcome::Decision, what, why);
            }
            Some(_) | None => planner.say(Outcome::Decision, what, "it is none of none, idle and daily"),
        },
        "idle_minutes" => match number(1..=365 * 24 * 60) {
            Some(minutes) => planner.key(what, Key::text("session", "idle_after", format!("{minutes}m")), ""),
            None => planner.say(
                Outcome::Decision,
                what,
                "`idle_after` under [session] in gateway.toml is from 1m to 365 days",
            ),
        },
        "at_hour" => match number(0..=23) {
            Some(hour) => planner.key(what, Key::text("session", "daily_at", format!("{hour:02}:00")), ""),
            None => planner.say(Outcome::Decision, what, "it is not an hour from 0 to 23"),
        },
        "notify" => switched(planner, what, value, |is| Key::switch("session", "notify", is)),
        _ => planner.say(Outcome::NotSupported, what, chat::NO_SETTING),
    }
}

fn gateway(planner: &mut Planner<'_>) {
    let gateway = planner.section("gateway").cloned().unwrap_or_default();
    for (name, value) in gateway.iter().filter(|(_, value)| !is_empty(value)) {
        let what = format!("config.yaml: gateway.{name}");
        if SHARED.contains(&name.as_str()) && planner.config.contains_key(name) {
            let why =
                format!("it has no effect in hermes-agent: {name} at the top of the file goes before it");
            planner.say(Outcome::Stays, what, why);
            continue;
        }
        match name.as_str() {
            "platform_connect_timeout" if !planner.is_unresolved(&what, value) => match seconds(value) {
                Some(seconds) => {
                    planner.key(&what, Key::text("gateway", "connect_timeout", format!("{seconds}s")), "");
                }
                None => planner.say(
                    Outcome::Decision,
                    what,
                    "`connect_timeout` under [gateway] in gateway.toml is from 10ms to 600s",
                ),
            },
            "allow_all_users" if !planner.is_unresolved(&what, value) => match switch(value) {
                Some(all) => {
                    planner.env(&what, "GATEWAY_ALLOW_ALL_USERS", &all.to_string(), "");
                    planner.opening("GATEWAY_ALLOW_ALL_USERS", &all.to_string(), &what);
                }
                None => planner.say(Outcome::Decision, what, NEITHER),
            },
            // The others have their own place in this plan, or are named at its end.
            _ => {}
        }
    }
}

/// hermes shows a growing answer on platforms that can change a message; a platform has its own interval.
fn streaming(planner: &mut Planner<'_>) {
    let every = |text: &str| Key::text("platforms.telegram", "stream_every", text);
    let (map, place) = match shared(planner, "streaming") {
        Some((Value::Object(map), place)) => (map, place),
        Some((_, what)) => return planner.say(Outcome::Decision, what, FORM),
        None => return,
    };
    let is_off = |name: &str| map.get(name).is_some_and(|value| switch(value) == Some(false));
    let is_on = match map.get("enabled") {
        Some(enabled) => switch(enabled) == Some(true) && !is_off("transport"),
        None => map.contains_key("mode") && !is_off("mode"),
    };
    for (name, value) in map.iter().filter(|(_, value)| !is_empty(value)) {
        let what = format!("{place}.{name}");
        if planner.is_unresolved(&what, value) {
            continue;
        }
        match (name.as_str(), switch(value)) {
            ("mode", _) if map.contains_key("enabled") => {
                planner.say(
                    Outcome::Stays,
                    what,
                    "it has no effect in hermes-agent: `enabled` goes before it",
                );
            }
            ("enabled" | "mode" | "transport", Some(false)) => {
                planner.key(&what, every("off"), "complete answers only");
            }
            ("enabled" | "mode" | "transport", Some(true)) if !is_on => {}
            ("enabled", None) => planner.say(Outcome::Decision, what, NEITHER),
            ("enabled" | "mode" | "transport", _) => {
                planner.say(
                    Outcome::InUse,
                    what,
                    "an answer is shown while it grows, where the platform can do that",
                );
            }
            ("edit_interval", _) if !is_on => {
                planner.say(Outcome::Stays, what, "it has no effect in hermes-agent: streaming is off");
            }
            ("edit_interval", _) => match interval_ms(value) {
                Some(interval) => planner.key(&what, every(&format!("{interval}ms")), ""),
                None => planner.say(
                    Outcome::Decision,
                    what,
                    "`stream_every` under [platforms.telegram] in gateway.toml is from 100ms to 60s",
                ),
            },
            _ => planner.say(Outcome::NotSupported, what, chat::NO_SETTING),
        }
    }
}

fn interval_ms(value: &Value) -> Option<u64> {
    let seconds = value.as_f64().or_else(|| value.as_str()?.trim().parse().ok())?;
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "in these bounds")]
    (0.1..=60.0).contains(&seconds).then_some((seconds * 1000.0).round() as u64)
}

/// Settings of the agent itself that the gateway has, too. Who answers must be planned.
pub(super) fn agent(planner: &mut Planner<'_>) {
    let agent = planner.section("agent").cloned().unwrap_or_default();
    let of = |name: &str| agent.get(name).filter(|value| !is_empty(value));
    let what = "config.yaml: agent.restart_drain_timeout";
    if let Some(drain) = of("restart_drain_timeout")
        && !planner.is_unresolved(what, drain)
    {
        match seconds(drain) {
            Some(seconds) => {
                planner.key(what, Key::text("gateway", "drain_timeout", format!("{seconds}s")), "");
            }
            None => planner.say(
                Outcome::Decision,
                what,
                "`drain_timeout` under [gateway] in gateway.toml is from 1s to 600s",
            ),
        }
    }
    let what = "config.yaml: agent.system_prompt";
    let Some(prompt) = of("system_prompt") else { return };
    if planner.is_unresolved(what, prompt) {
        return;
    }
    match prompt.as_str().filter(|_| planner.agent_text("kind").as_deref() == Some("openai")) {
        Some(_) if planner.own_key("agent", "system_prompt_file").is_some() => {
            planner.say(Outcome::Kept, what, "gateway.toml names another one, which stays");
        }
        Some(prompt) => {
            planner.key(what, Key::text("agent", "system_prompt", prompt.trim()), "said to the model before each conversation");
        }
        None => planner.say(
            Outcome::Decision,
            what,
            "to have it said to a model, set `kind = \"openai\"` and `system_prompt` under [agent] in gateway.toml",
        ),
    }
}

/// A setting with its name and its section, as people know them.
struct Leaf {
    section: String,
    path: String,
}

/// Names every setting of a handled section that no part of the plan has named.
pub(super) fn unnamed(planner: &mut Planner<'_>) {
    let mut groups: Vec<(String, String, Vec<String>)> = Vec::new();
    for Leaf { section, path } in leaves(&planner.config) {
        if is_named(planner, &path) {
            continue;
        }
        let why = reason(&path);
        match groups.iter_mut().find(|(known, reason, _)| *known == section && *reason == why) {
            Some((.., paths)) => paths.push(path),
            None => groups.push((section, why, vec![path])),
        }
    }
    for (_, why, paths) in groups {
        planner.say(Outcome::NotSupported, format!("config.yaml: {}", paths.join(", ")), why);
    }
    let is_of_plan = |name: &str| matches!(name, "platforms" | "default_reset_policy");
    let older = planner.older.iter().filter(|(name, value)| !is_of_plan(name) && !is_empty(value));
    let older: Vec<&str> = older.map(|(name, _)| name.as_str()).collect();
    if !older.is_empty() {
        let what = format!("gateway.json: {}", older.join(", "));
        planner.say(Outcome::NotSupported, what, chat::NO_SETTING);
    }
}

fn reason(path: &str) -> String {
    if let Some((_, name)) = NAMED.iter().find(|(setting, _)| *setting == path) {
        return chat::reason(name);
    }
    let (above, name) = path.rsplit_once('.').unwrap_or(("", path));
    match (above, name) {
        (_, "unauthorized_dm_behavior") => "`<PLATFORM>_DM_POLICY` in .env says it here".to_owned(),
        ("agent" | "display", _) => "a setting of hermes-agent itself, its tools or its terminal".to_owned(),
        ("platforms" | "gateway.platforms", name) => format!("the platform {name} is not available yet"),
        _ => chat::NO_SETTING.to_owned(),
    }
}

/// True when the plan says something about this setting, or about what it is a part of.
fn is_named(planner: &Planner<'_>, path: &str) -> bool {
    let is_of =
        |whole: &str| path.strip_prefix(whole).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'));
    planner.plan.items.iter().any(|item| {
        let Some(named) = item.what.strip_prefix("config.yaml: ") else { return false };
        // Of the model as a whole only what makes a service of it is taken.
        let is_part = named == "model" && matches!(item.outcome, Outcome::Taken | Outcome::InUse);
        if is_part {
            path.strip_prefix("model")
                .is_some_and(|rest| rest.is_empty() || model::KEYS.contains(&rest.trim_start_matches('.')))
        } else {
            named.split(", ").any(is_of)
        }
    })
}

/// The settings in the handled sections that are set.
fn leaves(config: &Map<String, Value>) -> Vec<Leaf> {
    let mut leaves = Vec::new();
    for (name, value) in config.iter().filter(|(name, _)| is_handled(name) && *name != VERSION) {
        match (name.as_str(), value) {
            ("platforms", Value::Object(map)) => platforms(name, map, &mut leaves),
            ("gateway", Value::Object(map)) => {
                for (below, value) in map {
                    let path = format!("{name}.{below}");
                    match value.as_object() {
                        Some(map) if below == "platforms" => platforms(&path, map, &mut leaves),
                        Some(map) if SHARED.contains(&below.as_str()) => each(&path, map, &mut leaves),
                        Some(_) | None => leaf(name, path, value, &mut leaves),
                    }
                }
            }
            (_, Value::Object(map)) if chat::is_platform(name) => block(name, map, &mut leaves),
            (_, Value::Object(map)) => each(name, map, &mut leaves),
            _ => leaf(name, name.clone(), value, &mut leaves),
        }
    }
    leaves
}

fn leaf(section: &str, path: String, value: &Value, leaves: &mut Vec<Leaf>) {
    if !is_empty(value) {
        leaves.push(Leaf { section: section.to_owned(), path });
    }
}

fn each(section: &str, map: &Map<String, Value>, leaves: &mut Vec<Leaf>) {
    for (name, value) in map {
        leaf(section, format!("{section}.{name}"), value, leaves);
    }
}

fn platforms(section: &str, map: &Map<String, Value>, leaves: &mut Vec<Leaf>) {
    for (platform, value) in map {
        let path = format!("{section}.{platform}");
        match value.as_object().filter(|_| chat::is_platform(platform)) {
            Some(map) => block(&path, map, leaves),
            None => leaf(section, path, value, leaves),
        }
    }
}

/// One that is off, and is not here either, sets nothing.
fn block(section: &str, map: &Map<String, Value>, leaves: &mut Vec<Leaf>) {
    let platform = section.rsplit('.').next().unwrap_or(section);
    if !chat::is_ours(platform) && map.get("enabled").and_then(switch) == Some(false) {
        return;
    }
    for (name, value) in map {
        match value.as_object().filter(|_| name == "extra") {
            Some(extra) => {
                let extra = extra.iter().map(|(name, value)| (format!("{section}.extra.{name}"), value));
                extra.for_each(|(path, value)| leaf(section, path, value, leaves));
            }
            None => leaf(section, format!("{section}.{name}"), value, leaves),
        }
    }
}
