//! The operator's view: pauses that hold, a gateway that never loops, a state that is true at every moment, and an alert when
//! it needs them.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::home::TestHome;
use crate::support::house::{House, QUICK};
use crate::support::http::ask;
use crate::support::process::Gateway;
use crate::support::wait;

fn platform(home: &TestHome, verb: &str, name: &str) {
    let answer = home.run(["platform", verb, name]);
    assert_eq!(answer.code, Some(0), "{verb} {name}: {answer:?}");
}

#[test]
fn a_pause_wins_against_an_attempt_holds_over_a_kill_and_ends_by_a_resume_alone() {
    let mut house = House::furnish(2, &QUICK.replace("\"2s\"", "\"30s\""), |_| {});
    let attempt = house.stage.attempt("scripted2");
    platform(&house.home, "pause", "SCRIPTED2");
    let entry = house.wait_for("scripted2", "paused");
    assert_eq!((&entry["paused_by"], &entry["next_retry_at"]), (&json!("operator"), &Value::Null));
    attempt.cue(json!({ "do": "ready" }));
    house.assert_others_unaffected();
    assert_eq!(house.entry("scripted2")["state"], "paused", "an attempt that ends too late changes nothing");

    platform(&house.home, "resume", "scripted2");
    drop(house.stage.connect("scripted2"));
    house.wait_for("scripted2", "connected");
    platform(&house.home, "pause", "scripted2");
    house.wait_for("scripted2", "paused");
    house.assert_others_unaffected();
    assert!(house.stage.take("scripted2").is_none(), "a paused platform is not tried");

    house.gateway.kill();
    house.gateway = Gateway::start(&house.home);
    drop(house.stage.connect("scripted1"));
    let first = house.wait_until("scripted2", "there", |entry| entry.is_object());
    assert_eq!(
        (&first["state"], &first["paused_by"]),
        (&json!("paused"), &json!("operator")),
        "from the start"
    );
    house.wait_for("scripted1", "connected");
    assert!(house.stage.take("scripted2").is_none(), "nor is it tried after a restart");
    platform(&house.home, "resume", "scripted2");
    drop(house.heal("scripted2"));
    assert_eq!(house.gateway.stop(), Some(0));
}

#[test]
fn a_blocked_platform_is_looked_at_again_when_it_is_resumed() {
    let mut house = House::open(2);
    house.stage.block("scripted2", &json!({ "code": "slack_bad_token", "user_action": "Mend it." }));
    house.stage.attempt("scripted2").cut();
    house.wait_for("scripted2", "fatal");
    platform(&house.home, "resume", "scripted2");
    assert_eq!(house.wait_for("scripted2", "fatal")["error_code"], "slack_bad_token", "nothing has changed");
    house.stage.unblock("scripted2");
    platform(&house.home, "resume", "scripted2");
    drop(house.heal("scripted2"));
    house.assert_others_unaffected();
    assert_eq!(house.gateway.stop(), Some(0));
}

/// Checks that the gateway goes on, whatever part of it is blocked: the loop turns, the probe answers, and the process is the
/// same.
fn assert_goes_on(gateway: &mut Gateway, address: &str) {
    let begin = gateway.state()["updated_at"].clone();
    assert!(begin.is_string(), "{:#}", gateway.state());
    let mut probes = 0;
    let turned = wait::until(wait::LIMIT, || {
        assert_eq!(ask(address, "GET /livez", &[]).status, 200);
        probes += 1;
        (gateway.state()["updated_at"].as_str() > begin.as_str()).then_some(())
    });
    assert!(turned.is_some() && probes > 0, "{}", gateway.log().join("\n"));
    assert!(gateway.is_running(), "{}", gateway.log().join("\n"));
}

fn http_address(gateway: &Gateway) -> String {
    let seen = wait::until(wait::LIMIT, || Some(gateway.state()["http"]["address"].as_str()?.to_owned()));
    seen.unwrap_or_else(|| panic!("no HTTP: {:#}", gateway.state()))
}

#[test]
fn with_nothing_but_an_unpaired_phone_the_same_process_stays_and_answers() {
    let mut home = TestHome::empty();
    home.env.push(("API_SERVER_PORT".to_owned(), String::new()));
    home.write("gateway.toml", "[gateway]\nhttp = { bind = \"127.0.0.1:0\" }\n");
    home.write(".env", "WHATSAPP_ENABLED=true\n");
    let mut gateway = Gateway::start(&home);
    gateway.wait_for_state("fatal");
    let address = http_address(&gateway);
    assert_goes_on(&mut gateway, &address);
    let told = gateway.log().iter().filter(|line| line.contains("whatsapp_not_paired")).count();
    assert_eq!(told, 1, "{}", gateway.log().join("\n"));
    assert_eq!(gateway.stop(), Some(0));
}

#[test]
fn a_start_with_one_blocked_and_one_failing_platform_stays_up_and_the_third_answers() {
    let toml = QUICK.replace("[gateway]\n", "[gateway]\nhttp = { bind = \"127.0.0.1:0\" }\n");
    let mut house = House::furnish(2, &toml, |home| {
        home.env.push(("API_SERVER_PORT".to_owned(), String::new()));
        home.write(".env", "WHATSAPP_ENABLED=true\n");
    });
    house.stage.attempt("scripted2").cue(json!({ "do": "fail", "code": "net_dns" }));
    assert_eq!(house.wait_for("whatsapp", "fatal")["error_code"], "whatsapp_not_paired");
    house.wait_until("scripted2", "tried", |entry| entry["error_code"] == "net_dns");
    assert_eq!(house.gateway.state()["gateway_state"], "degraded");
    let address = http_address(&house.gateway);
    assert_goes_on(&mut house.gateway, &address);
    house.assert_others_unaffected();
    assert_eq!(house.gateway.stop(), Some(0));
}

/// Limit for a wrong `connected`: the lease of a scripted platform, and the time of a slow machine to notice, write and read.
const BELIEVED: Duration = Duration::from_secs(3 + 2);

#[test]
fn connected_is_never_shown_for_longer_than_the_lease_while_the_service_knows_better() {
    let mut house = House::furnish(2, &QUICK.replace("first", "breaker_after = 0, first"), |_| {});
    // The time since when the service knows that there is no connection; `None` while there is one, or may be.
    let gone: Arc<Mutex<Option<Instant>>> = Arc::default();
    let stop = Arc::new(AtomicBool::new(false));
    let sampler = {
        let (gone, stop) = (Arc::clone(&gone), Arc::clone(&stop));
        let file = house.home.paths().state_file();
        std::thread::spawn(move || {
            let (mut samples, mut lies) = (0_u32, Vec::new());
            while !stop.load(Ordering::SeqCst) {
                // Asked before the file is read: what happens in between is in favour of the gateway.
                let overdue = gone.lock().unwrap().is_some_and(|since| since.elapsed() > BELIEVED);
                let document =
                    std::fs::read(&file).ok().and_then(|bytes| serde_json::from_slice::<Value>(&bytes).ok());
                let document = document.expect("the state file is whole at every moment");
                samples += 1;
                if overdue && document["platforms"]["scripted2"]["state"] == "connected" {
                    lies.push(document);
                }
                std::thread::sleep(Duration::from_millis(50));
            }
            (samples, lies)
        })
    };
    let mut player = house.stage.connect("scripted2");
    house.wait_for("scripted2", "connected");
    for blow in [
        json!({ "do": "drop", "code": "net_refused" }),
        json!({ "do": "silence" }),
        json!({ "do": "panic" }),
        Value::Null,
        json!({ "do": "silence" }),
    ] {
        *gone.lock().unwrap() = Some(Instant::now());
        if blow.is_null() {
            player.cut();
        } else {
            player.cue(blow);
        }
        house.wait_until("scripted2", "known to be gone", |entry| entry["state"] != "connected");
        house.stage.attempt("scripted2").cue(json!({ "do": "fail", "code": "net_dns" }));
        // It may be connected from the moment on at which the service is ready.
        let attempt = house.stage.attempt("scripted2");
        *gone.lock().unwrap() = None;
        attempt.cue(json!({ "do": "ready" }));
        let is_up = wait::until(Duration::from_secs(1), || {
            (house.entry("scripted2")["state"] == "connected").then_some(())
        });
        player = if is_up.is_some() { attempt } else { house.heal("scripted2") };
        house.assert_others_unaffected();
    }
    stop.store(true, Ordering::SeqCst);
    let (samples, lies) = sampler.join().unwrap();
    assert!(lies.is_empty(), "{} of {samples} samples lie: {:#}", lies.len(), lies[0]);
    assert!(samples > 20, "only {samples} samples");
    assert_eq!(house.entry("scripted2")["state"], "connected");

    house.gateway.kill();
    for command in [["platform", "status"], ["gateway", "status"]] {
        let answer = house.home.run(command);
        assert_eq!(answer.code, Some(3), "{command:?}: {answer:?}");
        assert!(answer.stdout.contains("not running"), "{command:?}: {answer:?}");
    }
}

#[test]
fn the_operator_is_told_once_on_another_platform_and_once_more_when_it_is_over() {
    let toml =
        QUICK.replace("[gateway]\n", "[gateway]\nnotify = { after = \"90ms\", retrying_after = \"1h\" }\n");
    let mut house = House::furnish(2, &toml, |home| {
        home.write(".env", "SCRIPTED1_HOME_CHANNEL=boss\n");
    });
    house.stage.block(
        "scripted2",
        &json!({ "code": "slack_bad_token", "message": "the token is refused", "user_action": "Mend it." }),
    );
    house.stage.attempt("scripted2").cut();
    let told = house.well.take_message("scripted2 has not worked");
    assert_eq!(told["chat"], "boss");
    let text = told["text"].as_str().unwrap();
    assert!(text.contains("the token is refused. Mend it."), "{text}");
    house.stage.unblock("scripted2");
    let back = house.heal("scripted2");
    house.well.take_message("scripted2 works again");
    // At most one in an hour, whatever happens.
    house.stage.block("scripted2", &json!({ "code": "slack_bad_token", "user_action": "Mend it." }));
    back.cut();
    house.wait_for("scripted2", "fatal");
    house.assert_others_unaffected();
    let notices = house.well.said().iter().filter(|said| said["chat"] == "boss").count();
    assert_eq!(notices, 2, "{:?}", house.well.said());
    assert_eq!(house.gateway.stop(), Some(0));
}
