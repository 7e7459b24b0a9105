//! What the program says about itself: every help page, and the errors of wrong usage.

use crate::support::home::TestHome;

#[test]
fn every_help_page() {
    let home = TestHome::empty();
    let mut pages = String::new();
    for page in [
        &[][..],
        &["whatsapp"],
        &["whatsapp", "status"],
        &["whatsapp", "unpair"],
        &["setup"],
        &["telegram"],
        &["telegram", "status"],
        &["telegram", "disable"],
        &["migrate"],
        &["gateway"],
        &["gateway", "run"],
        &["gateway", "restart"],
        &["gateway", "start"],
        &["gateway", "status"],
        &["gateway", "stop"],
        &["platform"],
        &["platform", "pause"],
        &["platform", "resume"],
        &["platform", "status"],
        &["dead"],
        &["dead", "list"],
        &["dead", "retry"],
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
