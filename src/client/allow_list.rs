//! The allow list in `.env`, one person at a time: `hermes pairing allow` adds one, `hermes pairing revoke` takes one off.

use std::io;

use serde_json::{Value, json};

use crate::client::headline::shadowed_remedy;
use crate::client::request;
use crate::config::{AllowList, Config, listed_person, shadow_remedy};
use crate::durable;
use crate::env_file::{EnvFile, SetError};
use crate::error::CliError;
use crate::facts;
use crate::gateway::platforms::build;
use crate::home::HermesHome;
use crate::platforms::Platform;
use crate::visible;
use crate::world::World;

/// Adds this person. The answer is for programs, with a `message` for people.
///
/// # Errors
/// When the text names no person of this platform, or `.env` cannot be written or has no effect.
pub fn allow(world: &World, home: &HermesHome, platform: Platform, user: &str) -> Result<Value, CliError> {
    let spec = platform.spec();
    let Some(person) = listed_person(platform, user) else {
        let error =
            CliError::usage(format!("`{}` is not a {}", visible::line(user.trim()), spec.naming.person()));
        return Err(error.hint("`hermes pairing list` shows who wrote, with the command that allows them."));
    };
    let config = Config::load(world, home)?;
    let name = platform.variable("ALLOWED_USERS");
    let is_listed = match &config.access(platform).allowed {
        AllowList::Everybody => true,
        AllowList::Only(people) => people.contains(&person),
        AllowList::Nobody => false,
    };
    let shown = visible::line(&person).into_owned();
    if !is_listed {
        if config.of_process.contains_key(&name) {
            return Err(hidden(&name, shadow_remedy(&name)));
        }
        change(home, &name, |list| {
            let list = list.trim().trim_end_matches([',', ';']);
            if list.is_empty() { person.clone() } else { format!("{list},{person}") }
        })?;
        if is_hidden_from_gateway(home, &name) {
            return Err(hidden(&name, shadowed_remedy(&name)));
        }
    }
    let word = if is_listed { "is already allowed to" } else { "can now" };
    let mut message = format!("{shown} {word} write to hermes on {}.", spec.title);
    if !build::is_enabled(platform, &config) {
        message.push_str(&format!(" {} is off. {}", spec.title, facts::way_on(platform, home, &config)));
    }
    Ok(json!({ "message": message, "platform": spec.name, "user": person, "changed": !is_listed }))
}

/// Takes this person off. True when they were on the list in `.env`.
///
/// # Errors
/// When `.env` cannot be written, or another setting still allows them.
pub fn disallow(world: &World, home: &HermesHome, platform: Platform, user: &str) -> Result<bool, CliError> {
    let Some(person) = listed_person(platform, user) else { return Ok(false) };
    let config = Config::load(world, home)?;
    let is_listed = |config: &Config| match &config.access(platform).allowed {
        AllowList::Only(people) => people.contains(&person),
        AllowList::Nobody | AllowList::Everybody => false,
    };
    if !is_listed(&config) {
        return Ok(false);
    }
    let name = platform.variable("ALLOWED_USERS");
    change(home, &name, |list| {
        let others = list.split([',', ';', '\n']).map(str::trim).filter(|entry| !entry.is_empty());
        let others = others.filter(|entry| listed_person(platform, entry).as_ref() != Some(&person));
        others.collect::<Vec<_>>().join(",")
    })?;
    if is_listed(&Config::load(world, home)?) {
        let remedy = if config.of_process.contains_key(&name) {
            shadow_remedy(&name)
        } else {
            "Remove them from GATEWAY_ALLOWED_USERS.".to_owned()
        };
        let shown = visible::line(&person);
        return Err(CliError::failed(format!("{shown} is still allowed on {}", platform.spec().title))
            .code("still_allowed")
            .hint(remedy));
    }
    if is_hidden_from_gateway(home, &name) {
        return Err(hidden(&name, shadowed_remedy(&name)));
    }
    Ok(true)
}

fn hidden(name: &str, remedy: String) -> CliError {
    CliError::failed(format!("{name} in .env has no effect: the environment sets it, too"))
        .code("env_shadowed")
        .hint(remedy)
}

fn is_hidden_from_gateway(home: &HermesHome, name: &str) -> bool {
    let answer = request::request(home, "GET", "/v1/settings/shadowed", None).ok().flatten();
    let names = answer.as_ref().and_then(|answer| answer["shadowed"].as_array());
    names.is_some_and(|names| names.iter().any(|hidden| hidden == name))
}

/// Changes one setting of `.env`.
fn change(home: &HermesHome, name: &str, new: impl FnOnce(&str) -> String) -> Result<(), CliError> {
    let path = home.env_file();
    let failed = |error: io::Error| {
        CliError::file(format!("{} cannot be written", path.display()), &path, error).code("env_not_written")
    };
    durable::create_private_dir(home.root()).map_err(failed)?;
    let mut env = EnvFile::load(&path).map_err(failed)?;
    let old = env.value(name).unwrap_or_default();
    let value = new(old);
    if value == old {
        return Ok(());
    }
    env.set(name, &value).map_err(|error: SetError| {
        CliError::failed(format!("{} cannot be changed", path.display()))
            .code("env_not_written")
            .hint(format!("Set {name} there by hand."))
            .because(error)
    })?;
    env.save(&path).map_err(failed)
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
        let off = |user: &str| disallow(&nowhere(), &home, Platform::Telegram, user).unwrap();
        assert!(off("8") && off("42") && !off("42") && !off("@ada"));
        assert_eq!(env(&home), "# mine\nTELEGRAM_ALLOWED_USERS=\"7,43\" # us\n");
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
        }
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
        let error = disallow(&world, &home, Platform::Telegram, "9").unwrap_err();
        assert!(error.code == "still_allowed" && error.hints[0].contains("unset"), "{error:?}");
        let error = disallow(&nowhere(), &home, Platform::Telegram, "7").unwrap_err();
        assert!(
            error.code == "still_allowed" && error.hints[0].contains("GATEWAY_ALLOWED_USERS"),
            "{error:?}"
        );
        assert_eq!(env(&home), "GATEWAY_ALLOWED_USERS=7\nTELEGRAM_ALLOWED_USERS=8\n");
    }
}
