//! What becomes of messages that are not let in: they are counted, and forgotten. Nothing of them reaches the disk, and
//! what is kept in memory does not grow with them.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use super::ignored::{Ignored, Kind, Row, Told};
use super::reply;
use crate::clock::Now;
use crate::gateway::inbound::gate::{Asker, Gate, Reason};
use crate::gateway::inbound::rules::Rules;
use crate::gateway::log_throttle::{LogThrottle, PERIOD};
use crate::gateway::model::identity::{self, chat_key, group_name};
use crate::gateway::model::message::InboundMessage;
use crate::gateway::pipeline::admission::service::Desk;
use crate::gateway::pipeline::delivery::outbox::Outbox;
use crate::platforms::Platform;
use crate::preflight::{self, access};
use crate::sensitive::Private;

/// An id that the owner may want to list is shown this often at most.
const SHOWN_EVERY: Duration = Duration::from_secs(3600);

/// Different ids shown within [`PERIOD`]: strangers must not fill the log.
const SHOWN_MAX: usize = 10;

/// The longest that sending a code may take.
const SEND_LIMIT: Duration = Duration::from_secs(30);

/// Between two looks whether there is a connection to send by.
const LINK_PAUSE: Duration = Duration::from_millis(100);

/// Turns strangers away.
pub(super) struct Strangers {
    rules: Arc<Rules>,
    outboxes: Arc<BTreeMap<Platform, Outbox>>,
    desk: OnceLock<Arc<Desk>>,
    repeats: LogThrottle,
    shown: Mutex<BTreeMap<(Platform, String), Instant>>,
    ignored: Ignored,
}

impl Strangers {
    pub(super) fn new(rules: Arc<Rules>, outboxes: Arc<BTreeMap<Platform, Outbox>>) -> Self {
        Self {
            rules,
            outboxes,
            desk: OnceLock::new(),
            repeats: LogThrottle::default(),
            shown: Mutex::default(),
            ignored: Ignored::default(),
        }
    }

    /// From now on those who may ask to be let in are given codes.
    pub(super) fn connect(&self, desk: Arc<Desk>) {
        // A second desk would be a second gateway in one process.
        drop(self.desk.set(desk));
    }

    /// A message is not let in. Without the disk, and quick.
    pub(super) fn turn_away(&self, platform: Platform, message: &InboundMessage, reason: &Reason) {
        if *reason == Reason::GroupNotAllowed {
            self.show_group(platform, message);
        }
        if !reason.is_stranger() {
            tracing::debug!(%platform, reason = reason.as_str(), "ignored");
            return;
        }
        let sender = entry(platform, message);
        if let Some(id) = &sender {
            let name = message.sender_name.as_ref().map_or(String::new(), |name| printable(&name.0));
            self.note(platform, Kind::Person, id, name);
        }
        match sender.filter(|id| matches!(reason, Reason::SenderNotAllowed) && self.may_show(platform, id)) {
            Some(id) => self.show_sender(platform, message, &id),
            None => {
                if let Some(more) = self.repeats.say(Now::read().mono, platform.spec().name) {
                    tracing::info!(
                        code = "stranger_ignored", %platform, reason = reason.as_str(),
                        "Ignored a message from a sender who is not on the allow list{more}"
                    );
                }
            }
        }
        if let Reason::LidUnknown { entry } = reason {
            self.show_lid(platform, entry);
        }
        let Some(desk) = self.desk.get() else { return };
        let Some(asker) = self.rules.gate().asker(platform, message) else { return };
        if desk.would_give(platform, &asker) {
            // At most three codes wait for each platform, so there are never many of these.
            tokio::spawn(self.offer(Arc::clone(desk), platform, message, asker));
        }
    }

    /// Gives the code out. It goes by no outbox: there it would stand on disk in plain text.
    fn offer(
        &self,
        desk: Arc<Desk>,
        platform: Platform,
        message: &InboundMessage,
        asker: Asker,
    ) -> impl Future<Output = ()> + use<> {
        let key = chat_key(platform, message);
        // Only where to, and which message: what they wrote is dropped here.
        let message = InboundMessage {
            text: Private::default(),
            cut_from: None,
            attachments: Vec::new(),
            quoted: None,
            sender_name: None,
            ..message.clone()
        };
        let outboxes = Arc::clone(&self.outboxes);
        async move {
            let Some(code) = desk.give(platform, &asker).await else { return };
            let text = format!("I don't know you yet. Give my owner this code within an hour: {code}");
            let sending = async {
                // A message may come in a moment before its connection can send.
                let link = loop {
                    match outboxes.get(&platform).and_then(Outbox::link) {
                        Some(link) => break link,
                        None => tokio::time::sleep(LINK_PAUSE).await,
                    }
                };
                let mut is_sent = true;
                for part in reply::parts(&key, &message, "pairing", &text) {
                    is_sent &= link.send(&part).await.is_ok();
                }
                is_sent
            };
            let is_sent = tokio::time::timeout(SEND_LIMIT, sending).await.unwrap_or(false);
            tracing::info!(code = "pairing_offered", %platform, is_sent, "Sent a pairing code to a new sender");
        }
    }

    fn note(&self, platform: Platform, kind: Kind, id: &str, name: String) {
        let (platform, at) = (platform.spec().name, Now::read().wall);
        self.ignored.note(Row { platform, kind, id: id.to_owned(), name, at, count: 1 });
    }

    /// Who was ignored of late and still would be, with what allows them.
    pub(super) fn ignored(&self) -> Vec<Told> {
        let gate = self.rules.gate();
        let told = |row: Row| {
            let platform: Platform = row.platform.parse().ok()?;
            let is_group = row.kind == Kind::Group;
            let is_ignored = !gate.lists(platform, &row.id, is_group);
            is_ignored.then(|| Told { allow: allow(&gate, platform, row.kind, &row.id), row })
        };
        self.ignored.rows().into_iter().filter_map(told).collect()
    }

    /// Which group was ignored, with what has its listed members answered.
    fn show_group(&self, platform: Platform, message: &InboundMessage) {
        let id = group_name(platform, &message.chat.0);
        if id.is_empty() {
            return;
        }
        self.note(platform, Kind::Group, &id, String::new());
        if self.may_show(platform, &id) {
            let allow = allow(&self.rules.gate(), platform, Kind::Group, &id);
            tracing::info!(
                code = "group_ignored", %platform,
                "Ignored a message in the group {id}: not on the list of groups. To answer listed people there: {allow}"
            );
        }
    }

    /// True when this id is written to the log now: each once an hour, and not more than some in a quarter of an hour.
    fn may_show(&self, platform: Platform, id: &str) -> bool {
        let now = Now::read().mono;
        let mut shown = self.shown.lock().unwrap_or_else(PoisonError::into_inner);
        shown.retain(|_, shown| now.duration_since(*shown) < SHOWN_EVERY);
        let key = (platform, id.to_owned());
        let recent = shown.values().filter(|shown| now.duration_since(**shown) < PERIOD).count();
        if recent >= SHOWN_MAX || shown.contains_key(&key) {
            return false;
        }
        shown.insert(key, now);
        true
    }

    /// Who was ignored, with what lets them in: the id is no secret to the owner.
    fn show_sender(&self, platform: Platform, message: &InboundMessage, id: &str) {
        let gate = self.rules.gate();
        let place = gate.place_of(&platform.variable("ALLOWED_USERS"));
        if let Some((entry, number)) = gate.near_entry(platform, message) {
            tracing::info!(
                code = "sender_almost_listed", %platform,
                "Ignored a message from {number}; the allow list has a similar number, {entry}. If that is the same person, \
                 correct it in WHATSAPP_ALLOWED_USERS {place}"
            );
            return;
        }
        let name = message.sender_name.as_ref().map_or(String::new(), |name| printable(&name.0));
        let name = if name.is_empty() { name } else { format!(" ({name})") };
        tracing::info!(
            code = "stranger_ignored", %platform,
            "Ignored a message from {id}{name}: not on the allow list. To answer this person: {}",
            allow(&gate, platform, Kind::Person, id)
        );
    }

    /// The owner may know this id, and only the id helps them: so it is shown whole here, and nowhere else.
    fn show_lid(&self, platform: Platform, entry: &str) {
        if !self.may_show(platform, entry) {
            return;
        }
        tracing::warn!(
            code = "sender_unknown",
            %platform,
            "Ignored a message from {entry}: its phone number is not known. To answer this person: {}",
            allow(&self.rules.gate(), platform, Kind::Person, entry)
        );
    }
}

/// The step that allows this person, or has this group's listed members answered; a sentence.
fn allow(gate: &Gate, platform: Platform, kind: Kind, id: &str) -> String {
    let (people, groups) = (platform.variable("ALLOWED_USERS"), access::groups_setting(platform));
    match kind {
        Kind::Group => format!(
            "Set {}=allowlist and add {id} to {groups} {}.",
            platform.variable("GROUP_POLICY"),
            gate.place_of(&groups)
        ),
        Kind::Person => {
            if gate.is_of_process(&people) {
                return format!("Add {id} to {people} {}.", gate.place_of(&people));
            }
            format!("Run `hermes pairing allow {platform} {}`.", preflight::quoted(id))
        }
    }
}

/// The sender as an entry of the allow list: a number where one is known, else the whole id.
fn entry(platform: Platform, message: &InboundMessage) -> Option<String> {
    let ids = std::iter::once(&message.sender).chain(&message.sender_alt);
    let names: Vec<_> = ids.filter_map(|id| identity::person(platform, &id.0)).collect();
    let number = names.iter().find_map(|name| name.strip_suffix("@s.whatsapp.net"));
    number.map(|number| format!("+{number}")).or_else(|| names.into_iter().next())
}

/// A name that a stranger chose, without signs that steer a terminal or turn the text around.
fn printable(name: &str) -> String {
    const NAME_LEN_MAX: usize = 64;
    let is_shown = |sign: &char| sign.is_alphanumeric() || !sign.escape_debug().to_string().starts_with('\\');
    name.chars().filter(is_shown).take(NAME_LEN_MAX).collect::<String>().trim().to_owned()
}

#[cfg(test)]
mod tests;
