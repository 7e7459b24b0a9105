//! Facts that only the running gateway knows, as commands and wizards get them: settings that its environment hides, and
//! senders that it ignored.

use serde_json::{Value, json};

use crate::support::home::Answer;
use crate::support::process::Gateway;
use crate::support::screen::Terminal;
use crate::support::telegram::scene::{FRIEND, wait_until};
use crate::support::telegram::service::TOKEN;
use crate::support::wait;
use crate::telegram::Scene;

const STRANGER: i64 = 4_200_666;
const GROUP: i64 = -100_500;

fn document(answer: &Answer) -> Value {
    serde_json::from_str(&answer.stdout).unwrap_or_else(|_| panic!("no document: {answer:?}"))
}

#[test]
fn what_the_gateways_environment_hides_is_told_by_commands_that_do_not_have_it() {
    let scene = Scene::set();
    let mut command = scene.home.command(["gateway", "run", "-v"]);
    command.env("TELEGRAM_ALLOWED_USERS", STRANGER.to_string());
    let mut gateway = Gateway::of(&scene.home, command);
    wait_until(&gateway, "connected", |entry| entry["state"] == "connected");
    let status = scene.home.run(["platform", "status"]);
    assert!(
        status.stdout.contains("TELEGRAM_ALLOWED_USERS in .env has no effect on the gateway"),
        "{status:?}"
    );
    assert!(status.stdout.contains("unset TELEGRAM_ALLOWED_USERS"), "{status:?}");
    let status = document(&scene.home.run(["platform", "status", "--json"]));
    assert_eq!(status["shadowed"], json!(["TELEGRAM_ALLOWED_USERS"]), "{status:#}");
    let doctor = scene.home.run(["doctor", "--json"]);
    let is_it = |check: &&Value| check["code"] == "env_shadowed" && check["status"] == "warning";
    let checks = document(&doctor)["checks"].clone();
    assert_eq!(checks.as_array().unwrap().iter().filter(is_it).count(), 1, "{doctor:?}");

    // The friend is ignored, and the line says where that is changed.
    scene.write("hello");
    let line = gateway.wait_for_log(&format!("Add {FRIEND} to TELEGRAM_ALLOWED_USERS"));
    assert!(line.contains("its environment goes before .env") && !line.contains(" in .env"), "{line}");
    let answer = scene.home.run(["pairing", "allow", "telegram", "9"]);
    assert!(answer.code == Some(1) && answer.stderr.contains("[env_shadowed]"), "{answer:?}");
    assert!(answer.stderr.contains("unset TELEGRAM_ALLOWED_USERS"), "{answer:?}");

    // The wizard has another environment, and its settings reach no gateway.
    let answer = scene.home.run(["telegram", "--allow", &format!("{FRIEND},7"), "--json"]);
    let last: Value = serde_json::from_str(answer.stdout.lines().last().unwrap()).unwrap();
    assert_eq!((answer.code, &last["code"]), (Some(1), &json!("env_shadowed")), "{answer:?}");
    assert!(last["fix"].as_str().unwrap().contains("unset TELEGRAM_ALLOWED_USERS"), "{last:#}");
    let env = String::from_utf8(scene.home.dot_env().unwrap()).unwrap();
    assert!(env.contains(&format!("TELEGRAM_ALLOWED_USERS={FRIEND},7")), "{env}");
    let answer = scene.home.run(["telegram", "--allow", &STRANGER.to_string(), "--json"]);
    assert_eq!(answer.code, Some(0), "the same as in the environment: {answer:?}");
    assert_eq!(gateway.stop(), Some(0));
}

#[test]
fn a_refused_token_of_the_environment_is_not_sent_to_the_wizard() {
    let scene = Scene::set();
    let mut command = scene.home.command(["gateway", "run", "-v"]);
    command.env("TELEGRAM_BOT_TOKEN", "7000001:another-token-of-nobody");
    let mut gateway = Gateway::of(&scene.home, command);
    let blocked = wait_until(&gateway, "fatal", |entry| entry["state"] == "fatal");
    assert_eq!(blocked["error_code"], "telegram_bad_token");
    let action = blocked["user_action"].as_str().unwrap();
    assert!(action.contains("unset TELEGRAM_BOT_TOKEN") && !action.contains("hermes telegram"), "{action}");
    assert_eq!(gateway.stop(), Some(0));
}

#[test]
fn who_was_ignored_is_listed_with_what_allows_them_and_gone_once_allowed() {
    let scene = Scene::set();
    let mut gateway = scene.connected();
    scene.service.write(STRANGER, STRANGER, "let me in");
    scene.service.write(GROUP, FRIEND, "in a group that is not listed");
    let ignored = || {
        let list = document(&scene.home.run(["pairing", "list", "--json"]));
        list["ignored"].as_array().cloned().unwrap_or_default()
    };
    let seen = wait::until(wait::LIMIT, || Some(ignored()).filter(|rows| rows.len() == 2));
    let rows = seen.unwrap_or_else(|| panic!("{:?}\n{}", ignored(), gateway.log().join("\n")));
    let row = |kind: &str| rows.iter().find(|row| row["kind"] == kind).unwrap_or_else(|| panic!("{rows:?}"));
    assert_eq!(row("person")["id"], STRANGER.to_string());
    assert_eq!(row("person")["allow"], format!("Run `hermes pairing allow telegram {STRANGER}`."));
    assert_eq!(row("group")["id"], GROUP.to_string());
    gateway.wait_for_log(&format!("Ignored a message in the group {GROUP}"));
    let list = scene.home.run(["pairing", "list"]);
    assert!(list.stdout.contains(&format!("hermes pairing allow telegram {STRANGER}")), "{list:?}");
    let doctor = scene.home.run(["doctor"]);
    let named = [format!("Telegram ignored {STRANGER}"), format!("hermes pairing allow telegram {STRANGER}")];
    assert!(named.iter().all(|named| doctor.stdout.contains(named)), "{doctor:?}");
    assert!(doctor.stdout.contains("[stranger_ignored]"), "no one else was heard: {doctor:?}");

    // The wizard learns the id from the gateway that receives.
    let mut terminal = Terminal::start(&scene.home, &["telegram"], 60, 100);
    terminal.wait_for("Keep this bot?");
    terminal.send("\u{1b}[B\r");
    terminal.wait_for("Press Enter when you have written to it.");
    terminal.send("\r");
    terminal.wait_for(&STRANGER.to_string());
    terminal.send("\u{3}");
    assert_eq!(terminal.exit_code(), 130, "{}", terminal.text());

    let answer = scene.home.run(["pairing", "allow", "telegram", &STRANGER.to_string()]);
    assert_eq!(answer.code, Some(0), "{answer:?}");
    let env = String::from_utf8(scene.home.dot_env().unwrap()).unwrap();
    assert!(env.contains(&format!("TELEGRAM_ALLOWED_USERS={FRIEND},{STRANGER}")), "{env}");
    let is_gone = || ignored().iter().all(|row| row["kind"] != "person").then_some(());
    assert!(wait::until(wait::LIMIT, is_gone).is_some(), "{:?}", ignored());
    let child = scene.home.command(["pairing", "list", "--json"]).env("HERMES_CHILD", "1").output().unwrap();
    let child: Answer = child.into();
    assert_ne!(child.code, Some(0), "a program of the gateway's is told nothing: {child:?}");
    assert_eq!(gateway.stop(), Some(0));
}

#[test]
fn the_wizard_beside_a_running_gateway_offers_who_has_just_written() {
    let scene = Scene::set();
    scene.home.write(".env", format!("TELEGRAM_BOT_TOKEN={TOKEN}\n"));
    let mut gateway = scene.connected();
    let mut terminal = Terminal::start(&scene.home, &["telegram", "--no-start"], 60, 100);
    // No one is listed: it goes on to the question about people by itself once the bot stays.
    let asked = wait::until(wait::LIMIT, || {
        let text = terminal.text();
        (text.contains("Keep this bot?") || text.contains("Press Enter")).then_some(text)
    });
    if asked.expect("a question").contains("Keep this bot?") {
        terminal.send("\r");
    }
    terminal.wait_for("Press Enter when you have written to it.");
    scene.service.write(STRANGER, STRANGER, "it is me");
    gateway.wait_for_log(&format!("hermes pairing allow telegram {STRANGER}"));
    terminal.send("\r");
    terminal.wait_for("Who are you?");
    assert!(terminal.text().contains(&STRANGER.to_string()), "{}", terminal.text());
    terminal.send("\r");
    terminal.wait_for("Is that you?");
    terminal.send("y\r");
    terminal.wait_for("is allowed");
    terminal.wait_for("Send alerts to this chat");
    terminal.send("n\r");
    assert_eq!(terminal.exit_code(), 0, "{}", terminal.text());
    let env = String::from_utf8(scene.home.dot_env().unwrap()).unwrap();
    assert!(env.contains(&format!("TELEGRAM_ALLOWED_USERS={STRANGER}")), "{env}");
    let answered = wait::until(wait::LIMIT, || {
        scene.service.write(STRANGER, STRANGER, "are you there?");
        scene.service.sent().iter().any(|sent| sent.chat == STRANGER).then_some(())
    });
    assert!(answered.is_some(), "{}", gateway.log().join("\n"));
    assert_eq!(gateway.stop(), Some(0));
}

#[test]
fn the_wizard_looks_again_until_the_person_has_written() {
    let scene = Scene::set();
    scene.home.write(".env", format!("TELEGRAM_BOT_TOKEN={TOKEN}\n"));
    let mut gateway = scene.connected();
    let mut terminal = Terminal::start(&scene.home, &["telegram", "--no-start"], 100, 100);
    terminal.wait_for("Keep this bot?");
    terminal.send("\r");
    // Each answered question stays on the screen, so they are counted.
    let asks = |terminal: &mut Terminal, question: &str, count: usize| {
        let is_there = || (terminal.text().matches(question).count() == count).then_some(());
        assert!(wait::until(wait::LIMIT, is_there).is_some(), "{question} {count}: {}", terminal.text());
    };
    let pause = "Press Enter when you have written to it.";
    asks(&mut terminal, pause, 1);
    terminal.send("\r");
    terminal.wait_for("No message of a person who is not listed has come yet.");
    terminal.wait_for("❯ Look again");
    scene.service.write(STRANGER, STRANGER, "it is me");
    gateway.wait_for_log(&format!("hermes pairing allow telegram {STRANGER}"));
    terminal.send("\r");
    asks(&mut terminal, pause, 2);
    terminal.send("\r");
    terminal.wait_for(&format!("❯ {STRANGER}"));
    terminal.send("\u{1b}[B");
    terminal.wait_for("❯ None of these: look again");
    terminal.send("\r");
    asks(&mut terminal, pause, 3);
    terminal.send("\r");
    terminal.wait_for(&format!("❯ {STRANGER}"));
    terminal.send("\r");
    terminal.wait_for("Is that you?");
    terminal.send("y\r");
    terminal.wait_for("is allowed");
    terminal.send("\u{3}");
    assert_eq!(terminal.exit_code(), 130, "{}", terminal.text());
    assert_eq!(gateway.stop(), Some(0));
}
