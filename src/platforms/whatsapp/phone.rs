//! Pure. Phone numbers as people write them, as the digits that WhatsApp uses.
//!
//! Some countries have changed their numbers, and WhatsApp names an account by the form of the day when it was made. So a
//! number that is written as it is dialled today may come as another one; [`canonical`] gives both the same name. The rules
//! are those of the numbering plans (Brazil: Anatel's ninth digit of 2012 to 2016; Mexico: the mobile 1 that ended in 2019;
//! Argentina: the mobile 9 and the domestic 15; Benin: the 01 of 2024), as gateways to WhatsApp apply them
//! (<https://support.whapi.cloud/help-desk/faq/specifics-of-sending-messages-to-numbers-of-different-countries>).

use crate::visible;

/// Fewest digits of an international number.
pub const DIGITS_MIN: usize = 6;

/// Most digits of an international number (E.164).
pub const DIGITS_MAX: usize = 15;

/// Countries where a number is dialled with a 0 before it at home, and never has one behind the country code.
const TRUNK_ZERO: [&str; 73] = [
    "20", "27", "31", "32", "33", "40", "41", "43", "44", "46", "49", "58", "60", "61", "62", "63", "64",
    "66", "81", "82", "84", "86", "90", "91", "92", "93", "94", "95", "98", "212", "213", "218", "233",
    "234", "249", "251", "254", "255", "256", "260", "263", "353", "355", "358", "359", "373", "374", "380",
    "381", "382", "385", "386", "387", "389", "421", "856", "880", "886", "961", "962", "963", "964", "966",
    "967", "970", "971", "972", "977", "994", "995", "996", "383", "211",
];

/// The cause for which a text is not a phone number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PhoneError {
    /// Nothing in it.
    #[error("it is empty")]
    Empty,
    /// Letters, or signs that no number has.
    #[error("write it like +1 555 000 1111")]
    NotDigits,
    /// Fewer than [`DIGITS_MIN`].
    #[error("it is too short for a number with its country code")]
    TooShort,
    /// More than [`DIGITS_MAX`].
    #[error("it is longer than any phone number")]
    TooLong,
    /// Groups of digits each of which may be a number, without a `+` before them.
    #[error("it may be several numbers; start a single one with +")]
    Several,
    /// It begins with 0, as numbers do only inside a country.
    #[error("it starts with 0; use the country code, such as +1 555 000 1111")]
    NoCountryCode,
}

/// The digits of a number with its country code: `+1 (555) 000-1111`, `001 555 000 1111` and
/// `15550001111:3@s.whatsapp.net` are all `15550001111`; `+49 (0)171 234567` is `49171234567`.
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
    if !text.contains('@')
        && let Some(code) = TRUNK_ZERO.iter().find(|code| digits.starts_with(**code))
        && digits[code.len()..].starts_with('0')
    {
        digits.remove(code.len());
    }
    match digits.len() {
        0 => Err(PhoneError::NotDigits),
        _ if digits.starts_with('0') => Err(PhoneError::NoCountryCode),
        len if len < DIGITS_MIN => Err(PhoneError::TooShort),
        len if len > DIGITS_MAX => Err(PhoneError::TooLong),
        _ if !international && are_several(number) => Err(PhoneError::Several),
        _ => Ok(digits),
    }
}

/// True when each of the words has enough digits for a number. People write one number in smaller groups.
fn are_several(text: &str) -> bool {
    let digits = |word: &str| word.bytes().filter(u8::is_ascii_digit).count();
    let mut words = text.split_whitespace().map(digits).filter(|count| *count > 0).peekable();
    let first = words.next();
    words.peek().is_some() && first.into_iter().chain(words).all(|count| count >= DIGITS_MIN)
}

/// True for the invisible marks around numbers that are copied from a phone's contacts.
fn is_invisible(sign: char) -> bool {
    matches!(sign, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
}

fn is_dash(sign: char) -> bool {
    matches!(sign, '\u{2010}'..='\u{2015}' | '\u{2212}')
}

/// Returns the one form of a number that is written, or registered with WhatsApp, in more than one.
pub fn canonical(digits: &str) -> String {
    let at = |index: usize| digits.as_bytes().get(index).copied().unwrap_or_default();
    let without = |from: usize, to: usize| format!("{}{}", &digits[..from], &digits[to..]);
    if !digits.bytes().all(|sign| sign.is_ascii_digit()) {
        return digits.to_owned();
    }
    match digits.len() {
        // 55 11 9 1234-5678. Behind a 9, 2 to 5 may also be the first digit of another subscriber's fixed line.
        13 if digits.starts_with("55") && at(4) == b'9' && matches!(at(5), b'1' | b'6'..=b'9') => {
            without(4, 5)
        }
        13 if digits.starts_with("521") || digits.starts_with("549") => without(2, 3),
        13 if digits.starts_with("22901") => without(3, 5),
        // 54 11 15 1234-5678 and 54 9 11 15 1234-5678: the area code has two to four digits.
        14 if digits.starts_with("54") => domestic_mobile(digits, 2).unwrap_or_else(|| digits.to_owned()),
        15 if digits.starts_with("549") => {
            domestic_mobile(digits, 3).map_or_else(|| digits.to_owned(), |number| canonical(&number))
        }
        _ => digits.to_owned(),
    }
}

/// Returns an Argentine number without the 15 that is dialled before mobile ones at home; `None` where its place is not
/// certain.
fn domestic_mobile(digits: &str, area: usize) -> Option<String> {
    let is_capital = digits[area..].starts_with("11");
    let places = if is_capital { 2..=2 } else { 3..=4 };
    let mut found = places.filter(|len| digits[area + len..].starts_with("15"));
    let len = found.next()?;
    found.next().is_none().then(|| format!("{}{}", &digits[..area + len], &digits[area + len + 2..]))
}

/// The shortest end that two numbers have in common when they are the same but for their country and area codes.
const END_LEN_MIN: usize = 7;

/// The entry of a list that may have been meant for this number, which it does not name: without or with another country
/// code, with one digit more, less or wrong, or with two of them exchanged.
pub fn near<'a>(number: &str, entries: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let number = canonical(number);
    entries.into_iter().find(|entry| {
        let entry = canonical(entry);
        entry != number && (ends_alike(&number, &entry) || is_slip(number.as_bytes(), entry.as_bytes()))
    })
}

fn ends_alike(one: &str, other: &str) -> bool {
    let alike = one.bytes().rev().zip(other.bytes().rev()).take_while(|(one, other)| one == other).count();
    alike >= END_LEN_MIN
}

/// True when a single typing error makes one of the other.
fn is_slip(one: &[u8], other: &[u8]) -> bool {
    let (short, long) = if one.len() <= other.len() { (one, other) } else { (other, one) };
    if short.len() < DIGITS_MIN + 2 {
        return false;
    }
    let same = short.iter().zip(long).take_while(|(short, long)| short == long).count();
    let (short, long) = (&short[same..], &long[same..]);
    match long.len() - short.len() {
        0 => {
            let exchanged = matches!((short, long), ([a, b, ..], [c, d, ..]) if a == d && b == c);
            short.get(1..) == long.get(1..) || (exchanged && short.get(2..) == long.get(2..))
        }
        1 => short == &long[1..],
        _ => false,
    }
}

/// A number as it may be shown above DEBUG: its first digits and its last two.
pub fn masked(digits: &str) -> String {
    match (digits.get(..2), digits.len().checked_sub(2).and_then(|at| digits.get(at..))) {
        (Some(first), Some(last)) if digits.len() >= DIGITS_MIN => format!("+{first}…{last}"),
        _ => "…".to_owned(),
    }
}

/// Returns an entry for a finding: findings go to logs, and an entry may be most of a number, so of its digits only the last
/// two are shown.
pub fn hinted(entry: &str) -> String {
    const SHOWN_MAX: usize = 40;
    let digits = entry.chars().filter(char::is_ascii_digit).count();
    let mut seen = 0;
    let mask = |sign: char| {
        let is_digit = sign.is_ascii_digit();
        seen += usize::from(is_digit);
        if is_digit && seen + 2 <= digits { '*' } else { sign }
    };
    let shown: String = visible::line(entry).chars().take(SHOWN_MAX).map(mask).collect();
    format!("`{shown}`")
}

/// An entry of a list: the digits of a number, or a LID with its ending, which is not a number that anyone could dial.
///
/// # Errors
/// See [`PhoneError`].
pub fn entry(text: &str) -> Result<String, PhoneError> {
    let digits = digits(text)?;
    Ok(if text.trim().ends_with(LID_END) { format!("{digits}{LID_END}") } else { digits })
}

/// Suffix of a LID.
const LID_END: &str = "@lid";

/// Returns an entry for people to read: `+` and the digits of a number, or a LID as it is.
pub fn shown(entry: &str) -> String {
    if entry.ends_with(LID_END) { entry.to_owned() } else { format!("+{entry}") }
}

/// Returns the entries of a list, sorted into numbers (each once, in order) and those that are not numbers.
pub fn list(text: &str) -> (Vec<String>, Vec<String>) {
    let mut numbers: Vec<String> = Vec::new();
    let mut rejects = Vec::new();
    for entry in text.split([',', ';', '\n']).map(str::trim).filter(|entry| !entry.is_empty()) {
        match self::entry(entry) {
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
    fn a_lid_in_a_list_stays_one_and_what_is_not_a_number_is_named_without_its_digits() {
        let (entries, rejects) = list("+1 555 000 1111, 900101@lid, tel:+15550002222, 15550001111");
        assert_eq!((entries, rejects.len()), (vec!["15550001111".to_owned(), "900101@lid".to_owned()], 1));
        assert_eq!(
            (shown("15550001111").as_str(), shown("900101@lid").as_str()),
            ("+15550001111", "900101@lid")
        );
        assert_eq!(hinted("tel:+15550002222"), "`tel:+*********22`");
        assert_eq!(hinted("al\u{1b}ice"), "`al\\u001bice`");
    }

    #[test]
    fn numbers_are_read_as_people_and_programs_write_them() {
        for text in [
            "15550001111",
            "+1 (555) 000-1111",
            "+1.555.000.1111",
            "001 555 000 1111",
            "+155500 01111",
            "155500 01111",
            "+15550 001111",
            "1 555000 1111",
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
            ("1555000 1555001", PhoneError::Several),
            ("155500\u{a0}155501", PhoneError::Several),
            ("1555000 (1555001)", PhoneError::Several),
            ("0555 000 1111", PhoneError::NoCountryCode),
            ("+0555 000 1111", PhoneError::NoCountryCode),
        ] {
            assert_eq!(digits(text), Err(why), "{text}");
        }
    }

    #[test]
    fn a_zero_that_is_dialled_at_home_is_left_out() {
        for (text, expected) in [
            ("+49 (0)171 2345678", "491712345678"),
            ("0049 (0) 171 / 2345678", "491712345678"),
            ("0049 171 2345678", "491712345678"),
            ("+49 0171 2345678", "491712345678"),
            ("+44 07911 123456", "447911123456"),
            ("+353 (0)85 123 4567", "353851234567"),
            // A fixed line in Italy keeps its zero, and so does a number of Benin.
            ("+39 06 1234 5678", "390612345678"),
            ("+229 01 23456789", "2290123456789"),
            ("490171234567890@lid", "490171234567890"),
        ] {
            assert_eq!(digits(text).as_deref(), Ok(expected), "{text}");
        }
    }

    #[test]
    fn the_forms_that_countries_have_had_are_one_number() {
        for (written, known) in [
            ("5511912345678", "551112345678"),
            ("5531988887777", "553188887777"),
            ("5215512345678", "525512345678"),
            ("5491158749895", "541158749895"),
            ("54111558749895", "541158749895"),
            ("549111558749895", "541158749895"),
            ("54351155123456", "543515123456"),
            ("2290197123456", "22997123456"),
        ] {
            assert_eq!(canonical(written), canonical(known), "{written}");
            assert_eq!(canonical(known), known);
        }
        for (one, other) in [
            ("5511934567890", "551134567890"), // a mobile number, and somebody's fixed line
            ("15550001111", "1555000111"),
            ("5512345678901", "5512345678902"),
            ("4915112345678", "491511234567"),
        ] {
            assert_ne!(canonical(one), canonical(other), "{one}");
        }
        for text in ["", "x", "5521", "54ü1234567890", "5491"] {
            assert_eq!(canonical(text), text);
        }
    }

    #[test]
    fn a_number_that_is_almost_listed_is_found() {
        let entries = ["4917123456789", "5511934567890", "15550001111"];
        let near = |number: &str| near(number, entries);
        for (number, entry) in [
            ("017123456789", "4917123456789"),
            ("551134567890", "5511934567890"),
            ("15550001112", "15550001111"),
            ("15550010111", "15550001111"),
            ("155500011111", "15550001111"),
            ("1555001111", "15550001111"),
            ("445550001111", "15550001111"),
        ] {
            assert_eq!(near(number), Some(entry), "{number}");
        }
        for number in ["15550001111", "15550002222", "5550", "", "4917123456"] {
            assert_eq!(near(number), None, "{number}");
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
