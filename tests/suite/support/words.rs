//! Words that are not used in texts for people, with what is written instead. This is the one list.

use regex::RegexBuilder;

/// A pattern, and what to write instead. Blanks stand for any white space.
const OUT: [(&str, &str); 8] = [
    (r"whoever", "name the person: \"everyone who\", \"the person who\""),
    (r"nobody", "\"no one\", or turn the sentence"),
    (r"anew", "\"again\""),
    (r"is told", "say what the program does: \"the chat gets an error\""),
    (r"(?:let|lets|letting) in", "\"approve\", \"allow\", \"accept\""),
    (r"of its own", "\"separate\", or leave it out"),
    (r"mend(?:s|ed|ing)?", "\"repair\", \"fix\""),
    (r"is no \w+", "\"is not a\""),
];

/// Ends of hits that are plain all the same.
const PLAIN: [&str; 2] = ["no longer", "no one"];

/// Each use of such a word: its line, the word, and what to write instead.
pub(crate) fn out(text: &str) -> Vec<(usize, String, &'static str)> {
    let mut found = Vec::new();
    for (pattern, instead) in OUT {
        let pattern = format!(r"\b{}\b", pattern.replace(' ', r"\s+"));
        let pattern = RegexBuilder::new(&pattern).case_insensitive(true).build().expect("a pattern of ours");
        for hit in
            pattern.find_iter(text).filter(|hit| !PLAIN.iter().any(|plain| hit.as_str().ends_with(plain)))
        {
            let line = text[..hit.start()].matches('\n').count() + 1;
            found.push((line, hit.as_str().split_whitespace().collect::<Vec<_>>().join(" "), instead));
        }
    }
    found.sort_unstable();
    found
}

/// The string literals of Rust that hold more than one word, each after as many newlines as stand before it in the source.
pub(crate) fn literals(source: &str) -> String {
    let mut kept = String::new();
    let mut rest = source;
    while let Some(sign) = rest.chars().next() {
        let (len, text) = token(rest, sign);
        let whole = &rest[..len];
        match text.filter(|text| text.contains(' ')) {
            // A line that goes on is one text.
            Some(text) => kept.push_str(&text.replace("\\\n", "\n")),
            None => kept.extend(whole.chars().filter(|sign| *sign == '\n')),
        }
        rest = &rest[len..];
    }
    kept
}

/// The length of the next piece of source, and its text where it is a string literal.
fn token(rest: &str, sign: char) -> (usize, Option<&str>) {
    if rest.starts_with("//") {
        return (rest.find('\n').unwrap_or(rest.len()), None);
    }
    // `'"'` and `'\''` are characters; a lifetime has no quote behind its first letter.
    if sign == '\'' {
        let escaped = rest[1..].starts_with('\\');
        let body: usize = rest[1..].chars().take(1 + usize::from(escaped)).map(char::len_utf8).sum();
        let is_character = rest[1 + body..].starts_with('\'');
        return (if is_character { body + 2 } else { 1 }, None);
    }
    if sign == 'r' {
        let hashes = rest[1..].bytes().take_while(|byte| *byte == b'#').count();
        let open = 1 + hashes;
        if rest[open..].starts_with('"') {
            let end = format!("\"{}", "#".repeat(hashes));
            let text = rest[open + 1..].split(&end).next().unwrap_or_default();
            return ((open + 1 + text.len() + end.len()).min(rest.len()), Some(text));
        }
    }
    if sign == '"' {
        let mut is_escaped = false;
        let end = rest[1..].find(|sign| {
            let is_end = sign == '"' && !is_escaped;
            is_escaped = sign == '\\' && !is_escaped;
            is_end
        });
        let len = end.unwrap_or(rest.len() - 1);
        return ((len + 2).min(rest.len()), Some(&rest[1..=len]));
    }
    // A name is taken whole, so that its last letter is not the beginning of a raw string.
    let name = rest.find(|sign: char| !sign.is_alphanumeric() && sign != '_').unwrap_or(rest.len());
    (
        if name > 0 && !rest.starts_with("r\"") && !rest.starts_with("r#\"") {
            name
        } else {
            sign.len_utf8()
        },
        None,
    )
}
