//! One connection: one request, one answer, and an end. Whoever is slow is cut off, so that nobody can hold a place.

use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};

/// How long the head of a request may take.
const HEAD_LIMIT: Duration = Duration::from_secs(5);

/// How long a connection may last: head, body, work and answer. A command is answered within 5 s.
pub const CONNECTION_LIMIT: Duration = Duration::from_secs(11);

/// The longest head of a request.
const HEAD_BYTES_MAX: usize = 16 * 1024;

/// The pause after a connection could not be accepted, for example for want of file descriptors.
pub const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Serves one connection to its end, which comes after `limit` at the latest.
pub async fn serve(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    routes: Router,
    limit: Duration,
) {
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_LIMIT)
        .max_buf_size(HEAD_BYTES_MAX)
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(routes));
    // A client that breaks off, or is cut off, is nobody's fault.
    match tokio::time::timeout(limit, connection).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::debug!(code = "request_broken", "a request ended early: {error}"),
        Err(_) => tracing::debug!(code = "request_slow", "a request was cut off"),
    }
}
