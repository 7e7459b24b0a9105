//! A platform that does what the test on the other side of a Unix socket says. See [`super`].

use std::collections::{BTreeSet, HashMap};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use tokio::io::AsyncWriteExt as _;
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::{mpsc, oneshot, watch};
use tokio_util::codec::{FramedRead, LinesCodec};
use tokio_util::task::AbortOnDropHandle;

use super::script::{Cause, Cue, Said, Written, inbound};
use crate::clock::Now;
use crate::failpoint;
use crate::gateway::model::adapter::{Adapter, Inbox, Link};
use crate::gateway::model::failure::{AdapterError, Certainty, Retry, Scope, SendError};
use crate::gateway::model::message::{ChatId, MessageId, OutboundMessage};
use crate::gateway::platforms::claim::Claim;
use crate::gateway::settings::Settings;
use crate::platforms::Platform;
use crate::token_lock::TokenLock;

/// Longest line of the test, in bytes.
const LINE_LEN_MAX: usize = 1 << 20;

/// Lines that may wait to be written.
const LINES_MAX: usize = 64;

/// Messages that are being accepted at once.
const ACCEPTS_MAX: usize = 256;

/// The longest wait for the socket, and for a line to be taken.
const SOCKET_LIMIT: Duration = Duration::from_secs(5);

/// The longest wait for the fate of a message.
const SEND_LIMIT: Duration = Duration::from_secs(30);

/// A platform that a test plays.
#[derive(Debug)]
pub struct PlayedAdapter {
    platform: Platform,
    socket: PathBuf,
    claim: Claim,
}

impl PlayedAdapter {
    /// The platform of this name; the test listens there.
    pub fn new(platform: Platform, socket: PathBuf, settings: &Settings) -> Self {
        Self { platform, socket, claim: Claim::new(platform, "telegram_token_lock", settings) }
    }

    /// A file of the test's beside the socket.
    fn prop(&self, ending: &str) -> Option<Vec<u8>> {
        crate::file::read(format!("{}.{}.{ending}", self.socket.display(), self.platform), 1 << 20).ok()
    }

    /// Takes the token, where the test has given one.
    fn hold_token(&self) -> Result<Option<Arc<TokenLock>>, AdapterError> {
        match self.prop("token") {
            Some(token) => self.claim.hold(&String::from_utf8_lossy(&token)),
            None => Ok(None),
        }
    }
}

#[async_trait]
impl Adapter for PlayedAdapter {
    fn platform(&self) -> Platform {
        self.platform
    }

    fn check(&self) -> Result<(), AdapterError> {
        self.hold_token()?;
        let Some(bytes) = self.prop("blocked") else { return Ok(()) };
        match serde_json::from_slice::<Cause>(&bytes) {
            Ok(cause) => Err(AdapterError::from(cause).retry(Retry::Never)),
            // Half written.
            Err(_) => Ok(()),
        }
    }

    async fn connect(&self, inbox: Arc<dyn Inbox>) -> Result<Arc<dyn Link>, AdapterError> {
        let token = self.hold_token()?;
        let opening = tokio::time::timeout(SOCKET_LIMIT, UnixStream::connect(&self.socket));
        let Ok(Ok(stream)) = opening.await else { return Err(gone()) };
        let (reads, writes) = stream.into_split();
        let (lines, to_write) = mpsc::channel(LINES_MAX);
        let writer = AbortOnDropHandle::new(tokio::spawn(write(writes, to_write)));
        let shared = Arc::new(Shared {
            lines,
            frozen: Mutex::new(None),
            waiting: Mutex::new(HashMap::new()),
            end: watch::Sender::new(None),
            hangs: watch::Sender::new(false),
            limit: watch::Sender::new(None),
        });
        shared.say(Said::Connect { platform: self.platform.to_string() }).await;
        let mut cues = Cues(FramedRead::new(reads, LinesCodec::new_with_max_length(LINE_LEN_MAX)));
        loop {
            match cues.next().await {
                Some(Cue::Ready) => break,
                Some(Cue::Fail(cause)) => return Err(cause.into()),
                Some(Cue::Panic) => panic!("the script says so"),
                Some(
                    Cue::Message(_)
                    | Cue::Sent { .. }
                    | Cue::Unsent(_)
                    | Cue::Limit { .. }
                    | Cue::Silence
                    | Cue::Prove
                    | Cue::Drop(_)
                    | Cue::HangClose,
                ) => {}
                None => return Err(gone()),
            }
        }
        let play = play(self.platform, cues, Arc::clone(&shared), inbox);
        let pump = AbortOnDropHandle::new(tokio::spawn(play));
        Ok(Arc::new(PlayedLink { shared, _pump: pump, _writer: writer, _token: token }))
    }

    fn release(&self) {
        self.claim.let_go();
    }
}

fn gone() -> AdapterError {
    AdapterError::retryable("net_refused", "nobody plays the service")
}

struct Cues(FramedRead<OwnedReadHalf, LinesCodec>);

impl Cues {
    /// Returns the next cue; `None` when the test has closed the connection, or sends a line that is not a cue.
    async fn next(&mut self) -> Option<Cue> {
        let line = self.0.next().await?.ok()?;
        match serde_json::from_str(&line) {
            Ok(cue) => Some(cue),
            Err(error) => {
                tracing::error!(code = "script_broken", "a line of the script is no cue: {error}");
                None
            }
        }
    }
}

async fn write(mut writes: OwnedWriteHalf, mut lines: mpsc::Receiver<String>) {
    let mut waiting = Vec::with_capacity(LINES_MAX);
    while lines.recv_many(&mut waiting, LINES_MAX).await > 0 {
        let text: String = waiting.drain(..).collect();
        let writing = tokio::time::timeout(SOCKET_LIMIT, writes.write_all(text.as_bytes()));
        if !matches!(writing.await, Ok(Ok(()))) {
            return;
        }
    }
}

/// The end of a link.
#[derive(Debug, Clone)]
enum End {
    Lost(AdapterError),
    Panic,
}

#[derive(Debug)]
struct Shared {
    lines: mpsc::Sender<String>,
    frozen: Mutex<Option<Instant>>,
    waiting: Mutex<HashMap<String, oneshot::Sender<Result<(), SendError>>>>,
    end: watch::Sender<Option<End>>,
    hangs: watch::Sender<bool>,
    /// The last limit that was not reported yet.
    limit: watch::Sender<Option<Duration>>,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Shared {
    async fn say(&self, said: Said) {
        let line = format!("{}\n", serde_json::to_string(&said).expect("plain data with string keys"));
        // A test that does not read is its own loss.
        drop(tokio::time::timeout(SOCKET_LIMIT, self.lines.send(line)).await);
    }

    fn answer(&self, handle: &str, outcome: Result<(), SendError>) {
        if let Some(asker) = locked(&self.waiting).remove(handle) {
            drop(asker.send(outcome));
        }
    }
}

/// Does what the test says until the link ends.
async fn play(platform: Platform, mut cues: Cues, shared: Arc<Shared>, inbox: Arc<dyn Inbox>) {
    let accept = async |written: Written| {
        let (id, chat) = (written.id.clone(), written.chat.clone());
        let message = inbound(written, Now::read().wall.as_second());
        let said = match inbox.accept(platform, message).await {
            Ok(()) => Said::Accepted { id },
            Err(_) => Said::Refused { id },
        };
        (chat, said)
    };
    // Chats side by side, so that they share a flush; within a chat one after the other, which keeps their order.
    let mut accepting = FuturesUnordered::new();
    let mut chats = BTreeSet::new();
    let mut held: Option<Written> = None;
    let end = loop {
        if let Some(written) = held.take_if(|written| !chats.contains(&written.chat)) {
            chats.insert(written.chat.clone());
            accepting.push(accept(written));
        }
        let cue = tokio::select! {
            biased;
            Some((chat, said)) = accepting.next(), if !accepting.is_empty() => {
                chats.remove(&chat);
                failpoint::hit("ack.scripted.before");
                shared.say(said).await;
                failpoint::hit("ack.scripted.after");
                continue;
            }
            cue = cues.next(), if held.is_none() && accepting.len() < ACCEPTS_MAX => cue,
        };
        match cue {
            Some(Cue::Message(written)) => held = Some(written),
            Some(Cue::Sent { handle }) => shared.answer(&handle, Ok(())),
            Some(Cue::Unsent(unsent)) => shared.answer(&unsent.handle.clone(), Err(unsent.into())),
            Some(Cue::Silence) => *locked(&shared.frozen) = Some(Now::read().mono),
            Some(Cue::Prove) => *locked(&shared.frozen) = None,
            Some(Cue::HangClose) => drop(shared.hangs.send_replace(true)),
            Some(Cue::Drop(cause) | Cue::Fail(cause)) => break End::Lost(cause.into()),
            Some(Cue::Panic) => break End::Panic,
            Some(Cue::Limit { wait_ms }) => {
                shared.limit.send_replace(Some(Duration::from_millis(wait_ms)));
            }
            Some(Cue::Ready) => {}
            None => break End::Lost(gone()),
        }
    };
    shared.end.send_replace(Some(end));
    locked(&shared.waiting).clear();
}

struct PlayedLink {
    shared: Arc<Shared>,
    _pump: AbortOnDropHandle<()>,
    _writer: AbortOnDropHandle<()>,
    _token: Option<Arc<TokenLock>>,
}

#[async_trait]
impl Link for PlayedLink {
    async fn send(&self, message: &OutboundMessage) -> Result<MessageId, SendError> {
        let unknown = |message: &str| SendError {
            code: "connection_lost".to_owned(),
            message: message.to_owned(),
            certainty: Certainty::MaybeSent,
            retry: Retry::Backoff,
            scope: Scope::Message,
        };
        if self.shared.end.borrow().is_some() {
            return Err(SendError { certainty: Certainty::NotSent, ..unknown("the script has ended") });
        }
        let (asker, answer) = oneshot::channel();
        locked(&self.shared.waiting).insert(message.handle.clone(), asker);
        let (handle, chat) = (message.handle.clone(), message.chat.0.clone());
        let (reply_to, replaces) = (message.reply_to.clone(), message.replaces.clone());
        self.shared.say(Said::Send { handle, chat, text: message.text.clone(), reply_to, replaces }).await;
        let outcome = match tokio::time::timeout(SEND_LIMIT, answer).await {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(_)) | Err(_) => Err(unknown("the script did not say whether it arrived")),
        };
        locked(&self.shared.waiting).remove(&message.handle);
        outcome.map(|()| MessageId(message.handle.clone()))
    }

    async fn edit(&self, _id: &MessageId, message: &OutboundMessage) -> Result<(), SendError> {
        self.send(message).await.map(drop)
    }

    async fn typing(&self, _chat: &ChatId, _on: bool) {}

    async fn closed(&self) -> AdapterError {
        let mut end = self.shared.end.subscribe();
        let end = end.wait_for(Option::is_some).await.expect("the sender lives in self").clone();
        match end.expect("it is some") {
            End::Lost(error) => error,
            End::Panic => panic!("the script says so"),
        }
    }

    async fn limited(&self) -> Duration {
        let mut limit = self.shared.limit.subscribe();
        limit.wait_for(Option::is_some).await.expect("the sender lives in self");
        self.shared.limit.send_replace(None).unwrap_or_default()
    }

    fn proof(&self) -> Instant {
        locked(&self.shared.frozen).unwrap_or_else(|| Now::read().mono)
    }

    async fn close(&self) {
        if *self.shared.hangs.borrow() {
            std::future::pending::<()>().await;
        }
        self.shared.say(Said::Close).await;
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncBufReadExt as _, BufReader};
    use tokio::net::UnixListener;
    use tokio::sync::Semaphore;

    use super::*;
    use crate::config::Config;
    use crate::gateway::model::adapter::InboxError;
    use crate::gateway::model::message::InboundMessage;
    use crate::gateway::pipeline::counting_flow::CountingFlow;
    use crate::home::HermesHome;
    use crate::sensitive::Private;
    use crate::world::World;

    fn settings() -> Arc<Settings> {
        let nothing: [(&str, &str); 0] = [];
        Settings::new(World::of_env(nothing), HermesHome::at("/nonexistent"), Config::default())
    }

    struct Service {
        reads: tokio::io::Lines<BufReader<OwnedReadHalf>>,
        writes: OwnedWriteHalf,
    }

    impl Service {
        async fn accept(listener: &UnixListener) -> Self {
            let (reads, writes) = listener.accept().await.unwrap().0.into_split();
            Self { reads: BufReader::new(reads).lines(), writes }
        }

        async fn hear(&mut self) -> serde_json::Value {
            serde_json::from_str(&self.reads.next_line().await.unwrap().unwrap()).unwrap()
        }

        async fn cue(&mut self, line: &str) {
            self.writes.write_all(format!("{line}\n").as_bytes()).await.unwrap();
        }
    }

    #[tokio::test]
    async fn a_test_plays_the_service_from_the_first_line_to_the_last() {
        let dir = tempfile::tempdir().unwrap();
        let socket = dir.path().join("stage");
        let platform = Platform::scripted(1).unwrap();
        let adapter = Arc::new(PlayedAdapter::new(platform, socket.clone(), &settings()));
        let flow = Arc::new(CountingFlow::default());
        let inbox = Arc::clone(&flow) as Arc<dyn Inbox>;
        assert_eq!(adapter.connect(Arc::clone(&inbox)).await.err().unwrap().code, "net_refused");

        let listener = UnixListener::bind(&socket).unwrap();
        let attempt = |adapter: &Arc<PlayedAdapter>| {
            let (adapter, inbox) = (Arc::clone(adapter), Arc::clone(&inbox));
            tokio::spawn(async move { adapter.connect(inbox).await })
        };
        let failing = attempt(&adapter);
        let mut service = Service::accept(&listener).await;
        assert_eq!(service.hear().await["platform"], "scripted1");
        service.cue(r#"{"do":"fail","code":"net_dns"}"#).await;
        assert_eq!(failing.await.unwrap().err().unwrap().code, "net_dns");

        let connecting = attempt(&adapter);
        let mut service = Service::accept(&listener).await;
        service.hear().await;
        service.cue(r#"{"do":"ready"}"#).await;
        let link = connecting.await.unwrap().unwrap();
        service.cue(r#"{"do":"message","id":"m1","chat":"c","from":"u","text":"hi"}"#).await;
        assert_eq!(service.hear().await, serde_json::json!({"say": "accepted", "id": "m1"}));
        let message = OutboundMessage {
            chat: ChatId("c".to_owned()),
            handle: "h1".to_owned(),
            text: Private("hello".to_owned()),
            is_markup: false,
            reply_to: None,
            fleeting: false,
            replaces: None,
        };
        let sending = {
            let link = Arc::clone(&link);
            tokio::spawn(async move { link.send(&message).await })
        };
        assert_eq!(service.hear().await["text"], "hello");
        service.cue(r#"{"do":"sent","handle":"h1"}"#).await;
        assert_eq!(sending.await.unwrap().unwrap(), MessageId("h1".to_owned()));
        service.cue(r#"{"do":"drop","code":"net_timeout"}"#).await;
        assert_eq!(link.closed().await.code, "net_timeout");
    }

    /// Passes one message for each permit, and reports its sender.
    struct Doorway {
        entered: mpsc::UnboundedSender<String>,
        permits: Semaphore,
    }

    #[async_trait]
    impl Inbox for Doorway {
        fn admits(&self, _: Platform, _: &InboundMessage) -> bool {
            true
        }

        async fn accept(&self, _: Platform, message: InboundMessage) -> Result<(), InboxError> {
            self.entered.send(message.id.0).unwrap();
            self.permits.acquire().await.unwrap().forget();
            Ok(())
        }
    }

    #[tokio::test]
    async fn chats_are_accepted_side_by_side_and_each_in_its_order() {
        let dir = tempfile::tempdir().unwrap();
        let socket = dir.path().join("stage");
        let listener = UnixListener::bind(&socket).unwrap();
        let adapter = PlayedAdapter::new(Platform::scripted(1).unwrap(), socket, &settings());
        let (entered, mut comers) = mpsc::unbounded_channel();
        let doorway = Arc::new(Doorway { entered, permits: Semaphore::new(0) });
        let inbox = Arc::clone(&doorway) as Arc<dyn Inbox>;
        let connecting = tokio::spawn(async move { adapter.connect(inbox).await });
        let mut service = Service::accept(&listener).await;
        service.hear().await;
        service.cue(r#"{"do":"ready"}"#).await;
        let _link = connecting.await.unwrap().unwrap();
        for (id, chat) in [("m1", "a"), ("m2", "b"), ("m3", "a"), ("m4", "c")] {
            let cue = serde_json::json!({"do": "message", "id": id, "chat": chat, "from": "u", "text": "hi"});
            service.cue(&cue.to_string()).await;
        }
        assert_eq!((comers.recv().await.unwrap(), comers.recv().await.unwrap()), ("m1".into(), "m2".into()));
        doorway.permits.add_permits(1);
        assert_eq!(service.hear().await, serde_json::json!({"say": "accepted", "id": "m1"}));
        assert_eq!((comers.recv().await.unwrap(), comers.recv().await.unwrap()), ("m3".into(), "m4".into()));
        doorway.permits.add_permits(3);
        for id in ["m2", "m3", "m4"] {
            assert_eq!(service.hear().await, serde_json::json!({"say": "accepted", "id": id}));
        }
    }

    #[test]
    fn a_file_beside_the_socket_blocks() {
        let dir = tempfile::tempdir().unwrap();
        let socket = dir.path().join("stage");
        let adapter = PlayedAdapter::new(Platform::scripted(2).unwrap(), socket.clone(), &settings());
        adapter.check().unwrap();
        let path = dir.path().join("stage.scripted2.blocked");
        crate::durable::write_atomic(&path, br#"{"code":"telegram_bad_token","user_action":"mend it"}"#)
            .unwrap();
        let error = adapter.check().unwrap_err();
        assert_eq!((error.code, error.retry), ("telegram_bad_token", Retry::Never));
        std::fs::remove_file(path).unwrap();
        adapter.check().unwrap();
    }
}
