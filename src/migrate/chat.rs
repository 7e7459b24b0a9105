//! Pure. The blocks of a platform in `config.yaml`.

use serde_json::{Map, Value};

use super::plan::{Outcome, Planner};
use super::toml_text::Key;
use crate::config::standing;
use crate::platforms::Platform;
use crate::yaml::{switch, word};

/// Platforms of hermes-agent that are not here yet, by the names of their blocks.
const OTHERS: [(&str, &str); 27] = [
    ("discord", "Discord"),
    ("slack", "Slack"),
    ("qqbot", "QQ"),
    ("signal", "Signal"),
    ("matrix", "Matrix"),
    ("email", "email"),
    ("sms", "SMS"),
    ("mattermost", "Mattermost"),
    ("dingtalk", "DingTalk"),
    ("feishu", "Feishu"),
    ("wecom", "WeCom"),
    ("wecom_callback", "WeCom"),
    ("weixin", "Weixin"),
    ("yuanbao", "Yuanbao"),
    ("bluebubbles", "iMessage by BlueBubbles"),
    (concat!("whatsapp", "_cloud"), "WhatsApp by the Cloud API"),
    ("homeassistant", "Home Assistant"),
    ("google_chat", "Google Chat"),
    ("teams", "Microsoft Teams"),
    ("msgraph_webhook", "Microsoft Graph"),
    ("line", "LINE"),
    ("ntfy", "ntfy"),
    ("irc", "IRC"),
    ("simplex", "SimpleX"),
    ("photon", "iMessage by Photon"),
    ("webhook", "a turn by webhook"),
    ("relay", "the relay to other gateways"),
];

/// Settings of a block, and the names that they have in `.env`, without the platform's.
const SETTINGS: [(&str, &str); 10] = [
    ("allow_from", "ALLOWED_USERS"),
    ("group_allow_from", "GROUP_ALLOWED_USERS"),
    ("group_allowed_chats", "GROUP_ALLOWED_CHATS"),
    ("allowed_chats", "ALLOWED_CHATS"),
    ("free_response_chats", "FREE_RESPONSE_CHATS"),
    ("require_mention", "REQUIRE_MENTION"),
    ("mention_patterns", "MENTION_PATTERNS"),
    ("allow_admin_from", "ADMIN_USERS"),
    ("token", "BOT_TOKEN"),
    ("proxy_url", "PROXY"),
];

/// The reason for a setting of which hermes knows nothing.
pub(super) const NO_SETTING: &str = "hermes has no such setting";

/// True for the name of a platform that hermes has, too.
pub(super) fn is_ours(name: &str) -> bool {
    matches!(name, "telegram" | "whatsapp" | "api_server")
}

/// True for the name of a platform's block.
pub fn is_platform(name: &str) -> bool {
    is_ours(name) || OTHERS.iter().any(|(block, _)| *block == name)
}

/// One setting of a block.
struct Setting {
    name: String,
    /// Where it stands.
    what: String,
    value: Value,
}

/// The settings of a platform, wherever its blocks are. Of the same name the one that counts in hermes-agent, and then those that do
/// not.
fn block(planner: &Planner<'_>, platform: &str) -> (Vec<Setting>, Vec<Setting>) {
    fn of<'a>(platforms: Option<&'a Value>, platform: &str) -> Option<&'a Map<String, Value>> {
        platforms?.get(platform)?.as_object()
    }
    let config = &planner.config;
    let gateway = config.get("gateway").and_then(|gateway| gateway.get("platforms"));
    let (mut settings, mut hidden): (Vec<Setting>, Vec<Setting>) = (Vec::new(), Vec::new());
    for (place, block) in [
        (format!("config.yaml: {platform}"), config.get(platform).and_then(Value::as_object)),
        (format!("config.yaml: platforms.{platform}"), of(config.get("platforms"), platform)),
        (format!("config.yaml: gateway.platforms.{platform}"), of(gateway, platform)),
        (format!("gateway.json: platforms.{platform}"), of(planner.older.get("platforms"), platform)),
    ] {
        let Some(block) = block else { continue };
        let extra = block.get("extra").and_then(Value::as_object);
        let inner = extra.into_iter().flatten().map(|(name, value)| (name, value, "extra."));
        let outer = block.iter().filter(|(name, _)| *name != "extra").map(|(name, value)| (name, value, ""));
        for (name, value, below) in outer.chain(inner) {
            let what = format!("{place}.{below}{name}");
            let setting = Setting { name: name.clone(), what, value: value.clone() };
            let is_first = settings.iter().all(|known| known.name != *name);
            if is_first { &mut settings } else { &mut hidden }.push(setting);
        }
    }
    (settings, hidden)
}

/// The settings of a platform that hermes has, too; of the others it is said why nothing becomes of them.
fn own_block(planner: &mut Planner<'_>, platform: &str) -> Vec<Setting> {
    let (mut settings, hidden) = block(planner, platform);
    for Setting { name, what, .. } in hidden {
        let before =
            settings.iter().find(|setting| setting.name == name).map(|setting| setting.what.as_str());
        let why = format!("it has no effect in hermes-agent: {} goes before it", before.unwrap_or_default());
        planner.say(Outcome::Stays, what, why);
    }
    settings.retain(|Setting { what, value, .. }| !planner.is_unresolved(what, value));
    settings
}

/// A list as it stands in `.env`.
fn list(value: &Value) -> Option<String> {
    let Value::Array(list) = value else { return word(value) };
    Some(list.iter().map(word).collect::<Option<Vec<_>>>()?.join(","))
}

/// The switch of ours beside the token.
const SWITCH: &str = "TELEGRAM_ENABLED";

const MENTION: &str = "config.yaml: require_mention";

pub(super) fn telegram(planner: &mut Planner<'_>) {
    let settings = own_block(planner, "telegram");
    for Setting { name, what, value } in &settings {
        match name.as_str() {
            "base_url" | "base_file_url" => {
                let key = if name == "base_url" { "api_base" } else { "file_base" };
                match value.as_str().filter(|url| url.starts_with("http://") || url.starts_with("https://")) {
                    Some(url) => planner.key(
                        what,
                        Key::text("platforms.telegram", key, root(url)),
                        "the bot's token goes to this service only",
                    ),
                    None => planner.say(Outcome::Decision, what, "it is not an http or https address"),
                }
            }
            "enabled" if planner.own_env(SWITCH).is_some() => {
                planner.say(Outcome::Kept, what, "TELEGRAM_ENABLED in .env says it here");
            }
            "enabled" => disable(planner, what, value, "platforms.telegram"),
            _ => common(planner, Platform::Telegram, name, what, value),
        }
    }
    // Without a block of its own it counts for Telegram.
    if let Some(value) = planner.config.get("require_mention").cloned()
        && !value.is_null()
        && settings.iter().all(|setting| setting.name != "require_mention")
        && !planner.is_unresolved(MENTION, &value)
    {
        match switch(&value) {
            Some(is) => planner.env(MENTION, "TELEGRAM_REQUIRE_MENTION", &is.to_string(), ""),
            None => planner.say(Outcome::Decision, MENTION, "it is neither true nor false"),
        }
    }
    let has_token =
        planner.own_env("TELEGRAM_BOT_TOKEN").is_some() || planner.setting("TELEGRAM_BOT_TOKEN").is_some();
    if has_token {
        strangers(planner, Platform::Telegram, &settings);
        let names =
            ["TELEGRAM_GROUP_ALLOWED_USERS", "TELEGRAM_GROUP_ALLOWED_CHATS", "TELEGRAM_ALLOWED_CHATS"];
        if names.iter().any(|name| is_set(planner, name)) {
            groups(planner, Platform::Telegram);
        }
    }
}

pub(super) fn whatsapp(planner: &mut Planner<'_>) {
    let settings = own_block(planner, "whatsapp");
    for Setting { name, what, value } in &settings {
        let policy = value.as_str().map(str::to_ascii_lowercase);
        match (name.as_str(), policy.as_deref()) {
            ("dm_policy", Some(policy @ ("allowlist" | "pairing" | "disabled"))) => {
                planner.env(what, "WHATSAPP_DM_POLICY", policy, "");
            }
            ("group_policy", Some(policy @ ("allowlist" | "disabled"))) => {
                planner.env(what, "WHATSAPP_GROUP_POLICY", policy, "");
            }
            ("group_policy", Some("pairing")) => {
                planner.say(Outcome::InUse, what, "no group is answered, as without it");
            }
            ("dm_policy" | "group_policy", _) => {
                let why = "hermes opens to everyone only when WHATSAPP_ALLOWED_USERS=* and WHATSAPP_ALLOW_ALL_USERS=true are set, and \
                           answers in groups that are listed";
                planner.say(Outcome::Decision, what, why);
            }
            ("enabled", _) if switch(value) == Some(true) => enable_whatsapp(planner, what),
            ("enabled", _) if planner.setting("WHATSAPP_ENABLED").is_some() => {
                planner.say(
                    Outcome::Stays,
                    what,
                    "it has no effect in hermes-agent: WHATSAPP_ENABLED in .env goes before it",
                );
            }
            ("enabled", _) => disable(planner, what, value, "platforms.whatsapp"),
            _ => common(planner, Platform::Whatsapp, name, what, value),
        }
    }
    let is_on = |planner: &Planner<'_>| {
        planner.own_env("WHATSAPP_ENABLED").map(str::to_ascii_lowercase).as_deref() == Some("true")
    };
    if is_on(planner) {
        strangers(planner, Platform::Whatsapp, &settings);
        if is_set(planner, "WHATSAPP_GROUP_ALLOWED_USERS") {
            groups(planner, Platform::Whatsapp);
        }
    }
}

/// In hermes-agent the file alone enables it; here only a pairing does, which must be there.
fn enable_whatsapp(planner: &mut Planner<'_>, what: &str) {
    if planner.setting("WHATSAPP_ENABLED").is_some() {
        planner.say(Outcome::InUse, what, "WHATSAPP_ENABLED in .env goes before it");
    } else if planner.found.session.is_some() {
        planner.env(what, "WHATSAPP_ENABLED", "true", "");
    } else {
        planner.say(Outcome::Decision, what, "there is no pairing; run `hermes whatsapp`");
    }
}

fn disable(planner: &mut Planner<'_>, what: &str, value: &Value, table: &'static str) {
    match switch(value) {
        Some(false) => planner.key(what, Key::switch(table, "enabled", false), ""),
        Some(true) => planner.say(Outcome::InUse, what, "its token enables it"),
        None => planner.say(Outcome::Decision, what, "it is neither true nor false"),
    }
}

fn common(planner: &mut Planner<'_>, platform: Platform, name: &str, what: &str, value: &Value) {
    let full = |name: &str| platform.variable(name);
    if let Some((_, setting)) = SETTINGS.iter().find(|(known, _)| *known == name) {
        let is_ours =
            *setting == "ADMIN_USERS" || standing(&full(setting)).is_some_and(|row| row.reason().is_none());
        // A pattern may hold a comma.
        let is_pattern_list = *setting == "MENTION_PATTERNS" && value.is_array();
        let text = if is_pattern_list { Some(value.to_string()) } else { list(value) };
        return match text {
            Some(text) if is_ours => {
                planner.env(what, &full(setting), &text, "");
                let counts = planner.plan.items.last().is_some_and(|item| item.outcome != Outcome::Stays);
                if counts {
                    planner.opening(&full(setting), &text, what);
                }
            }
            Some(_) => planner.say(Outcome::NotSupported, what, "this platform has no such setting"),
            None => planner.say(Outcome::Decision, what, "it has a form that is not understood"),
        };
    }
    match (name, value) {
        ("home_channel", Value::Object(home)) => home_channel(planner, platform, what, home),
        ("unauthorized_dm_behavior", _) => {}
        _ => planner.say(Outcome::NotSupported, what, reason(&full(&name.to_ascii_uppercase()))),
    }
}

/// The reason why a setting with this name in capitals has no effect here.
pub(super) fn reason(name: &str) -> String {
    let reason = standing(name).and_then(|row| row.reason());
    reason.unwrap_or_else(|| NO_SETTING.to_owned())
}

fn home_channel(planner: &mut Planner<'_>, platform: Platform, what: &str, home: &Map<String, Value>) {
    let part = |name: &str| home.get(name).and_then(word).filter(|text| !text.is_empty());
    let Some(chat) = part("chat_id") else {
        return planner.say(Outcome::Decision, what, "it names no chat");
    };
    let thread = part("thread_id").map_or(String::new(), |thread| format!(":{thread}"));
    planner.env(what, &platform.variable("HOME_CHANNEL"), &format!("{chat}{thread}"), "");
}

/// Where no list is set, hermes-agent gives codes to people whom it does not know; hermes does so only when it is set.
fn strangers(planner: &mut Planner<'_>, platform: Platform, settings: &[Setting]) {
    if is_incomplete(planner) {
        return;
    }
    let policy = platform.variable("DM_POLICY");
    if planner.own_env(&policy).is_some() || planner.setting(&policy).is_some() {
        return;
    }
    let own = settings.iter().find(|setting| setting.name == "unauthorized_dm_behavior");
    let own = own.map(|setting| (setting.value.clone(), setting.what.clone()));
    let shared = || planner.shared("unauthorized_dm_behavior").map(|(value, what)| (value.clone(), what));
    let said = own.or_else(shared);
    let lists =
        ["ALLOWED_USERS", "GROUP_ALLOWED_USERS", "GROUP_ALLOWED_CHATS"].map(|list| platform.variable(list));
    let has_list =
        lists.iter().map(String::as_str).chain(["GATEWAY_ALLOWED_USERS"]).any(|name| is_set(planner, name));
    match said {
        Some((Value::String(word), what)) if word == "pair" => planner.env(&what, &policy, "pairing", ""),
        Some((_, what)) => {
            planner.say(Outcome::InUse, what, "people who are not known get no answer, as without it");
        }
        None if !has_list => {
            let what = format!("no allow list for {}", platform.spec().title);
            planner.env(&what, &policy, "pairing", "people who are not known get a code, as in hermes-agent");
        }
        None => {}
    }
}

/// Defaults of hermes-agent in groups.
fn groups(planner: &mut Planner<'_>, platform: Platform) {
    if is_incomplete(planner) {
        return;
    }
    let mention = platform.variable("REQUIRE_MENTION");
    let what = format!("rules for groups of {}", platform.spec().title);
    if !is_set(planner, &mention) {
        let of_all = planner.config.get("require_mention").and_then(switch).unwrap_or(false);
        let why = "without it hermes answers only what speaks to it, and hermes-agent everything";
        planner.env(&what, &mention, &of_all.to_string(), if of_all { "" } else { why });
    }
    if planner.shared("group_sessions_per_user").is_none()
        && planner.own_key("session", "per_user_in_groups").is_none()
    {
        let key = Key::switch("session", "per_user_in_groups", true);
        planner.key(&what, key, "each person has a separate conversation there, as in hermes-agent");
    }
}

/// A file that cannot be read, or a reference without a value, may say what would be concluded from its silence.
fn is_incomplete(planner: &Planner<'_>) -> bool {
    planner.has_unresolved || ["config.yaml", "gateway.json"].iter().any(|what| planner.found.is_unread(what))
}

fn is_set(planner: &Planner<'_>, name: &str) -> bool {
    planner.own_env(name).is_some() || planner.setting(name).is_some()
}

/// Without `/bot`, which hermes-agent has at the end.
fn root(address: &str) -> String {
    let address = address.trim().trim_end_matches('/');
    address.strip_suffix("/bot").unwrap_or(address).trim_end_matches('/').to_owned()
}

/// The HTTP API, and platforms that are not here.
pub(super) fn others(planner: &mut Planner<'_>) {
    for Setting { name, what, value } in own_block(planner, "api_server") {
        let setting = match name.as_str() {
            "key" => Some("API_SERVER_KEY"),
            "host" => Some("API_SERVER_HOST"),
            "port" => Some("API_SERVER_PORT"),
            "enabled" => Some("API_SERVER_ENABLED"),
            _ => None,
        };
        match (setting, word(&value)) {
            (Some(setting), Some(text)) => planner.env(&what, setting, &text, ""),
            (Some(_), None) => planner.say(Outcome::Decision, what, "it has a form that is not understood"),
            (None, _) => {
                let why = reason(&format!("API_SERVER_{}", name.to_ascii_uppercase()));
                planner.say(Outcome::NotSupported, what, why);
            }
        }
    }
    for (name, title) in OTHERS {
        let (settings, _) = block(planner, name);
        let is_off =
            settings.iter().any(|setting| setting.name == "enabled" && switch(&setting.value) == Some(false));
        if let Some(first) = settings.first().filter(|_| !is_off) {
            let what = first
                .what
                .split(&format!(".{}", first.name))
                .next()
                .unwrap_or(&first.what)
                .trim_end_matches(".extra")
                .to_owned();
            planner.say(Outcome::NotSupported, what, format!("{title} is not available yet"));
        }
    }
}
