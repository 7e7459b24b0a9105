//! Receives by long polling.
//!
//! A batch is confirmed by the next request, and that is sent only when all of the batch is on disk. No update that waits at
//! the service is ever dropped: the first request names no number, so that it brings all that was not confirmed before.
//! Once a confirmation is answered it is not repeated, since the service may restart its count after a quiet week, and
//! numbers below a confirmed one would be confirmed unseen.
//!
//! An unreadable update is set aside before it is confirmed; where it spoils a whole answer, [`narrow`] finds it. Where most
//! updates are unreadable, the connection is given up, and tried again ever more slowly: a batch for each attempt.

use std::collections::BTreeMap;
use std::error::Error;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::future::join_all;

use super::adapter::Memory;
use super::albums::Albums;
use super::narrow;
use super::numbers;
use super::polling::{self, Answer, Source};
use super::shared::Shared;
use super::translate::{self, Translated, Wanted};
use crate::backoff::doubled;
use crate::clock::Now;
use crate::gateway::log_throttle::LogThrottle;
use crate::gateway::model::adapter::{Inbox, InboxError};
use crate::gateway::model::failure::{AdapterError, Retry};
use crate::gateway::model::message::{Attachment, InboundMessage};
use crate::gateway::platforms::media::{Arrived, Media, NOT_STORED};
use crate::gateway::platforms::quarantine::Aside;
use crate::gateway::platforms::unreadable_ratio::Nonsense;
use crate::net;
use crate::platforms::Platform;
use crate::platforms::telegram::bot::{Bot, Fault, Said};
use crate::platforms::telegram::wire::{
    self, DeleteWebhook, FilePath, GetUpdates, Kind, RawUpdate, User, WebhookInfo,
};
use crate::sensitive::Secret;

/// Updates of one answer: the most that the service gives.
pub(super) const BATCH_MAX: u8 = 100;

/// Limit for the answer, beyond the time that the service may wait.
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
    pub(super) media: Media,
    /// The folder of unreadable updates.
    pub(super) aside: Aside,
    /// The throttle of the log lines about them.
    pub(super) repeats: LogThrottle,
    /// Albums of which a part was addressed to us.
    pub(super) albums: Mutex<Albums>,
    /// Time for which the service waits for updates.
    pub(super) poll: Duration,
    /// Limit for fetching all attachments of one message: until then nothing after it is asked for.
    pub(super) fetch_limit: Duration,
}

impl Receiver {
    /// Receives until the connection fails; begins with the answer to the first request.
    pub(super) async fn run(&self, first: Answer) -> Fault {
        polling::run(self, &self.shared, self.poll, first).await
    }

    /// Returns when all of it is on disk. In order within a chat, the chats side by side.
    async fn take_all(&self, batch: Vec<RawUpdate>, nonsense: &mut Nonsense) {
        let mut messages = Vec::new();
        for update in batch {
            let translated = self.translate(&update);
            nonsense.count(Now::read().mono, translated.is_ok());
            match translated {
                Ok(Some(translated)) => messages.push(translated),
                Ok(None) => {}
                Err(wire::Unreadable) => {
                    let mut wait = STORE_WAIT;
                    while let Err(error) = self.keep_aside(&update).await {
                        wait = self.not_stored(wait, &error).await;
                    }
                }
            }
        }
        self.join_albums(&mut messages);
        let mut chats: BTreeMap<String, Vec<Translated>> = BTreeMap::new();
        for translated in messages {
            chats.entry(translated.message.chat.0.clone()).or_default().push(translated);
        }
        join_all(chats.into_values().map(|messages| async {
            for message in messages {
                self.accept(message).await;
            }
        }))
        .await;
    }

    /// Takes one update. When this returns `Ok`, it is on disk, or does not have to be.
    pub(super) async fn offer(&self, update: &RawUpdate) -> Result<(), InboxError> {
        match self.translate(update) {
            Ok(Some(mut translated)) => {
                self.join_albums(std::slice::from_mut(&mut translated));
                let message = self.whole(translated).await;
                let stored = self.inbox.accept(self.platform, message.clone()).await;
                if stored.is_err() {
                    discard(message).await;
                }
                stored
            }
            Ok(None) => Ok(()),
            Err(wire::Unreadable) => {
                self.keep_aside(update).await.map_err(|error| InboxError(error.to_string()))
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

    fn join_albums(&self, messages: &mut [Translated]) {
        let mut albums = self.albums.lock().unwrap_or_else(PoisonError::into_inner);
        albums.join(messages, |message| self.inbox.admits(self.platform, message));
    }

    async fn accept(&self, translated: Translated) {
        let message = self.whole(translated).await;
        let mut wait = STORE_WAIT;
        while let Err(error) = self.inbox.accept(self.platform, message.clone()).await {
            wait = self.not_stored(wait, &error).await;
        }
        self.shared.step();
    }

    /// Returns the message with its attachments.
    async fn whole(&self, Translated { mut message, wanted }: Translated) -> InboundMessage {
        if !wanted.is_empty()
            && self.inbox.admits(self.platform, &message)
            && !self.inbox.knows(self.platform, &message).await
        {
            self.fetch(&mut message, wanted).await;
        }
        message
    }

    /// Waits for the disk, and returns the next wait. Until then no update is asked for: the service keeps the rest.
    async fn not_stored(&self, wait: Duration, error: &(dyn Error + Sync)) -> Duration {
        tracing::debug!(platform = %self.platform, %error, "a message is waiting at Telegram");
        self.shared.step();
        tokio::time::sleep(wait).await;
        doubled(wait, 1, STORE_WAIT_MAX)
    }

    async fn fetch(&self, message: &mut InboundMessage, wanted: Vec<Wanted>) {
        // The limit begins with the first attachment, and the others have the rest of it.
        let limit = tokio::time::sleep(self.fetch_limit);
        tokio::pin!(limit);
        for (attachment, wanted) in message.attachments.iter_mut().zip(wanted) {
            let fetched = tokio::select! {
                fetched = self.fetch_one(attachment, &wanted) => fetched.and_then(Arrived::keep),
                () = &mut limit => Err("the download took too long"),
            };
            match fetched {
                Ok(path) => attachment.path = Some(path),
                Err(why) => {
                    tracing::info!(platform = %self.platform, code = "attachment_refused", "An attachment was not downloaded: {why}");
                    attachment.error = Some(why.to_owned());
                }
            }
        }
    }

    async fn fetch_one(&self, attachment: &Attachment, wanted: &Wanted) -> Result<Arrived, &'static str> {
        let lost = |_: Fault| "it could not be downloaded";
        let (media, size, mime) = (self.media.clone(), wanted.size, attachment.mime.clone());
        let now = Now::read().wall;
        // Before anything is asked: what is announced as too large is not asked for.
        let mut arriving = blocking(move || media.begin(now, size, mime.as_deref())).await?;
        let question = serde_json::json!({ "file_id": wanted.file_id });
        let file: FilePath =
            self.bot.ask("getFile", &question, ANSWER_LIMIT).await.map_err(|fault| match fault {
                // The service itself has a limit of 20 MB, and says so in words.
                Fault::Refused(refusal) if refusal.status == 400 => {
                    "Telegram does not offer it to bots; it may be too large"
                }
                Fault::Refused(_) | Fault::Way(_) | Fault::Garbled(_) => "it could not be downloaded",
            })?;
        let path = file.file_path.ok_or("Telegram no longer stores it")?;
        // A server that runs with `--local` names a file on its disk. An impostor of such a server could name any of ours.
        if Path::new(&path).is_absolute() {
            return Err("the Bot API server runs with --local, which hermes does not support");
        }
        let mut response = self.bot.open(&path, self.fetch_limit).await.map_err(lost)?;
        while let Some(bytes) = response.chunk().await.map_err(|_| "it could not be downloaded")? {
            arriving = blocking(move || arriving.add(&bytes).map(|()| arriving)).await?;
        }
        blocking(move || arriving.arrived()).await
    }

    /// Keeps an unreadable update for people to look at, so that it does not hide the others.
    async fn keep_aside(&self, update: &RawUpdate) -> io::Result<()> {
        let unnumbered = || format!("unnumbered-{:016x}", numbers::digest(update));
        let name = update.update_id.map_or_else(unnumbered, |number| number.to_string());
        let (aside, body) = (self.aside.clone(), update.body.get().to_owned());
        let kept = tokio::task::spawn_blocking(move || aside.keep(&name, body.as_bytes()));
        let kept = kept.await.unwrap_or_else(|error| Err(io::Error::other(error)));
        let path = kept?;
        if let Some(more) = self.repeats.say(Now::read().mono, "update_unreadable") {
            tracing::warn!(
                code = "update_unreadable", platform = %self.platform,
                "Set aside an update that could not be read, in {}{more}", path.display()
            );
        }
        Ok(())
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
        let code = "update_number_odd";
        if let Some(more) = self.repeats.say(Now::read().mono, code) {
            tracing::warn!(
                code, platform = %self.platform,
                "Telegram sent an update with {number}. It was read, and is not confirmed, because that could skip others; Telegram \
                 may send it again for a day{more}"
            );
        }
    }

    async fn take(&self, batch: Vec<RawUpdate>, nonsense: &mut Nonsense) {
        self.take_all(batch, nonsense).await;
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

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, &'static str> + Send + 'static,
) -> Result<T, &'static str> {
    tokio::task::spawn_blocking(work).await.unwrap_or(Err(NOT_STORED))
}

/// Returns the error for a failure to receive. `conflicts`: the number of conflicts in a row, with this one.
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
