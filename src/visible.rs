//! Pure. Makes text of people and of other programs safe for a terminal or the log: signs that control a terminal, change the
//! direction of text or are invisible are shown as their number, in the form that JSON has as well (`\u202e`).

use std::borrow::Cow;

/// The signs that are kept besides plain ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kept {
    /// Nothing.
    Nothing,
    /// Line ends and tabs.
    Lines,
    /// Line ends, tabs and colours.
    Colours,
}

/// Returns one line: a name, a reason, an address.
pub fn line(text: &str) -> Cow<'_, str> {
    shown(text, Kept::Nothing)
}

/// Returns text of several lines.
pub fn text(text: &str) -> Cow<'_, str> {
    shown(text, Kept::Lines)
}

/// Returns text that hermes itself has composed: its colours stay. The last step before printing.
pub fn page(text: &str) -> Cow<'_, str> {
    shown(text, Kept::Colours)
}

/// Returns one line of the log without its end. `has_colours`: they are the log's own.
pub fn log_line(text: &str, has_colours: bool) -> Cow<'_, str> {
    if !has_colours {
        return line(text);
    }
    match page(text) {
        page if page.contains(['\n', '\t']) => Cow::Owned(page.replace('\n', "\\n").replace('\t', "\\t")),
        page => page,
    }
}

fn shown(text: &str, kept: Kept) -> Cow<'_, str> {
    if !text.chars().any(is_suspect) {
        return Cow::Borrowed(text);
    }
    let mut clean = String::with_capacity(text.len() + 16);
    let mut before = '\0';
    let mut rest = text;
    while let Some(sign) = rest.chars().next() {
        let after = &rest[sign.len_utf8()..];
        let colour = if kept == Kept::Colours && sign == '\u{1b}' { colour_len(after) } else { 0 };
        if colour > 0 {
            clean.push(sign);
            clean.push_str(&after[..colour]);
        } else if is_hidden(sign, before, after.chars().next(), kept) {
            escape(&mut clean, sign);
        } else {
            clean.push(sign);
        }
        before = sign;
        rest = &after[colour..];
    }
    Cow::Owned(clean)
}

/// Returns the length of `[…m`, which sets colours and nothing else.
fn colour_len(text: &str) -> usize {
    let Some(rest) = text.strip_prefix('[') else { return 0 };
    let digits = rest.bytes().take_while(|byte| byte.is_ascii_digit() || *byte == b';').count();
    if rest.as_bytes().get(digits) == Some(&b'm') { digits + 2 } else { 0 }
}

fn is_hidden(sign: char, before: char, after: Option<char>, kept: Kept) -> bool {
    match sign {
        '\n' | '\t' => kept == Kept::Nothing,
        '\u{200c}' | '\u{200d}' => !after.is_some_and(|after| is_joined(before, after)),
        _ => is_suspect(sign),
    }
}

/// True when the joiner between these two is part of the visible text: in emoji of several signs, and in scripts whose letters are
/// joined. Between other letters it only hides.
fn is_joined(before: char, after: char) -> bool {
    let is_emoji = |sign| matches!(sign, '\u{2190}'..='\u{2bff}' | '\u{1f000}'..='\u{1faff}');
    // Arabic and its neighbours, the scripts of India and of South-East Asia, Mongolian.
    let is_joining = |sign| {
        matches!(sign, '\u{600}'..='\u{8ff}' | '\u{900}'..='\u{dff}' | '\u{1000}'..='\u{109f}' | '\u{1780}'..='\u{18af}'
            | '\u{fb50}'..='\u{fdff}' | '\u{fe70}'..='\u{fefe}')
    };
    // A sign of presentation, or the number on a key, stands behind the emoji that it belongs to.
    let ends_emoji = is_emoji(before) || matches!(before, '\u{fe0f}' | '\u{20e3}');
    ends_emoji && is_emoji(after) || is_joining(before) && is_joining(after)
}

/// True for control characters, direction marks and invisible signs.
pub(crate) fn is_suspect(sign: char) -> bool {
    sign.is_control()
        || matches!(sign,
            '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}' | '\u{180b}'..='\u{180f}'
            | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{feff}'
            | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}' | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}')
}

/// True when none of it is visible.
pub(crate) fn is_blank(text: &str) -> bool {
    let is_unseen = |sign: char| {
        // Marks of presentation change the sign before them; the blank of Braille is a space by another name.
        sign.is_whitespace() || is_suspect(sign) || matches!(sign, '\u{fe00}'..='\u{fe0f}' | '\u{2800}')
    };
    text.chars().all(is_unseen)
}

fn escape(clean: &mut String, sign: char) {
    match sign {
        '\n' => clean.push_str("\\n"),
        '\r' => clean.push_str("\\r"),
        '\t' => clean.push_str("\\t"),
        _ => {
            for unit in sign.encode_utf16(&mut [0; 2]) {
                clean.push_str(&format!("\\u{unit:04x}"));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_text_of_signs_that_are_not_seen_is_blank() {
        for blank in [
            "",
            " \n\t",
            "\u{200b}",
            "\u{feff}\u{2060}",
            "\u{fe0f}\u{fe00}",
            "\u{200d}\u{ad}\u{2800}\u{3164}",
        ] {
            assert!(is_blank(blank), "{blank:?}");
        }
        for seen in ["a", ".", "\u{200b}a", "\u{2764}\u{fe0f}", "\u{1f600}", "\u{627}", "\u{301}"] {
            assert!(!is_blank(seen), "{seen:?}");
        }
    }

    #[test]
    fn what_steers_a_terminal_or_hides_is_shown() {
        for (text, expected) in [
            ("plain, ü, 漢字, שלום", "plain, ü, 漢字, שלום"),
            ("\u{1b}[2J\u{1b}]0;title\u{7}", "\\u001b[2J\\u001b]0;title\\u0007"),
            ("a\u{9b}31mb\u{7f}", "a\\u009b31mb\\u007f"),
            ("evil\u{202e}txt.exe", "evil\\u202etxt.exe"),
            ("ad\u{200b}min\u{feff}", "ad\\u200bmin\\ufeff"),
            ("ad\u{200d}min", "ad\\u200dmin"),
            ("ад\u{200d}мин 管\u{200d}理 é\u{200c}é", "ад\\u200dмин 管\\u200d理 é\\u200cé"),
            ("👩\u{200d}мин \u{fe0f}\u{200d}x 👩\u{200d}", "👩\\u200dмин \u{fe0f}\\u200dx 👩\\u200d"),
            ("❤️\u{200d}🔥 👩🏽\u{200d}💻 🏳️\u{200d}⚧️", "❤️\u{200d}🔥 👩🏽\u{200d}💻 🏳️\u{200d}⚧️"),
            ("क्\u{200d}ष", "क्\u{200d}ष"),
            ("👩\u{200d}👩\u{200d}👧", "👩\u{200d}👩\u{200d}👧"),
            ("می\u{200c}خواهم", "می\u{200c}خواهم"),
            ("\u{e0041}", "\\udb40\\udc41"),
            ("a\nb\tc\r", "a\\nb\\tc\\r"),
        ] {
            assert_eq!(line(text), expected);
        }
        assert_eq!(text("a\nb\tc\rd"), "a\nb\tc\\rd");
    }

    #[test]
    fn of_what_is_printed_colours_and_lines_stay_and_nothing_else() {
        assert_eq!(page("\u{1b}[1;31mred\u{1b}[0m\n"), "\u{1b}[1;31mred\u{1b}[0m\n");
        assert_eq!(page("\u{1b}[2J\u{1b}[6n\u{1b}[31"), "\\u001b[2J\\u001b[6n\\u001b[31");
        assert_eq!(log_line("\u{1b}[2mx\u{1b}[0m\ny", true), "\u{1b}[2mx\u{1b}[0m\\ny");
        assert_eq!(log_line("\u{1b}[2mx\ny", false), "\\u001b[2mx\\ny");
    }

    proptest! {
        #[test]
        fn any_text_is_taken_and_json_stays_the_same_json(said in any::<String>()) {
            prop_assert!(!line(&said).chars().any(char::is_control));
            let value = serde_json::json!({ "said": said });
            let printed = page(&value.to_string()).into_owned();
            prop_assert_eq!(serde_json::from_str::<serde_json::Value>(&printed).unwrap(), value);
        }
    }
}
