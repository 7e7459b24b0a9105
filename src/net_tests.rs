//! Tests against real sockets on loopback, each of which fails in another way.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use reqwest::{Certificate, Client, ClientBuilder, Proxy};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, UnixTime};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio_rustls::TlsAcceptor;

use super::*;
use crate::tls;

const ROOT: &[u8] = include_bytes!("../tests/fakes/tls/ca.pem");
const VALID: &[u8] = include_bytes!("../tests/fakes/tls/valid.pem");
const EXPIRED: &[u8] = include_bytes!("../tests/fakes/tls/expired.pem");
/// Both certificates begin with the year 2000.
const VALID_FROM_S: u64 = 946_684_800;
const DAY_S: u64 = 24 * 3600;
const KEY: &[u8] = include_bytes!("../tests/fakes/tls/leaf.key");

/// Stands for a bot's token, which is part of the address.
const CANARY: &str = "canary-4711";

/// Shorter than any caller waits, longer than a busy machine takes for a success.
const SHORT: Duration = Duration::from_millis(400);

/// The fate of a connection once it is accepted.
#[derive(Clone)]
enum Then {
    /// These bytes are sent after the first of the request, and the connection ends.
    Say(&'static str),
    /// It ends at once.
    End,
    /// It stays, and nothing is sent.
    Silence,
    /// A head, and then a byte now and then.
    Trickle,
    /// TLS with this certificate, and a good answer.
    Tls(TlsAcceptor),
}

async fn serve(then: Then) -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            tokio::spawn(play(socket, then.clone()));
        }
    });
    address
}

async fn play(mut socket: TcpStream, then: Then) {
    let mut asked = [0; 4096];
    match then {
        Then::Say(bytes) => {
            drop(socket.read(&mut asked).await);
            drop(socket.write_all(bytes.as_bytes()).await);
        }
        Then::End => {
            drop(socket.read(&mut asked).await);
        }
        Then::Silence => std::future::pending().await,
        Then::Trickle => {
            drop(socket.read(&mut asked).await);
            drop(socket.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\n").await);
            while socket.write_all(b"x").await.is_ok() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
        Then::Tls(acceptor) => {
            let Ok(mut secured) = acceptor.accept(socket).await else { return };
            drop(secured.read(&mut asked).await);
            drop(secured.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await);
            drop(secured.shutdown().await);
        }
    }
}

fn with_certificate(pem: &[u8]) -> Then {
    drop(tls::client_builder());
    let chain = vec![CertificateDer::from_pem_slice(pem).unwrap()];
    let key = PrivateKeyDer::from_pem_slice(KEY).unwrap();
    let config = rustls::ServerConfig::builder().with_no_client_auth().with_single_cert(chain, key).unwrap();
    Then::Tls(TlsAcceptor::from(Arc::new(config)))
}

fn client(change: impl FnOnce(ClientBuilder) -> ClientBuilder) -> Client {
    change(tls::client_builder().no_proxy()).build().unwrap()
}

/// Sends a request, reads the answer, and returns the result.
async fn ask(client: &Client, url: &str) -> Result<String, reqwest::Error> {
    client.get(format!("{url}/bot{CANARY}/x?key={CANARY}")).send().await?.error_for_status()?.text().await
}

async fn fault_of(client: &Client, url: &str) -> Fault {
    let error = ask(client, url).await.unwrap_err();
    let fault = classify(&error);
    assert_eq!(fault, classify(&error.without_url()), "the address has no part in it");
    assert!(!format!("{fault:?}").contains(CANARY), "{fault:?}");
    fault
}

fn assert_is(fault: Fault, code: &str, certainty: Certainty, retry: Retry) {
    assert_eq!((fault.code, fault.certainty, fault.retry), (code, certainty, retry), "{fault:?}");
}

use Certainty::{MaybeSent, NotSent};
use Retry::{Backoff, Never};

#[tokio::test]
async fn a_name_that_nobody_knows() {
    struct Nobody;
    impl reqwest::dns::Resolve for Nobody {
        fn resolve(&self, _name: reqwest::dns::Name) -> reqwest::dns::Resolving {
            Box::pin(async { Err(io::Error::from(ErrorKind::TimedOut).into()) })
        }
    }
    for scheme in ["http", "https"] {
        let lost = client(|builder| builder.dns_resolver(Arc::new(Nobody)));
        let fault = fault_of(&lost, &format!("{scheme}://nobody.invalid")).await;
        assert_is(fault, "net_dns", NotSent, Backoff);
    }
}

#[tokio::test]
async fn nobody_listens() {
    let gone = serve(Then::End).await;
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let free = listener.local_addr().unwrap();
    drop(listener);
    for scheme in ["http", "https"] {
        let fault = fault_of(&client(|builder| builder), &format!("{scheme}://{free}")).await;
        assert_is(fault, "net_refused", NotSent, Backoff);
    }
    // The same through a proxy that is down.
    let through = client(|builder| builder.proxy(Proxy::all(format!("http://{free}")).unwrap()));
    for scheme in ["http", "https"] {
        assert_is(fault_of(&through, &format!("{scheme}://{gone}")).await, "net_refused", NotSent, Backoff);
    }
}

#[tokio::test]
async fn a_connection_that_is_never_taken_or_never_secured_ends_at_its_limit() {
    // The kernel answers for a listener until its queue is full; from then on there is no answer.
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind((Ipv4Addr::LOCALHOST, 0).into()).unwrap();
    let listener = socket.listen(1).unwrap();
    let hole = listener.local_addr().unwrap();
    let mut queue = Vec::new();
    while let Ok(Ok(stream)) = tokio::time::timeout(SHORT, TcpStream::connect(hole)).await {
        queue.push(stream);
        assert!(queue.len() < 100, "the queue has no end");
    }
    let hasty = client(|builder| builder.connect_timeout(SHORT));
    assert_is(fault_of(&hasty, &format!("http://{hole}")).await, "net_timeout", NotSent, Backoff);
    let silent = serve(Then::Silence).await;
    assert_is(fault_of(&hasty, &format!("https://{silent}")).await, "net_timeout", NotSent, Backoff);
}

#[tokio::test]
async fn a_service_that_takes_the_request_and_is_silent_cut_off_or_without_sense_may_have_it() {
    let hasty = client(|builder| builder.timeout(SHORT));
    let silent = serve(Then::Silence).await;
    assert_is(fault_of(&hasty, &format!("http://{silent}")).await, "net_timeout", MaybeSent, Backoff);
    let patient = client(|builder| builder);
    for then in [
        Then::End,
        Then::Say("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf"),
        Then::Say("220 mail.example.com ESMTP\r\n"),
    ] {
        let cut = serve(then).await;
        assert_is(fault_of(&patient, &format!("http://{cut}")).await, "net_lost", MaybeSent, Backoff);
    }
    let odd = serve(Then::Say("HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nodd!")).await;
    let answer = patient.get(format!("http://{odd}")).send().await.unwrap();
    let error = answer.json::<serde_json::Value>().await.unwrap_err();
    assert_is(classify(&error), "http_unreadable", MaybeSent, Backoff);
}

#[tokio::test]
async fn an_answer_that_trickles_ends_at_the_limit_of_the_whole() {
    let slow = serve(Then::Trickle).await;
    // No pause of it is too long.
    let patient = client(|builder| builder.read_timeout(Duration::from_secs(60)).timeout(SHORT));
    assert_is(fault_of(&patient, &format!("http://{slow}")).await, "net_slow", MaybeSent, Backoff);
}

#[tokio::test]
async fn a_handshake_that_is_cut_or_answered_by_something_else() {
    for then in [Then::End, Then::Say("HTTP/1.1 302 Found\r\nlocation: http://portal.example\r\n\r\n")] {
        let portal = serve(then).await;
        let fault = fault_of(&client(|builder| builder), &format!("https://{portal}")).await;
        assert_is(fault, "net_tls", NotSent, Backoff);
    }
}

#[tokio::test]
async fn a_certificate_is_trusted_by_its_root_its_time_and_its_name() {
    let trusting = |builder: ClientBuilder| builder.tls_certs_only([Certificate::from_pem(ROOT).unwrap()]);
    let named =
        |name: &'static str, address: SocketAddr| client(|builder| trusting(builder).resolve(name, address));
    let valid = serve(with_certificate(VALID)).await;
    let port = valid.port();
    let answer = ask(&named("localhost", valid), &format!("https://localhost:{port}")).await;
    assert_eq!(answer.unwrap(), "ok", "so it is for no other reason that the rest fail");

    let unknown = client(|builder| builder.resolve("localhost", valid));
    let expired = serve(with_certificate(EXPIRED)).await;
    for (client, url) in [
        (unknown, format!("https://localhost:{port}")),
        (named("elsewhere.test", valid), format!("https://elsewhere.test:{port}")),
        (named("localhost", expired), format!("https://localhost:{}", expired.port())),
    ] {
        assert_is(fault_of(&client, &url).await, "tls_untrusted", NotSent, Backoff);
    }
}

/// A computer whose clock stands still at this second since 1970.
#[derive(Debug)]
struct Stopped(u64);

impl rustls::time_provider::TimeProvider for Stopped {
    fn current_time(&self) -> Option<UnixTime> {
        Some(UnixTime::since_unix_epoch(Duration::from_secs(self.0)))
    }
}

#[tokio::test]
async fn a_clock_that_is_behind_is_told_from_a_certificate_that_nobody_should_trust() {
    let valid = serve(with_certificate(VALID)).await;
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(ROOT).unwrap()).unwrap();
    let provider = Arc::clone(rustls::crypto::CryptoProvider::get_default().unwrap());
    let at = |second: u64| {
        let config =
            rustls::ClientConfig::builder_with_details(Arc::clone(&provider), Arc::new(Stopped(second)))
                .with_safe_default_protocol_versions()
                .unwrap()
                .with_root_certificates(roots.clone())
                .with_no_client_auth();
        client(|builder| builder.tls_backend_preconfigured(config).resolve("localhost", valid))
    };
    let url = format!("https://localhost:{}", valid.port());
    assert_eq!(ask(&at(VALID_FROM_S), &url).await.unwrap(), "ok");
    let of_the_service = (UNTRUSTED.code, UNTRUSTED.action());
    for (second, told) in [
        (VALID_FROM_S - DAY_S - 1, ("clock_skew", CLOCK_ACTION)),
        // 1970, as a computer without a battery has it.
        (0, ("clock_skew", CLOCK_ACTION)),
        (VALID_FROM_S - DAY_S + 1, of_the_service),
        // Ahead, or expired: it cannot be known which.
        (VALID_FROM_S + 101 * 365 * DAY_S + 30 * DAY_S, of_the_service),
    ] {
        let fault = fault_of(&at(second), &url).await;
        assert_is(fault, told.0, NotSent, Backoff);
        assert_eq!(fault.action(), told.1, "{second}");
    }
}

#[tokio::test]
async fn a_proxy_that_asks_who_we_are_is_for_a_person_to_mend_and_any_other_is_not() {
    for (says, code, retry) in [
        ("HTTP/1.1 407 Proxy Authentication Required\r\ncontent-length: 0\r\n\r\n", "proxy_auth", Never),
        ("HTTP/1.1 502 Bad Gateway\r\ncontent-length: 0\r\n\r\n", "net_proxy", Backoff),
        ("", "net_proxy", Backoff),
    ] {
        let proxy = serve(Then::Say(says)).await;
        let through =
            client(|builder| builder.proxy(Proxy::all(format!("http://user:{CANARY}@{proxy}")).unwrap()));
        assert_is(fault_of(&through, "https://service.test").await, code, NotSent, retry);
        if code == "proxy_auth" {
            let fault = fault_of(&through, "http://service.test").await;
            assert_is(fault, code, NotSent, retry);
            assert!(fault.said.contains("HTTPS_PROXY"), "it names the variable, not its value");
        }
    }
}

#[tokio::test]
async fn a_broken_way_by_ipv6_does_not_keep_us_from_ipv4() {
    let well = serve(Then::Say("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")).await;
    // A prefix that is there to lead nowhere.
    let nowhere = SocketAddr::new("100::1".parse().unwrap(), well.port());
    let client = client(|builder| builder.resolve_to_addrs("both.test", &[nowhere, well]));
    let url = format!("http://both.test:{}", well.port());
    assert_eq!(ask(&client, &url).await.unwrap(), "ok");
}

#[test]
fn the_third_untrusted_certificate_in_a_row_is_for_a_person_until_the_service_answers() {
    let untrusted = before("tls_untrusted", "as told");
    let (unreached, cut_off) = (before("net_dns", "as told"), after("net_lost", "as told"));
    let mut distrust = Distrust::default();
    for (round, (fault, retry)) in [
        (untrusted, Backoff),
        (untrusted, Backoff),
        // No certificate was seen.
        (unreached, Backoff),
        (untrusted, Never),
        (unreached, Backoff),
        // Blocked it is tried again now and then, and that is not two more chances.
        (untrusted, Never),
        // The request had left, so the certificate was good.
        (cut_off, Backoff),
        (untrusted, Backoff),
        (untrusted, Backoff),
        (untrusted, Never),
    ]
    .into_iter()
    .enumerate()
    {
        let judged = distrust.judge(fault);
        assert_eq!((judged.code, judged.certainty), (fault.code, fault.certainty), "round {round}");
        assert_eq!(judged.retry, retry, "round {round}");
    }
    distrust.answered();
    assert_eq!(distrust.judge(untrusted).retry, Backoff);
    distrust.answered();
    let clock = [CLOCK; 3].map(|fault| distrust.judge(fault));
    assert_eq!(clock, [CLOCK, CLOCK, Fault { retry: Never, ..CLOCK }], "a clock is set by a person, too");
}
