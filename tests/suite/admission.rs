//! People who are on no list, and are admitted by a code.

use serde_json::Value;

use crate::support::home::{Answer, TestHome};
use crate::support::process::Gateway;
use crate::support::stage::{Player, Stage};
use crate::support::wait;

/// A home in which only `friend` is listed, and strangers are given codes.
fn furnish() -> (Stage, TestHome) {
    let stage = Stage::new(1);
    let mut home = TestHome::empty();
    home.env.push(stage.variable());
    for (name, value) in [("ALLOWED_USERS", "friend"), ("ALLOW_ALL_USERS", "false"), ("DM_POLICY", "pairing")]
    {
        home.env.push((format!("SCRIPTED1_{name}"), value.to_owned()));
    }
    home.write("gateway.toml", "[gateway]\nreconnect = { first = \"200ms\", cap = \"1s\" }\n");
    std::fs::set_permissions(home.root(), std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();
    (stage, home)
}

fn code_in(message: &Value) -> String {
    message["text"].as_str().unwrap().rsplit(' ').next().unwrap().to_owned()
}

fn list(home: &TestHome) -> Value {
    let answer = home.run(["pairing", "list", "--json"]);
    assert_eq!(answer.code, Some(0), "{answer:?}");
    serde_json::from_str(&answer.stdout).unwrap()
}

fn approve(home: &TestHome, code: &str) -> Answer {
    home.run(["pairing", "approve", "scripted1", code])
}

fn wait_until_accepted(player: &Player, id: &str) {
    let seen = wait::until(wait::LIMIT, || {
        player.said().iter().any(|said| said["say"] == "accepted" && said["id"] == id).then_some(())
    });
    assert!(seen.is_some(), "{:?}", player.said());
}

fn assert_heard(player: &Player, who: &str, text: &str) {
    player.write(text, who, text);
    player.take_message(text);
}

fn assert_holds_not(home: &TestHome, text: &str) {
    for file in std::fs::read_dir(home.root()).unwrap().flatten() {
        let bytes = std::fs::read(file.path()).unwrap_or_default();
        let found = bytes.windows(text.len()).any(|window| window == text.as_bytes());
        assert!(!found, "{} holds it", file.path().display());
    }
}

#[test]
fn a_stranger_is_let_in_by_a_code_and_stays_in_until_that_is_taken_back() {
    let (stage, home) = furnish();
    let mut gateway = Gateway::start(&home);
    let player = stage.connect("scripted1");
    player.write("1", "eve", "something private");
    let code = code_in(&player.take_message("this code"));
    player.write("2", "eve", "something private");
    wait_until_accepted(&player, "2");
    assert_eq!(list(&home)["waiting"][0]["user"], "eve");

    let wrong = approve(&home, "AAAA2222");
    assert_eq!(wrong.code, Some(1), "{wrong:?}");
    assert!(wrong.stderr.contains("4 attempts left"), "{}", wrong.stderr);
    assert_eq!(home.run(["pairing", "approve", "fax", &code]).code, Some(2));
    let right = approve(&home, &code.to_lowercase());
    assert_eq!((right.code, right.stdout.as_str()), (Some(0), "eve can now write to hermes on scripted1.\n"));
    assert_eq!(approve(&home, &code).code, Some(1), "it was taken");
    assert_heard(&player, "eve", "may I speak");
    assert_holds_not(&home, "something private");
    assert_holds_not(&home, &code);
    assert!(!gateway.log().iter().any(|line| line.contains(&code)));

    gateway.kill();
    let mut gateway = Gateway::start(&home);
    let player = stage.connect("scripted1");
    assert_heard(&player, "eve", "after a kill");
    let revoked = home.run(["pairing", "revoke", "scripted1", "eve", "--json"]);
    assert_eq!(revoked.code, Some(0), "{revoked:?}");
    player.write("3", "eve", "am I still heard");
    wait_until_accepted(&player, "3");
    player.write("4", "friend", "and I");
    player.take_message("and I");
    assert!(
        !player
            .said()
            .iter()
            .any(|said| said["text"].as_str().is_some_and(|text| text.contains("still heard")))
    );
    assert_eq!(list(&home)["admitted"], serde_json::json!([]));
    assert_eq!(gateway.stop(), Some(0));
}

#[test]
fn without_a_gateway_the_store_is_asked_and_guessing_closes_the_door() {
    let (stage, home) = furnish();
    assert!(home.run(["pairing", "list"]).stdout.starts_with("No pending requests"));
    assert_eq!(approve(&home, "AAAA2222").code, Some(1));
    let mut gateway = Gateway::start(&home);
    let player = stage.connect("scripted1");
    player.write("1", "eve", "hello");
    let code = code_in(&player.take_message("this code"));
    player.write("2", "ann", "hello");
    let second = wait::until(wait::LIMIT, || {
        player.said().into_iter().find(|said| said["say"] == "send" && said["chat"] == "ann")
    });
    let second = code_in(&second.unwrap());
    assert_eq!(gateway.stop(), Some(0));

    assert_eq!(list(&home)["waiting"].as_array().unwrap().len(), 2);
    assert_eq!(approve(&home, &code).code, Some(0));
    for _ in 0..5 {
        assert_eq!(approve(&home, "AAAA2222").code, Some(1));
    }
    let locked = approve(&home, &second);
    assert_eq!(locked.code, Some(1));
    assert!(locked.stderr.contains("codes are locked for 60 more minutes"), "{}", locked.stderr);

    let mut gateway = Gateway::start(&home);
    let player = stage.connect("scripted1");
    assert_heard(&player, "eve", "let in while you were away");
    assert!(
        approve(&home, &second).stderr.contains("codes are locked"),
        "the door stays closed over a start"
    );
    assert_eq!(gateway.stop(), Some(0));
}

#[test]
fn what_the_environment_of_the_gateway_allows_is_not_called_revoked_in_a_clean_shell() {
    let (stage, mut home) = furnish();
    let mut gateway = Gateway::start(&home);
    let player = stage.connect("scripted1");
    assert_heard(&player, "friend", "before");
    home.env.retain(|(name, _)| name != "SCRIPTED1_ALLOWED_USERS");
    home.env.push(("SCRIPTED1_ALLOWED_USERS".to_owned(), String::new()));
    let refused = home.run(["pairing", "revoke", "scripted1", "friend"]);
    assert_eq!(refused.code, Some(1), "{refused:?}");
    assert!(refused.stderr.contains("[still_allowed]"), "{refused:?}");
    assert!(refused.stderr.contains("unset SCRIPTED1_ALLOWED_USERS"), "{refused:?}");
    assert!(refused.stderr.contains("stop the gateway and start it again"), "{refused:?}");
    assert_heard(&player, "friend", "after");
    let refused = home.run(["pairing", "allow", "telegram", "-1001234567890"]);
    assert!(refused.stderr.contains("[not_a_person]"), "{refused:?}");
    assert!(refused.stderr.contains("TELEGRAM_ALLOWED_CHATS"), "{refused:?}");
    let refused = home.run(["pairing", "allow", "scripted1", "eve"]);
    assert!(refused.stderr.contains("[env_shadowed]"), "{refused:?}");
    assert_eq!(gateway.stop(), Some(0));
}

#[test]
fn the_last_person_who_is_revoked_leaves_a_word_that_no_one_is_allowed() {
    let (stage, mut home) = furnish();
    home.env.retain(|(name, _)| !name.starts_with("SCRIPTED1_"));
    for (name, value) in [("ALLOWED_USERS", ""), ("ALLOW_ALL_USERS", "false")] {
        home.env.push((format!("SCRIPTED1_{name}"), value.to_owned()));
    }
    home.write(".env", "SCRIPTED1_ALLOWED_USERS=friend,eve\n");
    let mut gateway = Gateway::start(&home);
    let player = stage.connect("scripted1");
    assert_heard(&player, "eve", "before");
    let first = home.run(["pairing", "revoke", "scripted1", "eve"]);
    assert_eq!(first.stdout, "Revoked access for eve on scripted1.\n", "{first:?}");
    let last = home.run(["pairing", "revoke", "scripted1", "friend"]);
    assert!(
        last.stdout.contains("Now no one is allowed to write to hermes on scripted1 [nobody_allowed]"),
        "{last:?}"
    );
    assert!(last.stdout.contains("`hermes pairing allow scripted1 ID`"), "{last:?}");
    let status = home.run(["platform", "status"]);
    assert!(status.stdout.contains("[nobody_allowed]"), "{status:?}");
    let status: Value = serde_json::from_str(&home.run(["platform", "status", "--json"]).stdout).unwrap();
    assert_eq!(status["platforms"]["scripted1"]["findings"][0]["code"], "nobody_allowed", "{status:#}");
    assert_eq!(gateway.stop(), Some(0));
}

#[test]
fn the_status_of_telegram_has_the_people_whom_the_running_gateway_answers() {
    let (stage, mut home) = furnish();
    home.env.push(("TELEGRAM_ALLOWED_USERS".to_owned(), "4799".to_owned()));
    home.write(
        ".env",
        "TELEGRAM_BOT_TOKEN=123456:a-canary-of-a-token-of-thirty-five\nTELEGRAM_ENABLED=false\n",
    );
    let status = |home: &TestHome| -> Value {
        serde_json::from_str(&home.run(["telegram", "status", "--json"]).stdout).unwrap()
    };
    let codes = |status: &Value| {
        let findings = status["findings"].as_array().unwrap().iter();
        findings.map(|finding| finding["code"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let mut gateway = Gateway::start(&home);
    drop(stage.connect("scripted1"));
    home.env.retain(|(name, _)| name != "TELEGRAM_ALLOWED_USERS");
    let seen = status(&home);
    assert_eq!(seen["allowed"], serde_json::json!(["4799"]), "{seen:#}");
    assert!(!codes(&seen).contains(&"nobody_allowed".to_owned()), "{seen:#}");
    assert_eq!(gateway.stop(), Some(0));
    let seen = status(&home);
    assert_eq!(seen["allowed"], serde_json::json!([]), "{seen:#}");
    assert!(codes(&seen).contains(&"nobody_allowed".to_owned()), "{seen:#}");
}
