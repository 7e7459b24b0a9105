//! The gateway's care for its environment: secrets that others could read, a program that was replaced, and its own children
//! that want to steer it.

use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use crate::host_faults::with_whatsapp_by;
use crate::support::house::{House, QUICK};
use crate::support::wait;

#[test]
fn secrets_that_others_could_read_are_closed_to_them_at_the_start() {
    let mut house = House::furnish(1, QUICK, |home| {
        for (name, mode) in [(".env", 0o644), ("whatsapp/session/creds.json.bak", 0o664)] {
            let path = home.write(name, "");
            std::fs::set_permissions(path, PermissionsExt::from_mode(mode)).unwrap();
        }
    });
    let mode = |name: &str| house.home.root().join(name).metadata().unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(".env"), 0o600);
    assert_eq!(mode("whatsapp/session"), 0o700);
    assert_eq!(mode("whatsapp/session/creds.json.bak"), 0o600);
    let told = house.lines(0, "modes_tightened");
    assert_eq!(told.len(), 1, "{}", told.join("\n"));
    assert!(told[0].contains(".env (was 644)"), "{}", told[0]);
    house.assert_others_unaffected();
    assert_eq!(house.gateway.stop(), Some(0));
}

#[test]
fn row_62_a_replaced_program_runs_on_and_says_so() {
    let shell = "program=$1; shift; cp \"$program\" $HERMES_HOME/program; exec $HERMES_HOME/program \"$@\"";
    let mut house = House::under(shell, 1, QUICK);
    let is_told = || house.gateway.state()["problems"].to_string().contains("code_skew");
    assert!(!is_told());
    let program = house.home.root().join("program");
    std::fs::rename(&program, program.with_extension("old")).unwrap();
    house.home.write("program", "another one");
    let seen = wait::until(wait::LIMIT, || is_told().then_some(()));
    assert!(seen.is_some(), "{:#}", house.gateway.state());
    let status = house.home.run(["platform", "status"]);
    assert_eq!(status.code, Some(0), "{status:?}");
    assert!(status.stdout.contains("Switch to the new one with `hermes gateway restart`"), "{status:?}");
    assert!(house.home.run(["doctor", "--json"]).stdout.contains("code_skew"));
    assert_eq!(house.lines(0, "code_skew").len(), 1);
    house.assert_others_unaffected();
    assert_eq!(house.gateway.stop(), Some(0));
}

#[test]
fn what_the_gateway_started_may_look_at_it_and_not_steer_it() {
    let hermes = env!("CARGO_BIN_EXE_hermes");
    // Once as an agent's program would call it, and then with an environment that hides where it comes from.
    let does = format!(
        "home=$(dirname \"$0\"); export HERMES_HOME=$home; cd $home\n\
         {hermes} gateway stop > marked 2>&1\n\
         for verb in 'gateway stop' 'gateway restart' 'platform pause scripted1' 'platform resume scripted1'; do\n\
         env -i HERMES_HOME=$home {hermes} $verb >> stripped 2>&1; echo \"exit $?\" >> stripped\ndone\n\
         env -i HERMES_HOME=$home {hermes} platform status --json > looked 2>&1\n\
         echo done > done; exec sleep 100"
    );
    let mut house = with_whatsapp_by("[gateway]\nconnect_timeout = \"2m\"\n", &does);
    let root = house.home.root();
    let done = wait::until(wait::LIMIT, || root.join("done").exists().then_some(()));
    assert!(done.is_some(), "{}", house.gateway.log().join("\n"));
    let read = |name: &str| std::fs::read_to_string(root.join(name)).unwrap();
    assert!(read("marked").contains("cannot control it"), "{}", read("marked"));
    let stripped = read("stripped");
    assert_eq!(stripped.matches("cannot control it").count(), 4, "{stripped}");
    assert_eq!(stripped.matches("exit 1").count(), 4, "{stripped}");
    let looked: serde_json::Value = serde_json::from_str(&read("looked")).unwrap();
    assert_eq!(looked["running"], true, "{looked:#}");
    house.assert_others_unaffected();
    // A person in another terminal may.
    let pause = house.home.run(["platform", "pause", "whatsapp"]);
    assert_eq!(pause.code, Some(0), "{pause:?}");
    // An orphan has no parents that would show it; its environment still does.
    let mut orphan = Command::new(hermes);
    orphan
        .args(["gateway", "stop"])
        .env_clear()
        .env("HERMES_HOME", house.home.root())
        .env("HERMES_CHILD", "1");
    assert_eq!(orphan.status().unwrap().code(), Some(1));
    assert!(house.gateway.is_running());
    assert_eq!(house.gateway.stop(), Some(0));
}

#[test]
fn the_agent_of_launchd_keeps_what_the_units_promise_as_far_as_launchd_can() {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("assets/service/hermes.plist");
    let text = std::fs::read_to_string(path).unwrap();
    let words: Vec<&str> = text.split_whitespace().collect();
    let plist = words.join(" ");
    for promise in [
        "<key>KeepAlive</key> <dict> <key>SuccessfulExit</key> <false/> </dict>",
        "<key>ThrottleInterval</key> <integer>30</integer>",
        "<key>ExitTimeOut</key> <integer>60</integer>",
        "<key>Umask</key> <integer>63</integer>",
        "<key>Core</key> <integer>0</integer>",
        "<string>gateway</string> <string>run</string>",
    ] {
        assert!(plist.contains(promise), "{promise} is missing");
    }
    // Every element that begins ends, in order; comments hold none.
    let mut open = Vec::new();
    let elements =
        plist.split("<!--").map(|part| part.rsplit("-->").next().unwrap_or(part)).collect::<String>();
    for tag in elements.split('<').skip(1).filter_map(|rest| rest.split('>').next()) {
        match tag.strip_prefix('/') {
            Some(name) => assert_eq!(open.pop(), Some(name)),
            None if tag.starts_with(['?', '!']) || tag.ends_with('/') => {}
            None => open.push(tag.split(' ').next().unwrap()),
        }
    }
    assert!(open.is_empty(), "{open:?}");
}
