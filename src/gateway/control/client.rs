//! The other end of the control socket, for commands typed on this machine. Blocking: a command has nothing else to do.

use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::io::FdFlags;
use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{AddressFamily, SocketAddrUnix, SocketType};
use serde_json::Value;

use crate::clock::Now;
use crate::durable::Lock;
use crate::error::CliError;
use crate::gateway::control::socket::Place;
use crate::gateway::status::snapshot::Snapshot;
use crate::home::HermesHome;
use crate::platform::{Platform, UnknownPlatform};

/// The longest wait for the answer to a command. The gateway's own limit is a little shorter.
const LIMIT: Duration = Duration::from_secs(10);

/// The longest wait for the gateway's state, which takes it at most 1 s: after 2 s a person has an answer of ours.
const LOOK_LIMIT: Duration = Duration::from_millis(1800);

/// A longer answer is none of ours.
const ANSWER_BYTES_MAX: usize = 4 * 1024 * 1024;

/// An answer.
#[derive(Debug, Clone, PartialEq)]
struct Reply {
    status: u16,
    body: Value,
}

/// What came back from the control socket.
#[derive(Debug, Clone, PartialEq)]
pub enum Word {
    /// The gateway's own state.
    State(Box<Snapshot>),
    /// It is there, and its loop has not turned yet.
    Starting,
    /// Something holds the socket, and gives no answer that makes sense in time.
    Mute,
    /// Nothing listens.
    Nothing,
}

/// Asks the running gateway for its state; takes less than 2 s.
pub fn look(home: &HermesHome) -> Word {
    match ask(home, "GET", "/v1/platforms", "", LOOK_LIMIT) {
        Ok(Some(reply)) if reply.status == 503 => Word::Starting,
        Ok(Some(reply)) if reply.status == 200 => {
            serde_json::from_value(reply.body).map_or(Word::Mute, |snapshot| Word::State(Box::new(snapshot)))
        }
        Ok(None) => Word::Nothing,
        Ok(Some(_)) | Err(_) => Word::Mute,
    }
}

/// The running gateway's own state; `None` when no gateway answers.
pub fn snapshot(home: &HermesHome) -> Option<Snapshot> {
    match look(home) {
        Word::State(snapshot) => Some(*snapshot),
        Word::Starting | Word::Mute | Word::Nothing => None,
    }
}

/// What is asked of a platform.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verb {
    /// Leave it alone.
    Pause,
    /// Try it now.
    Resume,
}

/// `platform pause NAME` and `platform resume NAME`. Returns the sentence to show.
///
/// # Errors
/// When the name is not known (exit 2), no gateway runs (exit 3), or it refuses.
pub fn steer(home: &HermesHome, verb: Verb, name: &str) -> Result<String, CliError> {
    let platform: Platform = name
        .parse()
        .map_err(|error: UnknownPlatform| CliError::usage(error.to_string()).code("unknown_platform"))?;
    let verb = match verb {
        Verb::Pause => "pause",
        Verb::Resume => "resume",
    };
    post(home, &format!("/v1/platforms/{platform}/{verb}"))
}

/// Codes of refusals that are told apart.
const REFUSALS: [&str; 5] =
    ["not_admitted", "pairing_locked", "store_unusable", "unknown_platform", "wrong_code"];

/// Asks the gateway something that can also be done without one. `None`: none runs.
///
/// # Errors
/// When it does not answer, or refuses.
pub fn request(
    home: &HermesHome,
    method: &str,
    path: &str,
    body: Option<&Value>,
) -> Result<Option<Value>, CliError> {
    let body = body.map(Value::to_string).unwrap_or_default();
    let Some(reply) = ask(home, method, path, &body, LIMIT).map_err(mute)? else {
        return match Lock::holder(&home.lock_file()).ok().flatten() {
            Some(_) => Err(mute(io::ErrorKind::ConnectionRefused.into())),
            None => Ok(None),
        };
    };
    if reply.status == 200 {
        return Ok(Some(reply.body));
    }
    let error = &reply.body["error"];
    let message = error["message"].as_str().unwrap_or("the answer was not understood");
    let code = REFUSALS.into_iter().find(|code| error["code"] == *code).unwrap_or("refused");
    Err(CliError::failed(message.trim_end_matches('.').to_owned()).code(code))
}

fn mute(error: io::Error) -> CliError {
    CliError::failed("the gateway does not answer at its control socket")
        .code("control_mute")
        .hint("`hermes gateway status` says why, and what to do.")
        .because(error)
}

/// Gives a command. Returns the sentence to show.
///
/// # Errors
/// When no gateway runs (exit 3), it does not answer, or it refuses.
pub fn post(home: &HermesHome, path: &str) -> Result<String, CliError> {
    let answer = request(home, "POST", path, None)?.ok_or_else(CliError::not_running)?;
    Ok(answer["message"].as_str().unwrap_or("the answer was not understood").to_owned())
}

/// `None`: nothing listens.
fn ask(
    home: &HermesHome,
    method: &str,
    path: &str,
    body: &str,
    limit: Duration,
) -> io::Result<Option<Reply>> {
    let deadline = Now::read().mono + limit;
    let mut stream = match Place::of(&home.control_socket()).and_then(|place| connect(&place.path, limit)) {
        Ok(stream) => stream,
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused) => {
            return Ok(None);
        }
        Err(error) => return Err(error),
    };
    stream.set_write_timeout(Some(left(deadline)?))?;
    write!(
        stream,
        "{method} {path} HTTP/1.1\r\nHost: hermes\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\
         Connection: close\r\n\r\n{body}",
        body.len()
    )?;
    let mut bytes = Vec::new();
    let mut part = [0; 16 * 1024];
    loop {
        stream.set_read_timeout(Some(left(deadline)?))?;
        match stream.read(&mut part) {
            Ok(0) => break,
            Ok(length) => bytes.extend_from_slice(&part[..length]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
        if bytes.len() > ANSWER_BYTES_MAX {
            break;
        }
    }
    parse(&bytes)
        .map(Some)
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "the answer was not understood"))
}

/// Connects within this time: where many connections wait already, the kernel would hold the next one up without end.
fn connect(path: &Path, limit: Duration) -> io::Result<UnixStream> {
    let socket: OwnedFd = rustix::net::socket(AddressFamily::UNIX, SocketType::STREAM, None)?;
    rustix::io::fcntl_setfd(&socket, FdFlags::CLOEXEC)?;
    set_socket_timeout(&socket, Timeout::Send, Some(limit))?;
    rustix::net::connect(&socket, &SocketAddrUnix::new(path)?)?;
    Ok(socket.into())
}

/// The time until then.
fn left(deadline: Instant) -> io::Result<Duration> {
    let left = deadline.saturating_duration_since(Now::read().mono);
    if left.is_zero() { Err(io::ErrorKind::TimedOut.into()) } else { Ok(left) }
}

/// A whole answer; its body ends with the connection.
fn parse(bytes: &[u8]) -> Option<Reply> {
    let end = bytes.windows(4).position(|window| window == b"\r\n\r\n")?;
    let head = std::str::from_utf8(&bytes[..end]).ok()?;
    let status = head.strip_prefix("HTTP/1.1 ")?.get(..3)?.parse().ok()?;
    Some(Reply { status, body: serde_json::from_slice(&bytes[end + 4..]).ok()? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_socket_that_takes_connections_and_gives_no_answer_is_mute_in_less_than_2_s() {
        let dir = tempfile::tempdir().unwrap();
        let home = HermesHome::at(dir.path());
        assert_eq!(look(&home), Word::Nothing);
        let listener = std::os::unix::net::UnixListener::bind(home.control_socket()).unwrap();
        let begun = Now::read().mono;
        assert_eq!(look(&home), Word::Mute);
        assert!(begun.elapsed() >= LOOK_LIMIT);
        // So many wait that the kernel takes no further one. A system that refuses it at once says so, too.
        let mut waiting = Vec::new();
        while let Ok(stream) = connect(&home.control_socket(), Duration::from_millis(1)) {
            waiting.push(stream);
        }
        assert_ne!(look(&home), Word::Starting);
        drop(listener);
        assert_eq!(look(&home), Word::Nothing, "what was left behind by a gateway that is gone");
    }

    #[test]
    fn an_answer_is_its_status_and_its_json() {
        let reply = parse(b"HTTP/1.1 200 OK\r\ncontent-length: 15\r\n\r\n{\"message\":\"x\"}").unwrap();
        assert_eq!((reply.status, reply.body["message"].as_str()), (200, Some("x")));
        for broken in
            [&b""[..], b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 2", b"SSH-2.0\r\n\r\n{}", b"HTTP/1.1 200\r\n\r\n{"]
        {
            assert_eq!(parse(broken), None, "{broken:?}");
        }
    }
}
