//! The common scene of tests with a bot.

use serde_json::Value;

use crate::support::home::TestHome;
use crate::support::process::Gateway;
use crate::support::wait;

/// The person who may write.
pub(crate) const FRIEND: i64 = 4_200_001;

/// Makes a home whose token locks are its own.
pub(crate) fn home() -> TestHome {
    let mut home = TestHome::empty();
    home.env.push(("HERMES_GATEWAY_LOCK_DIR".to_owned(), home.root().join("locks").display().to_string()));
    home
}

/// Returns the status file's entry of Telegram.
pub(crate) fn entry(gateway: &Gateway) -> Value {
    gateway.state()["platforms"]["telegram"].clone()
}

/// Waits until Telegram's entry in the status file fits, and returns it.
pub(crate) fn wait_until(gateway: &Gateway, what: &str, fits: impl Fn(&Value) -> bool) -> Value {
    let seen =
        wait::until(wait::LIMIT, || Some(entry(gateway)).filter(|entry| !entry.is_null()).filter(&fits));
    seen.unwrap_or_else(|| {
        panic!("telegram never was {what}:\n{:#}\n{}", gateway.state(), gateway.log().join("\n"))
    })
}
