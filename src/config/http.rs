//! Pure. The HTTP API's settings.

use core::net::{IpAddr, Ipv4Addr, SocketAddr};

use super::Settings;
use crate::sensitive::Secret;

/// A shorter key could be guessed.
const KEY_LEN_MIN: usize = 16;

/// Where the HTTP API listens, and who may use it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpConfig {
    /// The address.
    pub bind: Bind,
    /// Names, with their port, under which it is called besides its own address; lower case.
    pub hosts: Vec<String>,
    /// `API_SERVER_KEY`.
    pub key: Option<Secret>,
}

impl Default for HttpConfig {
    fn default() -> Self {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 8642));
        Self { bind: Bind::At(address), hosts: Vec::new(), key: None }
    }
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
pub(super) fn bind(bind: Bind, settings: &Settings<'_>, warnings: &mut Vec<String>) -> Bind {
    let Bind::At(mut address) = bind else { return bind };
    // In hermes-agent a key alone turns it on.
    let is_off = settings.switch("API_SERVER_ENABLED", warnings) == Some(false);
    if is_off && settings.value("API_SERVER_KEY").is_none() {
        return Bind::Off;
    }
    if let Some(host) = settings.value("API_SERVER_HOST") {
        match host.parse() {
            Ok(ip) => address.set_ip(ip),
            Err(_) if host.eq_ignore_ascii_case("localhost") => address.set_ip(Ipv4Addr::LOCALHOST.into()),
            Err(_) => warnings.push("ignored API_SERVER_HOST: not an IP address".to_owned()),
        }
    }
    if let Some(port) = settings.value("API_SERVER_PORT") {
        match port.parse() {
            Ok(port) => address.set_port(port),
            Err(_) => warnings.push("ignored API_SERVER_PORT: not a port number".to_owned()),
        }
    }
    Bind::At(address)
}

/// `API_SERVER_KEY`. One that is too short counts as none, so that it opens nothing.
pub(super) fn key(settings: &Settings<'_>, warnings: &mut Vec<String>) -> Option<Secret> {
    let key = settings.value("API_SERVER_KEY")?;
    if key.chars().count() < KEY_LEN_MIN {
        warnings.push(format!(
            "API_SERVER_KEY is shorter than {KEY_LEN_MIN} characters, and is not used; `openssl rand -hex 32` makes a good one"
        ));
        return None;
    }
    Some(Secret(key.to_owned()))
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
            let mut warnings = Vec::new();
            let env_file = EnvFile::parse(env);
            let settings = Settings::new(&world, &env_file);
            assert_eq!((bind(from, &settings, &mut warnings), warnings.len()), (expected, told), "{env}");
        }
    }

    #[test]
    fn a_short_key_opens_nothing_and_is_told_without_being_shown() {
        let world = World::of_env([("A", "b")]);
        let of = |env: &str| {
            let mut warnings = Vec::new();
            let key = key(&Settings::new(&world, &EnvFile::parse(env)), &mut warnings);
            (key, warnings)
        };
        assert_eq!(of(""), (None, Vec::new()));
        let (none, warnings) = of("API_SERVER_KEY=canary");
        assert_eq!((none, warnings.len()), (None, 1));
        assert!(!warnings[0].contains("canary"));
        assert_eq!(of("API_SERVER_KEY=0123456789abcdef").0, Some(Secret("0123456789abcdef".into())));
    }
}
