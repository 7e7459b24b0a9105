//! Pure. Why an HTTP request failed: by the kind of the error and of its causes, never by their text.
//!
//! A certificate that is not trusted is worth another try: a captive portal, or a proxy that is being replaced, shows one
//! for a while. Whoever connects again and again has [`Distrust`] count them: the third in a row is for a person.

use core::net::IpAddr;
use std::error::Error;
use std::io::{self, ErrorKind};
use std::time::Duration;

use hyper::Uri;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::connect::proxy::Tunnel;
use reqwest::{StatusCode, Url};
use rustls::CertificateError;
use tower_service::Service;

/// When to try again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retry {
    /// Not before its cause is gone: a human or a file must change.
    Never,
    /// By the ladder.
    Backoff,
    /// After this wait, which the service asked for or the cause suggests; not counted as a failure.
    After(Duration),
    /// As if it had failed often enough to be paused: another try soon would do harm.
    Rest,
}

/// Whether what failed may have been done all the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Certainty {
    /// It certainly did not leave.
    NotSent,
    /// It may have been delivered.
    MaybeSent,
}

/// What a proxy's refusal of a tunnel is; its module does not show it by name.
type TunnelError = <Tunnel<HttpConnector> as Service<Uri>>::Error;

/// Why a request failed. It holds nothing of the request: no address, no secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fault {
    /// Stable, snake_case.
    pub code: &'static str,
    /// Whether the request may have reached the service.
    pub certainty: Certainty,
    /// When to try again.
    pub retry: Retry,
    /// What happened, for people: the second half of a sentence that begins with the name of the service.
    pub said: &'static str,
}

impl Fault {
    /// What a person does about one that is not worth another try.
    pub fn action(&self) -> &'static str {
        match self.code {
            code if code == UNTRUSTED.code => DISTRUST_ACTION,
            code if code == CLOCK.code => CLOCK_ACTION,
            code if code == PROXY_AUTH.code => PROXY_ACTION,
            _ => "Please report it.",
        }
    }
}

/// Nothing was sent; worth another try.
const fn before(code: &'static str, said: &'static str) -> Fault {
    Fault { code, certainty: Certainty::NotSent, retry: Retry::Backoff, said }
}

/// Something may have been sent; worth another try.
const fn after(code: &'static str, said: &'static str) -> Fault {
    Fault { code, certainty: Certainty::MaybeSent, retry: Retry::Backoff, said }
}

/// The proxy wants to know who we are. Only a person can mend that.
const PROXY_AUTH: Fault = Fault {
    retry: Retry::Never,
    ..before(
        "proxy_auth",
        "cannot be reached: the proxy rejected the credentials (407); correct HTTPS_PROXY, or HTTP_PROXY for plain http",
    )
};

/// What is left to do when a proxy refuses us.
const PROXY_ACTION: &str = "Correct the user and the password in HTTPS_PROXY (HTTP_PROXY for plain http) in the environment of the gateway, and start it again.";

/// Not by anybody that this computer believes, or not for this name, or not at this time.
const UNTRUSTED: Fault =
    before("tls_untrusted", "has a certificate that is not trusted; check this computer's clock");

/// As [`UNTRUSTED`], and it has been so for a while.
const STILL_UNTRUSTED: Fault =
    Fault { retry: Retry::Never, ..before("tls_untrusted", "still has a certificate that is not trusted") };

/// A certificate that will be good on a later day: no service shows one on purpose. One that has expired says nothing of the
/// kind, since services do forget theirs.
const CLOCK: Fault = before(
    "clock_skew",
    "has a certificate that is not valid yet: this computer's clock is more than a day behind",
);

/// What a person does about [`CLOCK`].
const CLOCK_ACTION: &str = "Set this computer's clock (`date` shows it, `timedatectl set-ntp true` keeps it right); it connects by itself then.";

/// A certificate that begins to be good sooner than this may be one of a service whose own clock is ahead.
const SKEW_MIN: Duration = Duration::from_secs(24 * 3600);

/// Why this request failed. The error of a status that was refused (`error_for_status`) is none of the network's, except for
/// the one that a proxy gives; whoever knows the service reads the status first.
pub fn classify(error: &reqwest::Error) -> Fault {
    if let Some(fault) = error.status().and_then(of_status) {
        return fault;
    }
    if error.is_builder() {
        let said = "got an invalid request from hermes; this is a bug";
        return Fault { retry: Retry::Never, ..before("http_request", said) };
    }
    let is_connecting = error.is_connect();
    if error.is_dns() {
        return before("net_dns", "cannot be found: DNS has no answer for its name");
    }
    if let Some(fault) = causes(error).find_map(|cause| of_proxy(cause).or_else(|| of_tls(cause))) {
        let certainty = if is_connecting { Certainty::NotSent } else { Certainty::MaybeSent };
        return Fault { certainty, ..fault };
    }
    if error.is_timeout() {
        return match (is_connecting, error.is_body() || error.is_decode()) {
            (true, _) => before("net_timeout", "did not accept the connection in time"),
            (false, true) => after("net_slow", "answered too slowly"),
            (false, false) => after("net_timeout", "did not answer in time"),
        };
    }
    if is_connecting {
        // The connection was there, and what follows it is the handshake.
        let is_cut = |kind| {
            matches!(
                kind,
                ErrorKind::UnexpectedEof
                    | ErrorKind::ConnectionReset
                    | ErrorKind::ConnectionAborted
                    | ErrorKind::BrokenPipe
            )
        };
        let mut kinds = causes(error).filter_map(|cause| Some(cause.downcast_ref::<io::Error>()?.kind()));
        return if kinds.any(is_cut) {
            before("net_tls", "closed the connection during the TLS handshake")
        } else {
            before("net_refused", "cannot be reached")
        };
    }
    if error.is_status() || causes(error).any(|cause| cause.is::<serde_json::Error>()) {
        return after("http_unreadable", "sent an invalid answer");
    }
    after("net_lost", "broke off its answer")
}

/// What this status says about the way to the service, not about the service.
pub fn of_status(status: StatusCode) -> Option<Fault> {
    (status == StatusCode::PROXY_AUTHENTICATION_REQUIRED).then_some(PROXY_AUTH)
}

/// True when an address is this machine's own: no proxy knows the way there.
pub fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    let address = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || address.parse::<IpAddr>().is_ok_and(|address| address.to_canonical().is_loopback())
}

fn of_proxy(cause: &(dyn Error + 'static)) -> Option<Fault> {
    match cause.downcast_ref::<TunnelError>()? {
        TunnelError::ProxyAuthRequired => Some(PROXY_AUTH),
        // It was not reached itself, and below this stands why.
        TunnelError::ConnectFailed(_) => None,
        TunnelError::Io(_)
        | TunnelError::MissingHost
        | TunnelError::ProxyHeadersTooLong
        | TunnelError::TunnelUnexpectedEof
        | TunnelError::TunnelUnsuccessful => {
            Some(before("net_proxy", "cannot be reached: the proxy refused the connection"))
        }
    }
}

fn of_tls(cause: &(dyn Error + 'static)) -> Option<Fault> {
    let rustls::Error::InvalidCertificate(distrust) = cause.downcast_ref::<rustls::Error>()? else {
        return Some(before("net_tls", "supports no TLS version or cipher that hermes does"));
    };
    let is_early = matches!(distrust, CertificateError::NotValidYetContext { time, not_before }
        if not_before.as_secs() > time.as_secs() + SKEW_MIN.as_secs());
    Some(if is_early { CLOCK } else { UNTRUSTED })
}

/// So many untrusted certificates in a row are no longer put down to something that passes.
const DISTRUST_MAX: u32 = 3;

/// What is left to do when a certificate stays untrusted.
const DISTRUST_ACTION: &str = "Check this computer's date (`date`), and whether a proxy or a login page of the network answers in the service's place.";

/// Counts untrusted certificates of one service. One for each account; it outlives connections.
#[derive(Debug, Default)]
pub struct Distrust {
    in_a_row: u32,
}

impl Distrust {
    /// Takes a failed request, and returns what it is with those before it: from the third certificate on, nothing to try
    /// again by oneself.
    #[must_use]
    pub fn judge(&mut self, fault: Fault) -> Fault {
        if [UNTRUSTED.code, CLOCK.code].contains(&fault.code) {
            self.in_a_row = self.in_a_row.saturating_add(1);
            if self.in_a_row >= DISTRUST_MAX {
                let still = if fault.code == CLOCK.code { CLOCK } else { STILL_UNTRUSTED };
                return Fault { certainty: fault.certainty, retry: Retry::Never, ..still };
            }
        } else if fault.certainty == Certainty::MaybeSent {
            // What is sent is sent over a trusted connection. A failure before that says nothing about certificates.
            self.in_a_row = 0;
        }
        fault
    }

    /// The service has answered.
    pub fn answered(&mut self) {
        self.in_a_row = 0;
    }
}

/// Everything below an error, from the top down. What an I/O error wraps is not its `source`, which is the source of that.
fn causes(error: &reqwest::Error) -> impl Iterator<Item = &(dyn Error + 'static)> {
    std::iter::successors(error.source(), |&cause| {
        let wrapped = cause.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        wrapped.map(|inner| inner as &(dyn Error + 'static)).or_else(|| cause.source())
    })
}

#[cfg(test)]
#[path = "net_tests.rs"]
mod tests;
