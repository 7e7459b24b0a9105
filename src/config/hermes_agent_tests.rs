//! The table holds: what it calls honoured has an effect, and everything else is named.

use super::*;
use crate::config::Config;
use crate::durable::write_atomic;
use crate::home::{self, HermesHome};
use crate::world::World;

fn load(env: &str) -> Config {
    let dir = tempfile::tempdir().unwrap();
    let home = HermesHome::at(dir.path());
    write_atomic(&home.env_file(), env.as_bytes()).unwrap();
    write_atomic(&home.config_file(), b"[agent]\nkind = 'openai'\n").unwrap();
    Config::load(&World::of_env([("A", "b")]), &home).unwrap()
}

#[test]
fn what_config_yaml_turns_off_stays_off_until_a_setting_of_ours_says_otherwise() {
    let of = |yaml: &str, env: &str, toml: &str| {
        let dir = tempfile::tempdir().unwrap();
        let home = HermesHome::at(dir.path());
        let env = format!("TELEGRAM_BOT_TOKEN=7000001:x\n{env}");
        write_atomic(&home.env_file(), env.as_bytes()).unwrap();
        write_atomic(&dir.path().join("config.yaml"), yaml.as_bytes()).unwrap();
        write_atomic(&home.config_file(), toml.as_bytes()).unwrap();
        let telegram = Config::load(&World::of_env([("A", "b")]), &home).unwrap().telegram;
        (telegram.enabled, telegram.is_off_in_agent)
    };
    let (on, off) = ((true, false), (false, true));
    for (yaml, expected) in [
        ("platforms: {telegram: {enabled: false}}", off),
        ("telegram: {enabled: off}", off),
        ("gateway: {platforms: {telegram: {enabled: 'false'}}}", off),
        ("telegram: {enabled: true}\nplatforms: {telegram: {enabled: false}}", on),
        ("telegram: {allow_from: [1]}\nplatforms: {telegram: {enabled: true}}", on),
        ("platforms: {whatsapp: {enabled: false}}", on),
        ("telegram: {enabled: perhaps}", on),
        ("telegram: no", on),
        ("broken: [", on),
    ] {
        assert_eq!(of(yaml, "", ""), expected, "{yaml}");
    }
    let yaml = "platforms: {telegram: {enabled: false}}";
    assert_eq!(of(yaml, "TELEGRAM_ENABLED=true\n", ""), on);
    assert_eq!(of(yaml, "", "[platforms.telegram]\nenabled = true\n"), on);
    assert_eq!(of(yaml, "TELEGRAM_ENABLED=false\n", ""), (false, false));
}

/// A value that makes a difference, and what must be set besides.
fn sample(name: &str) -> (&'static str, &'static str) {
    match name {
        "GATEWAY_ALLOWED_USERS" | "TELEGRAM_ALLOWED_USERS" | "TELEGRAM_GROUP_ALLOWED_USERS" => ("42", ""),
        "GATEWAY_ALLOW_ALL_USERS" => ("true", "GATEWAY_ALLOWED_USERS=*"),
        "TELEGRAM_ALLOW_ALL_USERS" => ("true", "TELEGRAM_ALLOWED_USERS=*"),
        "WHATSAPP_ALLOW_ALL_USERS" => ("true", "WHATSAPP_ALLOWED_USERS=*"),
        "OPENAI_API_KEY" | "API_SERVER_KEY" => ("0123456789abcdef", ""),
        "SESSION_IDLE_MINUTES" => ("30", ""),
        "SESSION_RESET_HOUR" => ("6", ""),
        "API_SERVER_ENABLED" | "TELEGRAM_REQUIRE_MENTION" | "WHATSAPP_REQUIRE_MENTION" => ("false", ""),
        "API_SERVER_HOST" => ("0.0.0.0", ""),
        "API_SERVER_PORT" => ("9000", ""),
        "WHATSAPP_ENABLED" => ("true", ""),
        "WHATSAPP_MODE" => ("bot", ""),
        "WHATSAPP_ALLOWED_USERS" => ("15550001111", ""),
        "WHATSAPP_DM_POLICY" => ("pairing", ""),
        "WHATSAPP_GROUP_POLICY" => ("allowlist", "WHATSAPP_GROUP_ALLOWED_USERS=120363000000000001@g.us"),
        "WHATSAPP_GROUP_ALLOWED_USERS" => ("120363000000000001@g.us", "WHATSAPP_GROUP_POLICY=allowlist"),
        "WHATSAPP_FREE_RESPONSE_CHATS" => ("120363000000000001@g.us", ""),
        "WHATSAPP_MENTION_PATTERNS" | "TELEGRAM_MENTION_PATTERNS" => ("^bot", ""),
        "WHATSAPP_HOME_CHANNEL" => ("15550001111", ""),
        "TELEGRAM_BOT_TOKEN" => ("7000001:not-a-real-token", ""),
        "TELEGRAM_GROUP_ALLOWED_CHATS" | "TELEGRAM_ALLOWED_CHATS" | "TELEGRAM_FREE_RESPONSE_CHATS" => {
            ("-1005", "")
        }
        "TELEGRAM_HOME_CHANNEL" => ("42", ""),
        "TELEGRAM_WEBHOOK_URL" => ("https://a.test", ""),
        "TELEGRAM_WEBHOOK_PORT" => ("9000", "TELEGRAM_WEBHOOK_URL=https://a.test"),
        "TELEGRAM_WEBHOOK_SECRET" => ("secret", "TELEGRAM_WEBHOOK_URL=https://a.test"),
        "TELEGRAM_PROXY" => ("http://127.0.0.1:3128", ""),
        other => panic!("give {other} a value that makes a difference"),
    }
}

/// Without what is merely said about it.
fn effect(config: Config) -> Config {
    Config { warnings: Vec::new(), foreign: Vec::new(), ..config }
}

#[test]
fn each_honoured_setting_has_an_effect_and_each_other_one_is_named_with_a_reason() {
    for row in ROWS {
        match row.standing {
            Standing::Honoured => {
                let (value, besides) = sample(row.name);
                let (without, with) = (load(besides), load(&format!("{besides}\n{}={value}", row.name)));
                assert_eq!(with.foreign, [], "{}", row.name);
                assert_ne!(effect(with), effect(without), "{} has no effect", row.name);
            }
            Standing::Environment => {
                let found = load(&format!("{}=/l", row.name)).foreign;
                assert_eq!(found.len(), 1, "{}", row.name);
                let of = |env: &[(&str, &str)]| home::token_locks_dir(&World::of_env(env.iter().copied()));
                assert_ne!(of(&[("HOME", "/h")]), of(&[("HOME", "/h"), (row.name, "/l")]), "{}", row.name);
            }
            Standing::NoEffect(_) | Standing::NotYet(_) => {
                let name = row.name.replace('*', "X");
                let (without, with) = (load(""), load(&format!("{name}=1")));
                let expected = Foreign { name: name.clone(), row: *row };
                assert_eq!(with.foreign, [expected], "{name}");
                assert!(row.reason().is_some_and(|reason| !reason.ends_with('.')), "{name}");
                assert_eq!(effect(with), effect(without), "{name} has an effect, and is called without one");
            }
        }
    }
}

#[test]
fn a_row_of_its_own_goes_before_the_row_of_its_family_and_none_stands_twice() {
    for (at, row) in ROWS.iter().enumerate() {
        assert!(ROWS.iter().skip(at + 1).all(|other| other.name != row.name), "{} stands twice", row.name);
    }
    assert_eq!(standing("WHATSAPP_CLOUD_APP_ID").map(|row| row.name), Some("WHATSAPP_CLOUD_*"));
    assert_eq!(
        standing("HERMES_GATEWAY_BUSY_TEXT_MODE").map(|row| row.name),
        Some("HERMES_GATEWAY_BUSY_TEXT_*")
    );
    for ours in ["TELEGRAM_ADMIN_USERS", "TELEGRAM_DM_POLICY", "HERMES_NODE", "OPENROUTER_API_KEY"] {
        assert_eq!(standing(ours), None, "{ours}");
    }
}

#[test]
fn in_the_environment_only_names_that_say_whose_they_are_count_and_an_empty_one_is_not_set() {
    let dir = tempfile::tempdir().unwrap();
    let home = HermesHome::at(dir.path());
    write_atomic(&home.env_file(), b"SLACK_BOT_TOKEN=\nEMAIL_PASSWORD=canary\n").unwrap();
    let world = World::of_env([("EMAIL_ADDRESS", "x"), ("DISCORD_BOT_TOKEN", "canary")]);
    let found = Config::load(&world, &home).unwrap().foreign;
    let names: Vec<&str> = found.iter().map(|foreign| foreign.name.as_str()).collect();
    assert_eq!(names, ["EMAIL_PASSWORD", "DISCORD_BOT_TOKEN"]);
    assert!(!format!("{found:?}").contains("canary"));
}
