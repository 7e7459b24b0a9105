//! Settings with names in capitals: the process environment, then `.env`.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use crate::env_file::EnvFile;
use crate::env_grammar::bare_value;
use crate::sensitive::Secret;
use crate::world::World;

/// The settings with names in capitals: the process environment, then `.env`.
pub(crate) struct Settings<'a> {
    pub(crate) world: &'a World,
    pub(crate) env: &'a EnvFile,
    /// True when the home is that of a hermes-agent, too.
    pub(crate) has_agent: bool,
    /// Its `config.yaml` turns Telegram off.
    pub(crate) telegram_is_off_in_agent: bool,
    /// Names whose value came from the process.
    pub(crate) of_process: RefCell<BTreeMap<String, Secret>>,
    /// Names that were read, set or not.
    pub(crate) asked: RefCell<BTreeSet<String>>,
    /// The oddities so far.
    pub(crate) warnings: RefCell<Vec<String>>,
}

impl<'a> Settings<'a> {
    pub(crate) fn new(world: &'a World, env: &'a EnvFile) -> Self {
        Self {
            world,
            env,
            has_agent: false,
            telegram_is_off_in_agent: false,
            of_process: RefCell::default(),
            asked: RefCell::default(),
            warnings: RefCell::default(),
        }
    }

    /// Notes an oddity: a sentence without its period.
    pub(crate) fn warn(&self, warning: impl Into<String>) {
        self.warnings.borrow_mut().push(warning.into());
    }

    /// Returns the value without blanks and quotes around it; an empty one counts as not set.
    pub(crate) fn value(&self, name: &str) -> Option<&'a str> {
        self.asked.borrow_mut().insert(name.to_owned());
        if let Some(value) = self.world.var(name) {
            self.of_process.borrow_mut().insert(name.to_owned(), Secret(value.to_owned()));
            return Some(value);
        }
        self.in_file(name)
    }

    /// Returns the value in `.env`, whatever the process says.
    pub(crate) fn in_file(&self, name: &str) -> Option<&'a str> {
        Some(bare_value(self.env.value(name)?)).filter(|value| !value.is_empty())
    }

    /// Returns the value as a secret.
    pub(crate) fn secret(&self, name: &str) -> Option<Secret> {
        self.value(name).map(|value| Secret(value.to_owned()))
    }

    /// Returns the value where it can be read so; otherwise it is ignored, with the reason.
    pub(crate) fn parsed<T>(
        &self,
        name: &str,
        parse: impl FnOnce(&str) -> Option<T>,
        reason: &str,
    ) -> Option<T> {
        let parsed = parse(self.value(name)?);
        if parsed.is_none() {
            self.warn(format!("ignored {name}: {reason}"));
        }
        parsed
    }

    /// Reads a switch: `None` when it is not set, or when its value is neither yes nor no.
    pub(crate) fn switch(&self, name: &str) -> Option<bool> {
        let parse = |text: &str| match text.to_ascii_lowercase().as_str() {
            "true" | "1" | "yes" | "on" => Some(true),
            "false" | "0" | "no" | "off" => Some(false),
            _ => None,
        };
        self.parsed(name, parse, "must be true or false")
    }

    /// Returns the settings of which `.env` has another value than the process.
    pub(crate) fn shadowed(&self) -> Vec<String> {
        let is_shadowed =
            |name: &&String| self.in_file(name).is_some_and(|written| self.world.var(name) != Some(written));
        self.of_process.borrow().keys().filter(is_shadowed).cloned().collect()
    }
}
