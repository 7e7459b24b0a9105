//! A small HTTP client over any stream, so that a test decides exactly what is sent.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use serde_json::Value;

/// An answer.
#[derive(Debug)]
pub(crate) struct Reply {
    /// The status; 0 when the other side closed without an answer.
    pub(crate) status: u16,
    /// The head, in lower case.
    pub(crate) head: String,
    /// The body.
    pub(crate) body: String,
}

impl Reply {
    /// Returns the body as JSON.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("no JSON ({error}): {self:?}"))
    }
}

/// Sends a request over TCP, with these header lines besides `Host`.
pub(crate) fn ask(address: &str, request: &str, headers: &[&str]) -> Reply {
    let mut lines = vec![format!("Host: {address}")];
    lines.extend(headers.iter().map(ToString::to_string));
    raw(address, request, &lines)
}

/// Sends a request over TCP with exactly these header lines.
pub(crate) fn raw(address: &str, request: &str, headers: &[String]) -> Reply {
    let stream = TcpStream::connect(address).expect("it listens");
    stream.set_read_timeout(Some(Duration::from_secs(30))).expect("a limit");
    exchange(stream, request, headers)
}

/// Sends a request over a Unix socket.
pub(crate) fn ask_unix(path: &Path, request: &str) -> Reply {
    let stream = UnixStream::connect(path).expect("it listens");
    stream.set_read_timeout(Some(Duration::from_secs(30))).expect("a limit");
    exchange(stream, request, &["Host: hermes".to_owned()])
}

fn exchange(mut stream: impl Read + Write, request: &str, headers: &[String]) -> Reply {
    let mut text = format!("{request} HTTP/1.1\r\n");
    for header in headers {
        text.push_str(&format!("{header}\r\n"));
    }
    text.push_str("\r\n");
    // The other side may have refused before it has read everything.
    drop(stream.write_all(text.as_bytes()));
    let mut answer = Vec::new();
    drop(stream.read_to_end(&mut answer));
    let answer = String::from_utf8_lossy(&answer).into_owned();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    Reply {
        status: head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0),
        head: head.to_ascii_lowercase(),
        body: body.to_owned(),
    }
}
