//! Questions for yes or no, and for one of several answers, at a terminal: keys, wrong keys, suspend and resume, small windows.

use std::os::unix::fs::PermissionsExt;

use crate::support::home::TestHome;
use crate::support::house::QUICK;
use crate::support::screen::Terminal;
use crate::support::telegram::TelegramService;
use crate::support::telegram::bot::Fault;
use crate::support::telegram::scene::home;
use crate::support::telegram::service::TOKEN;
use crate::support::wait;

const KEEP: &str = "Keep this bot?";
const START: &str = "  ? Start the gateway now? [Y/n]";
const CTRL_C: &str = "\u{3}";
const CTRL_Z: &str = "\u{1a}";
const DOWN: &str = "\u{1b}[B";

/// Makes a home with a bot that is set up, and its service.
fn bot() -> (TelegramService, TestHome) {
    let service = TelegramService::start();
    let home = home();
    home.write("gateway.toml", format!("{QUICK}{}", service.table()));
    home.write(".env", format!("TELEGRAM_BOT_TOKEN={TOKEN}\nTELEGRAM_ALLOWED_USERS=42\n"));
    std::fs::set_permissions(home.root(), PermissionsExt::from_mode(0o700)).expect("it is ours");
    (service, home)
}

/// Waits until a row of the screen is this one.
fn wait_for_row(terminal: &Terminal, row: &str) {
    let is_there = || terminal.rows().0.iter().any(|there| there.trim_end() == row).then_some(());
    assert!(wait::until(wait::LIMIT, is_there).is_some(), "no row is `{row}`:\n{}", terminal.text());
}

/// Waits for the end, and checks that the terminal is a shell's again.
fn ends(terminal: &mut Terminal, code: u32) {
    assert_eq!(terminal.exit_code(), code, "{}", terminal.text());
    assert!(terminal.is_as_found(), "the terminal is not as it was:\n{}", terminal.text());
}

#[test]
fn yes_or_no_is_corrected_suspended_and_taken_with_enter() {
    let (_service, home) = bot();
    let script = "\"$HERMES\" telegram; echo stopped; read line; fg; echo over";
    let mut terminal = Terminal::start_shell(&home, script, 24, 80);
    terminal.wait_for(KEEP);
    terminal.send("\r");
    terminal.wait_for_line(&format!("{START} |"));
    terminal.send("nay");
    terminal.wait_for_line(&format!("{START} nay|"));
    wait_for_row(&terminal, "  ✗ Type y or n, then press Enter.");
    terminal.send("\r");
    terminal.wait_for_line(&format!("{START} |"));
    wait_for_row(&terminal, "  ✗ Type y or n, then press Enter.");
    terminal.send("y\u{7f}n");
    terminal.wait_for_line(&format!("{START} n|"));
    assert!(!terminal.text().contains("Type y or n"), "{}", terminal.text());
    terminal.send(CTRL_Z);
    terminal.wait_for("stopped");
    assert!(terminal.is_as_found(), "{}", terminal.text());
    terminal.send("x\r");
    terminal.wait_for_line(&format!("{START} n|"));
    terminal.send("\r");
    terminal.wait_for("✓ Start the gateway now?  no");
    terminal.wait_for("over");
    ends(&mut terminal, 0);
}

#[test]
fn ctrl_c_at_a_selection_and_at_yes_or_no_restores_the_terminal() {
    for keys in ["", "\r"] {
        let (_service, home) = bot();
        let mut terminal = Terminal::start(&home, &["telegram"], 24, 80);
        terminal.wait_for(KEEP);
        if !keys.is_empty() {
            terminal.send(keys);
            terminal.wait_for(START.trim_start());
        }
        terminal.send(CTRL_C);
        ends(&mut terminal, 130);
    }
}

#[test]
fn a_selection_keeps_its_place_while_it_is_suspended_and_explains_other_keys() {
    let (_service, home) = bot();
    let script = "\"$HERMES\" telegram; clear; echo stopped; read line; fg";
    let mut terminal = Terminal::start_shell(&home, script, 24, 80);
    terminal.wait_for(KEEP);
    assert!(!terminal.cursor_is_shown(), "{}", terminal.text());
    terminal.send(DOWN);
    wait_for_row(&terminal, "    ❯ Yes, but change who can write to it");
    terminal.send("2");
    wait_for_row(&terminal, "  ✗ Choose with the arrow keys, then press Enter.");
    terminal.send(CTRL_Z);
    terminal.wait_for("stopped");
    assert!(terminal.is_as_found(), "{}", terminal.text());
    assert!(!terminal.text().contains(KEEP), "{}", terminal.text());
    terminal.send("x\r");
    wait_for_row(&terminal, "    ❯ Yes, but change who can write to it");
    terminal.send(&format!("{DOWN}\r"));
    terminal.wait_for("✓ Keep this bot?  No, use another bot");
    terminal.wait_for("Paste the token");
    terminal.send(CTRL_C);
    ends(&mut terminal, 130);
}

#[test]
fn in_a_narrow_window_questions_and_answers_are_broken_at_words() {
    let (_service, home) = bot();
    let mut terminal = Terminal::start(&home, &["telegram"], 24, 80);
    terminal.wait_for(KEEP);
    terminal.resize(24, 30);
    wait_for_row(&terminal, "      Yes, but change who can");
    wait_for_row(&terminal, "      write to it");
    terminal.resize(24, 80);
    wait_for_row(&terminal, "      Yes, but change who can write to it");
    assert_eq!(terminal.text().matches(KEEP).count(), 1, "{}", terminal.text());
    terminal.send("\r");
    terminal.wait_for(START.trim_start());
    terminal.resize(24, 28);
    wait_for_row(&terminal, "  ? Start the gateway now?");
    terminal.wait_for_line("    [Y/n] |");
    terminal.send("n\r");
    ends(&mut terminal, 0);
}

#[test]
fn suspended_while_the_service_is_asked_the_wait_is_shown_again() {
    let (service, home) = bot();
    service.stand("getMe", Some(Fault::Hang));
    let script = "\"$HERMES\" telegram; clear; echo stopped; read line; fg";
    let mut terminal = Terminal::start_shell(&home, script, 24, 80);
    terminal.wait_for("Checking the token");
    terminal.send(CTRL_Z);
    terminal.wait_for("stopped");
    assert!(!terminal.text().contains("Checking"), "{}", terminal.text());
    terminal.send("x\r");
    terminal.wait_for("Checking the token");
    terminal.send(CTRL_C);
    ends(&mut terminal, 130);
    assert!(terminal.text().contains("stopped"), "what a shell has shown stays:\n{}", terminal.text());
}

#[test]
fn a_question_outside_of_a_wizard_says_what_its_interrupt_leaves() {
    let home = TestHome::empty();
    let mut terminal = Terminal::start(&home, &["setup"], 24, 80);
    terminal.wait_for("Which platforms?");
    terminal.send(CTRL_C);
    ends(&mut terminal, 130);
    terminal.wait_for("Stopped. Nothing was changed.");
}

#[test]
fn sentences_of_other_commands_are_broken_at_words_at_a_terminal_and_whole_elsewhere() {
    let (_service, home) = bot();
    let mut terminal = Terminal::start(&home, &["telegram", "enable"], 24, 50);
    terminal.wait_for("`hermes gateway run`.");
    ends(&mut terminal, 0);
    let rows = terminal.rows().0;
    assert!(rows.iter().any(|row| row.trim_end().ends_with("start it with")), "{rows:?}");
    assert!(rows.iter().any(|row| row.starts_with("`hermes gateway run`.")), "{rows:?}");
    assert_eq!(home.run(["telegram", "enable"]).stdout.lines().count(), 1);
}

#[test]
fn a_dumb_terminal_explains_a_wrong_answer_to_yes_or_no() {
    let (_service, mut home) = bot();
    home.env.push(("TERM".to_owned(), "dumb".to_owned()));
    let mut terminal = Terminal::start(&home, &["telegram"], 24, 80);
    terminal.wait_for("[1]:");
    terminal.send("\r");
    terminal.wait_for("Start the gateway now? [Y/n]:");
    terminal.send("x\r");
    terminal.wait_for("Type y or n.");
    terminal.send("no\r");
    ends(&mut terminal, 0);
    assert!(!terminal.written().contains('\u{1b}'), "{:?}", terminal.written());
}

#[test]
fn a_dumb_terminal_asks_again_after_it_was_suspended() {
    let (_service, mut home) = bot();
    home.env.push(("TERM".to_owned(), "dumb".to_owned()));
    let script = "\"$HERMES\" telegram; echo stopped; read line; fg; echo over";
    let mut terminal = Terminal::start_shell(&home, script, 24, 80);
    terminal.wait_for("[1]:");
    terminal.send("\r");
    terminal.wait_for("Start the gateway now? [Y/n]:");
    terminal.send(CTRL_Z);
    terminal.wait_for("stopped");
    terminal.send("x\r");
    let asked = || terminal.written().rfind("Start the gateway now?") > terminal.written().rfind("stopped");
    assert!(wait::until(wait::LIMIT, || asked().then_some(())).is_some(), "{}", terminal.text());
    terminal.send("no\r");
    terminal.wait_for("over");
    ends(&mut terminal, 0);
}

#[test]
fn a_token_of_the_environment_is_named_before_anything_is_asked_and_not_offered_to_be_replaced() {
    let (_service, mut home) = bot();
    let before = "TELEGRAM_BOT_TOKEN=7000009:an-old-token-of-the-file\nTELEGRAM_ALLOWED_USERS=42\n";
    home.write(".env", before);
    home.env.push(("TELEGRAM_BOT_TOKEN".to_owned(), TOKEN.to_owned()));
    let mut terminal = Terminal::start(&home, &["telegram"], 40, 80);
    terminal.wait_for(KEEP);
    let text = terminal.text();
    let flat = text.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(flat.contains("TELEGRAM_BOT_TOKEN is set in the environment, which goes before .env"), "{text}");
    assert!(flat.contains("`unset TELEGRAM_BOT_TOKEN`"), "{text}");
    assert!(!text.contains("use another bot") && !text.contains("not-a-real-token"), "{text}");
    terminal.send(CTRL_C);
    ends(&mut terminal, 130);
    assert_eq!(home.dot_env().expect("it is there"), before.as_bytes());

    // A refused token is not asked for again: the new one would have no effect.
    home.env.retain(|(name, _)| name != "TELEGRAM_BOT_TOKEN");
    home.env.push(("TELEGRAM_BOT_TOKEN".to_owned(), "7000009:another-token-of-no-bot-at-all".to_owned()));
    let mut terminal = Terminal::start(&home, &["telegram"], 40, 80);
    terminal.wait_for("No Telegram setting was changed.");
    ends(&mut terminal, 1);
    let text = terminal.text();
    assert!(text.contains("rejected this token") && !text.contains("@BotFather"), "{text}");
    assert!(text.contains("comes from the environment"), "{text}");
}
