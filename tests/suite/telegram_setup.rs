//! `hermes telegram` from outside: on a real terminal, and without one, over our own Bot API.

use std::io::Write;
use std::process::{Child, Stdio};

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::support::home::{Answer, TestHome};
use crate::support::house::QUICK;
use crate::support::process::{Gateway, children};
use crate::support::screen::Terminal;
use crate::support::telegram::scene::home;
use crate::support::telegram::service::TOKEN;
use crate::support::telegram::{Fault, TelegramService};
use crate::support::wait;

const OWNER: i64 = 4_200_001;
const BEFORE: &str = "# mine\r\nOTHER='kept'\r\n";

const TOKEN_PROMPT: &str = "Paste the token";
const WAITING: &str = "Waiting for your message";
const IS_YOU: &str = "Is that you?";
const TELL: &str = "Send alerts to this chat?";
const START: &str = "Start the gateway now?";

struct Scene {
    service: TelegramService,
    home: TestHome,
}

impl Scene {
    fn set() -> Self {
        let service = TelegramService::start();
        let home = home();
        home.write("gateway.toml", format!("{QUICK}{}", service.table()));
        home.write(".env", BEFORE);
        std::fs::set_permissions(home.root(), std::os::unix::fs::PermissionsExt::from_mode(0o700))
            .expect("it is ours");
        Self { service, home }
    }

    fn env(&self) -> String {
        String::from_utf8(self.home.dot_env().expect("it is there")).expect("text")
    }

    fn terminal(&self, args: &[&str]) -> Terminal {
        let args: Vec<&str> = ["telegram"].iter().chain(args).copied().collect();
        Terminal::start(&self.home, &args, 60, 100)
    }

    /// Returns a terminal at this question, which is not answered yet.
    fn terminal_at(&self, question: &str) -> Terminal {
        let mut terminal = self.terminal(&[]);
        terminal.wait_for(TOKEN_PROMPT);
        if question == TOKEN_PROMPT {
            return terminal;
        }
        terminal.send(&format!("{TOKEN}\r"));
        terminal.wait_for(WAITING);
        if question == WAITING {
            return terminal;
        }
        self.service.write(OWNER, OWNER, "hello from the owner");
        for at in [IS_YOU, TELL] {
            terminal.wait_for(at);
            if question == at {
                return terminal;
            }
            terminal.send("y\r");
        }
        terminal.wait_for(START);
        terminal
    }

    /// Starts it without a terminal.
    fn spawn(&self, args: &[&str], stdin: &str) -> Child {
        let args: Vec<&str> = ["telegram"].iter().chain(args).copied().collect();
        let mut command = self.home.command(args);
        let piped = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = piped.spawn().expect("hermes starts");
        let mut input = child.stdin.take().expect("it is piped");
        // The wizard may have read enough, and be gone.
        drop(input.write_all(stdin.as_bytes()));
        child
    }

    fn run(&self, args: &[&str], stdin: &str) -> Answer {
        let answer: Answer = self.spawn(args, stdin).wait_with_output().expect("it ends").into();
        assert!(!format!("{answer:?}").contains("not-a-real-token"), "the token is told: {answer:?}");
        answer
    }
}

fn events(answer: &Answer) -> Vec<Value> {
    answer.stdout.lines().map(|line| serde_json::from_str(line).expect("one event a line")).collect()
}

fn names(answer: &Answer) -> Vec<String> {
    events(answer).iter().map(|event| event["event"].as_str().unwrap_or_default().to_owned()).collect()
}

#[test]
fn from_a_token_to_the_first_answer() {
    let scene = Scene::set();
    let mut terminal = scene.terminal_at(START);
    let env = scene.env();
    assert_eq!(
        env,
        format!(
            "{BEFORE}TELEGRAM_BOT_TOKEN={TOKEN}\r\nTELEGRAM_ALLOWED_USERS={OWNER}\r\n\
             TELEGRAM_HOME_CHANNEL={OWNER}\r\n"
        )
    );
    let seen = terminal.text();
    assert!(
        seen.contains("@hermes_test_bot (Hermes)") && seen.contains("https://t.me/hermes_test_bot"),
        "{seen}"
    );
    assert!(!seen.contains("not-a-real-token"), "the token is on the screen:\n{seen}");
    assert_eq!(scene.service.waiting(), 1, "the first message is not taken away");
    terminal.send("y\r");
    scene.service.wait_sent(OWNER, "hello from the owner");
    let shown = terminal.text();
    assert!(!shown.contains("not-a-real-token"), "{shown}");
    terminal.send("\u{3}");
    assert_eq!(terminal.exit_code(), 0, "{}", terminal.text());
    assert_eq!(scene.service.dropped(), 0);
}

#[test]
fn ended_at_any_question_nothing_changes_and_the_terminal_is_restored() {
    for question in [TOKEN_PROMPT, WAITING, IS_YOU, TELL] {
        for signal in [None, Some(Signal::TERM)] {
            let scene = Scene::set();
            let mut terminal = scene.terminal_at(question);
            match signal {
                None => terminal.send("\u{3}"),
                Some(signal) => terminal.signal(signal),
            }
            assert_eq!(terminal.exit_code(), 130, "{question}:\n{}", terminal.text());
            // The last words may still be on their way to the screen.
            terminal.wait_for("No Telegram setting was changed");
            let seen = terminal.text();
            assert!(!seen.contains("not-a-real-token"), "{question}:\n{seen}");
            let restored = wait::until(wait::LIMIT, || terminal.is_as_found().then_some(()));
            assert!(restored.is_some(), "{question}: the terminal is not as it was");
            assert_eq!(scene.env(), BEFORE, "{question}");
            assert_eq!(scene.service.waiting(), usize::from(question == IS_YOU || question == TELL));
        }
    }
}

#[test]
fn ended_at_any_other_question_nothing_changes_either() {
    const KEEP: &str = "Keep this bot?";
    const ASKING: &str = "Checking the token with Telegram";
    const TAKE: &str = "Receive them here from now on?";
    const IDS: &str = "IDs that can write to it";
    const AGAIN: &str = "Wait again?";
    const ELSEWHERE: &str = "https://elsewhere.example/secret-path";
    for question in [KEEP, ASKING, TAKE, IDS, AGAIN] {
        let scene = Scene::set();
        let mut before = BEFORE.to_owned();
        let args: &[&str] = if question == AGAIN { &["--timeout", "1s"] } else { &[] };
        match question {
            KEEP => {
                before += &format!("TELEGRAM_BOT_TOKEN={TOKEN}\r\nTELEGRAM_ALLOWED_USERS=42\r\n");
                scene.home.write(".env", &before);
            }
            ASKING => scene.service.stand("getMe", Some(Fault::Hang)),
            TAKE => scene.service.set_webhook(ELSEWHERE),
            _ => {}
        }
        let mut terminal = scene.terminal(args);
        if question != KEEP {
            terminal.wait_for(TOKEN_PROMPT);
            terminal.send(&format!("{TOKEN}\r"));
        }
        if question == IDS {
            terminal.wait_for(WAITING);
            terminal.send("\r");
        }
        terminal.wait_for(question);
        terminal.send("\u{3}");
        assert_eq!(terminal.exit_code(), 130, "{question}:\n{}", terminal.text());
        terminal.wait_for("No Telegram setting was changed");
        let restored = wait::until(wait::LIMIT, || terminal.is_as_found().then_some(()));
        assert!(restored.is_some(), "{question}: the terminal is not as it was");
        assert_eq!(scene.env(), before, "{question}");
        assert_eq!(scene.service.webhook(), if question == TAKE { ELSEWHERE } else { "" });
    }
}

#[test]
fn a_webhook_that_was_removed_before_the_end_is_not_denied() {
    let scene = Scene::set();
    scene.service.set_webhook("https://elsewhere.example/secret-path");
    let mut terminal = scene.terminal(&[]);
    terminal.wait_for(TOKEN_PROMPT);
    terminal.send(&format!("{TOKEN}\r"));
    terminal.wait_for("Receive them here from now on?");
    terminal.send("y\r");
    terminal.wait_for(WAITING);
    terminal.send("\u{3}");
    assert_eq!(terminal.exit_code(), 130, "{}", terminal.text());
    terminal.wait_for("No Telegram setting was changed, but the webhook is removed");
    let seen = terminal.text();
    assert!(!seen.contains("No Telegram setting was changed.") && !seen.contains("secret-path"), "{seen}");
    assert_eq!((scene.env().as_str(), scene.service.webhook().as_str()), (BEFORE, ""));
}

#[test]
fn the_webhook_of_our_own_gateway_stays() {
    const OWN: &str = "https://own.example/hook";
    let scene = Scene::set();
    let webhook = format!("[platforms.telegram.webhook]\nurl = \"{OWN}\"\n");
    scene.home.write("gateway.toml", format!("{QUICK}{}{webhook}", scene.service.table()));
    scene.service.set_webhook(OWN);
    let answer = scene.run(&["--token-stdin", "--yes", "--json"], &format!("{TOKEN}\n"));
    assert_eq!(
        (answer.code, &events(&answer)[2]["code"]),
        (Some(1), &json!("telegram_in_use")),
        "{answer:?}"
    );
    assert_eq!((scene.env().as_str(), scene.service.webhook().as_str()), (BEFORE, OWN));
    let mut terminal = scene.terminal(&[]);
    terminal.wait_for(TOKEN_PROMPT);
    terminal.send(&format!("{TOKEN}\r"));
    terminal.wait_for("Telegram brings this bot's messages to the gateway");
    terminal.wait_for("IDs that can write to it");
    assert!(!terminal.text().contains("Another program"), "{}", terminal.text());
    terminal.send("42\r");
    terminal.wait_for(START);
    terminal.send("n\r");
    assert_eq!(terminal.exit_code(), 0, "{}", terminal.text());
    assert!(scene.env().contains("TELEGRAM_ALLOWED_USERS=42\r\n"), "{}", scene.env());
    assert_eq!(scene.service.webhook(), OWN);
}

#[test]
fn the_first_line_of_standard_input_is_the_token_whatever_stands_around_it() {
    for given in [
        format!("{TOKEN}\r\n"),
        format!("  {TOKEN} \t\n"),
        format!("\u{feff}{TOKEN}"),
        format!("{TOKEN}\nand more\n{}", "x".repeat(10_000)),
    ] {
        let scene = Scene::set();
        let answer = scene.run(&["--token-stdin", "--allow", "42"], &given);
        assert_eq!(answer.code, Some(0), "{answer:?}");
        assert!(scene.env().contains(&format!("TELEGRAM_BOT_TOKEN={TOKEN}\r\n")), "{}", scene.env());
    }
    let scene = Scene::set();
    let refused = |given: &str, told: &str| {
        let answer = scene.run(&["--token-stdin", "--allow", "42"], given);
        assert_eq!(answer.code, Some(2), "{answer:?}");
        assert!(answer.stderr.contains(told) && !answer.stderr.contains("typed"), "{answer:?}");
        assert!(answer.stderr.len() < 1000, "nothing of it is repeated");
    };
    for empty in ["", "\n", " \r\n"] {
        refused(empty, "tandard input is empty");
        refused(empty, "hermes telegram --token-stdin < FILE");
    }
    refused(&"7000001:x".repeat(100_000), "not contain a bot token");
    assert_eq!(scene.env(), BEFORE);
}

#[test]
fn a_wrong_token_is_asked_for_three_times_and_the_wait_can_be_skipped() {
    let scene = Scene::set();
    let mut terminal = scene.terminal(&[]);
    terminal.wait_for(TOKEN_PROMPT);
    terminal.send("nonsense\r");
    terminal.wait_for("doesn't look like a bot token");
    for tries in 1..=2 {
        terminal.send("7000001:not-a-real-token-either\r");
        let told = wait::until(wait::LIMIT, || {
            (terminal.text().matches("Telegram rejected this token").count() == tries).then_some(())
        });
        assert!(told.is_some(), "{}", terminal.text());
        let asked = wait::until(wait::LIMIT, || {
            terminal.text().trim_end().ends_with("Paste the token (hidden):").then_some(())
        });
        assert!(asked.is_some(), "{}", terminal.text());
    }
    terminal.send(&format!("{TOKEN}\r"));
    terminal.wait_for(WAITING);
    terminal.send("\r");
    terminal.wait_for("IDs that can write to it");
    terminal.send("42, 43\r");
    terminal.wait_for(START);
    terminal.send("n\r");
    assert_eq!(terminal.exit_code(), 0, "{}", terminal.text());
    assert_eq!(
        scene.env(),
        format!("{BEFORE}TELEGRAM_BOT_TOKEN={TOKEN}\r\nTELEGRAM_ALLOWED_USERS=42,43\r\n")
    );
    assert!(!terminal.text().contains("not-a-real-token"), "{}", terminal.text());
}

#[test]
fn without_a_terminal_flags_say_everything() {
    let scene = Scene::set();
    let answer = scene.run(&["--token-stdin", "--allow", "42", "--json"], &format!("{TOKEN}\n"));
    assert_eq!(answer.code, Some(0), "{answer:?}");
    assert_eq!(names(&answer), ["started", "checked", "enabled"]);
    assert_eq!(events(&answer)[2], json!({ "event": "enabled", "username": "hermes_test_bot" }));
    let written = format!("{BEFORE}TELEGRAM_BOT_TOKEN={TOKEN}\r\nTELEGRAM_ALLOWED_USERS=42\r\n");
    assert_eq!(scene.env(), written);
    assert!(scene.service.asked("getUpdates").is_empty(), "nobody was to be waited for");
    // Once more, without anything: it stays as it is.
    let answer = scene.run(&[], "");
    assert_eq!(answer.code, Some(0), "{answer:?}");
    assert_eq!(scene.env(), written);
    let answer = scene.run(&["--home-channel", "-100", "--allow-everyone", "--yes", "--json"], "");
    assert_eq!(answer.code, Some(0), "{answer:?}");
    let env = scene.env();
    assert!(env.contains("ALLOWED_USERS=*\r\n") && env.contains("ALLOW_ALL_USERS=true"), "{env}");
    assert!(env.contains("TELEGRAM_HOME_CHANNEL=-100\r\n"), "{env}");
    // A channel's id, and addresses as hermes-agent has them.
    let table = scene.service.table();
    let table = table.replace(&scene.service.base(), &format!("{}/bot", scene.service.base()));
    scene.home.write("gateway.toml", format!("{QUICK}{}", table.replace("/bot/file", "/file/bot")));
    let answer = scene.run(&["--allow=42,-100500"], "");
    assert_eq!(answer.code, Some(0), "{answer:?}");
    assert!(answer.stderr.contains("TELEGRAM_ALLOWED_CHATS besides"), "{answer:?}");
    let answer = scene.home.run(["telegram", "status", "--json"]);
    assert_eq!(answer.code, Some(0), "{answer:?}");
    assert!(answer.stdout.contains(r#""token":"set""#) && !answer.stdout.contains("7000001"), "{answer:?}");
}

#[test]
fn what_is_wrong_is_told_with_its_remedy_and_nothing_is_written() {
    let scene = Scene::set();
    let token = format!("{TOKEN}\n");
    let answer = scene.run(&[], "");
    assert_eq!(answer.code, Some(2), "{answer:?}");
    for flag in ["--token-stdin", "--allow", "--no-wait", "--yes"] {
        assert!(answer.stderr.contains(flag), "{flag}: {answer:?}");
    }
    let answer = scene.run(&["--token-stdin", "--allow", "@ada"], &token);
    assert_eq!(answer.code, Some(2), "{answer:?}");
    let answer = scene.run(&["--token-stdin", "--no-wait", "--json"], "nonsense\n");
    assert_eq!((answer.code, &events(&answer)[1]["code"]), (Some(2), &json!("telegram_bad_token")));
    let wrong = "7000001:not-a-real-token-either\n";
    let answer = scene.run(&["--token-stdin", "--no-wait", "--json"], wrong);
    assert_eq!((answer.code, &events(&answer)[1]["code"]), (Some(1), &json!("telegram_bad_token")));
    assert!(events(&answer)[1]["fix"].as_str().is_some_and(|fix| fix.contains("@BotFather")));
    scene.service.stand("getMe", Some(Fault::refuse(500, "Internal Server Error")));
    let answer = scene.run(&["--token-stdin", "--no-wait", "--json"], &token);
    assert_eq!((answer.code, &events(&answer)[1]["code"]), (Some(1), &json!("telegram_refused")));
    scene.service.close();
    let answer = scene.run(&["--token-stdin", "--no-wait"], &token);
    assert_eq!(answer.code, Some(1), "{answer:?}");
    assert!(answer.stderr.contains("Check the network"), "{answer:?}");
    let answer = scene.run(&["--token-stdin", "--no-wait", "--json"], &token);
    assert_eq!(events(&answer)[1]["code"], "telegram_network_error", "{answer:?}");
    assert_eq!(scene.env(), BEFORE);
}

#[test]
fn unattended_the_first_who_writes_is_the_owner_and_a_webhook_goes_without_loss() {
    let scene = Scene::set();
    scene.service.set_webhook("https://elsewhere.example/secret-path");
    scene.service.write(666, 666, "somebody was here long ago");
    let child = scene.spawn(&["--token-stdin", "--yes", "--json"], &format!("{TOKEN}\n"));
    // The second request is the one after the old updates have been seen.
    let waits = wait::until(wait::LIMIT, || (scene.service.asked("getUpdates").len() >= 2).then_some(()));
    assert!(waits.is_some(), "it does not wait");
    assert_eq!(scene.env(), BEFORE);
    // Others see its arguments and environment; it has started no child that could show more.
    let pid = child.id();
    for file in ["cmdline", "environ"] {
        // The environment is closed to all but root.
        let Ok(seen) = std::fs::read(format!("/proc/{pid}/{file}")) else { continue };
        let seen = String::from_utf8_lossy(&seen);
        assert!(seen.contains("HERMES_HOME") || seen.contains("--token-stdin"), "{seen}");
        assert!(!seen.contains("not-a-real-token"), "{file}: {seen}");
    }
    assert!(children(pid).is_empty(), "{:?}", children(pid));
    scene.service.write(OWNER, OWNER, "it is me");
    let answer: Answer = child.wait_with_output().expect("it ends").into();
    assert_eq!(answer.code, Some(0), "{answer:?}");
    assert_eq!(names(&answer), ["started", "checked", "waiting", "owner", "enabled"]);
    assert_eq!(events(&answer)[3], json!({ "event": "owner", "id": OWNER, "name": "Test" }));
    assert_eq!(scene.service.webhook(), "");
    assert_eq!((scene.service.waiting(), scene.service.dropped()), (2, 0));
    assert!(scene.service.asked("getUpdates").iter().all(|asked| asked.parameters["offset"].is_null()));
    let env = scene.env();
    assert!(
        env.contains(&format!("TELEGRAM_ALLOWED_USERS={OWNER}\r\nTELEGRAM_HOME_CHANNEL={OWNER}\r\n")),
        "{env}"
    );
}

#[test]
fn nobody_writes_in_time() {
    let scene = Scene::set();
    let answer = scene.run(&["--token-stdin", "--yes", "--json", "--timeout", "1s"], &format!("{TOKEN}\n"));
    assert_eq!(answer.code, Some(1), "{answer:?}");
    assert_eq!(names(&answer), ["started", "checked", "waiting", "expired"]);
    assert_eq!(events(&answer)[2]["link"], "https://t.me/hermes_test_bot");
    assert_eq!(scene.env(), BEFORE);
}

#[test]
fn a_gateway_at_work_is_not_disturbed_and_takes_the_change_up() {
    let scene = Scene::set();
    let allowed = format!("{BEFORE}TELEGRAM_BOT_TOKEN={TOKEN}\r\n");
    scene.home.write(".env", &allowed);
    let mut gateway = Gateway::start(&scene.home);
    let connected = || (gateway.state()["platforms"]["telegram"]["state"] == "connected").then_some(());
    assert!(wait::until(wait::LIMIT, connected).is_some(), "{:#}", gateway.state());
    let answer = scene.run(&["--yes", "--json"], "");
    assert_eq!(events(&answer)[2]["code"], "telegram_in_use", "{answer:?}");
    assert_eq!(scene.env(), allowed);
    let answer = scene.run(&["--allow", &OWNER.to_string()], "");
    assert_eq!(answer.code, Some(0), "{answer:?}");
    assert!(answer.stderr.contains("connects by itself"), "{answer:?}");
    let answered = wait::until(wait::LIMIT, || {
        scene.service.write(OWNER, OWNER, "are you there?");
        scene.service.sent().iter().any(|sent| sent.chat == OWNER).then_some(())
    });
    assert!(answered.is_some(), "{}", gateway.log().join("\n"));
    assert!(!gateway.log().iter().any(|line| line.contains("telegram_polling_conflict")));
    assert_eq!(gateway.stop(), Some(0));
}

#[test]
fn what_is_set_up_stays_with_one_key_and_its_stopped_gateway_is_offered_to_start() {
    let scene = Scene::set();
    let written = format!("{BEFORE}TELEGRAM_BOT_TOKEN={TOKEN}\r\nTELEGRAM_ALLOWED_USERS=42\r\n");
    scene.home.write(".env", &written);
    let mut terminal = scene.terminal(&[]);
    terminal.wait_for("Keep this bot?");
    terminal.send("\r");
    terminal.wait_for(START);
    terminal.send("n\r");
    assert_eq!(terminal.exit_code(), 0, "{}", terminal.text());
    terminal.wait_for("Telegram is ready");
    assert_eq!(scene.env(), written);
}

#[test]
fn several_platforms_are_set_up_in_one_go_and_shown_at_the_end() {
    let scene = Scene::set();
    let mut terminal = Terminal::start(&scene.home, &["setup"], 60, 100);
    terminal.wait_for("Which platforms?");
    terminal.wait_for("Telegram  not set up");
    assert!(terminal.text().contains("WhatsApp  not set up"), "{}", terminal.text());
    // Down to the second; Enter takes what is highlighted.
    terminal.send("\u{1b}[B");
    terminal.wait_for("❯ [ ] Telegram");
    terminal.send("\r");
    terminal.wait_for(TOKEN_PROMPT);
    terminal.send(&format!("{TOKEN}\r"));
    terminal.wait_for(WAITING);
    scene.service.write(OWNER, OWNER, "hello from setup");
    for question in [IS_YOU, TELL, START] {
        terminal.wait_for(question);
        terminal.send("y\r");
    }
    scene.service.wait_sent(OWNER, "hello from setup");
    assert!(!terminal.text().contains("not-a-real-token"), "{}", terminal.text());
    terminal.send("\u{3}");
    assert_eq!(terminal.exit_code(), 0, "{}", terminal.text());
}

#[test]
fn it_is_turned_off_and_on_with_its_token_kept() {
    let scene = Scene::set();
    let answer = scene.home.run(["telegram", "enable"]);
    assert!(answer.code == Some(1) && answer.stderr.contains("Run `hermes telegram`"), "{answer:?}");
    let answer = scene.home.run(["telegram", "disable"]);
    assert!(answer.code == Some(0) && answer.stdout.contains("not set up"), "{answer:?}");
    assert_eq!(scene.env(), BEFORE);
    let set = format!("{BEFORE}TELEGRAM_BOT_TOKEN={TOKEN}\r\nTELEGRAM_ALLOWED_USERS=42\r\n");
    scene.home.write(".env", &set);
    let enabled = || {
        let answer = scene.home.run(["telegram", "status", "--json"]);
        serde_json::from_str::<Value>(&answer.stdout).expect("a document")["enabled"].clone()
    };
    for (command, state, changed) in [
        ("enable", true, false),
        ("disable", false, true),
        ("disable", false, false),
        ("enable", true, true),
        ("disable", false, true),
    ] {
        let answer = scene.home.run(["telegram", command, "--json"]);
        assert_eq!(answer.stdout, format!("{{\"enabled\":{state},\"changed\":{changed}}}\n"), "{answer:?}");
        assert_eq!(enabled(), json!(state), "{command}");
    }
    assert_eq!(scene.env(), format!("{set}TELEGRAM_ENABLED=false\r\n"));
    // The wizard turns it on again.
    let answer = scene.run(&["--yes", "--no-start"], "");
    assert_eq!((answer.code, enabled()), (Some(0), json!(true)), "{answer:?}");
    scene.home.write("gateway.toml", format!("{QUICK}{}enabled = false\n", scene.service.table()));
    let answer = scene.home.run(["telegram", "enable"]);
    assert!(answer.code == Some(1) && answer.stderr.contains("gateway.toml"), "{answer:?}");
}

#[test]
fn a_stranger_who_writes_first_is_passed_over() {
    const STRANGER: i64 = 666;
    let scene = Scene::set();
    let mut terminal = scene.terminal_at(WAITING);
    scene.service.write(STRANGER, STRANGER, "hello, who are you?");
    terminal.wait_for(IS_YOU);
    terminal.send("n\r");
    terminal.wait_for(WAITING);
    scene.service.write(STRANGER, STRANGER, "hello again");
    scene.service.write(OWNER, OWNER, "it is me");
    terminal.wait_for(&format!("ID {OWNER}"));
    // The answered question is still on the screen.
    terminal.wait_for(&format!("{IS_YOU} [y/N]"));
    terminal.send("y\r");
    terminal.wait_for(TELL);
    terminal.send("n\r");
    terminal.wait_for(START);
    terminal.send("n\r");
    assert_eq!(terminal.exit_code(), 0, "{}", terminal.text());
    assert!(scene.env().contains(&format!("TELEGRAM_ALLOWED_USERS={OWNER}\r\n")), "{}", scene.env());
}

#[test]
fn setup_without_a_terminal_needs_names_and_keeps_to_each_wizards_rules() {
    let scene = Scene::set();
    let answer = scene.home.run(["setup"]);
    assert_eq!(answer.code, Some(2), "{answer:?}");
    assert!(answer.stderr.contains("--platform whatsapp|telegram"), "{answer:?}");
    assert_eq!(scene.home.run(["setup", "--platform", "fax"]).code, Some(2));
    let answer = scene.home.run(["setup", "--platform", "telegram"]);
    assert_eq!(answer.code, Some(2), "{answer:?}");
    let told = "Run `hermes telegram` with these flags: --token-stdin";
    assert!(answer.stderr.contains(told), "`hermes setup` has no such flag: {answer:?}");
    let answer = scene.home.run(["setup", "--platform", "whatsapp"]);
    let told = "Run `hermes whatsapp` with these flags: --mode";
    assert!(answer.code == Some(2) && answer.stderr.contains(told), "{answer:?}");
    assert_eq!(scene.env(), BEFORE);
    let written = format!("{BEFORE}TELEGRAM_BOT_TOKEN={TOKEN}\r\nTELEGRAM_ALLOWED_USERS=42\r\n");
    scene.home.write(".env", &written);
    let answer = scene.home.run(["setup", "--platform", "telegram"]);
    assert_eq!(answer.code, Some(0), "{answer:?}");
    assert!(answer.stdout.contains("Telegram"), "{answer:?}");
    assert_eq!(scene.env(), written);
}

#[test]
fn setup_tells_programs_of_each_platform_and_of_the_end() {
    let scene = Scene::set();
    let run = |args: &[&str]| scene.home.run(["setup", "--json"].iter().chain(args));
    for args in [&[][..], &["--platform", "fax"]] {
        let answer = run(args);
        assert_eq!((answer.code, names(&answer)), (Some(2), vec!["error".to_owned()]), "{answer:?}");
    }
    let answer = run(&["--platform", "telegram"]);
    assert_eq!(answer.code, Some(2), "{answer:?}");
    assert_eq!(names(&answer), ["platform", "started", "error", "finished"]);
    assert_eq!(events(&answer)[3]["failed"], json!(["telegram"]));
    scene.home.write(".env", format!("{BEFORE}TELEGRAM_BOT_TOKEN={TOKEN}\r\nTELEGRAM_ALLOWED_USERS=42\r\n"));
    let answer = run(&["--platform", "telegram"]);
    assert_eq!(answer.code, Some(0), "{answer:?}");
    let told = events(&answer);
    assert_eq!(told.first(), Some(&json!({ "event": "platform", "platform": "telegram" })));
    assert_eq!(told.last(), Some(&json!({ "event": "finished", "done": ["telegram"], "failed": [] })));
    assert!(!answer.stdout.contains("not-a-real-token"), "{answer:?}");
}
