//! Pure. The checks of an HTTP request before anything is routed, so that a page in a browser on this machine gets nothing,
//! whatever it asks for: first the `Host`, then the origin, then the key.

use core::net::SocketAddr;
use std::collections::BTreeSet;

use crate::config::is_loopback;
use crate::sensitive::Secret;

/// The checked parts of a request. A header that comes twice is in the list twice.
#[derive(Debug, Clone, Default)]
pub struct Asked<'a> {
    /// The part of the URL before the path, when it was sent there.
    pub authority: Option<&'a str>,
    /// `Host`.
    pub host: Vec<&'a [u8]>,
    /// `Origin`.
    pub origin: Vec<&'a [u8]>,
    /// `Sec-Fetch-Site`.
    pub fetch_site: Vec<&'a [u8]>,
    /// `Content-Type`.
    pub content_type: Vec<&'a [u8]>,
    /// True when it is neither GET nor HEAD.
    pub changes: bool,
}

/// The reason why a request is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// Its host is not one of ours: 421.
    Host,
    /// A page of another origin sent it: 403.
    Origin,
    /// It changes something, and is not JSON, as forms cannot send: 415.
    ContentType,
    /// The key is missing or wrong, or none is set: 401.
    Key,
}

impl Refusal {
    /// The status, a stable code, and the sentence.
    pub fn answer(self) -> (u16, &'static str, &'static str) {
        match self {
            Self::Host => (
                421,
                "unknown_host",
                "The host name is not allowed. Add it to gateway.http.hosts in gateway.toml.",
            ),
            Self::Origin => (403, "foreign_origin", "Requests from other web origins are not allowed."),
            Self::ContentType => {
                (415, "json_only", "Send JSON, with the header `Content-Type: application/json`.")
            }
            // One text for every cause: it reveals nothing about a guess.
            Self::Key => (
                401,
                "key_required",
                "Send the header `Authorization: Bearer KEY`. The key is API_SERVER_KEY in .env (at least 16 characters); without it, all requests are rejected.",
            ),
        }
    }
}

/// The host names of the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hosts {
    names: BTreeSet<String>,
    /// True when every IP address is accepted as a host: unlike a name, it cannot be pointed elsewhere, and other machines may
    /// reach us by any of ours.
    any_number: bool,
}

impl Hosts {
    /// The names of a server at this address that also has these names.
    pub fn new(address: SocketAddr, names: &[String]) -> Self {
        let port = address.port();
        let mut all: BTreeSet<String> = names.iter().cloned().collect();
        all.insert(address.to_string());
        for own in ["127.0.0.1", "localhost", "[::1]"] {
            all.insert(format!("{own}:{port}"));
        }
        Self { names: all, any_number: !is_loopback(address.ip()) }
    }

    fn knows(&self, host: &str) -> bool {
        let host = host.to_ascii_lowercase();
        let is_number = || {
            host.parse::<SocketAddr>().is_ok()
                || host.trim_start_matches('[').trim_end_matches(']').parse::<core::net::IpAddr>().is_ok()
        };
        self.names.contains(&host) || (self.any_number && is_number())
    }

    /// Checks everything but the key.
    ///
    /// # Errors
    /// The first failed check.
    pub fn check(&self, asked: &Asked<'_>) -> Result<(), Refusal> {
        let [host] = asked.host.as_slice() else { return Err(Refusal::Host) };
        let host = std::str::from_utf8(host).map_err(|_| Refusal::Host)?;
        if !self.knows(host) || asked.authority.is_some_and(|name| !name.eq_ignore_ascii_case(host)) {
            return Err(Refusal::Host);
        }
        match asked.origin.as_slice() {
            [] => {}
            [origin] if origin.eq_ignore_ascii_case(format!("http://{host}").as_bytes()) => {}
            _ => return Err(Refusal::Origin),
        }
        // Another port of this machine is "same-site", and as foreign as any.
        if asked.fetch_site.iter().any(|site| !matches!(*site, b"same-origin" | b"none")) {
            return Err(Refusal::Origin);
        }
        if asked.changes && !is_json(&asked.content_type) {
            return Err(Refusal::ContentType);
        }
        Ok(())
    }
}

fn is_json(content_type: &[&[u8]]) -> bool {
    let [value] = content_type else { return false };
    let kind = value.split(|byte| *byte == b';').next().unwrap_or_default();
    kind.trim_ascii().eq_ignore_ascii_case(b"application/json")
}

/// Checks the key: exactly one `Authorization: Bearer KEY`. Takes equally long for every wrong key.
///
/// # Errors
/// [`Refusal::Key`], for any cause.
pub fn check_key(key: Option<&Secret>, authorization: &[&[u8]]) -> Result<(), Refusal> {
    let sent = bearer(authorization).unwrap_or_default();
    let is_equal = key.is_some_and(|key| key.equals(sent));
    if is_equal { Ok(()) } else { Err(Refusal::Key) }
}

fn bearer<'a>(authorization: &[&'a [u8]]) -> Option<&'a [u8]> {
    let [value] = authorization else { return None };
    let (scheme, key) = value.split_at_checked("Bearer ".len())?;
    scheme.eq_ignore_ascii_case(b"Bearer ").then(|| key.trim_ascii())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn local() -> Hosts {
        Hosts::new("127.0.0.1:8642".parse().unwrap(), &["hermes.lan:8642".to_owned()])
    }

    fn get(host: &str) -> Asked<'_> {
        Asked { host: vec![host.as_bytes()], ..Asked::default() }
    }

    #[test]
    fn only_our_own_names_are_ours() {
        for (host, expected) in [
            ("127.0.0.1:8642", Ok(())),
            ("localhost:8642", Ok(())),
            ("LOCALHOST:8642", Ok(())),
            ("[::1]:8642", Ok(())),
            ("hermes.lan:8642", Ok(())),
            ("evil.example:8642", Err(Refusal::Host)),
            ("evil.example", Err(Refusal::Host)),
            ("localhost", Err(Refusal::Host)),
            ("localhost:8643", Err(Refusal::Host)),
            ("localhost.evil.example:8642", Err(Refusal::Host)),
            ("127.0.0.1:8642.evil.example", Err(Refusal::Host)),
            ("evil@127.0.0.1:8642", Err(Refusal::Host)),
            ("127.1:8642", Err(Refusal::Host)),
            ("2130706433:8642", Err(Refusal::Host)),
            ("0.0.0.0:8642", Err(Refusal::Host)),
            ("10.0.0.1:8642", Err(Refusal::Host)),
            ("hermes.lan", Err(Refusal::Host)),
            ("", Err(Refusal::Host)),
        ] {
            assert_eq!(local().check(&get(host)), expected, "{host}");
        }
        let none = Asked::default();
        let twice = Asked { host: vec![b"localhost:8642", b"localhost:8642"], ..Asked::default() };
        let bytes = Asked { host: vec![b"\xff"], ..Asked::default() };
        let other_in_the_line = Asked { authority: Some("evil.example"), ..get("localhost:8642") };
        for asked in [none, twice, bytes, other_in_the_line] {
            assert_eq!(local().check(&asked), Err(Refusal::Host), "{asked:?}");
        }
    }

    #[test]
    fn where_other_machines_reach_us_every_number_is_ours_and_still_no_name() {
        let open = Hosts::new("0.0.0.0:8642".parse().unwrap(), &[]);
        for host in ["10.0.0.1:8642", "10.0.0.1:18642", "10.0.0.1", "[fd00::1]:8642", "localhost:8642"] {
            assert_eq!(open.check(&get(host)), Ok(()), "{host}");
        }
        for host in ["evil.example:8642", "10.0.0.1.evil.example", "localhost"] {
            assert_eq!(open.check(&get(host)), Err(Refusal::Host), "{host}");
        }
    }

    #[test]
    fn pages_of_other_places_get_nothing() {
        let host = "localhost:8642";
        for (origin, expected) in [
            ("http://localhost:8642", Ok(())),
            ("http://127.0.0.1:8642", Err(Refusal::Origin)),
            ("https://localhost:8642", Err(Refusal::Origin)),
            ("http://localhost:3000", Err(Refusal::Origin)),
            ("http://localhost", Err(Refusal::Origin)),
            ("http://evil.example", Err(Refusal::Origin)),
            ("http://localhost:8642.evil.example", Err(Refusal::Origin)),
            ("null", Err(Refusal::Origin)),
            ("", Err(Refusal::Origin)),
            ("file://", Err(Refusal::Origin)),
        ] {
            let asked = Asked { origin: vec![origin.as_bytes()], ..get(host) };
            assert_eq!(local().check(&asked), expected, "{origin}");
        }
        let twice = Asked { origin: vec![b"http://localhost:8642", b"http://localhost:8642"], ..get(host) };
        assert_eq!(local().check(&twice), Err(Refusal::Origin));
        for (site, expected) in [
            (&b"none"[..], Ok(())),
            (b"same-origin", Ok(())),
            (b"same-site", Err(Refusal::Origin)),
            (b"cross-site", Err(Refusal::Origin)),
        ] {
            let asked = Asked { fetch_site: vec![site], ..get(host) };
            assert_eq!(local().check(&asked), expected, "{site:?}");
        }
    }

    #[test]
    fn what_changes_something_is_json() {
        for (kinds, expected) in [
            (vec![&b"application/json"[..]], Ok(())),
            (vec![b"Application/JSON; charset=utf-8"], Ok(())),
            (vec![], Err(Refusal::ContentType)),
            (vec![b"text/plain"], Err(Refusal::ContentType)),
            (vec![b"application/x-www-form-urlencoded"], Err(Refusal::ContentType)),
            (vec![b"multipart/form-data; application/json"], Err(Refusal::ContentType)),
            (vec![b"application/json", b"text/plain"], Err(Refusal::ContentType)),
            (vec![b"application/jsonp"], Err(Refusal::ContentType)),
        ] {
            let asked = Asked { content_type: kinds, changes: true, ..get("localhost:8642") };
            assert_eq!(local().check(&asked), expected, "{asked:?}");
            assert_eq!(local().check(&Asked { changes: false, ..asked }), Ok(()));
        }
    }

    #[test]
    fn exactly_the_key_opens() {
        const KEY: &str = "0123456789abcdef";
        let check = |headers: &[&str]| {
            let headers: Vec<&[u8]> = headers.iter().map(|header| header.as_bytes()).collect();
            check_key(Some(&Secret(KEY.to_owned())), &headers).is_ok()
        };
        for good in ["Bearer 0123456789abcdef", "bearer 0123456789abcdef", "Bearer  0123456789abcdef "] {
            assert!(check(&[good]), "{good}");
        }
        for bad in [
            "",
            "Bearer",
            "Bearer ",
            "0123456789abcdef",
            "Basic 0123456789abcdef",
            "Bearer 0123456789abcde",
            "Bearer 0123456789abcdef0",
            "Bearer 0123456789ABCDEF",
            "Bearer 0123456789abcdef,Bearer x",
            "Bearer\u{fc}0123456789abcdef",
        ] {
            assert!(!check(&[bad]), "{bad}");
        }
        assert!(!check(&[]));
        assert!(!check(&["Bearer 0123456789abcdef", "Bearer 0123456789abcdef"]), "sent twice");
        for unset in [None, Some(Secret(String::new()))] {
            for headers in [&[][..], &[&b"Bearer "[..]], &[&b"Bearer"[..]]] {
                assert!(check_key(unset.as_ref(), headers).is_err(), "nothing is the key: {headers:?}");
            }
        }
    }
}
