//! Against a small HTTP server on loopback that says what it is told to say.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::oneshot;

use super::*;
use crate::config::Secret;
use crate::gateway::inbound::identity::chat_key;
use crate::gateway::message::testing::message;
use crate::platform::Platform;

const KEY: &str = "canary-key-4711";

/// What the server does after it has read the request.
enum Say {
    /// These pieces, each flushed, then the end.
    Pieces(Vec<Vec<u8>>),
    /// These bytes, then silence.
    ThenSilence(Vec<u8>),
    /// Bytes for ever.
    ForEver(Vec<u8>, Vec<u8>),
}

/// Answers one request; what was asked comes out of the channel.
async fn serve(say: Say) -> (String, oneshot::Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}/v1", listener.local_addr().unwrap());
    let (asked, request) = oneshot::channel();
    tokio::spawn(async move {
        let (mut socket, _) = listener.accept().await.unwrap();
        socket.set_nodelay(true).unwrap();
        asked.send(read_request(&mut socket).await).ok();
        match say {
            Say::Pieces(pieces) => {
                for piece in pieces {
                    socket.write_all(&piece).await.unwrap();
                    tokio::task::yield_now().await;
                }
                socket.shutdown().await.unwrap();
            }
            Say::ThenSilence(bytes) => {
                socket.write_all(&bytes).await.unwrap();
                std::future::pending::<()>().await;
            }
            Say::ForEver(head, bytes) => {
                socket.write_all(&head).await.unwrap();
                while socket.write_all(&bytes).await.is_ok() {}
            }
        }
    });
    (base, request)
}

async fn read_request(socket: &mut tokio::net::TcpStream) -> String {
    let mut bytes = Vec::new();
    loop {
        let mut piece = [0; 4096];
        let len = socket.read(&mut piece).await.unwrap();
        bytes.extend_from_slice(&piece[..len]);
        let text = String::from_utf8_lossy(&bytes);
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head.lines().find_map(|line| {
                let (name, value) = line.split_once(':')?;
                name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().unwrap())
            });
            if body.len() >= length.unwrap_or(0) {
                return text.into_owned();
            }
        }
        assert!(len > 0, "the request ends early: {text}");
    }
}

fn head(status: &str, kind: &str) -> String {
    format!("HTTP/1.1 {status}\r\ncontent-type: {kind}\r\nconnection: close\r\n\r\n")
}

fn config(base_url: &str) -> OpenaiConfig {
    OpenaiConfig {
        base_url: base_url.to_owned(),
        model: "m".into(),
        api_key_env: "OPENAI_API_KEY".into(),
        api_key: Some(Secret(KEY.into())),
        system_prompt: Some("Be brief.".into()),
        idle_timeout: Duration::from_secs(20),
        ..OpenaiConfig::default()
    }
}

fn turn() -> Turn {
    let message = message("A", "15550101@s.whatsapp.net", "hello");
    Turn { key: chat_key(Platform::Whatsapp, &message), session: "s1".into(), message, history: Vec::new() }
}

async fn answer_to(say: Say) -> Result<String, AgentError> {
    let (base, _request) = serve(say).await;
    Openai::new(&config(&base)).unwrap().answer(turn(), &Draft::default()).await
}

const STREAM: &str = "data: {\"choices\":[{\"delta\":{\"content\":\"gr\u{fc}\"}}]}\r\n\r\n: still here\r\n\r\n\
     data: {\"choices\":[{\"delta\":{\"content\":\"n \u{1f33f}\"}}]}\r\n\r\ndata: [DONE]\r\n\r\n";

#[tokio::test]
async fn a_stream_is_read_in_whatever_pieces_it_comes_and_the_request_is_right() {
    let mut pieces = vec![head("200 OK", "text/event-stream; charset=utf-8").into_bytes()];
    pieces.extend(STREAM.as_bytes().chunks(3).map(<[u8]>::to_vec));
    let (base, request) = serve(Say::Pieces(pieces)).await;
    let answer = Openai::new(&config(&base)).unwrap().answer(turn(), &Draft::default()).await.unwrap();
    assert_eq!(answer, "gr\u{fc}n \u{1f33f}");
    let request = request.await.unwrap();
    assert!(request.starts_with("POST /v1/chat/completions HTTP/1.1\r\n"), "{request}");
    assert!(request.contains(&format!("authorization: Bearer {KEY}\r\n")));
    let body: serde_json::Value = serde_json::from_str(request.split_once("\r\n\r\n").unwrap().1).unwrap();
    assert_eq!((&body["model"], &body["stream"]), (&"m".into(), &true.into()));
    assert_eq!(body["messages"][1]["content"], "hello");
}

#[tokio::test]
async fn an_answer_ends_at_done_though_the_connection_stays() {
    let bytes = head("200 OK", "text/event-stream") + STREAM;
    assert_eq!(answer_to(Say::ThenSilence(bytes.into_bytes())).await.unwrap(), "gr\u{fc}n \u{1f33f}");
}

#[tokio::test]
async fn answers_that_are_no_stream_or_do_not_say_so_are_accepted() {
    let json = r#"{"choices":[{"message":{"content":"whole"}}]}"#;
    for (kind, body, expected) in [
        ("application/json", json, "whole"),
        ("text/plain", STREAM, "gr\u{fc}n \u{1f33f}"),
        ("text/event-stream", "data: {\"choices\":[{\"delta\":{\"content\":\"no end\"}}]}", "no end"),
    ] {
        let bytes = (head("200 OK", kind) + body).into_bytes();
        assert_eq!(answer_to(Say::Pieces(vec![bytes])).await.unwrap(), expected);
    }
}

#[tokio::test]
async fn an_answer_without_end_is_cut() {
    let piece =
        format!("data: {{\"choices\":[{{\"delta\":{{\"content\":\"{}\"}}}}]}}\n\n", "x".repeat(10_000));
    let head = head("200 OK", "text/event-stream").into_bytes();
    let answer = answer_to(Say::ForEver(head, piece.into_bytes())).await.unwrap();
    assert!(answer.len() > ANSWER_LEN_MAX && answer.len() < ANSWER_LEN_MAX + 100);
}

#[tokio::test]
async fn garbage_without_end_is_bounded() {
    for kind in ["text/event-stream", "application/json"] {
        let error =
            answer_to(Say::ForEver(head("200 OK", kind).into_bytes(), vec![b'x'; 10_000])).await.unwrap_err();
        assert_eq!(error.code, "agent_unreadable");
    }
}

#[tokio::test]
async fn each_failure_is_told_in_one_sentence_and_has_its_code() {
    let model = r#"{"error":{"message":"canary-key-4711 hello","code":"model_not_found"}}"#;
    for (status, body, code) in [
        (
            "401 Unauthorized",
            r#"{"error":{"message":"Incorrect API key: canary-key-4711"}}"#,
            "agent_key_refused",
        ),
        ("404 Not Found", model, "agent_model_unknown"),
        ("400 Bad Request", model, "agent_model_unknown"),
        ("429 Too Many Requests", "", "agent_rate_limited"),
        ("500 Internal Server Error", "<html>canary-key-4711</html>", "agent_failed"),
        ("302 Found", "", "agent_failed"),
        ("200 OK", r#"{"choices":[{"message":{"content":""}}]}"#, "agent_silent"),
        ("200 OK", r#"{"error":{"message":"hello","type":"overloaded"}}"#, "agent_failed"),
        ("200 OK", "hello", "agent_unreadable"),
    ] {
        let bytes = (head(status, "application/json") + body).into_bytes();
        let error = answer_to(Say::Pieces(vec![bytes])).await.unwrap_err();
        assert_eq!(error.code, code, "{status}");
        assert!(error.told.ends_with('.') && !error.told.contains("127.0.0.1"));
        for secret in [KEY, "hello"] {
            assert!(!format!("{error:?} {error}").contains(secret), "{error:?}");
        }
    }
}

#[tokio::test]
async fn a_service_that_is_not_there_or_falls_silent_is_an_error_in_time() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let gone = format!("http://user:{KEY}@{}/v1?key={KEY}", listener.local_addr().unwrap());
    drop(listener);
    let error = Openai::new(&config(&gone)).unwrap().answer(turn(), &Draft::default()).await.unwrap_err();
    assert_eq!(error.code, "agent_unreachable");
    assert!(error.detail.contains("(net_refused)"), "{error:?}");
    assert!(!format!("{error:?}").contains(KEY), "{error:?}");

    let (base, _request) = serve(Say::Pieces(Vec::new())).await;
    let error = Openai::new(&config(&base)).unwrap().answer(turn(), &Draft::default()).await.unwrap_err();
    assert_eq!(error.code, "agent_broke_off");
    assert!(error.detail.contains("(net_lost)"), "{error:?}");

    let refusal = head("407 Proxy Authentication Required", "text/plain").into_bytes();
    let error = answer_to(Say::Pieces(vec![refusal])).await.unwrap_err();
    assert_eq!(error.code, "agent_unreachable");
    assert!(error.detail.contains("(proxy_auth)") && error.detail.contains("HTTPS_PROXY"), "{error:?}");

    let silent =
        head("200 OK", "text/event-stream") + "data: {\"choices\":[{\"delta\":{\"content\":\"one\"}}]}\n\n";
    for (bytes, again) in [(Vec::new(), Again::Once), (silent.into_bytes(), Again::Never)] {
        let (base, _request) = serve(Say::ThenSilence(bytes)).await;
        let config = OpenaiConfig { idle_timeout: Duration::from_millis(300), ..config(&base) };
        let error = Openai::new(&config).unwrap().answer(turn(), &Draft::default()).await.unwrap_err();
        assert_eq!((error.code, error.again), ("agent_stalled", again));
    }
}

#[tokio::test]
async fn images_are_shown_to_the_model_and_large_ones_are_not() {
    let dir = tempfile::tempdir().unwrap();
    let file = |name: &str, len: usize| {
        let path = dir.path().join(name);
        crate::durable::write_atomic(&path, &vec![7; len]).unwrap();
        path
    };
    let limit = usize::try_from(IMAGE_LEN_MAX).unwrap();
    let attachment = |path, mime: &str| Attachment {
        kind: "image".into(),
        path,
        mime: Some(mime.into()),
        file_name: None,
        error: None,
    };
    let shown = images(&[
        attachment(Some(file("small", 3)), "image/png; x=1"),
        attachment(Some(file("limit", limit)), "image/jpeg"),
        attachment(Some(file("large", limit + 1)), "image/png"),
        attachment(Some(dir.path().join("gone")), "image/png"),
        attachment(None, "image/png"),
    ])
    .await;
    assert_eq!(shown.len(), 2);
    assert_eq!(shown[0].0, "data:image/png;base64,BwcH");
    let none = images(&[attachment(Some(file("pdf", 3)), "application/pdf")]).await;
    assert!(none.is_empty());
}

#[test]
fn addresses_are_taken_as_people_write_them() {
    for base in ["http://localhost:1/v1", "http://localhost:1/v1/"] {
        assert_eq!(address(base).unwrap().as_str(), "http://localhost:1/v1/chat/completions");
    }
    for base in ["localhost:1/v1", "ftp://localhost/v1", "http://", "data:x", ""] {
        assert!(address(base).is_err(), "{base}");
    }
    for (base, loopback) in [
        ("http://localhost/v1", true),
        ("http://127.0.0.9/v1", true),
        ("http://[::1]:80/v1", true),
        ("https://api.example.com/v1", false),
        ("http://10.0.0.1/v1", false),
    ] {
        assert_eq!(net::is_loopback(&address(base).unwrap()), loopback, "{base}");
    }
}
