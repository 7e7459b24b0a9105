//! Receives by long polling.
//!
//! A batch is confirmed by a question that is asked only when all of the batch is on disk. Nothing that waits at
//! the service is ever dropped: the first question names no number, so that it brings whatever was not confirmed before.
//! Once a confirmation is answered it is not repeated, since the service may begin to count anew after a quiet week, and
//! numbers below a confirmed one would be confirmed unseen.
//!
//! The chats of a batch are taken side by side, and what others write is asked for meanwhile: only its own chat waits for a file.
//!
//! An unreadable update is set aside before it is confirmed; where that spoils a whole answer, [`narrow`] finds which it is. Where
//! nothing else comes, the connection is given up, and tried again ever more slowly: a batch for each attempt.

use std::collections::BTreeMap;
use std::error::Error;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::future::join_all;

use super::adapter::Memory;
use super::albums::Albums;
use super::files::{Files, Until};
use super::lanes::{Lanes, Turn};
use super::narrow;
use super::polling::{self, Answer, Source};
use super::shared::Shared;
use super::translate::{self, Translated, Wanted};
use super::unread::Unread;
use crate::backoff::doubled;
use crate::clock::Now;
use crate::gateway::log_throttle::LogThrottle;
use crate::gateway::model::adapter::{Inbox, InboxError};
use crate::gateway::model::failure::{AdapterError, Retry};
use crate::gateway::model::message::{Attachment, InboundMessage};
use crate::gateway::platforms::unreadable_ratio::UnreadableRatio;
use crate::net;
use crate::platforms::Platform;
use crate::platforms::telegram::bot::{Bot, Fault, Said};
use crate::platforms::telegram::wire::{self, DeleteWebhook, GetUpdates, Kind, RawUpdate, User, WebhookInfo};
use crate::sensitive::Secret;

/// Updates of one answer: the most that the service gives.
pub(super) const BATCH_MAX: u8 = 100;

/// The code of an update with a number that is not confirmed.
const NUMBER_ODD: &str = "update_number_odd";

/// Beyond the time that the service may wait for something to come.
const ANSWER_LIMIT: Duration = Duration::from_secs(10);

/// The first wait after a message could not be made durable; it doubles.
const STORE_WAIT: Duration = Duration::from_millis(250);

/// The longest such wait.
const STORE_WAIT_MAX: Duration = Duration::from_secs(5);

/// The dependencies of receiving.
pub(super) struct Receiver {
    pub(super) bot: Arc<Bot>,
    pub(super) me: User,
    pub(super) platform: Platform,
    pub(super) inbox: Arc<dyn Inbox>,
    pub(super) shared: Arc<Shared>,
    pub(super) memory: Arc<Memory>,
    pub(super) token: Secret,
    /// The files of messages.
    pub(super) files: Files,
    /// Chats of which something is being taken.
    pub(super) lanes: Lanes,
    /// Where updates go that cannot be read.
    pub(super) unread: Unread,
    /// Log lines about odd updates.
    pub(super) repeats: LogThrottle,
    /// Albums of which a part was addressed to us.
    pub(super) albums: Mutex<Albums>,
    /// Updates that can be read, and others.
    pub(super) nonsense: Mutex<UnreadableRatio>,
    /// How long the service waits for something to come.
    pub(super) poll: Duration,
}

impl Receiver {
    /// Receives until the connection fails; begins with the answer to the first request.
    pub(super) async fn run(&self, first: Answer) -> Fault {
        polling::run(self, &self.shared, self.poll, first).await
    }

    /// Takes one update that was brought to us. When this returns `Ok`, it is on disk, or nobody has to hear of it.
    pub(super) async fn offer(&self, update: &RawUpdate) -> Result<(), InboxError> {
        match self.translate(update) {
            Ok(Some(mut translated)) => {
                self.join_albums(std::slice::from_mut(&mut translated));
                let Translated { mut message, wanted } = translated;
                self.complete(&mut message, &wanted, &mut Until::default()).await;
                let stored = self.inbox.accept(self.platform, message.clone()).await;
                if stored.is_err() {
                    discard(message).await;
                }
                stored
            }
            Ok(None) => Ok(()),
            Err(wire::Unreadable) => {
                self.unread.set_aside(update).await;
                Ok(())
            }
        }
    }

    /// Returns the message in it. `None`: there is none, or it is of a kind that an earlier program asked for.
    fn translate(&self, update: &RawUpdate) -> Result<Option<Translated>, wire::Unreadable> {
        let Some((kind, raw)) = wire::message(update)? else { return Ok(None) };
        if let Some(new) = raw.migrate_to_chat_id {
            self.tell_migrated(raw.chat.id, new);
        }
        Ok(translate::message(&raw, kind, &self.me))
    }

    /// Logs that a group got a new id: it was listed under the old one, and is ignored from now on.
    fn tell_migrated(&self, old: i64, new: i64) {
        let code = "telegram_group_migrated";
        if let Some(more) = self.repeats.say(Now::read().mono, &format!("{code} {old}")) {
            tracing::warn!(
                code, platform = %self.platform,
                "Telegram turned the group {old} into a supergroup with the ID {new}. Where .env lists the old one \
                 (TELEGRAM_ALLOWED_CHATS, TELEGRAM_GROUP_ALLOWED_CHATS, TELEGRAM_FREE_RESPONSE_CHATS, TELEGRAM_HOME_CHANNEL), \
                 write the new one{more}"
            );
        }
    }

    fn nonsense<T>(&self, look: impl FnOnce(&mut UnreadableRatio) -> T) -> T {
        look(&mut self.nonsense.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn join_albums(&self, messages: &mut [Translated]) {
        let mut albums = self.albums.lock().unwrap_or_else(PoisonError::into_inner);
        albums.join(messages, |message| self.inbox.admits(self.platform, message));
    }

    /// Takes what one batch brings of a chat, in its order.
    async fn take_chat(&self, mut turn: Turn, messages: Vec<Translated>) {
        turn.comes().await;
        let mut until = Until::default();
        for message in messages {
            self.accept(message, &mut until).await;
        }
    }

    async fn accept(&self, Translated { mut message, wanted }: Translated, until: &mut Until) {
        let mut wait = STORE_WAIT;
        loop {
            self.complete(&mut message, &wanted, until).await;
            let Err(error) = self.inbox.accept(self.platform, message.clone()).await else { break };
            wait = self.not_stored(wait, &error).await;
            // A file that the disk did not take is fetched with the next try, which has all the time.
            *until = Until::default();
        }
        self.shared.step();
    }

    /// Fetches what came with it.
    async fn complete(&self, message: &mut InboundMessage, wanted: &[Wanted], until: &mut Until) {
        if !wanted.is_empty()
            && self.inbox.admits(self.platform, message)
            && !self.inbox.knows(self.platform, message).await
        {
            self.files.fetch(message, wanted, until).await;
        }
    }

    /// Waits for the disk, and returns the next wait. Until then no update is asked for: the service keeps the rest.
    async fn not_stored(&self, wait: Duration, error: &(dyn Error + Sync)) -> Duration {
        tracing::debug!(platform = %self.platform, %error, "a message is waiting at Telegram");
        self.shared.step();
        tokio::time::sleep(wait).await;
        doubled(wait, 1, STORE_WAIT_MAX)
    }
}

/// Asks for up to `limit` updates. `confirm`: everything up to this number is on disk.
pub(super) async fn ask(bot: &Bot, confirm: Option<i64>, limit: u8, poll: Duration) -> Result<Said, Fault> {
    let kinds = Kind::ALL.map(Kind::name);
    let question = GetUpdates {
        offset: confirm.map(|last| last.saturating_add(1)),
        limit,
        timeout: poll.as_secs(),
        allowed_updates: &kinds,
    };
    bot.said("getUpdates", &question, poll + ANSWER_LIMIT).await
}

/// Returns the content of an answer.
pub(super) fn updates(said: &Said) -> Answer {
    wire::updates(&said.result()?).ok_or(Fault::Garbled("no list of updates"))
}

impl Source for Receiver {
    async fn poll(&self, confirm: Option<i64>, wait: Duration) -> Answer {
        match updates(&ask(&self.bot, confirm, BATCH_MAX, wait).await?) {
            Err(Fault::Garbled(_)) => narrow::first(&self.bot, confirm).await,
            answer => answer,
        }
    }

    fn tell_odd(&self, number: &str) {
        if let Some(more) = self.repeats.say(Now::read().mono, NUMBER_ODD) {
            tracing::warn!(
                code = NUMBER_ODD, platform = %self.platform,
                "Telegram sent an update with {number}. It was read, and is not confirmed, because that could skip others; Telegram \
                 may send it again for a day{more}"
            );
        }
    }

    fn take(&self, batch: Vec<RawUpdate>) -> impl Future<Output = ()> + Send {
        let (mut messages, mut odd) = (Vec::new(), Vec::new());
        for update in batch {
            let translated = self.translate(&update);
            self.nonsense(|nonsense| nonsense.count(Now::read().mono, translated.is_ok()));
            match translated {
                Ok(Some(translated)) => messages.push(translated),
                Ok(None) => {}
                Err(wire::Unreadable) => odd.push(update),
            }
        }
        self.join_albums(&mut messages);
        let mut chats: BTreeMap<String, Vec<Translated>> = BTreeMap::new();
        for translated in messages {
            chats.entry(translated.message.chat.0.clone()).or_default().push(translated);
        }
        let queued = |(chat, messages): (String, _)| (self.lanes.queue(&chat), messages);
        let chats: Vec<_> = chats.into_iter().map(queued).collect();
        async move {
            let taking = join_all(chats.into_iter().map(|(turn, messages)| self.take_chat(turn, messages)));
            let setting_aside = async {
                for update in odd {
                    self.unread.set_aside(&update).await;
                    self.shared.step();
                }
            };
            tokio::join!(taking, setting_aside);
        }
    }

    fn is_nonsense(&self) -> bool {
        self.nonsense(|nonsense| nonsense.prevails())
    }

    fn conflict(&self, fault: Fault) -> AdapterError {
        self.memory.judge(&self.token, fault)
    }

    async fn clear(&self) {
        let found = self.bot.ask::<WebhookInfo>("getWebhookInfo", &(), ANSWER_LIMIT).await;
        if let Ok(found) = found
            && let Err(fault) = remove_webhook(&self.bot, &found).await
        {
            tracing::debug!(platform = %self.platform, ?fault, "The webhook could not be removed");
        }
    }
}

/// Removes the webhook: nothing can be fetched while the service brings updates elsewhere. Those that wait there stay, and
/// are fetched then.
pub(super) async fn remove_webhook(bot: &Bot, found: &WebhookInfo) -> Result<(), Fault> {
    if found.url.is_empty() {
        return Ok(());
    }
    bot.ask::<bool>("deleteWebhook", &DeleteWebhook { drop_pending_updates: false }, ANSWER_LIMIT).await?;
    tracing::warn!(
        code = "telegram_webhook_removed", platform = %Platform::Telegram,
        "Removed the webhook of this bot, because messages are fetched by polling ({} were waiting)",
        found.pending_update_count
    );
    Ok(())
}

/// Removes the attachments of a message that will be brought and fetched again.
async fn discard(message: InboundMessage) {
    let remove = |attachment: Attachment| attachment.path.map(std::fs::remove_file);
    let removing = move || message.attachments.into_iter().for_each(|attachment| drop(remove(attachment)));
    drop(tokio::task::spawn_blocking(removing).await);
}

/// What a failure to receive means. `conflicts`: how many conflicts came in a row, with this one.
pub(super) fn meaning(fault: Fault, conflicts: u32) -> AdapterError {
    match fault {
        Fault::Way(fault) => way(fault),
        Fault::Refused(refusal) => super::failure::of_connection(&refusal, conflicts),
        Fault::Garbled(what) => {
            AdapterError::retryable("telegram_protocol", format!("Telegram sent an invalid answer: {what}"))
        }
    }
}

fn way(fault: net::Fault) -> AdapterError {
    let message = format!("Telegram {}", fault.said);
    match fault.retry {
        Retry::Never => AdapterError::blocked(fault.code, message, fault.action()),
        retry @ (Retry::Backoff | Retry::Rest | Retry::After(_)) => {
            AdapterError::retryable("telegram_network_error", message).retry(retry)
        }
    }
}

#[cfg(test)]
#[path = "receiver_tests.rs"]
mod tests;
