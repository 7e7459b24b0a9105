//! Pure. Values of `gateway.toml`: how each is read, and its range.

use std::fmt::Debug;
use std::ops::RangeInclusive;
use std::time::Duration;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use toml::Spanned;
use toml::de::ValueDeserializer;

use super::table::{Entry, Fault, Keys, Rule};

pub(crate) const MOMENT: Duration = Duration::from_millis(10);
pub(crate) const SECOND: Duration = Duration::from_secs(1);
pub(crate) const MINUTE: Duration = Duration::from_secs(60);
pub(crate) const HOUR: Duration = Duration::from_secs(3600);
pub(crate) const DAY: Duration = Duration::from_secs(24 * 3600);

/// Addresses by HTTP.
pub(crate) const HTTP: [&str; 2] = ["http://", "https://"];

/// A field that one key sets.
pub(crate) struct Key<R, V> {
    /// The name of the key, where it is not that of the field.
    name: Option<&'static str>,
    /// Makes the value. The message of its fault continues the name of the key.
    make: Box<dyn Fn(Spanned<R>) -> Result<V, Fault>>,
}

impl<R, V> Key<R, V> {
    /// Gives the key another name than that of its field.
    pub(crate) fn named(self, name: &'static str) -> Self {
        Self { name: Some(name), ..self }
    }
}

impl<T: From<V>, R: DeserializeOwned, V> Rule<T> for Key<R, V> {
    fn keys(&self, name: &'static str, path: &str, keys: &mut Keys) {
        keys.entry(path.to_owned()).or_default().push(self.name.unwrap_or(name));
    }

    fn take(&self, field: &mut T, name: &'static str, entry: &mut Entry<'_, '_>) -> Result<bool, Fault> {
        let name = self.name.unwrap_or(name);
        if entry.key != name {
            return Ok(false);
        }
        let raw = Spanned::<R>::deserialize(ValueDeserializer::from(entry.value.clone()));
        let raw = raw.map_err(|error| Fault {
            span: error.span().unwrap_or(entry.value.span()),
            message: error.message().to_owned(),
        })?;
        let value = (self.make)(raw)
            .map_err(|fault| Fault { message: format!("{name} {}", fault.message), ..fault })?;
        *field = value.into();
        Ok(true)
    }
}

/// A value that this makes of what stands in the file.
pub(crate) fn of<R: 'static, V: 'static>(make: impl Fn(R) -> Result<V, String> + 'static) -> Key<R, V> {
    Key { name: None, make: Box::new(move |raw| made(raw, &make)) }
}

/// A list whose entries this makes.
pub(crate) fn each<R: 'static, V: 'static>(
    make: impl Fn(R) -> Result<V, String> + 'static,
) -> Key<Vec<Spanned<R>>, Vec<V>> {
    let list = move |raw: Spanned<Vec<Spanned<R>>>| {
        raw.into_inner().into_iter().map(|entry| made(entry, &make)).collect()
    };
    Key { name: None, make: Box::new(list) }
}

fn made<R, V>(raw: Spanned<R>, make: impl Fn(R) -> Result<V, String>) -> Result<V, Fault> {
    let span = raw.span();
    make(raw.into_inner()).map_err(|message| Fault { span, message })
}

/// Any value of its type.
pub(crate) fn any<R: 'static>() -> Key<R, R> {
    of(Ok)
}

/// A whole number in this range.
pub(crate) fn number<N: TryFrom<i64> + PartialOrd + Debug + 'static>(
    range: RangeInclusive<N>,
) -> Key<i64, N> {
    of(move |raw: i64| within(N::try_from(raw).ok(), &range))
}

/// A share in this range.
pub(crate) fn share(range: RangeInclusive<f64>) -> Key<f64, f64> {
    of(move |raw| within(Some(raw), &range))
}

/// A duration in this range.
pub(crate) fn time(range: RangeInclusive<Duration>) -> Key<String, Duration> {
    of(move |raw: String| time_within(&raw, &range))
}

/// A duration in this range, or `off`.
pub(crate) fn time_or_off(range: RangeInclusive<Duration>) -> Key<String, Option<Duration>> {
    of(move |raw: String| if raw.trim() == "off" { Ok(None) } else { time_within(&raw, &range).map(Some) })
}

/// One of these words.
pub(crate) fn word<V: Copy + 'static>(words: &'static [(&'static str, V)]) -> Key<String, V> {
    of(move |raw: String| {
        let found = words.iter().find(|(word, _)| *word == raw).map(|(_, value)| *value);
        found.ok_or_else(|| {
            let words: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
            let (last, others) = words.split_last().expect("there are words");
            format!("must be {} or {last}", others.join(", "))
        })
    })
}

/// An address that begins in one of these ways.
pub(crate) fn url([first, second]: [&'static str; 2]) -> Key<String, String> {
    of(move |raw: String| {
        let rest = raw.strip_prefix(first).or(raw.strip_prefix(second));
        if rest.is_none_or(|rest| rest.is_empty() || rest.contains(char::is_whitespace)) {
            return Err(format!("must begin with {first} or {second}"));
        }
        Ok(raw)
    })
}

fn within<N: PartialOrd + Debug>(value: Option<N>, range: &RangeInclusive<N>) -> Result<N, String> {
    value
        .filter(|value| range.contains(value))
        .ok_or_else(|| format!("must be from {:?} to {:?}", range.start(), range.end()))
}

fn time_within(text: &str, range: &RangeInclusive<Duration>) -> Result<Duration, String> {
    let time =
        duration(text).ok_or("must be a duration such as \"500ms\", \"30s\", \"5m\", \"1h\" or \"7d\"")?;
    within(Some(time), range)
}

/// A whole number and its unit.
pub(crate) fn duration(text: &str) -> Option<Duration> {
    let text = text.trim();
    let (number, unit) = text.split_at(text.find(|sign: char| !sign.is_ascii_digit())?);
    let number: u32 = number.parse().ok()?;
    let unit = match unit.trim_start() {
        "ms" => Duration::from_millis(1),
        "s" => SECOND,
        "m" => MINUTE,
        "h" => HOUR,
        "d" => DAY,
        _ => return None,
    };
    unit.checked_mul(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_a_unit() {
        assert_eq!(duration("30s"), Some(Duration::from_secs(30)));
        assert_eq!(duration(" 5 m "), Some(Duration::from_secs(300)));
        assert_eq!(duration("250ms"), Some(Duration::from_millis(250)));
        assert_eq!(duration("2d"), Some(48 * HOUR));
        for text in ["", "s", "5", "-5s", "1.5s", "5 s m", "99999999999s"] {
            assert_eq!(duration(text), None, "{text}");
        }
    }
}
