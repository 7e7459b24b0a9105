//! Pure. The settings that one run of the wizard writes to `.env`, all at once at its end.

use std::collections::BTreeMap;
use std::fmt;

use crate::config::{AllowList, WhatsAppMode, shadow_remedy};
use crate::env_file::{EnvFile, SetError};
use crate::error::CliError;
use crate::sensitive::Secret;
use crate::wizard::ui::layout::Line;
use crate::wizard::ui::layout::text;

/// Settings to write, in the order in which they are appended.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct ChangeSet {
    settings: Vec<(&'static str, String)>,
    /// Those that stand in the file already, too.
    wanted: Vec<(&'static str, String)>,
}

impl ChangeSet {
    /// The changes by these answers: a setting that was not answered is not touched.
    pub fn of_whatsapp(env: &EnvFile, mode: Option<WhatsAppMode>, allowed: Option<&AllowList>) -> Self {
        let mut changes = Self::default();
        if let Some(mode) = mode {
            changes.set(env, "WHATSAPP_MODE", mode_word(mode));
        }
        if let Some(allowed) = allowed {
            changes.set_allowed(env, ["WHATSAPP_ALLOWED_USERS", "WHATSAPP_ALLOW_ALL_USERS"], allowed);
        }
        changes.set(env, "WHATSAPP_ENABLED", "true");
        changes
    }

    /// The same for Telegram, whose switch is its token.
    pub fn of_telegram(
        env: &EnvFile,
        token: Option<&Secret>,
        allowed: Option<&AllowList>,
        home_channel: Option<&str>,
        is_off_in_agent: bool,
    ) -> Self {
        let mut changes = Self::default();
        if let Some(token) = token {
            changes.set(env, "TELEGRAM_BOT_TOKEN", &token.0);
        }
        if let Some(allowed) = allowed {
            changes.set_allowed(env, ["TELEGRAM_ALLOWED_USERS", "TELEGRAM_ALLOW_ALL_USERS"], allowed);
        }
        if let Some(chat) = home_channel {
            changes.set(env, "TELEGRAM_HOME_CHANNEL", chat);
        }
        // Otherwise only `hermes telegram disable` and `enable` write it.
        if is_off_in_agent || env.value("TELEGRAM_ENABLED").is_some() {
            changes.set(env, "TELEGRAM_ENABLED", "true");
        }
        changes
    }

    /// Only this switch.
    pub fn of_switch(env: &EnvFile, switch: &'static str, enabled: bool) -> Self {
        let mut changes = Self::default();
        changes.set(env, switch, if enabled { "true" } else { "false" });
        changes
    }

    /// By the names of the list and of the switch that says "everybody" again.
    fn set_allowed(&mut self, env: &EnvFile, [people, everybody]: [&'static str; 2], allowed: &AllowList) {
        let list = match allowed {
            AllowList::Nobody => String::new(),
            AllowList::Only(numbers) => numbers.join(","),
            AllowList::Everybody => "*".to_owned(),
        };
        if !list.is_empty() || env.value(people).is_some() {
            self.set(env, people, &list);
        }
        match allowed {
            AllowList::Everybody => self.set(env, everybody, "true"),
            // A switch that still says "everybody" would make the list worthless.
            AllowList::Nobody | AllowList::Only(_) if env.value(everybody).is_some() => {
                self.set(env, everybody, "false");
            }
            AllowList::Nobody | AllowList::Only(_) => {}
        }
    }

    fn set(&mut self, env: &EnvFile, key: &'static str, value: &str) {
        self.wanted.push((key, value.to_owned()));
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

    /// The failure that the environment of the process says something else, and wins.
    ///
    /// # Errors
    /// When that is so; the settings are written and have no effect.
    pub fn takes_effect(&self, of_process: &BTreeMap<String, Secret>) -> Result<(), CliError> {
        let is_hidden = |(name, value): &&(&'static str, String)| {
            of_process.get(*name).is_some_and(|set| meaning(&set.0) != meaning(value))
        };
        let hidden: Vec<&str> = self.wanted.iter().filter(is_hidden).map(|(name, _)| *name).collect();
        if hidden.is_empty() {
            return Ok(());
        }
        let error = CliError::failed(format!(
            "what was written to .env has no effect: the environment sets {} to another value",
            hidden.join(" and ")
        ));
        Err(error.code("env_shadowed").hints(hidden.into_iter().map(shadow_remedy)))
    }

    /// The failure that the environment of the running gateway hides some of them. `shadowed`: the gateway's own word.
    ///
    /// # Errors
    /// When that is so; the settings are written, and have no effect on it.
    pub fn reaches_gateway(&self, shadowed: &[String]) -> Result<(), CliError> {
        let is_hidden = |name: &&str| shadowed.iter().any(|shadowed| shadowed == name);
        let hidden: Vec<&str> = self.wanted.iter().map(|(name, _)| *name).filter(is_hidden).collect();
        if hidden.is_empty() {
            return Ok(());
        }
        let error = CliError::failed(format!(
            "what was written to .env has no effect on the running gateway: its environment sets {} to another value",
            hidden.join(" and ")
        ));
        let remedy = |name| format!("{} Then stop the gateway and start it again.", shadow_remedy(name));
        Err(error.code("env_shadowed").hints(hidden.into_iter().map(remedy)))
    }

    /// The settings by name.
    pub fn settings(&self) -> &[(&'static str, String)] {
        &self.settings
    }
}

impl fmt::Debug for ChangeSet {
    /// Only the names: a value may be a secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.settings.iter().map(|(key, _)| key)).finish()
    }
}

/// Variables of the environment that go before what a wizard writes, to be read before it asks. `names`: its settings.
pub(crate) fn shadows(names: &[&str], of_process: &BTreeMap<String, Secret>) -> Vec<Line> {
    let set: Vec<&str> = names.iter().copied().filter(|name| of_process.contains_key(*name)).collect();
    if set.is_empty() {
        return Vec::new();
    }
    let (is, value, it) =
        if set.len() == 1 { ("is", "its value", "it") } else { ("are", "their values", "them") };
    let warning = format!(
        "{} {is} set in the environment, which goes before .env: hermes uses {value}, and another answer here has no effect.",
        set.join(" and ")
    );
    let remedy = format!(
        "A gateway that is started elsewhere, such as a service, does not see {it}. To have {it} in .env instead, stop with \
         Ctrl-C, run `unset {}`, and start again.",
        set.join(" ")
    );
    vec![Line::Gap, Line::Warn(warning), text(&remedy)]
}

/// One word for all ways to write a switch.
fn meaning(value: &str) -> String {
    match value.trim().to_ascii_lowercase().as_str() {
        "1" | "yes" | "on" => "true".to_owned(),
        "0" | "no" | "off" => "false".to_owned(),
        _ => value.trim().to_owned(),
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
    fn telegram_writes_what_was_answered_and_shows_no_token() {
        let mut file = env(&[("TELEGRAM_ALLOW_ALL_USERS", "true"), ("OTHER", "1")]);
        let token = Secret("1:a-canary-of-a-token".to_owned());
        let changes = ChangeSet::of_telegram(&file, Some(&token), Some(&only("42")), Some("42"), false);
        assert!(!format!("{changes:?}").contains("canary"));
        changes.apply(&mut file).unwrap();
        let expected = "TELEGRAM_ALLOW_ALL_USERS=false\nOTHER=1\nTELEGRAM_BOT_TOKEN=1:a-canary-of-a-token\n\
                        TELEGRAM_ALLOWED_USERS=42\nTELEGRAM_HOME_CHANNEL=42\n";
        assert_eq!(String::from_utf8_lossy(file.bytes()), expected);
        assert!(ChangeSet::of_telegram(&file, Some(&token), Some(&only("42")), None, false).is_empty());
        assert!(ChangeSet::of_telegram(&file, None, None, None, false).is_empty());
        let on = ChangeSet::of_telegram(&file, None, None, None, true);
        assert!(!on.is_empty(), "what hermes-agent turned off is turned on");
    }

    #[test]
    fn what_the_environment_hides_is_told_with_what_helps() {
        let process =
            |value: &str| BTreeMap::from([("WHATSAPP_ENABLED".to_owned(), Secret(value.to_owned()))]);
        for file in [env(&[]), env(&[("WHATSAPP_ENABLED", "true")])] {
            let changes = ChangeSet::of_whatsapp(&file, None, None);
            assert!(
                changes.takes_effect(&process("1")).is_ok() && changes.takes_effect(&BTreeMap::new()).is_ok()
            );
            let error = changes.takes_effect(&process("false")).unwrap_err();
            assert_eq!(error.code, "env_shadowed");
            assert!(error.hints[0].contains("unset WHATSAPP_ENABLED"), "{:?}", error.hints);
        }
    }

    #[test]
    fn what_goes_before_the_answers_is_named_before_they_are_asked_for() {
        let of = |names: &[&str]| {
            names.iter().map(|name| ((*name).to_owned(), Secret("1:a-canary".to_owned()))).collect()
        };
        let said = |set: &[&str]| format!("{:?}", shadows(&["A_TOKEN", "A_LIST"], &of(set)));
        assert_eq!(said(&["OTHER"]), "[]");
        let one = said(&["A_TOKEN", "OTHER"]);
        assert!(one.contains("A_TOKEN is set") && one.contains("`unset A_TOKEN`"), "{one}");
        let both = said(&["A_LIST", "A_TOKEN"]);
        assert!(
            both.contains("A_TOKEN and A_LIST are set") && both.contains("`unset A_TOKEN A_LIST`"),
            "{both}"
        );
        assert!(!both.contains("canary"), "{both}");
    }

    #[test]
    fn what_the_gateways_environment_hides_is_told_and_what_else_it_hides_is_not() {
        let changes = ChangeSet::of_whatsapp(&env(&[]), Some(WhatsAppMode::Bot), None);
        let names = |names: &[&str]| names.iter().map(ToString::to_string).collect::<Vec<_>>();
        assert!(changes.reaches_gateway(&names(&["TELEGRAM_BOT_TOKEN"])).is_ok());
        let error = changes.reaches_gateway(&names(&["WHATSAPP_ENABLED"])).unwrap_err();
        assert_eq!(error.code, "env_shadowed");
        assert!(error.hints[0].contains("unset WHATSAPP_ENABLED"), "{:?}", error.hints);
        assert!(error.hints[0].ends_with("start it again."), "{:?}", error.hints);
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
