//! The verdict on a session folder: the same in the gateway's log, the status and `doctor`; no child for a refused platform;
//! and a pairing made elsewhere connects without a restart.

use std::os::unix::fs::PermissionsExt;

use serde_json::{Value, json};

use crate::support::fake::FakeWhatsApp;
use crate::support::home::TestHome;
use crate::support::pairing::{FRIEND, pair};
use crate::support::process::Gateway;
use crate::support::wait;

const KEYS: &str = r#""noiseKey":{"private":""},"signedIdentityKey":{"private":""},"signedPreKey":{"keyPair":{"private":""}},"registrationId":7,"advSecretKey":"","registered":false"#;
const HALF: &str = r#""me":{"id":"15550001111@s.whatsapp.net","name":"~"}"#;
const ME: &str = r#""me":{"id":"15550001111:1@s.whatsapp.net","lid":"99:1@lid"}"#;
const ACCOUNT: &str = r#""account":{"details":"CgQ=","accountSignatureKey":"AA==","accountSignature":"AA==","deviceSignature":"AA=="}"#;

const SESSION: &str = "whatsapp/session/creds.json";

fn enabled_home() -> TestHome {
    let home = TestHome::with_bridge();
    home.write(
        ".env",
        format!("WHATSAPP_ENABLED=true\nWHATSAPP_MODE=bot\nWHATSAPP_ALLOWED_USERS={FRIEND}\n"),
    );
    std::fs::set_permissions(home.paths().env_file(), PermissionsExt::from_mode(0o600)).unwrap();
    home
}

/// Checks that the gateway refuses this session with this code, shows that everywhere, starts no child and stays up.
fn assert_refused(home: &TestHome, code: &str) {
    let mut gateway = Gateway::start(home);
    let entry = gateway.wait_for_state("fatal");
    assert_eq!(entry["error_code"], code, "{entry:#}");
    assert!(entry["user_action"].as_str().is_some_and(|action| !action.is_empty()), "{entry:#}");
    let line = gateway.wait_for_log(code);
    assert!(
        line.contains("hermes whatsapp") || line.contains("`mv ") || line.contains("chmod "),
        "the line names no remedy: {line}"
    );
    assert_eq!(gateway.children(), Vec::<u32>::new(), "a refused platform has no child");
    let status = home.run(["platform", "status", "--json"]);
    assert!(status.stdout.contains(code), "{status:?}");
    let doctor = home.run(["doctor", "--json"]);
    assert_eq!(doctor.code, Some(1), "{doctor:?}");
    assert!(doctor.stdout.contains(code), "{doctor:?}");
    assert!(gateway.is_running());
    let lines = gateway.log().iter().filter(|line| line.contains(code)).count();
    assert_eq!(lines, 1, "one line, not one per attempt:\n{}", gateway.log().join("\n"));
    assert_eq!(gateway.stop(), Some(0), "{:#?}", gateway.log());
}

#[test]
fn a_missing_session_is_not_paired() {
    assert_refused(&enabled_home(), "whatsapp_not_paired");
}

#[test]
fn routing_info_saved_before_any_pairing_is_not_paired() {
    let home = enabled_home();
    home.write(SESSION, format!("{{{KEYS},\"routingInfo\":\"AA==\"}}"));
    assert_refused(&home, "whatsapp_not_paired");
}

#[test]
fn a_requested_pairing_code_is_half_a_pairing() {
    let home = enabled_home();
    home.write(SESSION, format!("{{{KEYS},{HALF}}}"));
    assert_refused(&home, "whatsapp_half_paired");
}

#[test]
fn an_empty_or_truncated_file_is_corrupt_and_stays_as_it_is() {
    for content in ["", "{\"noiseKey\":{\"priv"] {
        let home = enabled_home();
        let path = home.write(SESSION, content);
        assert_refused(&home, "whatsapp_creds_corrupt");
        assert_eq!(std::fs::read_to_string(path).unwrap(), content);
    }
}

#[test]
fn credentials_that_cannot_be_read_are_told_with_their_remedy() {
    if rustix::process::geteuid().is_root() {
        // Root reads everything, so for root a folder in the file's place is the unreadable one.
        let home = enabled_home();
        std::fs::create_dir_all(home.root().join(SESSION)).unwrap();
        assert_refused(&home, "whatsapp_creds_corrupt");
        return;
    }
    let home = enabled_home();
    let path = home.write(SESSION, format!("{{{KEYS},{ME},{ACCOUNT}}}"));
    std::fs::set_permissions(path, PermissionsExt::from_mode(0o000)).unwrap();
    assert_refused(&home, "whatsapp_creds_corrupt");
}

#[test]
fn doctor_and_whatsapp_status_call_a_signed_account_paired_by_qr_and_by_code() {
    for keys in [KEYS.to_owned(), KEYS.replace("\"registered\":false", "\"registered\":true")] {
        let home = enabled_home();
        home.write(SESSION, format!("{{{keys},{ME},{ACCOUNT}}}"));
        let doctor = home.run(["doctor", "--json"]);
        assert_eq!(doctor.code, Some(0), "{doctor:?}");
        assert!(!doctor.stdout.contains("whatsapp_not_paired"), "{doctor:?}");
        let status = home.run(["whatsapp", "status", "--json"]);
        assert!(status.stdout.contains("15550001111"), "{status:?}");
    }
}

#[test]
fn corrupt_credentials_with_a_good_copy_are_restored_and_the_platform_connects() {
    let mut home = TestHome::with_bridge();
    let mut fake = FakeWhatsApp::start();
    fake.serve(&mut home);
    pair(&home, &mut fake);
    let creds = home.paths().whatsapp().creds();
    assert!(home.paths().whatsapp().creds_backup().exists(), "the bridge keeps a good copy");
    std::fs::File::options().write(true).truncate(true).open(&creds).unwrap();
    let doctor = home.run(["doctor", "--json"]);
    assert_eq!(doctor.code, Some(0), "a restorable session does not block: {doctor:?}");
    let mut gateway = Gateway::start(&home);
    gateway.wait_for_state("connected");
    assert!(std::fs::metadata(&creds).unwrap().len() > 100, "it was restored");
    assert_eq!(gateway.stop(), Some(0));
}

#[test]
fn an_unpaired_gateway_refuses_at_once_and_connects_when_paired_from_another_terminal() {
    let mut home = enabled_home();
    let mut fake = FakeWhatsApp::start();
    fake.serve(&mut home);
    let mut gateway = Gateway::start(&home);
    gateway.wait_for_state("fatal");
    let pid = gateway.pid();
    pair(&home, &mut fake);
    let entry = gateway.wait_for_state("connected");
    assert_eq!(entry["error_code"], Value::Null, "the cured error is gone: {entry:#}");
    assert!(gateway.is_running() && gateway.pid() == pid);
    fake.tell(json!({ "cmd": "message", "from": FRIEND, "text": "no restart needed" }));
    let answered = wait::until(wait::LIMIT, || {
        fake.received().iter().any(|(_, text)| text.contains("no restart needed")).then_some(())
    });
    assert!(answered.is_some(), "{:#?}", gateway.log());
    assert_eq!(gateway.stop(), Some(0));
}
