//! What the person gets for the odd answers of model services, and that another chat that asks at the same time notices nothing.

use super::*;
use crate::gateway::agent::answer::tests::{FAILURES, ODDITIES};

/// What becomes of the message.
#[derive(Debug)]
enum Gets {
    /// It is answered with this.
    Text(String),
    /// It is final, and the person is told a sentence with these words.
    Told(&'static str),
    /// Nothing yet: it is asked again.
    Again,
}

fn text(text: &str) -> Gets {
    Gets::Text(text.to_owned())
}

const CUT: &str = "\n\n(The answer was cut: it ended before it was complete.)";

fn delta(text: &str) -> String {
    format!("data: {}\n\n", serde_json::json!({"choices": [{"delta": {"content": text}}]}))
}

/// Whole answers: where it was seen, status, type, body.
fn answers() -> Vec<(&'static str, &'static str, &'static str, String, Gets)> {
    let (sse, json) = ("text/event-stream", "application/json");
    let done = "data: [DONE]\n\n";
    let hi = delta("hi");
    let finish = |reason: &str| format!("data: {{\"choices\":[{{\"finish_reason\":\"{reason}\"}}]}}\n\n");
    let error = "data: {\"error\":{\"code\":502,\"message\":\"x\"}}\n\n";
    vec![
        ("no [DONE]", "200 OK", sse, format!("{hi}{}", finish("stop")), text("hi")),
        ("no end at all", "200 OK", sse, hi.clone(), text(&format!("hi{CUT}"))),
        ("an error after some text", "200 OK", sse, format!("{hi}{error}"), text(&format!("hi{CUT}"))),
        ("an event that is not JSON", "200 OK", sse, format!("{hi}data: {{oops\n\n{hi}{done}"), text("hihi")),
        (
            "a length limit",
            "200 OK",
            sse,
            format!("{hi}{}{done}", finish("length")),
            text("hi\n\n(The answer was cut: the model reached its length limit.)"),
        ),
        (
            "a content filter",
            "200 OK",
            sse,
            format!("{hi}{}{done}", finish("content_filter")),
            text("hi\n\n(The answer was cut by the service's content filter.)"),
        ),
        (
            "a length limit at once",
            "200 OK",
            sse,
            format!("{}{done}", finish("length")),
            Gets::Told("length limit before it answered"),
        ),
        (
            "a filter at once",
            "200 OK",
            sse,
            format!("{}{done}", finish("content_filter")),
            Gets::Told("content filter withheld"),
        ),
        ("only [DONE]", "200 OK", sse, done.into(), Gets::Told("answered nothing")),
        ("nothing", "200 OK", sse, String::new(), Gets::Again),
        ("204", "204 No Content", json, String::new(), Gets::Again),
        (
            "201 of a POST",
            "201 Created",
            json,
            r#"{"choices":[{"message":{"content":"hi"}}]}"#.into(),
            text("hi"),
        ),
        ("a page of a proxy", "200 OK", "text/html", "<!doctype html><p>Welcome".into(), Gets::Again),
        ("a stream as text/html", "200 OK", "text/html", format!("{hi}{done}"), text("hi")),
        ("a stream with a mark of UTF-8", "200 OK", sse, format!("\u{feff}{hi}{done}"), text("hi")),
        ("lines that end with CR", "200 OK", sse, format!("{hi}{done}").replace('\n', "\r"), text("hi")),
        (
            "no space behind data:",
            "200 OK",
            sse,
            format!("{hi}{done}").replace("data: ", "data:"),
            text("hi"),
        ),
        (
            "events with names",
            "200 OK",
            sse,
            format!("event: message\nid: 1\nretry: 3\n{hi}{done}"),
            text("hi"),
        ),
        (
            "Ollama's own form",
            "200 OK",
            json,
            r#"{"model":"m","message":{"content":"hi"},"done":true}"#.into(),
            text("hi"),
        ),
        (
            "lines of JSON",
            "200 OK",
            "application/x-ndjson",
            "{\"message\":{\"content\":\"h\"}}\n{\"message\":{\"content\":\"i\"}}\n".into(),
            text("hi"),
        ),
        (
            "an answer in an array",
            "200 OK",
            json,
            r#"[{"choices":[{"message":{"content":"hi"}}]}]"#.into(),
            text("hi"),
        ),
        ("completions of old", "200 OK", json, r#"{"choices":[{"text":"hi"}]}"#.into(), text("hi")),
        (
            "thoughts in the answer",
            "200 OK",
            json,
            r#"{"choices":[{"message":{"content":"<think>no</think>\n\nhi"}}]}"#.into(),
            text("hi"),
        ),
        (
            "thoughts with a closing tag alone",
            "200 OK",
            sse,
            format!("{}{}{done}", delta("no\n</th"), delta("ink>hi")),
            text("hi"),
        ),
        (
            "thoughts and nothing else",
            "200 OK",
            sse,
            format!("{}{done}", delta("<think>no")),
            Gets::Told("answered nothing"),
        ),
        (
            "a field of its own for thoughts",
            "200 OK",
            json,
            r#"{"choices":[{"message":{"reasoning_content":"no","content":"hi"}}]}"#.into(),
            text("hi"),
        ),
        (
            "a refusal of the model",
            "200 OK",
            json,
            r#"{"choices":[{"message":{"content":null,"refusal":"No."}}]}"#.into(),
            text("No."),
        ),
        (
            "an error in an array",
            "200 OK",
            json,
            r#"[{"error":{"code":429,"status":"RESOURCE_EXHAUSTED"}}]"#.into(),
            Gets::Again,
        ),
        (
            "400",
            "400 Bad Request",
            json,
            r#"{"error":{"message":"invalid temperature"}}"#.into(),
            Gets::Told("reported a failure"),
        ),
        (
            "a 503 inside a 400",
            "400 Bad Request",
            json,
            r#"{"error":{"code":503,"message":"x"}}"#.into(),
            Gets::Again,
        ),
        ("401", "401 Unauthorized", json, "{}".into(), Gets::Told("refused the key")),
        ("402", "402 Payment Required", json, "{}".into(), Gets::Told("quota")),
        (
            "404 of a router",
            "404 Not Found",
            "text/plain",
            "404 page not found".into(),
            Gets::Told("address"),
        ),
        ("408", "408 Request Timeout", json, String::new(), Gets::Again),
        ("413", "413 Payload Too Large", "text/html", "<html>".into(), Gets::Told("too long")),
        ("425", "425 Too Early", json, String::new(), Gets::Again),
        ("429", "429 Too Many Requests", json, String::new(), Gets::Again),
        (
            "429 without money",
            "429 Too Many Requests",
            json,
            r#"{"error":{"code":"insufficient_quota"}}"#.into(),
            Gets::Told("quota"),
        ),
        (
            "429 that no minute has room for",
            "429 Too Many Requests",
            json,
            r#"{"error":{"message":"Request too large for m on tokens per min (TPM)"}}"#.into(),
            Gets::Told("too long"),
        ),
        ("500 of a page", "500 Internal Server Error", "text/html", "<html>".into(), Gets::Again),
        ("529", "529 Overloaded", json, "{}".into(), Gets::Again),
    ]
}

/// The same with what is not a whole HTTP answer, and with each form of the tables of [`answer`].
fn rows() -> Vec<(&'static str, Vec<u8>, Gets)> {
    let whole = answers()
        .into_iter()
        .map(|(what, status, kind, body, gets)| (what, (head(status, kind) + &body).into_bytes(), gets));
    let stream = |events: &[&str]| {
        let mut raw = head("200 OK", "text/event-stream");
        events.iter().for_each(|event| raw.push_str(event));
        raw.into_bytes()
    };
    let odd = ODDITIES.iter().map(|(report, event, said)| {
        let raw = stream(&[&delta("a "), &format!("data: {event}\n\n"), &delta(" z"), "data: [DONE]\n\n"]);
        let end = if event.contains("[DONE]") { "" } else { " z" };
        (*report, raw, Gets::Text(format!("a {said}{end}")))
    });
    let failures = FAILURES.iter().map(|(report, event, kind)| {
        let gets = match kind {
            Kind::Busy | Kind::Away | Kind::Broke => Gets::Again,
            Kind::TooLong(_) => Gets::Told("too long"),
            Kind::Address => Gets::Told("address"),
            Kind::Key => Gets::Told("refused the key"),
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
    let wires = [
        ("a connection that closes", Vec::new(), Gets::Again),
        ("what is not HTTP", b"\x7f\x7f no protocol".to_vec(), Gets::Again),
        ("half a head", b"HTTP/1.1 200 OK\r\ncontent-ty".to_vec(), Gets::Again),
        ("a body that breaks off at once", broken.into(), Gets::Again),
        (
            "a body that breaks off",
            (broken.to_owned() + &delta("hi")).into_bytes(),
            Gets::Text(format!("hi{CUT}")),
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
