//! `hermes setup` on a terminal: which platforms it sets up, and how it ends when it is interrupted.

use std::os::unix::fs::PermissionsExt;

use crate::support::home::TestHome;
use crate::support::house::QUICK;
use crate::support::screen::Terminal;
use crate::support::telegram::TelegramService;
use crate::support::telegram::scene::home;
use crate::support::telegram::service::TOKEN;

#[test]
fn an_interrupted_setup_says_what_is_done_what_failed_and_what_was_not_reached() {
    let service = TelegramService::start();
    let set = || {
        let home = home();
        home.write("gateway.toml", format!("{QUICK}{}", service.table()));
        home.write(".env", format!("TELEGRAM_BOT_TOKEN={TOKEN}\nTELEGRAM_ALLOWED_USERS=42\n"));
        std::fs::set_permissions(home.root(), PermissionsExt::from_mode(0o700)).expect("it is ours");
        home
    };
    let start = |home: &TestHome, first: &str, second: &str| {
        Terminal::start(home, &["setup", "--platform", first, "--platform", second], 60, 100)
    };
    let stop = |mut terminal: Terminal, said: &str, unsaid: &[&str]| {
        terminal.wait_for("Which WhatsApp number");
        terminal.send("\u{3}");
        assert_eq!(terminal.exit_code(), 130, "{}", terminal.text());
        let text = terminal.text();
        assert!(text.contains(said) && text.contains("Run `hermes setup` to continue."), "{text}");
        assert!(text.contains("No WhatsApp setting was changed."), "{text}");
        assert!(unsaid.iter().all(|word| !text.contains(word)), "{text}");
    };
    let home = set();
    stop(start(&home, "whatsapp", "telegram"), "Not changed: Telegram.", &["Set up:", "Failed:"]);

    let home = set();
    let mut terminal = start(&home, "telegram", "whatsapp");
    terminal.wait_for("Keep this bot?");
    terminal.send("\r");
    stop(terminal, "Set up: Telegram.", &["Not changed:", "Failed:"]);

    let mut home = set();
    home.env.push(("TELEGRAM_BOT_TOKEN".to_owned(), "7000009:another-token-of-no-bot-at-all".to_owned()));
    stop(start(&home, "telegram", "whatsapp"), "Failed: Telegram.", &["Not changed:", "Set up:"]);
}

#[test]
fn enter_sets_up_the_highlighted_platform_unless_others_are_marked() {
    for (keys, title) in [("\r", "Connect WhatsApp"), ("\u{1b}[B \u{1b}[A\r", "Connect Telegram")] {
        let home = TestHome::empty();
        let mut terminal = Terminal::start(&home, &["setup"], 60, 100);
        terminal.wait_for("❯ [ ] WhatsApp");
        terminal.send(keys);
        terminal.wait_for(title);
        terminal.send("\u{3}");
        assert_eq!(terminal.exit_code(), 130, "{}", terminal.text());
    }
}

/// The wizard takes the keyboard from one reader to the next there.
#[test]
fn ctrl_c_ends_the_wizard_at_any_moment_around_a_question() {
    for micros in (0..40).map(|step| step * 250) {
        let home = TestHome::empty();
        let mut terminal = Terminal::start(&home, &["setup"], 60, 100);
        terminal.wait_for("❯ [ ] WhatsApp");
        terminal.send("\r");
        terminal.wait_for("Connect WhatsApp");
        std::thread::sleep(std::time::Duration::from_micros(micros));
        terminal.send("\u{3}");
        assert_eq!(terminal.exit_code(), 130, "after {micros} µs: {}", terminal.text());
    }
}
