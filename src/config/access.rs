//! Pure. The people who may write on a platform, by the names that hermes-agent gives the settings: `<PLATFORM>_…` for one platform,
//! `GATEWAY_…` for all. The same for every platform; only how an entry is read differs ([`Naming`]).

use crate::platforms::whatsapp::phone;
use crate::platforms::{Naming, Platform, PlatformSpec, number};
use crate::setting::Settings;

/// The people who may write on one platform, and where, and to whom it listens in a group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccessConfig {
    /// `<PLATFORM>_ALLOWED_USERS` and `GATEWAY_ALLOWED_USERS`.
    pub allowed: AllowList,
    /// Entries of `<PLATFORM>_ALLOWED_USERS` that name no one on this platform.
    pub allowed_rejects: Vec<String>,
    /// Groups in which listed people are answered: `<PLATFORM>_GROUP_ALLOWED_USERS`, when `<PLATFORM>_GROUP_POLICY` is
    /// `allowlist`; on Telegram `TELEGRAM_ALLOWED_CHATS`.
    pub groups: Vec<String>,
    /// Groups in which everyone is answered: `TELEGRAM_GROUP_ALLOWED_CHATS`.
    pub open_groups: Vec<String>,
    /// People who are answered in every group, and not in direct chats: `TELEGRAM_GROUP_ALLOWED_USERS`.
    pub group_people: Vec<String>,
    /// `TELEGRAM_ALLOWED_CHATS`: the only groups in which anyone is answered. `None`: it is not set.
    pub group_limit: Option<Vec<String>>,
    /// The people who may give commands: `<PLATFORM>_ADMIN_USERS` and `GATEWAY_ADMIN_USERS`. `None` when neither is set: then
    /// everyone who may write may do so, in a direct chat.
    pub admins: Option<Vec<String>>,
    /// `<PLATFORM>_DM_POLICY`.
    pub direct: DirectPolicy,
    /// `<PLATFORM>_REQUIRE_MENTION`: in a group only what speaks to us is answered.
    pub require_mention: bool,
    /// `<PLATFORM>_MENTION_PATTERNS`: texts that speak to us, as regular expressions that are known to be good.
    pub mention_patterns: Vec<String>,
    /// `<PLATFORM>_FREE_RESPONSE_CHATS`: groups in which everything speaks to us.
    pub free_chats: Vec<String>,
}

/// The people who may write.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum AllowList {
    /// No one: the default.
    #[default]
    Nobody,
    /// These people: on WhatsApp phone numbers, digits only.
    Only(Vec<String>),
    /// Everyone: `*`, and also `<PLATFORM>_ALLOW_ALL_USERS` or `GATEWAY_ALLOW_ALL_USERS`.
    Everybody,
}

/// The rule for direct chats.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum DirectPolicy {
    /// Listed people are answered, and no one else hears anything.
    #[default]
    Listed,
    /// Somebody who is not listed gets a code by which the operator can admit them.
    Pairing,
    /// No one is answered.
    Disabled,
}

impl AccessConfig {
    /// True when anyone is answered in any group.
    pub fn has_groups(&self) -> bool {
        !(self.groups.is_empty() && self.open_groups.is_empty() && self.group_people.is_empty())
    }
}

impl Default for AccessConfig {
    fn default() -> Self {
        Self {
            allowed: AllowList::Nobody,
            allowed_rejects: Vec::new(),
            groups: Vec::new(),
            open_groups: Vec::new(),
            group_people: Vec::new(),
            group_limit: None,
            admins: None,
            direct: DirectPolicy::Listed,
            require_mention: true,
            mention_patterns: Vec::new(),
            free_chats: Vec::new(),
        }
    }
}

/// The settings of this platform.
pub(super) fn read(platform: Platform, settings: &Settings<'_>) -> AccessConfig {
    Reader { platform, spec: platform.spec(), settings }.read()
}

/// The groups of a platform.
#[derive(Default)]
struct Groups {
    listed: Vec<String>,
    open: Vec<String>,
    people: Vec<String>,
    limit: Option<Vec<String>>,
}

struct Reader<'a, 'b> {
    platform: Platform,
    spec: &'static PlatformSpec,
    settings: &'a Settings<'b>,
}

impl Reader<'_, '_> {
    fn read(self) -> AccessConfig {
        let (allowed, allowed_rejects) = self.allow_list();
        let require_mention = self.settings.switch(&self.name("REQUIRE_MENTION"));
        let groups = self.groups();
        AccessConfig {
            allowed,
            allowed_rejects,
            groups: groups.listed,
            open_groups: groups.open,
            group_people: groups.people,
            group_limit: groups.limit,
            admins: self.admins(),
            direct: self.direct(),
            require_mention: require_mention.unwrap_or(true),
            mention_patterns: self.mention_patterns(),
            free_chats: self.group_list("FREE_RESPONSE_CHATS"),
        }
    }

    fn name(&self, setting: &str) -> String {
        self.platform.variable(setting)
    }

    fn warn_of_rejects(&self, name: &str, count: usize) {
        if count > 0 {
            let what = self.spec.naming.person();
            self.settings.warn(format!("{name}: ignored {count} invalid entries (expected a {what})"));
        }
    }

    fn allow_list(&self) -> (AllowList, Vec<String>) {
        let own = self.name("ALLOWED_USERS");
        let own_switch = self.name("ALLOW_ALL_USERS");
        let mut people: Vec<String> = Vec::new();
        let mut rejects = Vec::new();
        let mut star = None;
        for name in [own.as_str(), "GATEWAY_ALLOWED_USERS"] {
            let Some(text) = self.settings.value(name) else { continue };
            let (found, unusable) = list(self.spec.naming, text);
            for person in found {
                if !people.contains(&person) {
                    people.push(person);
                }
            }
            for entry in unusable {
                if entry == "*" {
                    star = star.or(Some(name));
                } else if name == own {
                    // The list for all platforms holds other platforms' names as well; they are no mistake.
                    rejects.push(entry);
                }
            }
        }
        // Of WhatsApp's the findings tell, with the way to write a number.
        if self.spec.naming != Naming::Phone {
            self.warn_of_rejects(&own, rejects.len());
        }
        let mut said_again = false;
        for name in [own_switch.as_str(), "GATEWAY_ALLOW_ALL_USERS"] {
            said_again |= self.settings.switch(name) == Some(true);
        }
        match (star, said_again) {
            (Some(_), true) => return (AllowList::Everybody, rejects),
            (Some(name), false) => self.settings.warn(format!(
                "{name}: ignored `*`; it needs {own_switch}=true as well"
            )),
            (None, true) => self.settings.warn(format!(
                "everyone is allowed on {} only when {own} contains `*` as well; only listed senders are answered",
                self.spec.title
            )),
            (None, false) => {}
        }
        if people.is_empty() { (AllowList::Nobody, rejects) } else { (AllowList::Only(people), rejects) }
    }

    /// A list that is set and holds no one leaves no one in charge: a typing error must not open what it was to close.
    fn admins(&self) -> Option<Vec<String>> {
        let own = self.name("ADMIN_USERS");
        let mut admins: Option<Vec<String>> = None;
        for name in [own.as_str(), "GATEWAY_ADMIN_USERS"] {
            let Some(text) = self.settings.value(name) else { continue };
            let (people, unusable) = list(self.spec.naming, text);
            let admins = admins.get_or_insert_default();
            for person in people {
                if !admins.contains(&person) {
                    admins.push(person);
                }
            }
            // The list for all platforms holds other platforms' names as well.
            if name == own {
                self.warn_of_rejects(&own, unusable.len());
            }
        }
        admins
    }

    fn direct(&self) -> DirectPolicy {
        let name = self.name("DM_POLICY");
        match self.settings.value(&name).map(str::to_ascii_lowercase).as_deref() {
            None | Some("allowlist") => DirectPolicy::Listed,
            Some("pairing") => DirectPolicy::Pairing,
            Some("disabled") => DirectPolicy::Disabled,
            Some(_) => {
                self.settings.warn(format!("{name} must be allowlist, pairing or disabled; using allowlist"));
                DirectPolicy::Listed
            }
        }
    }

    fn groups(&self) -> Groups {
        let name = self.name("GROUP_POLICY");
        let policy = self.settings.value(&name).map(str::to_ascii_lowercase);
        match (policy.as_deref(), self.platform) {
            // Telegram has no such setting in hermes-agent: its lists say all.
            (Some("allowlist") | None, Platform::Telegram) => self.telegram_groups(),
            (Some("allowlist"), Platform::Whatsapp | Platform::Scripted(_)) => {
                Groups { listed: self.group_list("GROUP_ALLOWED_USERS"), ..Groups::default() }
            }
            (None | Some("disabled"), _) => Groups::default(),
            (Some(_), _) => {
                self.settings.warn(format!("{name} must be disabled or allowlist; using disabled"));
                Groups::default()
            }
        }
    }

    /// `TELEGRAM_GROUP_ALLOWED_USERS` once listed groups. Ids of chats are negative, so those that are still there are known.
    fn telegram_groups(&self) -> Groups {
        let name = self.name("GROUP_ALLOWED_USERS");
        let text = self.settings.value(&name).unwrap_or_default();
        let (chats, people): (Vec<_>, Vec<_>) = entries(text).partition(|entry| entry.starts_with('-'));
        let (people, rejects) = list(self.spec.naming, &people.join(","));
        self.warn_of_rejects(&name, rejects.len());
        let (mut listed, rejects) = list(self.spec.naming, &chats.join(","));
        self.warn_of_rejects(&name, rejects.len());
        if !listed.is_empty() {
            let chats = if let [_] = listed.as_slice() { "1 chat" } else { "chats" };
            self.settings.warn(format!(
                "{name} lists senders but contains {chats}. hermes still answers senders from TELEGRAM_ALLOWED_USERS there. Move \
                 it to TELEGRAM_ALLOWED_CHATS (the same people are answered) or to TELEGRAM_GROUP_ALLOWED_CHATS (everyone in \
                 the group is answered)"
            ));
        }
        let limit =
            self.settings.value(&self.name("ALLOWED_CHATS")).map(|_| self.group_list("ALLOWED_CHATS"));
        for chat in limit.iter().flatten() {
            if !listed.contains(chat) {
                listed.push(chat.clone());
            }
        }
        Groups { listed, open: self.group_list("GROUP_ALLOWED_CHATS"), people, limit }
    }

    fn group_list(&self, setting: &str) -> Vec<String> {
        let name = self.name(setting);
        let mut groups: Vec<String> = Vec::new();
        let mut unusable = 0;
        for entry in entries(self.settings.value(&name).unwrap_or_default()) {
            match group(self.spec.naming, entry) {
                Some(group) if groups.contains(&group) => {}
                Some(group) => groups.push(group),
                None => unusable += 1,
            }
        }
        if unusable > 0 {
            let example = self.spec.naming.group();
            self.settings.warn(format!("{name}: ignored {unusable} invalid entries (expected {example})"));
        }
        groups
    }

    /// A list in JSON, or separated by commas where none of them holds one.
    fn mention_patterns(&self) -> Vec<String> {
        let name = self.name("MENTION_PATTERNS");
        let Some(text) = self.settings.value(&name) else { return Vec::new() };
        let patterns: Vec<String> = serde_json::from_str(text).unwrap_or_else(|_| {
            text.split([',', '\n'])
                .map(|part| part.trim().to_owned())
                .filter(|part| !part.is_empty())
                .collect()
        });
        let count = patterns.len();
        let good: Vec<String> =
            patterns.into_iter().filter(|one| !one.is_empty() && mention_pattern(one).is_some()).collect();
        if good.len() < count {
            self.settings.warn(format!("{name}: ignored {} invalid regular expressions", count - good.len()));
        }
        good
    }
}

/// A compiled pattern of `<PLATFORM>_MENTION_PATTERNS`; matched in any case.
pub fn mention_pattern(text: &str) -> Option<regex::Regex> {
    const PROGRAM_BYTES_MAX: usize = 1 << 20;
    regex::RegexBuilder::new(text).case_insensitive(true).size_limit(PROGRAM_BYTES_MAX).build().ok()
}

fn entries(text: &str) -> impl Iterator<Item = &str> {
    text.split([',', ';', '\n']).map(str::trim).filter(|entry| !entry.is_empty())
}

/// Sorted into people (each once, in order) and entries that name no one.
fn list(naming: Naming, text: &str) -> (Vec<String>, Vec<String>) {
    if naming == Naming::Phone {
        return phone::list(text);
    }
    let mut people: Vec<String> = Vec::new();
    let mut rejects = Vec::new();
    for entry in entries(text) {
        match person(naming, entry) {
            Some(person) if people.contains(&person) => {}
            Some(person) => people.push(person),
            None => rejects.push(entry.to_owned()),
        }
    }
    (people, rejects)
}

/// One entry of this platform's allow list, in its one spelling. `None`: it names no one there.
pub fn listed_person(platform: Platform, text: &str) -> Option<String> {
    let (mut people, rejects) = list(platform.spec().naming, text);
    let is_one = rejects.is_empty() && people.len() == 1;
    people.pop().filter(|person| is_one && person != "0")
}

/// The people whom a list of this platform names.
pub fn listed_people(platform: Platform, text: &str) -> Vec<String> {
    list(platform.spec().naming, text).0
}

fn person(naming: Naming, entry: &str) -> Option<String> {
    match naming {
        Naming::Phone => phone::digits(entry).ok(),
        Naming::Number => number(entry),
        Naming::Verbatim => (entry != "*" && !entry.chars().any(char::is_control)).then(|| entry.to_owned()),
    }
}

fn group(naming: Naming, entry: &str) -> Option<String> {
    match naming {
        Naming::Phone => group_jid(entry),
        Naming::Number | Naming::Verbatim => person(naming, entry),
    }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::env_file::EnvFile;
    use crate::world::World;

    fn on(platform: Platform, env: &str) -> (AccessConfig, Vec<String>) {
        let (world, env) = (World::of_env([("A", "b")]), EnvFile::parse(env));
        let settings = Settings::new(&world, &env);
        (read(platform, &settings), settings.warnings.take())
    }

    fn of(env: &str) -> (AccessConfig, Vec<String>) {
        on(Platform::Whatsapp, env)
    }

    fn scripted(env: &str) -> (AccessConfig, Vec<String>) {
        on(Platform::scripted(1).unwrap(), env)
    }

    fn only(people: &[&str]) -> AllowList {
        AllowList::Only(people.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn who_may_speak_is_nobody_unless_it_is_said_and_everybody_only_when_said_twice() {
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
            ("SCRIPTED1_ALLOWED_USERS=15550001111\nSCRIPTED1_ALLOW_ALL_USERS=true", AllowList::Nobody, 0),
        ] {
            let (access, warnings) = of(env);
            assert_eq!((access.allowed, warnings.len()), (expected, told), "{env}");
            assert!(access.allowed_rejects.is_empty());
        }
        let (access, _) = of("WHATSAPP_ALLOWED_USERS=alice,15550001111,12\nGATEWAY_ALLOWED_USERS=bob");
        assert_eq!(access.allowed_rejects, ["alice", "12"]);
    }

    #[test]
    fn a_platform_without_phone_numbers_takes_ids_as_they_are() {
        for (env, expected, told) in [
            ("", AllowList::Nobody, 0),
            ("SCRIPTED1_ALLOWED_USERS= friend ,U02AB,friend,", only(&["friend", "U02AB"]), 0),
            ("SCRIPTED1_ALLOWED_USERS=friend\nGATEWAY_ALLOWED_USERS=+1 555", only(&["friend", "+1 555"]), 0),
            ("SCRIPTED1_ALLOWED_USERS=*", AllowList::Nobody, 1),
            ("SCRIPTED1_ALLOWED_USERS=*\nSCRIPTED1_ALLOW_ALL_USERS=true", AllowList::Everybody, 0),
            ("SCRIPTED1_ALLOWED_USERS=*\nSCRIPTED2_ALLOW_ALL_USERS=true", AllowList::Nobody, 1),
            ("SCRIPTED2_ALLOWED_USERS=friend", AllowList::Nobody, 0),
        ] {
            let (access, warnings) = scripted(env);
            assert_eq!((access.allowed, warnings.len()), (expected, told), "{env}");
        }
        assert_eq!(list(Naming::Number, "12, 0012 ,x12,١٢,*,-3").0, ["12", "-3"]);
        assert_eq!(list(Naming::Number, "12,x12,*").1, ["x12", "*"]);
    }

    #[test]
    fn groups_are_off_unless_they_are_listed() {
        let list = "WHATSAPP_GROUP_ALLOWED_USERS=120363000000000001@g.us, 15550001111-1600000000 ,*,x@g.us";
        assert_eq!(of(list).0.groups, Vec::<String>::new());
        let (access, warnings) = of(&format!("WHATSAPP_GROUP_POLICY=allowlist\n{list}"));
        assert_eq!(access.groups, ["120363000000000001@g.us", "15550001111-1600000000@g.us"]);
        assert_eq!(warnings.len(), 1);
        let (access, warnings) = of(&format!("WHATSAPP_GROUP_POLICY=open\n{list}"));
        assert_eq!((access.groups.len(), warnings.len()), (0, 1));
        let (access, warnings) =
            scripted("SCRIPTED1_GROUP_POLICY=allowlist\nSCRIPTED1_GROUP_ALLOWED_USERS=room, *");
        assert_eq!((access.groups, warnings.len()), (vec!["room".to_owned()], 1));
    }

    #[test]
    fn telegrams_lists_of_groups_mean_what_they_mean_in_hermes_agent() {
        let of = |env: &str| {
            let (access, warnings) = on(Platform::Telegram, env);
            let AccessConfig { groups, open_groups, group_people, group_limit, .. } = access;
            (groups, open_groups, group_people, group_limit, warnings)
        };
        let ids = |ids: &[&str]| ids.iter().map(ToString::to_string).collect::<Vec<_>>();
        let none = ids(&[]);
        for (env, groups, open, people, limit, told) in [
            ("", &[][..], &[][..], &[][..], None, 0),
            ("TELEGRAM_GROUP_ALLOWED_USERS=42, 43", &[], &[], &["42", "43"], None, 0),
            ("TELEGRAM_GROUP_ALLOWED_CHATS=-1005", &[], &["-1005"], &[], None, 0),
            ("TELEGRAM_ALLOWED_CHATS=-1005", &["-1005"], &[], &[], Some(&["-1005"][..]), 0),
            // Ids of chats are known by their sign, with and without the policy that they once needed.
            ("TELEGRAM_GROUP_ALLOWED_USERS=-1005,42", &["-1005"], &[], &["42"], None, 1),
            (
                "TELEGRAM_GROUP_POLICY=allowlist\nTELEGRAM_GROUP_ALLOWED_USERS=-1005,-1006",
                &["-1005", "-1006"],
                &[],
                &[],
                None,
                1,
            ),
            ("TELEGRAM_GROUP_POLICY=disabled\nTELEGRAM_GROUP_ALLOWED_CHATS=-1005", &[], &[], &[], None, 0),
            ("TELEGRAM_GROUP_ALLOWED_USERS=*,@name", &[], &[], &[], None, 1),
            ("TELEGRAM_GROUP_ALLOWED_CHATS=*", &[], &[], &[], None, 1),
            ("TELEGRAM_ALLOWED_CHATS=nonsense", &[], &[], &[], Some(&[][..]), 1),
        ] {
            let (found, warnings) = {
                let (groups, open, people, limit, warnings) = of(env);
                ((groups, open, people, limit), warnings)
            };
            assert_eq!(found, (ids(groups), ids(open), ids(people), limit.map(ids)), "{env}");
            assert_eq!(warnings.len(), told, "{env}: {warnings:?}");
        }
        let (_, _, _, _, warnings) = of("TELEGRAM_GROUP_ALLOWED_USERS=-1005");
        assert!(
            warnings[0].contains("TELEGRAM_ALLOWED_CHATS")
                && warnings[0].contains("TELEGRAM_GROUP_ALLOWED_CHATS")
        );
        // On WhatsApp they are groups, there as here.
        let (access, _) = on(
            Platform::Whatsapp,
            "WHATSAPP_GROUP_POLICY=allowlist\nWHATSAPP_GROUP_ALLOWED_USERS=120363000000000001@g.us",
        );
        assert_eq!((access.groups.len(), access.group_people), (1, none));
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
            let (access, warnings) = of(env);
            assert_eq!((access.admins, warnings.len()), (expected, told), "{env}");
        }
    }

    #[test]
    fn what_is_said_of_chats_is_read_and_nonsense_is_told_and_opens_nothing() {
        let (access, warnings) = scripted(
            "SCRIPTED1_DM_POLICY=Pairing\nSCRIPTED1_REQUIRE_MENTION=no\nSCRIPTED1_FREE_RESPONSE_CHATS=room\n\
             SCRIPTED1_MENTION_PATTERNS='[\"^hermes[,:]\", \"(\", \"\"]'",
        );
        assert_eq!((access.direct, access.require_mention), (DirectPolicy::Pairing, false));
        assert_eq!(
            (access.free_chats, access.mention_patterns),
            (vec!["room".into()], vec!["^hermes[,:]".into()])
        );
        assert_eq!(warnings.len(), 1, "{warnings:?}");
        let (access, warnings) = scripted("SCRIPTED1_DM_POLICY=open\nSCRIPTED1_MENTION_PATTERNS=^hi, bot$");
        assert_eq!((access.direct, warnings.len()), (DirectPolicy::Listed, 1));
        assert_eq!(access.mention_patterns, ["^hi", "bot$"]);
        assert_eq!(scripted("SCRIPTED1_DM_POLICY=disabled").0.direct, DirectPolicy::Disabled);
    }
}
