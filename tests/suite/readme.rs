//! The README's first steps, done as it says: its picture matches the program's output, and its commands work.

use std::collections::BTreeSet;
use std::path::Path;

use crate::support::agent::AgentService;
use crate::support::home::TestHome;
use crate::support::house::QUICK;
use crate::support::pages::Page;
use crate::support::process::Gateway;
use crate::support::screen::Terminal;
use crate::support::sources::root;
use crate::support::telegram::TelegramService;
use crate::support::telegram::scene;
use crate::support::telegram::service::TOKEN;

const OWNER: i64 = 4_200_001;

/// The way in which tests run a command of the README.
enum Run {
    /// Here, beside a running gateway, with this exit code.
    Here(&'static [&'static str], i32),
    /// In [`the_first_steps_lead_to_the_readmes_picture`].
    FirstSteps,
    /// By this test of another file.
    There(&'static str, &'static str),
}

/// Each command of the README.
const COMMANDS: [(&str, Run); 23] = [
    ("telegram", Run::FirstSteps),
    ("whatsapp", Run::There("first_run.rs", "from_an_empty_machine_to_the_first_answer")),
    ("setup", Run::There("telegram_setup.rs", "several_platforms_are_set_up_in_one_go_and_shown_at_the_end")),
    ("gateway run", Run::FirstSteps),
    ("gateway status", Run::Here(&["gateway", "status"], 0)),
    (
        "gateway start",
        Run::There(
            "succession.rs",
            "a_start_asks_the_manager_that_has_a_service_and_returns_when_the_gateway_is_ready",
        ),
    ),
    (
        "gateway stop",
        Run::There(
            "succession.rs",
            "a_restart_returns_when_the_next_gateway_is_ready_and_a_stop_when_it_has_ended",
        ),
    ),
    (
        "gateway restart",
        Run::There(
            "succession.rs",
            "a_restart_returns_when_the_next_gateway_is_ready_and_a_stop_when_it_has_ended",
        ),
    ),
    ("gateway install", Run::Here(&["gateway", "install"], 2)),
    ("platform status", Run::FirstSteps),
    ("platform pause", Run::Here(&["platform", "pause", "telegram"], 0)),
    ("platform resume", Run::Here(&["platform", "resume", "telegram"], 0)),
    ("pairing list", Run::Here(&["pairing", "list"], 0)),
    (
        "pairing approve",
        Run::There("admission.rs", "a_stranger_is_let_in_by_a_code_and_stays_in_until_that_is_taken_back"),
    ),
    (
        "pairing allow",
        Run::There("heard.rs", "who_was_ignored_is_listed_with_what_allows_them_and_gone_once_allowed"),
    ),
    (
        "pairing revoke",
        Run::There("admission.rs", "a_stranger_is_let_in_by_a_code_and_stays_in_until_that_is_taken_back"),
    ),
    ("send TARGET TEXT", Run::Here(&["send", "telegram:4200001", "a text by hand"], 0)),
    ("dead list", Run::Here(&["dead", "list"], 0)),
    ("dead show", Run::Here(&["dead", "show", "all"], 0)),
    ("dead retry", Run::Here(&["dead", "retry", "all"], 0)),
    ("dead drop", Run::Here(&["dead", "drop", "all"], 0)),
    ("doctor", Run::Here(&["doctor"], 0)),
    ("doctor --fix", Run::Here(&["doctor", "--fix"], 0)),
];

/// Returns the lines of the README's first block, without those that it leaves out.
fn picture() -> Vec<String> {
    let readme = Page::read("README.md");
    let block = readme.text.split("```").nth(1).expect("it begins with a picture").to_owned();
    block.lines().map(str::trim).filter(|line| !line.is_empty() && *line != "…").map(str::to_owned).collect()
}

/// Returns the constant part of a line: words without numbers and without the space between columns.
fn plain(line: &str) -> String {
    let line = line
        .replace("my_agent_bot", "hermes_test_bot")
        .replace("My agent", "Hermes")
        .replace("just now", "1 s ago");
    let time = regex::Regex::new(r"\d+ (?:s|min|h) ago")
        .expect("a pattern of ours")
        .replace_all(&line, "N ago")
        .into_owned();
    let number = regex::Regex::new(r"process \d+")
        .expect("a pattern of ours")
        .replace_all(&time, "process N")
        .into_owned();
    number.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn home(service: &TelegramService, agent: &AgentService) -> TestHome {
    let home = scene::home();
    let agent = agent.table().replace("\"test\"", "\"llama3.2\"");
    home.write("gateway.toml", format!("{agent}{QUICK}{}", service.table()));
    std::fs::set_permissions(home.root(), std::os::unix::fs::PermissionsExt::from_mode(0o700))
        .expect("it is ours");
    home
}

#[test]
fn the_first_steps_lead_to_the_readmes_picture() {
    let (service, agent) = (TelegramService::start(), AgentService::start());
    let home = home(&service, &agent);
    let mut terminal = Terminal::start(&home, &["telegram"], 60, 100);
    terminal.wait_for("Paste the token");
    terminal.send(&format!("{TOKEN}\r"));
    terminal.wait_for("Waiting for your message");
    service.write(OWNER, OWNER, "hello");
    for question in ["Is that you?", "Send alerts to this chat?"] {
        terminal.wait_for(question);
        terminal.send("y\r");
    }
    terminal.wait_for("Start the gateway now?");
    let mut shown: Vec<String> = terminal.text().lines().map(plain).collect();
    terminal.send("n\r");
    assert_eq!(terminal.exit_code(), 0, "{}", terminal.text());

    let gateway = Gateway::start(&home);
    service.wait_sent(OWNER, "answer 1 to: hello");
    scene::wait_until(&gateway, "connected after its first message", |entry| {
        entry["state"] == "connected" && entry["last_outbound_at"].is_string()
    });
    let mut terminal = Terminal::start(&home, &["platform", "status"], 30, 100);
    terminal.wait_for("Agent");
    assert_eq!(terminal.exit_code(), 0, "{}", terminal.text());
    shown.extend(terminal.text().lines().map(plain));
    for line in picture().iter().filter(|line| !line.starts_with("$ ")) {
        assert!(
            shown.contains(&plain(line)),
            "the README shows `{line}`; the program shows\n{}",
            shown.join("\n")
        );
    }

    for (command, run) in &COMMANDS {
        if let Run::Here(args, code) = run {
            let answer = home.run(*args);
            assert_eq!(answer.code, Some(*code), "{command}: {answer:?}");
        }
        if *command == "platform resume" {
            scene::wait_until(&gateway, "connected again", |entry| entry["state"] == "connected");
        }
    }
    service.wait_sent(OWNER, "a text by hand");
}

#[test]
fn every_command_of_the_readme_is_run() {
    let named: BTreeSet<String> =
        Page::read("README.md").commands().into_iter().map(|(_, words)| words.join(" ")).collect();
    let known: BTreeSet<String> = COMMANDS.iter().map(|(command, _)| (*command).to_owned()).collect();
    assert_eq!(named, known, "the README's commands, and how each is run");
    for (command, run) in &COMMANDS {
        if let Run::There(file, test) = run {
            let path = Path::new("tests/suite").join(file);
            let text = std::fs::read_to_string(root().join(path)).expect("it is there");
            assert!(
                text.contains(&format!("#[test]\nfn {test}() {{")),
                "{command}: {file} has no test {test}"
            );
        }
    }
}
