//! The program's help: every help page, and the errors of wrong usage.

use crate::support::home::TestHome;

#[test]
fn every_help_page() {
    let home = TestHome::empty();
    let mut pages = String::new();
    for page in [
        &[][..],
        &["whatsapp"],
        &["whatsapp", "status"],
        &["whatsapp", "enable"],
        &["whatsapp", "disable"],
        &["whatsapp", "unpair"],
        &["setup"],
        &["telegram"],
        &["telegram", "status"],
        &["telegram", "enable"],
        &["telegram", "disable"],
        &["migrate"],
        &["gateway"],
        &["gateway", "run"],
        &["gateway", "restart"],
        &["gateway", "start"],
        &["gateway", "status"],
        &["gateway", "stop"],
        &["platform"],
        &["platform", "list"],
        &["platform", "pause"],
        &["platform", "resume"],
        &["platform", "status"],
        &["pairing"],
        &["pairing", "list"],
        &["pairing", "approve"],
        &["pairing", "allow"],
        &["pairing", "revoke"],
        &["dead"],
        &["dead", "list"],
        &["dead", "show"],
        &["dead", "retry"],
        &["dead", "drop"],
        &["send"],
        &["doctor"],
    ] {
        let args: Vec<&str> = page.iter().copied().chain(["--help"]).collect();
        let answer = home.command(&args).env("COLUMNS", "100").output().expect("hermes starts");
        assert_eq!(answer.status.code(), Some(0));
        pages += &format!("$ hermes {}\n{}\n", args.join(" "), String::from_utf8_lossy(&answer.stdout));
    }
    insta::assert_snapshot!(pages);
}

#[test]
fn wrong_usage_is_told_with_exit_two_and_writes_nothing() {
    let home = TestHome::empty();
    for args in [
        &["fax"][..],
        &["whatsapp", "--mode", "loud"],
        &["whatsapp", "--qr", "colour"],
        &["whatsapp", "--timeout", "soon"],
        &["gateway", "run", "-v", "-q"],
        &["platform"],
        &["dead", "retry"],
        &["dead", "show", "seven"],
        &["dead", "list", "--direction", "up"],
        &["send", "fax:1", "hello"],
    ] {
        let answer = home.run(args);
        assert_eq!(answer.code, Some(2), "{args:?}: {answer:?}");
        assert!(!answer.stderr.is_empty());
    }
    let answer = home.run(["whatsapp"]);
    assert_eq!(answer.code, Some(2), "{answer:?}");
    for flag in ["--mode", "--allow"] {
        assert!(answer.stderr.contains(flag), "the missing flag is named: {answer:?}");
    }
    assert!(!home.root().exists(), "nothing is written");
}

#[test]
fn a_failure_has_its_code_in_the_text_and_with_json_one_document() {
    let home = TestHome::empty();
    for (args, exit, code) in [
        (&["gateway", "stop", "--json"][..], 3, "not_running"),
        (&["pairing", "revoke", "telegram", "9", "--json"], 1, "not_admitted"),
        (&["migrate", "--json"], 1, "no_hermes_agent"),
        (&["telegram", "enable", "--json"], 1, "telegram_token_missing"),
        (&["pairing", "allow", "fax", "9", "--json"], 2, "unknown_platform"),
    ] {
        let answer = home.run(args);
        assert_eq!(answer.code, Some(exit), "{answer:?}");
        let document: serde_json::Value = serde_json::from_str(&answer.stdout).expect("one document");
        assert_eq!(document["error"]["code"], code, "{answer:?}");
        assert!(
            answer.stderr.lines().next().is_some_and(|line| line.ends_with(&format!(" [{code}]"))),
            "{answer:?}"
        );
    }
    let shown = home.run(["dead", "show", "out-99", "--json"]);
    let document: serde_json::Value = serde_json::from_str(&shown.stdout).expect("one document");
    assert!(shown.code == Some(1) && document["letters"].is_array(), "{shown:?}");
    assert!(shown.stderr.contains("no such message: out-99 [no_such_letter]"), "{shown:?}");
}
