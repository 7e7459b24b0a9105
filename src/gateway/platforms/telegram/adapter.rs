//! The Telegram bot: the checks before it connects, the connection, and the refusals of the service.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use futures_util::future::BoxFuture;
use tokio_util::task::AbortOnDropHandle;

use super::failure::{self, Conflicts, TOKEN_ACTION};
use super::files::Files;
use super::lanes::Lanes;
use super::link::{self, Look, TelegramLink, is_unreached};
use super::polling::Source as _;
use super::receiver::{Receiver, meaning, remove_webhook};
use super::shared::Shared;
use super::unread::Unread;
use super::webhook::{Door, FETCH_LIMIT_MAX, Refused, UNREACHABLE};
use crate::clock::Now;
use crate::config::{Config, TelegramConfig, WebhookConfig};
use crate::facts;
use crate::gateway::log_throttle::LogThrottle;
use crate::gateway::model::adapter::{Adapter, Inbox, Link};
use crate::gateway::model::failure::AdapterError;
use crate::gateway::platforms::claim::Claim;
use crate::gateway::platforms::media::Media;
use crate::gateway::platforms::quarantine::Quarantine;
use crate::gateway::problems::Problems;
use crate::gateway::settings::Settings;
use crate::local_endpoint::LocalEndpoint;
use crate::net::Distrust;
use crate::platforms::Platform;
use crate::platforms::telegram::bot::{Bot, Fault};
use crate::platforms::telegram::wire::{Refusal, User, WebhookInfo};
use crate::preflight::{self, trust};
use crate::sensitive::Secret;
use crate::token_lock::TokenLock;

/// Limit for each request at the start.
const START_LIMIT: Duration = Duration::from_secs(15);

/// Limit for the proof that the service reaches us, where it did not before.
const PROOF_LIMIT: Duration = Duration::from_secs(20);

/// The distance at which limits without a duration have nothing to do with each other; each may last a quarter of an hour.
const LIMITS_WITHIN: Duration = Duration::from_secs(3600);

/// Time after which a refused token is tried again, in case the service erred.
const REFUSED_FOR: Duration = Duration::from_secs(6 * 3600);

/// The setting of the token.
const TOKEN: &str = "TELEGRAM_BOT_TOKEN";

/// The last step of a remedy: a process keeps the environment with which it was started.
const START_AGAIN: &str = "Then stop the gateway and start it again.";

/// The configured bot.
pub struct TelegramAdapter {
    settings: Arc<Settings>,
    claim: Claim,
    memory: Arc<Memory>,
    quarantine: Quarantine,
}

/// State that outlives a connection.
#[derive(Default)]
pub(super) struct Memory {
    inner: Mutex<Inner>,
    /// Held by the connection that listens for a webhook.
    place: Arc<tokio::sync::Mutex<()>>,
}

#[derive(Default)]
struct Inner {
    conflicts: Conflicts,
    /// Limits without a duration, in a row.
    limits: InARow,
    /// Untrusted certificates in a row.
    distrust: Distrust,
    refused: Option<RefusedToken>,
    /// The place where the token must be changed, when it comes from the environment of the process.
    origin: Option<String>,
    /// The service did not get through to us, and nothing has shown since that it does.
    is_unreachable: bool,
    /// The bot's name, as the service gave it last.
    account: Option<String>,
}

/// The number of times that something happened in a row, and the time of the last one.
#[derive(Default)]
struct InARow(Option<(u32, Instant)>);

impl InARow {
    /// Counts one more. Returns the number with this one; times further apart than `within` do not count.
    fn count(&mut self, now: Instant, within: Duration) -> u32 {
        let before = self.0.filter(|(_, last)| now.duration_since(*last) < within);
        let count = before.map_or(0, |(count, _)| count) + 1;
        self.0 = Some((count, now));
        count
    }
}

/// A token that the service does not know.
struct RefusedToken {
    token: Secret,
    since: Instant,
    error: AdapterError,
}

impl Memory {
    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the error for a failure, in view of those before it.
    pub(super) fn judge(&self, token: &Secret, fault: Fault) -> AdapterError {
        let now = Now::read().mono;
        let mut inner = self.inner();
        let mut conflicts = 0;
        let fault = match fault {
            Fault::Way(fault) => Fault::Way(inner.distrust.judge(fault)),
            Fault::Refused(mut refusal) => {
                inner.distrust.answered();
                failure::give_time(&mut refusal, || inner.limits.count(now, LIMITS_WITHIN) - 1);
                if refusal.status == 409 {
                    conflicts = inner.conflicts.count(now);
                }
                Fault::Refused(refusal)
            }
            Fault::Garbled(_) => {
                inner.distrust.answered();
                fault
            }
        };
        let error = inner.remedied(meaning(fault, conflicts));
        Self::remember(&mut inner, token, &error, now);
        error
    }

    /// True when the service reached the webhook at the last look.
    pub(super) fn reached(&self, is_reached: bool) {
        self.inner().is_unreachable = !is_reached;
    }

    fn remember(inner: &mut Inner, token: &Secret, error: &AdapterError, now: Instant) {
        inner.is_unreachable |= error.code == UNREACHABLE;
        if error.code == "telegram_bad_token" {
            inner.refused = Some(RefusedToken { token: token.clone(), since: now, error: error.clone() });
        }
    }

    /// Returns the refusal of this token, which stands until there is another one, or an operator asks for another try.
    fn bar(&self, token: &Secret) -> Result<(), AdapterError> {
        let mut inner = self.inner();
        let Some(refused) = &inner.refused else { return Ok(()) };
        if refused.token == *token && Now::read().mono.duration_since(refused.since) < REFUSED_FOR {
            return Err(refused.error.clone());
        }
        inner.refused = None;
        Ok(())
    }
}

impl Inner {
    /// Corrects a remedy: what is written to `.env` does not replace a token of the environment.
    fn remedied(&self, error: AdapterError) -> AdapterError {
        let is_about_token = ["telegram_bad_token", "telegram_forbidden"].contains(&error.code);
        match &self.origin {
            Some(origin) if is_about_token => AdapterError { user_action: Some(origin.clone()), ..error },
            Some(_) | None => error,
        }
    }
}

impl TelegramAdapter {
    /// The bot of these settings.
    pub fn new(settings: Arc<Settings>, problems: Problems) -> Self {
        let claim = Claim::new(Platform::Telegram, "telegram_token_lock", &settings);
        let dir = settings.home.telegram().unreadable_dir();
        let quarantine = Quarantine::new(dir, Platform::Telegram, problems);
        Self { settings, claim, memory: Arc::default(), quarantine }
    }

    /// Connects by webhook. Where the service does not reach us, the connection can at least send.
    async fn by_webhook(
        &self,
        config: &Config,
        (webhook, secret): (&WebhookConfig, Secret),
        mut receiver: Receiver,
        found: &WebhookInfo,
    ) -> Result<(BoxFuture<'static, Fault>, Look), AdapterError> {
        let (bot, shared) = (Arc::clone(&receiver.bot), Arc::clone(&receiver.shared));
        let (token, every) = (receiver.token.clone(), config.telegram.poll_timeout);
        receiver.files.within(FETCH_LIMIT_MAX);
        // The last one may still be closing.
        let place = Arc::clone(&self.memory.place).lock_owned().await;
        let door = Door::open(webhook.bind, secret, place).await?;
        // From here on it may be called.
        let refused = |refused| match refused {
            Refused::Webhook(error) => error,
            Refused::Otherwise(fault) => self.memory.judge(&token, fault),
        };
        let mut watch = door.announce(&bot, &webhook.url, START_LIMIT).await.map_err(refused)?;
        let mut serving = Box::pin(door.serve(receiver));
        let failed = found.pending_update_count > 0 && found.last_error_date.is_some();
        let is_doubtful = failed || self.memory.inner().is_unreachable;
        let mut unreached = None;
        if is_doubtful {
            let limit = PROOF_LIMIT.min(config.gateway.connect_timeout / 2);
            match watch.prove(&bot, &mut serving, limit).await.map_err(refused) {
                Ok(()) => {}
                Err(error) if error.code == UNREACHABLE => {
                    shared.degrade(Some(is_unreached(error.clone(), every)));
                    unreached = Some(error);
                }
                Err(error) => return Err(error),
            }
            self.memory.reached(unreached.is_none());
        }
        Ok((serving, Look::Webhook { watch, every, unreached }))
    }
}

/// The token, if it looks like one.
fn token(config: &Config) -> Result<Secret, AdapterError> {
    let token = config.telegram.token.clone();
    token.filter(|token| Bot::is_token(&token.0)).ok_or_else(|| {
        AdapterError::blocked("telegram_bad_token", "TELEGRAM_BOT_TOKEN is not a bot token", TOKEN_ACTION)
    })
}

/// Returns the webhook and the secret by which the service is recognized.
fn webhook(telegram: &TelegramConfig) -> Result<Option<(&WebhookConfig, Secret)>, AdapterError> {
    if let Some(finding) = preflight::telegram::webhook_finding(telegram) {
        return Err(AdapterError::blocked(finding.code.as_str(), finding.message, finding.fix));
    }
    Ok(telegram.webhook.as_ref().and_then(|webhook| Some((webhook, webhook.secret.clone()?))))
}

#[async_trait]
impl Adapter for TelegramAdapter {
    fn platform(&self) -> Platform {
        Platform::Telegram
    }

    fn check(&self) -> Result<(), AdapterError> {
        let config = self.settings.reload();
        self.memory.inner().origin = config.origin(TOKEN).map(|origin| format!("{origin} {START_AGAIN}"));
        let token = token(&config).map_err(|error| self.memory.inner().remedied(error))?;
        webhook(&config.telegram)?;
        self.memory.bar(&token)?;
        self.claim.hold(&token.0).map(drop)
    }

    fn local_endpoint(&self) -> Option<LocalEndpoint> {
        LocalEndpoint::of(&self.settings.current().telegram.api_base)
    }

    fn release(&self) {
        self.claim.let_go();
    }

    fn clear_refusals(&self) {
        self.memory.inner().refused = None;
    }

    fn account(&self) -> Option<String> {
        self.memory.inner().account.clone()
    }

    async fn connect(&self, inbox: Arc<dyn Inbox>) -> Result<Arc<dyn Link>, AdapterError> {
        let config = self.settings.current();
        let token = token(&config)?;
        let lock = self.claim.hold(&token.0)?;
        let telegram = &config.telegram;
        let proxy = telegram.proxy.as_ref();
        trust::check(&facts::trust(&self.settings.world))
            .map_err(|error| AdapterError::blocked(error.code, error.message, error.hints.join(" ")))?;
        let bot = Bot::new(&telegram.api_base, &telegram.file_base, &token, proxy).map_err(|error| {
            let fix = "Correct `[platforms.telegram]` in gateway.toml, or TELEGRAM_PROXY.";
            AdapterError::blocked("telegram_bad_address", error, fix)
        })?;
        let bot = Arc::new(bot);
        let judge = |fault| self.memory.judge(&token, fault);
        let (me, found) = tokio::join!(
            once_more(|| bot.ask::<User>("getMe", &(), START_LIMIT)),
            once_more(|| bot.ask::<WebhookInfo>("getWebhookInfo", &(), START_LIMIT)),
        );
        let (me, found) = (me.map_err(judge)?, found.map_err(judge)?);
        self.memory.inner().account = me.username.as_ref().map(|name| format!("@{name}"));
        self.memory.inner().distrust.answered();
        let (shared, number) = (Arc::new(Shared::new()), me.id);
        let paths = self.settings.home.telegram();
        let media = Media {
            dir: paths.media_dir(),
            file_len_max: telegram.media_file_bytes,
            total_len_max: telegram.media_total_bytes,
        };
        let receiver = Receiver {
            bot: Arc::clone(&bot),
            me,
            platform: Platform::Telegram,
            inbox,
            shared: Arc::clone(&shared),
            memory: Arc::clone(&self.memory),
            token: token.clone(),
            files: Files::new(Arc::clone(&bot), media, telegram.media_timeout),
            lanes: Lanes::default(),
            unread: Unread::new(self.quarantine.clone()),
            repeats: LogThrottle::default(),
            albums: Mutex::default(),
            nonsense: Mutex::default(),
            poll: telegram.poll_timeout,
        };
        let (receiving, look): (BoxFuture<'static, Fault>, Look) = match webhook(telegram)? {
            None => {
                once_more(|| remove_webhook(&bot, &found)).await.map_err(judge)?;
                let first = once_more(|| receiver.poll(None, Duration::ZERO)).await;
                // If another program receives, this connection can at least send.
                let is_conflict =
                    matches!(&first, Err(Fault::Refused(refusal)) if refusal.status == failure::CONFLICT);
                let first = if is_conflict { first } else { Ok(first.map_err(judge)?) };
                (Box::pin(async move { receiver.run(first).await }), Look::Service)
            }
            Some(webhook) => self.by_webhook(&config, webhook, receiver, &found).await?,
        };
        shared.prove();
        let probing =
            link::probe(Arc::clone(&bot), Arc::clone(&shared), Arc::clone(&self.memory), token.clone(), look);
        let receiving = receive(receiving, Arc::clone(&shared), token, Arc::clone(&self.memory), lock);
        let tasks = vec![
            AbortOnDropHandle::new(tokio::spawn(receiving)),
            AbortOnDropHandle::new(tokio::spawn(probing)),
        ];
        Ok(Arc::new(TelegramLink::new(bot, number, shared, tasks)))
    }
}

/// Asks, and once more where the service or something before it failed for a moment. An unreachable service is not asked
/// again: that is for the next attempt.
async fn once_more<T, F: Future<Output = Result<T, Fault>>>(ask: impl Fn() -> F) -> Result<T, Fault> {
    match ask().await {
        Err(Fault::Refused(Refusal { status: 500.., .. }) | Fault::Garbled(_)) => ask().await,
        Err(Fault::Way(fault)) if fault.code == "net_lost" => ask().await,
        answer => answer,
    }
}

/// Receives until the connection fails, and holds the token's lock as long.
async fn receive(
    mut receiving: BoxFuture<'static, Fault>,
    shared: Arc<Shared>,
    token: Secret,
    memory: Arc<Memory>,
    _lock: Option<Arc<TokenLock>>,
) {
    let _guard = Guard(Arc::clone(&shared));
    let error = tokio::select! {
        fault = &mut receiving => memory.judge(&token, fault),
        error = shared.ended() => {
            Memory::remember(&mut memory.inner(), &token, &error, Now::read().mono);
            return;
        }
    };
    shared.end(error);
}

/// Ends the connection when its task ends without a reason, as by a panic.
struct Guard(Arc<Shared>);

impl Drop for Guard {
    fn drop(&mut self) {
        self.0.end(AdapterError::panicked());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::{self, Certainty, Retry};
    use crate::platforms::telegram::wire::Parameters;

    #[test]
    fn the_third_untrusted_certificate_is_for_a_person_until_the_service_answers() {
        let (memory, token) = (Memory::default(), Secret("7000001:nobody".to_owned()));
        let untrusted = || {
            let (code, certainty, retry) = ("tls_untrusted", Certainty::NotSent, Retry::Backoff);
            let error =
                memory.judge(&token, Fault::Way(net::Fault { code, certainty, retry, said: "is played" }));
            (error.code, error.retry, error.user_action.is_some_and(|action| action.contains("`date`")))
        };
        let passing = ("telegram_network_error", Retry::Backoff, false);
        assert_eq!([untrusted(), untrusted()], [passing, passing]);
        let for_a_person = ("tls_untrusted", Retry::Never, true);
        assert_eq!([untrusted(), untrusted()], [for_a_person, for_a_person]);
        let (description, parameters) = ("Bad Gateway".to_owned(), Parameters::default());
        memory.judge(
            &token,
            Fault::Refused(Refusal { status: 502, description, parameters, by_service: true }),
        );
        assert_eq!(untrusted(), passing, "whoever answers is trusted");
    }

    #[test]
    fn a_token_of_the_environment_is_changed_there_and_another_by_the_wizard() {
        let token = Secret("7000001:nobody".to_owned());
        let refused = |origin: Option<&str>| {
            let memory = Memory::default();
            memory.inner().origin = origin.map(str::to_owned);
            let (description, parameters) = ("Unauthorized".to_owned(), Parameters::default());
            let error = memory.judge(
                &token,
                Fault::Refused(Refusal { status: 401, description, parameters, by_service: true }),
            );
            assert_eq!(memory.bar(&token).unwrap_err(), error, "the same is said as long as it stands");
            error.user_action.unwrap()
        };
        assert!(refused(None).contains("hermes telegram"));
        assert_eq!(refused(Some("Change it there.")), "Change it there.");
    }

    #[test]
    fn limits_without_a_time_in_a_row_are_waited_out_ever_longer() {
        let (memory, token) = (Memory::default(), Secret("7000001:nobody".to_owned()));
        let wait = |parameters| {
            let description = "Too Many Requests".to_owned();
            memory
                .judge(
                    &token,
                    Fault::Refused(Refusal { status: 429, description, parameters, by_service: true }),
                )
                .retry
        };
        let after = |seconds| Retry::After(Duration::from_secs(seconds));
        let open = Parameters::default();
        assert_eq!([wait(open), wait(open), wait(open)], [after(30), after(60), after(120)]);
        assert_eq!(wait(Parameters { retry_after: Some(7), ..open }), after(7));
    }
}
