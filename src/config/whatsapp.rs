//! Pure. WhatsApp's settings, by the names that hermes-agent gives them.

use super::file::WhatsAppTable;
use super::{AllowList, Settings, WhatsAppConfig, WhatsAppMode};
use crate::phone;

/// The settings by name, and what `gateway.toml` adds.
pub(super) fn merge(
    table: WhatsAppTable,
    settings: &Settings<'_>,
    warnings: &mut Vec<String>,
) -> WhatsAppConfig {
    let enabled = settings.switch("WHATSAPP_ENABLED", warnings);
    if table.enabled == Some(true) && enabled.is_none() {
        warnings.push(
            "gateway.toml: `platforms.whatsapp.enabled` switches WhatsApp off, not on; `hermes whatsapp` enables it"
                .to_owned(),
        );
    }
    let (allowed, allowed_rejects) = allow_list(settings, warnings);
    WhatsAppConfig {
        enabled: enabled == Some(true) && table.enabled != Some(false),
        mode: mode(settings, warnings),
        allowed,
        allowed_rejects,
        allowed_groups: groups(settings, warnings),
        admins: admins(settings, warnings),
        web_socket_url: table.web_socket_url,
        version: version(settings, warnings),
        node: settings.value("HERMES_NODE").map(Into::into),
        bridge_limits: table.bridge_limits,
    }
}

fn mode(settings: &Settings<'_>, warnings: &mut Vec<String>) -> Option<WhatsAppMode> {
    match settings.value("WHATSAPP_MODE")?.to_ascii_lowercase().as_str() {
        "bot" => Some(WhatsAppMode::Bot),
        "self-chat" => Some(WhatsAppMode::SelfChat),
        _ => {
            warnings.push("WHATSAPP_MODE is neither bot nor self-chat, and is ignored".to_owned());
            None
        }
    }
}

const LISTS: [&str; 2] = ["WHATSAPP_ALLOWED_USERS", "GATEWAY_ALLOWED_USERS"];
const ALLOW_ALL: [&str; 2] = ["WHATSAPP_ALLOW_ALL_USERS", "GATEWAY_ALLOW_ALL_USERS"];

fn allow_list(settings: &Settings<'_>, warnings: &mut Vec<String>) -> (AllowList, Vec<String>) {
    let mut numbers: Vec<String> = Vec::new();
    let mut rejects = Vec::new();
    let mut star = None;
    for name in LISTS {
        let Some(text) = settings.value(name) else { continue };
        let (found, unusable) = phone::list(text);
        for number in found {
            if !numbers.contains(&number) {
                numbers.push(number);
            }
        }
        for entry in unusable {
            if entry == "*" {
                star = star.or(Some(name));
            } else if name == "WHATSAPP_ALLOWED_USERS" {
                // The list for all platforms holds other platforms' names as well; they are no mistake.
                rejects.push(entry);
            }
        }
    }
    let said_again =
        ALLOW_ALL.into_iter().filter(|name| settings.switch(name, warnings) == Some(true)).count() > 0;
    match (star, said_again) {
        (Some(_), true) => return (AllowList::Everybody, rejects),
        (Some(name), false) => warnings.push(format!(
            "{name} holds `*`, which counts only together with WHATSAPP_ALLOW_ALL_USERS=true, and is ignored"
        )),
        (None, true) => warnings.push(
            "everybody is allowed on WhatsApp only when WHATSAPP_ALLOWED_USERS says `*` as well; the list stays as it is"
                .to_owned(),
        ),
        (None, false) => {}
    }
    if numbers.is_empty() { (AllowList::Nobody, rejects) } else { (AllowList::Only(numbers), rejects) }
}

/// A list that is set and holds nobody leaves nobody in charge: a typing error must not open what it was to close.
fn admins(settings: &Settings<'_>, warnings: &mut Vec<String>) -> Option<Vec<String>> {
    let mut admins: Option<Vec<String>> = None;
    for name in ["WHATSAPP_ADMIN_USERS", "GATEWAY_ADMIN_USERS"] {
        let Some(text) = settings.value(name) else { continue };
        let (numbers, unusable) = phone::list(text);
        let admins = admins.get_or_insert_default();
        for number in numbers {
            if !admins.contains(&number) {
                admins.push(number);
            }
        }
        // The list for all platforms holds other platforms' names as well.
        if name == "WHATSAPP_ADMIN_USERS" && !unusable.is_empty() {
            warnings.push(format!(
                "WHATSAPP_ADMIN_USERS: {} of its entries are no phone number, and are ignored",
                unusable.len()
            ));
        }
    }
    admins
}

fn groups(settings: &Settings<'_>, warnings: &mut Vec<String>) -> Vec<String> {
    match settings.value("WHATSAPP_GROUP_POLICY").map(str::to_ascii_lowercase).as_deref() {
        None | Some("disabled") => return Vec::new(),
        Some("allowlist") => {}
        Some(_) => {
            warnings.push(
                "WHATSAPP_GROUP_POLICY is neither disabled nor allowlist; hermes stays out of groups"
                    .to_owned(),
            );
            return Vec::new();
        }
    }
    let mut groups: Vec<String> = Vec::new();
    let mut unusable = 0;
    for entry in settings.value("WHATSAPP_GROUP_ALLOWED_USERS").unwrap_or_default().split([',', ';']) {
        match group_jid(entry.trim()) {
            Some(group) if groups.contains(&group) => {}
            Some(group) => groups.push(group),
            None if entry.trim().is_empty() => {}
            None => unusable += 1,
        }
    }
    if unusable > 0 {
        warnings.push(format!(
            "WHATSAPP_GROUP_ALLOWED_USERS: {unusable} of its entries are no group's id, as in 120363000000000000@g.us, and are ignored"
        ));
    }
    groups
}

/// `<digits>[-<digits>]@g.us`, also written without its end.
fn group_jid(text: &str) -> Option<String> {
    let id = text.strip_suffix("@g.us").unwrap_or(text);
    let digits =
        |part: &str| (6..=25).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_digit());
    let is_id = match id.split_once('-') {
        Some((creator, time)) => digits(creator) && digits(time),
        None => digits(id),
    };
    is_id.then(|| format!("{id}@g.us"))
}

fn version(settings: &Settings<'_>, warnings: &mut Vec<String>) -> Option<[u32; 3]> {
    let text = settings.value("WHATSAPP_WA_VERSION")?;
    let parts: Option<Vec<u32>> = text.split('.').map(|part| part.trim().parse().ok()).collect();
    let version = parts.and_then(|parts| parts.try_into().ok());
    if version.is_none() {
        warnings.push("WHATSAPP_WA_VERSION is not of the form 2.3000.1234567890, and is ignored".to_owned());
    }
    version
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::env_file::EnvFile;
    use crate::world::World;

    fn of(env: &str) -> (WhatsAppConfig, Vec<String>) {
        with(WhatsAppTable::default(), env)
    }

    fn with(table: WhatsAppTable, env: &str) -> (WhatsAppConfig, Vec<String>) {
        let world = World::of_env([("A", "b")]);
        let mut warnings = Vec::new();
        let config = merge(table, &Settings { world: &world, env: &EnvFile::parse(env) }, &mut warnings);
        (config, warnings)
    }

    #[test]
    fn only_the_named_setting_enables_and_the_file_can_only_disable() {
        let table = |enabled| WhatsAppTable { enabled, ..WhatsAppTable::default() };
        for (enabled, env, expected, told) in [
            (None, "", false, 0),
            (None, "WHATSAPP_ENABLED=true", true, 0),
            (None, "WHATSAPP_ENABLED=YES", true, 0),
            (None, "WHATSAPP_ENABLED=false", false, 0),
            (None, "WHATSAPP_ENABLED=perhaps", false, 1),
            (Some(false), "WHATSAPP_ENABLED=true", false, 0),
            (Some(true), "WHATSAPP_ENABLED=true", true, 0),
            (Some(true), "", false, 1),
        ] {
            let (config, warnings) = with(table(enabled), env);
            assert_eq!((config.enabled, warnings.len()), (expected, told), "{enabled:?} {env}");
        }
    }

    #[test]
    fn who_may_speak_is_nobody_unless_it_is_said_and_everybody_only_when_said_twice() {
        let only = |numbers: &[&str]| AllowList::Only(numbers.iter().map(ToString::to_string).collect());
        for (env, expected, told) in [
            ("", AllowList::Nobody, 0),
            ("WHATSAPP_ALLOWED_USERS=+1 555 000 1111", only(&["15550001111"]), 0),
            (
                "WHATSAPP_ALLOWED_USERS=15550001111\nGATEWAY_ALLOWED_USERS=15550001111,15550002222,@someone",
                only(&["15550001111", "15550002222"]),
                0,
            ),
            ("WHATSAPP_ALLOWED_USERS=*", AllowList::Nobody, 1),
            ("WHATSAPP_ALLOWED_USERS=*,15550001111", only(&["15550001111"]), 1),
            ("WHATSAPP_ALLOW_ALL_USERS=true", AllowList::Nobody, 1),
            ("WHATSAPP_ALLOWED_USERS=*\nWHATSAPP_ALLOW_ALL_USERS=true", AllowList::Everybody, 0),
            ("GATEWAY_ALLOWED_USERS=*\nGATEWAY_ALLOW_ALL_USERS=true", AllowList::Everybody, 0),
            ("WHATSAPP_ALLOWED_USERS=*\nGATEWAY_ALLOW_ALL_USERS=false", AllowList::Nobody, 1),
        ] {
            let (config, warnings) = of(env);
            assert_eq!((config.allowed, warnings.len()), (expected, told), "{env}");
            assert!(config.allowed_rejects.is_empty());
        }
        let (config, _) = of("WHATSAPP_ALLOWED_USERS=alice,15550001111,12\nGATEWAY_ALLOWED_USERS=bob");
        assert_eq!(config.allowed_rejects, ["alice", "12"]);
    }

    #[test]
    fn groups_are_off_unless_they_are_listed() {
        let list = "WHATSAPP_GROUP_ALLOWED_USERS=120363000000000001@g.us, 15550001111-1600000000 ,*,x@g.us";
        assert_eq!(of(list).0.allowed_groups, Vec::<String>::new());
        let (config, warnings) = of(&format!("WHATSAPP_GROUP_POLICY=allowlist\n{list}"));
        assert_eq!(config.allowed_groups, ["120363000000000001@g.us", "15550001111-1600000000@g.us"]);
        assert_eq!(warnings.len(), 1);
        let (config, warnings) = of(&format!("WHATSAPP_GROUP_POLICY=open\n{list}"));
        assert_eq!((config.allowed_groups.len(), warnings.len()), (0, 1));
    }

    #[test]
    fn a_list_of_admins_without_a_usable_entry_leaves_nobody_in_charge() {
        let admins = |numbers: &[&str]| Some(numbers.iter().map(ToString::to_string).collect::<Vec<_>>());
        for (env, expected, told) in [
            ("", None, 0),
            ("WHATSAPP_ADMIN_USERS=", None, 0),
            ("WHATSAPP_ADMIN_USERS=+1 555 000 1111", admins(&["15550001111"]), 0),
            ("WHATSAPP_ADMIN_USERS=*", admins(&[]), 1),
            ("GATEWAY_ADMIN_USERS=@someone", admins(&[]), 0),
            (
                "WHATSAPP_ADMIN_USERS=15550001111\nGATEWAY_ADMIN_USERS=15550002222,15550001111",
                admins(&["15550001111", "15550002222"]),
                0,
            ),
        ] {
            let (config, warnings) = of(env);
            assert_eq!((config.admins, warnings.len()), (expected, told), "{env}");
        }
    }

    #[test]
    fn mode_version_and_node_are_read_and_nonsense_is_told() {
        let (config, warnings) =
            of("WHATSAPP_MODE=Self-Chat\nWHATSAPP_WA_VERSION=2.3000.1043857760\nHERMES_NODE=/opt/node");
        assert_eq!(config.mode, Some(WhatsAppMode::SelfChat));
        assert_eq!(config.version, Some([2, 3000, 1_043_857_760]));
        assert_eq!(config.node.as_deref(), Some(std::path::Path::new("/opt/node")));
        assert!(warnings.is_empty());
        let (config, warnings) = of("WHATSAPP_MODE=both\nWHATSAPP_WA_VERSION=2.3000");
        assert_eq!((config.mode, config.version, warnings.len()), (None, None, 2));
    }
}
