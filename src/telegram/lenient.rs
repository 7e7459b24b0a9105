//! Pure. Reads what a message can do without: in a form that is not known, it is as if it were not there.

use serde::de::{Deserialize, DeserializeOwned, Deserializer};
use serde_json::Value;

/// A value, or nothing where it cannot be read.
pub(super) fn optional<'de, D: Deserializer<'de>, T: DeserializeOwned>(
    from: D,
) -> Result<Option<T>, D::Error> {
    Ok(T::deserialize(Value::deserialize(from)?).ok())
}

/// A value; one that cannot be read is as if nothing stood in it.
pub(super) fn emptied<'de, D, T>(from: D) -> Result<Option<T>, D::Error>
where
    D: Deserializer<'de>,
    T: DeserializeOwned + Default,
{
    Ok(Option::<Value>::deserialize(from)?.map(|value| T::deserialize(value).unwrap_or_default()))
}

/// Of a list whatever can be read.
pub(super) fn list<'de, D: Deserializer<'de>, T: DeserializeOwned>(from: D) -> Result<Vec<T>, D::Error> {
    let Value::Array(values) = Value::deserialize(from)? else { return Ok(Vec::new()) };
    Ok(values.into_iter().filter_map(|value| T::deserialize(value).ok()).collect())
}
