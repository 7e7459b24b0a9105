//! Tests of the gate, case by case.

use super::*;
use crate::gateway::model::message::testing::message;
use crate::gateway::model::message::{Attachment, ChatId, UserId};

const FRIEND: &str = "15550101@s.whatsapp.net";
const FRIEND_LID: &str = "900101@lid";
const GROUP: &str = "1203630@g.us";

fn configured(mode: Option<WhatsAppMode>, access: AccessConfig) -> Gate {
    let mut config = Config::default();
    config.whatsapp.mode = mode;
    config.platform_mut(Platform::Whatsapp).access = access;
    Gate::new(&config)
}

fn rules(mode: Option<WhatsAppMode>, allowed: AllowList) -> Gate {
    configured(mode, AccessConfig { allowed, groups: vec![GROUP.into()], ..AccessConfig::default() })
}

fn only(people: &[&str]) -> AllowList {
    AllowList::Only(people.iter().map(|&entry| entry.to_owned()).collect())
}

/// A message from this sender in this chat, changed by `change`.
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
fn a_number_in_another_national_form_is_the_listed_one_and_a_similar_one_is_named() {
    let gate = rules(Some(WhatsAppMode::Bot), only(&["5511912345678", "525512345678", "4917123456789"]));
    let from = |number: &str| {
        said(&format!("{number}@s.whatsapp.net"), &format!("{number}@s.whatsapp.net"), same_as)
    };
    let stranger = Some(Reason::SenderNotAllowed);
    check(
        &gate,
        vec![
            ("Brazil without its ninth digit", from("551112345678"), None),
            ("Mexico with its old 1", from("5215512345678"), None),
            ("one digit wrong", from("4917123456788"), stranger.clone()),
            ("somebody else", from("15550101"), stranger),
        ],
    );
    let near = |number: &str| gate.near_entry(Platform::Whatsapp, &from(number));
    let named = Some(("4917123456789".to_owned(), "4917123456788".to_owned()));
    assert_eq!(near("4917123456788"), named);
    assert_eq!(near("15550101"), None);
    let mut by_lid = said("900101@lid", "900101@lid", same_as);
    by_lid.sender_alt = Some(UserId("4917123456788@s.whatsapp.net".into()));
    assert_eq!(gate.near_entry(Platform::Whatsapp, &by_lid), named);
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
        let access = AccessConfig {
            allowed: only(&["15550101", "15550102"]),
            groups: vec![GROUP.into()],
            admins: admins.map(|list| list.iter().map(ToString::to_string).collect()),
            ..AccessConfig::default()
        };
        configured(Some(mode), access)
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
        ("nobody on the list", gate(bot, Some(&[])), said(FRIEND, FRIEND, same_as), Err(Denied::NotAdmin)),
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

/// A gate on a platform without phone numbers.
fn played(access: AccessConfig) -> Gate {
    let mut config = Config::default();
    config.platform_mut(played_platform()).access = access;
    Gate::new(&config)
}

fn played_platform() -> Platform {
    Platform::scripted(1).unwrap()
}

fn in_room(sender: &str, text: &str) -> InboundMessage {
    said("room", sender, |m| {
        m.is_group = true;
        m.addressed = false;
        m.text.0 = text.into();
    })
}

#[test]
fn the_rules_are_the_same_where_people_have_other_names() {
    use Reason::{GroupNotAllowed, NotAddressed, OwnMessage, SenderNotAllowed};
    let access = AccessConfig {
        allowed: only(&["friend", "Zoë", "15550101"]),
        groups: vec!["room".into()],
        mention_patterns: vec!["^hermes[,:]".into()],
        ..AccessConfig::default()
    };
    let gate = played(access.clone());
    for (name, message, reason) in [
        ("listed", said("friend", "friend", same_as), None),
        ("listed, in a chat of another name", said("D02", "friend", same_as), None),
        ("listed, with letters of its own", said("D02", "Zoë", same_as), None),
        ("the same to the eye", said("D02", "Zoe\u{308}", same_as), Some(SenderNotAllowed)),
        ("another script", said("D02", "fri\u{435}nd", same_as), Some(SenderNotAllowed)),
        ("another case", said("D02", "Friend", same_as), Some(SenderNotAllowed)),
        ("with a space", said("D02", "friend ", same_as), Some(SenderNotAllowed)),
        ("with nothing to see", said("D02", "friend\u{200b}", same_as), Some(SenderNotAllowed)),
        ("nobody", said("D02", "", same_as), Some(SenderNotAllowed)),
        ("star", said("D02", "*", same_as), Some(SenderNotAllowed)),
        ("the whole list", said("D02", "friend,Zoë", same_as), Some(SenderNotAllowed)),
        ("very long", said("D02", &"friend".repeat(10_000), same_as), Some(SenderNotAllowed)),
        (
            "a number in another dress",
            said("D02", "15550101@s.whatsapp.net", same_as),
            Some(SenderNotAllowed),
        ),
        (
            "a chosen name is no identity",
            said("D02", "eve", |m| m.sender_alt = Some(UserId("friend".into()))),
            Some(SenderNotAllowed),
        ),
        ("ourselves", said("friend", "friend", |m| m.from_me = true), Some(OwnMessage)),
        ("room, to nobody", in_room("friend", "hermes is a god"), Some(NotAddressed)),
        ("room, by a pattern", in_room("friend", "Hermes, are you there"), None),
        ("room, by a command", in_room("friend", " /help"), None),
        ("room, by a mention", said("room", "friend", |m| m.is_group = true), None),
        ("room, stranger by a pattern", in_room("eve", "Hermes, hello"), Some(SenderNotAllowed)),
        ("another room", said("hall", "friend", |m| m.is_group = true), Some(GroupNotAllowed)),
    ] {
        let expected = reason.map_or(Decision::Admit, Decision::Ignore);
        assert_eq!(gate.decide(played_platform(), &message), expected, "{name}");
        let other = Platform::scripted(2).unwrap();
        assert_ne!(gate.decide(other, &message), Decision::Admit, "{name}: lists are each platform's own");
    }
    let free = played(AccessConfig { free_chats: vec!["room".into()], ..access.clone() });
    assert_eq!(free.decide(played_platform(), &in_room("friend", "so")), Decision::Admit);
    assert_ne!(free.decide(played_platform(), &in_room("eve", "so")), Decision::Admit);
    let all = played(AccessConfig { require_mention: false, ..access.clone() });
    assert_eq!(all.decide(played_platform(), &in_room("friend", "so")), Decision::Admit);
    let rooms_only = played(AccessConfig { direct: DirectPolicy::Disabled, ..access });
    let direct = said("friend", "friend", same_as);
    assert_eq!(rooms_only.decide(played_platform(), &direct), Decision::Ignore(Reason::DirectDisabled));
    assert_eq!(rooms_only.decide(played_platform(), &in_room("friend", "/help")), Decision::Admit);
}

#[test]
fn an_admitted_person_counts_as_listed_under_that_very_name_on_that_very_platform() {
    let paired = |platform, name: &str| BTreeSet::from([(platform, name.to_owned())]);
    let gate = played(AccessConfig::default()).admitting(paired(played_platform(), "friend"));
    let friend = said("D02", "friend", same_as);
    assert_eq!(gate.decide(played_platform(), &friend), Decision::Admit);
    assert_eq!(gate.may_steer(played_platform(), &friend), Ok(()));
    assert_ne!(gate.decide(Platform::scripted(2).unwrap(), &friend), Decision::Admit);
    assert_ne!(gate.decide(played_platform(), &said("D02", "Friend", same_as)), Decision::Admit);
    let gate = gate.configured(&Config::default());
    assert_eq!(gate.decide(played_platform(), &friend), Decision::Admit, "settings do not take it back");

    let bot = || rules(Some(WhatsAppMode::Bot), AllowList::Nobody);
    let gate = bot().admitting(paired(Platform::Whatsapp, "900101@lid"));
    assert_eq!(gate.decide(Platform::Whatsapp, &said(FRIEND_LID, "900101:3@lid", same_as)), Decision::Admit);
    let same_digits = said("900101@s.whatsapp.net", "900101@s.whatsapp.net", same_as);
    assert_ne!(gate.decide(Platform::Whatsapp, &same_digits), Decision::Admit);
    let own = rules(Some(WhatsAppMode::SelfChat), AllowList::Nobody)
        .admitting(paired(Platform::Whatsapp, "900101@lid"));
    assert_ne!(own.decide(Platform::Whatsapp, &said(FRIEND_LID, FRIEND_LID, same_as)), Decision::Admit);
}

#[test]
fn only_a_stranger_who_writes_directly_where_codes_are_given_may_ask() {
    let access = AccessConfig {
        allowed: only(&["friend"]),
        groups: vec!["room".into()],
        direct: DirectPolicy::Pairing,
        ..AccessConfig::default()
    };
    let gate = played(access.clone());
    let asks = |gate: &Gate, message: &InboundMessage| gate.asker(played_platform(), message).is_some();
    let eve = said("D02", "eve", same_as);
    assert_eq!(gate.asker(played_platform(), &eve), Some(Asker { person: "eve".into(), alt: None }));
    for (name, message) in [
        ("listed", said("D02", "friend", same_as)),
        ("in a room", said("room", "eve", |m| m.is_group = true)),
        ("a reaction", said("D02", "eve", |m| m.reaction = true)),
        ("nothing", said("D02", "eve", |m| m.text.0 = " ".into())),
        ("ourselves", said("D02", "eve", |m| m.from_me = true)),
        ("nobody", said("D02", "", same_as)),
        ("a name too long", said("D02", &"e".repeat(300), same_as)),
        ("a name with a line end", said("D02", "e\nve", same_as)),
    ] {
        assert!(!asks(&gate, &message), "{name}");
    }
    for direct in [DirectPolicy::Listed, DirectPolicy::Disabled] {
        assert!(!asks(&played(AccessConfig { direct, ..access.clone() }), &eve));
    }
    let whatsapp = |mode| {
        let gate = configured(Some(mode), access.clone());
        let both = said(FRIEND, FRIEND, |m| m.sender_alt = Some(UserId(FRIEND_LID.into())));
        gate.asker(Platform::Whatsapp, &both)
    };
    let by_both = Asker { person: FRIEND.into(), alt: Some(FRIEND_LID.into()) };
    assert_eq!(whatsapp(WhatsAppMode::Bot), Some(by_both));
    assert_eq!(whatsapp(WhatsAppMode::SelfChat), None, "the owner's address book hears nothing");
    let group = said("1@g.us", FRIEND, |m| m.is_group = false);
    assert_eq!(configured(Some(WhatsAppMode::Bot), access).asker(Platform::Whatsapp, &group), None);
}

#[test]
fn on_telegram_groups_are_listed_with_their_people_or_for_everyone() {
    let list = |ids: &[&str]| ids.iter().map(ToString::to_string).collect::<Vec<_>>();
    let access = AccessConfig {
        allowed: only(&["42"]),
        groups: list(&["-1001"]),
        open_groups: list(&["-1002"]),
        group_people: list(&["43"]),
        require_mention: false,
        ..AccessConfig::default()
    };
    let gate = |access: AccessConfig| {
        let mut config = Config::default();
        config.platform_mut(Platform::Telegram).access = access;
        Gate::new(&config)
    };
    let limited = AccessConfig { group_limit: Some(list(&["-1001"])), ..access.clone() };
    let (free, limited) = (gate(access), gate(limited));
    // In this chat, this sender: whether they are answered, and whether they are where only one group is wanted.
    for (chat, sender, answered, answered_in_one) in [
        ("42", "42", true, true),
        ("43", "43", false, false),
        ("-1001", "42", true, true),
        ("-1001:7", "43", true, true),
        ("-1001", "44", false, false),
        ("-1002", "44", true, false),
        ("-1002", "42", true, false),
        ("-1003", "43", true, false),
        ("-1003", "42", false, false),
    ] {
        let message = said(chat, sender, |message| message.is_group = chat.starts_with('-'));
        for (gate, expected) in [(&free, answered), (&limited, answered_in_one)] {
            let decision = gate.decide(Platform::Telegram, &message);
            assert_eq!(decision == Decision::Admit, expected, "{sender} in {chat}: {decision:?}");
            let steers = gate.may_steer(Platform::Telegram, &message).is_ok();
            assert_eq!(steers, sender == "42" && chat == "42", "{sender} in {chat}");
        }
    }
}
