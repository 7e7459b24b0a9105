//! Pure. Every setting of the messaging part of hermes-agent, by name, and what becomes of it here. One table: the start, the
//! doctor and `hermes migrate` all say what it says.

use serde_json::{Map, Value};

use crate::setting::Settings;
use crate::yaml::switch;

/// The meaning that a setting of hermes-agent has here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// It means the same.
    Honoured,
    /// It means the same, and is read from the environment of the process only.
    Environment,
    /// It has no effect, because of this, or because something else does it: a sentence.
    NoEffect(&'static str),
    /// It will have an effect one day: what is missing, a noun.
    NotYet(&'static str),
}

/// One setting, or with a `*` at its end all that begin so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Row {
    /// Its name.
    pub name: &'static str,
    /// The outcome.
    pub standing: Standing,
}

/// A setting that is set and has no effect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Foreign {
    /// Its name.
    pub name: String,
    /// The row that it falls under.
    pub row: Row,
}

impl Row {
    fn covers(&self, name: &str) -> bool {
        match self.name.strip_suffix('*') {
            Some(family) => name.starts_with(family),
            None => name == self.name,
        }
    }

    /// Why it has no effect; a sentence without its period. `None`: it has one.
    pub fn reason(&self) -> Option<String> {
        match self.standing {
            Standing::Honoured => None,
            Standing::Environment => {
                Some("it counts only in the environment that hermes is started with".to_owned())
            }
            Standing::NoEffect(why) => Some(why.to_owned()),
            Standing::NotYet(what) => Some(format!("{what} is not available yet")),
        }
    }
}

/// The row of the setting of this name; `None`: it is not of hermes-agent's messaging part. Its own row goes before
/// the row of its family.
pub fn standing(name: &str) -> Option<&'static Row> {
    let mut rows = ROWS.iter().filter(|row| row.covers(name));
    let first = rows.next()?;
    Some(rows.chain([first]).find(|row| !row.name.ends_with('*')).unwrap_or(first))
}

/// The settings that are set and have no effect. Of the environment of the process only names that say whose they are count:
/// another program may have an `EMAIL_ADDRESS` there.
pub(super) fn foreign(settings: &Settings<'_>) -> Vec<Foreign> {
    const OWN_PREFIXES: [&str; 8] =
        ["TELEGRAM_", "WHATSAPP_", "HERMES_", "GATEWAY_", "API_SERVER_", "DISCORD_", "SLACK_", "QQ"];
    let of_file = settings.env.names().into_iter().filter(|name| settings.in_file(name).is_some());
    let of_process = settings.world.vars().filter_map(|(name, value)| {
        let name = name.to_str().filter(|name| OWN_PREFIXES.iter().any(|prefix| name.starts_with(prefix)))?;
        (!value.is_empty()).then_some(name)
    });
    let mut found: Vec<Foreign> = Vec::new();
    for (name, is_of_file) in of_file.map(|name| (name, true)).chain(of_process.map(|name| (name, false))) {
        let Some(row) = standing(name) else { continue };
        let has_effect = match row.standing {
            Standing::Honoured => true,
            Standing::Environment => !is_of_file || settings.world.var(name).is_some(),
            Standing::NoEffect(_) | Standing::NotYet(_) => false,
        };
        if !has_effect && found.iter().all(|known| known.name != name) {
            found.push(Foreign { name: name.to_owned(), row: *row });
        }
    }
    found
}

/// True when hermes-agent's `config.yaml` turns Telegram off, which there goes before its token. The first block that says so or
/// otherwise counts.
pub(super) fn turns_telegram_off(config: &Map<String, Value>) -> bool {
    const BLOCKS: [&[&str]; 3] =
        [&["telegram"], &["platforms", "telegram"], &["gateway", "platforms", "telegram"]];
    let mut said = BLOCKS.iter().filter_map(|path| {
        let (first, rest) = path.split_first()?;
        rest.iter().try_fold(config.get(*first)?, |value, name| value.get(name))?.get("enabled")
    });
    said.next().and_then(switch) == Some(false)
}

const fn same(name: &'static str) -> Row {
    Row { name, standing: Standing::Honoured }
}

const fn off(name: &'static str, why: &'static str) -> Row {
    Row { name, standing: Standing::NoEffect(why) }
}

const fn later(name: &'static str, what: &'static str) -> Row {
    Row { name, standing: Standing::NotYet(what) }
}

const JOBS: &str = "a job by the clock";
const TOPICS: &str = "a rule for single topics of a group";
const OWN_LIMITS: &str = "hermes has its own limits for requests to Telegram";
const JOINING: &str = "`join_window` under [gateway] in gateway.toml says how long messages are joined";
const OWN_NAME: &str = "a home channel has the name that the platform gives it";
const THREAD: &str = "write the topic into the home channel itself, as in TELEGRAM_HOME_CHANNEL=-100123:7";
const BUSY: &str = "`busy` under [gateway] in gateway.toml says what a message does while the agent works";
const START_GUARD: &str = "hermes has its own guard against starting again and again";
const NODE: &str = "the bridge has its own limits: `[platforms.whatsapp.bridge]` in gateway.toml";
const RELAY: &str = "the relay to other gateways";
const PACING: &str = "a pause between the parts of an answer";
const SUPERVISION: &str = "the service manager that hermes runs under is recognised";
const DELIVERY: &str = "an answer waits in the outbox and has its own limits";
const CLIENTS: &str = "hermes has its own HTTP clients";
const PROXIED: &str =
    "the server at GATEWAY_PROXY_URL is an OpenAI-compatible service: name it under [agent] in gateway.toml";
const TURNS: &str = "`turn_timeout` under [gateway] and `idle_timeout` under [agent] in gateway.toml say how long the agent may take";

/// All of them.
pub static ROWS: &[Row] = &[
    // Everyone.
    same("GATEWAY_ALLOWED_USERS"),
    same("GATEWAY_ALLOW_ALL_USERS"),
    same("OPENAI_API_KEY"),
    same("SESSION_IDLE_MINUTES"),
    same("SESSION_RESET_HOUR"),
    same("API_SERVER_ENABLED"),
    same("API_SERVER_KEY"),
    same("API_SERVER_HOST"),
    same("API_SERVER_PORT"),
    later("API_SERVER_CORS_ORIGINS", "calling the HTTP API from web pages of other origins"),
    later("API_SERVER_MODEL_NAME", "a name of your choice for the model of the HTTP API"),
    Row { name: "HERMES_GATEWAY_LOCK_DIR", standing: Standing::Environment },
    off("OPENAI_BASE_URL", "set `base_url` under [agent] in gateway.toml"),
    off("GATEWAY_PROXY_URL", PROXIED),
    off("GATEWAY_PROXY_KEY", PROXIED),
    later("GATEWAY_RELAY_*", RELAY),
    later("GATEWAY_MULTIPLEX_PROFILES", "serving several profiles from one gateway"),
    off("HERMES_GATEWAY_PLATFORM_CONNECT_TIMEOUT", "set `connect_timeout` under [gateway] in gateway.toml"),
    off("HERMES_RESTART_DRAIN_TIMEOUT", "set `drain_timeout` under [gateway] in gateway.toml"),
    off("HERMES_GATEWAY_ADAPTER_DISCONNECT_TIMEOUT", "nothing waits for a platform that does not let go"),
    off("HERMES_GATEWAY_BUSY_INPUT_MODE", BUSY),
    off("HERMES_GATEWAY_BUSY_TEXT_*", BUSY),
    off("HERMES_GATEWAY_BUSY_ACK_ENABLED", "hermes sends no word about messages that wait"),
    off("HERMES_GATEWAY_BUSY_STEER_ACK_ENABLED", "hermes sends no word about messages that wait"),
    off("HERMES_GATEWAY_MAX_STARTS", START_GUARD),
    off("HERMES_GATEWAY_START_WINDOW_S", START_GUARD),
    off("HERMES_GATEWAY_EXTERNAL_SUPERVISOR", SUPERVISION),
    off("HERMES_GATEWAY_NO_SUPERVISE", SUPERVISION),
    off("HERMES_GATEWAY_BOOTSTRAP_STATE", SUPERVISION),
    off("HERMES_GATEWAY_DETACHED", SUPERVISION),
    off("HERMES_GATEWAY_EXIT_DIAG", "the log and the status file say why the gateway ended"),
    off("HERMES_GATEWAY_HTTPX_*", CLIENTS),
    off("HERMES_ALLOW_ROOT_GATEWAY", "hermes runs as root where the home folder is root's"),
    off("HERMES_AGENT_TIMEOUT", TURNS),
    off("HERMES_AGENT_TIMEOUT_WARNING", TURNS),
    off("HERMES_AGENT_NOTIFY_INTERVAL", "an answer is shown while it grows, where the platform can do that"),
    off("HERMES_BACKGROUND_NOTIFICATIONS", "it is about tools of the agent"),
    off("HERMES_TOOL_PROGRESS*", "it is about tools of the agent"),
    off("HERMES_EXEC_ASK", "it is about tools of the agent"),
    off("MESSAGING_CWD", "it is about tools of the agent"),
    off("HERMES_FILTER_SILENCE_NARRATION", "an answer is sent as the agent gives it"),
    later("HERMES_HUMAN_DELAY_*", PACING),
    later("HERMES_CRON_*", JOBS),
    // WhatsApp.
    same("WHATSAPP_ENABLED"),
    same("WHATSAPP_MODE"),
    same("WHATSAPP_ALLOWED_USERS"),
    same("WHATSAPP_ALLOW_ALL_USERS"),
    same("WHATSAPP_DM_POLICY"),
    same("WHATSAPP_GROUP_POLICY"),
    same("WHATSAPP_GROUP_ALLOWED_USERS"),
    same("WHATSAPP_REQUIRE_MENTION"),
    same("WHATSAPP_MENTION_PATTERNS"),
    same("WHATSAPP_FREE_RESPONSE_CHATS"),
    same("WHATSAPP_HOME_CHANNEL"),
    off("WHATSAPP_HOME_CHANNEL_NAME", OWN_NAME),
    off("WHATSAPP_HOME_CHANNEL_THREAD_ID", "WhatsApp has no topics"),
    later("WHATSAPP_REPLY_PREFIX", "a text before each answer"),
    later("WHATSAPP_FORWARD_OWNER_MESSAGES", "passing on what the owner types in bot mode"),
    later("WHATSAPP_SEND_READ_RECEIPTS", "a choice about read receipts"),
    off("WHATSAPP_NPM_INSTALL_TIMEOUT", "the gateway never runs npm; `hermes whatsapp` installs the bridge"),
    off("WHATSAPP_MAX_MESSAGE_LENGTH", DELIVERY),
    off("WHATSAPP_CHUNK_DELAY_MS", DELIVERY),
    off("WHATSAPP_SEND_TIMEOUT_MS", NODE),
    off("WHATSAPP_DEBUG", "`hermes gateway run -vv` logs everything"),
    // Telegram.
    same("TELEGRAM_BOT_TOKEN"),
    same("TELEGRAM_ALLOWED_USERS"),
    same("TELEGRAM_ALLOW_ALL_USERS"),
    same("TELEGRAM_GROUP_ALLOWED_USERS"),
    same("TELEGRAM_GROUP_ALLOWED_CHATS"),
    same("TELEGRAM_ALLOWED_CHATS"),
    same("TELEGRAM_REQUIRE_MENTION"),
    same("TELEGRAM_MENTION_PATTERNS"),
    same("TELEGRAM_FREE_RESPONSE_CHATS"),
    same("TELEGRAM_HOME_CHANNEL"),
    same("TELEGRAM_WEBHOOK_URL"),
    same("TELEGRAM_WEBHOOK_PORT"),
    same("TELEGRAM_WEBHOOK_SECRET"),
    same("TELEGRAM_PROXY"),
    later(
        "TELEGRAM_FALLBACK_IPS",
        "reaching Telegram by addresses beside DNS (TELEGRAM_PROXY helps where it is blocked)",
    ),
    off("HERMES_TELEGRAM_DISABLE_FALLBACK_IPS", "there are no fallback addresses"),
    off("TELEGRAM_HOME_CHANNEL_NAME", OWN_NAME),
    off("TELEGRAM_HOME_CHANNEL_THREAD_ID", THREAD),
    later("TELEGRAM_CRON_THREAD_ID", JOBS),
    later("TELEGRAM_ALLOWED_TOPICS", TOPICS),
    later("TELEGRAM_IGNORED_THREADS", TOPICS),
    later("TELEGRAM_FREE_RESPONSE_TOPICS", TOPICS),
    later("TELEGRAM_GUEST_MODE", "answering mentions in groups that are not listed"),
    off("TELEGRAM_EXCLUSIVE_BOT_MENTIONS", "a message that mentions only other bots is not to this one"),
    off("TELEGRAM_BOTS_REQUIRE_MENTION", "bots are answered only where they are listed"),
    later("TELEGRAM_ALLOW_BOTS", "a rule for other bots, which must be listed by id"),
    later("TELEGRAM_OBSERVE_UNMENTIONED_GROUP_MESSAGES", "reading along in groups without answering"),
    later("TELEGRAM_REACTIONS", "showing progress by emoji reactions"),
    later("TELEGRAM_REPLY_TO_MODE", "a choice which part of an answer quotes the question"),
    later("HERMES_TELEGRAM_NOTIFICATIONS", "sending without a sound"),
    off("HERMES_TELEGRAM_HTTP_*", OWN_LIMITS),
    off("HERMES_TELEGRAM_INIT_TIMEOUT", OWN_LIMITS),
    off("HERMES_TELEGRAM_TEXT_BATCH_*", JOINING),
    off("HERMES_TELEGRAM_MEDIA_BATCH_*", JOINING),
    off("HERMES_TELEGRAM_FOLLOWUP_GRACE_SECONDS", JOINING),
    // Other platforms.
    later("DISCORD_*", "Discord"),
    later("HERMES_DISCORD_*", "Discord"),
    later("SLACK_*", "Slack"),
    later("QQ_*", "QQ"),
    later("QQBOT_*", "QQ"),
    later("WHATSAPP_CLOUD_*", "WhatsApp by the Cloud API"),
    later("SIGNAL_*", "Signal"),
    later("EMAIL_*", "email"),
    later("SMS_*", "SMS"),
    later("MATRIX_*", "Matrix"),
    later("HERMES_MATRIX_*", "Matrix"),
    later("MATTERMOST_*", "Mattermost"),
    later("DINGTALK_*", "DingTalk"),
    later("FEISHU_*", "Feishu"),
    later("HERMES_FEISHU_*", "Feishu"),
    later("WECOM_*", "WeCom"),
    later("HERMES_WECOM_*", "WeCom"),
    later("WEIXIN_*", "Weixin"),
    later("YUANBAO_*", "Yuanbao"),
    later("BLUEBUBBLES_*", "iMessage by BlueBubbles"),
    later("PHOTON_*", "iMessage by Photon"),
    later("GOOGLE_CHAT_*", "Google Chat"),
    later("TEAMS_*", "Microsoft Teams"),
    later("MSGRAPH_*", "Microsoft Graph"),
    later("LINE_*", "LINE"),
    later("NTFY_*", "ntfy"),
    later("IRC_*", "IRC"),
    later("SIMPLEX_*", "SimpleX"),
    later("HERMES_SIMPLEX_*", "SimpleX"),
    later("BUZZ_*", "Buzz"),
    later("RAFT_*", "Raft"),
    later("HASS_*", "Home Assistant"),
    later("WEBHOOK_*", "a turn by webhook"),
];

#[cfg(test)]
#[path = "hermes_agent_tests.rs"]
mod tests;
