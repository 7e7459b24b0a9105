//! One live connection: requests matched to their answers, and its end with the reason.

use std::collections::{HashMap, VecDeque};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use tokio::sync::{mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use crate::bridge::protocol::{Command, QuotedRef, Send, SendCertainty, SendFailed};
use crate::clock::Now;
use crate::gateway::model::adapter::{Inbox, Link};
use crate::gateway::model::failure::{AdapterError, Certainty, Retry, Scope, SendError};
use crate::gateway::model::message::{ChatId, InboundMessage, MessageId, OutboundMessage};
use crate::gateway::platforms::media;
use crate::gateway::platforms::whatsapp::pump::{self, Bridge, Judge, Pump};
use crate::pairing::Me;
use crate::sensitive::Private;

/// Limit for the bridge to take a command.
const COMMAND_LIMIT: Duration = Duration::from_secs(10);

/// Limit for WhatsApp to acknowledge a message; the bridge's own limit is shorter.
const SEND_LIMIT: Duration = Duration::from_secs(75);

/// Limit for an attachment.
const DOWNLOAD_LIMIT: Duration = Duration::from_secs(60);

/// Limit for closing; the pump ends the process well before.
const CLOSE_LIMIT: Duration = Duration::from_secs(5);

/// Messages of groups that can be quoted, and the length of each in characters.
const QUOTABLE_MAX: usize = 256;
/// See [`QUOTABLE_MAX`].
const QUOTABLE_CHARS_MAX: usize = 200;

/// The bridge's codes for a recipient that does not exist.
const NOBODY: [&str; 2] = ["not_on_whatsapp", "unknown_recipient"];

/// The phase of a connection.
#[derive(Debug, Clone, PartialEq)]
pub enum Phase {
    /// The bridge runs, and WhatsApp has not said that it is ready.
    Opening,
    /// Logged in and ready.
    Open,
    /// Ended, with the cause.
    Ended(AdapterError),
}

/// An answer of the bridge.
#[derive(Debug)]
pub enum Answer {
    /// The server has the message.
    Sent {
        /// Its id.
        message_id: String,
    },
    /// It was refused, or its fate is unknown.
    SendFailed(SendFailed),
    /// The attachment is on disk.
    Downloaded {
        /// Its path.
        path: PathBuf,
        /// Its MIME type.
        mime: Option<String>,
    },
    /// The attachment could not be fetched.
    DownloadFailed {
        /// The cause.
        code: String,
    },
}

/// The common state of the link, its pump and the tasks that hand messages over.
#[derive(Debug)]
pub struct Shared {
    commands: mpsc::Sender<Command>,
    waiting: Mutex<HashMap<String, oneshot::Sender<Answer>>>,
    proof: Mutex<Instant>,
    phase: watch::Sender<Phase>,
    quotable: Mutex<VecDeque<(ChatId, QuotedRef)>>,
    media_dir: PathBuf,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Removes the request from the list when its asker is gone.
struct Asked<'a> {
    shared: &'a Shared,
    id: String,
    answer: oneshot::Receiver<Answer>,
}

impl Drop for Asked<'_> {
    fn drop(&mut self) {
        locked(&self.shared.waiting).remove(&self.id);
    }
}

impl Shared {
    /// Makes the state for a bridge that takes these commands, and puts attachments there.
    pub fn new(commands: mpsc::Sender<Command>, media_dir: PathBuf) -> Self {
        Self {
            commands,
            waiting: Mutex::new(HashMap::new()),
            proof: Mutex::new(Now::read().mono),
            phase: watch::Sender::new(Phase::Opening),
            media_dir,
            quotable: Mutex::new(VecDeque::new()),
        }
    }

    /// Records an answer of WhatsApp.
    pub fn prove(&self) {
        *locked(&self.proof) = Now::read().mono;
    }

    /// Records that WhatsApp is ready.
    pub fn open(&self) {
        self.prove();
        self.phase.send_if_modified(|phase| {
            let opens = *phase == Phase::Opening;
            if opens {
                *phase = Phase::Open;
            }
            opens
        });
    }

    /// Ends the connection. Only the first reason counts. Requests that wait for an answer fail.
    pub fn end(&self, error: AdapterError) {
        self.phase.send_if_modified(|phase| {
            let ends = !matches!(phase, Phase::Ended(_));
            if ends {
                *phase = Phase::Ended(error);
            }
            ends
        });
        locked(&self.waiting).clear();
    }

    /// Waits until it is open, or over.
    pub async fn opened(&self) -> Result<(), AdapterError> {
        let mut phase = self.phase.subscribe();
        let phase = phase.wait_for(|phase| *phase != Phase::Opening).await.expect("the sender lives in self");
        match &*phase {
            Phase::Opening | Phase::Open => Ok(()),
            Phase::Ended(error) => Err(error.clone()),
        }
    }

    async fn ended(&self) -> AdapterError {
        let mut phase = self.phase.subscribe();
        loop {
            if let Phase::Ended(error) = &*phase.borrow_and_update() {
                return error.clone();
            }
            phase.changed().await.expect("the sender lives in self");
        }
    }

    /// Hands an answer to its request; one without a waiting request is dropped.
    pub fn answer(&self, id: &str, answer: Answer) {
        if let Some(asker) = locked(&self.waiting).remove(id) {
            drop(asker.send(answer));
        }
    }

    /// Gives the bridge a command. Returns false when it did not take it.
    pub async fn command(&self, command: Command) -> bool {
        matches!(tokio::time::timeout(COMMAND_LIMIT, self.commands.send(command)).await, Ok(Ok(())))
    }

    fn ask(&self, id: String) -> Asked<'_> {
        let (asker, answer) = oneshot::channel();
        locked(&self.waiting).insert(id.clone(), asker);
        Asked { shared: self, id, answer }
    }

    /// Fetches the attachment of an unacknowledged message.
    ///
    /// # Errors
    /// A code for [`super::translate::download_error`].
    pub async fn download(&self, seq: u64) -> Result<(PathBuf, Option<String>), String> {
        let mut asked = self.ask(format!("download-{seq}"));
        if !self.command(Command::Download { id: asked.id.clone(), seq }).await {
            return Err("network".to_owned());
        }
        match tokio::time::timeout(DOWNLOAD_LIMIT, &mut asked.answer).await {
            Ok(Ok(Answer::Downloaded { path, mime })) => match media::within(&self.media_dir, &path) {
                Ok(path) => Ok((path, mime)),
                Err(why) => {
                    tracing::error!(
                        code = "media_misplaced",
                        "an attachment is outside the attachments folder: {why}"
                    );
                    Err("misplaced".to_owned())
                }
            },
            Ok(Ok(Answer::DownloadFailed { code })) => Err(code),
            Ok(Ok(Answer::Sent { .. } | Answer::SendFailed(_)) | Err(_)) => Err("network".to_owned()),
            Err(_) => Err("timeout".to_owned()),
        }
    }

    async fn send(&self, message: &OutboundMessage) -> Result<MessageId, SendError> {
        if matches!(*self.phase.borrow(), Phase::Ended(_)) {
            return Err(not_sent("not_connected", "WhatsApp is not connected"));
        }
        let mut asked = self.ask(message.handle.clone());
        let command = Command::Send(Send {
            id: message.handle.clone(),
            chat: message.chat.0.clone(),
            // The handle has the form of WhatsApp's own ids, so that a repeat is the same message to the recipient.
            message_id: message.handle.clone(),
            text: message.text.clone(),
            quoted: message.reply_to.as_ref().and_then(|id| self.quoted(&message.chat, id)),
        });
        if !self.command(command).await {
            return Err(not_sent("bridge_busy", "the bridge did not accept the message"));
        }
        match tokio::time::timeout(SEND_LIMIT, &mut asked.answer).await {
            Ok(Ok(Answer::Sent { message_id })) => Ok(MessageId(message_id)),
            Ok(Ok(Answer::SendFailed(failed))) => Err(SendError {
                message: failed.message,
                certainty: match failed.certainty {
                    SendCertainty::NotSent => Certainty::NotSent,
                    SendCertainty::MaybeSent => Certainty::MaybeSent,
                },
                retry: if failed.permanent { Retry::Never } else { Retry::Backoff },
                // The bridge's codes for a recipient that does not exist.
                scope: if NOBODY.contains(&failed.code.as_str()) { Scope::Chat } else { Scope::Message },
                code: failed.code,
            }),
            Ok(Ok(Answer::Downloaded { .. } | Answer::DownloadFailed { .. }) | Err(_)) => Err(maybe_sent(
                "connection_lost",
                "the connection closed before WhatsApp acknowledged the message",
            )),
            Err(_) => Err(maybe_sent("timeout", "WhatsApp did not acknowledge the message in time")),
        }
    }

    /// Remembers a message of a group: in a direct chat quoting is not needed.
    pub fn remember(&self, message: &InboundMessage) {
        if !message.is_group {
            return;
        }
        let quote = QuotedRef {
            // WhatsApp knows a changed message by its first id.
            id: message.id.original().unwrap_or_else(|| message.id.clone()).0,
            participant: Some(message.sender.0.clone()),
            from_me: message.from_me,
            text: Private(message.text.0.chars().take(QUOTABLE_CHARS_MAX).collect()),
        };
        let mut quotable = locked(&self.quotable);
        if quotable.len() >= QUOTABLE_MAX {
            quotable.pop_front();
        }
        quotable.push_back((message.chat.clone(), quote));
    }

    fn quoted(&self, chat: &ChatId, id: &MessageId) -> Option<QuotedRef> {
        let quotable = locked(&self.quotable);
        let id = id.original().unwrap_or_else(|| id.clone());
        quotable
            .iter()
            .rev()
            .find(|(of, quote)| of == chat && quote.id == id.0)
            .map(|(_, quote)| quote.clone())
    }
}

fn not_sent(code: &str, message: &str) -> SendError {
    SendError {
        code: code.to_owned(),
        message: message.to_owned(),
        certainty: Certainty::NotSent,
        retry: Retry::Backoff,
        scope: Scope::Message,
    }
}

fn maybe_sent(code: &str, message: &str) -> SendError {
    SendError { certainty: Certainty::MaybeSent, ..not_sent(code, message) }
}

/// One live connection to WhatsApp. Dropping it ends the bridge.
#[derive(Debug)]
pub struct WhatsAppLink {
    shared: Arc<Shared>,
    stop: CancellationToken,
    _pump: AbortOnDropHandle<()>,
}

impl WhatsAppLink {
    /// Takes a bridge that was just started.
    pub fn start(
        bridge: Box<dyn Bridge>,
        media_dir: PathBuf,
        me: Me,
        inbox: Arc<dyn Inbox>,
        judge: Arc<dyn Judge>,
    ) -> Self {
        let shared = Arc::new(Shared::new(bridge.commands(), media_dir));
        let stop = CancellationToken::new();
        let pump = Pump::new(bridge, me, inbox, judge, Arc::clone(&shared));
        let task = tokio::spawn(pump::run(pump, stop.clone()));
        Self { shared, stop, _pump: AbortOnDropHandle::new(task) }
    }

    /// Waits until WhatsApp has said that it is ready.
    ///
    /// # Errors
    /// The cause of an end before that.
    pub async fn opened(&self) -> Result<(), AdapterError> {
        self.shared.opened().await
    }
}

#[async_trait]
impl Link for WhatsAppLink {
    async fn send(&self, message: &OutboundMessage) -> Result<MessageId, SendError> {
        self.shared.send(message).await
    }

    async fn typing(&self, chat: &ChatId, on: bool) {
        // A busy bridge has more important work.
        drop(self.shared.commands.try_send(Command::Typing { chat: chat.0.clone(), on }));
    }

    async fn closed(&self) -> AdapterError {
        self.shared.ended().await
    }

    fn proof(&self) -> Instant {
        *locked(&self.shared.proof)
    }

    async fn close(&self) {
        self.stop.cancel();
        drop(tokio::time::timeout(CLOSE_LIMIT, self.shared.ended()).await);
    }
}
