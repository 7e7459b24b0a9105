//! Every way in which a connection to WhatsApp ends, against the real bridge: the state shown, its code, and the next step.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::fake::FakeWhatsApp;
use crate::support::home::TestHome;
use crate::support::pairing::{FRIEND, paired};
use crate::support::process::Gateway;
use crate::support::wait;

/// A paired home whose gateway tries again quickly and notices silence quickly, and cannot ask the internet for another
/// protocol version.
fn quick() -> (TestHome, FakeWhatsApp) {
    let (mut home, fake) = paired();
    home.env.push(("HTTPS_PROXY".to_owned(), "http://127.0.0.1:9".to_owned()));
    home.write(
        "gateway.toml",
        format!(
            "[gateway]\nreconnect = {{ first = \"1s\", cap = \"2s\" }}\n[platforms.whatsapp]\nweb_socket_url = \"{}\"\n\
             [platforms.whatsapp.bridge]\nprobe_every_ms = 300\nprobe_ms = 1000\nconnect_ms = 3000\n",
            fake.url
        ),
    );
    (home, fake)
}

fn whatsapp(gateway: &Gateway) -> Value {
    gateway.state()["platforms"]["whatsapp"].clone()
}

/// Waits until the status shows this state with this code.
fn wait_for(gateway: &Gateway, state: &str, code: &str) -> Value {
    let seen = wait::until(wait::LIMIT, || {
        let entry = whatsapp(gateway);
        (entry["state"] == state && entry["error_code"] == code).then_some(entry)
    });
    match seen {
        Some(entry) => entry,
        None => {
            panic!("it never was {state} with {code}:\n{:#}\n{}", gateway.state(), gateway.log().join("\n"))
        }
    }
}

/// Proves that WhatsApp works: a message is answered.
fn assert_works(gateway: &Gateway, fake: &mut FakeWhatsApp, text: &str) {
    fake.tell(json!({ "cmd": "message", "from": FRIEND, "text": text }));
    let answered = wait::until(wait::LIMIT, || {
        fake.received().iter().any(|(_, answer)| answer.contains(text)).then_some(())
    });
    assert!(answered.is_some(), "`{text}` was not answered\n{}", gateway.log().join("\n"));
}

#[test]
fn what_the_network_or_the_server_ends_comes_back_by_itself() {
    let (home, mut fake) = quick();
    let mut gateway = Gateway::start(&home);
    gateway.wait_for_state("connected");
    let blows = [
        json!({ "cmd": "fault", "name": "reset" }),
        json!({ "cmd": "fault", "name": "close" }),
        json!({ "cmd": "fault", "name": "stream_end" }),
        json!({ "cmd": "fault", "name": "stream_error", "code": 503 }),
        json!({ "cmd": "fault", "name": "stream_error", "code": 500 }),
        json!({ "cmd": "fault", "name": "stream_error", "code": 515 }),
        json!({ "cmd": "fault", "name": "silence" }),
    ];
    for (round, blow) in blows.into_iter().enumerate() {
        let logins = logins(&fake);
        fake.tell(blow.clone());
        let again = wait::until(wait::LIMIT, || (self::logins(&fake) > logins).then_some(()));
        assert!(again.is_some(), "{blow} was not noticed\n{}", gateway.log().join("\n"));
        assert_works(&gateway, &mut fake, &format!("after blow {round}"));
        gateway.wait_for_state("connected");
    }
    assert!(gateway.is_running());
    assert_eq!(gateway.stop(), Some(0));
}

/// A home that tries again at once, then after 1, 2, 4 … s, and three failures in a row would be enough for the breaker: so a
/// counted loss shows.
fn sensitive() -> (TestHome, FakeWhatsApp) {
    let (home, fake) = quick();
    let toml = std::fs::read_to_string(home.paths().config_file()).unwrap();
    let rule = "first = \"1s\", cap = \"300s\", breaker_after = 3";
    home.write("gateway.toml", toml.replace("first = \"1s\", cap = \"2s\"", rule));
    (home, fake)
}

/// Waits until the connection of this moment has been proven for longer than the first rung of the ladder.
fn wait_until_it_held(gateway: &Gateway) {
    let held = || {
        let document = gateway.state();
        let entry = &document["platforms"]["whatsapp"];
        let at = |value: &Value| value.as_str()?.parse::<jiff::Timestamp>().ok();
        let since = at(&entry["since"]).filter(|_| entry["state"] == "connected")?;
        let proven = at(&document["updated_at"])? - Duration::from_secs(entry["proof_age_s"].as_u64()? + 1);
        (proven >= since + Duration::from_secs(1)).then_some(())
    };
    let seen = wait::until(wait::LIMIT, held);
    assert!(seen.is_some(), "it never held:\n{:#}\n{}", gateway.state(), gateway.log().join("\n"));
}

#[test]
fn drops_again_and_again_cost_no_message_long_and_open_no_breaker() {
    let (home, mut fake) = sensitive();
    let mut gateway = Gateway::start(&home);
    gateway.wait_for_state("connected");
    let mut slowest = Duration::ZERO;
    for round in 0..6 {
        wait_until_it_held(&gateway);
        let logins = logins(&fake);
        fake.tell(json!({ "cmd": "fault", "name": if round % 2 == 0 { "reset" } else { "stream_end" } }));
        let dropped_at = Instant::now();
        let text = format!("written during drop {round}");
        assert_works(&gateway, &mut fake, &text);
        slowest = slowest.max(dropped_at.elapsed());
        assert!(self::logins(&fake) > logins, "it was a drop");
        let entry = whatsapp(&gateway);
        assert_ne!(entry["state"], "paused", "the breaker stays closed: {entry:#}");
    }
    // With a climbing ladder the last alone would have waited for half a minute and more.
    assert!(slowest < Duration::from_secs(25), "{slowest:?}\n{}", gateway.log().join("\n"));
    gateway.wait_for_state("connected");
    assert_eq!(gateway.stop(), Some(0));
}

#[test]
fn a_passkey_asked_of_a_running_gateway_is_said_truthfully_and_nothing_loops() {
    let (home, mut fake) = sensitive();
    let mut gateway = Gateway::start(&home);
    gateway.wait_for_state("connected");
    let before = logins(&fake);
    // In an open session it prevents nothing.
    fake.tell(json!({ "cmd": "fault", "name": "passkey_notice" }));
    assert_works(&gateway, &mut fake, "beside the notice");
    assert_eq!(whatsapp(&gateway)["state"], "connected");
    assert_eq!(logins(&fake), before, "the connection stays");

    // At a login it does, and only a person can help.
    fake.tell(json!({ "cmd": "fault", "name": "passkey_notice", "when": "login", "times": 100 }));
    fake.tell(json!({ "cmd": "fault", "name": "reset" }));
    let entry = wait_for(&gateway, "fatal", "whatsapp_passkey_required");
    assert!(entry["user_action"].as_str().unwrap().starts_with("Run `hermes whatsapp`"), "{entry:#}");
    assert_eq!(entry["next_retry_at"], Value::Null);
    let tried = logins(&fake);
    assert_eq!(tried, before + 1, "it was tried once");
    assert_eq!(gateway.children(), Vec::<u32>::new(), "no bridge is left");
    let said = home.run(["platform", "status", "--json"]);
    assert!(said.stdout.contains("whatsapp_passkey_required"), "{said:?}");

    // A resume by the operator is one more try, and its outcome stands again.
    let resumed = home.run(["platform", "resume", "whatsapp"]);
    assert_eq!(resumed.code, Some(0), "{resumed:?}");
    wait::until(wait::LIMIT, || (logins(&fake) > tried).then_some(())).expect("one more try");
    wait_for(&gateway, "fatal", "whatsapp_passkey_required");
    assert_eq!(logins(&fake), tried + 1);
    fake.tell(json!({ "cmd": "heal" }));
    assert_eq!(home.run(["platform", "resume", "whatsapp"]).code, Some(0));
    gateway.wait_for_state("connected");
    assert_works(&gateway, &mut fake, "without the notice");
    assert_eq!(gateway.stop(), Some(0));
}

fn logins(fake: &FakeWhatsApp) -> usize {
    fake.events().iter().filter(|event| event["event"] == "login").count()
}

#[test]
fn while_whatsapp_cannot_be_reached_the_state_is_retrying_and_then_connected() {
    for (fault, code) in [
        (json!({ "cmd": "fault", "name": "refuse", "drop": true }), "net_refused"),
        (json!({ "cmd": "fault", "name": "failure", "reason": 503 }), "whatsapp_bridge_exited"),
        (json!({ "cmd": "fault", "name": "http_status", "status": 503 }), "whatsapp_bridge_exited"),
        (json!({ "cmd": "fault", "name": "mute" }), "net_timeout"),
        (json!({ "cmd": "fault", "name": "failure", "reason": 405 }), "whatsapp_version_rejected"),
    ] {
        let (home, mut fake) = quick();
        let creds = std::fs::read(home.paths().whatsapp().creds()).unwrap();
        fake.tell(fault.clone());
        let mut gateway = Gateway::start(&home);
        let entry = wait_for(&gateway, "retrying", code);
        assert!(
            entry["next_retry_at"].is_string() && entry["attempts"].as_u64() >= Some(1),
            "{fault}: {entry:#}"
        );
        assert_eq!(
            std::fs::read(home.paths().whatsapp().creds()).unwrap(),
            creds,
            "{fault}: credentials are kept"
        );
        fake.tell(json!({ "cmd": "heal" }));
        gateway.wait_for_state("connected");
        assert_works(&gateway, &mut fake, "healed");
        assert!(gateway.is_running());
        assert_eq!(gateway.stop(), Some(0));
    }
}

#[test]
fn what_only_a_person_can_mend_ends_the_attempts() {
    for (blow, code) in [
        (
            json!({ "cmd": "fault", "name": "stream_error", "code": 401, "conflict": "device_removed" }),
            "whatsapp_logged_out",
        ),
        (json!({ "cmd": "drop_device" }), "whatsapp_logged_out"),
        (json!({ "cmd": "fault", "name": "stream_error", "code": 403 }), "whatsapp_forbidden"),
        (json!({ "cmd": "fault", "name": "stream_error", "code": 411 }), "whatsapp_logged_out"),
    ] {
        let (home, mut fake) = quick();
        let mut gateway = Gateway::start(&home);
        gateway.wait_for_state("connected");
        fake.tell(blow.clone());
        let entry = wait_for(&gateway, "fatal", code);
        assert!(entry["user_action"].as_str().is_some_and(|action| !action.is_empty()), "{blow}: {entry:#}");
        assert_eq!(entry["next_retry_at"], Value::Null);
        assert_eq!(gateway.children(), Vec::<u32>::new(), "{blow}: nothing is tried any more");
        assert!(gateway.is_running(), "{blow}: the gateway goes on");
        assert_eq!(gateway.stop(), Some(0));
    }
}

#[test]
fn a_refused_login_ends_the_attempts_and_a_new_pairing_connects() {
    let (home, mut fake) = quick();
    fake.tell(json!({ "cmd": "forget" }));
    let mut gateway = Gateway::start(&home);
    wait_for(&gateway, "fatal", "whatsapp_logged_out");
    let mut wizard = crate::support::pairing::Wizard::start(&home, &["--repair"]);
    let code = wizard.wait_for("qr");
    fake.tell(json!({ "cmd": "scan", "payload": code["payload"] }));
    wizard.wait_for("enabled");
    assert_eq!(wizard.exit_code(), Some(0));
    gateway.wait_for_state("connected");
    assert_works(&gateway, &mut fake, "paired anew");
    assert_eq!(gateway.stop(), Some(0));
}

#[test]
fn a_session_taken_over_elsewhere_is_not_fought_for() {
    let (home, mut fake) = quick();
    let mut gateway = Gateway::start(&home);
    gateway.wait_for_state("connected");
    let before = logins(&fake);
    fake.tell(json!({ "cmd": "fault", "name": "stream_error", "conflict": "replaced" }));
    let entry = wait_for(&gateway, "retrying", "whatsapp_replaced");
    let at: jiff::Timestamp = entry["next_retry_at"].as_str().unwrap().parse().unwrap();
    let now: jiff::Timestamp = entry["updated_at"].as_str().unwrap().parse().unwrap();
    let wait = at.duration_since(now).unsigned_abs();
    assert!(wait > Duration::from_secs(45), "it comes back after {wait:?}: {entry:#}");
    assert_eq!(logins(&fake), before, "nobody is pushed out in turn");
    assert_eq!(gateway.stop(), Some(0));
}
