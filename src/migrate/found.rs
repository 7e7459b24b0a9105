//! Contents of the home of a hermes-agent gateway, and of ours. Only reads.

use std::collections::{BTreeMap, BTreeSet};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use super::references;
use crate::config::{self, Foreign};
use crate::durable::Lock;
use crate::env_file::EnvFile;
use crate::env_grammar::bare_value;
use crate::error::CliError;
use crate::file;
use crate::home::HermesHome;
use crate::sensitive::Secret;
use crate::world::World;
use crate::yaml;

/// Everything that was found.
#[derive(Debug, Clone, Default)]
pub struct Found {
    /// A hermes-agent has lived there.
    pub is_home: bool,
    /// Its home is ours.
    pub is_same_home: bool,
    /// Settings of hermes-agent that have no effect here, also those of the environment of the process.
    pub foreign: Vec<Foreign>,
    /// Its home.
    pub from: PathBuf,
    /// `config.yaml`.
    pub config: Map<String, Value>,
    /// Files of hermes-agent that cannot be read. Nothing of them is taken.
    pub unread: Vec<Unread>,
    /// `gateway.json`, which came before it.
    pub older: Map<String, Value>,
    /// Its `.env`.
    pub env: EnvFile,
    /// The values that only the environment of the process has, of variables that the settings refer to.
    pub of_process: BTreeMap<String, Secret>,
    /// Our `.env`.
    pub own_env: EnvFile,
    /// Our `gateway.toml`.
    pub own_toml: String,
    /// People who were approved by a code, by platform.
    pub approved: BTreeMap<String, Vec<Approved>>,
    /// Those whom we took over before: `platform:person`. A person who was revoked since then stays so.
    pub taken_people: BTreeSet<String>,
    /// Items that a person was shown at an earlier migration.
    pub told: BTreeSet<String>,
    /// Jobs by the clock: how people know each.
    pub jobs: Vec<String>,
    /// The WhatsApp session, where there is one.
    pub session: Option<PathBuf>,
    /// We have a WhatsApp session.
    pub has_own_session: bool,
    /// Names of profiles, each of which is a home.
    pub profiles: Vec<String>,
    /// Other things that are there and are not taken, as people know them.
    pub others: Vec<&'static str>,
    /// The persona of the agent is not empty.
    pub has_persona: bool,
}

/// A file that is there and cannot be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unread {
    /// Its path below the home.
    pub what: String,
    /// The cause and what to do; a sentence without its period.
    pub why: String,
}

impl Found {
    /// True when the file at this path below the home cannot be read.
    pub fn is_unread(&self, what: &str) -> bool {
        self.unread.iter().any(|unread| unread.what == what)
    }

    /// The value of a variable that the settings refer to: of `.env` first, as in hermes-agent. One that is empty or refers to
    /// another variable has none.
    pub fn value(&self, name: &str) -> Option<&str> {
        let of_env = self.env.value(name).map(bare_value).filter(|value| !value.is_empty());
        let of_process = || self.of_process.get(name).map(|value| value.0.as_str());
        of_env.or_else(of_process).filter(|value| references::first(value).is_none())
    }

    /// The content of a file, or what is used without it, with a note why.
    fn take<T: Default>(&mut self, what: &str, content: Result<T, CliError>) -> T {
        content.unwrap_or_else(|error| {
            let cause = error.source.map_or_else(String::new, |source| format!(": {source}"));
            let hints = error.hints.join(" ");
            let why =
                format!("{}{cause}. Nothing of it is taken. {}", error.message, hints.trim_end_matches('.'));
            self.unread.push(Unread { what: what.to_owned(), why });
            T::default()
        })
    }
}

/// A person who was approved by a code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Approved {
    /// Their id, as it stands there.
    pub person: String,
    /// Since when, seconds since 1970.
    pub since_s: i64,
}

/// Items that exist and stay where they are.
const OTHERS: [(&str, &str); 6] = [
    ("state.db", "past conversations (state.db)"),
    ("webhook_subscriptions.json", "webhooks (webhook_subscriptions.json)"),
    ("channel_aliases.json", "names of channels (channel_aliases.json)"),
    ("slack_tokens.json", "Slack workspaces (slack_tokens.json)"),
    ("hooks", "hooks (hooks/)"),
    ("plugins", "plugins (plugins/)"),
];

/// Jobs by the clock.
const JOBS: &str = "cron/jobs.json";

/// More people than that on one platform, or more jobs, are no mistake of ours.
const ENTRIES_MAX: usize = 10_000;

/// True for the home of a hermes-agent.
pub fn is_home(dir: &Path) -> bool {
    HermesHome::at(dir).has_hermes_agent()
}

/// True when this folder has a `.env` with names of hermes-agent. Ours has the same names: it counts only for a folder that a person
/// names.
pub fn has_settings(dir: &Path) -> bool {
    EnvFile::load(&HermesHome::at(dir).env_file()).is_ok_and(|env| names_settings(&env))
}

/// A key of OpenAI alone may be of any program.
fn names_settings(env: &EnvFile) -> bool {
    env.names().into_iter().any(|name| name != "OPENAI_API_KEY" && config::standing(name).is_some())
}

/// Contents of these homes. A file of hermes-agent that cannot be read is in [`Found::unread`], and the rest is used.
///
/// # Errors
/// When a `.env` or a file of ours cannot be read, or another user could have written a file of settings: `.env` goes before
/// `config.yaml`, so that without it no value is certain.
pub fn read(world: &World, home: &HermesHome, from: &Path, foreign: &[Foreign]) -> Result<Found, CliError> {
    let is_same_home = is_same(home.root(), from);
    let source = HermesHome::at(from);
    for path in [source.env_file(), from.join("config.yaml"), from.join("gateway.json")] {
        config::check_trust(&path)?;
    }
    let mut found = Found {
        is_same_home,
        foreign: foreign.to_vec(),
        from: from.to_owned(),
        env: env(&source.env_file()).map_err(|error| of_agent(&source.env_file(), error))?,
        own_env: env(&home.env_file())?,
        own_toml: text(&home.config_file())?.unwrap_or_default(),
        taken_people: recorded(&home.migration_file(), "people")?,
        told: recorded(&home.migration_file(), "told")?,
        has_own_session: home.whatsapp().has_session(),
        profiles: folders(&from.join("profiles")),
        ..Found::default()
    };
    found.is_home = is_home(from) || !is_same_home && names_settings(&found.env);
    found.config = found.take("config.yaml", config_yaml(from));
    let older = agent_json(from, "gateway.json");
    found.older = found.take("gateway.json", older);
    // It counts only where config.yaml says nothing.
    if found.is_unread("config.yaml") && !found.older.is_empty() {
        let why = "config.yaml goes before it, and cannot be read; nothing of it is taken".to_owned();
        found.unread.push(Unread { what: "gateway.json".to_owned(), why });
        found.older = Map::new();
    }
    for name in [&found.config, &found.older].into_iter().flat_map(references::names) {
        if let Some(value) = world.var(&name) {
            found.of_process.insert(name, Secret(value.to_owned()));
        }
    }
    approved(&mut found);
    found.jobs = found.take(JOBS, agent_json(from, JOBS).map(|file| jobs(&file)));
    let persona = agent_text(from, "SOUL.md");
    found.has_persona = found.take("SOUL.md", persona).is_some_and(|text| !text.trim().is_empty());
    let session = source.whatsapp();
    found.session = session.has_session().then(|| session.session_dir().to_owned());
    let is_there = |path: &Path| if path.is_dir() { holds_something(path) } else { path.exists() };
    found.others =
        OTHERS.iter().filter(|(path, _)| is_there(&from.join(path))).map(|(_, what)| *what).collect();
    Ok(found)
}

/// The gateway that runs on this home, of whichever program: both hold the same lock.
///
/// # Errors
/// When the lock cannot be looked at.
pub fn running(home: &Path) -> Result<Option<Option<u32>>, CliError> {
    let path = HermesHome::at(home).lock_file();
    let holder = Lock::holder(&path).map_err(|error| unreadable(&path, error))?;
    Ok(holder.map(|holder| holder.pid))
}

fn is_same(one: &Path, other: &Path) -> bool {
    one == other || matches!((one.canonicalize(), other.canonicalize()), (Ok(one), Ok(other)) if one == other)
}

fn env(path: &Path) -> Result<EnvFile, CliError> {
    EnvFile::load(path).map_err(|error| unreadable(path, error))
}

/// `None` when it is not there.
fn text(path: &Path) -> Result<Option<String>, CliError> {
    match file::read_text(path, file::SETTINGS_LEN_MAX) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(unreadable(path, error)),
    }
}

/// `None` when it is not there; anything but a JSON object is an error.
fn json(path: &Path) -> Result<Option<Map<String, Value>>, CliError> {
    let bytes = match file::read(path, file::OWN_LEN_MAX) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(unreadable(path, error)),
    };
    if bytes.iter().all(u8::is_ascii_whitespace) {
        return Ok(None);
    }
    serde_json::from_slice(&bytes).map(Some).map_err(|error| {
        CliError::config(format!("{} cannot be read: {error}", path.display()))
            .code("hermes_agent_unreadable")
    })
}

fn unreadable(path: &Path, error: std::io::Error) -> CliError {
    CliError::file(format!("cannot read {}", path.display()), path, error)
}

/// The same error, with what to do about a file of hermes-agent.
fn of_agent(path: &Path, mut error: CliError) -> CliError {
    let path = path.display();
    let cause = error.source.as_ref().and_then(|source| source.downcast_ref::<std::io::Error>());
    error.hints = vec![match cause.map(std::io::Error::kind) {
        Some(ErrorKind::PermissionDenied) => {
            format!(
                "`ls -l {path}` shows its owner. Give the user that runs hermes the right to read it, and run `hermes migrate` again."
            )
        }
        Some(_) | None => format!("Repair {path} or move it away, and run `hermes migrate` again."),
    }];
    error.code("hermes_agent_unreadable")
}

fn agent_text(from: &Path, what: &str) -> Result<Option<String>, CliError> {
    let path = from.join(what);
    text(&path).map_err(|error| of_agent(&path, error))
}

fn agent_json(from: &Path, what: &str) -> Result<Map<String, Value>, CliError> {
    let path = from.join(what);
    json(&path).map(Option::unwrap_or_default).map_err(|error| of_agent(&path, error))
}

fn config_yaml(from: &Path) -> Result<Map<String, Value>, CliError> {
    let path = from.join("config.yaml");
    let Some(text) = agent_text(from, "config.yaml")? else { return Ok(Map::new()) };
    yaml::read(&text).map_err(|error| {
        of_agent(&path, CliError::config(format!("{} cannot be read: {error}", path.display())))
    })
}

/// Both folders count: hermes-agent joins them when it starts.
fn approved(found: &mut Found) {
    let from = found.from.clone();
    let mut all: BTreeMap<String, Vec<Approved>> = BTreeMap::new();
    for folder in ["platforms/pairing", "pairing"] {
        for name in names(&from.join(folder)) {
            let Some(platform) = name.strip_suffix("-approved.json") else { continue };
            let what = format!("{folder}/{name}");
            let entries = config::check_trust(&from.join(&what)).and_then(|()| agent_json(&from, &what));
            let people = all.entry(platform.to_owned()).or_default();
            for (person, entry) in found.take(&what, entries).into_iter().take(ENTRIES_MAX) {
                #[expect(clippy::cast_possible_truncation, reason = "a time in seconds")]
                let since_s = entry.get("approved_at").and_then(Value::as_f64).unwrap_or_default() as i64;
                if people.iter().all(|known| known.person != person) {
                    people.push(Approved { person, since_s });
                }
            }
        }
    }
    all.retain(|_, people| !people.is_empty());
    found.approved = all;
}

fn jobs(file: &Map<String, Value>) -> Vec<String> {
    let jobs = file.get("jobs").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let shown = |job: &Value| {
        let word = |value: &Value| value.as_str().map(str::to_owned);
        let name = job.get("name").and_then(word).or_else(|| job.get("id").and_then(word))?;
        let when = job.get("schedule_display").and_then(word);
        Some(when.map_or(name.clone(), |when| format!("{name} ({when})")))
    };
    jobs.iter().take(ENTRIES_MAX).filter_map(shown).collect()
}

/// A list in the record of the last migration.
fn recorded(path: &Path, list: &str) -> Result<BTreeSet<String>, CliError> {
    let file = json(path)?.unwrap_or_default();
    let list = file.get(list).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    Ok(list.iter().filter_map(Value::as_str).map(str::to_owned).collect())
}

/// Entries of a folder, sorted; none where it cannot be listed.
fn names(dir: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(dir).into_iter().flatten().flatten();
    let mut names: Vec<String> = entries.filter_map(|entry| entry.file_name().into_string().ok()).collect();
    names.sort();
    names
}

fn folders(dir: &Path) -> Vec<String> {
    names(dir).into_iter().filter(|name| dir.join(name).is_dir()).collect()
}

fn holds_something(dir: &Path) -> bool {
    std::fs::read_dir(dir).is_ok_and(|mut entries| entries.next().is_some())
}
