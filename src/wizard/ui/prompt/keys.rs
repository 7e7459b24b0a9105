//! Pure. Bytes from a terminal, as keys, and as what the terminal replies when it is asked something.

use std::time::Duration;

/// A key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Key {
    /// A character.
    Text(char),
    /// Text that was pasted as a whole (bracketed paste).
    Paste(String),
    Enter,
    Backspace,
    Delete,
    Left,
    Right,
    /// Also Shift-Tab and Ctrl-P.
    Up,
    /// Also Tab and Ctrl-N.
    Down,
    Home,
    End,
    WordLeft,
    WordRight,
    /// Ctrl-U.
    CutBefore,
    /// Ctrl-K.
    CutAfter,
    /// Ctrl-W: back to the last space.
    CutToSpace,
    /// Alt-Backspace.
    CutWordBefore,
    /// Alt-D.
    CutWordAfter,
    /// Ctrl-Y.
    PutBack,
    /// Ctrl-C.
    Interrupt,
    /// Ctrl-D.
    Close,
    /// Ctrl-Z.
    Suspend,
    /// Ctrl-L.
    Redraw,
    /// A reply of the terminal, without the Escape before it and the mark at its end.
    Reply(String),
    /// A key without a meaning here.
    Other,
}

/// Reads keys from bytes that may arrive in pieces.
#[derive(Debug, Default)]
pub(crate) struct Decoder {
    bytes: Vec<u8>,
    paste: Option<Vec<u8>>,
}

/// The most that is kept of one paste.
const PASTE_LEN_MAX: usize = 64 << 10;
const PASTE_END: &[u8] = b"\x1b[201~";
/// No terminal sends a longer sequence.
const SEQUENCE_LEN_MAX: usize = 64;
/// Nor a longer string that was asked for.
const STRING_LEN_MAX: usize = 4096;

impl Decoder {
    /// The keys that are complete with these bytes.
    pub(crate) fn push(&mut self, bytes: &[u8]) -> Vec<Key> {
        self.bytes.extend_from_slice(bytes);
        let mut keys = Vec::new();
        loop {
            if self.paste.is_some() {
                let Some(key) = self.end_of_paste() else { break };
                keys.push(key);
            }
            match parse(&self.bytes) {
                Parsed::Key(key, len) => {
                    self.bytes.drain(..len);
                    keys.push(key);
                }
                Parsed::Paste(len) => {
                    self.bytes.drain(..len);
                    self.paste = Some(Vec::new());
                }
                Parsed::Incomplete => break,
            }
        }
        keys
    }

    /// The time to wait for the rest of what has begun: then [`Self::flush`] takes it as it is.
    pub(crate) fn patience(&self) -> Option<Duration> {
        match (&self.paste, self.bytes.is_empty()) {
            (Some(_), _) => Some(Duration::from_secs(2)),
            (None, false) => Some(Duration::from_millis(100)),
            (None, true) => None,
        }
    }

    /// The rest does not come: an Escape alone, or a paste without its end.
    pub(crate) fn flush(&mut self) -> Vec<Key> {
        let rest = std::mem::take(&mut self.bytes);
        match self.paste.take() {
            Some(mut paste) => {
                paste.extend(rest);
                vec![pasted(&paste)]
            }
            None if rest.is_empty() => Vec::new(),
            None => vec![Key::Other],
        }
    }

    /// An Escape after which nothing came is the key itself. The rest of anything longer may still be on its way.
    pub(crate) fn take_escape(&mut self) {
        if self.bytes == [0x1b] {
            self.bytes.clear();
        }
    }

    /// Moves what was pasted out of the way; the key once its end is there.
    fn end_of_paste(&mut self) -> Option<Key> {
        let paste = self.paste.as_mut()?;
        let end = self.bytes.windows(PASTE_END.len()).position(|window| window == PASTE_END);
        // The end may be cut in two.
        let sure = end.unwrap_or_else(|| self.bytes.len().saturating_sub(PASTE_END.len() - 1));
        paste.extend(self.bytes.drain(..sure));
        paste.truncate(PASTE_LEN_MAX);
        end?;
        self.bytes.drain(..PASTE_END.len());
        self.paste.take().map(|paste| pasted(&paste))
    }
}

fn pasted(bytes: &[u8]) -> Key {
    Key::Paste(String::from_utf8_lossy(bytes).into_owned())
}

/// The beginning of the bytes.
enum Parsed {
    Key(Key, usize),
    /// A paste begins behind these bytes.
    Paste(usize),
    Incomplete,
}

fn parse(bytes: &[u8]) -> Parsed {
    let Some(&first) = bytes.first() else { return Parsed::Incomplete };
    let key = match first {
        0x1b => return escape(bytes),
        b'\r' | b'\n' => Key::Enter,
        0x01 => Key::Home,
        0x02 => Key::Left,
        0x03 => Key::Interrupt,
        0x04 => Key::Close,
        0x05 => Key::End,
        0x06 => Key::Right,
        0x08 | 0x7f => Key::Backspace,
        0x09 | 0x0e => Key::Down,
        0x0b => Key::CutAfter,
        0x0c => Key::Redraw,
        0x10 => Key::Up,
        0x15 => Key::CutBefore,
        0x17 => Key::CutToSpace,
        0x19 => Key::PutBack,
        0x1a => Key::Suspend,
        0x00..0x20 => Key::Other,
        0x20..0x7f => Key::Text(char::from(first)),
        0x80.. => return character(bytes),
    };
    Parsed::Key(key, 1)
}

/// A character of several bytes.
fn character(bytes: &[u8]) -> Parsed {
    let (text, is_cut) = match std::str::from_utf8(&bytes[..bytes.len().min(4)]) {
        Ok(text) => (text, false),
        Err(error) => {
            let (valid, _) = bytes.split_at(error.valid_up_to());
            (std::str::from_utf8(valid).unwrap_or_default(), error.error_len().is_none())
        }
    };
    match text.chars().next() {
        Some(sign) => Parsed::Key(Key::Text(sign), sign.len_utf8()),
        None if is_cut && bytes.len() < 4 => Parsed::Incomplete,
        None => Parsed::Key(Key::Other, 1),
    }
}

fn escape(bytes: &[u8]) -> Parsed {
    match bytes.get(1) {
        None => Parsed::Incomplete,
        Some(b'[') => sequence(bytes),
        Some(b'P' | b'X' | b']' | b'^' | b'_') => string(bytes),
        Some(b'O') => match bytes.get(2) {
            None => Parsed::Incomplete,
            Some(last) => Parsed::Key(arrow(*last, false), 3),
        },
        Some(b'b' | b'B') => Parsed::Key(Key::WordLeft, 2),
        Some(b'f' | b'F') => Parsed::Key(Key::WordRight, 2),
        Some(b'd' | b'D') => Parsed::Key(Key::CutWordAfter, 2),
        Some(0x08 | 0x7f) => Parsed::Key(Key::CutWordBefore, 2),
        // Escape, and then what it would be alone: Ctrl-C must not be lost.
        Some(0x00..0x20) => Parsed::Key(Key::Other, 1),
        Some(0x20..0x80) => Parsed::Key(Key::Other, 2),
        Some(0x80..) => match character(&bytes[1..]) {
            Parsed::Key(_, len) => Parsed::Key(Key::Other, 1 + len),
            incomplete @ (Parsed::Incomplete | Parsed::Paste(_)) => incomplete,
        },
    }
}

/// `ESC`, the kind of the string, and the string. `ESC \` ends it, or BEL; any other control byte breaks it off.
fn string(bytes: &[u8]) -> Parsed {
    let Some(len) = bytes[2..].iter().position(|byte| *byte < 0x20) else {
        return if bytes.len() > STRING_LEN_MAX {
            Parsed::Key(Key::Other, bytes.len())
        } else {
            Parsed::Incomplete
        };
    };
    let (string, end) = bytes.split_at(2 + len);
    match end {
        [0x1b] => Parsed::Incomplete,
        [0x07, ..] => Parsed::Key(reply(string), string.len() + 1),
        [0x1b, b'\\', ..] => Parsed::Key(reply(string), string.len() + 2),
        _ => Parsed::Key(Key::Other, string.len()),
    }
}

fn reply(bytes: &[u8]) -> Key {
    Key::Reply(String::from_utf8_lossy(&bytes[1..]).into_owned())
}

/// `ESC [`, parameters, and a last byte.
fn sequence(bytes: &[u8]) -> Parsed {
    // The function keys of the Linux console.
    if bytes.get(2) == Some(&b'[') {
        return if bytes.len() < 4 { Parsed::Incomplete } else { Parsed::Key(Key::Other, 4) };
    }
    let parameters = bytes[2..].iter().take_while(|byte| matches!(byte, 0x20..0x40)).count();
    let Some(&last) = bytes.get(2 + parameters) else {
        return if bytes.len() > SEQUENCE_LEN_MAX {
            Parsed::Key(Key::Other, bytes.len())
        } else {
            Parsed::Incomplete
        };
    };
    if !matches!(last, 0x40..0x7f) {
        return Parsed::Key(Key::Other, 2 + parameters);
    }
    let len = 3 + parameters;
    // Attributes, sizes and places of the cursor.
    if matches!(last, b'c' | b't' | b'R') {
        return Parsed::Key(reply(&bytes[..len]), len);
    }
    let parameters = &bytes[2..2 + parameters];
    // `1;5`: with Ctrl; `1;3`: with Alt.
    let by_word = parameters.ends_with(b";5") || parameters.ends_with(b";3");
    if last != b'~' {
        return Parsed::Key(arrow(last, by_word), len);
    }
    let key = match parameters.split(|byte| *byte == b';').next().unwrap_or_default() {
        b"1" | b"7" => Key::Home,
        b"4" | b"8" => Key::End,
        b"3" if by_word => Key::CutWordAfter,
        b"3" => Key::Delete,
        b"200" => return Parsed::Paste(len),
        _ => Key::Other,
    };
    Parsed::Key(key, len)
}

fn arrow(last: u8, by_word: bool) -> Key {
    match (last, by_word) {
        (b'A' | b'Z', _) => Key::Up,
        (b'B', _) => Key::Down,
        (b'C', false) => Key::Right,
        (b'C', true) => Key::WordRight,
        (b'D', false) => Key::Left,
        (b'D', true) => Key::WordLeft,
        (b'H', _) => Key::Home,
        (b'F', _) => Key::End,
        _ => Key::Other,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn keys(bytes: &[u8]) -> Vec<Key> {
        let mut decoder = Decoder::default();
        let mut keys = decoder.push(bytes);
        keys.extend(decoder.flush());
        keys
    }

    #[test]
    fn the_sequences_of_common_terminals_are_known() {
        for (bytes, key) in [
            ("\x1b[D", Key::Left),
            ("\x1bOC", Key::Right),
            ("\x1b[H", Key::Home),
            ("\x1b[1~", Key::Home),
            ("\x1bOF", Key::End),
            ("\x1b[8~", Key::End),
            ("\x1b[3~", Key::Delete),
            ("\x1b[3;5~", Key::CutWordAfter),
            ("\x1b[1;5D", Key::WordLeft),
            ("\x1b[1;3C", Key::WordRight),
            ("\x1bb", Key::WordLeft),
            ("\x1b\x7f", Key::CutWordBefore),
            ("\x7f", Key::Backspace),
            ("\x15", Key::CutBefore),
            ("\x0b", Key::CutAfter),
            ("\x17", Key::CutToSpace),
            ("\x19", Key::PutBack),
            ("\x1a", Key::Suspend),
            ("\x1b[A", Key::Up),
            ("\x1b[Z", Key::Up),
            ("\x1bOB", Key::Down),
            ("\t", Key::Down),
            ("\x1b[[A", Key::Other),
            ("\x1b[<0;35;5M", Key::Other),
            ("\x1b", Key::Other),
            ("é", Key::Text('é')),
            ("\u{1f600}", Key::Text('\u{1f600}')),
        ] {
            assert_eq!(keys(bytes.as_bytes()), [key], "{bytes:?}");
        }
        assert_eq!(keys(b"\x1b\x03"), [Key::Other, Key::Interrupt]);
        assert_eq!(keys(b"\xffa"), [Key::Other, Key::Text('a')]);
    }

    #[test]
    fn a_reply_is_not_text_and_swallows_no_key() {
        let reply = |text: &str| Key::Reply(text.to_owned());
        for (bytes, expected) in [
            ("\x1b_Gi=1;OK\x1b\\a", vec![reply("_Gi=1;OK"), Key::Text('a')]),
            ("\x1b]11;rgb:0/0/0\x07a", vec![reply("]11;rgb:0/0/0"), Key::Text('a')]),
            ("\x1b[?62;4c\x1b[1;2R", vec![reply("[?62;4c"), reply("[1;2R")]),
            // Alt-P and, while its end is awaited, a key.
            ("\x1bP\x1b[A", vec![Key::Other, Key::Up]),
            ("\x1bP\x03", vec![Key::Other, Key::Interrupt]),
            ("\x1bPab", vec![Key::Other]),
        ] {
            assert_eq!(keys(bytes.as_bytes()), expected, "{bytes:?}");
        }
        let mut decoder = Decoder::default();
        assert_eq!(decoder.push(format!("\x1bP{}", "x".repeat(STRING_LEN_MAX)).as_bytes()), [Key::Other]);
    }

    #[test]
    fn a_paste_is_one_key_whatever_is_in_it() {
        let pasted = Key::Paste("1,\r\n2\u{3}\x1b[A\n".to_owned());
        assert_eq!(keys(b"a\x1b[200~1,\r\n2\x03\x1b[A\n\x1b[201~\r"), [Key::Text('a'), pasted, Key::Enter]);
        assert_eq!(keys(b"\x1b[200~cut off\x1b[20"), [Key::Paste("cut off\x1b[20".to_owned())]);
        let mut decoder = Decoder::default();
        assert_eq!(decoder.push(b"\x1b[200~a"), []);
        assert!(decoder.patience().is_some());
        assert_eq!(decoder.push(&vec![b'x'; PASTE_LEN_MAX * 2]), []);
        let Some(Key::Paste(text)) = decoder.push(PASTE_END).pop() else { panic!("it has ended") };
        assert_eq!(text.len(), PASTE_LEN_MAX);
        assert_eq!(decoder.patience(), None);
    }

    proptest! {
        /// However the bytes are cut, the keys are the same, and nothing is left waiting behind a plain character.
        #[test]
        fn pieces_make_the_same_keys(
            bytes in proptest::collection::vec(prop_oneof![
                Just(0x1b_u8), Just(b'['), Just(b'P'), Just(b'\\'), Just(7), Just(b'2'), Just(b'0'), Just(b'1'), Just(b'~'), Just(b';'), any::<u8>(),
            ], 0..40),
            cut in 0..40_usize,
        ) {
            let (first, second) = bytes.split_at(cut.min(bytes.len()));
            let mut decoder = Decoder::default();
            let mut found = decoder.push(first);
            found.extend(decoder.push(second));
            found.extend(decoder.flush());
            prop_assert_eq!(found, keys(&bytes));
        }

        #[test]
        fn text_comes_through_as_it_is(text in "\\PC{0,30}") {
            let found: String = keys(text.as_bytes())
                .into_iter()
                .filter_map(|key| if let Key::Text(sign) = key { Some(sign) } else { None })
                .collect();
            prop_assert_eq!(found, text);
        }
    }
}
