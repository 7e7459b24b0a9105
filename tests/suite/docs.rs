//! The pages for people say what the program does: every code, command, setting and link in README.md and docs/ exists, and
//! every code and setting of the program is on its page.

use std::collections::{BTreeMap, BTreeSet};

use crate::support::codes;
use crate::support::home::TestHome;
use crate::support::pages::{self, Page};
use crate::support::sources::{self, root};

/// Commands that the pages name as not existing. Each must really be unknown.
const NOT_BUILT: [&[&str]; 1] = [&["gateway", "install"]];

fn settle(complaints: &[String]) {
    assert!(complaints.is_empty(), "\n{}\n", complaints.join("\n"));
}

/// Returns a cell without the backticks of a code span.
fn bare(cell: &str) -> Option<&str> {
    cell.strip_prefix('`')?.strip_suffix('`').filter(|text| !text.contains('`'))
}

#[test]
fn the_readme_is_short() {
    let readme = Page::read("README.md");
    let count = readme.text.lines().count();
    assert!(count <= 120, "{count} lines: move what is not a first step to a page of docs/");
}

#[test]
fn every_code_has_its_row_and_every_row_its_code() {
    let page = Page::read("docs/troubleshooting.md");
    let mut rows = BTreeSet::new();
    let mut complaints = Vec::new();
    for (first, cells) in page.rows() {
        let code = bare(&first).unwrap_or_else(|| panic!("one code in each row: {first}")).to_owned();
        assert_eq!(cells.len(), 3, "code, what it means, what to do: {first}");
        if cells.iter().any(String::is_empty) {
            complaints.push(format!("{}: `{code}` has an empty cell", page.name));
        }
        if !rows.insert(code.clone()) {
            complaints.push(format!("{}: `{code}` has two rows", page.name));
        }
    }
    let known = codes::of_program();
    for (code, file) in &known {
        if !rows.contains(code) {
            complaints.push(format!(
                "{}: add a row for `{code}` ({file}): what it means, and what to do",
                page.name
            ));
        }
    }
    let bridge = codes::of_bridge();
    for code in rows.iter().filter(|code| !known.contains_key(*code) && !bridge.contains(*code)) {
        complaints.push(format!("{}: `{code}` is not a code of the program", page.name));
    }
    settle(&complaints);
    assert!(known.len() > 200, "only {} codes were found: the scan is broken", known.len());
}

#[test]
fn the_scan_finds_a_code_however_it_is_written() {
    let source = r#"
        CliError::failed("it failed").code("a_one").hint("x_hint");
        AgentError { code: "a_two", told };
        tracing::warn!(code = "a_three", platform = %name, "text");
        tracing::debug!(code = "a_debug", "text");
        AdapterError::blocked(
            "a_four", "text", ACTION);
        problems.set("a_five", "text");
        const GONE: &str = "a_six";
        error(StatusCode::NOT_FOUND, "seven", "Text.");
        Kind::Key => ("agent_eight", "text"),
        Self::new(ErrorKind::Usage, "nine", message)
        pub fn code(&self) -> &'static str {
            match self {
                Self::Ten { .. } => "ten",
            }
        }
        json!({ "not_a_code": 1 });
    "#;
    let found: Vec<_> = codes::of_source(source).into_iter().collect();
    let expected =
        ["a_five", "a_four", "a_one", "a_six", "a_three", "a_two", "agent_eight", "nine", "seven", "ten"];
    assert_eq!(found, expected);
}

#[test]
fn every_command_of_the_pages_is_understood() {
    let home = TestHome::empty();
    let stand_in = |word: &String| match word.as_str() {
        "TARGET" | "PLATFORM" => "telegram".to_owned(),
        "COMMAND" => "doctor".to_owned(),
        _ => word.clone(),
    };
    let mut seen = BTreeMap::new();
    for page in pages::all() {
        for (line, words) in page.commands() {
            seen.entry(words).or_insert_with(|| format!("{}:{line}", page.name));
        }
    }
    let mut complaints = Vec::new();
    for (words, place) in &seen {
        let args: Vec<String> = words.iter().map(stand_in).chain(["--help".to_owned()]).collect();
        let answer = home.run(&args);
        let shown = words.join(" ");
        let is_built = !NOT_BUILT.iter().any(|known| {
            words.len() >= known.len() && words.iter().zip(*known).all(|(word, known)| word == known)
        });
        match (answer.code, is_built) {
            (Some(0), true) | (Some(2), false) => {}
            (_, true) => complaints.push(format!("{place}: `hermes {shown}`: {}", answer.stderr)),
            (_, false) => complaints.push(format!(
                "{place}: `hermes {shown}` exists now: take it out of NOT_BUILT, and out of what the pages say does not exist"
            )),
        }
    }
    settle(&complaints);
    assert!(seen.len() > 40, "only {} commands were found: the scan is broken", seen.len());
    for wrong in [&["whatsapp", "--colour"][..], &["gateway", "fly"], &["whatsapp", "--qr", "colour"]] {
        let args = wrong.iter().chain(&["--help"]);
        assert_eq!(home.run(args).code, Some(2), "{wrong:?}: what is wrong is seen before the help");
    }
}

#[test]
fn every_metric_and_path_of_the_http_api_is_on_its_page() {
    let page = Page::read("docs/operations.md");
    let metric = regex::Regex::new(r#""(hermes_[a-z_]+)""#).expect("a pattern of ours");
    let route = regex::Regex::new(r#"\.route\("(/[a-z0-9/]+)""#).expect("a pattern of ours");
    let mut found = BTreeSet::new();
    for (_, text) in sources::before_tests("src/gateway/api/http") {
        found.extend(metric.captures_iter(&text).map(|name| name[1].to_owned()));
        found.extend(route.captures_iter(&text).map(|path| path[1].to_owned()));
    }
    let missing: Vec<_> = found.iter().filter(|name| !page.text.contains(&format!("{name}`"))).collect();
    assert!(missing.is_empty(), "{} does not explain {missing:?}", page.name);
    assert!(found.len() > 18, "{found:?}: the scan is broken");
}

#[test]
fn every_link_of_the_pages_leads_somewhere() {
    let link = regex::Regex::new(r"\]\(([^)\s]+)\)").expect("a pattern of ours");
    let mut complaints = Vec::new();
    let mut linked = BTreeSet::new();
    for page in pages::all() {
        for found in link.captures_iter(&page.text) {
            let target = &found[1];
            if target.starts_with("https://") {
                continue;
            }
            let (path, anchor) =
                target.split_once('#').map_or((target, None), |(path, anchor)| (path, Some(anchor)));
            let file = if path.is_empty() { root().join(&page.name) } else { page.dir().join(path) };
            let Ok(file) = file.canonicalize() else {
                complaints.push(format!("{}: {target} is not there", page.name));
                continue;
            };
            let name = file
                .strip_prefix(root().canonicalize().expect("it is there"))
                .expect("inside")
                .display()
                .to_string();
            if let Some(anchor) = anchor
                && !Page::read(&name).anchors().iter().any(|known| known == anchor)
            {
                complaints.push(format!("{}: {target}: there is no such heading", page.name));
            }
            if page.name == "docs/README.md" {
                linked.insert(name);
            }
        }
    }
    for page in pages::all().iter().filter(|page| page.name != "docs/README.md" && page.name != "README.md") {
        if !linked.contains(&page.name) {
            complaints.push(format!("docs/README.md does not list {}", page.name));
        }
    }
    settle(&complaints);
}

/// Returns the settings of the example by their whole name, also those behind a comment sign or inside a comment, with the
/// value of those that are set.
fn example() -> BTreeMap<String, Option<String>> {
    let text = std::fs::read_to_string(root().join("assets/gateway.example.toml")).expect("it is there");
    let table = regex::Regex::new(r"^#?\[([a-z._]+)\]$").expect("a pattern of ours");
    let setting = regex::Regex::new(r"(?:^|[#\s])([a-z_]+) = ").expect("a pattern of ours");
    let mut found = BTreeMap::new();
    let mut at = String::new();
    for line in text.lines() {
        if let Some(table) = table.captures(line) {
            at = table[1].to_owned();
            continue;
        }
        for name in setting.captures_iter(line) {
            let value =
                line.split_once(" = ").filter(|_| !line.starts_with('#')).map(|(_, value)| value.to_owned());
            let known: &mut Option<String> = found.entry(format!("{at}.{}", &name[1])).or_default();
            *known = known.take().or(value);
        }
    }
    found
}

#[test]
fn the_settings_page_and_the_example_name_the_same_settings() {
    let page = Page::read("docs/settings.md");
    let example = example();
    let mut complaints = Vec::new();
    let mut rows = BTreeMap::new();
    for (first, cells) in page.rows() {
        if let Some(name) = bare(&first).filter(|name| name.contains('.')) {
            assert_eq!(cells.len(), 3, "setting, default, meaning: {first}");
            assert!(rows.insert(name.to_owned(), cells[1].clone()).is_none(), "{name} has two rows");
        }
    }
    for (name, value) in &example {
        match (rows.get(name), value) {
            (None, _) => {
                complaints.push(format!("{}: `{name}` is in the example, and has no row", page.name));
            }
            (Some(default), Some(value)) if bare(default) != Some(value) => {
                complaints.push(format!(
                    "{}: the default of `{name}` is {value} in the example, not {default}",
                    page.name
                ));
            }
            (Some(_), _) => {}
        }
    }
    for name in rows.keys().filter(|name| !example.contains_key(*name)) {
        complaints.push(format!("assets/gateway.example.toml: `{name}` is missing; {} has it", page.name));
    }
    settle(&complaints);
    assert!(rows.len() > 60, "{} rows: the scan is broken", rows.len());
}

#[test]
fn the_settings_page_names_every_variable() {
    let page = Page::read("docs/settings.md");
    let source: String = sources::before_tests("src").into_iter().map(|(_, text)| text).collect();
    let mut complaints = Vec::new();
    let mut named = BTreeSet::new();
    for (first, _) in page.rows() {
        for name in first.split('`').skip(1).step_by(2).filter(|name| !name.contains('.')) {
            named.insert(name.to_owned());
            let read = name.strip_prefix("<PLATFORM>_").unwrap_or(name);
            if !source.contains(read) {
                complaints.push(format!("{}: {name} is not read by the program", page.name));
            }
        }
    }
    let own =
        regex::Regex::new(r#"(?:\.value|\.secret|\.switch|\.parsed|var_path|named_var)\(\s*&?"([A-Z_]+)""#)
            .expect("a pattern of ours");
    let of_platform =
        regex::Regex::new(r#"self\.(?:name|group_list)\(&?"([A-Z_]+)""#).expect("a pattern of ours");
    let all = regex::Regex::new(r#""(GATEWAY_[A-Z_]+)""#).expect("a pattern of ours");
    let mut read = BTreeSet::new();
    // The table of hermes-agent's names holds also those that have no effect.
    for (_, text) in
        sources::before_tests("src/config").iter().filter(|(file, _)| !file.ends_with("hermes_agent.rs"))
    {
        read.extend(own.captures_iter(text).map(|name| name[1].to_owned()));
        read.extend(of_platform.captures_iter(text).map(|name| format!("<PLATFORM>_{}", &name[1])));
        read.extend(all.captures_iter(text).map(|name| name[1].to_owned()));
    }
    for name in read.iter().filter(|name| !named.contains(*name)) {
        complaints.push(format!("{}: {name} is read by the program, and has no row", page.name));
    }
    settle(&complaints);
    assert!(read.len() > 15, "{read:?}: the scan is broken");
}
