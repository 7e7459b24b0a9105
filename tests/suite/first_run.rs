//! The first run of a person, on a real terminal: an empty machine, the wizard with the real npm, a code read off the screen,
//! the gateway, an answer. And Ctrl-C at every question.

use rustix::process::Signal;
use serde_json::json;

use crate::support::fake::FakeWhatsApp;
use crate::support::home::{TestHome, tree};
use crate::support::pairing::FRIEND;
use crate::support::screen::Terminal;
use crate::support::wait;

const MODE: &str = "Which WhatsApp number will the agent use?";
const NUMBERS: &str = "Numbers that can write to it";
const START: &str = "Start the gateway now?";

#[test]
fn from_an_empty_machine_to_the_first_answer() {
    let mut home = TestHome::empty();
    let mut fake = FakeWhatsApp::start();
    fake.serve(&mut home);
    let mut terminal = Terminal::start(&home, &["whatsapp"], 50, 100);
    terminal.wait_for(MODE);
    terminal.send("\r");
    terminal.wait_for(NUMBERS);
    terminal.send("+1 (555) 000-2222\r");
    terminal.wait_long_for("New code in");
    assert_eq!(home.dot_env(), None, "nothing is claimed yet");
    let payload = terminal.wait_for_code();
    assert!(payload.starts_with("https://wa.me/settings/linked_devices#"), "{payload}");
    fake.tell(json!({ "cmd": "scan", "payload": payload }));
    terminal.wait_for(START);
    let env = String::from_utf8(home.dot_env().expect("it is set up")).expect("text");
    assert!(env.contains("WHATSAPP_ENABLED=true") && env.contains(FRIEND), "{env}");

    terminal.send("y\r");
    let mut answered = None;
    if wait::until(wait::LIMIT, || (home.run(["platform", "status", "--json"]).code == Some(0)).then_some(()))
        .is_some()
    {
        fake.tell(json!({ "cmd": "message", "from": FRIEND, "text": "hello from the first run" }));
        answered = wait::until(wait::LIMIT, || {
            fake.received().iter().any(|(_, text)| text.contains("hello from the first run")).then_some(())
        });
    }
    assert!(answered.is_some(), "no answer came:\n{}", terminal.text());
    terminal.send("\u{3}");
    assert_eq!(terminal.exit_code(), 0, "{}", terminal.text());
}

#[test]
fn an_already_paired_machine_is_done_in_one_keypress() {
    let mut home = TestHome::with_bridge();
    let mut fake = FakeWhatsApp::start();
    fake.serve(&mut home);
    crate::support::pairing::pair(&home, &mut fake);
    let before = home.dot_env().expect("it is set up");
    let lost: String = String::from_utf8_lossy(&before)
        .lines()
        .filter(|line| !line.contains("ENABLED"))
        .fold(String::new(), |text, line| text + line + "\n");
    home.write(".env", &lost);
    let mut terminal = Terminal::start(&home, &["whatsapp"], 50, 100);
    terminal.wait_for("Keep this link?");
    terminal.send("\r");
    terminal.wait_for(START);
    terminal.send("n\r");
    assert_eq!(terminal.exit_code(), 0, "{}", terminal.text());
    assert!(String::from_utf8_lossy(&home.dot_env().expect("it is there")).contains("WHATSAPP_ENABLED=true"));
}

#[test]
fn ended_at_any_question_nothing_changes_and_the_terminal_is_restored() {
    const BEFORE: &str = "# mine\nOTHER=kept";
    for question in [MODE, NUMBERS, "New code in"] {
        for end in [End::CtrlC, End::Term, End::Kill] {
            let mut home = TestHome::with_bridge();
            let fake = FakeWhatsApp::start();
            fake.serve(&mut home);
            home.write(".env", BEFORE);
            let mut files = tree(&home.root());
            // The cached answer of Node to `--version` is not a setting.
            files.push("whatsapp/node.json".into());
            files.sort();
            let mut terminal = Terminal::start(&home, &["whatsapp"], 50, 100);
            terminal.wait_for(MODE);
            if question != MODE {
                terminal.send("\r");
                terminal.wait_for(NUMBERS);
            }
            if question == "New code in" {
                terminal.send("15550002222\r");
                terminal.wait_for(question);
            }
            match end {
                End::CtrlC => terminal.send("\u{3}"),
                End::Term => terminal.signal(Signal::TERM),
                End::Kill => terminal.signal(Signal::KILL),
            }
            let code = terminal.exit_code();
            if end != End::Kill {
                assert_eq!(code, 130, "{question} {end:?}:\n{}", terminal.text());
                // The last words may still be on their way to the screen.
                terminal.wait_for("No WhatsApp setting was changed");
                assert!(terminal.cursor_is_shown(), "{question} {end:?}: the cursor is back");
            }
            assert_eq!(home.dot_env().as_deref(), Some(BEFORE.as_bytes()), "{question} {end:?}");
            if question != "New code in" {
                assert_eq!(tree(&home.root()), files, "{question} {end:?}: no file is left");
            }
        }
    }
}

/// The ways in which a wizard is ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    CtrlC,
    Term,
    Kill,
}
