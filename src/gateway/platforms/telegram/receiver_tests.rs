use async_trait::async_trait;
use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::Request;
use axum::response::{IntoResponse as _, Response};
use futures_util::StreamExt as _;
use serde_json::json;
use tokio::net::TcpListener;

use super::*;
use crate::gateway::connection::accept;
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

#[tokio::test]
async fn while_a_file_comes_the_connection_is_proven_by_another_and_given_up_it_leaves_nothing() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(accept(listener, Router::new().fallback(answer), Duration::from_secs(300)));
    let root = tempfile::tempdir().unwrap();
    let dir = root.path().join("media");
    let shared = Arc::new(Shared::new());
    let bot = Bot::new(&base, &base, &Secret("7000001:not-a-real-token".to_owned()), None).unwrap();
    let receiver = Receiver {
        bot: Arc::new(bot),
        me: serde_json::from_value(json!({ "id": 7, "first_name": "Hermes" })).unwrap(),
        platform: Platform::Telegram,
        inbox: Arc::new(Open),
        shared: Arc::clone(&shared),
        memory: Arc::default(),
        token: Secret("7000001:not-a-real-token".to_owned()),
        media: Media { dir: dir.clone(), file_len_max: 100, total_len_max: 100 },
        aside: Aside { dir: root.path().join("aside") },
        repeats: LogThrottle::default(),
        albums: Mutex::default(),
        poll: Duration::from_secs(30),
        fetch_limit: Duration::from_secs(300),
    };
    let update = json!({ "update_id": 1, "message": { "message_id": 1, "date": 1, "chat": { "id": 4, "type": "private" },
        "from": { "id": 4, "first_name": "Ada" }, "document": { "file_id": "f" } } });
    let batch = vec![RawUpdate::of(&update.to_string()).unwrap()];
    let receiving = tokio::spawn(async move { receiver.run(Ok(batch)).await });
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
