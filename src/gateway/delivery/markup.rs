//! Pure. An agent's Markdown as the platform writes it.
//!
//! WhatsApp: `*bold*`, `_italic_`, `~struck~`, no headings, no link texts; code is written the same and left alone.

use crate::platform::Platform;

/// The text in the platform's own markup.
pub fn render(platform: Platform, markdown: &str) -> String {
    match platform {
        Platform::Whatsapp => whatsapp(markdown),
        // Telegram's tags must not be cut in two: its link writes them, part by part.
        Platform::Telegram | Platform::Scripted(_) => markdown.to_owned(),
    }
}

fn whatsapp(markdown: &str) -> String {
    let mut out = String::with_capacity(markdown.len());
    let mut in_code = false;
    for line in markdown.split_inclusive('\n') {
        let (text, end) = match line.strip_suffix('\n') {
            Some(text) => (text.strip_suffix('\r').unwrap_or(text), "\n"),
            None => (line, ""),
        };
        let trimmed = text.trim();
        if trimmed.starts_with("```") && (in_code || !trimmed[3..].contains('`')) {
            // The language's name would be shown as code.
            out.push_str("```");
            in_code = !in_code;
        } else if in_code {
            out.push_str(text);
        } else if let Some(heading) = heading(text) {
            out.push('*');
            out.push_str(&inline(heading).replace('*', ""));
            out.push('*');
        } else {
            let (bullet, item) = bullet(text);
            out.push_str(bullet);
            out.push_str(&inline(item));
        }
        out.push_str(end);
    }
    out
}

/// The text of a heading.
fn heading(line: &str) -> Option<&str> {
    let hashes = line.len() - line.trim_start_matches('#').len();
    let text = line[hashes..].strip_prefix(' ')?.trim().trim_end_matches('#').trim_end();
    ((1..=6).contains(&hashes) && !text.is_empty()).then_some(text)
}

/// A star that begins a list entry is no emphasis.
fn bullet(line: &str) -> (&str, &str) {
    let indent = line.len() - line.trim_start().len();
    match line[indent..].get(..2) {
        Some("* " | "- " | "+ ") => line.split_at(indent + 2),
        Some(_) | None => line.split_at(indent),
    }
}

/// Emphasis, code and links within a line.
fn inline(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let taken = match first {
            '\\' => escaped(rest),
            '`' => code(rest),
            '!' | '[' => link(rest),
            'h' => bare_link(rest),
            '*' | '_' | '~' => emphasis(rest, out.chars().next_back()),
            _ => None,
        };
        match taken {
            Some((written, len)) => {
                out.push_str(&written);
                rest = &rest[len..];
            }
            None => {
                // A run of one sign is taken as a whole: half of it would mean something else.
                let run = rest.len() - rest.trim_start_matches(first).len();
                let run = if matches!(first, '*' | '_' | '~' | '`') { run } else { first.len_utf8() };
                out.push_str(&rest[..run]);
                rest = &rest[run..];
            }
        }
    }
    out
}

/// What is written, and how much of the text it stands for.
type Taken = Option<(String, usize)>;

fn escaped(text: &str) -> Taken {
    let sign = text[1..].chars().next()?;
    matches!(sign, '\\' | '#' | '+' | '-' | '.' | '!' | '[' | ']' | '(' | ')' | '{' | '}' | '<' | '>' | '|')
        .then(|| (sign.to_string(), 1 + sign.len_utf8()))
}

fn code(text: &str) -> Taken {
    let ticks = text.len() - text.trim_start_matches('`').len();
    let fence = &text[..ticks];
    let end = ticks + text[ticks..].find(fence)? + ticks;
    Some((text[..end].to_owned(), end))
}

fn link(text: &str) -> Taken {
    let start = if text.starts_with('!') { 1 } else { 0 };
    let inner = text[start..].strip_prefix('[')?;
    let label_end = inner.find("](")?;
    let label = &inner[..label_end];
    if label.contains(['[', ']']) {
        return None;
    }
    let target = &inner[label_end + 2..];
    // Addresses may hold brackets in pairs.
    let mut depth = 1_u32;
    let target_end = target.char_indices().find_map(|(at, sign)| {
        match sign {
            '(' => depth += 1,
            ')' => depth -= 1,
            _ => {}
        }
        (depth == 0).then_some(at)
    })?;
    let address = target[..target_end].split_whitespace().next()?;
    let written = if label.trim().is_empty() || label == address {
        address.to_owned()
    } else {
        format!("{} ({address})", inline(label))
    };
    Some((written, start + 1 + label_end + 2 + target_end + 1))
}

/// An address as it stands: signs in it are no emphasis.
fn bare_link(text: &str) -> Taken {
    if !text.starts_with("http://") && !text.starts_with("https://") {
        return None;
    }
    let len = text
        .find(|c: char| c.is_whitespace() || matches!(c, '<' | '>' | ')' | ']' | '*'))
        .unwrap_or(text.len());
    Some((text[..len].to_owned(), len))
}

fn emphasis(text: &str, before: Option<char>) -> Taken {
    let sign = text.chars().next()?;
    let run = text.len() - text.trim_start_matches(sign).len();
    let (open, close) = match (sign, run) {
        ('*' | '_', 3) => ("*_", "_*"),
        ('*' | '_', 2) => ("*", "*"),
        ('*' | '_', 1) => ("_", "_"),
        ('~', 2) => ("~", "~"),
        _ => return None,
    };
    // `snake_case` is no emphasis, and neither is `2 * 3 * 4`.
    if sign == '_' && before.is_some_and(char::is_alphanumeric) {
        return None;
    }
    let marker = &text[..run];
    let inner = &text[run..];
    if inner.chars().next()?.is_whitespace() {
        return None;
    }
    let end = closing(inner, marker)?;
    Some((format!("{open}{}{close}", inline(&inner[..end])), run + end + run))
}

/// Where the marker closes what it opened: a run of just its length, after something that is no space.
fn closing(inner: &str, marker: &str) -> Option<usize> {
    let sign = marker.chars().next()?;
    let mut at = 0;
    while let Some(found) = inner[at..].find(sign) {
        let start = at + found;
        let run = inner[start..].len() - inner[start..].trim_start_matches(sign).len();
        let after = inner[start + run..].chars().next();
        let spaced = inner[..start].chars().next_back().is_none_or(char::is_whitespace);
        let in_word = sign == '_' && after.is_some_and(char::is_alphanumeric);
        if run == marker.len() && !spaced && !in_word {
            return Some(start);
        }
        at = start + run;
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn markdown_becomes_whatsapps_markup() {
        for (markdown, expected) in [
            ("plain", "plain"),
            ("**bold** and __bold__", "*bold* and *bold*"),
            ("*italic* and _italic_", "_italic_ and _italic_"),
            ("***both***", "*_both_*"),
            ("~~gone~~", "~gone~"),
            ("**bold with *italic* in it**", "*bold with _italic_ in it*"),
            ("# Title\ntext", "*Title*\ntext"),
            ("### **Title** ##", "*Title*"),
            ("#hashtag", "#hashtag"),
            ("* one\n- two\n  * **three**", "* one\n- two\n  * *three*"),
            ("see [the docs](https://example.com/a_b_c)", "see the docs (https://example.com/a_b_c)"),
            ("[https://example.com](https://example.com)", "https://example.com"),
            ("[wiki](https://example.com/a_(b) \"title\")", "wiki (https://example.com/a_(b))"),
            ("![a cat](https://example.com/cat.png)", "a cat (https://example.com/cat.png)"),
            ("https://example.com/_a_/**b", "https://example.com/_a_/**b"),
            ("**https://example.com**", "*https://example.com*"),
            ("`**code**` stays", "`**code**` stays"),
            (
                "```rust\nlet a = **b;\n# no title\n```\n**after**",
                "```\nlet a = **b;\n# no title\n```\n*after*",
            ),
            ("snake_case_name", "snake_case_name"),
            ("2 * 3 * 4", "2 * 3 * 4"),
            ("a ** b ** c", "a ** b ** c"),
            ("**never closed", "**never closed"),
            ("a \\# and \\[x\\]", "a # and [x]"),
            ("line\r\nline", "line\nline"),
        ] {
            assert_eq!(render(Platform::Whatsapp, markdown), expected, "{markdown}");
        }
    }

    proptest! {
        #[test]
        fn no_text_is_too_strange(text in "[*_~`#\\[\\]()!\\\\ a-c\u{e9}\nh:/t]{0,60}|\\PC{0,60}") {
            let kept = |text: &str| -> Vec<char> { text.chars().filter(|c| c.is_alphabetic()).collect() };
            let rendered = render(Platform::Whatsapp, &text);
            if !text.contains("```") && !text.contains("](") {
                prop_assert_eq!(kept(&rendered), kept(&text));
            }
        }
    }
}
