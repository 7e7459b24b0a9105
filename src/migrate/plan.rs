//! Pure. The outcome for each thing that was found.

use std::fmt;

use serde::Serialize;
use serde_json::{Map, Value};
use toml::Table;

use super::chat;
use super::found::{Approved, Found, Unread};
use super::model;
use super::toml_text::Key;
use super::yaml::word;
use crate::config::{Foreign, standing};
use crate::env_grammar::bare_value;
use crate::platforms::{Naming, Platform, number};
use crate::sensitive::Secret;
use crate::visible;

/// Outcome for one thing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It is written into a file of ours.
    Taken,
    /// It has its effect where it stands, or was taken before.
    InUse,
    /// We have another value already, which stays.
    Kept,
    /// A person must choose.
    Decision,
    /// It has no effect here.
    NotSupported,
    /// It is about the agent itself, and not about messages.
    Stays,
}

/// One thing, without any secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Item {
    /// The outcome.
    pub outcome: Outcome,
    /// Where it stands, as people know it.
    pub what: String,
    /// Where it is written to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to: Option<String>,
    /// Why; a sentence without its period.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub why: String,
}

/// A person who is admitted here as well.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Person {
    /// Where.
    pub platform: Platform,
    /// Their id.
    pub person: String,
    /// Their other id, where it is not known which of two kinds the first is.
    pub alt: Option<String>,
    /// Since when, seconds since 1970.
    pub since_s: i64,
    /// Their name in the record of the migration.
    pub mark: String,
}

/// Everything that is to be done.
#[derive(Debug, Clone, Default)]
pub struct Plan {
    /// Everything that was found, with what becomes of it.
    pub items: Vec<Item>,
    /// Lines for `.env`.
    pub env: Vec<(String, Secret)>,
    /// Keys for `gateway.toml`.
    pub toml: Vec<Key>,
    /// People to admit.
    pub people: Vec<Person>,
    /// The WhatsApp session to copy.
    pub session: Option<std::path::PathBuf>,
    /// Files of hermes-agent that cannot be read, of which nothing is taken.
    pub unread: Vec<String>,
}

impl Plan {
    /// Nothing is to be written.
    pub fn is_empty(&self) -> bool {
        self.env.is_empty() && self.toml.is_empty() && self.people.is_empty() && self.session.is_none()
    }

    /// The things of which this becomes.
    pub fn of(&self, outcome: Outcome) -> impl Iterator<Item = &Item> {
        self.items.iter().filter(move |item| item.outcome == outcome)
    }
}

/// The plan for everything that was found.
pub fn plan(found: &Found) -> Plan {
    let own = found.own_toml.parse().unwrap_or_default();
    let mut planner = Planner { found, own, plan: Plan::default() };
    for Unread { what, why } in &found.unread {
        planner.say(Outcome::Decision, what, why);
        planner.plan.unread.push(visible::line(what).into_owned());
    }
    if !found.is_home {
        planner.settings();
        return planner.plan;
    }
    // They go before the blocks of config.yaml, as in hermes-agent.
    planner.settings();
    chat::telegram(&mut planner);
    chat::whatsapp(&mut planner);
    chat::others(&mut planner);
    planner.sessions();
    planner.gateway();
    model::plan(&mut planner);
    planner.agent_keys();
    planner.people();
    planner.rest();
    let mut plan = planner.plan;
    // A file that takes no lines is for a person, with all that was meant for it.
    if super::toml_text::with(&found.own_toml, &plan.toml).is_none() {
        for key in std::mem::take(&mut plan.toml) {
            let to = format!("gateway.toml: {}", key.path());
            for item in plan.items.iter_mut().filter(|item| item.to.as_deref() == Some(&to)) {
                item.outcome = Outcome::Decision;
                item.why = format!("add `{} = {}` under [{}] by hand", key.name, key.value, key.table);
            }
        }
    }
    plan.items.sort_by_key(|item| item.outcome);
    plan
}

/// Plans one thing after another.
pub(super) struct Planner<'a> {
    pub(super) found: &'a Found,
    /// Our `gateway.toml`.
    own: Table,
    plan: Plan,
}

impl fmt::Debug for Planner<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Planner")
    }
}

impl Planner<'_> {
    pub(super) fn say(&mut self, outcome: Outcome, what: impl Into<String>, why: impl Into<String>) {
        let what = visible::line(&what.into()).into_owned();
        let why = visible::line(&why.into()).into_owned();
        self.plan.items.push(Item { outcome, what, to: None, why });
    }

    fn say_to(&mut self, outcome: Outcome, what: &str, to: String, why: impl Into<String>) {
        self.say(outcome, what, why);
        if let Some(item) = self.plan.items.last_mut() {
            item.to = Some(to);
        }
    }

    /// The value of a setting with a name in capitals, in its `.env` or at the top of its `config.yaml`, where it puts such names as
    /// well; with where it stands.
    pub(super) fn setting(&self, name: &str) -> Option<(String, &'static str)> {
        let of_env = self.found.env.value(name).map(|value| (bare_value(value).to_owned(), ".env"));
        let of_config = || Some((word(self.found.config.get(name)?)?, "config.yaml"));
        of_env.or_else(of_config).filter(|(value, _)| !value.is_empty())
    }

    /// A value of ours.
    pub(super) fn own_env(&self, name: &str) -> Option<&str> {
        let planned =
            self.plan.env.iter().find(|(planned, _)| planned == name).map(|(_, value)| value.0.as_str());
        let written = self.found.own_env.value(name).map(bare_value).filter(|value| !value.is_empty());
        written.or(planned)
    }

    /// True when our `.env` has a value.
    fn is_written(&self, name: &str) -> bool {
        self.found.own_env.value(name).is_some_and(|value| !bare_value(value).is_empty())
    }

    /// Where hermes-agent has another value of a setting with a name in capitals, which it reads before the blocks of a platform.
    fn goes_before(&self, name: &str, value: &str) -> Option<&'static str> {
        standing(name).filter(|row| row.reason().is_none())?;
        self.setting(name).filter(|(set, _)| set.trim() != value).map(|(_, place)| place)
    }

    /// Takes a value into `.env`.
    pub(super) fn env(&mut self, what: &str, name: &str, value: &str, why: &str) {
        let value = value.trim();
        if value.is_empty() {
            return;
        }
        if !self.is_written(name)
            && let Some(place) = self.goes_before(name, value)
        {
            let place = self.found.from.join(place);
            let why =
                format!("it has no effect in hermes-agent: {name} in {} goes before it", place.display());
            return self.say(Outcome::Stays, what, why);
        }
        let outcome = match self.own_env(name) {
            Some(own) if own == value => Outcome::InUse,
            Some(_) => Outcome::Kept,
            None if value.contains(char::is_control) => {
                let why = format!(
                    "a value with a line break or another control character does not go into .env; set {name} by hand"
                );
                return self.say(Outcome::Decision, what, why);
            }
            None => {
                self.plan.env.push((name.to_owned(), Secret(value.to_owned())));
                Outcome::Taken
            }
        };
        let why = if outcome == Outcome::Kept { "another value is set, and stays" } else { why };
        self.say_to(outcome, what, format!(".env: {name}"), why);
    }

    /// Takes a value into `gateway.toml`.
    pub(super) fn key(&mut self, what: &str, key: Key, why: &str) {
        let planned =
            self.plan.toml.iter().find(|planned| planned.path() == key.path()).map(|planned| &planned.value);
        let outcome = match key.in_place(&self.own).or(planned) {
            Some(own) if *own == key.value => Outcome::InUse,
            Some(_) => Outcome::Kept,
            None => Outcome::Taken,
        };
        let why = if outcome == Outcome::Kept { "another value is set, and stays" } else { why };
        self.say_to(outcome, what, format!("gateway.toml: {}", key.path()), why);
        if outcome == Outcome::Taken {
            self.plan.toml.push(key);
        }
    }

    /// The value in our `gateway.toml` at this place.
    pub(super) fn own_key(&self, table: &'static str, name: &'static str) -> Option<&toml::Value> {
        Key::switch(table, name, false).in_place(&self.own)
    }

    /// A map in its `config.yaml`.
    pub(super) fn section(&self, name: &str) -> Option<&Map<String, Value>> {
        self.found.config.get(name)?.as_object()
    }

    /// A setting that counts at the top and under `gateway`.
    pub(super) fn shared(&self, name: &str) -> Option<(&Value, String)> {
        let top = self.found.config.get(name).map(|value| (value, format!("config.yaml: {name}")));
        let below = || Some((self.section("gateway")?.get(name)?, format!("config.yaml: gateway.{name}")));
        top.or_else(below)
    }

    /// The settings with names in capitals, each by its row.
    fn settings(&mut self) {
        let mut names: Vec<String> = self.found.env.names().into_iter().map(str::to_owned).collect();
        for name in self.found.config.keys().filter(|name| is_setting_name(name)) {
            if !names.contains(name) {
                names.push(name.clone());
            }
        }
        let mut unknown = Vec::new();
        let mut families: Vec<(&'static str, String, Vec<String>)> = Vec::new();
        for name in names {
            let Some((value, place)) = self.setting(&name) else { continue };
            let what = if place == ".env" { name.clone() } else { format!("{place}: {name}") };
            let Some(row) = standing(&name) else {
                if !model::is_key(&name) {
                    unknown.push(name);
                }
                continue;
            };
            match row.reason() {
                None => self.honoured(&name, &value, &what, place),
                Some(why) => match families.iter_mut().find(|(family, ..)| *family == row.name) {
                    Some((_, _, names)) => names.push(name),
                    None => families.push((row.name, why, vec![name])),
                },
            }
        }
        for Foreign { name, row } in &self.found.foreign {
            let is_known = families.iter().any(|(.., names)| names.contains(name));
            if let Some(why) = row.reason().filter(|_| !is_known) {
                families.push((row.name, why, vec![name.clone()]));
            }
        }
        for (_, why, names) in families {
            self.say(Outcome::NotSupported, names.join(", "), why);
        }
        // In a home that both use they are in use already.
        if !self.found.is_same_home && !unknown.is_empty() {
            self.say(
                Outcome::Stays,
                unknown.join(", "),
                "not settings of the messaging gateway; kept in its .env",
            );
        }
    }

    /// Keys of the agent's services: one may be in use, and all are named.
    fn agent_keys(&mut self) {
        let used = model::key_in_use(self);
        let is_told = |name: &str, plan: &Plan| plan.items.iter().any(|item| item.what == name);
        let mut rest = Vec::new();
        for name in self.found.env.names().into_iter().filter(|name| model::is_key(name)) {
            if self.setting(name).is_none() || is_told(name, &self.plan) {
                continue;
            }
            if self.found.is_same_home && used.as_deref() == Some(name) {
                self.say(Outcome::InUse, name, "the key of the agent");
            } else {
                rest.push(name);
            }
        }
        if rest.is_empty() {
            return;
        }
        let why = if self.found.is_same_home {
            "keys for models and tools of hermes-agent; hermes reads the one that `api_key_env` under [agent] in gateway.toml names"
        } else {
            "keys for models and tools of hermes-agent; to use one here, copy it into .env of this home and name it in `api_key_env` \
             under [agent] in gateway.toml"
        };
        self.say(Outcome::Stays, rest.join(", "), why);
    }

    /// The text of a key of ours that is planned or stands in `gateway.toml`.
    pub(super) fn agent_text(&self, name: &'static str) -> Option<String> {
        let planned = self.plan.toml.iter().find(|key| key.table == "agent" && key.name == name);
        let value = planned.map(|key| &key.value).or_else(|| self.own_key("agent", name))?;
        value.as_str().map(str::to_owned)
    }

    fn honoured(&mut self, name: &str, value: &str, what: &str, place: &str) {
        if name == "OPENAI_API_KEY" {
            // With the other keys.
        } else if self.found.is_same_home && place == ".env" {
            self.say(Outcome::InUse, what, "");
        } else {
            self.env(what, name, value, "");
        }
        let opens = (name.ends_with("_ALLOWED_USERS") || name.ends_with("_ALLOWED_CHATS"))
            && value.split(',').any(|entry| entry.trim() == "*");
        if opens {
            let why = match name.strip_suffix("_ALLOWED_USERS").filter(|prefix| !prefix.ends_with("_GROUP")) {
                Some(prefix) => format!(
                    "`*` opens to everyone, which hermes does only when {prefix}_ALLOW_ALL_USERS=true is set as well"
                ),
                None => "`*` is not taken here: list the ids".to_owned(),
            };
            self.say(Outcome::Decision, what, why);
        }
        if name.ends_with("_ALLOW_ALL_USERS")
            && matches!(value.to_ascii_lowercase().as_str(), "true" | "1" | "yes")
        {
            let list = name.replace("_ALLOW_ALL_USERS", "_ALLOWED_USERS");
            let is_said_again =
                self.setting(&list).is_some_and(|(list, _)| list.split(',').any(|entry| entry.trim() == "*"));
            if !is_said_again {
                self.say(
                    Outcome::Decision,
                    what,
                    format!("it opens to everyone, which hermes does only when {list}=* is set as well"),
                );
            }
        }
        if name == "TELEGRAM_GROUP_ALLOWED_USERS"
            && value.split(',').any(|entry| entry.trim().starts_with('-'))
        {
            self.say(Outcome::Decision, what, "it holds ids of chats, where hermes answers the people of TELEGRAM_ALLOWED_USERS; move them to \
                 TELEGRAM_GROUP_ALLOWED_CHATS to have everyone there answered, as hermes-agent does");
        }
    }

    fn sessions(&mut self) {
        let reset = self.shared("session_reset").map(|(value, what)| (value.clone(), what));
        let reset = reset.or_else(|| {
            Some((
                self.found.older.get("default_reset_policy")?.clone(),
                "gateway.json: default_reset_policy".to_owned(),
            ))
        });
        if let Some((Value::Object(reset), what)) = reset {
            let number = |name: &str, max: u64| {
                reset.get(name).and_then(Value::as_u64).filter(|number| *number <= max)
            };
            match reset.get("mode").and_then(Value::as_str) {
                Some(mode @ ("none" | "idle" | "daily")) => {
                    self.key(&format!("{what}.mode"), Key::text("session", "reset", mode), "");
                }
                Some("both") => self.say(Outcome::Decision, format!("{what}.mode"), "hermes has one rule for new conversations: set `reset` under [session] in gateway.toml to idle or daily"),
                Some(_) => self.say(Outcome::Decision, format!("{what}.mode"), "it is none of none, idle and daily"),
                None => {}
            }
            if let Some(minutes) = number("idle_minutes", 365 * 24 * 60).filter(|minutes| *minutes > 0) {
                self.key(
                    &format!("{what}.idle_minutes"),
                    Key::text("session", "idle_after", format!("{minutes}m")),
                    "",
                );
            }
            if let Some(hour) = number("at_hour", 23) {
                self.key(
                    &format!("{what}.at_hour"),
                    Key::text("session", "daily_at", format!("{hour:02}:00")),
                    "",
                );
            }
            if let Some(notify) = reset.get("notify").and_then(Value::as_bool) {
                self.key(&format!("{what}.notify"), Key::switch("session", "notify", notify), "");
            }
        }
        if let Some((Value::Bool(own), what)) =
            self.shared("group_sessions_per_user").map(|(value, what)| (value.clone(), what))
        {
            self.key(&what, Key::switch("session", "per_user_in_groups", own), "");
        }
    }

    fn gateway(&mut self) {
        let seconds = |value: &Value, max: u64| value.as_u64().filter(|seconds| (1..=max).contains(seconds));
        let gateway = self.section("gateway").cloned().unwrap_or_default();
        for (name, value) in &gateway {
            let what = format!("config.yaml: gateway.{name}");
            match name.as_str() {
                "platform_connect_timeout" => match seconds(value, 600) {
                    Some(seconds) => {
                        self.key(&what, Key::text("gateway", "connect_timeout", format!("{seconds}s")), "");
                    }
                    None => self.say(
                        Outcome::Decision,
                        what,
                        "`connect_timeout` under [gateway] in gateway.toml is from 10ms to 600s",
                    ),
                },
                // Each has its own place in this plan.
                "platforms"
                | "session_reset"
                | "group_sessions_per_user"
                | "unauthorized_dm_behavior"
                | "proxy_url" => {}
                _ => self.say(Outcome::NotSupported, what, "hermes has no such setting"),
            }
        }
        if let Some(drain) =
            self.section("agent").and_then(|agent| agent.get("restart_drain_timeout")).cloned()
            && let Some(seconds) = seconds(&drain, 600)
        {
            let what = "config.yaml: agent.restart_drain_timeout";
            self.key(what, Key::text("gateway", "drain_timeout", format!("{seconds}s")), "");
        }
        let busy = self
            .section("display")
            .and_then(|display| display.get("busy_input_mode")?.as_str())
            .map(str::to_owned);
        if let Some(mode @ ("queue" | "interrupt" | "steer")) = busy.as_deref() {
            self.key("config.yaml: display.busy_input_mode", Key::text("gateway", "busy", mode), "");
        }
    }

    /// People who were approved by a code are admitted here as well, once: a person who is revoked later stays so.
    fn people(&mut self) {
        for (name, people) in &self.found.approved {
            let platform = name.parse().ok().filter(|platform| Platform::ALL.contains(platform));
            let what = format!("{} on {name}", count(people.len(), "approved person", "approved people"));
            let Some(platform) = platform else {
                self.say(Outcome::NotSupported, what, format!("the platform {name} is not available yet"));
                continue;
            };
            let (mut new, mut odd) = (Vec::new(), 0);
            for approved in people {
                match person(platform, approved) {
                    Some(person) if self.found.taken_people.contains(&person.mark) => {}
                    Some(person) => new.push(person),
                    None => odd += 1,
                }
            }
            if new.is_empty() && odd == 0 {
                self.say(
                    Outcome::InUse,
                    what,
                    "taken over before; `hermes pairing list` shows who has access",
                );
            } else if !new.is_empty() {
                let new = count(new.len(), "person", "people");
                let why =
                    format!("{new}; `hermes pairing list` shows them, `hermes pairing revoke` removes one");
                self.say_to(Outcome::Taken, &what, "gateway.db".to_owned(), why);
            }
            if odd > 0 {
                self.say(
                    Outcome::Decision,
                    format!("{odd} of the approved on {name}"),
                    "their id is not one of this platform",
                );
            }
            self.plan.people.extend(new);
        }
    }

    fn rest(&mut self) {
        match (&self.found.session, self.found.is_same_home, self.found.has_own_session) {
            (None, ..) => {}
            (Some(_), true, _) => self.say(
                Outcome::InUse,
                "WhatsApp session",
                "the pairing is used where it is; do not run both programs at once",
            ),
            (Some(_), false, true) => {
                self.say(Outcome::Kept, "WhatsApp session", "there is a pairing in this home, which stays");
            }
            (Some(session), false, false) => {
                self.plan.session = Some(session.clone());
                self.say_to(
                    Outcome::Taken,
                    "WhatsApp session",
                    "whatsapp/session".to_owned(),
                    "a copy; use it from one of the two programs only, or WhatsApp ends both",
                );
            }
        }
        if !self.found.jobs.is_empty() {
            let what = format!("{} in cron/jobs.json", count(self.found.jobs.len(), "job", "jobs"));
            let why = format!(
                "kept there; jobs by the clock are not available yet: {}",
                self.found.jobs.join(", ")
            );
            self.say(Outcome::NotSupported, what, why);
        }
        if !self.found.profiles.is_empty() {
            let why = format!(
                "each is another home; to take one over, set HERMES_HOME to a new folder and run `hermes migrate --from DIR`: {}",
                self.found.profiles.join(", ")
            );
            self.say(Outcome::Decision, count(self.found.profiles.len(), "profile", "profiles"), why);
        }
        for what in &self.found.others {
            self.say(Outcome::Stays, *what, "kept where they are");
        }
        let is_handled =
            |name: &str| HANDLED.contains(&name) || chat::is_platform(name) || is_setting_name(name);
        let rest: Vec<&str> =
            self.found.config.keys().map(String::as_str).filter(|name| !is_handled(name)).collect();
        if !rest.is_empty() {
            let what = format!("config.yaml: {}", rest.join(", "));
            self.say(Outcome::Stays, what, "settings of the agent and its tools");
        }
    }
}

/// Sections of `config.yaml` that have their own place in this plan.
const HANDLED: [&str; 12] = [
    "model",
    "platforms",
    "gateway",
    "session_reset",
    "group_sessions_per_user",
    "unauthorized_dm_behavior",
    "require_mention",
    "custom_providers",
    "providers",
    "agent",
    "display",
    "_config_version",
];

fn count(count: usize, one: &str, more: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { more })
}

fn is_setting_name(name: &str) -> bool {
    name.starts_with(|first: char| first.is_ascii_uppercase())
        && name.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_')
}

/// Under the names by which the gateway knows people.
fn person(platform: Platform, approved: &Approved) -> Option<Person> {
    let id = approved.person.trim();
    let (person, alt) = match platform.spec().naming {
        Naming::Phone => {
            let account = id.split('@').next().unwrap_or_default().split(':').next().unwrap_or_default();
            let digits = account.trim_start_matches('+');
            let is_number =
                (5..=20).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit());
            if !is_number {
                return None;
            }
            // hermes-agent keeps the number alone, so that it may be a phone's or a LID. The two ranges do not meet.
            (format!("{digits}@s.whatsapp.net"), Some(format!("{digits}@lid")))
        }
        Naming::Number => (number(id)?, None),
        Naming::Verbatim => (id.to_owned(), None),
    };
    let mark = format!("{platform}:{person}");
    Some(Person { platform, person, alt, since_s: approved.since_s, mark })
}
