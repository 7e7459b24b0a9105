//! Pure. The grammar of `.env`: the place of each setting in the bytes, and the written form of a value. dotenvy reads the
//! values, one at a time, so that a line which does not fit costs only itself.
//!
//! The meaning is that of python-dotenv, which reads the same file for hermes-agent:
//!
//! - `NAME=value`, with spaces around both and `export` before it as one likes; `#` begins a comment at the start of a
//!   line and after whitespace.
//! - Bare values go to the end of the line, inner spaces included, without escapes.
//! - `'…'` and `"…"` may span lines. `\\`, `\'` mean their sign in both; `\"`, `\$`, `\n`, `\r`, `\t` in double quotes only.
//!   A backslash before anything else is itself.
//! - Nothing is expanded: `$` is a sign like any other.
//! - A line that does not fit is skipped by itself; it never takes the lines after it along.

use std::ops::Range;
use std::sync::LazyLock;

use regex::bytes::{Match, Regex};

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

/// A blank or commented line, or an entry with its line; `_` stands for a blank. Quotes that do not fit end the match early.
static LINE: LazyLock<Regex> = LazyLock::new(|| {
    let pattern = r#"(?sx-u) ^ _* (?: (?: \# [^\n]* )? (?: \n | \z )
        | (?: export _+ )? (?<key> [^\s=\#]+ ) _* = (?:
            _* (?<quoted> ' (?: \\. | [^\\'] )* ' | " (?: \\. | [^\\"] )* " )
                (?: _* (?: \# [^\n]* )? (?: \n | \z ) )?
            | _* ['"]
            | (?<empty>) (?: _+ \# [^\n]* )? _* (?: \n | \z )
            | _* (?<bare> [^\n]+? ) (?: _+ \# [^\n]* )? _* (?: \n | \z ) ) )"#;
    Regex::new(&pattern.replace('_', r"[\s&&[^\n]]")).expect("the pattern is valid")
});

/// Reads a whole file.
pub(crate) fn parse(bytes: &[u8]) -> Parsed {
    let mut parsed = Parsed::default();
    let mut at = if bytes.starts_with(BOM) { BOM.len() } else { 0 };
    let mut line = 1;
    while at < bytes.len() {
        let mut next =
            bytes[at..].iter().position(|byte| *byte == b'\n').map_or(bytes.len(), |end| at + end + 1);
        match entry(bytes, at) {
            Ok(None) => {}
            Ok(Some(entry)) => {
                if entry.quote != Quote::Single && entry.value.contains("${") {
                    parsed.oddities.push(Oddity { line, what: "contains `${…}`, which is not expanded" });
                }
                next = entry.whole.end;
                parsed.entries.push(entry);
            }
            Err(what) => parsed.oddities.push(Oddity { line, what }),
        }
        line += bytes[at..next].iter().filter(|byte| **byte == b'\n').count();
        at = next;
    }
    parsed
}

/// Returns the setting that begins on the line at `start`; `None` for blank lines and comments.
fn entry(bytes: &[u8], start: usize) -> Result<Option<Entry>, &'static str> {
    let found = LINE.captures(&bytes[start..]).ok_or("is not NAME=value")?;
    let place = |part: Match<'_>| start + part.start()..start + part.end();
    let Some(key) = found.name("key") else { return Ok(None) };
    let key = text(key.as_bytes())?.to_owned();
    let quoted = found.name("quoted");
    let written = quoted.or(found.name("empty")).or(found.name("bare")).ok_or("has an unclosed quote")?;
    let whole = place(found.get_match());
    if whole.end < bytes.len() && bytes[whole.end - 1] != b'\n' {
        return Err("has text after its closing quote");
    }
    let text = text(written.as_bytes())?;
    let (quote, text) = match quoted {
        None => (Quote::Bare, text),
        Some(_) if text.starts_with('\'') => (Quote::Single, &text[1..text.len() - 1]),
        Some(_) => (Quote::Double, &text[1..text.len() - 1]),
    };
    let read = dotenvy::from_read_iter(format!("V={}", double(text, quote)).as_bytes()).next();
    let (_, value) = read.and_then(Result::ok).ok_or("has a value that cannot be read")?;
    Ok(Some(Entry { key, value, whole, written: place(written), quote }))
}

fn text(bytes: &[u8]) -> Result<&str, &'static str> {
    match std::str::from_utf8(bytes) {
        Ok(text) if text.contains('\0') => Err("contains a NUL character"),
        Ok(text) => Ok(text),
        Err(_) => Err("is not UTF-8"),
    }
}

/// Returns the text that stands in these quotes, in double quotes for dotenvy: with an escape for all that dotenvy would expand
/// or refuse, and python-dotenv takes as it is.
fn double(text: &str, quote: Quote) -> String {
    let mut written = String::with_capacity(text.len() + 2);
    written.push('"');
    let mut signs = text.chars().peekable();
    let known = match quote {
        Quote::Bare => "",
        Quote::Single => "\\'",
        Quote::Double => "\\'\"$n",
    };
    while let Some(sign) = signs.next() {
        match (sign, signs.peek().copied()) {
            ('\\', Some(next)) if known.contains(next) => {
                written.extend(['\\', next]);
                signs.next();
            }
            ('\\', Some(next @ ('r' | 't'))) if quote == Quote::Double => {
                written.push(if next == 'r' { '\r' } else { '\t' });
                signs.next();
            }
            ('\\' | '"' | '$', _) => written.extend(['\\', sign]),
            _ => written.push(sign),
        }
    }
    written.push('"');
    written
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
        Quote::Double if !value.contains('$') => double(value, Quote::Bare),
        Quote::Bare | Quote::Single | Quote::Double if fits_single => format!("'{value}'"),
        Quote::Bare | Quote::Single | Quote::Double => double(value, Quote::Bare),
    }
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
    use proptest::prelude::*;

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

    proptest! {
        #[test]
        fn reading_what_was_written_gives_the_value_back(
            value in "[^\0]{0,20}|[a-z'\"\\\\$#={} \n\r\t]{0,12}",
            wish in prop::sample::select(vec![Quote::Bare, Quote::Single, Quote::Double]),
        ) {
            prop_assert_eq!(pairs(&format!("A={} # c", render(&value, wish))), [("A".to_owned(), value)]);
        }
    }
}
