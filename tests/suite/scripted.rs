//! Several platforms in one real gateway: a fault of one does not affect the others.

use serde_json::{Value, json};

use crate::support::home::TestHome;
use crate::support::process::Gateway;
use crate::support::stage::{Player, Stage};
use crate::support::wait;

fn start(count: u8) -> (Stage, Gateway, TestHome) {
    let stage = Stage::new(count);
    let mut home = TestHome::empty();
    home.env.push(stage.variable());
    home.write("gateway.toml", "[gateway]\nreconnect = { first = \"200ms\", cap = \"1s\" }\n");
    std::fs::set_permissions(home.root(), std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();
    let gateway = Gateway::start(&home);
    (stage, gateway, home)
}

fn wait_for(gateway: &Gateway, platform: &str, state: &str) -> Value {
    let seen = wait::until(wait::LIMIT, || {
        let entry = gateway.state()["platforms"][platform].clone();
        (entry["state"] == state).then_some(entry)
    });
    match seen {
        Some(entry) => entry,
        None => {
            panic!("{platform} never was {state}:\n{:#}\n{}", gateway.state(), gateway.log().join("\n"))
        }
    }
}

fn assert_answers(player: &Player, id: &str) {
    player.write(id, "friend", &format!("hello {id}"));
    let answer = player.take_message(&format!("hello {id}"));
    assert_eq!(answer["chat"], "friend");
}

#[test]
fn whatever_one_platform_does_the_others_answer() {
    let (stage, mut gateway, _home) = start(3);
    let well = stage.connect("scripted1");
    wait_for(&gateway, "scripted1", "connected");
    assert_answers(&well, "first");
    well.cue(json!({ "do": "limit", "wait_ms": 1000 }));
    wait_for(&gateway, "scripted1", "rate_limited");
    wait_for(&gateway, "scripted1", "connected");

    stage.attempt("scripted2").cue(json!({ "do": "fail", "code": "net_dns" }));
    assert_eq!(wait_for(&gateway, "scripted2", "retrying")["error_code"], "net_dns");
    stage.attempt("scripted2").cue(json!({ "do": "panic" }));
    let shaky = stage.connect("scripted2");
    wait_for(&gateway, "scripted2", "connected");
    shaky.cue(json!({ "do": "hang_close" }));
    shaky.cue(json!({ "do": "silence" }));
    // The lease runs out, and the next attempt does not wait for a close that never returns.
    let again = stage.connect("scripted2");
    wait_for(&gateway, "scripted2", "connected");
    assert_answers(&again, "again");

    stage.block("scripted3", &json!({ "code": "telegram_bad_token", "user_action": "mend it" }));
    stage.attempt("scripted3").cut();
    assert_eq!(wait_for(&gateway, "scripted3", "fatal")["user_action"], "mend it");
    assert!(stage.take("scripted3").is_none(), "a block that the check knows is not tried");
    assert_answers(&well, "last");
    stage.unblock("scripted3");
    stage.connect("scripted3");
    wait_for(&gateway, "scripted3", "connected");
    assert_eq!(gateway.stop(), Some(0));
}
