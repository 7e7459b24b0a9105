//! Client of the running gateway's control socket in its home folder: one request, one answer in JSON. Blocking, with a
//! limit.
//!
//! For the gateway's own commands and for the wizards, which share nothing else of it.

use std::io::{self, Read, Write};
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::fs::{Mode, OFlags};
use rustix::io::FdFlags;
use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{AddressFamily, SocketAddrUnix, SocketType};
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::clock::Now;
use crate::home::HermesHome;

/// Longest answer, in bytes; a longer one is not the gateway's.
const ANSWER_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Longest path that every system takes for a socket, in bytes.
const PATH_BYTES_MAX: usize = 103;

/// An answer.
#[derive(Debug, Clone, PartialEq)]
pub struct Reply {
    /// The HTTP status.
    pub status: u16,
    /// The document.
    pub body: Value,
}

/// Sends a request. `None`: there is no listener.
///
/// # Errors
/// When the answer does not come in time, or cannot be read.
pub fn ask(
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
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "the answer could not be read"))
}

/// Connects within this time: where many connections wait already, the kernel would block the next one without end.
pub(crate) fn connect(path: &Path, limit: Duration) -> io::Result<UnixStream> {
    let socket: OwnedFd = rustix::net::socket(AddressFamily::UNIX, SocketType::STREAM, None)?;
    rustix::io::fcntl_setfd(&socket, FdFlags::CLOEXEC)?;
    set_socket_timeout(&socket, Timeout::Send, Some(limit))?;
    rustix::net::connect(&socket, &SocketAddrUnix::new(path)?)?;
    Ok(socket.into())
}

/// Returns the time until then.
fn left(deadline: Instant) -> io::Result<Duration> {
    let left = deadline.saturating_duration_since(Now::read().mono);
    if left.is_zero() { Err(io::ErrorKind::TimedOut.into()) } else { Ok(left) }
}

/// Parses a whole answer; its body ends with the connection.
fn parse(bytes: &[u8]) -> Option<Reply> {
    let end = bytes.windows(4).position(|window| window == b"\r\n\r\n")?;
    let head = std::str::from_utf8(&bytes[..end]).ok()?;
    let status = head.strip_prefix("HTTP/1.1 ")?.get(..3)?.parse().ok()?;
    Some(Reply { status, body: serde_json::from_slice(&bytes[end + 4..]).ok()? })
}

/// A path that fits a socket's address. A long one is reached through its folder.
#[derive(Debug)]
pub struct Place {
    /// The path for the system call.
    pub path: PathBuf,
    _folder: Option<OwnedFd>,
}

impl Place {
    /// Returns the place of this socket.
    ///
    /// # Errors
    /// When it is too long, and its folder cannot be opened.
    pub fn of(path: &Path) -> io::Result<Self> {
        if path.as_os_str().len() <= PATH_BYTES_MAX {
            return Ok(Self { path: path.to_path_buf(), _folder: None });
        }
        let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "a path without a folder"));
        };
        let flags = OFlags::DIRECTORY | OFlags::RDONLY | OFlags::CLOEXEC;
        let folder = rustix::fs::open(parent, flags, Mode::empty())?;
        let descriptors = Path::new("/proc/self/fd");
        if !descriptors.is_dir() {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                format!("its path is longer than {PATH_BYTES_MAX} bytes"),
            ));
        }
        let number = folder.as_raw_fd().to_string();
        Ok(Self { path: descriptors.join(number).join(name), _folder: Some(folder) })
    }
}

/// The longest wait for a report.
const REPORT_LIMIT: Duration = Duration::from_secs(2);

/// The list in this field of a report of the running gateway. `None`: no gateway answers, or it is of another version.
pub fn report<T: DeserializeOwned>(home: &HermesHome, path: &str, field: &str) -> Option<Vec<T>> {
    let reply = ask(home, "GET", path, "", REPORT_LIMIT).ok().flatten();
    let mut reply = reply.filter(|reply| reply.status == 200)?;
    serde_json::from_value(reply.body[field].take()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

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
