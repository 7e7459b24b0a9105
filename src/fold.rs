//! Pure. Lines for a terminal of so many columns, broken between words: commands in backticks, paths and codes stay whole where they
//! fit.

/// Fewer columns beside the indent are not used.
const ROOM_MIN: usize = 20;

/// Every line, broken where it does not fit, and indented as it was. `width` 0: as they are.
pub fn folded(text: &str, width: usize) -> String {
    let each = |line: &str| match line.trim_start() {
        "" => "\n".to_owned(),
        words => wrapped(words, line.len() - words.len(), width),
    };
    text.lines().map(each).collect()
}

/// One line behind an indent; where it does not fit, several.
pub fn wrapped(line: &str, indent: usize, width: usize) -> String {
    let room = if width == 0 { usize::MAX } else { width.saturating_sub(indent).max(ROOM_MIN) };
    let mut lines = vec![String::new()];
    for word in words(line, room) {
        let line = lines.last_mut().expect("there is one");
        if line.is_empty() {
            line.push_str(word);
        } else if console::measure_text_width(line) + 1 + console::measure_text_width(word) <= room {
            line.push(' ');
            line.push_str(word);
        } else {
            lines.push(word.to_owned());
        }
    }
    lines.iter().map(|line| format!("{:indent$}{line}\n", "")).collect()
}

/// The words; text in backticks is one word, unless it is longer than a line.
fn words(line: &str, room: usize) -> Vec<&str> {
    let mut words = Vec::new();
    let (mut rest, mut begin) = (line, 0);
    let mut at = 0;
    while let Some(sign) = rest.chars().next() {
        let quoted = if sign == '`' { rest[1..].find('`').map(|len| &rest[..len + 2]) } else { None };
        let step = match quoted {
            Some(quoted) if console::measure_text_width(quoted) <= room => quoted.len(),
            Some(_) | None => sign.len_utf8(),
        };
        if sign == ' ' {
            words.push(&line[begin..at]);
            begin = at + 1;
        }
        at += step;
        rest = &line[at..];
    }
    words.push(&line[begin..]);
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_break_between_words_behind_their_indent_and_a_command_stays_whole() {
        let text = "Telegram needs attention.\n  To try it now, run `hermes platform resume telegram`.\n";
        assert_eq!(folded(text, 0), text);
        assert_eq!(
            folded(text, 40),
            "Telegram needs attention.\n  To try it now, run\n  `hermes platform resume telegram`.\n"
        );
        let long = format!("see `{}`", "a b ".repeat(30));
        assert!(folded(&long, 40).lines().all(|line| line.len() <= 40), "{}", folded(&long, 40));
        for odd in ["`", "a ` b", "``", "", " ", "ü `ü ü` ü"] {
            assert_eq!(folded(odd, 80).trim_end(), odd.trim_end(), "{odd:?}");
        }
        assert_eq!(folded("one\n\ntwo", 80), "one\n\ntwo\n");
    }
}
