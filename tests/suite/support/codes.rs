//! The stable codes of errors, findings, problems and log lines, found in the source by their written forms.

use std::collections::{BTreeMap, BTreeSet};

use regex::Regex;

use super::sources::{self, root};

/// A code as a literal.
const CODE: &str = r#""([a-z][a-z0-9]*(?:_[a-z0-9]+)*)""#;

/// The text before a code.
const WAYS: [&str; 9] = [
    r"\.code\(\s*",
    r"\bcode:\s*",
    r"\b(?:AdapterError|SendError|Self)::(?:blocked|retryable|refused)\(\s*",
    r"\b(?:before|after|failed|not_sent|maybe_sent|bad)\(\s*",
    r"\bCheck::(?:problem|warning|info)\(\s*",
    r"\bproblems\s*\.set\(\s*",
    r"\bStatusCode::\w+,\s*",
    r"\(\s*[45]\d\d,\s*",
    r"\bErrorKind::\w+,\s*",
];

/// Literals with these prefixes are codes wherever they stand.
const FAMILIES: &str = r#""((?:agent|disk|net|store|telegram|whatsapp)_[a-z0-9_]+)""#;

/// Returns the codes of the program, each with a file that has it.
pub(crate) fn of_program() -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    for (file, text) in sources::before_tests("src") {
        for code in of_source(&text) {
            found.entry(code).or_insert_with(|| file.clone());
        }
    }
    found
}

/// Returns the codes in a source, without those of debug lines.
pub(crate) fn of_source(text: &str) -> BTreeSet<String> {
    let lines = text.lines().filter(|line| !line.trim_start().starts_with("//"));
    let text: String = lines.flat_map(|line| [line, "\n"]).collect();
    let pattern = |text: &str| Regex::new(text).expect("a pattern of ours");
    let all = |pattern: &Regex, text: &str| -> Vec<String> {
        pattern.captures_iter(text).map(|hit| hit[1].to_owned()).collect()
    };
    let mut found = BTreeSet::new();
    for way in WAYS {
        found.extend(all(&pattern(&format!("{way}{CODE}")), &text));
    }
    found.extend(all(&pattern(FAMILIES), &text));
    // One word may be anything; two are a code.
    found.extend(
        all(&pattern(&format!("const [A-Z_]+: &str = {CODE}")), &text)
            .into_iter()
            .filter(|code| code.contains('_')),
    );
    // A field of a log line, or a variable.
    let level = pattern(r"\b(trace|debug|info|warn|error)!\(");
    for hit in pattern(&format!(r"\bcode\s*=\s*{CODE}")).captures_iter(&text) {
        let before = &text[..hit.get(0).map_or(0, |whole| whole.start())];
        let level = level.captures_iter(before).last().map(|level| level[1].to_owned());
        if !matches!(level.as_deref(), Some("debug" | "trace")) {
            found.insert(hit[1].to_owned());
        }
    }
    // `fn code(&self)` of an error, and `as_str` of the findings' codes.
    let function =
        pattern(r"(?s)fn (?:code\(&self\)|as_str\(self\)) -> &'static str \{(.*?)\n    \s*\}\n\s*\}");
    let arm = pattern(&format!("=> {CODE}"));
    let is_code =
        |body: &str, name: &str| name.contains("fn code") || body.contains("Self::WhatsappNodeMissing");
    for hit in function.captures_iter(&text).filter(|hit| is_code(&hit[1], &hit[0])) {
        found.extend(all(&arm, &hit[1]));
    }
    found
}

/// Returns the codes of the bridge's source for which a message is given up.
pub(crate) fn of_bridge() -> BTreeSet<String> {
    let quoted = Regex::new(r"'([a-z][a-z0-9_]*)'").expect("a pattern of ours");
    let mut found = BTreeSet::new();
    for entry in std::fs::read_dir(root().join("assets/bridge")).expect("it is there").flatten() {
        if entry.path().extension().is_some_and(|ending| ending == "mjs") {
            let text = std::fs::read_to_string(entry.path()).expect("it is there");
            found.extend(quoted.captures_iter(&text).map(|hit| hit[1].to_owned()));
        }
    }
    found
}
