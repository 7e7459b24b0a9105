use std::io;

use async_trait::async_trait;
use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::Request;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use futures_util::StreamExt as _;
use serde_json::json;
use tokio::net::TcpListener;

use super::*;
use crate::gateway::connection::accept;
use crate::gateway::platforms::media::Media;
use crate::gateway::platforms::quarantine::Quarantine;
use crate::gateway::problems::Problems;
use crate::sensitive::Secret;

/// An inbox that admits every sender and takes every message.
struct Open;

#[async_trait]
impl Inbox for Open {
    fn admits(&self, _: Platform, _: &InboundMessage) -> bool {
        true
    }

    async fn accept(&self, _: Platform, _: InboundMessage) -> Result<(), InboxError> {
        Ok(())
    }
}

/// A service whose only file begins to come and never ends.
async fn answer(request: Request) -> Response {
    if request.uri().path().ends_with("/getFile") {
        return json!({ "ok": true, "result": { "file_path": "a" } }).to_string().into_response();
    }
    let first = futures_util::stream::iter([Ok::<_, io::Error>(Bytes::from_static(b"x"))]);
    Body::from_stream(first.chain(futures_util::stream::pending())).into_response()
}

async fn until(fits: impl Fn() -> bool) {
    let limit = Duration::from_secs(30);
    let looking = async {
        while !fits() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(limit, looking).await.expect("it comes about");
}

/// Everything of a home and a service.
struct Stage {
    root: tempfile::TempDir,
    shared: Arc<Shared>,
    receiver: Receiver,
}

impl Stage {
    fn dir(&self) -> std::path::PathBuf {
        self.root.path().join("media")
    }
}

/// A receiver whose service answers so.
async fn stage(routes: Router, inbox: Arc<dyn Inbox>) -> Stage {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(accept(listener, routes, Duration::from_secs(300)));
    let root = tempfile::tempdir().unwrap();
    let shared = Arc::new(Shared::new());
    let token = Secret("7000001:not-a-real-token".to_owned());
    let bot = Arc::new(Bot::new(&base, &base, &token, None).unwrap());
    let media = Media { dir: root.path().join("media"), file_len_max: 100, total_len_max: 100 };
    let receiver = Receiver {
        bot: Arc::clone(&bot),
        me: serde_json::from_value(json!({ "id": 7, "first_name": "Hermes" })).unwrap(),
        platform: Platform::Telegram,
        inbox,
        shared: Arc::clone(&shared),
        memory: Arc::default(),
        token,
        files: Files::new(bot, media, Duration::from_secs(300)),
        lanes: Lanes::default(),
        unread: Unread::new(Quarantine::new(
            root.path().join("aside"),
            Platform::Telegram,
            Problems::default(),
        )),
        repeats: LogThrottle::default(),
        albums: Mutex::default(),
        nonsense: Mutex::default(),
        poll: Duration::from_secs(30),
    };
    Stage { root, shared, receiver }
}

/// A message with a file.
fn batch() -> Vec<RawUpdate> {
    let update = json!({ "update_id": 1, "message": { "message_id": 1, "date": 1, "chat": { "id": 4, "type": "private" },
        "from": { "id": 4, "first_name": "Ada" }, "document": { "file_id": "f" } } });
    vec![RawUpdate::of(&update.to_string()).unwrap()]
}

#[tokio::test]
async fn while_a_file_comes_the_connection_is_proven_by_another_and_given_up_it_leaves_nothing() {
    let stage = stage(Router::new().fallback(answer), Arc::new(Open)).await;
    let (dir, shared, receiver) = (stage.dir(), Arc::clone(&stage.shared), stage.receiver);
    let receiving = tokio::spawn(async move { receiver.run(Ok(batch())).await });
    let sizes = || -> Vec<u64> {
        let Ok(files) = std::fs::read_dir(&dir) else { return Vec::new() };
        files.flatten().filter_map(|file| file.metadata().ok()).map(|meta| meta.len()).collect()
    };
    until(|| sizes() == [1]).await;
    let before = shared.proof();
    shared.seen();
    assert!(shared.proof() > before);
    receiving.abort();
    until(|| sizes().is_empty()).await;
}

/// A service with these faults, one for each question; then it gives the file.
fn faulty(faults: &[&'static str]) -> (Router, Arc<Mutex<Vec<&'static str>>>) {
    let left: Arc<Mutex<Vec<&'static str>>> = Arc::new(Mutex::new(faults.iter().rev().copied().collect()));
    let known = Arc::clone(&left);
    let answer = move |request: Request| {
        let left = Arc::clone(&left);
        async move {
            let asks = request.uri().path().ends_with("/getFile");
            let fault = left.lock().unwrap().pop_if(|fault| fault.starts_with("ask") == asks);
            let limit = json!({ "ok": false, "error_code": 429, "description": "Too Many Requests: retry after 1",
                                "parameters": { "retry_after": 1 } });
            match fault {
                Some("ask 502" | "file 502") => StatusCode::BAD_GATEWAY.into_response(),
                Some("ask 429") => (StatusCode::TOO_MANY_REQUESTS, limit.to_string()).into_response(),
                Some("file cut") => {
                    let parts = [Ok(Bytes::from_static(b"wh")), Err(io::Error::other("cut"))];
                    Body::from_stream(futures_util::stream::iter(parts)).into_response()
                }
                Some("file 404") => StatusCode::NOT_FOUND.into_response(),
                _ if asks => {
                    json!({ "ok": true, "result": { "file_path": "a" } }).to_string().into_response()
                }
                _ => "whole".into_response(),
            }
        }
    };
    (Router::new().fallback(answer), known)
}

/// Keeps what it takes; refuses so often, and something happens with each refusal.
struct Keeping {
    refusals: Mutex<u32>,
    on_refusal: Box<dyn Fn() + Send + Sync>,
    taken: Mutex<Vec<InboundMessage>>,
}

impl Keeping {
    fn new(refusals: u32, on_refusal: impl Fn() + Send + Sync + 'static) -> Arc<Self> {
        Arc::new(Self {
            refusals: Mutex::new(refusals),
            on_refusal: Box::new(on_refusal),
            taken: Mutex::default(),
        })
    }

    /// The content of the only file, or why there is none.
    fn file(&self) -> Result<String, String> {
        let taken = self.taken.lock().unwrap();
        let [InboundMessage { attachments, .. }] = &taken[..] else { panic!("{taken:?}") };
        match &attachments[0].path {
            Some(path) => Ok(std::fs::read_to_string(path).unwrap()),
            None => Err(attachments[0].error.clone().unwrap()),
        }
    }
}

#[async_trait]
impl Inbox for Keeping {
    fn admits(&self, _: Platform, _: &InboundMessage) -> bool {
        true
    }

    async fn accept(&self, _: Platform, message: InboundMessage) -> Result<(), InboxError> {
        let mut left = self.refusals.lock().unwrap();
        if *left == 0 {
            self.taken.lock().unwrap().push(message);
            return Ok(());
        }
        *left -= 1;
        (self.on_refusal)();
        Err(InboxError("the disk is full".to_owned()))
    }
}

#[tokio::test]
async fn a_fault_that_passes_costs_no_file_and_one_that_stays_is_told() {
    let failed = "it could not be downloaded";
    for (faults, expected) in [
        (&["ask 502", "file cut"][..], Ok("whole")),
        (&["ask 429", "file 502"], Ok("whole")),
        (&["file cut", "file 502", "file 502"], Err(failed)),
        (&["file 404"], Err(failed)),
    ] {
        let (routes, left) = faulty(faults);
        let inbox = Keeping::new(0, || {});
        let stage = stage(routes, Arc::<Keeping>::clone(&inbox)).await;
        stage.receiver.take(batch()).await;
        assert_eq!(inbox.file(), expected.map(str::to_owned).map_err(str::to_owned), "{faults:?}");
        assert!(left.lock().unwrap().is_empty(), "{faults:?}");
    }
}

#[tokio::test]
async fn a_file_that_the_disk_does_not_take_waits_with_its_message() {
    let (routes, _left) = faulty(&[]);
    let obstacle: Arc<Mutex<std::path::PathBuf>> = Arc::default();
    let (removed, refusals) = (Arc::clone(&obstacle), Mutex::new(0));
    let inbox = Keeping::new(2, move || {
        let mut refusals = refusals.lock().unwrap();
        *refusals += 1;
        // With the second refusal there is room again.
        if *refusals == 2 {
            std::fs::remove_file(&*removed.lock().unwrap()).unwrap();
        }
    });
    let stage = stage(routes, Arc::<Keeping>::clone(&inbox)).await;
    *obstacle.lock().unwrap() = stage.dir();
    std::fs::File::create(stage.dir()).unwrap();
    stage.receiver.take(batch()).await;
    assert_eq!(inbox.file(), Ok("whole".to_owned()));
}
