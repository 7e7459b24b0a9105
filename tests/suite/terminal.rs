//! Answers that are typed at a terminal of 80 columns and 24 rows: keys, pastes, wrong answers, suspend and resume.

use std::time::Duration;

use crate::support::home::TestHome;
use crate::support::house::QUICK;
use crate::support::screen::Terminal;
use crate::support::telegram::TelegramService;
use crate::support::telegram::scene::home;
use crate::support::telegram::service::TOKEN;
use crate::support::wait;

const MODE: &str = "Which WhatsApp number will the agent use?";
const NUMBERS: &str = "Numbers that can write to it:";
const IDS: &str = "IDs that can write to it:";
const WAITING: &str = "Waiting for your message";
const START: &str = "Start the gateway now?";
const CTRL_C: &str = "\u{3}";
const CTRL_Z: &str = "\u{1a}";

/// Returns a wizard at the question for phone numbers.
fn at_numbers(home: &TestHome) -> Terminal {
    let mut terminal = Terminal::start(home, &["whatsapp", "--mode", "bot"], 24, 80);
    terminal.wait_for(NUMBERS);
    terminal
}

/// Makes a home whose bot is at this service.
fn home_of(service: &TelegramService) -> TestHome {
    let home = home();
    home.write("gateway.toml", format!("{QUICK}{}", service.table()));
    home.write(".env", "");
    std::fs::set_permissions(home.root(), std::os::unix::fs::PermissionsExt::from_mode(0o700))
        .expect("it is ours");
    home
}

/// Returns a wizard at the question for ids.
fn at_ids(home: &TestHome) -> Terminal {
    let mut terminal = Terminal::start(home, &["telegram"], 24, 80);
    terminal.wait_for("Paste the token (hidden):");
    terminal.send(&format!("{TOKEN}\r"));
    terminal.wait_for(WAITING);
    terminal.send("\r");
    terminal.wait_for(IDS);
    terminal
}

/// Ends it, and checks that the terminal is a shell's again.
fn give_up(terminal: &mut Terminal) {
    terminal.send(CTRL_C);
    assert_eq!(terminal.exit_code(), 130, "{}", terminal.text());
    let restored = wait::until(wait::LIMIT, || terminal.is_as_found().then_some(()));
    assert!(restored.is_some(), "the terminal is not as it was:\n{}", terminal.text());
}

#[test]
fn every_editing_key_works_as_in_a_shell() {
    let home = TestHome::empty();
    let mut terminal = at_numbers(&home);
    for (keys, expected) in [
        ("\u{1}", "|one two-three"),
        ("\u{1}\u{5}", "one two-three|"),
        ("\u{1b}[H", "|one two-three"),
        ("\u{1b}[1~\u{1b}[4~", "one two-three|"),
        ("\u{1b}OH\u{1b}OF", "one two-three|"),
        ("\u{1b}[D\u{1b}[D\u{1b}[C", "one two-thre|e"),
        ("\u{2}\u{2}\u{6}", "one two-thre|e"),
        ("\u{1}\u{1b}[3~", "|ne two-three"),
        ("\u{1}\u{4}", "|ne two-three"),
        ("\u{7f}\u{8}", "one two-thr|"),
        ("\u{1b}b", "one two-|three"),
        ("\u{1b}[1;5D", "one two-|three"),
        ("\u{1}\u{1b}f", "one| two-three"),
        ("\u{15}", "|"),
        ("\u{1b}b\u{b}", "one two-|"),
        ("\u{17}", "one |"),
        ("\u{1b}\u{7f}", "one two-|"),
        ("\u{1}\u{1b}d", "| two-three"),
        ("\u{17}\u{1}\u{19}", "two-three|one "),
        ("漢字e\u{301}\u{2}\u{2}", "one two-three漢|字e\u{301}"),
        ("\u{1b}[A\t\u{1b}[15~", "one two-three|"),
    ] {
        terminal.send("\u{5}\u{15}");
        terminal.wait_for_line(&format!("  ? {NUMBERS} |"));
        terminal.send("one two-three");
        terminal.send(keys);
        terminal.wait_for_line(&format!("  ? {NUMBERS} {expected}"));
    }
    give_up(&mut terminal);
}

#[test]
fn ctrl_d_ends_an_empty_line_and_takes_a_character_of_another() {
    let home = TestHome::empty();
    let mut terminal = at_numbers(&home);
    terminal.send("12\u{1}\u{4}");
    terminal.wait_for_line(&format!("  ? {NUMBERS} |2"));
    terminal.send("\u{4}\u{4}");
    assert_eq!(terminal.exit_code(), 130, "{}", terminal.text());
    terminal.wait_for("No WhatsApp setting was changed");
    assert!(wait::until(wait::LIMIT, || terminal.is_as_found().then_some(())).is_some());
}

#[test]
fn a_long_answer_moves_under_its_window_and_is_shown_whole_at_the_end() {
    let service = TelegramService::start();
    let home = home_of(&service);
    let mut terminal = at_ids(&home);
    let ids: Vec<String> = (100_000_001..100_000_021).map(|id: u64| id.to_string()).collect();
    terminal.send(&ids.join(","));
    let scrolled = wait::until(wait::LIMIT, || {
        let (rows, (row, col)) = terminal.rows();
        (rows[row].contains(&ids[19]) && rows[row].starts_with("  ? ") && col < 80).then_some(())
    });
    assert!(scrolled.is_some(), "{}", terminal.text());
    terminal.send("\u{1}");
    let start = wait::until(wait::LIMIT, || {
        let (rows, (row, col)) = terminal.rows();
        (rows[row].contains(&ids[0]) && !rows[row].contains(&ids[19]) && col == IDS.len() + 5).then_some(())
    });
    assert!(start.is_some(), "{}\n{:?}", terminal.text(), terminal.rows().1);
    terminal.send("\r");
    terminal.wait_for(START);
    terminal.send("n\r");
    assert_eq!(terminal.exit_code(), 0, "{}", terminal.text());
    let env = String::from_utf8(home.dot_env().expect("it is set up")).expect("text");
    assert!(env.contains(&ids.join(",")), "{env}");
}

#[test]
fn a_pasted_list_is_one_answer() {
    // With the marks that most terminals put around a paste, and from one without them.
    for (pasted, enter) in [("\u{1b}[200~42\r\n43\n44\n\u{1b}[201~", "\r"), ("42\r43\r44\r", "")] {
        let service = TelegramService::start();
        let home = home_of(&service);
        let mut terminal = at_ids(&home);
        terminal.send(pasted);
        if !enter.is_empty() {
            terminal.wait_for_line(&format!("  ? {IDS} 42, 43, 44|"));
            terminal.send(enter);
        }
        terminal.wait_for(START);
        terminal.wait_for("42, 43, 44");
        terminal.send("n\r");
        assert_eq!(terminal.exit_code(), 0, "{}", terminal.text());
        let env = String::from_utf8(home.dot_env().expect("it is set up")).expect("text");
        assert!(env.contains("TELEGRAM_ALLOWED_USERS=42,43,44"), "{env}");
    }
}

#[test]
fn a_token_is_pasted_unseen_whatever_line_breaks_are_in_it() {
    let service = TelegramService::start();
    let home = home_of(&service);
    let mut terminal = Terminal::start(&home, &["telegram"], 24, 80);
    terminal.wait_for("Paste the token (hidden):");
    let (first, second) = TOKEN.split_at(12);
    terminal.send(&format!("\u{1b}[200~{first}\n{second}\n\u{1b}[201~"));
    terminal.wait_for("•••••");
    terminal.send("\r");
    terminal.wait_for(WAITING);
    assert!(!terminal.written().contains(second), "{}", terminal.text());
    give_up(&mut terminal);
}

/// Answers wrongly three times, and checks that the screen shows the last error only, and no broken word. With `kept` the
/// answer stays for correction.
fn answer_wrongly(terminal: &mut Terminal, prompt: &str, wrong: [(&str, &str); 3], is_kept: bool) {
    for (at, (answer, error)) in wrong.iter().enumerate() {
        terminal.send("\u{5}\u{15}");
        terminal.wait_for_line(&format!("  ? {prompt} |"));
        terminal.send(answer);
        terminal.send("\r");
        // A long one is broken at spaces: each of its words is whole.
        let words: Vec<&str> = error.split(' ').collect();
        let shown = wait::until(wait::LIMIT, || {
            let (rows, (row, _)) = terminal.rows();
            let below: Vec<&str> = rows.iter().skip(row + 1).flat_map(|row| row.split_whitespace()).collect();
            below.windows(words.len()).any(|window| window == words).then_some(below.len())
        });
        assert!(shown.is_some(), "`{error}` is not below `{prompt}`:\n{}", terminal.text());
        assert_eq!(terminal.text().matches('✗').count(), 1, "{}", terminal.text());
        for (_, earlier) in wrong[..at].iter().filter(|(_, earlier)| earlier != error) {
            assert!(!terminal.text().contains(earlier), "`{earlier}` is still there:\n{}", terminal.text());
        }
        let typed = if is_kept { *answer } else { "" };
        terminal.wait_for_line(&format!("  ? {prompt} {typed}|"));
    }
}

#[test]
fn of_three_wrong_answers_only_the_last_error_is_on_the_screen() {
    let home = TestHome::empty();
    let mut terminal = at_numbers(&home);
    let wrong = [
        ("anna, bert, chris", "`chris` is not a phone number: write it like +1 555 000 1111."),
        ("12", "`12` is not a phone number: it is too short for a number with its country code."),
        ("", "Enter at least one number."),
    ];
    answer_wrongly(&mut terminal, NUMBERS, wrong, true);
    give_up(&mut terminal);

    let service = TelegramService::start();
    let home = home_of(&service);
    let mut terminal = Terminal::start(&home, &["telegram"], 24, 80);
    terminal.wait_for("Paste the token (hidden):");
    let looks = "That doesn't look like a bot token (expected 123456789:AAE…). Copy the whole line.";
    let wrong = [("x", looks), ("", "Please paste the token (Ctrl-C to quit)."), ("7000001:short", looks)];
    answer_wrongly(&mut terminal, "Paste the token (hidden):", wrong, false);
    terminal.send(&format!("{TOKEN}\r"));
    terminal.wait_for(WAITING);
    terminal.send("\r");
    terminal.wait_for(IDS);
    let wrong = [
        (
            "@ada, bob",
            "`@ada` is not a numeric ID. Usernames are not accepted because they can be reassigned.",
        ),
        ("*, 42", "`*` means everyone. Enter `*` or IDs, not both."),
        ("0", "`0` is not the ID of a person."),
    ];
    answer_wrongly(&mut terminal, IDS, wrong, true);
    terminal.send("\u{7f}42\r");
    terminal.wait_for(START);
    assert!(!terminal.text().contains('✗'), "{}", terminal.text());
    give_up(&mut terminal);
}

#[test]
fn suspended_the_terminal_is_the_shells_and_resumed_the_answer_is_there_again() {
    let home = TestHome::empty();
    let script = "\"$HERMES\" whatsapp --mode bot; echo stopped; stty -a; read line; fg";
    let mut terminal = Terminal::start_shell(&home, script, 24, 80);
    terminal.wait_for(NUMBERS);
    terminal.send("1555");
    terminal.wait_for_line(&format!("  ? {NUMBERS} 1555|"));
    terminal.send(CTRL_Z);
    terminal.wait_for("stopped");
    terminal.wait_for(" icanon");
    let seen = terminal.text();
    assert!(!seen.contains("-echo ") && !seen.contains("-isig"), "{seen}");
    assert!(terminal.is_as_found(), "{seen}");
    terminal.send("x\r");
    terminal.wait_for_line(&format!("  ? {NUMBERS} 1555|"));
    terminal.send("0\u{1}+");
    terminal.wait_for_line(&format!("  ? {NUMBERS} +|15550"));
    give_up(&mut terminal);
}

#[test]
fn suspended_between_questions_what_is_waited_for_is_drawn_again() {
    let service = TelegramService::start();
    let home = home_of(&service);
    let script = "\"$HERMES\" telegram; clear; echo stopped; read line; fg";
    let mut terminal = Terminal::start_shell(&home, script, 24, 80);
    terminal.wait_for("Paste the token (hidden):");
    terminal.send(&format!("{TOKEN}\r"));
    terminal.wait_for(WAITING);
    terminal.send(CTRL_Z);
    terminal.wait_for("stopped");
    assert!(terminal.is_as_found(), "{}", terminal.text());
    assert!(!terminal.text().contains(WAITING), "{}", terminal.text());
    terminal.send("x\r");
    terminal.wait_for(WAITING);
    terminal.wait_for("https://t.me/hermes_test_bot");
    give_up(&mut terminal);
}

#[test]
fn a_window_that_changes_its_size_keeps_the_answer() {
    let home = TestHome::empty();
    let mut terminal = at_numbers(&home);
    terminal.send("15550002222, 15550003333");
    terminal.wait_for_line(&format!("  ? {NUMBERS} 15550002222, 15550003333|"));
    terminal.resize(24, 50);
    terminal.wait_for_line("    15550002222, 15550003333|");
    terminal.resize(24, 80);
    terminal.wait_for_line(&format!("  ? {NUMBERS} 15550002222, 15550003333|"));
    give_up(&mut terminal);
}

#[test]
fn what_was_typed_ahead_answers_no_question() {
    let home = TestHome::empty();
    let mut terminal = Terminal::start(&home, &["whatsapp"], 24, 80);
    // Before anything is asked, and again while the first question is answered.
    terminal.send("\r\r555\r");
    terminal.wait_for(MODE);
    assert!(!terminal.text().contains(NUMBERS), "{}", terminal.text());
    terminal.send("\r");
    terminal.wait_for_line(&format!("  ? {NUMBERS} |"));
    let none = wait::until(Duration::from_millis(500), || terminal.text().contains('✗').then_some(()));
    assert!(none.is_none(), "{}", terminal.text());
    give_up(&mut terminal);
}
