//! Pure. Joining: which messages of a chat are answered together, as parts of one utterance of one person.
//!
//! The parts of an album belong together, however far apart they came.
//!
//! A command is never joined, and neither is a message whose turn was once cut off by a crash: if one of them causes the
//! crash, it must not take its neighbours with it.

use std::time::Duration;

use crate::gateway::model::message::InboundMessage;
use crate::gateway::model::message::InboxId;
use crate::platforms::Platform;
use crate::sensitive::Private;

/// Number of waiting messages beyond which all of a chat are answered together, however far apart they came.
pub const WAITING_MAX: u32 = 64;

/// Most messages in one turn.
const MESSAGES_MAX: usize = 256;

/// Most text in one turn, in bytes. A longer message is a turn by itself.
const TEXT_LEN_MAX: usize = 32 << 10;

/// Most attachments in one turn.
const ATTACHMENTS_MAX: usize = 16;

/// The limits of joining.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Join {
    /// The longest pause between two messages that belong together; zero: none do.
    pub window: Duration,
    /// Join however long the pause was.
    pub all: bool,
    /// A message that is left out; those behind it go first.
    pub aside: Option<InboxId>,
}

/// The decision about the next message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It joins those before it.
    Joined,
    /// It joins only where all that waits is answered together.
    TooLate,
    /// It does not join.
    Apart,
}

/// A message, and the number of its earlier turns.
#[derive(Debug, Clone, Copy)]
pub struct Candidate<'a> {
    /// Its platform.
    pub platform: Platform,
    /// The message.
    pub message: &'a InboundMessage,
    /// Time of acceptance, in milliseconds since 1970.
    pub at_ms: i64,
    /// Number of turns begun for it.
    pub attempts: u32,
}

/// The messages of one turn, while they are gathered.
#[derive(Debug, Default)]
pub struct Gathering {
    messages: usize,
    text_len: usize,
    attachments: usize,
    newest_at_ms: i64,
    /// The album of the newest message.
    album: Option<String>,
    closed: bool,
}

impl Gathering {
    /// Begins with the first message, of whatever kind; one that is not to be joined stays alone.
    pub fn of(first: Candidate<'_>) -> Self {
        let mut gathering = Self::default();
        gathering.add(first);
        gathering
    }

    /// Decides about the next message of the chat, and counts it if it belongs to `first` and those that followed.
    pub fn take(&mut self, first: &InboundMessage, next: Candidate<'_>, join: Join) -> Verdict {
        let message = next.message;
        let fits = self.messages < MESSAGES_MAX
            && self.text_len + message.text.0.len() <= TEXT_LEN_MAX
            && self.attachments + message.attachments.len() <= ATTACHMENTS_MAX;
        let is_part = message.album.is_some() && message.album == self.album;
        let answers = message.quoted.is_some() && !is_part;
        if self.closed || !fits || !is_joinable(next) || answers || !is_same(next.platform, first, message) {
            return Verdict::Apart;
        }
        // A clock that was set in between says nothing.
        let pause = self.pause(next.at_ms);
        if !is_part && !join.all && (join.window.is_zero() || pause > join.window) {
            return Verdict::TooLate;
        }
        self.add(next);
        Verdict::Joined
    }

    /// The pause between the newest message and one of this time, in milliseconds since 1970.
    pub fn pause(&self, at_ms: i64) -> Duration {
        Duration::from_millis(at_ms.abs_diff(self.newest_at_ms))
    }

    /// Counts a message that belongs to it.
    pub fn add(&mut self, next: Candidate<'_>) {
        self.closed |= !is_joinable(next);
        self.messages += 1;
        self.text_len += next.message.text.0.len();
        self.attachments += next.message.attachments.len();
        self.newest_at_ms = next.at_ms;
        self.album.clone_from(&next.message.album);
    }
}

fn is_joinable(candidate: Candidate<'_>) -> bool {
    candidate.attempts == 0 && !candidate.message.is_command()
}

fn is_same(platform: Platform, first: &InboundMessage, next: &InboundMessage) -> bool {
    let ids = |message: &InboundMessage| [Some(message.sender.clone()), message.sender_alt.clone()];
    let mut pairs = ids(first)
        .into_iter()
        .flatten()
        .flat_map(|one| ids(next).into_iter().flatten().map(move |other| (one.clone(), other)));
    first.from_me == next.from_me && pairs.any(|(one, other)| platform.spec().ids.same(&one.0, &other.0))
}

/// Returns the messages as one: the newest, with the text and attachments of all. `None` of none.
pub fn merged(messages: Vec<InboundMessage>) -> Option<InboundMessage> {
    let mut messages = messages.into_iter();
    let first = messages.next()?;
    Some(messages.fold(first, |before, next| {
        let mut text = before.text.0;
        if !text.trim().is_empty() && !next.text.0.trim().is_empty() {
            text.push('\n');
        }
        text.push_str(&next.text.0);
        let mut attachments = before.attachments;
        attachments.extend(next.attachments);
        InboundMessage {
            text: Private(text),
            attachments,
            cut_from: before.cut_from.or(next.cut_from),
            quoted: before.quoted.or(next.quoted),
            addressed: before.addressed || next.addressed,
            forwarded: before.forwarded && next.forwarded,
            ..next
        }
    }))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::gateway::model::message::testing::message;
    use crate::gateway::model::message::{Attachment, UserId};

    const CHAT: &str = "15550101@s.whatsapp.net";
    const WINDOW: Join = Join { window: Duration::from_millis(600), all: false, aside: None };
    const ALL: Join = Join { window: Duration::ZERO, all: true, aside: None };

    fn text(text: &str) -> InboundMessage {
        message("A", CHAT, text)
    }

    fn at(message: &InboundMessage, at_ms: i64) -> Candidate<'_> {
        Candidate { platform: Platform::Whatsapp, message, at_ms, attempts: 0 }
    }

    fn verdict(first: &InboundMessage, next: &InboundMessage, pause_ms: i64, join: Join) -> Verdict {
        Gathering::of(at(first, 0)).take(first, at(next, pause_ms), join)
    }

    #[test]
    fn ids_are_compared_by_the_rules_of_their_platform() {
        let (one, other) = (message("A", "12345:a", "a"), message("B", "12345:b", "b"));
        let scripted = Platform::scripted(1).unwrap();
        for (platform, expected) in [(Platform::Whatsapp, Verdict::Joined), (scripted, Verdict::Apart)] {
            let next = Candidate { platform, ..at(&other, 0) };
            assert_eq!(Gathering::of(at(&one, 0)).take(&one, next, ALL), expected, "{platform}");
        }
    }

    #[test]
    fn what_one_person_writes_in_one_go_is_joined() {
        let (first, next) = (text("one"), text("two"));
        assert_eq!(verdict(&first, &next, 600, WINDOW), Verdict::Joined);
        assert_eq!(verdict(&first, &next, 601, WINDOW), Verdict::TooLate);
        assert_eq!(verdict(&first, &next, 60_000, ALL), Verdict::Joined);
        assert_eq!(verdict(&first, &next, 0, Join::default()), Verdict::TooLate, "off is off");
        let mut other = text("two");
        other.sender = UserId("15550102@s.whatsapp.net".into());
        assert_eq!(verdict(&first, &other, 0, ALL), Verdict::Apart);
        other.sender_alt = Some(first.sender.clone());
        assert_eq!(verdict(&first, &other, 0, WINDOW), Verdict::Joined, "the same person by the other name");
    }

    #[test]
    fn commands_answers_to_others_and_what_crashed_stay_alone() {
        let plain = text("one");
        for command in ["/help", " /new ", "/anything of the agent's"] {
            assert_eq!(verdict(&plain, &text(command), 0, ALL), Verdict::Apart);
            assert_eq!(verdict(&text(command), &plain, 0, ALL), Verdict::Apart);
        }
        let mut quoting = text("two");
        quoting.quoted = Some(Private("what you said".into()));
        assert_eq!(verdict(&plain, &quoting, 0, ALL), Verdict::Apart);
        assert_eq!(verdict(&quoting, &plain, 0, WINDOW), Verdict::Joined);
        let crashed = Candidate { attempts: 1, ..at(&plain, 0) };
        assert_eq!(Gathering::of(crashed).take(&plain, at(&plain, 0), ALL), Verdict::Apart);
        assert_eq!(Gathering::of(at(&plain, 0)).take(&plain, crashed, ALL), Verdict::Apart);
    }

    #[test]
    fn the_parts_of_an_album_are_joined_however_far_apart_and_others_are_not() {
        let part = |album: &str| InboundMessage { album: Some(album.into()), ..text("") };
        let (one, other) = (part("1"), part("2"));
        assert_eq!(verdict(&one, &part("1"), 60_000, Join::default()), Verdict::Joined);
        assert_eq!(verdict(&one, &other, 60_000, Join::default()), Verdict::TooLate);
        assert_eq!(verdict(&text("look"), &one, 60_000, WINDOW), Verdict::TooLate);
        let answering = InboundMessage { quoted: Some(Private("which?".into())), ..part("1") };
        assert_eq!(verdict(&answering, &answering, 60_000, WINDOW), Verdict::Joined);
    }

    #[test]
    fn the_pause_counts_from_the_newest() {
        let (a, b, c) = (text("a"), text("b"), text("c"));
        let mut gathering = Gathering::of(at(&a, 0));
        assert_eq!(gathering.take(&a, at(&b, 500), WINDOW), Verdict::Joined);
        assert_eq!(gathering.take(&a, at(&c, 1000), WINDOW), Verdict::Joined);
        assert_eq!(gathering.take(&a, at(&c, 1700), WINDOW), Verdict::TooLate);
    }

    #[test]
    fn joined_they_are_the_newest_with_everything() {
        let mut photo = message("B", CHAT, "");
        photo.attachments.push(Attachment {
            kind: "image".into(),
            path: None,
            mime: None,
            file_name: None,
            error: None,
        });
        let mut first = text("look");
        first.quoted = Some(Private("which?".into()));
        let joined = merged(vec![first, photo, message("C", CHAT, "nice?")]).unwrap();
        assert_eq!((joined.id.0.as_str(), joined.text.0.as_str()), ("C", "look\nnice?"));
        assert_eq!((joined.attachments.len(), joined.quoted.is_some()), (1, true));
        assert_eq!(merged(Vec::new()), None);
        let mut passed_on = text("/new");
        passed_on.mark_forwarded("forwarded");
        assert_eq!(verdict(&text("see"), &passed_on, 0, WINDOW), Verdict::Joined, "not a command");
        let both = |first: &InboundMessage| merged(vec![first.clone(), passed_on.clone()]).unwrap().forwarded;
        assert!(both(&passed_on) && !both(&text("see")));
    }

    proptest! {
        #[test]
        fn a_turn_has_a_bound_and_loses_nothing(lens in proptest::collection::vec(0_usize..4000, 1..400)) {
            let messages: Vec<_> = lens.iter().map(|len| text(&"x".repeat(*len))).collect();
            let mut gathering = Gathering::of(at(&messages[0], 0));
            let rest = messages[1..].iter();
            let taken =
                1 + rest.take_while(|next| gathering.take(&messages[0], at(next, 0), ALL) == Verdict::Joined).count();
            prop_assert!(taken <= MESSAGES_MAX);
            let joined = merged(messages[..taken].to_vec()).unwrap();
            let said: usize = lens[..taken].iter().sum();
            prop_assert_eq!(joined.text.0.matches('x').count(), said);
            prop_assert!(said <= TEXT_LEN_MAX);
        }
    }
}
