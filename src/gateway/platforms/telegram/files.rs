//! Fetches what comes with a message: so many at a time, each tried again after a fault that passes, and all within their limit.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::Semaphore;

use super::translate::Wanted;
use crate::backoff::doubled;
use crate::clock::Now;
use crate::gateway::model::message::{Attachment, InboundMessage};
use crate::gateway::platforms::media::{Arrived, Media, NOT_STORED};
use crate::net::Retry;
use crate::platforms::Platform;
use crate::platforms::telegram::bot::{Bot, Fault};
use crate::platforms::telegram::wire::{FilePath, Refusal};

/// So many messages of all chats are fetched for at a time.
const PLACES: usize = 12;

/// The longest that the service may take to say where a file is.
const ANSWER_LIMIT: Duration = Duration::from_secs(10);

/// Tries for one file.
const TRIES: u32 = 3;

/// The first wait between two tries; it doubles.
const WAIT: Duration = Duration::from_millis(250);

/// The longest such wait, where the service asks for no longer one.
const WAIT_MAX: Duration = Duration::from_secs(2);

const FAILED: &str = "it could not be downloaded";
const TOO_SLOW: &str = "the download took too long";

/// Everything that fetching needs.
pub(super) struct Files {
    bot: Arc<Bot>,
    media: Media,
    /// The longest that all that one batch brings to a chat may take.
    limit: Duration,
    places: Semaphore,
}

/// The end of a chat's time; it begins with the first file.
#[derive(Debug, Default)]
pub(super) struct Until(Option<Instant>);

/// Why a file has not come.
enum Lost {
    ForGood(&'static str),
    /// Worth another try, after this wait where the service asks for one.
    Passing(Duration),
}

impl Files {
    /// Files of this bot, kept in this folder.
    pub(super) fn new(bot: Arc<Bot>, media: Media, limit: Duration) -> Self {
        Self { bot, media, limit, places: Semaphore::new(PLACES) }
    }

    /// With another limit, where it is shorter.
    pub(super) fn within(&mut self, limit: Duration) {
        self.limit = self.limit.min(limit);
    }

    /// Fetches what is not on the disk yet; what the disk did not take is tried again.
    pub(super) async fn fetch(&self, message: &mut InboundMessage, wanted: &[Wanted], until: &mut Until) {
        let _place = self.places.acquire().await;
        let until = *until.0.get_or_insert_with(|| Now::read().mono + self.limit);
        for (attachment, wanted) in message.attachments.iter_mut().zip(wanted) {
            let is_due = attachment.error.as_deref().is_none_or(|why| why == NOT_STORED);
            if attachment.path.is_some() || !is_due {
                continue;
            }
            let fetching = tokio::time::timeout_at(until.into(), self.one(attachment, wanted, until));
            let before = attachment.error.clone();
            match fetching.await.unwrap_or(Err(TOO_SLOW)).and_then(Arrived::keep) {
                Ok(path) => (attachment.path, attachment.error) = (Some(path), None),
                Err(why) => {
                    if before.as_deref() != Some(why) {
                        tracing::info!(platform = %Platform::Telegram, code = "attachment_refused", "An attachment was not downloaded: {why}");
                    }
                    attachment.error = Some(why.to_owned());
                }
            }
        }
    }

    async fn one(
        &self,
        attachment: &Attachment,
        wanted: &Wanted,
        until: Instant,
    ) -> Result<Arrived, &'static str> {
        let mut failures = 0;
        loop {
            let asked = match self.once(attachment, wanted).await {
                Ok(arrived) => return Ok(arrived),
                Err(Lost::ForGood(why)) => return Err(why),
                Err(Lost::Passing(asked)) => asked,
            };
            failures += 1;
            let wait = doubled(WAIT, failures - 1, WAIT_MAX).max(asked);
            if failures == TRIES || Now::read().mono + wait >= until {
                return Err(FAILED);
            }
            tokio::time::sleep(wait).await;
        }
    }

    async fn once(&self, attachment: &Attachment, wanted: &Wanted) -> Result<Arrived, Lost> {
        let (media, size, mime) = (self.media.clone(), wanted.size, attachment.mime.clone());
        let now = Now::read().wall;
        // Before anything is asked: what is announced as too large is not asked for.
        let mut arriving = blocking(move || media.begin(now, size, mime.as_deref())).await?;
        let question = serde_json::json!({ "file_id": wanted.file_id });
        let file: FilePath = self.bot.ask("getFile", &question, ANSWER_LIMIT).await.map_err(lost)?;
        let path = file.file_path.ok_or(Lost::ForGood("Telegram no longer stores it"))?;
        // A server that runs with `--local` names a file of its own disk. Whoever plays such a server could name any of ours.
        if Path::new(&path).is_absolute() {
            let why = "the Bot API server runs with --local, which hermes does not support";
            return Err(Lost::ForGood(why));
        }
        let mut response = self.bot.open(&path, self.limit).await.map_err(|fault| match fault {
            // The path is not one that can be asked for.
            Fault::Garbled(_) => Lost::ForGood(FAILED),
            Fault::Refused(Refusal { status: 400, .. }) => Lost::ForGood(FAILED),
            Fault::Refused(_) | Fault::Way(_) => lost(fault),
        })?;
        while let Some(bytes) = response.chunk().await.map_err(|_| Lost::Passing(Duration::ZERO))? {
            arriving = blocking(move || arriving.add(&bytes).map(|()| arriving)).await?;
        }
        blocking(move || arriving.arrived()).await
    }
}

/// The loss that a fault means.
fn lost(fault: Fault) -> Lost {
    match fault {
        Fault::Refused(Refusal { status: 420 | 429, parameters, .. }) => {
            Lost::Passing(parameters.wait().unwrap_or(WAIT_MAX))
        }
        Fault::Refused(Refusal { status: 500.., .. }) | Fault::Garbled(_) => Lost::Passing(Duration::ZERO),
        Fault::Way(fault) if fault.retry != Retry::Never => Lost::Passing(Duration::ZERO),
        // The service itself has a limit of 20 MB, and says so in words.
        Fault::Refused(Refusal { status: 400, .. }) => {
            Lost::ForGood("Telegram does not offer it to bots; it may be too large")
        }
        Fault::Refused(_) | Fault::Way(_) => Lost::ForGood(FAILED),
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, &'static str> + Send + 'static,
) -> Result<T, Lost> {
    tokio::task::spawn_blocking(work).await.unwrap_or(Err(NOT_STORED)).map_err(Lost::ForGood)
}
