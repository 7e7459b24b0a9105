//! Pure. Splits an answer into its updates by the grammar of JSON alone.

use std::fmt;

use serde::de::{self, Deserialize, Deserializer, Error as _, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

/// One update, not yet looked into: one that cannot be read must not hide the others. Only its grammar is known; a text in it may
/// be half a character, and a number larger than any.
#[derive(Debug)]
pub struct RawUpdate {
    /// Its number: asking for a higher one confirms it.
    pub update_id: i64,
    /// All of it.
    pub body: Box<RawValue>,
}

impl RawUpdate {
    /// `None`: it has no number, or is not JSON.
    pub fn of(text: &str) -> Option<Self> {
        let body = serde_json::from_str(text).ok()?;
        let Number(update_id) = serde_json::from_str(text).ok()?;
        Some(Self { update_id, body })
    }
}

/// The number of an update, whatever else stands in it.
struct Number(i64);

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

/// The name of a field, which may be half a character: whether it is that of the number.
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

/// The updates of an answer. What has no number cannot be confirmed, and is counted.
pub fn updates(result: &RawValue) -> Option<(Vec<RawUpdate>, usize)> {
    let bodies: Vec<&RawValue> = serde_json::from_str(result.get()).ok()?;
    let updates: Vec<RawUpdate> = bodies.iter().filter_map(|body| RawUpdate::of(body.get())).collect();
    let unnumbered = bodies.len() - updates.len();
    Some((updates, unnumbered))
}
