//! Against a small HTTP server on loopback that says what it is told to say.

use std::sync::Arc;

use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;
use tokio::sync::oneshot;

use super::*;
use crate::gateway::agent::answer::ANSWER_LEN_MAX;
use crate::gateway::agent::pictures::IMAGE_LEN_MAX;
use crate::gateway::agent::testing::{head, read_request, service};
use crate::gateway::model::identity::chat_key;
use crate::gateway::model::message::Attachment;
use crate::gateway::model::message::testing::message;
use crate::platforms::Platform;
use crate::sensitive::Secret;

const KEY: &str = "canary-key-4711";

/// What the server does after it has read the request.
enum Say {
    /// These pieces, each flushed, then the end.
    Pieces(Vec<Vec<u8>>),
    /// These bytes, then silence.
    ThenSilence(Vec<u8>),
    /// Bytes for ever.
    ForEver(Vec<u8>, Vec<u8>),
    /// These bytes, so many comments with so much time between, and [`STREAM`].
    AfterComments(u32, Duration, Vec<u8>),
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
            Say::AfterComments(count, pause, head) => {
                socket.write_all(&head).await.unwrap();
                for _ in 0..count {
                    drop(socket.write_all(b": OPENROUTER PROCESSING\n\n").await);
                    tokio::time::sleep(pause).await;
                }
                drop(socket.write_all(STREAM.as_bytes()).await);
            }
        }
    });
    (base, request)
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

#[tokio::test]
async fn a_service_that_refuses_all_is_shown_so_and_one_that_was_not_asked_is_not_called_good() {
    let base = service(|_| (head("401 Unauthorized", "application/json") + "{}").into_bytes());
    let agent = Openai::new(&config(&base.await)).unwrap();
    assert!(agent.about().is_untried && agent.about().trouble.is_none());
    agent.answer(turn(), &Draft::default()).await.unwrap_err();
    let about = agent.about();
    assert!(!about.is_untried);
    assert!(
        about
            .trouble
            .is_some_and(|trouble| trouble.ailment == Ailment::Refuses && trouble.why.contains("401"))
    );
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
    let body: Value = serde_json::from_str(request.split_once("\r\n\r\n").unwrap().1).unwrap();
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
        (
            "text/event-stream",
            "data: {\"choices\":[{\"delta\":{\"content\":\"no end\"}}]}",
            "no end\n\n(The answer was cut: it ended before it was complete.)",
        ),
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
        ("302 Found", "", "agent_address_unknown"),
        ("503 Service Unavailable", "", "agent_failed"),
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
    for (bytes, begun) in [(Vec::new(), None), (silent.into_bytes(), Some("one\n\n(The answer was cut"))] {
        let (base, _request) = serve(Say::ThenSilence(bytes)).await;
        let config = OpenaiConfig { idle_timeout: Duration::from_millis(300), ..config(&base) };
        let answer = Openai::new(&config).unwrap().answer(turn(), &Draft::default()).await;
        match (answer, begun) {
            (Ok(answer), Some(begun)) => assert!(answer.starts_with(begun), "{answer}"),
            (Err(error), None) => assert_eq!((error.code, error.again), ("agent_stalled", Again::Once)),
            (answer, _) => panic!("{answer:?}"),
        }
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
    const CHAT: &[&str] = &["chat", "completions"];
    for base in ["http://localhost:1/v1", "http://localhost:1/v1/"] {
        assert_eq!(address(base, CHAT).unwrap().as_str(), "http://localhost:1/v1/chat/completions");
    }
    for base in ["localhost:1/v1", "ftp://localhost/v1", "http://", "data:x", ""] {
        assert!(address(base, CHAT).is_err(), "{base}");
    }
    for (base, loopback) in [
        ("http://localhost/v1", true),
        ("http://127.0.0.9/v1", true),
        ("http://[::1]:80/v1", true),
        ("https://api.example.com/v1", false),
        ("http://10.0.0.1/v1", false),
    ] {
        assert_eq!(net::is_loopback(&address(base, CHAT).unwrap()), loopback, "{base}");
    }
}

/// An agent whose service gives these answers, one after another, then the last again; and what that was asked.
async fn scripted(answers: &[(&str, &str)]) -> (Openai, Arc<Mutex<Vec<String>>>) {
    let asked: Arc<Mutex<Vec<String>>> = Arc::default();
    let seen = Arc::clone(&asked);
    let answers: Vec<_> =
        answers.iter().map(|(status, body)| head(status, "application/json") + body).collect();
    let base = service(move |request| {
        let mut seen = seen.lock().unwrap();
        seen.push(request.to_owned());
        answers[(seen.len() - 1).min(answers.len() - 1)].clone().into_bytes()
    });
    (Openai::new(&config(&base.await)).unwrap(), asked)
}

const WHOLE: (&str, &str) = ("200 OK", r#"{"choices":[{"message":{"content":"whole"}}]}"#);
const TOO_LONG: (&str, &str) = (
    "400 Bad Request",
    r#"{"error":{"message":"This model's maximum context length is 4096 tokens.","code":"context_length_exceeded"}}"#,
);

fn long_turn() -> Turn {
    let exchange = |n| Exchange { said: format!("said-{n}"), answered: format!("answered-{n}") };
    Turn { history: (0..4).map(exchange).collect(), ..turn() }
}

#[tokio::test]
async fn a_conversation_that_is_too_long_is_asked_with_half_of_it_then_with_none_then_the_person_is_told() {
    for (answers, expected) in [
        (&[TOO_LONG, WHOLE][..], &[4, 2][..]),
        (&[TOO_LONG, TOO_LONG, WHOLE], &[4, 2, 0]),
        (&[TOO_LONG], &[4, 2, 0]),
    ] {
        let (agent, asked) = scripted(answers).await;
        let answer = agent.answer(long_turn(), &Draft::default()).await;
        let asked: Vec<_> =
            asked.lock().unwrap().iter().map(|request| request.matches("answered-").count()).collect();
        assert_eq!(asked, expected);
        match answer {
            Ok(answer) => assert_eq!(answer, "whole"),
            Err(error) => {
                assert_eq!((error.code, error.again), ("agent_message_too_long", Again::Never));
                assert!(error.told.contains("send a shorter one"), "{}", error.told);
            }
        }
        assert!(agent.wait().is_none() && agent.about().trouble.is_none());
        assert_eq!(agent.window.load(Ordering::Relaxed), 4096, "by the service's own word");
    }
}

#[tokio::test]
async fn no_more_of_a_conversation_is_sent_than_fits_into_the_window() {
    let with = |context_tokens| {
        Openai::new(&OpenaiConfig { context_tokens, ..config("http://127.0.0.1:9/v1") }).unwrap()
    };
    let exchange = |_| Exchange { said: "x".repeat(3000), answered: "y".repeat(3000) };
    let turn = Turn { history: (0..20).map(exchange).collect(), ..turn() };
    assert_eq!(with(None).fitting(&turn).await.len(), 6, "of the window that is assumed");
    assert_eq!(with(Some(131_072)).fitting(&turn).await.len(), 20);
    assert_eq!(with(Some(512)).fitting(&turn).await.len(), 0);
    let learnt = with(Some(131_072));
    learnt.window.store(4096, Ordering::Relaxed);
    assert_eq!(learnt.fitting(&turn).await.len(), 1, "the service knows better");
}

#[tokio::test]
async fn the_window_that_the_services_list_names_bounds_what_is_sent_where_none_is_set() {
    let list = |tokens: u32| format!(r#"{{"data":[{{"id":"m","context_length":{tokens}}}]}}"#);
    let exchange = |_| Exchange { said: "said-".repeat(600), answered: "y".repeat(3000) };
    let turn = Turn { history: (0..20).map(exchange).collect(), ..turn() };
    for (tokens, context_tokens, expected) in
        [(4096, None, 1), (65_536, None, 20), (4096, Some(131_072), 20), (131_072, Some(4096), 1)]
    {
        let asked = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&asked);
        let list = list(tokens);
        let base = service(move |request| {
            seen.lock().unwrap().push(request.to_owned());
            let body = if request.starts_with("GET /v1/models ") { &list } else { WHOLE.1 };
            (head("200 OK", "application/json") + body).into_bytes()
        });
        let agent = Openai::new(&OpenaiConfig { context_tokens, ..config(&base.await) }).unwrap();
        for _ in 0..2 {
            assert_eq!(agent.answer(turn.clone(), &Draft::default()).await.unwrap(), "whole");
        }
        let asked = asked.lock().unwrap();
        let (lists, questions): (Vec<_>, Vec<_>) = asked.iter().partition(|asked| asked.starts_with("GET "));
        assert_eq!((lists.len(), questions.len()), (usize::from(context_tokens.is_none()), 2));
        assert!(lists.iter().all(|asked| asked.contains(KEY)), "it may be for those alone that have the key");
        for question in questions {
            assert_eq!(question.matches("said-").count() / 600, expected, "{tokens} {context_tokens:?}");
        }
    }
    // What fits into any window needs no question.
    let (agent, asked) = scripted(&[WHOLE]).await;
    agent.answer(long_turn(), &Draft::default()).await.unwrap();
    assert_eq!(asked.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn a_refused_picture_is_asked_once_more_as_words() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("cat.png");
    crate::durable::write_atomic(&path, b"png").unwrap();
    let mut turn = turn();
    turn.message.attachments.push(Attachment {
        kind: "image".into(),
        path: Some(path),
        mime: Some("image/png".into()),
        file_name: None,
        error: None,
    });
    for refusal in [
        ("400 Bad Request", r#"{"error":{"message":"Model does not support images."}}"#),
        (
            "404 Not Found",
            r#"{"error":{"message":"No endpoints found that support image input","code":404}}"#,
        ),
        ("415 Unsupported Media Type", ""),
        ("422 Unprocessable Entity", r#"{"detail":"content must be a string"}"#),
        (
            "500 Internal Server Error",
            r#"{"error":{"message":"image input is not supported - hint: mmproj"}}"#,
        ),
        ("200 OK", r#"{"error":{"message":"this model does not support vision","code":400}}"#),
    ] {
        let (agent, asked) = scripted(&[refusal, WHOLE]).await;
        let answer = agent.answer(turn.clone(), &Draft::default()).await;
        assert_eq!(answer.as_deref(), Ok("whole"), "{refusal:?}");
        let asked = asked.lock().unwrap();
        assert!(asked[0].contains("data:image/png") && !asked[1].contains("data:image/png"), "{refusal:?}");
        assert!(asked[1].contains("[image"), "{}", asked[1]);
    }
    // What passes by itself is not the picture's fault.
    let (agent, asked) = scripted(&[("503 Service Unavailable", "{}")]).await;
    assert!(agent.answer(turn, &Draft::default()).await.is_err());
    assert_eq!(asked.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn a_message_that_always_fails_waits_alone_and_has_an_end() {
    let (agent, asked) = scripted(&[("503 Service Unavailable", "{}")]).await;
    let error = agent.answer(turn(), &Draft::default()).await.unwrap_err();
    assert!(matches!(error.again, Again::Briefly(wait) if wait >= Duration::from_secs(1)), "{error:?}");
    let early = agent.answer(turn(), &Draft::default()).await.unwrap_err();
    assert!(matches!(early.again, Again::Briefly(_)), "{early:?}");
    assert_eq!(asked.lock().unwrap().len(), 1, "it is not asked before its time");
    assert!(agent.wait().is_none(), "nothing is said of others");
    let own = name_of(&turn());
    while agent.breaker().own_wait(Now::read().mono, &own) > Duration::ZERO {
        agent.breaker().end(Now::read(), &own, Ending::Failed(Some(Duration::ZERO)));
    }
    // Others are answered, so it is not the service.
    agent.breaker().end(Now::read(), "another", Ending::Heard);
    for _ in 3..8 {
        agent.breaker().end(Now::read(), &own, Ending::Failed(Some(Duration::ZERO)));
    }
    let last = agent.answer(turn(), &Draft::default()).await.unwrap_err();
    assert_eq!(last.again, Again::Never, "{last:?}");
    assert!(last.told.contains("I tried 8 times. Send /retry"), "{}", last.told);
    let retried = agent.answer(turn(), &Draft::default()).await.unwrap_err();
    assert!(matches!(retried.again, Again::Briefly(_)), "a retry begins again: {retried:?}");
    assert_eq!(asked.lock().unwrap().len(), 3);
}

#[test]
fn the_wait_that_a_service_asks_for_is_read_in_all_its_forms() {
    let now: Timestamp = "2026-11-29T08:00:00Z".parse().unwrap();
    for (name, value, millis) in [
        ("retry-after", "17", Some(17_000)),
        ("retry-after", " 1.5 ", Some(1500)),
        ("retry-after", "Sun, 29 Nov 2026 08:01:30 GMT", Some(90_000)),
        ("retry-after", "Sun, 29 Nov 2026 07:00:00 GMT", None),
        ("retry-after", "-5", None),
        ("retry-after", "NaN", None),
        ("retry-after", "1e300", None),
        ("retry-after", "soon", None),
        ("retry-after-ms", "2500", Some(2500)),
        ("x-other", "17", None),
    ] {
        let mut headers = HeaderMap::new();
        headers.insert(name, HeaderValue::from_static(value));
        assert_eq!(retry_after(&headers, now), millis.map(Duration::from_millis), "{name}: {value}");
    }
}

#[test]
fn the_log_names_the_address_that_was_asked_and_a_guess_without_secrets() {
    for (base, asked, guess) in [
        ("http://u:canary@h:1", "POST http://h:1/chat/completions", "is base_url http://h:1/v1?"),
        (
            "http://h:1/api?key=canary",
            "POST http://h:1/api/chat/completions",
            "is base_url http://h:1/api/v1?",
        ),
        ("http://h:1/v1", "POST http://h:1/v1/chat/completions", ""),
        ("http://h:1/v1/chat/completions", "POST", "should end before /chat/completions: http://h:1/v1"),
    ] {
        let agent = Openai::new(&config(base)).unwrap();
        let error = agent.refused(Refusal::of(404, "404 page not found"), None, &Value::Null);
        assert_eq!(error.code, "agent_address_unknown");
        assert!(error.detail.contains(asked) && error.detail.contains(guess), "{}", error.detail);
        assert_eq!(error.detail.contains("base_url"), !guess.is_empty(), "{}", error.detail);
        assert!(!error.detail.contains("canary") && error.told.contains("configured address"), "{error:?}");
    }
}

#[tokio::test]
async fn a_stream_of_comments_alone_is_bounded_in_bytes_and_waited_for_as_long_as_a_turn_may_take() {
    let comments = || b": OPENROUTER PROCESSING\n\n".repeat(100);
    let head = head("200 OK", "text/event-stream").into_bytes();
    let error = answer_to(Say::ForEver(head.clone(), comments())).await.unwrap_err();
    assert_eq!(error.code, "agent_unreadable");
    assert!(error.detail.contains("said nothing"), "{error:?}");
    // It queues for longer than any silence may be. On a busy machine one pause may become a silence.
    for tries in 1.. {
        let (base, _request) = serve(Say::AfterComments(150, Duration::from_millis(10), head.clone())).await;
        let config = OpenaiConfig { idle_timeout: Duration::from_millis(300), ..config(&base) };
        match Openai::new(&config).unwrap().answer(turn(), &Draft::default()).await {
            Ok(answer) => {
                assert_eq!(answer, "gr\u{fc}n \u{1f33f}");
                break;
            }
            Err(error) => assert!(tries < 20 && error.detail.contains("sent nothing"), "{error:?}"),
        }
    }
}

#[path = "said_tests.rs"]
mod said;

#[path = "oddities_tests.rs"]
mod oddities;

#[tokio::test]
async fn a_service_whose_answers_all_break_off_is_shown_to_fail_until_one_is_whole() {
    let is_whole = Arc::new(AtomicBool::new(false));
    let next = Arc::clone(&is_whole);
    let base = service(move |_| {
        let end = if next.load(Ordering::Relaxed) { "data: [DONE]\n\n" } else { "data: {oops\n\n" };
        let event = "data: {\"choices\":[{\"delta\":{\"content\":\"hi\"}}]}\n\n";
        (head("200 OK", "text/event-stream") + event + end).into_bytes()
    });
    let agent = Openai::new(&config(&base.await)).unwrap();
    let ask = async || agent.answer(turn(), &Draft::default()).await.unwrap();
    for count in 1..=3 {
        assert!(ask().await.ends_with("it ended before it was complete.)"));
        assert_eq!(agent.about().trouble.is_some(), count == 3, "one is nothing");
    }
    let trouble = agent.about().trouble.unwrap();
    assert_eq!(trouble.ailment, Ailment::Fails);
    assert!(trouble.why.ends_with("ended its answer before it was complete"), "{trouble:?}");
    is_whole.store(true, Ordering::Relaxed);
    assert_eq!(ask().await, "hi");
    assert!(agent.about().trouble.is_none());
}
