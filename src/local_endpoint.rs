//! A service on this machine or in its own network, probed while it takes no connections: a probe there has no cost. A remote
//! service is not probed between the attempts of the ladder.

use core::net::IpAddr;
use std::time::Duration;

use reqwest::Url;
use tokio::net::{TcpStream, lookup_host};

/// Interval between two probes.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// Limit for one probe.
const LOOK_LIMIT: Duration = Duration::from_secs(1);

/// The address of such a service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LocalEndpoint {
    host: String,
    port: u16,
}

impl LocalEndpoint {
    /// Returns the service at this address, if it is local by its form: a private number, or a name without a dot, as
    /// containers and the machines of a local network have.
    pub fn of(address: &str) -> Option<Self> {
        let url = Url::parse(address).ok()?;
        let host = url.host_str()?.trim_start_matches('[').trim_end_matches(']');
        let is_near = host.parse().map_or_else(|_| !host.contains('.'), is_private);
        is_near.then_some(Self { host: host.to_owned(), port: url.port_or_known_default()? })
    }

    /// Returns when it was away and takes connections again. One that is there from the first probe on may be broken in
    /// another way, which its port does not show.
    pub async fn returned(&self) {
        let mut was_away = false;
        loop {
            let is_there = tokio::time::timeout(LOOK_LIMIT, self.takes_connections()).await.unwrap_or(false);
            if is_there && was_away {
                return;
            }
            was_away |= !is_there;
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    async fn takes_connections(&self) -> bool {
        let Ok(addresses) = lookup_host((self.host.as_str(), self.port)).await else { return false };
        // A name may stand for anything.
        for address in addresses.filter(|address| is_private(address.ip())) {
            if let Ok(stream) = TcpStream::connect(address).await
                // Without a listener, the system may give a connection the very port that it asks for: it reaches itself.
                && stream.local_addr().ok() != stream.peer_addr().ok()
            {
                return true;
            }
        }
        false
    }
}

/// True for this machine, or a private network.
fn is_private(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(address) => address.is_loopback() || address.is_private() || address.is_link_local(),
        IpAddr::V6(address) => {
            address.is_loopback() || address.is_unique_local() || address.is_unicast_link_local()
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    #[test]
    fn an_address_is_near_by_its_number_or_by_a_name_without_a_dot() {
        for (address, expected) in [
            ("http://127.0.0.1:8081", Some(("127.0.0.1", 8081))),
            ("http://localhost", Some(("localhost", 80))),
            ("https://10.1.2.3", Some(("10.1.2.3", 443))),
            ("http://172.31.0.1:1/below", Some(("172.31.0.1", 1))),
            ("http://192.168.1.9:8081", Some(("192.168.1.9", 8081))),
            ("http://[::1]:8081", Some(("::1", 8081))),
            ("http://[fd00::2]:8081", Some(("fd00::2", 8081))),
            ("http://telegram-bot-api:8081", Some(("telegram-bot-api", 8081))),
            ("https://api.telegram.org", None),
            ("https://149.154.167.220", None),
            ("http://172.32.0.1:8081", None),
            ("http://[2001:67c:4e8:f004::9]", None),
            ("no address", None),
        ] {
            let near = LocalEndpoint::of(address);
            let found = near.as_ref().map(|near| (near.host.as_str(), near.port));
            assert_eq!(found, expected, "{address}");
        }
    }

    #[tokio::test]
    async fn only_a_service_that_was_away_has_returned() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let near = LocalEndpoint::of(&format!("http://{address}")).unwrap();
        let limit = 3 * LOOK_EVERY;
        assert!(tokio::time::timeout(limit, near.returned()).await.is_err(), "it was there all the time");
        drop(listener);
        let watch = near.returned();
        tokio::pin!(watch);
        assert!(tokio::time::timeout(limit, &mut watch).await.is_err(), "it is away");
        let _listener = TcpListener::bind(address).await.unwrap();
        tokio::time::timeout(Duration::from_secs(10), watch).await.unwrap();
    }
}
