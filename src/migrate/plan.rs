//! Pure. The outcome for each thing that was found.

use std::fmt;

use serde::Serialize;
use serde_json::{Map, Value};
use toml::Table;

use super::chat;
use super::found::{Approved, Found, Unread};
use super::model;
use super::references;
use super::sections;
use super::toml_text::Key;
use crate::config::{Foreign, standing};
use crate::env_grammar::bare_value;
use crate::platforms::{Naming, Platform, number};
use crate::sensitive::Secret;
use crate::visible;
use crate::yaml::word;

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
    let value_of = |name: &str| found.value(name).map(str::to_owned);
    let (mut config, mut older) = (found.config.clone(), found.older.clone());
    references::expand(&mut config, &value_of);
    references::expand(&mut older, &value_of);
    let mut planner = Planner { found, config, older, has_unresolved: false, own, plan: Plan::default() };
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
    sections::plan(&mut planner);
    model::plan(&mut planner);
    sections::agent(&mut planner);
    planner.agent_keys();
    planner.people();
    planner.rest();
    sections::unnamed(&mut planner);
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
    /// Its `config.yaml`, with the values of the variables that it refers to.
    pub(super) config: Map<String, Value>,
    /// Its `gateway.json`, in the same way.
    pub(super) older: Map<String, Value>,
    /// A reference to a variable has no value, so that a setting is not known.
    pub(super) has_unresolved: bool,
    /// Our `gateway.toml`.
    own: Table,
    pub(super) plan: Plan,
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

    /// Says of a value that refers to a variable without a value that a person must choose; `false` for any other value.
    pub(super) fn is_unresolved(&mut self, what: &str, value: &Value) -> bool {
        let Some(why) = references::left(value).map(|name| self.refers(name)) else { return false };
        self.has_unresolved = true;
        self.say(Outcome::Decision, what, why);
        true
    }

    /// Why a reference to this variable has no value.
    pub(super) fn refers(&self, name: &str) -> String {
        let env = self.found.from.join(".env");
        match self.found.env.value(name).is_some_and(|value| !bare_value(value).is_empty()) {
            true => format!(
                "it refers to {name}, whose value in {} refers to another variable; write the value there",
                env.display()
            ),
            false => format!(
                "it refers to {name}, which is set neither in {} nor in the environment; set it there, and run `hermes migrate` again",
                env.display()
            ),
        }
    }

    /// The value of a setting with a name in capitals, in its `.env` or at the top of its `config.yaml`, where it puts such names as
    /// well; with where it stands.
    pub(super) fn setting(&self, name: &str) -> Option<(String, &'static str)> {
        let of_env = self.found.env.value(name).map(|value| (bare_value(value).to_owned(), ".env"));
        let of_config = || Some((word(self.config.get(name)?)?, "config.yaml"));
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
            None if references::first(value).is_some() => {
                let why = format!(
                    "it refers to another variable, which hermes does not do in .env; set {name} by hand"
                );
                return self.say(Outcome::Decision, what, why);
            }
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
        if key.value.as_str().is_some_and(|text| references::first(text).is_some()) {
            let why = format!(
                "it refers to a variable, which hermes does not do in gateway.toml; set {} by hand",
                key.path()
            );
            return self.say(Outcome::Decision, what, why);
        }
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
        self.config.get(name)?.as_object()
    }

    /// A setting that counts at the top and under `gateway`.
    pub(super) fn shared(&self, name: &str) -> Option<(&Value, String)> {
        let top = self.config.get(name).map(|value| (value, format!("config.yaml: {name}")));
        let below = || Some((self.section("gateway")?.get(name)?, format!("config.yaml: gateway.{name}")));
        top.or_else(below)
    }

    /// The settings with names in capitals, each by its row.
    fn settings(&mut self) {
        let mut names: Vec<String> = self.found.env.names().into_iter().map(str::to_owned).collect();
        for name in self.config.keys().filter(|name| is_setting_name(name)) {
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
        } else if place == ".env" || !self.is_unresolved(what, &Value::String(value.to_owned())) {
            self.env(what, name, value, "");
        }
        self.opening(name, value, what);
    }

    /// Says of a value that would open to everyone that a person must choose.
    pub(super) fn opening(&mut self, name: &str, value: &str, what: &str) {
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
        let is_handled = |name: &str| sections::is_handled(name) || is_setting_name(name);
        let rest: Vec<&str> =
            self.config.keys().map(String::as_str).filter(|name| !is_handled(name)).collect();
        if !rest.is_empty() {
            let what = format!("config.yaml: {}", rest.join(", "));
            self.say(Outcome::Stays, what, "settings of the agent and its tools");
        }
    }
}

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
