//! Faults of the store and of the disk below it, on real processes: no message is acknowledged that could be lost.

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::support::home::TestHome;
use crate::support::house::{House, QUICK};
use crate::support::process::Gateway;
use crate::support::stage::{Player, Stage};
use crate::support::wait;

/// Starts another gateway in the same home.
fn again(home: &mut TestHome, failpoint: Option<&str>) -> Gateway {
    home.env.retain(|(key, _)| key != "HERMES_FAILPOINT");
    home.env.extend(failpoint.map(|wanted| ("HERMES_FAILPOINT".to_owned(), wanted.to_owned())));
    Gateway::start(home)
}

#[test]
fn a_message_survives_a_death_between_its_commit_and_its_acknowledgement() {
    let prepare = |home: &mut TestHome| {
        home.env.push(("HERMES_FAILPOINT".to_owned(), "ack.scripted.before".to_owned()));
    };
    let mut house = House::furnish(1, QUICK, prepare);
    house.well.write("m", "friend", "are you there");
    assert_eq!(house.gateway.exit_code(), None, "a signal ended it");
    assert!(!house.well.said().iter().any(|said| said["say"] == "accepted"), "{:?}", house.well.said());
    house.gateway = again(&mut house.home, None);
    let player = house.stage.connect("scripted1");
    player.take_message("are you there");
    player.write("m", "friend", "are you there");
    player.write("n", "friend", "and now");
    player.take_message("and now");
    let answers = player.said().iter().filter(|said| said["say"] == "send").count();
    assert_eq!(answers, 2, "a repeat is recognised: {:?}", player.said());
    assert_eq!(house.gateway.stop(), Some(0));
}

/// Returns the problems that the gateway reports.
fn problems(home: &TestHome) -> Vec<String> {
    let answer = home.run(["platform", "status", "--json"]);
    let status: Value = serde_json::from_str(&answer.stdout).unwrap_or_default();
    let codes = status["problems"].as_array().cloned().unwrap_or_default();
    codes.iter().filter_map(|problem| Some(problem["code"].as_str()?.to_owned())).collect()
}

fn count(player: &Player, word: &str) -> usize {
    player.said().iter().filter(|said| said["say"] == word).count()
}

#[test]
fn row_54_on_a_disk_that_is_really_full_what_was_taken_is_answered_and_it_goes_on_when_there_is_room() {
    // A small separate disk that only the gateway sees; from outside it is reached through the process.
    let shell = "exec unshare -rm sh -c 'mount -t tmpfs -o size=24m,mode=700 tmpfs \"$HERMES_HOME\" && \
                 printf \"%s\" \"$TOML\" > \"$HERMES_HOME/gateway.toml\" && exec \"$@\"' sh \"$@\"";
    let stage = Stage::new(1);
    let mut home = TestHome::empty();
    home.env.push(stage.variable());
    home.env.push(("TOML".to_owned(), QUICK.to_owned()));
    home.write("gateway.toml", QUICK);
    let plain = home.command(["gateway", "run", "-v"]);
    let mut command = Command::new("sh");
    command.args(["-c", shell, "sh"]).arg(plain.get_program()).args(plain.get_args()).stdin(Stdio::null());
    command.env_clear().envs(home.variables());
    let mut gateway = Gateway::of(&home, command);
    let player = stage.connect("scripted1");
    player.write("first", "friend", "first");
    player.take_message("first");

    let disk = Path::new("/proc")
        .join(gateway.pid().to_string())
        .join("root")
        .join(home.root().strip_prefix("/").unwrap());
    let state = || -> Value {
        let bytes = std::fs::read(disk.join("gateway_state.json")).unwrap_or_default();
        serde_json::from_slice(&bytes).unwrap_or_default()
    };
    let wait_for = |what: &str, fits: &dyn Fn(&Value) -> bool| {
        let seen = wait::until(wait::LIMIT, || fits(&state()).then_some(()));
        assert!(seen.is_some(), "never {what}: {:#}\n{}", state(), gateway.log().join("\n"));
    };
    wait_for("well", &|state| state["gateway_state"] == "running" && state["queues"]["outbox"] == 0);
    let reserve = disk.join("gateway.db.reserve");
    assert!(reserve.metadata().unwrap().len() > 1 << 20);
    // An answer is under way when the disk fills up: that it was sent must still be written down.
    player.write("under way", "friend", "under way");
    let sent = wait::until(wait::LIMIT, || {
        player
            .said()
            .into_iter()
            .find(|said| said["text"].as_str().is_some_and(|text| text.contains("under way")))
    });
    let handle = sent.expect("it is answered")["handle"].clone();
    let mut filler = std::fs::File::create(disk.join("filler")).unwrap();
    while filler.write_all(&[7; 4096]).is_ok() {}
    for number in 0..5 {
        player.write(&format!("full {number}"), "friend", &"full ".repeat(4000));
    }
    let refused = wait::until(wait::LIMIT, || (count(&player, "refused") == 5).then_some(()));
    assert!(refused.is_some(), "{:?}\n{}", player.said(), gateway.log().join("\n"));
    wait_for("told", &|state| {
        state["problems"][0]["code"] == "disk_full" && state["gateway_state"] == "degraded"
    });
    assert!(!reserve.exists(), "the reserve is given up");
    player.cue(json!({ "do": "sent", "handle": handle }));
    wait_for("written down", &|state| state["queues"]["outbox"] == 0);

    drop(filler);
    std::fs::remove_file(disk.join("filler")).unwrap();
    wait_for("well again", &|state| state["gateway_state"] == "running" && state["problems"].is_null());
    assert!(reserve.exists(), "the reserve is kept again");
    player.write("last", "friend", "last");
    player.take_message("last");
    let told = gateway.log().iter().filter(|line| line.contains("disk_full")).count();
    assert_eq!(told, 2, "{}", gateway.log().join("\n"));
    assert_eq!(gateway.stop(), Some(0));
}

#[test]
fn row_78_after_a_fault_of_the_disk_nothing_is_acknowledged_falsely_and_the_second_ends_it() {
    let prepare = |home: &mut TestHome| {
        home.env.push(("HERMES_FAILPOINT".to_owned(), "commit.after:2:error".to_owned()));
    };
    let mut house = House::furnish(1, QUICK, prepare);
    house.well.write("a", "friend", "first");
    let fate = |house: &House, id: &str| {
        wait::until(wait::LIMIT, || house.well.said().into_iter().find(|said| said["id"] == id))
            .map(|said| said["say"].clone())
    };
    // The commit that fails depends on how they are gathered; whichever it is, the message comes through in the end.
    if fate(&house, "a") == Some(json!("refused")) {
        house.well.write("a", "friend", "first");
    }
    house.well.take_message("first");
    house.gateway.wait_for_log("store_fault");
    house.well.write("b", "friend", "second");
    house.well.take_message("second");
    assert_eq!(problems(&house.home), [""; 0], "one fault is mended");
    assert_eq!(house.gateway.stop(), Some(0));

    house.gateway = again(&mut house.home, Some("commit.before:error"));
    // The cleanup at the start may have both faults before a platform is tried.
    let tried = wait::until(wait::LIMIT, || {
        let player = house.stage.take("scripted1");
        (player.is_some() || !house.gateway.is_running()).then_some(player)
    });
    let player = tried.expect("it tries, or it ends");
    if let Some(player) = &player {
        player.cue(json!({ "do": "ready" }));
        player.write("c", "friend", "third");
        player.write("d", "friend", "fourth");
    }
    assert_eq!(house.gateway.exit_code(), Some(1), "{}", house.gateway.log().join("\n"));
    if let Some(player) = player {
        assert_eq!(count(&player, "accepted"), 0, "{:?}", player.said());
    }
    while house.stage.take("scripted1").is_some() {}
    house.gateway = again(&mut house.home, None);
    let player = house.stage.connect("scripted1");
    player.write("c", "friend", "third");
    player.take_message("third");
    assert_eq!(house.gateway.stop(), Some(0));
}

/// Returns a house whose gateway died with a message that waits, and whose database has long finished rows in front of it.
fn died_with_a_message() -> House {
    let prepare = |home: &mut TestHome| {
        home.env.push(("HERMES_FAILPOINT".to_owned(), "accept.after".to_owned()));
    };
    let mut house = House::furnish(1, QUICK, prepare);
    house.well.write("waits", "friend", "are you there");
    assert_eq!(house.gateway.exit_code(), None, "a signal ended it");
    let db = rusqlite::Connection::open(house.home.paths().database()).unwrap();
    let old =
        "INSERT INTO inbox (platform, chat_key, chat, message_id, state, body, accepted_at_s, ended_at_s)
               VALUES ('scripted1', 'other', 'other', 'old ' || ?1, 'done', ?2, ?3, ?3)";
    let now: i64 = db.query_row("SELECT accepted_at_s FROM inbox", [], |row| row.get(0)).unwrap();
    for number in 1..=100 {
        db.execute(old, rusqlite::params![number, "x".repeat(300), now]).unwrap();
    }
    house
}

/// Overwrites the page of the database that holds this text, and returns the file's bytes after that.
fn damage(home: &TestHome, text: &str) -> Vec<u8> {
    const PAGE: usize = 4096;
    let path = home.paths().database();
    let mut bytes = std::fs::read(&path).unwrap();
    // The last one: a page that was split keeps old bytes.
    let at = bytes.windows(text.len()).rposition(|found| found == text.as_bytes()).expect("it is there");
    bytes[at / PAGE * PAGE..][..PAGE].fill(0xff);
    std::fs::write(path, &bytes).unwrap();
    bytes
}

/// Returns the copy of a damaged database that was kept.
fn kept(home: &TestHome) -> Vec<Vec<u8>> {
    let files = std::fs::read_dir(home.root()).unwrap().map(|entry| entry.unwrap().path());
    let is_kept = |path: &std::path::PathBuf| {
        let name = path.to_string_lossy();
        name.contains("gateway.db.damaged-") && !name.ends_with("-wal")
    };
    files.filter(is_kept).map(|path| std::fs::read(path).unwrap()).collect()
}

#[test]
fn row_76_what_waits_in_a_damaged_database_is_answered_after_the_start() {
    let mut house = died_with_a_message();
    let before = damage(&house.home, "old 60done");
    house.gateway = again(&mut house.home, None);
    house.stage.connect("scripted1").take_message("are you there");
    let told = house.gateway.wait_for_log("store_salvaged");
    assert!(told.contains("inbox: ") && told.contains("outbox: 0 can be read and 0 cannot"), "{told}");
    assert!(told.contains("gateway.db.damaged-"), "{told}");
    assert_eq!(kept(&house.home), [before]);
    assert_eq!(house.gateway.stop(), Some(0));
}

#[test]
fn row_76_what_waits_is_given_up_only_by_a_word_of_the_operator() {
    let mut house = died_with_a_message();
    let before = damage(&house.home, "are you there");
    house.gateway = again(&mut house.home, None);
    assert_eq!(house.gateway.exit_code(), Some(78), "{}", house.gateway.log().join("\n"));
    let told = house.gateway.log().join("\n");
    for word in ["the store is damaged", "--accept-loss", "inbox: ", " can be read and "] {
        assert!(told.contains(word), "{word}: {told}");
    }
    assert_eq!(std::fs::read(house.home.paths().database()).unwrap(), before, "it is not retried");
    assert!(kept(&house.home).is_empty());

    let command = house.home.command(["gateway", "run", "-v", "--accept-loss"]);
    house.gateway = Gateway::of(&house.home, command);
    let player = house.stage.connect("scripted1");
    player.write("next", "friend", "and now");
    player.take_message("and now");
    house.gateway.wait_for_log("store_salvaged");
    assert_eq!(kept(&house.home), [before]);
    assert_eq!(house.gateway.stop(), Some(0));
}

#[test]
fn row_70_a_message_that_kills_the_gateway_again_and_again_is_quarantined_and_all_else_goes_on() {
    let fatal = Some("finish.before");
    let prepare = |home: &mut TestHome| {
        home.env.push(("HERMES_FAILPOINT".to_owned(), "finish.before".to_owned()));
    };
    // One attempt to connect lasts until the test looks.
    let mut house = House::furnish(1, &QUICK.replace("\"2s\"", "\"60s\""), prepare);
    house.well.write("fatal", "friend", "fatal words");
    assert_eq!(house.gateway.exit_code(), None, "a signal ended it");
    for _ in 0..2 {
        house.gateway = again(&mut house.home, fatal);
        assert_eq!(house.gateway.exit_code(), None, "{}", house.gateway.log().join("\n"));
    }
    // A message that waits behind it, and one elsewhere that was begun for the first time before the last crash.
    let db = rusqlite::Connection::open(house.home.paths().database()).unwrap();
    for (chat, words, state, attempts) in
        [("friend", "patient", "pending", 0), ("other", "innocent", "running", 1)]
    {
        let copied = db.execute(
            "INSERT INTO inbox (platform, chat_key, chat, message_id, state, attempts, body, accepted_at_s)
             SELECT platform, ?1, ?1, ?2, ?3, ?4, replace(replace(body, 'fatal', ?2), 'friend', ?1), accepted_at_s
             FROM inbox WHERE message_id = 'fatal'",
            rusqlite::params![chat, words, state, attempts],
        );
        assert_eq!(copied.unwrap(), 1);
    }
    drop(db);
    // The gateways that died may have begun to connect.
    while house.stage.take("scripted1").is_some() {}
    house.gateway = again(&mut house.home, None);
    let player = house.heal("scripted1");
    player.take_message("I stopped retrying this message because it kept crashing me");
    player.take_message("innocent words");
    player.take_message("patient words");
    player.write("new", "friend", "new words");
    player.take_message("new words");
    assert!(
        !player.said().iter().any(|said| said["text"].as_str().is_some_and(|text| text.contains("fatal")))
    );
    assert_eq!(problems(&house.home), ["safe_mode"]);
    let doctor = house.home.run(["doctor", "--json"]);
    assert!(doctor.stdout.contains("message_quarantined"), "{doctor:?}");
    assert_eq!(
        house.lines(0, r#"code="message_quarantined""#).len(),
        1,
        "{}",
        house.gateway.log().join("\n")
    );
    assert_eq!(house.gateway.stop(), Some(0));
    let db = rusqlite::Connection::open(house.home.paths().database()).unwrap();
    let dead = "SELECT COUNT(*) FROM inbox WHERE state = 'dead' AND body IS NOT NULL";
    assert_eq!(db.query_row(dead, [], |row| row.get::<_, i64>(0)).unwrap(), 1, "it is kept to be looked at");

    house.gateway = again(&mut house.home, None);
    let player = house.stage.connect("scripted1");
    player.write("after", "friend", "after words");
    player.take_message("after words");
    assert_eq!(problems(&house.home), [""; 0], "an orderly end is none of the deaths");
    assert_eq!(house.gateway.stop(), Some(0));
}
