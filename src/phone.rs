//! Pure. Phone numbers as people write them, as the digits that WhatsApp uses.

/// Fewest digits of an international number.
pub const DIGITS_MIN: usize = 6;

/// Most digits of an international number (E.164).
pub const DIGITS_MAX: usize = 15;

/// Why a text is no phone number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PhoneError {
    /// Nothing in it.
    #[error("it is empty")]
    Empty,
    /// Letters, or signs that no number has.
    #[error("it holds something other than digits")]
    NotDigits,
    /// Fewer than [`DIGITS_MIN`].
    #[error("it is too short for a number with its country code")]
    TooShort,
    /// More than [`DIGITS_MAX`].
    #[error("it is longer than any phone number")]
    TooLong,
    /// It begins with 0, as numbers do only inside a country.
    #[error("it begins with 0; write it with its country code, as in +1 555 000 1111")]
    NoCountryCode,
}

/// The digits of a number with its country code: `+1 (555) 000-1111`, `001 555 000 1111` and
/// `15550001111:3@s.whatsapp.net` are all `15550001111`.
///
/// # Errors
/// See [`PhoneError`].
pub fn digits(text: &str) -> Result<String, PhoneError> {
    let text = text.trim_matches(|sign: char| sign.is_whitespace() || is_invisible(sign));
    if text.is_empty() {
        return Err(PhoneError::Empty);
    }
    let number = match text.split_once('@') {
        Some((user, "s.whatsapp.net" | "c.us" | "lid")) => user.split(':').next().unwrap_or_default(),
        Some(_) => return Err(PhoneError::NotDigits),
        None => text,
    };
    let (international, number) = match number.strip_prefix('+') {
        Some(rest) => (true, rest),
        None => (false, number),
    };
    let mut digits = String::with_capacity(DIGITS_MAX);
    for sign in number.chars() {
        match sign {
            '0'..='9' if digits.len() > DIGITS_MAX + 2 => return Err(PhoneError::TooLong),
            '0'..='9' => digits.push(sign),
            '(' | ')' | '-' | '.' | '/' => {}
            _ if sign.is_whitespace() || is_invisible(sign) || is_dash(sign) => {}
            _ => return Err(PhoneError::NotDigits),
        }
    }
    if !international && digits.starts_with("00") {
        digits.drain(..2);
    }
    match digits.len() {
        0 => Err(PhoneError::NotDigits),
        _ if digits.starts_with('0') => Err(PhoneError::NoCountryCode),
        len if len < DIGITS_MIN => Err(PhoneError::TooShort),
        len if len > DIGITS_MAX => Err(PhoneError::TooLong),
        _ => Ok(digits),
    }
}

/// The marks around numbers that are copied from a phone's contacts.
fn is_invisible(sign: char) -> bool {
    matches!(sign, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
}

fn is_dash(sign: char) -> bool {
    matches!(sign, '\u{2010}'..='\u{2015}' | '\u{2212}')
}

/// A number as it may be shown above DEBUG: its first digits and its last two.
pub fn masked(digits: &str) -> String {
    match (digits.get(..2), digits.len().checked_sub(2).and_then(|at| digits.get(at..))) {
        (Some(first), Some(last)) if digits.len() >= DIGITS_MIN => format!("+{first}…{last}"),
        _ => "…".to_owned(),
    }
}

/// The entries of a list of numbers, sorted into numbers (each once, in order) and what is none.
pub fn list(text: &str) -> (Vec<String>, Vec<String>) {
    let mut numbers: Vec<String> = Vec::new();
    let mut rejects = Vec::new();
    for entry in text.split([',', ';', '\n']).map(str::trim).filter(|entry| !entry.is_empty()) {
        match digits(entry) {
            Ok(number) if numbers.contains(&number) => {}
            Ok(number) => numbers.push(number),
            Err(_) => rejects.push(entry.to_owned()),
        }
    }
    (numbers, rejects)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_as_people_and_programs_write_them() {
        for text in [
            "15550001111",
            "+1 (555) 000-1111",
            "+1.555.000.1111",
            "001 555 000 1111",
            " 1-555-000-1111 ",
            "\u{202a}+1 555\u{a0}000\u{2011}1111\u{202c}",
            "15550001111@s.whatsapp.net",
            "15550001111:3@s.whatsapp.net",
        ] {
            assert_eq!(digits(text).as_deref(), Ok("15550001111"), "{text}");
        }
    }

    #[test]
    fn what_is_no_number_says_why() {
        for (text, why) in [
            ("", PhoneError::Empty),
            (" \u{200e} ", PhoneError::Empty),
            ("alice", PhoneError::NotDigits),
            ("+", PhoneError::NotDigits),
            ("1555+0001111", PhoneError::NotDigits),
            ("*", PhoneError::NotDigits),
            ("15550001111@g.us", PhoneError::NotDigits),
            ("١٢٣٤٥٦٧", PhoneError::NotDigits),
            ("12345", PhoneError::TooShort),
            ("1234567890123456", PhoneError::TooLong),
            ("11111111111111111111111111111111", PhoneError::TooLong),
            ("0555 000 1111", PhoneError::NoCountryCode),
            ("+0555 000 1111", PhoneError::NoCountryCode),
        ] {
            assert_eq!(digits(text), Err(why), "{text}");
        }
    }

    #[test]
    fn a_list_keeps_order_drops_repeats_and_names_what_it_rejects() {
        let (numbers, rejects) = list(" +1 555 000 1111, alice;15550002222,,15550001111\n12");
        assert_eq!(numbers, ["15550001111", "15550002222"]);
        assert_eq!(rejects, ["alice", "12"]);
    }

    #[test]
    fn a_masked_number_does_not_tell_it() {
        assert_eq!(masked("15550001111"), "+15…11");
        assert_eq!(masked("155"), "…");
    }
}
