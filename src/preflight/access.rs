//! Pure. Findings about the allow lists: none is answered on a platform, or everyone is.

use super::{Code, Finding};
use crate::config::{AccessConfig, AllowList, DirectPolicy};
use crate::platforms::Platform;

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
