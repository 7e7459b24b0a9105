//! One live connection: sends, and watches itself.

use std::borrow::Cow;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use tokio::sync::watch;
use tokio_util::task::AbortOnDropHandle;

use super::adapter::Memory;
use super::address::{Address, number, sent_id};
use super::failure::{self, CHAT_GONE, MESSAGE_GONE, Way};
use super::flood::Floods;
use super::polling::of_poll;
use super::shared::Shared;
use super::webhook::{Known, Refused, UNREACHABLE, Watch};
use crate::clock::Now;
use crate::gateway::markdown::parts;
use crate::gateway::model::adapter::Link;
use crate::gateway::model::failure::{AdapterError, Certainty, Degraded, Retry, SendError};
use crate::gateway::model::message::{ChatId, MessageId, OutboundMessage};
use crate::gateway::platforms::patience::Patience;
use crate::platforms::Platform;
use crate::platforms::telegram::bot::{Bot, Fault};
use crate::platforms::telegram::wire::{
    self, EditMessageText, Refusal, ReplyParameters, SendChatAction, SendMessage, Sent, User,
};
use crate::sensitive::Secret;

/// Limit for one request to send.
const SEND_LIMIT: Duration = Duration::from_secs(30);

/// Limit for "typing…", which is best effort.
const TYPING_LIMIT: Duration = Duration::from_secs(5);

/// Interval of the probes on a separate connection: the one that receives may be stuck.
const PROBE_EVERY: Duration = Duration::from_secs(30);

/// Limit for one probe.
const PROBE_LIMIT: Duration = Duration::from_secs(10);

/// Most ways in which a message is tried: plain, without its topic or reply, to the chat's new id.
const WAYS_MAX: u32 = 4;

/// One live connection.
pub(super) struct TelegramLink {
    bot: Arc<Bot>,
    /// The bot's own number.
    me: i64,
    shared: Arc<Shared>,
    floods: Mutex<Floods>,
    _tasks: Vec<AbortOnDropHandle<()>>,
}

/// The way in which a message is tried.
#[derive(Clone, Copy)]
struct Try {
    address: Address,
    is_plain: bool,
    /// True when it is sent as a reply.
    is_reply: bool,
}

/// Returns the text with the service's name for its markup.
fn written(message: &OutboundMessage, is_plain: bool) -> (Cow<'_, str>, Option<&'static str>) {
    match parts::markup(Platform::Telegram, message).filter(|_| !is_plain) {
        Some(html) => (html, Some("HTML")),
        None => (parts::readable(Platform::Telegram, message), None),
    }
}

impl TelegramLink {
    /// Makes the link; these tasks end with it.
    pub(super) fn new(
        bot: Arc<Bot>,
        me: i64,
        shared: Arc<Shared>,
        tasks: Vec<AbortOnDropHandle<()>>,
    ) -> Self {
        Self { bot, me, shared, floods: Mutex::default(), _tasks: tasks }
    }

    fn floods<T>(&self, look: impl FnOnce(&mut Floods) -> T) -> T {
        look(&mut self.floods.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Sends the message, or edits the one of this number.
    async fn send_once(
        &self,
        message: &OutboundMessage,
        replaces: Option<i64>,
        how: Try,
    ) -> Result<i64, Fault> {
        let (text, parse_mode) = written(message, how.is_plain);
        let text = &*text;
        if let Some(message_id) = replaces {
            let question = EditMessageText { chat_id: how.address.chat, message_id, text, parse_mode };
            return self.bot.result("editMessageText", &question, SEND_LIMIT).await.map(|_| message_id);
        }
        let question = SendMessage {
            chat_id: how.address.chat,
            message_thread_id: how.address.topic,
            text,
            parse_mode,
            reply_parameters: message
                .reply_to
                .as_ref()
                .filter(|_| how.is_reply)
                .and_then(|id| number(self.me, id))
                .map(|message_id| ReplyParameters { message_id, allow_sending_without_reply: true }),
        };
        // Whatever else the answer contains: it was sent, and must not be sent again.
        let sent = self.bot.result("sendMessage", &question, SEND_LIMIT).await?;
        Ok(wire::read::<Sent>(&sent).unwrap_or_default().message_id)
    }

    /// Returns the next try of a refused message, or its fate.
    fn otherwise(&self, way: Way, refusal: &Refusal, how: Try) -> Result<Try, SendError> {
        let fate = |code: &str, retry| SendError {
            code: code.to_owned(),
            message: refusal.said(),
            certainty: Certainty::NotSent,
            retry,
            scope: failure::scope(code),
        };
        match way {
            Way::Plain if !how.is_plain => Ok(Try { is_plain: true, ..how }),
            Way::Untopic if how.address.topic.is_some() => {
                Ok(Try { address: Address { topic: None, ..how.address }, ..how })
            }
            Way::Unreplied if how.is_reply => Ok(Try { is_reply: false, ..how }),
            Way::Migrated(chat) if chat != how.address.chat => {
                Ok(Try { address: Address { chat, topic: None }, ..how })
            }
            Way::Plain | Way::Unreplied | Way::Done => Err(fate("telegram_bad_request", Retry::Never)),
            Way::Untopic | Way::Migrated(_) => Err(fate(CHAT_GONE, Retry::Never)),
            Way::Fail(error) => {
                if let Retry::After(wait) = error.retry
                    && let Some(wait) =
                        self.floods(|floods| floods.limited(Now::read().mono, how.address.chat, wait))
                {
                    self.shared.limit(wait);
                }
                if error.code == "telegram_bad_token" {
                    self.shared.doubt();
                }
                Err(error)
            }
        }
    }

    /// Tries the message in each way in turn, or edits the one of this number.
    async fn deliver(
        &self,
        message: &OutboundMessage,
        replaces: Option<i64>,
    ) -> Result<MessageId, SendError> {
        let failed = |code: &str, message: String, certainty, retry| SendError {
            code: code.to_owned(),
            message,
            certainty,
            retry,
            scope: failure::scope(code),
        };
        let Some(address) = Address::parse(&message.chat) else {
            let message = "no Telegram chat has this name".to_owned();
            return Err(failed(CHAT_GONE, message, Certainty::NotSent, Retry::Never));
        };
        let mut how = Try { address, is_plain: false, is_reply: message.reply_to.is_some() };
        for _ in 0..=WAYS_MAX {
            match self.send_once(message, replaces, how).await {
                Ok(number) => {
                    self.floods(Floods::sent);
                    return Ok(sent_id(self.me, number));
                }
                Err(Fault::Refused(mut refusal)) => {
                    failure::give_time(&mut refusal, || self.floods(Floods::count_open));
                    how = match (failure::of_send(&refusal), replaces) {
                        (Way::Done, Some(number)) => return Ok(sent_id(self.me, number)),
                        // The message to edit stayed behind in the old group, or in the topic.
                        (Way::Migrated(_) | Way::Untopic, Some(_)) => {
                            return Err(SendError::refused(MESSAGE_GONE, "the message is in another chat"));
                        }
                        (way, _) => self.otherwise(way, &refusal, how)?,
                    };
                }
                Err(Fault::Way(fault)) => {
                    let told = format!("Telegram {}", fault.said);
                    // The connection finds the cause itself; the message waits for it.
                    let retry = if fault.retry == Retry::Never { Retry::Backoff } else { fault.retry };
                    return Err(failed(fault.code, told, fault.certainty, retry));
                }
                Err(Fault::Garbled(what)) => {
                    let told = format!("Telegram sent an invalid answer: {what}");
                    return Err(failed("telegram_protocol", told, Certainty::MaybeSent, Retry::Backoff));
                }
            }
        }
        Err(SendError::refused("telegram_bad_request", "Telegram refused it in every form"))
    }
}

#[async_trait]
impl Link for TelegramLink {
    async fn send(&self, message: &OutboundMessage) -> Result<MessageId, SendError> {
        self.deliver(message, None).await
    }

    async fn edit(&self, id: &MessageId, message: &OutboundMessage) -> Result<(), SendError> {
        let gone = || SendError::refused(MESSAGE_GONE, "no Telegram message has this ID");
        let number = number(self.me, id).ok_or_else(gone)?;
        self.deliver(message, Some(number)).await.map(drop)
    }

    async fn typing(&self, chat: &ChatId, on: bool) {
        // "typing…" ends by itself after some seconds, and with the answer.
        let Some(address) = Address::parse(chat).filter(|_| on) else { return };
        if self.floods(|floods| floods.is_limited(Now::read().mono, address.chat)) {
            return;
        }
        let question =
            SendChatAction { chat_id: address.chat, message_thread_id: address.topic, action: "typing" };
        drop(self.bot.result("sendChatAction", &question, TYPING_LIMIT).await);
    }

    async fn closed(&self) -> AdapterError {
        self.shared.ended().await
    }

    async fn limited(&self) -> Duration {
        self.shared.limited().await
    }

    fn health(&self) -> Option<watch::Receiver<Option<Degraded>>> {
        Some(self.shared.health())
    }

    fn hurry(&self) {
        self.shared.hurry();
    }

    fn proof(&self) -> Instant {
        self.shared.proof()
    }

    async fn close(&self) {
        self.shared.end(AdapterError::retryable("telegram_closed", "the connection was closed"));
    }
}

/// The periodic probe of the service.
pub(super) enum Look {
    /// `getMe`, on a separate connection: the one that receives may be stuck.
    Service,
    /// `getWebhookInfo`: does the service reach us?
    Webhook {
        /// Judges the answers.
        watch: Watch,
        /// The interval.
        every: Duration,
        /// The error, until it is known that the service reaches us.
        unreached: Option<AdapterError>,
    },
}

/// The state shown while the service cannot reach the webhook and is asked to try again.
pub(super) fn is_unreached(error: AdapterError, every: Duration) -> Degraded {
    Degraded { error, failures: 1, failures_max: None, next_at: Now::read().mono + every }
}

impl Look {
    fn every(&self) -> Duration {
        match self {
            Self::Service => PROBE_EVERY,
            Self::Webhook { every, .. } => *every,
        }
    }

    /// Probes once. `Ok(Err)`: the service answers, and the connection is over.
    async fn once(&mut self, bot: &Bot) -> Result<Result<(), AdapterError>, Fault> {
        match self {
            Self::Service => bot.ask::<User>("getMe", &(), PROBE_LIMIT).await.map(|_| Ok(())),
            Self::Webhook { watch, unreached, .. } => {
                match watch.look(bot, PROBE_LIMIT, unreached.is_some()).await {
                    Ok(known) => {
                        if known == Known::GetsThrough {
                            *unreached = None;
                        }
                        Ok(Ok(()))
                    }
                    Err(Refused::Webhook(error)) if error.code == UNREACHABLE => {
                        *unreached = Some(error);
                        Ok(Ok(()))
                    }
                    Err(Refused::Webhook(error)) => Ok(Err(error)),
                    Err(Refused::Otherwise(fault)) => Err(fault),
                }
            }
        }
    }

    /// Returns the state that people see.
    fn told(&self) -> Option<Degraded> {
        match self {
            Self::Service | Self::Webhook { unreached: None, .. } => None,
            Self::Webhook { unreached: Some(error), every, .. } => Some(is_unreached(error.clone(), *every)),
        }
    }
}

/// Probes again and again. Where the probes are the only proof, a failed one is tried again until the lease is over; else the
/// polls find out. Ends the connection when the service says twice that the token is invalid, or that the webhook is
/// another's.
pub(super) async fn probe(
    bot: Arc<Bot>,
    shared: Arc<Shared>,
    memory: Arc<Memory>,
    token: Secret,
    mut look: Look,
) {
    let mut patience = Patience::default();
    let mut wait = look.every();
    loop {
        tokio::select! {
            () = shared.pause(wait) => {}
            () = shared.doubted() => {}
        }
        wait = look.every();
        let is_proof = matches!(look, Look::Webhook { .. });
        let fault = match look.once(&bot).await {
            Ok(Ok(())) => {
                patience.forgive();
                if is_proof {
                    // If only the route to us is closed, the service is there all the same, and takes our messages.
                    shared.prove();
                    let told = look.told();
                    memory.reached(told.is_none());
                    shared.degrade(told);
                } else {
                    shared.seen();
                }
                continue;
            }
            Ok(Err(error)) => return shared.end(error),
            // It answers: a rate limit is not a fault of the connection.
            Err(Fault::Refused(refusal)) if matches!(refusal.status, 420 | 429) => {
                patience.forgive();
                continue;
            }
            Err(fault) => fault,
        };
        let is_unknown =
            matches!(&fault, Fault::Refused(Refusal { status: 401 | 404, by_service: true, .. }));
        if is_unknown && patience.failures() > 0 {
            return shared.end(memory.judge(&token, fault));
        }
        let now = Now::read().mono;
        let lease_end =
            if is_proof { shared.proof() + Platform::Telegram.spec().lease } else { now + PROBE_EVERY };
        match patience.failed(now, lease_end, None) {
            Some(next) => {
                wait = next;
                if is_proof && patience.failures() > 1 {
                    shared.degrade(Some(patience.degraded(of_poll(fault), now + next)));
                }
            }
            None if is_proof => return shared.end(memory.judge(&token, fault)),
            None => patience.forgive(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_that_an_earlier_program_stored_is_sent_as_it_would_have_sent_it() {
        let stored = |text: &str| -> OutboundMessage {
            let row = serde_json::json!({ "chat": "1", "handle": "3EB0", "text": text, "reply_to": null });
            serde_json::from_value(row).unwrap()
        };
        let long = "**a** ".repeat(4000);
        for (text, expected, plain) in [
            ("**a** <b> & c", ("<b>a</b> &lt;b&gt; &amp; c", Some("HTML")), "**a** <b> & c"),
            (
                "(maybe a repeat)\n`x`",
                ("(maybe a repeat)\n<code>x</code>", Some("HTML")),
                "(maybe a repeat)\n`x`",
            ),
            ("***", ("———", Some("HTML")), "***"),
            ("```\n```", ("```\n```", None), "```\n```"),
            (&long, (long.as_str(), None), &long),
        ] {
            let message = stored(text);
            assert_eq!(written(&message, false), (expected.0.into(), expected.1));
            assert_eq!(written(&message, true), (plain.into(), None));
        }
        let message = OutboundMessage { is_markup: true, ..stored("<b>a</b> &lt;b&gt;") };
        assert_eq!(written(&message, false), ("<b>a</b> &lt;b&gt;".into(), Some("HTML")));
        assert_eq!(written(&message, true), ("**a** <b>".into(), None));
    }
}
