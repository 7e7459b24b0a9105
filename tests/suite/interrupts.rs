//! Setup is a transaction: whatever ends it half-way, `.env` is byte for byte what it was, and the next run finishes.

use hermes::bridge::install;
use hermes::pairing::{Pairing, verdict};
use hermes::preflight::BridgeFact;
use rustix::process::Signal;
use serde_json::json;

use crate::support::fake::FakeWhatsApp;
use crate::support::home::{TestHome, tree};
use crate::support::pairing::{FRIEND, Wizard};
use crate::support::process::is_alive;
use crate::support::wait;

const BEFORE: &str = "# mine\r\nOTHER='kept'\r\nWHATSAPP_MODE=\"self-chat\"   # was\r\n";
const SIGNALS: [Signal; 3] = [Signal::INT, Signal::TERM, Signal::KILL];

/// Returns the pids of everything below this process.
fn descendants(pid: u32) -> Vec<u32> {
    let mut found = Vec::new();
    let mut parents = vec![pid];
    while let Some(parent) = parents.pop() {
        for task in std::fs::read_dir(format!("/proc/{parent}/task")).into_iter().flatten().flatten() {
            let children = std::fs::read_to_string(task.path().join("children")).unwrap_or_default();
            for child in children.split_whitespace().filter_map(|pid| pid.parse().ok()) {
                found.push(child);
                parents.push(child);
            }
        }
    }
    found
}

/// Ends the wizard with this signal, and checks that it ends everything it had started.
fn interrupt(wizard: &mut Wizard, signal: Signal) {
    let children = descendants(wizard.pid());
    wizard.signal(signal);
    let code = wizard.exit_code();
    if signal == Signal::KILL {
        assert_eq!(code, None);
    } else {
        assert_eq!(code, Some(130), "{:#?}", wizard.events());
        assert_eq!(wizard.names().last().map(String::as_str), Some("cancelled"));
    }
    let limit = std::time::Duration::from_secs(5);
    let gone = wait::until(limit, || children.iter().all(|pid| !is_alive(*pid)).then_some(()));
    assert!(gone.is_some(), "{signal:?} leaves children behind: {children:?}");
}

/// Runs the wizard to its end, scanning when a code is shown.
fn finish(home: &TestHome, fake: &mut FakeWhatsApp) {
    let mut wizard = Wizard::start(home, &[]);
    let shown = wait::until(wait::LIMIT * 5, || {
        wizard.names().into_iter().find(|name| ["qr", "enabled", "error"].contains(&name.as_str()))
    });
    if shown.as_deref() == Some("qr") {
        let code = wizard.wait_for("qr");
        fake.tell(json!({ "cmd": "scan", "payload": code["payload"] }));
    }
    wizard.wait_for("enabled");
    assert_eq!(wizard.exit_code(), Some(0), "{:#?}", wizard.events());
    assert_enabled(home);
}

fn assert_enabled(home: &TestHome) {
    let env = String::from_utf8(home.dot_env().expect("it is there")).expect("text");
    assert!(env.starts_with("# mine\r\nOTHER='kept'\r\n"), "{env}");
    assert!(env.contains("WHATSAPP_ENABLED=true") && env.contains(FRIEND) && env.contains("bot"), "{env}");
    let creds = std::fs::read(home.paths().whatsapp().creds()).ok();
    assert!(matches!(verdict(creds.as_deref()), Pairing::Paired { .. }));
}

#[test]
fn interrupted_at_any_step_of_pairing_nothing_is_claimed_and_the_next_run_finishes() {
    for step in ["qr", "pair_success", "restart", "connected"] {
        for signal in SIGNALS {
            let mut home = TestHome::with_bridge();
            let mut fake = FakeWhatsApp::start();
            fake.serve(&mut home);
            home.write(".env", BEFORE);
            let mut wizard = Wizard::start(&home, &[]);
            let code = wizard.wait_for("qr");
            if step != "qr" {
                fake.tell(json!({ "cmd": "scan", "payload": code["payload"] }));
                wizard.wait_for(step);
            }
            // The last step races with the commit: then all of it must have happened.
            let children = descendants(wizard.pid());
            if step == "connected" {
                wizard.signal(signal);
                wizard.exit_code();
                let limit = std::time::Duration::from_secs(5);
                let gone = wait::until(limit, || children.iter().all(|pid| !is_alive(*pid)).then_some(()));
                assert!(gone.is_some(), "{signal:?} leaves children behind");
                if home.dot_env().as_deref() != Some(BEFORE.as_bytes()) {
                    assert_enabled(&home);
                }
            } else {
                interrupt(&mut wizard, signal);
                assert_eq!(home.dot_env().as_deref(), Some(BEFORE.as_bytes()), "{step} {signal:?}");
            }
            finish(&home, &mut fake);
            let leftovers: Vec<_> = tree(&home.root())
                .into_iter()
                // The bridge sweeps its own folder when it opens the session the next time.
                .filter(|path| !path.starts_with("whatsapp/session"))
                .filter(|path| {
                    path.to_string_lossy().contains(".tmp") || path.to_string_lossy().ends_with(".png")
                })
                .collect();
            assert!(leftovers.is_empty(), "{leftovers:?}");
        }
    }
}

#[test]
fn interrupted_during_npm_nothing_counts_as_installed_and_the_next_run_finishes() {
    let mut home = TestHome::empty();
    let mut fake = FakeWhatsApp::start();
    fake.serve(&mut home);
    home.write(".env", BEFORE);
    for signal in SIGNALS {
        let mut wizard = Wizard::start(&home, &[]);
        wizard.wait_for("install");
        // npm itself is running, not only announced.
        let npm = wait::until(wait::LIMIT, || (!descendants(wizard.pid()).is_empty()).then_some(()));
        assert!(npm.is_some());
        interrupt(&mut wizard, signal);
        assert_eq!(home.dot_env().as_deref(), Some(BEFORE.as_bytes()));
        assert!(!matches!(install::check(&home.paths()), BridgeFact::Installed { .. }));
    }
    finish(&home, &mut fake);
    let folders: Vec<_> = std::fs::read_dir(home.paths().whatsapp().bridge_root())
        .unwrap()
        .flatten()
        .map(|entry| entry.file_name())
        .collect();
    let staged: Vec<_> = folders.iter().filter(|name| name.to_string_lossy().contains("staged")).collect();
    assert!(staged.is_empty(), "what a killed installer left is cleared: {folders:?}");
}

#[test]
fn a_code_nobody_scans_a_refusal_and_a_dead_bridge_claim_nothing() {
    let mut home = TestHome::with_bridge();
    let mut fake = FakeWhatsApp::start();
    fake.serve(&mut home);
    home.write(".env", BEFORE);

    let mut wizard = Wizard::start(&home, &["--timeout", "1s"]);
    wizard.wait_for("qr");
    assert_eq!(wizard.exit_code(), Some(1));
    assert_eq!(wizard.names().last().map(String::as_str), Some("expired"), "{:#?}", wizard.events());

    let mut wizard = Wizard::start(&home, &[]);
    let code = wizard.wait_for("qr");
    fake.tell(json!({ "cmd": "scan", "payload": code["payload"], "tamper_hmac": true }));
    assert_eq!(wizard.exit_code(), Some(1), "{:#?}", wizard.events());
    assert_eq!(wizard.names().last().map(String::as_str), Some("error"));

    let mut wizard = Wizard::start(&home, &[]);
    wizard.wait_for("qr");
    let bridge = descendants(wizard.pid()).into_iter().next().expect("a bridge");
    let pid = rustix::process::Pid::from_raw(bridge.cast_signed()).expect("a pid");
    rustix::process::kill_process(pid, Signal::KILL).expect("it is there");
    assert_eq!(wizard.exit_code(), Some(1), "{:#?}", wizard.events());
    assert_eq!(wizard.names().last().map(String::as_str), Some("error"));

    assert_eq!(home.dot_env().as_deref(), Some(BEFORE.as_bytes()));
    finish(&home, &mut fake);
}

#[test]
fn an_already_paired_machine_gets_its_lost_enabled_line_back_without_a_phone() {
    let mut home = TestHome::with_bridge();
    let mut fake = FakeWhatsApp::start();
    fake.serve(&mut home);
    home.write(".env", BEFORE);
    finish(&home, &mut fake);
    home.write(".env", BEFORE);
    let mut wizard = Wizard::start(&home, &[]);
    wizard.wait_for("enabled");
    assert_eq!(wizard.exit_code(), Some(0));
    assert!(!wizard.names().contains(&"qr".to_owned()));
    assert_enabled(&home);
}
