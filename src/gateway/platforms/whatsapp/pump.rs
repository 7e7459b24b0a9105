//! The task behind a link: it owns the bridge process, reads its events, and hands messages over.
//!
//! It always reads on: an answer to a download may stand behind a thousand messages. A message that cannot be handed over at
//! once waits in the [`Backlog`].

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::bridge::process::{BridgeProcess, Output};
use crate::bridge::protocol::{Command, Event, Exit, Message};
use crate::clock::Now;
use crate::failpoint;
use crate::gateway::log_throttle::LogThrottle;
use crate::gateway::model::adapter::Inbox;
use crate::gateway::model::failure::{AdapterError, Retry};
use crate::gateway::model::identity::chat_key;
use crate::gateway::model::message::InboundMessage;
use crate::gateway::platforms::unreadable_ratio::UnreadableRatio;
use crate::gateway::platforms::whatsapp::backlog::{Backlog, Limits};
use crate::gateway::platforms::whatsapp::exits::{Cause, End};
use crate::gateway::platforms::whatsapp::link::{Answer, Shared};
use crate::gateway::platforms::whatsapp::translate;
use crate::pairing::Me;
use crate::platforms::Platform;

/// The limits of what may wait to be handed over.
const LIMITS: Limits = Limits { active_max: 8, count_max: 2000, bytes_max: 16 << 20 };

/// The wait before a message that could not be stored is offered again.
const OFFER_AGAIN: Duration = Duration::from_secs(1);

/// The refusal that is logged: a gateway that stops refuses a few times, and that is not logged.
const TELL_REFUSAL: u32 = 3;

/// Limit for a bridge to stop; then it is killed.
const STOP_GRACE: Duration = Duration::from_secs(4);

/// A running bridge, as the pump needs it.
#[async_trait]
pub trait Bridge: Send {
    /// Returns the sender of commands.
    fn commands(&self) -> mpsc::Sender<Command>;
    /// Returns the next output; `None` when there will be none.
    async fn next(&mut self) -> Option<Output>;
    /// Ends it within this grace.
    async fn stop(self: Box<Self>, grace: Duration) -> Exit;
}

#[async_trait]
impl Bridge for BridgeProcess {
    fn commands(&self) -> mpsc::Sender<Command> {
        Self::commands(self)
    }

    async fn next(&mut self) -> Option<Output> {
        Self::next(self).await
    }

    async fn stop(self: Box<Self>, grace: Duration) -> Exit {
        Self::stop(*self, grace).await
    }
}

/// Judges the end of a bridge, and keeps unreadable messages. It may read, write and move files.
pub trait Judge: Send + Sync {
    /// Returns the error for an end that was not asked for.
    fn judge(&self, end: End) -> AdapterError;

    /// Keeps an unreadable message, for people to look at. False when it is not on disk.
    fn keep(&self, seq: u64, line: &str) -> bool;
}

/// One message, and the number to acknowledge it by.
#[derive(Debug)]
struct Parcel {
    seq: u64,
    has_media: bool,
    message: InboundMessage,
}

/// See the module.
pub struct Pump {
    bridge: Box<dyn Bridge>,
    me: Me,
    inbox: Arc<dyn Inbox>,
    judge: Arc<dyn Judge>,
    shared: Arc<Shared>,
    backlog: Backlog<Parcel>,
    nonsense: UnreadableRatio,
    repeats: LogThrottle,
    closed: Option<u16>,
    cause: Option<Cause>,
    said: Option<String>,
}

/// The result of one turn of the pump.
enum Turn {
    Next,
    /// The process has ended by itself.
    Exited(End),
    /// It must be ended.
    Stop(AdapterError),
}

impl Pump {
    /// A pump that was not started yet.
    pub fn new(
        bridge: Box<dyn Bridge>,
        me: Me,
        inbox: Arc<dyn Inbox>,
        judge: Arc<dyn Judge>,
        shared: Arc<Shared>,
    ) -> Self {
        let backlog = Backlog::new(LIMITS);
        Self {
            bridge,
            me,
            inbox,
            judge,
            shared,
            backlog,
            nonsense: UnreadableRatio::default(),
            repeats: LogThrottle::default(),
            closed: None,
            cause: None,
            said: None,
        }
    }

    /// Returns the end, with what was reported about it before.
    fn end(&mut self, exit: Exit) -> End {
        let said = self.said.take();
        End { exit, closed: self.closed, cause: self.cause, said, memory_ran_out: false }
    }

    fn take(&mut self, output: Option<Output>) -> Turn {
        match output {
            Some(Output::Event(event)) => self.event(event),
            // It names the defect of the line, never the line.
            Some(Output::Garbage(why)) => Turn::Stop(AdapterError::retryable(
                "whatsapp_bridge_exited",
                format!("the bridge sent a message that hermes cannot read ({why})"),
            )),
            Some(Output::Exited { exit, stderr_tail }) => {
                for line in stderr_tail {
                    tracing::debug!(code = "bridge_stderr", "{line}");
                }
                Turn::Exited(self.end(exit))
            }
            None => Turn::Exited(self.end(Exit::Crashed(None))),
        }
    }

    fn event(&mut self, event: Event) -> Turn {
        match event {
            Event::Open { me } => {
                self.me = me;
                self.shared.open();
            }
            Event::Alive { rtt_ms } => {
                tracing::trace!(rtt_ms, "WhatsApp answered");
                self.shared.prove();
            }
            Event::Message(raw) => self.queue(&raw),
            Event::Unreadable { seq, line } => return self.set_aside(seq, &line.0),
            Event::Sent { id, message_id } => self.shared.answer(&id, Answer::Sent { message_id }),
            Event::SendFailed(failed) => {
                let id = failed.id.clone();
                self.shared.answer(&id, Answer::SendFailed(failed));
            }
            Event::Downloaded { id, path, bytes: _, mime } => {
                self.shared.answer(&id, Answer::Downloaded { path, mime });
            }
            Event::DownloadFailed { id, code, message: _ } => {
                self.shared.answer(&id, Answer::DownloadFailed { code });
            }
            Event::Closed { code, reason, cause, was_open } => {
                tracing::debug!(
                    code = "bridge_closed",
                    status = code,
                    reason,
                    cause,
                    was_open,
                    "the connection ended"
                );
                self.closed = code;
                self.cause = cause.as_deref().and_then(Cause::parse);
            }
            Event::Error { code, message } => {
                tracing::debug!(code = "bridge_error", cause = code, message, "the bridge gave up");
                self.said = ["exec", "storage", "internal"].contains(&code.as_str()).then_some(message);
            }
            // For people who pair, or without effect here.
            Event::Ready { .. }
            | Event::Connecting { .. }
            | Event::Qr { .. }
            | Event::PairingCode { .. }
            | Event::PasskeyRequired(_)
            | Event::PasskeyRejected { .. }
            | Event::PasskeySent
            | Event::PasskeyCode { .. }
            | Event::PairSuccess { .. }
            | Event::Restart
            | Event::Synced { .. }
            | Event::Receipt { .. }
            | Event::Other => {}
        }
        Turn::Next
    }

    /// Only a defect brings us here; one message must not stand in the way of all that follow it, and a defect that meets
    /// all of them is worse with each one that is taken.
    fn set_aside(&mut self, seq: u64, line: &str) -> Turn {
        let kept = self.judge.keep(seq, line);
        let now = Now::read().mono;
        if let Some(more) = self.repeats.say(now, "message_unreadable") {
            let what = if kept {
                "Set aside a message that could not be read"
            } else {
                "A message could be neither read nor set aside; the bridge offers it again when it starts"
            };
            tracing::error!(code = "message_unreadable", seq, "{what}{more}");
        }
        if kept {
            // With no room for it now, it comes again at the next start.
            drop(self.bridge.commands().try_send(Command::Ack { seq }));
        }
        self.nonsense.count(now, false);
        if self.nonsense.prevails() {
            return Turn::Stop(AdapterError::retryable(
                "whatsapp_protocol",
                "none of the bridge's messages can be read",
            ));
        }
        Turn::Next
    }

    fn queue(&mut self, raw: &Message) {
        self.nonsense.count(Now::read().mono, true);
        let message = translate::message(raw, &self.me);
        let key = chat_key(Platform::Whatsapp, &message);
        let bytes = 512 + message.text.0.len() + message.quoted.as_ref().map_or(0, |quoted| quoted.0.len());
        self.backlog.offer(
            &key.chat.0,
            bytes,
            Parcel { seq: raw.seq, has_media: raw.media.is_some(), message },
        );
    }
}

/// Runs until the bridge has ended, or is to be ended; then the link is over.
pub async fn run(mut pump: Pump, stop: CancellationToken) {
    let mut handing: JoinSet<String> = JoinSet::new();
    let last = loop {
        while let Some((chat, parcel)) = pump.backlog.begin() {
            let (shared, inbox) = (Arc::clone(&pump.shared), Arc::clone(&pump.inbox));
            handing.spawn(async move {
                hand_over(&shared, inbox.as_ref(), parcel).await;
                chat
            });
        }
        let turn = tokio::select! {
            () = stop.cancelled() => Turn::Stop(AdapterError::retryable("whatsapp_bridge_exited", "it was closed")),
            output = pump.bridge.next() => pump.take(output),
            Some(handed) = handing.join_next() => handed_over(&mut pump.backlog, handed),
        };
        match turn {
            Turn::Next => {}
            last @ (Turn::Exited(_) | Turn::Stop(_)) => break last,
        }
    };
    let Pump { bridge, judge, shared, .. } = pump;
    let error = match last {
        Turn::Exited(end) => tokio::task::spawn_blocking(move || judge.judge(end))
            .await
            .unwrap_or_else(|_| AdapterError::panicked()),
        Turn::Stop(error) => {
            // The reason is known before the process has ended, and a new attempt need not wait for it. A caller that closes
            // does.
            if !stop.is_cancelled() {
                shared.end(error.clone());
            }
            bridge.stop(STOP_GRACE).await;
            error
        }
        Turn::Next => AdapterError::panicked(),
    };
    shared.end(error);
}

fn handed_over(backlog: &mut Backlog<Parcel>, handed: Result<String, tokio::task::JoinError>) -> Turn {
    let Ok(chat) = handed else { return Turn::Stop(AdapterError::panicked()) };
    backlog.done(&chat);
    if backlog.needs_replay() {
        let error = AdapterError::retryable(
            "whatsapp_bridge_exited",
            "More messages arrived than fit; fetching the rest",
        );
        return Turn::Stop(error.retry(Retry::After(Duration::from_secs(1))));
    }
    Turn::Next
}

/// Fetches, hands over, acknowledges. The message is offered until it is durable: the bridge keeps it as long.
async fn hand_over(shared: &Shared, inbox: &dyn Inbox, parcel: Parcel) {
    let Parcel { seq, has_media, mut message } = parcel;
    if has_media && inbox.admits(Platform::Whatsapp, &message) {
        let fetched = shared.download(seq).await;
        if let Some(attachment) = message.attachments.first_mut() {
            match fetched {
                Ok((path, mime)) => {
                    attachment.path = Some(path);
                    attachment.mime = mime.or(attachment.mime.take());
                }
                Err(code) => attachment.error = Some(translate::download_error(&code).to_owned()),
            }
        }
    }
    shared.remember(&message);
    let mut refusals = 0_u32;
    while let Err(error) = inbox.accept(Platform::Whatsapp, message.clone()).await {
        refusals = refusals.saturating_add(1);
        if refusals == TELL_REFUSAL {
            tracing::error!(
                code = "inbox_full",
                "{error}; the bridge keeps it and offers it again every second"
            );
        }
        tokio::time::sleep(OFFER_AGAIN).await;
    }
    // Without the acknowledgement it comes again and is recognised.
    failpoint::hit("ack.bridge.before");
    let taken = shared.command(Command::Ack { seq }).await;
    failpoint::hit("ack.bridge.after");
    if !taken {
        tracing::debug!(code = "ack_lost", seq, "the bridge did not accept an acknowledgement");
    }
}

#[cfg(test)]
mod tests;
