//! Connections: one request, one answer, and an end. Slow ones are cut off, and the silent ones give way to new ones, so that
//! no number of them keeps others out.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use axum::Router;
use hyper::server::conn::http1;
use hyper::service::Service as _;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;

use crate::clock::Now;

/// How long the head of a request may take.
const HEAD_LIMIT: Duration = Duration::from_secs(5);

/// How long a connection may last: head, body, work and answer. A command is answered within 5 s.
pub const CONNECTION_LIMIT: Duration = Duration::from_secs(11);

/// The longest head of a request.
const HEAD_BYTES_MAX: usize = 16 * 1024;

/// The pause after a connection could not be accepted, for example for want of file descriptors.
pub const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// That silent connections gave way is logged this often at most.
const TOLD_EVERY: Duration = Duration::from_secs(60);

/// The connections of one listener. When all places are taken, the oldest connection that has not sent the head of a request
/// gives its place to the next one.
#[derive(Debug, Clone)]
pub struct Connections {
    name: &'static str,
    places: Arc<Semaphore>,
    silent: Arc<Mutex<Silent>>,
}

/// Those that have not sent the head of a request, by their age.
#[derive(Debug, Default)]
struct Silent {
    next: u64,
    waiting: BTreeMap<u64, CancellationToken>,
    told_at: Option<Instant>,
}

impl Connections {
    /// So many at once. `name` is for the log.
    pub fn new(name: &'static str, count_max: usize) -> Self {
        Self { name, places: Arc::new(Semaphore::new(count_max)), silent: Arc::default() }
    }

    /// A place for one more connection, as soon as there is one.
    pub async fn place(&self) -> Place {
        let held = match Arc::clone(&self.places).try_acquire_owned() {
            Ok(held) => held,
            Err(_) => {
                self.give_way();
                Arc::clone(&self.places).acquire_owned().await.expect("the semaphore is never closed")
            }
        };
        let cut = CancellationToken::new();
        let mut silent = self.lock();
        let number = silent.next;
        silent.next += 1;
        silent.waiting.insert(number, cut.clone());
        Place { _held: held, heard: Heard { number, silent: Arc::clone(&self.silent) }, cut }
    }

    fn give_way(&self) {
        let mut silent = self.lock();
        let Some((_, oldest)) = silent.waiting.pop_first() else { return };
        oldest.cancel();
        let now = Now::read().mono;
        if silent.told_at.is_none_or(|at| now.saturating_duration_since(at) >= TOLD_EVERY) {
            silent.told_at = Some(now);
            tracing::warn!(
                code = "connections_crowded",
                listener = self.name,
                "more connections than are served at once; the oldest that ask for nothing are closed"
            );
        }
    }

    fn lock(&self) -> MutexGuard<'_, Silent> {
        lock(&self.silent)
    }
}

fn lock(silent: &Mutex<Silent>) -> MutexGuard<'_, Silent> {
    silent.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What one connection holds.
#[derive(Debug)]
pub struct Place {
    _held: OwnedSemaphorePermit,
    heard: Heard,
    /// It has given way.
    cut: CancellationToken,
}

/// Takes a connection out of the silent ones: when it has sent a head, and when it ends.
#[derive(Debug)]
struct Heard {
    number: u64,
    silent: Arc<Mutex<Silent>>,
}

impl Heard {
    fn is_heard(&self) {
        lock(&self.silent).waiting.remove(&self.number);
    }
}

impl Drop for Heard {
    fn drop(&mut self) {
        self.is_heard();
    }
}

/// Serves one connection to its end, which comes after `limit` at the latest.
pub async fn serve(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    routes: Router,
    limit: Duration,
    place: Place,
) {
    let routes = TowerToHyperService::new(routes);
    let service = hyper::service::service_fn(|request| {
        place.heard.is_heard();
        routes.call(request)
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_LIMIT)
        .max_buf_size(HEAD_BYTES_MAX)
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), service);
    // A client that breaks off, or is cut off, is a fault of the client.
    tokio::select! {
        () = place.cut.cancelled() => tracing::debug!(code = "request_silent", "a silent connection gave way"),
        ended = tokio::time::timeout(limit, connection) => match ended {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::debug!(code = "request_broken", "a request ended early: {error}"),
            Err(_) => tracing::debug!(code = "request_slow", "a request was cut off"),
        }
    }
}

#[cfg(test)]
mod tests {
    use axum::routing::get;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream};

    use super::*;

    async fn connect(connections: &Connections) -> DuplexStream {
        let (ours, theirs) = tokio::io::duplex(1024);
        let place = connections.place().await;
        let slow = || async {
            std::future::pending::<()>().await;
        };
        let routes = Router::new().route("/", get(|| async { "here" })).route("/slow", get(slow));
        tokio::spawn(serve(theirs, routes, CONNECTION_LIMIT, place));
        ours
    }

    async fn is_closed(stream: &mut DuplexStream) -> bool {
        // The clock stands still: whatever is under way is done before this ends.
        let read = tokio::time::timeout(Duration::from_millis(1), stream.read(&mut [0; 1])).await;
        matches!(read, Ok(Ok(0)))
    }

    #[tokio::test(start_paused = true)]
    async fn the_oldest_silent_connection_gives_way_and_one_that_asks_stays() {
        let connections = Connections::new("test", 3);
        let mut asking = connect(&connections).await;
        asking.write_all(b"GET /slow HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
        let mut first = connect(&connections).await;
        let mut second = connect(&connections).await;
        second.write_all(b"GET / HTTP/1.1\r\nHos").await.unwrap();
        assert!(
            !is_closed(&mut asking).await && !is_closed(&mut first).await && !is_closed(&mut second).await
        );

        // A slow head is not a head.
        let mut later = Vec::new();
        for crowded in [&mut first, &mut second] {
            let mut next = connect(&connections).await;
            assert!(is_closed(crowded).await);
            assert!(!is_closed(&mut next).await && !is_closed(&mut asking).await);
            next.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
            let mut answer = String::new();
            next.read_to_string(&mut answer).await.unwrap();
            assert!(answer.ends_with("here"), "{answer}");
            later.push(connect(&connections).await);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn whatever_many_stay_silent_the_next_one_is_answered() {
        let connections = Connections::new("test", 8);
        let mut silent = Vec::new();
        for _ in 0..500 {
            silent.push(connect(&connections).await);
        }
        let begun = Now::read().mono;
        let mut next = connect(&connections).await;
        next.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
        let mut answer = String::new();
        next.read_to_string(&mut answer).await.unwrap();
        assert!(answer.ends_with("here"), "{answer}");
        // On a clock that only waiting moves on.
        assert_eq!(Now::read().mono, begun, "nothing was waited for");
        assert!(lock(&connections.silent).waiting.len() <= 8, "and nothing is kept of them");
    }
}
