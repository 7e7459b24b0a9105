//! Whatever the text: nothing visible is lost, the markup is well formed, and the parts fit.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::dialect;
use super::layout::lay_out;
use super::parts::{beginning, is_plain, parts, shown};
use super::reader::read;
use super::rich::{Rich, is_visible};
use super::split::Parts;
use crate::platforms::Platform;

/// Both platforms with markup.
pub(super) const PLATFORMS: [Platform; 2] = [Platform::Telegram, Platform::Whatsapp];

/// What people see of Telegram's HTML, with the addresses of its links and the languages of its code; or what Telegram
/// would say against it.
fn seen(html: &str) -> Result<(String, String), String> {
    let mut open: Vec<(&str, usize)> = Vec::new();
    let (mut text, mut behind) = (String::new(), String::new());
    let mut rest = html;
    while let Some(at) = rest.find('<') {
        text.push_str(&rest[..at]);
        let end = rest[at..].find('>').ok_or("a tag without end")? + at;
        let tag = &rest[at + 1..end];
        if let Some(name) = tag.strip_prefix('/') {
            let Some((last, start)) = open.pop() else { return Err(format!("</{name}> closes nothing")) };
            if last != name {
                return Err(format!("</{name}> closes <{last}>"));
            }
            if !is_visible(&text[start..]) {
                return Err(format!("an empty <{name}>"));
            }
        } else {
            let (name, attribute) = tag.split_once(' ').unwrap_or((tag, ""));
            let value = |key: &str| attribute.strip_prefix(key).and_then(|value| value.strip_suffix('"'));
            let inside = |other: &str| open.iter().any(|(name, _)| *name == other);
            let is_good = match (name, attribute) {
                ("b" | "i" | "s" | "code", "") => {
                    !(inside("code") || inside(name) || name == "code" && inside("a"))
                }
                ("pre", "") => !inside("pre") && !inside("a"),
                ("blockquote", "") => open.is_empty(),
                ("code", _) => inside("pre") && value("class=\"language-").is_some(),
                ("a", _) => !inside("a") && !inside("pre") && value("href=\"").is_some(),
                _ => false,
            };
            let value = value("class=\"language-").or_else(|| value("href=\"")).unwrap_or_default();
            if !is_good || value.contains(['"', '<']) {
                return Err(format!("<{tag}> in {open:?}"));
            }
            behind.push_str(value);
            behind.push('\n');
            open.push((name, text.len()));
        }
        rest = &rest[end + 1..];
    }
    text.push_str(rest);
    if !open.is_empty() {
        return Err(format!("{open:?} stay open"));
    }
    if text.contains('>') {
        return Err("a bare >".to_owned());
    }
    let bare = |text: &str| {
        text.replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", "\"").replace("&amp;", "&")
    };
    Ok((bare(&text), bare(&behind)))
}

/// Letters and digits, how often.
fn letters(text: &str) -> BTreeMap<char, usize> {
    let mut found = BTreeMap::new();
    for sign in text.chars().filter(|sign| sign.is_alphanumeric()) {
        *found.entry(sign).or_default() += 1;
    }
    found
}

/// Whatever the text: the parts fit, are well formed, and say together what the whole says. Returns what can be seen.
pub(super) fn examine(platform: Platform, markdown: &str, len_max: usize) -> Result<String, String> {
    let dialect = dialect::of(platform);
    let unit = platform.spec().text_unit;
    let rich = shown(dialect, markdown);
    sound(&rich)?;
    let mut said = String::new();
    let mut all = String::new();
    for part in Parts::new(dialect, &rich, len_max, unit) {
        let text = match platform {
            Platform::Telegram => {
                let (text, behind) = seen(&part)?;
                all.push_str(&behind);
                text
            }
            Platform::Whatsapp | Platform::Scripted(_) => part.clone(),
        };
        if unit.len(&text) > len_max {
            return Err(format!("{} > {len_max}: {part:?}", unit.len(&text)));
        }
        if !is_visible(&text) {
            return Err(format!("a blank part: {part:?}"));
        }
        said.push_str(&text);
        said.push('\n');
        all.push_str(&text);
        all.push('\n');
    }
    // A language is no text; whatever a mark is written with may be in the text too.
    if letters(&said) != letters(&rich.text) {
        return Err(format!("the parts say {said:?}, the whole says {:?}", rich.text));
    }
    Ok(all)
}

fn sound(rich: &Rich) -> Result<(), String> {
    let mut around: Vec<&super::rich::Span> = Vec::new();
    for span in &rich.spans {
        while around.last().is_some_and(|last| last.range.end <= span.range.start) {
            around.pop();
        }
        let is_within = around
            .last()
            .is_none_or(|last| last.range.start <= span.range.start && span.range.end <= last.range.end);
        if span.range.is_empty() || rich.text.get(span.range.clone()).is_none() || !is_within {
            return Err(format!("{span:?} in {around:?}"));
        }
        around.push(span);
    }
    Ok(())
}

/// Signs of Markdown, with `·` between them.
const FIXED: [&str; 4] = [
    "*·**·***·_·__·~~·~·`·``·\n·\n\n·\n·\n\n· · · ·\n> ·>> ·\n- ·\n* ·\n  - ·\n1. ·\n   2) ·\n    ·[·]·](·)·",
    "![·[^·]: ·\n[·][·<·>·&·&amp;·&lt;·|·\n|·|\n|-|-|\n|·\n|---|:-:|\n·\n# ·\n### ·\n---\n·\n===\n·\n```\n·",
    "\n```rust\n·\n~~~\n·\n````\n·- [x] ·- [ ] ·\\·\\*·\\\n·  \n·<b>·</b>·<!-- · -->·\n<div>\n·\"·'·(·.·,·:·/·",
    "-·。·，·「·」·（·）·！·“·”·😀·é·\u{200d}·\u{301}·\t·\r\n",
];

/// Words in what may stand around them. `\u{1}`: a word, `\u{2}`: a word in Chinese, `\u{3}`: an address.
const WORDS: [&str; 5] = [
    "\u{1}·\u{1} ·\u{2}·**\u{1}**·**\u{2}。**\u{2}·*\u{1}*·`\u{1}`·[\u{1}](\u{3})·[\u{1}](./\u{1})·",
    "![\u{1}](\u{3} \"\u{1}\")·[\u{1}][\u{1}]·\n[\u{1}]: \u{3}\n·\n[\u{1}]: \u{3} \"\u{1}\"\n·<\u{3}>·\u{3}·",
    "\u{3}/_\u{1}_/*\u{1}*·[^\u{1}]·\n[^\u{1}]: \u{1}\n·| \u{1} | \u{1} |·",
    "\n| \u{1} | \u{1} |\n|---|---|\n| \u{1} | \u{1} | \u{1} |\n·\n- \u{1}·\n1. \u{1}·\n> \u{1}·\n# \u{1}\n·",
    "```\u{1} \u{1}\n·<a@\u{1}.org>·<\u{1} \u{1}=\"\u{1}\">·[a]·\n[a]: \u{3}\n·[a][a]",
];

fn pieces(lines: &[&str]) -> impl Strategy<Value = String> {
    let pieces: Vec<_> = lines.concat().split('·').map(str::to_owned).collect();
    proptest::sample::select(pieces)
}

/// Markdown in which each word is another one, so that none can stand for one that is lost.
fn document() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        3 => pieces(&FIXED),
        4 => pieces(&WORDS),
        1 => "\\PC{0,4}",
    ];
    proptest::collection::vec(piece, 0..40).prop_map(|pieces| {
        let mut document = String::new();
        for (number, sign) in pieces.concat().chars().enumerate() {
            match sign {
                '\u{1}' => document.push_str(&format!("q{number}z")),
                '\u{2}' => document.push_str(&format!("这q{number}z所")),
                '\u{3}' => document.push_str(&format!("https://q{number}z.org/p")),
                sign => document.push(sign),
            }
        }
        document
    })
}

/// The words of a generated document.
fn words(document: &str) -> Vec<&str> {
    let mut words = Vec::new();
    for (at, _) in document.match_indices('q') {
        let digits = document[at + 1..].bytes().take_while(u8::is_ascii_digit).count();
        if digits > 0 && document[at + 1 + digits..].starts_with('z') {
            words.push(&document[at..at + digits + 2]);
        }
    }
    words
}

/// Some thousands; `PROPTEST_CASES` asks for more.
fn cases() -> ProptestConfig {
    let usual = ProptestConfig::default();
    ProptestConfig {
        cases: if usual.cases == 256 { 3000 } else { usual.cases },
        failure_persistence: None,
        ..usual
    }
}

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn nothing_visible_is_lost_in_random_documents(document in document(), len_max in 20_usize..400) {
        for platform in PLATFORMS {
            for len_max in [len_max, 4096] {
                let seen = examine(platform, &document, len_max).map_err(TestCaseError::fail)?;
                // A cut may go through a word.
                let seen: String = seen.chars().filter(|sign| !sign.is_whitespace() && !"*_~`>".contains(*sign)).collect();
                for word in words(&document) {
                    let before = document.split(word).next().unwrap_or_default().trim_end();
                    let is_language = platform == Platform::Whatsapp && before.ends_with(['`', '~']);
                    prop_assert!(
                        seen.contains(word) || is_language || len_max < 400 && document.len() > len_max,
                        "{word} of {document:?} is not in {seen:?}"
                    );
                }
            }
        }
    }

    #[test]
    fn no_text_is_too_strange(
        text in "[*_~`#\\[\\]()!\\\\<>|&:. a-c\u{e9}\nh/1-3\\-+=\u{3002}\u{4e00}\"\r\t]{0,80}|\\PC{0,80}",
        len_max in 20_usize..100,
    ) {
        for platform in PLATFORMS {
            examine(platform, &text, len_max).map_err(TestCaseError::fail)?;
        }
    }

    #[test]
    fn what_is_plain_needs_no_reading(text in "[a-z0-9 .,:=+\\-\u{4e00}é\n]{0,30}") {
        if is_plain(&text) {
            for platform in PLATFORMS {
                let dialect = dialect::of(platform);
                prop_assert_eq!(lay_out(&read(&text), dialect.form()), Rich::plain(&text));
            }
        }
    }
}

#[test]
fn hostile_text_costs_no_more_than_its_length() {
    let big = 100_000;
    let deep = |open: &str, close: &str| format!("{}a{}", open.repeat(10_000), close.repeat(10_000));
    for (name, text) in [
        ("stars", "*".repeat(big)),
        ("brackets", "[".repeat(big)),
        ("less", "<".repeat(big)),
        ("greater", ">".repeat(big)),
        ("quotes", "> ".repeat(big / 2) + "a"),
        ("lists", "- ".repeat(big / 2) + "a"),
        ("numbers", "1. ".repeat(big / 3) + "a"),
        ("openers", "*a ".repeat(big / 3)),
        ("closers", "a* ".repeat(big / 3)),
        ("both", "*a_ ".repeat(big / 4)),
        ("runs", "a**b".repeat(big / 4) + &"a***b_".repeat(big / 6)),
        ("bold", "**a** ".repeat(big / 6)),
        ("images", "![".repeat(big / 2)),
        ("nested images", deep("![", "](x)")),
        ("nested images by reference", format!("{}\n\n[r]: x", deep("![", "][r]"))),
        ("nested emphasis", deep("*a **", "** a*")),
        ("links", "[a](b) ".repeat(big / 7)),
        ("definitions", "[a]: b\n".repeat(big / 7)),
        ("definitions in quotes", "> [a]: b\n\n".repeat(big / 10)),
        ("addresses", "a://".repeat(big / 4)),
        ("paths", "a:\\".repeat(big / 3)),
        ("backslashes", "\\".repeat(big)),
        ("entities", "&amp;".repeat(big / 5)),
        ("wide table", format!("{}\n{}\n{}", "|a".repeat(2000), "|-".repeat(2000), "|\n".repeat(2000))),
        ("long cell", format!("|{}|\n|-|\n{}", "a".repeat(10_000), "|b|\n".repeat(10_000))),
        ("marks", "\u{301}".repeat(big / 2)),
        ("one word", "a".repeat(big)),
        ("spaces", format!("a{}b", " ".repeat(big))),
        ("breaks", format!("{}{}b", "> - ".repeat(1000), "\n".repeat(big))),
        ("ticks", (1..400).map(|len| "`".repeat(len) + " ").collect()),
        ("tags", format!("<div {}", "<br".repeat(big / 3))),
        ("line breaks", format!("<div>{}", "<br>".repeat(big / 4))),
        ("code", format!("```\n{}", "x\n".repeat(big / 2))),
    ] {
        for platform in PLATFORMS {
            let parts = parts(platform, &text);
            assert!(parts.len() < 20_000, "{name}: {} parts", parts.len());
            for part in &parts {
                let len = match platform {
                    Platform::Telegram => platform.spec().text_unit.len(&seen(part).unwrap().0),
                    Platform::Whatsapp | Platform::Scripted(_) => platform.spec().text_unit.len(part),
                };
                assert!(len <= platform.spec().text_len_max, "{name}");
            }
        }
    }
}

#[test]
fn what_grows_is_well_formed_at_each_length() {
    let text = "# T\n\nsome **bold** and `code`\n\n- a\n- [b](https://a.b)\n\n```rs\nlet a;\n```\n\n| a | b |\n|---|---|\n| c | d |\n";
    for (at, _) in text.char_indices().skip(1) {
        let beginning = beginning(Platform::Telegram, text[..at].trim_end(), " …").unwrap();
        seen(&beginning).unwrap();
    }
}
