//! Receives by webhook: the service brings each update to us, and gets our answer once it is on disk.
//!
//! A caller must give the secret, and is not read before. The route to us leads through other programs, so we take it as open
//! only while the service itself reports that it reaches us.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::to_bytes;
use axum::extract::{Request, State};
use axum::http::{Method, StatusCode};
use tokio::net::TcpListener;
use tokio::sync::OwnedMutexGuard;

use super::receiver::Receiver;
use crate::gateway::connection;
use crate::gateway::model::failure::AdapterError;
use crate::platforms::telegram::bot::{self, Bot, Fault};
use crate::platforms::telegram::wire::{Kind, RawUpdate, SetWebhook, WebhookInfo};
use crate::sensitive::Secret;

/// The header in which the service gives the secret.
const SECRET_HEADER: &str = "x-telegram-bot-api-secret-token";

/// The longest update, in bytes; those of the service are far shorter.
const BODY_LEN_MAX: usize = 1 << 20;

/// Limit for reading an update.
const BODY_LIMIT: Duration = Duration::from_secs(10);

/// Limit until an update is on disk, with its attachments. The service waits for about a minute.
const UPDATE_LIMIT: Duration = Duration::from_secs(50);

/// The part of it for fetching: beyond, the message is taken without its attachments.
pub(super) const FETCH_LIMIT_MAX: Duration = Duration::from_secs(35);

/// Limit for a connection.
const CONNECTION_LIMIT: Duration = Duration::from_secs(60);

/// The listener for the service's calls.
pub(super) struct Door {
    listener: TcpListener,
    secret: Secret,
    calls: Arc<AtomicU64>,
    /// Held so that no other connection of ours listens there meanwhile.
    _place: OwnedMutexGuard<()>,
}

impl Door {
    /// Listens. `place` is held until that ends.
    ///
    /// # Errors
    /// The cause for which it cannot.
    pub(super) async fn open(
        address: SocketAddr,
        secret: Secret,
        place: OwnedMutexGuard<()>,
    ) -> Result<Self, AdapterError> {
        let listener = TcpListener::bind(address).await.map_err(|error| {
            let (code, why) = if error.kind() == ErrorKind::AddrInUse {
                ("telegram_webhook_port_in_use", "another program uses it".to_owned())
            } else {
                ("telegram_webhook_bind_failed", error.to_string())
            };
            let message = format!("the webhook cannot listen on {address}: {why}");
            AdapterError::retryable(code, message)
        })?;
        Ok(Self { listener, secret, calls: Arc::default(), _place: place })
    }

    /// Registers the webhook, and returns once the service has accepted it.
    ///
    /// # Errors
    /// The cause for which it does not.
    pub(super) async fn announce(&self, bot: &Bot, url: &str, limit: Duration) -> Result<Watch, Refused> {
        let (url, secret) = (url.to_owned(), self.secret.clone());
        let mut watch = Watch { url, secret, calls: Arc::clone(&self.calls), seen: 0, error_date: None };
        watch.announce(bot, limit).await?;
        let info: WebhookInfo = bot.ask("getWebhookInfo", &(), limit).await.map_err(Refused::Otherwise)?;
        watch.error_date = info.last_error_date;
        watch.judge(info).map_err(Refused::Webhook)?;
        Ok(watch)
    }

    /// Takes the updates that are brought, for ever.
    pub(super) async fn serve(self, receiver: Receiver) -> Fault {
        let desk = Desk { secret: self.secret, calls: self.calls, receiver };
        let routes = Router::new().fallback(deliver).with_state(Arc::new(desk));
        connection::accept(self.listener, routes, CONNECTION_LIMIT).await;
        Fault::Garbled("the gateway no longer listens")
    }
}

/// The knowledge about the route to us.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Known {
    /// The service reaches us, or has nothing for us.
    GetsThrough,
    /// Updates wait that neither came nor failed.
    Nothing,
}

/// The error code when the service does not reach us.
pub(super) const UNREACHABLE: &str = "telegram_webhook_unreachable";

fn unreachable(why: &str) -> AdapterError {
    AdapterError::retryable(UNREACHABLE, format!("Telegram cannot reach the webhook: {why}"))
}

/// The cause for which the service brings nothing.
pub(super) enum Refused {
    /// A cause in the webhook.
    Webhook(AdapterError),
    /// A cause elsewhere.
    Otherwise(Fault),
}

/// The handler of a call.
struct Desk {
    secret: Secret,
    calls: Arc<AtomicU64>,
    receiver: Receiver,
}

async fn deliver(State(desk): State<Arc<Desk>>, request: Request) -> StatusCode {
    let sent: Vec<_> = request.headers().get_all(SECRET_HEADER).iter().collect();
    // A caller without the secret learns nothing, and its body is not read.
    if !matches!(sent[..], [sent] if desk.secret.equals(sent.as_bytes())) {
        return StatusCode::UNAUTHORIZED;
    }
    desk.calls.fetch_add(1, Ordering::Relaxed);
    if request.method() != Method::POST {
        return StatusCode::METHOD_NOT_ALLOWED;
    }
    let reading = to_bytes(request.into_body(), BODY_LEN_MAX);
    let body = match tokio::time::timeout(BODY_LIMIT, reading).await {
        Ok(Ok(body)) => body,
        Ok(Err(_)) => return StatusCode::PAYLOAD_TOO_LARGE,
        Err(_) => return StatusCode::REQUEST_TIMEOUT,
    };
    let Some(update) = RawUpdate::of(&String::from_utf8_lossy(&body)) else {
        return StatusCode::BAD_REQUEST;
    };
    match tokio::time::timeout(UPDATE_LIMIT, desk.receiver.offer(&update)).await {
        Ok(Ok(())) => StatusCode::OK,
        // The service brings the update again.
        Ok(Err(_)) | Err(_) => StatusCode::SERVICE_UNAVAILABLE,
    }
}

/// Judges the service's reports on the webhook.
pub(super) struct Watch {
    url: String,
    secret: Secret,
    calls: Arc<AtomicU64>,
    /// The number of calls when it was last judged.
    seen: u64,
    /// The last failure that the service reported.
    error_date: Option<i64>,
}

impl Watch {
    /// Registers the webhook.
    async fn announce(&self, bot: &Bot, limit: Duration) -> Result<(), Refused> {
        let kinds = Kind::ALL.map(Kind::name);
        let question = SetWebhook {
            url: &self.url,
            secret_token: &self.secret.0,
            allowed_updates: &kinds,
            drop_pending_updates: false,
        };
        match bot.ask::<bool>("setWebhook", &question, limit).await {
            Err(Fault::Refused(refusal)) if refusal.status == 400 => {
                Err(Refused::Webhook(AdapterError::blocked(
                    "telegram_bad_webhook",
                    format!("Telegram rejected the webhook: {}", refusal.description),
                    "Correct `url` under `[platforms.telegram.webhook]` in gateway.toml, or TELEGRAM_WEBHOOK_URL.",
                )))
            }
            Err(fault) => Err(Refused::Otherwise(fault)),
            Ok(_) => Ok(()),
        }
    }

    /// Asks once. `again`: the service did not reach us, and is to try now instead of ever more rarely.
    ///
    /// # Errors
    /// It does not get through, or the look failed.
    pub(super) async fn look(&mut self, bot: &Bot, limit: Duration, again: bool) -> Result<Known, Refused> {
        let info: WebhookInfo = bot.ask("getWebhookInfo", &(), limit).await.map_err(Refused::Otherwise)?;
        let judged = self.judge(info).map_err(Refused::Webhook);
        let is_closed = match &judged {
            Ok(known) => *known == Known::Nothing,
            Err(Refused::Webhook(error)) => error.code == UNREACHABLE,
            Err(Refused::Otherwise(_)) => false,
        };
        if again && is_closed {
            self.announce(bot, limit).await?;
        }
        judged
    }

    /// Takes the updates that are brought until it is known that the service reaches us, or has nothing for us.
    ///
    /// # Errors
    /// It does not get through; also where that has not shown within the limit.
    pub(super) async fn prove(
        &mut self,
        bot: &Bot,
        serving: &mut (impl Future<Output = Fault> + Unpin),
        limit: Duration,
    ) -> Result<(), Refused> {
        let looking = async {
            loop {
                if self.look(bot, limit, false).await? == Known::GetsThrough {
                    return Ok(());
                }
                tokio::time::sleep((limit / 10).max(Duration::from_millis(50))).await;
            }
        };
        tokio::select! {
            fault = serving => Err(Refused::Otherwise(fault)),
            outcome = tokio::time::timeout(limit, looking) => {
                outcome.unwrap_or_else(|_| Err(Refused::Webhook(unreachable("nothing has come yet of what waits"))))
            }
        }
    }

    /// Judges an answer to `getWebhookInfo`.
    ///
    /// # Errors
    /// The service brings nothing to us any more.
    pub(super) fn judge(&mut self, info: WebhookInfo) -> Result<Known, AdapterError> {
        if info.url != self.url {
            let message = "another program changed or removed the webhook of this bot";
            return Err(AdapterError::retryable("telegram_webhook_lost", message));
        }
        let calls = self.calls.load(Ordering::Relaxed);
        let is_called = std::mem::replace(&mut self.seen, calls) != calls;
        let is_failing = std::mem::replace(&mut self.error_date, info.last_error_date)
            != info.last_error_date
            && info.last_error_date.is_some();
        if info.pending_update_count == 0 || is_called {
            return Ok(Known::GetsThrough);
        }
        if is_failing {
            let why = info.last_error_message.as_deref().unwrap_or("no reason given");
            return Err(unreachable(&bot::shown(why)));
        }
        Ok(Known::Nothing)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_works_as_long_as_the_service_knows_it_and_gets_through() {
        let calls = Arc::<AtomicU64>::default();
        let url = "https://a.test".to_owned();
        let secret = Secret("nobody's".to_owned());
        let (url_set, called) = (url.clone(), Arc::clone(&calls));
        let mut watch = Watch { url: url_set, secret, calls: called, seen: 0, error_date: Some(5) };
        let mut judged = |pending_update_count, last_error_date, called| {
            calls.fetch_add(called, Ordering::Relaxed);
            let last_error_message = Some("Connection refused".to_owned());
            let info =
                WebhookInfo { url: url.clone(), pending_update_count, last_error_date, last_error_message };
            watch.judge(info).map_err(|error| error.code)
        };
        for (waiting, error, called, expected) in [
            (0, Some(5), 0, Ok(Known::GetsThrough)),
            // Updates wait, and nothing new has failed.
            (3, Some(5), 0, Ok(Known::Nothing)),
            // An update failed once, and was brought then.
            (0, Some(6), 0, Ok(Known::GetsThrough)),
            // The service reaches us, whatever we answer.
            (3, Some(7), 1, Ok(Known::GetsThrough)),
            (3, Some(8), 0, Err(UNREACHABLE)),
            (3, None, 0, Ok(Known::Nothing)),
        ] {
            assert_eq!(judged(waiting, error, called), expected, "{waiting} {error:?} {called}");
        }
        let gone = watch.judge(WebhookInfo::default()).unwrap_err();
        assert_eq!(gone.code, "telegram_webhook_lost");
    }
}
