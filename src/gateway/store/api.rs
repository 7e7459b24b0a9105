//! The guarantees of the store, as a trait.
//!
//! A message is *accepted* when its row is committed with `synchronous=FULL`. Every method that changes something returns
//! only after its own commit. The rows of the inbox go `pending → running → done | dead`, those of the outbox
//! `pending → sending → sent | dead`. A row found in `running` or `sending` at start was interrupted: it is pending again,
//! with its attempt counted, and an outbox row remembers that it may have been delivered.
//!
//! The store is also the queue: rows are not kept in memory, a caller asks for the next one of a chat. So the memory does
//! not grow with the backlog, and a start after a crash is the normal case.

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
    /// The chat that it came from.
    pub key: ChatKey,
    /// The number of turns that were begun for it, with the one for which it was handed out.
    pub attempts: u32,
    /// The time when it was accepted, milliseconds since 1970.
    pub at_ms: i64,
    /// True when we died more than once while we worked on it: its turn is not begun again.
    pub is_suspect: bool,
    /// The message of ours that shows its answer, if one is known.
    pub preview: Option<MessageId>,
    /// The message.
    pub message: InboundMessage,
}

impl InboxRow {
    /// A message that was just accepted: nothing was begun for it.
    pub fn new(id: InboxId, key: ChatKey, at_ms: i64, message: InboundMessage) -> Self {
        Self { id, key, attempts: 0, at_ms, is_suspect: false, preview: None, message }
    }
}

/// A message that waits to be sent.
#[derive(Debug, Clone, PartialEq)]
pub struct OutboxRow {
    /// Its number.
    pub id: OutboxId,
    /// The chat that it goes to, by the chat's one identity; the address itself is in the message.
    pub key: ChatKey,
    /// The number of times that its sending was begun.
    pub attempts: u32,
    /// True when an earlier try has an unknown fate: the message may have been delivered.
    pub maybe_sent: bool,
    /// The time when it entered the store, or was taken up again, in seconds since 1970.
    pub queued_at_s: i64,
    /// The wait before the next try, when only messages of unknown fate wait in this chat and this is the first to be tried
    /// again.
    pub due_in: Duration,
    /// The message.
    pub message: OutboundMessage,
}

/// The effect on other messages when one is given up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GivenUp {
    /// It cannot be sent: it becomes a dead letter, and its chat is notified with the next answer.
    Message,
    /// Its chat accepts nothing: all messages that wait for it, or come within [`TARGET_DEAD`], become dead letters with
    /// it. It ends when the chat writes.
    Chat,
    /// It has become pointless: it is dropped without a notice.
    Quietly,
}

/// The direction of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Direction {
    /// To the agent.
    In,
    /// To people.
    Out,
}

/// The id of a dead letter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LetterId {
    /// Its direction.
    pub direction: Direction,
    /// Its number in that direction.
    pub number: i64,
}

/// A message that was given up.
#[derive(Debug, Clone, PartialEq)]
pub struct Letter {
    /// Its id.
    pub id: LetterId,
    /// Its chat.
    pub key: ChatKey,
    /// The time when it was given up.
    pub since: Timestamp,
    /// The number of tries.
    pub attempts: u32,
    /// The reason why it was given up.
    pub reason: String,
    /// True when it may have been delivered all the same.
    pub maybe_sent: bool,
    /// Its text, where that was asked for.
    pub text: Option<Private>,
}

/// A selection of dead letters: those that match all that is set.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Pick {
    /// These; empty: any.
    pub ids: Vec<LetterId>,
    /// Of this platform.
    pub platform: Option<Platform>,
    /// Going this way.
    pub direction: Option<Direction>,
}

/// The outcome of an outgoing message.
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
    /// The same message was accepted before.
    Duplicate,
}

/// The next messages to be answered in a chat.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Claimed {
    /// The messages of one turn, oldest first.
    pub rows: Vec<InboxRow>,
    /// True when others wait behind them.
    pub more: bool,
}

/// One exchange of a conversation, for the agent's context.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exchange {
    /// The person's text.
    pub said: String,
    /// The answer.
    pub answered: String,
}

/// The turn and the conversation that a command has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Ended {
    /// The time for which the oldest of the messages that it ended had waited for its answer; `None`: there was none.
    pub waited: Option<Duration>,
    /// Messages of the chat that still wait.
    pub waiting: u64,
    /// The number of exchanges of the conversation that it ended; `None`: it ended none.
    pub exchanges: Option<u64>,
}

/// The number of rows that are not in a final state.
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
    /// The time since which it is paused.
    pub since: Timestamp,
}

/// The reason why the store refused an operation, which had no effect.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StoreError {
    /// The database was written by a newer program.
    #[error("the database has a newer format ({found}) than this version of hermes supports ({known})")]
    TooNew {
        /// Its version.
        found: i64,
        /// The newest version that this program knows.
        known: i64,
    },
    /// The disk is full.
    #[error("the disk is full")]
    Full,
    /// The disk failed.
    #[error("the disk failed: {0}")]
    Fault(String),
    /// The file is not a database, or is damaged.
    #[error("the database is damaged: {0}")]
    Damaged(String),
    /// The file is damaged, and too large to be read completely. Nothing is changed.
    #[error("the database is damaged and too large to recover ({0} bytes)")]
    TooLarge(u64),
    /// Something that is not a file is at the path of one of the database's files.
    #[error("{path} is {what}, where a file of the store belongs")]
    InTheWay {
        /// The path.
        path: String,
        /// The kind of thing that it is.
        what: &'static str,
    },
    /// Any other failure.
    #[error("{0}")]
    Failed(String),
}

/// The time for which the text of a message is kept once it is answered or sent. A dead letter keeps it for [`ID_KEPT`].
pub const BODY_KEPT: Duration = Duration::from_hours(7 * 24);

/// The time for which nothing is sent to a chat that accepts nothing.
pub const TARGET_DEAD: Duration = Duration::from_hours(30 * 24);

/// The time for which a message of unknown fate holds up its chat; then the next ones go, and it is tried in between.
pub const UNKNOWN_HOLDS: Duration = Duration::from_secs(60);

/// The time for which the id of a message is kept once it is final: a repeat is recognised for that long.
pub const ID_KEPT: Duration = Duration::from_hours(30 * 24);

/// The durable state of the message path.
#[async_trait]
pub trait Store: SessionStore {
    /// Inserts the message, unless the same message (platform, chat, id) is known. The two identities of a chat count as
    /// one. A command that stops what its chat waits for ends that in the same transaction: the message in its turn, or the
    /// one that is next.
    async fn accept(&self, platform: Platform, message: InboundMessage) -> Result<Accepted, StoreError>;

    /// True when the same message was accepted before.
    async fn knows(&self, platform: Platform, message: &InboundMessage) -> Result<bool, StoreError>;

    /// As [`Self::accept`], for the only task that begins turns in this chat: where nothing waits before the message, its
    /// first attempt is counted in the same commit.
    async fn begin_new(&self, platform: Platform, message: InboundMessage) -> Result<Accepted, StoreError>;

    /// Counts one more attempt, before the turn runs, of the oldest message of this chat and of those that are answered
    /// together with it, oldest first. A command comes alone and is not counted. Only the task that alone begins turns in
    /// this chat may call this. Empty: nothing waits.
    async fn claim(&self, key: &ChatKey, join: Join) -> Result<Claimed, StoreError>;

    /// The oldest message of this chat that is not in a final state; nothing is counted. `None` also where it cannot be read.
    async fn next_in(&self, key: &ChatKey) -> Result<Option<InboxRow>, StoreError>;

    /// The number of messages of this chat that are not in a final state, counted up to `count_max`.
    async fn waiting(&self, key: &ChatKey, count_max: u32) -> Result<u32, StoreError>;

    /// Chats with messages that are not in a final state, the one that waits longest first, at most `count`.
    async fn chats_in(&self, count: u32) -> Result<Vec<ChatKey>, StoreError>;

    /// The turn and conversation that the acceptance of this command has ended, and the number of messages that still wait
    /// in its chat.
    async fn ended_by(&self, id: InboxId) -> Result<Ended, StoreError>;

    /// Takes the attempt back: the gateway itself ended the turn.
    async fn release(&self, ids: Vec<InboxId>) -> Result<(), StoreError>;

    /// Takes back the attempts that are counted in this chat and were never begun. Only the task that alone begins turns in
    /// this chat may call this.
    async fn release_chat(&self, key: &ChatKey) -> Result<(), StoreError>;

    /// Counts one more attempt to carry out a command, before it is carried out, if it is open and `attempts` were counted
    /// until now. Returns true when it did; else another task began it meanwhile.
    async fn begin_order(&self, id: InboxId, attempts: u32) -> Result<bool, StoreError>;

    /// Stores the id of our message that shows the answer to this one as it grows: the answer replaces it, also over a restart.
    async fn previewed(&self, id: InboxId, preview: MessageId) -> Result<(), StoreError>;

    /// Ends a turn in one transaction: the exchange enters its conversation, which begins with it where it is new; the
    /// parts of the answer enter the outbox, the first in the place of the preview; the inbox row is done (`dead`: given
    /// up, with the reason). A row that is final already is not changed, and a part whose handle is known is not inserted
    /// again. With [`Finish::direct`] the first part is returned when it is the next to be sent.
    async fn finish(&self, id: InboxId, finish: Finish) -> Result<Option<OutboxRow>, StoreError>;

    /// The oldest message to this chat that is neither sent nor given up.
    async fn next_out(&self, key: &ChatKey) -> Result<Option<OutboxRow>, StoreError>;

    /// Chats of this platform with messages to send, the one that waits longest first, at most `count`.
    async fn chats_out(&self, platform: Platform, count: u32) -> Result<Vec<ChatKey>, StoreError>;

    /// Marks the row as being sent, before it is, and counts the attempt.
    async fn sending(&self, id: OutboxId) -> Result<(), StoreError>;

    /// Marks the row as sent under the platform's id, unless it is final already. Returns true when more may wait to be
    /// sent to its chat.
    async fn sent(&self, id: OutboxId, remote: MessageId) -> Result<bool, StoreError>;

    /// Puts the row back, as a message that replaces none: the message to be replaced no longer exists. The tries until now
    /// were edits, which do not count.
    async fn detach(&self, id: OutboxId, error: String) -> Result<(), StoreError>;

    /// Puts the row back: it is tried again. `maybe_sent` is kept.
    async fn unsent(&self, id: OutboxId, maybe_sent: bool, error: String) -> Result<(), StoreError>;

    /// Gives the row up.
    async fn bury(&self, id: OutboxId, reason: String, what: GivenUp) -> Result<(), StoreError>;

    /// Gives up some of the rows that have waited since before this moment and are not being sent. Returns their number for
    /// each platform; call again while there are some.
    async fn expire(&self, before: Timestamp) -> Result<BTreeMap<Platform, u64>, StoreError>;

    /// Dead letters, oldest first, at most a thousand for each direction. Texts are read only where they are asked for.
    async fn letters(&self, pick: Pick, with_text: bool) -> Result<Vec<Letter>, StoreError>;

    /// Puts dead letters back, as if they had never been tried. Returns the chats that have work now, one for each letter.
    async fn retry_letters(&self, pick: Pick) -> Result<Vec<ChatKey>, StoreError>;

    /// Drops dead letters for good. Returns their number.
    async fn drop_letters(&self, pick: Pick) -> Result<u64, StoreError>;

    /// The fate of the message with this handle; `None` when it is not known.
    async fn fate(&self, platform: Platform, handle: &str) -> Result<Option<Fate>, StoreError>;

    /// Puts a message that answers nothing into the outbox: a notice, in its parts; all or none. Those whose handle is
    /// known are left out.
    async fn queue(&self, key: &ChatKey, parts: Vec<OutboundMessage>) -> Result<(), StoreError>;

    /// True when we sent a message under this id: so that our own echo is recognised after a restart too.
    async fn is_ours(&self, platform: Platform, id: &MessageId) -> Result<bool, StoreError>;

    /// The number of rows that are not in a final state.
    async fn depths(&self) -> Result<Depths, StoreError>;

    /// The time since which the oldest row that is not in a final state has waited.
    async fn oldest_waiting(&self) -> Result<Option<Timestamp>, StoreError>;

    /// The platforms that an operator has paused, by name.
    async fn pauses(&self) -> Result<Vec<PauseRow>, StoreError>;

    /// Stores that this platform is (`true`) or is not paused. A repeat keeps the first date.
    async fn set_pause(&self, platform: &str, paused: bool) -> Result<(), StoreError>;

    /// Deletes some of the rows that are final and old: texts after [`BODY_KEPT`], whole rows after [`ID_KEPT`]. Returns
    /// true when there is more; call again then.
    async fn prune(&self) -> Result<bool, StoreError>;
}

/// The end of a turn.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Finish {
    /// The conversation that the turn belonged to; `None`: to none.
    pub belongs: Option<Belongs>,
    /// The exchange for its transcript; `None` for notices.
    pub exchange: Option<Exchange>,
    /// The parts of the answer, in order.
    pub replies: Vec<OutboundMessage>,
    /// The reason why it was given up, when it was.
    pub dead: Option<String>,
    /// True when the caller sends the first part at once, unless a message waits in its chat: the part enters the outbox as
    /// `sending`, which saves a commit. Only the holder of the chat's place in the outbox may set this.
    pub direct: bool,
    /// Messages that were answered together with it.
    pub with: Vec<InboxId>,
    /// The platform that a command pauses as soon as its answer is sent. It is paused from the next start on at the latest.
    pub pause: Option<String>,
}

pub mod admissions;
pub mod contacts;
pub mod sessions;
