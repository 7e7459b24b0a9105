//! Pure. What one run of the wizard writes to `.env`, all at once at its end.

use crate::config::{AllowList, WhatsAppMode};
use crate::env_file::{EnvFile, SetError};

/// Settings to write, in the order in which they are appended.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ChangeSet {
    settings: Vec<(&'static str, String)>,
}

impl ChangeSet {
    /// What the answers change: a setting that was not answered is not touched.
    pub fn of_whatsapp(env: &EnvFile, mode: Option<WhatsAppMode>, allowed: Option<&AllowList>) -> Self {
        let mut changes = Self::default();
        if let Some(mode) = mode {
            changes.set(env, "WHATSAPP_MODE", mode_word(mode));
        }
        if let Some(allowed) = allowed {
            changes.set_allowed(env, allowed);
        }
        changes.set(env, "WHATSAPP_ENABLED", "true");
        changes
    }

    /// Only the switch.
    pub fn of_enabled(env: &EnvFile, enabled: bool) -> Self {
        let mut changes = Self::default();
        changes.set(env, "WHATSAPP_ENABLED", if enabled { "true" } else { "false" });
        changes
    }

    fn set_allowed(&mut self, env: &EnvFile, allowed: &AllowList) {
        const EVERYBODY: &str = "WHATSAPP_ALLOW_ALL_USERS";
        let list = match allowed {
            AllowList::Nobody => String::new(),
            AllowList::Only(numbers) => numbers.join(","),
            AllowList::Everybody => "*".to_owned(),
        };
        if !list.is_empty() || env.value("WHATSAPP_ALLOWED_USERS").is_some() {
            self.set(env, "WHATSAPP_ALLOWED_USERS", &list);
        }
        match allowed {
            AllowList::Everybody => self.set(env, EVERYBODY, "true"),
            // A switch that still says "everybody" would make the list worthless.
            AllowList::Nobody | AllowList::Only(_) if env.value(EVERYBODY).is_some() => {
                self.set(env, EVERYBODY, "false");
            }
            AllowList::Nobody | AllowList::Only(_) => {}
        }
    }

    fn set(&mut self, env: &EnvFile, key: &'static str, value: &str) {
        if env.value(key) != Some(value) {
            self.settings.push((key, value.to_owned()));
        }
    }

    /// Nothing changes: the file need not be written.
    pub fn is_empty(&self) -> bool {
        self.settings.is_empty()
    }

    /// Writes the settings into the file in memory.
    ///
    /// # Errors
    /// When the file cannot take one of them.
    pub fn apply(&self, env: &mut EnvFile) -> Result<(), SetError> {
        self.settings.iter().try_for_each(|(key, value)| env.set(key, value))
    }

    /// The settings by name.
    pub fn settings(&self) -> &[(&'static str, String)] {
        &self.settings
    }
}

/// The mode as it is written in settings and flags.
pub fn mode_word(mode: WhatsAppMode) -> &'static str {
    match mode {
        WhatsAppMode::Bot => "bot",
        WhatsAppMode::SelfChat => "self-chat",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn env(settings: &[(&str, &str)]) -> EnvFile {
        let mut env = EnvFile::default();
        for (key, value) in settings {
            env.set(key, value).unwrap();
        }
        env
    }

    fn only(number: &str) -> AllowList {
        AllowList::Only(vec![number.to_owned()])
    }

    #[test]
    fn a_first_run_writes_all_and_a_second_nothing() {
        let mut file = env(&[]);
        let allowed = only("15550001111");
        let changes = ChangeSet::of_whatsapp(&file, Some(WhatsAppMode::Bot), Some(&allowed));
        let keys: Vec<_> = changes.settings().iter().map(|(key, value)| format!("{key}={value}")).collect();
        assert_eq!(
            keys,
            ["WHATSAPP_MODE=bot", "WHATSAPP_ALLOWED_USERS=15550001111", "WHATSAPP_ENABLED=true"]
        );
        changes.apply(&mut file).unwrap();
        assert!(ChangeSet::of_whatsapp(&file, Some(WhatsAppMode::Bot), Some(&allowed)).is_empty());
    }

    #[test]
    fn what_was_not_answered_is_not_touched() {
        let file = env(&[("WHATSAPP_ALLOWED_USERS", "+1 555 000 1111"), ("WHATSAPP_ENABLED", "false")]);
        let changes = ChangeSet::of_whatsapp(&file, None, None);
        assert_eq!(changes.settings(), [("WHATSAPP_ENABLED", "true".to_owned())]);
    }

    #[test]
    fn everybody_has_a_switch_of_its_own_that_a_later_list_turns_off() {
        let mut file = env(&[]);
        ChangeSet::of_whatsapp(&file, None, Some(&AllowList::Everybody)).apply(&mut file).unwrap();
        assert_eq!(file.value("WHATSAPP_ALLOW_ALL_USERS"), Some("true"));
        assert_eq!(file.value("WHATSAPP_ALLOWED_USERS"), Some("*"));
        ChangeSet::of_whatsapp(&file, None, Some(&only("15550001111"))).apply(&mut file).unwrap();
        assert_eq!(file.value("WHATSAPP_ALLOW_ALL_USERS"), Some("false"));
        assert_eq!(file.value("WHATSAPP_ALLOWED_USERS"), Some("15550001111"));
    }

    #[test]
    fn nobody_empties_a_list_and_does_not_begin_one() {
        let changes = ChangeSet::of_whatsapp(&env(&[]), None, Some(&AllowList::Nobody));
        assert_eq!(changes.settings().len(), 1);
        let file = env(&[("WHATSAPP_ALLOWED_USERS", "15550001111")]);
        let changes = ChangeSet::of_whatsapp(&file, None, Some(&AllowList::Nobody));
        assert!(changes.settings().contains(&("WHATSAPP_ALLOWED_USERS", String::new())));
    }
}
