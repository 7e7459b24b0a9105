//! Pure. Findings about the allow lists: none is answered on a platform, or everyone is.

use serde::{Deserialize, Serialize};

use super::origin::with_origin;
use super::{Code, Finding};
use crate::config::{AccessConfig, AllowList, Config, DirectPolicy, WhatsAppMode, listed_people};
use crate::platforms::Platform;

/// The people who may write on a platform, by the settings of one process and by codes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answered {
    /// The platform's name.
    pub platform: String,
    /// The allow list; `*` for everyone.
    pub allowed: Vec<String>,
    /// The people who were approved by a code.
    pub approved: Vec<String>,
    /// The variables of the process that list people, with those people.
    pub environment: Vec<(String, Vec<String>)>,
    /// Findings about it.
    pub findings: Vec<Finding>,
    /// True for the word of the running gateway.
    #[serde(skip)]
    pub is_of_gateway: bool,
}

impl Answered {
    /// By these settings, and with these people approved.
    pub fn of(platform: Platform, config: &Config, approved: Vec<String>) -> Self {
        let access = config.access(platform);
        let own = platform.variable("ALLOWED_USERS");
        let environment = [own.as_str(), "GATEWAY_ALLOWED_USERS"].into_iter().filter_map(|name| {
            let text = config.of_process.get(name)?;
            Some((name.to_owned(), listed_people(platform, &text.0)))
        });
        Self {
            platform: platform.spec().name.to_owned(),
            allowed: match &access.allowed {
                AllowList::Nobody => Vec::new(),
                AllowList::Only(people) => people.clone(),
                AllowList::Everybody => vec!["*".to_owned()],
            },
            environment: environment.collect(),
            findings: with_origin(platform, of_list(platform, config, !approved.is_empty()), config),
            approved,
            is_of_gateway: false,
        }
    }

    /// Puts its findings in the place of those that the settings of another process gave.
    pub fn replace_in(&self, findings: &mut Vec<Finding>) {
        findings.retain(|finding| {
            !matches!(
                finding.code,
                Code::NobodyAllowed | Code::EverybodyAllowed | Code::WhatsappNobodyAllowed
            )
        });
        findings.extend(self.findings.iter().cloned());
    }

    /// True when everyone may write.
    pub fn is_everybody(&self) -> bool {
        self.allowed == ["*"]
    }

    /// True when the allow list names this person, in any spelling.
    pub fn lists(&self, platform: Platform, person: &str) -> bool {
        names(platform, &self.allowed, person)
    }

    /// The variable of the process that lists this person.
    pub fn variable(&self, platform: Platform, person: &str) -> Option<&str> {
        let found = self.environment.iter().find(|(_, people)| names(platform, people, person));
        found.map(|(name, _)| name.as_str())
    }

    /// The finding that no one is answered.
    pub fn nobody(&self) -> Option<&Finding> {
        let is_it = |code| matches!(code, Code::NobodyAllowed | Code::WhatsappNobodyAllowed);
        self.findings.iter().find(|finding| is_it(finding.code))
    }
}

/// True when one of these entries names this person.
pub fn names(platform: Platform, entries: &[String], person: &str) -> bool {
    let listed = platform.spec().ids.listed;
    let person = listed(person);
    person.is_some() && entries.iter().any(|entry| listed(entry) == person)
}

/// Findings about the list of any platform; a person who was approved by a code is somebody.
fn of_list(platform: Platform, config: &Config, has_approved: bool) -> Vec<Finding> {
    let access = config.access(platform);
    let found = match (platform, &access.allowed) {
        (Platform::Whatsapp, AllowList::Nobody) if config.whatsapp.mode == Some(WhatsAppMode::Bot) => {
            vec![super::nobody_on_whatsapp()]
        }
        (Platform::Whatsapp, _) => Vec::new(),
        (Platform::Telegram | Platform::Scripted(_), _) => findings(platform, access),
    };
    let is_closed = access.direct == DirectPolicy::Disabled;
    let is_nobody = |code| matches!(code, Code::NobodyAllowed | Code::WhatsappNobodyAllowed);
    found.into_iter().filter(|finding| is_closed || !(has_approved && is_nobody(finding.code))).collect()
}

/// Returns the findings. Those of WhatsApp are with its mode.
pub fn findings(platform: Platform, access: &AccessConfig) -> Vec<Finding> {
    let spec = platform.spec();
    let (title, person) = (spec.title, spec.naming.person());
    let list = platform.variable("ALLOWED_USERS");
    let is_closed = access.direct == DirectPolicy::Disabled && !access.has_groups();
    let finding = match &access.allowed {
        _ if is_closed => Finding::warning(
            Code::NobodyAllowed,
            format!("no one is answered on {title}: direct chats are disabled and no group is listed"),
            format!(
                "Set {} to allowlist, or list groups in {}.",
                platform.variable("DM_POLICY"),
                groups_setting(platform)
            ),
        ),
        // Strangers can ask for access.
        AllowList::Nobody if access.direct == DirectPolicy::Pairing => return Vec::new(),
        AllowList::Nobody if !access.open_groups.is_empty() || !access.group_people.is_empty() => {
            return Vec::new();
        }
        AllowList::Nobody => Finding::warning(
            Code::NobodyAllowed,
            format!("no one is allowed to write to hermes on {title}"),
            format!(
                "Run `hermes pairing allow {platform} ID` with the {person} of each sender, or edit {list}."
            ),
        ),
        AllowList::Everybody => Finding::warning(
            Code::EverybodyAllowed,
            format!("everyone who finds the bot can use hermes on {title}"),
            format!("To limit it, list senders in {list} instead of `*`."),
        ),
        AllowList::Only(_) => return Vec::new(),
    };
    vec![finding]
}

/// The setting that lists the groups in which listed people are answered.
pub fn groups_setting(platform: Platform) -> String {
    match platform {
        Platform::Telegram => "TELEGRAM_ALLOWED_CHATS".to_owned(),
        Platform::Whatsapp | Platform::Scripted(_) => platform.variable("GROUP_ALLOWED_USERS"),
    }
}

/// Returns the warnings for the start of the gateway. For WhatsApp only the entries that allow no one: its own check reports
/// the rest.
pub fn at_start(platform: Platform, access: &AccessConfig) -> Vec<Finding> {
    match platform {
        Platform::Whatsapp => super::invalid_entries(&access.allowed_rejects).into_iter().collect(),
        Platform::Telegram | Platform::Scripted(_) => findings(platform, access),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_that_is_not_a_phone_number_is_named_at_the_start() {
        let rejects = ["whatsapp:+15550001111".to_owned(), "tel:+15550002222".to_owned()];
        let access = AccessConfig { allowed_rejects: rejects.to_vec(), ..AccessConfig::default() };
        let [finding] = &at_start(Platform::Whatsapp, &access)[..] else { panic!() };
        assert_eq!(finding.code.as_str(), "whatsapp_allowlist_invalid");
        assert!(finding.message.contains("`whatsapp:+*********11`, `tel:+*********22`"), "{finding:?}");
        assert!(
            at_start(Platform::Whatsapp, &AccessConfig::default()).is_empty(),
            "its own check tells the rest"
        );
    }

    #[test]
    fn nobody_and_everybody_are_told_and_a_list_is_not() {
        let platform = Platform::scripted(1).unwrap();
        let groups = vec!["room".to_owned()];
        let some = AllowList::Only(vec!["friend".to_owned()]);
        let (listed, pairing, disabled) =
            (DirectPolicy::Listed, DirectPolicy::Pairing, DirectPolicy::Disabled);
        for (allowed, direct, groups, expected) in [
            (AllowList::Nobody, listed, &[][..], Some("nobody_allowed")),
            (AllowList::Nobody, pairing, &[], None),
            (AllowList::Nobody, disabled, &groups, Some("nobody_allowed")),
            (some.clone(), listed, &[], None),
            (some.clone(), disabled, &[], Some("nobody_allowed")),
            (some, disabled, &groups, None),
            (AllowList::Everybody, pairing, &[], Some("everybody_allowed")),
        ] {
            let shown = format!("{allowed:?} {direct:?} {groups:?}");
            let access = AccessConfig { allowed, direct, groups: groups.to_vec(), ..AccessConfig::default() };
            let found = findings(platform, &access);
            assert_eq!(found.first().map(|finding| finding.code.as_str()), expected, "{shown}");
            assert!(found.iter().all(|finding| finding.fix.contains("SCRIPTED1_")), "{found:?}");
        }
    }
}
