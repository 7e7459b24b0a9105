//! The report of a migration, item by item.

use std::path::Path;

use serde_json::json;

use super::found::{Approved, Found};
use super::outlook;
use super::plan::{Item, Outcome, Plan, plan};
use super::toml_text;
use crate::config::Config;
use crate::durable;
use crate::env_file::EnvFile;
use crate::home::HermesHome;
use crate::sensitive::Secret;
use crate::world::World;
use crate::yaml;

fn found(config: &str, env: &str) -> Found {
    Found {
        is_home: true,
        is_same_home: true,
        config: yaml::read(config).unwrap(),
        env: EnvFile::parse(env),
        own_env: EnvFile::parse(env),
        ..Found::default()
    }
}

fn env(plan: &Plan) -> Vec<String> {
    plan.env.iter().map(|(name, value)| format!("{name}={}", value.0)).collect()
}

fn toml(plan: &Plan) -> Vec<String> {
    plan.toml.iter().map(|key| format!("{} = {}", key.path(), key.value)).collect()
}

fn outcome(plan: &Plan, what: &str) -> Outcome {
    let item = plan.items.iter().find(|item| item.what == what);
    item.unwrap_or_else(|| panic!("{what} is not told: {:#?}", plan.items)).outcome
}

#[test]
fn the_blocks_of_a_platform_go_to_where_they_mean_the_same() {
    let config = "
telegram:
  require_mention: true
  allow_from: [42, '43']
  group_allow_from: [44]
  group_allowed_chats: '-1005'
  allowed_chats: [-1006, -1005]
  mention_patterns: ['^bot[,:]', 'x,y']
  free_response_chats: [-1005]
  proxy_url: http://127.0.0.1:3128
  reply_to_mode: all
  wonder: 1
platforms:
  telegram:
    allow_from: [1]
    enabled: true
    home_channel: {platform: telegram, chat_id: -1005, name: Home, thread_id: '7'}
    extra:
      base_url: http://127.0.0.1:8081/bot
      base_file_url: http://127.0.0.1:8081/file/bot
      local_mode: true
  whatsapp: {enabled: false}
  discord: {enabled: true, token: canary}
  signal: {enabled: false}
  api_server: {enabled: true, extra: {port: 9000, cors_origins: '*'}}
gateway: {platforms: {slack: {token: canary}}, streaming: {enabled: true}, platform_connect_timeout: 45}
";
    let plan = plan(&found(config, "TELEGRAM_BOT_TOKEN=7000001:a-canary-of-a-token\n"));
    let mut lines = env(&plan);
    lines.sort();
    let expected = [
        "API_SERVER_ENABLED=true",
        "API_SERVER_PORT=9000",
        "TELEGRAM_ALLOWED_CHATS=-1006,-1005",
        "TELEGRAM_ALLOWED_USERS=42,43",
        "TELEGRAM_FREE_RESPONSE_CHATS=-1005",
        "TELEGRAM_GROUP_ALLOWED_CHATS=-1005",
        "TELEGRAM_GROUP_ALLOWED_USERS=44",
        "TELEGRAM_HOME_CHANNEL=-1005:7",
        "TELEGRAM_MENTION_PATTERNS=[\"^bot[,:]\",\"x,y\"]",
        "TELEGRAM_PROXY=http://127.0.0.1:3128",
        "TELEGRAM_REQUIRE_MENTION=true",
    ];
    assert_eq!(lines, expected);
    let keys = toml(&plan);
    for key in [
        "platforms.telegram.api_base = \"http://127.0.0.1:8081\"",
        "platforms.telegram.file_base = \"http://127.0.0.1:8081/file\"",
        "platforms.whatsapp.enabled = false",
        "gateway.connect_timeout = \"45s\"",
        "session.per_user_in_groups = true",
    ] {
        assert!(keys.contains(&key.to_owned()), "{key}: {keys:?}");
    }
    for (what, expected) in [
        ("config.yaml: telegram.reply_to_mode", Outcome::NotSupported),
        ("config.yaml: telegram.wonder", Outcome::NotSupported),
        ("config.yaml: platforms.telegram.extra.local_mode", Outcome::NotSupported),
        ("config.yaml: platforms.discord", Outcome::NotSupported),
        ("config.yaml: gateway.platforms.slack", Outcome::NotSupported),
        ("config.yaml: gateway.streaming.enabled", Outcome::InUse),
        ("config.yaml: platforms.telegram.allow_from", Outcome::Stays),
        ("config.yaml: platforms.api_server.extra.cors_origins", Outcome::NotSupported),
        ("TELEGRAM_BOT_TOKEN", Outcome::InUse),
    ] {
        assert_eq!(outcome(&plan, what), expected, "{what}");
    }
    assert!(plan.items.iter().all(|item| item.what != "config.yaml: platforms.signal"));
    assert!(!format!("{:?}", plan.items).contains("canary") && !format!("{plan:?}").contains("canary"));
}

#[test]
fn what_is_set_here_stays_and_a_second_run_has_nothing_to_do() {
    let config = "TELEGRAM_ALLOWED_USERS: 42\nmodel: {default: m, base_url: http://127.0.0.1:1/v1, api_key: canary}\n\
                  platforms: {telegram: {extra: {base_url: http://a.test}}}\nsession_reset: {mode: idle, idle_minutes: 30, at_hour: 5}\n";
    let mut home = found(config, "TELEGRAM_BOT_TOKEN=7000001:x\nTELEGRAM_HOME_CHANNEL=1\n");
    let first = plan(&home);
    assert_eq!(env(&first), ["TELEGRAM_ALLOWED_USERS=42", "AGENT_API_KEY=canary"]);
    assert_eq!(outcome(&first, "config.yaml: TELEGRAM_ALLOWED_USERS"), Outcome::Taken);
    home.own_toml = toml_text::with("", &first.toml).unwrap();
    let parsed: toml::Table = home.own_toml.parse().unwrap();
    let expected: toml::Table = "platforms.telegram.api_base = 'http://a.test'\n\
        session = { reset = 'idle', idle_after = '30m', daily_at = '05:00' }\n\
        agent = { kind = 'openai', base_url = 'http://127.0.0.1:1/v1', model = 'm', api_key_env = 'AGENT_API_KEY' }\n"
        .parse()
        .unwrap();
    assert_eq!(parsed, expected);
    for (name, value) in &first.env {
        home.own_env.set(name, &value.0).unwrap();
    }
    home.env = home.own_env.clone();
    let second = plan(&home);
    assert!(second.is_empty(), "{second:?}");

    let mut home = found(config, "TELEGRAM_ALLOWED_USERS=7\n");
    home.own_toml = "[agent]\nkind = 'echo'\n[platforms.telegram]\napi_base = 'http://b.test'\n".to_owned();
    let kept = plan(&home);
    assert_eq!(outcome(&kept, "config.yaml: platforms.telegram.extra.base_url"), Outcome::Kept);
    assert_eq!(outcome(&kept, "config.yaml: model"), Outcome::Kept);
    assert!(kept.env.is_empty() && !toml(&kept).iter().any(|key| key.starts_with("agent")), "{kept:?}");
    home.own_toml = "platforms = { telegram = { rates = 'off' } }\n".to_owned();
    let odd = plan(&home);
    assert_eq!(outcome(&odd, "config.yaml: platforms.telegram.extra.base_url"), Outcome::Decision);
    assert!(odd.toml.is_empty());
}

#[test]
fn the_env_of_another_home_goes_before_the_blocks_of_a_platform() {
    let config = "telegram: {token: '7000002:b', allow_from: [9], allowed_chats: [-9], require_mention: true, \
                  proxy_url: 'http://b.test', home_channel: {chat_id: 9}}\nwhatsapp: {allow_from: [9]}\n";
    let lines = [
        "TELEGRAM_BOT_TOKEN=7000001:a",
        "TELEGRAM_ALLOWED_USERS=1,2",
        "TELEGRAM_ALLOWED_CHATS=-1",
        "TELEGRAM_REQUIRE_MENTION=false",
        "TELEGRAM_PROXY=http://a.test",
        "TELEGRAM_HOME_CHANNEL=1",
        "WHATSAPP_ALLOWED_USERS=1",
    ];
    let mut home = found(config, &lines.join("\n"));
    home.is_same_home = false;
    home.own_env = EnvFile::default();
    let plan = plan(&home);
    assert_eq!(env(&plan), lines);
    let names = ["token", "allow_from", "allowed_chats", "require_mention", "proxy_url", "home_channel"];
    for name in names.map(|name| format!("config.yaml: telegram.{name}")) {
        let item = plan.items.iter().find(|item| item.what == name).unwrap();
        assert!(item.outcome == Outcome::Stays && item.why.contains(".env goes before it"), "{item:?}");
    }
    assert_eq!(outcome(&plan, "config.yaml: whatsapp.allow_from"), Outcome::Stays);
}

#[test]
fn a_control_character_does_not_go_into_the_env() {
    let config = "telegram: {token: \"7000001:\\ea\", allow_from: \"1\\x9b2\"}\n";
    let plan = plan(&found(config, ""));
    assert!(env(&plan).iter().all(|line| !line.contains(char::is_control)), "{:?}", env(&plan));
    for name in ["token", "allow_from"] {
        assert_eq!(outcome(&plan, &format!("config.yaml: telegram.{name}")), Outcome::Decision);
    }
}

#[test]
fn a_model_is_taken_where_its_service_speaks_as_openais_does() {
    let openrouter = "OPENROUTER_API_KEY=canary\n";
    for (config, env, expected) in [
        ("model: ''", "", Ok(vec![])),
        (
            "model: {default: a/b}",
            openrouter,
            Ok(vec!["https://openrouter.ai/api/v1", "a/b", "OPENROUTER_API_KEY"]),
        ),
        ("model: a/b", openrouter, Ok(vec!["https://openrouter.ai/api/v1", "a/b", "OPENROUTER_API_KEY"])),
        ("model: a/b", "", Err(())),
        (
            "model: {default: m, provider: deepseek}",
            "DEEPSEEK_API_KEY=canary",
            Ok(vec!["https://api.deepseek.com/v1", "m", "DEEPSEEK_API_KEY"]),
        ),
        (
            "model: {default: m, provider: custom, base_url: 'http://127.0.0.1:1/v1/'}",
            openrouter,
            Ok(vec!["http://127.0.0.1:1/v1", "m"]),
        ),
        (
            "model: {default: m, provider: custom, base_url: 'http://127.0.0.1:1/v1', api_key: '${MY_KEY}'}",
            "",
            Ok(vec!["http://127.0.0.1:1/v1", "m", "MY_KEY"]),
        ),
        (
            "model: {default: m, provider: 'custom:my-box'}\ncustom_providers: [{name: My Box, base_url: 'http://b.test/v1', key_env: BOX_KEY}]",
            "",
            Ok(vec!["http://b.test/v1", "m", "BOX_KEY"]),
        ),
        ("model: {default: claude, provider: anthropic}", "ANTHROPIC_API_KEY=canary", Err(())),
        ("model: {default: m, base_url: 'http://b.test', api_mode: anthropic_messages}", "", Err(())),
        ("model: [a]", "", Err(())),
        (
            "gateway: {proxy_url: 'http://b.test:8642/'}\nmodel: a/b",
            "GATEWAY_PROXY_KEY=canary",
            Ok(vec!["http://b.test:8642/v1", "hermes-agent", "GATEWAY_PROXY_KEY"]),
        ),
    ] {
        let plan = plan(&found(config, env));
        let agent: Vec<String> = plan
            .toml
            .iter()
            .filter(|key| key.table == "agent" && key.name != "kind")
            .map(|key| key.value.as_str().unwrap_or_default().to_owned())
            .collect();
        match expected {
            Ok(values) => assert_eq!(agent, values, "{config}"),
            Err(()) => assert!(
                agent.is_empty() && outcome(&plan, "config.yaml: model") == Outcome::Decision,
                "{config}: {plan:?}"
            ),
        }
        assert!(!format!("{plan:?}").contains("canary"), "{config}");
    }
}

#[test]
fn people_are_taken_once_and_strangers_are_treated_as_before() {
    let approved = |person: &str| Approved { person: person.to_owned(), since_s: 5 };
    let mut home = found("", "TELEGRAM_BOT_TOKEN=7000001:x\n");
    home.approved.insert("telegram".to_owned(), vec![approved("77"), approved("@name")]);
    home.approved.insert("whatsapp".to_owned(), vec![approved("15550001111")]);
    home.approved.insert("discord".to_owned(), vec![approved("1")]);
    let first = plan(&home);
    let people: Vec<_> = first.people.iter().map(|one| (one.mark.as_str(), one.alt.as_deref())).collect();
    assert_eq!(
        people,
        [("telegram:77", None), ("whatsapp:15550001111@s.whatsapp.net", Some("15550001111@lid"))]
    );
    assert_eq!(outcome(&first, "1 approved person on discord"), Outcome::NotSupported);
    assert_eq!(outcome(&first, "1 of the approved on telegram"), Outcome::Decision);
    // Without a list hermes-agent gives codes.
    assert_eq!(env(&first), ["TELEGRAM_DM_POLICY=pairing"]);
    home.taken_people = first.people.iter().map(|one| one.mark.clone()).collect();
    assert!(plan(&home).people.is_empty());

    let policy = |config: &str, env: &str| {
        self::env(&plan(&found(config, &format!("TELEGRAM_BOT_TOKEN=7000001:x\n{env}"))))
    };
    assert!(policy("", "TELEGRAM_ALLOWED_USERS=42").is_empty());
    assert!(policy("unauthorized_dm_behavior: ignore", "").is_empty());
    assert_eq!(
        policy("unauthorized_dm_behavior: pair", "TELEGRAM_ALLOWED_USERS=42"),
        ["TELEGRAM_DM_POLICY=pairing"]
    );
    assert!(policy("", "TELEGRAM_DM_POLICY=disabled").is_empty());
    // In its groups hermes-agent answers everything.
    assert_eq!(policy("", "TELEGRAM_GROUP_ALLOWED_CHATS=-1005"), ["TELEGRAM_REQUIRE_MENTION=false"]);
}

#[test]
fn from_another_home_settings_and_the_session_are_copied_and_what_opens_is_for_a_person() {
    let mut home = found(
        "",
        "TELEGRAM_BOT_TOKEN=7000001:x\nTELEGRAM_ALLOWED_USERS=*\nDISCORD_BOT_TOKEN=canary\nDISCORD_ALLOWED_USERS=1\nFIRECRAWL_API_KEY=canary\n",
    );
    (home.is_same_home, home.own_env) = (false, EnvFile::default());
    home.session = Some(Path::new("/there/whatsapp/session").to_owned());
    home.jobs = vec!["greeting (every 2h)".to_owned()];
    home.profiles = vec!["work".to_owned()];
    let copied = plan(&home);
    assert_eq!(env(&copied), ["TELEGRAM_BOT_TOKEN=7000001:x", "TELEGRAM_ALLOWED_USERS=*"]);
    assert_eq!(copied.session.as_deref(), Some(Path::new("/there/whatsapp/session")));
    assert_eq!(outcome(&copied, "DISCORD_BOT_TOKEN, DISCORD_ALLOWED_USERS"), Outcome::NotSupported);
    assert_eq!(outcome(&copied, "1 job in cron/jobs.json"), Outcome::NotSupported);
    assert_eq!(outcome(&copied, "1 profile"), Outcome::Decision);
    assert_eq!(outcome(&copied, "FIRECRAWL_API_KEY"), Outcome::Stays);
    let opens = |item: &&Item| item.what == "TELEGRAM_ALLOWED_USERS" && item.outcome == Outcome::Decision;
    assert_eq!(copied.items.iter().filter(opens).count(), 1);
    home.has_own_session = true;
    assert_eq!(plan(&home).session, None);
    let shown =
        super::report::json(&copied, Path::new("/h"), Path::new("/there"), super::report::Done::Shown);
    assert_eq!((&shown["nothing_to_do"], &shown["applied"]), (&json!(false), &json!(false)));
    assert!(!shown.to_string().contains("canary") && !shown.to_string().contains("7000001"));
}

#[test]
fn keys_of_the_agent_are_named_whatever_becomes_of_them() {
    let keys = "OPENAI_API_KEY=canary\nOPENROUTER_API_KEY=canary\nHF_TOKEN=canary\nANTHROPIC_API_KEY=\n";
    let of = |config: &str, is_same_home: bool| {
        let mut home = found(config, keys);
        if !is_same_home {
            (home.is_same_home, home.own_env) = (false, EnvFile::default());
        }
        plan(&home)
    };
    let rest = |plan: &Plan, what: &str| {
        let item = plan.items.iter().find(|item| item.what == what && item.outcome == Outcome::Stays);
        item.unwrap_or_else(|| panic!("{what}: {:#?}", plan.items)).why.clone()
    };
    for is_same_home in [true, false] {
        let why = rest(&of("", is_same_home), "OPENAI_API_KEY, OPENROUTER_API_KEY, HF_TOKEN");
        assert!(why.contains("`api_key_env`") && why.contains("copy it") != is_same_home, "{why}");
    }
    let model = "model: {default: a/b, provider: openrouter}";
    let here = of(model, true);
    assert_eq!(outcome(&here, "OPENROUTER_API_KEY"), Outcome::InUse);
    rest(&here, "OPENAI_API_KEY, HF_TOKEN");
    let copied = of(model, false);
    assert_eq!(outcome(&copied, "OPENROUTER_API_KEY"), Outcome::Taken);
    assert_eq!(env(&copied), ["OPENROUTER_API_KEY=canary"]);
    rest(&copied, "OPENAI_API_KEY, HF_TOKEN");
}

#[test]
fn references_to_variables_are_resolved_and_nothing_literal_is_written() {
    let config = "
telegram: {token: '${BOT}', allow_from: ['${ME}', '${env:YOU}', 5], home_channel: {chat_id: '${ME}'}, proxy_url: 'http://${HOST}:1'}
platforms: {telegram: {enabled: '${SWITCH}', extra: {base_url: 'http://${HOST}', allowed_chats: '${NOWHERE}', mention_patterns: ['^$5']}}}
session_reset: {mode: '${MODE}', idle_minutes: '${MINUTES}'}
gateway: {platform_connect_timeout: '${EMPTY}'}
model: {default: '${MODEL}', provider: custom, base_url: 'http://${HOST}/v1', api_key: '${MY_KEY}'}
";
    let env = "BOT=7000001:a-canary-of-a-token\nME=42\nMODEL=m\nMODE=idle\nEMPTY=\nHOST=of.env\n";
    let mut home = found(config, env);
    for (name, value) in
        [("YOU", "43"), ("HOST", "of.process"), ("MINUTES", "30"), ("SWITCH", "false"), ("MY_KEY", "canary")]
    {
        home.of_process.insert(name.to_owned(), Secret(value.to_owned()));
    }
    let plan = plan(&home);
    let mut lines = self::env(&plan);
    lines.sort();
    let expected = [
        "MY_KEY=canary",
        "TELEGRAM_ALLOWED_USERS=42,43,5",
        "TELEGRAM_BOT_TOKEN=7000001:a-canary-of-a-token",
        "TELEGRAM_HOME_CHANNEL=42",
        "TELEGRAM_MENTION_PATTERNS=[\"^$5\"]",
        "TELEGRAM_PROXY=http://of.env:1",
    ];
    assert_eq!(lines, expected);
    let mut keys = toml(&plan);
    keys.sort();
    let expected = [
        "agent.api_key_env = \"MY_KEY\"",
        "agent.base_url = \"http://of.env/v1\"",
        "agent.kind = \"openai\"",
        "agent.model = \"m\"",
        "platforms.telegram.api_base = \"http://of.env\"",
        "platforms.telegram.enabled = false",
        "session.idle_after = \"30m\"",
        "session.reset = \"idle\"",
    ];
    assert_eq!(keys, expected);
    for (what, name) in [
        ("config.yaml: platforms.telegram.extra.allowed_chats", "NOWHERE"),
        ("config.yaml: gateway.platform_connect_timeout", "EMPTY"),
    ] {
        let item = plan.items.iter().find(|item| item.what == what).unwrap();
        assert!(
            item.outcome == Outcome::Decision && item.why.contains(&format!("refers to {name},")),
            "{item:?}"
        );
    }
    assert!(!format!("{:?}", plan.items).contains("canary"));
}

#[test]
fn a_reference_without_a_value_is_for_a_person_and_names_the_variable() {
    for (config, env, what) in [
        ("model: {default: m, base_url: '${GONE}'}", "", "config.yaml: model"),
        ("model: {default: '${GONE}', base_url: 'http://a.test'}", "", "config.yaml: model"),
        (
            "model: {default: m, base_url: 'http://a.test', api_key: '${GONE}'}",
            "",
            "config.yaml: model.api_key",
        ),
        (
            "model: {default: m, provider: box}\nproviders: {box: {base_url: '${GONE}'}}",
            "",
            "config.yaml: model",
        ),
        ("gateway: {proxy_url: '${GONE}'}\nmodel: m", "", "config.yaml: gateway.proxy_url"),
        ("TELEGRAM_ALLOWED_USERS: '${GONE}'", "", "config.yaml: TELEGRAM_ALLOWED_USERS"),
        ("telegram: {token: '${GONE}'}", "GONE=${OTHER}", "config.yaml: telegram.token"),
        ("whatsapp: {enabled: '${GONE}'}", "", "config.yaml: whatsapp.enabled"),
        ("api_server: {port: '${GONE}'}", "", "config.yaml: api_server.port"),
        ("require_mention: '${GONE}'", "", "config.yaml: require_mention"),
        ("streaming: {enabled: '${GONE}'}", "", "config.yaml: streaming.enabled"),
        ("display: {busy_input_mode: '${GONE}'}", "", "config.yaml: display.busy_input_mode"),
        ("agent: {system_prompt: 'Say ${GONE}'}", "", "config.yaml: agent.system_prompt"),
        ("agent: {restart_drain_timeout: '${GONE}'}", "", "config.yaml: agent.restart_drain_timeout"),
        ("group_sessions_per_user: '${GONE}'", "", "config.yaml: group_sessions_per_user"),
    ] {
        let plan = plan(&found(config, env));
        let item = plan.items.iter().find(|item| item.what == what && item.outcome == Outcome::Decision);
        let item = item.unwrap_or_else(|| panic!("{what}: {:#?}", plan.items));
        assert!(item.why.contains("refers to GONE"), "{item:?}");
        let written: Vec<String> = self::env(&plan).into_iter().chain(toml(&plan)).collect();
        assert!(written.iter().all(|line| !line.contains("${")), "{config}: {written:?}");
    }
    // The list is there, and only not known.
    let known = plan(&found("telegram: {allow_from: '${GONE}'}", "TELEGRAM_BOT_TOKEN=7000001:x\n"));
    assert!(known.env.is_empty(), "{known:?}");
    let mut copied = found("", "TELEGRAM_ALLOWED_USERS=${GONE}\n");
    (copied.is_same_home, copied.own_env) = (false, EnvFile::default());
    let copied = plan(&copied);
    assert_eq!(outcome(&copied, "TELEGRAM_ALLOWED_USERS"), Outcome::Decision);
    assert!(copied.env.is_empty(), "{copied:?}");
}

#[test]
fn every_setting_of_a_handled_section_is_named() {
    let told = |config: &str, path: &str| {
        let plan = plan(&found(config, "TELEGRAM_BOT_TOKEN=7000001:x\n"));
        let is_of = |item: &&Item| {
            item.what
                .strip_prefix("config.yaml: ")
                .is_some_and(|what| what.split(", ").any(|one| one == path))
        };
        let item =
            plan.items.iter().find(is_of).unwrap_or_else(|| panic!("{path} of {config}: {:#?}", plan.items));
        assert!(!item.why.is_empty() || item.to.is_some(), "{item:?}");
        item.outcome
    };
    for section in [
        "agent",
        "display",
        "streaming",
        "model",
        "gateway",
        "gateway.streaming",
        "gateway.session_reset",
        "session_reset",
        "telegram",
        "telegram.extra",
        "platforms.telegram",
        "platforms.telegram.extra",
        "gateway.platforms.telegram",
        "platforms.whatsapp",
        "api_server",
        "platforms",
        "gateway.platforms",
    ] {
        let parts: Vec<&str> = section.split('.').collect();
        let known = if section == "model" { "default: m, base_url: 'http://a.test', " } else { "" };
        let inner = format!("{{{known}wonder: 5, miracle: [x]}}");
        let config = parts.iter().rev().fold(inner, |inner, part| format!("{{{part}: {inner}}}"));
        for name in ["wonder", "miracle"] {
            assert_eq!(told(&config, &format!("{section}.{name}")), Outcome::NotSupported, "{config}");
        }
    }
    for (config, path, expected) in [
        ("telegram: 5", "telegram", Outcome::NotSupported),
        ("platforms: {discord: yes}", "platforms.discord", Outcome::NotSupported),
        ("unauthorized_dm_behavior: ignore", "unauthorized_dm_behavior", Outcome::InUse),
        (
            "whatsapp: {unauthorized_dm_behavior: pair}",
            "whatsapp.unauthorized_dm_behavior",
            Outcome::NotSupported,
        ),
        ("require_mention: true", "require_mention", Outcome::Taken),
        ("group_sessions_per_user: perhaps", "group_sessions_per_user", Outcome::Decision),
        ("session_reset: {idle_minutes: many}", "session_reset.idle_minutes", Outcome::Decision),
        ("session_reset: daily", "session_reset", Outcome::Decision),
        ("display: {busy_input_mode: wait}", "display.busy_input_mode", Outcome::Decision),
        ("agent: {gateway_timeout: 5}", "agent.gateway_timeout", Outcome::NotSupported),
        ("agent: {restart_drain_timeout: 9000}", "agent.restart_drain_timeout", Outcome::Decision),
        ("agent: {system_prompt: Be brief.}", "agent.system_prompt", Outcome::Decision),
        ("model: {temperature: 1}", "model", Outcome::Stays),
        (
            "model: {default: m, base_url: 'http://a.test', context_length: 5}",
            "model.context_length",
            Outcome::Decision,
        ),
        ("gateway: {proxy_url: nowhere}", "gateway.proxy_url", Outcome::Decision),
        (
            "gateway: {session_reset: {mode: idle}}\nsession_reset: {mode: daily}",
            "gateway.session_reset",
            Outcome::Stays,
        ),
        ("streaming: {enabled: true, mode: off}", "streaming.mode", Outcome::Stays),
        ("streaming: {edit_interval: 1}", "streaming.edit_interval", Outcome::Stays),
    ] {
        assert_eq!(told(config, path), expected, "{config}");
    }
    let mut older = found("", "");
    older.older = yaml::read("{platforms: {telegram: {wonder: 1}}, wonder: 1}").unwrap();
    assert_eq!(outcome(&plan(&older), "gateway.json: wonder"), Outcome::NotSupported);
}

#[test]
fn settings_of_the_gateway_are_taken_from_the_sections_around_it() {
    let take = |config: &str| {
        let plan = plan(&found(config, ""));
        env(&plan).into_iter().chain(toml(&plan)).collect::<Vec<_>>()
    };
    let off = "platforms.telegram.stream_every = \"off\"";
    assert_eq!(take("streaming: {enabled: false}"), [off]);
    assert_eq!(take("gateway: {streaming: {transport: off}}"), [off]);
    assert_eq!(
        take("streaming: {mode: edit, edit_interval: 0.8}"),
        ["platforms.telegram.stream_every = \"800ms\""]
    );
    assert_eq!(take("streaming: {enabled: true}"), [""; 0]);
    let model = "model: {default: m, base_url: 'http://a.test'}";
    let prompt = "agent.system_prompt = \"Be brief.\"".to_owned();
    assert!(take(&format!("{model}\nagent: {{system_prompt: 'Be brief. '}}")).contains(&prompt));
    assert_eq!(take("platforms: {telegram: {enabled: 'off'}}"), ["platforms.telegram.enabled = false"]);

    let all = plan(&found("gateway: {allow_all_users: true}", ""));
    assert_eq!(env(&all), ["GATEWAY_ALLOW_ALL_USERS=true"]);
    let opens = |plan: &Plan, what: &str| {
        plan.items.iter().any(|item| {
            item.what == what && item.outcome == Outcome::Decision && item.why.contains("everyone")
        })
    };
    assert!(opens(&all, "config.yaml: gateway.allow_all_users"), "{all:?}");
    assert!(opens(&plan(&found("telegram: {allow_from: ['*']}", "")), "config.yaml: telegram.allow_from"));
}

#[test]
fn a_switch_of_config_yaml_counts_as_in_hermes_agent() {
    let here = |config: &str, env: &str| plan(&found(config, env));
    // A token does not go before it, and WHATSAPP_ENABLED does.
    let telegram = here("telegram: {enabled: false}", "TELEGRAM_BOT_TOKEN=7000001:x\n");
    assert_eq!(outcome(&telegram, "config.yaml: telegram.enabled"), Outcome::Taken);
    let chosen = here("telegram: {enabled: false}", "TELEGRAM_BOT_TOKEN=7000001:x\nTELEGRAM_ENABLED=true\n");
    assert_eq!(outcome(&chosen, "config.yaml: telegram.enabled"), Outcome::Kept);
    let whatsapp = here("whatsapp: {enabled: false}", "WHATSAPP_ENABLED=true\n");
    assert_eq!(outcome(&whatsapp, "config.yaml: whatsapp.enabled"), Outcome::Stays);
    assert!(chosen.toml.is_empty() && whatsapp.toml.is_empty(), "{chosen:?} {whatsapp:?}");
}

#[test]
fn at_the_start_the_settings_of_hermes_agent_are_one_short_line() {
    let dir = tempfile::tempdir().unwrap();
    let keys = (0..3).map(|at| format!("  a_setting_with_a_long_name_{at}: 5\n")).collect::<String>();
    let config = format!("display:\n{keys}agent:\n{keys}");
    durable::write_atomic(&dir.path().join("config.yaml"), config.as_bytes()).unwrap();
    let (world, home) = (World::of_env::<&str, &str>([]), HermesHome::at(dir.path()));
    let config = Config::load(&world, &home).unwrap();
    assert_eq!(
        outlook::at_start(&world, &home, &config).unwrap(),
        "hermes-agent's settings: 6 without effect here. `hermes migrate` shows which and why, and what it can take over"
    );
    let named = outlook::outlook(&world, &home, &config).unwrap().message;
    assert!(named.contains("a_setting_with_a_long_name_0"), "doctor names them: {named}");
}
