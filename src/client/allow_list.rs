//! The allow list in `.env`, one person at a time: `hermes pairing allow` adds one, `hermes pairing revoke` takes one off.

use std::io;

use serde_json::{Value, json};

use crate::client::answered::answered;
use crate::client::headline::shadowed_remedy;
use crate::config::{Config, WhatsAppMode, listed_people, listed_person, shadow_remedy};
use crate::durable;
use crate::env_file::{EnvFile, SetError};
use crate::error::CliError;
use crate::facts;
use crate::gateway::platforms::build;
use crate::home::HermesHome;
use crate::pairing::Pairing;
use crate::platforms::whatsapp::phone;
use crate::platforms::{Naming, Platform};
use crate::preflight::SessionFact;
use crate::preflight::access::{self, Answered, groups_setting};
use crate::visible;
use crate::world::World;

/// Adds this person. The answer is for programs, with a `message` for people.
///
/// # Errors
/// When the text names no person of this platform, or `.env` cannot be written or has no effect.
pub fn allow(world: &World, home: &HermesHome, platform: Platform, user: &str) -> Result<Value, CliError> {
    let spec = platform.spec();
    let person = person(platform, user)?;
    let config = Config::load(world, home)?;
    let shown = visible::line(&person).into_owned();
    if platform == Platform::Whatsapp && config.whatsapp.mode == Some(WhatsAppMode::Bot) {
        refuse_own_number(home, &person)?;
    }
    let name = platform.variable("ALLOWED_USERS");
    let before = answered(home, &config, platform);
    let is_listed = before.is_everybody() || before.lists(platform, &person);
    if !is_listed {
        if !before.is_of_gateway && config.of_process.contains_key(&name) {
            return Err(hidden(&name, shadow_remedy(&name)));
        }
        change(home, &name, |list| {
            let list = list.trim().trim_end_matches([',', ';']);
            match list {
                "" => person.clone(),
                _ if listed_people(platform, list).contains(&person) => list.to_owned(),
                _ => format!("{list},{person}"),
            }
        })?;
        if before.is_of_gateway && before.environment.iter().any(|(variable, _)| *variable == name) {
            return Err(hidden(&name, shadowed_remedy(&name)));
        }
    }
    let already = if is_listed { "already " } else { "" };
    let is_on = build::is_enabled(platform, &config);
    let mut message = match config.whatsapp.mode {
        _ if platform != Platform::Whatsapp => can_write(&shown, is_listed, spec.title),
        Some(WhatsAppMode::Bot) => can_write(&shown, is_listed, spec.title),
        // Its setup asks for the mode.
        None if !is_on => format!("{shown} is {already}on the allow list of {}.", spec.title),
        mode => format!(
            "{shown} is {already}on the allow list of {}, which has no effect: {} hermes answers only your notes to \
             yourself. To answer others it needs a separate number: run `hermes whatsapp`, or set WHATSAPP_MODE=bot if it has \
             one.",
            spec.title,
            if mode.is_some() { "in self-chat mode" } else { "until WHATSAPP_MODE is set" }
        ),
    };
    if !is_on {
        message.push_str(&format!(" {} is off. {}", spec.title, facts::way_on(platform, home, &config)));
    }
    Ok(json!({ "message": message, "platform": spec.name, "user": person, "changed": !is_listed }))
}

fn can_write(shown: &str, is_listed: bool, title: &str) -> String {
    let word = if is_listed { "is already allowed to" } else { "can now" };
    format!("{shown} {word} write to hermes on {title}.")
}

/// The person that this text names, as an entry of the list.
fn person(platform: Platform, user: &str) -> Result<String, CliError> {
    let (spec, text) = (platform.spec(), user.trim());
    let shown = visible::line(text);
    if (spec.ids.is_group)(text) {
        let groups = groups_setting(platform);
        let hint = match platform {
            Platform::Telegram => format!(
                "To answer listed people there, add it to {groups} in .env. A channel must be in TELEGRAM_ALLOWED_USERS as well."
            ),
            Platform::Whatsapp | Platform::Scripted(_) => format!(
                "To answer listed people there, set {}=allowlist and add it to {groups} in .env.",
                platform.variable("GROUP_POLICY")
            ),
        };
        let what = if platform == Platform::Telegram { "group or channel" } else { "group" };
        return Err(not_a_person(format!("`{shown}` is a {what}, not a person")).hint(hint));
    }
    listed_person(platform, text).ok_or_else(|| {
        // One entry of a list: what stands between commas is several.
        let why = match (spec.naming, phone::entry(text)) {
            (Naming::Phone, Err(why)) => format!(": {why}"),
            (Naming::Phone | Naming::Number | Naming::Verbatim, _) => String::new(),
        };
        not_a_person(format!("`{shown}` is not a {}{why}", spec.naming.person()))
            .hint("`hermes pairing list` shows who wrote, with the command that allows them.")
    })
}

fn not_a_person(message: String) -> CliError {
    CliError::usage(message).code("not_a_person")
}

/// People list the agent's own number by mistake; no one writes from there.
fn refuse_own_number(home: &HermesHome, person: &str) -> Result<(), CliError> {
    let SessionFact::Judged(Pairing::Paired { me }) = facts::session(&home.whatsapp()) else { return Ok(()) };
    if !access::names(Platform::Whatsapp, &[me.number().to_owned()], person) {
        return Ok(());
    }
    let own = phone::shown(me.number());
    Err(not_a_person(format!("{own} is the agent's own number"))
        .hint("List the number you write from instead."))
}

/// Takes this person off the list in `.env`. True when they were on it.
///
/// # Errors
/// When `.env` cannot be written.
pub fn disallow(home: &HermesHome, platform: Platform, user: &str) -> Result<bool, CliError> {
    change(home, &platform.variable("ALLOWED_USERS"), |list| {
        let entries = || list.split([',', ';', '\n']).map(str::trim).filter(|entry| !entry.is_empty());
        let others = entries().filter(|entry| !is_same(platform, entry, user));
        let others = others.collect::<Vec<_>>();
        // A list without this person stays as it was written.
        if others.len() == entries().count() { list.to_owned() } else { others.join(",") }
    })
}

fn is_same(platform: Platform, entry: &str, user: &str) -> bool {
    let entry = listed_person(platform, entry);
    entry.is_some_and(|entry| access::names(platform, &[entry], user))
}

/// Why this person may still write, after they were taken off the list in `.env`.
///
/// # Errors
/// When they may.
pub fn refuse_still_allowed(answered: &Answered, platform: Platform, user: &str) -> Result<(), CliError> {
    let title = platform.spec().title;
    let failed = |message: String| CliError::failed(message).code("still_allowed");
    if answered.is_everybody() {
        let list = platform.variable("ALLOWED_USERS");
        let remedy = format!("To limit it, list senders in {list} instead of `*`.");
        return Err(failed(format!("everyone is allowed on {title}")).hint(remedy));
    }
    if !answered.lists(platform, user.trim()) {
        return Ok(());
    }
    let remedy = match answered.variable(platform, user.trim()) {
        Some(name) if answered.is_of_gateway => shadowed_remedy(name),
        Some(name) => shadow_remedy(name),
        None => "Remove them from GATEWAY_ALLOWED_USERS.".to_owned(),
    };
    Err(failed(format!("{} is still allowed on {title}", visible::line(user.trim()))).hint(remedy))
}

fn hidden(name: &str, remedy: String) -> CliError {
    CliError::failed(format!("{name} in .env has no effect: the environment sets it, too"))
        .code("env_shadowed")
        .hint(remedy)
}

/// Changes one setting of `.env`. True when it differs now.
fn change(home: &HermesHome, name: &str, new: impl FnOnce(&str) -> String) -> Result<bool, CliError> {
    let path = home.env_file();
    let failed = |error: io::Error| {
        CliError::file(format!("{} cannot be written", path.display()), &path, error).code("env_not_written")
    };
    durable::create_private_dir(home.root()).map_err(failed)?;
    let mut env = EnvFile::load(&path).map_err(failed)?;
    let old = env.value(name).unwrap_or_default();
    let value = new(old);
    if value == old {
        return Ok(false);
    }
    env.set(name, &value).map_err(|error: SetError| {
        CliError::failed(format!("{} cannot be changed", path.display()))
            .code("env_not_written")
            .hint(format!("Set {name} there by hand."))
            .because(error)
    })?;
    env.save(&path).map_err(failed)?;
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn home(env: &str) -> (tempfile::TempDir, HermesHome) {
        let dir = tempfile::tempdir().unwrap();
        let home = HermesHome::at(dir.path().join("home"));
        if !env.is_empty() {
            durable::create_private_dir(home.root()).unwrap();
            durable::write_atomic(&home.env_file(), env.as_bytes()).unwrap();
        }
        (dir, home)
    }

    fn nowhere() -> World {
        World::of_env::<&str, &str>([])
    }

    fn env(home: &HermesHome) -> String {
        std::fs::read_to_string(home.env_file()).unwrap()
    }

    #[test]
    fn two_people_are_added_one_after_the_other_and_taken_off_again() {
        let (_dir, home) = home("# mine\nTELEGRAM_ALLOWED_USERS=\"7, 8\" # us\n");
        let add = |user: &str| allow(&nowhere(), &home, Platform::Telegram, user).unwrap();
        assert_eq!(add("42")["changed"], true);
        assert_eq!(
            add(" 0043 ")["message"],
            "43 can now write to hermes on Telegram. Telegram is off. Run `hermes telegram`."
        );
        assert_eq!(env(&home), "# mine\nTELEGRAM_ALLOWED_USERS=\"7, 8,42,43\" # us\n");
        let again = add("42");
        assert_eq!(again["changed"], false);
        assert!(again["message"].as_str().unwrap().contains("already allowed"), "{again}");
        let off = |user: &str| disallow(&home, Platform::Telegram, user).unwrap();
        assert!(off("8") && off("42") && !off("42") && !off("@ada"));
        assert_eq!(env(&home), "# mine\nTELEGRAM_ALLOWED_USERS=\"7,43\" # us\n");
    }

    #[test]
    fn on_whatsapp_the_list_counts_only_where_the_agent_has_a_number() {
        for (env_file, said) in [
            ("WHATSAPP_MODE=bot\n", "15550001111 can now write to hermes on WhatsApp."),
            ("WHATSAPP_MODE=self-chat\n", "no effect: in self-chat mode hermes answers only your notes"),
            (
                "WHATSAPP_ENABLED=true\n",
                "no effect: until WHATSAPP_MODE is set hermes answers only your notes",
            ),
            ("", "15550001111 is on the allow list of WhatsApp. WhatsApp is off. Run `hermes whatsapp`."),
        ] {
            let (_dir, home) = home(env_file);
            let add = || allow(&nowhere(), &home, Platform::Whatsapp, "+1 555 000 1111").unwrap();
            let (first, again) = (add(), add());
            let message = first["message"].as_str().unwrap();
            assert!(message.contains(said), "{env_file}: {message}");
            assert_eq!(message.contains("set WHATSAPP_MODE=bot"), message.contains("no effect"), "{message}");
            assert!(again["message"].as_str().unwrap().contains("is already "), "{again}");
            assert!(env(&home).contains("WHATSAPP_ALLOWED_USERS=15550001111"));
        }
    }

    #[test]
    fn a_number_is_taken_in_any_spelling_and_what_is_not_a_person_is_refused() {
        let (_dir, home) = home("");
        let add = |user: &str| allow(&nowhere(), &home, Platform::Whatsapp, user);
        add("+1 (555) 000-1111").unwrap();
        add("900101@lid").unwrap();
        assert_eq!(env(&home), "WHATSAPP_ALLOWED_USERS=15550001111,900101@lid\n");
        for wrong in ["", "*", "ada", "1,2", "15550001111,15550002222"] {
            let error = add(wrong).unwrap_err();
            assert_eq!(error.exit(), crate::error::ExitCode::Usage, "{wrong}");
            assert_eq!(error.code, "not_a_person", "{wrong}");
        }
        let error = add("015112345678").unwrap_err();
        assert!(error.to_string().contains("it starts with 0; use the country code"), "{error}");
        let error = add("120363000000000000@g.us").unwrap_err();
        assert!(error.hints[0].contains("WHATSAPP_GROUP_ALLOWED_USERS"), "{error:?}");
        let error = allow(&nowhere(), &home, Platform::Telegram, "-1001234567890").unwrap_err();
        assert!(error.to_string().contains("is a group or channel"), "{error}");
        assert!(error.hints[0].contains("TELEGRAM_ALLOWED_CHATS"), "{error:?}");
        let error = allow(&nowhere(), &home, Platform::Telegram, "0").unwrap_err();
        assert!(error.to_string().contains("numeric user id"), "{error}");
        assert_eq!(env(&home).lines().count(), 1);
    }

    #[test]
    fn a_list_elsewhere_is_named_with_what_changes_it() {
        let (_dir, home) = home("GATEWAY_ALLOWED_USERS=7\nTELEGRAM_ALLOWED_USERS=7,8\n");
        let world = World::of_env([("TELEGRAM_ALLOWED_USERS", "9")]);
        let error = allow(&world, &home, Platform::Telegram, "42").unwrap_err();
        assert_eq!(error.code, "env_shadowed");
        assert!(error.hints[0].contains("unset TELEGRAM_ALLOWED_USERS"), "{:?}", error.hints);
        let refused = |world: &World, user: &str, is_of_gateway| {
            let config = Config::load(world, &home).unwrap();
            let seen = Answered { is_of_gateway, ..answered(&home, &config, Platform::Telegram) };
            let error = refuse_still_allowed(&seen, Platform::Telegram, user).unwrap_err();
            assert_eq!(error.code, "still_allowed");
            error.hints[0].clone()
        };
        assert!(refused(&world, "9", false).contains("unset TELEGRAM_ALLOWED_USERS"));
        assert!(refused(&world, " 09 ", true).ends_with("stop the gateway and start it again."));
        assert!(disallow(&home, Platform::Telegram, "7").unwrap());
        assert_eq!(refused(&nowhere(), "7", false), "Remove them from GATEWAY_ALLOWED_USERS.");
        let everybody =
            World::of_env([("TELEGRAM_ALLOWED_USERS", "*"), ("TELEGRAM_ALLOW_ALL_USERS", "true")]);
        assert!(refused(&everybody, "11", false).contains("instead of `*`"));
        assert_eq!(env(&home), "GATEWAY_ALLOWED_USERS=7\nTELEGRAM_ALLOWED_USERS=8\n");
    }
}
