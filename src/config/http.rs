//! Pure. The HTTP API's settings.

use core::net::{IpAddr, Ipv4Addr, SocketAddr};

use crate::sensitive::Secret;
use crate::setting::value::{each, of};
use crate::setting::{Settings, Unset, table};

/// A shorter key could be guessed.
const KEY_LEN_MIN: usize = 16;

table! {
    /// Where the HTTP API listens, and who may use it.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct HttpConfig {
        /// The address.
        pub bind: Bind = LOCAL, of(address);
        /// Names, with their port, under which it is called besides its own address; lower case.
        pub hosts: Vec<String> = Vec::new(), each(host);
        /// `API_SERVER_KEY`.
        pub key: Option<Secret> = None, Unset;
    }
}

const LOCAL: Bind = Bind::At(SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 8642));

fn address(text: String) -> Result<Bind, String> {
    let fault = "must be an address and a port, such as \"127.0.0.1:8642\", or \"off\"";
    Bind::parse(&text).ok_or_else(|| fault.to_owned())
}

fn host(text: String) -> Result<String, String> {
    let name = text.trim().to_ascii_lowercase();
    let is_host = !name.is_empty()
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._:[]".contains(&byte));
    is_host
        .then_some(name)
        .ok_or_else(|| "are names as in a browser's address bar, such as \"hermes.lan:8642\"".to_owned())
}

/// Where to listen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bind {
    /// Nowhere.
    Off,
    /// Here. Port 0 is one that is free.
    At(SocketAddr),
}

impl Bind {
    /// `off`, or an IP address and a port.
    pub(super) fn parse(text: &str) -> Option<Self> {
        match text.trim() {
            "off" => Some(Self::Off),
            address => address.parse().ok().map(Self::At),
        }
    }
}

/// True when only this machine reaches the address, in any way of writing it.
pub fn is_loopback(address: IpAddr) -> bool {
    address.to_canonical().is_loopback()
}

/// `API_SERVER_HOST` and `API_SERVER_PORT` change the address; `API_SERVER_ENABLED=false` without a key turns it off; what is
/// switched off stays off.
pub(super) fn bind(bind: Bind, settings: &Settings<'_>) -> Bind {
    let Bind::At(mut address) = bind else { return bind };
    // In hermes-agent a key alone turns it on.
    let is_off = settings.switch("API_SERVER_ENABLED") == Some(false);
    if is_off && settings.value("API_SERVER_KEY").is_none() {
        return Bind::Off;
    }
    let host = |text: &str| match text.parse() {
        Err(_) if text.eq_ignore_ascii_case("localhost") => Some(Ipv4Addr::LOCALHOST.into()),
        parsed => parsed.ok(),
    };
    if let Some(ip) = settings.parsed("API_SERVER_HOST", host, "not an IP address") {
        address.set_ip(ip);
    }
    if let Some(port) = settings.parsed("API_SERVER_PORT", |text| text.parse().ok(), "not a port number") {
        address.set_port(port);
    }
    Bind::At(address)
}

/// `API_SERVER_KEY`. One that is too short counts as none, so that it opens nothing.
pub(super) fn key(settings: &Settings<'_>) -> Option<Secret> {
    let key = settings.secret("API_SERVER_KEY")?;
    if key.0.chars().count() < KEY_LEN_MIN {
        settings.warn(format!(
            "API_SERVER_KEY is shorter than {KEY_LEN_MIN} characters, and is not used; `openssl rand -hex 32` makes a good one"
        ));
        return None;
    }
    Some(key)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::env_file::EnvFile;
    use crate::world::World;

    #[test]
    fn an_address_is_an_ip_and_a_port_and_off_is_off() {
        assert_eq!(Bind::parse(" off "), Some(Bind::Off));
        assert_eq!(Bind::parse("127.0.0.1:8642"), Some(HttpConfig::default().bind));
        assert!(matches!(Bind::parse("[::1]:0"), Some(Bind::At(_))));
        for text in ["", "on", "8642", "127.0.0.1", "localhost:8642", "127.0.0.1:99999"] {
            assert_eq!(Bind::parse(text), None, "{text}");
        }
    }

    #[test]
    fn loopback_is_recognised_in_every_form() {
        for (address, expected) in [
            ("127.0.0.1", true),
            ("127.9.9.9", true),
            ("::1", true),
            ("::ffff:127.0.0.1", true),
            ("0.0.0.0", false),
            ("::", false),
            ("::ffff:0.0.0.0", false),
            ("10.0.0.1", false),
        ] {
            assert_eq!(is_loopback(address.parse().unwrap()), expected, "{address}");
        }
    }

    #[test]
    fn hermes_agents_names_change_the_address_and_switch_nothing_on() {
        let world = World::of_env([("A", "b")]);
        let default = HttpConfig::default().bind;
        let at = |text: &str| Bind::At(text.parse().unwrap());
        for (from, env, expected, told) in [
            (default, "", default, 0),
            (default, "API_SERVER_PORT=0", at("127.0.0.1:0"), 0),
            (default, "API_SERVER_HOST=0.0.0.0\nAPI_SERVER_PORT=9000", at("0.0.0.0:9000"), 0),
            (at("[::1]:1"), "API_SERVER_HOST=localhost", at("127.0.0.1:1"), 0),
            (default, "API_SERVER_HOST=example.org\nAPI_SERVER_PORT=many", default, 2),
            (Bind::Off, "API_SERVER_PORT=9000", Bind::Off, 0),
            (Bind::Off, "API_SERVER_ENABLED=true", Bind::Off, 0),
            (default, "API_SERVER_ENABLED=true", default, 0),
            (default, "API_SERVER_ENABLED=false", Bind::Off, 0),
            (default, "API_SERVER_ENABLED=false\nAPI_SERVER_KEY=0123456789abcdef", default, 0),
        ] {
            let env_file = EnvFile::parse(env);
            let settings = Settings::new(&world, &env_file);
            assert_eq!((bind(from, &settings), settings.warnings.take().len()), (expected, told), "{env}");
        }
    }

    #[test]
    fn a_short_key_opens_nothing_and_is_told_without_being_shown() {
        let world = World::of_env([("A", "b")]);
        let of = |env: &str| {
            let env = EnvFile::parse(env);
            let settings = Settings::new(&world, &env);
            (key(&settings), settings.warnings.take())
        };
        assert_eq!(of(""), (None, Vec::new()));
        let (none, warnings) = of("API_SERVER_KEY=canary");
        assert_eq!((none, warnings.len()), (None, 1));
        assert!(!warnings[0].contains("canary"));
        assert_eq!(of("API_SERVER_KEY=0123456789abcdef").0, Some(Secret("0123456789abcdef".into())));
    }
}
