//! What stands in the home of a hermes-agent gateway, and in ours. Only reads.

use std::collections::{BTreeMap, BTreeSet};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use super::yaml;
use crate::config::{self, Foreign};
use crate::durable::Lock;
use crate::env_file::EnvFile;
use crate::error::CliError;
use crate::file;
use crate::home::HermesHome;

/// What was found.
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
    /// Why `config.yaml` cannot be read.
    pub broken_config: Option<String>,
    /// `gateway.json`, which came before it.
    pub older: Map<String, Value>,
    /// Its `.env`.
    pub env: EnvFile,
    /// Our `.env`.
    pub own_env: EnvFile,
    /// Our `gateway.toml`.
    pub own_toml: String,
    /// People who were approved by a code, by platform.
    pub approved: BTreeMap<String, Vec<Approved>>,
    /// Those whom we took over before: `platform:person`. Whoever was revoked since then stays so.
    pub taken_people: BTreeSet<String>,
    /// What a person was told of when we took over: they know it.
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

/// Somebody who was approved by a code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Approved {
    /// Their id, as it stands there.
    pub person: String,
    /// Since when, seconds since 1970.
    pub since_s: i64,
}

/// Files by which the home of a hermes-agent is known. Ours has none of them.
const SIGNS: [&str; 7] =
    ["config.yaml", "gateway.json", "SOUL.md", "state.db", "cron/jobs.json", "pairing", "platforms/pairing"];

/// What is there and stays where it is.
const OTHERS: [(&str, &str); 6] = [
    ("state.db", "past conversations (state.db)"),
    ("webhook_subscriptions.json", "webhooks (webhook_subscriptions.json)"),
    ("channel_aliases.json", "names of channels (channel_aliases.json)"),
    ("slack_tokens.json", "Slack workspaces (slack_tokens.json)"),
    ("hooks", "hooks (hooks/)"),
    ("plugins", "plugins (plugins/)"),
];

/// More people than that on one platform, or more jobs, are no mistake of ours.
const ENTRIES_MAX: usize = 10_000;

/// Whether a hermes-agent has lived in this folder.
pub fn is_home(dir: &Path) -> bool {
    SIGNS.iter().any(|sign| dir.join(sign).exists())
}

/// What stands in these homes. A broken `config.yaml` is told in [`Found::broken_config`].
///
/// # Errors
/// When a file cannot be read, or another user could have written it.
pub fn read(home: &HermesHome, from: &Path, foreign: &[Foreign]) -> Result<Found, CliError> {
    let is_same_home = is_same(home.root(), from);
    let source = HermesHome::at(from);
    for path in [source.env_file(), from.join("config.yaml"), from.join("gateway.json")] {
        config::check_trust(&path)?;
    }
    let mut found = Found {
        is_home: is_home(from),
        is_same_home,
        foreign: foreign.to_vec(),
        from: from.to_owned(),
        older: json(&from.join("gateway.json"))?.unwrap_or_default(),
        env: env(&source.env_file())?,
        own_env: env(&home.env_file())?,
        own_toml: text(&home.config_file())?.unwrap_or_default(),
        approved: approved(from)?,
        taken_people: recorded(&home.migration_file(), "people")?,
        told: recorded(&home.migration_file(), "told")?,
        jobs: jobs(from)?,
        has_own_session: home.whatsapp().has_session(),
        profiles: folders(&from.join("profiles")),
        has_persona: text(&from.join("SOUL.md"))?.is_some_and(|text| !text.trim().is_empty()),
        ..Found::default()
    };
    match text(&from.join("config.yaml"))?.map(|text| yaml::read(&text)) {
        Some(Ok(config)) => found.config = config,
        Some(Err(error)) => found.broken_config = Some(error.to_string()),
        None => {}
    }
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

/// Both folders count: hermes-agent joins them when it starts.
fn approved(from: &Path) -> Result<BTreeMap<String, Vec<Approved>>, CliError> {
    let mut all: BTreeMap<String, Vec<Approved>> = BTreeMap::new();
    for folder in [from.join("platforms").join("pairing"), from.join("pairing")] {
        for name in names(&folder) {
            let Some(platform) = name.strip_suffix("-approved.json") else { continue };
            let path = folder.join(&name);
            config::check_trust(&path)?;
            let people = all.entry(platform.to_owned()).or_default();
            for (person, entry) in json(&path)?.unwrap_or_default().into_iter().take(ENTRIES_MAX) {
                #[expect(clippy::cast_possible_truncation, reason = "a time in seconds")]
                let since_s = entry.get("approved_at").and_then(Value::as_f64).unwrap_or_default() as i64;
                if people.iter().all(|known| known.person != person) {
                    people.push(Approved { person, since_s });
                }
            }
        }
    }
    all.retain(|_, people| !people.is_empty());
    Ok(all)
}

fn jobs(from: &Path) -> Result<Vec<String>, CliError> {
    let file = json(&from.join("cron").join("jobs.json"))?.unwrap_or_default();
    let jobs = file.get("jobs").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let shown = |job: &Value| {
        let word = |value: &Value| value.as_str().map(str::to_owned);
        let name = job.get("name").and_then(word).or_else(|| job.get("id").and_then(word))?;
        let when = job.get("schedule_display").and_then(word);
        Some(when.map_or(name.clone(), |when| format!("{name} ({when})")))
    };
    Ok(jobs.iter().take(ENTRIES_MAX).filter_map(shown).collect())
}

/// A list in the record of the last migration.
fn recorded(path: &Path, list: &str) -> Result<BTreeSet<String>, CliError> {
    let file = json(path)?.unwrap_or_default();
    let list = file.get(list).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    Ok(list.iter().filter_map(Value::as_str).map(str::to_owned).collect())
}

/// What stands in a folder, sorted; nothing where it cannot be listed.
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
