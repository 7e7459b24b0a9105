//! The other ways to link and unlink: a typed code, codes that run out, unpair, enable and disable.

use hermes::pairing::{Pairing, verdict};
use serde_json::json;

use crate::support::fake::FakeWhatsApp;
use crate::support::home::TestHome;
use crate::support::pairing::{OWNER, Wizard, pair};

#[test]
fn a_typed_code_links_like_a_scanned_one() {
    let mut home = TestHome::with_bridge();
    let mut fake = FakeWhatsApp::start();
    fake.serve(&mut home);
    let mut wizard = Wizard::start(&home, &["--pairing-code", "+1 555 000 1111"]);
    let shown = wizard.wait_for("pairing_code");
    fake.tell(json!({ "cmd": "link", "code": shown["code"] }));
    wizard.wait_for("enabled");
    assert_eq!(wizard.exit_code(), Some(0), "{:#?}", wizard.events());
    assert!(!wizard.names().contains(&"qr".to_owned()), "a code was asked for, not a picture");
    let creds = std::fs::read(home.paths().whatsapp().creds()).ok();
    let Pairing::Paired { me } = verdict(creds.as_deref()) else { panic!("not paired") };
    assert_eq!(me.number(), OWNER);
}

#[test]
fn codes_that_run_out_are_expired_and_the_next_run_shows_new_ones() {
    let mut home = TestHome::with_bridge();
    let mut fake = FakeWhatsApp::start();
    fake.serve(&mut home);
    let mut wizard = Wizard::start(&home, &[]);
    wizard.wait_for("qr");
    fake.tell(json!({ "cmd": "fault", "name": "exhaust_refs" }));
    assert_eq!(wizard.exit_code(), Some(1), "{:#?}", wizard.events());
    assert_eq!(wizard.names().last().map(String::as_str), Some("expired"));
    assert_eq!(home.dot_env(), None);
    pair(&home, &mut fake);
}

#[test]
fn unpairing_moves_the_session_aside_and_only_a_pairing_can_be_enabled() {
    let mut home = TestHome::with_bridge();
    let mut fake = FakeWhatsApp::start();
    fake.serve(&mut home);
    let refused = home.run(["whatsapp", "enable"]);
    assert_eq!(refused.code, Some(1), "{refused:?}");
    assert_eq!(home.dot_env(), None);

    pair(&home, &mut fake);
    assert_eq!(home.run(["whatsapp", "disable"]).code, Some(0));
    let env = || String::from_utf8(home.dot_env().unwrap()).unwrap();
    assert!(env().contains("WHATSAPP_ENABLED=false"), "{}", env());
    assert_eq!(home.run(["whatsapp", "enable"]).code, Some(0));
    assert!(env().contains("WHATSAPP_ENABLED=true"), "{}", env());

    let asked = home.run(["whatsapp", "unpair"]);
    assert_eq!(asked.code, Some(2), "without a terminal it needs --yes: {asked:?}");
    assert_eq!(home.run(["whatsapp", "unpair", "--yes"]).code, Some(0));
    assert!(env().contains("WHATSAPP_ENABLED=false"), "{}", env());
    assert!(!home.paths().whatsapp().creds().exists());
    let aside: Vec<_> = std::fs::read_dir(home.root().join("whatsapp"))
        .unwrap()
        .flatten()
        .filter(|entry| entry.file_name().to_string_lossy().starts_with("session.unpaired-"))
        .collect();
    assert_eq!(aside.len(), 1, "the session is kept");
    assert!(aside[0].path().join("creds.json").exists());
    pair(&home, &mut fake);
}
