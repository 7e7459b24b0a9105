//! Pure. Text in rows that fit: broken at spaces; text between backticks stays whole where it fits.

use console::measure_text_width;

/// Returns the rows of a text. A word that is longer than the room stays whole; colours take no room.
pub fn wrap(text: &str, room: usize) -> Vec<String> {
    let mut rows = Vec::new();
    for paragraph in text.lines() {
        let mut row = String::new();
        let mut rest = paragraph.split(' ');
        while let Some(word) = next_word(&mut rest, room) {
            let cols = measure_text_width(&row) + 1 + measure_text_width(&word);
            if !row.is_empty() && cols > room {
                rows.push(std::mem::take(&mut row));
            }
            if !row.is_empty() {
                row.push(' ');
            }
            row.push_str(&word);
        }
        rows.push(row);
    }
    rows
}

/// Returns the rows behind a beginning: the first row starts with it, the others with as many spaces.
pub fn hang(start: &str, text: &str, cols: usize) -> String {
    let indent = measure_text_width(start);
    let rows = wrap(text, cols.saturating_sub(indent));
    format!("{start}{}", rows.join(&format!("\n{}", " ".repeat(indent))))
}

/// Fewest columns that are used beside an indent.
const ROOM_MIN: usize = 20;

/// Returns a whole text, each of its lines behind its own indent. `cols` 0: as it is.
pub fn folded(text: &str, cols: usize) -> String {
    let each = |line: &str| {
        let words = line.trim_start();
        if words.is_empty() { "\n".to_owned() } else { wrapped(words, line.len() - words.len(), cols) }
    };
    text.lines().map(each).collect()
}

/// Returns one line behind an indent, in as many rows as it takes, each with its end. `cols` 0: in one.
pub fn wrapped(line: &str, indent: usize, cols: usize) -> String {
    let room = if cols == 0 { usize::MAX } else { cols.saturating_sub(indent).max(ROOM_MIN) };
    wrap(line, room).iter().map(|row| format!("{:indent$}{row}\n", "")).collect()
}

/// Returns the next word, or all the words of a command in backticks.
fn next_word<'a>(rest: &mut (impl Iterator<Item = &'a str> + Clone), room: usize) -> Option<String> {
    let mut word = rest.next()?.to_owned();
    let is_open = |word: &str| word.matches('`').count() % 2 == 1;
    let mut ahead = rest.clone();
    let mut whole = word.clone();
    while is_open(&whole) {
        let Some(next) = ahead.next() else { break };
        whole = format!("{whole} {next}");
    }
    if whole != word && !is_open(&whole) && measure_text_width(&whole) <= room {
        (word, *rest) = (whole, ahead);
        return Some(word);
    }
    // A number stays with its unit, and a phone number in one row.
    while word.starts_with(|sign: char| sign.is_ascii_digit() || matches!(sign, '+' | '('))
        && word.ends_with(|sign: char| sign.is_ascii_digit())
    {
        let mut ahead = rest.clone();
        let Some(next) = ahead.next().filter(|next| belongs_to_number(next)) else { break };
        let whole = format!("{word} {next}");
        if measure_text_width(&whole) > room {
            break;
        }
        (word, *rest) = (whole, ahead);
    }
    Some(word)
}

/// More digits, or a unit.
fn belongs_to_number(word: &str) -> bool {
    const UNITS: [&str; 12] = ["ms", "s", "min", "h", "days", "bytes", "KB", "MB", "GB", "KiB", "MiB", "GiB"];
    let word = word.trim_end_matches(['.', ',', ';', ':', ')']);
    let is_digits = !word.is_empty() && word.bytes().all(|sign| sign.is_ascii_digit() || sign == b'-');
    is_digits || UNITS.contains(&word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_broken_at_spaces_and_commands_stay_whole() {
        for (text, room, rows) in [
            ("", 10, &[][..]),
            ("one two three", 7, &["one two", "three"]),
            ("two  spaces", 20, &["two  spaces"]),
            ("/a/long/path x", 5, &["/a/long/path", "x"]),
            ("Run `hermes gateway run`, then go.", 24, &["Run", "`hermes gateway run`,", "then go."]),
            ("`hermes gateway run` is long", 12, &["`hermes", "gateway run`", "is long"]),
            ("wait for 30 s.", 11, &["wait for", "30 s."]),
            ("at +1 555 000 1111, or 2", 16, &["at", "+1 555 000 1111,", "or 2"]),
            ("+1 555 000 1111", 8, &["+1 555", "000 1111"]),
            ("in 30 steps", 6, &["in 30", "steps"]),
            ("a ` alone", 4, &["a `", "alone"]),
            ("\u{1b}[33mWarning:\u{1b}[0m it is", 12, &["\u{1b}[33mWarning:\u{1b}[0m it", "is"]),
            ("漢字 漢字", 5, &["漢字", "漢字"]),
            ("one\ntwo", 9, &["one", "two"]),
        ] {
            assert_eq!(wrap(text, room), rows, "{text:?}");
        }
        assert_eq!(hang("12:00  ", "one two", 10), "12:00  one\n       two");
    }

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
