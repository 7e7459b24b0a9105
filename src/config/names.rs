//! Pure. Names of settings that no one reads: which they are, and which known name each was meant for.

use std::collections::BTreeSet;

use super::file;
use super::hermes_agent::{ROWS, Standing, standing};
use crate::setting::{Keys, Settings};

/// The table of `gateway.toml` for the names that begin so. Of a name that begins so hermes is the only reader.
const FAMILIES: [(&str, &str); 6] = [
    ("TELEGRAM_", "platforms.telegram"),
    ("WHATSAPP_", "platforms.whatsapp"),
    ("GATEWAY_", "gateway"),
    ("API_SERVER_", "gateway.http"),
    ("AGENT_", "agent"),
    ("HERMES_", ""),
];

/// Families that a hermes-agent in the same home uses, too.
const SHARED: [&str; 2] = ["AGENT_", "HERMES_"];

/// Settings that count only in the environment of the process.
const OF_ENVIRONMENT: [&str; 13] = [
    "HERMES_HOME",
    "TZ",
    "HTTPS_PROXY",
    "HTTP_PROXY",
    "NO_PROXY",
    "ALL_PROXY",
    "https_proxy",
    "http_proxy",
    "no_proxy",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "NODE_EXTRA_CA_CERTS",
    "NO_COLOR",
];

/// Names that are told of; a file of another program may have any number.
const TOLD_MAX: usize = 20;

/// A name this much like another was meant to be that one: of a name of ours, and of any other.
const ALIKE: f64 = 0.75;
const SURELY_ALIKE: f64 = 0.85;

/// The key that was meant by an unknown one: a similar one in its table, the same one in another, or a similar one there.
pub(super) fn meant_key(path: &str, tables: &Keys) -> Option<String> {
    let (table, key) = path.rsplit_once('.').unwrap_or(("", path));
    let joined =
        |table: &str, key: &str| if table.is_empty() { key.to_owned() } else { format!("{table}.{key}") };
    let near_in = |table: &str, alike| {
        let near = nearest(key, tables.get(table)?.iter().copied(), alike)?;
        Some(joined(table, near))
    };
    if let Some(near) = near_in(table, ALIKE) {
        return Some(near);
    }
    let same = tables.iter().filter(|(_, keys)| keys.contains(&key)).map(|(name, _)| joined(name, key));
    let mut found: Vec<String> = same.collect();
    if found.is_empty() {
        found = tables.keys().filter_map(|name| near_in(name, SURELY_ALIKE)).collect();
    }
    // Of several none is more likely than the others.
    if found.len() == 1 { found.pop() } else { None }
}

/// The name that is most like this one: in its letters, or since all words of this one, cut or not, are in it.
fn nearest<'a>(name: &str, known: impl Iterator<Item = &'a str>, alike: f64) -> Option<&'a str> {
    let name = name.to_ascii_lowercase();
    let rank = |known: &'a str| {
        let lower = known.to_ascii_lowercase();
        let has_word = |word: &str| lower.split('_').any(|of_known| of_known.starts_with(word));
        // A setting that opens to everyone is named only to a person who has nearly written it.
        let has_words = !lower.contains("allow_all") && name.split('_').all(has_word);
        let letters = strsim::normalized_damerau_levenshtein(&name, &lower);
        (letters >= alike || has_words).then_some((known, letters))
    };
    known.filter_map(rank).max_by(|one, other| one.1.total_cmp(&other.1)).map(|(known, _)| known)
}

/// A warning for each name in `.env`, and for each in the environment that is surely misspelt, that no one reads. After all
/// settings were read.
pub(super) fn warnings(settings: &Settings<'_>) -> Vec<String> {
    let asked = settings.asked.borrow();
    let is_set = |name: &str| settings.world.var(name).is_some() || settings.env.value(name).is_some();
    let honoured = ROWS.iter().filter(|row| row.standing == Standing::Honoured).map(|row| row.name);
    let known: BTreeSet<&str> = asked
        .iter()
        .map(String::as_str)
        .filter(|name| !name.starts_with("SCRIPTED"))
        .chain(honoured)
        .filter(|name| !is_set(name))
        .collect();
    let is_unread = |name: &&str| !asked.contains(*name) && standing(name).is_none();
    let of_file =
        settings.env.names().into_iter().filter(is_unread).filter(|name| settings.in_file(name).is_some());
    let told = of_file.filter_map(|name| {
        if OF_ENVIRONMENT.contains(&name) {
            let is_same = settings.world.var(name) == settings.in_file(name);
            return (!is_same).then(|| {
                format!("{name} in .env has no effect: set it in the environment that hermes is started with")
            });
        }
        let family = FAMILIES.iter().find(|(prefix, _)| name.starts_with(prefix));
        let is_ours = family.is_some_and(|(prefix, _)| !(settings.has_agent && SHARED.contains(prefix)));
        let alike = if is_ours { ALIKE } else { SURELY_ALIKE };
        let meant = match family.and_then(|family| in_toml(name, *family)) {
            Some(meant) => Some(meant),
            None => nearest_setting(name, &known, alike, is_ours).map(|near| format!("did you mean {near}?")),
        };
        match (meant, is_ours) {
            (Some(meant), _) => Some(format!("{name} in .env is not a known setting; {meant}")),
            (None, true) => Some(format!("{name} in .env is not a known setting, and has no effect")),
            (None, false) => None,
        }
    });
    let of_process = settings.world.vars().filter_map(|(name, value)| {
        let name = name.to_str().filter(|name| !value.is_empty() && is_unread(name))?;
        let is_ours = FAMILIES.iter().any(|(prefix, _)| name.starts_with(prefix) && !SHARED.contains(prefix));
        let near = is_ours.then(|| nearest_setting(name, &known, SURELY_ALIKE, false)).flatten()?;
        Some(format!("{name} in the environment is not a known setting; did you mean {near}?"))
    });
    told.chain(of_process).take(TOLD_MAX).collect()
}

/// The setting that is most like this name. `by_words`: also one that has all of its words.
fn nearest_setting<'a>(name: &str, known: &BTreeSet<&'a str>, alike: f64, by_words: bool) -> Option<&'a str> {
    let near = nearest(name, known.iter().copied(), alike)?;
    let is_alike =
        strsim::normalized_damerau_levenshtein(&name.to_ascii_lowercase(), &near.to_ascii_lowercase())
            >= alike;
    (by_words || is_alike).then_some(near)
}

/// The step where the name is that of a key of `gateway.toml`.
fn in_toml(name: &str, (prefix, table): (&str, &str)) -> Option<String> {
    let key = name.strip_prefix(prefix)?.to_ascii_lowercase();
    let tables = file::tables();
    let keys = tables.get(table).filter(|_| !table.is_empty())?;
    keys.contains(&key.as_str()).then(|| format!("set `{key}` under [{table}] in gateway.toml"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::env_file::EnvFile;
    use crate::world::World;

    fn told(env: &str, process: &[(&str, &str)], has_agent: bool) -> Vec<String> {
        let (world, env) = (World::of_env(process.iter().copied()), EnvFile::parse(env));
        let settings = Settings { has_agent, ..Settings::new(&world, &env) };
        super::super::Config::of("", &settings).unwrap().warnings
    }

    #[test]
    fn a_misspelt_name_in_env_is_told_with_the_one_that_was_meant() {
        for (name, meant) in [
            ("TELEGRAM_BOTTOKEN", Some("TELEGRAM_BOT_TOKEN")),
            ("TELEGRAM_TOKEN", Some("TELEGRAM_BOT_TOKEN")),
            ("telegram_bot_token", Some("TELEGRAM_BOT_TOKEN")),
            ("TELEGRM_BOT_TOKEN", Some("TELEGRAM_BOT_TOKEN")),
            ("TELEGRAM_ALLOW_USERS", Some("TELEGRAM_ALLOWED_USERS")),
            ("TELEGRAM_ALLOWED", Some("TELEGRAM_ALLOWED_USERS")),
            ("TELEGRAM_ALLOW", Some("TELEGRAM_ALLOWED_USERS")),
            ("TELEGRAM_ALLOW_ALL", Some("TELEGRAM_ALLOW_ALL_USERS")),
            ("WHATSAPP_ENABLE", Some("WHATSAPP_ENABLED")),
            ("WHATSAPP_ALOWED_USERS", Some("WHATSAPP_ALLOWED_USERS")),
            ("API_SERVER_KEYS", Some("API_SERVER_KEY")),
            ("HERMES_NOD", Some("HERMES_NODE")),
            ("TELEGRAM_API_BASE", Some("`api_base` under [platforms.telegram]")),
            ("AGENT_MODEL", Some("`model` under [agent]")),
            ("TELEGRAM_COLOUR", None),
            ("HERMES_YOLO_MODE", None),
        ] {
            let warnings = told(&format!("{name}=x\n"), &[], false);
            let [warning] = &warnings[..] else { panic!("{name}: {warnings:?}") };
            assert!(warning.starts_with(&format!("{name} in .env is not a known setting")), "{warning}");
            match meant {
                Some(meant) => assert!(warning.contains(meant), "{warning}"),
                None => assert!(warning.ends_with("has no effect"), "{warning}"),
            }
        }
    }

    #[test]
    fn names_of_other_programs_and_of_a_hermes_agent_in_the_same_home_are_left_alone() {
        for (env, process) in [
            ("OPENROUTER_API_KEY=x\nPATH=/x\nMY_TOKEN=x\nTERMINAL_ENV=local\n", &[][..]),
            ("TELEGRAM_BOT_TOKEN=1:x\nTELEGRAM_ALLOWED_USERS=1\nTELEGRAM_BOTTOKEN=\n", &[]),
            ("TELEGRAM_REACTIONS=true\nDISCORD_BOT_TOKEN=x\n", &[]),
            ("", &[("HERMES_SOMETHING", "x"), ("TELEGRAM_COLOUR", "x"), ("AGENT_NAME", "x")]),
        ] {
            assert_eq!(told(env, process, false), Vec::<String>::new(), "{env}");
        }
        assert_eq!(told("HERMES_MAX_ITERATIONS=9\nAGENT_BROWSER=x\n", &[], true), Vec::<String>::new());
        assert_eq!(told("HERMES_NOD=/n\n", &[], true).len(), 1);
        let old = told(
            "TELEGRAM_BOT_TOKEN=1:x\nTELEGRAM_ALLOWED_USERS=1\nTELEGRAM_BOT_TOKEN_OLD=2:x\n",
            &[],
            false,
        );
        assert_eq!(old, ["TELEGRAM_BOT_TOKEN_OLD in .env is not a known setting, and has no effect"]);
    }

    #[test]
    fn a_misspelt_name_in_the_environment_and_one_of_the_environment_in_env_are_told() {
        let process = told("", &[("TELEGRAM_BOTTOKEN", "x")], false);
        assert_eq!(
            process,
            ["TELEGRAM_BOTTOKEN in the environment is not a known setting; did you mean TELEGRAM_BOT_TOKEN?"]
        );
        let proxy = |process: &[(&str, &str)]| told("HTTPS_PROXY=http://user:canary@p\n", process, false);
        assert_eq!(
            proxy(&[]),
            ["HTTPS_PROXY in .env has no effect: set it in the environment that hermes is started with"]
        );
        assert_eq!(proxy(&[("HTTPS_PROXY", "http://user:canary@p")]), Vec::<String>::new());
    }

    #[test]
    fn every_variable_of_the_settings_page_is_known() {
        let page = include_str!("../../docs/settings.md");
        let (_, page) = page.split_once("## .env").unwrap();
        let (page, _) = page.split_once("## Environment only").unwrap();
        let names = page.lines().filter(|line| line.starts_with("| `")).flat_map(|line| {
            let first = line.split('|').nth(1).unwrap_or_default();
            first.split('`').skip(1).step_by(2).collect::<Vec<_>>()
        });
        let mut count = 0;
        for name in names {
            for platform in ["TELEGRAM", "WHATSAPP"] {
                // Where Telegram has a setting that WhatsApp has not, the page says so.
                let name = name.replace("<PLATFORM>", platform);
                let is_of_other = name.starts_with("WHATSAPP") && name.ends_with("ALLOWED_CHATS");
                let warnings = told(&format!("{name}=x\n"), &[], false);
                let is_unknown = warnings.iter().any(|warning| warning.contains("not a known setting"));
                assert_eq!(is_unknown, is_of_other, "{name}: {warnings:?}");
                count += 1;
            }
        }
        assert!(count > 50, "{count}");
    }

    #[test]
    fn an_unknown_key_is_told_with_the_one_that_was_meant() {
        let tables = file::tables();
        for (path, meant) in [
            ("gatway", Some("gateway")),
            ("gateway.reconect", Some("gateway.reconnect")),
            ("gateway.reconnect.frist", Some("gateway.reconnect.first")),
            ("platform", Some("platforms")),
            ("telegram", Some("platforms.telegram")),
            ("model", Some("agent.model")),
            ("gateway.base_url", Some("agent.base_url")),
            ("agent.api_key", Some("agent.api_key_env")),
            ("agent.modle", Some("agent.model")),
            ("platforms.whatsapp.bridge.probes_ms", Some("platforms.whatsapp.bridge.probe_ms")),
            ("platforms.telegram.webhook.adress", None),
            ("enabled", None),
            ("colour", None),
            ("a.b.c", None),
        ] {
            assert_eq!(meant_key(path, &tables).as_deref(), meant, "{path}");
        }
    }

    #[test]
    fn the_settings_page_has_a_row_for_every_key() {
        let page = include_str!("../../docs/settings.md");
        let rows = page.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next());
        let rows: BTreeSet<String> = rows.filter(|path| path.contains('.')).map(str::to_owned).collect();
        let tables = file::tables();
        let paths =
            tables.iter().flat_map(|(table, keys)| keys.iter().map(move |key| format!("{table}.{key}")));
        let is_table = |path: &String| tables.contains_key(path.trim_start_matches('.'));
        let known: BTreeSet<String> = paths.filter(|path| !is_table(path)).collect();
        assert_eq!(rows, known);
        assert!(rows.len() > 60, "{}", rows.len());
    }
}
