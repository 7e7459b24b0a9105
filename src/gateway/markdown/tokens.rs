//! Pure. What a token of the text is: markers inside it are text.
//!
//! Emphasis begins and ends only at the border of a token, so that `5*3*2`, `snake_case` and addresses stay as they are.
//! Scripts without spaces between words (Chinese, Japanese, Thai …) have a border at each character, also beside their
//! punctuation; there CommonMark's own rule fails: <https://github.com/tats-u/markdown-cjk-friendly>.

use std::ops::Range;

/// Signs on whose outer side a word goes on, as in `a.*b*.c`.
const JOINTS: &str = ".:-+^~|_";

/// Signs that belong to a path, an address or a name, whatever stands on their other side.
const FIRM_JOINTS: &str = "/\\@#$=&%";

/// Longer tags are no `<br />`.
const LINE_BREAK_LEN_MAX: usize = 8;

/// The characters that write emphasis.
pub(super) fn is_marker(sign: char) -> bool {
    matches!(sign, '*' | '_' | '~')
}

/// A character of a script that puts no spaces between words, or of Korean, whose endings follow a word directly.
fn is_unspaced(sign: char) -> bool {
    matches!(u32::from(sign),
        0x0e00..=0x109f | 0x1100..=0x11ff | 0x1780..=0x17ff | 0x1950..=0x19df | 0x1a20..=0x1aaf | 0x2e80..=0xa4cf
        | 0xa960..=0xa9df | 0xac00..=0xd7ff | 0xf900..=0xfaff | 0xfe30..=0xfe4f | 0xff01..=0xffef
        | 0x1_b000..=0x1_b2ff | 0x2_0000..=0x3_ffff)
}

/// A letter, a digit, or a sign that belongs to a letter.
fn is_word(sign: char) -> bool {
    let is_danda = matches!(sign, '\u{964}' | '\u{965}');
    sign.is_alphanumeric()
        || matches!(sign, '\u{300}'..='\u{36f}' | '\u{900}'..='\u{dff}' | '\u{200c}' | '\u{200d}')
            && !is_danda
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Space,
    Word,
    Unspaced,
    Other,
}

/// What stands beside a marker.
#[derive(Clone, Copy)]
struct Side {
    near: Option<char>,
    far: Option<char>,
    kind: Kind,
}

impl Side {
    fn of(mut signs: impl Iterator<Item = char>, marker: char) -> Self {
        let near = signs.find(|sign| !matches!(sign, '\u{fe00}'..='\u{fe0f}' | '\u{e0100}'..='\u{e01ef}'));
        let kind = match near {
            None => Kind::Space,
            Some(sign) if sign.is_whitespace() => Kind::Space,
            // An underscore is part of names in every script.
            Some(sign) if is_unspaced(sign) && !(marker == '_' && is_word(sign)) => Kind::Unspaced,
            Some(sign) if is_word(sign) => Kind::Word,
            Some(_) => Kind::Other,
        };
        Self { near, far: signs.next(), kind }
    }

    fn near_is(self, signs: &str) -> bool {
        self.near.is_some_and(|sign| signs.contains(sign))
    }

    /// True when a token may end between this side and the marker, where single stars and underscores stand.
    fn is_border(self) -> bool {
        let far_is_word = self.far.is_some_and(is_word);
        if self.near_is("/\\") {
            // `*der*/*die*`
            return self.near_is("/") && self.far.is_some_and(is_marker);
        }
        !(far_is_word && self.near_is(JOINTS))
    }
}

/// What a run of markers may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Role {
    pub(super) opens: bool,
    pub(super) closes: bool,
    /// A slash stands on its inner side when it opens, on its outer when it closes: two such runs are a file glob.
    pub(super) globs: [bool; 2],
}

/// The role of the run of markers in this place of the text.
pub(super) fn role(source: &str, run: &Range<usize>, marker: char) -> Role {
    let before = Side::of(source[..run.start].chars().rev(), marker);
    let after = Side::of(source[run.end..].chars(), marker);
    let is_strict = marker == '_' || run.len() == 1;
    let slash = |side: Side| side.near_is("/\\");
    let opens = after.kind != Kind::Space
        && match before.kind {
            Kind::Space | Kind::Unspaced => true,
            Kind::Word => after.kind == Kind::Unspaced,
            Kind::Other if is_strict => {
                let is_firm = before.near_is(FIRM_JOINTS) && !slash(before);
                !is_firm && !before.near_is(")]}") && before.is_border()
            }
            Kind::Other => {
                !(before.near_is(")]}") && after.near_is("([{") || slash(before) && after.near_is("/\\.*"))
            }
        }
        // `*.rs`, `*/5`
        && !(run.len() == 1
            && (slash(after)
                || after.near_is(".") && after.far.is_some_and(|far| is_word(far) || matches!(far, '*' | '{'))));
    let closes = before.kind != Kind::Space
        && match after.kind {
            Kind::Space | Kind::Unspaced => true,
            Kind::Word => before.kind == Kind::Unspaced,
            Kind::Other if is_strict => {
                let is_firm = after.near_is(FIRM_JOINTS) && !slash(after) && after.far.is_some_and(is_word);
                !is_firm && after.is_border()
            }
            Kind::Other => !(slash(before) && slash(after)),
        };
    Role { opens, closes, globs: [slash(after), slash(before)] }
}

/// Letters, digits and underscores in a row.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Word {
    range: Range<usize>,
    /// A name of a program, as `__init__`: CommonMark makes it bold, and answers about code mean the name.
    pub(super) is_name: bool,
}

impl Word {
    /// True when this place of the text is in it.
    pub(super) fn holds(&self, at: usize) -> bool {
        self.range.contains(&at)
    }
}

/// The word around the underscore in this place.
pub(super) fn word(source: &str, at: usize) -> Word {
    let is_part = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_';
    let bytes = source.as_bytes();
    let start = at - bytes[..at].iter().rev().take_while(|byte| is_part(byte)).count();
    let end = at + bytes[at..].iter().take_while(|byte| is_part(byte)).count();
    let inner = source[start..end].strip_prefix("__").and_then(|rest| rest.strip_suffix("__"));
    let is_name =
        inner.is_some_and(|inner| !inner.is_empty() && !inner.starts_with('_') && !inner.ends_with('_'));
    Word { range: start..end, is_name }
}

/// An address or a path in the text: no emphasis begins in it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Place {
    range: Range<usize>,
    /// A path of Windows: its backslashes are no escapes.
    is_path: bool,
}

/// All addresses and paths, in order.
pub(super) fn places(source: &str) -> Vec<Place> {
    let mut places: Vec<Place> = Vec::new();
    let mut from = 0;
    while let Some(found) = source[from..].find([':', '\\']) {
        let at = from + found;
        let rest = &source[at..];
        let is_url = rest.starts_with("://");
        from = at + 1;
        if !is_url && !rest.starts_with(":\\") && !rest.starts_with("\\\\") {
            continue;
        }
        let bound = places.last().map_or(0, |place| place.range.end);
        let head = &source[bound..at];
        let is_scheme = |sign: char| sign.is_ascii_alphanumeric() || matches!(sign, '+' | '.' | '-');
        let start = at - (head.len() - head.trim_end_matches(is_scheme).len());
        let is_begin = source[..start].chars().next_back().is_none_or(|sign| !is_word(sign) && sign != '\\');
        if !is_url {
            let letters = &source[start..at];
            let is_drive = rest.starts_with(':')
                && letters.len() == 1
                && letters.bytes().all(|byte| byte.is_ascii_alphabetic());
            let is_share = letters.is_empty() && is_share(rest);
            if !is_begin || !(is_drive || is_share) {
                continue;
            }
        }
        let end = at + end(rest, is_url);
        places.push(Place { range: start..end, is_path: !is_url });
        from = end.max(from);
    }
    places
}

/// `\\server\share`
fn is_share(text: &str) -> bool {
    let name = &text[2..];
    let len = name.find(|sign: char| !sign.is_ascii_alphanumeric() && !matches!(sign, '-' | '.' | '_'));
    len.is_some_and(|len| {
        len > 0
            && name[len..].starts_with('\\')
            && name[len + 1..].starts_with(|sign: char| sign.is_ascii_alphanumeric() || sign == '$')
    })
}

/// How long the address or path is.
fn end(text: &str, is_url: bool) -> usize {
    let mut depth = 0_u32;
    let end = text.find(|sign: char| match sign {
        '(' => {
            depth += 1;
            false
        }
        ')' if depth > 0 => {
            depth -= 1;
            false
        }
        ')' | ']' | '<' | '>' | '"' | '`' | '|' => true,
        _ => sign.is_whitespace() || is_url && is_unspaced(sign) && !is_word(sign),
    });
    end.unwrap_or(text.len())
}

/// The place around this position.
fn around(places: &[Place], at: usize) -> Option<&Place> {
    let next = places.partition_point(|place| place.range.start < at);
    next.checked_sub(1).map(|last| &places[last]).filter(|place| at < place.range.end)
}

/// True when this position is inside an address or a path.
pub(super) fn is_inside(places: &[Place], at: usize) -> bool {
    around(places, at).is_some()
}

/// True when the backslash in this place is one of a path.
pub(super) fn is_in_path(places: &[Place], at: usize) -> bool {
    // A path may begin with it.
    around(places, at + 1).is_some_and(|place| place.is_path)
}

/// True when letters or digits stand on both sides, as in `snake\_case`.
pub(super) fn is_within_word(source: &str, range: Range<usize>) -> bool {
    source[..range.start].ends_with(is_word) && source[range.end..].starts_with(is_word)
}

/// The place and the length of the first `<br>` in it.
pub(super) fn line_break(html: &str) -> Option<(usize, usize)> {
    html.match_indices('<').find_map(|(at, _)| {
        let len = html[at..].bytes().take(LINE_BREAK_LEN_MAX).position(|byte| byte == b'>')? + 1;
        is_line_break(&html[at..at + len]).then_some((at, len))
    })
}

pub(super) fn is_line_break(tag: &str) -> bool {
    let name = tag.strip_prefix('<').and_then(|tag| tag.strip_suffix('>')).unwrap_or_default();
    name.trim_end_matches([' ', '/']).eq_ignore_ascii_case("br")
}

/// True when the escaped sign in this place begins or ends a formula of LaTeX: `\(x\)`, `\[ x \]`.
pub(super) fn is_formula(source: &str, at: usize) -> bool {
    let is_space = |sign: Option<char>| sign.is_some_and(char::is_whitespace);
    match source.as_bytes()[at] {
        b'(' | b')' => true,
        b'[' => is_space(source[at + 1..].chars().next()),
        b']' => is_space(source[..at - 1].chars().next_back()),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_and_paths_are_found() {
        for (text, expected) in [
            ("see https://a.b/_c_/d.", vec!["https://a.b/_c_/d."]),
            ("[x](http://a.b/c_(d)) e", vec!["http://a.b/c_(d)"]),
            ("网址https://a.b/c。好", vec!["https://a.b/c"]),
            ("C:\\*\\x and D:\\y", vec!["C:\\*\\x", "D:\\y"]),
            ("\\\\srv\\share\\*x* y", vec!["\\\\srv\\share\\*x*"]),
            ("a \\\\ b \\\\alpha abc:\\d", vec![]),
            ("://", vec!["://"]),
        ] {
            let found: Vec<_> = places(text).into_iter().map(|place| &text[place.range]).collect();
            assert_eq!(found, expected, "{text}");
        }
    }
}
