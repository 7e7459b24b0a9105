//! The HTTP side of the service.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU8, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::Request;
use axum::http::{Response, StatusCode};
use futures_util::StreamExt as _;
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpSocket};
use tokio::runtime::Runtime;
use tokio::sync::{Notify, watch};

use super::bot::{Asked, Fault, SentMessage, State, Verdict};
use crate::support::truth::{Fact, Witness};
use crate::support::wait::{self, hush};

/// The token that the service knows. It is not a real one.
pub(crate) const TOKEN: &str = "7000001:not-a-real-token-of-anybody";

/// Time after which an update is brought again that a webhook did not take.
const AGAIN_AFTER: Duration = Duration::from_millis(100);

/// Pause between two bytes of a file that comes slowly.
const TRICKLE_PAUSE: Duration = Duration::from_millis(50);

/// A Bot API on a port of this machine. Everything ends when it is dropped.
pub(crate) struct TelegramService {
    address: SocketAddr,
    shared: Arc<Shared>,
    /// False while the port refuses, and every connection is cut.
    open: watch::Sender<bool>,
    runtime: Option<Runtime>,
}

struct Shared {
    state: Mutex<State>,
    /// Notified when an update may be due to a waiting poll.
    changed: Notify,
    /// Notified of every message that is sent.
    sent: std::sync::Condvar,
    open: watch::Receiver<bool>,
    /// Connections that have not ended.
    connections: AtomicUsize,
    /// The witness of the polls that are really answered.
    witness: Arc<Witness>,
    /// The newest poll.
    polls: AtomicU64,
}

/// One poll: as long as it is held, and from a good answer to the next poll, the two are connected.
struct Poll {
    witness: Arc<Witness>,
    number: u64,
    is_answered: bool,
}

impl Poll {
    fn begin(shared: &Shared) -> Self {
        let number = shared.polls.fetch_add(1, Ordering::Relaxed) + 1;
        Self { witness: Arc::clone(&shared.witness), number, is_answered: false }
    }

    fn is(&self, fact: Fact) {
        self.witness.note("telegram", self.number, fact);
    }

    /// Records a webhook connection, which has no polls.
    fn stands(mut self) {
        self.is(Fact::Up);
        self.is_answered = true;
        self.takes_over();
    }

    /// Takes the place of the poll before.
    fn takes_over(&self) {
        self.witness.note("telegram", self.number - 1, Fact::Gone);
    }

    /// Records the fate of the poll, at first or after it was held.
    fn becomes(&mut self, verdict: &Verdict) {
        match verdict {
            Verdict::Wait(..) => self.is(Fact::Up),
            Verdict::Answer(200, _) => {
                self.is(Fact::Up);
                self.is(Fact::Silent);
                self.is_answered = true;
            }
            Verdict::Fault(Fault::Hang) => self.is(Fact::Silent),
            Verdict::Answer(..) | Verdict::Fault(_) => self.is(Fact::Gone),
        }
        self.takes_over();
    }
}

impl Drop for Poll {
    fn drop(&mut self) {
        if !self.is_answered {
            self.is(Fact::Gone);
        }
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl TelegramService {
    /// Listens.
    pub(crate) fn start() -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .expect("a runtime");
        let (open, is_open) = watch::channel(true);
        let listener =
            runtime.block_on(async { listen(SocketAddr::from(([127, 0, 0, 1], 0))) }).expect("a port");
        let address = listener.local_addr().expect("it has one");
        let state = State {
            token: TOKEN.to_owned(),
            keeps_asked: true,
            next_message: 1000,
            batch_max: 100,
            ..State::default()
        };
        let shared = Arc::new(Shared {
            state: Mutex::new(state),
            changed: Notify::new(),
            sent: std::sync::Condvar::new(),
            open: is_open,
            connections: AtomicUsize::new(0),
            // As settings name it, with the end of the port's number.
            witness: Witness::new(format!("\"http://{address}\""), vec!["telegram".to_owned()]),
            polls: AtomicU64::new(0),
        });
        runtime.spawn(serve(listener, address, Arc::clone(&shared)));
        runtime.spawn(bring(Arc::clone(&shared)));
        Self { address, shared, open, runtime: Some(runtime) }
    }

    /// Returns the address for `api_base` and `file_base` (the latter with `/file`).
    pub(crate) fn base(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Returns the part of `gateway.toml` that names it.
    pub(crate) fn table(&self) -> String {
        format!(
            "[platforms.telegram]\napi_base = \"{0}\"\nfile_base = \"{0}/file\"\nrates = \"off\"\n",
            self.base()
        )
    }

    /// Writes a text in a chat as a person; in a direct chat the two have one number. Returns the number of the update.
    pub(crate) fn write(&self, chat: i64, from: i64, text: &str) -> i64 {
        let id = {
            let mut state = self.shared.state();
            state.next_message += 1;
            state.next_message
        };
        let kind = if chat < 0 { "supergroup" } else { "private" };
        self.push(json!({ "message": {
            "message_id": id, "date": now(), "chat": { "id": chat, "type": kind },
            "from": { "id": from, "is_bot": false, "first_name": "Test" }, "text": text } }))
    }

    /// Adds any update; its number is given by the service.
    pub(crate) fn push(&self, update: Value) -> i64 {
        let id = self.shared.state().push(update);
        self.shared.changed.notify_waiters();
        id
    }

    /// Adds an update with another number than the next one, or without any (null).
    pub(crate) fn push_as(&self, update: Value, number: Value) {
        self.change(|state| state.push_as(update, number));
    }

    /// Adds many texts at once, as after an outage: `(chat, text)`. Returns the numbers of the messages.
    pub(crate) fn write_all(&self, texts: impl IntoIterator<Item = (i64, String)>) -> Vec<i64> {
        let mut state = self.shared.state();
        let mut push = |(chat, text)| {
            state.next_message += 1;
            let id = state.next_message;
            state.push(json!({ "message": {
                "message_id": id, "date": now(), "chat": { "id": chat, "type": "private" },
                "from": { "id": chat, "is_bot": false, "first_name": "Test" }, "text": text } }));
            id
        };
        let ids = texts.into_iter().map(&mut push).collect();
        drop(state);
        self.shared.changed.notify_waiters();
        ids
    }

    /// Limits each answer to so many updates from now on.
    pub(crate) fn portion(&self, count: usize) {
        self.change(|state| state.batch_max = count);
    }

    /// Returns when every earlier connection has ended, and all its bytes were read: for a gateway that is dead.
    pub(crate) fn hush(&self) {
        let last = std::net::TcpStream::connect(self.address).expect("it listens");
        last.shutdown(std::net::Shutdown::Write).expect("it is open");
        hush(last, || self.shared.connections.load(Ordering::SeqCst) == 0);
    }

    /// Changes the service's state.
    fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let changed = change(&mut self.shared.state());
        self.shared.changed.notify_waiters();
        changed
    }

    /// Adds a file that can be fetched.
    pub(crate) fn file(&self, id: &str, path: &str, bytes: &[u8]) {
        self.change(|state| state.files.insert(id.to_owned(), (path.to_owned(), bytes.to_vec())));
    }

    /// Makes the file at this path come a byte at a time from now on.
    pub(crate) fn trickle(&self, path: &str) {
        self.change(|state| state.trickling.insert(path.to_owned()));
    }

    /// Makes the next requests of this method (`*`: of any) fail so, one each.
    pub(crate) fn fail(&self, method: &str, faults: impl IntoIterator<Item = Fault>) {
        self.change(|state| state.faults.entry(method.to_owned()).or_default().extend(faults));
    }

    /// Makes all requests of this method (`*`: of any) fail so, until it is lifted by `None`.
    pub(crate) fn stand(&self, method: &str, fault: Option<Fault>) {
        self.change(|state| match fault {
            Some(fault) => drop(state.standing.insert(method.to_owned(), fault)),
            None => drop(state.standing.remove(method)),
        });
    }

    /// Sets a webhook, as another program would.
    pub(crate) fn set_webhook(&self, url: &str) {
        self.change(|state| url.clone_into(&mut state.webhook));
    }

    /// Returns the address of the webhook that is set; empty where none is.
    pub(crate) fn webhook(&self) -> String {
        self.shared.state().webhook.clone()
    }

    /// Returns the number of updates that were brought to a webhook and taken there.
    pub(crate) fn brought(&self) -> usize {
        self.shared.state().brought
    }

    /// Returns the statuses with which the others were refused.
    pub(crate) fn turned_away(&self) -> Vec<u16> {
        self.shared.state().turned_away.clone()
    }

    /// Changes the bot's token.
    pub(crate) fn set_token(&self, token: &str) {
        self.change(|state| state.token = token.to_owned());
    }

    /// Polls as a second program with the same token would.
    pub(crate) fn steal_poll(&self) {
        self.change(|state| state.poller += 1);
    }

    /// Makes the port refuse, and cuts all connections.
    pub(crate) fn close(&self) {
        self.open.send_replace(false);
        // Between two polls there is no open connection that would show it.
        let newest = self.shared.polls.load(Ordering::Relaxed);
        self.shared.witness.note("telegram", newest, Fact::Gone);
    }

    /// Returns the witness of its connections.
    pub(crate) fn witness(&self) -> &Witness {
        &self.shared.witness
    }

    /// Opens the port again.
    pub(crate) fn reopen(&self) {
        self.open.send_replace(true);
    }

    /// Returns the number of unconfirmed updates.
    pub(crate) fn waiting(&self) -> usize {
        self.shared.state().waiting.len()
    }

    /// Returns the number of updates that were dropped on request.
    pub(crate) fn dropped(&self) -> u64 {
        self.shared.state().dropped
    }

    /// Adds an update that spoils each answer in which it is. Returns its number.
    pub(crate) fn push_spoiled(&self) -> i64 {
        let id = {
            let mut state = self.shared.state();
            let id = state.push(json!({ "message": {} }));
            state.spoiled.insert(id);
            id
        };
        self.shared.changed.notify_waiters();
        id
    }

    /// Returns the number of requests with a token that is not the bot's.
    pub(crate) fn refused(&self) -> usize {
        self.shared.state().refused
    }

    /// Deletes a sent message, as a person would.
    pub(crate) fn delete(&self, message_id: i64) {
        self.change(|state| state.sent.retain(|sent| sent.message_id != message_id));
    }

    /// Returns all messages that were sent so far.
    pub(crate) fn sent(&self) -> Vec<SentMessage> {
        self.shared.state().sent.clone()
    }

    /// Returns the texts that a fault has refused for good, with their chats.
    pub(crate) fn untaken(&self) -> Vec<(i64, String)> {
        self.shared.state().untaken.clone()
    }

    /// Returns the requests of this method so far.
    pub(crate) fn asked(&self, method: &str) -> Vec<Asked> {
        self.shared.state().asked.iter().filter(|asked| asked.method == method).cloned().collect()
    }

    /// Returns the number of requests that fit.
    pub(crate) fn count_asked(&self, fits: impl Fn(&Asked) -> bool) -> usize {
        self.shared.state().asked.iter().filter(|asked| fits(asked)).count()
    }

    /// Stops the ledger of requests: for benchmarks.
    pub(crate) fn forget_requests(&self) {
        self.change(|state| state.keeps_asked = false);
    }

    /// Waits for the first message that was sent to this chat and holds this text.
    pub(crate) fn wait_sent(&self, chat: i64, text: &str) -> SentMessage {
        let found = |state: &State| {
            state.sent.iter().find(|sent| sent.chat == chat && sent.text.contains(text)).cloned()
        };
        wait::until(wait::LIMIT, || found(&self.shared.state()))
            .unwrap_or_else(|| panic!("nothing with {text:?} was sent to {chat}; sent: {:#?}", self.sent()))
    }

    /// Returns when so many messages were sent, without looking again and again. False: the limit has passed.
    pub(crate) fn wait_count(&self, count: usize, limit: Duration) -> bool {
        let state = self.shared.state();
        let waited = self.shared.sent.wait_timeout_while(state, limit, |state| state.sent.len() < count);
        !waited.unwrap_or_else(PoisonError::into_inner).1.timed_out()
    }
}

impl Drop for TelegramService {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// Returns the time in seconds since 1970.
pub(crate) fn now() -> i64 {
    hermes::clock::Now::read().wall.as_second()
}

/// Returns an address of this machine that no one else uses: all of 127/8 is ours.
pub(crate) fn own_address() -> SocketAddr {
    static NEXT: AtomicU8 = AtomicU8::new(1);
    let [_, _, high, low] = std::process::id().to_be_bytes();
    SocketAddr::from(([127, 64 | high, low, NEXT.fetch_add(1, Ordering::Relaxed)], 8443))
}

fn listen(address: SocketAddr) -> std::io::Result<TcpListener> {
    let socket = TcpSocket::new_v4()?;
    // After a while of refusing, it is the same port again.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(1024)
}

async fn serve(first: TcpListener, address: SocketAddr, shared: Arc<Shared>) {
    let mut open = shared.open.clone();
    let mut first = Some(first);
    loop {
        let listener = match first.take() {
            Some(listener) => listener,
            None => listen(address).expect("the port is ours"),
        };
        loop {
            tokio::select! {
                _ = open.wait_for(|open| !open) => break,
                accepted = listener.accept() => {
                    let Ok((stream, _)) = accepted else { continue };
                    drop(stream.set_nodelay(true));
                    shared.connections.fetch_add(1, Ordering::SeqCst);
                    let shared = Arc::clone(&shared);
                    tokio::spawn(async move {
                        connection(stream, Arc::clone(&shared)).await;
                        shared.connections.fetch_sub(1, Ordering::SeqCst);
                    });
                }
            }
        }
        drop(listener);
        if open.wait_for(|open| *open).await.is_err() {
            return;
        }
    }
}

/// Brings the waiting updates to the webhook, one after the other, and again those that it does not take.
async fn bring(shared: Arc<Shared>) {
    let client = hermes::tls::client_builder().no_proxy().timeout(wait::LIMIT).build().expect("a client");
    loop {
        let changed = shared.changed.notified();
        tokio::pin!(changed);
        changed.as_mut().enable();
        let next = {
            let state = shared.state();
            let (url, secret) = (state.webhook.clone(), state.secret.clone());
            let is_ours = url.starts_with("http://127.");
            state.waiting.front().filter(|_| is_ours).map(|(id, update)| (*id, update.clone(), url, secret))
        };
        let Some((id, update, url, secret)) = next else {
            changed.await;
            continue;
        };
        let call = client.post(&url).header("X-Telegram-Bot-Api-Secret-Token", secret).json(&update);
        let error = match call.send().await.map(|answer| answer.status().as_u16()) {
            Ok(200) => {
                let mut state = shared.state();
                state.waiting.retain(|(waiting, _)| *waiting != id);
                state.confirmed = state.confirmed.max(id);
                state.brought += 1;
                continue;
            }
            Ok(status) => {
                shared.state().turned_away.push(status);
                format!("Wrong response from the webhook: {status}")
            }
            Err(_) => "Connection refused".to_owned(),
        };
        {
            let mut state = shared.state();
            // The service's clock has seconds; here each failure has its own.
            let date = state.webhook_error.as_ref().map_or_else(now, |(date, _)| now().max(date + 1));
            state.webhook_error = Some((date, error));
        }
        // As the service does, only sooner.
        tokio::time::sleep(AGAIN_AFTER).await;
    }
}

async fn connection(stream: tokio::net::TcpStream, shared: Arc<Shared>) {
    let mut open = shared.open.clone();
    let cut = Arc::new(Notify::new());
    let routes = {
        let (shared, cut) = (Arc::clone(&shared), Arc::clone(&cut));
        Router::new().fallback(move |request: Request| {
            let (shared, cut) = (Arc::clone(&shared), Arc::clone(&cut));
            async move { answer(request, &shared, &cut).await }
        })
    };
    let served = hyper::server::conn::http1::Builder::new()
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(routes));
    tokio::select! {
        _ = served => {}
        () = cut.notified() => {}
        _ = open.wait_for(|open| !open) => {}
    }
}

async fn answer(request: Request, shared: &Shared, cut: &Notify) -> Response<Body> {
    let path = request.uri().path().to_owned();
    let token = shared.state().token.clone();
    if let Some(file) = path.strip_prefix(&format!("/file/bot{token}/")) {
        let state = shared.state();
        let found = state.files.values().find(|(path, _)| path == file).map(|(_, bytes)| bytes.clone());
        return match found {
            None => response(404, "Not Found".into()),
            Some(bytes) if state.trickling.contains(file) => response(200, trickle(bytes)),
            Some(bytes) => response(200, bytes.into()),
        };
    }
    let body = to_bytes(request.into_body(), 1 << 20).await.unwrap_or_default();
    let Some((given, method)) = path.strip_prefix("/bot").and_then(|rest| rest.split_once('/')) else {
        return refusal(404, "Not Found");
    };
    if given != token {
        shared.state().refused += 1;
        return refusal(401, "Unauthorized");
    }
    let parameters = serde_json::from_slice(&body).unwrap_or(Value::Null);
    let mut polling = (method == "getUpdates").then(|| Poll::begin(shared));
    let mut verdict = shared.state().ask(method, parameters);
    if let Some(polling) = &mut polling {
        polling.becomes(&verdict);
    }
    let tells_of_webhook = matches!(method, "setWebhook" | "getWebhookInfo");
    if tells_of_webhook && matches!(verdict, Verdict::Answer(200, _)) && !shared.state().webhook.is_empty() {
        Poll::begin(shared).stands();
    }
    if matches!(method, "getUpdates" | "setWebhook" | "deleteWebhook") {
        // The older poll learns that it is the older one, and a webhook gets the waiting updates.
        shared.changed.notify_waiters();
    }
    if let Verdict::Wait(poller, limit) = verdict {
        verdict = poll(shared, poller, limit).await;
        polling.iter_mut().for_each(|polling| polling.becomes(&verdict));
    }
    if method == "sendMessage" {
        shared.sent.notify_all();
    }
    match verdict {
        Verdict::Answer(status, body) => response(status, body.to_string().into()),
        Verdict::Wait(..) => refusal(500, "a poll that waits twice"),
        Verdict::Fault(Fault::Answer(status, body)) => response(status, body.to_string().into()),
        Verdict::Fault(Fault::Hang) => std::future::pending().await,
        Verdict::Fault(Fault::CutBefore | Fault::CutAfter) => {
            cut.notify_one();
            std::future::pending().await
        }
        Verdict::Fault(Fault::Garbage(bytes)) => response(200, bytes.into()),
        Verdict::Fault(Fault::Endless) => {
            let chunk = Bytes::from(vec![b' '; 1 << 20]);
            let chunks = futures_util::stream::iter(std::iter::repeat(chunk)).map(Ok::<_, std::io::Error>);
            response(200, Body::from_stream(chunks))
        }
    }
}

fn trickle(bytes: Vec<u8>) -> Body {
    let slowly = |byte| async move {
        tokio::time::sleep(TRICKLE_PAUSE).await;
        Ok::<_, std::io::Error>(Bytes::from(vec![byte]))
    };
    Body::from_stream(futures_util::stream::iter(bytes).then(slowly))
}

/// Holds a long poll: until there is an update, or another one asks.
async fn poll(shared: &Shared, poller: u64, limit: Duration) -> Verdict {
    let deadline = tokio::time::Instant::now() + limit;
    loop {
        let changed = shared.changed.notified();
        tokio::pin!(changed);
        // Changes count from here on, before anything is checked.
        changed.as_mut().enable();
        {
            let state = shared.state();
            if state.poller != poller {
                return Verdict::Fault(Fault::refuse(
                    409,
                    "Conflict: terminated by other getUpdates request; make sure that only one bot instance is running",
                ));
            }
            if let Some(fault) = state.standing.get("getUpdates").or_else(|| state.standing.get("*")) {
                return Verdict::Fault(fault.clone());
            }
            if !state.waiting.is_empty() {
                return state.batch(100);
            }
        }
        if tokio::time::timeout_at(deadline, changed).await.is_err() {
            return super::bot::ok(json!([]));
        }
    }
}

fn response(status: u16, body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    *response.status_mut() = StatusCode::from_u16(status).expect("a status");
    response
}

fn refusal(status: u16, description: &str) -> Response<Body> {
    let body = json!({ "ok": false, "error_code": status, "description": description });
    response(status, body.to_string().into())
}
