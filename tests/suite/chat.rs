//! A conversation by commands: `/new`, `/stop`, `/retry`, `/status`, with a program as the agent.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::support::house::{House, QUICK};
use crate::support::process::is_alive;
use crate::support::wait;

/// Answers at once, unless the message asks for something else; keeps its input in a file beside itself.
const AGENT: &str = r#"#!/bin/sh
read -r turn
printf '%s\n' "$turn" >> "$0.turns"
env > "$0.env"
case "$turn" in
*'"text":"hang'*) sleep 1000 & echo "$$ $!" > "$0.pids"; wait ;;
*'"text":"gone'*) /no/such/program ;;
*'"text":"forged'*) echo "hermes: $0 cannot be started: it is away" >&2; exit 127 ;;
*'"text":"fail'*) echo "the key is sk-canary0123456789abcdef0123456789" >&2; exit 3 ;;
*'"text":"partly'*) printf 'as far as it came'; exit 3 ;;
*'"text":"stuck'*) printf 'as far as it came'; exec sleep 1000 ;;
*'"text":"bytes'*) printf 'a\377\376b \303' ;;
*'"text":"much'*) yes 'more and more' ;;
*'"text":"deaf'*) exec sleep 1000 ;;
*) printf 'half '; printf 'and half' ;;
esac
"#;

struct Chat {
    house: House,
    agent: PathBuf,
    count: u32,
}

impl Chat {
    fn open(more: &str) -> Self {
        let mut agent = PathBuf::new();
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.keep().join("agent $(x)");
        let toml = format!(
            "{QUICK}[agent]\nkind = \"command\"\ncommand = [\"{}\", \"*\"]\nenv = [\"LISTED\"]\n{more}",
            path.display()
        );
        let house = House::furnish(1, &toml, |home| {
            std::fs::write(&path, AGENT).expect("a file");
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o700)).expect("it is ours");
            home.env.push(("LISTED".to_owned(), "listed-value".to_owned()));
            home.env.push(("UNLISTED".to_owned(), "canary".to_owned()));
            agent.clone_from(&path);
        });
        Self { house, agent, count: 0 }
    }

    fn write(&mut self, text: &str) {
        self.count += 1;
        self.house.well.write(&format!("M{}", self.count), "friend", text);
    }

    /// Writes, and waits for an answer that holds this.
    fn ask(&mut self, text: &str, expected: &str) -> String {
        let before = self.sent().len();
        self.write(text);
        self.hear(before, expected)
    }

    /// Waits for the message with this text, after the first so many.
    fn hear(&self, before: usize, expected: &str) -> String {
        let answer = wait::until(wait::LIMIT, || self.sent().get(before).cloned());
        let Some(answer) = answer else { panic!("silence:\n{}", self.house.gateway.log().join("\n")) };
        self.take(&answer);
        let answer = answer["text"].as_str().unwrap_or_default().to_owned();
        assert!(answer.contains(expected), "{expected}: {answer}\n{}", self.house.gateway.log().join("\n"));
        answer
    }

    /// Waits until the status shows this state of the program, with these words.
    fn wait_for_agent(&self, state: &str, why: &str) {
        let agent = || self.house.gateway.state()["agent"].clone();
        let is_so = |agent: &Value| {
            agent["state"] == state && agent["error_message"].as_str().unwrap_or_default().contains(why)
        };
        assert!(wait::until(wait::LIMIT, || Some(agent()).filter(is_so)).is_some(), "{state}: {}", agent());
    }

    /// Returns the messages that the gateway has sent.
    fn sent(&self) -> Vec<Value> {
        self.house.well.said().into_iter().filter(|said| said["say"] == "send").collect()
    }

    fn take(&self, message: &Value) {
        self.house.well.cue(json!({ "do": "sent", "handle": message["handle"] }));
    }

    fn beside(&self, what: &str) -> String {
        std::fs::read_to_string(format!("{}.{what}", self.agent.display())).unwrap_or_default()
    }

    /// Returns the last line of input of the program.
    fn told(&self) -> Value {
        serde_json::from_str(self.beside("turns").lines().last().expect("a turn")).expect("JSON")
    }

    fn pids(&self) -> Vec<u32> {
        let seen = wait::until(wait::LIMIT, || {
            let pids: Vec<u32> =
                self.beside("pids").split_whitespace().filter_map(|pid| pid.parse().ok()).collect();
            (pids.len() == 2).then_some(pids)
        });
        seen.unwrap_or_else(|| panic!("it does not hang:\n{}", self.house.gateway.log().join("\n")))
    }
}

impl Drop for Chat {
    fn drop(&mut self) {
        if let Some(dir) = self.agent.parent() {
            drop(std::fs::remove_dir_all(dir));
        }
    }
}

#[test]
fn a_program_answers_knows_the_conversation_and_sees_no_variable_that_is_not_listed() {
    let mut chat = Chat::open("");
    chat.ask("one", "half and half");
    let first = chat.told();
    assert_eq!(
        (&first["schema"], &first["text"], &first["platform"]),
        (&1.into(), &"one".into(), &"scripted1".into())
    );
    assert_eq!(first["history"], json!([]));
    let env = chat.beside("env");
    assert!(env.contains("LISTED=listed-value") && env.contains("HERMES_AGENT=1"), "{env}");
    assert!(!env.contains("canary") && !env.contains("HERMES_HOME"), "{env}");

    chat.ask("two", "half and half");
    let second = chat.told();
    assert_eq!(second["history"][0]["said"], "one");
    assert_eq!(second["session"], first["session"]);
    chat.ask("/retry", "half and half");
    let again = chat.told();
    assert_eq!((&again["text"], &again["history"]), (&"two".into(), &second["history"]));
    chat.ask("/status", "2 of your messages are answered");
    chat.ask("/new", "I have forgotten");
    chat.ask("three", "half and half");
    let third = chat.told();
    assert_eq!(third["history"], json!([]));
    assert_ne!(third["session"], first["session"]);
}

#[test]
fn a_stop_kills_the_program_with_its_children_and_nothing_of_it_comes_back() {
    let mut chat = Chat::open("");
    chat.write("hang");
    let pids = chat.pids();
    chat.ask("/status", "I have been working on a message");
    chat.ask("/stop", "Stopped. Your message of");
    let gone = wait::until(wait::LIMIT, || pids.iter().all(|pid| !is_alive(*pid)).then_some(()));
    assert!(gone.is_some(), "{pids:?} live");
    chat.ask("/stop", "Nothing to stop.");
    chat.ask("one", "half and half");
    assert_eq!(chat.beside("turns").lines().count(), 2, "the stopped message is not begun again");
}

#[test]
fn neither_a_program_nor_what_it_started_outlives_the_gateway() {
    let mut chat = Chat::open("");
    chat.write("hang");
    let pids = chat.pids();
    chat.house.gateway.kill();
    let gone = wait::until(wait::LIMIT, || pids.iter().all(|pid| !is_alive(*pid)).then_some(()));
    assert!(gone.is_some(), "{pids:?} live");
}

#[test]
fn a_program_that_fails_is_silent_or_says_too_much_is_told_of_in_a_sentence() {
    let mut chat = Chat::open("idle_timeout = \"1s\"\n");
    chat.ask("fail", "The agent failed.");
    let log = chat.house.gateway.log().join("\n");
    assert!(log.contains("agent_failed") && !log.contains("sk-canary"), "{log}");
    chat.ask("deaf", "The agent did not answer in time.");
    let mut taken = chat.sent().len();
    chat.write("much");
    let cut = wait::until(wait::LIMIT, || {
        let sent = chat.sent();
        for message in &sent[taken..] {
            chat.take(message);
        }
        taken = sent.len();
        let is_cut =
            |message: &Value| message["text"].as_str().is_some_and(|text| text.contains("ends here"));
        sent.into_iter().find(is_cut)
    });
    assert!(cut.is_some(), "{}", chat.house.gateway.log().join("\n"));
}

#[test]
fn what_a_program_said_before_it_failed_is_kept_odd_bytes_are_replaced_and_another_chat_is_answered() {
    const CUT: &str = "as far as it came\n\n(The answer was cut: it ended before it was complete.)";
    let mut chat = Chat::open("idle_timeout = \"1s\"\n");
    assert_eq!(chat.ask("partly", "as far"), CUT);
    let log = chat.house.gateway.log().join("\n");
    assert!(log.contains("the agent's answer was cut") && log.contains("exit status: 3"), "{log}");
    assert_eq!(chat.ask("stuck", "as far"), CUT);
    let bytes = chat.ask("bytes", "a\u{fffd}");
    assert!(bytes.starts_with("a\u{fffd}\u{fffd}b") && bytes.ends_with('\u{fffd}'), "{bytes:?}");
    // The same program fails, hangs and answers at the same time.
    chat.house.well.write("X1", "friend", "deaf");
    chat.house.well.write("X2", "other", "hello");
    let answer = chat.house.well.take_message("half and half");
    assert_eq!(answer["chat"], "other", "{answer}");
    chat.house.well.take_message("The agent did not answer in time.");
}

#[test]
fn messages_wait_for_a_program_that_cannot_be_started_and_its_arrival_needs_no_restart() {
    let mut chat = Chat::open("");
    let aside = chat.agent.with_extension("aside");
    let put = |path: &Path, program: &str, mode: u32| {
        std::fs::write(path, program).expect("a file");
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).expect("it is ours");
    };
    for (text, why) in
        [("missing", "not found"), ("closed", "not executable"), ("odd", "its interpreter was not found")]
    {
        std::fs::rename(&chat.agent, &aside).expect("it is there");
        match text {
            "closed" => put(&chat.agent, AGENT, 0o600),
            "odd" => put(&chat.agent, "#!/no/such/program\n", 0o700),
            _ => {}
        }
        chat.ask(text, "Your message is queued");
        let told = chat.sent().len();
        chat.wait_for_agent("unavailable", why);
        std::fs::rename(&aside, &chat.agent).expect("it is there");
        chat.hear(told, "half and half");
        assert_eq!(chat.told()["text"], text);
        chat.wait_for_agent("available", "");
    }
    let log = chat.house.gateway.log();
    let times = |code: &str| log.iter().filter(|line| line.contains(code)).count();
    assert_eq!((times("agent_unavailable"), times("agent_available")), (3, 3), "{log:#?}");
}

#[test]
fn a_program_that_fails_at_everything_is_shown_so_until_it_answers() {
    let mut chat = Chat::open("");
    chat.ask("gone", "The agent failed.");
    chat.wait_for_agent("failing", "exit status: 127");
    // The words of the launcher are not a proof: the program was started.
    chat.ask("forged", "The agent failed.");
    for _ in 0..2 {
        chat.ask("one", "half and half");
        chat.wait_for_agent("available", "");
        chat.ask("fail", "The agent failed.");
    }
    chat.ask("/status", "Agent: command");
    chat.wait_for_agent("available", "");
    chat.ask("fail", "The agent failed.");
    chat.ask("fail", "The agent failed.");
    chat.wait_for_agent("failing", "exit status: 3");
    assert!(
        !chat.house.gateway.state()["agent"].to_string().contains("the key"),
        "its words are for the log"
    );
    chat.ask("/status", "It has failed at every message for");
    assert!(chat.house.gateway.log().iter().any(|line| line.contains("its last words: ")));
}

#[test]
fn a_conversation_that_a_rule_ended_is_told_of_once() {
    let mut chat = Chat::open("[session]\nreset = \"idle\"\nidle_after = \"1s\"\n");
    chat.ask("one", "half and half");
    // The rule counts seconds.
    let ended = wait::until(wait::LIMIT, || {
        chat.ask("/status", "onversation").contains("No conversation is open").then_some(())
    });
    assert!(ended.is_some());
    chat.ask("two", "the last one ended after a silence");
    assert_eq!(chat.told()["history"], json!([]));
}
