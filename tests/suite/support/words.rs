//! Words that are not used in texts for people, with what is written instead. This is the one list.

use std::sync::LazyLock;

use regex::{Regex, RegexBuilder};

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

static PATTERNS: LazyLock<Vec<(Regex, &str)>> = LazyLock::new(|| {
    let whole = |pattern: &str| format!(r"\b{}\b", pattern.replace(' ', r"\s+"));
    let built = |pattern| RegexBuilder::new(&whole(pattern)).case_insensitive(true).build();
    OUT.iter().map(|(pattern, instead)| (built(pattern).expect("a pattern of ours"), *instead)).collect()
});

/// Ends of hits that are plain all the same.
const PLAIN: [&str; 2] = ["no longer", "no one"];

/// Each use of such a word: its line, the word, and what to write instead.
pub(crate) fn out(text: &str) -> Vec<(usize, String, &'static str)> {
    let mut found = Vec::new();
    for (pattern, instead) in PATTERNS.iter() {
        for hit in pattern.find_iter(text) {
            // "There is no terminal" is plain.
            let is_plain = text[..hit.start()].trim_end().to_lowercase().ends_with("there")
                || PLAIN.iter().any(|plain| hit.as_str().ends_with(plain));
            if is_plain {
                continue;
            }
            let line = text[..hit.start()].matches('\n').count() + 1;
            found.push((line, hit.as_str().split_whitespace().collect::<Vec<_>>().join(" "), *instead));
        }
    }
    found.sort_unstable();
    found
}
