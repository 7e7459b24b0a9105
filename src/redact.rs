//! Pure. Removes secrets from text that is about to be shown or logged: those known by value, and all that have the form of
//! one. Better one word too many than one key.

use std::borrow::Cow;

/// The replacement of a secret.
const MARK: &str = "<redacted>";

/// Shortest value that is looked for: shorter ones would turn up inside ordinary words.
const SECRET_LEN_MIN: usize = 6;

/// A redactor of secrets by value, besides the forms that it always looks for.
#[derive(Clone, Default)]
pub struct Redactor {
    secrets: Vec<String>,
}

impl Redactor {
    /// Makes a redactor of these.
    pub fn new(secrets: impl IntoIterator<Item = String>) -> Self {
        let mut secrets: Vec<String> =
            secrets.into_iter().filter(|secret| secret.len() >= SECRET_LEN_MIN).collect();
        // A longer one may hold a shorter one, whose removal would leave the rest of it.
        secrets.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
        Self { secrets }
    }

    /// Returns the text without secrets.
    pub fn redact<'a>(&self, text: &'a str) -> Cow<'a, str> {
        let mut text = Cow::Borrowed(text);
        for secret in &self.secrets {
            if text.contains(secret.as_str()) {
                text = Cow::Owned(text.replace(secret.as_str(), MARK));
            }
        }
        match text {
            Cow::Borrowed(text) => shapes(text),
            Cow::Owned(text) => Cow::Owned(shapes(&text).into_owned()),
        }
    }
}

impl std::fmt::Debug for Redactor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Redactor({} secrets)", self.secrets.len())
    }
}

/// Returns the text without all that has the form of a secret: bot tokens, API keys, `Bearer …`, WhatsApp's QR payloads.
pub fn shapes(text: &str) -> Cow<'_, str> {
    replaced(text, |rest, is_start| {
        if !is_start {
            return None;
        }
        telegram(rest).or_else(|| prefixed(rest)).or_else(|| bearer(rest)).or_else(|| qr(rest))
    })
}

/// Returns the text without the numbers in WhatsApp's addresses (`15550001111:3@s.whatsapp.net`), for what is shown above
/// DEBUG.
pub fn numbers(text: &str) -> Cow<'_, str> {
    replaced(text, |rest, is_start| {
        let digits = run(rest, |byte| byte.is_ascii_digit());
        let device = match rest.as_bytes().get(digits) {
            Some(b':') => 1 + run(&rest[digits + 1..], |byte| byte.is_ascii_digit()),
            Some(_) | None => 0,
        };
        let is_address = ["@s.whatsapp.net", "@lid", "@c.us", "@g.us"]
            .iter()
            .any(|end| rest[digits + device..].starts_with(end));
        (is_start && digits >= 5 && is_address).then_some((0, digits + device))
    })
}

/// Replaces the matches of `find`: given the rest of the text and whether a word may begin there, it returns how many bytes
/// stay and how many after them go.
fn replaced(text: &str, find: impl Fn(&str, bool) -> Option<(usize, usize)>) -> Cow<'_, str> {
    let mut clean = String::new();
    let mut kept = 0;
    let mut at = 0;
    let mut is_start = true;
    while at < text.len() {
        if let Some((stay, go)) = find(&text[at..], is_start) {
            clean.push_str(&text[kept..at + stay]);
            clean.push_str(MARK);
            at += stay + go;
            kept = at;
            is_start = true;
            continue;
        }
        let sign = text[at..].chars().next().map_or(1, |sign| {
            is_start = !sign.is_alphanumeric();
            sign.len_utf8()
        });
        at += sign;
    }
    if kept == 0 {
        return Cow::Borrowed(text);
    }
    clean.push_str(&text[kept..]);
    Cow::Owned(clean)
}

/// Returns the number of bytes at the start of this kind, which must be ASCII.
fn run(text: &str, is_kind: impl Fn(u8) -> bool) -> usize {
    text.bytes().position(|byte| !is_kind(byte)).unwrap_or(text.len())
}

fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_')
}

/// Finds `<8 to 10 digits>:<35 signs>`, also right after `bot` as in Telegram's addresses.
fn telegram(rest: &str) -> Option<(usize, usize)> {
    let stay = if rest.starts_with("bot") { 3 } else { 0 };
    let rest = &rest[stay..];
    let digits = run(rest, |byte| byte.is_ascii_digit());
    let secret = rest.get(digits..)?.strip_prefix(':')?;
    let len = run(secret, is_token);
    ((8..=10).contains(&digits) && len >= 35).then_some((stay, digits + 1 + len))
}

/// Finds keys by their prefix: `xoxb-…`, `xapp-…`, `sk-…` and their like.
fn prefixed(rest: &str) -> Option<(usize, usize)> {
    const PREFIXES: [(&str, usize); 9] = [
        ("xoxa-", 8),
        ("xoxb-", 8),
        ("xoxe-", 8),
        ("xoxp-", 8),
        ("xoxs-", 8),
        ("xapp-", 8),
        ("sk-", 16),
        ("ghp_", 16),
        ("hf_", 16),
    ];
    let (prefix, len_min) = PREFIXES.into_iter().find(|(prefix, _)| rest.starts_with(prefix))?;
    let len = run(&rest[prefix.len()..], is_token);
    (len >= len_min).then_some((0, prefix.len() + len))
}

/// Finds `Bearer <anything up to a space or quote>`.
fn bearer(rest: &str) -> Option<(usize, usize)> {
    const WORD: &str = "bearer ";
    rest.get(..WORD.len()).filter(|word| word.eq_ignore_ascii_case(WORD))?;
    let secret = &rest[WORD.len()..];
    let len = run(secret, |byte| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'\'' | b',' | b'<'));
    (len >= 8).then_some((WORD.len(), len))
}

/// Finds the text after `linked_devices#`.
fn qr(rest: &str) -> Option<(usize, usize)> {
    const ADDRESS: &str = "wa.me/settings/linked_devices#";
    let payload = rest.strip_prefix(ADDRESS)?;
    let len = run(payload, |byte| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'\''));
    (len > 0).then_some((ADDRESS.len(), len))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn whatever_has_the_shape_of_a_secret_goes() {
        let token = "AAcanary_canary-canaryCANARY0123456";
        for (text, expected) in [
            (format!("GET /bot123456789:{token}/getMe"), "GET /bot<redacted>/getMe"),
            (format!("token=12345678:{token}."), "token=<redacted>."),
            ("xoxb-canary-1234".to_owned(), "<redacted>"),
            ("\"xapp-1-canary-1234\"".to_owned(), "\"<redacted>\""),
            ("key sk-proj-canary_canary0 used".to_owned(), "key <redacted> used"),
            ("Authorization: Bearer canary.canary==\r".to_owned(), "Authorization: Bearer <redacted>\r"),
            ("{\"h\":\"bearer canarycanary\"}".to_owned(), "{\"h\":\"bearer <redacted>\"}"),
            (
                "https://wa.me/settings/linked_devices#2@canary,canary+/=,c,c,1 shown".to_owned(),
                "https://wa.me/settings/linked_devices#<redacted> shown",
            ),
            ("ü sk-canarycanarycanary ü xoxp-canarycanary".to_owned(), "ü <redacted> ü <redacted>"),
        ] {
            assert_eq!(shapes(&text), expected);
        }
    }

    #[test]
    fn ordinary_text_stays_as_it_is() {
        for text in [
            "",
            "at 12:34:56 the task-list was risk-free",
            "sk-short",
            "bearer of news",
            "12345678:short",
            "xoxb-",
            "bot",
            "Bearer <redacted>",
        ] {
            assert!(matches!(shapes(text), Cow::Borrowed(same) if same == text), "{text}");
        }
    }

    #[test]
    fn known_secrets_go_wherever_they_stand() {
        let redactor =
            Redactor::new(["hunter2hunter2".into(), "hunter2".into(), "abc".into(), String::new()]);
        assert_eq!(redactor.redact("xhunter2hunter2x hunter2 abc"), "x<redacted>x <redacted> abc");
        assert!(!format!("{redactor:?}").contains("hunter"));
    }

    #[test]
    fn numbers_in_addresses_go() {
        assert_eq!(
            numbers("to 15550001111:3@s.whatsapp.net, 99887@lid"),
            "to <redacted>@s.whatsapp.net, <redacted>@lid"
        );
        assert_eq!(numbers("15550001111 at 12:30"), "15550001111 at 12:30");
    }

    proptest! {
        #[test]
        fn any_text_is_taken_and_twice_is_once(text in any::<String>()) {
            let once = numbers(&shapes(&text)).into_owned();
            let shaped = shapes(&once);
            prop_assert_eq!(numbers(&shaped), once.as_str());
        }
    }
}
