//! Telegram's service as the wizard needs it, behind a seam that tests fill with scripts.

use std::time::Duration;

use async_trait::async_trait;

use crate::platforms::telegram::bot::{Bot, Fault};
use crate::platforms::telegram::wire::{self, DeleteWebhook, GetUpdates, Kind, RawUpdate, User, WebhookInfo};
use crate::sensitive::Secret;

/// The longest that one question may take.
const LIMIT: Duration = Duration::from_secs(15);

/// Updates of one answer: the most that the service gives.
pub(super) const BATCH_MAX: u8 = 100;

/// The service, for one token.
#[async_trait]
pub trait Service: Send + Sync {
    /// The bot of the token.
    ///
    /// # Errors
    /// Why the service does not say.
    async fn me(&self) -> Result<User, Fault>;

    /// Where the bot's messages are delivered to; empty where they wait to be fetched.
    ///
    /// # Errors
    /// Why the service does not say.
    async fn webhook(&self) -> Result<String, Fault>;

    /// Lets the bot's messages wait to be fetched. None is dropped.
    ///
    /// # Errors
    /// Why it was not done.
    async fn remove_webhook(&self) -> Result<(), Fault>;

    /// The updates that wait, or that come within `wait` (whole seconds). Nothing is confirmed: all of them come again.
    ///
    /// # Errors
    /// Why there is none.
    async fn updates(&self, wait: Duration) -> Result<Vec<RawUpdate>, Fault>;
}

/// Where the service of a token is found.
pub trait Services: Send + Sync {
    /// Nothing is contacted yet.
    ///
    /// # Errors
    /// When its address is unusable; a sentence without its period.
    fn of(&self, token: &Secret) -> Result<Box<dyn Service>, String>;
}

/// The Bot API at these addresses.
#[derive(Debug, Clone)]
pub struct BotApi {
    /// Of its methods.
    pub api_base: String,
    /// Of its files.
    pub file_base: String,
    /// The way there.
    pub proxy: Option<Secret>,
}

impl Services for BotApi {
    fn of(&self, token: &Secret) -> Result<Box<dyn Service>, String> {
        Ok(Box::new(Bot::new(&self.api_base, &self.file_base, token, self.proxy.as_ref())?))
    }
}

#[async_trait]
impl Service for Bot {
    async fn me(&self) -> Result<User, Fault> {
        self.ask("getMe", &(), LIMIT).await
    }

    async fn webhook(&self) -> Result<String, Fault> {
        let info: WebhookInfo = self.ask("getWebhookInfo", &(), LIMIT).await?;
        Ok(info.url)
    }

    async fn remove_webhook(&self) -> Result<(), Fault> {
        let question = DeleteWebhook { drop_pending_updates: false };
        self.result("deleteWebhook", &question, LIMIT).await.map(drop)
    }

    async fn updates(&self, wait: Duration) -> Result<Vec<RawUpdate>, Fault> {
        // The kinds are kept by the service: these are the gateway's.
        let kinds = Kind::ALL.map(Kind::name);
        let question =
            GetUpdates { offset: None, limit: BATCH_MAX, timeout: wait.as_secs(), allowed_updates: &kinds };
        let result = self.result("getUpdates", &question, wait + LIMIT).await?;
        wire::updates(&result).ok_or(Fault::Garbled("updates of another form"))
    }
}
