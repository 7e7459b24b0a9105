//! Pure. A stream of server-sent events, in whatever pieces it arrives.

/// The longest line and the longest event, in bytes.
const EVENT_LEN_MAX: usize = 1 << 20;

/// A line or an event is longer than any that makes sense.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an event of the stream is longer than {EVENT_LEN_MAX} bytes")]
pub struct TooLong;

/// Takes bytes, gives the data of events. Other fields than `data` mean nothing here.
#[derive(Debug, Default)]
pub struct Parser {
    /// The bytes of a line that has not ended; so no character is ever cut in two.
    line: Vec<u8>,
    data: Option<String>,
    after_cr: bool,
    begun: bool,
}

impl Parser {
    /// The data of the events that these bytes complete.
    ///
    /// # Errors
    /// [`TooLong`]; the stream is of no use any more.
    pub fn feed(&mut self, bytes: &[u8]) -> Result<Vec<String>, TooLong> {
        let mut events = Vec::new();
        for &byte in bytes {
            let after_cr = std::mem::replace(&mut self.after_cr, byte == b'\r');
            match byte {
                // The second half of CRLF.
                b'\n' if after_cr => {}
                b'\n' | b'\r' => events.extend(self.end_line()?),
                byte => {
                    if self.line.len() >= EVENT_LEN_MAX {
                        return Err(TooLong);
                    }
                    self.line.push(byte);
                }
            }
        }
        Ok(events)
    }

    /// The stream has ended: what its last event holds, though no blank line came after it. Some servers leave it out.
    ///
    /// # Errors
    /// [`TooLong`].
    pub fn finish(mut self) -> Result<Option<String>, TooLong> {
        if !self.line.is_empty() {
            self.end_line()?;
        }
        Ok(self.data)
    }

    fn end_line(&mut self) -> Result<Option<String>, TooLong> {
        let bytes = std::mem::take(&mut self.line);
        let text = String::from_utf8_lossy(&bytes);
        let mut line = text.as_ref();
        if !self.begun {
            self.begun = true;
            line = line.strip_prefix('\u{feff}').unwrap_or(line);
        }
        if line.is_empty() {
            return Ok(self.data.take());
        }
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        if field == "data" {
            let value = value.strip_prefix(' ').unwrap_or(value);
            match &mut self.data {
                Some(data) if data.len() + value.len() >= EVENT_LEN_MAX => return Err(TooLong),
                Some(data) => {
                    data.push('\n');
                    data.push_str(value);
                }
                None => self.data = Some(value.to_owned()),
            }
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(pieces: &[&[u8]]) -> Vec<String> {
        let mut parser = Parser::default();
        let mut events: Vec<_> = pieces.iter().flat_map(|piece| parser.feed(piece).unwrap()).collect();
        events.extend(parser.finish().unwrap());
        events
    }

    const CASES: [(&str, &[&str]); 12] = [
        ("data: one\n\ndata: two\n\n", &["one", "two"]),
        ("data: one\r\n\r\ndata: two\r\n\r\n", &["one", "two"]),
        ("data: one\r\rdata: two\r\r", &["one", "two"]),
        ("data: a\ndata: b\n\n", &["a\nb"]),
        ("data:no space\n\ndata:  two spaces\n\n", &["no space", " two spaces"]),
        (": a comment\n\nevent: x\nid: 1\ndata: one\n\n", &["one"]),
        ("data: gr\u{fc}n \u{1f33f}\r\n\r\n", &["gr\u{fc}n \u{1f33f}"]),
        ("\u{feff}data: one\n\n", &["one"]),
        ("data\n\ndata: x\n\n", &["", "x"]),
        ("data: {\"a\":\"b: c\"}\n\ndata: [DONE]\n\n", &["{\"a\":\"b: c\"}", "[DONE]"]),
        ("data: the end is missing", &["the end is missing"]),
        ("\n\n\nevent: only\n\n", &[]),
    ];

    #[test]
    fn events_are_the_same_however_they_arrive() {
        for (stream, expected) in CASES {
            let bytes = stream.as_bytes();
            for first in 0..=bytes.len() {
                for second in first..=bytes.len() {
                    let pieces = [&bytes[..first], &bytes[first..second], &bytes[second..]];
                    assert_eq!(read(&pieces), expected, "{stream:?} cut at {first} and {second}");
                }
            }
            let single: Vec<&[u8]> = bytes.chunks(1).collect();
            assert_eq!(read(&single), expected, "{stream:?} byte by byte");
        }
    }

    #[test]
    fn a_line_or_event_without_end_is_refused() {
        let mut parser = Parser::default();
        let line = vec![b'x'; EVENT_LEN_MAX];
        parser.feed(&line).unwrap();
        assert_eq!(parser.feed(b"x"), Err(TooLong));
        let mut parser = Parser::default();
        let long = [b"data: ", &line[..EVENT_LEN_MAX / 2], b"\n"].concat();
        parser.feed(&long).unwrap();
        assert_eq!(parser.feed(&long).and_then(|_| parser.feed(&long)), Err(TooLong));
    }

    #[test]
    fn bytes_that_are_no_text_do_no_harm() {
        assert_eq!(read(&[b"data: a\xff\xfeb\n\n"]), ["a\u{fffd}\u{fffd}b"]);
    }
}
