//! The whole report.

use std::os::unix::fs::PermissionsExt;

use super::*;
use crate::durable::{create_private_dir, write_atomic};

fn report(home: &HermesHome, env: &[(&str, &str)]) -> Report {
    Report::make(&World::of_env(env.iter().copied()), home, None)
}

fn codes(report: &Report) -> Vec<&str> {
    report.checks.iter().map(|check| check.code.as_str()).collect()
}

#[test]
fn what_is_not_set_up_is_no_fault_unless_nothing_is() {
    let dir = tempfile::tempdir().unwrap();
    let home = HermesHome::at(dir.path().join("none"));
    let node = ("HERMES_NODE", "/nowhere/node");
    let nothing = report(&home, &[node]);
    assert!(!nothing.ok);
    let off = ["whatsapp_not_enabled", "telegram_not_enabled"];
    assert_eq!(codes(&nothing), ["gateway", "agent", off[0], off[1], "node", "nothing_enabled"]);
    let fixes: Vec<_> = nothing.checks.iter().filter_map(|check| check.fix.as_deref()).collect();
    assert_eq!(fixes[0], "Start it with `hermes gateway run`.");
    assert_eq!(fixes[1..], ["Run `hermes whatsapp`.", "Run `hermes telegram`.", "Run `hermes setup`."]);

    let token = ("TELEGRAM_BOT_TOKEN", "1:a-token-of-nobody-at-all");
    let telegram = report(&home, &[node, token, ("TELEGRAM_ALLOWED_USERS", "1")]);
    assert!(telegram.ok, "{telegram:?}");
    let whatsapp = telegram.checks.iter().find(|check| check.code == off[0]).unwrap();
    assert_eq!((whatsapp.status, whatsapp.message.as_str()), (Status::Info, "WhatsApp is not set up"));
    assert!(!codes(&telegram).contains(&off[1]));

    let toml = "[platforms.telegram]\nenabled = false\n";
    create_private_dir(home.root()).unwrap();
    write_atomic(&home.config_file(), toml.as_bytes()).unwrap();
    let turned_off = report(&home, &[node, token]);
    let telegram = turned_off.checks.iter().find(|check| check.code == off[1]).unwrap();
    assert_eq!(telegram.message, "Telegram is set up, and turned off");
    assert!(telegram.fix.as_ref().unwrap().contains("enabled = false"));
}

#[test]
fn an_empty_machine_is_told_all_that_is_missing_and_nothing_is_made() {
    let dir = tempfile::tempdir().unwrap();
    let home = HermesHome::at(dir.path().join("none"));
    let report = report(&home, &[("HERMES_NODE", "/nowhere/node"), ("WHATSAPP_ENABLED", "true")]);
    assert!(!report.ok);
    let missing = [
        "gateway",
        "agent",
        "whatsapp_node_missing",
        "whatsapp_bridge_not_installed",
        "whatsapp_not_paired",
        "whatsapp_mode_not_set",
        "telegram_not_enabled",
    ];
    assert_eq!(codes(&report), missing);
    assert!(!home.root().exists());
}

#[test]
fn open_files_are_told_with_the_command_and_broken_settings_do_not_end_the_report() {
    let dir = tempfile::tempdir().unwrap();
    let home = HermesHome::at(dir.path().join("a home"));
    create_private_dir(home.root()).unwrap();
    for path in [home.env_file(), home.config_file()] {
        write_atomic(&path, b"[oops").unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
    }
    let report = report(&home, &[("HERMES_NODE", "/nowhere/node")]);
    let open: Vec<&Check> = report.checks.iter().filter(|check| check.code == "open_mode").collect();
    assert_eq!(open.len(), 2);
    assert_eq!(
        open[0].fix,
        Some(format!("Run `chmod 600 '{}'`, or `hermes doctor --fix`.", home.env_file().display()))
    );
    let broken = report.checks.iter().find(|check| check.code == "config").unwrap();
    assert_eq!(broken.status, Status::Blocking);
    assert!(broken.message.contains("line 1, column"), "{broken:?}");
    assert_eq!(codes(&report).last(), Some(&"config"), "nothing is said of what they ask for");
}

#[test]
fn an_agent_that_cannot_answer_is_in_the_way_and_a_platform_without_people_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let home = HermesHome::at(dir.path());
    let toml = "[agent]\nkind = \"command\"\ncommand = [\"no-such-agent\"]\nenv = [\"UNSET_TOKEN\"]\n";
    write_atomic(&home.config_file(), toml.as_bytes()).unwrap();
    let report = report(&home, &[("HERMES_SCRIPTED", "2@/nowhere"), ("SCRIPTED2_ALLOWED_USERS", "friend")]);
    let check = |code: &str| report.checks.iter().filter(|check| check.code == code).collect::<Vec<_>>();
    assert_eq!(check("agent_command_missing")[0].status, Status::Blocking);
    assert_eq!(check("agent_variable_missing").len(), 1);
    assert!(check("agent").is_empty());
    let [nobody] = check("nobody_allowed")[..] else { panic!("{:?}", codes(&report)) };
    assert!(nobody.message.contains("scripted1"), "{nobody:?}");
}

#[test]
fn a_session_in_use_is_in_the_way_unless_the_gateway_uses_it() {
    let dir = tempfile::tempdir().unwrap();
    let home = HermesHome::at(dir.path());
    create_private_dir(&dir.path().join("whatsapp")).unwrap();
    let _bridge = Lock::acquire(&home.whatsapp().session_lock()).unwrap();
    let is_told =
        || codes(&report(&home, &[("WHATSAPP_ENABLED", "true")])).contains(&"whatsapp_session_lock");
    assert!(is_told());
    let _gateway = Lock::acquire(&home.lock_file()).unwrap();
    assert!(!is_told());
}

#[test]
fn the_text_shows_each_check_with_its_remedy_below() {
    let report = Report {
        ok: false,
        version: "1.0.0",
        home: "/h".into(),
        session: "/s".into(),
        bridge: "/b".into(),
        gateway: Value::Null,
        repairs: Some(vec![
            Repair { done: true, message: "made it".into(), fix: None },
            Repair { done: false, message: "it is in use".into(), fix: Some("Stop it.".into()) },
        ]),
        checks: vec![
            Check::good("a", "all is well"),
            Check::warning("b", "something is odd", "Look at it."),
            Check { status: Status::Info, ..Check::warning("i", "something is off", "Run `on`.") },
            Check { status: Status::Blocking, ..Check::warning("c", "something is missing", "Run `x`.") },
        ],
    };
    let text = report.to_text(Look { signs: SIGNS, colour: false });
    let expected = "hermes 1.0.0\n  home     /h\n  session  /s\n  bridge   /b\n\n✓ Repaired: made it\n! Not repaired: it is in use\n  Stop it.\n✓ all is well\n! something is odd\n  Look at it.\n\
                    ○ something is off\n  Run `on`.\n✗ something is missing\n  Run `x`.\n\n1 problem, 1 warning.\n";
    assert_eq!(text, expected);
    let plain = report.to_text(Look { signs: PLAIN_SIGNS, colour: false });
    assert!(plain.is_ascii() && plain.contains("FAIL something is missing\n     Run `x`.\n"), "{plain}");
    assert!(report.to_text(Look { signs: SIGNS, colour: true }).contains("\u{1b}[31m✗"));
}
