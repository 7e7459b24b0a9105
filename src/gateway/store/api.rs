//! What the store promises.
//!
//! A message is *accepted* when its row is committed with `synchronous=FULL`. Every method that changes something returns
//! only after its own commit. The rows of the inbox go `pending → running → done | dead`, those of the outbox
//! `pending → sending → sent | dead`. A row found in `running` or `sending` at start was interrupted: it is pending again,
//! with its attempt counted, and an outbox row remembers that it may have been delivered.
//!
//! The store is also the queue: nobody keeps rows in memory, one asks for the next of a chat. So the memory does not
//! grow with the backlog, and a start after a crash is no special case.

use std::collections::BTreeMap;
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;

use crate::gateway::inbound::join::Join;
use crate::gateway::model::message::{ChatKey, InboundMessage, InboxId, MessageId, OutboundMessage};
use crate::gateway::store::api::sessions::{Belongs, SessionStore};
use crate::platforms::Platform;
use crate::sensitive::Private;

/// A row of the outbox; ascending in the order of sending.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OutboxId(pub i64);

/// A message that waits for its turn.
#[derive(Debug, Clone, PartialEq)]
pub struct InboxRow {
    /// Its number, ascending in the order of acceptance.
    pub id: InboxId,
    /// Where it came from.
    pub key: ChatKey,
    /// How many turns were begun for it, with the one for which it was handed out.
    pub attempts: u32,
    /// When it was accepted, milliseconds since 1970.
    pub at_ms: i64,
    /// We died more than once while we worked on it: its turn is not begun again.
    pub is_suspect: bool,
    /// The message of ours that shows its answer, as far as that was known.
    pub preview: Option<MessageId>,
    /// The message.
    pub message: InboundMessage,
}

impl InboxRow {
    /// One that was just accepted: nothing was begun for it.
    pub fn new(id: InboxId, key: ChatKey, at_ms: i64, message: InboundMessage) -> Self {
        Self { id, key, attempts: 0, at_ms, is_suspect: false, preview: None, message }
    }
}

/// A message that waits to be sent.
#[derive(Debug, Clone, PartialEq)]
pub struct OutboxRow {
    /// Its number.
    pub id: OutboxId,
    /// Whom to, by the chat's one identity; the address itself is in the message.
    pub key: ChatKey,
    /// How often its sending was begun.
    pub attempts: u32,
    /// An earlier try has an unknown fate: it may have been delivered.
    pub maybe_sent: bool,
    /// When it entered the store, or was taken up again, in seconds since 1970.
    pub queued_at_s: i64,
    /// Nothing but messages of unknown fate waits in this chat, and this is the first to be tried again, after this time.
    pub due_in: Duration,
    /// The message.
    pub message: OutboundMessage,
}

/// Why a message is given up, as far as others are concerned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GivenUp {
    /// It cannot be sent: it becomes a dead letter, and its chat is told with the next answer.
    Message,
    /// Its chat takes nothing: whatever waits for it, or comes within [`TARGET_DEAD`], becomes a dead letter with it. Until
    /// the chat speaks.
    Chat,
    /// It has lost its sense, and nobody misses it.
    Quietly,
}

/// Which way a message was going.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Direction {
    /// To the agent.
    In,
    /// To people.
    Out,
}

/// The name of a dead letter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LetterId {
    /// Which way it was going.
    pub direction: Direction,
    /// Its number there.
    pub number: i64,
}

/// A message that was given up.
#[derive(Debug, Clone, PartialEq)]
pub struct Letter {
    /// Its name.
    pub id: LetterId,
    /// Its chat.
    pub key: ChatKey,
    /// When it was given up.
    pub since: Timestamp,
    /// How often it was tried.
    pub attempts: u32,
    /// Why it was given up.
    pub reason: String,
    /// It may have been delivered all the same.
    pub maybe_sent: bool,
    /// What it says, where that was asked for.
    pub text: Option<Private>,
}

/// Some dead letters: those that fit all that is set.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Pick {
    /// These; empty: any.
    pub ids: Vec<LetterId>,
    /// Of this platform.
    pub platform: Option<Platform>,
    /// Going this way.
    pub direction: Option<Direction>,
}

/// What became of a message on its way out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fate {
    /// It is not yet known.
    Waiting,
    /// The platform has it.
    Sent,
    /// It was given up, for this reason.
    Dead(String),
}

/// A message that entered the store, or was there before.
#[derive(Debug, Clone, PartialEq)]
pub enum Accepted {
    /// New.
    New(InboxId),
    /// New, and the first attempt is counted: its turn can begin.
    Begun(Box<InboxRow>),
    /// This very message was accepted before.
    Duplicate,
}

/// What is answered next in a chat.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Claimed {
    /// The messages of one turn, oldest first.
    pub rows: Vec<InboxRow>,
    /// Others wait behind them.
    pub more: bool,
}

/// One exchange of a conversation, for the agent's context.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exchange {
    /// What the person said.
    pub said: String,
    /// What was answered.
    pub answered: String,
}

/// What a command has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Ended {
    /// Since when the oldest of the messages that it ended had waited for its answer; `None`: there was none.
    pub waited: Option<Duration>,
    /// Messages of the chat that still wait.
    pub waiting: u64,
    /// How many exchanges the conversation had that it ended; `None`: it ended none.
    pub exchanges: Option<u64>,
}

/// How many rows are not in a final state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Depths {
    /// Waiting for a turn, or in one.
    pub inbox: u64,
    /// Waiting to be sent, or being sent.
    pub outbox: u64,
    /// Given up.
    pub dead: u64,
}

/// A platform that an operator has paused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PauseRow {
    /// The name of the account, as in the status file.
    pub platform: String,
    /// Since when.
    pub since: Timestamp,
}

/// Why the store did not do it. The operation had no effect.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StoreError {
    /// The database is of a newer program.
    #[error("the database has a newer format ({found}) than this version of hermes supports ({known})")]
    TooNew {
        /// Its version.
        found: i64,
        /// The newest this program knows.
        known: i64,
    },
    /// The disk is full.
    #[error("the disk is full")]
    Full,
    /// The disk failed.
    #[error("the disk failed: {0}")]
    Fault(String),
    /// The file is no database, or is damaged.
    #[error("the database is damaged: {0}")]
    Damaged(String),
    /// The file is damaged, and too large to be read through. Nothing is changed.
    #[error("the database is damaged and too large to recover ({0} bytes)")]
    TooLarge(u64),
    /// Something that is not a file stands where one of the database's belongs.
    #[error("{path} is {what}, where a file of the store belongs")]
    InTheWay {
        /// Where.
        path: String,
        /// What it is.
        what: &'static str,
    },
    /// Anything else.
    #[error("{0}")]
    Failed(String),
}

/// How long the text of a message is kept once it is answered or sent. A dead letter keeps it for [`ID_KEPT`].
pub const BODY_KEPT: Duration = Duration::from_hours(7 * 24);

/// How long nothing is sent to a chat that takes nothing.
pub const TARGET_DEAD: Duration = Duration::from_hours(30 * 24);

/// A message of unknown fate holds up its chat for so long; then the next ones go, and it is tried beside them.
pub const UNKNOWN_HOLDS: Duration = Duration::from_secs(60);

/// How long the id of a message is kept once it is final: so long is a repeat recognised.
pub const ID_KEPT: Duration = Duration::from_hours(30 * 24);

/// The durable heart of the message path.
#[async_trait]
pub trait Store: SessionStore {
    /// Inserts the message, unless this very message (platform, chat, id) is known. The two identities of a chat count
    /// as one. A command that stops what its chat waits for ends that in the same transaction: the message in its turn, or
    /// the one that is next.
    async fn accept(&self, platform: Platform, message: InboundMessage) -> Result<Accepted, StoreError>;

    /// True when this very message was accepted before.
    async fn knows(&self, platform: Platform, message: &InboundMessage) -> Result<bool, StoreError>;

    /// As [`Self::accept`], by whoever alone begins turns in this chat: where nothing waits before the message, its first
    /// attempt is counted in the same commit.
    async fn begin_new(&self, platform: Platform, message: InboundMessage) -> Result<Accepted, StoreError>;

    /// Counts one more attempt, before the turn runs, of the oldest message of this chat and of those that are answered
    /// together with it, oldest first. A command comes alone and is not counted. Only whoever alone begins turns in this
    /// chat may ask. Empty: nothing waits.
    async fn claim(&self, key: &ChatKey, join: Join) -> Result<Claimed, StoreError>;

    /// The oldest message of this chat that is not in a final state; nothing is counted. `None` also where it cannot be read.
    async fn next_in(&self, key: &ChatKey) -> Result<Option<InboxRow>, StoreError>;

    /// How many messages of this chat are not in a final state, counted up to `count_max`.
    async fn waiting(&self, key: &ChatKey, count_max: u32) -> Result<u32, StoreError>;

    /// Chats with messages that are not in a final state, the one that waits longest first, at most `count`.
    async fn chats_in(&self, count: u32) -> Result<Vec<ChatKey>, StoreError>;

    /// What the acceptance of this command has ended, and what still waits in its chat.
    async fn ended_by(&self, id: InboxId) -> Result<Ended, StoreError>;

    /// Takes the attempt back: it was we who ended the turn.
    async fn release(&self, ids: Vec<InboxId>) -> Result<(), StoreError>;

    /// Takes the attempts back that are counted in this chat and were never begun. Only whoever alone begins turns in this
    /// chat may ask.
    async fn release_chat(&self, key: &ChatKey) -> Result<(), StoreError>;

    /// Counts one more attempt to carry out a command, before it is, if it is open and `attempts` were counted until now.
    /// Returns whether it was: else somebody else began it meanwhile.
    async fn begin_order(&self, id: InboxId, attempts: u32) -> Result<bool, StoreError>;

    /// Remembers the message of ours that shows the answer to this one as it grows: the answer takes its place, also over a
    /// restart.
    async fn previewed(&self, id: InboxId, preview: MessageId) -> Result<(), StoreError>;

    /// In one transaction: the exchange enters its conversation, which begins with it where it is new; the parts of the
    /// answer enter the outbox, the first in the place of what showed the answer as it grew; the inbox row is done (`dead`: given
    /// up, with the reason). Nothing happens to a row that is final already, and a part whose handle is known is not inserted
    /// again. With [`Finish::direct`] the first part is returned when it is the next to be sent.
    async fn finish(&self, id: InboxId, finish: Finish) -> Result<Option<OutboxRow>, StoreError>;

    /// The oldest message to this chat that is neither sent nor given up.
    async fn next_out(&self, key: &ChatKey) -> Result<Option<OutboxRow>, StoreError>;

    /// Chats of this platform with messages to send, the one that waits longest first, at most `count`.
    async fn chats_out(&self, platform: Platform, count: u32) -> Result<Vec<ChatKey>, StoreError>;

    /// Marks the row as being sent, before it is, and counts the attempt.
    async fn sending(&self, id: OutboxId) -> Result<(), StoreError>;

    /// Marks the row as sent under the platform's id, unless it is final already. Returns whether more may wait to be sent to
    /// its chat.
    async fn sent(&self, id: OutboxId, remote: MessageId) -> Result<bool, StoreError>;

    /// Puts the row back, as a message that replaces none: there is nothing any more in whose place it could be put. What was
    /// tried until now were changes, which are not counted for it.
    async fn detach(&self, id: OutboxId, error: String) -> Result<(), StoreError>;

    /// Puts the row back: it is tried again. `maybe_sent` is remembered.
    async fn unsent(&self, id: OutboxId, maybe_sent: bool, error: String) -> Result<(), StoreError>;

    /// Gives the row up.
    async fn bury(&self, id: OutboxId, reason: String, what: GivenUp) -> Result<(), StoreError>;

    /// Gives up a little of what waits since before this moment and is not being sent. Returns how many on each platform; call
    /// again while there are some.
    async fn expire(&self, before: Timestamp) -> Result<BTreeMap<Platform, u64>, StoreError>;

    /// Dead letters, oldest first, at most a thousand for each direction. Texts are read only where they are asked for.
    async fn letters(&self, pick: Pick, with_text: bool) -> Result<Vec<Letter>, StoreError>;

    /// Puts dead letters back, as if they had never been tried. Returns the chats that have work now, one for each letter.
    async fn retry_letters(&self, pick: Pick) -> Result<Vec<ChatKey>, StoreError>;

    /// Forgets dead letters for good. Returns how many.
    async fn drop_letters(&self, pick: Pick) -> Result<u64, StoreError>;

    /// What became of the message with this handle; `None` when it is not known.
    async fn fate(&self, platform: Platform, handle: &str) -> Result<Option<Fate>, StoreError>;

    /// Puts something that answers nothing into the outbox: a notice, in its parts; all or none. Those whose handle is known
    /// are left out.
    async fn queue(&self, key: &ChatKey, parts: Vec<OutboundMessage>) -> Result<(), StoreError>;

    /// True when we sent a message under this id: so that our own echo is recognised after a restart too.
    async fn is_ours(&self, platform: Platform, id: &MessageId) -> Result<bool, StoreError>;

    /// How many rows are not in a final state.
    async fn depths(&self) -> Result<Depths, StoreError>;

    /// Since when the oldest row that is not in a final state has waited.
    async fn oldest_waiting(&self) -> Result<Option<Timestamp>, StoreError>;

    /// The platforms that an operator has paused, by name.
    async fn pauses(&self) -> Result<Vec<PauseRow>, StoreError>;

    /// Remembers until the next word that this platform is (`true`) or is not paused. A repeat keeps the first date.
    async fn set_pause(&self, platform: &str, paused: bool) -> Result<(), StoreError>;

    /// Forgets a little of what is final and old: texts after [`BODY_KEPT`], whole rows after [`ID_KEPT`]. Returns whether
    /// there is more; call again then.
    async fn prune(&self) -> Result<bool, StoreError>;
}

/// How a turn ended.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Finish {
    /// The conversation that the turn belonged to; `None`: to none.
    pub belongs: Option<Belongs>,
    /// What enters its transcript; `None` for notices.
    pub exchange: Option<Exchange>,
    /// The parts of the answer, in order.
    pub replies: Vec<OutboundMessage>,
    /// Why it was given up, when it was.
    pub dead: Option<String>,
    /// Whoever finishes sends the first part at once, unless something waits in its chat: it enters the outbox as `sending`,
    /// which saves a commit. Only the holder of the chat's place in the outbox may say so.
    pub direct: bool,
    /// Messages that were answered together with it.
    pub with: Vec<InboxId>,
    /// The platform that a command pauses as soon as its answer is sent. It is paused from the next start on at the latest.
    pub pause: Option<String>,
}

pub mod admissions;
pub mod contacts;
pub mod sessions;
