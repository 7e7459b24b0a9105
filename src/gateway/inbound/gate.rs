//! Pure. Who may speak, and who may give commands. Decided once, here, before anything of a stranger is stored, fetched or answered.
//!
//! Nobody may unless the settings say so. Strangers get silence: an answer would tell them that somebody is there, and
//! would come from the owner's own number.

use std::collections::BTreeSet;

use super::identity::{Identity, same};
use crate::config::{AllowList, WhatsAppConfig, WhatsAppMode};
use crate::gateway::message::InboundMessage;
use crate::platform::Platform;

/// The rules of all platforms.
#[derive(Debug, Clone)]
pub struct Gate {
    whatsapp: WhatsAppRules,
}

#[derive(Debug, Clone)]
struct WhatsAppRules {
    mode: WhatsAppMode,
    everybody: bool,
    /// Digits. A listed number may be a phone number or a LID: people cannot choose either, and the two ranges do not
    /// meet, so one list serves for both.
    people: BTreeSet<String>,
    groups: BTreeSet<String>,
    /// Whoever may give commands, in the form of `people`. `None`: whoever may speak, in a direct chat.
    admins: Option<BTreeSet<String>>,
}

/// Why somebody may not give commands to the gateway.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Denied {
    /// They may not speak at all.
    Stranger,
    /// There is a list of admins, and they are not on it.
    NotAdmin,
    /// There is no such list, and others would read along.
    InGroup,
}

/// What becomes of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// It is answered.
    Admit,
    /// It is as if it had not come.
    Ignore(Reason),
}

/// Why a message is ignored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reason {
    /// Neither text nor attachment.
    Empty,
    /// A sign on another message.
    Reaction,
    /// A status or a channel, not a chat.
    NoChat,
    /// Not the owner's notes to themself, in self-chat mode.
    NotSelfChat,
    /// Written by the account's owner, in bot mode.
    OwnMessage,
    /// The group is not listed.
    GroupNotAllowed,
    /// In a listed group, and not to us.
    NotAddressed,
    /// The sender is not listed.
    SenderNotAllowed,
    /// The sender came by LID only, so whether their phone number is listed cannot be known. The owner can list this id.
    LidUnknown {
        /// The entry to add.
        entry: String,
    },
}

impl Reason {
    /// For logs and counters.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Empty => "empty",
            Self::Reaction => "reaction",
            Self::NoChat => "no_chat",
            Self::NotSelfChat => "not_self_chat",
            Self::OwnMessage => "own_message",
            Self::GroupNotAllowed => "group_not_allowed",
            Self::NotAddressed => "not_addressed",
            Self::SenderNotAllowed => "sender_not_allowed",
            Self::LidUnknown { .. } => "lid_unknown",
        }
    }
}

impl Gate {
    /// The rules as the settings say. Where no mode was chosen, only the owner may speak.
    pub fn new(whatsapp: &WhatsAppConfig) -> Self {
        let (everybody, listed) = match &whatsapp.allowed {
            AllowList::Nobody => (false, &[][..]),
            AllowList::Only(people) => (false, people.as_slice()),
            AllowList::Everybody => (true, &[][..]),
        };
        let digits_of = |entries: &[String]| -> BTreeSet<String> {
            entries.iter().filter_map(|entry| digits(&Identity::parse(entry))).collect()
        };
        Self {
            whatsapp: WhatsAppRules {
                mode: whatsapp.mode.unwrap_or(WhatsAppMode::SelfChat),
                everybody,
                people: digits_of(listed),
                admins: whatsapp.admins.as_deref().map(digits_of),
                groups: whatsapp
                    .allowed_groups
                    .iter()
                    .map(|group| group.trim().to_ascii_lowercase())
                    .collect(),
            },
        }
    }

    /// Whether the message is answered. That it is no echo of our own message is for the caller to see: it takes a
    /// look into the store.
    pub fn decide(&self, platform: Platform, message: &InboundMessage) -> Decision {
        let verdict = match platform {
            Platform::Whatsapp => self.whatsapp.check(message),
            // Only a test that starts the program can write to these.
            Platform::Scripted(_) => Ok(()),
        };
        match verdict {
            Ok(()) => Decision::Admit,
            Err(reason) => Decision::Ignore(reason),
        }
    }
}

impl Gate {
    /// Whether the writer of this message may give commands to the gateway, from where they wrote it.
    ///
    /// # Errors
    /// Why not.
    pub fn may_steer(&self, platform: Platform, message: &InboundMessage) -> Result<(), Denied> {
        if self.decide(platform, message) != Decision::Admit {
            return Err(Denied::Stranger);
        }
        match platform {
            Platform::Whatsapp => self.whatsapp.may_steer(message),
            Platform::Scripted(_) if message.is_group => Err(Denied::InGroup),
            Platform::Scripted(_) => Ok(()),
        }
    }
}

impl WhatsAppRules {
    fn may_steer(&self, message: &InboundMessage) -> Result<(), Denied> {
        // The account's owner needs nobody's leave.
        if self.mode == WhatsAppMode::SelfChat {
            return Ok(());
        }
        match &self.admins {
            Some(admins) if names(message).iter().filter_map(digits).any(|name| admins.contains(&name)) => {
                Ok(())
            }
            Some(_) => Err(Denied::NotAdmin),
            None if message.is_group => Err(Denied::InGroup),
            None => Ok(()),
        }
    }

    fn check(&self, message: &InboundMessage) -> Result<(), Reason> {
        let chat = message.chat.0.to_ascii_lowercase();
        if chat.ends_with("@broadcast") || chat.ends_with("@newsletter") {
            return Err(Reason::NoChat);
        }
        match self.mode {
            WhatsAppMode::SelfChat => {
                if !message.self_chat || message.is_group || !from_owner(message) {
                    return Err(Reason::NotSelfChat);
                }
            }
            WhatsAppMode::Bot => {
                if message.from_me || message.self_chat {
                    return Err(Reason::OwnMessage);
                }
                if message.is_group && !self.groups.contains(&chat) {
                    return Err(Reason::GroupNotAllowed);
                }
                self.check_sender(message)?;
                if message.is_group && !message.addressed {
                    return Err(Reason::NotAddressed);
                }
            }
        }
        if message.reaction {
            return Err(Reason::Reaction);
        }
        if message.text.0.trim().is_empty() && message.attachments.is_empty() {
            return Err(Reason::Empty);
        }
        Ok(())
    }

    fn check_sender(&self, message: &InboundMessage) -> Result<(), Reason> {
        let names = names(message);
        if self.everybody || names.iter().filter_map(digits).any(|name| self.people.contains(&name)) {
            return Ok(());
        }
        let phone_known = names.iter().any(|name| matches!(name, Identity::Phone(_)));
        match names.iter().find(|name| matches!(name, Identity::Lid(_))) {
            Some(lid) if !phone_known && !self.people.is_empty() => {
                Err(Reason::LidUnknown { entry: lid.to_jid() })
            }
            Some(_) | None => Err(Reason::SenderNotAllowed),
        }
    }
}

/// The writer, by each name that is known of them.
fn names(message: &InboundMessage) -> Vec<Identity> {
    let names = [Some(&message.sender), message.sender_alt.as_ref()];
    names.into_iter().flatten().map(|name| Identity::parse(&name.0)).collect()
}

fn digits(identity: &Identity) -> Option<String> {
    match identity {
        Identity::Phone(digits) | Identity::Lid(digits) => Some(digits.clone()),
        Identity::Other(_) => None,
    }
}

/// The owner's own messages are marked, except some that come by LID: there the chat's partner is the owner too.
fn from_owner(message: &InboundMessage) -> bool {
    let chat = [Some(&message.chat), message.chat_alt.as_ref()];
    let sender = [Some(&message.sender), message.sender_alt.as_ref()];
    message.from_me
        || chat
            .into_iter()
            .flatten()
            .any(|chat| sender.into_iter().flatten().any(|name| same(&chat.0, &name.0)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gateway::message::testing::message;
    use crate::gateway::message::{Attachment, ChatId, UserId};

    const FRIEND: &str = "15550101@s.whatsapp.net";
    const FRIEND_LID: &str = "900101@lid";
    const GROUP: &str = "1203630@g.us";

    fn rules(mode: Option<WhatsAppMode>, allowed: AllowList) -> Gate {
        Gate::new(&WhatsAppConfig {
            enabled: true,
            mode,
            allowed,
            allowed_rejects: vec!["bob".into()],
            allowed_groups: vec![GROUP.into()],
            admins: None,
            web_socket_url: None,
            version: None,
            node: None,
            bridge_limits: std::collections::BTreeMap::new(),
        })
    }

    fn only(people: &[&str]) -> AllowList {
        AllowList::Only(people.iter().map(|&entry| entry.to_owned()).collect())
    }

    /// From this sender in this chat, changed by `change`.
    fn said(chat: &str, sender: &str, change: impl FnOnce(&mut InboundMessage)) -> InboundMessage {
        let mut message = message("A", chat, "hi");
        message.sender = UserId(sender.into());
        message.is_group = chat.ends_with("@g.us");
        change(&mut message);
        message
    }

    fn same_as(_: &mut InboundMessage) {}

    fn check(gate: &Gate, cases: Vec<(&str, InboundMessage, Option<Reason>)>) {
        for (name, message, reason) in cases {
            let expected = reason.map_or(Decision::Admit, Decision::Ignore);
            assert_eq!(gate.decide(Platform::Whatsapp, &message), expected, "{name}");
        }
    }

    #[test]
    fn a_bot_answers_listed_people() {
        use Reason::{
            Empty, GroupNotAllowed, LidUnknown, NoChat, NotAddressed, OwnMessage, Reaction, SenderNotAllowed,
        };
        let lid = |id: &str| Some(LidUnknown { entry: id.into() });
        let phone_beside =
            |m: &mut InboundMessage| m.sender_alt = Some(UserId("15550101:3@s.whatsapp.net".into()));
        let lid_beside = |m: &mut InboundMessage| m.sender_alt = Some(UserId("900199@lid".into()));
        let image = Attachment { kind: "image".into(), path: None, mime: None, file_name: None, error: None };
        let stranger = "15550199@s.whatsapp.net";
        check(
            &rules(Some(WhatsAppMode::Bot), only(&["15550101", "900105", "900104@lid"])),
            vec![
                ("by phone number", said(FRIEND, FRIEND, same_as), None),
                ("another device", said(FRIEND, "15550101:7@s.whatsapp.net", same_as), None),
                ("another agent", said(FRIEND, "15550101_1:7@s.whatsapp.net", same_as), None),
                ("old server name", said(FRIEND, "15550101@c.us", same_as), None),
                ("by LID, number beside", said(FRIEND_LID, FRIEND_LID, phone_beside), None),
                ("by number, unlisted LID beside", said(FRIEND, FRIEND, lid_beside), None),
                ("by LID alone", said(FRIEND_LID, "900101:2@lid", same_as), lid("900101@lid")),
                ("listed LID", said("900104@lid", "900104:1@lid", same_as), None),
                ("LID, listed by its digits", said("900105@lid", "900105@lid", same_as), None),
                ("stranger", said(stranger, stranger, same_as), Some(SenderNotAllowed)),
                ("stranger with LID", said(stranger, stranger, lid_beside), Some(SenderNotAllowed)),
                (
                    "stranger's empty message",
                    said(stranger, stranger, |m| m.text.0.clear()),
                    Some(SenderNotAllowed),
                ),
                ("longer number", said(FRIEND, "155501011@s.whatsapp.net", same_as), Some(SenderNotAllowed)),
                (
                    "name that looks like a number",
                    said(FRIEND, "15550101@evil.example", same_as),
                    Some(SenderNotAllowed),
                ),
                (
                    "letters around the number",
                    said(FRIEND, "x15550101@s.whatsapp.net", same_as),
                    Some(SenderNotAllowed),
                ),
                ("no id at all", said("", "", same_as), Some(SenderNotAllowed)),
                ("owner on another device", said(FRIEND, FRIEND, |m| m.from_me = true), Some(OwnMessage)),
                ("owner's notes", said(FRIEND, FRIEND, |m| m.self_chat = true), Some(OwnMessage)),
                ("reaction", said(FRIEND, FRIEND, |m| m.reaction = true), Some(Reaction)),
                ("no text", said(FRIEND, FRIEND, |m| m.text.0 = " \n".into()), Some(Empty)),
                (
                    "image alone",
                    said(FRIEND, FRIEND, |m| {
                        m.text.0.clear();
                        m.attachments.push(image);
                    }),
                    None,
                ),
                ("status", said("status@broadcast", FRIEND, same_as), Some(NoChat)),
                ("channel", said("120@newsletter", FRIEND, same_as), Some(NoChat)),
                ("listed group", said(GROUP, FRIEND, same_as), None),
                ("listed group, by LID", said(GROUP, FRIEND_LID, phone_beside), None),
                ("listed group, not to us", said(GROUP, FRIEND, |m| m.addressed = false), Some(NotAddressed)),
                ("listed group, stranger", said(GROUP, stranger, same_as), Some(SenderNotAllowed)),
                ("other group, listed person", said("1@g.us", FRIEND, same_as), Some(GroupNotAllowed)),
            ],
        );
    }

    #[test]
    fn an_empty_list_is_nobody_and_a_star_is_everybody_but_no_group() {
        let stranger = "15550199@s.whatsapp.net";
        check(
            &rules(Some(WhatsAppMode::Bot), AllowList::Nobody),
            vec![("anybody", said(stranger, stranger, same_as), Some(Reason::SenderNotAllowed))],
        );
        check(
            &rules(Some(WhatsAppMode::Bot), AllowList::Everybody),
            vec![
                ("anybody", said(stranger, stranger, same_as), None),
                ("LID alone", said(FRIEND_LID, FRIEND_LID, same_as), None),
                ("in a listed group", said(GROUP, stranger, same_as), None),
                ("in another group", said("1@g.us", stranger, same_as), Some(Reason::GroupNotAllowed)),
            ],
        );
    }

    #[test]
    fn in_self_chat_mode_only_the_owner_speaks_and_only_to_themself() {
        let own = "15550100@s.whatsapp.net";
        let own_lid = "900100@lid";
        let notes = |m: &mut InboundMessage| m.self_chat = true;
        let notes_from_me = |m: &mut InboundMessage| {
            m.self_chat = true;
            m.from_me = true;
        };
        for mode in [Some(WhatsAppMode::SelfChat), None] {
            check(
                &rules(mode, only(&["15550101"])),
                vec![
                    ("note", said(own, own, notes_from_me), None),
                    ("note by LID", said(own_lid, own_lid, notes_from_me), None),
                    ("note by LID that is not marked as ours", said(own_lid, "900100:3@lid", notes), None),
                    ("somebody in our chat", said(own, FRIEND, notes), Some(Reason::NotSelfChat)),
                    ("listed person", said(FRIEND, FRIEND, same_as), Some(Reason::NotSelfChat)),
                    ("owner to somebody", said(FRIEND, own, |m| m.from_me = true), Some(Reason::NotSelfChat)),
                    ("listed group", said(GROUP, FRIEND, same_as), Some(Reason::NotSelfChat)),
                    ("owner in a group", said(GROUP, own, notes_from_me), Some(Reason::NotSelfChat)),
                    (
                        "empty note",
                        said(own, own, |m| {
                            notes_from_me(m);
                            m.text.0.clear();
                        }),
                        Some(Reason::Empty),
                    ),
                ],
            );
        }
    }

    #[test]
    fn commands_are_for_admins_and_without_a_list_for_those_who_may_speak_in_a_direct_chat() {
        let gate = |mode, admins: Option<&[&str]>| {
            Gate::new(&WhatsAppConfig {
                enabled: true,
                mode: Some(mode),
                allowed: only(&["15550101", "15550102"]),
                allowed_groups: vec![GROUP.into()],
                admins: admins.map(|list| list.iter().map(ToString::to_string).collect()),
                ..WhatsAppConfig::default()
            })
        };
        let other = "15550102@s.whatsapp.net";
        let stranger = "15550199@s.whatsapp.net";
        let own = "15550100@s.whatsapp.net";
        let by_lid = said(FRIEND_LID, FRIEND_LID, |m| m.sender_alt = Some(UserId(FRIEND.into())));
        let note = |m: &mut InboundMessage| {
            m.self_chat = true;
            m.from_me = true;
        };
        let bot = WhatsAppMode::Bot;
        for (name, gate, message, expected) in [
            ("no list", gate(bot, None), said(FRIEND, FRIEND, same_as), Ok(())),
            ("no list, group", gate(bot, None), said(GROUP, FRIEND, same_as), Err(Denied::InGroup)),
            ("no list, stranger", gate(bot, None), said(stranger, stranger, same_as), Err(Denied::Stranger)),
            ("admin", gate(bot, Some(&["15550101"])), said(FRIEND, FRIEND, same_as), Ok(())),
            ("admin by LID", gate(bot, Some(&["15550101"])), by_lid, Ok(())),
            ("admin in a group", gate(bot, Some(&["15550101"])), said(GROUP, FRIEND, same_as), Ok(())),
            (
                "not on the list",
                gate(bot, Some(&["15550101"])),
                said(other, other, same_as),
                Err(Denied::NotAdmin),
            ),
            (
                "nobody on the list",
                gate(bot, Some(&[])),
                said(FRIEND, FRIEND, same_as),
                Err(Denied::NotAdmin),
            ),
            (
                "an admin who may not speak",
                gate(bot, Some(&["15550199"])),
                said(stranger, stranger, same_as),
                Err(Denied::Stranger),
            ),
            ("owner", gate(WhatsAppMode::SelfChat, Some(&[])), said(own, own, note), Ok(())),
            (
                "somebody else in self-chat mode",
                gate(WhatsAppMode::SelfChat, None),
                said(FRIEND, FRIEND, same_as),
                Err(Denied::Stranger),
            ),
        ] {
            assert_eq!(gate.may_steer(Platform::Whatsapp, &message), expected, "{name}");
        }
    }

    #[test]
    fn the_id_to_add_admits_when_it_is_added() {
        let message = said(FRIEND_LID, FRIEND_LID, |m| m.chat_alt = Some(ChatId(FRIEND_LID.into())));
        let Decision::Ignore(Reason::LidUnknown { entry }) =
            rules(Some(WhatsAppMode::Bot), only(&["15550101"])).decide(Platform::Whatsapp, &message)
        else {
            panic!("not asked for");
        };
        let gate = rules(Some(WhatsAppMode::Bot), only(&["15550101", &entry]));
        assert_eq!(gate.decide(Platform::Whatsapp, &message), Decision::Admit);
    }
}
