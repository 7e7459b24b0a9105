//! Connections: one request, one answer, and an end. Slow ones are cut off, and silent ones give way to new ones, so that no
//! number of them keeps others out.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use axum::{Extension, Router};
use hyper::server::conn::http1;
use hyper::service::Service as _;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;

use crate::clock::Now;

/// Limit for the head of a request.
const HEAD_LIMIT: Duration = Duration::from_secs(5);

/// Limit for a connection: head, body, work and answer. A command is answered within 5 s.
pub const CONNECTION_LIMIT: Duration = Duration::from_secs(11);

/// Longest head of a request, in bytes.
const HEAD_BYTES_MAX: usize = 16 * 1024;

/// Most connections of a TCP listener that are served at once.
const CONNECTIONS_MAX: usize = 128;

/// The pause after a connection could not be accepted, for example for want of file descriptors.
pub const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// The interval at which it is logged that silent connections gave way.
const TOLD_EVERY: Duration = Duration::from_secs(60);

/// The connections of one listener. When all places are taken, the oldest connection that has not sent the head of a request
/// gives its place to the next one, which does not wait for its end.
#[derive(Debug, Clone)]
pub struct Connections {
    name: &'static str,
    count_max: usize,
    /// Permits, twice as many as there are places: connections that gave way take a moment to end.
    alive: Arc<Semaphore>,
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    open: Mutex<Open>,
    /// Notified when one has ended.
    ended: Notify,
}

/// The connections that have not ended, and have not given way.
#[derive(Debug, Default)]
struct Open {
    count: usize,
    next: u64,
    /// The silent ones, which have not sent the head of a request, by their age.
    silent: BTreeMap<u64, CancellationToken>,
    told_at: Option<Instant>,
}

impl Connections {
    /// Makes a set with room for this many at once. `name` is for the log.
    pub fn new(name: &'static str, count_max: usize) -> Self {
        let alive = Arc::new(Semaphore::new(2 * count_max));
        Self { name, count_max, alive, shared: Arc::default() }
    }

    /// Returns a place for one more connection, as soon as there is one.
    pub async fn place(&self) -> Place {
        let held = Arc::clone(&self.alive).acquire_owned().await.expect("the semaphore is never closed");
        loop {
            if let Some((number, cut)) = self.enter() {
                return Place {
                    heard: Heard { number, cut: cut.clone(), shared: Arc::clone(&self.shared) },
                    _held: held,
                    cut,
                };
            }
            // All of them have sent a request.
            self.shared.ended.notified().await;
        }
    }

    /// Takes a place. `None`: every place is taken by a connection with a request.
    fn enter(&self) -> Option<(u64, CancellationToken)> {
        let mut open = self.shared.open();
        if open.count >= self.count_max {
            let (_, oldest) = open.silent.pop_first()?;
            oldest.cancel();
            open.count -= 1;
            let now = Now::read().mono;
            if open.told_at.is_none_or(|at| now.saturating_duration_since(at) >= TOLD_EVERY) {
                open.told_at = Some(now);
                tracing::warn!(
                    code = "connections_crowded",
                    listener = self.name,
                    "Too many connections; closing the oldest idle ones"
                );
            }
        }
        let (number, cut) = (open.next, CancellationToken::new());
        open.next += 1;
        open.count += 1;
        open.silent.insert(number, cut.clone());
        Some((number, cut))
    }
}

impl Shared {
    fn open(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The state of one connection.
#[derive(Debug)]
pub struct Place {
    // Dropped before the permit, so that the task which waits for the permit finds the place free.
    heard: Heard,
    _held: OwnedSemaphorePermit,
    /// Cancelled when it has given way.
    cut: CancellationToken,
}

/// A guard that removes a connection from the silent ones when it has sent a head, and from all when it ends.
#[derive(Debug)]
struct Heard {
    number: u64,
    cut: CancellationToken,
    shared: Arc<Shared>,
}

impl Heard {
    fn is_heard(&self) {
        self.shared.open().silent.remove(&self.number);
    }
}

impl Drop for Heard {
    fn drop(&mut self) {
        let mut open = self.shared.open();
        open.silent.remove(&self.number);
        // A connection that gave way was taken out then.
        open.count -= usize::from(!self.cut.is_cancelled());
        drop(open);
        self.shared.ended.notify_one();
    }
}

/// Serves one connection to its end, which comes after `limit` at the latest.
pub async fn serve(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    routes: Router,
    limit: Duration,
    place: Place,
) {
    serve_by(stream, move || routes, limit, place).await;
}

/// Serves one with routes that are chosen when the head of a request is here: a silent connection does not cost that work.
pub async fn serve_by(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    choose: impl FnOnce() -> Router + Send,
    limit: Duration,
    place: Place,
) {
    // One connection has one request.
    let choose = Mutex::new(Some(choose));
    let is_heard = AtomicBool::new(false);
    let service = hyper::service::service_fn(|request| {
        place.heard.is_heard();
        is_heard.store(true, Ordering::SeqCst);
        let choose = choose.lock().unwrap_or_else(PoisonError::into_inner).take();
        let routes = choose.map_or_else(Router::new, |choose| choose());
        TowerToHyperService::new(routes).call(request)
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_LIMIT)
        .max_buf_size(HEAD_BYTES_MAX)
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), service);
    let gives_way = async {
        place.cut.cancelled().await;
        // It counted as silent while its request was on the way.
        if is_heard.load(Ordering::SeqCst) {
            std::future::pending::<()>().await;
        }
    };
    // A client that breaks off, or is cut off, is a fault of the client.
    tokio::select! {
        // Bytes that have come are read first.
        biased;
        ended = tokio::time::timeout(limit, connection) => match ended {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::debug!(code = "request_broken", "a request broke off: {error}"),
            Err(_) => tracing::debug!(code = "request_slow", "a request was incomplete"),
        },
        () = gives_way => tracing::debug!(code = "request_silent", "an idle connection was closed for a new one"),
    }
}

/// Serves connections, for ever; at most so many at once, and each for so long at most. Silent connections, however many,
/// keep no other out.
pub async fn accept(listener: TcpListener, routes: Router, limit: Duration) {
    let connections = Connections::new("http", CONNECTIONS_MAX);
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => {
                let routes = routes.clone().layer(Extension(peer.ip()));
                let place = connections.place().await;
                tokio::spawn(serve(stream, routes, limit, place));
            }
            Err(error) => {
                tracing::debug!(code = "http_accept", "a connection could not be accepted: {error}");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
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
        assert!(connections.shared.open().silent.len() <= 8, "and nothing is kept of them");
    }

    #[tokio::test(start_paused = true)]
    async fn a_new_connection_does_not_wait_for_the_end_of_the_one_that_gave_way() {
        let connections = Connections::new("test", 8);
        // Held and never polled: none of them ends.
        let mut places = Vec::new();
        for _ in 0..16 {
            let place = tokio::time::timeout(Duration::from_millis(1), connections.place()).await;
            places.push(place.expect("there is room for those that end"));
        }
        assert_eq!(places.iter().filter(|place| place.cut.is_cancelled()).count(), 8);
        let next = tokio::time::timeout(Duration::from_millis(1), connections.place()).await;
        assert!(next.is_err(), "and for no more of them");
        drop(places.remove(0));
        places.push(connections.place().await);
        // Connections with a request give way to no one.
        for place in places.iter().filter(|place| !place.cut.is_cancelled()) {
            place.heard.is_heard();
        }
        places.retain(|place| !place.cut.is_cancelled());
        assert_eq!(places.len(), 8);
        assert!(tokio::time::timeout(Duration::from_secs(9), connections.place()).await.is_err());
        drop(places.pop());
        connections.place().await;
    }
}
