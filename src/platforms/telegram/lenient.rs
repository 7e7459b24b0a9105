//! Pure. Lenient readers for the optional parts of a message: one in an unknown form counts as absent. They need nothing more
//! than the grammar of JSON, which allows half a surrogate pair, too.

use std::time::Duration;

use serde::de::{Deserialize, DeserializeOwned, Deserializer};
use serde_json::value::RawValue;

fn read<T: DeserializeOwned>(raw: &RawValue) -> Option<T> {
    serde_json::from_str(raw.get()).ok()
}

/// A value, or nothing where it cannot be read.
pub(super) fn optional<'de, D: Deserializer<'de>, T: DeserializeOwned>(
    from: D,
) -> Result<Option<T>, D::Error> {
    Ok(read(&Box::<RawValue>::deserialize(from)?))
}

/// A time in whole seconds and not too short, also where it is written as a text or with a point.
pub(super) fn seconds<'de, D: Deserializer<'de>>(from: D) -> Result<Option<u64>, D::Error> {
    let raw = Box::<RawValue>::deserialize(from)?;
    let seconds: Option<f64> = raw.get().trim_matches('"').trim().parse().ok();
    let time = seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds.ceil()).ok());
    Ok(time.map(|time| time.as_secs()))
}

/// A value, or an empty one where it cannot be read.
pub(super) fn defaulted<'de, D, T>(from: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: DeserializeOwned + Default,
{
    Ok(optional(from)?.unwrap_or_default())
}

/// A value; an unreadable one counts as one without content.
pub(super) fn emptied<'de, D, T>(from: D) -> Result<Option<T>, D::Error>
where
    D: Deserializer<'de>,
    T: DeserializeOwned + Default,
{
    Ok(Option::<Box<RawValue>>::deserialize(from)?.map(|raw| read(&raw).unwrap_or_default()))
}

/// The readable entries of a list.
pub(super) fn list<'de, D: Deserializer<'de>, T: DeserializeOwned>(from: D) -> Result<Vec<T>, D::Error> {
    let raw = Box::<RawValue>::deserialize(from)?;
    let Some(values) = read::<Vec<Box<RawValue>>>(&raw) else { return Ok(Vec::new()) };
    Ok(values.iter().filter_map(|value| read(value)).collect())
}
