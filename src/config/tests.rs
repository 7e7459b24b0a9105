use super::*;

const EXAMPLE: &str = include_str!("../../assets/gateway.example.toml");

fn load(toml: &str, env: &str, process: &[(&str, &str)]) -> Result<Config, CliError> {
    let world = World::of_env(process.iter().copied());
    Config::of(toml, &Settings::new(&world, &EnvFile::parse(env)))
}

#[test]
fn the_example_is_the_defaults_and_so_is_nothing_at_all() {
    assert_eq!(load(EXAMPLE, "", &[]).unwrap(), Config::default());
    assert_eq!(load("", "", &[]).unwrap(), Config::default());
}

#[test]
fn the_examples_settings_behind_a_comment_sign_can_be_used_as_they_stand() {
    let is_setting = |line: &&str| !line.starts_with("# ") && *line != "#";
    let text: Vec<&str> =
        EXAMPLE.lines().filter(is_setting).map(|line| line.strip_prefix('#').unwrap_or(line)).collect();
    let text = text.join("\n").replace("kind = \"echo\"\n", "");
    let config = load(&text, "", &[]).unwrap();
    assert_eq!(config.warnings, Vec::<String>::new());
    let AgentConfig::Openai(openai) = config.agent else { panic!("not openai") };
    assert_eq!(openai.context_tokens, Some(32768));
    let rest = OpenaiConfig { system_prompt: None, api_key_named: false, context_tokens: None, ..openai };
    assert_eq!(rest, OpenaiConfig::default());
    assert!(config.whatsapp.web_socket_url.is_some());
    assert_eq!(config.whatsapp.bridge_limits.len(), crate::platforms::whatsapp::BRIDGE_LIMITS.len());
}

#[test]
fn the_process_wins_over_env_and_empty_is_not_set() {
    let toml = "agent.kind = 'openai'\nagent.api_key_env = 'MY_KEY'\n";
    let key = |env: &str, process: &[(&str, &str)]| {
        let AgentConfig::Openai(openai) = load(toml, env, process).unwrap().agent else { panic!() };
        openai.api_key.map(|key| key.0)
    };
    assert_eq!(key("", &[]), None);
    assert_eq!(key("MY_KEY=", &[("MY_KEY", "")]), None);
    assert_eq!(key("MY_KEY=file", &[]).as_deref(), Some("file"));
    assert_eq!(key("MY_KEY=file", &[("MY_KEY", "")]).as_deref(), Some("file"));
    assert_eq!(key("MY_KEY=file", &[("MY_KEY", "process")]).as_deref(), Some("process"));
    let config = load(toml, "MY_KEY=canary", &[]).unwrap();
    assert!(!format!("{config:?}").contains("canary"));
    assert_eq!(config.secrets(), [Secret("canary".into())]);
}

#[test]
fn quotes_around_a_value_are_taken_off_wherever_it_is_set() {
    let key = |env: &str, process: &[(&str, &str)]| load("", env, process).unwrap().gateway.http.key;
    let expected = Some(Secret("0123456789abcdef".into()));
    for text in ["0123456789abcdef", "\"0123456789abcdef\"", "'0123456789abcdef'", " '\"0123456789abcdef\"' "]
    {
        assert_eq!(key("", &[("API_SERVER_KEY", text)]), expected, "{text}");
        assert_eq!(key(&format!("API_SERVER_KEY={text}"), &[]), expected, "{text}");
    }
    let toml = "agent.kind = 'openai'\n";
    let AgentConfig::Openai(openai) = load(toml, "", &[("OPENAI_API_KEY", "'abc'")]).unwrap().agent else {
        panic!()
    };
    assert_eq!(openai.api_key, Some(Secret("abc".into())));
}

#[test]
fn what_the_environment_hides_in_dot_env_is_told_by_name() {
    let process = [("TELEGRAM_BOT_TOKEN", "1:canary"), ("WHATSAPP_MODE", "'bot'"), ("API_SERVER_PORT", "1")];
    let env = "TELEGRAM_BOT_TOKEN=2:other\nWHATSAPP_MODE=bot\nWHATSAPP_ENABLED=true\nAPI_SERVER_PORT=\n";
    let config = load("", env, &process).unwrap();
    let notices: Vec<String> = config.notices().collect();
    let [warning] = &notices[..] else { panic!("{notices:?}") };
    assert!(warning.starts_with("TELEGRAM_BOT_TOKEN in .env has no effect") && !warning.contains("canary"));
    assert!(config.origin("TELEGRAM_BOT_TOKEN").unwrap().contains("unset TELEGRAM_BOT_TOKEN"));
    assert!(config.origin("WHATSAPP_MODE").is_some() && config.origin("WHATSAPP_ENABLED").is_none());
}

#[test]
fn a_tilde_in_a_path_is_the_users_home() {
    let toml = "agent.kind = 'command'\nagent.command = ['python3', '~/agent.py', 'a~b']\n\
                [gateway]\nnotify_command = ['~/bin/notify', '~']\n";
    let config = load(toml, "HERMES_NODE='~/node'", &[("HOME", "/h")]).unwrap();
    let AgentConfig::Command(command) = config.agent else { panic!() };
    assert_eq!(command.command, ["python3", "/h/agent.py", "a~b"]);
    assert_eq!(config.gateway.notify_command.unwrap(), ["/h/bin/notify", "/h"]);
    assert_eq!(config.whatsapp.node.unwrap(), Path::new("/h/node"));
}

#[test]
fn a_home_channel_without_a_country_code_is_refused_and_its_digits_are_not_told() {
    for (chat, why) in
        [("0151 12345678", "use the country code"), ("12345", "too short"), ("alice", "like +1")]
    {
        let config = load("", &format!("WHATSAPP_HOME_CHANNEL='{chat}'"), &[]).unwrap();
        assert_eq!(config.platform(Platform::Whatsapp).home_channel, None, "{chat}");
        let [warning] = &config.warnings[..] else { panic!("{:?}", config.warnings) };
        assert!(warning.starts_with("WHATSAPP_HOME_CHANNEL: ignored") && warning.contains(why), "{warning}");
        assert!(!warning.contains(chat) && !warning.contains("1234"), "{warning}");
    }
    let telegram = load("", "TELEGRAM_HOME_CHANNEL=12345", &[]).unwrap();
    assert_eq!(telegram.platform(Platform::Telegram).home_channel.as_deref(), Some("12345"));
}

#[test]
fn a_home_channel_is_a_setting_of_its_platform() {
    let config = load("", "WHATSAPP_HOME_CHANNEL= 15550001111 ", &[]).unwrap();
    let channel = |config: &Config| config.platform(Platform::Whatsapp).home_channel.clone();
    assert_eq!(channel(&config).as_deref(), Some("15550001111"));
    assert_eq!(channel(&load("", "WHATSAPP_HOME_CHANNEL=", &[]).unwrap()), None);
    for chat in ["120363000000000000@g.us", "900100@lid", "+1 555 000 1111"] {
        let config = load("", &format!("WHATSAPP_HOME_CHANNEL='{chat}'"), &[]).unwrap();
        assert_eq!((channel(&config).as_deref(), config.warnings.len()), (Some(chat), 0));
    }
}

#[test]
fn scripted_platforms_are_of_the_process_only() {
    let names = |env: &str, process: &[(&str, &str)]| {
        let scripted = load("", env, process).unwrap().scripted;
        scripted.iter().flat_map(ScriptedConfig::platforms).map(|one| one.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(names("", &[("HERMES_SCRIPTED", "2@/tmp/stage")]), ["scripted1", "scripted2"]);
    assert_eq!(names("HERMES_SCRIPTED=2@/tmp/stage", &[]), Vec::<String>::new());
    assert_eq!(names("", &[("HERMES_SCRIPTED", "stage")]), Vec::<String>::new());
}

#[test]
fn loading_tells_which_file_is_broken_and_a_missing_one_is_fine() {
    let dir = tempfile::tempdir().unwrap();
    let home = HermesHome::at(dir.path());
    let world = World::of_env([("A", "b")]);
    assert_eq!(Config::load(&world, &home).unwrap(), Config::default());
    crate::durable::write_atomic(&home.env_file(), b"WHATSAPP_ENABLED=true\noops\n").unwrap();
    let config = Config::load(&world, &home).unwrap();
    assert!(config.whatsapp.enabled);
    assert_eq!(config.warnings, [".env: line 2 is not NAME=value"]);
    crate::durable::write_atomic(&home.config_file(), b"[gateway]\nconnect_timeout = 5\n").unwrap();
    let error = Config::load(&world, &home).unwrap_err();
    assert_eq!(error.exit(), crate::error::ExitCode::Config);
    assert!(error.hints[0].contains("gateway.toml"));
}

#[test]
fn a_zone_in_env_is_told_to_have_no_effect() {
    let warnings = |process: &[(&str, &str)]| load("", "TZ=Asia/Tokyo", process).unwrap().warnings;
    assert!(warnings(&[])[0].starts_with("TZ in .env has no effect"), "{:?}", warnings(&[]));
    assert_eq!(warnings(&[("TZ", "Asia/Tokyo")]), Vec::<String>::new());
}

#[test]
fn rates_are_kept_to_unless_they_are_off() {
    let of = |text: &str, platform| load(text, "", &[]).unwrap().platform(platform).clone();
    assert!(of("[platforms.whatsapp]\nrates = \"on\"\n", Platform::Whatsapp).is_paced);
    assert!(!of("[platforms.telegram]\nrates = \"off\"\n", Platform::Telegram).is_paced);
    assert!(of("[platforms.telegram]\nrates = \"off\"\n", Platform::Whatsapp).is_paced);
    let played = load("[platforms.scripted]\nrates = \"off\"\n", "", &[]).unwrap();
    assert_eq!(played.platforms.values().filter(|platform| !platform.is_paced).count(), 9);
    let every = |text: &str| {
        of(&format!("[platforms.telegram]\nstream_every = \"{text}\"\n"), Platform::Telegram).stream_every
    };
    assert_eq!(of("", Platform::Telegram).stream_every, Some(Duration::from_secs(2)));
    assert_eq!(every("500ms"), Some(Duration::from_millis(500)));
    assert_eq!(every("off"), None);
    assert_eq!(load("[platforms.whatsapp]\nstream_every = '2s'\n", "", &[]).unwrap().warnings.len(), 1);
}

#[test]
fn a_key_of_another_name_than_its_field_sets_that_field() {
    let toml = "[gateway]\nturns_max = 7\nturn_timeout = '5m'\nchat_turns_per_minute = 9\nnotify_command = []\n\
                [platforms.whatsapp]\nenabled = false\n";
    let config = load(toml, "WHATSAPP_ENABLED=true", &[]).unwrap();
    let turn = config.gateway.turn;
    assert_eq!((turn.at_once_max, turn.timeout, turn.per_minute_max), (7, Duration::from_secs(300), 9));
    assert_eq!(config.gateway.notify_command, None);
    assert!(config.platform(Platform::Whatsapp).is_turned_off() && !config.whatsapp.enabled);
}
