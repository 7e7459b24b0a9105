//! Pure. The grammar of `.env`: the place of each setting in the bytes, and the written form of a value.
//!
//! It is the common ground of dotenvy, python-dotenv (which reads the same file) and the shell:
//!
//! - `NAME=value`, with spaces around both and `export` before it as one likes; `#` begins a comment at the start of a
//!   line and after whitespace.
//! - Bare values go to the end of the line, inner spaces included, without escapes.
//! - `'…'` and `"…"` may span lines. `\\`, `\'` mean their sign in both; `\"`, `\$`, `\n`, `\r`, `\t` in double quotes only.
//!   A backslash before anything else is itself.
//! - Nothing is expanded: `$` is a sign like any other.
//! - A line that does not fit is skipped by itself; it never takes the lines after it along.

use std::ops::Range;

/// The quotes of a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Quote {
    /// Without quotes.
    Bare,
    /// `'…'`.
    Single,
    /// `"…"`.
    Double,
}

/// A setting and its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) key: String,
    pub(crate) value: String,
    /// Its line, line end included.
    pub(crate) whole: Range<usize>,
    /// Its value, quotes included.
    pub(crate) written: Range<usize>,
    pub(crate) quote: Quote,
}

/// A line that could not be used, or not as it was probably meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Oddity {
    /// Counts from 1.
    pub(crate) line: usize,
    pub(crate) what: &'static str,
}

/// The settings of a file in order, and its oddities.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Parsed {
    pub(crate) entries: Vec<Entry>,
    pub(crate) oddities: Vec<Oddity>,
}

const BOM: &[u8] = b"\xef\xbb\xbf";

/// Reads a whole file.
pub(crate) fn parse(bytes: &[u8]) -> Parsed {
    let mut parsed = Parsed::default();
    let mut at = if bytes.starts_with(BOM) { BOM.len() } else { 0 };
    let mut line = 1;
    while at < bytes.len() {
        let next = match entry(bytes, at) {
            Ok(None) => line_end(bytes, at).1,
            Ok(Some(entry)) => {
                if entry.quote != Quote::Single && entry.value.contains("${") {
                    parsed.oddities.push(Oddity { line, what: "contains `${…}`, which is not expanded" });
                }
                let next = entry.whole.end;
                parsed.entries.push(entry);
                next
            }
            Err(what) => {
                parsed.oddities.push(Oddity { line, what });
                line_end(bytes, at).1
            }
        };
        line += count_lines(&bytes[at..next]);
        at = next;
    }
    parsed
}

fn count_lines(bytes: &[u8]) -> usize {
    bytes.split(|byte| *byte == b'\n').count() - 1
}

/// Returns the ends of the line at `at`: without and with its line end.
fn line_end(bytes: &[u8], at: usize) -> (usize, usize) {
    match bytes[at..].iter().position(|byte| *byte == b'\n') {
        Some(offset) => {
            let newline = at + offset;
            let text_end = if newline > at && bytes[newline - 1] == b'\r' { newline - 1 } else { newline };
            (text_end, newline + 1)
        }
        None => (bytes.len(), bytes.len()),
    }
}

fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | 0x0b | 0x0c | b'\r')
}

fn skip_blanks(bytes: &[u8], mut at: usize, end: usize) -> usize {
    while at < end && is_blank(bytes[at]) {
        at += 1;
    }
    at
}

/// Returns the setting that begins on the line at `start`; `None` for blank lines and comments.
fn entry(bytes: &[u8], start: usize) -> Result<Option<Entry>, &'static str> {
    let (end, next) = line_end(bytes, start);
    let mut at = skip_blanks(bytes, start, end);
    if at == end || bytes[at] == b'#' {
        return Ok(None);
    }
    if bytes[at..end].starts_with(b"export") && bytes.get(at + 6).is_some_and(|byte| is_blank(*byte)) {
        let after = skip_blanks(bytes, at + 6, end);
        // `export = x` sets a variable of that name.
        if after < end && bytes[after] != b'=' {
            at = after;
        }
    }
    let key_end = (at..end)
        .find(|index| matches!(bytes[*index], b'=' | b'#') || is_blank(bytes[*index]))
        .unwrap_or(end);
    let equals = skip_blanks(bytes, key_end, end);
    if key_end == at || equals == end || bytes[equals] != b'=' {
        return Err("is not NAME=value");
    }
    let key = text(&bytes[at..key_end])?.to_owned();
    let value_at = skip_blanks(bytes, equals + 1, end);
    match bytes.get(value_at).filter(|_| value_at < end) {
        Some(b'\'') => quoted(bytes, start, key, value_at, Quote::Single).map(Some),
        Some(b'"') => quoted(bytes, start, key, value_at, Quote::Double).map(Some),
        Some(_) | None => {
            let written = bare(bytes, equals + 1, value_at, end);
            let value = text(&bytes[written.clone()])?.to_owned();
            Ok(Some(Entry { key, value, whole: start..next, written, quote: Quote::Bare }))
        }
    }
}

fn text(bytes: &[u8]) -> Result<&str, &'static str> {
    match std::str::from_utf8(bytes) {
        Ok(text) if text.contains('\0') => Err("contains a NUL character"),
        Ok(text) => Ok(text),
        Err(_) => Err("is not UTF-8"),
    }
}

/// Returns the place of a bare value: up to a comment or the end of the line, without the blanks before either.
fn bare(bytes: &[u8], after_equals: usize, value_at: usize, end: usize) -> Range<usize> {
    let is_comment =
        |index: &usize| bytes[*index] == b'#' && *index > after_equals && is_blank(bytes[index - 1]);
    let mut value_end = (value_at..end).find(is_comment).unwrap_or(end);
    while value_end > value_at && is_blank(bytes[value_end - 1]) {
        value_end -= 1;
    }
    if value_end == value_at {
        // An empty value stands right after `=`, so that a comment stays apart from what will be written there.
        return after_equals..after_equals;
    }
    value_at..value_end
}

fn quoted(bytes: &[u8], start: usize, key: String, open: usize, quote: Quote) -> Result<Entry, &'static str> {
    let sign = bytes[open];
    let mut at = open + 1;
    let mut value = Vec::new();
    loop {
        match bytes.get(at) {
            None => return Err("has an unclosed quote"),
            Some(byte) if *byte == sign => break,
            Some(b'\\') => {
                let (unescaped, len) = unescape(bytes.get(at + 1).copied(), quote);
                value.push(unescaped);
                at += len;
            }
            Some(byte) => {
                value.push(*byte);
                at += 1;
            }
        }
    }
    let close = at + 1;
    let (end, next) = line_end(bytes, close);
    let rest = skip_blanks(bytes, close, end);
    if rest < end && bytes[rest] != b'#' {
        return Err("has text after its closing quote");
    }
    let value = text(&value)?.to_owned();
    Ok(Entry { key, value, whole: start..next, written: open..close, quote })
}

/// Returns the meaning of a backslash before `next`, and the number of bytes that it takes.
fn unescape(next: Option<u8>, quote: Quote) -> (u8, usize) {
    match (quote, next) {
        (Quote::Single | Quote::Double, Some(sign @ (b'\\' | b'\''))) => (sign, 2),
        (Quote::Double, Some(sign @ (b'"' | b'$'))) => (sign, 2),
        (Quote::Double, Some(b'n')) => (b'\n', 2),
        (Quote::Double, Some(b'r')) => (b'\r', 2),
        (Quote::Double, Some(b't')) => (b'\t', 2),
        (Quote::Bare | Quote::Single | Quote::Double, _) => (b'\\', 1),
    }
}

/// Returns a value without the blanks and quotes around it. Docker's `--env-file`, Compose and people who quote twice leave
/// quotes in the value, where no setting wants them. Quotes that also stand inside belong to the value.
pub(crate) fn bare_value(text: &str) -> &str {
    let mut text = text.trim();
    while let Some(inner) = ['"', '\''].into_iter().find_map(|quote| {
        text.strip_prefix(quote)?.strip_suffix(quote).filter(|inner| !inner.contains(quote))
    }) {
        text = inner.trim();
    }
    text
}

/// True when the name can be written, and every reader accepts it.
pub(crate) fn is_key(key: &str) -> bool {
    key.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_')
        && key.chars().all(|sign| sign.is_ascii_alphanumeric() || sign == '_')
}

/// Returns the written form of a value, in the quotes asked for where every reader then reads the same value.
///
/// Two kinds of value have no form on which dotenvy and python-dotenv agree: `$` together with `'` or a backslash, and a
/// backslash at the end. They are written for dotenvy and this grammar.
pub(crate) fn render(value: &str, wish: Quote) -> String {
    let bare = |sign: char| sign.is_ascii_alphanumeric() || "_-.,:/@+=%*".contains(sign);
    let fits_bare = value.chars().all(bare);
    let fits_single = !value.contains(['\'', '\\']);
    match wish {
        Quote::Bare if fits_bare => value.to_owned(),
        Quote::Double if !value.contains('$') => double(value),
        Quote::Bare | Quote::Single | Quote::Double if fits_single => format!("'{value}'"),
        Quote::Bare | Quote::Single | Quote::Double => double(value),
    }
}

fn double(value: &str) -> String {
    let mut written = String::with_capacity(value.len() + 2);
    written.push('"');
    for sign in value.chars() {
        if matches!(sign, '\\' | '"' | '$') {
            written.push('\\');
        }
        written.push(sign);
    }
    written.push('"');
    written
}

/// Returns the line end that the file uses.
pub(crate) fn line_ending(bytes: &[u8]) -> &'static str {
    match bytes.iter().position(|byte| *byte == b'\n') {
        Some(newline) if newline > 0 && bytes[newline - 1] == b'\r' => "\r\n",
        Some(_) | None => "\n",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(text: &str) -> Vec<(String, String)> {
        parse(text.as_bytes()).entries.into_iter().map(|entry| (entry.key, entry.value)).collect()
    }

    #[test]
    fn settings_are_read_as_dotenv_readers_do() {
        for (text, value) in [
            ("A=1", "1"),
            ("\u{feff}A=1\r\n", "1"),
            ("  A \t=  1  ", "1"),
            ("export A=1", "1"),
            ("export \tA = 1", "1"),
            ("A=", ""),
            ("A=   ", ""),
            ("A= # note", ""),
            ("A=#general", "#general"),
            ("A=a#b", "a#b"),
            ("A=a # b", "a"),
            ("A=a b  c # d", "a b  c"),
            ("A=a=b==", "a=b=="),
            ("A=+1 555, +1 556", "+1 555, +1 556"),
            ("A=a\\nb", "a\\nb"),
            ("A=$X${Y}", "$X${Y}"),
            ("A=don't", "don't"),
            ("A='a # b' # c", "a # b"),
            ("A='a'#c", "a"),
            ("A='it\\'s'", "it's"),
            ("A='a\\nb\\\\'", "a\\nb\\"),
            ("A=\"a \\\"b\\\" \\\\ \\$c \\n\\t\\d\"", "a \"b\" \\ $c \n\t\\d"),
            ("A=\"two\nlines\"", "two\nlines"),
            ("A='ü — 😀'", "ü — 😀"),
        ] {
            assert_eq!(pairs(text), [("A".to_owned(), value.to_owned())], "{text:?}");
        }
    }

    #[test]
    fn quotes_around_a_whole_value_are_no_part_of_it() {
        for (text, value) in [
            ("\"abc\"", "abc"),
            ("'abc'", "abc"),
            (" '\"abc\"' \n", "abc"),
            ("\"a", "\"a"),
            ("\"", "\""),
            ("\"\"", ""),
            ("\"a\",\"b\"", "\"a\",\"b\""),
            ("it's", "it's"),
            ("[\"a\"]", "[\"a\"]"),
        ] {
            assert_eq!(bare_value(text), value, "{text:?}");
        }
    }

    #[test]
    fn export_is_a_name_too() {
        assert_eq!(
            pairs("export=1\nexport = 2"),
            [("export".to_owned(), "1".to_owned()), ("export".to_owned(), "2".to_owned())]
        );
    }

    #[test]
    fn an_unusable_line_is_named_by_its_number_and_takes_no_other_along() {
        for (bad, line) in [
            ("just words", 2),
            ("=x", 2),
            ("X='open", 2),
            ("X=\"open", 2),
            ("X='a'b", 2),
            ("X=\"a\" b", 2),
            ("X=\u{0}", 2),
            ("M='two\nlines'\n!", 4),
        ] {
            let text = format!("A=1\n{bad}\nB='2'\nC=\"3\"\n");
            let parsed = parse(text.as_bytes());
            assert_eq!(parsed.oddities.len(), 1, "{bad:?}: {:?}", parsed.oddities);
            assert_eq!(parsed.oddities[0].line, line, "{bad:?}");
            let keys: Vec<&str> = parsed.entries.iter().map(|entry| entry.key.as_str()).collect();
            assert!(keys.ends_with(&["B", "C"]), "{bad:?}: {keys:?}");
        }
        assert_eq!(parse(b"A=\xff\nB=1").entries.len(), 1);
        assert_eq!(parse(b"A=${B}\n").oddities.len(), 1);
    }

    #[test]
    fn values_keep_the_quotes_wished_for_where_they_can() {
        for (value, wish, written) in [
            ("true", Quote::Bare, "true"),
            ("", Quote::Bare, ""),
            ("true", Quote::Single, "'true'"),
            ("true", Quote::Double, "\"true\""),
            ("a b", Quote::Bare, "'a b'"),
            ("a#b", Quote::Bare, "'a#b'"),
            ("it's", Quote::Bare, "\"it's\""),
            ("it's", Quote::Single, "\"it's\""),
            ("a$b", Quote::Double, "'a$b'"),
            ("a\\b", Quote::Single, "\"a\\\\b\""),
            ("'$", Quote::Single, "\"'\\$\""),
        ] {
            assert_eq!(render(value, wish), written);
        }
    }
}
