//! What every test with a bot needs.

use serde_json::Value;

use crate::support::home::TestHome;
use crate::support::process::Gateway;
use crate::support::wait;

/// Whoever may speak.
pub(crate) const FRIEND: i64 = 4_200_001;

/// A home whose token locks are its own.
pub(crate) fn home() -> TestHome {
    let mut home = TestHome::empty();
    home.env.push(("HERMES_GATEWAY_LOCK_DIR".to_owned(), home.root().join("locks").display().to_string()));
    home
}

/// What the status file says of Telegram.
pub(crate) fn entry(gateway: &Gateway) -> Value {
    gateway.state()["platforms"]["telegram"].clone()
}

/// Waits until the status file says so, and returns what it says.
pub(crate) fn wait_until(gateway: &Gateway, what: &str, fits: impl Fn(&Value) -> bool) -> Value {
    let seen =
        wait::until(wait::LIMIT, || Some(entry(gateway)).filter(|entry| !entry.is_null()).filter(&fits));
    seen.unwrap_or_else(|| {
        panic!("telegram never was {what}:\n{:#}\n{}", gateway.state(), gateway.log().join("\n"))
    })
}
