//! Pure. Splits an answer into its updates by the grammar of JSON alone.

use std::fmt;

use serde::de::{self, Deserialize, Deserializer, Error as _, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::visible;

/// One update, not yet parsed: an unreadable one must not hide the others. Only its grammar is known; a text in it may be
/// half a surrogate pair, and a number larger than any.
#[derive(Debug)]
pub struct RawUpdate {
    /// Its number: asking for a higher one confirms it. `None`: it has no usable one.
    pub update_id: Option<i64>,
    /// Its whole JSON.
    pub body: Box<RawValue>,
}

/// Length limit for a number in the log, in characters.
const NAMED_LEN_MAX: usize = 40;

impl RawUpdate {
    /// Reads a text. `None`: it is not JSON.
    pub fn of(text: &str) -> Option<Self> {
        let body: Box<RawValue> = serde_json::from_str(text).ok()?;
        let update_id = written(&body).and_then(|number| read(number.get()));
        Some(Self { update_id, body })
    }

    /// Returns its number as the service wrote it, for the log.
    pub fn named(&self) -> String {
        let Some(number) = written(&self.body) else { return "no update_id".to_owned() };
        let number: String = number.get().chars().take(NAMED_LEN_MAX).collect();
        format!("the update_id {}", visible::line(&number))
    }
}

/// Returns the value of `update_id`, whatever it is.
fn written(body: &RawValue) -> Option<Box<RawValue>> {
    let Number(number) = serde_json::from_str(body.get()).ok()?;
    Some(number)
}

/// Reads a whole number, also as a text or with a point, as JSON of other programs has it.
fn read(written: &str) -> Option<i64> {
    let number = written.trim_matches('"').trim();
    let whole = number.split_once('.').filter(|(_, rest)| rest.bytes().all(|digit| digit == b'0'));
    whole.map_or(number, |(whole, _)| whole).parse().ok()
}

/// The number of an update, whatever else the update holds.
struct Number(Box<RawValue>);

impl<'de> Deserialize<'de> for Number {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Fields;
        impl<'de> Visitor<'de> for Fields {
            type Value = Number;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an update")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Number, A::Error> {
                let mut number = None;
                while let Some(Key(is_number)) = fields.next_key()? {
                    if is_number {
                        number = Some(fields.next_value()?);
                    } else {
                        fields.next_value::<IgnoredAny>()?;
                    }
                }
                number.map(Number).ok_or_else(|| A::Error::missing_field("update_id"))
            }
        }
        from.deserialize_map(Fields)
    }
}

/// The name of a field, which may be half a surrogate pair: true for that of the number.
struct Key(bool);

impl<'de> Deserialize<'de> for Key {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Name;
        impl Visitor<'_> for Name {
            type Value = Key;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a name")
            }

            fn visit_bytes<E: de::Error>(self, name: &[u8]) -> Result<Key, E> {
                Ok(Key(name == b"update_id"))
            }
        }
        from.deserialize_bytes(Name)
    }
}

/// Returns the updates of an answer.
pub fn updates(result: &RawValue) -> Option<Vec<RawUpdate>> {
    let bodies: Vec<&RawValue> = serde_json::from_str(result.get()).ok()?;
    Some(bodies.iter().filter_map(|body| RawUpdate::of(body.get())).collect())
}
