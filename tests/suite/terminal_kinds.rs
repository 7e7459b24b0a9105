//! Terminals that can do less, keys during other work, and the output of other commands at a terminal.

use std::os::unix::fs::{PermissionsExt, symlink};

use serde_json::json;

use crate::support::bridge;
use crate::support::fake::FakeWhatsApp;
use crate::support::home::TestHome;
use crate::support::house::QUICK;
use crate::support::pairing::FRIEND;
use crate::support::process::Gateway;
use crate::support::screen::Terminal;
use crate::support::stage::Stage;
use crate::support::telegram::TelegramService;
use crate::support::telegram::scene::home;
use crate::support::telegram::service::TOKEN;
use crate::support::wait;

const TOKEN_PROMPT: &str = "Paste the token (hidden):";
const WAITING: &str = "Waiting for your message";
const IDS: &str = "IDs that can write to it";
const START: &str = "Start the gateway now?";

/// Sets Telegram up in such a terminal, with one wrong answer to each question that can be wrong, and returns what was
/// written to the terminal.
fn set_up_telegram(variables: &[(&str, &str)]) -> String {
    let service = TelegramService::start();
    let mut home = home();
    home.write("gateway.toml", format!("{QUICK}{}", service.table()));
    home.write(".env", "");
    std::fs::set_permissions(home.root(), PermissionsExt::from_mode(0o700)).expect("it is ours");
    home.env.extend(variables.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())));
    let mut terminal = Terminal::start(&home, &["telegram"], 24, 80);
    terminal.wait_for(TOKEN_PROMPT);
    terminal.send("x\r");
    terminal.wait_for("doesn't look like a bot token");
    terminal.send(&format!("{TOKEN}\r"));
    terminal.wait_for(WAITING);
    terminal.send("\r");
    terminal.wait_for(IDS);
    terminal.send("ada\r");
    terminal.wait_for("is not a numeric ID");
    // Text that hermes does not edit is typed once more.
    terminal.send(if variables.contains(&("TERM", "dumb")) { "42\r" } else { "\u{15}42\r" });
    terminal.wait_for(START);
    terminal.send("n\r");
    assert_eq!(terminal.exit_code(), 0, "{}", terminal.text());
    let env = String::from_utf8(home.dot_env().expect("it is set up")).expect("text");
    assert!(env.contains("TELEGRAM_ALLOWED_USERS=42\n"), "{env}");
    let restored = wait::until(wait::LIMIT, || terminal.is_as_found().then_some(()));
    assert!(restored.is_some(), "the terminal is not as it was");
    let written = terminal.written();
    assert!(!written.contains("not-a-real-token"), "{written}");
    written
}

#[test]
fn a_dumb_terminal_gets_lines_and_no_escapes() {
    let written = set_up_telegram(&[("TERM", "dumb")]);
    assert!(!written.contains('\u{1b}'), "{written:?}");
}

#[test]
fn without_colours_nothing_is_coloured() {
    let has_colours = |written: &str| {
        written.split("\u{1b}[").skip(1).any(|sequence| {
            let end = sequence.find(|sign: char| sign.is_ascii_alphabetic());
            end.is_some_and(|end| sequence[end..].starts_with('m') && sequence[..end] != *"0" && end > 0)
        })
    };
    assert!(has_colours(&set_up_telegram(&[])), "the test sees colours where there are some");
    let written = set_up_telegram(&[("NO_COLOR", "1")]);
    assert!(!has_colours(&written), "{written:?}");
}

#[test]
fn a_locale_without_utf8_gets_ascii() {
    let written = set_up_telegram(&[("LANG", "C"), ("NO_COLOR", "1")]);
    assert!(written.is_ascii(), "{written:?}");
    assert!(written.contains("ok Telegram is ready."), "{written:?}");
}

#[test]
fn a_selection_in_a_dumb_terminal_is_a_number() {
    let mut home = TestHome::empty();
    home.env.push(("TERM".to_owned(), "dumb".to_owned()));
    let mut terminal = Terminal::start(&home, &["whatsapp"], 24, 80);
    terminal.wait_for("[1]:");
    terminal.send("3\r");
    terminal.wait_for("Type a number from 1 to 2.");
    terminal.send("2\r");
    terminal.wait_for("Others who can write");
    terminal.send("\u{3}");
    assert_eq!(terminal.exit_code(), 130, "{}", terminal.text());
    assert!(!terminal.written().contains('\u{1b}'), "{:?}", terminal.written());
}

/// Makes a Node whose npm waits until `gate` exists, and then installs the tests' own installation.
fn slow_npm(home: &mut TestHome) -> std::path::PathBuf {
    let (gate, begun) = (home.root().with_file_name("gate"), home.root().with_file_name("begun"));
    let dir = home.root().with_file_name("tools");
    std::fs::create_dir_all(&dir).expect("a folder");
    symlink(which::which("node").expect("Node is installed"), dir.join("node")).expect("a link");
    let script = format!(
        "#!/bin/sh\ncase \" $* \" in *' ci '*) ;; *) exit 0 ;; esac\n: > '{}'\n\
         while [ ! -e '{}' ]; do sleep 0.1; done\ncp -a '{}/node_modules' .\n",
        begun.display(),
        gate.display(),
        bridge::installed_dir().display()
    );
    std::fs::write(dir.join("npm"), script).expect("a file");
    std::fs::set_permissions(dir.join("npm"), PermissionsExt::from_mode(0o755)).expect("it is ours");
    home.env.push(("HERMES_NODE".to_owned(), dir.join("node").to_string_lossy().into_owned()));
    gate
}

#[test]
fn keys_during_the_install_garble_nothing_and_answer_nothing() {
    let mut home = TestHome::empty();
    let gate = slow_npm(&mut home);
    let mut fake = FakeWhatsApp::start();
    fake.serve(&mut home);
    let args = ["whatsapp", "--mode", "bot", "--allow", FRIEND];
    let mut terminal = Terminal::start(&home, &args, 50, 100);
    let keys = "qzx\r\ny\u{1b}[A\u{1b}[200~pasted\n\u{1b}[201~\u{7f}\u{15} \r";
    terminal.wait_for("3 of 4");
    terminal.send(keys);
    let begun = gate.with_file_name("begun");
    assert!(wait::until(wait::LIMIT, || begun.exists().then_some(())).is_some(), "{}", terminal.text());
    for _ in 0..20 {
        terminal.send(keys);
        let settled =
            wait::until(wait::LIMIT, || terminal.text().contains("Fetching packages").then_some(()));
        assert!(settled.is_some(), "{}", terminal.text());
        assert!(
            !terminal.text().contains("qzx") && !terminal.text().contains("pasted"),
            "{}",
            terminal.text()
        );
    }
    std::fs::write(&gate, "").expect("a file");
    // And on until the code is there.
    let payload = wait::until(wait::LIMIT, || {
        terminal.send(keys);
        terminal.scan()
    });
    let payload = payload.unwrap_or_else(|| panic!("no code on the screen:\n{}", terminal.text()));
    let bars = terminal.text().matches("Fetching packages").count();
    assert!(bars == 0 && !terminal.written().contains("qzx"), "{}", terminal.text());
    fake.tell(json!({ "cmd": "scan", "payload": payload }));
    terminal.wait_for(START);
    let answered = wait::until(std::time::Duration::from_millis(700), || {
        terminal.text().contains("Start the gateway now?  ").then_some(())
    });
    assert!(answered.is_none(), "it was answered by earlier keys:\n{}", terminal.text());
    terminal.send("n\r");
    assert_eq!(terminal.exit_code(), 0, "{}", terminal.text());
    assert!(wait::until(wait::LIMIT, || terminal.is_as_found().then_some(())).is_some());
}

#[test]
fn ctrl_c_and_suspend_work_during_the_install() {
    let mut home = TestHome::empty();
    let gate = slow_npm(&mut home);
    let script = format!("\"$HERMES\" whatsapp --mode bot --allow {FRIEND}; echo stopped; read line; fg");
    let mut terminal = Terminal::start_shell(&home, &script, 24, 80);
    let begun = gate.with_file_name("begun");
    assert!(wait::until(wait::LIMIT, || begun.exists().then_some(())).is_some(), "{}", terminal.text());
    terminal.send("\u{1a}");
    terminal.wait_for("stopped");
    assert!(terminal.is_as_found(), "{}", terminal.text());
    terminal.send("x\r");
    // The bar goes on below what the shell has shown.
    let goes_on = wait::until(wait::LIMIT, || {
        let (rows, _) = terminal.rows();
        let stopped = rows.iter().position(|row| row.contains("stopped"))?;
        rows.iter().skip(stopped).any(|row| row.contains("Fetching packages")).then_some(())
    });
    assert!(goes_on.is_some(), "{}", terminal.text());
    terminal.send("\u{3}");
    terminal.wait_for("No WhatsApp setting was changed");
    assert_eq!(terminal.exit_code(), 130, "{}", terminal.text());
    assert!(wait::until(wait::LIMIT, || terminal.is_as_found().then_some(())).is_some());
}

/// Makes a home with one scripted platform, whose service is this.
fn played_home(stage: &Stage) -> TestHome {
    let mut home = TestHome::empty();
    home.write("gateway.toml", QUICK);
    home.env.push(stage.variable());
    home
}

#[test]
fn at_a_terminal_the_log_is_sentences_and_programs_get_fields() {
    let stage = Stage::new(1);
    let home = played_home(&stage);
    for (args, is_for_a_person) in
        [(&["gateway", "run"][..], true), (&["gateway", "run", "--log-format", "text"], false)]
    {
        let mut terminal = Terminal::start(&home, args, 24, 80);
        let _player = stage.connect("scripted1");
        terminal.wait_for("is connected");
        let text = terminal.text();
        assert_eq!(text.contains(". Ctrl-C stops it"), is_for_a_person, "{text}");
        assert_eq!(!text.contains("INFO") && !text.contains("code="), is_for_a_person, "{text}");
        terminal.send("\u{3}");
        assert_eq!(terminal.exit_code(), 0, "{}", terminal.text());
    }
}

#[test]
fn a_second_gateway_says_at_once_what_it_waits_for() {
    let stage = Stage::new(1);
    let home = played_home(&stage);
    let mut first = Gateway::start(&home);
    let _player = stage.connect("scripted1");
    let mut terminal = Terminal::start(&home, &["gateway", "run"], 24, 100);
    terminal.wait_for("is running with this home folder");
    terminal.wait_for("`hermes gateway stop` stops it");
    terminal.wait_for("Waiting for the other gateway to stop …");
    terminal.send("\u{3}");
    assert_eq!(terminal.exit_code(), 130, "{}", terminal.text());
    assert_eq!(first.stop(), Some(0));
}

#[test]
fn json_at_a_terminal_asks_nothing_and_says_so() {
    let home = TestHome::empty();
    for args in [&["setup", "--json"][..], &["telegram", "--json"], &["whatsapp", "--json"]] {
        let mut terminal = Terminal::start(&home, args, 24, 100);
        assert_eq!(terminal.exit_code(), 2, "{}", terminal.text());
        terminal.wait_for("`--json` asks nothing");
        assert!(!terminal.text().contains("no terminal"), "{}", terminal.text());
    }
    let mut terminal = Terminal::start(&home, &["telegram", "--token-stdin", "--json"], 24, 100);
    assert_eq!(terminal.exit_code(), 2, "{}", terminal.text());
    terminal.wait_for("--token-stdin --json < FILE");
    assert!(!terminal.text().contains("Leave it out"), "{}", terminal.text());
}

#[test]
fn help_is_a_command_too() {
    let home = TestHome::empty();
    for (args, told) in [
        (&["help"][..], "Usage: hermes"),
        (&["help", "whatsapp"], "Usage: hermes whatsapp"),
        (&["help", "platform", "status"], "--watch"),
    ] {
        let answer = home.run(args);
        assert!(answer.code == Some(0) && answer.stdout.contains(told), "{answer:?}");
    }
}

#[test]
fn a_wait_for_a_message_to_be_sent_is_shown() {
    let stage = Stage::new(1);
    let home = played_home(&stage);
    let mut gateway = Gateway::start(&home);
    let player = stage.connect("scripted1");
    let mut terminal = Terminal::start(&home, &["send", "scripted1:7", "by hand", "--wait"], 24, 100);
    terminal.wait_for("to take the message, up to 120 s …");
    player.take_message("by hand");
    terminal.wait_for("Sent.");
    assert_eq!(terminal.exit_code(), 0, "{}", terminal.text());
    assert!(!terminal.text().contains("up to 120 s"), "{}", terminal.text());
    assert_eq!(gateway.stop(), Some(0));
}

#[test]
fn a_mistake_in_the_arguments_is_broken_between_words() {
    let home = TestHome::empty();
    // Of three lengths in a row at most one would end at a space by itself.
    for name in ["fax", "faxe", "faxes"] {
        let args = ["whatsapp", "--mode", name];
        let plain = home.run(args).stderr;
        let mut terminal = Terminal::start(&home, &args, 24, 40);
        assert_eq!(terminal.exit_code(), 2, "{}", terminal.text());
        let shown = terminal.text();
        assert!(shown.split_whitespace().eq(plain.split_whitespace()), "{shown}\n{plain}");
    }
}
