//! WhatsApp asks for the account's passkey: by QR and by code, refused and passed, on a terminal and without one. The
//! passkey is one in software, in the fake.

use serde_json::{Value, json};

use crate::support::fake::FakeWhatsApp;
use crate::support::home::{TestHome, tree};
use crate::support::pairing::{FRIEND, Wizard, pair};
use crate::support::screen::Terminal;

const GATE: &str = "links this account only with its passkey";
const PASTE: &str = "Paste the browser's answer";

fn stand() -> (TestHome, FakeWhatsApp) {
    let mut home = TestHome::with_bridge();
    let fake = FakeWhatsApp::start();
    fake.serve(&mut home);
    (home, fake)
}

fn demand(fake: &mut FakeWhatsApp, how: Value) {
    let mut fault = json!({ "cmd": "fault", "name": "passkey" });
    fault.as_object_mut().unwrap().extend(how.as_object().unwrap().clone());
    fake.tell(fault);
}

/// Returns the output of the browser.
fn answer(fake: &mut FakeWhatsApp, how: Value) -> String {
    let mut command = json!({ "cmd": "assert" });
    command.as_object_mut().unwrap().extend(how.as_object().unwrap().clone());
    fake.tell(command)["answer"].to_string()
}

/// Waits for the question: a paste before it is there does not count.
fn wait_for_prompt(terminal: &mut Terminal) {
    terminal.wait_for_line(&format!("  ? {PASTE} (hidden): |"));
}

/// Makes a wizard on a terminal whose phone was linked so far that WhatsApp asks for the passkey.
fn terminal_at_the_gate(home: &TestHome, fake: &mut FakeWhatsApp, by_code: bool) -> Terminal {
    let mut args = vec!["whatsapp", "--mode", "bot", "--allow", FRIEND];
    if by_code {
        args.extend(["--pairing-code", "+15550001111"]);
    }
    let mut terminal = Terminal::start(home, &args, 70, 100);
    if by_code {
        fake.wait_for("code_offered", |_| true);
        terminal.wait_for("Waiting for the phone");
        let text = terminal.text();
        let code = text.lines().map(str::trim).find(|line| line.len() == 9 && line.as_bytes()[4] == b'-');
        fake.tell(json!({ "cmd": "link", "code": code.expect("a code is shown") }));
    } else {
        let payload = terminal.wait_for_code();
        fake.tell(json!({ "cmd": "scan", "payload": payload }));
    }
    terminal.wait_for(PASTE);
    terminal
}

#[test]
fn a_person_pastes_what_the_browser_prints_and_the_phone_is_linked() {
    for by_code in [false, true] {
        let (home, mut fake) = stand();
        demand(&mut fake, json!({}));
        let mut terminal = terminal_at_the_gate(&home, &mut fake, by_code);
        let asked = fake.wait_for("passkey_asked", |_| true);
        let text = terminal.text();
        assert!(text.contains(GATE) && text.contains("navigator.credentials.get("), "{text}");
        assert!(text.contains(asked["options"]["challenge"].as_str().unwrap()), "{text}");
        assert!(!text.contains("New code in"), "no code is shown any more:\n{text}");

        terminal.send("not an answer\r");
        terminal.wait_for("This is not the whole answer");
        wait_for_prompt(&mut terminal);
        let careless = answer(&mut fake, json!({ "origin": "https://example.org" }));
        terminal.send(&format!("{careless}\r"));
        terminal.wait_for("was not run on the page");
        wait_for_prompt(&mut terminal);
        // Longer than the line buffer of a terminal.
        let padded = format!("{}{}", " ".repeat(5000), answer(&mut fake, json!({})));
        terminal.send(&format!("{padded}\r"));
        terminal.wait_for("Start the gateway now?");
        assert!(!terminal.text().contains("clientDataJSON\""), "the answer is not shown");
        terminal.send("n\r");
        assert_eq!(terminal.exit_code(), 0, "{}", terminal.text());
        assert!(terminal.is_as_found());
        let env = String::from_utf8(home.dot_env().expect("it is set up")).unwrap();
        assert!(env.contains("WHATSAPP_ENABLED=true"), "{env}");
        assert!(
            fake.events().iter().all(|event| event["event"] != "passkey_refused"),
            "only good ones are sent"
        );
    }
}

#[test]
fn a_refused_passkey_and_ctrl_c_leave_everything_as_it_was() {
    for (by_code, refused) in [(false, true), (true, true), (false, false), (true, false)] {
        let (home, mut fake) = stand();
        demand(&mut fake, json!({ "refuse": true }));
        let mut terminal = terminal_at_the_gate(&home, &mut fake, by_code);
        let code = if refused {
            let answer = answer(&mut fake, json!({}));
            terminal.send(&format!("{answer}\r"));
            terminal.wait_for("WhatsApp refused the passkey");
            1
        } else {
            terminal.send("\u{3}");
            130
        };
        terminal.wait_for("No WhatsApp setting was changed");
        assert_eq!(terminal.exit_code(), code, "{}", terminal.text());
        assert!(terminal.is_as_found());
        assert_eq!(home.dot_env(), None);
        let files = tree(&home.root().join("whatsapp").join("session"));
        assert!(files.is_empty(), "{files:?}");
        assert_eq!(home.paths().whatsapp().passkey_mark().exists(), refused);
    }
}

#[test]
fn without_a_terminal_it_has_its_code_everywhere_and_can_be_answered_by_a_file() {
    let (home, mut fake) = stand();
    demand(&mut fake, json!({ "times": 2 }));
    for more in [&[][..], &["--pairing-code", "+15550001111"]] {
        let mut wizard = Wizard::start(&home, more);
        if more.is_empty() {
            let shown = wizard.wait_for("qr");
            fake.tell(json!({ "cmd": "scan", "payload": shown["payload"] }));
        } else {
            let shown = wizard.wait_for("pairing_code");
            fake.tell(json!({ "cmd": "link", "code": shown["code"] }));
        }
        assert!(wizard.wait_for("passkey_required")["snippet"].as_str().unwrap().starts_with("navigator."));
        assert_eq!(wizard.wait_for("error")["code"], "whatsapp_passkey_required");
        assert_eq!(wizard.exit_code(), Some(1), "{:#?}", wizard.events());
    }
    let status = home.run(["whatsapp", "status", "--json"]);
    assert!(format!("{status:?}").contains("whatsapp_passkey_required"), "{status:?}");
    home.write(
        ".env",
        format!("WHATSAPP_MODE=bot\nWHATSAPP_ALLOWED_USERS={FRIEND}\nWHATSAPP_ENABLED=true\n"),
    );
    for args in [&["doctor", "--json"][..], &["platform", "status", "--json"]] {
        let said = home.run(args);
        assert!(format!("{said:?}").contains("whatsapp_passkey_required"), "{args:?}: {said:?}");
    }

    demand(&mut fake, json!({ "times": 1 }));
    let file = home.root().join("answer.json");
    let mut wizard = Wizard::start(&home, &["--passkey-answer", file.to_str().unwrap()]);
    let shown = wizard.wait_for("qr");
    fake.tell(json!({ "cmd": "scan", "payload": shown["payload"] }));
    wizard.wait_for("passkey_required");
    home.write("answer.json", "{}");
    wizard.wait_for("passkey_rejected");
    home.write("answer.json", answer(&mut fake, json!({})));
    wizard.wait_for("enabled");
    assert_eq!(wizard.exit_code(), Some(0), "{:#?}", wizard.events());
    let phone = fake.wait_for("passkey_code", |_| true);
    assert_eq!(wizard.wait_for("passkey_code")["code"], phone["code"]);
    let status = home.run(["whatsapp", "status", "--json"]);
    assert!(!format!("{status:?}").contains("passkey"), "{status:?}");
}

#[test]
fn a_working_pairing_is_given_up_only_by_a_flag_of_its_own() {
    let (home, mut fake) = stand();
    pair(&home, &mut fake);
    let before = tree(&home.root());
    let refused = home.run(["whatsapp", "--repair", "--yes", "--json"]);
    assert_eq!(refused.code, Some(2), "{refused:?}");
    assert!(format!("{refused:?}").contains("--relink"), "{refused:?}");
    assert_eq!(tree(&home.root()), before, "nothing was moved");

    demand(&mut fake, json!({}));
    let mut wizard = Wizard::start(&home, &["--repair", "--relink"]);
    let shown = wizard.wait_for("qr");
    fake.tell(json!({ "cmd": "scan", "payload": shown["payload"] }));
    assert_eq!(wizard.wait_for("error")["code"], "whatsapp_passkey_required");
    assert_eq!(wizard.exit_code(), Some(1));
    assert_eq!(home.run(["whatsapp", "status"]).code, Some(0), "the old session is back and good");
}
