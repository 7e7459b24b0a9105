//! What the person gets for the odd answers of model services, and that another chat that asks at the same time notices nothing.

use std::borrow::Cow;

use super::*;
use crate::gateway::agent::answer::tests::{FAILURES, ODDITIES};

/// What becomes of the message.
#[derive(Debug)]
enum Gets {
    /// It is answered with this.
    Text(Cow<'static, str>),
    /// It is final, and the person is told a sentence with these words.
    Told(&'static str),
    /// Nothing yet: it is asked again.
    Again,
}

fn text(text: &str) -> Gets {
    Gets::Text(Cow::Owned(text.to_owned()))
}

const CUT: &str = "\n\n(The answer was cut: it ended before it was complete.)";

fn delta(text: &str) -> String {
    format!("data: {}\n\n", serde_json::json!({"choices": [{"delta": {"content": text}}]}))
}

const SSE: &str = "text/event-stream";
const JSON: &str = "application/json";
const DONE: &str = "data: [DONE]\n\n";

/// Whole answers: what is odd, status, type, body with names for events, and what becomes of it.
const ANSWERS: [(&str, &str, &str, &str, Gets); 38] = [
    (
        "what cannot be seen",
        "200 OK",
        JSON,
        r#"{"choices":[{"message":{"content":"\u200b\ufeff \u2060\ufe0f"}}]}"#,
        Gets::Told("answered nothing"),
    ),
    ("no [DONE]", "200 OK", SSE, "{hi}{stop}", Gets::Text(Cow::Borrowed("hi"))),
    (
        "an event that is not JSON",
        "200 OK",
        SSE,
        "{hi}data: {oops\n\n{hi}{done}",
        Gets::Text(Cow::Borrowed("hihi")),
    ),
    (
        "a length limit",
        "200 OK",
        SSE,
        "{hi}{length}{done}",
        Gets::Text(Cow::Borrowed("hi\n\n(The answer was cut: the model reached its length limit.)")),
    ),
    (
        "a content filter",
        "200 OK",
        SSE,
        "{hi}{content_filter}{done}",
        Gets::Text(Cow::Borrowed("hi\n\n(The answer was cut by the service's content filter.)")),
    ),
    (
        "a length limit at once",
        "200 OK",
        SSE,
        "{length}{done}",
        Gets::Told("length limit before it answered"),
    ),
    ("a filter at once", "200 OK", SSE, "{content_filter}{done}", Gets::Told("content filter withheld")),
    ("only [DONE]", "200 OK", SSE, "{done}", Gets::Told("answered nothing")),
    ("nothing", "200 OK", SSE, "", Gets::Again),
    ("204", "204 No Content", JSON, "", Gets::Again),
    (
        "201 of a POST",
        "201 Created",
        JSON,
        r#"{"choices":[{"message":{"content":"hi"}}]}"#,
        Gets::Text(Cow::Borrowed("hi")),
    ),
    ("a page of a proxy", "200 OK", "text/html", "<!doctype html><p>Welcome", Gets::Again),
    ("a stream as text/html", "200 OK", "text/html", "{hi}{done}", Gets::Text(Cow::Borrowed("hi"))),
    ("a stream with a mark of UTF-8", "200 OK", SSE, "\u{feff}{hi}{done}", Gets::Text(Cow::Borrowed("hi"))),
    (
        "events with names",
        "200 OK",
        SSE,
        "event: message\nid: 1\nretry: 3\n{hi}{done}",
        Gets::Text(Cow::Borrowed("hi")),
    ),
    (
        "Ollama's own form",
        "200 OK",
        JSON,
        r#"{"model":"m","message":{"content":"hi"},"done":true}"#,
        Gets::Text(Cow::Borrowed("hi")),
    ),
    (
        "lines of JSON",
        "200 OK",
        "application/x-ndjson",
        "{\"message\":{\"content\":\"h\"}}\n{\"message\":{\"content\":\"i\"}}\n",
        Gets::Text(Cow::Borrowed("hi")),
    ),
    (
        "an answer in an array",
        "200 OK",
        JSON,
        r#"[{"choices":[{"message":{"content":"hi"}}]}]"#,
        Gets::Text(Cow::Borrowed("hi")),
    ),
    ("completions of old", "200 OK", JSON, r#"{"choices":[{"text":"hi"}]}"#, Gets::Text(Cow::Borrowed("hi"))),
    (
        "thoughts in the answer",
        "200 OK",
        JSON,
        r#"{"choices":[{"message":{"content":"<think>no</think>\n\nhi"}}]}"#,
        Gets::Text(Cow::Borrowed("hi")),
    ),
    (
        "a field of its own for thoughts",
        "200 OK",
        JSON,
        r#"{"choices":[{"message":{"reasoning_content":"no","content":"hi"}}]}"#,
        Gets::Text(Cow::Borrowed("hi")),
    ),
    (
        "a refusal of the model",
        "200 OK",
        JSON,
        r#"{"choices":[{"message":{"content":null,"refusal":"No."}}]}"#,
        Gets::Text(Cow::Borrowed("No.")),
    ),
    (
        "an error in an array",
        "200 OK",
        JSON,
        r#"[{"error":{"code":429,"status":"RESOURCE_EXHAUSTED"}}]"#,
        Gets::Again,
    ),
    (
        "400",
        "400 Bad Request",
        JSON,
        r#"{"error":{"message":"invalid temperature"}}"#,
        Gets::Told("reported a failure"),
    ),
    ("a 503 inside a 400", "400 Bad Request", JSON, r#"{"error":{"code":503,"message":"x"}}"#, Gets::Again),
    ("401", "401 Unauthorized", JSON, "{}", Gets::Told("refused the API key")),
    ("403 of a page", "403 Forbidden", "text/html", "<html>", Gets::Told("refused access")),
    (
        "403 of a moderation",
        "403 Forbidden",
        JSON,
        r#"{"error":{"message":"m requires moderation","metadata":{"reasons":["x"],"flagged_input":"the odd"}}}"#,
        Gets::Told("refused the content"),
    ),
    ("402", "402 Payment Required", JSON, "{}", Gets::Told("quota")),
    ("404 of a router", "404 Not Found", "text/plain", "404 page not found", Gets::Told("address")),
    ("408", "408 Request Timeout", JSON, "", Gets::Again),
    ("413", "413 Payload Too Large", "text/html", "<html>", Gets::Told("too long")),
    ("425", "425 Too Early", JSON, "", Gets::Again),
    ("429", "429 Too Many Requests", JSON, "", Gets::Again),
    (
        "429 without money",
        "429 Too Many Requests",
        JSON,
        r#"{"error":{"code":"insufficient_quota"}}"#,
        Gets::Told("quota"),
    ),
    (
        "429 that no minute has room for",
        "429 Too Many Requests",
        JSON,
        r#"{"error":{"message":"Request too large for m on tokens per min (TPM)"}}"#,
        Gets::Told("too long"),
    ),
    ("500 of a page", "500 Internal Server Error", "text/html", "<html>", Gets::Again),
    ("529", "529 Overloaded", JSON, "{}", Gets::Again),
];

/// The body with its events.
fn filled(body: &str) -> String {
    let body = body.replace("{hi}", &delta("hi")).replace("{done}", DONE);
    ["stop", "length", "content_filter"].iter().fold(body, |body, reason| {
        let event = serde_json::json!({"choices": [{"finish_reason": reason}]});
        body.replace(&format!("{{{reason}}}"), &format!("data: {event}\n\n"))
    })
}

/// The same with what is not a whole HTTP answer, and with each form of the tables of [`answer`].
fn rows() -> Vec<(&'static str, Vec<u8>, Gets)> {
    let whole = ANSWERS.into_iter().map(|(what, status, kind, body, gets)| {
        (what, (head(status, kind) + &filled(body)).into_bytes(), gets)
    });
    let stream = |events: &[&str]| {
        let mut raw = head("200 OK", "text/event-stream");
        events.iter().for_each(|event| raw.push_str(event));
        raw.into_bytes()
    };
    let odd = ODDITIES.iter().map(|(report, event, said)| {
        let raw = stream(&[&delta("a "), &format!("data: {event}\n\n"), &delta(" z"), DONE]);
        let end = if event.contains("[DONE]") { "" } else { " z" };
        (*report, raw, text(&format!("a {said}{end}")))
    });
    let failures = FAILURES.iter().map(|(report, event, kind)| {
        let gets = match kind {
            Kind::Busy | Kind::Away | Kind::Broke => Gets::Again,
            Kind::TooLong(_) => Gets::Told("too long"),
            Kind::Address => Gets::Told("address"),
            Kind::Access => Gets::Told("refused access"),
            Kind::Key => Gets::Told("refused the API key"),
            Kind::Quota => Gets::Told("quota"),
            Kind::Model => Gets::Told("does not know the model"),
            Kind::Content => Gets::Told("refused the content"),
            Kind::Refused => Gets::Told("reported a failure"),
        };
        (*report, stream(&[&format!("data: {event}\n\n")]), gets)
    });
    let broken = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncontent-length: 900\r\n\r\n";
    let no_utf8 = [
        &head("200 OK", "text/event-stream").into_bytes()[..],
        b"data: {\"choices\":[{\"delta\":{\"content\":\"a\xff\"}}]}\n\ndata: [DONE]\n\n",
    ];
    let error = "data: {\"error\":{\"code\":502,\"message\":\"x\"}}\n\n";
    let hi = filled("{hi}{done}");
    let lines = |text: &str| (head("200 OK", "application/x-ndjson") + text).into_bytes();
    let wires = [
        (
            "an event that is not JSON, and no end",
            stream(&[&delta("hi"), "data: {oops\n\n", &delta(" ho")]),
            text(&format!("hi ho{CUT}")),
        ),
        ("words before the events", stream(&["OK, here it is:\n\n", &hi]), text("hi")),
        (
            "a line among lines of JSON that is not JSON, and no end",
            lines("{\"message\":{\"content\":\"h\"}}\n{oops\n{\"message\":{\"content\":\"i\"}}\n"),
            text(&format!("hi{CUT}")),
        ),
        (
            "the same with an end",
            lines(
                "{\"message\":{\"content\":\"h\"}}\n\"oops\"\n<oops>\n{\"message\":{\"content\":\"i\"},\"done\":true}",
            ),
            text("hi"),
        ),
        ("no end at all", stream(&[&delta("hi")]), text(&format!("hi{CUT}"))),
        ("an error after some text", stream(&[&delta("hi"), error]), text(&format!("hi{CUT}"))),
        ("lines that end with CR", stream(&[&hi.replace('\n', "\r")]), text("hi")),
        ("no space behind data:", stream(&[&hi.replace("data: ", "data:")]), text("hi")),
        ("a closing tag alone", stream(&[&delta("no\n</th"), &delta("ink>hi"), DONE]), text("hi")),
        ("thoughts and nothing else", stream(&[&delta("<think>no"), DONE]), Gets::Told("answered nothing")),
        ("a connection that closes", Vec::new(), Gets::Again),
        ("what is not HTTP", b"\x7f\x7f no protocol".to_vec(), Gets::Again),
        ("half a head", b"HTTP/1.1 200 OK\r\ncontent-ty".to_vec(), Gets::Again),
        ("a body that breaks off at once", broken.into(), Gets::Again),
        (
            "a body that breaks off",
            (broken.to_owned() + &delta("hi")).into_bytes(),
            text(&format!("hi{CUT}")),
        ),
        ("text that is not UTF-8", no_utf8.concat(), text("a\u{fffd}")),
    ];
    whole.chain(odd).chain(failures).chain(wires).collect()
}

#[tokio::test]
async fn an_odd_answer_becomes_what_can_be_made_of_it_and_no_other_chat_notices() {
    let odd: Arc<Mutex<Vec<u8>>> = Arc::default();
    let next = Arc::clone(&odd);
    let base = service(move |request| match request.contains("the odd question") {
        true => next.lock().unwrap().clone(),
        false => (head("200 OK", "text/event-stream") + STREAM).into_bytes(),
    });
    let agent = Openai::new(&config(&base.await)).unwrap();
    let rows = rows();
    assert!(rows.len() >= 80, "{}", rows.len());
    for (n, (what, raw, gets)) in rows.into_iter().enumerate() {
        *odd.lock().unwrap() = raw;
        let asks = |sender: &str, words: &str| {
            let message = message(&format!("{sender}{n}"), &format!("{sender}@s.whatsapp.net"), words);
            Turn { key: chat_key(Platform::Whatsapp, &message), message, ..turn() }
        };
        let drafts = (Draft::default(), Draft::default());
        let (odd, other) = tokio::join!(
            agent.answer(asks("1555010", "the odd question"), &drafts.0),
            agent.answer(asks("1555011", "hello"), &drafts.1),
        );
        assert_eq!(other.as_deref(), Ok("gr\u{fc}n \u{1f33f}"), "beside: {what}");
        assert!(agent.wait().is_none() && agent.about().trouble.is_none(), "beside: {what}");
        match (odd, gets) {
            (Ok(answer), Gets::Text(expected)) => assert_eq!(answer, expected, "{what}"),
            (Err(error), Gets::Told(words)) => {
                assert_eq!(error.again, Again::Never, "{what}: {error:?}");
                assert!(error.told.contains(words), "{what}: {error:?}");
            }
            (Err(error), Gets::Again) => {
                assert!(matches!(error.again, Again::Briefly(_) | Again::Once), "{what}: {error:?}");
            }
            (odd, gets) => panic!("{what}: {odd:?} instead of {gets:?}"),
        }
    }
}
