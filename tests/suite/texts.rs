//! Every text of the program that a person may read, in one place: the snapshots `suite__texts__*`, one a subject.
//!
//! The texts are the string literals of `src`, without those of tests, assertions and SQL. Help pages have a separate
//! snapshot (`help.rs`). Words that our readers stumbled over are refused, here and in the documents ([`OUT`]).

use std::collections::BTreeMap;

use proc_macro2::{Delimiter, Literal, TokenStream, TokenTree};

use crate::support::sources;
use crate::support::words;

/// One text and its place.
struct Text {
    file: String,
    line: usize,
    words: String,
}

/// Macros and methods whose strings only developers read.
const FOR_DEVELOPERS: [&str; 8] =
    ["expect", "assert", "assert_eq", "assert_ne", "debug_assert", "unreachable", "panic", "cfg"];

/// The first words of a statement for the store.
const SQL: [&str; 14] = [
    "AND", "ALTER", "BEGIN", "CREATE", "DELETE", "DROP", "FROM", "INSERT", "ORDER", "PRAGMA", "REPLACE",
    "SELECT", "UPDATE", "WITH",
];

/// Files whose strings are patterns of other programs' output, or programs themselves.
const NOT_TEXTS: [&str; 3] =
    ["src/gateway/agent/refusal.rs", "src/gateway/agent/thinking.rs", "src/bridge/install/npm.rs"];

fn texts() -> Vec<Text> {
    let mut found = Vec::new();
    for (file, source) in sources::whole("src") {
        if NOT_TEXTS.contains(&file.as_str()) {
            continue;
        }
        let tokens = source.parse().unwrap_or_else(|why| panic!("{file}: {why}"));
        collect(tokens, &mut |literal| {
            let Ok(text) = syn::parse_str::<syn::LitStr>(&literal.to_string()) else { return };
            let words = text.value();
            if is_text(&words) {
                found.push(Text { file: file.clone(), line: literal.span().start().line, words });
            }
        });
    }
    found
}

/// Collects every literal of a file, without attributes, test modules and texts that only developers read.
fn collect(stream: TokenStream, found: &mut dyn FnMut(Literal)) {
    let mut tokens = stream.into_iter().peekable();
    while let Some(token) = tokens.next() {
        match token {
            TokenTree::Punct(punct) if punct.as_char() == '#' => {
                tokens.next_if(|next| matches!(next, TokenTree::Punct(mark) if mark.as_char() == '!'));
                let attribute = tokens.next_if(
                    |next| matches!(next, TokenTree::Group(group) if group.delimiter() == Delimiter::Bracket),
                );
                let Some(TokenTree::Group(attribute)) = attribute else { continue };
                let words = attribute.stream().to_string().replace(' ', "");
                if words.starts_with("error(") {
                    collect(attribute.stream(), found);
                } else if words == "cfg(test)" {
                    // The item that follows: up to its body or its semicolon.
                    tokens.by_ref().find(|next| match next {
                        TokenTree::Group(group) => group.delimiter() == Delimiter::Brace,
                        TokenTree::Punct(punct) => punct.as_char() == ';',
                        TokenTree::Ident(_) | TokenTree::Literal(_) => false,
                    });
                }
            }
            TokenTree::Ident(ident) if FOR_DEVELOPERS.contains(&ident.to_string().as_str()) => {
                tokens.next_if(|next| matches!(next, TokenTree::Punct(mark) if mark.as_char() == '!'));
                tokens.next_if(|next| matches!(next, TokenTree::Group(_)));
            }
            TokenTree::Group(group) => collect(group.stream(), found),
            TokenTree::Literal(literal) => found(literal),
            TokenTree::Punct(_) | TokenTree::Ident(_) => {}
        }
    }
}

/// True for two words or more that are neither a statement for the store nor a regular expression with flags.
fn is_text(text: &str) -> bool {
    let words = text.split_whitespace().filter(|word| word.chars().any(char::is_alphabetic)).count();
    let is_sql = text.split_whitespace().next().is_some_and(|first| SQL.contains(&first));
    words >= 2 && !is_sql && !text.starts_with("(?")
}

/// Returns the folder that shows the subject of a file.
fn subject(file: &str) -> String {
    let parts: Vec<&str> = file.trim_start_matches("src/").split('/').collect();
    let folders = match parts.as_slice() {
        ["gateway", room, _, ..] => vec!["gateway", *room],
        [room, _, ..] => vec![*room],
        _ => vec![parts[0]],
    };
    folders.join("_").trim_end_matches(".rs").to_owned()
}

#[test]
fn every_text_stands_in_its_snapshot() {
    let mut subjects: BTreeMap<String, String> = BTreeMap::new();
    let mut last = String::new();
    let all = texts();
    assert!(all.len() > 1_000, "only {} texts were found", all.len());
    for text in all {
        let page = subjects.entry(subject(&text.file)).or_default();
        if text.file != last {
            *page += &format!("\n{}\n", text.file);
            last.clone_from(&text.file);
        }
        *page += &format!(
            "    {}\n",
            text.words.escape_debug().to_string().replace("\\'", "'").replace("\\\"", "\"")
        );
    }
    let stored = sources::files("tests/suite/snapshots", &[".snap"]).into_iter().filter_map(|path| {
        let name = path.file_name()?.to_string_lossy().into_owned();
        Some(name.strip_prefix("suite__texts__")?.strip_suffix(".snap")?.to_owned())
    });
    let stale: Vec<String> = stored.filter(|subject| !subjects.contains_key(subject)).collect();
    assert!(stale.is_empty(), "remove the snapshots of subjects that are no more: {stale:?}");
    for (subject, page) in subjects {
        insta::assert_snapshot!(subject, page.trim_start());
    }
}

#[test]
fn no_text_holds_a_word_that_is_out() {
    let complaints: Vec<String> = texts()
        .iter()
        .flat_map(|text| {
            words::out(&text.words)
                .into_iter()
                .map(move |(_, word, better)| format!("{}:{}: `{word}`: {better}", text.file, text.line))
        })
        .collect();
    assert!(complaints.is_empty(), "\n{}\n", complaints.join("\n"));
}
