//! The pages that people read: README.md and docs/, and their parts.

use std::path::{Path, PathBuf};

use super::sources::root;

/// A page of text.
pub(crate) struct Page {
    /// Its path, relative to the repository.
    pub(crate) name: String,
    /// Its text.
    pub(crate) text: String,
}

impl Page {
    /// Reads the page at this path, relative to the repository.
    pub(crate) fn read(name: &str) -> Self {
        let text = std::fs::read_to_string(root().join(name)).expect("the page is there");
        Self { name: name.to_owned(), text }
    }

    /// Returns the folder that its links start from.
    pub(crate) fn dir(&self) -> PathBuf {
        root().join(&self.name).parent().map(Path::to_path_buf).unwrap_or_default()
    }

    /// Returns the `hermes …` commands in its shell blocks and code spans, without `hermes`, each with its line.
    pub(crate) fn commands(&self) -> Vec<(usize, Vec<String>)> {
        let mut found = Vec::new();
        let mut fence: Option<String> = None;
        for (number, line) in (1..).zip(self.text.lines()) {
            let bare = line.trim_start();
            if let Some(language) = bare.strip_prefix("```") {
                fence = if fence.is_some() { None } else { Some(language.to_owned()) };
                continue;
            }
            let texts: Vec<String> = match fence.as_deref() {
                Some("sh") => vec![bare.to_owned()],
                Some("") => bare.strip_prefix("$ ").map(str::to_owned).into_iter().collect(),
                Some(_) => Vec::new(),
                None => spans(line),
            };
            found.extend(texts.iter().filter_map(|text| command(text)).map(|words| (number, words)));
        }
        found
    }

    /// Returns the first cells of its tables' rows that are one code span.
    pub(crate) fn rows(&self) -> Vec<(String, Vec<String>)> {
        let cells = |line: &str| -> Vec<String> {
            line.trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect()
        };
        let rows = self.text.lines().filter(|line| line.starts_with("| `")).map(cells);
        rows.map(|cells| (cells[0].clone(), cells)).collect()
    }

    /// Returns the anchors of its headings, as GitHub makes them.
    pub(crate) fn anchors(&self) -> Vec<String> {
        let mut is_code = false;
        let mut anchors = Vec::new();
        for line in self.text.lines() {
            is_code ^= line.trim_start().starts_with("```");
            let heading = line.trim_start_matches('#');
            if is_code || heading.len() == line.len() {
                continue;
            }
            let kept = |sign: char| match sign {
                ' ' => Some('-'),
                '-' | '_' => Some(sign),
                sign => sign.is_alphanumeric().then_some(sign),
            };
            anchors.push(heading.trim().to_lowercase().chars().filter_map(kept).collect());
        }
        anchors
    }
}

/// Returns all pages.
pub(crate) fn all() -> Vec<Page> {
    let mut names: Vec<String> = std::fs::read_dir(root().join("docs"))
        .expect("docs/ is there")
        .flatten()
        .map(|entry| format!("docs/{}", entry.file_name().to_string_lossy()))
        .filter(|name| name.ends_with(".md"))
        .collect();
    names.sort();
    names.insert(0, "README.md".to_owned());
    names.iter().map(|name| Page::read(name)).collect()
}

/// Returns the code spans of a line, none of which goes on in the next. In a table's first cell a command may be followed by
/// others of its family: `hermes dead list`, `show`.
fn spans(line: &str) -> Vec<String> {
    let cell = if line.starts_with("| `") { line[2..].split(" | ").next().unwrap_or(line) } else { line };
    assert!(line.matches('`').count().is_multiple_of(2), "a code span is cut by the end of its line: {line}");
    let mut family: Option<String> = None;
    let mut found = Vec::new();
    for span in cell.split('`').skip(1).step_by(2) {
        let is_word = !span.is_empty() && span.bytes().all(|byte| byte.is_ascii_lowercase());
        match family.as_ref() {
            Some(family) if is_word && cell.len() < line.len() => found.push(format!("{family} {span}")),
            _ => found.push(span.to_owned()),
        }
        if let Some((first, _)) = span.rsplit_once(' ').filter(|_| span.starts_with("hermes ")) {
            family = Some(first.to_owned());
        }
    }
    if cell.len() < line.len() {
        let rest = &line[2 + cell.len()..];
        found.extend(rest.split('`').skip(1).step_by(2).map(str::to_owned));
    }
    found
}

/// Returns the arguments of the command in a line of shell; `None` when it is another program's.
fn command(text: &str) -> Option<Vec<String>> {
    let words = words(text);
    let at = words.iter().position(|word| word == "hermes")?;
    let is_prefix = |word: &String| word.contains('=') || ["sudo", "-u", "hermes"].contains(&word.as_str());
    // `sudo -u hermes HERMES_HOME=… hermes telegram`: the user has the program's name.
    let at = words.iter().skip(at + 1).position(|word| word == "hermes").map_or(at, |next| at + 1 + next);
    let args = words[..at].iter().all(is_prefix).then(|| words[at + 1..].to_vec())?;
    // The name alone is the program, not a command.
    (!args.is_empty()).then_some(args)
}

/// Splits as a shell does, up to a comment, a redirection or a pipe.
fn words(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote = None;
    for sign in text.chars() {
        match (quote, sign) {
            (Some(end), sign) if sign == end => quote = None,
            (Some(_), sign) => word.get_or_insert_default().push(sign),
            (None, '"' | '\'') => {
                quote = Some(sign);
                word.get_or_insert_default();
            }
            (None, '#') if word.is_none() => break,
            (None, '<' | '>' | '|' | '&' | ';') => break,
            (None, ' ') => words.extend(word.take()),
            (None, sign) => word.get_or_insert_default().push(sign),
        }
    }
    words.extend(word);
    words
}
