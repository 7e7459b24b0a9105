//! Pure. Splits the output of a child into lines of bounded length, fit to be shown.

/// Longest line, in bytes; the rest of it is dropped.
pub(crate) const LINE_LEN_MAX: usize = 2000;

/// The line that is not complete yet.
#[derive(Debug, Default)]
pub(crate) struct Splitter {
    line: Vec<u8>,
}

impl Splitter {
    /// Returns the lines that these bytes complete.
    pub(crate) fn push(&mut self, bytes: &[u8]) -> Vec<String> {
        let mut lines = Vec::new();
        for byte in bytes {
            match byte {
                b'\n' => lines.extend(self.finish()),
                _ if self.line.len() < LINE_LEN_MAX => self.line.push(*byte),
                _ => {}
            }
        }
        lines
    }

    /// Returns the line so far, without control characters; `None` for a blank one.
    pub(crate) fn finish(&mut self) -> Option<String> {
        let line = String::from_utf8_lossy(&std::mem::take(&mut self.line)).trim_end().to_owned();
        let shown = || line.replace(|sign: char| sign.is_control() && sign != '\t', "");
        (!line.is_empty()).then(shown)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_is_cut_into_bounded_lines() {
        let mut splitter = Splitter::default();
        assert_eq!(splitter.push(b"one\r\ntw"), ["one"]);
        assert_eq!(splitter.push(b"o\n\n\x1b[1mthree"), ["two"]);
        assert_eq!(splitter.finish().as_deref(), Some("[1mthree"));
        assert!(splitter.push(&vec![b'x'; LINE_LEN_MAX * 3]).is_empty());
        let lines = splitter.push(b"\nnext\n\xff\n");
        assert_eq!(lines[0].len(), LINE_LEN_MAX);
        assert_eq!(lines[1..], ["next", "\u{fffd}"]);
    }
}
