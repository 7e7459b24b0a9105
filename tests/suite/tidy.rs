//! The house rules that a reader would otherwise have to remember. A failure names the remedy.

use std::fs;
use std::path::Path;

use crate::support::sources::{files, name, root};
use crate::support::words;

/// True for a file of unit tests.
fn is_test(path: &Path) -> bool {
    let name = name(path);
    name.ends_with("tests.rs") || name.contains("/tests/")
}

/// Returns the code before the unit tests.
fn code(text: &str) -> &str {
    text.split("#[cfg(test)]").next().unwrap_or(text)
}

/// Returns the lines of code without comments, with their numbers.
fn lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.lines().enumerate().map(|(at, line)| (at + 1, line)).filter(|(_, line)| {
        let line = line.trim_start();
        !line.starts_with("//")
    })
}

fn forbid(complaints: &mut Vec<String>, path: &Path, text: &str, words: &[&str], instead: &str) {
    for (number, line) in lines(text) {
        for word in words {
            if line.contains(word) {
                complaints.push(format!("{}:{number}: `{word}`: {instead}", name(path)));
            }
        }
    }
}

fn settle(complaints: &[String]) {
    assert!(complaints.is_empty(), "\n{}\n", complaints.join("\n"));
}

#[test]
fn wizard_and_gateway_do_not_know_each_other() {
    let mut complaints = Vec::new();
    for path in files("src/wizard", &[".rs"]) {
        let text = fs::read_to_string(&path).unwrap();
        forbid(
            &mut complaints,
            &path,
            &text,
            &["crate::gateway"],
            "share it through a leaf, `bridge` or `preflight`",
        );
    }
    for path in files("src/gateway", &[".rs"]) {
        let text = fs::read_to_string(&path).unwrap();
        forbid(
            &mut complaints,
            &path,
            &text,
            &["crate::wizard"],
            "share it through a leaf, `bridge` or `preflight`",
        );
    }
    settle(&complaints);
}

#[test]
fn pure_files_do_nothing_but_decide() {
    let mut complaints = Vec::new();
    let mut pure = 0;
    for path in files("src", &[".rs"]) {
        let text = fs::read_to_string(&path).unwrap();
        if !text.starts_with("//! Pure.") {
            continue;
        }
        pure += 1;
        let words = [
            "tokio::",
            "std::fs",
            "std::net",
            "std::process::Command",
            "std::env",
            "std::thread",
            "Now::read",
            "println!",
            "eprintln!",
            "tracing::info",
            "tracing::warn",
            "tracing::error",
            "HashMap",
            "HashSet",
        ];
        forbid(
            &mut complaints,
            &path,
            code(&text),
            &words,
            "a `//! Pure.` file only decides; act in its driver",
        );
    }
    settle(&complaints);
    assert!(pure >= 5, "only {pure} files are marked `//! Pure.`: the marker is the first line");
}

#[test]
fn files_stay_small_and_mod_files_hold_no_code() {
    const LINES_MAX: usize = 600;
    let mut complaints = Vec::new();
    for path in
        [files("src", &[".rs"]), files("tests", &[".rs", ".mjs"]), files("assets", &[".mjs"])].concat()
    {
        let text = fs::read_to_string(&path).unwrap();
        let count = text.lines().count();
        if count > LINES_MAX {
            complaints.push(format!("{}: {count} lines; split it at a noun", name(&path)));
        }
        if path.ends_with("mod.rs")
            && name(&path).starts_with("src")
            && lines(&text).any(|(_, line)| line.contains("fn "))
        {
            complaints.push(format!(
                "{}: a mod.rs holds docs and re-exports; give the code a named file",
                name(&path)
            ));
        }
    }
    settle(&complaints);
}

#[test]
fn nothing_is_left_for_later() {
    let mut complaints = Vec::new();
    for path in
        [files("src", &[".rs"]), files("tests", &[".rs", ".mjs"]), files("assets", &[".mjs"])].concat()
    {
        if path.ends_with("tidy.rs") {
            continue;
        }
        let text = fs::read_to_string(&path).unwrap();
        for (number, line) in text.lines().enumerate() {
            for word in [
                "TODO",
                "FIXME",
                "XXX",
                "todo!(",
                "unimplemented!(",
                "dbg!(",
                "#[ignore",
                "test.skip",
                "it.skip",
                "#[allow(",
            ] {
                if line.contains(word) {
                    complaints.push(format!(
                        "{}:{}: `{word}`: finish it, or take it out",
                        name(&path),
                        number + 1
                    ));
                }
            }
        }
    }
    settle(&complaints);
}

#[test]
fn each_outside_thing_has_one_door() {
    let doors: [(&[&str], &[&str], &str); 7] = [
        (
            &["Instant::now(", "SystemTime::now(", "Timestamp::now("],
            &["src/clock.rs"],
            "take `Now` as a parameter",
        ),
        (&["std::env::"], &["src/world.rs"], "read it from `World`"),
        (&["fs::rename("], &["src/durable.rs"], "use `durable::rename`"),
        (
            &["Command::new(", ".spawn()", ".output()"],
            &["src/process/child.rs"],
            "use `child::command` and `child::spawn`: what hermes starts must be known as its child",
        ),
        (
            &["fs::read(", "fs::read_to_string(", "File::open(", "File::options(", "OpenOptions::new("],
            &[
                "src/file.rs",
                "src/durable.rs",
                "src/gateway/store/disk_space.rs",
                "src/gateway/store/salvage.rs",
                "src/gateway/store/sqlite.rs",
                // Only tests use these.
                "src/wizard/whatsapp/stage.rs",
                "src/wizard/whatsapp/scenarios.rs",
            ],
            "use `file::read` or `file::open`: a pipe, a device or a huge file may stand there",
        ),
        (&["process::exit("], &["src/gateway/host/watchdog.rs"], "return an `ExitCode` to `cli::run`"),
        (&["unbounded_channel"], &[], "bound it: outside data can be endless"),
    ];
    let mut complaints = Vec::new();
    for path in files("src", &[".rs"]) {
        if is_test(&path) {
            continue;
        }
        let text = fs::read_to_string(&path).unwrap();
        for (words, allowed, instead) in &doors {
            if !allowed.contains(&name(&path).as_str()) {
                forbid(&mut complaints, &path, code(&text), words, instead);
            }
        }
    }
    settle(&complaints);
}

#[test]
fn every_line_of_the_gateways_log_has_a_stable_code() {
    let mut complaints = Vec::new();
    let mut seen = 0;
    for path in files("src/gateway", &[".rs"]) {
        let text = fs::read_to_string(&path).unwrap();
        let text = code(&text);
        for word in ["tracing::info!(", "tracing::warn!(", "tracing::error!("] {
            for (at, _) in text.match_indices(word) {
                seen += 1;
                let rest = &text[at + word.len()..];
                let fields = rest.split('"').next().unwrap_or(rest);
                if !fields.contains("code") {
                    let number = text[..at].matches('\n').count() + 1;
                    complaints.push(format!(
                        "{}:{number}: give it a `code`, so that people can search for it",
                        name(&path)
                    ));
                }
            }
        }
    }
    settle(&complaints);
    assert!(seen > 20, "only {seen} lines were found: they are written `tracing::info!(…)`");
}

#[test]
fn each_failpoint_is_at_one_place() {
    let sources: Vec<String> = files("src", &[".rs"])
        .iter()
        .filter(|path| !path.ends_with("failpoint.rs"))
        .map(|path| fs::read_to_string(path).unwrap())
        .collect();
    let mut complaints = Vec::new();
    for name in hermes::failpoint::NAMES {
        let quoted = format!("\"{name}\"");
        let places: usize = sources.iter().map(|text| code(text).matches(&quoted).count()).sum();
        if places != 1 {
            complaints.push(format!(
                "failpoint `{name}` is at {places} places: it tells one boundary from another"
            ));
        }
    }
    settle(&complaints);
}

#[test]
fn the_npm_lockfile_names_no_git_and_no_host() {
    let lock = fs::read_to_string(root().join("assets/bridge/package-lock.json")).unwrap();
    for word in ["git+", "git:", "ssh:", "github:", "http:", "https://registry"] {
        assert!(
            !lock.contains(&format!("\"resolved\": \"{word}")),
            "package-lock.json resolves over `{word}`"
        );
    }
    let manifest = fs::read_to_string(root().join("assets/bridge/package.json")).unwrap();
    for line in manifest.lines().filter(|line| line.contains("\": \"") && line.contains("baileys")) {
        assert!(!line.contains('^') && !line.contains('~'), "pin it exactly: {line}");
    }
}

/// The part of a file that people read.
#[derive(Debug, Clone, Copy)]
enum Part {
    /// The whole file.
    Whole,
    /// Its comments.
    Comments,
}

/// The places where plain words are demanded: a file or folder, the ending of names there, and the part that is read.
/// `texts.rs` reads the source.
const PLAIN: [(&str, &str, Part); 4] = [
    ("README.md", ".md", Part::Whole),
    ("docs", ".md", Part::Whole),
    ("assets", ".toml", Part::Comments),
    ("tests/suite/snapshots/suite__help__every_help_page.snap", ".snap", Part::Whole),
];

#[test]
fn texts_for_people_use_plain_words() {
    let mut complaints = Vec::new();
    for (place, ending, part) in PLAIN {
        let paths =
            if root().join(place).is_dir() { files(place, &[ending]) } else { vec![root().join(place)] };
        assert!(!paths.is_empty(), "{place} holds no {ending}");
        for path in paths.iter().filter(|path| !is_test(path)) {
            let text = fs::read_to_string(path).unwrap();
            let read = match part {
                Part::Whole => text,
                Part::Comments => {
                    let comment = |line: &str| {
                        line.split_once('#').map_or("", |(_, comment)| comment).to_owned() + "\n"
                    };
                    text.lines().map(comment).collect()
                }
            };
            for (line, word, instead) in words::out(&read) {
                complaints.push(format!("{}:{line}: `{word}`: {instead}", name(path)));
            }
        }
    }
    settle(&complaints);
}

#[test]
fn words_that_are_out_are_found_and_only_they() {
    let hits =
        |text: &str| words::out(text).into_iter().map(|(line, word, _)| (line, word)).collect::<Vec<_>>();
    let text = "It is no phone number.\nWhoever mends it\nis let\nin anew; nobody of its own is told. There is no one, and it is no longer.";
    let expected = [
        (1, "is no phone"),
        (2, "Whoever"),
        (2, "mends"),
        (3, "let in"),
        (4, "anew"),
        (4, "is told"),
        (4, "nobody"),
        (4, "of its own"),
    ];
    assert_eq!(hits(text), expected.map(|(line, word)| (line, word.to_owned())));
    assert_eq!(hits("It is no longer there. There is no terminal. I recommend an outlet inside."), []);
}

#[test]
fn no_test_file_is_forgotten() {
    let main = fs::read_to_string(root().join("tests/suite/main.rs")).unwrap();
    for path in files("tests/suite", &[".rs"]) {
        let stem = path.file_stem().unwrap().to_string_lossy().into_owned();
        if ["main", "mod"].contains(&stem.as_str()) {
            continue;
        }
        // A folder's files are named in its `mod.rs`, those of the suite itself in `main.rs`.
        let holder = path.with_file_name("mod.rs");
        let text = if holder.exists() { fs::read_to_string(&holder).unwrap() } else { main.clone() };
        assert!(text.contains(&format!("mod {stem};")), "{} is named nowhere", name(&path));
    }
}
