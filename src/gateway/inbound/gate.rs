//! Pure. Who may speak, and who may give commands. Decided once, here, before anything of a stranger is stored, fetched or
//! answered; and once more before a turn is begun, because the settings may have changed meanwhile.
//!
//! Nobody may unless the settings say so, or the operator has admitted them by a code. The rules are the same on every
//! platform. People are compared by the ids that the platform gives them, never by a name that they chose. Strangers get
//! silence: an answer would tell them that somebody is there, and would come from the owner's own number.

use std::collections::{BTreeMap, BTreeSet};

use regex::Regex;

use crate::config::{AccessConfig, AllowList, Config, DirectPolicy, WhatsAppMode, mention_pattern};
use crate::gateway::model::identity::{group_name, is_group, listed_name, person};
use crate::gateway::model::message::InboundMessage;
use crate::platforms::whatsapp::ids::Identity;
use crate::platforms::whatsapp::phone;
use crate::platforms::{Naming, Platform};
use crate::visible;

/// The rules of all platforms.
#[derive(Debug, Clone, Default)]
pub struct Gate {
    rules: BTreeMap<Platform, PlatformRules>,
    /// Whom the operator has admitted by a code.
    paired: BTreeSet<(Platform, String)>,
    /// Settings that the environment of the process says, which goes before `.env`.
    of_process: BTreeSet<String>,
}

#[derive(Debug, Clone)]
struct PlatformRules {
    platform: Platform,
    /// Only the owner speaks, and only to themself.
    self_chat: bool,
    everybody: bool,
    /// On WhatsApp digits. A listed number may be a phone number or a LID: people cannot choose either, and the two ranges
    /// do not meet, so one list serves for both.
    people: BTreeSet<String>,
    /// The same people as the settings name them.
    listed: Vec<String>,
    /// Groups in which `people` are answered.
    groups: BTreeSet<String>,
    /// Groups in which everyone is answered.
    open_groups: BTreeSet<String>,
    /// People who are answered in every group.
    group_people: BTreeSet<String>,
    /// The only groups in which anyone is answered, where that is set.
    group_limit: Option<BTreeSet<String>>,
    direct: DirectPolicy,
    /// Whoever may give commands, in the form of `people`. `None`: whoever may speak, in a direct chat.
    admins: Option<BTreeSet<String>>,
    /// Groups in which everything speaks to us; `None`: all of them.
    free_groups: Option<BTreeSet<String>>,
    patterns: Vec<Regex>,
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

/// Somebody who is not listed and may ask to be, by the names under which they would be admitted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asker {
    /// Their name.
    pub person: String,
    /// Their other name, where the platform has two.
    pub alt: Option<String>,
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
    /// Nobody is answered in direct chats.
    DirectDisabled,
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
            Self::DirectDisabled => "direct_disabled",
            Self::GroupNotAllowed => "group_not_allowed",
            Self::NotAddressed => "not_addressed",
            Self::SenderNotAllowed => "sender_not_allowed",
            Self::LidUnknown { .. } => "lid_unknown",
        }
    }

    /// True when it is for who the sender is, and not for what they wrote or where.
    pub fn is_stranger(&self) -> bool {
        matches!(self, Self::SenderNotAllowed | Self::LidUnknown { .. })
    }
}

impl Gate {
    /// The rules as the settings say. Where WhatsApp's mode was never chosen, only the owner may speak there.
    pub fn new(config: &Config) -> Self {
        let rules = |platform| {
            let self_chat = match platform {
                Platform::Whatsapp => config.whatsapp.mode != Some(WhatsAppMode::Bot),
                Platform::Telegram | Platform::Scripted(_) => false,
            };
            (platform, PlatformRules::new(platform, self_chat, config.access(platform)))
        };
        Self {
            rules: Platform::every().map(rules).collect(),
            paired: BTreeSet::new(),
            of_process: config.of_process.keys().cloned().collect(),
        }
    }

    /// The same rules, with these people admitted beside those that are listed.
    #[must_use]
    pub fn admitting(self, paired: BTreeSet<(Platform, String)>) -> Self {
        Self { paired, ..self }
    }

    /// The rules of other settings, with the same people admitted.
    #[must_use]
    pub fn configured(&self, config: &Config) -> Self {
        Self::new(config).admitting(self.paired.clone())
    }

    /// Whether the message is answered. That it is no echo of our own message is for the caller to see: it takes a
    /// look into the store.
    pub fn decide(&self, platform: Platform, message: &InboundMessage) -> Decision {
        let verdict = match self.rules.get(&platform) {
            Some(rules) => rules.check(message, &self.paired),
            None => Err(Reason::SenderNotAllowed),
        };
        match verdict {
            Ok(()) => Decision::Admit,
            Err(reason) => Decision::Ignore(reason),
        }
    }

    /// Whoever wrote this, when they are not listed and are to be given a code: in a direct chat, where the settings say
    /// so, for something that would have been answered.
    pub fn asker(&self, platform: Platform, message: &InboundMessage) -> Option<Asker> {
        let rules = self.rules.get(&platform)?;
        let reason = rules.check(message, &self.paired).err()?;
        let may_ask = rules.direct == DirectPolicy::Pairing
            && reason.is_stranger()
            && !is_group(platform, message)
            && PlatformRules::check_content(message).is_ok();
        let mut names = names(platform, message).filter_map(|name| person(platform, name));
        let asker = names.next().filter(|_| may_ask)?;
        Some(Asker { alt: names.find(|name| *name != asker), person: asker })
    }

    /// The entry of the list that may have been meant for the writer of this message, and the number that it lacks. Only where
    /// people are known by numbers that people type.
    pub fn near_entry(&self, platform: Platform, message: &InboundMessage) -> Option<(String, String)> {
        let rules = self.rules.get(&platform).filter(|_| platform.spec().naming == Naming::Phone)?;
        let number = names(platform, message).find_map(|name| match Identity::parse(name) {
            Identity::Phone(digits) => Some(digits),
            Identity::Lid(_) | Identity::Other(_) => None,
        })?;
        let entry = phone::near(&number, rules.listed.iter().map(String::as_str))?;
        Some((entry.to_owned(), number))
    }

    /// True when this person is answered by now, or, with `is_group`, the listed members of this group.
    pub fn lists(&self, platform: Platform, id: &str, is_group: bool) -> bool {
        let Some(rules) = self.rules.get(&platform) else { return false };
        if is_group {
            let group = group_name(platform, id);
            return rules.groups.contains(&group) || rules.open_groups.contains(&group);
        }
        let is_paired = || person(platform, id).is_some_and(|id| self.paired.contains(&(platform, id)));
        rules.everybody
            || listed_name(platform, id).is_some_and(|name| rules.people.contains(&name))
            || is_paired()
    }

    /// Where this setting is changed, for the end of a sentence.
    pub fn place_of(&self, setting: &str) -> &'static str {
        if self.of_process.contains(setting) {
            "where the gateway is started (unit, container or shell): its environment goes before .env"
        } else {
            "in .env"
        }
    }

    /// True when the environment has this setting, so that `.env` cannot change it.
    pub fn is_of_process(&self, setting: &str) -> bool {
        self.of_process.contains(setting)
    }

    /// Whether the writer of this message may give commands to the gateway, from where they wrote it.
    ///
    /// # Errors
    /// Why not.
    pub fn may_steer(&self, platform: Platform, message: &InboundMessage) -> Result<(), Denied> {
        match self.rules.get(&platform) {
            Some(rules) if self.decide(platform, message) == Decision::Admit => rules.may_steer(message),
            Some(_) | None => Err(Denied::Stranger),
        }
    }
}

impl PlatformRules {
    fn new(platform: Platform, self_chat: bool, access: &AccessConfig) -> Self {
        let (everybody, listed) = match &access.allowed {
            AllowList::Nobody => (false, &[][..]),
            AllowList::Only(people) => (false, people.as_slice()),
            AllowList::Everybody => (true, &[][..]),
        };
        let people = |entries: &[String]| -> BTreeSet<String> {
            entries.iter().filter_map(|entry| listed_name(platform, entry)).collect()
        };
        let groups = |entries: &[String]| -> BTreeSet<String> {
            entries.iter().map(|entry| group_name(platform, entry)).collect()
        };
        Self {
            platform,
            self_chat,
            everybody,
            people: people(listed),
            listed: listed.to_vec(),
            groups: groups(&access.groups),
            open_groups: groups(&access.open_groups),
            group_people: people(&access.group_people),
            group_limit: access.group_limit.as_deref().map(groups),
            direct: access.direct,
            admins: access.admins.as_deref().map(people),
            free_groups: access.require_mention.then(|| groups(&access.free_chats)),
            patterns: access.mention_patterns.iter().filter_map(|text| mention_pattern(text)).collect(),
        }
    }

    fn may_steer(&self, message: &InboundMessage) -> Result<(), Denied> {
        // The account's owner needs nobody's leave.
        if self.self_chat {
            return Ok(());
        }
        match &self.admins {
            Some(admins) if self.is_among(admins, message) => Ok(()),
            Some(_) => Err(Denied::NotAdmin),
            None if is_group(self.platform, message) => Err(Denied::InGroup),
            None => Ok(()),
        }
    }

    fn check(&self, message: &InboundMessage, paired: &BTreeSet<(Platform, String)>) -> Result<(), Reason> {
        if self.is_no_chat(message) {
            return Err(Reason::NoChat);
        }
        let is_group = is_group(self.platform, message);
        if self.self_chat {
            if !message.self_chat || is_group || !from_owner(self.platform, message) {
                return Err(Reason::NotSelfChat);
            }
        } else {
            if message.from_me || message.self_chat {
                return Err(Reason::OwnMessage);
            }
            let group = is_group.then(|| group_name(self.platform, &message.chat.0));
            match &group {
                Some(group) => self.check_group(group, message, paired)?,
                None if self.direct == DirectPolicy::Disabled => return Err(Reason::DirectDisabled),
                None => self.check_sender(message, paired)?,
            }
            if group.is_some_and(|group| !self.speaks_to_us(&group, message)) {
                return Err(Reason::NotAddressed);
            }
        }
        Self::check_content(message)
    }

    fn check_group(
        &self,
        group: &str,
        message: &InboundMessage,
        paired: &BTreeSet<(Platform, String)>,
    ) -> Result<(), Reason> {
        if self.group_limit.as_ref().is_some_and(|limit| !limit.contains(group)) {
            return Err(Reason::GroupNotAllowed);
        }
        if self.open_groups.contains(group) || self.is_among(&self.group_people, message) {
            return Ok(());
        }
        if !self.groups.contains(group) {
            return Err(Reason::GroupNotAllowed);
        }
        self.check_sender(message, paired)
    }

    fn check_content(message: &InboundMessage) -> Result<(), Reason> {
        if message.reaction {
            return Err(Reason::Reaction);
        }
        if visible::is_blank(&message.text.0) && message.attachments.is_empty() {
            return Err(Reason::Empty);
        }
        Ok(())
    }

    fn is_no_chat(&self, message: &InboundMessage) -> bool {
        let chat = message.chat.0.to_ascii_lowercase();
        self.platform.spec().naming == Naming::Phone
            && (chat.ends_with("@broadcast") || chat.ends_with("@newsletter"))
    }

    /// By a mention or an answer, as the platform says; by a command or a pattern, as its text says; or by where it is.
    fn speaks_to_us(&self, group: &str, message: &InboundMessage) -> bool {
        let text = &message.text.0;
        message.addressed
            || self.free_groups.as_ref().is_none_or(|groups| groups.contains(group))
            || message.is_command()
            || self.patterns.iter().any(|pattern| pattern.is_match(text))
    }

    fn check_sender(
        &self,
        message: &InboundMessage,
        paired: &BTreeSet<(Platform, String)>,
    ) -> Result<(), Reason> {
        let is_paired = |name| {
            person(self.platform, name).is_some_and(|person| paired.contains(&(self.platform, person)))
        };
        if self.everybody
            || self.is_among(&self.people, message)
            || names(self.platform, message).any(is_paired)
        {
            return Ok(());
        }
        if self.platform.spec().naming != Naming::Phone {
            return Err(Reason::SenderNotAllowed);
        }
        let identities = || names(self.platform, message).map(Identity::parse);
        let phone_known = identities().any(|name| matches!(name, Identity::Phone(_)));
        match identities().find(|name| matches!(name, Identity::Lid(_))) {
            Some(lid) if !phone_known && !self.people.is_empty() => {
                Err(Reason::LidUnknown { entry: lid.to_jid() })
            }
            Some(_) | None => Err(Reason::SenderNotAllowed),
        }
    }

    fn is_among(&self, people: &BTreeSet<String>, message: &InboundMessage) -> bool {
        names(self.platform, message)
            .filter_map(|name| listed_name(self.platform, name))
            .any(|name| people.contains(&name))
    }
}

/// The writer, by each id that the platform gives of them. Only where people have two does the second one count.
fn names(platform: Platform, message: &InboundMessage) -> impl Iterator<Item = &str> {
    let alt = message.sender_alt.as_ref().filter(|_| platform.spec().naming == Naming::Phone);
    [Some(&message.sender), alt].into_iter().flatten().map(|name| name.0.as_str())
}

/// The owner's own messages are marked, except some that come by LID: there the chat's partner is the owner too.
fn from_owner(platform: Platform, message: &InboundMessage) -> bool {
    let ids = &platform.spec().ids;
    let chat = [Some(&message.chat), message.chat_alt.as_ref()];
    let sender = [Some(&message.sender), message.sender_alt.as_ref()];
    message.from_me
        || chat
            .into_iter()
            .flatten()
            .any(|chat| sender.into_iter().flatten().any(|name| ids.same(&chat.0, &name.0)))
}

#[cfg(test)]
mod tests;
