//! The HTTP API's listener. A taken address is tried again, ever more rarely; the gateway goes on without. A changed
//! address is applied at once.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use jiff::SignedDuration;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::backoff::doubled;
use crate::clock::Now;
use crate::config::{Bind, is_loopback};
use crate::gateway::api::http::guard::Hosts;
use crate::gateway::api::http::routes::{Http, routes};
use crate::gateway::connection::{self, accept};
use crate::gateway::host::kept;
use crate::gateway::model::snapshot::{HttpSnapshot, HttpState};
use crate::gateway::settings::Reading;
use crate::span::span;

/// The pause between two checks for a key, while one is missing.
const KEY_EVERY: Duration = Duration::from_secs(1);

/// The HTTP API while it is served. Dropping it ends the serving.
#[derive(Debug)]
pub struct HttpServer {
    task: JoinHandle<()>,
}

impl HttpServer {
    /// Serves at the address in the settings, also when it is set only later, and reports its state.
    pub fn start(http: Http, state: watch::Sender<Option<HttpSnapshot>>) -> Self {
        Self { task: kept::keep("http", move || follow(http.clone(), state.clone())) }
    }
}

/// The settings that must stay the same for a server to stay. The key is read at each request.
type Place = (Bind, Vec<String>);

/// Serves at the address in the settings, until the end.
async fn follow(http: Http, state: watch::Sender<Option<HttpSnapshot>>) {
    let mut readings = http.settings.subscribe();
    let place = |reading: &Reading| -> Place {
        let http = &reading.config.gateway.http;
        (http.bind, http.hosts.clone())
    };
    loop {
        let reading = readings.borrow_and_update().clone();
        let (bind, names) = place(&reading);
        let serving = async {
            match bind {
                Bind::Off => drop(state.send_replace(None)),
                Bind::At(address) => {
                    let reconnect = reading.config.gateway.reconnect;
                    let waits = (reconnect.first, reconnect.cap);
                    Server { http: &http, address, names: &names, waits, state: &state }.run().await;
                }
            }
            std::future::pending::<()>().await;
        };
        let moved = readings.wait_for(|newer| place(newer) != (bind, names.clone()));
        tokio::select! {
            () = serving => {}
            // The settings outlive the gateway.
            moved = moved => match moved {
                Ok(_) => tracing::info!(code = "http_changed", "the HTTP API applies its changed address and host names"),
                Err(_) => return,
            },
        }
    }
}

impl Drop for HttpServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

struct Server<'a> {
    http: &'a Http,
    address: SocketAddr,
    names: &'a [String],
    /// The first wait and the longest.
    waits: (Duration, Duration),
    state: &'a watch::Sender<Option<HttpSnapshot>>,
}

impl Server<'_> {
    async fn run(self) {
        self.wait_for_key().await;
        let (mut wait, wait_max) = self.waits;
        let mut is_told = false;
        let listener = loop {
            let error = match TcpListener::bind(self.address).await {
                Ok(listener) => break listener,
                Err(error) => error,
            };
            let trouble = trouble(&error, self.address);
            if !is_told {
                is_told = true;
                tracing::warn!(
                    code = trouble.code,
                    "{}; next try in {}. {}",
                    trouble.message,
                    span(wait),
                    trouble.action
                );
            }
            self.tell(HttpState::Retrying, self.address, Some(trouble), Some(wait));
            tokio::time::sleep(wait).await;
            wait = doubled(wait, 1, wait_max);
        };
        let address = listener.local_addr().unwrap_or(self.address);
        tracing::info!(code = "http_listening", "the HTTP API listens on {address}");
        self.tell(HttpState::Listening, address, None, None);
        let routes = routes(self.http, Hosts::new(address, self.names));
        accept(listener, routes, connection::CONNECTION_LIMIT).await;
    }

    /// Waits for a key: where other machines could reach us, there is no listener without one.
    async fn wait_for_key(&self) {
        let has_key = || self.http.settings.current().gateway.http.key.is_some();
        if is_loopback(self.address.ip()) || has_key() {
            return;
        }
        let trouble = Trouble {
            code: "api_server_key_missing",
            message: format!(
                "{} can be reached from other machines, and API_SERVER_KEY is not set",
                self.address
            ),
            action: "Set API_SERVER_KEY in .env (`openssl rand -hex 32` makes one), or bind to 127.0.0.1."
                .to_owned(),
        };
        tracing::error!(
            code = trouble.code,
            "the HTTP API is not opened: {}. {}",
            trouble.message,
            trouble.action
        );
        self.tell(HttpState::Fatal, self.address, Some(trouble), None);
        while !has_key() {
            tokio::time::sleep(KEY_EVERY).await;
        }
    }

    fn tell(&self, state: HttpState, address: SocketAddr, trouble: Option<Trouble>, wait: Option<Duration>) {
        let (error_code, error_message, user_action) = match trouble {
            Some(trouble) => (Some(trouble.code.to_owned()), Some(trouble.message), Some(trouble.action)),
            None => (None, None, None),
        };
        let at = |wait| Now::read().wall.checked_add(SignedDuration::try_from(wait).ok()?).ok();
        self.state.send_replace(Some(HttpSnapshot {
            state,
            address: address.to_string(),
            error_code,
            error_message,
            next_retry_at: wait.and_then(at),
            user_action,
        }));
    }
}

struct Trouble {
    code: &'static str,
    message: String,
    action: String,
}

fn trouble(error: &io::Error, address: SocketAddr) -> Trouble {
    if error.kind() == io::ErrorKind::AddrInUse {
        return Trouble {
            code: "api_server_port_in_use",
            message: format!("the HTTP API cannot listen on {address}: another program does"),
            action: format!(
                "Find it with `ss -ltnp 'sport = :{}'`. Or set another address in gateway.http.bind.",
                address.port()
            ),
        };
    }
    Trouble {
        code: "api_server_bind_failed",
        message: format!("the HTTP API cannot listen on {address} ({error})"),
        action: "Set another address in gateway.http.bind.".to_owned(),
    }
}
